"""Boundaries over time while a movie runs: the last outlines of every track, and the sums that their law needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from micrograph.features.objects.closed_curves import enclosed
from micrograph.track.rate_law import BOUNDARIES, RATE_LAW, Law, Window, rate_bins, rate_law, window
from micrograph.track.timeline import Array, Index

#: A window of time ends early once an object's area has changed by this share.
_CHANGED = 0.2
#: Outlines whose area changes more than this from one to the next are not of one object.
_BROKEN = 0.4
#: So many frames in a row may be of another size, as where something passes, before they are another object's.
_PASSING = 2
#: Points kept of one window.
_POINTS = 60
#: A track by itself follows a law from so many windows of time on.
_OWN = 2
#: The window with which a track ends has so many frames at least.
_LAST = 4


@dataclass(frozen=True)
class Seen:
    """The whole outlines (K, 2) [y, x] nm of one frame by their tracks."""

    frame: int
    t_s: float
    outlines: Mapping[int, Array]


@dataclass(frozen=True)
class Pending:
    """How windows of time are cut: frames in each, smoothing along the outline, most points of boundaries kept."""

    frames: int
    smooth_nm: float | None
    most_points: int


@dataclass(frozen=True)
class _Waiting:
    """Outlines of one track since its last window ended, with frames, times and areas."""

    frame: tuple[int, ...] = ()
    t_s: tuple[float, ...] = ()
    outline: tuple[Array, ...] = ()
    area: tuple[float, ...] = ()
    broken: int = 0

    def last(self) -> _Waiting:
        return _Waiting(self.frame[-1:], self.t_s[-1:], self.outline[-1:], self.area[-1:])

    def plus(self, frame: int, t_s: float, outline: Array) -> _Waiting:
        """Return it with one more outline; one that is of another size is left out, several begin anew."""
        area = abs(enclosed(outline))
        if self.area and not 1 - _BROKEN < area / self.area[-1] < 1 + _BROKEN:
            if self.broken < _PASSING:
                return replace(self, broken=self.broken + 1)
            return _Waiting((frame,), (t_s,), (outline,), (area,))
        return _Waiting((*self.frame, frame), (*self.t_s, t_s), (*self.outline, outline), (*self.area, area))

    def full(self, frames: int) -> bool:
        if len(self.area) > frames:
            return True
        change = np.abs(np.array(self.area[-2:]) / np.median(self.area[:3]) - 1)
        return len(self.area) > 2 and bool((change > _CHANGED).all())


@dataclass(frozen=True)
class Boundaries:
    """Outlines that wait, by track; rows of what windows of time gave (`_SUMS`) and of a sample of points (`_PLACES`).

    Of the windows every `stride`-th in time is in the sample of points.
    """

    waiting: Mapping[int, _Waiting] = field(default_factory=dict)
    sums: tuple[Array, ...] = ()
    points: tuple[Array, ...] = ()
    stride: int = 1

    def after(self, seen: Seen, alive: Index, pending: Pending) -> Boundaries:
        """Return the state after one more frame, in which the tracks `alive` may still go on."""
        living = set(alive.tolist())
        state = self._ended([track for track in self.waiting if track not in living], pending)
        waiting = dict(state.waiting)
        for track, outline in seen.outlines.items():
            now = waiting.get(track, _Waiting()).plus(seen.frame, seen.t_s, outline)
            if now.full(pending.frames):
                state, now = state._measured(track, now, pending), now.last()
            waiting[track] = now
        return replace(state, waiting=waiting)

    def _ended(self, tracks: Iterable[int], pending: Pending) -> Boundaries:
        """Return the state without these tracks, whose last outlines make a window if they are many enough."""
        state, waiting = self, dict(self.waiting)
        for track in tracks:
            last = waiting.pop(track)
            if len(last.frame) >= _LAST:
                state = state._measured(track, last, pending)
        return replace(state, waiting=waiting)

    def _measured(self, track: int, now: _Waiting, pending: Pending) -> Boundaries:
        """Return the state with what one window of time gave."""
        found = window(now.outline, now.t_s, pending.smooth_nm, _POINTS)
        if found is None:
            return self
        middle = len(now.frame) // 2
        head = [track, now.frame[middle], now.t_s[middle]]
        points, stride = self.points, self.stride
        if head[1] // pending.frames % stride == 0:
            points = _with(points, _point_rows(head, found))
        while sum(map(len, points)) > pending.most_points:
            stride *= 2
            every = _joined(points, len(_PLACES))
            points = (every[every[:, 1] // pending.frames % stride == 0],)
        return replace(self, sums=_with(self.sums, _sums_row(head, found)), points=points, stride=stride)

    def tables(self, names: Mapping[int, object], pending: Pending) -> dict[str, pd.DataFrame]:
        """Return 'boundaries', 'rate_law' and 'rate_bins'; `names` are the classes of the tracks."""
        ended = self._ended(list(self.waiting), pending)
        sums, points = _joined(ended.sums, len(_SUMS)), _joined(ended.points, len(_PLACES))
        sums = sums[np.lexsort([sums[:, 2], sums[:, 0]])]
        points = points[np.lexsort([points[:, 2], points[:, 0]])]
        table = pd.DataFrame(points, columns=list(_PLACES)).astype({"track": np.int64, "frame": np.int64})
        table["curvature_per_nm"] = (table["_one"] + table["_other"]) / 2
        _, group = np.unique(points[:, :2], axis=0, return_inverse=True)
        return {
            "boundaries": table[[column.name for column in BOUNDARIES]],
            "rate_law": _laws(sums, names),
            "rate_bins": rate_bins(points[:, 3:], group.ravel()),
        }


_SUMS = ("track", "frame", "t_s", "left", "left", "left", "left", "right", "right", "stretches", "aside")
_PLACES = ("track", "frame", "t_s", "y_nm", "x_nm", "_one", "_other", "velocity_nm_per_s", "velocity_sigma_nm_per_s")


def _sums_row(head: list[float], found: Window) -> Array:
    return np.concatenate([head, found.left.ravel(), found.right, [found.stretches, found.aside]])[None]


def _point_rows(head: list[float], found: Window) -> Array:
    return np.column_stack([np.tile(np.array(head, float), (len(found.points), 1)), found.points])


def _laws(sums: Array, names: Mapping[int, object]) -> pd.DataFrame:
    """Return the law of all objects, of every class if there are several, and of every track with enough windows."""
    own = np.array([str(names.get(int(track), "object")) for track in sums[:, 0]], dtype=object)
    kinds = sorted(set(own.tolist()))
    rows = [_law_row("all", -1, sums)] if len(sums) else []
    rows += [_law_row(kind, -1, sums[own == kind]) for kind in kinds if len(kinds) > 1]
    tracks, first, count = np.unique(sums[:, 0], return_index=True, return_counts=True)
    rows += [
        _law_row(own[i], int(track), sums[sums[:, 0] == track])
        for track, i, number in zip(tracks, first, count, strict=True)
        if number >= _OWN
    ]
    return pd.DataFrame(rows, columns=[column.name for column in RATE_LAW])


def _law_row(name: object, track: int, sums: Array) -> list[object]:
    law: Law = rate_law(sums[:, 0], sums[:, 3:7].reshape(-1, 2, 2), sums[:, 7:9], sums[:, 9])
    aside = float(sums[:, 10].mean())
    return [name, track, law.v0, law.v0_sigma, law.k, law.k_sigma, law.points, law.tracks, aside]


def _with(chunks: tuple[Array, ...], rows: Array) -> tuple[Array, ...]:
    """Return chunks of rows with some more; chunks grow like powers of two, so each row is copied a few times only."""
    kept = list(chunks)
    while kept and len(kept[-1]) <= len(rows):
        rows = np.concatenate([kept.pop(), rows])
    return (*kept, rows)


def _joined(chunks: tuple[Array, ...], columns: int) -> Array:
    return np.concatenate([np.empty((0, columns)), *chunks])
