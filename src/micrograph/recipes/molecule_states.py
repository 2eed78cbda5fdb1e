"""States of bowl-shaped molecules in rows: up or down, and how they are turned.   doi:10.1038/s41524-017-0038-7"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micrograph.core import BadInput, Prediction, Task
from micrograph.features.surface.molecules import (
    CORRELATIONS,
    MOLECULES,
    SEEN,
    SUMMARY,
    TEMPLATES,
    MoleculeSettings,
    OrderFold,
    nothing,
    read_molecules,
)
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.molecules import MoleculeImages

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
    data=MoleculeImages(),
    model=NoNet(),
    objects=Molecules(),
    summary=OrderFold(),
)
