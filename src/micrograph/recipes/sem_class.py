"""What kind of surface an image of a scanning electron microscope shows.   doi:10.1038/s41598-017-13565-z"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from micrograph.core import Frame, Prediction, Task
from micrograph.features.sem_kinds import (
    ANSWERS,
    CATEGORY,
    FOREIGN,
    SEVERAL,
    KindSettings,
    KindShares,
    read_kinds,
    squares,
)
from micrograph.infer.encoders import Views
from micrograph.nets import EncoderSpec
from micrograph.nets.encoder_spec import classes
from micrograph.run import Recipe
from micrograph.simulate.sem_sampler import KINDS, SemTextures
from micrograph.train import TrainSettings

if TYPE_CHECKING:
    import pandas as pd


def look(frame: Frame) -> Views:
    """Return what the network sees of a frame: the squares that cover it, each mirrored both ways."""
    return Views(squares(frame.data))


@dataclass(frozen=True)
class Kinds(KindSettings):
    """The kind of every image."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'frames' and 'probabilities' of one frame."""
        return read_kinds(prediction, self)


MODEL = EncoderSpec(
    heads=(
        classes(CATEGORY, KINDS),
        classes(SEVERAL, ("one", "more than one")),
        classes(FOREIGN, ("one of these", "none of these")),
    ),
    side=128,
    base=24,
    levels=3,
    hidden=128,
    pool="parts",
    fold=4,
    weights="sem-1",
)

RECIPE = Recipe(
    name="sem-class",
    title="Kinds of SEM images",
    task=Task(
        question="What kind of surface does an image of a scanning electron microscope show, more than one, or none?",
        needs=(),
        answers=ANSWERS,
        reference="doi:10.1038/s41598-017-13565-z",
    ),
    data=SemTextures(),
    model=MODEL,
    objects=Kinds(),
    summary=KindShares(),
    view=look,
    checks=(),
    training=TrainSettings(
        steps=960, batch=64, reuse=12, learning_rate=3e-3, weight_decay=1e-2, calibration_samples=1500
    ),
)
