"""The wave behind atoms that scatter strongly: slices of the specimen, one after the other, turn the beam's phase.

Each atom acts as the phase plate that `scattering` tables, averaged over its thermal motion; within a slice no atoms
of a column may lie above each other, between slices the wave spreads (Kirkland, doi:10.1007/978-3-030-33260-0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.simulate.gridding import Grid, evaluate, spread
from micrograph.simulate.optics import wavelength_nm
from micrograph.simulate.phase.hrtem import MARGIN_NM, Lens, image_of_wave, transfer
from micrograph.simulate.scattering import check_numbers, scattering_amplitude_A2

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Wave = NDArray[np.complex64]

#: Sampling of the wave (nm): what is scattered up to 2/3 of Nyquist's limit takes part, 26 mrad at 300 kV.
SAMPLING_NM = 0.025
#: Share of Nyquist's limit up to which scattering takes part.
_BAND = 2 / 3


@dataclass(frozen=True)
class Slice:
    """Atoms that scatter at one height `z_nm`: `places_nm` (N, 2) as (y, x) and their `numbers` (N,)."""

    z_nm: float
    places_nm: Array
    numbers: NDArray[np.int_]


def slices_of(atoms: Atoms, thickness_nm: float) -> list[Slice]:
    """Return `atoms` (angstrom, beam along +z) gathered into slices of `thickness_nm`; empty sites scatter nothing."""
    check_numbers(atoms.numbers)
    if not thickness_nm > 0:
        raise BadInput(f"Slices of {thickness_nm} nm were asked for: their thickness must be greater than zero.")
    there = np.flatnonzero(atoms.numbers > 0)
    levels = np.rint(atoms.positions[there, 2] / (10 * thickness_nm)).astype(int)
    places, numbers = atoms.positions[there][:, 1::-1] / 10.0, atoms.numbers[there]
    return [
        Slice(float(level * thickness_nm), places[levels == level], numbers[levels == level])
        for level in np.unique(levels)
    ]


def exit_wave(slices: Sequence[Slice], voltage_kV: float, grid: Grid, *, thermal_nm: float = 0.0) -> tuple[Wave, float]:
    """Return the wave (h, w) on `grid` behind all slices, 1 in the vacuum, and the height (nm) of its plane.

    thermal_nm: root mean square displacement per axis of every atom. The grid is periodic.
    """
    import scipy.fft

    ky, kx = (np.fft.fftfreq(n, s / n) for n, s in zip(grid.shape, grid.size_nm, strict=True))
    half = kx[: grid.shape[1] // 2 + 1]
    elements = {int(z) for one in slices for z in np.unique(one.numbers)}
    amplitude = {z: _amplitude_nm2(z, voltage_kV, np.hypot(ky[:, None], np.abs(half)), thermal_nm) for z in elements}
    square = ky[:, None] ** 2 + kx**2
    kept = square < (_BAND * min(n / (2 * s) for n, s in zip(grid.shape, grid.size_nm, strict=True))) ** 2
    turn = np.pi * wavelength_nm(voltage_kV) * square
    ordered = sorted(slices, key=lambda one: one.z_nm)
    wave: Any = np.ones(grid.shape, np.complex64)
    step, width = np.asarray(kept, np.complex64), np.nan
    for number, one in enumerate(ordered):
        wave = wave * _transmission(one, amplitude, grid)
        ahead = ordered[number + 1].z_nm - one.z_nm if number + 1 < len(ordered) else 0.0
        if abs(ahead - width) > 1e-9 or number == 0:
            step, width = (kept * np.exp(-1j * ahead * turn)).astype(np.complex64), ahead
        wave = scipy.fft.ifft2(scipy.fft.fft2(wave, overwrite_x=True) * step, overwrite_x=True)
    return np.asarray(wave, np.complex64), ordered[-1].z_nm if ordered else 0.0


def _amplitude_nm2(number: int, voltage_kV: float, k_per_nm: Array, thermal_nm: float) -> Wave:
    """Return the scattering amplitude (nm^2) of an element at frequencies (1/nm), averaged over thermal motion."""
    amplitude = 1e-2 * scattering_amplitude_A2(number, voltage_kV, k_per_nm / 10.0)
    return np.asarray(amplitude * np.exp(-2 * (np.pi * thermal_nm * k_per_nm) ** 2), np.complex64)


def _transmission(one: Slice, amplitude: dict[int, Wave], grid: Grid) -> Wave:
    """Return what a slice makes of the wave: 1 in the vacuum."""
    import scipy.fft

    real, imaginary = (np.zeros((grid.shape[0], grid.shape[1] // 2 + 1), np.complex64) for _ in range(2))
    near = grid.reaches(one.places_nm)
    for number in np.unique(one.numbers[near]):
        places = one.places_nm[near & (one.numbers == number)]
        spectrum = spread(places, np.ones(len(places)), grid)
        real += spectrum * amplitude[int(number)].real
        imaginary += spectrum * amplitude[int(number)].imag
    shown = np.empty(grid.shape, np.complex64)
    shown.real = 1 + scipy.fft.irfft2(real, s=grid.shape)
    shown.imag = scipy.fft.irfft2(imaginary, s=grid.shape)
    return shown


def wave_grid(side_px: int, pixel_nm: float, margin_nm: float = MARGIN_NM, sampling_nm: float = SAMPLING_NM) -> Grid:
    """Return the grid of waves for a square image: a margin on each side, samples of `sampling_nm` or less.

    Raises `BadInput` for an image without pixels.
    """
    import scipy.fft

    if not pixel_nm > 0 or side_px < 1:
        raise BadInput(f"An image of {side_px} pixels of {pixel_nm} nm was asked for: both must be greater than zero.")
    border = int(np.ceil(margin_nm / pixel_nm))
    pixels = scipy.fft.next_fast_len(side_px + 2 * border, real=True)
    working = scipy.fft.next_fast_len(int(np.ceil(pixels * pixel_nm / sampling_nm)), real=True)
    stride = int(np.ceil(pixel_nm / sampling_nm))
    return Grid(
        shape=(working, working),
        size_nm=(pixels * pixel_nm,) * 2,
        margin_nm=(border * pixel_nm,) * 2,
        image_shape=(side_px, side_px),
        fine_shape=(pixels * stride,) * 2,
        stride=stride,
    )


def image_behind(slices: Sequence[Slice], lens: Lens, grid: Grid, *, thermal_nm: float = 0.0, planes: int = 9) -> Image:
    """Return the image (H, W), 1 in the vacuum, of slices of atoms; the lens's defocus counts from the height z = 0.

    planes: focal planes that are summed over the focal spread; with one, the spread damps the wave, which is right
    where atoms scatter weakly.
    """
    import scipy.fft

    wave, height = exit_wave(slices, lens.voltage_kV, grid, thermal_nm=thermal_nm)
    seen = replace(lens, defocus_nm=lens.defocus_nm + height)
    pitch = grid.size_nm[0] / grid.shape[0]
    if planes == 1:
        ky, kx = (np.fft.fftfreq(n, s / n) for n, s in zip(grid.shape, grid.size_nm, strict=True))
        passed = transfer(seen, ky[:, None], kx[None]).astype(np.complex64)
        wave = scipy.fft.ifft2(scipy.fft.fft2(wave) * passed)
        seen = Lens(lens.voltage_kV, 0.0, focal_spread_nm=0.0, illumination_mrad=0.0, vibration_nm=lens.vibration_nm)
    image = image_of_wave(wave, seen, pitch, planes=planes)
    return evaluate(np.asarray(scipy.fft.rfft2(image), np.complex64), grid)
