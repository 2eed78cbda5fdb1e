"""A movie of silicon-doped graphene whose patches turn and lose their order, with both planted at every atom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.simulate.adf import MARGIN_NM
from micrograph.simulate.kinetics.lattice import Array, Index
from micrograph.simulate.layers.surroundings import CARBON, SILICON, bond_nm, directions, silicon, turned_bond
from micrograph.simulate.movies import Movie, MovieSettings, Objects, Scene, render_movie, sample_box

if TYPE_CHECKING:
    from ase import Atoms

Range = tuple[float, float]

#: Atoms of two patches closer than this share of a bond cannot both be there.
_TOO_CLOSE = 0.72

#: Places of silicon and of turned bonds keep this distance from each other.
_APART_NM = 0.6

#: Atoms closer than this to the border of their patch are of the class 'boundary'.
_BORDER_NM = 0.2

#: Classes of atoms: the first that holds names the atom.
CLASSES = ("boundary", "Si", "57", "vacancy", "beside", "C")


@dataclass(frozen=True)
class DisorderSample:
    """Patches of graphene around random centres, each turned as a whole and disordered as a whole.

    rotation_deg: range of the patches' rotation in the first frame. turning_deg: range of how far each has turned in
    the last frame. disorder: ranges of the planted disorder (0..1) in the first and in the last frame. At disorder 1
    atoms are displaced by `displaced_nm` rms per axis, `missing` of them are gone, and `turned_per_nm2` bonds have
    turned by 90 degrees (5-7-7-5 rings); at less, all three in proportion. silicon: share of sites.
    """

    patches: int = 5
    rotation_deg: Range = (-15.0, 15.0)
    turning_deg: Range = (-10.0, 10.0)
    disorder: tuple[Range, Range] = ((0.0, 0.15), (0.3, 1.0))
    displaced_nm: float = 0.02
    missing: float = 0.05
    turned_per_nm2: float = 0.5
    silicon: float = 0.004

    def __post_init__(self) -> None:
        """Refuse a field without patches, and disorder outside 0 to 1."""
        if self.patches < 1 or not all(0 <= end <= 1 for pair in self.disorder for end in pair):
            raise BadInput(f"{self.patches} patches with disorder {self.disorder}: give at least one, within 0 to 1.")


def disordering_movie(sample: DisorderSample | None = None, settings: MovieSettings | None = None) -> Movie:
    """Return a movie of patches that turn and lose their order; the truth holds every atom.

    Truth: label 'C' or 'Si', `rotation_deg` of the patch counter-clockwise, `disorder` (0..1) of the patch, `patch`,
    `sublattice` and `class`: 'boundary' (next to another patch), 'Si', '57' (on a turned bond), 'vacancy' (a neighbour
    is gone), 'beside' (bonded to 'Si' or '57') or 'C'. Atoms keep their number; those at a boundary come and go.
    """
    sample, settings = sample or DisorderSample(), settings or MovieSettings()
    field = _Field(sample, settings)
    return render_movie(Scene(atoms=field.atoms, objects=field.objects), settings)


@dataclass(frozen=True)
class _Patch:
    """One patch around its centre, not turned.

    points: (N, 2); sublattice: (N,); near: (N, 3) rows of the neighbours, N where there is none; luck: (N,), an atom is
    gone where it is below the share of missing ones; throw: (N, 2) displacement at disorder 1; silicon: rows;
    turned: (disorder from which on it is there, row) of bonds; rotation_deg, disorder: in the first and the last frame.
    """

    points: Array
    sublattice: Index
    near: Index
    luck: Array
    throw: Array
    silicon: list[int]
    turned: list[tuple[float, int, int]]
    rotation_deg: Range
    disorder: Range


@dataclass(frozen=True)
class _Atoms:
    """All atoms of the sample, or of a patch, at one time."""

    points: Array
    numbers: Index
    object: Index
    patch: Index
    sublattice: Index
    kind: NDArray[np.str_]
    rotation_deg: Array
    disorder: Array

    def part(self, which: NDArray[np.bool_]) -> _Atoms:
        return _Atoms(**{name: column[which] for name, column in vars(self).items()})


class _Field:
    """The patches of a movie, and how they look in a frame."""

    def __init__(self, sample: DisorderSample, settings: MovieSettings) -> None:
        self.sample, self.settings = sample, settings
        rng = np.random.default_rng([settings.seed, 0, 61])
        low, size = sample_box(settings)
        low, high = low - MARGIN_NM, low + np.array(size) + MARGIN_NM
        self.centres = _spread_out(low, high, sample.patches, rng)
        grid = np.stack(np.meshgrid(*(np.arange(a, b + 0.2, 0.2) for a, b in zip(low, high, strict=True))), axis=-1)
        distance = np.hypot(*(grid.reshape(-1, 1, 2) - self.centres).transpose(2, 0, 1))
        cell = distance.argmin(axis=1)
        self._low, self._high = low, high
        self.silicon = [silicon(part) for part in (0, 1)]
        self.turned = [[turned_bond(part, turn) for turn in range(3)] for part in (0, 1)]
        self.patches = [
            _drawn_patch(sample, float(distance[cell == patch, patch].max(initial=0)) + 0.5, rng)
            for patch in range(sample.patches)
        ]
        self._first = np.cumsum([0, *(len(patch.points) for patch in self.patches)])

    def atoms(self, t_s: float) -> Atoms:
        """Return the sample at a time."""
        from micrograph.structures.layer import layer

        now = self._now(t_s)
        return layer(now.points, 0.0, now.numbers, np.where(now.numbers == SILICON, "Si", "C"))

    def objects(self, t_s: float) -> Objects:
        """Return all atoms with their truth."""
        now = self._now(t_s)
        more = {name: getattr(now, name) for name in ("rotation_deg", "disorder", "patch", "sublattice")}
        label = np.where(now.numbers == SILICON, "Si", "C")
        return Objects(now.object, label, now.points, {**more, "class": now.kind.astype(object)})

    def _now(self, t_s: float) -> _Atoms:
        frame = round(t_s / self.settings.frame_time_s)
        parts = [self._patch_now(patch, frame) for patch in range(len(self.patches))]
        return _without_overlap(
            _Atoms(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})
        )

    def _patch_now(self, number: int, frame: int) -> _Atoms:
        """Return the atoms of one patch that lie in its part of the sample."""
        from micrograph.structures.layer import turn

        patch = self.patches[number]
        disorder = self.settings.between(patch.disorder, frame)
        rotation = self.settings.between(patch.rotation_deg, frame)
        shaped, kind = self._shaped(patch, disorder)
        points = shaped @ turn(rotation) + self.centres[number]
        border = self._to_border(points, number)
        count = len(points)
        kind[border < _BORDER_NM] = "boundary"
        inside = (border > 0) & ((points > self._low) & (points < self._high)).all(axis=1)
        numbers = np.full(count, CARBON)
        numbers[patch.silicon] = SILICON
        return _Atoms(
            points=points,
            numbers=numbers,
            object=self._first[number] + np.arange(count),
            patch=np.full(count, number),
            sublattice=patch.sublattice,
            kind=kind,
            rotation_deg=np.full(count, rotation),
            disorder=np.full(count, disorder),
        ).part(inside & (patch.luck >= disorder * self.sample.missing))

    def _shaped(self, patch: _Patch, disorder: float) -> tuple[Array, NDArray[np.str_]]:
        """Return where the atoms of a patch are at a disorder, not turned, and their classes but 'boundary'."""
        from scipy.spatial import cKDTree

        tree = cKDTree(patch.points)
        points = patch.points + disorder * patch.throw
        defects = [(row, self.silicon[patch.sublattice[row]], [row]) for row in patch.silicon]
        for start, row, turn in patch.turned:
            if start < disorder:
                around = self.turned[patch.sublattice[row]][turn]
                defects.append((row, around, [row, int(tree.query(patch.points[row] + around.offset[1 + turn])[1])]))
        kind = np.full(len(points), "C", dtype="U8")
        for row, around, _ in defects:
            near = np.asarray(tree.query(patch.points[row] + around.offset, distance_upper_bound=bond_nm() / 2)[1])
            known = near < len(points)
            points[near[known]] += around.shift[known]
        for _, _, rows in defects:
            kind[(np.isin(patch.near, rows)).any(axis=1)] = "beside"
        gone = np.append(patch.luck < disorder * self.sample.missing, False)
        kind[gone[patch.near].any(axis=1)] = "vacancy"
        for _, _, rows in defects:
            kind[rows] = "Si" if len(rows) == 1 else "57"
        return points, kind

    def _to_border(self, points: Array, number: int) -> Array:
        """Return how far (N,) points are inside the part of the sample that belongs to a patch."""
        others = np.delete(self.centres, number, axis=0)
        if not len(others):
            return np.full(len(points), np.inf)
        way = others - self.centres[number]
        middle = (others + self.centres[number]) / 2
        inside = ((middle[None] - points[:, None]) * way).sum(axis=2) / np.hypot(*way.T)
        return np.asarray(inside.min(axis=1))


def _drawn_patch(sample: DisorderSample, radius_nm: float, rng: np.random.Generator) -> _Patch:
    """Return a random patch that reaches `radius_nm` from its centre."""
    from scipy.spatial import cKDTree

    bonds = bond_nm() * directions(0)
    most = int(np.ceil(radius_nm / (1.4 * bond_nm()))) + 2
    i, j = np.mgrid[-most : most + 1, -most : most + 1].reshape(2, -1)
    first = np.column_stack([i, j]) @ (bonds[0] - bonds[1:]) + rng.uniform(0, 0.2, 2)
    points = np.concatenate([first, first + bonds[0]])
    sublattice = np.repeat([0, 1], len(first))
    inside = np.hypot(*points.T) < radius_nm
    points, sublattice = points[inside], sublattice[inside]
    count = len(points)
    reach = 1.2 * bond_nm()
    near = np.asarray(cKDTree(points).query(points, [2, 3, 4], distance_upper_bound=reach)[1], dtype=np.intp)
    turned_most = sample.turned_per_nm2 * np.pi * radius_nm**2
    wanted = rng.poisson(sample.silicon * count), rng.poisson(turned_most)
    rows = _thinned(points, sum(wanted), rng)
    start, end = (float(rng.uniform(*ends)) for ends in sample.disorder)
    rotation = float(rng.uniform(*sample.rotation_deg))
    luck = rng.random(count)
    luck[rows] = 1.0
    return _Patch(
        points=points,
        sublattice=sublattice,
        near=near,
        luck=luck,
        throw=rng.normal(0, sample.displaced_nm, (count, 2)),
        silicon=rows[: wanted[0]],
        turned=[(float(rng.random()), row, int(rng.integers(3))) for row in rows[wanted[0] :]],
        rotation_deg=(rotation, rotation + float(rng.uniform(*sample.turning_deg))),
        disorder=(start, end),
    )


def _thinned(points: Array, count: int, rng: np.random.Generator) -> list[int]:
    """Return up to `count` random rows that keep their distance; fewer where no more fit."""
    chosen: list[int] = []
    for row in rng.permutation(len(points))[: 20 * count].tolist():
        if len(chosen) < count and (np.hypot(*(points[chosen] - points[row]).T) > _APART_NM).all():
            chosen.append(row)
    return chosen


def _spread_out(low: Array, high: Array, count: int, rng: np.random.Generator) -> Array:
    """Return `count` random points (y, x), each the furthest from those before among a few."""
    points = rng.uniform(low, high, (1, 2))
    while len(points) < count:
        trial = rng.uniform(low, high, (10, 2))
        apart = np.hypot(*(trial[:, None] - points).transpose(2, 0, 1)).min(axis=1)
        points = np.vstack([points, trial[np.argmax(apart)]])
    return points


def _without_overlap(atoms: _Atoms) -> _Atoms:
    """Return the atoms without those too close to one of an earlier patch."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(atoms.points).query_pairs(_TOO_CLOSE * bond_nm(), output_type="ndarray")
    first, second = atoms.patch[pairs].T
    keep = np.ones(len(atoms.points), dtype=bool)
    keep[pairs[first != second].max(axis=1, initial=-1)] = False
    return atoms.part(keep)
