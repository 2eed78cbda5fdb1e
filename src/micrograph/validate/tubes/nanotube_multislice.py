"""Nanotubes by multislice with abTEM's potentials (the [sim] extra): a test set of another simulator.

`simulate.phase_contrast` lets every atom scatter by itself, once. Here the wave passes slice after slice of the whole
tube, every slice turns its phase, and the image is that of all waves, scattered several times or not, non-linear in
them, summed over focal planes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.optics import interaction_rad_per_V_A
from micrograph.simulate.phase.hrtem import Lens, image_of_wave
from micrograph.validate.objects.particle_multislice import scattering_factor, shared_out

if TYPE_CHECKING:
    from ase import Atoms

Image = NDArray[np.float32]
#: Thickness of a slice (nm), sampling of the wave (nm) at most, and the border (nm) that is cut off.
_SLICE_NM, _SAMPLING_NM, _BORDER_NM = 0.1, 0.021, 0.8


def multislice_image(atoms: Atoms, lens: Lens, *, pixel_nm: float, shape: tuple[int, int], thermal_nm: float) -> Image:
    """Return the image (H, W) of carbon `atoms` by multislice; arguments as of `simulate.phase_contrast`; square."""
    import scipy.fft

    finer = int(np.ceil(pixel_nm / _SAMPLING_NM))
    step = pixel_nm / finer
    border = int(np.ceil(_BORDER_NM / pixel_nm))
    number = scipy.fft.next_fast_len((shape[0] + 2 * border) * finer)
    places = atoms.positions[:, 1::-1] / 10 / step + border * finer
    held = np.all((places >= 0) & (places < number - 1), axis=1) & (atoms.numbers > 0)
    levels = np.floor(atoms.positions[:, 2] / 10 / _SLICE_NM).astype(int)
    wave = _passed(places[held], levels[held], number, (step, lens.voltage_kV, lens.wavelength_nm, thermal_nm))
    behind = (levels[held].max() + 0.5) * _SLICE_NM
    image = image_of_wave(wave, replace(lens, defocus_nm=lens.defocus_nm + behind), step, planes=5)
    inner = slice(border * finer, (border + shape[0]) * finer, finer)
    return np.asarray(image[inner, inner], np.float32)


def _passed(
    places: NDArray[np.float64], levels: NDArray[np.int_], number: int, beam: tuple[float, float, float, float]
) -> NDArray[np.complex64]:
    """Return the wave (N, N) behind atoms at `places` (A, 2), in samples, in slices `levels` (A,)."""
    import scipy.fft

    step, voltage, wavelength, thermal = beam
    ky, kx = np.fft.fftfreq(number, step)[:, None], np.fft.fftfreq(number, step)[None]
    square = ky**2 + kx**2
    half = (slice(None), slice(0, number // 2 + 1))
    potential = scattering_factor(6, square[half] / 100) * np.exp(-2 * (np.pi * thermal) ** 2 * square[half])
    phases = potential * interaction_rad_per_V_A(voltage) / (10 * step) ** 2
    phases /= (np.sinc(ky * step) * np.sinc(kx[:, : number // 2 + 1] * step)) ** 2
    drift = np.exp(-1j * np.pi * wavelength * _SLICE_NM * square) * (square < (1 / (3 * step)) ** 2)
    wave = np.ones((number, number), np.complex64)
    for level in range(levels.min(), levels.max() + 1):
        turned = scipy.fft.irfft2(scipy.fft.rfft2(shared_out(places[levels == level], number)) * phases, s=wave.shape)
        wave = scipy.fft.ifft2(scipy.fft.fft2(wave * np.exp(1j * turned)) * drift).astype(np.complex64)
    return wave
