"""Checks of a library of defects: names, also under scan distortion, and bond lengths down to the counting limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sites
from micrograph.simulate import Microscope, Scan, adf, draw_distortion, expose
from micrograph.validate.baselines import Spots
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.limits import Raster, bond_limits
from micrograph.validate.metrics import match
from micrograph.validate.trials import Answer, Reference, Trial, dose_text

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.random import Generator
    from pandas import DataFrame

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Call = tuple[str, str]

#: Names of the defects; dislocations strain the whole field, so that fewer go into one.
NAMES = ("Si1C3", "Si1C4", "Si2C4", "Si2C5", "Si2C6", "Si3C6", "V1", "V2", "SW", "5-7")
_FEW = {"5-7": 2}
_MICROSCOPE = Microscope(60.0, 30.0, 80.0, 200.0, source_fwhm_nm=0.06)
_THERMAL_NM = 0.005
#: A defect is found within this distance, and judged if it is at least so far from the border (nm).
_RADIUS_NM, _INSET_NM = 0.15, 0.6
#: An atom is found within this distance (nm).
_ATOM_NM = 0.05


@dataclass(frozen=True)
class NamedFields:
    """Fields of graphene, `size_nm` wide, each with up to `count` relaxed defects of one name, turned at random.

    affine: rms of each element of the random 2 x 2 scan distortion of a field; microscope: the probe.
    """

    dose_e_per_A2: float = 1e5
    affine: float = 0.0
    names: tuple[str, ...] = NAMES
    count: int = 6
    size_nm: float = 6.0
    pixel_nm: float = 0.02
    microscope: Microscope = _MICROSCOPE

    def __str__(self) -> str:
        """Name the fields as the screen shows them."""
        shaken = f", {100 * self.affine:g} % scan distortion" if self.affine else ""
        return f"{dose_text(self.dose_e_per_A2)} e/A^2{shaken}"

    def drawn(self, name: str, rng: np.random.Generator) -> Shown:
        """Return a new field with defects of one name."""
        from micrograph.structures import named_defect

        count = min(self.count, _FEW.get(name, self.count))
        return self.shown(name, *named_defect(name, self.size_nm, rng, count=count), rng)

    def shown(self, name: str, atoms: Atoms, defects: Sequence[tuple[str, float, float]], rng: Generator) -> Shown:
        """Return a sheet of `atoms` with its named places (nm) as these fields show it."""
        scan = Scan(dose_e_per_A2=self.dose_e_per_A2, affine=self.affine)
        distortion = draw_distortion(scan, (self.size_nm, self.size_nm), rng)
        atoms = distortion.move_atoms(atoms)
        place = distortion.move(np.array([[y, x] for _, y, x in defects]).reshape(-1, 2))
        side = round(self.size_nm / self.pixel_nm)
        fraction = adf(atoms, self.microscope, pixel_nm=self.pixel_nm, shape=(side, side), thermal_nm=_THERMAL_NM)
        seen = ((y_x := atoms.positions[:, 1::-1] / 10) > 0).all(axis=1) & (y_x < self.size_nm).all(axis=1)
        label = np.array(atoms.get_chemical_symbols())  # type: ignore[no-untyped-call]
        sites = Sites(y_x[seen, 0], y_x[seen, 1], label[seen])
        named = tuple((of, float(y), float(x)) for (of, _, _), (y, x) in zip(defects, place, strict=True))
        reference = Reference(name, fraction, self.pixel_nm, sites, named, self.microscope, _THERMAL_NM)
        return Shown(reference, scan.dose_e_per_A2, expose(fraction, scan, self.pixel_nm, rng))


@dataclass(frozen=True)
class Shown:
    """A field and one exposed image of it."""

    reference: Reference
    dose_e_per_A2: float
    image: NDArray[np.float32]

    def answer(self, tables: Mapping[str, DataFrame]) -> Answer:
        """Return the image with the tables found for it."""
        name, pixel = self.reference.name, self.reference.pixel_nm
        trial = Trial((name,), self.dose_e_per_A2, 1, pixel, load=lambda name, trial: self.reference)
        return Answer(self.reference, trial, self.image, tables)


def name_accuracy(fields: NamedFields, *, at_least: float = 0.97, repeats: int = 7) -> Check:
    """Build the check: share of the defects that are found where they are and called by their name.

    `repeats` fields a name. Baseline: Laplacian peaks with Gaussian fits, silicon by brightness, hard bond cut-offs.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        calls: list[list[Call]] = []
        plain: list[Call] = []
        for shown in (fields.drawn(name, rng) for name in fields.names for _ in range(repeats)):
            calls.append(_calls(shown.reference, analyser(shown.image, fields.pixel_nm)["defects"]))
            plain += _calls(shown.reference, _plain_defects(shown))
        right = [sum(true == called for true, called in field) for field in calls]
        interval = share_interval(right, [len(field) for field in calls], rng)
        baseline = float(np.mean([true == called for true, called in plain]))
        return Measurement.of(interval, baseline=baseline, detail=_said([call for field in calls for call in field]))

    return Check(f"names of defects at {fields}", measure, at_least, ">=")


def bond_bias(fields: NamedFields, *, within_pm: float = 2.0, repeats: int = 6) -> Check:
    """Build the check: largest mean error of the lengths of the bonds of defects among the pairs of elements (pm).

    Limit 0; baseline: distances of Gaussian spots.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = _bonds(fields, repeats, analyser, rng)
        pairs = sorted({pair for field in found for pair in field.pair.tolist()})

        def worst(drawn: Sequence[_Lengths], plain: bool = False) -> float:
            return float(np.nanmax([abs(_mean(drawn, pair, plain)) for pair in pairs]))

        detail = ", ".join(f"{pair} {_mean(found, pair):+.2f} pm" for pair in pairs)
        return Measurement.of(bootstrap(worst, found, rng), limit=0.0, baseline=worst(found, True), detail=detail)

    return Check(f"mean error of bond lengths at {fields}", measure, within_pm, "<=", "pm")


def bond_scatter(fields: NamedFields, *, at_most: float = 1.5, repeats: int = 6) -> Check:
    """Build the check: standard deviation of the errors of bond lengths, each over its own counting limit.

    The limit is 1; baseline: distances of Gaussian spots.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = _bonds(fields, repeats, analyser, rng)
        absolute = 1e3 * np.std(np.concatenate([field.error_nm for field in found]))
        detail = f"{sum(len(field.pair) for field in found)} bonds, sd {absolute:.2f} pm; stated 1-sigma too small by "
        detail += f"{np.std(np.concatenate([field.error_nm / field.stated_nm for field in found])):.2f}"
        value = bootstrap(lambda drawn: _over_limit(drawn), found, rng)
        return Measurement.of(value, limit=1.0, baseline=_over_limit(found, True), detail=detail)

    return Check(f"scatter of bond lengths over the limit at {fields}", measure, at_most, "<=")


def _calls(reference: Reference, found: DataFrame) -> list[Call]:
    """Return (true name, found name) of the judged defects; '-' where nothing was found."""
    y, x = (np.array([defect[i] for defect in reference.defects], dtype=float) for i in (1, 2))
    pairs = match(y, x, found["y_nm"], found["x_nm"], _RADIUS_NM)
    called = dict(zip(pairs.true.tolist(), found["name"].to_numpy(str)[pairs.found].tolist(), strict=True))
    judged = np.flatnonzero(reference.inner(y, x, _INSET_NM)).tolist()
    return [(reference.defects[k][0], called.get(k, "-")) for k in judged]


def _said(calls: list[Call]) -> str:
    parts = []
    for name in dict.fromkeys(true for true, _ in calls):
        found = [call for true, call in calls if true == name]
        wrong = ", ".join(f"{n} as {call}" for call, n in Counter(call for call in found if call != name).most_common())
        parts.append(f"{name} {found.count(name)} of {len(found)}" + (f" ({wrong})" if wrong else ""))
    return "; ".join(parts)


def _spots(shown: Shown) -> Spots:
    return shown.answer({}).spots


def _plain_defects(shown: Shown) -> DataFrame:
    """Return names from hard bond cut-offs between Gaussian spots; silicon is twice as bright as usual."""
    import pandas as pd

    from micrograph.features.layers.defects import name_defects
    from micrograph.features.layers.graph import CUTOFFS_NM, neighbours

    spots, pixel = _spots(shown), shown.reference.pixel_nm
    y, x = spots.y * pixel, spots.x * pixel
    label = np.where(spots.sum > 2 * np.median(spots.sum), "Si", "C")
    end = (shown.image.shape[0] - 1) * pixel
    found = name_defects(y, x, label, neighbours(y, x, CUTOFFS_NM, label), extent=(0.0, 0.0, end, end))
    return pd.DataFrame({"name": found.name, "y_nm": found.y_nm, "x_nm": found.x_nm})


@dataclass(frozen=True)
class _Lengths:
    """Bonds of the defects of one field: pair of elements, error, stated 1-sigma, limit, error of the baseline."""

    pair: NDArray[np.str_]
    error_nm: Array
    stated_nm: Array
    limit_nm: Array
    plain_nm: Array


def _bonds(fields: NamedFields, repeats: int, analyser: Analyser, rng: np.random.Generator) -> list[_Lengths]:
    shown = (fields.drawn(name, rng) for name in fields.names for _ in range(repeats))
    found = [_bonds_of(each, analyser(each.image, fields.pixel_nm)) for each in shown]
    return [field for field in found if len(field.pair)]


def _bonds_of(shown: Shown, tables: Mapping[str, DataFrame]) -> _Lengths:
    """Compare the bonds of a field's fragments with the distances of the true atoms that they join."""
    sites, ends, stated = shown.reference.sites, _found_bonds(shown.reference, tables), tables["fragment_bonds"]
    known = (ends >= 0).all(axis=1) & (ends[:, 0] != ends[:, 1])
    ends, first = np.unique(np.sort(ends[known], axis=1), axis=0, return_index=True)
    stated = stated[known].iloc[first]
    place = np.column_stack([sites.y_nm, sites.x_nm])
    length = np.hypot(*(place[ends[:, 0]] - place[ends[:, 1]]).T)
    answer = shown.answer(tables)
    raster = Raster((shown.image.shape[0], shown.image.shape[1]), shown.reference.pixel_nm)
    pair = np.array(["-".join(sorted(each)) for each in sites.label[ends].tolist()], dtype=np.str_)
    return _Lengths(
        pair,
        stated["length_nm"].to_numpy() - length,
        stated["length_sigma_nm"].to_numpy(),
        bond_limits(answer.columns(), raster, shown.dose_e_per_A2, ends, shown.reference.fraction),
        _plain_lengths(shown, ends) - length,
    )


def _found_bonds(reference: Reference, tables: Mapping[str, DataFrame]) -> Index:
    """Return the true atoms (E, 2) that the bonds of the table 'fragment_bonds' join; -1 for one that is not judged."""
    from scipy.spatial import cKDTree

    sites, rows, bonds = reference.sites, tables["fragments"], tables["fragment_bonds"]
    place = np.column_stack([sites.y_nm, sites.x_nm])
    distance, nearest = (np.asarray(each) for each in cKDTree(place).query(rows[["y_nm", "x_nm"]].to_numpy(float)))
    inner = reference.inner(sites.y_nm, sites.x_nm, _INSET_NM)
    true = np.where((distance < _ATOM_NM) & inner[nearest], nearest, -1)
    row_of = dict(zip(zip(rows["id"], rows["atom"], strict=True), true.tolist(), strict=True))
    keys = bonds[["id", "first", "second"]].itertuples(index=False)
    ends = [(row_of[each.id, each.first], row_of[each.id, each.second]) for each in keys]
    return np.array(ends, dtype=np.intp).reshape(-1, 2)


def _plain_lengths(shown: Shown, ends: Index) -> Array:
    """Return the distances (E,) of the Gaussian spots nearest to the true ends of bonds (E, 2)."""
    from scipy.spatial import cKDTree

    spots, sites, pixel = _spots(shown), shown.reference.sites, shown.reference.pixel_nm
    place = pixel * np.column_stack([spots.y, spots.x])
    nearest = np.asarray(cKDTree(place).query(np.column_stack([sites.y_nm, sites.x_nm]))[1])
    return np.asarray(np.hypot(*(place[nearest[ends[:, 0]]] - place[nearest[ends[:, 1]]]).T))


def _mean(fields: Sequence[_Lengths], pair: str, plain: bool = False) -> float:
    """Return the mean error (pm) of the bonds of a pair of elements."""
    errors = [(field.plain_nm if plain else field.error_nm)[field.pair == pair] for field in fields]
    joined = np.concatenate(errors)
    return 1e3 * float(joined.mean()) if len(joined) else float("nan")


def _over_limit(fields: Sequence[_Lengths], plain: bool = False) -> float:
    """Return the standard deviation of the errors over their limits."""
    ratios = [(field.plain_nm if plain else field.error_nm) / field.limit_nm for field in fields]
    return float(np.std(np.concatenate(ratios)))
