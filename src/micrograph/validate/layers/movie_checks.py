"""Builders of checks on movies whose defects are learned from the first frame alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import Interval, clopper_pearson
from micrograph.validate.metrics import match

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.core import Recording
    from micrograph.simulate import Movie

Array = NDArray[np.float64]
Share = Literal["recall", "precision"]
SHARES: tuple[Share, Share] = ("recall", "precision")


@dataclass(frozen=True)
class Late:
    """How movies are judged: defects of the last third of the frames, `inset_nm` inside, matched within `radius_nm`.

    movies: makes the simulated movie number i.
    """

    movies: Callable[[int], Movie]
    count: int = 2
    radius_nm: float = 0.1
    inset_nm: float = 0.25


def beam_damage(seed: int) -> Movie:
    """Return a movie of doped WS2 that loses a fifth of its columns; focus drifts, dose falls, dirt creeps in."""
    from micrograph.simulate import TMD_SETTINGS, Rate, TmdRates, TmdSample, tmd_movie

    dose = 5e4
    rates = TmdRates(create=Rate(per_dose=1.2e-7), second=Rate(per_dose=5e-8), metal=Rate(per_dose=1e-8))
    sample = TmdSample(vacancies=0.01, disorder_nm=(0.003, 0.012), rates=rates)
    settings = replace(
        TMD_SETTINGS,
        frames=36,
        size_px=(360, 360),
        seed=seed,
        scan=replace(TMD_SETTINGS.scan, dose_e_per_A2=dose, jitter_nm=0.003),
        defocus_nm=(0.0, 2.5),
        dose=(1.0, 0.5),
        cover=(0.0, 0.08),
    )
    return tmd_movie(sample, settings)


def late_defects(late: Late, at_least: float = 0.9) -> Check:
    """Build the check: the lower of recall and precision of defects in the last third, learned from frame 0 alone.

    The baseline subtracts the lattice of every late frame anew and takes its odd sites.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        learned, plain = _Tally(late), _Tally(late)
        for seed in rng.integers(2**31, size=late.count):
            movie = late.movies(int(seed))
            frames = _late_frames(movie.recording)
            objects = analyser.movie(movie.recording)["objects"]
            learned.add(movie, {frame: _places(objects, frame) for frame in frames})
            plain.add(movie, {frame: _odd(movie.recording, frame) for frame in frames})
        lower = min(learned.shares(), key=lambda share: share.value)
        recall, precision = (share.value for share in learned.shares())
        detail = f"recall {recall:.3f}, precision {precision:.3f} of {learned.total['recall']} defects"
        baseline = min(share.value for share in plain.shares())
        return Measurement.of(lower, limit=1.0, baseline=baseline, detail=f"{detail} in {late.count} movies")

    return Check("recall and precision in the last third, learned from frame 0", measure, at_least, ">=")


@dataclass
class _Tally:
    """Hits and totals of 'recall' and 'precision' so far."""

    late: Late
    hits: Counter[Share] = field(default_factory=Counter)
    total: Counter[Share] = field(default_factory=Counter)

    def add(self, movie: Movie, answers: Mapping[int, Array]) -> None:
        """Count the answers (N, 2) of some frames of a movie."""
        for share in SHARES:
            right, total = _counted(movie, answers, self.late, share)
            self.hits[share] += right
            self.total[share] += total

    def shares(self) -> tuple[Interval, Interval]:
        """Return recall and precision with their 95 % intervals."""
        recall, precision = (clopper_pearson(self.hits[share], self.total[share]) for share in SHARES)
        return recall, precision


def _late_frames(recording: Recording) -> Sequence[int]:
    return list(recording.indices)[-max(len(recording) // 3, 1) :]


def _places(table: DataFrame, frame: int) -> Array:
    """Return the places (N, 2), (y, x) in nm, of one frame's rows."""
    return np.asarray(table.loc[table["frame"] == frame, ["y_nm", "x_nm"]].to_numpy(np.float64))


def _odd(recording: Recording, frame: int) -> Array:
    """Return the odd sites of one frame, found without any learning."""
    from micrograph.features.lattices.odd_sites import odd_sites

    pixel = recording.calibration.pixel_nm
    assert pixel is not None
    seen = odd_sites(np.asarray(recording.read(frame), np.float32))
    if seen is None:
        return np.zeros((0, 2))
    return np.column_stack([seen.y_px, seen.x_px])[seen.odd] * pixel


def _counted(movie: Movie, answers: Mapping[int, Array], late: Late, share: Share) -> tuple[int, int]:
    """Return how many were matched and how many there are: true defects for the recall, answers for the precision."""
    pixel = movie.recording.calibration.pixel_nm
    assert pixel is not None
    high = np.array([(n - 1) * pixel - late.inset_nm for n in movie.recording.shape])
    right, total = 0, 0
    for frame, found in answers.items():
        true = _places(movie.truth, frame)
        pairs = match(true[:, 0], true[:, 1], found[:, 0], found[:, 1], late.radius_nm)
        points, matched = (true, pairs.true) if share == "recall" else (found, pairs.found)
        inside = np.asarray(((points > late.inset_nm) & (points < high)).all(axis=1))
        total += int(inside.sum())
        right += int(inside[matched].sum())
    return right, total
