"""Columns of graphene sheets and small particles in HRTEM, whatever the focus.   doi:10.1002/adts.201800037"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micrograph.core import Prediction, Task
from micrograph.features.crystal import DEFECT_COLUMNS, STRAIN_COLUMNS
from micrograph.features.locate import LocateSettings
from micrograph.features.phase_columns import COLUMN_FRAMES, NAME, read_columns
from micrograph.features.points import POINTS
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate.hrtem import Lens
from micrograph.simulate.hrtem_sampler import COLUMN_IMAGES, lattice_contrast
from micrograph.simulate.hrtem_scenes import COLUMN
from micrograph.train.settings import TrainSettings

if TYPE_CHECKING:
    import pandas as pd

#: First reflections (1/nm) of close-packed crystals and of graphene.
_SHOWN_PER_NM = 4.7


@dataclass(frozen=True)
class PhaseColumns:
    """Columns with errors, lattice, strain, vacancies.

    What is known of the lens may be given: `defocus_nm` (under focus is positive) and `cs_mm`; the voltage comes from
    the file or as `voltage_kV`.
    """

    threshold: float = 0.5
    min_distance_nm: float = 0.1
    defocus_nm: float | None = None
    cs_mm: float = 0.0
    voltage_kV: float = 80.0

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames' of one frame."""
        settings = LocateSettings(
            heads=(COLUMN,), threshold=self.threshold, min_distance_nm=self.min_distance_nm, region=None
        )
        voltage = prediction.frame.calibration.voltage_kV or self.voltage_kV
        return read_columns(prediction, settings, self.contrast(voltage))

    def contrast(self, voltage_kV: float) -> int:
        """Return 1 if the lens shows thin crystals bright, -1 if dark, 0 if neither or unknown."""
        if self.defocus_nm is None:
            return 0
        lens = Lens(voltage_kV, self.defocus_nm, self.cs_mm, focal_spread_nm=0.0)
        seen = lattice_contrast(lens, _SHOWN_PER_NM)
        return 0 if abs(seen) < 0.2 else (1 if seen > 0 else -1)


RECIPE = Recipe(
    name="hrtem-columns",
    title="Columns in HRTEM",
    task=Task(
        question="Where are the columns of a sheet or a particle in an HRTEM image, and which are missing?",
        needs=("pixel_nm",),
        answers={
            "objects": (*POINTS, *STRAIN_COLUMNS),
            "defects": DEFECT_COLUMNS,
            "frames": COLUMN_FRAMES,
            "summary": SUMMARY,
        },
        reference="doi:10.1002/adts.201800037",
    ),
    data=COLUMN_IMAGES,
    model=NetSpec(
        heads=(Head(COLUMN, "spots", labels=(COLUMN,)),),
        pixel_nm=0.04,
        patch=72,
        weights="hrtem-columns-1",
    ),
    objects=PhaseColumns(),
    summary=ArealDensity(always=(NAME, "vacancy")),
    training=TrainSettings(steps=1600, reuse=24, workers=0, checkpoint_every=50),
    begins_from="atoms-1",
)
