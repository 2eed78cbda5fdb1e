"""One file of a folder that is being written: when it is complete, and what it holds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.io import open_recording
from micrograph.live.source import Opened

#: Suffixes that count as frames.
SUFFIXES = (
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".npy", ".dm3", ".dm4", ".ser", ".mrc", ".emd", ".mib",
    ".hspy", ".h5", ".hdf5",
)  # fmt: skip
#: A file that could not be read is tried again after so many seconds.
RETRY_S = 0.1


@dataclass(frozen=True)
class Image:
    """One frame as its file gave it: pixels (H, W), scale, what the file says else, and when it was read."""

    data: NDArray[Any]
    calibration: Calibration
    metadata: dict[str, Any]
    received_s: float


def merged(found: Calibration, given: Calibration) -> Calibration:
    """Return `found` with every value that `given` knows in its place."""
    names = [each.name for each in fields(Calibration) if each.name not in ("binning", "content")]
    return found.with_known(**{name: getattr(given, name) for name in names})


def read_image(path: Path, given: Calibration) -> Image:
    """Read a file that holds one image; values that `given` knows win. Raises `BadInput`."""
    recording = open_recording(path, pixel_nm=given.pixel_nm, frame_time_s=given.frame_time_s)
    if len(recording) != 1:
        raise BadInput(
            f"{path.name} holds a series of {len(recording)} frames, but single images were expected: "
            f"play it with replay:{path}."
        )
    data = np.ascontiguousarray(recording.read(0))
    return Image(data, merged(recording.calibration, given), recording.metadata, time.monotonic())


def unlike(name: str, shape: tuple[int, ...], dtype: str, pixel_nm: float | None, opened: Opened) -> str:
    """Return why a frame does not belong to what was opened, '' where it does."""
    if tuple(shape) != opened.shape:
        first = f"{opened.shape[0]} x {opened.shape[1]}"
        return f"{name} has {shape[0]} x {shape[1]} pixels, but the first frame has {first}: it is left out."
    if dtype != opened.dtype:
        return f"{name} holds {dtype}, but the first frame holds {opened.dtype}: it is left out."
    before = opened.calibration.pixel_nm
    if pixel_nm is not None and before is not None and abs(pixel_nm / before - 1) > 1e-3:
        return (
            f"{name} has pixels of {pixel_nm:.6g} nm, but the first frame has {before:.6g} nm: it is left out; "
            "start another run for another magnification."
        )
    return ""


@dataclass
class Candidate:
    """A file that was seen and is perhaps still being written; `seen_s` is when it was first seen."""

    path: Path
    seen_s: float = field(default_factory=time.monotonic)
    trouble: str = ""
    _stamp: tuple[int, int] = (-1, -1)
    _changed_s: float = 0.0
    _tried_s: float = -1.0

    @property
    def is_new(self) -> bool:
        """Tell whether the file was never looked at."""
        return self._stamp[0] < 0

    @property
    def quiet_s(self) -> float:
        """Seconds since the file was seen to change."""
        return time.monotonic() - max(self._changed_s, self.seen_s)

    def look(self, settle_s: float) -> bool:
        """Tell whether the file has not changed for `settle_s` and it is time to read it; `OSError` if it is gone."""
        status = self.path.stat()
        stamp = status.st_size, status.st_mtime_ns
        now = time.monotonic()
        if stamp != self._stamp:
            self._stamp, self._changed_s, self._tried_s, self.trouble = stamp, now, -1.0, ""
            return False
        if status.st_size == 0:
            self.trouble = f"{self.path.name} is empty (0 bytes)."
            return False
        return now - self._changed_s >= settle_s and now - self._tried_s >= RETRY_S

    def read(self, given: Calibration) -> Image | None:
        """Read the file; ``None``, with `trouble`, where it cannot be read or changed meanwhile."""
        self._tried_s = time.monotonic()
        try:
            image = read_image(self.path, given)
            status = self.path.stat()
        except BadInput as error:
            self.trouble = str(error)
            return None
        return image if (status.st_size, status.st_mtime_ns) == self._stamp else None
