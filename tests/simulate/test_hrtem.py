"""The objective lens: transfer, phase contrast of thin atoms, images of waves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.simulate.optics import interaction_rad_per_V_A
from micrograph.simulate.phase.hrtem import Lens, aberration, image_of_wave, phase_contrast, transfer
from micrograph.structures import Pose, Tube, nanotube

PIXEL_NM, SIDE = 0.03, 128


def weak_wave(strength: float) -> np.ndarray:
    """Return the wave behind a smooth phase grating that is periodic in the image."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    return np.exp(1j * strength * (np.cos(2 * np.pi * 12 * x) + np.cos(2 * np.pi * (9 * y + 4 * x))))


def test_scherzer_defocus_passes_a_broad_band_with_dark_atoms() -> None:
    lens = Lens(voltage_kV=200.0, cs_mm=1.2, defocus_nm=67.0, focal_spread_nm=0, illumination_mrad=0)
    k = np.linspace(1.5, 4.0, 50)
    assert (np.sin(aberration(lens, np.zeros(50), k)) < -0.65).all()


def test_the_coefficients_are_damped_by_the_published_envelopes() -> None:
    lens = Lens(defocus_nm=20.0, focal_spread_nm=4.0, illumination_mrad=0.3)
    k = np.array([2.0, 5.0])
    wavelength = lens.wavelength_nm
    focal = np.exp(-0.5 * (np.pi * wavelength * 4.0 * k**2) ** 2)
    lit = np.exp(-0.5 * (2 * np.pi * 0.3e-3 * 20.0 * k) ** 2)
    assert np.abs(transfer(lens, np.zeros(2), k)) == pytest.approx(focal * lit, rel=1e-3)


def test_a_weak_phase_grating_has_the_contrast_of_the_transfer_function() -> None:
    lens = Lens(defocus_nm=6.0, focal_spread_nm=3.0, illumination_mrad=0.0)
    image = image_of_wave(weak_wave(0.01), lens, PIXEL_NM)
    k = 12 / (SIDE * PIXEL_NM)
    expected = 0.01 * 2 * np.sin(np.pi * lens.wavelength_nm * 6.0 * k**2)
    expected *= np.exp(-0.5 * (np.pi * lens.wavelength_nm * 3.0 * k**2) ** 2)
    found = 2 * np.fft.fft2(image)[0, 12].real / SIDE**2
    assert found == pytest.approx(-expected, rel=0.02)


def test_no_electron_is_lost_without_an_aperture() -> None:
    lens = Lens(defocus_nm=10.0, astigmatism_nm=3.0, threefold_nm=20.0, coma_nm=30.0, illumination_mrad=0.0)
    assert image_of_wave(weak_wave(0.5), lens, PIXEL_NM).mean() == pytest.approx(1, abs=1e-4)


def test_threefold_astigmatism_repeats_after_120_degrees_and_coma_after_360() -> None:
    turn = np.deg2rad(np.array([10.0, 130.0, 250.0]))
    ky, kx = 5 * np.sin(turn), 5 * np.cos(turn)
    threefold = aberration(Lens(defocus_nm=0, threefold_nm=50.0), ky, kx)
    coma = aberration(Lens(defocus_nm=0, coma_nm=50.0), ky, kx)
    assert threefold == pytest.approx(threefold[0]) and coma.sum() == pytest.approx(0, abs=1e-9)
    assert np.ptp(coma) > 0.1


def multislice(atoms: object, lens: Lens, thermal_nm: float) -> np.ndarray:
    """Return the image of a tube by multislice with abTEM's potentials, slice by slice of 0.1 nm."""
    from abtem.parametrizations import LobatoParametrization

    factor = LobatoParametrization().projected_scattering_factor("C")
    k = np.fft.fftfreq(SIDE, PIXEL_NM)
    ky, kx = k[:, None], k[None]
    square = ky**2 + kx**2
    potential = factor((square / 100).ravel()).reshape(square.shape) * np.exp(-2 * (np.pi * thermal_nm) ** 2 * square)
    scale = interaction_rad_per_V_A(lens.voltage_kV) / (10 * PIXEL_NM) ** 2
    places = atoms.positions / 10  # type: ignore[attr-defined]
    wave, step = np.ones((SIDE, SIDE), complex), 0.1
    levels = np.rint(places[:, 2] / step).astype(int)
    drift = np.exp(-1j * np.pi * lens.wavelength_nm * step * square)
    for level in range(levels.min(), levels.max() + 1):
        here = places[levels == level]
        waves = np.exp(-2j * np.pi * k[:, None] * here[:, 1]) @ np.exp(-2j * np.pi * here[:, :1] * k[None])
        wave = np.fft.ifft2(np.fft.fft2(wave * np.exp(1j * scale * np.fft.ifft2(waves * potential).real)) * drift)
    behind = (levels.max() + 1) * step
    return image_of_wave(wave, replace(lens, defocus_nm=lens.defocus_nm + behind), PIXEL_NM)


def test_a_nanotube_looks_as_in_multislice() -> None:
    pytest.importorskip("abtem")
    middle = SIDE * PIXEL_NM / 2
    atoms = nanotube(Tube(9, 4), 2.4, Pose(middle, middle, 25.0, 4.0, 50.0))
    lens = Lens(
        defocus_nm=6.0,
        focal_spread_nm=3.0,
        coma_nm=30.0,
        astigmatism_nm=2.0,
        astigmatism_deg=40.0,
        vibration_nm=0.03,
    )
    fast = phase_contrast(atoms, lens, pixel_nm=PIXEL_NM, shape=(SIDE, SIDE), thermal_nm=0.006) - 1
    exact = multislice(atoms, lens, 0.006) - 1
    assert np.corrcoef(fast.ravel(), exact.ravel())[0, 1] > 0.99
    assert (fast * exact).sum() / (fast**2).sum() == pytest.approx(1, abs=0.05)


def test_impossible_lenses_are_refused() -> None:
    with pytest.raises(BadInput, match="greater than zero"):
        Lens(voltage_kV=0)
    with pytest.raises(BadInput, match="not be below zero"):
        Lens(focal_spread_nm=-1)
