"""Small defects of graphene with their literature names, relaxed: the truth for naming them.

SixCy: x silicon atoms with y carbon neighbours (doi:10.1126/sciadv.aaw8989). Each takes the place of as many carbons as
leave y bonds over: 1 (Si1C3), 2 (Si1C4, Si2C4), 3 (Si2C5) or 4 (Si2C6: a chain; Si3C6: an atom and its neighbours).
V1, V2: one and two carbons missing (V2 closed to rings 5-8-5); SW: Stone-Wales, 55-77 (doi:10.1021/nn102598m).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from micrograph.core import BadInput
from micrograph.structures.boundary import dislocations
from micrograph.structures.graphene import graphene
from micrograph.structures.layer import MARGIN_NM, Array, Size, field, points_of
from micrograph.structures.relax import CC_NM, SILICON, Network, bonded, relaxed

Named = tuple[str, float, float]

#: Atoms within this distance of a defect are relaxed.
_REACH_NM = 1.0

#: Least distance between two defects, and between a defect and the border of the sheet.
_APART_NM = 1.3


def named_defect(
    name: str,
    size_nm: Size,
    rng: np.random.Generator,
    *,
    count: int = 1,
    rotation_deg: float | None = None,
    margin_nm: float = MARGIN_NM,
) -> tuple[Atoms, list[Named]]:
    """Return a sheet over the field `size_nm` (h, w) with `count` relaxed defects, and (name, y_nm, x_nm) of each.

    Names: `DEFECTS`; 5-7 is a single dislocation. Places, orientation among the equivalent ones and, if not given,
    the rotation of the sheet are random. A silicon cluster is where its silicon is
    on average, other defects where the carbons that they concern were. Defects lie in the field, 1.3 nm apart; raises
    `BadInput` for an unknown name and where they do not fit.
    """
    if name not in DEFECTS:
        raise BadInput(f"The defect is '{name}', which is not known: take one of {', '.join(DEFECTS)}.")
    if name != "5-7":
        return side_by_side((name,) * count, size_nm, rng, rotation_deg=rotation_deg, margin_nm=margin_nm)
    places = _places(field(size_nm), count, rng)
    rotation = float(rng.uniform(0, 60)) if rotation_deg is None else rotation_deg
    return dislocations(size_nm, places, rng, rotation_deg=rotation, margin_nm=margin_nm)


def side_by_side(
    names: Sequence[str],
    size_nm: Size,
    rng: np.random.Generator,
    *,
    rotation_deg: float | None = None,
    margin_nm: float = MARGIN_NM,
) -> tuple[Atoms, list[Named]]:
    """Return a sheet as `named_defect` does, with one defect of each of `names`, any of `DEFECTS` but 5-7.

    Raises `BadInput` for another name and where they do not fit.
    """
    if unknown := [name for name in names if name not in _MAKERS]:
        raise BadInput(f"The defect is '{unknown[0]}', which cannot be drawn here: take some of {', '.join(_MAKERS)}.")
    places = _places(field(size_nm), len(names), rng)
    rotation = float(rng.uniform(0, 60)) if rotation_deg is None else rotation_deg
    shift = (float(rng.uniform(0, 0.25)), float(rng.uniform(0, 0.25)))
    sheet = graphene(size_nm, rotation_deg=rotation, shift_nm=shift, margin_nm=margin_nm)
    points = points_of(sheet)
    draft = _Draft(Network(points, sheet.numbers, bonded(points)))
    touched = [_MAKERS[name](draft, draft.nearest(place), rng) for name, place in zip(names, places, strict=True)]
    network, row = draft.finished(np.array([points[atoms].mean(axis=0) for atoms in touched]))
    centres = [_centre(network, points, row, atoms) for atoms in touched]
    return network.atoms(), [(name, *centre) for name, centre in zip(names, centres, strict=True)]


def _places(size: tuple[float, float], count: int, rng: np.random.Generator) -> Array:
    """Return `count` random points (y, x) in the field, far enough from each other; a single one is near the middle."""
    if count == 1:
        return np.array(size) * rng.uniform(0.4, 0.6, (1, 2))
    border = np.minimum(np.array(size) / 2, 0.5)
    places = np.empty((0, 2))
    for trial in rng.uniform(border, np.array(size) - border, (400 * count, 2)):
        if len(places) < count and (np.hypot(*(places - trial).T) >= _APART_NM).all():
            places = np.vstack([places, trial])
    if len(places) < count:
        raise BadInput(
            f"{count} defects {_APART_NM} nm apart were asked for in a field of {size[0]:.3g} nm x {size[1]:.3g} nm, "
            f"which holds {len(places)}: ask for fewer or for a larger field."
        )
    return places


def _centre(network: Network, before: Array, row: dict[int, int], atoms: list[int]) -> tuple[float, float]:
    """Return the mean position of the silicon among `atoms`, else of all of them before anything moved."""
    kept = [row[atom] for atom in atoms if atom in row]
    silicon = [new for new in kept if network.numbers[new] == SILICON]
    y, x = (network.points[silicon] if silicon else before[atoms]).mean(axis=0)
    return float(y), float(x)


class _Draft:
    """A sheet under change: atoms are removed, merged and bonded anew; `finished` relaxes it."""

    def __init__(self, network: Network) -> None:
        self.points, self.numbers = network.points.copy(), network.numbers.copy()
        self.near: list[set[int]] = [set() for _ in self.points]
        for a, b in network.bonds.tolist():
            self.bond(a, b)

    def nearest(self, place: Array) -> int:
        """Return the carbon closest to `place` (y, x)."""
        return int(np.argmin(np.hypot(*(self.points - place).T)))

    def bond(self, a: int, b: int) -> None:
        self.near[a].add(b)
        self.near[b].add(a)

    def unbond(self, a: int, b: int) -> None:
        self.near[a].discard(b)
        self.near[b].discard(a)

    def remove(self, a: int) -> None:
        for other in list(self.near[a]):
            self.unbond(a, other)
        self.numbers[a] = 0

    def silicon(self, *atoms: int) -> None:
        """Turn `atoms` into silicon."""
        self.numbers[list(atoms)] = SILICON

    def merge(self, a: int, b: int) -> None:
        """Put `a` midway between `a` and `b` and give it the bonds of `b`, which goes."""
        self.points[a] = (self.points[a] + self.points[b]) / 2
        for other in self.near[b] - {a}:
            self.bond(a, other)
        self.remove(b)

    def others(self, a: int, *without: int) -> list[int]:
        """Return the atoms bonded to `a`, less those of `without`, in the order of their rows."""
        return sorted(self.near[a] - set(without))

    def finished(self, centres: Array) -> tuple[Network, dict[int, int]]:
        """Return the sheet, relaxed around `centres` (K, 2), and the new row of every old row that is left."""
        bonds = [(a, b) for a, near in enumerate(self.near) for b in near if a < b]
        left = self.numbers > 0
        network = Network(self.points, self.numbers, np.array(bonds, dtype=np.intp)).part(left)
        distance = np.hypot(*(network.points[:, None] - centres).transpose(2, 0, 1))
        rows = {int(old): new for new, old in enumerate(np.flatnonzero(left))}
        return relaxed(network, (distance < _REACH_NM).any(axis=1)), rows


def _any(atoms: list[int], rng: np.random.Generator) -> int:
    return atoms[int(rng.integers(len(atoms)))]


def _pair(draft: _Draft, a: int, rng: np.random.Generator) -> tuple[int, int]:
    return a, _any(draft.others(a), rng)


def _si1c3(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    draft.silicon(a)
    return [a]


def _si1c4(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    a, b = _pair(draft, a, rng)
    draft.merge(a, b)
    draft.silicon(a)
    return [a, b]


def _si2c4(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    a, b = _pair(draft, a, rng)
    draft.silicon(a, b)
    return [a, b]


def _si2c5(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    a, b = _pair(draft, a, rng)
    c = _any(draft.others(b, a), rng)
    draft.merge(a, b)
    draft.silicon(a, c)
    return [a, b, c]


def _si2c6(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    b, c = _pair(draft, a, rng)
    start = _any(draft.others(b, c), rng)
    ahead = draft.points[b] - draft.points[start]
    ends = draft.others(c, b)
    end = max(ends, key=lambda atom: float((draft.points[atom] - draft.points[c]) @ ahead))
    draft.merge(start, b)
    draft.merge(c, end)
    draft.silicon(start, c)
    return [start, b, c, end]


def _si3c6(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    around = draft.others(a)
    draft.remove(a)
    draft.silicon(*around)
    for first, second in ((0, 1), (1, 2), (0, 2)):
        draft.bond(around[first], around[second])
    return [a, *around]


def _v1(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    draft.remove(a)
    return [a]


def _v2(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    a, b = _pair(draft, a, rng)
    for gone, other in ((a, b), (b, a)):
        draft.bond(*draft.others(gone, other))
    draft.remove(a)
    draft.remove(b)
    return [a, b]


def _sw(draft: _Draft, a: int, rng: np.random.Generator) -> list[int]:
    a, b = _pair(draft, a, rng)
    along = draft.points[b] - draft.points[a]
    left = CC_NM / 2 * np.array([-along[1], along[0]]) / np.hypot(*along)
    middle = (draft.points[a] + draft.points[b]) / 2
    of_a = sorted(draft.others(a, b), key=lambda atom: float((draft.points[atom] - middle) @ left))
    of_b = sorted(draft.others(b, a), key=lambda atom: float((draft.points[atom] - middle) @ left))
    draft.unbond(a, of_a[0])
    draft.unbond(b, of_b[1])
    draft.bond(a, of_b[1])
    draft.bond(b, of_a[0])
    draft.points[a], draft.points[b] = middle + left, middle - left
    return [a, b]


_MAKERS: dict[str, Callable[[_Draft, int, np.random.Generator], list[int]]] = {
    "Si1C3": _si1c3,
    "Si1C4": _si1c4,
    "Si2C4": _si2c4,
    "Si2C5": _si2c5,
    "Si2C6": _si2c6,
    "Si3C6": _si3c6,
    "V1": _v1,
    "V2": _v2,
    "SW": _sw,
}

#: Names that `named_defect` knows.
DEFECTS = (*_MAKERS, "5-7")
