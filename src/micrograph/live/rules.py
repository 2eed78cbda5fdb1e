"""Rules of what to do when: a small text file that is read before the first frame.

    # as soon as vacancies are dense in three frames in a row
    when objects[class=vac_Se].count > 12 for 3 frames: mark "vacancies"
    when frames.covered_nm2 < 100: command notify-send "nearly gone at frame {frame}: {value}"
    when summary.area_nm2 >= 5e3 for 2 frames: webhook https://lab.example/stop
    when frames.domain_distance > 1 for 10 frames: write
    when counts.count > 400: pause
    when frames.p_bad >= 0.95 for 2 frames again after 1 frame at most 20 times: command pulse.sh {attempt}

A value is TABLE.COLUMN, of the newest frame (`frames`, `objects`, ...) or of all frames so far (`summary`, ...);
TABLE[COLUMN=TEXT] takes only the rows of that class; a column of many rows is averaged, or `.mean`, `.median`, `.min`,
`.max`, `.sum` is asked for; `TABLE.count` is the number of rows where there is no column of that name. A rule fires
when its condition has held in so many frames in a row, and again only after it has failed in between. With `again after
N frames` it leaves out N frames after it has fired and then begins anew, whether or not its condition has failed; with
`at most N times` it acts no more than so often, until its condition is known to have failed in so many frames in a row
as it takes to fire. A value that is not known (a tip that cannot be told) neither fires nor counts as failed.
"""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import BadInput

if TYPE_CHECKING:
    from pandas import DataFrame

ACTIONS = ("mark", "write", "pause", "command", "webhook", "tell")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_RULE = re.compile(
    r"when\s+(?P<table>\w+)(\[(?P<key>\w+)=(?P<text>[^\]]+)\])?\.(?P<column>\w+)(\.(?P<of>mean|median|min|max|sum))?"
    r"\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>\S+?)(\s+for\s+(?P<frames>\d+)\s+frames?)?"
    r"(\s+again\s+after\s+(?P<again>\d+)\s+frames?)?(\s+at\s+most\s+(?P<most>\d+)\s+times?)?"
    r"\s*:\s*(?P<action>\w+)(\s+(?P<rest>.+))?"
)


@dataclass(frozen=True)
class Value:
    """One number of a table: TABLE[KEY=TEXT].COLUMN.OF."""

    table: str
    column: str
    key: str | None = None
    text: str | None = None
    of: str = "mean"

    def __call__(self, rows: DataFrame) -> float:
        """Return the number, NaN where the rows do not give it."""
        if self.key is not None:
            rows = rows[rows[self.key].astype(str) == self.text] if self.key in rows else rows.iloc[:0]
        if self.column not in rows:
            return float(len(rows)) if self.column == "count" else float("nan")
        numbers = rows[self.column].to_numpy(float)
        numbers = numbers[np.isfinite(numbers)]
        return float(getattr(np, self.of)(numbers)) if len(numbers) else float("nan")


@dataclass(frozen=True)
class Rule:
    """When `value` is beyond `limit` in `frames` frames in a row: do `action` with `argument`. `line` is as written.

    again: frames that are left out after a firing before it may fire anew, ``None``: only after it has failed; most:
    how often it acts before it has failed, ``None``: without end.
    """

    line: str
    value: Value
    sign: str
    limit: float
    frames: int
    action: str
    argument: str
    again: int | None = None
    most: int | None = None

    def holds(self, number: float) -> bool:
        """Return whether the condition is true of a value; it is not where the value is unknown."""
        return _COMPARE[self.sign](number, self.limit)


@dataclass(frozen=True)
class Count:
    """How a rule stands: frames in a row in which it held or is known to have failed, to leave out, times it fired.

    `fired` begins anew when the rule has failed in so many frames in a row as it takes to fire; it goes one beyond
    ``rule.most`` at most.
    """

    held: int = 0
    failed: int = 0
    rests: int = 0
    fired: int = 0

    def after(self, rule: Rule, number: float) -> Count:
        """Return the count after one more frame in which the rule's value is `number`; NaN: it is not known."""
        if self.rests:
            return Count(rests=self.rests - 1, fired=self.fired)
        if not rule.holds(number):
            failed = self.failed + 1 if np.isfinite(number) else 0
            return Count(failed=failed, fired=0 if failed >= rule.frames else self.fired)
        held = self.held + 1
        if held != rule.frames or (rule.most is not None and self.fired > rule.most):
            return Count(held=held, fired=self.fired)
        return Count(held if rule.again is None else 0, rests=rule.again or 0, fired=self.fired + 1)


def read_rules(path: Path, tables: Mapping[str, tuple[str, ...]]) -> tuple[Rule, ...]:
    """Read the rules of a file; `tables` are the columns that the recipe promises, by table.

    Raises `BadInput`, naming the line, for what is no rule, an unknown table or column, or an action without what it
    needs.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The rules {path} cannot be read as text: give a file with lines 'when ...: ...'.") from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    rules = tuple(
        _rule(line, f"{path.name}, line {number}", tables)
        for number, line in numbered
        if line and not line.startswith("#")
    )
    if not rules:
        raise BadInput(f"The rules {path} hold no line 'when ...: ...': write at least one.")
    return rules


def _rule(line: str, where: str, tables: Mapping[str, tuple[str, ...]]) -> Rule:
    found = _RULE.fullmatch(line)
    if found is None:
        raise BadInput(
            f"{where}: '{line}' is no rule: write 'when TABLE.COLUMN > NUMBER for N frames: ACTION', with the action "
            f"one of {', '.join(ACTIONS)}."
        )
    value = Value(found["table"], found["column"], found["key"], found["text"], found["of"] or "mean")
    _require_known(value, where, tables)
    try:
        limit = float(found["limit"])
    except ValueError as error:
        raise BadInput(f"{where}: '{found['limit']}' is no number.") from error
    action, rest = found["action"], (found["rest"] or "").strip()
    if action not in ACTIONS:
        raise BadInput(f"{where}: '{action}' is no action: choose one of {', '.join(ACTIONS)}.")
    _require_argument(action, rest, where)
    again, most = (None if found[name] is None else int(found[name]) for name in ("again", "most"))
    if most == 0:
        raise BadInput(f"{where}: at most 0 times is never: give 1 or more.")
    return Rule(line, value, found["sign"], limit, max(1, int(found["frames"] or 1)), action, rest, again, most)


def _require_known(value: Value, where: str, tables: Mapping[str, tuple[str, ...]]) -> None:
    if value.table not in tables:
        raise BadInput(f"{where}: this recipe has no table '{value.table}': it has {', '.join(sorted(tables))}.")
    columns = (*tables[value.table], "count", "flags", "t_s", "frame", "domain_distance")
    for name in (value.column, value.key):
        if name is not None and name not in columns and value.table != "frames":
            raise BadInput(
                f"{where}: table '{value.table}' has no column '{name}': it has {', '.join(tables[value.table])}."
            )


def _require_argument(action: str, rest: str, where: str) -> None:
    if action == "webhook" and not re.fullmatch(r"https?://\S+", rest):
        raise BadInput(f"{where}: webhook needs an address that begins with http:// or https://, not '{rest}'.")
    if action == "command":
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise BadInput(f"{where}: the command '{rest}' has an open quote.") from error
        if not words:
            raise BadInput(f"{where}: command needs the program to run.")
    if action == "tell" and not rest:
        raise BadInput(f"{where}: tell needs what the source is to be told, such as pulse.")
    if action in ("write", "pause") and rest:
        raise BadInput(f"{where}: {action} takes nothing after it, found '{rest}'.")
