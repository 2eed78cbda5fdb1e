"""Annular bright-field images of a periodic crystal by Bloch waves: all thicknesses and foci of one structure at once.

The potential is averaged along the beam over one period. For each transverse wave vector the crystal's waves follow
from one eigenvalue problem; a focused probe is a sum over wave vectors, and an image's Fourier coefficient at G comes
from pairs that differ by G. Thermal motion (Einstein's model) damps the potential and absorbs: what is scattered
diffusely is lost from the elastic image and given as an image of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.simulate.optics import Microscope, phase
from micrograph.simulate.scattering import check_numbers, scattering_amplitude_A2

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

#: Beams take part that lie up to so much (1/nm) beyond the aperture.
MARGIN_PER_NM = 9.0
#: Where the Brillouin zone is sampled (0 to 1): k and -k are the same there, which halves the work.
POINTS = ((0.0, 0.0), (0.5, 0.5))
#: Samples and side (angstrom) of the grid on which one atom's transmission is averaged over its thermal motion.
_SAMPLES, _SIDE_A = 256, 8.0


@functools.lru_cache(maxsize=64)
def _phase_table(number: int, voltage_kV: float, thermal_nm: float) -> tuple[Array, Complex]:
    """Return frequencies (1/angstrom) and the Fourier transform (angstrom^2) of an atom's thermally averaged phase.

    The logarithm of the averaged transmission: its real part is what is absorbed.
    """
    k = np.fft.fftfreq(_SAMPLES, _SIDE_A / _SAMPLES)
    s = np.hypot(k[:, None], k)
    moving = scattering_amplitude_A2(number, voltage_kV, s) * np.exp(-2 * (np.pi * 10 * thermal_nm * s) ** 2)
    pixel = (_SIDE_A / _SAMPLES) ** 2
    logarithm = np.log(1 + np.fft.ifft2(moving) / pixel)
    spectrum = np.fft.fft2(logarithm)[0, : _SAMPLES // 2] * pixel
    return np.asarray(k[: _SAMPLES // 2], dtype=float), spectrum


def averaged_phase(number: int, voltage_kV: float, thermal_nm: float, s_per_A: Array) -> Complex:
    """Return the Fourier transform (angstrom^2) of the complex phase of a moving atom at `s_per_A` (any shape)."""
    from scipy.interpolate import CubicSpline

    k, table = _phase_table(number, voltage_kV, thermal_nm)
    return np.asarray(CubicSpline(k, table)(np.minimum(s_per_A, k[-1])))


@dataclass(frozen=True)
class Columns:
    """A periodic projected structure: cell (y, x) in nm, depth (nm) of the period along the beam, and its atoms.

    points_nm (N, 2) as (y, x); numbers (N,); thermal_nm (N,), rms per axis; share (N,): of the atom at this place.
    """

    cell_nm: tuple[float, float]
    depth_nm: float
    points_nm: Array
    numbers: NDArray[np.int_]
    thermal_nm: Array
    share: Array

    @staticmethod
    def of(atoms: Atoms, thermal_nm: Mapping[str, float], halved: bool = False) -> Columns:
        """Return the columns along z of an orthogonal cell; `halved` folds it to half its width along x."""
        check_numbers(atoms.numbers)
        lengths = np.asarray(atoms.cell.lengths(), float) / 10
        width = lengths[0] / 2 if halved else lengths[0]
        places = atoms.positions[:, 1::-1] / 10
        thermal = np.array([thermal_nm.get(str(symbol), 0.008) for symbol in atoms.symbols])
        share = np.full(len(atoms), 0.5 if halved else 1.0)
        return Columns((float(lengths[1]), float(width)), float(lengths[2]), places, atoms.numbers, thermal, share)


@dataclass(frozen=True)
class BlochImages:
    """Fourier coefficients of images (T, F, ny, nx), ordered as ``fftfreq``, by thickness and focus.

    `elastic`: share of the beam on the detector; `lost`: share that was absorbed. cell_nm (y, x).
    """

    cell_nm: tuple[float, float]
    thickness_nm: Array
    defocus_nm: Array
    elastic: NDArray[np.complex64]
    lost: NDArray[np.complex64]


def bloch_images(
    columns: Columns,
    microscope: Microscope,
    thickness_nm: Sequence[float],
    defocus_nm: Sequence[float],
    tilt_mrad: tuple[float, float] = (0.0, 0.0),
    points: Sequence[tuple[float, float]] = POINTS,
) -> BlochImages:
    """Return the images of a crystal tilted by `tilt_mrad` (y, x) at every thickness and defocus (under is positive).

    The microscope's inner and outer angles are the detector's. `points` sample the Brillouin zone (0..1).
    """
    wavelength = microscope.wavelength_nm
    shape = _image_shape(columns.cell_nm, 2e-3 * microscope.convergence_mrad / wavelength)
    elastic = np.zeros((len(thickness_nm), len(defocus_nm), *shape), complex)
    lost = np.zeros_like(elastic)
    optics = [replace(microscope, defocus_nm=float(one)) for one in defocus_nm]
    away = np.array(tilt_mrad) * 1e-3 / wavelength
    for point in points:
        waves = _Waves.of(columns, microscope, np.array(point), away)
        k = waves.k - away
        angle = 1e3 * wavelength * np.hypot(*k.T)
        step = 1e3 * wavelength / np.sqrt(columns.cell_nm[0] * columns.cell_nm[1])
        aperture = np.clip((microscope.convergence_mrad - angle) / step + 0.5, 0, 1)
        inside = np.flatnonzero(aperture > 0)
        detector = np.clip((microscope.outer_mrad - angle) / step + 0.5, 0, 1)
        if microscope.inner_mrad > 0:
            detector *= np.clip((angle - microscope.inner_mrad) / step + 0.5, 0, 1)
        lens = np.stack([aperture[inside] * np.exp(-1j * phase(one, *k[inside].T)) for one in optics])
        lens /= np.sqrt(np.sum(aperture[inside] ** 2))
        place = _places(waves.index[inside], shape)
        for number, thickness in enumerate(thickness_nm):
            seen, all_ = waves.products(inside, detector, thickness)
            for focus, wave in enumerate(lens):
                pair = wave[:, None] * wave.conj()
                elastic[number, focus] += _gathered(pair * seen, place, shape)
                lost[number, focus] += _gathered(pair * (np.diag(np.ones(len(wave))) - all_), place, shape)
    return BlochImages(
        columns.cell_nm,
        np.asarray(thickness_nm, float),
        np.asarray(defocus_nm, float),
        (elastic / len(points)).astype(np.complex64),
        (lost / len(points)).astype(np.complex64),
    )


@dataclass(frozen=True)
class _Waves:
    """Bloch waves of one wave vector: k (B, 2) in 1/nm and index (B, 2) of the beams, and the waves (B, B)."""

    k: Array
    index: NDArray[np.int_]
    vectors: NDArray[Any]
    values: Complex

    @staticmethod
    def of(columns: Columns, microscope: Microscope, point: Array, away: Array) -> _Waves:
        spacing = 1 / np.array(columns.cell_nm)
        limit = 1e-3 * microscope.convergence_mrad / microscope.wavelength_nm + MARGIN_PER_NM + np.hypot(*away) / 2
        most = np.ceil(limit / spacing).astype(int) + 1
        grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in most], indexing="ij"), axis=-1).reshape(-1, 2)
        k = (grid + point) * spacing
        near = np.hypot(*k.T) <= limit
        grid, k = grid[near], k[near]
        table = _structure(columns, microscope.voltage_kV, 2 * most)

        def between(rows: NDArray[np.intp], others: NDArray[np.intp]) -> Complex:
            away = grid[rows][:, None] - grid[others] + 2 * most
            vacuum = 1j * np.pi * microscope.wavelength_nm * (k[rows] ** 2).sum(axis=1)
            return np.asarray(table[away[..., 0], away[..., 1]] - (rows[:, None] == others) * vacuum[:, None])

        every = np.arange(len(k))
        symmetric = np.abs(table - table[::-1, ::-1]).max() < 1e-6 * np.abs(table).max()
        if symmetric and np.allclose(2 * point, np.rint(2 * point)):
            values, vectors = _by_parity(between, grid, np.rint(2 * point).astype(int))
        else:
            values, vectors = _solved(between(every, every))
        return _Waves(k, grid, vectors, values)

    def products(
        self, inside: NDArray[np.intp], detector: Array, thickness_nm: float
    ) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
        """Return (K, K): for pairs of incident beams what reaches the detector, and what is not absorbed."""
        start = (np.exp(self.values * thickness_nm).astype(np.complex64) * self.vectors[inside].conj()).T
        seen = np.flatnonzero(detector > 0)
        scattered = _product(np.sqrt(detector[seen]).astype(np.float32)[:, None] * self.vectors[seen], start)
        return scattered.T @ scattered.conj(), start.T @ start.conj()


def _solved(matrix: Complex) -> tuple[Complex, NDArray[Any]]:
    """Return the rates (1/nm) and waves of ``d psi / dz = matrix psi``; absorption to first order.

    About a centre of symmetry the waves are real, which is three times quicker.
    """
    import scipy.linalg

    forward, absorbed = (matrix - matrix.conj().T) / 2j, (matrix + matrix.conj().T) / 2
    size = np.abs(absorbed).max()
    is_real = max(np.abs(forward.imag).max(), np.abs(absorbed.imag).max()) <= 1e-6 * size
    kind: Any = np.float32 if is_real else np.complex64
    single, damped = ((part.real if is_real else part).astype(kind) for part in (forward, absorbed))
    values, vectors = scipy.linalg.eigh(single, driver="evd", overwrite_a=True, check_finite=False)
    damping = np.einsum("bi,bi->i", vectors.conj(), damped @ vectors).real
    return 1j * values.astype(float) + np.minimum(damping, 0.0), vectors


def _by_parity(
    between: Callable[[NDArray[np.intp], NDArray[np.intp]], Complex], grid: NDArray[np.int_], double: NDArray[np.int_]
) -> tuple[Complex, NDArray[Any]]:
    """Return rates and waves, even ones first, of a crystal with a centre of symmetry where k and -k are both there."""
    number = {tuple(one): place for place, one in enumerate(grid.tolist())}
    partner = np.array([number[tuple(one)] for one in (-grid - double).tolist()])
    every = np.arange(len(grid))
    alone, first = every[partner == every], every[partner > every]
    second = partner[first]
    straight, crossed = between(first, first), between(first, second)
    side = np.sqrt(2) * between(alone, first)
    even = np.block([[between(alone, alone), side], [side.T, straight + crossed]])
    values, parts = zip(_solved(even), _solved(straight - crossed), strict=True)
    vectors = np.zeros((len(grid), len(grid)), parts[0].dtype)
    n, half = len(alone), np.float32(np.sqrt(0.5))
    count = len(even)
    vectors[alone, :count] = parts[0][:n]
    vectors[first, :count] = vectors[second, :count] = half * parts[0][n:]
    vectors[first, count:] = half * parts[1]
    vectors[second, count:] = -half * parts[1]
    return np.concatenate(values), vectors


def _product(left: NDArray[Any], right: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Return the matrix product; a real left side is not made complex."""
    if np.iscomplexobj(left):
        return np.asarray(left @ right)
    both = left @ np.concatenate([right.real, right.imag], axis=1)
    half = right.shape[1]
    return np.asarray(both[:, :half] + 1j * both[:, half:], np.complex64)


def _structure(columns: Columns, voltage_kV: float, most: NDArray[np.int_]) -> Complex:
    """Return the averaged phase per nm (2 most + 1, ...) at whole numbers -most..most of the reciprocal lattice."""
    ny, nx = (np.arange(-n, n + 1) for n in most)
    gy, gx = ny / columns.cell_nm[0], nx / columns.cell_nm[1]
    s = np.hypot(gy[:, None], gx) / 10
    total = np.zeros(s.shape, complex)
    area = 100 * columns.cell_nm[0] * columns.cell_nm[1]
    kinds = np.stack([columns.numbers, np.rint(columns.thermal_nm * 1e6)], axis=1)
    for number, motion in np.unique(kinds, axis=0):
        chosen = (kinds == (number, motion)).all(axis=1)
        y, x = columns.points_nm[chosen].T
        along_y, along_x = np.exp(-2j * np.pi * gy[:, None] * y), np.exp(-2j * np.pi * x[:, None] * gx)
        factor = averaged_phase(int(number), voltage_kV, float(motion) * 1e-6, s)
        total += factor * ((along_y * columns.share[chosen]) @ along_x)
    return np.asarray(total / (area * columns.depth_nm), complex)


def _image_shape(cell_nm: tuple[float, float], highest_per_nm: float) -> tuple[int, int]:
    ny, nx = (2 * (int(highest_per_nm * side) + 1) + 1 for side in cell_nm)
    return ny, nx


def _places(index: NDArray[np.int_], shape: tuple[int, int]) -> NDArray[np.int_]:
    away = index[None] - index[:, None]
    return np.asarray((away[..., 0] % shape[0]) * shape[1] + away[..., 1] % shape[1])


def _gathered(terms: Complex, place: NDArray[np.int_], shape: tuple[int, int]) -> Complex:
    size = shape[0] * shape[1]
    real = np.bincount(place.ravel(), terms.real.ravel(), size)
    imaginary = np.bincount(place.ravel(), terms.imag.ravel(), size)
    return np.asarray((real + 1j * imaginary).reshape(shape), complex)
