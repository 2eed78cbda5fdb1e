"""The predictor: a frame in, probability maps with their doubts out. Stateless between frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BrokenCheckpoint, Flag, Frame, MissingCalibration, Prediction
from micrograph.core.provenance import digest
from micrograph.infer.backends import Compute, backend
from micrograph.infer.encoders import EncoderMember, EncoderPredictor, View, Views, encoder_backend
from micrograph.infer.expected import expected_of, signs
from micrograph.infer.tiles import HALO, tiled
from micrograph.nets import Checkpoint, EncoderSpec, NetSpec, find_weights, load, normalise, to_model_grid, whitened
from micrograph.nets.whitening import sigma_of

Array = NDArray[np.float32]
#: How far beyond the trained range of pixel sizes a frame may lie before it is out of domain.
PIXEL_TOLERANCE = 1.2
_POOLING = 4


@runtime_checkable
class Finisher(Protocol):
    """A view that knows more of a frame than its network: it corrects what the network says."""

    def finished(self, prediction: Prediction) -> Prediction:
        """Return the prediction as it is to be used."""
        ...


@dataclass(frozen=True)
class Member:
    """One network of an ensemble."""

    checkpoint: Checkpoint
    compute: Compute

    def __call__(self, image: Array) -> tuple[dict[str, Array], dict[str, Array], float]:
        """Return calibrated maps (h, w) by head, 1-sigma of images, and the distance from the domain (1: border)."""
        spec = cast(NetSpec, self.checkpoint.spec)
        logits, embedding = tiled(image, self.compute, spec.multiple * _POOLING, HALO * spec.multiple // _POOLING)
        confidence = self.checkpoint.card.get("confidence", {})
        maps, sigma = {}, {}
        for channel, head in zip(spec.first, spec.heads, strict=True):
            a, b = confidence.get(head.name, (1.0, 0.0))
            if head.kind == "image":
                maps[head.name], sigma[head.name] = logits[channel], a * sigma_of(logits[channel + 1])
            else:
                maps[head.name] = np.reciprocal(1 + np.exp(-np.clip(a * logits[channel] + b, -30, 30)))
        return maps, sigma, self._distance(embedding)

    def _distance(self, embedding: Array) -> float:
        domain = {name: tensor.numpy() for name, tensor in self.checkpoint.part("domain").items()}
        if not domain:
            return 0.0
        return float(np.linalg.norm((embedding - domain["mean"]) @ domain["whitening"]) / domain["border"][0])


@dataclass(frozen=True)
class Predictor:
    """Calibrated frames to `Prediction`: one network, or an ensemble whose spread becomes the maps' sigma.

    `view` says what a network that answers with images sees of a frame: one view, (1, C, H, W), whose known numbers
    'offset' and 'scale' lead back to the frame's units. A `Finisher` has the last word.
    """

    members: tuple[Member, ...]
    digest: str
    view: View | None = None

    @property
    def spec(self) -> NetSpec:
        """Heads and pixel of the model."""
        return cast(NetSpec, self.members[0].checkpoint.spec)

    @property
    def card(self) -> Mapping[str, Any]:
        """Card of the (first) model."""
        return self.members[0].checkpoint.card

    def __call__(self, frame: Frame) -> Prediction:
        """Return the prediction for one frame (H, W); raises `MissingCalibration` without a pixel size.

        A frame that is constant or has no finite pixel gives empty maps and the flag BAD_FRAME.
        """
        if self.spec.restores:
            return self._restored(frame)
        pixel = frame.calibration.pixel_nm
        if pixel is None:
            raise MissingCalibration('The pixel size is unknown: give it with --pixel-size "0.0176 nm".')
        grid = self.spec.grid_nm(pixel)
        image = to_model_grid(frame.data, pixel, grid)
        seen = normalise(image, self.spec.pixel_nm).numpy()
        if not seen.any():
            zero = {name: np.zeros(seen.shape, np.float32) for name in self.spec.names}
            return Prediction(frame, zero, zero, grid, Flag.BAD_FRAME, 0.0, ("The frame shows nothing.",))
        answers = [member(seen) for member in self.members]
        stacks = {name: np.stack([maps[name] for maps, _, _ in answers]) for name in self.spec.names}
        maps = {name: stack.mean(axis=0) for name, stack in stacks.items()}
        distance = float(np.mean([distance for _, _, distance in answers]))
        worth, doubts = self._expected(maps, grid, distance)
        notes = (*self.pixel_notes(pixel), *_distance_notes(distance), *doubts)
        return Prediction(
            frame=frame,
            maps=maps,
            sigma={name: stack.std(axis=0) for name, stack in stacks.items()},
            pixel_nm=grid,
            flags=Flag.OUT_OF_DOMAIN if notes else Flag.OK,
            domain_distance=distance,
            notes=notes,
            position_sigma_nm=self.card.get("position_sigma_nm", {}),
            expected_f1=worth,
        )

    def many(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Yield the prediction of each frame; the same numbers as one by one."""
        return map(self, frames)

    def _restored(self, frame: Frame) -> Prediction:
        """Return images in the frame's own units and pixels, with the 1-sigma of every pixel."""
        views = _whole(frame) if self.view is None else self.view(frame)
        offset, scale = (float(np.max(views.known[name])) for name in ("offset", "scale"))
        answers = [member(views.images[0]) for member in self.members]
        maps, sigma = {}, {}
        for name in self.spec.names:
            values = np.stack([found[name] for found, _, _ in answers])
            spread = np.mean([within[name] ** 2 for _, within, _ in answers], axis=0) + values.var(axis=0)
            maps[name] = np.asarray(offset + scale * values.mean(axis=0), np.float32)
            sigma[name] = np.asarray(scale * np.sqrt(spread), np.float32)
        distance = float(np.mean([distance for _, _, distance in answers]))
        notes = _distance_notes(distance)
        flags = Flag.OUT_OF_DOMAIN if notes else Flag.OK
        pixel = frame.calibration.pixel_nm or 1.0
        found = Prediction(frame, maps, sigma, pixel, flags, distance, notes)
        return self.view.finished(found) if isinstance(self.view, Finisher) else found

    def _expected(self, maps: Mapping[str, Array], pixel_nm: float, away: float) -> tuple[float, tuple[str, ...]]:
        """Return the F1 that the columns in these maps are expected to reach, and a sentence where it is low."""
        expected = expected_of(self.card)
        if expected is None:
            return float("nan"), ()
        spots = [maps[head.name] for head in self.spec.heads if head.kind == "spots"]
        value = expected(signs(spots, pixel_nm, away))
        return value, expected.notes(value)

    def pixel_notes(self, pixel_nm: float) -> tuple[str, ...]:
        """Return a sentence where a frame's pixel lies outside the range that the model knows."""
        low, high = self.card.get("domain", {}).get("pixel_nm", (0.0, np.inf))
        if low / PIXEL_TOLERANCE <= pixel_nm <= high * PIXEL_TOLERANCE:
            return ()
        return (f"The pixel of {pixel_nm:.4g} nm lies outside the model's range of {low:.4g} to {high:.4g} nm.",)


def _whole(frame: Frame) -> Views:
    """Return the whole frame as the one view of a network that answers with images."""
    seen, offset, scale = whitened(frame.data)
    return Views(seen[None, None], {"offset": offset, "scale": scale})


def _distance_notes(distance: float) -> tuple[str, ...]:
    if distance <= 1:
        return ()
    return (
        f"The image is unlike the model's training images (distance {distance:.1f}, border 1): "
        "wrong material, wrong pixel size, or a kind of image that the model does not know.",
    )


def load_predictor(
    weights: str | Path | Sequence[str | Path],
    *,
    view: View | None = None,
    backend_name: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Predictor:
    """Return the predictor of shipped weights by name, of a file, or of several (an ensemble of equal heads).

    `view` says what a network that answers with images sees of a frame, where that is not the image alone.
    Raises `BrokenCheckpoint` for weights that cannot be read, do not belong together, or are those of an encoder.
    """
    names, checkpoints = _ensemble(weights)
    if isinstance(checkpoints[0].spec, EncoderSpec):
        raise BrokenCheckpoint(f"The weights '{names[0]}' answer on whole frames, maps are needed: give others.")
    members = tuple(Member(one, backend(one, backend_name, device, threads)) for one in checkpoints)
    return Predictor(members, " ".join(digest(find_weights(name)) for name in names), view)


def load_encoder(
    weights: str | Path | Sequence[str | Path],
    *,
    view: View | None = None,
    backend_name: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> EncoderPredictor:
    """Return the predictor of an encoder, or of several; `view` says what in a frame it is to look at.

    Raises `BrokenCheckpoint` for weights that cannot be read, do not belong together, or are no encoder's.
    """
    names, checkpoints = _ensemble(weights)
    if not isinstance(checkpoints[0].spec, EncoderSpec):
        raise BrokenCheckpoint(f"The weights '{names[0]}' give maps, answers on whole frames are needed: give others.")
    members = tuple(EncoderMember(one, encoder_backend(one, backend_name, device, threads)) for one in checkpoints)
    return EncoderPredictor(members, " ".join(digest(find_weights(name)) for name in names), view)


def unaided(frame: Frame) -> Prediction:
    """Return a prediction that says nothing but the frame itself, for recipes without a network."""
    return Prediction(frame, {}, {}, frame.calibration.pixel_nm or 1.0)


def _ensemble(weights: str | Path | Sequence[str | Path]) -> tuple[list[str | Path], list[Checkpoint]]:
    """Return names and checkpoints of weights that answer the same questions."""
    names = [weights] if isinstance(weights, str | Path) else list(weights)
    checkpoints = [load(name) for name in names]
    specs = [cast("NetSpec | EncoderSpec", checkpoint.spec) for checkpoint in checkpoints]
    for name, spec in zip(names, specs, strict=True):
        if spec.heads != specs[0].heads or spec.pixel_nm != specs[0].pixel_nm:
            raise BrokenCheckpoint(f"The weights '{name}' answer other questions than '{names[0]}': no ensemble.")
    return names, checkpoints
