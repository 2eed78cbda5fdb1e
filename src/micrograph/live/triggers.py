"""Triggers: rules evaluated on every frame, what they do, and a record of every time that one fired."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import BadInput
from micrograph.live.board import Row
from micrograph.live.rules import Count, Rule
from micrograph.live.waiting import Waiting

if TYPE_CHECKING:
    from micrograph.live.engine import Engine

#: Where every firing is recorded, one JSON object a line.
FIRED = "fired.jsonl"
#: A command or webhook that takes longer is given up.
_PATIENCE_S = 30.0
#: Firings that may wait for their action.
_WAITING = 64


#: Gives an order to a source that takes such, and returns what becomes of it.
Told = Callable[[str], str]


class Triggers:
    """A watcher that evaluates `rules` on every row and acts; with `dry_run` it only records what it would have done.

    Actions that may take long run beside the analysis, one after the other. Call `close` when the run has ended.
    """

    def __init__(
        self, rules: tuple[Rule, ...], engine: Engine, *, dry_run: bool = False, told: Told | None = None
    ) -> None:
        if told is None and any(rule.action == "tell" for rule in rules):
            raise BadInput("A rule tells the source something, but this source takes no orders: use command instead.")
        self._rules, self._engine, self._dry, self._told = rules, engine, dry_run, told
        self._counts = [Count() for _ in rules]
        self._todo: Waiting[tuple[Rule, dict[str, Any]]] = Waiting(_WAITING, "newest")
        self._worker = threading.Thread(target=self._act, daemon=True)
        self._worker.start()

    def __call__(self, row: Row) -> None:
        """Evaluate every rule on the newest frame."""
        for number, rule in enumerate(self._rules):
            value = self._value(rule, row)
            before = self._counts[number]
            self._counts[number] = before.after(rule, value)
            if self._counts[number].fired > before.fired:
                self._fire(rule, row, value, self._counts[number].fired)

    def close(self) -> None:
        """Wait until every action that is due is done."""
        self._todo.close()
        self._worker.join()

    def _value(self, rule: Rule, row: Row) -> float:
        name = rule.value.table
        return rule.value(row.tables[name] if name in row.tables else self._engine.board.table(name))

    def _fire(self, rule: Rule, row: Row, value: float, attempt: int) -> None:
        times = row.tables["frames"].get("t_s")
        what = {
            "rule": rule.line,
            "frame": row.index,
            "t_s": None if times is None else float(times.iloc[0]),
            "value": value,
            "action": rule.action,
            "argument": rule.argument,
            "attempt": attempt,
            "unix_s": time.time(),
        }
        if rule.most is not None and attempt > rule.most:
            self._record(what, f"not done: {rule.most} times did not help")
        elif self._dry:
            self._record(what, "dry run")
        elif rule.action == "mark":
            self._record(what, "marked")
        elif rule.action == "pause":
            self._engine.board.pause(True)
            self._record(what, "paused")
        else:
            for rule_dropped, late in self._todo.put((rule, what)):
                self._record(late, f"not done: too many wait ({rule_dropped.action})")

    def _act(self) -> None:
        """Do what is due, one after the other."""
        for rule, what in self._todo:
            if rule.action == "tell" and self._told is not None:
                outcome = self._told(_filled(rule.argument, what))
            else:
                outcome = _DO[rule.action](self._engine, rule.argument, what)
            self._record(what, outcome)

    def _record(self, what: Mapping[str, Any], outcome: str) -> None:
        """Append the firing to the record, on disk before it is shown."""
        line = {**what, "outcome": outcome}
        try:
            with (self._engine.folder / FIRED).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._engine.board.note(f"A firing cannot be recorded ({error.strerror}): {what['rule']}.")
        self._engine.board.fire(line)


def _write(engine: Engine, argument: str, what: Mapping[str, Any]) -> str:
    """Keep the frames of the ring in a file of their own."""
    path = engine.folder / f"frames-at-{what['frame']:07d}.npy"
    try:
        numbers = engine.keep_frames(path)
    except OSError as error:
        return f"failed: {error.strerror}"
    return f"wrote frames {numbers[0]} to {numbers[-1]} to {path.name}" if numbers else "nothing to write"


def _command(engine: Engine, argument: str, what: Mapping[str, Any]) -> str:
    """Run a program, without a shell; {frame}, {t_s}, {value} and {attempt} in its arguments are filled in."""
    words = [_filled(word, what) for word in shlex.split(argument)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"failed: {error}"
    return f"exit status {done.returncode}"


def _webhook(engine: Engine, argument: str, what: Mapping[str, Any]) -> str:
    """Send the firing as JSON to the address that the user gave."""
    body = json.dumps(what).encode()
    request = urllib.request.Request(argument, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:
            return f"answered {answer.status}"
    except (urllib.error.URLError, OSError) as error:
        return f"failed: {error}"


def _filled(word: str, what: Mapping[str, Any]) -> str:
    for name in ("frame", "t_s", "value", "attempt"):
        word = word.replace("{" + name + "}", str(what[name]))
    return word


_DO: Mapping[str, Callable[[Engine, str, Mapping[str, Any]], str]] = {
    "write": _write,
    "command": _command,
    "webhook": _webhook,
}


def fired_before(folder: Path) -> list[dict[str, Any]]:
    """Return what fired in an earlier run in `folder`, oldest first; a line that is not whole is left out."""
    path = folder / FIRED
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
