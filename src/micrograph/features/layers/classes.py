"""Classes of crops: principal components, a Gaussian mixture whose size an information criterion chooses, folding.

Crops are folded by the site's point group first, so that a class is not split into its rotations. Classes that are
still rotations of one another, because different classes pulled the common template different ways, are found by
turning every class to the larger class that it resembles most; then the mixture is fitted anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.layers.crops import Disc, Values
from micrograph.features.layers.folding import Folded, Index, aligned, fold, symmetric, turned
from micrograph.features.layers.registering import registered, within

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]
#: Fewest crops that classes are looked for in.
LEAST = 30
#: Eigenvalues from which the next larger one is foretold.
TAIL = 12


@dataclass(frozen=True)
class ClassSettings:
    """How classes are found: at most `most` of them, in at most `components` principal components.

    criterion: 'bic' fits the density best, 'icl' wants classes that are apart besides (doi:10.1109/34.865189). seeds:
    starts of a fit, of which the best counts, and fits whose agreement is the stability. share: a class is at least
    this part of the crops. counting: the noise grows with the root of the brightness, as where electrons are counted.
    """

    most: int = 10
    components: int = 10
    criterion: Literal["bic", "icl"] = "bic"
    seeds: int = 5
    share: float = 0.01
    rounds: int = 4
    counting: bool = True


@dataclass(frozen=True)
class Classes:
    """Classes of N crops, the largest first.

    label: (N,) 0 .. K - 1; p: (N, K) probabilities; mean: (K, P) class means; operation: (N,) which operation of the
    point group brought each crop to its class's orientation; values: (N, P) the crops so turned; criterion: value by
    number of classes, smaller is better; stability: lowest adjusted Rand index of fits from other starts with these.
    """

    label: Index
    p: Array
    mean: Values
    operation: Index
    values: Values
    criterion: dict[int, float]
    stability: float

    @property
    def sizes(self) -> Index:
        """How many crops each class holds, (K,)."""
        return np.bincount(self.label, minlength=self.p.shape[1])


def classes(
    values: Values,
    permuted: Index,
    rng: np.random.Generator,
    settings: ClassSettings | None = None,
    *,
    disc: Disc | None = None,
) -> Classes:
    """Return the classes of crops (N, P) after folding by `permuted` (G, P), the operations of their point group.

    Without the symmetry, ``permuted[:1]``, every orientation is a class. With `disc`, crops whose places were known to
    some 10 pm only are centred first (`registered`). Raises `BadInput` for fewer than `LEAST`.
    """
    settings = settings or ClassSettings()
    if len(values) < LEAST:
        raise BadInput(f"{len(values)} sub-images are too few for classes: give at least {LEAST}, from more frames.")
    even = _even(values, permuted, settings)
    if disc is not None:
        values = registered(values, mixture(even, rng, settings).label, permuted, disc)
        even = _even(values, permuted, settings) * within(disc)
    folded = fold(even, permuted)
    found = mixture(folded.values, rng, settings)
    for _ in range(settings.rounds if len(permuted) > 1 else 0):
        again = _refolded(even, folded, found, permuted)
        if (again.operation == folded.operation).all():
            break
        folded, found = again, mixture(again.values, rng, settings)
    upright = turned(values, permuted, folded.operation)
    return Classes(
        label=found.label,
        p=found.p,
        mean=_means(upright, found),
        operation=folded.operation,
        values=upright,
        criterion=found.criterion,
        stability=found.stability,
    )


def _even(values: Values, permuted: Index, settings: ClassSettings) -> Values:
    """Return crops (N, P) with the same noise everywhere: over the root of the mean brightness in all orientations."""
    if not settings.counting:
        return values
    mean = symmetric(values.mean(axis=0), permuted)
    mean = mean - mean.min()
    return np.asarray(values / np.sqrt(mean + 0.1 * max(float(mean.max()), 1e-30)), dtype=np.float32)


@dataclass(frozen=True)
class Mixture:
    """Gaussian classes of vectors: ``label`` (N,), ``p`` (N, K), criterion by K, stability; largest class first."""

    label: Index
    p: Array
    criterion: dict[int, float]
    stability: float


def mixture(values: NDArray[np.floating], rng: np.random.Generator, settings: ClassSettings) -> Mixture:
    """Return the Gaussian mixture of vectors (N, P) in their principal components that the criterion likes best."""
    scores = principal(values, settings.components)
    criterion: dict[int, float] = {}
    best: GaussianMixture | None = None
    for count in range(1, settings.most + 1):
        model = _fitted(scores, count, rng, settings)
        criterion[count] = _criterion(model, scores, settings)
        if best is None or criterion[count] < min(value for k, value in criterion.items() if k != count):
            best = model
        if count - min(criterion, key=criterion.__getitem__) >= 3:
            break
    assert best is not None
    p, label = _by_size(best.predict_proba(scores))
    return Mixture(label, p, criterion, _stability(scores, label, p.shape[1], rng, settings))


def principal(values: NDArray[np.floating], most: int) -> Array:
    """Return the principal components (N, d) of vectors (N, P) that stand out of the noise, `most` at most.

    They are in units of the noise: its components have a scatter of about one.
    """
    from sklearn.decomposition import PCA

    wide = min(3 * most, len(values) - 1, values.shape[1])
    solver = "randomized" if wide < 0.5 * min(values.shape) else "full"
    pca = PCA(wide, svd_solver=solver, random_state=0)
    scores = pca.fit_transform(np.asarray(values, dtype=np.float64))
    keep = min(most, above_noise(pca.explained_variance_))
    noise = float(pca.explained_variance_[min(keep, wide - 1)])
    return np.asarray(scores[:, :keep] / np.sqrt(max(noise, 1e-30)), dtype=np.float64)


def above_noise(eigenvalues: NDArray[np.floating], ratio: float = 1.25) -> int:
    """Return how many of the falling `eigenvalues` (M,) stand out of the smooth scree of noise, at least one.

    The noise of neighbouring sampling points is correlated, so that no law gives its largest eigenvalue; but noise
    falls evenly. The last eigenvalue that is `ratio` times what the dozen after it lets expect is the last that counts.
    """
    falling = np.log(np.maximum(np.asarray(eigenvalues, dtype=np.float64), 1e-300))
    keep = 1
    for q in range(len(falling) - TAIL):
        _, level = np.polyfit(np.arange(1, TAIL + 1), falling[q + 1 : q + 1 + TAIL], 1)
        if falling[q] > level + np.log(ratio):
            keep = q + 1
    return keep


def _fitted(scores: Array, count: int, rng: np.random.Generator, settings: ClassSettings) -> GaussianMixture:
    """Return the mixture of `count` classes, the best of several starts."""
    from sklearn.mixture import GaussianMixture

    few = len(scores) < 12 * count * scores.shape[1]
    model = GaussianMixture(
        count,
        covariance_type="diag" if few else "full",
        n_init=settings.seeds if count > 1 else 1,
        reg_covar=0.05,
        max_iter=300,
        random_state=int(rng.integers(2**31)),
    )
    return _quietly(model, scores)


def _quietly(model: Any, scores: Array) -> Any:
    """Fit `model`; one that has not settled competes by its criterion like the others."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(scores)


def _criterion(model: GaussianMixture, scores: Array, settings: ClassSettings) -> float:
    """Return BIC or ICL; infinite where a class is smaller than the least share."""
    p = model.predict_proba(scores)
    if p.sum(axis=0).min() < max(settings.share * len(scores), 2.0):
        return float("inf")
    value = float(model.bic(scores))
    if settings.criterion == "icl":
        value -= 2 * float((p * np.log(np.maximum(p, 1e-300))).sum())
    return value


def _by_size(p: Array) -> tuple[Array, Index]:
    """Return probabilities (N, K) with the largest class first, without classes that nobody is in, and labels (N,)."""
    label = p.argmax(axis=1)
    size = np.bincount(label, minlength=p.shape[1])
    order = np.argsort(-size, kind="stable")
    order = order[size[order] > 0]
    kept = p[:, order] / np.maximum(p[:, order].sum(axis=1, keepdims=True), 1e-300)
    return kept, kept.argmax(axis=1)


def _stability(scores: Array, label: Index, count: int, rng: np.random.Generator, settings: ClassSettings) -> float:
    """Return the lowest adjusted Rand index between `label` and other fits of as many classes."""
    from sklearn.metrics import adjusted_rand_score

    others = [_fitted(scores, count, rng, settings).predict(scores) for _ in range(settings.seeds)]
    return min((float(adjusted_rand_score(label, other)) for other in others), default=1.0)


def _means(values: Values, found: Mixture) -> Values:
    """Return the class means (K, P), every crop by its probabilities."""
    weight = found.p / np.maximum(found.p.sum(axis=0), 1e-300)
    return np.asarray(weight.T @ values, dtype=np.float32)


def _refolded(values: Values, folded: Folded, found: Mixture, permuted: Index) -> Folded:
    """Return the crops, each aligned with its own class, the classes turned to the larger ones that they resemble."""
    mean = _means(folded.values, found)
    for k in range(1, len(mean)):
        turns = mean[k][permuted]
        apart = ((turns[:, None] - mean[None, :k]) ** 2).sum(axis=2)
        mean[k] = turns[int(apart.min(axis=1).argmin())]
    return aligned(values, permuted, mean[found.label])
