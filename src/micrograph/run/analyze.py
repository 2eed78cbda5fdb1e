"""A whole recording into files: in parts that are on disk as they finish, merged at the end, resumable after a kill."""

from __future__ import annotations

import functools
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import BadInput, Prediction, Recording
from micrograph.core.memory import give_back
from micrograph.core.provenance import made_folder
from micrograph.run.budget import batch_within, frame_bytes
from micrograph.run.finishing import IMAGES, MAPS, RECORD, keep_images, record_of, write_over_time, write_tables
from micrograph.run.parts import Part, fold_part, joined, parts_of
from micrograph.run.recipe import Recipe, Tables
from micrograph.run.record import Tally, key_of, read_json, require_same, write_json
from micrograph.run.streaming import Predict, check_promises, is_usable, observe, require_calibration
from micrograph.run.trusting import trusted

if TYPE_CHECKING:
    from pandas import DataFrame

#: Called with (frames done, frames in all, what the last one held).
Progress = Callable[[int, int, str], object]
#: Works through parts elsewhere (other processes, other machines) and gives the tables of each, in their order.
Elsewhere = Callable[[Sequence[Part], Mapping[str, Any]], Iterator[Tables]]

PLAN = "plan.json"


@dataclass(frozen=True)
class RunSettings:
    """How to run; none of it changes what is found.

    batch: frames predicted at once, fewer if `memory_bytes` (of the whole process) asks for it; maps: keep the score
    maps as ``maps.zarr``; resume: go on where an earlier run in the same folder was stopped; part_frames: frames that
    are written together, which is what a kill can cost; memory does not grow with the length of the recording.
    """

    batch: int = 1
    memory_bytes: int | None = None
    maps: bool = False
    resume: bool = False
    part_frames: int = 32


@dataclass(frozen=True)
class LazyTables(Mapping[str, "DataFrame"]):
    """The tables of a folder by name; a table, or a part of one, is read when it is asked for, and not kept."""

    folder: Path

    def __getitem__(self, name: str) -> DataFrame:
        """Read the table called `name`."""
        from micrograph.io import read_table

        path = self.folder / f"{name}.parquet"
        if not path.exists():
            raise KeyError(name)
        return read_table(path)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a table of this name, reading none."""
        return (self.folder / f"{name}.parquet").exists()

    def head(self, name: str, rows: int) -> DataFrame:
        """Return the first rows of a table without reading the others."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.folder / f"{name}.parquet") as file:
            batch = next(file.iter_batches(batch_size=rows), None)
            table: DataFrame = (file.schema_arrow.empty_table() if batch is None else batch).to_pandas()
        return table

    def of_frame(self, name: str, frame: int) -> DataFrame:
        """Return the rows of one frame, holding no others."""
        import pandas as pd

        return pd.read_parquet(self.folder / f"{name}.parquet", filters=[("frame", "==", frame)])

    def columns(self, name: str, columns: tuple[str, ...]) -> DataFrame:
        """Return some columns of a table, reading no others."""
        import pandas as pd

        return pd.read_parquet(self.folder / f"{name}.parquet", columns=list(columns))

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tables that there are, in order."""
        return (path.stem for path in sorted(self.folder.glob("[!.]*.parquet")))

    def __len__(self) -> int:
        """Number of tables."""
        return len(list(self.folder.glob("[!.]*.parquet")))


@dataclass(frozen=True)
class Result:
    """A finished analysis: its tables (read when asked for), its folder, and the run record (run.json).

    `preview` returns the prediction of the first usable frame, for pictures; ``None`` if no frame was usable.
    """

    recipe: Recipe
    recording: Recording
    folder: Path
    record: dict[str, Any]
    tables: LazyTables
    preview: Callable[[], Prediction | None]

    @property
    def summary(self) -> DataFrame:
        """The table 'summary'."""
        return self.tables["summary"]

    def image(self, name: str) -> Recording:
        """Return the images called `name` (one of ``recipe.images``, or ``NAME_sigma``), read when asked for.

        Raises `BadInput` for a name that the run has not written.
        """
        from micrograph.io import open_recording

        return open_recording(self.folder / IMAGES, signal=name)


def analyze(
    recipe: Recipe,
    recording: Recording,
    predict: Predict,
    out: Path | None = None,
    *,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
) -> Result:
    """Analyse every frame of `recording` and write tables (Parquet and CSV) and run.json into the folder `out`.

    Without `out` the files live as long as the result. `progress` is called after every frame with how many are done,
    of how many, and a few words on the last one. `elsewhere` is given the parts that are not finished and the plan, and
    works through them in place of this process. `predict` may offer ``many(frames)``, ``digest`` (of the weights) and
    ``card`` beside being called. Raises `BadInput` for a recording without frames, an unusable folder, a memory budget
    that is too small, and for `settings.resume` when the earlier run was another; `MissingCalibration` if the recipe
    needs what is unknown.
    """
    settings = settings or RunSettings()
    require_calibration(recipe, recording.calibration)
    if len(recording) == 0:
        raise BadInput(f"The recording '{recording.name}' has no frames in the chosen range: choose others.")
    batch = batch_within(settings.memory_bytes, settings.batch, frame_bytes(recipe, recording, predict))
    plan = {"batch": batch, "part_frames": settings.part_frames, "maps": settings.maps}
    key = key_of(recipe, recording, predict, plan)
    folder = made_folder(out) if out is not None else Path(tempfile.mkdtemp(prefix="micrograph-"))
    tables = LazyTables(folder)
    if out is None:
        weakref.finalize(tables, shutil.rmtree, folder, ignore_errors=True)
    recipe, doubts = trusted(recipe, predict)
    run = _Run(recipe, recording, predict, folder, key, progress, elsewhere, doubts=doubts)
    if not settings.resume:
        run.forget()
    record = run.finished() if settings.resume else None
    if record is None:
        record = run.to_the_end()
    return Result(recipe, recording, folder, record, tables, functools.partial(_preview, recording, predict, run.first))


@dataclass(frozen=True)
class _Run:
    """One run into one folder. `key` decides the result; `first` keeps the first prediction; `doubts` are told."""

    recipe: Recipe
    recording: Recording
    predict: Predict
    folder: Path
    key: Mapping[str, Any]
    progress: Progress | None
    elsewhere: Elsewhere | None = None
    first: list[Prediction] = field(default_factory=list)
    doubts: tuple[str, ...] = ()

    @property
    def parts_folder(self) -> Path:
        """Where parts lie until all are done."""
        return self.folder / "parts"

    def forget(self) -> None:
        """Remove the parts of an earlier run."""
        shutil.rmtree(self.parts_folder, ignore_errors=True)

    def finished(self) -> dict[str, Any] | None:
        """Return the record of the earlier run if it was finished; refuse an earlier run that was another."""
        plan, record = read_json(self.parts_folder / PLAN), read_json(self.folder / RECORD)
        if plan is not None:
            require_same(plan, self.key, self.folder)
            return None
        self.forget()
        if record is not None:
            require_same(record.get("key", {}), self.key, self.folder)
        return record

    def to_the_end(self) -> dict[str, Any]:
        """Work through all parts that are not finished, merge, and return the record."""
        began = time.perf_counter()
        write_json(self.parts_folder / PLAN, self.key)
        parts = parts_of(self.recording.indices, self.key["plan"]["part_frames"], self.parts_folder)
        tally, state = Tally(), self.recipe.summary.start()
        left = [part for part in parts if not part.finished]
        made = map(self.observed, left) if self.elsewhere is None else self.elsewhere(left, self.key["plan"])
        for part in parts:
            if not part.finished:
                part.write(next(made))
            tables = part.read()
            tally.add(tables["frames"])
            state = fold_part(self.recipe.summary, state, tables)
        rows = self._written(parts, state)
        notes = (*self.recording.metadata.get("notes", ()), *self.doubts)
        record = record_of(self.recipe, self.predict, self.key, tally, rows, notes)
        record["source"] = self.recording.metadata.get("path") and str(self.recording.metadata["path"])
        record["seconds"] = round(time.perf_counter() - began, 3)
        write_json(self.folder / RECORD, record)
        self.forget()
        return record

    def _written(self, parts: list[Part], state: Any) -> dict[str, int]:
        """Write all tables, those of the parts beside the summary; return the rows of each."""
        give_back()
        with ThreadPoolExecutor(1) as beside:
            merged = beside.submit(write_tables, self.recipe, self.folder, parts, maps=self.key["plan"]["maps"])
            over_time = self.recipe.summary.result(state)
            check_promises(self.recipe, over_time, final=True)
            return merged.result() | write_over_time(self.recipe, self.folder, over_time)

    def observed(self, part: Part) -> Tables:
        """Return the tables of the frames of one part, telling the progress after each."""
        cut = self.recording[part.positions.start : part.positions.stop]
        found: list[Tables] = []
        for position, seen in zip(
            part.positions, observe(self.recipe, cut, self.predict, self.key["plan"]["batch"]), strict=True
        ):
            found.append(seen.tables)
            if seen.prediction is not None and not self.first:
                self.first.append(seen.prediction)
            if self.key["plan"]["maps"] and seen.prediction is not None:
                self._keep_maps(seen.prediction)
            if self.recipe.images and seen.prediction is not None:
                names = self.recipe.images_in(seen.prediction)
                keep_images(self.parts_folder, position, seen.prediction, names, len(self.recording))
            if self.progress is not None:
                self.progress(position + 1, len(self.recording), f"{len(seen.tables['objects'])} objects")
        return joined(found)

    def _keep_maps(self, prediction: Prediction) -> None:
        from micrograph.io import MapWriter

        answers = self.recipe.images_in(prediction)
        names = [name for name in prediction.maps if name not in answers]
        if names:
            shape = prediction.maps[names[0]].shape
            frames = max(self.recording.indices[0], self.recording.indices[-1]) + 1
            writer = MapWriter(self.parts_folder / MAPS, names, shape, prediction.pixel_nm, frames=frames)
            writer.write(prediction.frame.index, prediction.maps)


def observed_part(
    recipe: Recipe, recording: Recording, predict: Predict, folder: Path, plan: Mapping[str, Any], part: Part
) -> Tables:
    """Return the tables of one part of a run into `folder`; maps and images go there at once.

    This is what a worker elsewhere does; `plan` is that of the run (batch, part_frames, maps).
    """
    return _Run(trusted(recipe, predict)[0], recording, predict, folder, {"plan": plan}, None).observed(part)


def _preview(recording: Recording, predict: Predict, kept: list[Prediction]) -> Prediction | None:
    """Return the prediction of the first usable frame: the one that was kept, else a new one."""
    for frame in recording:
        if is_usable(frame):
            same = kept and kept[0].frame.index == frame.index
            return kept[0] if same else predict(frame)
    return None
