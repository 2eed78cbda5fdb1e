"""How far each number can be trusted: the 90 % intervals that a run states, and how often they held the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core.units import unit_of
from micrograph.draw import with_error
from micrograph.report.headline import Headline
from micrograph.validate import read_measured
from micrograph.validate.claim_checks import INTERVALS_OF
from micrograph.validate.conformal import LEVEL, Conformal

if TYPE_CHECKING:
    from micrograph.run import Result
    from micrograph.validate.claims import Stated


@dataclass(frozen=True)
class Trusted:
    """A number with intervals: column and table, its interval in this recording, how often they held on simulations."""

    name: str
    interval: str
    held: str


def trusted_numbers(result: Result) -> list[Trusted]:
    """Return every number of a result that has intervals."""
    details = {str(row["name"]): str(row["detail"]) for row in read_measured(result.recipe.name)}
    return [
        Trusted(f"{one.table}.{one.column}", _said(result, one), _of(f"{one.table}.{one.column}", details))
        for one in result.recipe.intervals
    ]


def trust_headlines(result: Result) -> Iterator[Headline]:
    """Yield, for the top of the report, the numbers of a single frame with their intervals, or how sure one row is."""
    for one in result.recipe.intervals:
        if not isinstance(one, Conformal):
            continue
        value, low, high = _values(result, one)
        promised = result.recipe.task.answers.get(one.table, ())
        about = next((column.about for column in promised if column.name == one.column), one.column)
        if not len(value):
            continue
        unit, level = unit_of(one.column), f"{100 * LEVEL:.0f} %"
        if one.table == "frames" and len(value) == 1:
            remark = f"{level}: {low[0]:.4g} to {high[0]:.4g} {unit}".strip()
            yield Headline(about, with_error(value[0], None, unit), remark)
        else:
            half = float(np.median(high - low)) / 2
            remark = f"{level} interval of one, median of {len(value)} in table '{one.table}'"
            yield Headline(f"{about}: how sure", f"± {half:.2g} {unit}".strip(), remark)


def _values(result: Result, one: Conformal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value and ends (N,) of the rows that have an interval."""
    try:
        table = result.tables.columns(one.table, (one.column, *one.names))
    except (KeyError, ValueError, OSError):  # not one frame was usable
        return np.empty(0), np.empty(0), np.empty(0)
    rows = table.to_numpy(float)
    value, low, high = rows[np.isfinite(rows).all(axis=1)].T
    return value, low, high


def _said(result: Result, one: Stated) -> str:
    if not isinstance(one, Conformal):
        return _set(result, one)
    value, low, high = _values(result, one)
    if not len(value):
        return "no row is given one"
    unit = unit_of(one.column)
    if len(value) == 1:
        return f"{value[0]:.4g}: {low[0]:.4g} to {high[0]:.4g} {unit}".strip()
    return f"± {float(np.median(high - low)) / 2:.2g} {unit}, median of {len(value)} rows"


def _set(result: Result, one: Stated) -> str:
    """Return the classes in the set of the only frame, likeliest first, or how many there are on average."""
    table = result.tables[one.table]
    if one.names[0] not in table or not len(table):
        return "no frame is given one"
    inside = table[table[one.names[0]].astype(bool)]
    frames = table["frame"].nunique()
    if frames == 1:
        return ", ".join(inside.sort_values(one.column, ascending=False)["class"].astype(str))
    return f"{len(inside) / frames:.1f} classes on average of {frames} frames"


def _of(name: str, details: dict[str, str]) -> str:
    return next((text for check, text in details.items() if check.startswith(f"{INTERVALS_OF}{name}:")), "")
