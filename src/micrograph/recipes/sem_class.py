"""What kind of surface an image of a scanning electron microscope shows.   doi:10.1038/s41598-017-13565-z"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Frame, Prediction, Sample, Task
from micrograph.features.naming.sem_kinds import (
    ANSWERS,
    CATEGORY,
    FOREIGN,
    SEVERAL,
    KindSettings,
    KindShares,
    read_kinds,
    squares,
)
from micrograph.features.naming.texture_vector import NAMES, RANGES, texture_vector
from micrograph.infer.encoders import Views
from micrograph.nets import EncoderSpec
from micrograph.nets.encoder import seen_by
from micrograph.nets.encoder_spec import classes
from micrograph.run import Recipe
from micrograph.simulate.secondary.sem_sampler import KINDS, SemTextures
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.naming.kind_claims import KIND
from micrograph.validate.naming.sem_checks import (
    SemTrial,
    calibration,
    foreign_auroc,
    kind_accuracy,
    macro_f1,
    seconds_a_frame,
    selective_accuracy,
    several_auroc,
)
from micrograph.validate.naming.sem_rays import Rays

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SemImages:
    """Images to learn from, as the network sees them, with the numbers that tell their texture."""

    textures: SemTextures = field(default_factory=SemTextures)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return a sample whose image has the side of the network's input."""
        sample = self.textures(rng)
        image = seen_by(MODEL, sample.image, None)[0]
        return replace(sample, image=image, params={**sample.params, **numbers_of(image)})

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        return self.textures.domain()


def numbers_of(image: NDArray[np.float32]) -> dict[str, float]:
    """Return the numbers that tell the texture of a square image, by name."""
    return dict(zip(NAMES, texture_vector(image).tolist(), strict=True))


def look(frame: Frame) -> Views:
    """Return what the network sees of a frame: the squares that cover it, each mirrored both ways."""
    seen = np.concatenate([seen_by(MODEL, square, None) for square in squares(frame.data)])
    told = np.array([texture_vector(image) for image in seen])
    return Views(seen, dict(zip(NAMES, told.T, strict=True)))


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
    known=tuple((name, low, high) for name, (low, high) in zip(NAMES, RANGES, strict=True)),
    weights="sem-1",
)
OWN = SemTrial("new images", number=500)
#: Half of the least dose, magnified half as much again as any image that was learned from.
FARTHER = SemTrial(
    "half the dose, larger and smaller",
    SemTextures(electrons_per_px=(12.5, 25.0), magnification=(0.44, 2.25), beyond=(0.667, 1.5), mixed=0.0, none=0.0),
    number=160,
)
OTHER = SemTrial("another simulator", number=160, rays=Rays())

TRUST = Trust(
    stills(SemTextures(none=0.0, mixed=0.0)),
    (KIND,),
    shifted=(("half the dose, larger and smaller", stills(FARTHER.textures)),),
    frames=1500,
    fresh=1500,
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
    data=SemImages(),
    model=MODEL,
    objects=Kinds(),
    summary=KindShares(),
    view=look,
    checks=(
        kind_accuracy(OWN, at_least=0.95),
        macro_f1(OWN, at_least=0.93),
        selective_accuracy(OWN, at_least=0.97),
        several_auroc(OWN, at_least=0.9),
        calibration(OWN, at_most=0.05),
        foreign_auroc(OWN, at_least=0.95),
        kind_accuracy(FARTHER, at_least=0.9),
        kind_accuracy(OTHER, at_least=0.7),
        seconds_a_frame(at_most_s=1.0),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    training=TrainSettings(
        steps=2000,
        batch=64,
        reuse=8,
        learning_rate=3e-3,
        mirrored=True,
        weight_decay=1e-2,
        calibration_samples=1500,
    ),
)
