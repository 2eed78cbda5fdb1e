"""Images of twice as many pixels a side: the way up, the way back, and where an answer leaves what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core.frame import binned
from micrograph.features.columns.noise import NoiseModel

Image = NDArray[np.float32]

#: Pixels of the finer image in one of the recorded image, along each axis.
FINER = 2
#: Weights of the four recorded pixels about the first of two finer ones, mirrored for the second (cubic convolution,
#: doi:10.1109/TASSP.1981.1163711).
_CUBIC = np.array([-0.0234375, 0.2265625, 0.8671875, -0.0703125], np.float32)
#: Differences from what was measured are judged in boxes of so many recorded pixels a side, and told from so many
#: 1-sigma of a box's mean square on.
BOX, MOST = 5, 6.0
#: Rings of frequency in which an answer's power is held against its own doubt, and the share of that from which on it
#: is shown: at this share by half.
_RINGS, _SHOWN = 48, 0.5
#: Groups of pixels of like brightness through whose noise a line is drawn, and the share of each that is flattest.
_GROUPS, _FLAT = 16, 0.5
#: The quarter of all pixels with most structure is asked on its own.
_STRUCTURED = 0.75


def finer(image: Image) -> Image:
    """Return the image (H, W) on pixels half as wide, (2 H, 2 W), by cubic convolution; borders are mirrored."""
    for axis in (0, 1):
        image = np.moveaxis(_finer_rows(np.moveaxis(image, axis, 0)), 0, axis)
    return np.ascontiguousarray(image, np.float32)


def _finer_rows(image: Image) -> Image:
    rows = len(image)
    padded = np.pad(image, ((2, 2), (0, 0)), mode="symmetric")
    found = np.empty((FINER * rows, image.shape[1]), np.float32)
    for half, weights in enumerate((_CUBIC, _CUBIC[::-1])):
        found[half::2] = sum(weight * padded[half + step : half + step + rows] for step, weight in enumerate(weights))
    return found


def without_untold(image: Image, sigma: Image) -> Image:
    """Return an answer (H, W) without fine waves of less power than its own doubt has, the mean square of `sigma`.

    What is left out was hardly told by the counts, and would be more than there is where the beam is wide.
    """
    import scipy.fft

    waves = scipy.fft.dctn(image, norm="ortho")
    axes = (np.arange(n, dtype=np.float32) / (2 * n) for n in image.shape)
    radius = np.hypot(*np.meshgrid(*axes, indexing="ij"))
    at = radius * np.float32(2 * _RINGS)
    ring = np.minimum(at.astype(np.intp), 2 * _RINGS - 1).ravel()
    count = np.maximum(np.bincount(ring, minlength=2 * _RINGS), 1)
    power = np.bincount(ring, (waves.astype(np.float64) ** 2).ravel(), minlength=2 * _RINGS) / count
    doubt = _SHOWN * float((sigma.astype(np.float64) ** 2).mean())
    shown = np.minimum.accumulate(power**2 / (power**2 + doubt**2 + 1e-300))
    waves *= np.interp(at.ravel(), np.arange(2 * _RINGS) + 0.5, shown).reshape(image.shape).astype(np.float32)
    return np.asarray(scipy.fft.idctn(waves, norm="ortho"), np.float32)


@dataclass(frozen=True)
class Agreement:
    """Whether an answer on finer pixels, averaged over the recorded ones, says what was recorded.

    noise: of the recorded counts, measured where the answer is flat; chi_square: mean square of the differences over
    that noise where the answer is not flat (1 is noise alone); misfit (H, W): by how many 1-sigma the mean square in
    the box about each recorded pixel exceeds 1.
    """

    noise: NoiseModel
    chi_square: float
    residual: Image
    misfit: Image

    @property
    def misfit_share(self) -> float:
        """Share of the recorded pixels about which the answer does not say what was recorded."""
        return float((self.misfit > MOST).mean())


def agreement(recorded: Image, answer: Image) -> Agreement:
    """Return how an answer (2 H, 2 W) agrees with the recorded image (H, W); pixels that are not finite agree."""
    from scipy.ndimage import uniform_filter

    expected = binned(answer, FINER)
    residual = np.nan_to_num(recorded - expected, posinf=0.0, neginf=0.0).astype(np.float32)
    uneven = _unevenness(expected)
    noise = _noise_of(residual, expected, uneven)
    whitened = residual / np.sqrt(noise.variance(expected))
    square = np.minimum(whitened**2, 100.0)
    structured = uneven >= np.quantile(uneven, _STRUCTURED)
    boxes = uniform_filter(square, BOX, mode="nearest") - 1
    misfit = np.asarray(boxes * np.float32(BOX / np.sqrt(2)), np.float32)
    return Agreement(noise, float(square[structured].mean(dtype=np.float64)), whitened, misfit)


def _unevenness(expected: Image) -> Image:
    """Return how much the expected values vary about each pixel."""
    from scipy.ndimage import maximum_filter, minimum_filter

    return np.asarray(maximum_filter(expected, 3) - minimum_filter(expected, 3), np.float32)


def _noise_of(residual: Image, expected: Image, uneven: Image) -> NoiseModel:
    """Return the line of the residual's variance over the expected value, from what is flat among its likes."""
    order = np.argsort(expected, axis=None)
    means, variances = [], []
    for group in np.array_split(order, _GROUPS):
        flat = group[uneven.ravel()[group] <= np.quantile(uneven.ravel()[group], _FLAT)]
        means.append(float(expected.ravel()[flat].mean()))
        variances.append(float((residual.ravel()[flat] ** 2).mean()))
    level, variance = np.array(means), np.array(variances)
    total = max(float(variance.mean()), 1e-30)
    weight = 1 / np.maximum(variance, 1e-3 * total)
    if np.ptp(level) <= 1e-6 * max(abs(level).max(), 1e-30):
        return NoiseModel(0.0, total)
    gain, offset = np.polyfit(level, variance, 1, w=weight)
    return NoiseModel(float(gain), float(offset)) if gain > 0 else NoiseModel(0.0, float(np.median(variance)))


@dataclass(frozen=True)
class Spectrum:
    """Mean power by spatial frequency: `per_px` in cycles a pixel of the image, power of a windowed image."""

    per_px: NDArray[np.float64]
    power: NDArray[np.float64]


def spectrum_of(image: Image, bins: int = 32) -> Spectrum:
    """Return the power of an image (H, W) in rings up to half a cycle a pixel; white noise has that of its variance."""
    import scipy.fft

    window = np.outer(np.hanning(image.shape[0] + 2)[1:-1], np.hanning(image.shape[1] + 2)[1:-1]).astype(np.float32)
    mean = float((image * window).sum(dtype=np.float64) / window.sum(dtype=np.float64))
    power = np.abs(scipy.fft.rfft2((image - np.float32(mean)) * window)) ** 2 / float((window**2).sum())
    radius = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None, :])
    ring = np.minimum((radius * 2 * bins).astype(np.intp), bins)
    weight = np.full(power.shape, 2.0)
    weight[:, 0] = 1.0
    count = np.bincount(ring.ravel(), weight.ravel(), bins + 1)[:bins]
    total = np.bincount(ring.ravel(), (weight * power).ravel(), bins + 1)[:bins]
    return Spectrum((np.arange(bins) + 0.5) / (2 * bins), total / np.maximum(count, 1))


def told_up_to(recorded: Image, variance: float) -> float:
    """Return the frequency (cycles a recorded pixel) from which on the recorded noise has more power than the image.

    What an answer holds beyond it was not measured. It is at most 0.5: finer waves are not told apart by the pixels.
    """
    found = spectrum_of(recorded)
    beyond = np.flatnonzero(found.power < 2 * variance)
    return float(found.per_px[beyond[0]]) if len(beyond) else 0.5
