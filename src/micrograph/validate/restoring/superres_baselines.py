"""What other methods make of a coarse image on finer pixels; those with a choice get what suits the truth best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.core.frame import binned
from micrograph.features.restoring.super_resolution import FINER, finer

Image = NDArray[np.float32]
Array = NDArray[np.float64]

#: Lanczos' window of three lobes: weights of six pixels for the first of two finer ones.
_AT = np.arange(-3, 3) + 0.25
_LANCZOS = np.sinc(_AT) * np.sinc(_AT / 3)
#: Weights of the total variation and of blur (pixels) and rounds of Richardson and Lucy's deconvolution that are tried.
VARIATIONS, SHARPENINGS = (0.03, 0.06, 0.12, 0.25, 0.5), ((0.4, 3), (0.4, 10), (0.7, 3), (0.7, 10))
_ROUNDS = 150


def lanczos(image: Image) -> Image:
    """Return (2 H, 2 W) by Lanczos' window of three lobes; borders are mirrored."""
    weights = _LANCZOS / _LANCZOS.sum()
    for axis in (0, 1):
        image = np.moveaxis(_lanczos_rows(np.moveaxis(image, axis, 0), weights), 0, axis)
    return np.ascontiguousarray(image, np.float32)


def _lanczos_rows(image: Image, weights: Array) -> Image:
    rows = len(image)
    padded = np.pad(image, ((3, 3), (0, 0)), mode="symmetric")
    found = np.empty((FINER * rows, image.shape[1]), np.float32)
    found[0::2] = sum(weight * padded[step : step + rows] for step, weight in enumerate(weights))
    found[1::2] = sum(weight * padded[1 + step : 1 + step + rows] for step, weight in enumerate(weights[::-1]))
    return found


def richardson_lucy(image: Image, blur_px: float, rounds: int) -> Image:
    """Return (2 H, 2 W) whose blurred and averaged values are the recorded ones, after so many rounds."""
    from scipy.ndimage import gaussian_filter

    guess = np.maximum(finer(image), 1e-3 * float(image.mean()) + 1e-6)
    for _ in range(rounds):
        expected = binned(gaussian_filter(guess, blur_px, mode="nearest"), FINER)
        ratio = (np.maximum(image, 0) / np.maximum(expected, 1e-6)).repeat(FINER, 0).repeat(FINER, 1)
        guess = guess * gaussian_filter(ratio, blur_px, mode="nearest")
    return np.asarray(guess, np.float32)


def least_variation(image: Image, variance: float, weight: float) -> Image:
    """Return (2 H, 2 W) of little total variation whose averages are near the recorded values.

    `weight` is that of the variation in units of the noise's 1-sigma (doi:10.1007/s10957-012-0245-9).
    """
    scale = np.float32(np.sqrt(variance))
    target = image / scale
    guess, dual = finer(target), np.zeros((2, *(FINER * n for n in image.shape)), np.float32)
    step, dual_step = np.float32(1.0), np.float32(0.1)
    for _ in range(_ROUNDS):
        data = (binned(guess, FINER) - target).repeat(FINER, 0).repeat(FINER, 1)
        new = np.asarray(guess - step * (data / np.float32(FINER**2) - _divergence(dual)), np.float32)
        dual = dual + dual_step * _gradient(2 * new - guess)
        dual = np.asarray(dual / np.maximum(1, np.sqrt((dual**2).sum(axis=0)) / np.float32(weight)), np.float32)
        guess = new
    return np.asarray(guess * scale, np.float32)


def _gradient(image: Image) -> Image:
    found: Image = np.zeros((2, *image.shape), np.float32)
    found[0, :-1], found[1, :, :-1] = image[1:] - image[:-1], image[:, 1:] - image[:, :-1]
    return found


def _divergence(field: Image) -> Image:
    found: Image = field[0] + field[1]
    found[1:] -= field[0, :-1]
    found[:, 1:] -= field[1, :, :-1]
    return found


def known_wiener(image: Image, variance: float, truth: Image) -> Image:
    """Return the best linear estimate (2 H, 2 W) by one who is told the truth's power spectrum (mean over rings)."""
    height, width = truth.shape
    mean = float(image.mean(dtype=np.float64))
    power = _ring_mean(np.abs(np.fft.fft2(truth - mean)) ** 2)
    angles = (
        np.exp(-0.5j * np.pi * 2 * np.fft.fftfreq(n)) * np.cos(np.pi * np.fft.fftfreq(n)) for n in (height, width)
    )
    down, right = (np.conj(one) for one in angles)
    transfer = down[:, None] * right[None, :] / FINER**2
    folded = (power * np.abs(transfer) ** 2).reshape(FINER, height // FINER, FINER, width // FINER).sum(axis=(0, 2))
    known = np.fft.fft2(image - mean) / (folded + image.size * variance)
    return np.asarray(np.fft.ifft2(power * np.conj(transfer) * np.tile(known, (FINER, FINER))).real + mean, np.float32)


def _ring_mean(power: Array) -> Array:
    height, width = power.shape
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    ring = (radius * max(height, width)).astype(np.intp)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    return np.asarray(mean[ring])


def best(tries: Sequence[Callable[[Image], Image]], images: Sequence[Image], truths: Sequence[Image]) -> int:
    """Return which of several ways has the least mean square error on images whose truths are known."""
    errors = [
        float(np.mean([np.mean((way(image) - truth) ** 2) for image, truth in zip(images, truths, strict=True)]))
        for way in tries
    ]
    return int(np.argmin(errors))
