"""What a user asks of an analysis, and the recording that it asks for, opened and calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from micrograph.apps.scans import ENERGY_AXIS, PATTERN_PIXEL, parse_axis, parse_energies, parse_scan
from micrograph.core import BadInput, Recording, parse_positive, parse_quantity
from micrograph.core.calibration import UNITS

if TYPE_CHECKING:
    from micrograph.run import RunSettings

#: What an explicit calibration is called on the command line.
OPTIONS = {
    "pixel_nm": "--pixel-size",
    "frame_time_s": "--frame-time",
    "voltage_kV": "--voltage",
    "convergence_mrad": "--convergence",
    "inner_mrad": "--inner",
    "outer_mrad": "--outer",
    "dose_e_per_A2": "--dose",
    "step_nm": "--scan-step",
}


@dataclass(frozen=True)
class Request:
    """What an analysis is asked to do; texts carry units ("0.0176 nm", "2 GB").

    `calibration` holds texts by the names of `Calibration` (``{"voltage_kV": "80 kV"}``); they win over the file's.
    """

    recipe: str
    calibration: Mapping[str, str | None] = field(default_factory=dict)
    frames: str | None = None
    log: Path | None = None
    log_start: str | None = None
    signal: str | None = None
    scan_shape: str | None = None
    raw_layout: str | None = None
    weights: tuple[Path, ...] = ()
    device: str = "auto"
    bin: int | None = None
    memory: str | None = None
    maps: bool = False
    resume: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    cluster: str | None = None

    def run_settings(self) -> RunSettings:
        """Return how to run; raises `BadInput` where `memory` is no amount of memory."""
        from micrograph.run import RunSettings

        memory = None if self.memory is None else int(parse_positive(self.memory, "byte", name="--memory"))
        return RunSettings(memory_bytes=memory, maps=self.maps, resume=self.resume)


def parse_calibration(texts: Mapping[str, str | None]) -> dict[str, float]:
    """Return the given texts as values in our units, all positive; refuse a detector whose rim lies inside its hole."""
    values = {
        name: parse_positive(text, UNITS[name], name=OPTIONS[name])
        for name, text in texts.items()
        if text is not None and name not in (PATTERN_PIXEL, ENERGY_AXIS)
    }
    if values.get("inner_mrad", 0.0) >= values.get("outer_mrad", float("inf")):
        raise BadInput(
            f"--inner is '{texts['inner_mrad']}' and --outer '{texts['outer_mrad']}': the outer angle of the detector "
            "must be greater than the inner one."
        )
    return values


def parse_frames(text: str | None, count: int) -> slice:
    """Return "0:100", "5", "10:" or ":20" as a slice of a recording of `count` frames; refuse an empty one."""
    if text is None:
        return slice(None)
    first, separator, last = text.partition(":")
    try:
        start = int(first) if first or not separator else 0
        stop = (int(last) if last else count) if separator else start + 1
    except ValueError as error:
        raise BadInput(f"--frames is '{text}': write first:end, for example 0:100.") from error
    if not 0 <= start < min(stop, count):
        raise BadInput(f"--frames is '{text}', which holds no frame of this recording: it has frames 0 to {count - 1}.")
    return slice(start, min(stop, count))


def open_calibrated(path: Path, request: Request) -> Recording:
    """Open a recording with the calibration, the log and the frames that `request` asks for."""
    from micrograph.io import open_recording
    from micrograph.recipes import find_recipe

    known = parse_calibration(request.calibration)
    pixel, time = known.pop("pixel_nm", None), known.pop("frame_time_s", None)
    scan, axis = parse_scan(request.scan_shape), parse_axis(request.calibration.get(PATTERN_PIXEL))
    opened = open_recording(
        path,
        pixel_nm=pixel,
        frame_time_s=time,
        signal=request.signal,
        scan_shape=scan,
        raw_layout=request.raw_layout,
        energy_axis=parse_energies(request.calibration.get(ENERGY_AXIS)),
        takes=find_recipe(request.recipe).task.takes if request.recipe else (),
    )
    recording = opened.calibrated(**known, signal_axis=axis)
    return logged_frames(recording, request)


def logged_frames(recording: Recording, request: Request) -> Recording:
    """Return the frames of an open recording that `request` asks for, with its log."""
    from micrograph.io import read_log, with_log

    if request.log is not None:
        recording = with_log(recording, read_log(request.log), log_begins_s(request))
    return recording[parse_frames(request.frames, len(recording))]


def log_begins_s(request: Request) -> float:
    """Return the time of the log at the first frame in s."""
    return parse_quantity(request.log_start, "s", name="--log-start") if request.log_start else 0.0
