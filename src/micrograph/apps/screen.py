"""What the command line shows: progress bars, tables, one-line answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint
    from micrograph.run import Recipe, Result
    from micrograph.validate import CheckResult

#: Called with (done, total, what is seen now).
Advance = Callable[[int, int, str], None]


def _console(error: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=error, highlight=False, soft_wrap=True)


def say(sentence: str) -> None:
    """Print one line on standard output."""
    _console().print(sentence, markup=False)


@contextlib.contextmanager
def progress(task: str, quiet: bool) -> Iterator[Advance]:
    """Show a progress bar on standard error while the block runs; yields the function that moves it."""
    if quiet:
        yield lambda done, total, note: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=_console(error=True), transient=True) as bar:
        line = bar.add_task(task, total=None, note="")

        def advance(done: int, total: int, note: str = "") -> None:
            bar.update(line, completed=done, total=total or None, note=note)

        yield advance


def catalogue(recipes: Sequence[Recipe]) -> None:
    """Print the recipes, one a line."""
    table = _table("recipe", "question", "reference")
    for recipe in recipes:
        table.add_row(recipe.name, recipe.task.question, recipe.task.reference)
    _console().print(table)


def card(recipe: Recipe) -> None:
    """Print one recipe's task, columns, settings, limits of validity and measured numbers."""
    from micrograph.nets import find_weights, read_card

    say(f"{recipe.name}: {recipe.title}\n{recipe.task.question}\nNeeds: {', '.join(recipe.task.needs)}")
    say(f"Reference: {recipe.task.reference}")
    columns = _table("table", "column", "unit", "meaning", title="What it answers")
    for name, promised in recipe.task.answers.items():
        for column in promised:
            columns.add_row(name, column.name, column.unit, column.about)
    _console().print(columns)
    settings = _table("setting", "value", title="Settings (--set key=value)")
    for key, value in recipe.settings().items():
        settings.add_row(key, str(value))
    _console().print(settings)
    if recipe.model.weights is None:
        return
    known = read_card(find_weights(recipe.model.weights))
    valid = _table("quantity", "from", "to", title=f"Weights {recipe.model.weights}: trained on")
    for quantity, (low, high) in known.get("domain", {}).items():
        valid.add_row(quantity, f"{low:g}", f"{high:g}")
    _console().print(valid)
    if known.get("measured"):
        _console().print(check_table(known["measured"]))


def signals(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the signals of a file, their axes and calibration."""
    for row in rows:
        table = _table("", "", title=f"{path.name}: signal {row.get('signal', 0)}")
        for key, value in row.items():
            table.add_row(str(key), "unknown" if value is None else str(value))
        _console().print(table)


def summary(result: Result) -> None:
    """Print the summary of an analysis, its doubts, and where the report is."""
    table = _table("quantity", "value")
    frame = result.summary
    if len(frame):
        for name, value in frame.iloc[0].items():
            table.add_row(str(name), f"{value:.5g}" if isinstance(value, float) else str(value))
    _console().print(table)
    for warning in result.record.get("warnings", ()):
        say(f"! {warning}")
    if result.folder is not None:
        say(f"report: {result.folder / 'report.html'}")


def trained(path: Path, checkpoint: Checkpoint) -> None:
    """Print where the weights are and where they are valid."""
    table = _table("quantity", "from", "to", title="Valid for")
    for quantity, (low, high) in checkpoint.card.get("domain", {}).items():
        table.add_row(quantity, f"{low:g}", f"{high:g}")
    _console().print(table)
    say(f"weights: {path}")


def checks(recipe: str, results: Sequence[CheckResult]) -> None:
    """Print the checks of a recipe: number, bound, limit, baseline, passed or not."""
    say(f"{recipe}: measured against its bars")
    _console().print(check_table([result.as_dict() for result in results]))


def check_table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return the table of checks for the screen."""
    table = _table("check", "number", "95 % interval", "bound", "limit", "baseline", "")
    for row in rows:
        table.add_row(
            str(row["name"]),
            _number(row.get("value")),
            f"{_number(row.get('low'))} .. {_number(row.get('high'))}",
            f"{row.get('direction', '')} {_number(row.get('bound'))}",
            _number(row.get("limit")),
            _number(row.get("baseline")),
            "pass" if row.get("passed") else "FALLS SHORT",
        )
    return table


def _number(value: Any) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"


def _table(*names: str, title: str | None = None) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=any(names), box=None, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table
