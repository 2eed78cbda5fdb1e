"""Laws of conformal intervals: what they cover, how many frames they need, and when they are void."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput, Flag
from micrograph.validate.claims import Claim, Rows
from micrograph.validate.conformal import Conformal, fitted_powers, upper


def scale_free(level: float, low: float, high: float, **changes: object) -> Conformal:
    parts: dict[str, object] = {
        "table": "frames", "column": "size_nm", "scale": (), "powers": (0.0,), "floors": (), "by": "", "edges": (),
        "low": ((low,),), "high": ((high,),), "levels": (level,),
    }  # fmt: skip
    return Conformal(**(parts | changes))  # type: ignore[arg-type]


def draws(number: int, rng: np.random.Generator, most: int = 6) -> list[Rows]:
    """Return frames of some rows each, whose errors share a part and grow with the size; wilder in crowded frames."""
    found = []
    for _ in range(number):
        rows = int(rng.integers(1, most))
        size = rng.uniform(1, 9, rows)
        error = size * (0.02 * rng.standard_t(3) + 0.02 * rows * rng.standard_exponential(rows))
        table = pd.DataFrame({"size_nm": size, "size_sigma_nm": 0.02 * size})
        found.append(Rows(table, size + error, rows))
    return found


@pytest.mark.parametrize("number", [9, 10, 19, 40])
def test_of_one_row_a_frame_the_quantile_is_the_split_conformal_one(number: int) -> None:
    scores = np.random.default_rng(number).normal(size=number)
    place = math.ceil((number + 1) * 0.9)
    assert upper(scores, np.arange(number), 0.9) == np.sort(scores)[place - 1]


def test_too_few_frames_give_no_interval() -> None:
    scores = np.arange(8.0)
    assert upper(scores, np.arange(8), 0.9) == np.inf
    assert upper(np.arange(9.0), np.arange(9), 0.9) == 8.0
    claim = Claim("frames", "size_nm", lambda truth, tables: np.empty(0))
    found = claim.measured(draws(15, np.random.default_rng(0), most=2))
    low, high = found.ends(pd.DataFrame({"size_nm": [3.0]}))
    assert np.isnan(low).all() and np.isnan(high).all()


def test_many_rows_of_one_frame_count_as_one_frame() -> None:
    scores, frame = np.concatenate([np.zeros(1000), np.arange(1.0, 20.0)]), np.repeat(np.arange(20), [1000, *[1] * 19])
    assert upper(scores, frame, 0.9) == upper(np.arange(20.0), np.arange(20), 0.9)


@pytest.mark.parametrize("scale", [(), ("size_nm",), ("size_sigma_nm", "size_nm")])
def test_intervals_cover_new_frames_of_the_same_kind_as_stated(scale: tuple[str, ...]) -> None:
    rng = np.random.default_rng(5)
    claim = Claim("objects", "size_nm", lambda truth, tables: np.empty(0), scale=scale)
    covered = []
    for _ in range(40):
        found = claim.measured(draws(100, rng))
        for rows in draws(40, rng):
            low, high = found.ends(rows.table)
            covered.append(np.mean((low <= rows.truth) & (rows.truth <= high)))
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02) and np.mean(covered) > 0.89


def test_a_width_that_follows_the_error_makes_intervals_narrower() -> None:
    rng = np.random.default_rng(2)
    plain, told = (
        Claim("objects", "size_nm", lambda truth, tables: np.empty(0), scale=scale).measured(draws(300, rng))
        for scale in ((), ("size_nm",))
    )
    table = pd.DataFrame({"size_nm": np.linspace(1, 9, 50)})
    widths = [np.subtract(*one.ends(table)[::-1]) for one in (plain, told)]
    assert widths[1][0] < 0.5 * widths[0][0]


def test_powers_of_what_makes_errors_larger_are_found() -> None:
    rng = np.random.default_rng(1)
    features = np.exp(rng.normal(size=(4000, 2)))
    errors = 0.3 * features[:, 0] ** 1.5 * features[:, 1] ** -0.5 * rng.laplace(size=4000)
    assert fitted_powers(errors, features, np.ones(4000)) == pytest.approx([np.log(0.3), 1.5, -0.5], abs=0.06)


def test_groups_have_quantiles_of_their_own() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for number in range(400):
        kind = number % 2
        table = pd.DataFrame({"count": [5.0], "kind": [float(kind)]})
        rows.append(Rows(table, 5.0 + (1 + 9 * kind) * rng.normal(size=1), 1))
    found = Claim("frames", "count", lambda truth, tables: np.empty(0), by="kind", edges=(0.5,)).measured(rows)
    low, high = found.ends(pd.DataFrame({"count": [5.0, 5.0], "kind": [0.0, 1.0]}))
    assert (high - low) == pytest.approx([3.3, 33], rel=0.2)


def test_doubted_rows_are_given_no_interval_and_ends_keep_to_what_is_possible() -> None:
    found = scale_free(0.9, -2.0, 1.0, least=0.0)
    table = pd.DataFrame({"size_nm": [1.0, 5.0, 5.0], "flags": [0, int(Flag.LOW_CONFIDENCE), int(Flag.OUT_OF_DOMAIN)]})
    low, high = found.ends(table)
    np.testing.assert_array_equal(low, [0.0, 3.0, np.nan])
    np.testing.assert_array_equal(high, [2.0, 6.0, np.nan])
    assert list(found.added(table)) == ["size_nm", "flags", "size_low90_nm", "size_high90_nm"]


def test_what_is_stored_is_what_is_read() -> None:
    found = scale_free(0.9, -np.inf, 1.0)
    assert Conformal.from_dict(found.as_dict()) == found


def test_draws_without_a_known_truth_are_refused() -> None:
    with pytest.raises(BadInput, match="draw more"):
        Claim("objects", "size_nm", lambda truth, tables: np.empty(0)).measured([])
