"""Small fcc particles: Wulff shapes, cut by a support, with rough surfaces, seen along a zone axis."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations, product

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.structures.layer import Array, copy_of

Face = tuple[int, int, int]

#: Surface energies of gold relative to its close-packed faces (Vitos et al. 1998, doi:10.1016/S0039-6028(98)00363-X).
GOLD_FACES: Mapping[Face, float] = {(1, 1, 1): 1.0, (1, 0, 0): 1.27, (1, 1, 0): 1.32}
GOLD_NM = 0.4078
#: Neighbours of an atom inside the crystal; atoms with fewer than this many lie loosely; sites with so many hold one.
_FULL, _LOOSE, _HOLDS = 12, 9, 3


def wulff_particle(
    diameter_nm: float,
    *,
    symbol: str = "Au",
    a_nm: float = GOLD_NM,
    faces: Mapping[Face, float] = GOLD_FACES,
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
    contact: tuple[Face, float] | None = None,
) -> Atoms:
    """Return an fcc particle about the origin in the shape of least surface energy, lattice along the axes; labels.

    diameter_nm: between two opposite faces of the lowest energy. `faces` holds the relative energy of each family of
    faces; `centre` (lattice constants) is where in the cell the particle's middle lies. `contact` is the face (h, k, l)
    on which it stands and how far from the middle, as a share of the radius, it is cut there: 1 or more cuts nothing,
    0 leaves one half (Winterbottom's shape).
    """
    if not diameter_nm > 0:
        raise BadInput(f"A particle of {diameter_nm} nm was asked for: its diameter must be greater than zero.")
    radius = diameter_nm / 2
    least = min(faces.values())
    reach = int(np.ceil(2 * radius * max(faces.values()) / least / a_nm)) + 2
    steps = np.arange(-2 * reach, 2 * reach + 1)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    points = (grid[grid.sum(axis=1) % 2 == 0] / 2 - np.asarray(centre)) * a_nm
    for family, energy in faces.items():
        for normal in _family(family):
            points = points[points @ normal <= radius * energy / least + 1e-9]
    if contact is not None:
        face, share = contact
        points = points[points @ _unit(face) >= -share * radius - 1e-9]
    if not len(points):
        raise BadInput(f"A particle of {diameter_nm} nm holds no atom: ask for a larger one.")
    atoms = Atoms(np.full(len(points), atomic_numbers[symbol]), 10 * points, info={"a_nm": a_nm})
    atoms.arrays["label"] = np.full(len(points), symbol, dtype="U8")
    return atoms


def roughened(atoms: Atoms, rng: np.random.Generator, *, share: float) -> Atoms:
    """Return a particle of `wulff_particle` with atoms of its surface taken off or put on, in all `share` of those.

    Atoms with fewer than nine neighbours may leave; sites of the lattice with at least three may be filled. Each half.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"The share of moved surface atoms is {share}: it must lie between 0 and 1.")
    bond = 10 * atoms.info["a_nm"] / np.sqrt(2)
    number = round(share * int((_neighbours(atoms.positions, atoms.positions, bond) < _FULL).sum()))
    points = atoms.positions.copy()
    for one in range(number):
        if one % 2:
            sites = _empty_sites(points, bond)
            points = np.concatenate([points, sites[rng.integers(len(sites), size=1)]])
        else:
            loose = np.flatnonzero(_neighbours(points, points, bond) < _LOOSE)
            points = np.delete(points, rng.choice(loose), axis=0) if len(loose) else points
    changed = copy_of(atoms)[:0]
    rough = Atoms(np.full(len(points), atoms.numbers[0]), points, info=dict(changed.info))
    rough.arrays["label"] = np.full(len(points), chemical_symbols[atoms.numbers[0]], dtype="U8")
    return rough


def seen_along(
    atoms: Atoms, zone_axis: Face, *, turn_deg: float = 0.0, tilt_deg: tuple[float, float] = (0.0, 0.0)
) -> Atoms:
    """Return the particle with its `zone_axis` along the beam (z), turned about it, then tilted about x and y."""
    beam = _unit(zone_axis)
    side = np.cross(beam, (0.0, 0.0, 1.0) if abs(beam[2]) < 0.9 else (1.0, 0.0, 0.0))
    side /= np.linalg.norm(side)
    frame = np.stack([side, np.cross(beam, side), beam])
    turned = copy_of(atoms)
    turned.positions = atoms.positions @ frame.T
    for angle, axis in ((turn_deg, "z"), (tilt_deg[0], "x"), (tilt_deg[1], "y")):
        turned.rotate(angle, axis)  # type: ignore[no-untyped-call]
    return turned


def _unit(face: Face) -> Array:
    vector = np.asarray(face, float)
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise BadInput("The direction (0, 0, 0) points nowhere: give another.")
    return np.asarray(vector / length)


def _family(face: Face) -> Array:
    """Return the unit normals (N, 3) of all faces that a cubic crystal has alike."""
    signed = {
        tuple(int(sign) * part for sign, part in zip(signs, order, strict=True))
        for order in permutations(face)
        for signs in product((-1, 1), repeat=3)
    }
    return np.array([_unit((one[0], one[1], one[2])) for one in sorted(signed)])


def _neighbours(points: Array, of: Array, bond: float) -> NDArray[np.intp]:
    """Return how many of `points` lie within 1.2 bonds of each of `of` (N,), itself left out."""
    from scipy.spatial import cKDTree

    counts = cKDTree(points).query_ball_point(of, 1.2 * bond, return_length=True)
    return np.asarray(counts, np.intp) - 1


def _empty_sites(points: Array, bond: float) -> Array:
    """Return the empty sites (N, 3) of an fcc lattice that touch at least three atoms."""
    from scipy.spatial import cKDTree

    edge = bond * np.sqrt(2)
    steps = np.array([v for v in product((-0.5, 0.0, 0.5), repeat=3) if np.count_nonzero(v) == 2]) * edge
    around = np.unique(np.round((points[:, None] + steps).reshape(-1, 3), 3), axis=0)
    away = cKDTree(points).query(around)[0] > 0.5 * bond
    empty = around[away]
    return np.asarray(empty[_neighbours(points, empty, bond) + 1 >= _HOLDS])
