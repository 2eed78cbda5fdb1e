"""Dynamical diffraction of one unit cell: which share of a plane wave leaves in which beam, by tilt and thickness.

A plane wave of transverse frequency k stays a Bloch wave: a unit cell of some 48 x 48 samples holds all of it, and
multislice propagates it exactly (Kirkland, Advanced Computing in Electron Microscopy, 2010). Slices are averaged over
the thermal motion of their atoms (Einstein's model), so that what is scattered diffusely is lost from the beams; atoms
in different slices move independently, and the average over them is exact.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.core.provenance import whole
from micrograph.simulate.optics import Microscope
from micrograph.simulate.scattering import check_numbers, scattering_amplitude_A2

Array = NDArray[np.float64]
Index = NDArray[np.int_]
#: Called with (done, total).
Advance = Callable[[int, int], object]

#: Elastic scattering up to here (1/angstrom) takes part: thermal motion damps what goes farther.
LIMIT_PER_A = 4.0
#: Thermal motion (nm rms per axis) of an element of which none is given.
THERMAL_NM = 0.008
#: Atoms whose heights differ by less (nm) lie in one slice.
_SLICE_NM = 0.03
_BATCH = 48
#: The eight operations of a square, as matrices on (y, x).
SQUARE_OPERATIONS = np.array(
    [[[s, 0], [0, t]] for s in (1, -1) for t in (1, -1)] + [[[0, s], [t, 0]] for s in (1, -1) for t in (1, -1)]
)


@dataclass(frozen=True)
class Zone:
    """An orthogonal unit cell seen along z.

    side_A: (height, width) angstrom; slices from the entrance on: transmission (H, W) each, and thickness_A (S,) up to
    the next one.
    """

    side_A: tuple[float, float]
    slices: tuple[NDArray[np.complex64], ...]
    thickness_A: tuple[float, ...]
    wavelength_A: float

    @property
    def cell_nm(self) -> float:
        """Thickness of one cell."""
        return sum(self.thickness_A) / 10.0

    def mrad(self) -> tuple[float, float]:
        """Return the angles (y, x) between neighbouring beams."""
        return 1e3 * self.wavelength_A / self.side_A[0], 1e3 * self.wavelength_A / self.side_A[1]


def zone_of(atoms: Atoms, voltage_kV: float, thermal_nm: Mapping[str, float] | None = None) -> Zone:
    """Return the zone of a periodic structure whose cell is orthogonal; thermal motion by element (nm rms per axis).

    Raises `BadInput` for a cell with other angles and for elements beyond uranium.
    """
    cell = np.asarray(atoms.cell)
    lengths = np.diag(cell)
    if np.abs(cell - np.diag(lengths)).max() > 1e-3 * lengths.max():
        raise BadInput("The unit cell is not orthogonal with its edges along x, y and z: give one that is.")
    check_numbers(atoms.numbers)
    side = (float(lengths[1]), float(lengths[0]))
    heights = np.mod(atoms.positions[:, 2] + 1e-6, lengths[2])
    order = np.argsort(heights)
    cuts = np.flatnonzero(np.diff(heights[order]) > 10 * _SLICE_NM) + 1
    groups = np.split(order, cuts)
    starts = np.array([heights[group].mean() for group in groups])
    thickness = np.diff(np.append(starts, starts[0] + lengths[2]))
    slices = tuple(_transmission(atoms[group], side, voltage_kV, thermal_nm or {}) for group in groups)
    wavelength = 10 * Microscope(voltage_kV=voltage_kV).wavelength_nm
    return Zone(side, slices, tuple(map(float, thickness)), wavelength)


def _samples(side_A: float) -> int:
    """Return an even number of samples, quick to transform, whose two thirds of Nyquist's limit is `LIMIT_PER_A`."""
    least = int(np.ceil(3 * LIMIT_PER_A * side_A))
    return next(n for n in range(least + least % 2, 2 * least + 8, 2) if _largest_factor(n) <= 5)


def _largest_factor(n: int) -> int:
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n if n > 1 else 1


def _transmission(
    atoms: Atoms, side_A: tuple[float, float], voltage_kV: float, thermal_nm: Mapping[str, float]
) -> NDArray[np.complex64]:
    """Return the transmission (H, W) of one slice, averaged over the motion of its atoms."""
    shape = (_samples(side_A[0]), _samples(side_A[1]))
    gy, gx = (np.fft.fftfreq(n, side / n) for n, side in zip(shape, side_A, strict=True))
    s = np.hypot(gy[:, None], gx)
    total = np.ones(shape, complex)
    for atom in atoms:
        symbol, (x, y) = str(atom.symbol), atom.position[:2]
        u = 10 * thermal_nm.get(symbol, THERMAL_NM)
        amplitude = scattering_amplitude_A2(int(atom.number), voltage_kV, s) * np.exp(-2 * (np.pi * u * s) ** 2)
        phase = np.exp(-2j * np.pi * (gy[:, None] * y + gx * x))
        total = total * (1 + np.fft.ifft2(amplitude * phase) * s.size / (side_A[0] * side_A[1]))
    return total.astype(np.complex64)


@dataclass(frozen=True)
class Rocking:
    """Beam intensities: `share` (T, K, G) of a plane wave at `tilts` (K, 2) that leaves in `beams` (G, 2).

    thickness_nm (T,); tilts and beams as whole numbers (y, x): tilts in steps of the beams' spacing over `fine` (2,).
    Tilts are those of one irreducible sector; `operations` (O, 2, 2) map it onto all others.
    """

    zone: Zone
    thickness_nm: Array
    tilts: Index
    beams: Index
    fine: tuple[int, int]
    operations: Index
    share: NDArray[np.float32]

    @property
    def step_mrad(self) -> tuple[float, float]:
        """Angle (y, x) between neighbouring tilts."""
        spacing = self.zone.mrad()
        return spacing[0] / self.fine[0], spacing[1] / self.fine[1]


def beam_shares(zone: Zone, tilts_mrad: Array, cells: Index, beams: Index) -> NDArray[np.float32]:
    """Return (len(cells), K, G): the share of plane waves at `tilts_mrad` (K, 2), (y, x), in `beams` (G, 2).

    `cells`: after how many unit cells, rising.
    """
    import scipy.fft

    shape = zone.slices[0].shape
    gy, gx = (np.fft.fftfreq(n, side / n) for n, side in zip(shape, zone.side_A, strict=True))
    k = tilts_mrad / (1e3 * zone.wavelength_A)
    found = np.empty((len(cells), len(k), len(beams)), np.float32)
    kept = np.hypot(gy[:, None], gx) <= 2 / 3 * min(abs(gy).max(), abs(gx).max())
    steps = [_propagator(zone, k, gy, gx, dz) * kept for dz in zone.thickness_A]
    wave = np.ones((len(k), *shape), np.complex64)
    row, column = beams[:, 0] % shape[0], beams[:, 1] % shape[1]
    at = {int(count): number for number, count in enumerate(cells)}
    for cell in range(1, int(cells[-1]) + 1):
        for transmission, step in zip(zone.slices, steps, strict=True):
            spectrum = scipy.fft.fft2(wave * transmission, overwrite_x=True)
            spectrum *= step
            wave = scipy.fft.ifft2(spectrum)
        if cell in at:
            chosen = spectrum[:, row, column] / (shape[0] * shape[1])
            found[at[cell]] = chosen.real**2 + chosen.imag**2
    return found


def _propagator(zone: Zone, k: Array, gy: Array, gx: Array, dz_A: float) -> NDArray[np.complex64]:
    along_y, along_x = (
        np.exp(-1j * np.pi * zone.wavelength_A * dz_A * (k[:, axis, None] + g) ** 2).astype(np.complex64)
        for axis, g in ((0, gy), (1, gx))
    )
    return np.asarray(along_y[:, :, None] * along_x[:, None, :])


def symmetry(zone: Zone, tolerance: float = 2e-3) -> Index:
    """Return those of the eight operations of a square (O, 2, 2) under which the diffraction of the zone is unchanged.

    Found by trying: a plane wave at the turned tilt must give the turned pattern.
    """
    square = abs(zone.side_A[0] / zone.side_A[1] - 1) < 1e-4
    tried = SQUARE_OPERATIONS if square else SQUARE_OPERATIONS[:4]
    spacing = np.array(zone.mrad())
    tilt = np.array([0.83, 0.31]) * spacing
    beams = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2, indexing="ij"), -1).reshape(-1, 2)
    cells = np.array([max(1, round(6.0 / zone.cell_nm))])
    patterns = []
    for operation in tried:
        share = beam_shares(zone, (operation @ tilt)[None], cells, beams @ operation.T)
        patterns.append(share[0, 0])
    same = [np.abs(one - patterns[0]).max() < tolerance * patterns[0].max() for one in patterns]
    return np.asarray(tried[same])


def rocking(
    zone: Zone,
    reach_mrad: float,
    beams_to_mrad: float,
    thickest_nm: float,
    progress: Advance | None = None,
    keep: Path | None = None,
) -> Rocking:
    """Return the beams within `beams_to_mrad` of the direct one for all tilts up to `reach_mrad`.

    Tilts come in steps of about 0.55 mrad, thicknesses in steps of whole cells of 0.8 nm or less up to `thickest_nm`.
    Parts are kept in the folder `keep`, and those that are there already are read.
    """
    spacing = zone.mrad()
    fine = (max(1, round(spacing[0] / 0.55)), max(1, round(spacing[1] / 0.55)))
    step = np.array([spacing[0] / fine[0], spacing[1] / fine[1]])
    operations = symmetry(zone)
    tilts = _within(step, reach_mrad)
    images = np.einsum("oij,kj->koi", operations, tilts)
    rank = images[..., 0] * 100_003 + images[..., 1]
    tilts = tilts[rank.max(axis=1) == tilts[:, 0] * 100_003 + tilts[:, 1]]
    beams = _within(np.array(spacing), beams_to_mrad)
    every = max(1, int(0.8 / zone.cell_nm))
    cells = every * np.arange(1, int(thickest_nm / zone.cell_nm / every) + 1)
    parts = []
    for at in range(0, len(tilts), _BATCH):
        if progress is not None:
            progress(at, len(tilts))
        chosen = tilts[at : at + _BATCH] * step
        parts.append(_kept(keep, at, functools.partial(beam_shares, zone, chosen, cells, beams)))
    share = np.concatenate(parts, axis=1)
    return Rocking(zone, np.asarray(cells * zone.cell_nm, dtype=float), tilts, beams, fine, operations, share)


def _kept(folder: Path | None, number: int, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what `make` gives, kept as part `number` in a folder; from there where it is there already."""
    if folder is None:
        return make()
    path = folder / f"{number:06d}.npy"
    if not path.exists():
        with whole(path) as temporary, temporary.open("wb") as file:
            np.save(file, make())
    found: NDArray[np.float32] = np.load(path)
    return found


def _within(step: Array, reach: float) -> Index:
    """Return all points (N, 2) of a lattice with `step` (2,) within `reach` of its origin."""
    most = np.ceil(reach / step).astype(int)
    axes = [np.arange(-n, n + 1) for n in most]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    return np.asarray(points[np.hypot(*(points * step).T) <= reach + 1e-9])
