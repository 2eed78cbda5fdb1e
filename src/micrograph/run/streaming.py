"""The algorithm: frames in, one small `Step` a frame out, from a file and from a running camera alike."""

from __future__ import annotations

import functools
import itertools
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import (
    BadInput,
    Calibration,
    Flag,
    Frame,
    MicrographError,
    MissingCalibration,
    Prediction,
    Recording,
    Stream,
)
from micrograph.run.trusting import stated, trusted

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.run.recipe import Recipe, Tables

log = logging.getLogger(__name__)

#: What the user writes when a calibration is missing.
OPTION_FOR = {
    "pixel_nm": '--pixel-size "0.0176 nm"',
    "frame_time_s": '--frame-time "0.1 s"',
    "dose_e_per_A2": '--dose "1e4 e/angstrom^2"',
    "voltage_kV": '--voltage "80 kV"',
    "convergence_mrad": '--convergence "30 mrad"',
    "inner_mrad": '--inner "80 mrad"',
    "outer_mrad": '--outer "200 mrad"',
    "step_nm": '--scan-step "0.2 nm"',
}
#: Contents of recordings, in words.
CONTENTS = {
    "image": "images",
    "scan": "patterns of a 4D-STEM scan",
    "rows": "patterns of a 4D-STEM scan",
    "structure": "crystal structures",
    "peaks": "lists of diffraction peaks",
    "sites": "tables of sites with their classes",
    "spectra": "spectra",
    "elements": "maps of elements",
    "coded": "coded frames of a movie",
}
#: Columns without a unit whose type is known even when the table is empty.
_KIND_OF_COLUMN = {"frame": "int64", "id": "int64", "flags": "int64", "class": "str", "name": "str", "label": "str"}


class Predict(Protocol):
    """A model: a frame in, its maps out. It may also offer ``many(frames)``, which predicts a batch at once."""

    def __call__(self, frame: Frame) -> Prediction:
        """Return the prediction for one frame."""
        ...


@dataclass(frozen=True)
class Observation:
    """One frame, looked at on its own.

    tables: name -> table of this frame; prediction: ``None`` for an unusable frame; seconds: spent on this frame.
    """

    index: int
    tables: Tables
    prediction: Prediction | None
    flags: Flag
    seconds: float


@dataclass(frozen=True)
class Step(Observation):
    """One frame and a way to what all frames up to it say together."""

    summarise: Callable[[], Tables]

    @property
    def so_far(self) -> Tables:
        """The tables over time so far: computed when asked for, so ask while the step is the newest."""
        return self.summarise()

    @property
    def summary(self) -> DataFrame:
        """The table 'summary' so far, likewise."""
        return self.so_far["summary"]


Watcher = Callable[[Step], object]


def stream(
    recipe: Recipe, frames: Stream, predict: Predict, watchers: Iterable[Watcher] = (), batch: int = 1
) -> Iterator[Step]:
    """Yield one `Step` per frame as frames arrive; a failing watcher is logged, never fatal.

    A frame that is empty, constant or has no finite pixel gives empty tables and a row in 'frames' with its flag; it
    does not enter the summary. Raises `MissingCalibration` before the first frame if the recipe needs what is unknown.
    """
    require_calibration(recipe, frames.calibration)
    watchers = tuple(watchers)
    state = recipe.summary.start()
    for seen in observe(recipe, frames, predict, batch):
        if Flag.BAD_FRAME not in seen.flags:
            state = recipe.summary.step(state, seen.tables)
        step = Step(**vars(seen), summarise=functools.partial(recipe.summary.result, state))
        _notify(watchers, step)
        yield step


def _notify(watchers: Iterable[Watcher], step: Step) -> None:
    """Show `step` to every watcher; log those that fail and go on."""
    for watcher in watchers:
        try:
            watcher(step)
        except Exception:
            log.exception("A watcher failed at frame %d; the analysis goes on.", step.index)


def require_calibration(recipe: Recipe, calibration: Calibration) -> None:
    """Raise `MissingCalibration`, naming the options to give, if the recipe needs what `calibration` lacks.

    Raises `BadInput` for a recording of a content that the recipe does not take.
    """
    if calibration.content not in recipe.task.takes:
        raise BadInput(
            f"Recipe '{recipe.name}' takes {_listed(recipe.task.takes)}, but the recording holds "
            f"{CONTENTS[calibration.content]}: give another recording, or choose a recipe for it."
        )
    missing = calibration.missing(recipe.task.needs)
    if missing:
        options = " ".join(OPTION_FOR.get(name, name) for name in missing)
        raise MissingCalibration(
            f"Recipe '{recipe.name}' needs {', '.join(missing)}, which the recording does not say: "
            f"give it with {options}."
        )


def _listed(contents: tuple[str, ...]) -> str:
    return " or ".join(dict.fromkeys(CONTENTS[content] for content in contents))


def observe(recipe: Recipe, frames: Iterable[Frame], predict: Predict, batch: int = 1) -> Iterator[Observation]:
    """Yield what the recipe sees in each frame, in order; `batch` frames are predicted at once."""
    iterator = iter(frames)
    first = True
    while group := list(itertools.islice(iterator, batch)):
        began = time.perf_counter()
        predictions = predicted(group, predict)
        share = (time.perf_counter() - began) / len(group)
        for frame, prediction in zip(group, predictions, strict=True):
            began = time.perf_counter()
            tables, flags = frame_tables(recipe, frame, prediction)
            if first and Flag.BAD_FRAME not in flags:
                check_promises(recipe, tables)
                first = False
            usable = None if Flag.BAD_FRAME in flags else prediction
            yield Observation(frame.index, tables, usable, flags, share + time.perf_counter() - began)


@dataclass(frozen=True)
class Analyser:
    """A recipe with its model, as checks need it: an image or a movie in, tables out, no files.

    The model of a recipe with a learner is trained anew on every movie.
    """

    recipe: Recipe
    predict: Predict | None = None

    def __call__(self, image: NDArray[Any], pixel_nm: float) -> Tables:
        """Return the tables of one image (H, W)."""
        from micrograph.run.binning import suitably_binned

        still = Recording(lambda index: image, range(1), Calibration(pixel_nm=pixel_nm), image.shape)
        if self.predict is None:
            return self.movie(still)
        (seen,) = observe(self._trusted, suitably_binned(self.recipe, still, self.predict), self.predict)
        return seen.tables

    def frames(self, recording: Recording) -> Tables:
        """Return the tables of all frames, one below the other, without those over time."""
        from micrograph.run.parts import joined

        recording, predict = self._readied(recording)
        return joined([seen.tables for seen in observe(self._trusted, recording, predict)])

    def movie(self, recording: Recording) -> Tables:
        """Return the tables of all frames, one below the other, and those over time."""
        from micrograph.run.parts import joined

        recording, predict = self._readied(recording)
        seen: list[Tables] = []
        for step in stream(self._trusted, recording, predict):
            seen.append(step.tables)
            summarise = step.summarise
        return joined(seen) | dict(summarise())

    @functools.cached_property
    def _trusted(self) -> Recipe:
        return trusted(self.recipe, self.predict)[0]

    def _readied(self, recording: Recording) -> tuple[Recording, Predict]:
        """Return the recording as the recipe looks at it, and the model; refuse one without frames."""
        from micrograph.run.binning import suitably_binned
        from micrograph.run.learning import learned, presented

        require_calibration(self.recipe, recording.calibration)
        if len(recording) == 0:
            raise BadInput("The recording has no frames: there is nothing to analyse.")
        recording = presented(self.recipe, recording)
        with tempfile.TemporaryDirectory() as folder:
            predict = self.predict or learned(self.recipe, recording, Path(folder) / "model.safetensors")
        return suitably_binned(self.recipe, recording, predict), predict


def is_usable(frame: Frame) -> bool:
    """Return whether there is anything to see: some pixels, finite ones, and not all alike; of many patterns in one."""
    if frame.data.ndim > 2:
        return any(is_usable(replace(frame, data=one)) for one in frame.data)
    low, high = (float(end) for end in (frame.data.min(initial=np.inf), frame.data.max(initial=-np.inf)))
    if np.isfinite(low) and np.isfinite(high):
        return low < high
    finite = frame.data[np.isfinite(frame.data)]
    return finite.size > 0 and bool(finite.min() < finite.max())


def check_promises(recipe: Recipe, tables: Tables, *, final: bool = False) -> None:
    """Check the tables of a frame, or the `final` tables over time, against the task.

    Raises `MicrographError` if a column that the task promises is missing, or has a unit but no numbers.
    """
    over_time = recipe.over_time
    for name, columns in recipe.task.answers.items():
        if final != (name in over_time):
            continue
        if name not in tables:
            raise MicrographError(f"Recipe '{recipe.name}' promises the table '{name}' but gives {', '.join(tables)}.")
        table = tables[name]
        promised = {column.name: column.unit for column in columns}
        promised |= {column.sigma: column.unit for column in columns if column.sigma}
        for column, unit in promised.items():
            if column not in table:
                raise MicrographError(
                    f"Recipe '{recipe.name}' promises the column '{column}' of '{name}': it is missing."
                )
            if unit and len(table) and table[column].dtype.kind not in "iuf":
                raise MicrographError(f"Column '{column}' of '{name}' has the unit {unit} but holds no numbers.")


def predicted(group: list[Frame], predict: Predict) -> list[Prediction | None]:
    """Return the prediction of each frame, ``None`` for one that shows nothing."""
    usable = [frame for frame in group if is_usable(frame)]
    many = getattr(predict, "many", None)
    found = list(many(usable)) if many and len(usable) > 1 else [predict(frame) for frame in usable]
    by_frame = {id(frame): prediction for frame, prediction in zip(usable, found, strict=True)}
    return [by_frame.get(id(frame)) for frame in group]


def frame_tables(recipe: Recipe, frame: Frame, prediction: Prediction | None) -> tuple[Tables, Flag]:
    """Return the completed tables of one frame and its flags; without a prediction, empty ones and BAD_FRAME."""
    if prediction is None or Flag.BAD_FRAME in prediction.flags or not _is_finite(prediction):
        return _completed(_empty_tables(recipe), frame, None), Flag.BAD_FRAME
    tables = stated(recipe, _completed(recipe.objects(prediction), frame, prediction))
    return tables, Flag(int(tables["frames"]["flags"].iloc[0]))


def _is_finite(prediction: Prediction) -> bool:
    return all(np.isfinite(values.sum(dtype=np.float64)) for values in prediction.maps.values())


def _empty_tables(recipe: Recipe) -> dict[str, DataFrame]:
    """Return the promised tables without rows; a column with a unit holds floats."""
    import pandas as pd

    tables = {"objects": pd.DataFrame({"frame": pd.Series(dtype="int64")})}
    for name, columns in recipe.task.answers.items():
        if name in (*recipe.over_time, "frames"):
            continue
        kinds = {"frame": "int64"} | {
            column: _KIND_OF_COLUMN.get(column, "float64" if promise.unit else "object")
            for promise in columns
            for column in (promise.name, promise.sigma)
            if column
        }
        tables[name] = pd.DataFrame({column: pd.Series(dtype=kind) for column, kind in kinds.items()})
    return tables


def _completed(found: Tables, frame: Frame, prediction: Prediction | None) -> Tables:
    """Return the tables with the frame's number and its flags in every row, and always one row in 'frames'."""
    import pandas as pd

    tables = dict(found)
    if "frames" not in tables:
        tables["frames"] = pd.DataFrame({"count": [len(tables["objects"])]} if prediction else {}, index=[0])
    flags = np.int64(prediction.flags if prediction else Flag.BAD_FRAME)
    for name, own in list(tables.items()):
        late = _facts(frame, prediction) if name == "frames" else {}
        tables[name] = _stamped(own, frame.index, flags).assign(**{k: v for k, v in late.items() if k not in own})
    return tables


def _stamped(found: DataFrame, index: int, flags: np.int64) -> DataFrame:
    """Return the table with the frame's number in front and its flags added to those of every row."""
    table = found.copy(deep=False)
    if len(table.columns) and table.columns[0] == "frame":
        table["frame"] = np.int64(index)
    else:
        table = table.drop(columns="frame", errors="ignore")
        table.insert(0, "frame", np.int64(index))
    if "flags" not in table:
        table["flags"] = flags
    elif flags or table["flags"].dtype != np.int64:
        table["flags"] = table["flags"].to_numpy(np.int64) | flags
    return table


def _facts(frame: Frame, prediction: Prediction | None) -> dict[str, str | float]:
    """Return what 'frames' says of every frame: time, distance from the training domain, the model's notes."""
    facts: dict[str, str | float] = {"notes": "; ".join(prediction.notes) if prediction else ""}
    if prediction:
        facts["domain_distance"] = float(prediction.domain_distance)
    if frame.calibration.frame_time_s is not None:
        facts["t_s"] = frame.index * frame.calibration.frame_time_s
    return facts | dict(frame.known)
