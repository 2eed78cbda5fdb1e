"""Random crystals of any of the 230 space groups, whose symmetry is that of their group and no higher.

Atoms sit on random general and special positions (fixed points of random operations of the group). Settings are the
standard ones of the International Tables: unique axis b, hexagonal axes for rhombohedral lattices, second origin.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

Array = NDArray[np.float64]

FAMILIES = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
_LAST_OF_FAMILY = (2, 15, 74, 142, 167, 194, 230)
#: The last space group of every point group, in the order of the International Tables.
_LAST_OF_POINT_GROUP = {
    "1": 1, "-1": 2, "2": 5, "m": 9, "2/m": 15, "222": 24, "mm2": 46, "mmm": 74, "4": 80, "-4": 82, "4/m": 88,
    "422": 98, "4mm": 110, "-42m": 122, "4/mmm": 142, "3": 146, "-3": 148, "32": 155, "3m": 161, "-3m": 167,
    "6": 173, "-6": 174, "6/m": 176, "622": 182, "6mm": 186, "-6m2": 190, "6/mmm": 194, "23": 199, "m-3": 206,
    "432": 214, "-43m": 220, "m-3m": 230,
}  # fmt: skip
POINT_GROUPS = tuple(_LAST_OF_POINT_GROUP)
_SAME = 1e-3
_MOST_ATOMS = 120
#: Least distance of atoms (angstrom) and most volume (cubic angstrom) of one.
_CLOSEST_A, _LOOSEST_A3 = 1.1, 45.0


@dataclass(frozen=True)
class Operations:
    """All operations of a group in its conventional cell, centring included: ``x -> rotation @ x + translation``."""

    rotations: NDArray[np.intp]
    translations: Array

    def orbit(self, place: Array) -> Array:
        """Return all different places (N, 3), in 0..1, that are equivalent to `place`."""
        images = self.rotations @ place + self.translations
        images = np.round(images - np.floor(images + 1e-7), 6) % 1.0
        keys = np.round(images / _SAME).astype(int) % round(1 / _SAME)
        return np.asarray(images[np.sort(np.unique(keys, axis=0, return_index=True)[1])])


def family_of(number: int) -> str:
    """Return the crystal family (with trigonal apart: the seven crystal systems) of space group 1..230."""
    return FAMILIES[int(np.searchsorted(_LAST_OF_FAMILY, number))]


def point_group_of(number: int) -> str:
    """Return the point group (Hermann-Mauguin) of space group 1..230."""
    return POINT_GROUPS[int(np.searchsorted(list(_LAST_OF_POINT_GROUP.values()), number))]


@functools.cache
def symbol_of(number: int) -> str:
    """Return the Hermann-Mauguin symbol of a space group without blanks, like 'Pnma'."""
    from ase.spacegroup import Spacegroup

    return str(Spacegroup(number).symbol).replace(" ", "")


@functools.cache
def operations(number: int) -> Operations:
    """Return the operations of space group `number` in its standard setting (centrosymmetric ones at their centre)."""
    from ase.spacegroup import Spacegroup

    try:
        group = Spacegroup(number, setting=2 if number in _SECOND_ORIGIN else 1)
    except Exception:
        group = Spacegroup(number)
    rotations, translations = group.get_op()  # type: ignore[no-untyped-call]
    return Operations(np.asarray(rotations, int), np.asarray(translations, float))


#: Groups with two choices of origin.
_SECOND_ORIGIN = {
    48, 50, 59, 68, 70, 85, 86, 88, 125, 126, 129, 130, 133, 134, 137, 138, 141, 142, 201, 203, 222, 224, 227, 228,
}  # fmt: skip


def random_cell(family: str, rng: np.random.Generator) -> Array:
    """Return a random cell (3, 3), rows in arbitrary units, with the metric of a family and no closer to another."""
    ratio = np.exp(rng.uniform(np.log(0.55), np.log(1.8), 3))
    angles = np.deg2rad(rng.uniform(72, 108, 3))
    while min(abs(ratio[i] / ratio[j] - 1) for i, j in ((0, 1), (1, 2), (0, 2))) < 0.03:
        ratio = np.exp(rng.uniform(np.log(0.55), np.log(1.8), 3))
    a, b, c = ratio
    match family:
        case "triclinic":
            return _from_parameters(a, b, c, *angles)
        case "monoclinic":
            return _from_parameters(a, b, c, np.pi / 2, np.deg2rad(rng.uniform(93, 120)), np.pi / 2)
        case "orthorhombic":
            return np.diag([a, b, c])
        case "tetragonal":
            return np.diag([1.0, 1.0, _unlike(rng, (1.0, 2**0.5, 0.5**0.5))])
        case "cubic":
            return np.eye(3)
    return _from_parameters(1, 1, _unlike(rng, (1.0, 1.2247, 2.449, 0.6124)), np.pi / 2, np.pi / 2, np.deg2rad(120))


def _unlike(rng: np.random.Generator, special: tuple[float, ...]) -> float:
    """Return an axial ratio that is not within 3 % of those at which a lattice is another."""
    while True:
        ratio = float(np.exp(rng.uniform(np.log(0.5), np.log(2.6))))
        if min(abs(ratio / other - 1) for other in special) > 0.03:
            return ratio


def _from_parameters(a: float, b: float, c: float, alpha: float, beta: float, gamma: float) -> Array:
    metric = np.array(
        [
            [a * a, a * b * np.cos(gamma), a * c * np.cos(beta)],
            [a * b * np.cos(gamma), b * b, b * c * np.cos(alpha)],
            [a * c * np.cos(beta), b * c * np.cos(alpha), c * c],
        ]
    )
    return np.asarray(np.linalg.cholesky(metric))


def random_crystal(number: int, rng: np.random.Generator) -> Atoms:
    """Return one conventional cell of a random crystal of space group `number`.

    One to four sites of random elements, 9 to 45 cubic angstrom an atom. Crystals whose symmetry turns out higher are
    drawn anew, with more general positions.
    """
    group = operations(number)
    for attempt in range(200):
        general = 0.25 + 0.25 * (attempt // 8)
        basis, species = _random_sites(group, general, rng)
        if len(basis) == 0:
            continue
        cell = random_cell(family_of(number), rng)
        cell = cell * (len(basis) * float(rng.uniform(9, 24)) / abs(np.linalg.det(cell))) ** (1 / 3)
        cell = cell * max(1.0, _CLOSEST_A / _least_distance(basis, cell))
        if abs(np.linalg.det(cell)) < _LOOSEST_A3 * len(basis) and is_of_group(basis, species, number):
            return Atoms(numbers=species, scaled_positions=basis, cell=cell, pbc=True)
    raise RuntimeError(f"No crystal of space group {number} was found.")


def _random_sites(group: Operations, general: float, rng: np.random.Generator) -> tuple[Array, NDArray[np.intp]]:
    places, species = np.empty((0, 3)), np.empty(0, int)
    elements = rng.choice(np.arange(3, 84), size=3, replace=False)
    for _ in range(int(rng.integers(1, 5))):
        start = rng.random(3)
        place = start if rng.random() < general else special_place(group, start, rng)
        orbit = group.orbit(place)
        if len(places) + len(orbit) <= max(_MOST_ATOMS, len(group.rotations)):
            places = np.vstack([places, orbit])
            species = np.concatenate([species, np.full(len(orbit), rng.choice(elements))])
    return places, species


def special_place(group: Operations, start: Array, rng: np.random.Generator) -> Array:
    """Return the point next to `start` that random operations of the group leave where it is (a special position)."""
    place = start
    for _ in range(int(rng.integers(1, 3))):
        which = int(rng.integers(len(group.rotations)))
        rotation, translation = group.rotations[which], group.translations[which] + rng.integers(-1, 2, 3)
        change = np.eye(3) - rotation
        inverse = np.linalg.pinv(change)
        moved = inverse @ translation + (np.eye(3) - inverse @ change) @ place
        if np.abs(change @ moved - translation).max() < 1e-9:
            place = moved
    return np.asarray(place % 1.0)


def _least_distance(basis: Array, cell: Array) -> float:
    difference = basis[:, None] - basis[None]
    distance = np.linalg.norm((difference - np.round(difference)) @ cell, axis=-1)
    lattice = np.linalg.norm(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]) @ cell, axis=1).min()
    return float(min(distance[distance > 1e-6].min(initial=np.inf), lattice))


@functools.cache
def holohedry(family: str) -> NDArray[np.intp]:
    """Return the rotations that the lattice of a family may have, in its conventional cell: (48, 3, 3) for cubic."""
    if family in ("trigonal", "hexagonal"):
        return np.unique(operations(191).rotations, axis=0)
    every = []
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            matrix = np.zeros((3, 3), int)
            matrix[range(3), order] = signs
            every.append(matrix)
    found = np.array(every)
    match family:
        case "cubic":
            return found
        case "tetragonal":
            return np.asarray(found[abs(found[:, 2, 2]) == 1])
    found = found[np.all(abs(found[:, range(3), range(3)]) == 1, axis=1)]
    if family == "orthorhombic":
        return found
    if family == "monoclinic":
        return np.asarray(found[found[:, 0, 0] == found[:, 2, 2]])
    return np.asarray(found[(found[:, 0, 0] == found[:, 2, 2]) & (found[:, 0, 0] == found[:, 1, 1])])


def is_of_group(basis: Array, species: NDArray[np.intp], number: int) -> bool:
    """Return whether a crystal that has the symmetry of a group has no more, by operations of its family's lattice."""
    group = operations(number)
    kinds, counts = np.unique(species, return_counts=True)
    rare = basis[species == kinds[np.argmin(counts)]]
    own = {rotation.tobytes() for rotation in group.rotations}
    translations = sum(np.array_equal(rotation, np.eye(3)) for rotation in group.rotations)
    if _count(basis, species, rare, np.eye(3, dtype=int)) != translations:
        return False
    others = (rotation for rotation in holohedry(family_of(number)) if rotation.tobytes() not in own)
    return not any(_count(basis, species, rare, rotation) for rotation in others)


def _count(basis: Array, species: NDArray[np.intp], rare: Array, rotation: NDArray[np.intp]) -> int:
    """Return with how many translations a rotation leaves the crystal as it is."""
    turned = basis @ rotation.T
    translations = rare - rare[0] @ rotation.T
    for atom in (0, len(basis) // 2, len(basis) - 1):
        difference = (turned[atom] + translations)[:, None] - basis[species == species[atom]]
        off = np.abs(difference - np.round(difference)).max(axis=-1)
        translations = translations[(off < _SAME).any(axis=1)]
    return sum(_maps(turned + translation, basis, species) for translation in translations)


def _maps(moved: Array, basis: Array, species: NDArray[np.intp]) -> bool:
    """Return whether all moved atoms lie on atoms of their own species."""
    difference = moved[:, None] - basis[None]
    off = np.abs(difference - np.round(difference)).max(axis=-1)
    return bool(((off < _SAME) & (species[:, None] == species[None])).any(axis=1).all())
