"""Builders of checks of drift and diffusion, on the true tables of simulated movies with the errors of a detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.simulate import Movie
    from micrograph.track import LinkSettings, MotionSettings

Array = NDArray[np.float64]
#: Movies by number: the same number gives the same movie.
Movies = Callable[[int], "Movie"]


@dataclass(frozen=True)
class Detector:
    """Errors of an imagined detector of points.

    sigma_nm: 1-sigma of a position along each axis; missed: share of the points that are not seen in a frame; false:
    points that are not there, anywhere in the field, per true one.
    """

    sigma_nm: float = 0.005
    missed: float = 0.0
    false: float = 0.0

    def __call__(self, movie: Movie, rng: np.random.Generator) -> DataFrame:
        """Return what is seen of the truth, in random order: ``frame, t_s, y_nm, x_nm``, 1-sigma and ``class``."""
        import pandas as pd

        pixel = movie.recording.calibration.pixel_nm
        assert pixel is not None
        truth = movie.truth[["frame", "t_s", "y_nm", "x_nm"]]
        seen = truth[rng.random(len(truth)) >= self.missed]
        some = truth.iloc[rng.integers(len(truth), size=rng.poisson(self.false * len(truth)))]
        field = [(size - 1) * pixel for size in movie.recording.shape]
        place = rng.uniform((0.0, 0.0), field, (len(some), 2))
        points = pd.concat([seen, some.assign(y_nm=place[:, 0], x_nm=place[:, 1])], ignore_index=True)
        points[["y_nm", "x_nm"]] += rng.normal(0, self.sigma_nm, (len(points), 2))
        points = points.assign(y_sigma_nm=self.sigma_nm, x_sigma_nm=self.sigma_nm)
        points["class"] = "point"
        return points.iloc[rng.permutation(len(points))].reset_index(drop=True)


def resting_points(seed: int) -> Movie:
    """Return a movie of 50 resting points, 30 % of which are replaced by others, on a sample that drifts by 20 px."""
    from micrograph.simulate import MovieSettings, PointSample, point_movie

    sample = PointSample(count=50, d_nm2_per_s=0.0, birth_per_s=0.18, death_per_s=0.0036)
    settings = MovieSettings(
        frames=100, size_px=(512, 512), pixel_nm=0.02, seed=seed, drift_nm_per_s=(0.003, 0.003), wander_nm=0.01
    )
    return point_movie(sample, settings)


def walking_points(seed: int) -> Movie:
    """Return a movie of 20 random walkers, 140 frames long."""
    from micrograph.simulate import MovieSettings, PointSample, point_movie

    settings = MovieSettings(frames=140, size_px=(640, 640), pixel_nm=0.02, seed=seed)
    return point_movie(PointSample(count=20, d_nm2_per_s=2e-3, apart_nm=1.0), settings)


def drift_residual(
    movies: Movies, detector: Detector, *, at_most: float = 0.2, count: int = 20, title: str = ""
) -> Check:
    """Build the check: what is left of the drift of `count` movies, root mean square over frames, in pixels.

    Limit: the error of positions, averaged over the points of a frame and of the first one. Baseline: the steps from
    each frame to the next alone, added up.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        left, plain, least, reach = [], [], [], []
        for seed in rng.integers(2**31, size=count):
            movie = movies(int(seed))
            points = detector(movie, rng)
            pixel = movie.recording.calibration.pixel_nm
            assert pixel is not None
            left.append(_left(points, movie, None) / pixel)
            plain.append(_left(points, movie, 1) / pixel)
            reach.append(float(np.hypot(*(movie.drift_nm - movie.drift_nm[0]).T).max()) / pixel)
            seen = len(points) / len(movie.drift_nm)
            least.append(2 * detector.sigma_nm / np.sqrt(max(seen, 1.0)) / pixel)
        interval = bootstrap(_root_mean_square, left, rng)
        detail = f"{count} movies, worst {max(left):.3f} px, drifts up to {max(reach):.0f} px"
        limit, baseline = _root_mean_square(least), _root_mean_square(plain)
        return Measurement.of(interval, limit=limit, baseline=baseline, detail=detail)

    return Check(f"drift left after correction{f' ({title})' if title else ''}", measure, at_most, "<=", "px")


def _left(points: DataFrame, movie: Movie, longest: int | None) -> float:
    """Return the root mean square distance (nm) between the drift found and the true one."""
    from micrograph.track import DriftSettings, find_drift

    found = find_drift(points, DriftSettings() if longest is None else DriftSettings(longest=longest))
    true = movie.drift_nm[found["frame"].to_numpy(np.int64)]
    off = found[["drift_y_nm", "drift_x_nm"]].to_numpy() - (true - true[0])
    return float(np.sqrt((off**2).sum(axis=1).mean()))


def _root_mean_square(values: Sequence[float] | Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@dataclass(frozen=True)
class Walks:
    """How diffusion is judged: tracks linked from what `detector` sees of `movies`, their first `steps` steps."""

    movies: Movies
    detector: Detector
    steps: int = 100
    count: int = 10
    link: LinkSettings | None = None
    motion: MotionSettings | None = None


def diffusion_error(walks: Walks, *, at_most: float = 1.5) -> Check:
    """Build the check: error of the diffusion constant of single tracks, over its Cramer-Rao bound.

    Movies give ``rates["d_nm2_per_s"]``. The error is the root mean square over all tracks of that many steps, bias
    included. Limit: 1. Baseline: a straight line through the mean square displacements of the first two steps.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = [one for seed in rng.integers(2**31, size=walks.count) for one in _judged(walks, int(seed), rng)]
        found = np.array(answers).reshape(-1, 4)
        interval = bootstrap(lambda rows: _root_mean_square(np.array(rows)[:, 0]), list(found), rng)
        bias, inside = float(found[:, 1].mean()), float(found[:, 2].mean())
        detail = f"{len(found)} tracks of {walks.steps} steps, bias {bias:+.1%}, {inside:.1%} in the 95 % interval"
        return Measurement.of(interval, limit=1.0, baseline=_root_mean_square(found[:, 3]), detail=detail)

    return Check(f"error of D over its Cramer-Rao bound at {walks.steps} steps", measure, at_most, "<=")


def _judged(walks: Walks, seed: int, rng: np.random.Generator) -> list[tuple[float, float, bool, float]]:
    """Return error over bound, relative error, whether the interval holds the truth, and the baseline's, by track."""
    from micrograph.track import LinkSettings, MotionSettings, cramer_rao, diffusion, link

    movie = walks.movies(seed)
    motion = walks.motion or MotionSettings(exposure_share=0.0)
    true, dt_s = movie.rates["d_nm2_per_s"], movie.recording.calibration.frame_time_s or 1.0
    tracks, _ = link(_without_drift(walks.detector(movie, rng), movie), walks.link or LinkSettings())
    bound = cramer_rao(
        walks.steps, dt_s, true, walks.detector.sigma_nm, exposure_share=motion.exposure_share, known=motion.known_sigma
    )
    answers = []
    for _, track in tracks.groupby("track"):
        if len(track) > walks.steps:
            piece = track.iloc[: walks.steps + 1]
            found, plain = diffusion(piece, motion), _two_lags(piece)
            inside = found.low <= true <= found.high
            answers.append(((found.d - true) / bound, found.d / true - 1, inside, (plain - true) / bound))
    return answers


def _without_drift(points: DataFrame, movie: Movie) -> DataFrame:
    """Return the points with the true drift removed, so that only linking and fitting are judged."""
    moved = movie.drift_nm[points["frame"].to_numpy(np.int64)]
    return points.assign(y_nm=points["y_nm"] - moved[:, 0], x_nm=points["x_nm"] - moved[:, 1])


def _two_lags(track: DataFrame) -> float:
    """Return D from the rise of the mean square displacement between one and two steps; gaps count as steps."""
    place, time = track[["y_nm", "x_nm"]].to_numpy(), track["t_s"].to_numpy()
    one, two = (float(((place[lag:] - place[:-lag]) ** 2).sum(axis=1).mean()) for lag in (1, 2))
    return (two - one) / 4 / float(np.mean(np.diff(time)))
