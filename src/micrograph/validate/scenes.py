"""The structures of the reference sets: periodic cells of graphene, TMD monolayers and SrTiO3 with known defects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from micrograph.core import BadInput, Sites
from micrograph.simulate.optics import Microscope
from micrograph.structures.dumbbell import CRYSTALS
from micrograph.validate.exact import Specimen

Defect = tuple[str, float, float]

#: Lattice constant and distance of the chalcogen planes in nm (2H monolayers), atomic numbers of metal and chalcogen.
TMD = {
    "WSe2": (0.3282, 0.336, 74, 34),
    "MoS2": (0.3160, 0.313, 42, 16),
    "WS2": (0.3153, 0.314, 74, 16),
    "MoSe2": (0.3289, 0.334, 42, 34),
}
_SYMBOL = {16: "S", 34: "Se", 42: "Mo", 74: "W"}
_VANADIUM = 23


@dataclass(frozen=True)
class Scene:
    """What a reference set shows: specimen, microscope (without source), sites and named defects (y, x in nm)."""

    specimen: Specimen
    microscope: Microscope
    sites: Sites
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True)
class Cell:
    """Supercell of a hexagonal lattice: `along_x` = (n, m) lattice vectors along x, repeated (across, down) times."""

    along_x: tuple[int, int]
    repeats: tuple[int, int]


def hexagonal_points(a_nm: float, cell: Cell) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float]]:
    """Return the two sublattices (N, 2), (y, x) in nm, of a honeycomb of lattice constant `a_nm`, and the cell's size.

    The cell is the unrolled unit cell of an (n, m) nanotube: rectangular, periodic, and rotated against the lattice.
    """
    n, m = cell.along_x
    divisor = np.gcd(2 * n + m, 2 * m + n)
    width = a_nm * np.sqrt(n * n + n * m + m * m)
    size = (np.sqrt(3) * width / divisor * cell.repeats[1], width * cell.repeats[0])
    basis = a_nm * np.array([[0.0, 1.0], [np.sqrt(3) / 2, 0.5]])
    y, x = n * basis[0] + m * basis[1]
    turn = np.array([[x, y], [-y, x]]) / width
    reach = int(2 * (size[0] + size[1]) / a_nm)
    index = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    lattice = index @ basis
    sublattices = []
    for offset in (np.zeros(2), (basis[0] + basis[1]) / 3):
        points = (lattice + offset) @ turn + 0.02
        inside = np.all((points > -1e-9) & (points < np.array(size) - 1e-9), axis=1)
        sublattices.append(points[inside])
    return sublattices[0], sublattices[1], (float(size[0]), float(size[1]))


def graphene_scene(cell: Cell, microscope: Microscope, silicon: int, rng: np.random.Generator) -> Scene:
    """Return graphene whose atoms are displaced by 12 pm (sigma per axis), with `silicon` atoms on carbon sites.

    A silicon stands 0.05 nm above the sheet and pushes its three neighbours 28 pm outwards, to 0.170 nm.
    """
    first, second, size = hexagonal_points(0.246, cell)
    ideal = np.concatenate([first, second])
    points = ideal + rng.normal(0, 0.012, ideal.shape)
    numbers, height = np.full(len(points), 6), np.zeros(len(points))
    defects: list[Defect] = []
    for site in apart(ideal, size, silicon, 0.8, rng) if silicon else ():
        away = periodic_difference(ideal, ideal[site], size)
        distance = np.hypot(*away.T)
        neighbours = (distance > 0) & (distance < 0.16)
        points[neighbours] += 0.028 * away[neighbours] / distance[neighbours, None]
        numbers[site], height[site] = 14, 0.05
        defects.append(("Si1C3", float(points[site, 0]), float(points[site, 1])))
    positions = np.column_stack([points, height])
    labels = np.where(numbers == 14, "Si", "C")
    sites = Sites(points[:, 0], points[:, 1], labels)
    return Scene(Specimen(positions, numbers, size, 0.3), microscope, sites, tuple(defects))


def tmd_scene(formula: str, cell: Cell, microscope: Microscope, rng: np.random.Generator) -> Scene:
    """Return a 2H monolayer with many defects; its columns are displaced by 5 pm (sigma per axis).

    Of the metal sites 6 % hold V and 2 % are empty; of the others 7 % have lost one atom (above or below), 3 % both.
    """
    a_nm, thickness, metal, chalcogen = TMD[formula]
    metals, columns, size = hexagonal_points(a_nm, cell)
    metals = metals + rng.normal(0, 0.005, metals.shape)
    columns = columns + rng.normal(0, 0.005, columns.shape)
    kind = rng.choice([metal, _VANADIUM, 0], len(metals), p=[0.92, 0.06, 0.02])
    atoms = rng.choice([2, 1, 0], len(columns), p=[0.90, 0.07, 0.03])
    lone_above = rng.random(len(columns)) < 0.5
    above = (atoms == 2) | ((atoms == 1) & lone_above)
    below = (atoms == 2) | ((atoms == 1) & ~lone_above)
    layers = [
        np.column_stack([columns, np.zeros(len(columns))]),
        np.column_stack([metals, np.full(len(metals), thickness / 2)]),
        np.column_stack([columns, np.full(len(columns), thickness)]),
    ]
    numbers = np.concatenate([np.where(above, chalcogen, 0), kind, np.where(below, chalcogen, 0)])
    names = {metal: _SYMBOL[metal], _VANADIUM: "V", 0: f"vac_{_SYMBOL[metal]}"}
    labels = [names[int(z)] for z in kind] + [f"{_SYMBOL[chalcogen]}{count}" for count in atoms]
    points = np.concatenate([metals, columns])
    sites = Sites(points[:, 0], points[:, 1], np.array(labels))
    specimen = Specimen(np.concatenate(layers), numbers, size, thickness / 2)
    return Scene(specimen, microscope, sites, _named(sites, _SYMBOL[metal], _SYMBOL[chalcogen]))


def _named(sites: Sites, metal: str, chalcogen: str) -> tuple[Defect, ...]:
    """Name every site that is not as in the perfect crystal: V_W, vac_W, vac_Se (one lost), vac_Se2 (both lost)."""
    names = {
        "V": f"V_{metal}",
        f"vac_{metal}": f"vac_{metal}",
        f"{chalcogen}1": f"vac_{chalcogen}",
        f"{chalcogen}0": f"vac_{chalcogen}2",
    }
    rows = zip(sites.label, sites.y_nm, sites.x_nm, strict=True)
    return tuple((names[str(label)], float(y), float(x)) for label, y, x in rows if str(label) in names)


def strontium_titanate_scene(cells: int, layers: int, microscope: Microscope, rng: np.random.Generator) -> Scene:
    """Return SrTiO3 [001], `cells` x `cells` x `layers` unit cells of 0.3905 nm; columns displaced by 5 pm as a whole.

    Sites: Sr, Ti (with oxygen in the column) and O columns. Every sixteenth Sr column has lost its strontium (vac_Sr).
    """
    a = 0.3905
    corner = np.stack(np.meshgrid(*[np.arange(cells)] * 2, indexing="ij"), axis=-1).reshape(-1, 2) * a + a / 4
    columns = {"Sr": [(38, 0.0)], "Ti": [(22, 0.5), (8, 0.0)], "O": [(8, 0.5)], "O2": [(8, 0.5)]}
    offset = {"Sr": (0, 0), "Ti": (0.5, 0.5), "O": (0.5, 0), "O2": (0, 0.5)}
    positions, numbers, points, labels = [], [], [], []
    for name, content in columns.items():
        at = corner + a * np.array(offset[name]) + rng.normal(0, 0.005, corner.shape)
        empty = (rng.random(len(at)) < 1 / 16) & (name == "Sr")
        points.append(at)
        labels += [("vac_Sr" if gone else name.rstrip("2")) for gone in empty]
        for number, depth in content:
            for layer in range(layers):
                positions.append(np.column_stack([at, np.full(len(at), (layer + depth) * a)]))
                numbers.append(np.where(empty, 0, number))
    flat = np.concatenate(points)
    specimen = Specimen(np.concatenate(positions), np.concatenate(numbers), (cells * a, cells * a), a / 2)
    return Scene(specimen, microscope, Sites(flat[:, 0], flat[:, 1], np.array(labels)))


def dumbbell_scene(name: str, repeats: tuple[int, int, int], microscope: Microscope, rng: np.random.Generator) -> Scene:
    """Return a zinc-blende crystal along [110], `repeats` = (a along y, a / sqrt(2) along x, periods along the beam).

    Columns are displaced as a whole by 12 pm (sigma per axis); dumbbells lie along y before. Sites: the two elements.
    """
    one, other, a = CRYSTALS[name]
    down, across, layers = repeats
    size, period = (down * a, across * a / np.sqrt(2)), a / np.sqrt(2)
    grid = np.stack(np.meshgrid(np.arange(down), np.arange(across), indexing="ij"), axis=-1).reshape(-1, 2)
    points, numbers, heights, labels = [], [], [], []
    for centred in (0.0, 0.5):
        for number, (symbol, offset) in enumerate(((one, 0.0), (other, 0.25))):
            at = (grid + centred) * np.array([a, period]) + np.array([offset * a, 0.0]) + 0.06
            points.append(at + rng.normal(0, 0.012, at.shape))
            numbers.append(np.full(len(at), atomic_numbers[symbol]))
            heights.append(np.full(len(at), (centred + 0.5 * number) % 1.0))
            labels += [symbol] * len(at)
    flat, begins = np.concatenate(points), np.concatenate(heights)
    depth = ((begins[:, None] + np.arange(layers)) * period).ravel()
    positions = np.column_stack([np.repeat(flat, layers, axis=0), depth])
    specimen = Specimen(positions, np.repeat(np.concatenate(numbers), layers), size, period / 2)
    return Scene(specimen, microscope, Sites(flat[:, 0], flat[:, 1], np.array(labels)))


def periodic_difference(
    points: NDArray[np.float64], origin: NDArray[np.float64], size_nm: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the shortest vectors (N, 2) from `origin` (2,) to `points` (N, 2) in the periodic cell."""
    size = np.array(size_nm)
    return np.asarray((points - origin + size / 2) % size - size / 2)


def apart(
    points: NDArray[np.float64], size_nm: tuple[float, float], count: int, distance_nm: float, rng: np.random.Generator
) -> list[int]:
    """Choose `count` of the points (N, 2) at random, `distance_nm` from one another and half of it from the border."""
    size = np.array(size_nm)
    inner = np.flatnonzero(np.all(np.minimum(points, size - points) > distance_nm / 2, axis=1))
    for _ in range(1000):
        chosen: list[int] = []
        for site in rng.permutation(inner):
            if np.all(np.hypot(*(points[chosen].reshape(-1, 2) - points[site]).T) > distance_nm):
                chosen.append(int(site))
            if len(chosen) == count:
                return chosen
    raise BadInput(
        f"{count} defects {distance_nm} nm apart do not fit into a field of {size[0]:.2f} x {size[1]:.2f} nm."
    )
