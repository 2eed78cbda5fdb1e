"""A check: one number of a recipe, its interval, the bound it must clear, the physical limit, a classical baseline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Recording
from micrograph.validate.intervals import Interval

if TYPE_CHECKING:
    from pandas import DataFrame

#: Called with (checks done, checks in all, name of the next one).
Progress = Callable[[int, int, str], None]
Direction = Literal[">=", "<="]


class Analyser(Protocol):
    """What is judged: an image (H, W) and its pixel size in, the recipe's tables of that frame out; or a movie."""

    def __call__(self, image: NDArray[Any], pixel_nm: float, /) -> Mapping[str, DataFrame]:
        """Return the tables 'objects', 'frames' and those that the recipe adds."""
        ...

    def frames(self, recording: Recording, /) -> Mapping[str, DataFrame]:
        """Return the tables of all frames, one below the other, without those over time."""
        ...

    def movie(self, recording: Recording, /) -> Mapping[str, DataFrame]:
        """Return the tables of all frames, one below the other, and those that follow from all frames together."""
        ...


@dataclass(frozen=True)
class Measurement:
    """What a check measured: value with the ends of its 95 % interval, limit and baseline on the same images.

    `limit` is the best value that physics allows, `baseline` that of a classical method, ``None`` where there is none;
    `detail` says what was measured, `command` how to measure it again.
    """

    value: float
    low: float
    high: float
    limit: float | None = None
    baseline: float | None = None
    detail: str = ""
    command: str = ""

    @classmethod
    def of(
        cls, interval: Interval, *, limit: float | None = None, baseline: float | None = None, detail: str = ""
    ) -> Measurement:
        """Return the measurement of a value with its interval."""
        return cls(*interval, limit=limit, baseline=baseline, detail=detail)


@dataclass(frozen=True)
class Check:
    """One bar of a recipe: `measure` must give a value whose whole 95 % interval clears `bound` in its direction.

    With `times_limit` the bound moves with the measured physical limit: ``bound + times_limit * limit``. Checks that
    name the same `data` draw the same random numbers, and so may share what was found in the same images.
    """

    name: str
    measure: Callable[[Analyser, np.random.Generator], Measurement]
    bound: float
    direction: Direction
    unit: str = ""
    times_limit: float = 0.0
    data: str = ""


@dataclass(frozen=True)
class CheckResult:
    """A check after its measurement; numbers are ``None`` and `error` is a sentence where it could not be measured."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    bound: float
    direction: Direction
    unit: str
    limit: float | None
    baseline: float | None
    passed: bool
    detail: str = ""
    command: str = ""
    error: str = ""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CheckResult:
        """Return the result that `as_dict` wrote; unknown keys are left out."""
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{key: value for key, value in values.items() if key in known})
        except TypeError as error:
            raise BadInput(
                f"This is no result of a check ({error}): measure it again with micrograph validate."
            ) from error


def run_checks(
    checks: Sequence[Check], analyser: Analyser, rng: np.random.Generator, progress: Progress | None = None
) -> list[CheckResult]:
    """Measure all `checks` in order; one that fails to measure is reported as failed and hides no other.

    Every check draws from a stream of its own, named after it or its `data`: alone or among others, it gives the same
    number.
    """
    seed = int(rng.integers(2**32))
    results = []
    for done, check in enumerate(checks):
        if progress is not None:
            progress(done, len(checks), check.name)
        results.append(_measured(check, analyser, np.random.default_rng([seed, *(check.data or check.name).encode()])))
    if progress is not None:
        progress(len(checks), len(checks), "")
    return results


def _measured(check: Check, analyser: Analyser, rng: np.random.Generator) -> CheckResult:
    begin = time.perf_counter()
    error, measured = "", Measurement(np.nan, np.nan, np.nan)
    try:
        measured = check.measure(analyser, rng)
    except Exception as problem:  # whatever breaks one check must not hide the others
        error = str(problem) if isinstance(problem, BadInput) else f"{type(problem).__name__}: {problem}"
    bound = check.bound + (check.times_limit * (measured.limit or 0.0) if check.times_limit else 0.0)
    end = measured.low if check.direction == ">=" else measured.high
    known = not error and bool(np.isfinite(measured.value))  # an interval around no number clears nothing
    passed = known and (end >= bound if check.direction == ">=" else end <= bound)
    return CheckResult(
        name=check.name,
        value=_known(measured.value),
        low=_known(measured.low),
        high=_known(measured.high),
        bound=bound,
        direction=check.direction,
        unit=check.unit,
        limit=_known(measured.limit),
        baseline=_known(measured.baseline),
        passed=bool(passed),
        detail=measured.detail,
        command=measured.command,
        error=error,
        seconds=round(time.perf_counter() - begin, 2),
    )


def as_table(results: Sequence[CheckResult]) -> DataFrame:
    """Return one row a check, in the order given."""
    import pandas as pd

    return pd.DataFrame([result.as_dict() for result in results], columns=[field.name for field in fields(CheckResult)])


def to_json(results: Sequence[CheckResult]) -> str:
    """Return the results as JSON text."""
    return json.dumps([result.as_dict() for result in results], indent=2, allow_nan=False)


def from_json(text: str) -> list[CheckResult]:
    """Return the results that `to_json` wrote; raises `BadInput` for any other text."""
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"These are no results of checks ({error}): measure them with micrograph validate.") from error
    return [CheckResult.from_dict(row) for row in rows]


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
