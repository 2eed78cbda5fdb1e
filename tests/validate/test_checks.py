"""Running checks: bars, broken checks, reproducibility, tables and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.validate import Analyser, Check, CheckResult, Measurement, as_table, from_json, run_checks, to_json


def nothing(image: Any, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
    return {}


def fixed(value: float, low: float, high: float, limit: float | None = None) -> Any:
    return lambda analyser, rng: Measurement(value, low, high, limit, detail="fixed")


def test_the_far_end_of_the_interval_must_clear_the_bound() -> None:
    results = run_checks(
        [
            Check("high", fixed(0.99, 0.97, 1.0), 0.98, ">="),
            Check("higher", fixed(0.99, 0.98, 1.0), 0.98, ">="),
            Check("low", fixed(0.1, 0.0, 0.3), 0.2, "<="),
            Check("moved", fixed(0.1, 0.0, 0.3, limit=0.1), 0.2, "<=", times_limit=2.0),
        ],
        nothing,
        np.random.default_rng(0),
    )
    assert [result.passed for result in results] == [False, True, False, True]
    assert results[3].bound == pytest.approx(0.4)


def test_a_broken_check_fails_with_its_sentence_and_hides_no_other() -> None:
    def broken(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        raise BadInput("There is no reference set 'x'.")

    def worse(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        raise KeyError("objects")

    seen: list[tuple[int, int, str]] = []
    checks = [Check("a", broken, 1, ">="), Check("b", worse, 1, ">="), Check("c", fixed(1, 1, 1), 1, ">=")]
    results = run_checks(checks, nothing, np.random.default_rng(0), lambda *step: seen.append(step))
    assert [result.passed for result in results] == [False, False, True]
    assert results[0].error == "There is no reference set 'x'."
    assert results[1].error == "KeyError: 'objects'"
    assert results[0].value is None
    assert seen == [(0, 3, "a"), (1, 3, "b"), (2, 3, "c"), (3, 3, "")]


def test_an_unknown_interval_clears_no_bound() -> None:
    results = run_checks(
        [Check("one image", fixed(0.99, np.nan, np.nan), 0.5, ">=")], nothing, np.random.default_rng(0)
    )
    assert not results[0].passed
    assert results[0].low is None


def test_no_number_clears_no_bound_whatever_its_interval() -> None:
    (result,) = run_checks([Check("none", fixed(np.nan, 0.99, 1.0), 0.9, ">=")], nothing, np.random.default_rng(0))
    assert not result.passed


def test_a_check_alone_gives_the_number_that_it_gives_among_others() -> None:
    def draw(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        value = float(rng.random())
        return Measurement(value, value, value)

    checks = [Check(name, draw, 0.5, ">=") for name in ("first", "second")]
    both = run_checks(checks, nothing, np.random.default_rng(3))
    alone = run_checks(checks[1:], nothing, np.random.default_rng(3))
    assert both[1].value == alone[0].value != both[0].value


def test_results_survive_json_and_make_a_table() -> None:
    checks = [Check("a", fixed(np.float64(0.9), 0.8, np.nan, limit=1.0), 0.5, ">="), Check("b", np.add, 1, "<=")]
    results = run_checks(checks, nothing, np.random.default_rng(0))
    assert from_json(to_json(results)) == results
    assert as_table(results)["name"].tolist() == ["a", "b"]
    assert as_table([]).columns[0] == "name"
    with pytest.raises(BadInput, match="no results of checks"):
        from_json("{")
    with pytest.raises(BadInput, match="no result of a check"):
        CheckResult.from_dict({"name": "a"})
