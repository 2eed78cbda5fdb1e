"""Checks of local order learned from crops: orientation, disorder and kinds of surroundings planted in graphene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.layers.planted_order import KINDS, SIZE, Planted, Scenery, planted_kinds

if TYPE_CHECKING:
    from micrograph.nets.rvae_spec import Encoded

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

#: Frames of pristine graphene of all disorders, the same as a movie, and frames with all kinds of surroundings.
ORDER = Scenery()
MOVIE = Scenery(frames=16, size_nm=4.5)
SURROUNDINGS = Scenery(frames=80, disorder_nm=0.02, size_nm=6.0)


def angle_correlation(scenery: Scenery = ORDER, *, at_least: float = 0.95) -> Check:
    """Build the check: circular correlation of encoded with true bond direction, modulo 120 degrees.

    Limit: turns fitted to the displaced atoms at their exact places. Baseline: phase of the strongest 3-fold harmonic.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from micrograph.train.stability import circular_correlation

        planted = scenery.crops(rng)
        encoded = _trained(planted, 1, (0,))[0]
        truth = planted.angle_deg

        def correlation(angle: Array) -> Callable[[Sequence[Rows]], float]:
            return lambda frames: circular_correlation(angle[np.concatenate(frames)], truth[np.concatenate(frames)], 3)

        frames = _by_frame(planted)
        value = bootstrap(correlation(encoded.angle_deg), frames, rng, resamples=300)
        return Measurement.of(
            value,
            limit=correlation(truth + planted.best_deg)(frames),
            baseline=correlation(threefold_phase_deg(planted.crops))(frames),
            detail=_detail(planted, scenery),
        )

    return Check("angle of the surroundings", measure, at_least, ">=")


def disorder_correlation(scenery: Scenery = ORDER, *, at_least: float = 0.90) -> Check:
    """Build the check: rank correlation of the first content latent with the planted disorder, whatever its sign.

    Limit: the displacements as they were drawn, of the atoms in each window. Baseline: the better of the first two
    principal components of the pixels.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        planted = scenery.crops(rng)
        encoded = _trained(planted, 1, (0,))[0]

        def correlation(latent: Array) -> Callable[[Sequence[Rows]], float]:
            def of(frames: Sequence[Rows]) -> float:
                rows = np.concatenate(frames)
                return abs(_spearman(latent[rows], planted.disorder_nm[rows]))

            return of

        frames = _by_frame(planted)
        value = bootstrap(correlation(encoded.latents[:, 0]), frames, rng, resamples=300)
        baseline = max(correlation(component)(frames) for component in principal_components(planted.crops, 2).T)
        limit = correlation(planted.drawn_nm)(frames)
        return Measurement.of(value, limit=limit, baseline=baseline, detail=_detail(planted, scenery))

    return Check("disorder in the first latent", measure, at_least, ">=")


def seed_agreement(scenery: Scenery = ORDER, *, seeds: int = 5, at_least: float = 0.90) -> Check:
    """Build the check: least rank correlation of paired active latents among `seeds` trainings."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from micrograph.train.stability import agreements

        planted = scenery.crops(rng)
        runs = _trained(planted, 1, range(seeds))

        def least(frames: Sequence[Rows]) -> float:
            rows = np.concatenate(frames)
            return min(pair.rho for pair in agreements([run[rows] for run in runs], 3))

        value = bootstrap(least, _by_frame(planted), rng, resamples=100)
        return Measurement.of(value, detail=f"{_detail(planted, scenery)}, {seeds} seeds")

    return Check(f"latents of {seeds} seeds", measure, at_least, ">=")


def class_agreement(scenery: Scenery = SURROUNDINGS, *, each: int = 400, at_least: float = 0.85) -> Check:
    """Build the check: adjusted Rand index of the learned classes with the planted kinds, at most `each` crops a kind.

    Baseline: a Gaussian mixture on the pixels.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        planted = planted_kinds(scenery, each, rng)
        learned, mixture = _labels(planted, rng)
        value = bootstrap(_rand_index(planted, learned), range(len(planted)), rng, resamples=200)
        baseline = _rand_index(planted, mixture)(range(len(planted)))
        return Measurement.of(value, baseline=baseline, detail=_detail(planted, scenery))

    return Check("kinds of surroundings", measure, at_least, ">=")


def class_advantage(scenery: Scenery = SURROUNDINGS, *, each: int = 400, at_least: float = 0.3) -> Check:
    """Build the check: by how much that index is above the one of a Gaussian mixture on the pixels."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        planted = planted_kinds(scenery, each, rng)
        better, worse = (_rand_index(planted, label) for label in _labels(planted, rng))
        value = bootstrap(lambda rows: better(rows) - worse(rows), range(len(planted)), rng, resamples=200)
        return Measurement.of(value, detail=_detail(planted, scenery))

    return Check("kinds of surroundings above a mixture on pixels", measure, at_least, ">=")


def order_in_a_movie(scenery: Scenery = MOVIE, *, at_least: float = 0.90) -> Check:
    """Build the check: rank correlation of the mean order of frames with less planted disorder, by the whole recipe."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        recording, disorder = scenery.recording(rng)
        order = analyser.movie(recording)["order"]
        pairs = list(zip(order["order"], -disorder[order["frame"]], strict=True))
        value = bootstrap(lambda drawn: _spearman(*np.array(drawn).T), pairs, rng, resamples=500)
        return Measurement.of(value, detail=f"{len(pairs)} frames")

    return Check("order of frames", measure, at_least, ">=")


def principal_components(crops: NDArray[np.float32], count: int) -> Array:
    """Return the first principal components (N, count) of the pixels of crops (N, size, size)."""
    from sklearn.decomposition import PCA

    return np.asarray(PCA(count, random_state=0).fit_transform(crops.reshape(len(crops), -1)), dtype=np.float64)


def threefold_phase_deg(crops: NDArray[np.float32]) -> Array:
    """Return the angle (N,) in degrees of the 3-fold part of the first ring of neighbours, at 0.10-0.18 nm."""
    from micrograph.validate.layers.planted_order import WINDOW_NM

    axis = (np.arange(crops.shape[1]) - (crops.shape[1] - 1) / 2) * WINDOW_NM / SIZE
    radius, angle = np.hypot(axis[:, None], axis), np.arctan2(-axis[:, None], axis)
    ring = (radius > 0.10) & (radius < 0.18)
    heading = (crops[:, ring] * np.exp(3j * angle[ring])).sum(axis=1)
    return np.asarray(np.degrees(np.angle(heading)) / 3)


def pixel_mixture(crops: NDArray[np.float32], classes: int, rng: np.random.Generator) -> Rows:
    """Return the class (N,) of crops by a Gaussian mixture on their first 20 principal components."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(classes, n_init=5, random_state=int(rng.integers(2**31)))
    return np.asarray(mixture.fit_predict(principal_components(crops, 20)), dtype=np.intp)


def _trained(planted: Planted, classes: int, seeds: Iterable[int]) -> list[Encoded]:
    """Return what trainings from different seeds say of the crops that they learned from."""
    from micrograph.nets.rvae_spec import RvaeSpec
    from micrograph.train.rvae import RvaeSettings, encode, train_rvae

    spec = RvaeSpec(size=SIZE, symmetry=3, classes=classes)
    steps = max(300, 15 * len(planted) // RvaeSettings.batch)
    trained = (train_rvae(planted.crops, spec, RvaeSettings(steps=steps, seed=seed)) for seed in seeds)
    return [encode(net, planted.crops) for net in trained]


def _labels(planted: Planted, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Return the classes (N,) learned, and those of a mixture on the pixels."""
    learned = _trained(planted, len(KINDS), (0,))[0].class_p.argmax(1)
    return learned, pixel_mixture(planted.crops, len(KINDS), rng)


def _rand_index(planted: Planted, label: Rows) -> Callable[[Sequence[int]], float]:
    from sklearn.metrics import adjusted_rand_score

    return lambda rows: float(adjusted_rand_score(planted.kind[list(rows)], label[list(rows)]))


def _spearman(first: Array, second: Array) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


def _by_frame(planted: Planted) -> list[Rows]:
    """Return the rows of every frame."""
    return [np.flatnonzero(planted.frame == frame) for frame in np.unique(planted.frame)]


def _detail(planted: Planted, scenery: Scenery) -> str:
    disorder = f"displaced by up to {1e3 * scenery.disorder_nm:.0f} pm (1 sigma an axis)"
    return f"{len(planted)} crops at {scenery.dose_e_per_A2:.0e} e/A^2, {disorder}"
