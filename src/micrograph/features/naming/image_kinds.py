"""What kind of image is it: numbers that describe its spectrum, its grey values and its noise, without any network.

The kinds are told apart by linear discriminants (Fisher 1936, doi:10.1111/j.1469-1809.1936.tb02137.x).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

#: Most pixels a side that are described, rings of the spectrum, and widths (px) of the blurs of grey.
SIDE_PX, _RINGS, _BLURS = 256, 16, (1.5, 4.0, 10.0)
_QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
#: Share of the mean scatter that every direction has at least: few examples tell little of rare ones.
_SHRINK = 0.1
_TINY = 1e-9


def middle(image: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Return the middle of an image (H, W), at most `side` pixels high and wide, without NaN."""
    down, across = (max(0, (size - side) // 2) for size in image.shape)
    part = np.ascontiguousarray(image[down : down + side, across : across + side], np.float32)
    finite: NDArray[np.float32] = np.nan_to_num(part, posinf=0.0, neginf=0.0)
    return finite


def described(image: NDArray[Any]) -> Array:
    """Return the numbers (D,) that describe the middle of an image (H, W), whatever its brightness and contrast."""
    grey = _standard(middle(image, SIDE_PX).astype(float))
    coarse = [number for blur in _BLURS for number in _blurred(grey, blur)]
    numbers = [*_spectrum(grey), *np.quantile(grey, _QUANTILES), *_moments(grey), *coarse, *_noise(grey)]
    finite: Array = np.nan_to_num(np.array(numbers))
    return finite


def _standard(image: Array) -> Array:
    even: Array = (image - image.mean()) / max(float(image.std()), _TINY)
    return even


def _moments(grey: Array) -> list[float]:
    return [float(np.cbrt((grey**3).mean())), float((grey**4).mean() ** 0.25)]


def _spectrum(grey: Array) -> list[float]:
    """Return the logarithms of the power in rings of the spectrum, and of how far a peak stands out in each."""
    height, width = grey.shape
    power = np.abs(np.fft.fft2(grey * np.outer(np.hanning(height), np.hanning(width)))) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    ring = np.digitize(frequency, np.geomspace(0.012, 0.5, _RINGS + 1))
    found = []
    for number in range(1, _RINGS + 1):
        inside = power[ring == number]
        mean = float(inside.mean()) if inside.size else 0.0
        found += [np.log(mean + _TINY), np.log(float(inside.max()) / mean) if mean else 0.0]
    return found


def _blurred(grey: Array, blur: float) -> list[float]:
    """Return how much is left of the contrast, how it is spread, and how sharp its edges are."""
    soft = gaussian_filter(grey, blur)
    even = _standard(soft)
    slope = np.hypot(*np.gradient(soft))
    edges = np.quantile(slope, 0.95) / max(float(np.median(slope)), _TINY)
    return [np.log(soft.std() + 1e-6), *np.quantile(even, (0.02, 0.98)), *_moments(even), np.log(edges + _TINY)]


def _noise(grey: Array) -> list[float]:
    """Return how the noise differs along and across the lines, and how it goes with the brightness."""
    down, across = (float(np.abs(np.diff(grey, axis=axis)).mean()) + _TINY for axis in (0, 1))
    lines, columns = (float(np.diff(grey.mean(axis=axis)).std()) + 1e-6 for axis in (1, 0))
    power = gaussian_filter((grey - gaussian_filter(grey, 1.5)) ** 2, 4.0)
    brightness = gaussian_filter(grey, 4.0)
    both = power.std() * brightness.std()
    alike = ((power - power.mean()) * (brightness - brightness.mean())).mean() / both if both > _TINY else 0.0
    return [np.log(down / across), np.log(down), np.log(lines / columns), float(alike)]


@dataclass(frozen=True)
class ImageKinds:
    """Kinds of images by `described`: their names, mean numbers (K, D), and the matrix (D, D) that makes scatter one.

    temperature: by which distances are divided, so that probabilities are as often right as they say.
    """

    names: tuple[str, ...]
    mean: Array
    whitening: Array
    temperature: float = 1.0

    def scores(self, numbers: Array) -> Array:
        """Return the log likelihoods (N, K), up to a constant, of images that `numbers` (N, D) describe."""
        away = (numbers[:, None] - self.mean) @ self.whitening
        return np.asarray(-0.5 * (away**2).sum(-1) / self.temperature)

    def save(self, path: Path) -> None:
        """Write the kinds as a file that `load_kinds` reads."""
        np.savez_compressed(
            path, names=np.array(self.names), mean=self.mean.astype(np.float32),
            whitening=self.whitening.astype(np.float32), temperature=self.temperature,
        )  # fmt: skip


def load_kinds(path: Path) -> ImageKinds:
    """Return the kinds that a file holds."""
    with np.load(path, allow_pickle=False) as file:
        mean, whitening = (file[name].astype(float) for name in ("mean", "whitening"))
        return ImageKinds(tuple(map(str, file["names"])), mean, whitening, float(file["temperature"]))


def learn_kinds(names: Sequence[str], numbers: Array) -> ImageKinds:
    """Return the kinds of described examples (K, N, D), with the temperature that suits examples that were left out."""
    halves = [_fitted(names, part) for part in (numbers[:, ::2], numbers[:, 1::2])]
    scores = np.concatenate([
        half.scores(part.reshape(-1, numbers.shape[2]))
        for half, part in zip(halves, (numbers[:, 1::2], numbers[:, ::2]), strict=True)
    ])  # fmt: skip
    classes = np.concatenate([np.repeat(np.arange(len(names)), numbers[:, first::2].shape[1]) for first in (1, 0)])
    temperatures = np.geomspace(0.3, 30, 40)
    costs = [_cost(scores / temperature, classes) for temperature in temperatures]
    whole = _fitted(names, numbers)
    return ImageKinds(whole.names, whole.mean, whole.whitening, float(temperatures[int(np.argmin(costs))]))


def _fitted(names: Sequence[str], numbers: Array) -> ImageKinds:
    mean = numbers.mean(axis=1)
    away = (numbers - mean[:, None]).reshape(-1, numbers.shape[2])
    size = np.maximum(away.std(axis=0), _TINY)
    scatter = (away / size).T @ (away / size) / max(len(away) - len(names), 1)
    even = (1 - _SHRINK) * scatter + _SHRINK * np.eye(len(scatter))
    return ImageKinds(tuple(names), mean, np.linalg.inv(np.linalg.cholesky(even)).T / size[:, None])


def _cost(scores: Array, classes: NDArray[np.intp]) -> float:
    from scipy.special import logsumexp

    return float((logsumexp(scores, axis=1) - scores[np.arange(len(classes)), classes]).mean())
