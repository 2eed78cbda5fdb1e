"""Partial scans: which pixels were visited, what a network sees of them, and what the visited ones say in the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.sparse_start import FewWaves, smooth_fill

Image = NDArray[np.float32]

#: What `seen_of` stacks, in order.
CHANNELS = ("start", "difference", "visited", "weight", "distance", "off waves", "off smooth")
#: Side (pixels) of the tiles that are held out to see which filling foretells them, and their share of the field.
TILE, HELD = 10, 0.12
#: How decidedly the better one is followed.
SHARPNESS = 4
#: One value that so many pixels have exactly was never recorded there.
SAME = 0.5
#: Shares of visited pixels that the shipped network knows.
KNOWN_COVERAGE = (0.02, 0.25)


@dataclass(frozen=True)
class Partial:
    """A partial scan: `values` (H, W), 0 where nothing was recorded; `weights` (H, W), relative dwell times, 0 there.

    The median weight of the visited pixels is 1.
    """

    values: Image
    weights: Image
    notes: tuple[str, ...] = ()

    @property
    def coverage(self) -> float:
        """Share of the pixels that were visited."""
        return float((self.weights > 0).mean())


def partial_of(image: Image, mask: Image | None = None, unvisited: float | None = None) -> Partial:
    """Return which pixels of `image` (H, W) were visited.

    They are the finite ones, where a `mask` (H, W) is above 0 (its values are relative dwell times), and which are not
    exactly `unvisited`. Without any of these, a value that most pixels have exactly is taken as not visited.
    """
    finite = np.isfinite(image)
    weights = finite.astype(np.float32)
    notes: tuple[str, ...] = ()
    if mask is not None:
        weights *= np.clip(np.nan_to_num(mask), 0, None)
    if unvisited is not None:
        weights *= image != unvisited
    if mask is None and unvisited is None and finite.all():
        same = _most_common(image)
        if same is None:
            notes = (
                "No pixel is marked as not visited: mark them as NaN, or give mask=FILE or unvisited=VALUE; this frame "
                "was only smoothed.",
            )
        else:
            weights *= image != same
            share = 1 - float(weights.mean())
            notes = (f"{100 * share:.1f} % of the pixels are exactly {same:g}: they were taken as not visited.",)
    if weights.any():
        weights = weights / np.median(weights[weights > 0])
    return Partial(np.where(weights > 0, image, 0).astype(np.float32), weights.astype(np.float32), notes)


def _most_common(image: Image) -> float | None:
    """Return the value that more than half of the pixels have, ``None`` without one."""
    middle = np.partition(image, image.size // 2, axis=None)[image.size // 2]
    return float(middle) if np.mean(image == middle) > SAME else None


def seen_of(partial: Partial) -> tuple[Image, float, float]:
    """Return what a network sees, (7, H, W) as named in `CHANNELS`, and the offset and scale of the values in it.

    The start is the smooth filling, or the image of few waves (with what these leave unexplained filled in smoothly),
    or something between, by how well each foretells tiles that were held out. Then the difference of the two; the
    visited values minus the start; the weights; how far the next visited pixel is; and how far each of the two was off
    in held-out tiles nearby.
    """
    from scipy.ndimage import distance_transform_edt

    weights = np.minimum(partial.weights, 2)
    visited = weights > 0
    total = max(float(weights.sum()), 1e-9)
    offset = float((partial.values * weights).sum() / total)
    scale = float(np.sqrt((weights * (partial.values - offset) ** 2).sum() / total)) or 1.0
    values = np.where(visited, (partial.values - offset) / scale, 0).astype(np.float32)
    held = np.where(_tiles(weights.shape), weights, 0).astype(np.float32)
    off_smooth, off_waves = (held * (values - one) ** 2 for one in _fillings(values, weights - held))
    smooth, waves = _fillings(values, weights)
    power_smooth, power_waves = (float(off.sum()) ** SHARPNESS for off in (off_smooth, off_waves))
    share = power_smooth / max(power_smooth + power_waves, 1e-30)
    start = smooth + share * (waves - smooth)
    distance = np.log1p(distance_transform_edt(~visited)) if visited.any() else np.zeros(visited.shape)
    stack = (
        start,
        waves - smooth,
        np.where(visited, values - start, 0),
        weights,
        distance,
        *(np.sqrt(_nearby(off, held)) for off in (off_waves, off_smooth)),
    )
    return np.stack(stack).astype(np.float32), offset, scale


def _fillings(values: Image, weights: Image) -> tuple[Image, Image]:
    """Return the smooth filling, and few waves with what they leave unexplained filled in smoothly."""
    waves = FewWaves()(values, weights)
    rest = np.where(weights > 0, values - waves, 0).astype(np.float32)
    return smooth_fill(values, weights), waves + smooth_fill(rest, weights)


def _nearby(off: Image, held: Image) -> Image:
    """Return squared errors (H, W), which are known in held-out tiles, everywhere."""
    return smooth_fill(np.where(held > 0, off / np.maximum(held, 1e-9), 0).astype(np.float32), held)


def _tiles(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels (H, W) are held out: tiles at random, always the same ones."""
    rng = np.random.default_rng(0)
    chosen = rng.random([-(-side // TILE) for side in shape]) < HELD
    whole: NDArray[np.bool_] = np.kron(chosen, np.ones((TILE, TILE), bool))
    return whole[: shape[0], : shape[1]]


def agreed(partial: Partial, image: Image, sigma: Image) -> tuple[Image, Image, float]:
    """Return image and 1-sigma (H, W) in which each visited pixel has its say, and the noise of a recorded value.

    What is recorded and what a network makes of it are averaged, each by its variance. The noise is what the network
    leaves over beyond its own doubt; where there is hardly any, visited pixels stay as they were recorded.
    """
    visited = partial.weights > 0
    if not visited.any():
        return image, sigma, 0.0
    weight, doubt = partial.weights[visited], sigma[visited].astype(float) ** 2
    left = (partial.values - image)[visited].astype(float)
    noise = max(float((weight * (left**2 - doubt)).mean()), 0.0)
    of_pixel = noise / weight
    share = doubt / np.maximum(doubt + of_pixel, 1e-30)
    image, sigma = image.copy(), sigma.copy()
    image[visited] += (share * left).astype(np.float32)
    sigma[visited] = np.sqrt(share * of_pixel).astype(np.float32)
    return image, sigma, float(np.sqrt(noise))
