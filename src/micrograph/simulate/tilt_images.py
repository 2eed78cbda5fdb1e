"""Annular bright-field images of tilted perovskites along [110]: random crystals and microscopes, kept on disk.

One crystal's Bloch waves give all its thicknesses and foci: a `Crystal` draws what takes long (structure, microscope,
mistilt), a `View` what is quick (which thickness and focus, source size, diffuse background).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core.provenance import whole
from micrograph.simulate.bloch import POINTS, BlochImages, Columns, bloch_images
from micrograph.simulate.optics import FWHM_PER_SIGMA, Microscope
from micrograph.simulate.ranges import Range
from micrograph.structures.perovskite import SIGNS, Tilts, along_110, tilted_perovskite

Array = NDArray[np.float64]

#: Thermal motion (nm rms per axis) by element at room temperature; oxygen's is that of SrTiO3.
THERMAL_NM = {"Sr": 0.0089, "Ca": 0.0095, "La": 0.0075, "Ba": 0.0080, "Ti": 0.0075, "Mn": 0.0065, "Fe": 0.0068,
              "Al": 0.0065, "O": 0.0096}  # fmt: skip
#: Changes when crystals are simulated otherwise than before.
_VERSION = 3


@dataclass(frozen=True)
class TiltRanges:
    """Ranges from which crystals and views are drawn, uniformly.

    chemistries: names (see `CHEMISTRIES`) with their shares. angle_deg: of an axis that is tilted, as one in `tilted`
    is; alike: share of crystals whose two axes in the plane have one angle where they have one sign. mistilt_mrad and
    the direction of the mistilt; detector angles as shares of the convergence. thermal: factor of all motions, and
    once more of oxygen's. a_shift_pm: see `Tilts`, in half of the crystals. diffuse: share of what is scattered
    diffusely that reaches the detector.
    """

    chemistries: tuple[tuple[str, float], ...] = (("SrTiO3", 0.5), ("CaTiO3", 0.25), ("LSMO", 0.25))
    angle_deg: Range = (0.5, 13.0)
    tilted: float = 0.67
    alike: float = 0.5
    voltage_kV: tuple[float, ...] = (200.0,)
    convergence_mrad: Range = (20.0, 25.0)
    inner: Range = (0.45, 0.55)
    outer: Range = (0.95, 1.05)
    mistilt_mrad: Range = (0.0, 6.0)
    thickness_nm: Range = (4.0, 32.0)
    defocus_nm: Range = (-6.0, 6.0)
    thermal: Range = (0.9, 1.15)
    a_shift_pm: Range = (0.0, 0.2)
    source_fwhm_nm: Range = (0.05, 0.09)
    diffuse: Range = (0.0, 0.3)


@dataclass(frozen=True)
class Crystal:
    """One crystal on one microscope, with all that decides its images."""

    tilts: Tilts
    chemistry: str
    microscope: Microscope
    mistilt_mrad: tuple[float, float]
    thickness_nm: tuple[float, ...]
    defocus_nm: tuple[float, ...]
    thermal: tuple[float, float] = (1.0, 1.0)

    @property
    def key(self) -> str:
        """Digest of all that decides the images."""
        facts = json.dumps([asdict(self), _VERSION], sort_keys=True, default=float)
        return hashlib.sha256(facts.encode()).hexdigest()[:24]

    def atoms(self, rng: np.random.Generator | None = None) -> Atoms:
        """Return the cell along [110]; mixed sites drawn with `rng`."""
        return along_110(tilted_perovskite(self.tilts, self.chemistry, rng))

    def images(self, points: tuple[tuple[float, float], ...] = POINTS) -> BlochImages:
        """Return the images at all thicknesses and foci; half a second."""
        whole_, oxygen = self.thermal
        thermal = {name: u * whole_ * (oxygen if name == "O" else 1.0) for name, u in THERMAL_NM.items()}
        columns = mixed_columns(self.atoms(), self.chemistry, thermal)
        return bloch_images(columns, self.microscope, self.thickness_nm, self.defocus_nm, self.mistilt_mrad, points)


def mixed_columns(atoms: Atoms, chemistry: str, thermal_nm: Mapping[str, float]) -> Columns:
    """Return the columns along [110], with every mixed site shared between its elements."""
    from micrograph.structures.perovskite import CHEMISTRIES

    made, columns = CHEMISTRIES[chemistry], Columns.of(atoms, thermal_nm, halved=True)
    parts = []
    for shares in (made.a, made.b):
        common = max(shares, key=lambda one: one[1])[0]
        parts += [(common, element, share) for element, share in shares]
    parts.append((made.x, made.x, 1.0))
    symbols = np.array([str(symbol) for symbol in atoms.symbols])
    found = []
    for common, element, share in parts:
        rows = np.flatnonzero(symbols == common)
        number = int(Atoms(element).numbers[0])
        motion = thermal_nm.get(element, 0.008)
        found.append((columns.points_nm[rows], np.full(len(rows), number), np.full(len(rows), motion),
                      columns.share[rows] * share))  # fmt: skip
    points, numbers, motions, shares_ = (np.concatenate(part) for part in zip(*found, strict=True))
    return replace(columns, points_nm=points, numbers=numbers, thermal_nm=motions, share=shares_)


def random_tilts(ranges: TiltRanges, rng: np.random.Generator) -> Tilts:
    """Return tilts about three axes, each none, in phase or out of phase."""
    rest = (1 - ranges.tilted, ranges.tilted / 2, ranges.tilted / 2)
    signs = "".join(str(one) for one in rng.choice(SIGNS, 3, p=rest))
    angles = rng.uniform(*ranges.angle_deg, 3) * rng.choice([-1.0, 1.0], 3)
    if signs[0] == signs[1] and rng.random() < ranges.alike:
        angles[1] = angles[0] * rng.choice([-1.0, 1.0])
    angles = np.where([one == "0" for one in signs], 0.0, angles)
    shift = float(rng.uniform(*ranges.a_shift_pm)) if rng.random() < 0.5 else 0.0
    return Tilts((float(angles[0]), float(angles[1]), float(angles[2])), signs, shift)


def random_crystal(ranges: TiltRanges, rng: np.random.Generator, thicknesses: int = 6, foci: int = 4) -> Crystal:
    """Return a random crystal, microscope, and the thicknesses and foci at which it is seen."""
    names, weights = zip(*ranges.chemistries, strict=True)
    alpha = float(rng.uniform(*ranges.convergence_mrad))
    microscope = Microscope(
        voltage_kV=float(rng.choice(ranges.voltage_kV)),
        convergence_mrad=alpha,
        inner_mrad=alpha * float(rng.uniform(*ranges.inner)),
        outer_mrad=alpha * float(rng.uniform(*ranges.outer)),
    )
    length, turn = rng.uniform(*ranges.mistilt_mrad), rng.uniform(0, 2 * np.pi)
    motion = rng.uniform(*ranges.thermal, 2)
    return Crystal(
        random_tilts(ranges, rng),
        str(rng.choice(names, p=np.array(weights) / np.sum(weights))),
        microscope,
        (float(length * np.sin(turn)), float(length * np.cos(turn))),
        tuple(np.sort(rng.uniform(*ranges.thickness_nm, thicknesses)).round(3).tolist()),
        tuple(rng.uniform(*ranges.defocus_nm, foci).round(3).tolist()),
        (float(motion[0]), float(motion[1])),
    )


@dataclass(frozen=True)
class CellImage:
    """The image of the doubled cell, two by two projected cells, as Fourier coefficients (ny, nx) of ``fftfreq``.

    cell_nm (y, x): along [001] and [-110]; `truth` as `tilt_truth` has it; `params` what it was seen with.
    """

    coefficients: NDArray[np.complex128]
    cell_nm: tuple[float, float]
    tilts: Tilts
    params: Mapping[str, float]

    def sampled(self, fy: Array, fx: Array) -> Array:
        """Return the image (len(fy), len(fx)) at places in shares of the cell."""
        ny, nx = (np.fft.fftfreq(n, 1 / n) for n in self.coefficients.shape)
        rows = np.exp(2j * np.pi * fy[:, None] * ny)
        columns = np.exp(2j * np.pi * nx[:, None] * fx)
        return np.asarray((rows @ self.coefficients @ columns).real)

    def at(self, fy: Array, fx: Array) -> Array:
        """Return the image at any points of the same shape as `fy` and `fx`, from a fine grid by cubic splines."""
        from scipy.ndimage import map_coordinates

        n = 128
        fine = self.sampled(np.arange(n) / n, np.arange(n) / n)
        return np.asarray(map_coordinates(fine, [fy * n, fx * n], order=3, mode="grid-wrap"))


def view_of(kept: Kept, crystal: Crystal, place: tuple[int, int], blur: float, diffuse: float) -> CellImage:
    """Return the image at thickness and focus number `place`, source FWHM `blur` (nm), and a share of `diffuse`."""
    elastic, lost = kept.coefficients(place)
    together = elastic + diffuse * lost
    ny, nx = (np.fft.fftfreq(n, s / n) for n, s in zip(together.shape, kept.cell_nm, strict=True))
    sigma = blur / FWHM_PER_SIGMA
    together = together * np.exp(-2 * (np.pi * sigma) ** 2 * (ny[:, None] ** 2 + nx**2))
    params = {
        "thickness_nm": crystal.thickness_nm[place[0]],
        "defocus_nm": crystal.defocus_nm[place[1]],
        "mistilt_mrad": float(np.hypot(*crystal.mistilt_mrad)),
        "source_fwhm_nm": blur,
        "diffuse": diffuse,
        "voltage_kV": crystal.microscope.voltage_kV,
        "convergence_mrad": crystal.microscope.convergence_mrad,
    }
    return CellImage(together, kept.cell_nm, crystal.tilts, params)


@dataclass(frozen=True)
class TiltImages:
    """A pool of `crystals` crystals, simulated when first asked for and kept on disk; each call gives a view of one.

    Crystal number i follows from `seed` and i. `together`: crystals in one file.
    """

    ranges: TiltRanges = TiltRanges()
    crystals: int = 1400
    seed: int = 0
    together: int = 8

    def __call__(self, rng: np.random.Generator) -> CellImage:
        """Return a random view of a random crystal of the pool."""
        number = int(rng.integers(self.crystals))
        images, crystals = self.pool(number // self.together)
        kept, crystal = images[number % self.together], crystals[number % self.together]
        place = (int(rng.integers(len(crystal.thickness_nm))), int(rng.integers(len(crystal.defocus_nm))))
        blur, diffuse = float(rng.uniform(*self.ranges.source_fwhm_nm)), float(rng.uniform(*self.ranges.diffuse))
        return view_of(kept, crystal, place, blur, diffuse)

    def crystal(self, number: int) -> Crystal:
        """Return crystal `number` of the pool."""
        return random_crystal(self.ranges, np.random.default_rng([self.seed, 71, number]))

    def pool(self, block: int) -> tuple[tuple[Kept, ...], tuple[Crystal, ...]]:
        """Return the images and crystals of one block, simulated where they are not yet kept."""
        return _pool(self, block)

    def prepare(self, progress: Callable[[int, int], object] | None = None, blocks: range | None = None) -> None:
        """Simulate all (or some `blocks`) that is not yet kept; what was interrupted goes on."""
        every = blocks or range(-(-self.crystals // self.together))
        for done, block in enumerate(every):
            if progress is not None:
                progress(done, len(every))
            self.pool(block)
            _pool.cache_clear()


@dataclass(frozen=True)
class Kept:
    """What is kept of `BlochImages`: real and imaginary parts (2, 2, T, F, ny, nx // 2 + 1) in half precision."""

    parts: NDArray[np.float16]
    cell_nm: tuple[float, float]
    width: int

    @staticmethod
    def of(images: BlochImages) -> Kept:
        """Return the half of the coefficients that decides the rest of a real image."""
        half = np.stack([images.elastic, images.lost])[..., : images.elastic.shape[-1] // 2 + 1]
        return Kept(np.stack([half.real, half.imag]).astype(np.float16), images.cell_nm, images.elastic.shape[-1])

    def coefficients(self, place: tuple[int, int]) -> NDArray[np.complex128]:
        """Return the coefficients (2, ny, nx) of the elastic and of the lost image at a thickness and focus."""
        real, imaginary = self.parts[:, :, place[0], place[1]].astype(float)
        half = real + 1j * imaginary
        mirrored = np.roll(half[:, ::-1, :0:-1], 1, axis=1).conj()
        return np.concatenate([half, mirrored], axis=2)


@functools.lru_cache(maxsize=2048)
def _pool(images: TiltImages, block: int) -> tuple[tuple[Kept, ...], tuple[Crystal, ...]]:
    first = block * images.together
    last = min(first + images.together, images.crystals)
    chosen = tuple(images.crystal(number) for number in range(first, last))
    return _block(chosen), chosen


def _block(crystals: tuple[Crystal, ...]) -> tuple[Kept, ...]:
    path = _path(crystals)
    if not path.exists():
        arrays = {}
        for number, crystal in enumerate(crystals):
            kept = Kept.of(crystal.images())
            arrays[f"parts{number}"] = kept.parts
            arrays[f"cell{number}"] = np.array([*kept.cell_nm, kept.width])
        with whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    with np.load(path) as file:
        cells = [file[f"cell{number}"] for number in range(len(crystals))]
        return tuple(
            Kept(file[f"parts{number}"], (float(cell[0]), float(cell[1])), int(cell[2]))
            for number, cell in enumerate(cells)
        )


def _path(crystals: tuple[Crystal, ...]) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "micrograph" / "tilts"
    together = hashlib.sha256("".join(one.key for one in crystals).encode()).hexdigest()[:24]
    return folder / f"{together}.npz"
