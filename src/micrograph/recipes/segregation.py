"""Interaction energies of the species of a surface from who sits beside whom.   doi:10.1021/acsnano.8b07980"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micrograph.core import BadInput, Prediction, Task
from micrograph.features.surface.energies import ENERGIES, SEEN, SITES, EnergySettings, nothing, read_energies
from micrograph.features.surface.predicted import PATCHES, PREDICTIONS, SUMMARY, EnergyFold
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.lattice_gas import SurfaceImages

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Segregation(EnergySettings):
    """Sites, energies and how well these explain a frame."""

    def __call__(self, prediction: Prediction) -> Mapping[str, "pd.DataFrame"]:
        """Return the tables 'objects', 'energies' and 'frames' of one frame."""
        frame = prediction.frame
        try:
            return read_energies(frame, self)[0]
        except BadInput as problem:
            if frame.index == 0:
                raise
            return nothing(frame.index, str(problem))


RECIPE = Recipe(
    name="segregation",
    title="Segregation: energies between species",
    task=Task(
        question="Which energies between the species of a surface make them sit beside each other as they do, and what "
        "would they do at another temperature or composition?",
        needs=(),
        answers={
            "objects": SITES,
            "energies": ENERGIES,
            "frames": SEEN,
            "predictions": PREDICTIONS,
            "patches": PATCHES,
            "summary": SUMMARY,
        },
        reference="doi:10.1021/acsnano.8b07980",
        takes=("image", "sites"),
    ),
    data=SurfaceImages(),
    model=NoNet(),
    objects=Segregation(),
    summary=EnergyFold(),
)
