"""What an encoder answers of an image as a whole, without torch: classes, values with their covariance.

An encoder is a small residual network: an image and known numbers (voltage, defocus) in, one vector of answers out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BrokenCheckpoint

Array = NDArray[np.float64]

#: Ending of the covariance of a value among the answers.
COVARIANCE = "_covariance"
#: Ends of the logarithm of the precision factor's diagonal.
LOG_DIAGONAL = (-4.0, 8.0)


@dataclass(frozen=True)
class Answer:
    """One answer: a 'class' of `labels`, or 'values': as many numbers as `centre` has, with their joint covariance.

    The truth of a class is the place of its label, that of values an array in their own units; NaN where it is unknown.
    The network learns ``(value - centre) / spread``. `weight` scales the answer's part of the loss.
    """

    name: str
    kind: Literal["class", "values"]
    labels: tuple[str, ...] = ()
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an answer that has no size."""
        if len(self.centre) != len(self.spread) or not (self.labels or self.centre):
            raise ValueError(f"Answer '{self.name}' needs labels, or as many numbers in centre as in spread.")

    @property
    def size(self) -> int:
        """Number of classes or values."""
        return len(self.labels) or len(self.centre)

    @property
    def outputs(self) -> int:
        """Number of outputs of the network: class scores, or means and the factor of the precision matrix."""
        return self.size if self.kind == "class" else self.size + self.size * (self.size + 1) // 2

    @property
    def targets(self) -> int:
        """Number of numbers that tell the truth."""
        return 1 if self.kind == "class" else self.size


def classes(name: str, labels: tuple[str, ...], weight: float = 1.0) -> Answer:
    """Return an answer that is one of `labels`, given as probabilities (K,)."""
    return Answer(name, "class", labels=labels, weight=weight)


def values(name: str, *ranges: tuple[float, float], weight: float = 1.0) -> Answer:
    """Return an answer of as many numbers as there are `ranges` (low, high) in which they usually lie."""
    centre = tuple((low + high) / 2 for low, high in ranges)
    return Answer(
        name, "values", centre=centre, spread=tuple((high - low) / 3.46 for low, high in ranges), weight=weight
    )


@dataclass(frozen=True)
class EncoderSpec:
    """An encoder: its answers, the side (pixels) and number of channels of its input, its width and depth.

    known: numbers given beside the image, by name, with the range (low, high) that is mapped to -1..1. `pool`: 'mean'
    forgets where in the image something is, 'grid' keeps it (for centres and angles), 'parts' knows the whole, its
    middle and what stands out, but no direction. `contrast`: 'image' subtracts the image's mean and divides by its
    standard deviation, 'none' leaves the numbers as they are. With `pixel_nm` an image is brought to that pixel and cut
    (or mirrored out) to `side` about its centre, without it is resized to `side`. `fold`: blocks of so many pixels a
    side become channels first, which is faster.
    """

    heads: tuple[Answer, ...]
    side: int = 64
    channels: int = 1
    base: int = 12
    levels: int = 4
    hidden: int = 96
    pool: Literal["mean", "grid", "parts"] = "mean"
    contrast: Literal["image", "none"] = "image"
    known: tuple[tuple[str, float, float], ...] = ()
    pixel_nm: float | None = None
    weights: str | None = None
    fold: int = 1
    kind: str = field(default="encoder", init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the answers, in order."""
        return tuple(head.name for head in self.heads)

    @property
    def known_names(self) -> tuple[str, ...]:
        """Names of the numbers given beside the image."""
        return tuple(name for name, _, _ in self.known)

    @property
    def outputs(self) -> int:
        """Number of all outputs of the network."""
        return sum(head.outputs for head in self.heads)

    def scaled(self, known: Mapping[str, float]) -> NDArray[np.float32]:
        """Return the `known` numbers (M,) mapped to -1..1, zero for one that is missing; one zero where M is none."""
        scaled = [2 * (known.get(name, (low + high) / 2) - low) / (high - low) - 1 for name, low, high in self.known]
        return np.array(scaled or [0.0], dtype=np.float32)

    def target(self, truth: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return the truth of all answers as one vector, values scaled; NaN for answers that `truth` lacks."""
        parts = []
        for head in self.heads:
            known = np.atleast_1d(np.asarray(truth.get(head.name, np.full(head.targets, np.nan)), dtype=float))
            parts.append(known if head.kind == "class" else (known - np.array(head.centre)) / np.array(head.spread))
        return np.concatenate(parts).astype(np.float32)

    def split(self, raw: NDArray[Any]) -> dict[str, Array]:
        """Return the raw outputs (..., R) by answer."""
        ends = np.cumsum([head.outputs for head in self.heads])[:-1]
        return {
            name: np.asarray(part, float) for name, part in zip(self.names, np.split(raw, ends, axis=-1), strict=True)
        }

    def decoded(self, raw: NDArray[Any], confidence: Mapping[str, float] | None = None) -> dict[str, Array]:
        """Return what raw outputs (N, R) say: probabilities (N, K); values (N, n) and their '_covariance' (N, n, n).

        `confidence`: for classes the temperature, for values the factor by which 1-sigma grows.
        """
        confidence, found = confidence or {}, {}
        for head, part in zip(self.heads, self.split(raw).values(), strict=True):
            factor = float(confidence.get(head.name, 1.0))
            if head.kind == "class":
                found[head.name] = softmax(part / factor)
            else:
                spread = np.array(head.spread)
                found[head.name] = np.array(head.centre) + spread * part[..., : head.size]
                covariance = covariance_of(part[..., head.size :], head.size)
                found[head.name + COVARIANCE] = factor**2 * covariance * spread[:, None] * spread
        return found

    def grid_nm(self, pixel_nm: float) -> float:
        """Return the pixel (nm) at which the network looks at a frame with pixels of `pixel_nm`."""
        return pixel_nm if self.pixel_nm is None else self.pixel_nm

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain values for a card."""
        return asdict(self)

    @staticmethod
    def from_dict(card: Mapping[str, Any]) -> EncoderSpec:
        """Return the specification that a card holds; refuse one that is not understood."""
        try:
            lists = ("labels", "centre", "spread")
            plain: list[dict[str, Any]] = [
                {key: tuple(value) if key in lists else value for key, value in head.items()} for head in card["heads"]
            ]
            heads = tuple(Answer(**head) for head in plain)
            known = tuple((str(name), float(low), float(high)) for name, low, high in card["known"])
            rest = {key: value for key, value in card.items() if key not in ("kind", "heads", "known")}
            return EncoderSpec(heads=heads, known=known, **rest)
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenCheckpoint(f"The card's network specification is not understood ({error}).") from error


def softmax(scores: Array) -> Array:
    """Return probabilities along the last axis."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def covariance_of(factors: Array, size: int) -> Array:
    """Return covariances (..., n, n) from the entries (..., n (n + 1) / 2) of the precision's triangular factor.

    The entries are the logarithms of the diagonal, then the rows below it: precision = L^T L.
    """
    lower = np.zeros((*factors.shape[:-1], size, size))
    place = np.arange(size)
    lower[..., place, place] = np.exp(np.clip(factors[..., :size], *LOG_DIAGONAL))
    rows, columns = np.tril_indices(size, -1)
    lower[..., rows, columns] = factors[..., size:]
    inverse = np.linalg.inv(lower)
    return np.asarray(inverse @ np.swapaxes(inverse, -1, -2))
