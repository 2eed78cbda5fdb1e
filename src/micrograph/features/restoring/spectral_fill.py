"""Filling in by the image's own power spectrum: the linear estimate of least error, the spectrum measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Width (pixels) of the mirrored rim.
RIM = 24
#: Share of the mean power at a frequency that every wave has at least, and the bins an octave of that mean.
FLOOR, BINS = 0.3, 4
#: A geometric mean of exponentially distributed powers, times this, is their mean.
MEAN_OF_LOG = 1.781
#: The noise is at least this much of the contrast.
LEAST_NOISE = 0.02


def spectral_fill(
    values: Image, weights: Image, start: Image, noise: float, rounds: tuple[int, ...] = (18, 18)
) -> Image:
    """Return (H, W): the Wiener estimate from `values` of 1-sigma ``noise / sqrt(weights)``, beginning from `start`.

    The power of every wave is measured in the start, and again in what came out, smoothed over neighbouring waves;
    `rounds` are conjugate gradients, each time. It averages as much as the noise asks for and reaches as far as the
    image is alike.
    """
    import scipy.fft

    height, width = values.shape
    rim = [min(RIM, side // 4) for side in values.shape]
    sizes = [scipy.fft.next_fast_len(side + 2 * part, real=True) for side, part in zip(values.shape, rim, strict=True)]
    pad = [(part, size - side - part) for side, part, size in zip(values.shape, rim, sizes, strict=True)]
    image = np.pad(start, pad, mode="reflect").astype(np.float32)
    known, trust = np.pad(values, pad).astype(np.float32), np.pad(weights, pad).astype(np.float32)
    least = LEAST_NOISE * float(np.std(start))
    for number in rounds:
        power = measured_power(image - image.mean())
        image = wiener(known, trust, power, max(noise, least), number)
    return image[rim[0] : rim[0] + height, rim[1] : rim[1] + width]


def measured_power(image: Image) -> Image:
    """Return the power (H, W // 2 + 1) of the waves of an image (H, W), as ``abs(rfft2)**2``, smoothed.

    It is the mean over 3 x 3 neighbouring waves, and a share of the mean at their frequency.
    """
    import scipy.fft
    from scipy.ndimage import uniform_filter

    spectrum: Any = scipy.fft.rfft2(image)
    power = np.abs(spectrum) ** 2
    wave = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])) * min(image.shape)
    rings = np.rint(BINS * np.log2(1 + wave)).astype(np.intp)
    counts = np.bincount(rings.ravel())
    logs = np.bincount(rings.ravel(), np.log(power + 1e-30).ravel()) / np.maximum(counts, 1)
    near = uniform_filter(power, 3, mode=("wrap", "mirror"))
    return np.asarray(near + FLOOR * MEAN_OF_LOG * np.exp(logs)[rings], np.float32)


def wiener(values: Image, weights: Image, power: NDArray[np.floating], noise: float, rounds: int = 60) -> Image:
    """Return the linear estimate of least error for a process whose `power` (H, W // 2 + 1, of rfft2) is known.

    noise: 1-sigma of a value of weight 1. With the power of the true image itself this is what no linear method beats.
    """
    import scipy.fft

    mean = float((values * weights).sum() / max(float(weights.sum()), 1e-12))
    root = np.sqrt(power / values.size).astype(np.float32)
    trust = (weights / max(noise, 1e-6) ** 2).astype(np.float32)

    def spread(image: Image) -> Image:
        spectrum: Any = scipy.fft.rfft2(image)
        return np.asarray(scipy.fft.irfft2(root * spectrum, s=values.shape), np.float32)

    remaining = spread(trust * (values - np.float32(mean)))
    found, way, left = np.zeros_like(remaining), remaining.copy(), float(np.vdot(remaining, remaining))
    for _ in range(rounds):
        pushed = way + spread(trust * spread(way))
        step = left / max(float(np.vdot(way, pushed)), 1e-30)
        found += step * way
        remaining -= step * pushed
        newer = float(np.vdot(remaining, remaining))
        if newer < 1e-9 * left:
            break
        way, left = remaining + newer / left * way, newer
    return np.float32(mean) + spread(found)
