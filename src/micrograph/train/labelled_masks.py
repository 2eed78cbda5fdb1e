"""Training images without end from a few that a user has labelled, alone and mixed with simulated ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sampler, Sites
from micrograph.core.depth import normalised_depth

Image = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Labelled:
    """An image (H, W) with its objects: labels (H, W), 1 .. N inside, 0 outside; names (N,) of the objects."""

    image: Image
    labels: Labels
    names: tuple[str, ...] = ()
    pixel_nm: float = 1.0


@dataclass(frozen=True)
class LabelledMasks:
    """A sampler of labelled images: each is a field of one of them, turned, stretched, and seen a little otherwise.

    region: name of the mask of what objects cover. side_px: side of a field; smaller images give smaller fields, so
    that a field shows about as much as a frame does. zoom: (least, most) magnification; unturned: share of fields
    whose pixels are left in place. gamma: (least, most) exponent of the grey values; slope: unevenness of the
    illumination, up to; noise: added noise, up to, both over the standard deviation of the image; blur_px: up to. Each
    of these happens to half of the fields.
    """

    images: tuple[Labelled, ...]
    region: str = "particle"
    side_px: int = 384
    zoom: tuple[float, float] = (0.8, 1.25)
    unturned: float = 0.3
    gamma: tuple[float, float] = (0.75, 1.33)
    slope: float = 0.5
    noise: float = 0.4
    blur_px: float = 1.0

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one field with the masks `region` and 'core', and the objects' centroids as sites."""
        one = self.images[int(rng.integers(len(self.images)))]
        turn = np.eye(2) if rng.random() < self.unturned else self.turn(rng)
        image, covered, labels = self._field(one, turn, rng)
        image = self.seen_otherwise(image, rng)
        masks = {self.region: covered, "core": normalised_depth(labels)}
        zoom = float(np.sqrt(abs(np.linalg.det(turn))))
        return Sample(image, one.pixel_nm, _sites(labels, one), masks, {"zoom": zoom})

    def turn(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return a turn by any angle with a zoom and perhaps a mirror, as (2, 2)."""
        angle, zoom = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(*np.log(self.zoom)))
        cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        return turn * [1.0, -1.0] if rng.random() < 0.5 else turn

    def _field(self, one: Labelled, turn: NDArray[np.float64], rng: np.random.Generator) -> tuple[Image, Image, Labels]:
        """Return image, coverage and labels (s, s) of a field at a random place; beyond the edge it is mirrored."""
        from scipy.ndimage import affine_transform

        shape = np.array(one.image.shape)
        side = int(min(self.side_px, *shape))
        corner = np.array([rng.integers(n - side + 1) for n in shape])
        if np.array_equal(turn, np.eye(2)):
            place = tuple(slice(c, c + side) for c in corner)
            return one.image[place], (one.labels[place] > 0).astype(np.float32), one.labels[place]
        back, half = np.linalg.inv(turn), (side - 1) / 2
        offset = corner + half - back @ (half, half)

        def turned(part: NDArray[Any], order: Literal[0, 1]) -> NDArray[Any]:
            return affine_transform(part, back, offset, (side, side), order=order, mode="reflect")

        covered = turned((one.labels > 0).astype(np.float32), 1)
        labels = turned(one.labels, 0)
        return turned(one.image, 1).astype(np.float32), covered.astype(np.float32), labels.astype(np.int32)

    def seen_otherwise(self, image: Image, rng: np.random.Generator) -> Image:
        """Return the image with other grey values, illumination, sharpness and noise."""
        from scipy.ndimage import gaussian_filter

        low, high = np.percentile(image, (0.1, 99.9))
        grey = np.clip((image - low) / max(float(high - low), 1e-9), 0, 1)
        if rng.random() < 0.5:
            grey = grey ** np.exp(rng.uniform(*np.log(self.gamma)))
        spread = float(grey.std())
        if rng.random() < 0.5:
            y, x = np.linspace(-1, 1, grey.shape[0])[:, None], np.linspace(-1, 1, grey.shape[1])
            tilt = rng.normal(0, 0.5, 3)
            grey = grey + self.slope * rng.random() * spread * (tilt[0] * y + tilt[1] * x + tilt[2] * y * x)
        if rng.random() < 0.5:
            grey = gaussian_filter(grey, self.blur_px * rng.random())
        if rng.random() < 0.5:
            level = np.sqrt(np.clip(grey, 0.02, None) / max(float(grey.mean()), 0.02)) if rng.random() < 0.5 else 1.0
            grey = grey + self.noise * rng.random() * spread * level * rng.standard_normal(grey.shape)
        seen: Image = np.asarray(low + (high - low) * grey, np.float32)
        return seen


def _sites(labels: Labels, one: Labelled) -> Sites:
    """Return the centroids of the objects in a field, with their names."""
    from scipy.ndimage import center_of_mass

    there = np.unique(labels[labels > 0])
    centres = np.array(center_of_mass(labels > 0, labels, there)).reshape(-1, 2) * one.pixel_nm
    names = np.array([one.names[label - 1] if one.names else "object" for label in there], dtype=np.str_)
    return Sites(centres[:, 0], centres[:, 1], names)


@dataclass(frozen=True)
class Mixed:
    """A sampler that takes a `share` of its samples from the user's own images and the others from simulated ones."""

    own: Sampler
    simulated: Sampler
    share: float

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one sample of either kind."""
        return (self.own if rng.random() < self.share else self.simulated)(rng)


def own_share(images: float) -> float:
    """Return the share of own samples for so many labelled images: 0.6 for one, 0.8 for six, towards 1 for many.

    Few labels would be learned by heart; the simulated images keep what the network knows beside them.
    """
    return 1 - 0.5 / (1 + images / 4)


def binned(one: Labelled, number: int) -> Labelled:
    """Return `one` with `number` x `number` pixels averaged into one; labels are those of the pixels' middles."""
    if number == 1:
        return one
    height, width = (n // number for n in one.image.shape)
    cut = (slice(height * number), slice(width * number))
    image = one.image[cut].reshape(height, number, width, number).mean(axis=(1, 3), dtype=np.float32)
    labels = np.ascontiguousarray(one.labels[cut][number // 2 :: number, number // 2 :: number])
    return Labelled(image, labels, one.names, one.pixel_nm * number)


def mirrored_out(one: Labelled, side_px: int) -> Labelled:
    """Return `one` with at least `side_px` pixels a side: where it has less, its mirror image follows."""
    short = [(0, max(0, side_px - size)) for size in one.image.shape]
    image, labels = np.pad(one.image, short, mode="symmetric"), np.pad(one.labels, short, mode="symmetric")
    return Labelled(image, labels, one.names, one.pixel_nm)
