"""Classes of shapes without labels: how many there are, and which object belongs to which, from the objects alone.

What k-means on shape columns does (AutoDetect-mNP, doi:10.1021/jacsau.0c00030) with three changes: descriptors that do
not know the size; a Gaussian mixture whose number of parts follows from the Bayesian information criterion
(doi:10.1214/aos/1176344136), so that 1 is an answer; parts that no dip of density separates become one class (ridge
lines: Ray and Lindsay, doi:10.1214/009053605000000417; merging: Hennig, doi:10.1007/s11634-010-0058-3), so that a class
with a range of aspects or of contour noise stays one. Parts as wide as anything in every direction hold what has no
shape (clumps) and are called `OTHER`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

if TYPE_CHECKING:
    from pandas import DataFrame
    from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]

#: What tells shapes apart: columns that do not change with size or rotation.
FOURIER = tuple(f"fourier_{order}" for order in range(2, 10))
DESCRIPTORS = ("aspect", "solidity", "convexity", *FOURIER)
#: The class of what fits no shape.
OTHER = "other"
#: A part that is wider than this many times the noise in every direction has no shape.
_WIDE = 2.0
#: Squared distance from every part, in standard deviations, beyond which an object fits none: chi2 tail of 1e-9.
_TAIL = 1e-9


@dataclass(frozen=True)
class ShapeSettings:
    """How classes are sought.

    most: parts of the mixture at most; objects: drawn at random for the fit, the rest is only told its class; starts:
    of each fit; dip: density between two parts over that of the lower one, above which they are one class; dip_alike:
    the same for two classes that would have one name; least: objects that a class must have.
    """

    most: int = 10
    objects: int = 3000
    starts: int = 3
    dip: float = 0.5
    dip_alike: float = 0.1
    least: int = 10


@dataclass(frozen=True)
class Shapes:
    """Classes of N objects: name and posterior (0..1) of each, and those of all classes (N, K) in order of `names`."""

    shape: NDArray[np.str_]
    score: Array
    posterior: Array
    names: tuple[str, ...]


@dataclass(frozen=True)
class ShapeModel:
    """Classes of shapes that were learned; calling it sorts objects into them.

    names: of the K classes, commonest first, `OTHER` last where there is one. The P parts of the mixture live in a
    space of D scores: ``(features - centre) / scale @ axes``. member: class of each part, -1 for one between classes.
    """

    names: tuple[str, ...]
    centre: Array
    scale: Array
    axes: Array
    weights: Array
    means: Array
    covariances: Array
    member: NDArray[np.int64]

    def __call__(self, objects: DataFrame) -> Shapes:
        """Return the classes of `objects`, which need the columns `DESCRIPTORS`; a row with a gap is `OTHER`."""
        features = _features(objects)
        whole = np.asarray(np.isfinite(features).all(axis=1), bool)
        scores = (np.where(whole[:, None], features, self.centre) - self.centre) / self.scale @ self.axes
        logs, far = _log_parts(scores, self.weights, self.means, self.covariances)
        logs = np.where(self.member >= 0, logs, -np.inf)
        parts = np.exp(logs - logs.max(axis=1, keepdims=True)) if logs.size else logs
        names = self.names if OTHER in self.names else (*self.names, OTHER)
        posterior = np.zeros((len(features), len(names)))
        for part in np.flatnonzero(self.member >= 0):
            posterior[:, self.member[part]] += parts[:, part]
        posterior[far | ~whole] = np.eye(len(names))[names.index(OTHER)]
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), 1e-300)
        best = posterior.argmax(axis=1)
        return Shapes(np.array(names)[best], posterior.max(axis=1), posterior, names)


def learn_shapes(objects: DataFrame, rng: np.random.Generator, settings: ShapeSettings | None = None) -> ShapeModel:
    """Return the classes of shapes among `objects` (N rows with 'area_nm2' and the columns `DESCRIPTORS`, any N).

    Fewer than ``2 * least`` objects make one class. The same rng gives the same classes. Raises `BadInput` where a
    column is missing.
    """
    settings = settings or ShapeSettings()
    if "area_nm2" not in objects:
        raise BadInput("The table of objects has no column area_nm2: clumps are told from singles by their size too.")
    features = _features(objects)
    chosen = np.flatnonzero(np.isfinite(features).all(axis=1))
    if len(chosen) > settings.objects:
        chosen = rng.choice(chosen, settings.objects, replace=False)
    features, area = features[chosen], objects["area_nm2"].to_numpy(float)[chosen]
    centre, scale, axes = _frame(features)
    scores = (features - centre) / scale @ axes
    weights, means, covariances = _mixture(scores, rng, settings)
    shapeless = _shapeless(scores, area, weights, means, covariances)
    member = _members(shapeless, weights, means, covariances, settings)
    model = ShapeModel((), centre, scale, axes, weights, means, covariances, member)
    return _named(model, features, scores, shapeless, settings)


def name_of(typical: Mapping[str, float]) -> str:
    """Return the name of a shape by its typical descriptors: 'rod', 'triangle', ...; '' where no rule fits.

    The Fourier descriptor of order n is that of n-fold symmetry: 0.31 for a sharp triangle's third, 0.15 for a square's
    fourth (more only if its sides bend inwards), 0.06 for a hexagon's sixth; corners that are rounded lower it.
    """
    third, fourth, sixth = (typical[f"fourier_{order}"] for order in (3, 4, 6))
    noise = float(np.median([typical[f"fourier_{order}"] for order in (5, 7, 9)]))
    if typical["aspect"] >= 1.6:
        return "rod"
    if third >= max(0.12, fourth):
        return "triangle"
    if fourth >= max(0.06, 2.5 * noise) and typical["aspect"] < 1.35:
        return "concave" if fourth >= 0.17 or typical["solidity"] < 0.965 * typical["convexity"] else "square"
    if sixth >= max(0.025, 2 * noise) and sixth > fourth:
        return "hexagon"
    if max(third, fourth) < max(0.06, 2.5 * noise):
        return "round" if typical["aspect"] < 1.25 else "oval"
    return ""


def _features(objects: DataFrame) -> Array:
    missing = [name for name in DESCRIPTORS if name not in objects]
    if missing:
        raise BadInput(
            f"The table of objects has no column {', '.join(missing)}: shapes are sorted by "
            f"{', '.join(DESCRIPTORS)}, which features.descriptors gives."
        )
    table = np.array(objects[list(DESCRIPTORS)], dtype=float)
    table[:, 0] = np.log(np.maximum(table[:, 0], 1e-6))
    return table


def _frame(features: Array) -> tuple[Array, Array, Array]:
    """Return the median of each feature, its noise, and axes (F, D) along which classes may lie.

    The noise is the spread of the tightest fifth of the objects: where there are several classes, that of one of them.
    """
    if len(features) < 4:
        return np.zeros(features.shape[1]), np.ones(features.shape[1]), np.eye(features.shape[1])[:, :2]
    centre = np.median(features, axis=0)
    ordered = np.sort(features, axis=0)
    count = max(len(features) // 5, 2)
    scale = (ordered[count:] - ordered[:-count]).min(axis=0) / 0.507
    scale = np.maximum(scale, 1e-3)
    spread, axes = np.linalg.eigh(np.cov(((features - centre) / scale).T))
    order = np.argsort(spread)[::-1]
    kept = int(np.clip(np.count_nonzero(spread > 3.0), 2, min(6, max(2, len(features) // 20))))
    return centre, scale, axes[:, order[:kept]]


def _mixture(scores: Array, rng: np.random.Generator, settings: ShapeSettings) -> tuple[Array, Array, Array]:
    """Return weights (P,), means (P, D) and covariances (P, D, D) of the mixture with the least BIC."""
    if len(scores) < 2 * settings.least:
        middle = scores.mean(axis=0) if len(scores) else np.zeros(scores.shape[1])
        covariance = np.cov(scores.T) if len(scores) > 2 else np.zeros((scores.shape[1],) * 2)
        return np.ones(1), middle[None], (covariance + np.eye(scores.shape[1]))[None]
    best, least, risen = None, np.inf, 0
    for parts in range(1, min(settings.most, len(scores) // settings.least) + 1):
        fit = _fit(scores, parts, int(rng.integers(2**31)), settings.starts)
        found = float(fit.bic(scores))
        best, least, risen = (fit, found, 0) if found < least else (best, least, risen + 1)
        if risen == 2:
            break
    assert best is not None
    return np.asarray(best.weights_), np.asarray(best.means_), np.asarray(best.covariances_)


def _fit(scores: Array, parts: int, seed: int, starts: int) -> GaussianMixture:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(parts, n_init=starts, reg_covar=0.05, random_state=seed).fit(scores)


def _shapeless(scores: Array, area: Array, weights: Array, means: Array, covariances: Array) -> NDArray[np.bool_]:
    """Return which parts (P,) have no shape: wide in every direction, though not because their objects are small.

    The noise of an outline counts more in a small object, and a clump is larger than what it is made of.
    """
    wide = np.array([np.linalg.eigvalsh(one)[0] > _WIDE**2 for one in covariances])
    if not wide.any() or wide.all():
        return np.zeros(len(weights), bool)
    owner = _log_parts(scores, weights, means, covariances)[0].argmax(axis=1)
    usual = float(np.median(area[~wide[owner]])) if (~wide[owner]).any() else 0.0
    large = [
        bool((owner == part).any()) and float(np.median(area[owner == part])) > 0.7 * usual for part in range(len(wide))
    ]
    return np.asarray(wide & np.array(large))


def _members(
    shapeless: NDArray[np.bool_], weights: Array, means: Array, covariances: Array, settings: ShapeSettings
) -> NDArray[np.int64]:
    """Return the class of each part, numbered from 0; -1: lies between two classes.

    From the densest part downwards, a part joins those that no dip separates from it; two classes that meet there
    become one only if the meeting point is no dip for either of them (persistence: doi:10.1145/2535927).
    """
    parts = len(weights)
    peaks = _density(means, weights, means, covariances)
    saddles = np.zeros((parts, parts))
    for one in range(parts):
        for two in range(one):
            if not (shapeless[one] or shapeless[two]):
                saddles[one, two] = saddles[two, one] = _saddle(one, two, weights, means, covariances)
    member = np.arange(parts)
    order = np.argsort(-peaks, kind="stable")
    for at, part in enumerate(order):
        for other in sorted(order[:at], key=lambda one: -saddles[part, one]):
            tops = [peaks[member == member[one]].max() for one in (part, other)]
            if saddles[part, other] >= settings.dip * min(tops):
                member[member == member[part]] = member[other]
    member = np.unique(member, return_inverse=True)[1].astype(np.int64)
    near = saddles >= settings.dip * peaks[:, None]
    return np.where((near & (member[:, None] != member)).any(axis=1), -1, member)


def _saddle(one: int, two: int, weights: Array, means: Array, covariances: Array) -> float:
    """Return the least density between two parts, along the line or the ridge line, whichever stays higher."""
    a = np.linspace(0, 1, 33)[:, None]
    line = (1 - a) * means[one] + a * means[two]
    left, right = np.linalg.inv(covariances[one]), np.linalg.inv(covariances[two])
    pull = (1 - a) * (left @ means[one]) + a * (right @ means[two])
    ridge = np.linalg.solve((1 - a)[..., None] * left + a[..., None] * right, pull[..., None])[..., 0]
    return max(float(_density(path, weights, means, covariances).min()) for path in (line, ridge))


def _density(points: Array, weights: Array, means: Array, covariances: Array) -> Array:
    logs, _ = _log_parts(points, weights, means, covariances)
    return np.asarray(np.exp(logs).sum(axis=1))


def _log_parts(points: Array, weights: Array, means: Array, covariances: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return the logarithm of each part's density (N, P), and which points lie far from all parts."""
    from scipy.stats import chi2

    logs, near = np.empty((len(points), len(weights))), np.zeros(len(points), bool)
    limit = chi2.isf(_TAIL, points.shape[1])
    for part, (weight, mean, covariance) in enumerate(zip(weights, means, covariances, strict=True)):
        root = np.linalg.cholesky(covariance)
        square = np.square(np.linalg.solve(root, (points - mean).T)).sum(axis=0)
        logs[:, part] = np.log(max(weight, 1e-300)) - 0.5 * square - np.log(np.diag(root)).sum()
        near |= square <= limit
    return logs - 0.5 * points.shape[1] * np.log(2 * np.pi), ~near


def _named(
    model: ShapeModel, features: Array, scores: Array, shapeless: NDArray[np.bool_], settings: ShapeSettings
) -> ShapeModel:
    """Return the model with its classes in order of their number and named; small ones join `OTHER`."""
    logs, far = _log_parts(scores, model.weights, model.means, model.covariances)
    owner = model.member[np.where(model.member >= 0, logs, -np.inf).argmax(axis=1)]
    numbers = np.bincount(owner[~far], minlength=model.member.max() + 1)
    odd = {int(one) for one in model.member[shapeless]}
    kept = [int(one) for one in np.argsort(-numbers, kind="stable") if one not in odd]
    kept = [one for one in kept if numbers[one] >= settings.least] or kept[:1]
    typical = [
        dict(zip(DESCRIPTORS, np.median(features[(owner == one) & ~far], axis=0), strict=True))
        if numbers[one]
        else dict.fromkeys(DESCRIPTORS, np.nan)
        for one in kept
    ]
    stems = [name_of(one | {"aspect": float(np.exp(one["aspect"]))}) for one in typical]
    for one, two in _alike(stems, kept, model, settings):
        member = np.where(model.member == kept[two], kept[one], model.member)
        return _named(replace(model, member=member), features, scores, shapeless, settings)
    names = _distinct(stems)
    place = {one: index for index, one in enumerate(kept)}
    member = np.array([place.get(int(one), len(kept)) if one >= 0 else -1 for one in model.member])
    names = (*names, OTHER) if (member == len(kept)).any() else names
    return replace(model, names=names, member=member)


def _alike(
    stems: Sequence[str], kept: Sequence[int], model: ShapeModel, settings: ShapeSettings
) -> list[tuple[int, int]]:
    """Return the pairs of classes of one name that only a shallow dip separates: rods of many aspects are rods."""
    parts = (model.weights, model.means, model.covariances)
    peaks = _density(model.means, *parts)
    pairs = [(one, two) for two in range(len(stems)) for one in range(two) if stems[one] and stems[one] == stems[two]]
    found = []
    for pair in pairs:
        ours, theirs = (np.flatnonzero(model.member == kept[one]) for one in pair)
        saddle = max(_saddle(int(one), int(two), *parts) for one in ours for two in theirs)
        if saddle >= settings.dip_alike * min(peaks[ours].max(), peaks[theirs].max()):
            found.append(pair)
    return found


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that differ: the second 'rod' is 'rod-2', what has no name is 'shape-1', 'shape-2'."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        stem = name or "shape"
        seen[stem] = seen.get(stem, 0) + 1
        found.append(stem if name and seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return tuple(found)
