"""Spectra as coefficients: components that are there, spikes, noise, peaks, ceilings."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.spectra.spectral_basis import (
    noise_of,
    peak_of,
    spectral_basis,
    within,
    without_spikes,
)

ENERGY = np.linspace(0, 10, 120)


def lines(number: int, rng: np.random.Generator, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    parts = np.stack([np.exp(-((ENERGY - at) ** 2)) for at in (3.0, 5.0, 6.5)])
    clean = rng.uniform(0, 3, (number, 3)) @ parts
    return clean, clean + noise * rng.standard_normal(clean.shape)


def test_as_many_components_are_kept_as_there_are() -> None:
    clean, noisy = lines(400, np.random.default_rng(0))
    basis = spectral_basis(noisy)
    assert len(basis) == 3
    np.testing.assert_allclose(basis.spectra(basis.coefficients(noisy)), clean, atol=0.12)


def test_noise_alone_has_at_most_one_component() -> None:
    assert len(spectral_basis(np.random.default_rng(1).standard_normal((300, 80)))) == 1


def test_the_band_is_the_scatter_of_spectra_whose_coefficients_scatter() -> None:
    rng = np.random.default_rng(2)
    basis = spectral_basis(lines(300, rng)[1])
    covariance = np.array([[[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.3]]])
    drawn = basis.spectra(rng.multivariate_normal(np.zeros(3), covariance[0], 20000))
    np.testing.assert_allclose(basis.sigma(covariance)[0], drawn.std(axis=0), atol=0.02)


def test_the_noise_of_smooth_spectra_is_found() -> None:
    assert np.median(noise_of(lines(500, np.random.default_rng(3))[1])) == pytest.approx(0.1, rel=0.1)


def test_spikes_are_taken_out_and_peaks_stay() -> None:
    rng = np.random.default_rng(4)
    _, noisy = lines(200, rng)
    spiked = noisy.copy()
    spiked[np.arange(50), rng.integers(0, 120, 50)] += 50
    clean, spikes = without_spikes(spiked)
    assert spikes[spiked > 30].all() and spikes.mean() < 0.01
    assert np.abs(clean - noisy).max() < 3


def test_counts_with_a_strong_peak_hold_no_spikes() -> None:
    counts = np.random.default_rng(5).poisson(2 + 3000 * np.exp(-((ENERGY - 5) ** 2)) * np.linspace(0, 1, 100)[:, None])
    assert without_spikes(counts.astype(float))[1].mean() < 0.002


def test_values_far_outside_are_brought_to_the_edge() -> None:
    values = np.random.default_rng(6).standard_normal((1000, 4))
    values[3] = 1e6
    assert np.abs(within(values, 6)).max() < 7 and within(values, 0).max() == 1e6


def test_a_peak_lies_between_channels() -> None:
    spectra = np.stack([np.exp(-((ENERGY - at) ** 2) / 2) for at in (4.01, 7.77)])
    energy, height = peak_of(spectra, ENERGY)
    np.testing.assert_allclose(energy, (4.01, 7.77), atol=2e-3)
    np.testing.assert_allclose(height, 1, atol=1e-3)
