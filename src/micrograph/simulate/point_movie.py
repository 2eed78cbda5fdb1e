"""A movie of bright points that diffuse, appear and vanish: the simplest thing that tracking must get right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.simulate.kinetics.lattice import Array, Index
from micrograph.simulate.movies import Camera, Movie, MovieSettings, Objects, truth_table

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class PointSample:
    """Brownian points.

    count: at the start. d_nm2_per_s: diffusion coefficient. birth_per_s: new points per second in the field;
    death_per_s: rate at which each vanishes. apart_nm: least distance of two points at the start. sigma_nm: of the
    Gaussian spot; peak: its height as a fraction of the beam. A point outside the field is not in the truth.
    """

    count: int = 50
    d_nm2_per_s: float = 1e-3
    birth_per_s: float = 0.0
    death_per_s: float = 0.0
    apart_nm: float = 0.0
    sigma_nm: float = 0.05
    peak: float = 5e-3
    label: str = "point"


def point_movie(sample: PointSample | None = None, settings: MovieSettings | None = None) -> Movie:
    """Return a movie of `sample`; images are rendered only when asked for, so the tables alone are cheap.

    Truth: `state` is the label; `events` hold births and deaths; `rates`: d_nm2_per_s, birth_per_s, death_per_s.
    """
    sample, settings = sample or PointSample(), settings or MovieSettings()
    camera = Camera(settings)
    walk = _Walk(sample, settings, camera.drift_nm)

    def fraction(frame: int) -> NDArray[np.float32]:
        return _spots(camera.seen(walk.at(frame)[1], frame), sample, settings)

    def objects(t_s: float) -> Objects:
        one, place = walk.at(round(t_s / settings.frame_time_s))
        label = np.full(len(one), sample.label)
        return Objects(one, label, place, {"state": label.astype(object)})

    return Movie(
        recording=camera.recording(fraction),
        truth=truth_table(objects, camera),
        drift_nm=camera.drift_nm,
        events=walk.events(),
        rates={name: getattr(sample, name) for name in ("d_nm2_per_s", "birth_per_s", "death_per_s")},
    )


class _Walk:
    """Where every point is in every frame in which it lives."""

    def __init__(self, sample: PointSample, settings: MovieSettings, drift_nm: Array) -> None:
        rng = np.random.default_rng([settings.seed, 0, 31])
        self.settings, self.label = settings, sample.label
        first_places = _apart(sample, settings, rng)
        born = np.sort(rng.uniform(0, settings.duration_s, rng.poisson(sample.birth_per_s * settings.duration_s)))
        self.born_s = np.concatenate([np.zeros(sample.count), born])
        life = rng.exponential(1, len(self.born_s)) / sample.death_per_s if sample.death_per_s > 0 else np.inf
        self.died_s = self.born_s + life
        frames = np.arange(settings.frames)
        self.first = np.ceil(self.born_s / settings.frame_time_s).astype(int)
        step = np.sqrt(2 * sample.d_nm2_per_s * settings.frame_time_s)
        steps = rng.normal(0, step, (settings.frames, len(self.born_s), 2))
        steps[frames[:, None] <= self.first] = 0
        starts = rng.uniform((0, 0), settings.size_nm, (len(self.born_s), 2))
        starts[: sample.count] = first_places
        starts -= drift_nm[np.minimum(self.first, settings.frames - 1)]
        self.place = starts + np.cumsum(steps, axis=0)
        times = settings.times_s[:, None]
        self.lives = (frames[:, None] >= self.first) & (times < self.died_s)

    def at(self, frame: int) -> tuple[Index, Array]:
        """Return the living points and their places (N, 2) in the sample."""
        one = np.flatnonzero(self.lives[frame])
        return one, self.place[frame, one]

    def events(self) -> DataFrame:
        """Return births and deaths in the order of time; a place is that of the nearest frame in which it lives."""
        import pandas as pd

        seen = self.lives.any(axis=0)
        last = self.settings.frames - 1 - np.argmax(self.lives[::-1], axis=0)
        born = np.flatnonzero(seen & (self.born_s > 0))
        died = np.flatnonzero(seen & (self.died_s < self.settings.duration_s))
        one = np.concatenate([born, died])
        place = np.concatenate([self.place[self.first[born], born], self.place[last[died], died]])
        table = pd.DataFrame(
            {
                "t_s": np.concatenate([self.born_s[born], self.died_s[died]]),
                "object": one,
                "kind": ["create"] * len(born) + ["vanish"] * len(died),
                "y_nm": place[:, 0],
                "x_nm": place[:, 1],
                "state": self.label,
            }
        )
        return table.sort_values("t_s", ignore_index=True)


def _apart(sample: PointSample, settings: MovieSettings, rng: np.random.Generator) -> Array:
    """Return the starting places (N, 2), drawn again where too close to one before."""
    places = np.empty((0, 2))
    for trial in rng.uniform((0, 0), settings.size_nm, (200 * sample.count, 2)):
        if len(places) < sample.count and (np.hypot(*(places - trial).T) >= sample.apart_nm).all():
            places = np.vstack([places, trial])
    if len(places) < sample.count:
        raise BadInput(f"{sample.count} points do not fit {sample.apart_nm} nm apart: give fewer or a larger field.")
    return places


def _spots(places_nm: Array, sample: PointSample, settings: MovieSettings) -> NDArray[np.float32]:
    """Return the image (H, W) of Gaussian spots at `places_nm` (N, 2)."""
    y, x = (np.arange(n) * settings.pixel_nm for n in settings.size_px)
    along_y, along_x = (
        np.exp(-((grid - place[:, None]) ** 2) / (2 * sample.sigma_nm**2))
        for grid, place in ((y, places_nm[:, 0]), (x, places_nm[:, 1]))
    )
    return np.asarray(sample.peak * along_y.T @ along_x, np.float32)
