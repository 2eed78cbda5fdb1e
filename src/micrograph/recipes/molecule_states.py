"""States of bowl-shaped molecules in rows: up or down, and how they are turned.   doi:10.1038/s41524-017-0038-7"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from micrograph.core import BadInput, Prediction, Task
from micrograph.features.surface.molecule_fold import SUMMARY, OrderFold
from micrograph.features.surface.molecules import (
    CORRELATIONS,
    MOLECULES,
    SEEN,
    TEMPLATES,
    MoleculeSettings,
    nothing,
    read_molecules,
)
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.scanning.molecules import MoleculeImages, Orbitals
from micrograph.validate.surfaces.molecule_checks import (
    MoleculeTrial,
    correlations_inside,
    foreign_told,
    neighbours_add,
    polarity_right,
    rotation_right,
    seconds_a_frame,
    state_calibration,
    temperature_error,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Molecules(MoleculeSettings):
    """States of the molecules of a frame, and their order."""

    def __call__(self, prediction: Prediction) -> Mapping[str, "pd.DataFrame"]:
        """Return the tables 'objects', 'correlations', 'templates' and 'frames' of one frame."""
        frame = prediction.frame
        try:
            return read_molecules(frame, self)
        except BadInput as problem:
            if frame.index == 0:
                raise
            return nothing(frame.index, str(problem))


IMAGES = MoleculeImages()
#: Half the signal with a blunter tip and a lattice that is bent more; molecules of other shapes.
OWN = MoleculeTrial("SNR 2", 24, replace(IMAGES, snr=(2.0, 2.001)))
FAINT = MoleculeTrial("SNR 1", 60, replace(IMAGES, snr=(1.0, 1.001)))
FARTHER = MoleculeTrial(
    "SNR 1, blunt and bent", 12, replace(IMAGES, snr=(1.0, 1.001), blur=(0.08, 0.1), bend=(0.2, 0.4))
)
OTHER = MoleculeTrial("other molecules, SNR 2", 12, replace(IMAGES, snr=(2.0, 2.001), shape=Orbitals()))

RECIPE = Recipe(
    name="molecule-states",
    title="States of molecules",
    task=Task(
        question="Which molecules of a layer are up or down, how is each turned, and how far does their order reach?",
        needs=("pixel_nm",),
        answers={
            "objects": MOLECULES,
            "correlations": CORRELATIONS,
            "templates": TEMPLATES,
            "frames": SEEN,
            "summary": SUMMARY,
        },
        reference="doi:10.1038/s41524-017-0038-7",
    ),
    data=IMAGES,
    model=NoNet(),
    objects=Molecules(),
    summary=OrderFold(),
    checks=(
        polarity_right(OWN, at_least=0.98),
        rotation_right(OWN, at_least=0.95),
        temperature_error(OWN, at_most=0.1),
        correlations_inside(OWN, at_least=0.9),
        state_calibration(OWN, at_most=0.05),
        neighbours_add(FAINT, at_least=0.03),
        rotation_right(FAINT, at_least=0.75),
        temperature_error(FAINT, at_most=0.15),
        state_calibration(FAINT, at_most=0.05),
        polarity_right(FARTHER, at_least=0.95),
        polarity_right(OTHER, at_least=0.95),
        rotation_right(OTHER, at_least=0.85),
        foreign_told(OWN, at_least=0.95),
        seconds_a_frame(OWN, at_most_s=30.0),
    ),
)
