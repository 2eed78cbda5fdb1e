"""Waves behind graphene and gold by abTEM's multislice (the [sim] extra): a test set of another simulator, shipped.

`simulate.phase.exit_wave` gathers atoms into slices with tabled amplitudes. Here abTEM builds the potential and carries
the wave through it in thin slices; images of any lens follow from the shipped waves (`simulate.image_of_wave`).
``python -m micrograph.validate.columns.hrtem_multislice`` makes those that are missing, some seconds each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sites
from micrograph.core.provenance import whole
from micrograph.simulate.gridding import Grid
from micrograph.simulate.phase.exit_wave import wave_grid
from micrograph.simulate.phase.hrtem_sampler import GOLD_HRTEM, GRAPHENE_HRTEM, HrtemSampler, film_beside
from micrograph.simulate.phase.hrtem_scenes import COLUMN, SHEET_MARGIN_NM, ColumnScene, GrapheneSheets, WulffParticles

if TYPE_CHECKING:
    from ase import Atoms

FOLDER = Path(__file__).resolve().parents[1] / "waves"
#: Pixel (nm) of the images that follow, side of the field (pixels), and the highest frequency (1/nm) that is kept.
PIXEL_NM, SIDE_PX, KEPT_PER_NM = 0.02, 200, 12.0
#: abTEM's sampling and slices (angstrom).
_SAMPLING_A, _SLICE_A = 0.1, 1.0


@dataclass(frozen=True)
class Recipe:
    """How one wave is made: the sampler whose scenes it shows, with which film (nm), from which seed."""

    sampler: HrtemSampler
    scene: Callable[[float, np.random.Generator], ColumnScene]
    film_nm: float
    seed: int


def _sheet(seed: int, film_nm: float = 0.0, **sheet: Any) -> Recipe:
    return Recipe(GRAPHENE_HRTEM, GrapheneSheets(displaced_nm=(0.012, 0.0121), **sheet), film_nm, seed)


def _gold(seed: int, zone: tuple[int, int, int], film_nm: float = 0.0) -> Recipe:
    scene = WulffParticles(zones=(zone,), diameter_nm=(2.0, 3.0), rough=(0.05, 0.1), displaced_nm=(0.005, 0.0051))
    return Recipe(GOLD_HRTEM, scene, film_nm, seed)


#: How each wave is made.
WAVES: dict[str, Recipe] = {
    "graphene_0": _sheet(10, boundaries=0.0, holed=0.0),
    "graphene_1": _sheet(11, boundaries=0.0, holed=1.0),
    "graphene_2": _sheet(12, boundaries=1.0, holed=0.0),
    "graphene_3": _sheet(13, boundaries=1.0, holed=0.0),
    "graphene_film_0": _sheet(14, 5.0, boundaries=0.0, holed=0.0),
    "graphene_film_1": _sheet(15, 5.0, boundaries=0.0, holed=0.0),
    "gold_110": _gold(20, (1, 1, 0)),
    "gold_110_film": _gold(21, (1, 1, 0), 3.0),
    "gold_100": _gold(22, (1, 0, 0)),
    "gold_100_film": _gold(23, (1, 0, 0), 3.0),
    "gold_111": _gold(24, (1, 1, 1)),
    "gold_111_film": _gold(25, (1, 1, 1), 3.0),
}


@dataclass(frozen=True)
class Wave:
    """A wave (h, w) behind a scene, on `grid`, in the plane `height_nm`; the scene's crystal, without any film."""

    name: str
    scene: ColumnScene
    wave: NDArray[np.complex64]
    grid: Grid
    height_nm: float
    voltage_kV: float
    film_nm: float


def abtem_wave(atoms: Atoms, voltage_kV: float, grid: Grid) -> NDArray[np.complex64]:
    """Return abTEM's wave (h, w) on `grid` behind `atoms` (angstrom, field's corner at the origin), at the last one."""
    import abtem
    import scipy.fft

    side = 10 * grid.size_nm[0]
    cell: Any = atoms.copy()  # type: ignore[no-untyped-call]
    cell.positions[:, :2] += 10 * grid.margin_nm[0]
    inside = np.all((cell.positions[:, :2] >= 0) & (cell.positions[:, :2] < side), axis=1)
    cell = cell[inside]
    low = float(cell.positions[:, 2].min())
    thick = np.ceil((float(np.ptp(cell.positions[:, 2])) + _SLICE_A) / _SLICE_A) * _SLICE_A
    cell.positions[:, 2] -= low - _SLICE_A / 2
    cell.cell, cell.pbc = [side, side, thick], True
    fine = scipy.fft.next_fast_len(int(np.ceil(side / _SAMPLING_A)))
    potential = abtem.Potential(cell, gpts=(fine, fine), slice_thickness=_SLICE_A, projection="infinite")
    made: Any = abtem.PlaneWave(energy=1e3 * voltage_kV).multislice(potential, lazy=False)
    spectrum = scipy.fft.fft2(np.asarray(made.array).T)  # abTEM's axes are x, y
    number = grid.shape[0]
    rows = np.rint(np.fft.fftfreq(number, 1 / number)).astype(int)
    kept = np.abs(rows) < min(number, fine) // 2
    cut = np.zeros(grid.shape, complex)
    cut[np.ix_(kept, kept)] = spectrum[np.ix_(rows[kept], rows[kept])]
    return np.asarray(scipy.fft.ifft2(cut) * (number / fine) ** 2, np.complex64)


def behind_nm(atoms: Atoms) -> float:
    """Return the height (nm) of the plane of `abtem_wave`: the end of abTEM's cell."""
    low, high = atoms.positions[:, 2].min(), atoms.positions[:, 2].max()
    thick = np.ceil((high - low + _SLICE_A) / _SLICE_A) * _SLICE_A
    return float(low - _SLICE_A / 2 + thick) / 10


def make_waves(folder: Path = FOLDER) -> list[str]:
    """Make the waves that are not yet in `folder`; return the names of those made."""
    made = []
    folder.mkdir(exist_ok=True)
    for name, recipe in WAVES.items():
        path = folder / f"{name}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng(recipe.seed)
        size = SIDE_PX * PIXEL_NM
        scene = recipe.scene(size, rng)
        film = film_beside(scene, size, recipe.film_nm, rng) if recipe.film_nm else None
        atoms = scene.atoms if film is None else scene.atoms + film
        grid = wave_grid(SIDE_PX, PIXEL_NM, SHEET_MARGIN_NM)
        wave = abtem_wave(atoms, recipe.sampler.voltage_kV, grid)
        _save(path, scene, wave, grid, behind_nm(atoms))
        made.append(name)
    return made


def _kept(grid: Grid) -> NDArray[np.int_]:
    """Return the whole-numbered frequencies along an axis that are kept."""
    most = int(KEPT_PER_NM * grid.size_nm[0])
    return np.arange(-most, most + 1)


def _save(path: Path, scene: ColumnScene, wave: NDArray[np.complex64], grid: Grid, height_nm: float) -> None:
    spectrum = np.fft.fft2(wave, norm="forward")[np.ix_(_kept(grid), _kept(grid))]
    parts = 1e3 * np.stack([spectrum.real, spectrum.imag])
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            spectrum=parts.astype(np.float16),
            positions_A=scene.atoms.positions.astype(np.float32),
            numbers=scene.atoms.numbers.astype(np.uint8),
            y_nm=scene.columns.y_nm,
            x_nm=scene.columns.x_nm,
            count=scene.count.astype(np.uint8),
            rim_nm=scene.rim_nm.astype(np.float32),
            shown_per_nm=np.array(scene.shown_per_nm),
            height_nm=np.array(height_nm),
        )


@functools.lru_cache(maxsize=16)
def load_wave(name: str, folder: Path = FOLDER) -> Wave:
    """Return a shipped wave; raises `BadInput` for a name that is not there."""
    from ase import Atoms

    path = folder / f"{name}.npz"
    if name not in WAVES or not path.is_file():
        raise BadInput(f"There is no wave '{name}': choose among {', '.join(WAVES)}.")
    grid = wave_grid(SIDE_PX, PIXEL_NM, SHEET_MARGIN_NM)
    with np.load(path) as file:
        spectrum = np.zeros(grid.shape, complex)
        real, imaginary = 1e-3 * file["spectrum"].astype(float)
        spectrum[np.ix_(_kept(grid), _kept(grid))] = real + 1j * imaginary
        atoms = Atoms(file["numbers"].astype(int), file["positions_A"].astype(float))
        columns = Sites(file["y_nm"], file["x_nm"], np.full(len(file["y_nm"]), COLUMN, dtype="U8"))
        scene = ColumnScene(
            atoms, columns, file["count"].astype(np.intp), file["rim_nm"].astype(float), float(file["shown_per_nm"])
        )
        height = float(file["height_nm"])
    wave = np.fft.ifft2(spectrum, norm="forward").astype(np.complex64)
    return Wave(name, scene, wave, grid, height, WAVES[name].sampler.voltage_kV, WAVES[name].film_nm)


if __name__ == "__main__":
    make_waves()
