"""What happened: objects that appear, vanish, hop, merge and split, one row each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column
from micrograph.track.timeline import position_columns, timeline

Mask = NDArray[np.bool_]
#: What a table of events promises.
EVENTS = (
    Column("t_s", "s", "time of the first frame after it"),
    Column("frame", "", "number of that frame"),
    Column("kind", "", "appear, vanish, hop, merge, split, or a change of state written from>to"),
    Column("track", "", "number of the track; of the new one where tracks merge or split"),
    Column("y_nm", "nm", "row position in that frame"),
    Column("x_nm", "nm", "column position in that frame"),
)


def events_table(
    tracks: pd.DataFrame,
    parents: pd.DataFrame | None = None,
    frames: pd.DataFrame | None = None,
    hop_nm: float | None = None,
) -> pd.DataFrame:
    """Return all events (`EVENTS`) of tracks, by time.

    tracks, parents: as `link` gives them; frames: ``frame, t_s`` of all frames. Tracks that begin in the first frame or
    end in the last one tell nothing; a vanished object carries its last position. hop_nm: steps longer than half of
    it are hops. Where the tracks have ``state``, its changes are events too.
    """
    if len(tracks) == 0:
        return _events([])
    time = timeline(tracks, frames)
    rows = tracks.assign(t_s=time.t_s[time.position(tracks)]).sort_values(["track", "frame"], ignore_index=True)
    number = rows["track"].to_numpy(np.int64)
    begins = np.concatenate([[True], number[1:] != number[:-1]])
    ends = np.concatenate([begins[1:], [True]])
    frame = rows["frame"].to_numpy(np.int64)
    born, died = begins & (frame > time.number[0]), ends & (frame < time.number[-1])
    pieces = [_family(rows, begins, parents, kind) for kind in ("merge", "split")]
    if parents is not None and len(parents):
        born &= ~np.isin(number, parents["track"].to_numpy(np.int64))
        died &= ~np.isin(number, parents["parent"].to_numpy(np.int64))
    after = np.minimum(np.searchsorted(time.number, frame) + 1, len(time) - 1)
    gone = rows.assign(frame=time.number[after], t_s=time.t_s[after])[died]
    pieces += [rows[born].assign(kind="appear"), gone.assign(kind="vanish")]
    pieces += [_hops(rows, begins, hop_nm), _changes(rows, begins)]
    return _events(pieces)


def _events(pieces: list[pd.DataFrame]) -> pd.DataFrame:
    names = [column.name for column in EVENTS]
    filled = [piece[names] for piece in pieces if len(piece)]
    if not filled:
        kinds: dict[str, Any] = {"frame": np.int64, "track": np.int64, "kind": object}
        return pd.DataFrame({name: np.empty(0, kinds.get(name, np.float64)) for name in names})
    return pd.concat(filled, ignore_index=True).sort_values(["frame", "track", "kind"], ignore_index=True)


def _family(rows: pd.DataFrame, begins: Mask, parents: pd.DataFrame | None, kind: str) -> pd.DataFrame:
    """Return the first rows of the tracks that come from a merger or a split."""
    if parents is None or len(parents) == 0:
        return rows.iloc[:0]
    children = parents.loc[parents["kind"] == kind, "track"].to_numpy(np.int64)
    return _chosen(rows, begins & np.isin(rows["track"].to_numpy(np.int64), children)).assign(kind=kind)


def _hops(rows: pd.DataFrame, begins: Mask, hop_nm: float | None) -> pd.DataFrame:
    if hop_nm is None:
        return rows.iloc[:0]
    place = rows[list(position_columns(rows))].to_numpy(float)
    far = np.hypot(*np.diff(place, axis=0, prepend=place[:1]).T) > hop_nm / 2
    return _chosen(rows, far & ~begins).assign(kind="hop")


def _changes(rows: pd.DataFrame, begins: Mask) -> pd.DataFrame:
    if "state" not in rows:
        return rows.iloc[:0]
    state = rows["state"].to_numpy(str)
    before = np.concatenate([state[:1], state[:-1]])
    changed = (state != before) & ~begins
    return _chosen(rows, changed).assign(
        kind=[f"{a}>{b}" for a, b in zip(before[changed], state[changed], strict=True)]
    )


def _chosen(rows: pd.DataFrame, which: Mask) -> pd.DataFrame:
    return rows.iloc[np.flatnonzero(which)]
