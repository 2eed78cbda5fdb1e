"""Recipes that train their network on the recording itself: minutes before the first frame, then as any recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from micrograph.core import Recording, Sampler
from micrograph.run.record import input_digest

if TYPE_CHECKING:
    from micrograph.nets import NetSpec
    from micrograph.run.recipe import Recipe
    from micrograph.run.streaming import Predict

#: Called with (step, steps, a few words).
Progress = Callable[[int, int, str], object]


@runtime_checkable
class Learner(Protocol):
    """The stage 'data' of a recipe that learns from each recording: finds its labels there; `steps` suffice."""

    @property
    def steps(self) -> int:
        """Number of training steps."""
        ...

    def samples_of(self, recording: Recording, spec: NetSpec) -> tuple[Sampler, NetSpec]:
        """Return a sampler and the network for this recording; raises `BadInput` where nothing can be learned."""
        ...


def learned(recipe: Recipe, recording: Recording, weights: Path, progress: Progress | None = None) -> Predict:
    """Return the recipe's model, trained on `recording` and kept in `weights` (.safetensors, card beside it).

    Weights that are there already and were learned from the same recording in the same way are used as they are; a
    training that was interrupted goes on.
    """
    from micrograph.infer import load_predictor
    from micrograph.nets import read_card
    from micrograph.train import TrainSettings, train

    assert recipe.learner is not None
    origin = {"recording": input_digest(recording), "learner": repr(recipe.learner)}
    if not (weights.exists() and read_card(weights).get("learned_from") == origin):
        sampler, spec = recipe.learner.samples_of(recording, recipe.model)
        train(
            sampler,
            spec,
            TrainSettings(steps=recipe.learner.steps, calibration_samples=200),
            weights,
            progress=_shown(progress),
            card={"recipe": recipe.name, "learned_from": origin, "domain": _domain(recording)},
        )
    return load_predictor(weights)


def _shown(progress: Progress | None) -> Callable[[int, int, float], None]:
    """Return what the trainer calls with (step, steps, loss)."""

    def show(done: int, total: int, loss: float) -> None:
        if progress is not None:
            progress(done, total, f"learning from this recording, loss {loss:.4f}")

    return show


def _domain(recording: Recording) -> dict[str, Any]:
    """Return what the card says of the domain: the pixel of the recording, and nothing beyond it."""
    pixel = recording.calibration.pixel_nm
    return {} if pixel is None else {"pixel_nm": (pixel / 1.1, pixel * 1.1)}
