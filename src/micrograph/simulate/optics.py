"""Electron optics of the scanning probe: wavelength, aberrations and the intensity of the focused beam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_HC_EV_NM = 1239.841984
_MC2_EV = 510998.95


@dataclass(frozen=True)
class Microscope:
    """Settings of an annular dark-field STEM.

    Angles in mrad; defocus, 2-fold astigmatism and axial coma in nm (as the coefficients C10, C12, C21 of the
    aberration function), their azimuths in degrees; spherical aberration `cs_mm` in mm; `source_fwhm_nm` is the full
    width at half maximum of the Gaussian source image. A positive `defocus_nm` is underfocus (C10 = -defocus).
    """

    voltage_kV: float = 60.0
    convergence_mrad: float = 30.0
    inner_mrad: float = 60.0
    outer_mrad: float = 200.0
    defocus_nm: float = 0.0
    cs_mm: float = 0.0
    astigmatism_nm: float = 0.0
    astigmatism_deg: float = 0.0
    coma_nm: float = 0.0
    coma_deg: float = 0.0
    source_fwhm_nm: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a voltage or a convergence that is not positive."""
        if not (self.voltage_kV > 0 and self.convergence_mrad > 0):
            raise BadInput(
                f"The microscope has {self.voltage_kV} kV and a convergence of {self.convergence_mrad} mrad: "
                "both must be greater than zero."
            )
        if not 0 <= self.inner_mrad < self.outer_mrad:
            raise BadInput(
                f"The detector reaches from {self.inner_mrad} to {self.outer_mrad} mrad: "
                "the inner angle must be at least zero and below the outer one."
            )

    @property
    def wavelength_nm(self) -> float:
        """Relativistic electron wavelength in nm."""
        return wavelength_nm(self.voltage_kV)


def wavelength_nm(voltage_kV: float) -> float:
    """Return the relativistic de Broglie wavelength in nm of electrons of `voltage_kV`.

    >>> round(wavelength_nm(60.0), 6)
    0.004866
    """
    energy = voltage_kV * 1e3
    return float(_HC_EV_NM / np.sqrt(energy * (2.0 * _MC2_EV + energy)))


def interaction_rad_per_V_A(voltage_kV: float) -> float:
    """Return the interaction parameter sigma in rad / (V angstrom): phase shift per projected potential."""
    energy = voltage_kV * 1e3
    wavelength_A = wavelength_nm(voltage_kV) * 10.0
    return float(2.0 * np.pi / (wavelength_A * energy) * (_MC2_EV + energy) / (2.0 * _MC2_EV + energy))


def phase(microscope: Microscope, ky: NDArray[np.floating], kx: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the aberration phase chi in rad at the spatial frequencies `ky`, `kx` (1/nm, arrays that broadcast).

    ``chi = 2 pi / lambda * (C10 t^2/2 + C12 t^2/2 cos 2(p - p12) + C21 t^3/3 cos(p - p21) + C30 t^4/4)`` with
    ``t = lambda k`` (Kirkland, Advanced Computing in Electron Microscopy, doi:10.1007/978-3-030-33260-0).
    """
    wavelength = microscope.wavelength_nm
    ty, tx = wavelength * ky, wavelength * kx
    square = ty**2 + tx**2
    angle = np.deg2rad(microscope.astigmatism_deg)
    astigmatism = (tx**2 - ty**2) * np.cos(2 * angle) + 2 * tx * ty * np.sin(2 * angle)
    angle = np.deg2rad(microscope.coma_deg)
    coma = square * (tx * np.cos(angle) + ty * np.sin(angle))
    path = (
        -microscope.defocus_nm * square / 2
        + microscope.astigmatism_nm * astigmatism / 2
        + microscope.coma_nm * coma / 3
        + microscope.cs_mm * 1e6 * square**2 / 4
    )
    return np.asarray(2 * np.pi / wavelength * path)


def amplitude(microscope: Microscope, shape: tuple[int, int], size_nm: tuple[float, float]) -> NDArray[np.complex64]:
    """Return the probe's wave on a periodic grid of `shape` over `size_nm` (y, x), centred on element (0, 0).

    The aperture's edge is soft over one frequency step. The summed squared modulus is 1. A source has no part in it.
    """
    import scipy.fft

    ky = np.fft.fftfreq(shape[0], size_nm[0] / shape[0])[:, None]
    kx = np.fft.fftfreq(shape[1], size_nm[1] / shape[1])[None, :]
    cutoff = microscope.convergence_mrad * 1e-3 / microscope.wavelength_nm
    step = 1.0 / min(size_nm)
    inside_y = np.flatnonzero(abs(ky[:, 0]) < cutoff + step)
    inside_x = np.flatnonzero(abs(kx[0]) < cutoff + step)
    ky, kx = ky[inside_y], kx[:, inside_x]
    aperture = np.clip((cutoff - np.hypot(ky, kx)) / step + 0.5, 0.0, 1.0)
    wave = np.zeros(shape, np.complex64)
    wave[np.ix_(inside_y, inside_x)] = aperture * np.exp(-1j * phase(microscope, ky, kx))
    wave /= np.sqrt(np.sum(aperture**2))
    spread: NDArray[np.complex64] = scipy.fft.ifft2(wave, norm="ortho", overwrite_x=True)
    return spread


def probe(microscope: Microscope, shape: tuple[int, int], pixel_nm: float) -> NDArray[np.float32]:
    """Return the probe's intensity (H, W), source included, centred on pixel (H // 2, W // 2); it sums to 1.

    The pixel must resolve the intensity: raises `BadInput` above ``lambda / (4 convergence)``.
    """
    import scipy.fft

    limit = microscope.wavelength_nm / (4e-3 * microscope.convergence_mrad)
    if not 0 < pixel_nm <= limit:
        raise BadInput(
            f"A pixel of {pixel_nm} nm cannot show this probe: it must be positive and at most {limit:.4f} nm."
        )
    wave = amplitude(microscope, shape, (shape[0] * pixel_nm, shape[1] * pixel_nm))
    spectrum = scipy.fft.rfft2(np.abs(wave) ** 2)
    spectrum *= gaussian_transfer(microscope.source_fwhm_nm / FWHM_PER_SIGMA, shape, pixel_nm)
    intensity = scipy.fft.irfft2(spectrum, s=shape)
    return np.fft.fftshift(intensity).astype(np.float32)


def gaussian_transfer(sigma_nm: float, shape: tuple[int, int], pixel_nm: float) -> NDArray[np.float64]:
    """Return the Fourier transform of a unit Gaussian on the ``rfft2`` frequencies of an (H, W) grid."""
    square = np.fft.fftfreq(shape[0], pixel_nm)[:, None] ** 2 + np.fft.rfftfreq(shape[1], pixel_nm)[None, :] ** 2
    return np.asarray(np.exp(-2.0 * (np.pi * sigma_nm) ** 2 * square))
