"""How the molecules of an image look, and which state each is likely in: shapes and noise learned from the image.

Each molecule is read off on rings around its node. Where it has an n-fold axis, turning it by 1 / (n k) of a turn moves
its brightness around the rings by one k-th of their period: of the Fourier components along a ring only phases change.
So all states of one polarity share one shape, that is learned from all of them (expectation and maximisation), and so
does the noise, whose covariance between rings is free for each Fourier component: it need not be white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.surface.nodes import Nodes

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

#: Radii of the rings over the spacing, samples along a ring for each rotation, rounds of the learning.
_RADII, _SAMPLES, _ROUNDS, _TRIED = np.linspace(0.0, 0.5, 8), 3, 60, 6
#: Share of the median height below which there is no molecule.
_EMPTY = 0.35
#: How much likelier neighbours are taken to be turned alike while shapes are learned (log).
_COUPLING = 0.4
#: Parts of the molecules, each judged by shapes that the others gave.
_FOLDS = 5
#: Offsets of the first guess of rotations, of each polarity, in half steps.
_OFFSETS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


@dataclass(frozen=True)
class Turns:
    """The n-fold axis of the molecules and how many ways they may be turned within one n-th of a turn."""

    symmetry: int = 3
    rotations: int = 4

    @property
    def step_deg(self) -> float:
        """Degrees between one rotation and the next."""
        return 360.0 / (self.symmetry * self.rotations)


@dataclass(frozen=True)
class Shapes:
    """Shapes (P, M, R) of each polarity: Fourier components along the rings, M of them, at rotation 0; noise.

    precision (M, R, R): of each component; evidence (N, P, K): log likelihood of every molecule's states;
    separation: how far apart, in 1-sigma, neighbouring rotations (P,) and the polarities are.
    """

    shapes: Complex
    precision: Complex
    evidence: Array
    apart: tuple[Array, float]
    present: NDArray[np.bool_]

    def turned(self, polarity: int, steps: int) -> Shapes:
        """Return the same with the states of one polarity renumbered: what was rotation `steps` is rotation 0."""
        evidence, shapes = self.evidence.copy(), self.shapes.copy()
        evidence[:, polarity] = np.roll(evidence[:, polarity], -steps, axis=1)
        rotations = evidence.shape[2]
        shapes[polarity] *= np.exp(-2j * np.pi * steps * np.arange(shapes.shape[1]) / rotations)[:, None]
        return Shapes(shapes, self.precision, evidence, self.apart, self.present)

    def heights(self, y: Array, x: Array, turns: Turns) -> Array:
        """Return the heights (P, N) of the shapes at rotation 0 at places y, x (N,) in spacings."""
        r, turn = np.hypot(y, x), np.arctan2(-y, x)
        found = []
        for shape in self.shapes:
            total = np.zeros(len(r))
            for m, rings in enumerate(shape):
                at = np.interp(r, _RADII, rings.real) + 1j * np.interp(r, _RADII, rings.imag)
                total += (1 if m == 0 else 2) * (at * np.exp(1j * m * turns.symmetry * turn)).real
            found.append(total)
        return np.array(found)


def rings_of(image: NDArray[np.floating], nodes: Nodes, turns: Turns) -> Complex:
    """Return the Fourier components (N, M, R) along rings around each node, of the brightness folded n-fold."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    number = turns.rotations * _SAMPLES
    angles = 2 * np.pi * np.arange(number * turns.symmetry) / (number * turns.symmetry)
    directions = np.stack([-np.sin(angles), np.cos(angles)], axis=-1)
    offsets = (_RADII[:, None, None] * directions) @ _stretch(nodes)
    smooth = gaussian_filter(np.asarray(image, float), 0.6, mode="nearest")
    at = nodes.place[:, None, None] + offsets
    seen = map_coordinates(smooth, at.transpose(3, 0, 1, 2), order=1, mode="nearest")
    folded = seen.reshape(len(nodes), len(_RADII), turns.symmetry, number).mean(axis=2)
    components = np.fft.rfft(folded, axis=2) / number
    return np.asarray(components[..., : turns.rotations * _SAMPLES // 3].transpose(0, 2, 1), np.complex128)


def _stretch(nodes: Nodes) -> Array:
    """Return what makes of vectors in spacings vectors in px: stretched as the scan is, if the lattice is hexagonal."""
    a, b = nodes.cell
    spacing = float(np.sqrt(abs(np.linalg.det(nodes.cell)) * 2 / np.sqrt(3)))
    turn = float(np.arctan2(-a[0], a[1]))
    ideal = np.array([[-np.sin(turn + k * np.pi / 3), np.cos(turn + k * np.pi / 3)] for k in (0, 1)])
    strain = np.linalg.inv(ideal) @ np.stack([a, b])
    _, sizes, _ = np.linalg.svd(strain / spacing)
    return np.asarray(strain if np.abs(np.log(sizes)).max() < 0.12 else np.eye(2) * nodes.spacing_px)


def learn_shapes(rings: Complex, pairs: NDArray[np.intp], turns: Turns, polarities: int = 2) -> Shapes:
    """Return shapes, noise and the likelihood of every state, learned from the molecules' own `rings` (N, M, R).

    Several first guesses are followed for a few rounds; the likeliest is followed to the end, without the nodes at
    which there is no molecule, and with neighbours, `pairs` (P, 2), a little likelier to be turned alike: the angle of
    a few neighbours together is sharper than that of one molecule.
    """
    from scipy.sparse import csr_array

    weights = [_started(rings, guess, _OFFSETS[0], turns) for guess in _guesses(rings, polarities)]
    tried = [_followed(rings, weight, turns, _TRIED) for weight in weights]
    best = max(tried, key=lambda one: one[0])
    logs = _evidence(rings, best[1], best[2], turns)
    present = _present(rings, logs)
    kept = np.cumsum(present) - 1
    near = kept[pairs[present[pairs].all(axis=1)]]
    ends = np.concatenate([near, near[:, ::-1]])
    beside = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(int(present.sum()),) * 2)
    polarity = _normalised(logs[present]).sum(axis=2)
    starts = [_started(rings[present], polarity, offsets, turns) for offsets in _OFFSETS]
    ended = [_smoothed(rings[present], start, beside, turns) for start in starts]
    return finished(rings, max(ended, key=lambda one: one[0])[1], turns, present)


def _smoothed(own: Complex, weight: Array, beside: Any, turns: Turns) -> tuple[float, Array]:
    """Return bound and weights where neighbours are a little likelier to be turned alike (mean field)."""
    total = -np.inf
    shapes, precision = _maximised(own, weight, turns)
    for turn in range(_ROUNDS):
        logs = _evidence(own, shapes, precision, turns)
        for _ in range(3):
            field = _alike(weight, beside)
            weight = _normalised(logs + _COUPLING * field)
        before = total
        entropy = -float(np.sum(weight * np.log(np.maximum(weight, 1e-300))))
        total = float(np.sum(weight * (logs + 0.5 * _COUPLING * field))) + entropy + _volume(own, precision)
        if turn > 5 and total - before < 0.02 * np.sqrt(len(own)):
            break
        shapes, precision = _maximised(own, weight, turns)
    return total, weight


def _alike(weight: Array, beside: Any) -> Array:
    """Return how many neighbours (n, P, K) are turned like each state; polarities are matched as they agree most."""
    near = np.stack([beside @ weight[:, place] for place in range(weight.shape[1])], axis=1)
    if weight.shape[1] == 1:
        return near
    agree = [np.sum(near[:, 0] * np.roll(weight[:, 1], shift, axis=1)) for shift in range(weight.shape[2])]
    shift = int(np.argmax(agree))
    up = near[:, 0] + np.roll(near[:, 1], shift, axis=1)
    return np.stack([up, np.roll(up, -shift, axis=1)], axis=1)


def _followed(own: Complex, weight: Array, turns: Turns, rounds: int) -> tuple[float, Complex, Complex]:
    """Return the log likelihood, shapes and precision after so many rounds from these weights (n, P, K)."""
    total = -np.inf
    shapes, precision = _maximised(own, weight, turns)
    for _ in range(rounds):
        logs = _evidence(own, shapes, precision, turns)
        before, total = total, _total(own, logs, precision)
        if total - before < 0.02 * np.sqrt(len(own)):
            break
        shapes, precision = _maximised(own, _normalised(logs), turns)
    return total, shapes, precision


def refined(rings: Complex, old: Shapes, posterior: Array, turns: Turns) -> Shapes:
    """Return the shapes learned once more, with what is now known of every molecule: posterior (N, P, K)."""
    return finished(rings, posterior[old.present], turns, old.present)


def finished(rings: Complex, weight: Array, turns: Turns, present: NDArray[np.bool_]) -> Shapes:
    """Return the shapes that follow from the weights (n, P, K) of the molecules that are there, and all likelihoods.

    The likelihoods of each molecule come from shapes learned from others: from its own it would look surer than it is.
    """
    own = rings[present]
    shapes, precision = _maximised(own, weight, turns)
    evidence = np.zeros((len(rings), *weight.shape[1:]))
    held = np.zeros((len(own), *weight.shape[1:]))
    fold = np.arange(len(own)) % _FOLDS
    for number in range(_FOLDS):
        others, noise = _maximised(own[fold != number], weight[fold != number], turns)
        held[fold == number] = _evidence(own[fold == number], others, noise, turns)
    evidence[present] = held
    return Shapes(shapes, precision, evidence, _apart(shapes, precision, turns), present)


def _phase(turns: Turns, components: int) -> Complex:
    """Return the factors (K, M) by which each rotation turns the components."""
    m, k = np.arange(components), np.arange(turns.rotations)
    return np.asarray(np.exp(-2j * np.pi * np.outer(k, m) / turns.rotations))


def _present(rings: Complex, logs: Array) -> NDArray[np.bool_]:
    """Return where there is a molecule: about as much brighter than its outside as others of its polarity."""
    area = _RADII[:-1]
    height = (rings[:, 0, :-1].real * area).sum(axis=1) / area.sum() - rings[:, 0, -1].real
    down = logs.max(axis=2).argmax(axis=1)
    present = np.ones(len(rings), bool)
    for place in range(logs.shape[1]):
        own = down == place
        if own.sum() < 4:
            continue
        middle = float(np.median(height[own]))
        spread = 1.4826 * float(np.median(np.abs(height[own] - middle)))
        present[own] = height[own] > min(_EMPTY * middle, middle - 4 * spread)
    return present


def _guesses(rings: Complex, polarities: int) -> list[Array]:
    """Return first guesses of who is down (n, P): mixtures of two along directions in which profiles differ most."""
    if polarities == 1:
        return [np.ones((len(rings), 1))]
    weight = np.sqrt(np.maximum(_RADII, 0.04))
    profile = rings[:, 0].real
    profile = (profile - (profile @ weight**2 / (weight**2).sum())[:, None]) * weight
    profile = profile - profile.mean(axis=0)
    _, _, axes = np.linalg.svd(profile / max(float(profile.std()), 1e-12), full_matrices=False)
    hollow = np.where(_RADII < 0.12, 1.0, np.where(_RADII < 0.4, -0.5, 0.0)) * weight
    return [_mixed(rings, profile @ axis) for axis in (axes[0], axes[1], hollow)]


def _mixed(rings: Complex, score: Array) -> Array:
    middle = np.quantile(score, [0.2, 0.8])
    weight = np.zeros((len(score), 2))
    sigma, share = float(score.std()) / 2, np.array([0.5, 0.5])
    for _ in range(60):
        weight = _normalised(-0.5 * ((score[:, None] - middle) / max(sigma, 1e-12)) ** 2 + np.log(share))
        number = weight.sum(axis=0) + 1e-9
        middle = score @ weight / number
        sigma = float(np.sqrt(np.sum(weight * (score[:, None] - middle) ** 2) / len(score)))
        share = number / number.sum()
    hollow = [_middle(rings[:, 0].real, weight[:, place]) for place in (0, 1)]
    return np.asarray(weight if hollow[0] <= hollow[1] else weight[:, ::-1])


def _middle(profiles: Array, weight: Array) -> float:
    """Return how much brighter the middle of these molecules is than their rim."""
    mean = (weight[:, None] * profiles).sum(axis=0) / max(float(weight.sum()), 1e-9)
    return float(mean[0] - mean[3:6].max())


def _started(own: Complex, polarity: Array, offsets: tuple[float, ...], turns: Turns) -> Array:
    """Return first guesses (n, P, K): by the angle of the first component, its zero where most agree, and an offset."""
    weight = np.zeros((len(own), polarity.shape[1], turns.rotations))
    for place in range(polarity.shape[1]):
        first = own[:, 1]
        matrix = np.einsum("n,nr,ns->rs", polarity[:, place], first, first.conj())
        _, vectors = np.linalg.eigh(matrix)
        along = first @ vectors[:, -1].conj()
        steps = turns.rotations * np.angle(along)
        strength = np.abs(along) ** 2 * polarity[:, place]
        zero = (np.angle(np.sum(strength * np.exp(1j * steps))) + np.pi * offsets[place]) / turns.rotations
        aim = zero - 2 * np.pi * np.arange(turns.rotations) / turns.rotations
        weight[:, place] = polarity[:, place, None] * _normalised(4 * np.cos(np.angle(along)[:, None] - aim))
    return weight


def _maximised(own: Complex, weight: Array, turns: Turns) -> tuple[Complex, Complex]:
    """Return shapes (P, M, R), precision (M, R, R) of the noise, from weighted molecules turned back to rotation 0."""
    phase = _phase(turns, own.shape[1])
    number = np.maximum(weight.sum(axis=(0, 2)), 1e-9)
    turned = np.einsum("npk,km->pnm", weight, phase.conj())
    shapes = np.einsum("nmr,pnm->pmr", own, turned) / number[:, None, None]
    precision = np.empty((own.shape[1], own.shape[2], own.shape[2]), complex)
    for m in range(own.shape[1]):
        joint = own[:, m].T @ own[:, m].conj() / len(own)
        joint = joint - np.einsum("p,pr,ps->rs", number / number.sum(), shapes[:, m], shapes[:, m].conj())
        joint += np.eye(len(joint)) * (2e-3 * np.trace(joint).real / len(joint) + 1e-18)
        precision[m] = np.linalg.inv(joint)
    return np.asarray(shapes), precision


def _evidence(rings: Complex, shapes: Complex, precision: Complex, turns: Turns) -> Array:
    """Return log likelihoods (N, P, K) up to a constant of each molecule."""
    phase = _phase(turns, rings.shape[1])
    found = np.zeros((len(rings), len(shapes), turns.rotations))
    for m in range(rings.shape[1]):
        factor = 0.5 if m == 0 else 1.0  # the mean along a ring is real: half as many numbers
        told = rings[:, m] @ precision[m].T
        cross = np.einsum("nr,pr->np", told.conj(), shapes[:, m])
        own = np.einsum("pr,rs,ps->p", shapes[:, m].conj(), precision[m], shapes[:, m]).real
        found += factor * (2 * (cross[:, :, None] * phase[None, None, :, m]).real - own[None, :, None])
    return found


def _normalised(logs: Array) -> Array:
    axes = tuple(range(1, logs.ndim))
    weight = np.exp(logs - logs.max(axis=axes, keepdims=True))
    return np.asarray(weight / weight.sum(axis=axes, keepdims=True))


def _total(own: Complex, logs: Array, precision: Complex) -> float:
    """Return the log likelihood of all molecules, states unknown."""
    top = logs.max(axis=(1, 2))
    each = np.log(np.exp(logs - top[:, None, None]).sum(axis=(1, 2))) + top
    return float(each.sum()) + _volume(own, precision)


def _volume(own: Complex, precision: Complex) -> float:
    """Return the part of the log likelihood that is the same for all states."""
    total = 0.0
    for m, one in enumerate(precision):
        half = 0.5 if m == 0 else 1.0
        size = np.einsum("nr,rs,ns->", own[:, m].conj(), one, own[:, m]).real
        total += half * (len(own) * float(np.linalg.slogdet(one)[1]) - float(size))
    return total


def _apart(shapes: Complex, precision: Complex, turns: Turns) -> tuple[Array, float]:
    """Return the distance (in sigma) between neighbouring rotations of each polarity, and between polarities."""
    phase = _phase(turns, shapes.shape[1])
    rotations = np.zeros(len(shapes))
    polar = 0.0
    for m in range(shapes.shape[1]):
        factor = 1.0 if m == 0 else 2.0
        for place, shape in enumerate(shapes[:, m]):
            step = shape * (phase[1, m] - phase[0, m])
            rotations[place] += factor * float((step.conj() @ precision[m] @ step).real)
        if len(shapes) == 2 and m == 0:
            step = shapes[1, m] - shapes[0, m]
            polar += factor * float((step.conj() @ precision[m] @ step).real)
    return np.sqrt(rotations), float(np.sqrt(polar))


def bright_angles(shapes: Shapes, turns: Turns) -> Array:
    """Return the direction (P,) in degrees, 0 to 360 / n, of the brightest corner of each polarity at rotation 0."""
    samples = 720
    turn = np.arange(samples) / samples
    m = np.arange(1, shapes.shapes.shape[1])
    found = []
    for shape in shapes.shapes:
        around = (shape[1:] * np.abs(_RADII)).sum(axis=1)
        curve = (around[:, None] * np.exp(2j * np.pi * np.outer(m[: len(around)], turn))).real.sum(axis=0)
        found.append(float(turn[curve.argmax()]) * 360 / turns.symmetry)
    return np.array(found)
