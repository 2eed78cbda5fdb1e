"""Images named by a user's own examples: features of a frozen encoder, and the nearest of a few prototypes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from micrograph.core import BrokenCheckpoint, Flag, Frame, Prediction
from micrograph.core.provenance import digest
from micrograph.features.naming.prototypes import LEAST_SCATTER, Prior, Prototypes, prepared
from micrograph.infer.encoders import BATCH, EncoderCompute, View, Views, encoder_backend, whole_frame
from micrograph.nets import Checkpoint, EncoderSpec, find_weights, load
from micrograph.nets.encoder import seen_by
from micrograph.nets.prototype_spec import SMALL, PrototypeSpec

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: The shared features.
SHARED = "features-1"
#: Squares along each side that are looked at, of half of the side and at the frame's own pixels.
_SQUARES = 3
#: Share of the side that the middle has.
_MIDDLE = 11 / 16
#: A frame is looked at as a whole and in its middle alone up to so many times the side of the encoder's input.
_SMALL_SIDES = 1.6
#: The scatter of features that tell nothing of it themselves, as a share of what is usual.
_USUAL_TEMPERATURE = 1.0


@dataclass(frozen=True)
class Features:
    """An encoder as a source of features: `compute` as in `infer.encoders`, what is known of its features before."""

    spec: EncoderSpec
    checkpoint: Checkpoint
    compute: EncoderCompute
    prior: Prior

    def of_images(
        self, images: Sequence[Image] | Image, known: Mapping[str, float] | None = None, pixel_nm: float | None = None
    ) -> Array:
        """Return the features (N, D) of images (h, w) or (C, h, w), each brought to the encoder's input."""
        if not len(images):
            return np.zeros((0, self.spec.hidden))
        return self.of_all(np.stack([seen_by(self.spec, image, pixel_nm) for image in images]), known)

    def of_all(self, seen: Image, known: Mapping[str, float] | None = None) -> Array:
        """Return the features (N, D) of what is seen (N, C, s, s): the mean over positions, where it knows none."""
        if self.spec.pool != "parts":
            return self.of_seen(seen, known)
        # Features that know no direction: the mean over eight positions has less noise.
        turned = [np.rot90(seen, turns, (2, 3)) for turns in range(4)]
        return np.asarray(sum(self.of_seen(one) + self.of_seen(one[..., ::-1]) for one in turned) / 8)

    def of_seen(self, seen: Image, known: Mapping[str, float] | None = None) -> Array:
        """Return the features (N, D) of what the encoder sees (N, C, s, s)."""
        numbers = np.tile(self.spec.scaled(known or {}), (len(seen), 1))
        return prepared(self.compute(seen, numbers)[1].astype(float))

    def of_look(self, image: Image, look: str) -> Array:
        """Return the mean features (D,) of a frame (H, W) in one look."""
        return np.asarray(self.of_images(looked(image, look, self.spec.side)).mean(axis=0))

    def even(self, features: Array) -> Array:
        """Return features (N, k D) in units in which images of one class scatter alike along every axis."""
        covariance = self.prior.repeated(features.shape[1] // len(self.prior.covariance)).covariance
        size = float(np.trace(covariance)) / len(covariance)
        factor = np.linalg.cholesky(covariance + LEAST_SCATTER * size * np.eye(len(covariance)))
        return np.asarray(np.linalg.solve(factor, features.T).T)

    def of_small(self, images: Sequence[Image] | Image) -> Array:
        """Return the features (N, 2 D) of small images (h, w), as wholes and in their middles.

        Of an image that is no square the upper left square stands for the whole.
        """
        return np.concatenate(
            [self.of_images([looked(one, look, self.spec.side)[0] for one in images]) for look in SMALL], axis=1
        )

    def seen_small(self, image: Image) -> Image:
        """Return what the encoder sees (2, s, s) of a small image (h, w), as a whole and of its middle."""
        return np.concatenate([seen_by(self.spec, looked(image, look, self.spec.side)[0], None) for look in SMALL])

    def of_seen_small(self, seen: Image) -> Array:
        """Return the features (N, 2 D) of what was seen of small images (N, 2, s, s)."""
        return np.concatenate([self.of_all(seen[:, place, None]) for place in range(len(SMALL))], axis=1)

    def of_views(self, views: Views, pixel_nm: float | None = None) -> Array:
        """Return the mean features (D,) of what a recipe looks at in a frame; of nothing they are zero."""
        if not len(views.images):
            return np.zeros(self.spec.hidden)
        known = {name: float(np.mean(value)) for name, value in views.known.items() if name in self.spec.known_names}
        return np.asarray(self.of_images(views.images, known, pixel_nm).mean(axis=0))

    def of_frame(self, frame: Frame, looks: Sequence[str], view: View | None) -> Array:
        """Return the features (L D,) of a frame in several looks."""
        parts = []
        for look in looks:
            if look == "views":
                whole = view is None or view is whole_frame
                views = whole_frame(frame) if view is None else view(frame)
                parts.append(self.of_views(views, frame.calibration.pixel_nm if whole else None))
            else:
                parts.append(self.of_look(frame.data, look))
        return np.concatenate(parts)


def load_features(weights: str = SHARED, device: str = "auto") -> Features:
    """Return the shared features, or the encoder of a recipe as a source of features, by the name of its weights."""
    return features_of(load(weights), device)


def features_of(checkpoint: Checkpoint, device: str = "auto") -> Features:
    """Return an encoder's checkpoint as a source of features; one without known scatter takes it as even."""
    if not isinstance(checkpoint.spec, EncoderSpec):
        raise BrokenCheckpoint("Features come from an encoder, these weights are none: give others.")
    spec, card = checkpoint.spec, checkpoint.card.get("few_shot", {})
    compute = encoder_backend(checkpoint, "torch", device, None)
    known = checkpoint.part("within").get("covariance")
    covariance = np.eye(spec.hidden) * 0.05 if known is None else known.numpy().astype(float)
    return Features(spec, checkpoint, compute, Prior(covariance, float(card.get("temperature", _USUAL_TEMPERATURE))))


def looked(image: Image, look: str, side: int) -> list[Image]:
    """Return the squares of a frame (H, W) that one of the `LOOKS` takes; a whole frame that is no square gives two."""
    height, width = image.shape[-2:]
    small = min(height, width)
    if look == "whole":
        if max(height, width) <= 1.15 * small:
            return [image]
        return [image[:small, :small], image[-small:, -small:]]
    if look == "middle":
        part = max(1, round(small * _MIDDLE))
        top, left = (height - part) // 2, (width - part) // 2
        return [image[top : top + part, left : left + part]]
    size = min(small, side if look == "own pixels" else max(side, small // 2))
    places = [np.unique(np.rint(np.linspace(0, n - size, _SQUARES)).astype(int)) for n in (height, width)]
    return [image[top : top + size, left : left + size] for top in places[0] for left in places[1]]


def looks_for(sides: Sequence[int], side: int) -> tuple[tuple[str, ...], ...]:
    """Return the sets of looks that may suit images of such shorter sides (px): no parts of small ones."""
    if not len(sides) or float(np.median(sides)) <= _SMALL_SIDES * side:
        return (SMALL,)
    return (SMALL, ("own pixels",), ("whole", "half", "own pixels"))


@dataclass(frozen=True)
class PrototypePredictor:
    """Frames to `Prediction.values`: 'class' (N, K) probabilities, 'away' (N,), 'distance' (N, K), one row a view.

    `view` cuts a frame into the views that are named one by one; without it the whole frame is one. An encoder of
    another recipe looks at that recipe's `own` view instead, whose features are averaged.
    """

    spec: PrototypeSpec
    features: Features
    head: Prototypes
    digest: str
    card: Mapping[str, Any]
    view: View | None = None
    own: View | None = None

    def __call__(self, frame: Frame) -> Prediction:
        """Return the class of a frame, or of each of its views."""
        views = [frame.data] if self.view is None else list(self.view(frame).images)
        parts = [
            self.features.of_frame(Frame(image, frame.index, frame.calibration, frame.known), self.spec.looks, self.own)
            for image in views
        ]
        features = np.array(parts) if parts else np.zeros((0, self.head.mean.shape[1]))
        values = {
            "class": self.head.probabilities(features),
            "away": self.head.away(features),
            "distance": self.head.distances(features),
        }
        away = float(np.median(values["away"])) if len(views) else 0.0
        notes = () if away <= 1 else (f"Unlike all the examples (distance {away:.2f}, border 1).",)
        flags = Flag.OUT_OF_DOMAIN if notes else Flag.OK
        labels = {"class": self.spec.labels}
        pixel = frame.calibration.pixel_nm or 1.0
        return Prediction(frame, {}, {}, pixel, flags, away, notes, values=values, labels=labels)

    def bytes_per_frame(self, shape: tuple[int, int], pixel_nm: float | None) -> int:
        """Return about how many bytes a frame (H, W) takes: itself, and the views of a batch."""
        spec = self.spec.encoder
        return int(4 * (4 * shape[0] * shape[1] + 6 * BATCH * spec.base * spec.side**2))

    def many(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Yield the prediction of each frame."""
        return map(self, frames)


def load_prototypes(
    weights: str, *, view: View | None = None, own: View | None = None, device: str = "auto"
) -> PrototypePredictor:
    """Return the predictor of weights that were made from a user's own examples."""
    checkpoint = load(weights)
    if not isinstance(checkpoint.spec, PrototypeSpec):
        raise BrokenCheckpoint(f"The weights '{weights}' were not made from examples of classes: give others.")
    encoder = Checkpoint(checkpoint.spec.encoder, checkpoint.state, checkpoint.card)
    return PrototypePredictor(
        checkpoint.spec,
        features_of(encoder, device),
        head_of(checkpoint),
        digest(find_weights(weights)),
        checkpoint.card,
        view,
        own,
    )


def head_of(checkpoint: Checkpoint) -> Prototypes:
    """Return the prototypes that a checkpoint holds."""
    parts = {name: tensor.numpy().astype(float) for name, tensor in checkpoint.part("head").items()}
    temperature, border = (float(one) for one in parts["confidence"])
    return Prototypes(parts["mean"], parts["groups"], parts["whitening"], temperature, border)


def as_checkpoint(spec: PrototypeSpec, features: Features, head: Prototypes, card: Mapping[str, Any]) -> Checkpoint:
    """Return encoder and prototypes as one checkpoint."""
    encoder = {key: tensor for key, tensor in features.checkpoint.state.items() if key.startswith("net.")}
    state = {
        "head.mean": head.mean,
        "head.groups": head.groups,
        "head.whitening": head.whitening,
        "head.confidence": np.array([head.temperature, head.border]),
    }
    tensors = {key: torch.from_numpy(np.asarray(value, np.float64)) for key, value in state.items()}
    return Checkpoint(spec, {**encoder, **tensors}, card)


@functools.lru_cache(maxsize=4)
def shared_features(weights: str = SHARED) -> Features:
    """Return the shipped features, loaded once."""
    return load_features(weights)
