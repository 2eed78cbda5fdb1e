"""A finished analysis as the page shows it: tables from its folder, frames from the recording if it is still there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from micrograph.core import BadInput, MicrographError, Recording
from micrograph.core.provenance import digest
from micrograph.live.shown import State
from micrograph.run.analyze import LazyTables
from micrograph.run.finishing import RECORD
from micrograph.run.record import read_json

if TYPE_CHECKING:
    import pandas as pd


class Finished:
    """The results in a folder that ``micrograph analyze`` wrote.

    `recording` is the file or folder that was analysed; without it, the one of the same name is looked for where
    run.json says, beside the results, one and two folders up and in the working folder. It is only shown if it is the
    same: by its digest, or for folders by the shape of its frames. Raises `BadInput` for a folder without results, and
    for a given recording that is another.
    """

    def __init__(self, folder: Path, recording: Path | None = None) -> None:
        record = read_json(folder / RECORD)
        if record is None or "key" not in record:
            raise BadInput(
                f"{folder} holds no finished analysis (no readable {RECORD}): give the folder that "
                "'micrograph analyze ... -o DIR' wrote, or run it again with --resume if it was stopped."
            )
        self.folder = folder
        self._tables = LazyTables(folder)
        self._names = tuple(sorted(self._tables))
        self._reading = threading.Lock()
        self._recording, note = _found(record, folder, recording)
        self._state = self._known(record, note)

    @property
    def state(self) -> State:
        """Where things stood at the end."""
        return self._state

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return self._names

    @property
    def report(self) -> Path | None:
        """The HTML report beside the tables."""
        path = self.folder / "report.html"
        return path if path.is_file() else None

    def image(self, frame: int) -> NDArray[Any] | None:
        """Return a frame of the recording, ``None`` where it is not there any more."""
        if self._recording is None or frame not in self._recording.indices:
            return None
        with self._reading:
            return self._recording.read(frame)

    def table(self, name: str, frame: int | None = None) -> pd.DataFrame:
        """Return a table or its rows of one frame; all rows of a table that knows no frames."""
        import pandas as pd

        if name not in self._names:
            return pd.DataFrame()
        if frame is None or "frame" not in self._tables.head(name, 1):
            return self._tables[name]
        return self._tables.of_frame(name, frame).reset_index(drop=True)

    def _known(self, record: dict[str, Any], note: str) -> State:
        said = record["key"].get("input", {})
        frames = self._tables.columns("frames", ("frame",))["frame"] if "frames" in self._names else ()
        done = len(frames)
        return State(
            recipe=str(record.get("recipe", {}).get("name", "")),
            title=str(record.get("recipe", {}).get("title", "")),
            source=str(said.get("name", self.folder.name)),
            frames=(int(min(frames)), int(max(frames))) if done else None,
            running=False,
            pixel_nm=said.get("calibration", {}).get("pixel_nm"),
            shape=_shape(said),
            counters={"done": done, "bad": int(record.get("flags", {}).get("BAD_FRAME", 0))},
            units=dict(self._units()),
            notes=(*map(str, record.get("warnings", ())), *((note,) if note else ())),
            report=self.report is not None,
        )

    def _units(self) -> Iterator[tuple[str, str]]:
        from micrograph.io import read_columns

        for name in self._names:
            for column in read_columns(self.folder / f"{name}.parquet").values():
                if column.unit:
                    yield f"{name}.{column.name}", column.unit


def _shape(said: dict[str, Any]) -> tuple[int, int] | None:
    shape: list[int] = said.get("shape") or []
    return (int(shape[-2]), int(shape[-1])) if len(shape) >= 2 else None


def _found(record: dict[str, Any], folder: Path, given: Path | None) -> tuple[Recording | None, str]:
    """Return the recording that was analysed, and a sentence for the user where it is not there."""
    said = record["key"].get("input", {})
    name = str(said.get("name", ""))
    if given is not None:
        if not given.exists():
            raise BadInput(f"{given} does not exist: give the recording '{name}' that was analysed.")
        recording = _opened(given, said)
        if recording is None:
            raise BadInput(f"{given} is not the recording that was analysed ('{name}'): give that one.")
        return recording, ""
    for path in _places(record, folder, name):
        if path.exists() and (recording := _opened(path, said)) is not None:
            return recording, ""
    return None, f"The recording '{name}' was not found, so tables are shown without images: give its path."


def _places(record: dict[str, Any], folder: Path, name: str) -> Iterator[Path]:
    if record.get("source"):
        yield Path(str(record["source"]))
    if name and Path(name).name == name:
        here = folder.resolve()
        yield from (place / name for place in (here, here.parent, here.parent.parent, Path.cwd()))


def _opened(path: Path, said: dict[str, Any]) -> Recording | None:
    """Open `path` as it was analysed, ``None`` unless it is the same."""
    from micrograph.io import open_recording

    known = str(said.get("digest", ""))
    if path.is_file() and known.startswith(("sha256:", "sha256-head:")) and digest(path) != known:
        return None
    calibration, shape = said.get("calibration", {}), _shape(said)
    try:
        recording = open_recording(
            path, pixel_nm=calibration.get("pixel_nm"), frame_time_s=calibration.get("frame_time_s"),
            signal=said.get("signal"),
        )  # fmt: skip
    except MicrographError:
        return None
    if shape is not None:
        recording = recording.binned(max(1, recording.shape[-2] // shape[0]))
        if tuple(recording.shape[-2:]) != shape:
            return None
    return recording
