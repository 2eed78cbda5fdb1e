"""What an island of a steel is, by its texture as a whole: band energies, directedness, correlation along and across.

A lamella repeats across its direction and not along it, a lath is long and has no bright carbides, needles are short,
carbides of tempered martensite point nowhere. A small network of one hidden layer weighs these descriptors. It learned
from simulated islands (``python -m benchmarks.island_textures``) and ships with the package.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Where the learned numbers lie.
SHIPPED = Path(__file__).with_name("island_textures.npz")
#: Smoothing (px) between which bands lie; smoothed image and window (px) of the structure tensors.
_SCALES = (0.8, 1.4, 2.4, 4.2, 7.5)
_TENSORS = ((0, 3.0), (1, 4.0), (2, 7.0))
#: Distances (px) at which an island is compared with itself, across and along its local direction.
_LAGS = (1, 2, 3, 4, 5, 6, 8, 10, 13)
#: Pixels of an island that are looked at, at most; with fewer inside, its rim counts too.
_MOST, _FEWEST = 2500, 120


@dataclass(frozen=True)
class Seen:
    """An image (H, W) through filters: smoothed (S), bands (B), directedness with energy (T), local direction."""

    smooth: tuple[Image, ...]
    bands: tuple[Image, ...]
    tensors: tuple[tuple[Image, Image], ...]
    across: Image


def through_filters(image: NDArray[np.floating[Any]]) -> Seen:
    """Return an image as its textures are told from."""
    from scipy.ndimage import gaussian_filter

    grey = np.asarray((image - image.mean()) / max(float(image.std()), 1e-6), np.float32)
    smooth = tuple(gaussian_filter(grey, scale) for scale in _SCALES)
    bands = tuple(fine - coarse for fine, coarse in itertools.pairwise(smooth))
    tensors, across = [], np.zeros_like(grey)
    for number, window in _TENSORS:
        down, right = np.gradient(smooth[number])
        yy, xx, xy = (gaussian_filter(part, window) for part in (down * down, right * right, down * right))
        tensors.append((np.hypot(yy - xx, 2 * xy), yy + xx))
        if number == 1:
            across = 0.5 * np.arctan2(2 * xy, xx - yy)
    return Seen(smooth, bands, tuple(tensors), across)


def describe(seen: Seen, island: Mask, ground: Mask) -> Array:
    """Return the descriptors (F,) of an island (H, W), beside the ground (H, W) around it."""
    from scipy.ndimage import binary_erosion

    inner = binary_erosion(island, iterations=2)
    inner = inner if inner.sum() >= _FEWEST else island
    beside = ground if ground.sum() > 200 else ~island
    found: list[float] = []
    power = [float(band[inner].var()) for band in seen.bands]
    for band, own in zip(seen.bands, power, strict=True):
        z = (band[inner] - band[inner].mean()) / max(np.sqrt(own), 1e-6)
        relative = np.log(own / (float(band[beside].var()) + 1e-6) + 1e-3)
        found += [float(np.log(own + 1e-5)), float(relative), float((z**3).mean()), float(np.log((z**4).mean() + 1e-6))]
    found.append(float(seen.smooth[1][inner].mean() - seen.smooth[1][beside].mean()))
    found += [own / max(sum(power), 1e-9) for own in power]
    found += [float(much[inner].sum() / max(float(energy[inner].sum()), 1e-9)) for much, energy in seen.tensors]
    return np.array(found + _correlations(seen, island, inner))


def _correlations(seen: Seen, island: Mask, inner: Mask) -> list[float]:
    """Return how an island is like itself at `_LAGS`, first across its local direction, then along it."""
    y, x = np.nonzero(inner)
    if len(y) > _MOST:
        kept = np.linspace(0, len(y) - 1, _MOST).astype(np.intp)
        y, x = y[kept], x[kept]
    grey = seen.smooth[0] - seen.smooth[0][inner].mean()
    power, own = max(float((grey[inner] ** 2).mean()), 1e-9), grey[y, x]
    cos, sin = np.cos(seen.across[y, x]), np.sin(seen.across[y, x])
    height, width = island.shape
    found = []
    for down, right in ((sin, cos), (cos, -sin)):
        for lag in _LAGS:
            total, number = 0.0, 0
            for sign in (lag, -lag):
                row, column = np.rint(y + sign * down).astype(np.intp), np.rint(x + sign * right).astype(np.intp)
                there = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                there[there] = island[row[there], column[there]]
                total += float((own[there] * grey[row[there], column[there]]).sum())
                number += int(there.sum())
            found.append(total / number / power if number > 30 else 0.0)
    return found


@dataclass(frozen=True)
class IslandTextures:
    """names (K,); descriptors are centred and scaled (F,), then go through hidden (F, H) and outer (H, K) weights."""

    names: tuple[str, ...]
    centre: Array
    scale: Array
    hidden: tuple[Array, Array]
    outer: tuple[Array, Array]

    def __call__(self, descriptors: Array) -> Array:
        """Return the probabilities (N, K) of islands with these descriptors (N, F)."""
        table = (descriptors - self.centre) / self.scale
        inside = np.maximum(table @ self.hidden[0] + self.hidden[1], 0)
        logits = inside @ self.outer[0] + self.outer[1]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def save(self, path: Path) -> None:
        """Write the numbers to `path` (.npz)."""
        parts = dict(zip(("w1", "b1", "w2", "b2"), (*self.hidden, *self.outer), strict=True))
        numbers = {"centre": self.centre, "scale": self.scale, **parts}
        arrays: dict[str, Any] = {name: part.astype(np.float32) for name, part in numbers.items()}
        np.savez(path, names=np.array(self.names), **arrays)


@functools.cache
def shipped_textures() -> IslandTextures:
    """Return what ships with the package."""
    with np.load(SHIPPED) as file:
        part = {name: file[name].astype(float) for name in file.files if name != "names"}
        names = tuple(map(str, file["names"]))
    return IslandTextures(names, part["centre"], part["scale"], (part["w1"], part["b1"]), (part["w2"], part["b2"]))


def islands_told(image: NDArray[np.floating[Any]], labels: NDArray[np.int32], ground: Mask) -> Array:
    """Return the probabilities (N, K) of the islands 1 .. N of a label image (H, W), by their texture alone."""
    textures, number = shipped_textures(), int(labels.max(initial=0))
    if not number:
        return np.zeros((0, len(textures.names)))
    seen = through_filters(image)
    return textures(np.array([describe(seen, labels == one, ground) for one in range(1, number + 1)]))
