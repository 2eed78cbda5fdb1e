"""The drift of a sample from points that stay: every frame against frames 1, 2, 4, 8, ... later, adjusted together.

Frame to frame alone, errors add up like a random walk; the long steps pin them down as long as points live that long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Column
from micrograph.track.link import neighbour_distance
from micrograph.track.registration import Cloud, Search, register
from micrograph.track.timeline import Array, Index, Timeline, in_order, timeline

#: What a table of drift promises: position in the image = position in the sample + drift; zero in the first frame.
DRIFT = (
    Column("frame", "", "number of the frame"),
    Column("t_s", "s", "its time"),
    Column("drift_y_nm", "nm", "drift along y since the first frame", sigma="drift_y_sigma_nm"),
    Column("drift_x_nm", "nm", "drift along x since the first frame", sigma="drift_x_sigma_nm"),
    Column("drift_y_sigma_nm", "nm", "1-sigma of drift_y_nm"),
    Column("drift_x_sigma_nm", "nm", "1-sigma of drift_x_nm"),
)
#: Equal frames (a camera that repeats itself) are no surer than this share of the tolerance.
_LEAST = 0.01
#: In so many frames the 1-sigma is worked out; between them it is interpolated.
_SIGMA_FRAMES = 200


@dataclass(frozen=True)
class DriftSettings:
    """How drift is found from points.

    tolerance_nm: points match within it once the drift is removed; the default is a fifth of the typical distance to
    the nearest neighbour, at most 1/128 of the field. most_nm: the largest jump between frames; the default is half
    the field. longest: the longest step in frames.
    """

    tolerance_nm: float | None = None
    most_nm: float | None = None
    longest: int = 4096

    def __post_init__(self) -> None:
        """Refuse lengths that are not positive."""
        for name in ("tolerance_nm", "most_nm", "longest"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise BadInput(f"Setting {name} is {value}: it must be greater than zero and finite.")


def find_drift(
    points: pd.DataFrame, settings: DriftSettings | None = None, frames: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the drift (`DRIFT`), one row a frame, from points most of which stay where they are in the sample.

    points: rows with ``frame, y_nm, x_nm`` and, where known, ``y_sigma_nm, x_sigma_nm``, ``t_s``; frames: ``frame,
    t_s`` of all frames. Frames that match no other are interpolated, with a 1-sigma as large as the field. The 1-sigma
    supposes that the errors of short and long steps go together: it is rather too large than too small.
    """
    settings = settings or DriftSettings()
    points = in_order(points)
    frame = timeline(points, frames)
    if len(frame) == 0:
        return drift_table(frame, np.empty((0, 2)), np.empty((0, 2)))
    clouds = _clouds(points, frame)
    search = _search(points, clouds, settings)
    drift, sigma = _adjusted(clouds, search, settings.longest)
    return drift_table(frame, drift, sigma)


def drift_table(frame: Timeline, drift: Array, sigma: Array) -> pd.DataFrame:
    """Return the table `DRIFT` from drift and its 1-sigma, both (T, 2) [y, x] nm."""
    columns = np.column_stack([drift, sigma])
    data: dict[str, Any] = {"frame": frame.number, "t_s": frame.t_s}
    return pd.DataFrame(data | {column.name: columns[:, i] for i, column in enumerate(DRIFT[2:])})


def in_sample(points: pd.DataFrame, drift: pd.DataFrame) -> pd.DataFrame:
    """Return the points with ``y_sample_nm, x_sample_nm``: drift removed, as in the first frame.

    Raises `BadInput` if a point lies in a frame that the table of drift does not have.
    """
    number = drift["frame"].to_numpy(np.int64)
    frame = points["frame"].to_numpy(np.int64)
    if len(points) and not np.isin(frame, number).all():
        raise BadInput("Some points lie in frames for which no drift is known: find the drift of all frames.")
    row = np.searchsorted(number, frame)
    moved = {f"{axis}_sample_nm": _without(points, drift, row, axis) for axis in "yx"}
    return points.assign(**moved)


def _without(points: pd.DataFrame, drift: pd.DataFrame, row: NDArray[np.intp], axis: str) -> Array:
    known = drift[f"drift_{axis}_nm"].to_numpy(float)
    return np.asarray(points[f"{axis}_nm"].to_numpy(float) - (known[row] if len(known) else 0.0))


def _clouds(points: pd.DataFrame, frame: Timeline) -> list[Cloud]:
    """Return the points of every frame."""
    place = points[["y_nm", "x_nm"]].to_numpy(float)
    known = "y_sigma_nm" in points and "x_sigma_nm" in points
    sigma = points[["y_sigma_nm", "x_sigma_nm"]].to_numpy(float) if known else np.zeros_like(place)
    cuts = np.searchsorted(frame.position(points), np.arange(len(frame) + 1))
    return [
        Cloud.of(place[a:b], np.square(sigma[a:b])) for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    ]


def _search(points: pd.DataFrame, clouds: list[Cloud], settings: DriftSettings) -> Search:
    """Return where to look for matches."""
    place = points[["y_nm", "x_nm"]].to_numpy(float)
    extent = np.ptp(place, axis=0) if len(place) else np.ones(2)
    extent = np.maximum(extent, 1e-3 * max(float(extent.max()), 1e-9))
    near = neighbour_distance([cloud.place for cloud in clouds])
    usual = float(np.nanmin([0.2 * near, extent.max() / 128]))
    most = np.full(2, settings.most_nm) if settings.most_nm else extent / 2
    return Search(settings.tolerance_nm or usual, most, extent)


@dataclass(frozen=True)
class _Steps:
    """Measured steps: from frame `first` to frame `second` (M,), by `nm` (M, 2), with 1-sigma (M, 2)."""

    first: Index
    second: Index
    nm: Array
    sigma: Array

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, which: NDArray[np.bool_]) -> _Steps:
        return _Steps(self.first[which], self.second[which], self.nm[which], self.sigma[which])

    def __add__(self, other: _Steps) -> _Steps:
        pairs = ((self.first, other.first), (self.second, other.second))
        first, second = (np.concatenate(pair) for pair in pairs)
        return _Steps(first, second, np.vstack([self.nm, other.nm]), np.vstack([self.sigma, other.sigma]))


def _adjusted(clouds: list[Cloud], search: Search, longest: int) -> tuple[Array, Array]:
    """Return drift and 1-sigma (T, 2) from steps of every length, each length guided by what the shorter ones say."""
    frames = len(clouds)
    weak = _weak(frames, search)
    drift = np.zeros((frames, 2))
    steps = weak
    lag = 1
    while lag < frames and lag <= longest:
        level = list(_measured(clouds, search, drift, lag))
        tried = len(range(0, frames - lag, max(1, lag // 4)))
        if level:
            first, second, nm, sigma = (np.array(column) for column in zip(*level, strict=True))
            steps = steps + _Steps(first, second, nm, sigma)
            steps, drift = _solved(steps, frames, search.tolerance_nm)
        if lag > 4 and len(level) < 0.05 * tried:
            break
        lag *= 2
    return drift, _sigma(steps, frames)


def _weak(frames: int, search: Search) -> _Steps:
    """Return steps of zero with an error as large as the field, which hold frames that match no other."""
    first = np.arange(frames - 1)
    return _Steps(first, first + 1, np.zeros((frames - 1, 2)), np.tile(search.field_nm, (frames - 1, 1)))


def _measured(clouds: list[Cloud], search: Search, drift: Array, lag: int) -> Iterator[tuple[int, int, Array, Array]]:
    """Yield the steps of one length: (first, second, nm, sigma); long ones from every so many frames only."""
    speed = np.zeros(2)
    for first in range(0, len(clouds) - lag, max(1, lag // 4)):
        second = first + lag
        guess = speed if lag == 1 else drift[second] - drift[first]
        shift = register(clouds[first], clouds[second], search, guess, anywhere=lag <= 4)
        if shift is not None:
            yield first, second, shift.nm, np.maximum(shift.sigma_nm, _LEAST * search.tolerance_nm)
        if lag == 1:
            speed = np.zeros(2) if shift is None or np.hypot(*shift.nm) > 8 * search.tolerance_nm else shift.nm


def _solved(steps: _Steps, frames: int, tolerance_nm: float) -> tuple[_Steps, Array]:
    """Return the steps that agree with the others and the drift (T, 2) by weighted least squares, zero at first."""
    for _ in range(3):
        drift = _least_squares(steps, frames)
        off = np.abs(steps.nm - (drift[steps.second] - drift[steps.first]))
        agree = np.asarray((off < np.maximum(6 * steps.sigma, 0.5 * tolerance_nm)).all(axis=1))
        if agree.all():
            break
        steps = steps[agree]
    return steps, drift


def _least_squares(steps: _Steps, frames: int) -> Array:
    drift = np.zeros((frames, 2))
    for axis in range(2):
        weight = steps.sigma[:, axis] ** -2
        force = np.zeros(frames)
        np.add.at(force, steps.second, weight * steps.nm[:, axis])
        np.add.at(force, steps.first, -weight * steps.nm[:, axis])
        if frames > 1:
            drift[1:, axis] = _factor(steps, weight, frames).solve(force[1:])
    return drift


def _factor(steps: _Steps, weight: Array, frames: int) -> Any:
    """Return the factored normal equations of all frames but the first, which is held at zero."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import splu

    rows = np.concatenate([steps.first, steps.second, steps.first, steps.second])
    columns = np.concatenate([steps.first, steps.second, steps.second, steps.first])
    values = np.concatenate([weight, weight, -weight, -weight])
    matrix = coo_array((values, (rows, columns)), shape=(frames, frames)).tocsc()
    return splu(matrix[1:, 1:], permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})


def _sigma(steps: _Steps, frames: int) -> Array:
    """Return the 1-sigma (T, 2) of the drift: of the adjustment, times the root of how many steps span a frame.

    Steps of different length share the errors of their frames, so they do not make each other as sure as the adjustment
    supposes.
    """
    sigma = np.zeros((frames, 2))
    if frames < 2:
        return sigma
    spans = max(len(np.unique(steps.second - steps.first)), 1)
    some = np.unique(np.linspace(1, frames - 1, min(_SIGMA_FRAMES, frames - 1)).astype(int))
    for axis in range(2):
        factor = _factor(steps, steps.sigma[:, axis] ** -2, frames)
        unit = np.zeros((frames - 1, len(some)))
        unit[some - 1, np.arange(len(some))] = 1.0
        variance = factor.solve(unit)[some - 1, np.arange(len(some))]
        sigma[:, axis] = np.interp(np.arange(frames), [0, *some.tolist()], [0.0, *np.sqrt(variance * spans).tolist()])
    return sigma
