"""The end of a run: parts and tables over time become the files of the results' folder, with run.json last."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from micrograph.core.provenance import versions
from micrograph.run.parts import Part, merge, tables_of
from micrograph.run.recipe import Recipe, Tables
from micrograph.run.record import Tally, read_json

RECORD, MAPS = "run.json", "maps.zarr"


def write_tables(
    recipe: Recipe, folder: Path, parts: list[Part], over_time: Tables, *, maps: bool = False
) -> dict[str, int]:
    """Put the final tables in place of those of an older run in `folder` and return how many rows each has."""
    from micrograph.io import write_table

    _clear(folder, maps)
    answers = recipe.task.answers
    for name in tables_of(parts):
        for half_written in folder.glob(f".{name}-????????.*"):
            half_written.unlink()
    rows = {name: merge(parts, name, folder / name, answers.get(name, ())) for name in tables_of(parts)}
    for name, table in over_time.items():
        write_table(table, folder / name, answers.get(name, ()))
    kept = parts[0].folder / MAPS
    if kept.exists():
        shutil.rmtree(folder / MAPS, ignore_errors=True)
        kept.replace(folder / MAPS)
    return rows | {name: len(table) for name, table in over_time.items()}


def _clear(folder: Path, maps: bool) -> None:
    """Remove the files of an older, finished run, its record first; its maps unless new ones come."""
    old = read_json(folder / RECORD)
    (folder / RECORD).unlink(missing_ok=True)
    for name in (old or {}).get("tables", ()):
        for ending in ("parquet", "csv"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    if not maps:
        shutil.rmtree(folder / MAPS, ignore_errors=True)


def record_of(
    recipe: Recipe, predict: object, key: Mapping[str, Any], tally: Tally, rows: Mapping[str, int], notes: Sequence[str]
) -> dict[str, Any]:
    """Return the content of run.json but for how long it took; `notes` are the recording's own warnings."""
    return {
        "recipe": {"name": recipe.name, "title": recipe.title, "reference": recipe.task.reference},
        "key": dict(key),
        "card": getattr(predict, "card", None),
        "versions": versions(),
        "frames": tally.frames,
        "flags": dict(tally.flags),
        "warnings": [*map(str, notes), *tally.warnings()],
        "tables": dict(rows),
    }
