"""Checks of class averages: mean places to the counting limit, a planted strain to fractions of a picometre."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sites
from micrograph.validate.baselines import fit_spots
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.layers.class_checks import DefectFields, single_defect
from micrograph.validate.metrics import match
from micrograph.validate.trials import Answer, Reference, Trial, is_empty

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.features.layers.class_strain import ClassStrain

Array = NDArray[np.float64]
Tables = Mapping[str, "DataFrame"]
#: Columns within this distance of a defect are judged (nm).
REACH_NM = 0.55
#: Mean images are drawn with this pitch for the baseline, and their spots fitted with this width (nm).
_STEP_NM, _WIDTH_NM = 0.015, 0.04


def average_over_limit(
    fields: DefectFields, fold: ClassStrain, *, members: int, frames: int, at_most: float = 1.2
) -> Check:
    """Build the check: rms error of the mean places over the counting limit of one image by sqrt(members).

    `fold` is the recipe's; frames are put together until every average has at least so many members. The limit is 1;
    the baseline fits a Gaussian to every column of the mean image.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        groups = _averages(fields, fold, members, frames, analyser, rng)
        limit = _limit(fields)
        errors = [error for tables in groups for error in _errors(_rows(tables), fields, limit)]
        plain = [error for tables in groups for error in _errors(_image_rows(tables, fields), fields, limit)]
        absolute = [error for tables in groups for error in _errors(_rows(tables), fields, np.ones(3))]
        number = np.mean([tables["classes"]["n"].iloc[0] for tables in groups])
        detail = f"{len(groups)} averages of {number:.0f}: rms error {1e3 * _rms(absolute) / np.sqrt(number):.3f} pm"
        return Measurement.of(bootstrap(_rms, errors, rng), limit=1.0, baseline=_rms(plain), detail=detail)

    return Check(f"mean places of {members} defects over the limit, {fields}", measure, at_most, "<=")


def ring_strain_error(
    fields: DefectFields, fold: ClassStrain, *, members: int = 50, frames: int = 12, within_pm: float = 0.3
) -> Check:
    """Build the check: rms error of the radial displacement of the ring of columns next to a defect (pm).

    The fields' ring is displaced by ``fields.ring_pm``. Limit: counting; baseline as in `average_over_limit`.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        groups = _averages(fields, fold, members, frames, analyser, rng)
        found = [float(tables["strain_rings"]["radial_pm"].iloc[0]) for tables in groups]
        claimed = np.mean([tables["strain_rings"]["radial_sigma_pm"].iloc[0] for tables in groups])
        number = float(np.mean([tables["classes"]["n"].iloc[0] for tables in groups]))
        wrong = [(radial - fields.ring_pm,) for radial in found]
        plain = [(radial - fields.ring_pm,) for tables in groups for radial in _image_ring_pm(tables, fields)]
        detail = (
            f"{np.mean(found):.3f} pm found of {fields.ring_pm:g} pm, over {len(groups)} averages of {number:.0f}; "
            f"claimed 1-sigma {claimed:.3f} pm"
        )
        limit = 1e3 * float(_limit(fields)[2]) / np.sqrt(3 * number)
        return Measurement.of(bootstrap(_rms, wrong, rng), limit=limit, baseline=_rms(plain), detail=detail)

    return Check(f"planted ring displacement, {members} defects, {fields}", measure, within_pm, "<=", "pm")


def ring_bias(trial: Trial, name: str, *, within_pm: float = 0.3) -> Check:
    """Build the check: mean radial error of the columns next to the defects `name`, in images of another simulator.

    Tails of the probe that the fit's shape leaves out push the neighbours of a missing atom; averages keep that. The
    neighbours' errors count from those of the columns around. Limit: counting; baseline: free Gaussians one by one.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found, plain, limits = [], [], []
        for answer in trial.answers(analyser, rng):
            limit = np.hypot(answer.limits().y_nm, answer.limits().x_nm) / np.sqrt(2)
            for defect, y, x in answer.reference.defects:
                if defect != name or not answer.reference.inner(np.array([y]), np.array([x]), 0.45)[0]:
                    continue
                found += [(radial,) for radial in _ring_errors_pm(answer, answer.found[answer.measured], (y, x))]
                plain += [(radial,) for radial in _ring_errors_pm(answer, answer.plain, (y, x))]
            limits.append(1e3 * float(np.nanmedian(limit)))
        value = bootstrap(lambda errors: abs(_mean(errors)), found, rng)
        detail = f"{len(found)} columns next to {name}: {_mean(found):+.2f} pm outwards"
        counting = float(np.mean(limits)) / np.sqrt(max(len(found), 1))
        return Measurement.of(value, limit=counting, baseline=abs(_mean(plain)), detail=detail)

    return Check(f"bias next to {name}, multislice at {trial}", measure, within_pm, "<=", "pm")


def _mean(errors: Sequence[tuple[float, ...]]) -> float:
    return float(np.mean(errors)) if len(errors) else float("nan")


def _ring_errors_pm(answer: Answer, found: Sites, centre: tuple[float, float]) -> list[float]:
    """Return by how much (pm) the columns next to `centre` are found too far out, against those around them."""
    sites = answer.reference.sites[~is_empty(answer.reference.sites.label)]
    true = np.column_stack([sites.y_nm, sites.x_nm])
    pairs = match(true[:, 0], true[:, 1], found.y_nm, found.x_nm, 0.05)
    away = true[pairs.true] - centre
    distance = np.hypot(*away.T)
    error = np.column_stack([found.y_nm, found.x_nm])[pairs.found] - true[pairs.true]
    ring, around = (distance > 0.1) & (distance < 0.24), (distance >= 0.24) & (distance < 0.8)
    if not ring.any() or around.sum() < 10:
        return []
    moved = error[ring] - np.median(error[around], axis=0)
    radial = (moved * away[ring]).sum(axis=1) / distance[ring]
    return [1e3 * float(error) for error in radial]


def _averages(
    fields: DefectFields, fold: ClassStrain, members: int, frames: int, analyser: Analyser, rng: np.random.Generator
) -> list[Tables]:
    """Return the tables over time of groups of frames, each with at least so many members of the class."""
    groups: list[Tables] = []
    state = fold.start()
    for _ in range(frames):
        state = fold.step(state, analyser(fields(rng).image, fields.pixel_nm))
        tables = fold.result(state)
        if len(tables["classes"]) and tables["classes"]["n"].iloc[0] >= members:
            groups.append(tables)
            state = fold.start()
    if not groups:
        raise BadInput(f"{frames} frames hold fewer than {members} defects: simulate more frames.")
    return groups


def _rms(errors: Sequence[tuple[float, ...]]) -> float:
    return float(np.sqrt(np.mean(np.square(errors)))) if len(errors) else float("nan")


def _rows(tables: Tables) -> Array:
    """Return (R, 3) of the largest class: mean y and x (nm) of the columns around it, their number."""
    rows = tables["class_columns"]
    rows = rows[rows["class"] == tables["classes"]["name"].iloc[0]]
    return np.asarray(rows[["y_nm", "x_nm", "n"]], dtype=np.float64)


def _image_rows(tables: Tables, fields: DefectFields) -> Array:
    """Return the same from Gaussians fitted to the mean image, around its own mean displacement."""
    from micrograph.features.layers.class_strain import IMAGE

    name, number = tables["classes"]["name"].iloc[0], tables["classes"]["n"].iloc[0]
    rows = tables["class_images"]
    picture = IMAGE.picture(rows.loc[rows["class"] == name, "value"].to_numpy(), _STEP_NM)
    middle = (len(picture) - 1) / 2
    true = _true_places(fields)
    inside = true[np.hypot(*true.T) < IMAGE.radius_nm - 0.06]
    start = inside / _STEP_NM + middle
    spots = fit_spots(np.nan_to_num(picture), start[:, 0], start[:, 1], _WIDTH_NM / _STEP_NM)
    place = (np.column_stack([spots.y, spots.x]) - middle) * _STEP_NM
    return np.column_stack([place, np.full(len(place), float(number))])


def _image_ring_pm(tables: Tables, fields: DefectFields) -> list[float]:
    """Return the mean radial displacement of the nearest ring as Gaussians fitted to the mean image give it."""
    place = _image_rows(tables, fields)[:, :2]
    distance = np.hypot(*place.T)
    ring = (distance > 0.1) & (distance < 0.25)
    true = np.hypot(*_true_places(fields).T)
    return [1e3 * float(distance[ring].mean() - true[(true > 0.1) & (true < 0.25)].mean()) + fields.ring_pm]


def _errors(rows: Array, fields: DefectFields, limit: Array) -> list[tuple[float, ...]]:
    """Return per column the errors of y and x over the limit of its kind at its number of members."""
    from scipy.spatial import cKDTree

    true = _true_places(fields)
    distance, nearest = cKDTree(true).query(rows[:, :2])
    radius = np.hypot(*true[nearest].T)
    near = (distance < 0.05) & (radius < REACH_NM)
    kind = np.where(radius < 0.05, 0, np.where(_own(radius, fields), 1, 2))
    over = (rows[:, :2] - true[nearest]) * np.sqrt(rows[:, 2:]) / limit[kind][:, None]
    return [tuple(error) for error in over[near].tolist()]


def _own(radius: Array, fields: DefectFields) -> NDArray[np.bool_]:
    """Return which distances from a chalcogen site are those of other chalcogen sites."""
    from micrograph.structures import MATERIALS

    ring = 12 * (radius / MATERIALS[fields.material].a_nm) ** 2
    return np.asarray(np.rint(ring).astype(int) % 12 == 0)


def _true_places(fields: DefectFields) -> Array:
    """Return the offsets (M, 2) of the columns around a chalcogen site in the standard orientation, ring displaced."""
    from micrograph.structures import MATERIALS

    a_nm = MATERIALS[fields.material].a_nm
    cell = a_nm * np.array([[-0.5, np.sqrt(3) / 2], [0.5, np.sqrt(3) / 2]])
    own = np.mgrid[-5:6, -5:6].reshape(2, -1).T @ cell
    other = own - np.array([0.0, a_nm / np.sqrt(3)])
    distance = np.hypot(*other.T)
    ring = distance < 0.21
    other[ring] *= 1 + 1e-3 * fields.ring_pm / distance[ring, None]
    both = np.concatenate([own, other])
    return np.asarray(both[np.hypot(*both.T) < 1.0])


@functools.lru_cache(maxsize=8)
def _limit(fields: DefectFields) -> Array:
    """Return the smallest 1-sigma (nm) of one image for the defect's column, its own kind, and the metals around."""
    sites, fraction, centre, microscope = single_defect(fields)
    reference = Reference("around", fraction, fields.pixel_nm, sites, (), microscope, 0.005)
    trial = Trial(
        ("around",),
        fields.dose_e_per_A2,
        1,
        fields.pixel_nm,
        load=lambda name, trial: reference,
    )
    limits = Answer(reference, trial, fraction, {}).limits()
    both = np.sqrt((limits.y_nm**2 + limits.x_nm**2) / 2)
    radius = np.hypot(sites.y_nm - centre[0], sites.x_nm - centre[1])
    own = _own(radius, fields)
    near = (radius < REACH_NM) & np.isfinite(both)
    groups = (near & (radius < 0.05), near & own & (radius > 0.05), near & ~own)
    return np.array([np.sqrt(np.mean(both[group] ** 2)) if group.any() else np.nan for group in groups])
