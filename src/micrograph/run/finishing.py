"""The end of a run: parts and tables over time become the files of the results' folder, with run.json last."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from micrograph.core import Prediction
from micrograph.core.provenance import versions
from micrograph.run.parts import Part, merge, tables_of
from micrograph.run.recipe import Recipe, Tables
from micrograph.run.record import Tally, read_json

RECORD, MAPS, IMAGES = "run.json", "maps.zarr", "images.zarr"
#: Folder of the images as TIFFs.
TIFFS = "images"


def write_tables(recipe: Recipe, folder: Path, parts: list[Part], *, maps: bool = False) -> dict[str, int]:
    """Put the tables, maps and images of all parts in place of those of an older run; return the rows of each table."""
    from micrograph.io import write_tiffs

    _clear(folder, maps)
    names = tables_of(parts)
    for name in names:
        for half_written in folder.glob(f".{name}-????????.*"):
            half_written.unlink()
    rows = {name: merge(parts, name, folder / name, recipe.task.answers.get(name, ())) for name in names}
    for store in (MAPS, IMAGES):
        if (kept := parts[0].folder / store).exists():
            shutil.rmtree(folder / store, ignore_errors=True)
            kept.replace(folder / store)
    if (folder / IMAGES).exists():
        write_tiffs(folder / IMAGES, folder / TIFFS)
    return rows


def write_over_time(recipe: Recipe, folder: Path, tables: Tables) -> dict[str, int]:
    """Write what all frames say together beside the tables of `write_tables`; return the rows of each table."""
    from micrograph.io import write_table

    for name, table in tables.items():
        write_table(table, folder / name, recipe.task.answers.get(name, ()))
    return {name: len(table) for name, table in tables.items()}


def _clear(folder: Path, maps: bool) -> None:
    """Remove the files of an older, finished run, its record first; its maps unless new ones come."""
    old = read_json(folder / RECORD)
    (folder / RECORD).unlink(missing_ok=True)
    for name in (old or {}).get("tables", ()):
        for ending in ("parquet", "csv"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    for store in (IMAGES, TIFFS) if maps else (MAPS, IMAGES, TIFFS):
        shutil.rmtree(folder / store, ignore_errors=True)


def keep_images(folder: Path, position: int, prediction: Prediction, names: Sequence[str], frames: int = 0) -> None:
    """Keep the images of the frame at `position`, and their 1-sigma where there is one, in ``images.zarr``.

    Frames that showed nothing are NaN; `frames` are those of the recording, where they are known.
    """
    from micrograph.io import MapWriter

    images = {name: prediction.maps[name] for name in names if name in prediction.maps}
    images |= {f"{name}_sigma": prediction.sigma[name] for name in images if name in prediction.sigma}
    if not images:
        return
    shape, scale = next(iter(images.values())).shape, prediction.frame.calibration
    pixel = None if scale.pixel_nm is None and scale.step_nm is None else prediction.pixel_nm
    writer = MapWriter(folder / IMAGES, list(images), shape, pixel, "image", scale.frame_time_s, frames)
    writer.write(position, images)


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
