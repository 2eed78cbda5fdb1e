"""Spectra as a few coefficients: principal components that are told from noise, bands, peaks, and what noise allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: A channel this many times the usual scatter away from its neighbours along the spectrum is a spike.
_SPIKE = 8.0
#: Spectra that bases are found from, at most.
_MOST = 4000


def without_spikes(spectra: Array, times: float = _SPIKE) -> tuple[Array, NDArray[np.bool_]]:
    """Return spectra (N, E) in which spikes are replaced by the median of their neighbours, and where (N, E).

    A spike (cosmic ray, failed fit) stands alone along the spectrum: it is farther than `times` the usual scatter of
    its surroundings, of the whole spectrum and of its channel, from the median over five channels.
    """
    from scipy.ndimage import median_filter

    smooth = median_filter(spectra, size=(1, 5), mode="mirror")
    off = np.abs(spectra - smooth)
    second = np.abs(np.diff(np.pad(spectra, ((0, 0), (1, 1)), mode="reflect"), 2, axis=1)) / np.sqrt(6.0)
    tiny = 1e-12 * max(float(np.abs(smooth).max()), 1e-300)
    own = np.median(second, axis=1, keepdims=True) + np.median(second, axis=0, keepdims=True) + tiny
    for width in (11, 21):
        own = np.maximum(own, median_filter(second, size=(1, width), mode="mirror"))
    spike = off > times * 1.48 * own
    return np.where(spike, smooth, spectra), spike


def within(spectra: Array, times: float) -> Array:
    """Return spectra (N, E) with values farther than `times` the usual scatter of their channel brought to there.

    For recordings in which fits failed here and there; 0 leaves all as they are.
    """
    if times <= 0:
        return spectra
    middle = np.median(spectra, axis=0)
    reach = times * 1.4826 * np.median(np.abs(spectra - middle), axis=0)
    return np.asarray(np.clip(spectra, middle - reach, middle + reach))


def noise_of(spectra: Array) -> Array:
    """Return the 1-sigma (E,) of the noise of single channels, from second differences along the spectra (N, E).

    Robust; a spectrum's own curvature counts as noise, so that it is rather too large than too small.
    """
    second = np.diff(spectra, 2, axis=1) / np.sqrt(6.0)
    sigma = 1.4826 * np.median(np.abs(second - np.median(second, axis=0)), axis=0)
    return np.asarray(np.concatenate([sigma[:1], sigma, sigma[-1:]]))


@dataclass(frozen=True)
class SpectralBasis:
    """Spectra are ``centre + coefficients @ parts``, with noise of 1-sigma `noise` (E,) in each channel.

    centre (E,); parts (K, E), orthonormal after division by the noise; spread (K,): 1-sigma of the coefficients.
    """

    centre: Array
    parts: Array
    noise: Array
    spread: Array

    def __len__(self) -> int:
        """Number of coefficients."""
        return len(self.parts)

    def coefficients(self, spectra: Array) -> Array:
        """Return the coefficients (N, K) of spectra (N, E), each channel weighed by its noise."""
        return np.asarray(((spectra - self.centre) / self.noise**2) @ self.parts.T)

    def spectra(self, coefficients: Array) -> Array:
        """Return the spectra (N, E) that coefficients (N, K) stand for."""
        return np.asarray(self.centre + coefficients @ self.parts)

    def sigma(self, covariance: Array) -> Array:
        """Return the 1-sigma (N, E) of spectra whose coefficients have covariances (N, K, K) or variances (N, K)."""
        if covariance.ndim == 2:
            return np.asarray(np.sqrt(covariance @ self.parts**2))
        return np.asarray(np.sqrt(np.einsum("ke,nkl,le->ne", self.parts, covariance, self.parts)))


def spectral_basis(spectra: Array, noise: Array | None = None, most: int = 12) -> SpectralBasis:
    """Return the basis of spectra (N, E): as many components, at most `most`, as stand out of the noise.

    A component stays if its variance exceeds the largest that noise alone gives (Marchenko and Pastur's edge).
    """
    every = -(-len(spectra) // _MOST)
    some = spectra[::every]
    sigma = noise_of(some) if noise is None else np.asarray(noise, float)
    floor = 1e-6 * max(float(np.abs(some).max()), 1e-300)
    sigma = np.maximum(sigma, max(0.1 * float(np.median(sigma)), floor))
    centre = some.mean(axis=0)
    _, value, parts = np.linalg.svd((some - centre) / sigma, full_matrices=False)
    variance = value**2 / max(len(some) - 1, 1)
    edge = (1 + np.sqrt(some.shape[1] / len(some))) ** 2
    number = int(np.clip(np.sum(variance > 1.02 * edge), 1, min(most, len(value))))
    spread = np.sqrt(np.maximum(variance[:number], 1e-12))
    return SpectralBasis(centre, parts[:number] * sigma, sigma, spread)


def peak_of(spectra: Array, energy: Array) -> tuple[Array, Array]:
    """Return the energy (N,) of the highest place of spectra (N, E), by a parabola through it, and its height (N,)."""
    top = np.clip(spectra.argmax(axis=1), 1, spectra.shape[1] - 2)
    row = np.arange(len(spectra))
    before, middle, after = (spectra[row, top + step] for step in (-1, 0, 1))
    curve = before - 2 * middle + after
    shift = np.where(curve < 0, 0.5 * (before - after) / np.where(curve < 0, curve, -1.0), 0.0)
    shift = np.clip(shift, -0.5, 0.5)
    step = np.gradient(np.asarray(energy, float))[top]
    return energy[top] + shift * step, middle - 0.25 * (before - after) * shift
