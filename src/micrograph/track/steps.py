"""Tracks as displacements, ready for the laws of motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.track.timeline import Array, Index, position_columns


@dataclass(frozen=True)
class Steps:
    """Displacements of all tracks, one below the other, M in all.

    nm: (M, 2) [y, x]; dt_s: (M,) time from one position to the next; track: (M,) to which track each belongs;
    before, after: (M, 2) variances (nm^2) of the positions at its two ends, zero where unknown; `sigma_known` tells.
    """

    nm: Array
    dt_s: Array
    track: Index
    before: Array
    after: Array
    sigma_known: bool

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.nm)

    def __getitem__(self, which: NDArray[np.bool_]) -> Steps:
        """Return the steps of a mask (N,)."""
        whole = (self.track[which], self.before[which], self.after[which])
        return Steps(self.nm[which], self.dt_s[which], *whole, self.sigma_known)

    @property
    def joined(self) -> NDArray[np.bool_]:
        """Whether each displacement but the last starts where the one before it ends, (M - 1,)."""
        return np.asarray(self.track[1:] == self.track[:-1])


def steps_of(tracks: pd.DataFrame) -> Steps:
    """Return the displacements of tracks: rows with ``track, t_s`` and ``y_sample_nm, x_sample_nm`` or ``y_nm, x_nm``.

    ``y_sigma_nm, x_sigma_nm`` are used where they are all known. Raises `BadInput` where times are unknown or do not
    increase along a track.
    """
    if len(tracks) == 0:
        return Steps(np.empty((0, 2)), np.empty(0), np.empty(0, np.int64), *(np.empty((0, 2)),) * 2, False)
    if "t_s" not in tracks or not np.isfinite(tracks["t_s"].to_numpy(float)).all():
        raise BadInput(
            'Motion needs the times of all frames: give the time of a frame, for example --frame-time "0.1 s".'
        )
    order = np.lexsort([tracks["t_s"].to_numpy(float), tracks["track"].to_numpy(np.int64)])
    rows = tracks.iloc[order]
    number, time = rows["track"].to_numpy(np.int64), rows["t_s"].to_numpy(float)
    place = rows[list(position_columns(rows))].to_numpy(float)
    known = "y_sigma_nm" in rows and "x_sigma_nm" in rows
    variance = rows[["y_sigma_nm", "x_sigma_nm"]].to_numpy(float) ** 2 if known else np.full_like(place, np.nan)
    known = bool(np.isfinite(variance).all() and (variance > 0).any())
    variance = variance if known else np.zeros_like(place)
    same = number[1:] == number[:-1]
    passed = np.diff(time)
    if (passed[same] <= 0).any():
        twice = int(number[1:][same][passed[same] <= 0][0])
        raise BadInput(f"Track {twice} is in two places at one time: link the points anew.")
    return Steps(
        np.diff(place, axis=0)[same], passed[same], number[1:][same], variance[:-1][same], variance[1:][same], known
    )
