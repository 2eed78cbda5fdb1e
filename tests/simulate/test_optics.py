import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.simulate import Microscope, probe
from micrograph.simulate.optics import wavelength_nm


@pytest.mark.parametrize(("voltage_kV", "wavelength_pm"), [(60, 4.866), (80, 4.176), (200, 2.508), (300, 1.969)])
def test_the_wavelength_is_that_of_the_tables(voltage_kV: float, wavelength_pm: float) -> None:
    assert wavelength_nm(voltage_kV) * 1e3 == pytest.approx(wavelength_pm, abs=5e-4)


def test_the_perfect_probe_is_an_airy_disc() -> None:
    image = probe(Microscope(voltage_kV=60, convergence_mrad=30), (512, 512), 0.005)
    row = image[256, 256:] / image[256, 256]
    first_dark = np.argmax(np.diff(row) > 0) * 0.005
    assert np.interp(0.5, row[20::-1], np.arange(21)[::-1] * 0.005) * 2 == pytest.approx(
        0.5145 * 4.866e-3 / 0.03, rel=0.01
    )
    assert first_dark == pytest.approx(0.61 * 4.866e-3 / 0.03, abs=0.005)


def test_the_probe_sums_to_one_whatever_the_aberrations() -> None:
    bent = Microscope(defocus_nm=3, astigmatism_nm=2, coma_nm=50, cs_mm=0.001, source_fwhm_nm=0.08)
    assert probe(bent, (128, 160), 0.02).sum() == pytest.approx(1, abs=1e-5)


def test_the_source_adds_its_variance_to_the_probe() -> None:
    def variance(source_fwhm_nm: float) -> float:
        image = probe(Microscope(source_fwhm_nm=source_fwhm_nm), (256, 256), 0.02)
        x = (np.arange(256) - 128) * 0.02
        return float((image.sum(0) * x**2).sum())

    assert variance(0.2) - variance(0.0) == pytest.approx((0.2 / 2.3548) ** 2, rel=5e-3)


def test_astigmatism_draws_the_defocused_probe_out_along_one_axis() -> None:
    def elongation(degrees: float) -> float:
        image = probe(Microscope(defocus_nm=6, astigmatism_nm=6, astigmatism_deg=degrees), (256, 256), 0.02)
        t = (np.arange(256) - 128) * 0.02
        return float((image.sum(0) * t**2).sum() / (image.sum(1) * t**2).sum())

    assert elongation(0) == pytest.approx(1 / elongation(90), rel=0.02)
    assert abs(np.log(elongation(0))) > 0.3


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(BadInput, match="detector"):
        Microscope(inner_mrad=200, outer_mrad=100)
    with pytest.raises(BadInput, match="kV"):
        Microscope(voltage_kV=0)
    with pytest.raises(BadInput, match="pixel"):
        probe(Microscope(), (64, 64), 0.1)
