"""Partial scans: which pixels were visited, what a network sees of them, and what the visited ones say in the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.restoring.sparse_start import FewWaves, smooth_fill
from micrograph.features.restoring.spectral_fill import spectral_fill

Image = NDArray[np.float32]

#: What `seen_of` stacks, in order.
CHANNELS = ("start", "first filling", "visited", "weight", "distance", "noise", "misfit")
#: Side (pixels) of the tiles that are held out to see which filling foretells them, and their share of the field.
TILE, HELD = 10, 0.12
#: Median of the square of a normal number of variance 1.
MEDIAN_OF_SQUARE = 0.4549
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

    The start is the filling by the image's own power spectrum, made to follow the visited values; then how far the
    first filling differs from it, and the visited values; the weights; how far the next visited pixel is; the noise;
    how far the start is off nearby.
    """
    from scipy.ndimage import distance_transform_edt

    weights = np.minimum(partial.weights, 2)
    visited = weights > 0
    total = max(float(weights.sum()), 1e-9)
    offset = float((partial.values * weights).sum() / total)
    scale = float(np.sqrt((weights * (partial.values - offset) ** 2).sum() / total)) or 1.0
    values = np.where(visited, (partial.values - offset) / scale, 0).astype(np.float32)
    noise = noise_of(partial) / scale
    first = _first_filling(values, weights)
    start = _followed(values, weights, spectral_fill(values, weights, first, noise), noise)
    distance = np.log1p(distance_transform_edt(~visited)) if visited.any() else np.zeros(visited.shape)
    away = np.where(visited, values - start, 0)
    stack = (
        start,
        first - start,
        away,
        weights,
        distance,
        np.full(start.shape, noise),
        np.sqrt(smooth_fill(away**2, weights)),
    )
    return np.stack(stack).astype(np.float32), offset, scale


def _followed(values: Image, weights: Image, image: Image, noise: float) -> Image:
    """Return the image with what it leaves unexplained filled in smoothly, by how much that is more than noise."""
    left = np.where(weights > 0, values - image, 0).astype(np.float32)
    misfit = float((weights * left**2).sum()) / max(float((weights > 0).sum()), 1.0)
    share = max(0.0, 1 - noise**2 / max(misfit, 1e-30))
    return image + np.float32(share) * smooth_fill(left, weights)


def _first_filling(values: Image, weights: Image) -> Image:
    """Return the smooth filling, or that of few waves, or something between, by how well they foretell held-out tiles.

    What the waves leave unexplained is filled in smoothly.
    """
    held = np.where(_tiles(weights.shape), weights, 0).astype(np.float32)
    others = weights - held
    waves = FewWaves()(values, others)
    rest = np.where(weights > 0, values - waves, 0).astype(np.float32)
    foretold = smooth_fill(values, others), waves + smooth_fill(rest, others)
    smooth_off, waves_off = (float((held * (values - one) ** 2).sum()) ** SHARPNESS for one in foretold)
    share = smooth_off / max(smooth_off + waves_off, 1e-30)
    smooth = smooth_fill(values, weights)
    return smooth + share * (waves + smooth_fill(rest, weights) - smooth)


def _tiles(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels (H, W) are held out: tiles at random, always the same ones."""
    rng = np.random.default_rng(0)
    chosen = rng.random([-(-side // TILE) for side in shape]) < HELD
    whole: NDArray[np.bool_] = np.kron(chosen, np.ones((TILE, TILE), bool))
    return whole[: shape[0], : shape[1]]


def agreed(partial: Partial, image: Image, sigma: Image) -> tuple[Image, Image, float]:
    """Return image and 1-sigma (H, W) in which visited pixels have their say, and the noise of a recorded value.

    A network has seen what was recorded, and weighed it; where it doubts a visited pixel more than that is noisy, the
    recorded value counts the more. Without noise visited pixels stay as they were recorded.
    """
    visited = partial.weights > 0
    noise = noise_of(partial)
    recorded, doubt = noise**2 / partial.weights[visited], sigma[visited].astype(float) ** 2
    share = np.clip(1 - recorded / np.maximum(doubt, 1e-30), 0, 1)
    image, sigma = image.copy(), sigma.copy()
    image[visited] += (share * (partial.values - image)[visited]).astype(np.float32)
    sigma[visited] = ((1 - share) * np.sqrt(doubt) + share * np.sqrt(recorded)).astype(np.float32)
    return image, sigma, noise


def noise_of(partial: Partial) -> float:
    """Return the 1-sigma of a recorded value of weight 1: from visited pixels that lie side by side, 0 without any.

    The median of their squared differences counts, so that steps between them hardly do; what fine structure adds
    makes it an upper estimate.
    """
    squares = []
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0)):
        one, heavy = _moved(partial, -down, -across)
        other, light = _moved(partial, down, across)
        both = (heavy > 0) & (light > 0)
        variance = 1 / heavy[both] + 1 / light[both]
        squares.append((one - other)[both].astype(float) ** 2 / variance)
    found = np.concatenate(squares)
    return float(np.sqrt(np.median(found) / MEDIAN_OF_SQUARE)) if len(found) else 0.0


def _moved(partial: Partial, down: int, across: int) -> tuple[Image, Image]:
    """Return values and weights without the rows and columns that have no partner so many pixels away."""
    rows, columns = (slice(max(-step, 0), min(-step, 0) or None) for step in (down, across))
    return partial.values[rows, columns], partial.weights[rows, columns]
