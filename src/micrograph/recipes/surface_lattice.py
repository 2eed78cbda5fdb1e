"""Unit cell, motif and defects of a crystalline surface under a scanning probe."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from micrograph.core import Prediction, Task
from micrograph.features.surface.lattice_means import MEANS, SurfaceMeans
from micrograph.features.surface.lattice_reading import SurfaceSettings
from micrograph.features.surface.lattice_tables import MOTIF, ODD_PLACES, SEEN, SITES, surface_tables
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.scanning.surfaces import SurfaceImages
from micrograph.validate.surfaces.surface_checks import (
    Surfaces,
    cell_coverage,
    cell_found,
    multislice_cells,
    nothing_told,
    odd_places_found,
    odd_places_true,
    seconds_a_frame,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SurfaceLattice(SurfaceSettings):
    """The lattice of a frame and what differs from it."""

    def __call__(self, prediction: Prediction) -> Mapping[str, "pd.DataFrame"]:
        """Return the tables 'objects', 'sites', 'motif' and 'frames' of one frame."""
        return surface_tables(prediction.frame, self)


IMAGES = SurfaceImages()
OWN = Surfaces("motif 3 to 10 times the noise", IMAGES, 150)
FAINT = Surfaces("motif 1.5 times the noise", replace(IMAGES, snr=(1.5, 1.501)), 60)
BENT = Surfaces("bent twice as much", replace(IMAGES, bend=(0.25, 0.5)), 120)

RECIPE = Recipe(
    name="surface-lattice",
    title="Lattice of a surface",
    task=Task(
        question="Which unit cell does a surface have, what is in it, and where are atoms missing or too many?",
        needs=("pixel_nm",),
        answers={"objects": ODD_PLACES, "sites": SITES, "motif": MOTIF, "frames": SEEN, "summary": MEANS},
        reference="doi:10.1063/1.2432410",
    ),
    data=IMAGES,
    model=NoNet(),
    objects=SurfaceLattice(),
    summary=SurfaceMeans(),
    checks=(
        cell_found(OWN, at_least=0.95),
        cell_coverage(OWN, at_least=0.9),
        odd_places_found(OWN, at_least=0.9),
        odd_places_true(OWN, at_least=0.9),
        cell_found(FAINT, at_least=0.85),
        cell_found(BENT, at_least=0.85),
        odd_places_found(BENT, at_least=0.8),
        multislice_cells(at_least=0.9),
        nothing_told(at_least=0.95),
        seconds_a_frame(IMAGES, at_most_s=1.0),
    ),
)
