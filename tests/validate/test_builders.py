"""The bars told apart: an analyser that knows the truth passes them, one with a known fault fails the right one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Flag, Sites
from micrograph.simulate import Microscope, adf_points
from micrograph.validate import (
    Check,
    CheckResult,
    Field,
    Reference,
    TmdFields,
    Trial,
    atom_f1,
    coverage_1sigma,
    defect_recall,
    density_coverage,
    domain_auroc,
    false_positive_rate,
    position_over_limit,
    run_checks,
    score_calibration,
    site_accuracy,
    site_recall,
    slope_error,
    species_error,
)
from micrograph.validate.trials import dose_text, is_empty

SHAPE, PIXEL = (72, 75), 0.02
MICROSCOPE = Microscope(source_fwhm_nm=0.06)
GROUPS = (("C", "Si", "vac_C"),)


def toy(name: str, trial: Trial) -> Reference:
    """A displaced honeycomb with one silicon and one empty site, made by the linear model."""
    rng = np.random.default_rng(7)
    a = 0.246
    index = np.stack(np.meshgrid(np.arange(-12, 12), np.arange(-12, 12)), axis=-1).reshape(-1, 2)
    lattice = index @ np.array([[0.0, a], [a * np.sqrt(3) / 2, a / 2]]) + 0.71
    ideal = np.concatenate([lattice, lattice + np.array([a / np.sqrt(3), 0.0])])
    points = ideal + rng.normal(0, 0.01, ideal.shape)
    inside = np.all((points > 0) & (points < (np.array(SHAPE) - 1) * PIXEL), axis=1)
    centre = np.hypot(*(points - (0.45, 0.5)).T)
    numbers = np.full(len(points), 6)
    numbers[np.argmin(centre)] = 14
    numbers[np.argmin(np.hypot(*(points - (1.0, 1.0)).T))] = 0
    fraction = adf_points(points, numbers, MICROSCOPE, pixel_nm=PIXEL, shape=SHAPE, thermal_nm=trial.thermal_nm)
    label = np.array([{6: "C", 14: "Si", 0: "vac_C"}[int(z)] for z in numbers])[inside]
    sites = Sites(points[inside, 0], points[inside, 1], label)
    odd = np.flatnonzero(label != "C")
    names = {"Si": "Si1C3", "vac_C": "V1"}
    defects = tuple((names[str(label[i])], float(sites.y_nm[i]), float(sites.x_nm[i])) for i in odd)
    return Reference(name, fraction, PIXEL, sites, defects, MICROSCOPE, trial.thermal_nm)


TRIAL = Trial(("toy",), 1e5, repeats=3, load=toy)
SIGMA_NM = 0.006


@dataclasses.dataclass
class Oracle:
    """Knows the truth; its places err by 6 pm; `spoil` changes its objects."""

    spoil: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table
    sigma_nm: float = SIGMA_NM
    distance: float = 0.5

    def __call__(self, image: Any, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
        reference = toy("toy", TRIAL)
        rng = np.random.default_rng(int(np.abs(image).sum()))
        sites = reference.sites
        y, x = (place + rng.normal(0, SIGMA_NM, len(sites)) for place in (sites.y_nm, sites.x_nm))
        objects = pd.DataFrame(
            {"frame": 0, "y_nm": y + 0.01, "x_nm": x, "y_sigma_nm": self.sigma_nm, "x_sigma_nm": self.sigma_nm}
        ).assign(**{"class": sites.label, "score": 0.99, "flags": 0})
        name, dy, dx = zip(*reference.defects, strict=True)
        defects = pd.DataFrame({"frame": 0, "name": name, "y_nm": dy, "x_nm": dx, "score": 0.9, "flags": 0})
        frames = pd.DataFrame(
            {"frame": [0], "flags": [0], "domain_distance": [self.distance], "area_nm2": [image.size * pixel_nm**2]}
        )
        return {"objects": self.spoil(objects), "defects": defects, "frames": frames}


def measured(check: Check, oracle: Any | None = None) -> CheckResult:
    (result,) = run_checks([check], oracle or Oracle(), np.random.default_rng(0))
    assert result.error == ""
    return result


def test_every_atom_found_is_f1_of_one_with_its_exact_lower_end() -> None:
    result = measured(atom_f1(TRIAL, at_least=0.95))
    assert result.value == 1.0
    assert result.low is not None and 0.95 < result.low < 1
    assert result.limit == pytest.approx(1, abs=0.01)
    assert result.baseline is not None and result.baseline > 0.8
    assert result.passed


def test_atoms_left_out_and_atoms_made_up_lower_f1() -> None:
    def halved(table: pd.DataFrame) -> pd.DataFrame:
        return table.iloc[::2]

    def doubled(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table, table.assign(y_nm=table["y_nm"] + 0.055)])

    for spoil in (halved, doubled):
        value = measured(atom_f1(TRIAL), Oracle(spoil)).value
        assert value is not None and 0.55 < value < 0.75


def test_place_errors_are_compared_with_the_bound_of_the_same_images() -> None:
    result = measured(position_over_limit(TRIAL))
    low_dose = measured(position_over_limit(TRIAL.at(1e3)))
    assert result.value is not None and low_dose.value is not None
    assert result.value / low_dose.value == pytest.approx(10, rel=0.25)
    assert result.limit == 1
    assert float(result.detail.split()[2]) == pytest.approx(1e3 * SIGMA_NM, rel=0.1)


def test_measured_displacements_have_slope_one_and_shrunken_ones_less() -> None:
    def onto_lattice(table: pd.DataFrame) -> pd.DataFrame:
        from scipy.spatial import cKDTree

        points = table[["y_nm", "x_nm"]].to_numpy()
        near = cKDTree(points).query(points, k=4)[1]
        mean = points[near[:, 1:]].mean(axis=1)
        moved = np.where(np.hypot(*(points - mean).T)[:, None] < 0.05, 0.5 * (points + mean), points)
        return table.assign(y_nm=moved[:, 0], x_nm=moved[:, 1])

    true = measured(slope_error(TRIAL, within=0.15))
    drawn = measured(slope_error(TRIAL, within=0.15), Oracle(onto_lattice))
    assert true.value is not None and true.value < 0.12
    assert drawn.value is not None and drawn.value > 0.2
    assert drawn.detail.startswith("slope 0.")


def test_honest_sigmas_cover_and_halved_ones_do_not() -> None:
    honest = measured(coverage_1sigma(TRIAL, within=0.12))
    assert honest.value is not None and honest.value < 0.06
    assert not measured(coverage_1sigma(TRIAL, within=0.12), Oracle(sigma_nm=SIGMA_NM / 2)).passed


def test_wrong_elements_are_counted_against_the_bayes_error() -> None:
    def all_carbon(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{"class": "C"})

    right = measured(species_error(TRIAL.at(300)))
    assert right.value == 0
    assert right.limit is not None and 0 < right.limit < 0.1
    assert right.bound == pytest.approx(0.002 + 2 * right.limit)
    wrong = measured(species_error(TRIAL), Oracle(all_carbon))
    assert wrong.value is not None and wrong.value > 0


def test_sites_are_judged_class_by_class_and_empty_sites_count() -> None:
    result = measured(site_accuracy(TRIAL, groups=GROUPS))
    assert result.value == 1.0
    assert result.low is not None and result.low < 0.9, "three sites of a class prove little"
    assert "vac_C 1.000 of 3" in result.detail
    without = measured(site_accuracy(TRIAL, groups=GROUPS), Oracle(lambda t: t[~is_empty(t["class"].to_numpy(str))]))
    assert without.value == pytest.approx(2 / 3)
    recall = measured(site_recall(TRIAL, "Si", groups=GROUPS))
    assert (recall.value, recall.detail) == (1.0, "3 sites in 3 images")
    assert recall.limit == pytest.approx(1, abs=1e-3)


def test_defects_are_right_only_by_their_own_name() -> None:
    result = measured(defect_recall(TRIAL, ("V1", "Si1C3")))
    assert result.value == 1.0
    assert result.detail == "V1 3 of 3; Si1C3 3 of 3" or result.detail == "Si1C3 3 of 3; V1 3 of 3"

    def misnamed(image: Any, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
        tables = dict(Oracle()(image, pixel_nm))
        return tables | {"defects": tables["defects"].assign(name="V1")}

    wrong = measured(defect_recall(TRIAL, ("V1", "Si1C3")), misnamed)
    assert wrong.value == 0.5
    assert "Si1C3 0 of 3 (3 as V1)" in wrong.detail


def test_only_undoubted_rows_away_from_true_defects_are_false_alarms() -> None:
    quiet = measured(false_positive_rate(TRIAL.at(2e3), groups=GROUPS))
    assert quiet.value == 0
    assert quiet.limit is not None and quiet.baseline is not None
    assert 0 < quiet.limit < quiet.baseline

    def alarming(image: Any, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
        tables = dict(Oracle()(image, pixel_nm))
        rows = pd.DataFrame({"frame": 0, "name": "V1", "y_nm": [0.75, 0.75], "x_nm": [0.3, 0.8], "score": 0.9})
        rows["flags"] = [0, int(Flag.LOW_CONFIDENCE)]
        return tables | {"defects": rows}

    result = measured(false_positive_rate(TRIAL), alarming)
    assert result.detail.startswith("3 false alarms on")


def test_scores_that_are_true_shares_are_calibrated() -> None:
    assert measured(score_calibration(TRIAL)).value == pytest.approx(0.01)
    half = measured(score_calibration(TRIAL), Oracle(lambda t: t.assign(score=0.5)))
    assert half.value == pytest.approx(0.5)
    assert not half.passed


def test_foreign_images_are_told_by_distance_or_flag() -> None:
    known = toy("toy", TRIAL).fraction

    def watchful(image: Any, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
        tables = dict(Oracle()(image, pixel_nm))
        alike = np.corrcoef(image.ravel(), known.ravel())[0, 1] > 0.2
        flag = 0 if alike and pixel_nm == PIXEL else int(Flag.OUT_OF_DOMAIN)
        return tables | {"frames": tables["frames"].assign(flags=flag)}

    assert measured(domain_auroc(TRIAL), watchful).value == 1.0
    assert measured(domain_auroc(TRIAL)).value == 0.5


def test_a_density_is_covered_when_it_lies_in_the_stated_interval() -> None:
    def fields(rng: np.random.Generator) -> Field:
        return Field(rng.poisson(np.full((50, 50), 2.0)).astype(np.float32), 0.1, {"V1": float(rng.choice([0.2, 0.4]))})

    def counting(image: Any, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
        tables = dict(Oracle()(image, pixel_nm))
        count = 5 if image[0, 0] < 100 else 0
        rows = pd.DataFrame({"frame": 0, "name": ["V1"] * count, "y_nm": 1.0, "x_nm": 1.0, "score": 1.0, "flags": 0})
        return tables | {"defects": rows}

    result = measured(density_coverage(fields, count=20), counting)
    assert result.value == 1.0, "five on 25 nm^2 is 0.2 per nm^2, 95 % interval 0.065 to 0.467"
    assert result.limit == 0.95


def test_simulated_fields_hold_the_densities_that_they_state() -> None:
    rng = np.random.default_rng(0)
    field = TmdFields(size_nm=2.0)(rng)
    assert field.image.shape == (80, 80)
    assert set(field.density_per_nm2) == {"V_W", "vac_Se"}
    assert all(0.01 <= density <= 0.5 for density in field.density_per_nm2.values())


def test_doses_are_written_short() -> None:
    assert [dose_text(dose) for dose in (1e5, 3e4, 2.5e3, 500.0)] == ["1e5", "3e4", "2.5e3", "5e2"]
