"""Builders of checks of states and rates: on images of silicon at edges, and on tables of states seen with errors."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate import EDGE_STATES, EdgeSample, MovieSettings, Scan, edge_history, edge_movie, equilibrium
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, clopper_pearson

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.track import Rates, Tracks

Array = NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]

#: Mistakes of a poor look: chances that a state (row) is named so (column), in the order of `EDGE_STATES`.
POOR_LOOK: Matrix = (
    (0.92, 0.04, 0.02, 0.00, 0.02),
    (0.04, 0.92, 0.02, 0.00, 0.02),
    (0.00, 0.01, 0.93, 0.02, 0.04),
    (0.00, 0.00, 0.04, 0.88, 0.08),
    (0.01, 0.02, 0.05, 0.06, 0.86),
)


@dataclass(frozen=True)
class EdgeTrial:
    """Images of silicon at the corners of holes: `movies` of `frames` each, so far apart that states are independent.

    radius_nm: a silicon is found if one is seen so near.
    """

    movies: int = 6
    frames: int = 8
    dose_e_per_A2: float = 1e5
    size_px: int = 236
    pixel_nm: float = 0.02
    radius_nm: float = 0.1

    def __str__(self) -> str:
        """Name the movies as the screen shows them."""
        return f"{self.dose_e_per_A2:.0e} e/A^2".replace("e+0", "e")

    def pairs(self, analyser: Analyser, rng: np.random.Generator) -> list[tuple[str, str, str, str]]:
        """Return (true state, found state, true rings, found rings) of every silicon; '-' where none was found."""
        found = []
        for _ in range(self.movies):
            sample = EdgeSample(rotation_deg=float(rng.uniform(0, 60)))
            settings = MovieSettings(
                frames=self.frames,
                size_px=(self.size_px,) * 2,
                pixel_nm=self.pixel_nm,
                frame_time_s=15.0,
                seed=int(rng.integers(2**31)),
                scan=Scan(dose_e_per_A2=self.dose_e_per_A2, jitter_nm=0.002),
            )
            movie = edge_movie(sample, settings)
            for frame in range(self.frames):
                seen = analyser(np.asarray(movie.recording.read(frame)), self.pixel_nm)["silicon"]
                found += self._matched(movie.truth[movie.truth["frame"] == frame], seen)
        return found

    def _matched(self, truth: DataFrame, seen: DataFrame) -> list[tuple[str, str, str, str]]:
        rows = []
        for true in truth.to_dict("records"):
            distance = np.hypot(seen["y_nm"].to_numpy() - true["y_nm"], seen["x_nm"].to_numpy() - true["x_nm"])
            if len(distance) and distance.min() < self.radius_nm:
                best = seen.iloc[int(distance.argmin())]
                rows.append((str(true["state"]), str(best["class"]), str(true["rings"]), str(best["rings"])))
            else:
                rows.append((str(true["state"]), "-", str(true["rings"]), "-"))
        return rows


def state_accuracy(trial: EdgeTrial | None = None, at_least: float = 0.92) -> Check:
    """Build the check: share of silicon atoms whose state, one of five, a single frame names rightly. Limit: 1."""
    trial = trial or EdgeTrial()

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        pairs = trial.pairs(analyser, rng)
        right = sum(true == found for true, found, _, _ in pairs)
        wrong = [f"{true} as {found}" for true, found, _, _ in pairs if true != found]
        commonest = max((sum(true == state for true, *_ in pairs) for state in EDGE_STATES), default=0)
        detail = f"{right} of {len(pairs)}" + (": " + ", ".join(sorted(set(wrong))) if wrong else "")
        baseline = commonest / max(len(pairs), 1)
        return Measurement.of(clopper_pearson(right, len(pairs)), limit=1.0, baseline=baseline, detail=detail)

    return Check(f"silicon in the right one of five states at {trial}", measure, at_least, ">=")


def ring_accuracy(trial: EdgeTrial | None = None, at_least: float = 0.97) -> Check:
    """Build the check: share of the rings around silicon that are found with their true size. Limit: 1."""
    trial = trial or EdgeTrial()

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        right, total = 0, 0
        for _, _, true, found in trial.pairs(analyser, rng):
            sizes, seen = true.split("-"), [size for size in found.split("-") if size]
            total += len(sizes)
            right += sum(min(sizes.count(size), seen.count(size)) for size in set(sizes))
        return Measurement.of(clopper_pearson(right, total), limit=1.0, detail=f"{right} of {total} rings")

    return Check(f"rings around silicon of the right size at {trial}", measure, at_least, ">=")


@dataclass(frozen=True)
class StateMovies:
    """True states of simulated movies, named with `mistakes`: what a fold sees, without images.

    missed: share of the observations that are lacking. count silicon atoms are followed over `frames` frames.
    """

    frames: int = 400
    count: int = 4
    frame_time_s: float = 1.0
    mistakes: Matrix = POOR_LOOK
    missed: float = 0.03
    sample: EdgeSample = field(default_factory=EdgeSample)

    def seen(self, rng: np.random.Generator) -> tuple[list[Array], list[NDArray[np.intp]], list[NDArray[np.intp]]]:
        """Return times, true states and named states (numbers) of each track of one movie."""
        settings = MovieSettings(
            frames=self.frames, frame_time_s=self.frame_time_s, seed=int(rng.integers(2**31)), size_px=(8, 8)
        )
        history = edge_history(replace(self.sample, count=self.count), settings)
        table = history.tracks(settings.times_s)
        table = table[rng.random(len(table)) >= self.missed]
        confusion = np.cumsum(np.array(self.mistakes), axis=1)
        place = {state: k for k, state in enumerate(EDGE_STATES)}
        times, true, named = [], [], []
        for _, track in table.groupby("object"):
            state = np.array([place[str(name)] for name in track["state"]], dtype=np.intp)
            times.append(track["t_s"].to_numpy(float))
            true.append(state)
            named.append((rng.random(len(state))[:, None] > confusion[state]).sum(axis=1).clip(0, 4).astype(np.intp))
        return times, true, named

    def tracks(self, times: list[Array], named: list[NDArray[np.intp]]) -> Tracks:
        """Return the tracks, each name as a likelihood of all states."""
        from micrograph.track import Tracks

        confusion = np.array(self.mistakes)
        return Tracks.of(times, [confusion[:, names].T for names in named], len(EDGE_STATES))

    @property
    def planted(self) -> Array:
        """Planted rates (5, 5), per second."""
        return np.array(self.sample.rates_per_s)

    def rates(self, tracks: Tracks) -> Rates:
        """Return the rates of the changes that can happen."""
        from micrograph.track import estimate_rates

        return estimate_rates(tracks, EDGE_STATES, self.planted > 0)


def state_coverage(movies: StateMovies | None = None, at_least: float = 0.95, count: int = 60) -> Check:
    """Build the check: share of planted rates inside their 95 % intervals, over `count` simulated movies.

    Limit: 0.95 or a little more. Baseline: the share for changes counted from frame to frame, with Garwood's intervals.
    """
    movies = movies or StateMovies()

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from scipy.linalg import expm

        from micrograph.track.rates import generator_of

        free = movies.planted > 0
        chance = expm(generator_of(movies.planted) * movies.frame_time_s)
        hits, naive, chances = 0, 0, 0
        for _ in range(count):
            times, _, named = movies.seen(rng)
            tracks = movies.tracks(times, named)
            found = movies.rates(tracks)
            inside = (found.rate_low_per_s <= movies.planted) & (movies.planted <= found.rate_high_per_s)
            hits += int(inside[free].sum())
            chances += int(((found.p_low <= chance) & (chance <= found.p_high)).sum())
            naive += _counted(tracks, movies.planted, free)
        total = count * int(free.sum())
        detail = f"{hits} of {total} rates, {chances} of {count * chance.size} chances per frame, in {count} movies"
        interval = clopper_pearson(hits, total)
        return Measurement.of(interval, limit=0.95, baseline=naive / total, detail=detail)

    return Check("rates of change inside their 95 % intervals", measure, at_least, ">=")


def _counted(tracks: Tracks, planted: Array, free: NDArray[np.bool_]) -> int:
    """Return how many planted rates lie in the intervals that counting named changes gives."""
    from micrograph.validate.intervals import garwood

    changes, time = tracks.naive_changes(), tracks.naive_visits() * tracks.usual_interval_s
    inside = 0
    for i, j in zip(*np.nonzero(free), strict=True):
        found = garwood(int(changes[i, j]))
        inside += bool(found.low <= planted[i, j] * time[i] <= found.high)
    return inside


def stationary_divergence(
    movies: StateMovies | None = None, at_most: float = 0.02, count: int = 20, repeats: int = 4
) -> Check:
    """Build the check: Kullback-Leibler divergence of the stationary shares (from the rates of `count` movies together)
    from the planted ones; mean of some repeats. Limit: that of the true shares of time; baseline: of the named states.
    """
    movies = movies or StateMovies()

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        planted = equilibrium(movies.sample.rates_per_s)
        found: list[float] = []
        plain: list[float] = []
        least: list[float] = []
        for _ in range(repeats):
            seen = [movies.seen(rng) for _ in range(count)]
            times, true, named = (list(itertools.chain(*parts)) for parts in zip(*seen, strict=True))
            found.append(_divergence(planted, movies.rates(movies.tracks(times, named)).stationary))
            for states, into in ((named, plain), (true, least)):
                into.append(_divergence(planted, np.bincount(np.concatenate(states), minlength=5)))
        detail = f"{repeats} times {count} movies, worst {max(found):.4f}"
        limit, baseline = float(np.mean(least)), float(np.mean(plain))
        return Measurement.of(bootstrap(_mean, found, rng), limit=limit, baseline=baseline, detail=detail)

    return Check("stationary shares of the states, divergence from the planted ones", measure, at_most, "<=")


def smoothing_gain(movies: StateMovies | None = None, at_least: float = 0.3, count: int = 8) -> Check:
    """Build the check: by how much the other frames of a track lower the share of wrong states.

    Rates come from the same data. Limit: the same with the planted rates. Baseline 0: each frame alone.
    """
    movies = movies or StateMovies()

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from micrograph.track import smoothed
        from micrograph.track.rates import generator_of

        wrong = []
        for _ in range(count):
            times, true, named = movies.seen(rng)
            tracks = movies.tracks(times, named)
            truth, alone = np.concatenate(true), np.concatenate(named)
            guesses = [
                np.concatenate(smoothed(tracks, generator_of(rates))).argmax(axis=1)
                for rates in (movies.rates(tracks).rate_per_s, movies.planted)
            ]
            wrong.append([int((guess != truth).sum()) for guess in (alone, *guesses)])
        interval = bootstrap(lambda drawn: _gain(drawn, 1), wrong, rng)
        alone, smooth, _ = np.sum(wrong, axis=0)
        detail = f"{alone} wrong states in single frames, {smooth} when smoothed, {count} movies"
        return Measurement.of(interval, limit=_gain(wrong, 2), baseline=0.0, detail=detail)

    return Check("wrong states that smoothing over frames takes away", measure, at_least, ">=")


def _gain(wrong: object, column: int) -> float:
    total = np.sum(np.asarray(wrong), axis=0)
    return float(1 - total[column] / max(total[0], 1))


def _mean(values: object) -> float:
    return float(np.mean(np.asarray(values)))


def _divergence(planted: Array, found: NDArray[np.generic]) -> float:
    """Return the Kullback-Leibler divergence of `found` shares (K,) from the planted ones, in nats."""
    share = np.maximum(np.asarray(found, float) / np.asarray(found, float).sum(), 1e-9)
    return float((planted * np.log(planted / share)).sum())
