"""Patterns of SrTiO3 from another simulator: frozen phonons, a focused probe at many places, factors of abTEM.

The library propagates plane waves through one cell and loses what is scattered diffusely. Here a probe is focused into
a crystal of 10 x 10 cells whose atoms all stand off their places, on every point of a grid in the cell; the patterns
are averaged. Diffuse scattering is where it falls. Made by `make_patterns`, which takes half an hour, and shipped.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.simulate.optics import interaction_rad_per_V_A, wavelength_nm
from micrograph.structures.perovskite import SRTIO3_THERMAL_NM, cubic_perovskite
from micrograph.validate.objects.particle_multislice import scattering_factor

Array = NDArray[np.float64]
Wave = NDArray[np.complex64]

#: Patterns that ship.
SHIPPED = Path(__file__).resolve().parents[1] / "patterns" / "pacbed_srtio3.npz"
#: Cells along each side, samples, places of the probe along the cell, different displaced slices of each kind.
CELLS, SAMPLES, PLACES, FROZEN = 10, 400, 7, 24
VOLTAGE_KV = 200.0
THICKNESS_NM = (8.0, 15.0, 25.0, 38.0, 50.0, 65.0, 80.0)
#: Half-angle of the middle of the diffraction plane that is kept (mrad).
KEPT_MRAD = 40.0


@dataclass(frozen=True)
class Averaged:
    """Patterns (T, H, W) of a unit beam at `thickness_nm` (T,), the disc about the middle pixel."""

    convergence_mrad: float
    tilt_mrad: tuple[float, float]
    thickness_nm: Array
    mrad_per_px: float
    patterns: Array


def averaged_patterns(convergence_mrad: float, tilt_mrad: tuple[float, float], rng: np.random.Generator) -> Averaged:
    """Return patterns averaged over all places in the cell and over frozen phonons; some minutes.

    Without a tilt only the places are computed that the crystal's symmetry does not give.
    """
    import scipy.fft

    cell = cubic_perovskite()
    side = CELLS * float(cell.cell.lengths()[0])
    k = np.asarray(np.fft.fftfreq(SAMPLES, side / SAMPLES), dtype=float)
    wavelength = 10 * wavelength_nm(VOLTAGE_KV)
    tilt = np.array(tilt_mrad) / (1e3 * wavelength)
    inside = np.hypot(k[:, None], k) < SAMPLES / side / 3
    layers = [_slices(cell, half, k, side, rng) for half in (0.0, 0.5)]
    dz = float(cell.cell.lengths()[2]) / 2
    angle = (k[:, None] + tilt[0]) ** 2 + (k + tilt[1]) ** 2
    step = (np.exp(-1j * np.pi * wavelength * dz * angle) * inside).astype(np.complex64)
    counts = np.rint(np.array(THICKNESS_NM) * 10 / (2 * dz)).astype(int)
    half = int(KEPT_MRAD / (1e3 * wavelength / side))
    total = np.zeros((len(counts), 2 * half + 1, 2 * half + 1))
    weights = 0.0
    for place, weight in _places(symmetric=not any(tilt_mrad)):
        wave: Any = scipy.fft.ifft2(_probe(k, convergence_mrad / (1e3 * wavelength), side / CELLS * np.array(place)))
        for number in range(1, int(counts[-1]) + 1):
            for layer in layers:
                moved = np.roll(layer[rng.integers(FROZEN)], rng.integers(0, CELLS, 2) * (SAMPLES // CELLS), (0, 1))
                spectrum = scipy.fft.fft2(wave * moved) * step
                wave = scipy.fft.ifft2(spectrum)
            if number in counts:
                shown = np.fft.fftshift(np.abs(spectrum) ** 2)
                middle = SAMPLES // 2
                cut = shown[middle - half : middle + half + 1, middle - half : middle + half + 1]
                total[list(counts).index(number)] += weight * (_folded(cut) if not any(tilt_mrad) else cut)
        weights += weight
    patterns = total / weights
    return Averaged(convergence_mrad, tilt_mrad, counts * 2 * dz / 10, 1e3 * wavelength / side, patterns)


def _places(symmetric: bool) -> Iterator[tuple[tuple[float, float], float]]:
    """Yield places (y, x) in the cell (0..1) and how many places each stands for."""
    most = PLACES // 2
    for i in range(most + 1 if symmetric else PLACES):
        for j in range(i + 1 if symmetric else PLACES):
            alike = len({(s * a, t * b) for a, b in ((i, j), (j, i)) for s in (1, -1) for t in (1, -1)})
            yield (i / PLACES, j / PLACES), float(alike if symmetric else 1)


def _probe(k: Array, radius: float, place: Array) -> Wave:
    """Return the Fourier coefficients of a focused probe at `place` (y, x) of sum of squares one."""
    length = np.hypot(k[:, None], k)
    share = np.clip((radius - length) / (k[1] - k[0]) + 0.5, 0, 1)
    wave = np.sqrt(share / share.sum()) * np.exp(-2j * np.pi * (k[:, None] * place[0] + k * place[1]))
    return np.asarray(wave * 1.0, np.complex64)


def _slices(cell: Atoms, half: float, k: Array, side: float, rng: np.random.Generator) -> list[Wave]:
    """Return what displaced slices through the atoms at height `half` do to a wave, each (H, W)."""
    layer = cell[np.flatnonzero(np.isclose(cell.get_scaled_positions()[:, 2], half))]  # type: ignore[no-untyped-call]
    shift = np.stack(np.meshgrid(*[np.arange(CELLS)] * 2, indexing="ij"), -1).reshape(-1, 2) * side / CELLS
    square = k[:, None] ** 2 + k**2
    factors = {int(z): scattering_factor(int(z), square) for z in set(layer.numbers.tolist())}
    inside = np.sqrt(square) < SAMPLES / side / 3
    found = []
    for _ in range(FROZEN):
        spectrum = np.zeros(square.shape, complex)
        for atom in layer:
            sigma = 10 * SRTIO3_THERMAL_NM[str(atom.symbol)]
            places = shift + atom.position[1::-1] + rng.normal(0, sigma, shift.shape)
            rows, columns = (np.exp(-2j * np.pi * k[:, None] * places[:, axis]) for axis in (0, 1))
            spectrum += factors[int(atom.number)] * (rows @ columns.T)
        potential = np.fft.ifft2(spectrum).real * square.size / side**2
        wave = np.fft.fft2(np.exp(1j * interaction_rad_per_V_A(VOLTAGE_KV) * potential)) * inside
        found.append(np.fft.ifft2(wave).astype(np.complex64))
    return found


def _folded(pattern: Array) -> Array:
    """Return the mean of a pattern (H, H) over the eight operations of a square."""
    four = [np.rot90(pattern, turns) for turns in range(4)]
    return np.asarray(np.mean([*four, *(one.T for one in four)], axis=0))


def make_patterns(path: Path = SHIPPED) -> None:
    """Make the patterns that ship."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, (convergence, tilt) in enumerate(((13.6, (0.0, 0.0)), (19.1, (0.0, 0.0)), (13.6, (1.7, -0.9)))):
        found = averaged_patterns(convergence, tilt, np.random.default_rng([number, 7]))
        arrays[f"patterns{number}"] = found.patterns.astype(np.float32)
        arrays[f"facts{number}"] = np.array([convergence, *tilt, found.mrad_per_px])
        arrays[f"thickness_nm{number}"] = found.thickness_nm
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


@functools.cache
def shipped_patterns() -> tuple[Averaged, ...]:
    """Return the patterns that ship."""
    with np.load(SHIPPED) as file:
        number = sum(name.startswith("patterns") for name in file.files)
        facts = [file[f"facts{i}"] for i in range(number)]
        return tuple(
            Averaged(
                float(one[0]),
                (float(one[1]), float(one[2])),
                file[f"thickness_nm{i}"],
                float(one[3]),
                file[f"patterns{i}"].astype(float),
            )
            for i, one in enumerate(facts)
        )
