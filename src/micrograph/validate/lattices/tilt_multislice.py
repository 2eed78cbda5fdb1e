"""Annular bright-field images of tilted perovskites by multislice with frozen phonons: a test set of another simulator.

The Bloch waves of `simulate.bloch` know the potential averaged along the beam, and lose what is scattered diffusely.
Here every slice holds its own displaced atoms (scattering factors of abTEM), so that nothing is averaged and diffuse
scattering falls where it falls. ``python -m micrograph.validate.lattices.tilt_multislice`` makes the images that ship.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core.provenance import whole
from micrograph.simulate.bloch import BlochImages
from micrograph.simulate.optics import Microscope, interaction_rad_per_V_A, phase
from micrograph.simulate.tilt_images import THERMAL_NM, Crystal, Kept, TiltRanges, random_crystal
from micrograph.validate.objects.particle_multislice import scattering_factor

Array = NDArray[np.float64]
Wave = NDArray[np.complex64]

#: Images that ship.
SHIPPED = Path(__file__).resolve().parents[1] / "patterns" / "tilts_multislice.npz"
#: Scattering up to here (1/nm) takes part; slices in one period along the beam.
LIMIT_PER_NM, SLICES = 20.0, 8


def multislice_images(crystal: Crystal, phonons: int, rng: np.random.Generator) -> BlochImages:
    """Return the images of a crystal at its thicknesses and foci, averaged over `phonons` frozen states.

    Each state has its own wave vectors, spread over the Brillouin zone; of two states the second has the displacements
    of the first turned round, so that no column is off its place on average. `lost` is zero: nothing is.
    """
    atoms = crystal.atoms(rng)
    lengths = np.asarray(atoms.cell.lengths(), float) / 10
    cell = (float(lengths[1]), float(lengths[0]))
    optics = [replace(crystal.microscope, defocus_nm=one) for one in crystal.defocus_nm]
    total: Any = 0
    begin, seed = rng.uniform(size=2), int(rng.integers(2**31))
    for number in range(phonons):
        point = (begin + number * np.array([0.5698, 0.7549])) % 1.0
        run = _Run(crystal, atoms, cell, point - 0.5, 1.0 - 2.0 * (number % 2))
        total = total + _state(run, optics, np.random.default_rng([seed, number // 2]))
    thick, foci = np.array(crystal.thickness_nm), np.array(crystal.defocus_nm)
    halved = _halved(total / phonons)
    return BlochImages((cell[0], cell[1] / 2), thick, foci, halved, np.zeros_like(halved))


@dataclass(frozen=True)
class _Run:
    crystal: Crystal
    atoms: Any
    cell_nm: tuple[float, float]
    point: Array
    sense: float

    @functools.cached_property
    def grid(self) -> tuple[Array, Array]:
        """Wave vectors (1/nm) along y and x."""
        import scipy.fft

        samples = [scipy.fft.next_fast_len(int(np.ceil(3 * LIMIT_PER_NM * side))) for side in self.cell_nm]
        ky, kx = (
            (np.fft.fftfreq(n, 1 / n) + shift) / side
            for n, shift, side in zip(samples, self.point, self.cell_nm, strict=True)
        )
        return ky, kx

    @functools.cached_property
    def plain(self) -> tuple[Array, Array]:
        """Reciprocal lattice (1/nm) along y and x."""
        ky, kx = self.grid
        return ky - self.point[0] / self.cell_nm[0], kx - self.point[1] / self.cell_nm[1]

    @functools.cached_property
    def factors(self) -> dict[int, Array]:
        """Projected potentials (V angstrom^3) of the elements at the reciprocal lattice."""
        gy, gx = self.plain
        square = (gy[:, None] ** 2 + gx**2) / 100
        return {int(z): scattering_factor(int(z), square) for z in set(self.atoms.numbers.tolist())}

    def slice_(self, number: int, rng: np.random.Generator) -> Wave:
        """Return the transmission of slice `number` with newly displaced atoms."""
        depth = float(self.atoms.cell.lengths()[2])
        layer = np.rint(self.atoms.positions[:, 2] / depth * SLICES).astype(int) % SLICES
        gy, gx = self.plain
        whole_, oxygen = self.crystal.thermal
        spectrum: Any = 0
        for atom in self.atoms[np.flatnonzero(layer == number % SLICES)]:
            motion = THERMAL_NM[str(atom.symbol)] * whole_ * (oxygen if atom.symbol == "O" else 1.0)
            y, x = atom.position[1::-1] / 10 + self.sense * rng.normal(0, motion, 2)
            turn = np.exp(-2j * np.pi * gy[:, None] * y) * np.exp(-2j * np.pi * gx * x)
            spectrum = spectrum + self.factors[int(atom.number)] * turn
        area = 100 * self.cell_nm[0] * self.cell_nm[1]
        potential = np.fft.ifft2(spectrum).real * spectrum.size / area
        turned = np.exp(1j * interaction_rad_per_V_A(self.crystal.microscope.voltage_kV) * potential)
        return np.asarray(np.fft.ifft2(np.fft.fft2(turned) * self.within), np.complex64)

    @functools.cached_property
    def within(self) -> NDArray[np.bool_]:
        """Which of the reciprocal lattice takes part."""
        gy, gx = self.plain
        return np.asarray(np.hypot(gy[:, None], gx) < LIMIT_PER_NM)


def _state(run: _Run, optics: list[Microscope], rng: np.random.Generator) -> NDArray[np.complex128]:
    """Return the coefficients (T, F, ny, nx) of one frozen state and one wave vector."""
    import scipy.fft

    microscope = run.crystal.microscope
    ky, kx = run.grid
    wavelength = microscope.wavelength_nm
    away = np.array(run.crystal.mistilt_mrad) * 1e-3 / wavelength
    angle = 1e3 * wavelength * np.hypot(ky[:, None] - away[0], kx - away[1])
    step = 1e3 * wavelength / np.sqrt(run.cell_nm[0] * run.cell_nm[1])
    aperture = np.clip((microscope.convergence_mrad - angle) / step + 0.5, 0, 1)
    detector = np.clip((angle - microscope.inner_mrad) / step + 0.5, 0, 1)
    detector *= np.clip((microscope.outer_mrad - angle) / step + 0.5, 0, 1)
    seen = detector > 0
    iy, ix = np.nonzero(aperture)
    k = np.stack([ky[iy], kx[ix]], axis=1) - away
    ny, nx = (np.fft.fftfreq(n, 1 / n).astype(int) for n in angle.shape)
    index = np.stack([ny[iy], nx[ix]], axis=1)
    share = aperture[iy, ix]
    lens = [share * np.exp(-1j * phase(one, *k.T)) / np.sqrt((share**2).sum()) for one in optics]
    dz = float(run.atoms.cell.lengths()[2]) / 10 / SLICES
    propagate = (np.exp(-1j * np.pi * wavelength * dz * (ky[:, None] ** 2 + kx**2)) * run.within).astype(np.complex64)
    spectrum = np.zeros((len(iy), *angle.shape), np.complex64)
    spectrum[np.arange(len(iy)), iy, ix] = 1.0
    counts = np.rint(np.array(run.crystal.thickness_nm) / dz).astype(int)
    found = []
    for number in range(1, int(counts.max()) + 1):
        wave = scipy.fft.ifft2(spectrum, overwrite_x=True)
        wave *= run.slice_(number - 1, rng)
        spectrum = scipy.fft.fft2(wave, overwrite_x=True)
        spectrum *= propagate
        if number in counts:
            scattered = spectrum[:, seen] * np.sqrt(detector[seen]).astype(np.float32)
            products = scattered @ scattered.conj().T
            found.append([_coefficients(one, products, index, run.cell_nm, microscope) for one in lens])
    return np.array(found)


def _coefficients(
    wave: NDArray[Any], products: Wave, index: NDArray[np.int_], cell_nm: tuple[float, float], microscope: Microscope
) -> NDArray[np.complex128]:
    highest = 2e-3 * microscope.convergence_mrad / microscope.wavelength_nm
    ny = 2 * (int(highest * cell_nm[0]) + 1) + 1
    nx = 4 * (int(highest * cell_nm[1] / 2) + 1) + 1
    away = index[None] - index[:, None]
    place = ((away[..., 0] % ny) * nx + away[..., 1] % nx).ravel()
    terms = (wave[:, None] * wave.conj() * products).ravel()
    real = np.bincount(place, terms.real, ny * nx)
    return (real + 1j * np.bincount(place, terms.imag, ny * nx)).reshape(ny, nx)


def _halved(coefficients: NDArray[np.complex128]) -> NDArray[np.complex64]:
    """Return the coefficients of images of half the period along x: every second one."""
    nx = coefficients.shape[-1]
    columns = np.fft.fftfreq(nx, 1 / nx).astype(int)
    kept = columns[columns % 2 == 0]
    order = np.argsort(np.where(kept >= 0, kept, kept + 10 * nx))
    return coefficients[..., np.flatnonzero(columns % 2 == 0)[order]].astype(np.complex64)


#: Crystals of the test set: chemistry, how many, seed.
SETS = (("SrTiO3", 12, 900), ("CaTiO3", 5, 901), ("LSMO", 5, 902))


def planned_crystals(chemistry: str, number: int, seed: int) -> list[Crystal]:
    """Return random crystals of the ranges that are asked: two thicknesses and one focus each."""
    ranges = TiltRanges(
        chemistries=((chemistry, 1.0),), angle_deg=(1.0, 12.0), mistilt_mrad=(0.0, 5.0), thickness_nm=(5.0, 30.0),
        defocus_nm=(-5.0, 5.0), thermal=(1.0, 1.0), a_shift_pm=(0.0, 0.0),
    )  # fmt: skip
    return [random_crystal(ranges, np.random.default_rng([seed, one]), 2, 1) for one in range(number)]


def make_images(path: Path = SHIPPED) -> None:
    """Make the images that ship, a minute a crystal; those that are there already stay."""
    arrays: dict[str, NDArray[Any]] = dict(np.load(path)) if path.exists() else {}
    for name, number, seed in SETS:
        for one, crystal in enumerate(planned_crystals(name, number, seed)):
            if f"{name}-{one}" in arrays:
                continue
            kept = Kept.of(multislice_images(crystal, 2, np.random.default_rng([seed, one, 1])))
            arrays[f"{name}-{one}"] = kept.parts[:, :1]
            arrays[f"{name}-{one}-cell"] = np.array([*kept.cell_nm, kept.width])
            with whole(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


@functools.cache
def shipped_images(chemistry: str, path: Path = SHIPPED) -> tuple[tuple[Kept, Crystal], ...]:
    """Return the images that ship of one chemistry with their crystals; nothing is lost in them."""
    ((number, seed),) = ((count, start) for name, count, start in SETS if name == chemistry)
    found = []
    with np.load(path) as file:
        for one, crystal in enumerate(planned_crystals(chemistry, number, seed)):
            if f"{chemistry}-{one}" in file.files:
                elastic, cell = file[f"{chemistry}-{one}"], file[f"{chemistry}-{one}-cell"]
                parts = np.concatenate([elastic, np.zeros_like(elastic)], axis=1)
                found.append((Kept(parts, (float(cell[0]), float(cell[1])), int(cell[2])), crystal))
    return tuple(found)


if __name__ == "__main__":
    make_images()
