"""Checks of spectra told by images: assemblies never seen, lower doses, other sizes, many dipoles a particle, maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.layers.latent import invariants, polar_views, principal, ring_radii, turned_alike
from micrograph.features.objects.bodies import standard_image
from micrograph.features.objects.overlap import best_overlap
from micrograph.features.spectra.spectral_basis import peak_of
from micrograph.infer.map_halves import Plan, read_masks
from micrograph.infer.plasmon_model import PlasmonModel
from micrograph.simulate.signals.plasmon_assemblies import (
    Assembly,
    AssemblyRanges,
    electrons_for,
    noisy_image,
    random_assembly,
    spectrum_map,
)
from micrograph.simulate.signals.plasmons import Spectrometer
from micrograph.validate.checks import Analyser, Check, Direction, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.shared import Shared
from micrograph.validate.spectra.plasmon_dipoles import dipole_losses

Array = NDArray[np.float64]

#: Places of each assembly; assemblies of which spectra with their surroundings are known, and places of each.
PLACES, KNOWN, KNOWN_PLACES = 10, 150, 40
#: How far surroundings reach (nm): those that tell a spectrum, and those that a spectrum tells.
_WIDE_NM, _CLOSE_NM = 45.0, 12.0
#: Rings of a mask, and points of each.
_RINGS, _POINTS = 14, 24


@dataclass(frozen=True)
class PlasmonTrial:
    """Assemblies that are judged: whence they are drawn, the SNR of spectra and images, the pixel; `across`: dipoles
    along the shortest axis of a particle, 0 for one dipole each (then places outside the particles are asked for).
    """

    name: str
    ranges: AssemblyRanges = field(default_factory=AssemblyRanges)
    snr: float = 20.0
    image_snr: float = 25.0
    pixel_nm: float = 1.5
    number: int = 40
    across: int = 0


@dataclass(frozen=True)
class Judged:
    """One assembly: spectra (P, E) that were told with 1-sigma, expected, recorded, of the nearest surroundings, the
    mean of those known; variance of what was recorded; overlaps (P, 3) of told, nearest and mean surroundings.
    """

    told: Array
    sigma: Array
    truth: Array
    recorded: Array
    nearest: Array
    mean: Array
    variance: Array
    overlap: Array


@dataclass(frozen=True)
class Library:
    """Places of assemblies that are known: numbers of the surroundings (N, F), spectra (N, E), masks (N, R, P)."""

    numbers: Callable[[Array], Array]
    known: Array
    spectra: Array
    masks: NDArray[np.bool_]


_SEEN: Shared[tuple[Judged, ...]] = Shared()
_MAPS: Shared[tuple[dict[str, float], ...]] = Shared()


def recorded_of(losses: Array) -> Array:
    """Return losses (P, E) as recorded, without the zero-loss peak, a share of the electrons."""
    bright = Spectrometer(electrons=1.0)
    return np.asarray(bright.expected(losses) - bright.expected(0 * losses))


def _views(
    image: NDArray[np.floating[Any]], probe: Array, pixel: float, reach: float, rings: int, points: int
) -> Array:
    radii = ring_radii(reach / pixel, rings)
    return polar_views(standard_image(image), probe / pixel - 0.5, radii, points, mirrored=False)


def _masks(assembly: Assembly, probe: Array) -> NDArray[np.bool_]:
    """Return where particles are about places, in rings, without noise."""
    pixel = 0.5
    shape = (int(assembly.size_nm[0] / pixel), int(assembly.size_nm[1] / pixel))
    there = (assembly.particles.thickness_nm(shape, pixel) > 0) * 1.0
    radii = ring_radii(_CLOSE_NM / pixel, _RINGS)
    seen = polar_views(there, probe / pixel - 0.5, radii, _POINTS, mirrored=False) > 0.5
    return turned_alike(seen * 1.0) > 0.5


def library(rng: np.random.Generator) -> Library:
    """Return places of assemblies that the judged ones are compared with."""
    energy, views, spectra, masks = Spectrometer().energy_eV, [], [], []
    for _ in range(KNOWN):
        assembly = random_assembly(AssemblyRanges(), rng)
        probe = assembly.near(rng, KNOWN_PLACES)
        shape = (int(assembly.size_nm[0] / 1.5), int(assembly.size_nm[1] / 1.5))
        image = noisy_image(assembly.particles.thickness_nm(shape, 1.5), 25.0, rng)
        views.append(invariants(_views(image, probe, 1.5, _WIDE_NM, 32, 48)))
        spectra.append(recorded_of(assembly.losses(probe, energy)))
        masks.append(_masks(assembly, probe))
    every = np.concatenate(views)
    scores = principal(every, 40)
    return Library(scores, scores(every), np.concatenate(spectra), np.concatenate(masks))


def _places(trial: PlasmonTrial, assembly: Assembly, rng: np.random.Generator) -> Array:
    if not trial.across:
        return assembly.near(rng, PLACES)
    many = assembly.near(rng, 40 * PLACES)
    bodies = assembly.particles
    away = many[:, None] - bodies.place_nm
    cos, sin = np.cos(bodies.angle), np.sin(bodies.angle)
    along, across = away[..., 1] * cos + away[..., 0] * sin, away[..., 0] * cos - away[..., 1] * sin
    outside = (along / (bodies.semi_nm[:, 0] + 1)) ** 2 + (across / (bodies.semi_nm[:, 1] + 1)) ** 2 > 1
    return many[outside.all(axis=1)][:PLACES]


def judged(trial: PlasmonTrial, seed: int) -> tuple[Judged, ...]:
    """Return the assemblies of a trial with what was told of them."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    books, energy = library(np.random.default_rng([seed, 1])), Spectrometer().energy_eV
    tree, mean, found = cKDTree(books.known), books.spectra.mean(axis=0), []
    for _ in range(trial.number):
        assembly = random_assembly(trial.ranges, rng)
        probe = _places(trial, assembly, rng)
        losses = (
            dipole_losses(assembly.particles, assembly.metal, probe, energy, across=trial.across)
            if trial.across
            else assembly.losses(probe, energy)
        )
        shape = (int(assembly.size_nm[0] / trial.pixel_nm), int(assembly.size_nm[1] / trial.pixel_nm))
        image = noisy_image(assembly.particles.thickness_nm(shape, trial.pixel_nm), trial.image_snr, rng)
        told = PlasmonModel()(image, trial.pixel_nm, probe)
        truth, shot = recorded_of(losses), Spectrometer()
        shot = replace(shot, electrons=electrons_for(losses, trial.snr, shot))
        empty = shot.expected(0 * losses)
        recorded = (shot.recorded(losses, rng) - empty) / shot.electrons
        variance = shot.expected(losses) / shot.electrons**2
        _, near = tree.query(books.numbers(invariants(_views(image, probe, trial.pixel_nm, _WIDE_NM, 32, 48))))
        overlap = _overlaps(books, recorded, np.sqrt(variance.mean(axis=0)), _masks(assembly, probe))
        found.append(Judged(told.mean, told.sigma, truth, recorded, books.spectra[near], mean, variance, overlap))
    return tuple(found)


def _overlaps(books: Library, recorded: Array, noise: Array, wanted: NDArray[np.bool_]) -> Array:
    """Return overlaps (P, 3) of surroundings that spectra tell, of the nearest spectrum, and of the mean."""
    radii = ring_radii(_CLOSE_NM, _RINGS)
    likely, nearest = read_masks(books.spectra, noise, books.masks, recorded, radii, Plan())
    mean = np.repeat(books.masks.mean(axis=0, keepdims=True) > 0.5, len(wanted), axis=0)
    found = np.stack([best_overlap(one, wanted, radii) for one in (likely, nearest, mean)], axis=1)
    found[wanted.mean(axis=(1, 2)) < 0.02] = np.nan
    return found


def _explained(seen: Sequence[Judged], of: Callable[[Judged], Array]) -> float:
    """Return R^2 of what `of` gives, against the recorded spectra, about the mean spectrum that was known."""
    left = sum(float(np.sum((of(one) - one.recorded) ** 2)) for one in seen)
    return 1 - left / sum(float(np.sum((one.mean - one.recorded) ** 2)) for one in seen)


def _peak_error(seen: Sequence[Judged], of: Callable[[Judged], Array]) -> float:
    energy = Spectrometer().energy_eV
    errors = [np.abs(peak_of(of(one), energy)[0] - peak_of(one.truth, energy)[0]) for one in seen]
    return float(np.mean(np.concatenate(errors)))


def _of_trial(
    trial: PlasmonTrial, name: str, bound: float, direction: Direction, of: Callable[[tuple[Judged, ...]], Measurement]
) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        return of(_SEEN.found(trial.name, analyser, rng, lambda seed: judged(trial, seed)))

    return Check(f"{trial.name}: {name}", measure, bound, direction, data=trial.name)


def _drawn(statistic: Callable[[Sequence[Judged]], float], seen: tuple[Judged, ...]) -> Measurement:
    return Measurement.of(bootstrap(statistic, seen, np.random.default_rng(0), resamples=400))


def explained(trial: PlasmonTrial, *, at_least: float) -> Check:
    """Return the check of R^2 against recorded spectra; limit: the noise ceiling; baseline: nearest surroundings."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        total = sum(float(np.sum((one.mean - one.recorded) ** 2)) for one in seen)
        ceiling = 1 - sum(float(one.variance.sum()) for one in seen) / total
        clean = 1 - sum(float(np.sum((one.told - one.truth) ** 2)) for one in seen) / sum(
            float(np.sum((one.mean - one.truth) ** 2)) for one in seen
        )
        found = _drawn(lambda drawn: _explained(drawn, lambda one: one.told), seen)
        near = _explained(seen, lambda one: one.nearest)
        return replace(found, limit=ceiling, baseline=near, detail=f"{len(seen)} assemblies; without noise {clean:.3f}")

    return _of_trial(trial, "R2 of spectra told by the image", at_least, ">=", of)


def peak_error(trial: PlasmonTrial, *, at_most_eV: float) -> Check:
    """Return the check of the peak's energy (mean absolute error); baseline: nearest surroundings."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        found = _drawn(lambda drawn: _peak_error(drawn, lambda one: one.told), seen)
        mean = _peak_error(seen, lambda one: np.repeat(one.mean[None], len(one.told), axis=0))
        near = _peak_error(seen, lambda one: one.nearest)
        return replace(found, baseline=near, detail=f"the mean spectrum {mean:.4f} eV")

    check = _of_trial(trial, "error of the peak's energy (eV)", at_most_eV, "<=", of)
    return replace(check, unit="eV")


def over_baselines(trial: PlasmonTrial, *, at_most: float) -> Check:
    """Return the check of the error (rms) over that of the better of nearest surroundings and mean spectrum."""

    def ratio(seen: Sequence[Judged]) -> float:
        squares = np.zeros(3)
        for one in seen:
            squares += [float(np.sum((part - one.recorded) ** 2)) for part in (one.told, one.nearest, one.mean)]
        return float(np.sqrt(squares[0] / squares[1:].min()))

    return _of_trial(trial, "error over that of the better baseline", at_most, "<=", lambda seen: _drawn(ratio, seen))


def band_error(trial: PlasmonTrial, *, at_most: float) -> Check:
    """Return the check of the bands: how far the shares within 1 and 1.96 sigma are off 68.3 and 95 %."""

    def shares(seen: Sequence[Judged]) -> tuple[float, float]:
        pull = np.concatenate([(np.abs(one.told - one.truth) / one.sigma).ravel() for one in seen])
        return float(np.mean(pull < 1)), float(np.mean(pull < 1.96))

    def off(seen: Sequence[Judged]) -> float:
        one, two = shares(seen)
        return max(abs(one - 0.683), abs(two - 0.95))

    def of(seen: tuple[Judged, ...]) -> Measurement:
        one, two = shares(seen)
        return replace(_drawn(off, seen), detail=f"{one:.3f} within 1 sigma, {two:.3f} within 1.96 sigma")

    return _of_trial(trial, "coverage of the bands, off 68.3 and 95 %", at_most, "<=", of)


def overlap(trial: PlasmonTrial, *, at_least: float) -> Check:
    """Return the check of surroundings told by a noisy spectrum (IoU, turned at best); baseline: the nearest one."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        found = _drawn(lambda drawn: float(np.nanmean(np.concatenate([one.overlap[:, 0] for one in drawn]))), seen)
        near, mean = (float(np.nanmean(np.concatenate([one.overlap[:, k] for one in seen]))) for k in (1, 2))
        words = f"within {_CLOSE_NM:g} nm, of {KNOWN * KNOWN_PLACES} known places; mean mask {mean:.3f}"
        return replace(found, baseline=near, detail=words)

    return _of_trial(trial, "overlap of surroundings told by the spectrum (IoU)", at_least, ">=", of)


#: Maps that are half learned from.
MAPS = 3


def _maps(analyser: Analyser, seed: int) -> tuple[dict[str, float], ...]:
    rng, found = np.random.default_rng(seed), []
    for kind in ("chain", "island", "patch")[:MAPS]:
        ranges = replace(AssemblyRanges(), kinds=((kind, 1.0),))
        made = spectrum_map(random_assembly(ranges, rng), rng, step_nm=4.0)
        row = analyser.movie(made.recording())["summary"].iloc[0]
        found.append({str(name): float(value) for name, value in row.items()})
    return tuple(found)


def map_explained(*, at_least: float) -> Check:
    """Return the check of R^2 on unseen halves of maps, as a share of the noise ceiling; baseline: nearest places."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seen = _MAPS.found("maps", analyser, rng, lambda seed: _maps(analyser, seed))
        interval = bootstrap(lambda rows: float(np.mean([one["r2"] for one in rows])), seen, np.random.default_rng(0))
        near, ceiling = (float(np.mean([one[name] for one in seen])) for name in ("r2_nearest", "r2_ceiling"))
        off = ", ".join(f"{one['peak_error_eV']:.4f}" for one in seen)
        words = f"{len(seen)} maps, each half told by the other; peaks off by {off} eV"
        return Measurement.of(interval, limit=ceiling, baseline=near, detail=words)

    return Check("maps: R2 of unseen halves", measure, at_least, ">=", data="maps")
