"""Checks of outlines in motion: the law of their velocity, how fast pores close, the order in which particles chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Frame, Prediction
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import Interval, bootstrap, clopper_pearson

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.simulate import ParticleMovie, PoreMovie

Array = NDArray[np.float64]
#: An object of the truth and a track are one where their mean places are closer than this share of the diameter.
_NEAR = 0.5
_RATES = ("area_rate_nm2_per_s", "area_rate_low_nm2_per_s", "area_rate_high_nm2_per_s")


def rate_law_error(
    movies: Callable[[np.random.Generator], ParticleMovie], *, at_most: float = 0.10, count: int = 6, title: str = ""
) -> Check:
    """Build the check: the worse of the relative errors of v0 and k, mean over `count` movies of etched particles.

    What one movie tells: the laws of its particles together. The same fit to the true outlines of five rods in 60
    frames was off by 0.3 % in v0 and 1.1 % in k, in either of two movies: what is missed beyond is the outlines'.
    Baseline: the fit to those of Otsu's threshold.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        off, plain = [], []
        for _ in range(count):
            movie = movies(rng)
            off.append(_law_errors(analyser.movie(movie.recording)["rate_law"], movie.rates))
            plain.append(_law_errors(_by_threshold(movie)["rate_law"], movie.rates))
        interval = bootstrap(lambda drawn: _worse(np.array(drawn)), off, rng)
        detail = f"{count} movies: {_told(np.array(off))}; Otsu's outlines: {_told(np.array(plain))}"
        return Measurement.of(interval, baseline=_worse(np.array(plain)), detail=detail)

    return Check(f"error of v0 and k of the rate law{f' ({title})' if title else ''}", measure, at_most, "<=")


def _law_errors(laws: DataFrame, rates: Mapping[str, float]) -> tuple[float, float]:
    """Return the relative errors of v0 and k of all objects together; a law that was not found is wholly wrong."""
    rows = laws[laws["track"] < 0]
    if len(rows) == 0:
        return -1.0, -1.0
    found = (float(rows[name].iloc[0]) / rates[name] - 1 for name in ("v0_nm_per_s", "k_nm2_per_s"))
    v0, k = (one if np.isfinite(one) else -1.0 for one in found)
    return v0, k


def _worse(off: Array) -> float:
    """Return the greater of the mean absolute errors of v0 and of k."""
    return float(np.abs(off).mean(axis=0).max())


def _told(off: Array) -> str:
    (v0, k), (v0_spread, k_spread) = off.mean(axis=0), off.std(axis=0)
    return f"v0 {v0:+.1%} (sd {v0_spread:.1%}), k {k:+.1%} (sd {k_spread:.1%})"


def _by_threshold(movie: ParticleMovie) -> Mapping[str, DataFrame]:
    """Return the tables over time of outlines that Otsu's threshold gives."""
    from micrograph.features.objects.outlined import OutlinedObjects
    from micrograph.track import Outlined
    from micrograph.validate.objects.particle_scenes import otsu

    objects, fold = OutlinedObjects(least_diameter_px=8.0), Outlined()
    state = fold.start()
    for frame in movie.recording:
        tables = dict(objects(_prediction(frame, otsu(frame.data))))
        time = frame.index * (frame.calibration.frame_time_s or np.nan)
        tables["frames"] = tables["frames"].assign(t_s=time, flags=0)
        state = fold.step(state, tables)
    return fold.result(state)


def _prediction(frame: Frame, mask: NDArray[np.bool_]) -> Prediction:
    """Return a mask as if a network had said so."""
    from scipy.ndimage import distance_transform_edt

    depth = np.asarray(distance_transform_edt(mask), np.float32)
    maps = {"particle": mask.astype(np.float32), "core": depth / max(float(depth.max()), 1.0)}
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    return Prediction(frame, maps, {name: np.zeros_like(one) for name, one in maps.items()}, pixel)


def closing_rate_error(
    movies: Callable[[np.random.Generator], PoreMovie], *, at_most: float = 0.05, count: int = 8, title: str = ""
) -> Check:
    """Build the check: relative error of the area rate of closing pores, mean over the pores of `count` movies.

    The truth is the change of a pore's area over the very frames in which it was followed, over their time; pores that
    are not followed count as wholly wrong. Baseline: the areas of the first and the last of these frames alone.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = []
        for _ in range(count):
            movie = movies(rng)
            answers.append(_closing(movie, analyser.movie(movie.recording)))
        rows = np.concatenate(answers)
        interval = bootstrap(lambda drawn: float(np.abs(np.concatenate(drawn)[:, 0]).mean()), answers, rng)
        inside = f"{rows[:, 2].mean():.0%} in the 95 % interval"
        detail = f"{len(rows)} pores in {count} movies, bias {rows[:, 0].mean():+.1%}, {inside}"
        return Measurement.of(interval, baseline=float(np.abs(rows[:, 1]).mean()), detail=detail)

    return Check(f"error of the closing rate of pores{f' ({title})' if title else ''}", measure, at_most, "<=")


def _closing(movie: PoreMovie, tables: Mapping[str, DataFrame]) -> Array:
    """Return (P, 3) the errors of every pore's rate, by the fit and by two frames, and whether its interval holds."""
    rows = []
    growth = tables["growth"].set_index("track")
    for _, pore in movie.truth[~movie.truth["border"]].groupby("object"):
        track = _track_of(pore, tables["tracks"])
        seen = tables["tracks"][tables["tracks"]["track"] == track]
        true = pore.set_index("frame")["area_nm2"].reindex(seen["frame"]).dropna()
        if len(pore) < 5:
            continue
        if track not in growth.index or len(true) < 2:
            rows.append((-1.0, -1.0, 0.0))
            continue
        seen = seen.set_index("frame").loc[true.index]
        span = float(seen["t_s"].iloc[-1] - seen["t_s"].iloc[0])
        rate = float(true.iloc[-1] - true.iloc[0]) / span
        area = seen["area_nm2"].to_numpy(float)
        found, low, high = growth.loc[[track], list(_RATES)].to_numpy(float)[0]
        two = float(area[-1] - area[0]) / span
        rows.append((found / rate - 1, two / rate - 1, float(low <= rate <= high)))
    return np.array(rows, float).reshape(-1, 3)


def _track_of(pore: DataFrame, tracks: DataFrame) -> int:
    """Return the track with most frames near the pore's place, -1 for none."""
    both = tracks.merge(pore[["frame", "y_nm", "x_nm", "area_nm2"]], on="frame", suffixes=("", "_true"))
    apart = np.hypot(both["y_nm"] - both["y_nm_true"], both["x_nm"] - both["x_nm_true"])
    near = both[apart < _NEAR * 2 * np.sqrt(both["area_nm2_true"] / np.pi)]
    return int(near["track"].value_counts().index[0]) if len(near) else -1


def area_flicker(
    movies: Callable[[np.random.Generator], PoreMovie], *, at_most: float = 0.01, count: int = 6, title: str = ""
) -> Check:
    """Build the check: coefficient of variation of the areas, in time, of pores that do not change; mean over pores.

    Areas are those without flicker (``area_steady_nm2``). Baseline: areas of single frames.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = []
        for _ in range(count):
            movie = movies(rng)
            tracks = analyser.movie(movie.recording)["tracks"]
            own = [_track_of(pore, tracks) for _, pore in movie.truth[~movie.truth["border"]].groupby("object")]
            areas = tracks[tracks["track"].isin(own)].groupby("track")[["area_steady_nm2", "area_nm2"]]
            answers.append((areas.std() / areas.mean()).dropna().to_numpy(float).reshape(-1, 2))
        rows = np.concatenate(answers)
        interval = bootstrap(lambda drawn: float(np.concatenate(drawn)[:, 0].mean()), answers, rng)
        return Measurement.of(interval, baseline=float(rows[:, 1].mean()), detail=f"{len(rows)} pores at rest")

    return Check(f"flicker of areas at rest{f' ({title})' if title else ''}", measure, at_most, "<=")


@dataclass(frozen=True)
class Chaining:
    """Runs of particles that chain by first- and second-order kinetics in turn, as a detector sees them.

    particles: smallest and largest number; frames: in which they are seen, evenly until `left` of the groups remain;
    missed: share of the bonds that a frame misses.
    """

    particles: tuple[int, int] = (100, 200)
    frames: int = 60
    left: float = 0.15
    missed: float = 0.03

    def __call__(self, order: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """Return times (T,) and numbers of groups (T,) seen in one run."""
        from micrograph.simulate.objects.aggregation import bond_times

        number = int(rng.integers(self.particles[0], self.particles[1] + 1))
        times = bond_times(number, 0.01 / number ** (order - 1), order, rng)
        end = times[int((1 - self.left) * number) - 1]
        at = np.linspace(0, end, self.frames)
        bonds = np.searchsorted(times, at, side="right")
        return at, (number - bonds + rng.binomial(bonds, self.missed)).astype(np.int64)


def kinetic_order_share(
    runs: Callable[[int, np.random.Generator], tuple[Array, NDArray[np.int64]]] | None = None,
    *,
    at_least: float = 0.95,
    count: int = 120,
) -> Check:
    """Build the check: share of `count` runs, half of each order, whose kinetic order is found.

    Baseline: the straighter of ln n and 1/n against time. 40 runs, all right, would leave the interval at 0.91.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from micrograph.track import kinetic_order

        right, plain, make = 0, 0, runs or Chaining()
        for run in range(count):
            order = 1 + run % 2
            times, numbers = make(order, rng)
            right += kinetic_order(times, numbers).order == order
            plain += _straighter(times, numbers) == order
        interval: Interval = clopper_pearson(right, count)
        return Measurement.of(interval, limit=1.0, baseline=plain / count, detail=f"{right} of {count} runs")

    return Check("kinetic order of chaining", measure, at_least, ">=")


def _straighter(times: Array, numbers: NDArray[np.int64]) -> int:
    """Return the order whose plot is the straighter line."""
    known = numbers > 0
    left = [1 - np.corrcoef(times[known], values)[0, 1] ** 2 for values in (np.log(numbers[known]), 1 / numbers[known])]
    return 1 + int(np.argmin(left))
