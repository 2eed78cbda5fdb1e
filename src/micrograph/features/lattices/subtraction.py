"""What a crystal's image holds beside its lattice: the periodic part is subtracted, what stands out is a defect.

The lattice is followed locally: every Fourier component of the lattice is demodulated and averaged over a few cells
(geometric phase, Hytch 1998, doi:10.1016/S0304-3991(98)00035-7), so that drift, tilt and slow changes of brightness
stay in the periodic part. Pixels that stand out are left out of the averages in a second round.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.peaks import find_peaks
from micrograph.features.lattices.cell import reduced

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: A component belongs to the lattice when it rises so far above its surroundings in the power spectrum.
LEAST_RISE = 12.0
#: Averages reach over so many lattice constants (1 sigma).
REACH_CELLS = 2.5
#: Finest detail of a lattice that is followed, per lattice constant.
MOST_ORDER = 4
#: Width of a column's image (1 sigma) relative to the lattice constant, at which defects are looked for.
SPOT_CELLS = 0.17


@dataclass(frozen=True)
class Subtracted:
    """An image (H, W) in two parts. `cell`: (2, 2) lattice vectors (y, x) in pixels, a row each, reduced."""

    periodic: Image
    residual: Image
    cell: Array

    @property
    def a_px(self) -> float:
        """Length of the shorter lattice vector in pixels."""
        return float(np.linalg.norm(self.cell, axis=1).min())


def subtract_lattice(image: NDArray[np.floating]) -> Subtracted | None:
    """Return the periodic and the other part of `image` (H, W); ``None`` where there is no lattice."""
    values = np.asarray(image, np.float64)
    reciprocal = lattice_components(values)
    if reciprocal is None:
        return None
    cell = np.asarray(np.linalg.inv(reciprocal).T, np.float64)
    spacing = float(np.linalg.norm(cell, axis=1).min())
    weight = np.ones(values.shape)
    for _ in range(2):
        periodic = _followed(values, weight, reciprocal, spacing)
        weight = (np.abs(_score(values - periodic, SPOT_CELLS * spacing)) < 4).astype(float)
    return Subtracted(periodic.astype(np.float32), (values - periodic).astype(np.float32), reduced(cell))


def lattice_components(image: Array) -> Array | None:
    """Return two reciprocal vectors (2, 2), (y, x) in cycles per pixel, that span the lattice of `image` (H, W)."""
    size = min(image.shape)
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2
    power = np.fft.fftshift(power, axes=0)
    rise = power / _surroundings(power)
    rise[:, : max(2, size // 100)] *= 0.999  # of a pair of opposite components on the axis one stays
    found = find_peaks(np.log(np.maximum(rise, 1e-3)).astype(np.float32), np.log(LEAST_RISE), 3.0)
    y = (found.y - power.shape[0] // 2) / image.shape[0]
    vectors = np.column_stack([y, found.x / image.shape[1]])
    length = np.linalg.norm(vectors, axis=1)
    strong = (length > 4.0 / size) & (length < 0.45)
    vectors, length = vectors[strong], length[strong]
    score = (found.score[strong] - np.log(LEAST_RISE)) ** 2  # noise that just passes counts next to nothing
    if len(vectors) < 2:
        return None
    pair = _spanning(vectors, score)
    return None if pair is None else _fitted(vectors, score, pair)


def _surroundings(power: Array) -> Array:
    """Return the median power at each distance from the origin, as an image."""
    height, width = power.shape
    radius = np.hypot(np.arange(height)[:, None] - height // 2, np.arange(width)[None])
    ring = np.minimum(radius.astype(np.intp) // 2, max(height, width))
    order = np.argsort(ring, axis=None)
    sorted_ring, sorted_power = ring.ravel()[order], power.ravel()[order]
    starts = np.flatnonzero(np.r_[True, np.diff(sorted_ring) > 0])
    middle = np.array([np.median(part) for part in np.split(sorted_power, starts[1:])])
    lookup = np.ones(int(sorted_ring[-1]) + 1)
    lookup[sorted_ring[starts]] = np.maximum(middle, 1e-30)
    return np.asarray(lookup[ring])


def _spanning(vectors: Array, score: Array) -> Array | None:
    """Return the pair of components whose sums and differences explain most of the strength of all."""
    best, best_worth = None, 0.0
    short = np.argsort(np.linalg.norm(vectors, axis=1))[:10]
    for i, first in enumerate(short):
        for second in short[:i]:
            pair = vectors[[second, first]]
            lengths = np.linalg.norm(pair, axis=1)
            if abs(np.linalg.det(pair)) < 0.4 * lengths.prod():
                continue
            order = vectors @ np.linalg.inv(pair)
            off = np.abs(order - np.rint(order)).max(axis=1)
            worth = float(score[off < 0.1].sum()) * np.sqrt(abs(np.linalg.det(pair)))
            if worth > best_worth:
                best, best_worth = pair, worth
    return best


def _fitted(vectors: Array, score: Array, pair: Array) -> Array:
    """Return `pair` as it fits all components that are whole sums of it."""
    order = vectors @ np.linalg.inv(pair)
    whole = np.rint(order)
    fits = (np.abs(order - whole) < 0.1).all(axis=1) & (whole != 0).any(axis=1)
    weight = np.sqrt(score[fits])[:, None]
    fitted = np.linalg.lstsq(whole[fits] * weight, vectors[fits] * weight, rcond=None)[0]
    return np.asarray(fitted if np.linalg.matrix_rank(whole[fits]) == 2 else pair)


def _followed(image: Array, weight: Array, reciprocal: Array, spacing: float) -> Array:
    """Return the part of `image` whose Fourier components of the lattice change slowly, `weight` 0 left out."""
    step = max(1, int(spacing * REACH_CELLS / 4))
    rows, columns = (np.arange(n) for n in image.shape)
    sigma = REACH_CELLS * spacing / step
    norm = np.maximum(_slow(weight, step, sigma), 1e-3)
    periodic = _spread(_slow(image * weight, step, sigma) / norm, step, image.shape)
    for h, k in _orders(reciprocal):
        g = np.array([h, k]) @ reciprocal
        wave = np.exp(-2j * np.pi * g[0] * rows)[:, None] * np.exp(-2j * np.pi * g[1] * columns)[None]
        wanted = (image - periodic) * weight * wave
        real, imag = (_slow(part, step, sigma) / norm for part in (wanted.real, wanted.imag))
        slow = _spread(real, step, image.shape) + 1j * _spread(imag, step, image.shape)
        periodic = periodic + 2 * (slow * wave.conj()).real
    return periodic


def _orders(reciprocal: Array) -> list[tuple[int, int]]:
    """Return half of all orders (h, k) of the lattice up to the finest detail, coarse ones first."""
    shortest = np.linalg.norm(reciprocal, axis=1).min()
    reach = range(-MOST_ORDER, MOST_ORDER + 1)
    half = [(h, k) for h in reach for k in reach if (h, k) > (0, 0)]
    length = {order: float(np.linalg.norm(np.array(order) @ reciprocal)) for order in half}
    kept = [order for order in half if length[order] <= min(MOST_ORDER * shortest, 0.45)]
    return sorted(kept, key=length.__getitem__)


def _slow(image: Array, step: int, sigma: float) -> Array:
    """Return the image, mean over blocks of `step` pixels, smoothed by `sigma` blocks; outside counts zero."""
    from scipy.ndimage import gaussian_filter

    height, width = (-(-n // step) for n in image.shape)
    padded = np.zeros((height * step, width * step))
    padded[: image.shape[0], : image.shape[1]] = image
    blocks = padded.reshape(height, step, width, step).sum(axis=(1, 3))
    return np.asarray(gaussian_filter(blocks, sigma, mode="constant"))


def _spread(blocks: Array, step: int, shape: tuple[int, ...]) -> Array:
    """Return `blocks` of `step` pixels as an image of `shape`, linear in between."""
    from scipy.ndimage import map_coordinates

    axes = [(np.arange(n) + 0.5) / step - 0.5 for n in shape]
    along = np.meshgrid(axes[0], np.arange(blocks.shape[1]), indexing="ij")
    tall = map_coordinates(blocks, along, order=1, mode="nearest")
    across = np.meshgrid(np.arange(shape[0]), axes[1], indexing="ij")
    return np.asarray(map_coordinates(tall, across, order=1, mode="nearest"))


def _score(residual: Array, sigma: float) -> Image:
    """Return the residual seen through a spot, over its own noise; borders count as the rest."""
    from scipy.ndimage import gaussian_filter

    seen = gaussian_filter(residual, sigma) - gaussian_filter(residual, 4 * sigma)
    noise = 1.4826 * float(np.median(np.abs(seen - np.median(seen))))
    return (seen / max(noise, 1e-30)).astype(np.float32)
