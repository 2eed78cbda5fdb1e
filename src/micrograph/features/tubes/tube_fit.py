"""Which tube a strip shows: every tube that may be is fitted with its pose and the lens; likelihoods are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from micrograph.features.tubes.tube_model import FREE, MEASURED, OF_EQUATOR, Beam, Place, TubeModel
from micrograph.features.tubes.tube_strip import Array, Complex, Strip
from micrograph.structures import Tube
from micrograph.structures.nanotube import FIRST_PER_NM

#: Defocus values (nm) from which fits begin.
FOCI_NM = (-18, -15.5, -13.5, -11.5, -9.5, -8, -6.5, -5, -3.5, -2, 2, 3.5, 5, 6.5, 8, 9.5, 11.5, 13.5, 15.5, 18)
#: Fits end when the logarithm of the posterior rises by less, or after so many steps.
_ENOUGH, _STEPS = 0.03, 12
#: Rounds of a comparison: steps of each fit, and the share of the best fit's gain by which others may lie behind.
_ROUNDS = ((3, 0.06), (4, 0.01), (_STEPS, 0.0))
#: Tubes whose logarithm of the likelihood is lower than the best one's by more than this, and by 5 % of it, are left.
_FAR = 40.0
#: Foci (nm) that are one; places of a ring that are followed.
_SAME_FOCUS_NM, _MOST_PLACES = 1.0, 3
#: A fit leaves more than noise where the squared residual per coefficient is above this.
_POOR = 1.35
_TWO_PI = 2 * np.pi
_LOOSE = ("wider", "twist")


@dataclass(frozen=True)
class Priors:
    """What is known before: the middle of everything in `middle`, and its 1-sigma by name."""

    middle: Place = field(default_factory=Place)
    sigma: Mapping[str, float] = field(
        default_factory=lambda: {
            "across_nm": 0.3,
            "slide1": 10.0,
            "slide2": 10.0,
            "turn": 0.02,
            "scale": 0.01,
            "tilt": np.deg2rad(3.0),
            "defocus_nm": 20.0,
            "cs_um": 10.0,
            "along_nm": 2.0,
            "diagonal_nm": 2.0,
            "gain": 0.5,
            "blur_nm2": 0.012,
            "spread_nm4": 0.001,
            "wider": 0.05,
            "twist": 0.05,
        }
    )

    def widths(self, names: tuple[str, ...]) -> Array:
        """Return the 1-sigma of some values in order."""
        return np.array([self.sigma[name] for name in names])


@dataclass(frozen=True)
class TubeFit:
    """A tube at its likeliest place.

    log_posterior: of the place, over that of an empty strip; log_evidence: the same, summed over all places (Laplace);
    covariance: of the values called `names`; misfit: squared residual per coefficient, 1 for noise alone; in_lines:
    what the layer lines apart from the equator add to the logarithm of the likelihood.
    """

    model: TubeModel
    place: Place
    names: tuple[str, ...]
    log_posterior: float
    log_evidence: float
    covariance: Array
    misfit: float
    in_lines: float

    @property
    def tube(self) -> Tube:
        """The tube that was fitted."""
        return self.model.tube


def fitted(
    model: TubeModel, start: Place, priors: Priors, names: tuple[str, ...] = FREE, steps: int = _STEPS
) -> TubeFit:
    """Return the likeliest place of a tube near `start`, by damped Gauss-Newton steps."""
    data, middle, width = model.data, priors.middle.values(names), priors.widths(names)

    def badness(waves: Complex, place: Place) -> float:
        pull = (place.values(names) - middle) / width
        return float(np.sum(np.abs(data - waves) ** 2) + pull @ pull / 2)

    place, damping = start, 1e-3
    waves, slopes = model.slopes(place, names)
    bad = badness(waves, place)
    for _ in range(steps):
        normal, rise = _normal(slopes, data - waves, place, (names, middle, width))
        before = bad
        while damping < 1e4:
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), rise)
            trial = place.moved(names, step)
            waves = model(trial)
            if (after := badness(waves, trial)) < bad:
                place, bad, damping = trial, after, max(damping / 6, 1e-6)
                break
            damping *= 6
        if before - bad < _ENOUGH:
            break
        waves, slopes = model.slopes(place, names)
    waves, slopes = model.slopes(place, names)
    normal, _ = _normal(slopes, data - waves, place, (names, middle, width))
    gained = float(np.sum(np.abs(data) ** 2)) - bad
    evidence = gained - np.linalg.slogdet(normal * width[:, None] * width)[1] / 2
    rest = np.abs(data - waves) ** 2
    misfit = float(rest.sum()) / max(model.counted, 1.0)
    in_lines = float(np.sum((np.abs(data) ** 2 - rest)[model.beyond_equator]))
    return TubeFit(model, place, names, gained, float(evidence), np.linalg.inv(normal), misfit, in_lines)


def _normal(
    slopes: Complex, rest: Complex, place: Place, prior: tuple[tuple[str, ...], Array, Array]
) -> tuple[Array, Array]:
    """Return the matrix (P, P) of second derivatives and the gradient (P,) of the log posterior."""
    names, middle, width = prior
    flat = slopes.reshape(len(slopes), -1)
    normal = 2 * (flat.conj() @ flat.T).real + np.diag(1 / width**2)
    return normal, 2 * (flat.conj() @ rest.ravel()).real - (place.values(names) - middle) / width**2


@dataclass(frozen=True)
class Ring:
    """A ring of carbon that fits the equator: its place, and its diameter (nm) on the given pixel size with 1-sigma."""

    place: Place
    diameter_nm: float
    sigma_nm: float


def rings(strip: Strip, tube: Tube, beam: Beam, priors: Priors, foci_nm: Sequence[float]) -> list[Ring]:
    """Return the rings of about the diameter of `tube` that fit the equator, the likeliest first.

    Fits begin at each of `foci_nm`; of those that end at the same focus one is kept, and none that is far behind.
    """
    model = TubeModel(strip, tube, beam, equator=True)
    fits = [fitted(model, replace(priors.middle, defocus_nm=focus), priors, OF_EQUATOR) for focus in foci_nm]
    fits.sort(key=lambda fit: -fit.log_posterior)
    kept: list[TubeFit] = []
    for fit in fits:
        near = any(abs(fit.place.defocus_nm - one.place.defocus_nm) < _SAME_FOCUS_NM for one in kept)
        if not near and fit.log_posterior > fits[0].log_posterior - _FAR - 0.02 * abs(fits[0].log_posterior):
            kept.append(fit)
    return [_ring(fit) for fit in kept[:_MOST_PLACES]]


def _ring(fit: TubeFit) -> Ring:
    sigma = np.sqrt(fit.covariance[OF_EQUATOR.index("wider"), OF_EQUATOR.index("wider")])
    diameter = fit.tube.diameter_nm
    return Ring(replace(fit.place, wider=0.0), diameter * (1 + fit.place.wider), diameter * float(sigma))


@dataclass(frozen=True)
class Guess:
    """A tube and a place to begin from, with the logarithm of the likelihood ratio that it has there."""

    tube: Tube
    place: Place
    score: float


#: Slides of the lattice that are tried: a grid over the unit cell.
_SLIDES = np.stack(np.meshgrid(np.arange(12) / 12, np.arange(12) / 12, indexing="ij"), axis=-1).reshape(-1, 2)


def guesses(strip: Strip, beam: Beam, found: Sequence[Ring], tubes: Sequence[Tube], priors: Priors) -> list[Guess]:
    """Return for each of the `tubes` that may be, and each ring, where to begin, the best of all first.

    A tube may be where its diameter is the ring's within the errors of both ring and pixel size; their ratio is the
    error of the pixel size. Layer lines are matched to the strip at the best tilt and the best slide of the lattice.
    """
    begin = []
    for ring in found:
        off = 3.2 * np.hypot(priors.sigma["scale"], ring.sigma_nm / ring.diameter_nm) + 0.002
        for tube in tubes:
            ratio = tube.diameter_nm / ring.diameter_nm
            if abs(ratio - 1) < off:
                begin.append(_guess(TubeModel(strip, tube, beam), ring, ratio, 2 * priors.sigma["tilt"]))
    return sorted(begin, key=lambda guess: -guess.score)


def _guess(model: TubeModel, ring: Ring, scale: float, most_tilt: float) -> Guess:
    """Return where to begin with one tube: the tilt, the pixel size and the slide of its lattice that suit best."""
    strip, (rows, _) = model.strip, model.rows
    step = 0.5 / (FIRST_PER_NM * strip.length_nm)
    reach = int(min(2 * ring.sigma_nm / ring.diameter_nm / step + 0.5, 4))
    scaled = [replace(ring.place, scale=scale * (1 + step * number)) for number in range(-reach, reach + 1)]
    lean = 0.8 / (np.pi * model.tube.diameter_nm * FIRST_PER_NM)
    number = int(most_tilt / lean + 0.5)
    tilted = [replace(scaled[reach], tilt=float(lean * one)) for one in range(-number, number + 1)]
    waves = np.stack([model.amplitude(place, model.section(place)) for place in tilted])
    unit = strip.gain[rows] * strip.weight[rows]
    spread = np.stack([model.profile(place) for place in scaled])
    sums = np.einsum("tlc,slc->tsl", np.conj(waves), np.sum(spread * strip.data[rows] * unit, axis=2))
    norms = np.einsum("tlc,slc->ts", np.abs(waves) ** 2, np.sum(spread**2 * strip.gain[rows] * unit, axis=2))
    match = np.real(sums @ np.exp(1j * _TWO_PI * (_SLIDES @ model.index.T)).T)
    gained = 2 * match.max(axis=2) - norms
    t, s = np.unravel_index(int(gained.argmax()), gained.shape)
    slide = _SLIDES[int(match[t, s].argmax())]
    place = replace(scaled[s], tilt=tilted[t].tilt, slide1=float(slide[0]), slide2=float(slide[1]))
    return Guess(model.tube, place, float(gained[t, s]))


def compared(beginnings: Sequence[Guess], strip: Strip, beam: Beam, priors: Priors, most: int) -> list[TubeFit]:
    """Return the fits of the tubes that may be, the best first, of either hand.

    The best `most` beginnings are followed for a few steps, and where none fits well their mirror images and more
    beginnings; those that are not far behind then go on, twice.
    """
    fits: list[TubeFit] = []
    first, rest = beginnings[:most], beginnings[most : 3 * most]
    turns = (
        [(guess, False) for guess in first] + [(guess, True) for guess in first] + [(guess, False) for guess in rest]
    )
    for number, (guess, mirrored) in enumerate(turns):
        if number >= len(first) and min(fit.misfit for fit in fits) < _POOR:
            break
        begin = replace(guess.place, tilt=-guess.place.tilt if mirrored else guess.place.tilt)
        fits.append(fitted(TubeModel(strip, guess.tube, beam, mirrored), begin, priors, steps=_ROUNDS[0][0]))
    for (_, share), (steps, _) in pairwise(_ROUNDS):
        near = _near(fits, share)
        fits = [fitted(fit.model, fit.place, priors, steps=steps) for fit in near]
    near = _near(fits, 0.0)
    for fit in near:
        begin = replace(fit.place, tilt=-fit.place.tilt)
        fits.append(fitted(TubeModel(strip, fit.tube, beam, not fit.model.mirrored), begin, priors))
    return sorted(fits, key=lambda fit: -fit.log_evidence)


def _near(fits: Sequence[TubeFit], share: float) -> list[TubeFit]:
    """Return the best fit of each tube that is not far behind the best of all: `_FAR` and a `share` of its gain."""
    kept: dict[Tube, TubeFit] = {}
    for fit in sorted(fits, key=lambda fit: -fit.log_posterior):
        kept.setdefault(fit.tube, fit)
    best = max(fit.log_posterior for fit in fits)
    return [fit for fit in kept.values() if fit.log_posterior >= best - _FAR - share * abs(best)]


@dataclass(frozen=True)
class Posterior:
    """How probable each tube is: `tubes` with their `probability` (T,), the likeliest first."""

    tubes: tuple[Tube, ...]
    probability: Array


def posterior(fits: Sequence[TubeFit]) -> Posterior:
    """Return the probabilities of the fitted tubes, all equally likely before; either hand counts half.

    Where the best fit leaves more than noise, likelihoods count less, by the residual per coefficient.
    """
    doubt = max(fits[0].misfit, 1.0)
    best = fits[0].log_evidence
    weight: dict[Tube, float] = {}
    for fit in fits:
        weight[fit.tube] = weight.get(fit.tube, 0.0) + float(np.exp((fit.log_evidence - best) / doubt))
    order = sorted(weight, key=lambda tube: -weight[tube])
    shares = np.array([weight[tube] for tube in order])
    return Posterior(tuple(order), shares / shares.sum())


@dataclass(frozen=True)
class Measured:
    """Diameter (nm) and chiral angle (degrees) from the image alone, and their covariance (2, 2)."""

    diameter_nm: float
    angle_deg: float
    covariance: Array


def measured(fit: TubeFit, priors: Priors) -> Measured:
    """Return what the image says of diameter and angle when the lattice need not close around the tube.

    Begins from the likeliest tube and lets its radius and the direction of its lattice go; the spacing of its layer
    lines, graphene's own, corrects the pixel size as far as it is not known.
    """
    free = fitted(fit.model, fit.place, priors, MEASURED, steps=6)
    diameter = fit.tube.diameter_nm * (1 + free.place.wider)
    angle = fit.tube.angle_deg + np.rad2deg(free.place.twist)
    moved = free.place.values(_LOOSE)
    where = [free.names.index(name) for name in _LOOSE]
    spread = free.covariance[np.ix_(where, where)] * max(free.misfit, 1.0)
    gained = max(free.log_posterior - fit.log_posterior, 0.5)
    wide = np.maximum(np.abs(moved) / np.sqrt(2 * gained) / np.sqrt(np.diag(spread)), 1.0)
    unit = np.array([fit.tube.diameter_nm, np.rad2deg(1.0)]) * wide
    return Measured(float(diameter), float(angle), spread * np.outer(unit, unit))
