"""Recipes whose model comes from the recording itself: a network that is trained, or a method that is sought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from micrograph.core import Recording, Sampler
from micrograph.core.provenance import whole
from micrograph.run.record import input_digest

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint, NetSpec
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


@runtime_checkable
class Searcher(Protocol):
    """The stage 'data' of a recipe whose model is no network but a text that people read: sought in each recording."""

    def sought(self, recording: Recording) -> str:
        """Return the text of the model that suits `recording`; raises `BadInput` where nothing can be sought."""
        ...

    def model(self, text: str) -> Predict:
        """Return the model that a text describes; raises `BadInput` for a text that describes none."""
        ...


@runtime_checkable
class Preparer(Protocol):
    """The stage 'data' of a recipe whose model is physics: computed for a recording's microscope, and kept."""

    def prepared(self, recording: Recording, progress: Progress | None = None) -> Predict:
        """Return the model for `recording`; raises `BadInput` where none can be."""
        ...


@runtime_checkable
class Begun(Protocol):
    """The stage 'data' of a recipe whose network is trained in a way of its own, on simulated images."""

    def begun(self, weights: Path, steps: int | None, seed: int, progress: Progress | None = None) -> Checkpoint:
        """Train the network and write it to `weights`."""
        ...


@runtime_checkable
class SelfTaught(Protocol):
    """The stage 'data' of a recipe whose network learns each recording without labels, by a training of its own."""

    def taught(
        self, recording: Recording, weights: Path, card: Mapping[str, Any], progress: Progress | None = None
    ) -> Predict:
        """Return the model trained on `recording`, kept with its `card` in `weights`; one there of that card is used.

        Raises `BadInput` where nothing can be learned.
        """
        ...


@runtime_checkable
class Presenter(Protocol):
    """A stage 'data' that looks at a 4D-STEM scan otherwise than pattern by pattern: line by line, or averaged."""

    def presented(self, recording: Recording) -> Recording:
        """Return the frames that the recipe looks at."""
        ...


def presented(recipe: Recipe, recording: Recording) -> Recording:
    """Return a recording as its recipe looks at it."""
    return recipe.data.presented(recording) if isinstance(recipe.data, Presenter) else recording


def learned(recipe: Recipe, recording: Recording, weights: Path, progress: Progress | None = None) -> Predict:
    """Return the recipe's model, trained on `recording` and kept in `weights` (.safetensors, card beside it; .toml).

    Weights that are there already and were learned from the same recording in the same way are used as they are; a
    training that was interrupted goes on.
    """
    from micrograph.infer import load_predictor
    from micrograph.nets import NetSpec, read_card
    from micrograph.train import TrainSettings, train

    if isinstance(recipe.learner, Preparer):
        return recipe.learner.prepared(recording, progress)
    if isinstance(recipe.learner, Searcher):
        return _sought(recipe.learner, recording, weights, progress)
    assert recipe.learner is not None
    origin = {"recording": input_digest(recording), "learner": repr(recipe.learner)}
    if isinstance(recipe.learner, SelfTaught):
        card = {"recipe": recipe.name, "learned_from": origin}
        return recipe.learner.taught(recording, weights, card, progress)
    if not (weights.exists() and read_card(weights).get("learned_from") == origin):
        assert isinstance(recipe.model, NetSpec)
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


def _sought(searcher: Searcher, recording: Recording, path: Path, progress: Progress | None) -> Predict:
    """Return the model that suits the recording, kept in `path`; one that is there already is read."""
    if not path.exists():
        if progress is not None:
            progress(0, len(recording), "seeking the operations that suit this recording")
        text = searcher.sought(recording)
        with whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return searcher.model(path.read_text(encoding="utf-8"))


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
