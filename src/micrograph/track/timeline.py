"""Rows of a movie by frame: checked, in order, with the times of all frames, empty ones included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Timeline:
    """All frames of a movie: their numbers (T,) and times (T,) in s, NaN where unknown, in order."""

    number: Index
    t_s: Array

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.number)

    @property
    def timed(self) -> bool:
        """Whether all times are known and there are at least two."""
        return len(self.number) > 1 and bool(np.isfinite(self.t_s).all())

    def position(self, points: pd.DataFrame) -> Index:
        """Return for every row which of the frames (0 .. T - 1) it belongs to."""
        return np.searchsorted(self.number, points["frame"].to_numpy(np.int64)).astype(np.int64)


def position_columns(points: pd.DataFrame) -> tuple[str, str]:
    """Return the names of the columns that hold the positions in the sample if there are any, else in the image."""
    return ("y_sample_nm", "x_sample_nm") if "y_sample_nm" in points else ("y_nm", "x_nm")


def in_order(points: pd.DataFrame, columns: tuple[str, ...] = ("y_nm", "x_nm")) -> pd.DataFrame:
    """Return the rows sorted by frame; raises `BadInput` for lacking columns and positions that are not finite."""
    lacking = [name for name in ("frame", *columns) if name not in points]
    if lacking:
        raise BadInput(f"Points without the column '{lacking[0]}' cannot be followed: give frame, y_nm and x_nm.")
    finite = np.isfinite(points[list(columns)].to_numpy(float)).all(axis=1)
    if not finite.all():
        raise BadInput(f"{(~finite).sum()} of {len(points)} points have no finite position: leave them out.")
    return points.sort_values("frame", kind="stable", ignore_index=True)


def timeline(points: pd.DataFrame, frames: pd.DataFrame | None = None) -> Timeline:
    """Return all frames of a movie: those of the table `frames`, else those of the points and the ones between them.

    Both have ``frame`` and, where known, ``t_s``. Frames between those of the points are taken to be evenly spaced.
    Raises `BadInput` where times do not increase and where points lie in frames that do not exist.
    """
    source = points if frames is None else frames
    number, first = np.unique(source["frame"].to_numpy(np.int64), return_index=True)
    times = source["t_s"].to_numpy(float)[first] if "t_s" in source else np.full(len(number), np.nan)
    if frames is None and len(number) > 1:
        every = np.arange(number[0], number[-1] + 1, np.gcd.reduce(np.diff(number)))
        number, times = every, np.interp(every, number, times)
    elif frames is not None and len(points) and not np.isin(points["frame"].to_numpy(np.int64), number).all():
        raise BadInput("Some points lie in frames that the table of frames does not have: give both of one recording.")
    found = Timeline(number, times)
    if found.timed and not (np.diff(times) > 0).all():
        late = int(np.argmax(np.diff(times) <= 0))
        raise BadInput(f"Frame {number[late + 1]} is not later than frame {number[late]}: times must increase.")
    return found
