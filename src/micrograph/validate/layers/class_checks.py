"""Checks of classes of defects and of their averages: one class per kind, sure to fractions of a picometre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sites
from micrograph.simulate import Microscope, Scan, adf, expose
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.trials import dose_text

if TYPE_CHECKING:
    from ase import Atoms

    from micrograph.features.layers.crops import Disc

Array = NDArray[np.float64]
_MICROSCOPE = Microscope(80.0, 30.0, 65.0, 200.0, source_fwhm_nm=0.06)
_THERMAL_NM = 0.005
#: Rim of the fields that holds no defects (nm).
_RIM_NM = 0.75


@dataclass(frozen=True)
class DefectField:
    """An exposed image (H, W), its expected counts, and its defects: kind, place (D, 2) nm."""

    image: NDArray[np.float32]
    expected: NDArray[np.float32]
    kind: NDArray[np.str_]
    place: Array


@dataclass(frozen=True)
class DefectFields:
    """Fields of a monolayer strewn with single defects of the given `kinds`, `apart_nm` from one another.

    Kinds: 'X' (the dopant on a metal site), 'V' (a chalcogen missing), 'VV' (both), 'X+V' (a dopant and a vacancy in
    one of the three columns beside it). `ring_pm` moves the columns next to a vacancy away from it.
    """

    material: str = "WS2"
    kinds: tuple[str, ...] = ("X", "V", "VV", "X+V")
    dopant: str = "Mo"
    dose_e_per_A2: float = 1e5
    size_nm: float = 10.0
    pixel_nm: float = 0.02
    apart_nm: float = 1.0
    ring_pm: float = 0.0

    def __str__(self) -> str:
        """Name the fields as the screen shows them."""
        return f"{self.material} at {dose_text(self.dose_e_per_A2)} e/A^2"

    def __call__(self, rng: np.random.Generator) -> DefectField:
        """Return a new field, turned at random."""
        from micrograph.structures import tmd

        atoms = tmd(
            self.material, self.size_nm, rotation_deg=float(rng.uniform(0, 120)), shift_nm=tuple(rng.uniform(0, 0.2, 2))
        )
        kinds, rows = self._planted(atoms, rng)
        place = _points(atoms)[rows]
        if self.ring_pm:
            _push(atoms, place, 1e-3 * self.ring_pm)
        return self._exposed(atoms, kinds, place, rng)

    def _exposed(self, atoms: Atoms, kinds: list[str], place: Array, rng: np.random.Generator) -> DefectField:
        side = round(self.size_nm / self.pixel_nm)
        fraction = adf(atoms, _MICROSCOPE, pixel_nm=self.pixel_nm, shape=(side, side), thermal_nm=_THERMAL_NM)
        image = expose(fraction, Scan(dose_e_per_A2=self.dose_e_per_A2), self.pixel_nm, rng)
        expected = fraction * np.float32(self.dose_e_per_A2 * (10 * self.pixel_nm) ** 2)
        return DefectField(image, expected, np.array(kinds, dtype=np.str_), place)

    def _planted(self, atoms: Atoms, rng: np.random.Generator) -> tuple[list[str], list[int]]:
        """Put defects into `atoms`; return their kinds and the rows of the atoms on whose sites they are."""
        from ase.data import atomic_numbers
        from scipy.spatial import cKDTree

        point, label = _points(atoms), atoms.arrays["label"]
        column = np.array([str(name).endswith("2") for name in label])
        lower = np.flatnonzero(column)[::2]
        inner = np.all((point > _RIM_NM) & (point < self.size_nm - _RIM_NM), axis=1)
        beside = cKDTree(point[lower])
        wanted: dict[bool, list[str]] = {True: [], False: []}
        for kind in self.kinds:
            wanted["X" not in kind].append(kind)
        sites = [site for site in np.concatenate([np.flatnonzero(~column), lower]) if wanted[bool(column[site])]]
        kinds: list[str] = []
        rows: list[int] = []
        for site in rng.permutation(sites).tolist():
            if not inner[site] or (rows and np.hypot(*(point[rows] - point[site]).T).min() < self.apart_nm):
                continue
            kind = str(rng.choice(wanted[bool(column[site])]))
            if "X" in kind:
                atoms.numbers[site] = atomic_numbers[self.dopant]
            pair = site if column[site] else int(lower[rng.choice(beside.query(point[site], k=3)[1])])
            gone = {"V": [pair + int(rng.integers(2))], "VV": [pair, pair + 1]}.get(kind.removeprefix("X+"), [])
            atoms.numbers[gone] = 0
            kinds.append(kind)
            rows.append(site)
        return kinds, rows


def single_defect(fields: DefectFields, size_nm: float = 3.2) -> tuple[Sites, NDArray[np.float32], Array, Microscope]:
    """Return columns, noise-free image, place (2,) and microscope of a field with one vacancy in its middle."""
    from micrograph.structures import sites_of, tmd

    atoms = tmd(fields.material, size_nm)
    point = _points(atoms)
    lower = np.flatnonzero([str(name).endswith("2") for name in atoms.arrays["label"]])[::2]
    row = lower[np.hypot(*(point[lower] - size_nm / 2).T).argmin()]
    atoms.numbers[row] = 0
    atoms.arrays["label"][row : row + 2] = atoms.arrays["label"][row].replace("2", "1")
    side = round(size_nm / fields.pixel_nm)
    fraction = adf(atoms, _MICROSCOPE, pixel_nm=fields.pixel_nm, shape=(side, side), thermal_nm=_THERMAL_NM)
    return sites_of(atoms), fraction, point[row], _MICROSCOPE


def _points(atoms: Atoms) -> Array:
    return np.asarray(atoms.positions[:, 1::-1] / 10.0)


def _push(atoms: Atoms, place: Array, by_nm: float) -> None:
    """Move the atoms next to each place away from it."""
    point = _points(atoms)
    for centre in place:
        away = point - centre
        distance = np.hypot(*away.T)
        ring = (distance > 0.05) & (distance < 0.21)
        atoms.positions[ring, 1::-1] += 10 * by_nm * away[ring] / distance[ring, None]


def folded_classes(
    fields: DefectFields, *, frames: int = 6, group: str = "D3", off_pm: float = 0.0, at_least: float = 0.8
) -> Check:
    """Build the check: adjusted Rand index of the classes of folded crops with the true kinds of defects.

    The crops are cut at the true places, or `off_pm` (1-sigma per axis) beside them, in the lattice's orientation as
    the recipe finds it; the number of classes is not given. Limit (at the true places): likeliest kind when every
    kind's image is known. Baseline: k-means of unfolded crops, the number of kinds given; the detail says what the
    mixture finds without folding.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from micrograph.features.layers.classes import classes
        from micrograph.features.layers.crops import Disc
        from micrograph.features.layers.folding import permutations

        disc = Disc()
        strewn = [fields(rng) for _ in range(frames)]
        off = [replace(field, place=field.place + rng.normal(0, 1e-3 * off_pm, field.place.shape)) for field in strewn]
        cuts = [_cuts(field, analyser, disc, fields) for field in off]
        frame = np.repeat(np.arange(frames), [len(each.kind) for each in cuts])
        kind = np.concatenate([each.kind for each in cuts])
        values = np.concatenate([each.seen for each in cuts])
        permuted = permutations(disc, group, mirror_deg=0.0)
        found, plain = (
            classes(values, order, rng, disc=disc if off_pm else None) for order in (permuted, permuted[:1])
        )
        known = _oracle(
            np.concatenate([each.counts for each in cuts]),
            np.concatenate([each.expected for each in cuts]),
            kind,
            permuted,
        )
        pairs = [(kind[frame == k], found.label[frame == k]) for k in range(frames)]
        return Measurement.of(
            bootstrap(_rand, pairs, rng, resamples=300),
            limit=None if off_pm else _rand([(kind, known)]),
            baseline=_rand([(kind, _k_means(values, len(set(kind.tolist()))))]),
            detail=f"{len(found.sizes)} classes of {len(kind)} defects (stability {found.stability:.2f}); "
            f"{len(plain.sizes)} classes and index {_rand([(kind, plain.label)]):.2f} without folding",
        )

    beside = f", cut {off_pm:g} pm beside" if off_pm else ""
    return Check(f"classes of defects (adjusted Rand index), {fields}{beside}", measure, at_least, ">=")


@dataclass(frozen=True)
class _Cuts:
    """Crops (N, P) of one frame: levelled, in counts, expected counts; and the defects' kinds (N,)."""

    seen: NDArray[np.float32]
    counts: NDArray[np.float32]
    expected: NDArray[np.float32]
    kind: NDArray[np.str_]


def _cuts(field: DefectField, analyser: Analyser, disc: Disc, fields: DefectFields) -> _Cuts:
    from micrograph.features.lattices.crystal import crystal_of
    from micrograph.features.layers.class_strain import standard
    from micrograph.features.layers.crops import cut, levelled
    from micrograph.structures import MATERIALS

    objects = analyser(field.image, fields.pixel_nm)["objects"]
    comb = standard(crystal_of(objects), (objects["class"] == MATERIALS[fields.material].metal).to_numpy())
    if comb is None:
        raise BadInput("The recipe finds no lattice in a simulated field: check its weights.")
    y, x = field.place.T
    seen, counts, expected = (
        cut(image, fields.pixel_nm, y, x, disc, comb.turn)
        for image in (levelled(field.image), field.image, field.expected)
    )
    return _Cuts(seen.values, counts.values, expected.values, field.kind[seen.source])


def _rand(pairs: Sequence[tuple[NDArray[np.generic], NDArray[np.generic]]]) -> float:
    """Return the adjusted Rand index of the labels of several frames together."""
    from sklearn.metrics import adjusted_rand_score

    true, label = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    return float(adjusted_rand_score(true, label))


def _k_means(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(count, n_init=5, random_state=0).fit_predict(values), dtype=np.intp)


def _oracle(
    counts: NDArray[np.float32], expected: NDArray[np.float32], kind: NDArray[np.str_], permuted: NDArray[np.intp]
) -> NDArray[np.str_]:
    """Return the likeliest kind of crops (N, P) in counts, in any orientation, given the mean image of every kind."""
    from micrograph.features.layers.folding import fold

    names = np.unique(kind)
    score = np.full((len(counts), len(names)), -np.inf)
    for k, name in enumerate(names):
        mean = np.maximum(fold(expected[kind == name], permuted).values.mean(axis=0, dtype=np.float64), 1e-3)
        for order in permuted:
            likelihood = counts @ np.log(mean[order]) - mean.sum()
            score[:, k] = np.maximum(score[:, k], likelihood)
    return np.asarray(names[score.argmax(axis=1)])
