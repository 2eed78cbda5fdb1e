"""What a half of a spectrum image teaches: its spectra's basis, and how surroundings tell its coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.layers.latent import (
    Process,
    Scores,
    invariants,
    learned_process,
    polar_views,
    principal,
    ring_radii,
    turned_alike,
)
from micrograph.features.objects.bodies import standard_image
from micrograph.features.objects.overlap import best_overlap
from micrograph.features.spectra.spectral_basis import SpectralBasis, spectral_basis
from micrograph.infer.plasmon_model import PlasmonModel

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Start = Literal["auto", "none", "plasmons"]

#: Numbers that describe the surroundings of a place, at most.
_FEATURES = 30
#: Components of the losses that particles would have.
_TOLD = 10
#: Rings of the surroundings that are read from a spectrum, and points of each.
_RINGS, _POINTS = 14, 24
#: Places with the most alike spectra, of whose surroundings one is chosen.
_ALIKE = 16
#: Places by which the kind of numbers is chosen.
_TRIED = 400


@dataclass(frozen=True)
class Plan:
    """How a map is learned from, see `SpectraFromImage`.

    step_nm: of the map, where particles are to be looked for; failing: whether there are outliers among the spectra.
    """

    reach: int = 8
    most: int = 10
    start: Start = "auto"
    seed: int = 0
    step_nm: float | None = None
    failing: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What surrounds all places: rings of the mask of bright bodies (N, R, P) about each, turned alike; rings' radii in
    places; numbers of the surroundings (N, F) by kind.
    """

    mask: NDArray[np.bool_]
    radii: Array
    kinds: Mapping[str, Array]

    @staticmethod
    def of(image: Array, plan: Plan) -> Surroundings:
        """Return the surroundings of every place of a map (Y, X)."""
        scaled = (image - np.median(image)) / (float(image.std()) or 1.0)
        place = np.indices(image.shape).reshape(2, -1).T.astype(np.float64)
        radii = ring_radii(plan.reach, _RINGS)
        near = invariants(polar_views(scaled, place, ring_radii(min(3.0, plan.reach), 6), _POINTS), 4)
        wide = invariants(polar_views(scaled, place, radii, _POINTS), 6)
        own = 3 * scaled.reshape(-1, 1)
        kinds = {
            "near": np.concatenate([own, near], axis=1),
            "wide": np.concatenate([near, wide], axis=1),
            "near and where": np.concatenate([own, near, 4 * place / max(image.shape)], axis=1),
        }
        bright = standard_image(image)
        told = None if plan.step_nm is None else plasmon_answers(image, place, plan.step_nm)
        if told is not None:
            kinds |= {"plasmons": told, "plasmons and near": np.concatenate([2 * told, own, near], axis=1)}
        mask = turned_alike((polar_views(bright, place, radii, _POINTS) > 0.5) * 1.0) > 0.5
        return Surroundings(mask, radii, kinds)


def plasmon_answers(image: Array, place: Array, step_nm: float) -> Array | None:
    """Return components (N, K) of what particles in the image would lose at every place; ``None`` where none are seen.

    They are those of one metal; another one's follow from them, which is learned.
    """
    try:
        told = PlasmonModel(draws=0)(image, step_nm, (place + 0.5) * step_nm).mean
    except BadInput:
        return None
    found = principal(told / (float(told.std()) or 1.0), _TOLD)(told / (float(told.std()) or 1.0))
    return found / (float(found.std()) or 1.0)


@dataclass(frozen=True)
class Half:
    """What was learned from `rows` of a map: the basis of their spectra, and how surroundings of one `kind` tell it.

    factor: by which 1-sigma grows, so that it holds for places held out inside the half.
    """

    rows: Rows
    basis: SpectralBasis
    kind: str
    scores: Scores
    process: Process
    factor: float

    def told(self, seen: Surroundings, asked: Rows) -> tuple[Array, Array]:
        """Return the coefficients (M, K) of places and their variances, noise of measuring included."""
        mean, variance = self.process(self.numbers(seen, asked))
        return mean, self.factor**2 * variance

    def numbers(self, seen: Surroundings, asked: Rows) -> Array:
        """Return the numbers (M, F) of places' surroundings."""
        return self.scores(seen.kinds[self.kind][asked])


def learned_half(seen: Surroundings, spectra: Array, rows: Rows, noise: Array, plan: Plan) -> Half:
    """Return what `rows` teach; the kind of numbers is what answers a fifth of them best, held out of the rest."""
    rng = np.random.default_rng(plan.seed)
    basis = spectral_basis(spectra[rows], noise, plan.most)
    wanted = basis.coefficients(spectra[rows])
    wanted = clipped(wanted) if plan.failing else wanted
    mixed = rng.permutation(len(rows))
    held, fit = mixed[: len(rows) // 5], mixed[len(rows) // 5 :]
    only = plan.start == "plasmons" and "plasmons" in seen.kinds
    best: tuple[float, str, Scores, float] | None = None
    for kind, numbers in seen.kinds.items():
        if only and "plasmons" not in kind:
            continue
        scores = principal(numbers[rows], _FEATURES)
        x = scores(numbers[rows])
        mean, variance = learned_process(x[fit], wanted[fit], rng, _TRIED)(x[held])
        error = float(np.sum((mean - wanted[held]) ** 2))
        if best is None or error < best[0]:
            best = (error, kind, scores, _factor(mean, variance, wanted[held]))
    assert best is not None
    _, kind, scores, factor = best
    return Half(rows, basis, kind, scores, learned_process(scores(seen.kinds[kind][rows]), wanted, rng), factor)


def _factor(mean: Array, variance: Array, wanted: Array) -> float:
    """Return the factor at which 1-sigma of the coefficients holds 68.3 % of them."""
    return float(np.clip(np.quantile(np.abs(mean - wanted) / np.sqrt(variance), 0.683), 0.5, 3.0))


def clipped(coefficients: Array, times: float = 6.0) -> Array:
    """Return coefficients (N, K) with those far outside the others brought to `times` the usual scatter."""
    middle = np.median(coefficients, axis=0)
    scatter = 1.48 * np.median(np.abs(coefficients - middle), axis=0) + 1e-300
    return np.clip(coefficients, middle - times * scatter, middle + times * scatter)


def read_masks(
    spectra: Array, noise: Array, masks: NDArray[np.bool_], asked: Array, radii: Array, plan: Plan
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the surroundings (M, R, P) that spectra `asked` (M, E) tell, and those of the most alike spectrum.

    Of the places with the most alike spectra, learned from spectra (N, E) with masks (N, R, P), it is the one whose
    surroundings agree best with those of the others, however they are turned.
    """
    from scipy.spatial import cKDTree

    basis = spectral_basis(spectra, noise, plan.most)
    number = min(_ALIKE, len(spectra))
    _, near = cKDTree(basis.coefficients(spectra)).query(basis.coefficients(asked), k=number)
    near = near.reshape(len(asked), number)
    agreement = np.zeros(near.shape)
    for one in range(number):
        for other in range(one):
            common = best_overlap(masks[near[:, one]], masks[near[:, other]], radii)
            agreement[:, one] += common
            agreement[:, other] += common
    best = agreement.argmax(axis=1)
    return masks[near[np.arange(len(near)), best]], masks[near[:, 0]]
