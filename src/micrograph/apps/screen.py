"""What the command line shows: progress bars, tables, one-line answers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.apps.classing import ClassReport
    from micrograph.apps.labelling import LabelReport
    from micrograph.live.shown import State
    from micrograph.nets import Checkpoint
    from micrograph.run import Recipe, Result
    from micrograph.validate import CheckResult
    from micrograph.validate.class_scores import ClassScores
    from micrograph.validate.mask_scores import LearningCurve, MaskScores

#: Called with (done, total, what is seen now).
Advance = Callable[[int, int, str], None]


def _console(error: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=error, highlight=False, soft_wrap=True)


def say(sentence: str) -> None:
    """Print one line on standard output."""
    _console().print(sentence, markup=False)


def hint(sentence: str) -> None:
    """Print one line on standard error: something to know while a job runs."""
    _console(error=True).print(sentence, markup=False)


@contextlib.contextmanager
def progress(task: str, quiet: bool) -> Iterator[Advance]:
    """Show a progress bar on standard error while the block runs; yields the function that moves it."""
    with several(quiet) as begin:
        yield begin(task)


@contextlib.contextmanager
def several(quiet: bool) -> Iterator[Callable[[str], Advance]]:
    """Show progress bars on standard error while the block runs; yields the function that begins one for a task.

    Nothing is shown when `quiet`, or where standard error is no terminal.
    """
    console = _console(error=True)
    if quiet or not console.is_terminal:
        yield lambda task: lambda done, total, note: None
        return
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:

        def begin(task: str) -> Advance:
            line = bar.add_task(escape(task), total=None, note="")

            def advance(done: int, total: int, note: str = "") -> None:
                bar.update(line, completed=done, total=total or None, note=note)

            return advance

        yield begin


@contextlib.contextmanager
def standing(quiet: bool) -> Iterator[Callable[[State], None]]:
    """Show on one line of standard error how a live analysis stands; new notes stay above it.

    Yields the function that is told. Without a terminal only the notes are shown; when `quiet`, nothing.
    """
    console = _console(error=True)
    told: list[str] = []
    with console.status("waiting for the first frame") if console.is_terminal and not quiet else _no_status() as line:

        def tell(state: State) -> None:
            new = [note for note in state.notes if note not in told]
            told.extend(new)
            for note in () if quiet else new:
                console.print(note, markup=False)
            if line is not None and state.frames is not None:
                line.update(standing_line(state))

        yield tell


@contextlib.contextmanager
def _no_status() -> Iterator[None]:
    yield None


def standing_line(state: State) -> str:
    """Return in one line how a live analysis stands."""
    known = state.counters
    words = [f"frame {state.frames[1]}" if state.frames else "no frame yet"]
    if "frames_per_s" in known:
        words.append(f"{known['frames_per_s']:.1f} frames/s, row after {known['latency_ms']:.0f} ms")
    words += [f"{known[fate]:.0f} {fate}" for fate in ("waiting", "dropped", "lost", "bad") if known.get(fate)]
    return ", ".join(words)


def opened(address: str) -> None:
    """Print the address of the page."""
    say(f"The page: {address}")


def lived(out: Path, record: Mapping[str, Any] | None) -> None:
    """Print what a live analysis left."""
    if record is None:
        say("No frame came: nothing was written.")
        return
    counts = record["live"]
    fates = ", ".join(f"{counts[fate]} {fate}" for fate in ("dropped", "lost", "bad") if counts[fate])
    late = f"; row after {counts['latency_p95_ms']:.0f} ms (95 %)" if "latency_p95_ms" in counts else ""
    say(f"{record['frames']} frames{f', {fates}' if fates else ''}{late}; results are in {out}")
    say(f"report: {out / 'report.html'}")
    for warning in record["warnings"]:
        say(warning)


def catalogue(recipes: Sequence[Recipe]) -> None:
    """Print the recipes, one a line."""
    table = _table("recipe", "question", "reference")
    for recipe in recipes:
        table.add_row(recipe.name, recipe.task.question, recipe.task.reference)
    _console().print(table)


def answer(table: DataFrame, most: int = 200) -> None:
    """Print a table, one row a line; of more rows than `most` the first."""
    shown = _table(*map(str, table.columns))
    for row in table.head(most).itertuples(index=False):
        shown.add_row(
            *("" if value != value else f"{value:.6g}" if isinstance(value, float) else str(value) for value in row)
        )
    _console().print(shown)
    if len(table) > most:
        say(f"{len(table) - most} more rows: write them with -o FILE.csv")


def card(recipe: Recipe) -> None:
    """Print one recipe's task, columns, settings, limits of validity and measured numbers."""
    from micrograph.nets import find_weights, read_card
    from micrograph.run.learning import Preparer, SelfTaught
    from micrograph.validate import read_measured

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
    if recipe.model.weights is not None:
        valid = _table("quantity", "from", "to", title=f"Weights {recipe.model.weights}: trained on")
        for quantity, (low, high) in read_card(find_weights(recipe.model.weights)).get("domain", {}).items():
            valid.add_row(quantity, f"{low:g}", f"{high:g}")
        _console().print(valid)
    elif isinstance(recipe.learner, Preparer):
        say("Ships no weights: the model is physics, computed once for a microscope and a crystal, and kept.")
    elif isinstance(recipe.learner, SelfTaught):
        say("Ships no weights: the model is trained on each recording itself, without labels, in about a minute.")
    elif recipe.learner is not None:
        say("Ships no weights: the model is trained on each recording itself, in a few minutes.")
    else:
        say("Needs no weights: what is measured follows from physics alone.")
    if measured := read_measured(recipe.name):
        _console().print(check_table(measured))


def signals(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the signals of a file, their axes and calibration."""
    for row in rows:
        table = _table("", "", title=f"{path.name}: signal {row.get('signal', 0)}")
        for key, value in row.items():
            if key != "signal" and value != "":
                table.add_row(str(key), _said(value))
        _console().print(table)


def _said(value: Any) -> str:
    """Return a property of a signal in words."""
    if value is None:
        return "unknown"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def summary(result: Result) -> None:
    """Print the numbers of an analysis with their errors, its doubts, and where the report is."""
    from micrograph.report import headlines, trust_headlines

    record = result.record
    frames = record["frames"]
    say(f"{record['recipe']['title']}: {record['key']['input']['name']}, {frames} frame{'s' if frames != 1 else ''}")
    table = _table("", "", "")
    columns = result.recipe.task.answers.get("summary", ())
    for line in (*headlines(result.summary, result.tables["frames"], columns), *trust_headlines(result)):
        table.add_row(line.name, line.value, line.remark)
    _console().print(table)
    for warning in record.get("warnings", ()):
        say(f"! {warning}")
    say(f"report: {result.folder / 'report.html'}")


def trained(path: Path, checkpoint: Checkpoint) -> None:
    """Print where the weights are and where they are valid."""
    table = _table("quantity", "from", "to", title="Valid for")
    for quantity, (low, high) in checkpoint.card.get("domain", {}).items():
        table.add_row(quantity, f"{low:g}", f"{high:g}")
    _console().print(table)
    say(f"weights: {path}")


def labelled(path: Path, report: LabelReport) -> None:
    """Print what weights from own labels are worth on held-out ones, and what one more label would bring."""
    from micrograph.validate.class_scores import ClassScores

    learned, held = len(report.learned_from), len(report.held_out)
    say(
        f"Learned from {report.objects} objects in {learned} image{'s' * (learned != 1)}; judged on what was held out: "
        f"{', '.join(report.held_out[:4])}{f' and {held - 4} more' if held > 4 else ''}."
    )
    if isinstance(report.after, ClassScores):
        _class_scores(report.after)
    else:
        _mask_scores(report.before, report.after)
    if report.curve is not None:
        say(_one_more(report.curve))
    say(f"weights: {path}")


def _class_scores(scores: ClassScores) -> None:
    """Print how well classes of pixels are found, and their shares of the area."""
    table = _table("class on held-out labels", "IoU", "95 % interval", "area labelled", "area found")
    for name, iou, true, found in zip(scores.classes, scores.each, scores.true, scores.found, strict=True):
        interval = f"{iou.low:.4f} .. {iou.high:.4f}"
        table.add_row(name, f"{iou.value:.4f}", interval, f"{100 * true:.2f} %", f"{100 * found:.2f} %")
    for name, value in (("mean of the classes", scores.mean), ("all pixels together", scores.iou)):
        table.add_row(name, f"{value.value:.4f}", f"{value.low:.4f} .. {value.high:.4f}", "", "")
    _console().print(table)
    right = scores.accuracy
    say(f"{100 * right.value:.2f} % of the pixels are named rightly ({100 * right.low:.2f} .. {100 * right.high:.2f}).")


def _mask_scores(before: MaskScores | None, after: MaskScores) -> None:
    """Print how well objects are outlined, before and after."""
    names = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall", "f1": "F1"}
    table = _table("score on held-out labels", "before", "95 % interval", "after", "95 % interval")
    for key, name in names.items():
        row = [name]
        for scores in (before, after):
            value = None if scores is None else getattr(scores, key)
            row += ["-", "-"] if value is None else [f"{value.value:.4f}", f"{value.low:.4f} .. {value.high:.4f}"]
        table.add_row(*row)
    counts = ["-" if scores is None else str(scores.found) for scores in (before, after)]
    table.add_row(f"objects ({after.true} labelled)", counts[0], "", counts[1], "")
    _console().print(table)
    say("Objects count as found from an overlap (IoU) of 0.5 with a label.")


def _one_more(curve: LearningCurve) -> str:
    """Return in words what one more labelled image would bring."""
    measured = ", ".join(
        f"{error:.4f} from {number:g}" for number, error in zip(curve.numbers, curve.errors, strict=True)
    )
    value, low, high = curve.gain
    sure = "" if low > 0 else " (nothing is within the interval)"
    return (
        f"One more labelled image would lower the error 1 - IoU by about {value:.4f} ({low:.4f} .. {high:.4f}){sure}; "
        f"short trainings gave {measured} labelled image{'s' * (curve.numbers[-1] != 1)}, about "
        f"{curve.a:.3g} n^-{curve.b:.2f}."
    )


def classed(path: Path, recipe: str, report: ClassReport) -> None:
    """Print what weights from a user's own classes are worth on images that were held out, and what is doubtful."""
    for name, why in report.skipped:
        say(f"skipped {name}: {why}")
    total, groups = sum(report.images), sum(report.groups)
    say(f"Learned {len(report.labels)} classes from {total} images in {groups} groups that show different things.")
    table = _table("true class", "images", "groups", *(f"called {label}" for label in report.labels), "right")
    for place, row in enumerate(report.confusion):
        right = row[place] / sum(row) if sum(row) else float("nan")
        counts = [str(report.images[place]), str(report.groups[place]), *map(str, row)]
        table.add_row(report.labels[place], *counts, f"{100 * right:.0f} %")
    _console().print(table)
    one = report.accuracy
    say(
        f"Named rightly when their group was held out: {100 * one.value:.1f} % (95 %: {100 * one.low:.1f} to "
        f"{100 * one.high:.1f} %)."
    )
    for label in report.alone:
        say(f"Class '{label}' comes from one file: its numbers tell how well that file is known, not others.")
    if report.unseen == report.unseen:
        say(f"An image of a class without examples is told from the others with an AUROC of {report.unseen:.2f}.")
    if len(report.curve) > 1:
        points = ", ".join(f"{100 * share:.0f} % from {number}" for number, share in report.curve)
        say(f"By groups a class: {points}.")
    for first, second in report.doubles[:_MOST_DOUBTS]:
        say(f"The same picture under two labels: {first} and {second}.")
    for name, label, likely, share in report.mislabelled[:_MOST_DOUBTS]:
        say(f"Looks mislabelled: {name} ('{label}') looks like '{likely}' ({100 * share:.0f} %).")
    more = len(report.mislabelled) - _MOST_DOUBTS
    if more > 0:
        say(f"{more} more that look mislabelled are in {path.with_suffix('.json').name}.")
    say(f"weights: {path}")
    say(f"use: micrograph analyze {recipe} FILE --weights {path} -o results")


#: So many doubtful images are named on the screen.
_MOST_DOUBTS = 8


def checks(recipe: str, results: Sequence[CheckResult]) -> None:
    """Print the checks of a recipe: number, bound, limit, baseline, passed or not; of intervals what they cover."""
    from micrograph.validate.claim_checks import INTERVALS_OF

    say(f"{recipe}: measured against its bars")
    _console().print(check_table([result.as_dict() for result in results]))
    for result in results:
        if result.name.startswith(INTERVALS_OF):
            say(f"{result.name.split(':')[0]}: {result.detail or result.error}")


def rows(rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print rows that all have the same columns."""
    table = _table(*(rows[0] if rows else ("nothing",)), title=title)
    for row in rows:
        table.add_row(*(_said(value) for value in row.values()))
    _console().print(table)


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
