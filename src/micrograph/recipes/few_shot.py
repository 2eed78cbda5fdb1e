"""Images, or windows of them, named by a user's own few examples of each class.   arXiv:1703.05175"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Frame, Sample, Task
from micrograph.features.naming.own_classes import ANSWERS, ClassShares, OwnClasses, corners_of
from micrograph.infer.encoders import Views
from micrograph.nets import EncoderSpec
from micrograph.nets.encoder_spec import classes
from micrograph.nets.prototype_spec import PrototypeSpec
from micrograph.run import Recipe
from micrograph.run.learning import Progress
from micrograph.simulate.class_pool import KINDS, ClassPool
from micrograph.train.settings import EpisodeSettings
from micrograph.validate.naming.choosing_checks import labels_saved
from micrograph.validate.naming.few_shot_checks import (
    above_raw_pixels,
    episode_accuracy,
    episode_calibration,
    multislice_accuracy,
    unseen_auroc,
)

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint


@dataclass(frozen=True)
class Windows:
    """What is named in a frame: windows of `window_px` pixels, half of that apart; 0: the whole frame."""

    window_px: int = 0

    def __call__(self, frame: Frame) -> Views:
        """Return the windows of a frame."""
        image = frame.data
        if not self.window_px:
            return Views(image[None])
        side = min(self.window_px, *image.shape)
        corners = corners_of((image.shape[0], image.shape[1]), self.window_px)
        return Views(np.stack([image[y : y + side, x : x + side] for y, x in corners.tolist()]))


@dataclass(frozen=True)
class FewShotFeatures:
    """How the shared features are made: by episodes over the classes of the pool."""

    pool: ClassPool = field(default_factory=ClassPool)
    settings: EpisodeSettings = field(default_factory=EpisodeSettings)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image of the pool, with the place of its kind."""
        return self.pool(rng)

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        return self.pool.domain()

    def begun(self, weights: Path, steps: int | None, seed: int, progress: Progress | None = None) -> Checkpoint:
        """Train the features and write them to `weights`."""
        from micrograph.infer.few_shot_prior import with_prior
        from micrograph.nets import save
        from micrograph.train.episodes import train_features

        settings = replace(self.settings, seed=seed)
        settings = settings if steps is None else replace(settings, steps=steps)

        def show(done: int, total: int, loss: float, right: float) -> None:
            if progress is not None:
                progress(done, total, f"loss {loss:.3f}, {100 * right:.0f} % named rightly")

        made = train_features(self.pool, MODEL, settings, weights, progress=show, card={"recipe": RECIPE.name})
        made = with_prior(made, self.pool, seed)
        save(weights, made)
        return made


#: The shipped weights learned 900 steps, from families without surfaces of an SEM and with fewer defects.
MODEL = EncoderSpec(
    heads=(classes("kind", KINDS),),
    side=64,
    base=24,
    levels=3,
    hidden=96,
    pool="parts",
    fold=2,
    weights="features-1",
)

RECIPE = Recipe(
    name="few-shot",
    title="Your own classes",
    task=Task(
        question="To which of your own classes, given by a few examples each, does an image or a window of it belong?",
        needs=(),
        answers=ANSWERS,
        reference="arXiv:1703.05175",
    ),
    data=FewShotFeatures(),
    model=MODEL,
    objects=OwnClasses(),
    summary=ClassShares(),
    view=Windows(),
    checks=(
        episode_accuracy(shots=5, at_least=0.85),
        episode_accuracy(shots=1, at_least=0.70),
        above_raw_pixels(shots=5, at_least=0.15),
        above_raw_pixels(shots=1, at_least=0.15),
        episode_accuracy(shots=5, at_least=0.80, dose_factor=0.5),
        episode_accuracy(shots=1, at_least=0.65, dose_factor=0.5),
        multislice_accuracy(shots=5, at_least=0.75),
        unseen_auroc(shots=5, at_least=0.80),
        episode_calibration(shots=5, at_most=0.05),
        labels_saved("defects of WSe2", at_most=0.4),
        labels_saved("phases and zones", at_most=0.4),
    ),
)


def with_classes(recipe: Recipe, spec: PrototypeSpec) -> Recipe:
    """Return what answers in a recipe's place where its weights hold a user's own classes: their tables, its name."""
    return replace(
        RECIPE,
        name=recipe.name,
        title=f"{recipe.title}: own classes" if recipe.name != RECIPE.name else RECIPE.title,
        task=replace(RECIPE.task, takes=recipe.task.takes),
        model=spec,
        view=recipe.view if "views" in spec.looks else Windows(),
        summary=ClassShares(spec.labels),
        checks=(),
    )
