"""Checks of dumbbells: both columns found and paired, separation and direction beside their bounds, polarity."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate import adf, expose
from micrograph.simulate.ranges import random_microscope
from micrograph.simulate.scan import Scan
from micrograph.structures import sites_of
from micrograph.structures.dumbbell import CRYSTALS, dumbbells
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.limits import Raster, bond_limits
from micrograph.validate.metrics import coverage, over_limit, rmse
from micrograph.validate.metrics import match as matched
from micrograph.validate.shared import Shared
from micrograph.validate.timing import frame_seconds
from micrograph.validate.trials import Answer, Reference, Trial

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Corrected microscopes of the own simulator's images; field and displacement (1-sigma per axis) of columns (nm).
RANGES = {
    "voltage_kV": (120.0, 300.0), "convergence_mrad": (20.0, 30.0), "defocus_nm": (-2.0, 2.0),
    "astigmatism_nm": (0.0, 1.0), "coma_nm": (0.0, 40.0), "source_fwhm_nm": (0.04, 0.08),
}  # fmt: skip
_FIELD_NM, _DISPLACED_NM = 3.2, 0.012
#: Columns of one dumbbell are nearer to each other than this share of the lattice constant, others are not.
_PAIRED = 0.36
_REACH_NM = 0.05


def linear_dumbbells(name: str, trial: Trial) -> Reference:
    """Return a random image of the linear simulator: `name` is a crystal and a number, 'GaAs-3'."""
    crystal, number = name.rsplit("-", 1)
    rng = np.random.default_rng([700, int(number), *crystal.encode()])
    microscope = random_microscope(rng, **RANGES)
    atoms = dumbbells(
        crystal, _FIELD_NM, rng, thickness_nm=float(rng.uniform(2, 5)), rotation_deg=float(rng.uniform(0, 360)),
        displaced_nm=_DISPLACED_NM, missing=0.01,
    )  # fmt: skip
    shape = (round(_FIELD_NM / trial.pixel_nm),) * 2
    fraction = adf(atoms, microscope, pixel_nm=trial.pixel_nm, shape=shape, thermal_nm=trial.thermal_nm)
    sites = sites_of(atoms)
    place = np.stack([sites.y_nm, sites.x_nm], axis=1)
    sites = sites[np.asarray(((place > 0) & (place < (shape[0] - 1) * trial.pixel_nm)).all(axis=1))]
    return Reference(name, fraction, trial.pixel_nm, sites, (), microscope, trial.thermal_nm)


@dataclass(frozen=True)
class Judged:
    """The E true dumbbells of one image: which had both columns found (E,), were paired, and of those the errors.

    separation and direction: (P, 3) error, 1-sigma and limit, in nm and degrees; polar: whether the directions point to
    the heavier element, ``None`` where both are the same. `plain_*` is the classical way.
    """

    found: NDArray[np.bool_]
    paired: NDArray[np.bool_]
    separation: Array
    direction: Array
    polar: bool | None
    plain_found: NDArray[np.bool_]
    plain_separation: Array
    plain_direction: Array


def true_pairs(answer: Answer) -> Index:
    """Return the rows (E, 2) of the true dumbbells that lie inside the judged field."""
    from scipy.spatial import cKDTree

    sites = answer.reference.sites
    place = np.stack([sites.y_nm, sites.x_nm], axis=1)
    reach = _PAIRED * _lattice_nm(answer.reference)
    distance, near = map(np.asarray, cKDTree(place).query(place, k=2))
    partner, rows = near[:, 1], np.arange(len(place))
    mutual = (partner[partner] == rows) & (distance[:, 1] < reach) & (rows < partner)
    pairs = np.stack([rows[mutual], partner[mutual]], axis=1)
    return np.asarray(pairs[answer.judged[pairs].all(axis=1)], np.intp)


def _lattice_nm(reference: Reference) -> float:
    crystal = {"silicon_110": "Si"}.get(reference.name, reference.name.split("-")[0])
    return CRYSTALS[crystal][2]


def judged(answer: Answer) -> Judged:
    """Return what became of the true dumbbells of one image."""
    pairs, sites = true_pairs(answer), answer.reference.sites
    true = np.stack([sites.y_nm, sites.x_nm], axis=1)
    columns, objects = answer.tables["columns"], answer.tables["objects"]
    row = _rows(true, columns[["y_nm", "x_nm"]].to_numpy(float))
    owner = np.append(columns["object"].to_numpy(np.intp), -1)[row]
    found = np.asarray((row[pairs] >= 0).all(axis=1))
    paired = found & (owner[pairs[:, 0]] == owner[pairs[:, 1]])
    paired &= np.isfinite(objects["separation_sigma_nm"].to_numpy(float))[owner[pairs[:, 0]]]
    own = objects.iloc[owner[pairs[paired, 0]]]
    limit = _limits(answer, pairs)[paired]
    plain = np.stack([answer.plain.y_nm, answer.plain.x_nm], axis=1)
    plain_row = _rows(true, plain)
    plain_found = np.asarray((plain_row[pairs] >= 0).all(axis=1))
    steps = plain[plain_row[pairs[plain_found, 1]]] - plain[plain_row[pairs[plain_found, 0]]]
    length, angle = _polar(true[pairs[:, 1]] - true[pairs[:, 0]])
    plain_length, plain_angle = _polar(steps)
    return Judged(
        found,
        paired,
        _errors(own, "separation_nm", "separation_sigma_nm", length[paired], limit[:, 0]),
        _errors(own, "direction_deg", "direction_sigma_deg", angle[paired], limit[:, 1]),
        _points_rightly(answer, own, pairs[paired], true),
        plain_found,
        plain_length - length[plain_found],
        _line(plain_angle - angle[plain_found]),
    )


def _rows(true: Array, found: Array) -> Index:
    """Return the row of `found` that is each true column (N,), -1 for none."""
    pairs = matched(true[:, 0], true[:, 1], found[:, 0], found[:, 1], _REACH_NM)
    rows = np.full(len(true), -1, dtype=np.intp)
    rows[pairs.true] = pairs.found
    return rows


def _polar(step: Array) -> tuple[Array, Array]:
    return np.hypot(step[:, 0], step[:, 1]), np.degrees(np.arctan2(-step[:, 0], step[:, 1]))


def _line(angle: Array) -> Array:
    return np.asarray((angle + 90) % 180 - 90)


def _errors(own: DataFrame, name: str, sigma: str, true: Array, limit: Array) -> Array:
    error = own[name].to_numpy(float) - true
    return np.stack([_line(error) if name == "direction_deg" else error, own[sigma].to_numpy(float), limit], axis=1)


def _points_rightly(answer: Answer, own: DataFrame, pairs: Index, true: Array) -> bool | None:
    from ase.data import atomic_numbers

    number = np.array([atomic_numbers[str(label)] for label in answer.reference.sites.label])
    heavier = number[pairs[:, 1]] - number[pairs[:, 0]]
    if not len(pairs) or not heavier.any():
        return None
    _, angle = _polar(np.sign(heavier)[:, None] * (true[pairs[:, 1]] - true[pairs[:, 0]]))
    return bool(np.cos(np.radians(own["direction_deg"].to_numpy(float) - angle)).mean() > 0.5)


@functools.lru_cache(maxsize=64)
def _known_limits(trial: Trial, name: str, pairs: tuple[tuple[int, int], ...]) -> Array:
    answer = Answer((trial.load or _shipped)(name, trial), trial, np.zeros((1, 1), np.float32), {})
    rows, reference = np.array(pairs, dtype=np.intp).reshape(-1, 2), answer.reference
    raster = Raster((reference.fraction.shape[0], reference.fraction.shape[1]), reference.pixel_nm)
    columns = answer.columns()
    along = bond_limits(columns, raster, trial.dose_e_per_A2, rows, reference.fraction)
    single = answer.limits()
    place = np.stack([reference.sites.y_nm, reference.sites.x_nm], axis=1)
    step = place[rows[:, 1]] - place[rows[:, 0]]
    length = np.hypot(step[:, 0], step[:, 1])
    across = np.stack([-step[:, 1], step[:, 0]], axis=1) / length[:, None]
    variance = np.stack([single.y_nm**2, single.x_nm**2], axis=1)[rows].sum(axis=1)
    return np.stack([along, np.degrees(np.sqrt((variance * across**2).sum(axis=1)) / length)], axis=1)


def _shipped(name: str, trial: Trial) -> Reference:
    from micrograph.validate.trials import load_multislice

    return load_multislice(name, trial)


def _limits(answer: Answer, pairs: Index) -> Array:
    """Return the smallest errors (E, 2) of separation (nm) and direction (degrees); the latter as of lone columns."""
    from dataclasses import replace

    trial = replace(answer.trial, repeats=1)
    return _known_limits(trial, answer.reference.name, tuple(map(tuple, pairs.tolist())))


_SEEN: Shared[list[Judged]] = Shared()


def _all(trial: Trial, analyser: Analyser, rng: np.random.Generator) -> list[Judged]:
    """Return every image judged; the same images are analysed once for all checks."""

    def find(seed: int) -> list[Judged]:
        return [judged(answer) for answer in trial.answers(analyser, np.random.default_rng(seed))]

    return _SEEN.found(str(trial), analyser, rng, find)


def both_columns(trial: Trial, *, at_least: float) -> Check:
    """Build the check: share of dumbbells with both columns found and paired. Baseline: LoG, both found."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        images = _all(trial, analyser, rng)
        hits, trials = [int(one.paired.sum()) for one in images], [len(one.paired) for one in images]
        plain = float(np.mean(np.concatenate([one.plain_found for one in images])))
        found = float(np.mean(np.concatenate([one.found for one in images])))
        detail = f"{sum(trials)} dumbbells in {len(images)} images; both columns found, paired or not: {found:.4f}"
        return Measurement.of(share_interval(hits, trials, rng), limit=1.0, baseline=plain, detail=detail)

    return Check(f"dumbbells found and paired at {trial}", measure, at_least, ">=", data=str(trial))


def separation_over_limit(trial: Trial, *, at_most: float) -> Check:
    """Build the check: rms error of the separation over the rms Cramer-Rao bound. Baseline: LoG, free Gaussian fits."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        images = [one for one in _all(trial, analyser, rng) if len(one.separation)]

        def ratio(drawn: Sequence[Judged]) -> float:
            every = np.concatenate([one.separation for one in drawn])
            return over_limit(every[:, 0], every[:, 2])

        every = np.concatenate([one.separation for one in images])
        plain = rmse(np.concatenate([one.plain_separation for one in images])) / rmse(every[:, 2])
        rms, bound, mean = (1e3 * value for value in (rmse(every[:, 0]), rmse(every[:, 2]), every[:, 0].mean()))
        detail = f"rms {rms:.2f} pm, limit {bound:.2f} pm, mean {mean:.2f} pm"
        return Measurement.of(bootstrap(ratio, images, rng), limit=1.0, baseline=plain, detail=detail)

    return Check(f"separation error over Cramer-Rao at {trial}", measure, at_most, "<=", data=str(trial))


def direction_error(trial: Trial, *, at_most_deg: float) -> Check:
    """Build the check: rms error of the direction (degrees). Limit: Cramer-Rao. Baseline: LoG, free Gaussian fits."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        images = [one for one in _all(trial, analyser, rng) if len(one.direction)]

        def error(drawn: Sequence[Judged]) -> float:
            return rmse(np.concatenate([one.direction[:, 0] for one in drawn]))

        every = np.concatenate([one.direction for one in images])
        plain = rmse(np.concatenate([one.plain_direction for one in images]))
        detail = f"{len(every)} dumbbells, median {np.median(np.abs(every[:, 0])):.2f} degrees"
        return Measurement.of(bootstrap(error, images, rng), limit=rmse(every[:, 2]), baseline=plain, detail=detail)

    return Check(f"direction error at {trial}", measure, at_most_deg, "<=", unit="degree", data=str(trial))


def separation_coverage(trial: Trial, *, at_least: float) -> Check:
    """Build the check: share of true separations and directions within one stated sigma (0.683 is right)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        images = [one for one in _all(trial, analyser, rng) if len(one.separation)]

        def share(drawn: Sequence[Judged]) -> float:
            both = np.concatenate([part for one in drawn for part in (one.separation, one.direction)])
            return coverage(both[:, 0], both[:, 1])

        return Measurement.of(bootstrap(share, images, rng), limit=0.683)

    return Check(f"numbers within one sigma at {trial}", measure, at_least, ">=", data=str(trial))


def polarity(trial: Trial, *, at_least: float) -> Check:
    """Build the check: share of images of polar crystals in which directions point to the heavier element."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        right = [bool(one.polar) for one in _all(trial, analyser, rng) if one.polar is not None]
        return Measurement.of(share_interval([sum(right)], [len(right)], rng), limit=1.0, detail=f"{len(right)} images")

    return Check(f"polarity at {trial}", measure, at_least, ">=", data=str(trial))


def seconds_a_frame(*, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame of 512 x 512 pixels (10 nm of GaAs), prediction too."""

    def draw(rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        atoms = dumbbells("GaAs", 10.24, rng, rotation_deg=float(rng.uniform(0, 360)), displaced_nm=_DISPLACED_NM)
        share = adf(atoms, random_microscope(rng, **RANGES), pixel_nm=0.02, shape=(512, 512), thermal_nm=0.005)
        return expose(share, Scan(dose_e_per_A2=1e5), 0.02, rng), 0.02

    return frame_seconds(draw, frames=4, at_most_s=at_most_s)
