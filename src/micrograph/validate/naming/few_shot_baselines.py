"""Simple ways to name an image by a few examples: raw pixels, their principal parts, hand-made features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Principal parts that are kept.
_PARTS = 24


def raw_pixels(images: Image) -> Array:
    """Return the pixels (N, H W) of images (N, H, W), each of mean 0 and length 1."""
    flat = images.reshape(len(images), -1).astype(float)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12))


def principal_parts(images: Image) -> Array:
    """Return the first principal parts (N, 24) of the pixels of all these images together."""
    flat = raw_pixels(images)
    flat = flat - flat.mean(axis=0)
    _, _, rows = np.linalg.svd(flat @ flat.T) if len(flat) < flat.shape[1] else np.linalg.svd(flat, full_matrices=False)
    basis = rows[:_PARTS] @ flat if len(flat) < flat.shape[1] else rows[:_PARTS]
    basis /= np.maximum(np.linalg.norm(basis, axis=1, keepdims=True), 1e-12)
    return np.asarray(flat @ basis.T)


def hand_made(images: Image) -> Array:
    """Return hand-made features (N, D), none of which knows a direction, each of spread 1 over all images.

    Means over rings of the logarithm of the power spectrum, means and spreads over rings of the slightly smoothed image
    (what is in the middle and around it), quantiles of the grey values, and local binary patterns.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.feature import local_binary_pattern

    side = images.shape[-1]
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    ring = np.minimum((frequency * side / 1.5).astype(int), 21)
    middle = np.hypot(*(np.mgrid[:side, :side] - (side - 1) / 2))
    zone = np.minimum((middle / 3).astype(int), 9)
    rows = []
    for image in images.astype(float):
        smooth = gaussian_filter(image, 1.0)
        smooth = (smooth - smooth.mean()) / max(float(smooth.std()), 1e-12)
        power = np.log(np.abs(np.fft.rfft2((image - image.mean()) / max(float(image.std()), 1e-12))) ** 2 + 1)
        spectrum = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
        level = np.bincount(zone.ravel(), smooth.ravel()) / np.bincount(zone.ravel())
        square = np.bincount(zone.ravel(), smooth.ravel() ** 2) / np.bincount(zone.ravel())
        grey = np.quantile(smooth, (0.02, 0.25, 0.5, 0.75, 0.98, 0.999))
        whole = np.round(255 * (smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-12)).astype(np.uint8)
        codes = local_binary_pattern(whole, 8, 2, "uniform")  # type: ignore[no-untyped-call]
        pattern = np.bincount(codes.astype(int).ravel(), minlength=10)[:10]
        spread = np.sqrt(np.maximum(square - level**2, 0))
        rows.append(np.concatenate([spectrum, level, spread, grey, pattern / pattern.sum()]))
    found = np.array(rows)
    return np.asarray((found - found.mean(axis=0)) / np.maximum(found.std(axis=0), 1e-9))


def nearest_neighbours(learn: Array, classes: NDArray[np.intp], queries: Array, truth: NDArray[np.intp]) -> Array:
    """Return the share (4,) of queries (M, D) named rightly by 1, 3 and all-shots neighbours, and the nearest mean."""
    distance = ((queries**2).sum(1)[:, None] + (learn**2).sum(1)) - 2 * queries @ learn.T
    order = np.argsort(distance, axis=1, kind="stable")
    number, shots = int(classes.max()) + 1, int(np.bincount(classes).min())
    right = []
    for count in (1, min(3, shots), shots):
        votes = np.zeros((len(queries), number))
        for place in range(count):
            votes[np.arange(len(queries)), classes[order[:, place]]] += 1 + 1e-3 * (count - place)
        right.append(float((votes.argmax(1) == truth).mean()))
    means = np.stack([learn[classes == one].mean(axis=0) for one in range(number)])
    apart = ((queries[:, None] - means) ** 2).sum(-1)
    return np.array([*right, float((apart.argmin(1) == truth).mean())])


RIVALS: dict[str, Callable[[Image], Array]] = {
    "raw pixels": raw_pixels,
    "principal parts": principal_parts,
    "hand-made": hand_made,
}
