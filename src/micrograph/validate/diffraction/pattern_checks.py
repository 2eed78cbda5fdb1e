"""Checks of convergent-beam patterns: thickness and tilt against the truth, the Cramer-Rao bound and a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording, SignalAxis
from micrograph.features.diffraction.pattern_bank import make_bank
from micrograph.features.diffraction.pattern_fit import Geometry, PatternFit, Prepared, expected, fit_pattern
from micrograph.features.diffraction.pattern_start import likely_places, start_values
from micrograph.simulate.patterns.pattern_cache import cached_library
from micrograph.structures.zone_cell import zone_cell
from micrograph.validate.checks import Analyser, Check, Direction, Measurement
from micrograph.validate.diffraction.pacbed_multislice import VOLTAGE_KV, shipped_patterns
from micrograph.validate.intervals import bootstrap, clopper_pearson
from micrograph.validate.shared import Shared

Array = NDArray[np.float64]

#: Side of the detector, and angles beyond the disc that it sees (mrad).
SIDE, BEYOND_MRAD = 128, 7.0
#: Share of what is not scattered elastically that falls into the pattern, smoothly.
DIFFUSE = 0.35
_WIDE_MRAD = 12.0


@dataclass(frozen=True)
class PatternTrial:
    """Patterns at 200 kV: `each` of every convergence, of random geometry, tilt up to `tilt_mrad`.

    crystal: structure and zone axis. With `other` they come from the other simulator (of SrTiO3): all that it has in
    the range of thickness, `each` times.
    """

    name: str
    thickness_nm: tuple[float, float]
    convergences_mrad: tuple[float, ...] = (10.0, 13.6, 19.1, 25.0)
    electrons: float = 1e5
    each: int = 15
    tilt_mrad: float = 4.0
    other: bool = False
    crystal: tuple[str, str] = ("SrTiO3", "001")


@dataclass(frozen=True)
class Fitted:
    """What was found in the patterns of a trial (N,): thickness and its truth, error of tilt, bounds, baseline.

    error_nm, sigma_nm, bound_nm, search_nm: error of the fit, its 1-sigma, the least that counting allows, error of the
    search of the library by least squares; tilt_mrad (N, 2) errors, tilt_sigma_mrad (N, 2).
    """

    error_nm: Array
    sigma_nm: Array
    bound_nm: Array
    search_nm: Array
    tilt_mrad: Array
    tilt_sigma_mrad: Array


_Drawn = tuple[NDArray[np.float32], PatternFit]
_KNOWN: Shared[Fitted] = Shared()


def fitted(trial: PatternTrial, analyser: Analyser, rng: np.random.Generator) -> Fitted:
    """Return what the recipe says of the patterns of a trial; checks that draw the same share it."""
    return _KNOWN.found(trial, analyser, rng, lambda seed: _fitted(trial, analyser, np.random.default_rng(seed)))


def _fitted(trial: PatternTrial, analyser: Analyser, rng: np.random.Generator) -> Fitted:
    rows: list[list[float]] = []
    for convergence in trial.convergences_mrad:
        drawn = _others(trial, convergence, rng) if trial.other else own_patterns(trial, convergence, rng)
        if not drawn:
            continue
        pitch = drawn[0][1].geometry.mrad_per_px
        images = [image for image, _ in drawn]
        found = _of_crystal(analyser, trial).movie(recording_of(images, convergence, pitch))["objects"]
        library = cached_library(zone_cell(*trial.crystal), VOLTAGE_KV, convergence)
        prepared, bank = Prepared.of(library), make_bank(library)
        for number, (image, truth) in enumerate(drawn):
            row = found[found["frame"] == number].iloc[0]
            ideal = fit_pattern(image, prepared, truth, most=0)
            search = start_values(image, bank, likely_places(image, bank, pitch))[0]
            rows.append(
                [
                    row["thickness_nm"] - truth.thickness_nm,
                    row["thickness_sigma_nm"],
                    ideal.bound[0],
                    search.thickness_nm - truth.thickness_nm,
                    row["tilt_y_mrad"] - truth.tilt_mrad[0],
                    row["tilt_x_mrad"] - truth.tilt_mrad[1],
                    row["tilt_y_sigma_mrad"],
                    row["tilt_x_sigma_mrad"],
                ]
            )
    table = np.array(rows)
    return Fitted(table[:, 0], table[:, 1], table[:, 2], table[:, 3], table[:, 4:6], table[:, 6:8])


def _of_crystal(analyser: Any, trial: PatternTrial) -> Analyser:
    """Return the analyser of the recipe whose settings name the crystal of a trial."""
    settings = dict(zip(("structure", "zone_axis"), trial.crystal, strict=True))
    changed: Analyser = replace(analyser, recipe=analyser.recipe.with_settings(settings))
    return changed


def recording_of(images: list[NDArray[np.float32]], convergence_mrad: float, mrad_per_px: float) -> Recording:
    """Return patterns as a recording of a known microscope."""
    scale = Calibration(
        voltage_kV=VOLTAGE_KV, convergence_mrad=convergence_mrad, signal_axis=SignalAxis("mrad", mrad_per_px)
    )
    return Recording(images.__getitem__, range(len(images)), scale, images[0].shape, name="patterns")


def own_patterns(trial: PatternTrial, convergence: float, rng: np.random.Generator) -> list[_Drawn]:
    """Return patterns (SIDE, SIDE) of counts that the library expects, with their truth."""
    library = cached_library(zone_cell(*trial.crystal), VOLTAGE_KV, convergence)
    wide = Prepared.of(library, _WIDE_MRAD)
    pitch = 2 * (convergence + BEYOND_MRAD) / SIDE
    drawn = []
    for _ in range(trial.each):
        thickness, tilt = float(rng.uniform(*trial.thickness_nm)), trial.tilt_mrad * np.sqrt(rng.random())
        angle = rng.uniform(0, 2 * np.pi)
        y, x = (SIDE - 1) / 2 + rng.uniform(-4, 4, 2)
        place = Geometry(float(y), float(x), pitch, float(rng.uniform(0, 90)))
        lost = DIFFUSE * (1 - float(library.pattern(thickness).sum()))
        smooth = trial.electrons * lost * pitch**2 / (2 * np.pi * 22.0**2)
        truth = PatternFit(
            thickness, (float(tilt * np.sin(angle)), float(tilt * np.cos(angle))), place, trial.electrons, smooth
        )
        image = rng.poisson(np.clip(expected((SIDE, SIDE), wide, truth), 0, None)).astype(np.float32)
        drawn.append((image, truth))
    return drawn


def _others(trial: PatternTrial, convergence: float, rng: np.random.Generator) -> list[_Drawn]:
    """Return noisy patterns of the other simulator with their truth, turned and mirrored as they are."""
    drawn = []
    for one in shipped_patterns():
        if one.convergence_mrad != convergence:
            continue
        for thickness, pattern in zip(one.thickness_nm, one.patterns, strict=True):
            if trial.thickness_nm[0] <= thickness <= trial.thickness_nm[1]:
                middle = len(pattern) // 2
                place = Geometry(middle, middle, one.mrad_per_px)
                truth = PatternFit(float(thickness), one.tilt_mrad, place, trial.electrons)
                for _ in range(trial.each):
                    counts = rng.poisson(trial.electrons * np.clip(pattern, 0, None))
                    drawn.append((counts.astype(np.float32), truth))
    return drawn


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _check(
    name: str, trial: PatternTrial, bound: float, direction: Direction, unit: str, of: Callable[[Fitted], Measurement]
) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        return of(fitted(trial, analyser, rng))

    return Check(f"{name}, {trial.name}", measure, bound, direction, unit, data=f"patterns {trial.name}")


def thickness_error(trial: PatternTrial, *, at_most: float) -> Check:
    """Return the check of the root mean square error of the thickness (nm); limit: Cramer-Rao, baseline: search."""

    def of(found: Fitted) -> Measurement:
        interval = bootstrap(lambda drawn: _rms(np.array(drawn)), list(found.error_nm), np.random.default_rng(0))
        return Measurement.of(
            interval,
            limit=_rms(found.bound_nm),
            baseline=_rms(found.search_nm),
            detail=f"{len(found.error_nm)} patterns; median of the errors {np.median(np.abs(found.error_nm)):.2f} nm",
        )

    return _check("error of the thickness", trial, at_most, "<=", "nm", of)


def tilt_error(trial: PatternTrial, *, at_most: float) -> Check:
    """Return the check of the mean length of the error of the tilt (mrad)."""

    def of(found: Fitted) -> Measurement:
        length = np.hypot(*found.tilt_mrad.T)
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), list(length), np.random.default_rng(0))
        return Measurement.of(interval, detail=f"{len(length)} patterns; median {np.median(length):.3f} mrad")

    return _check("error of the tilt", trial, at_most, "<=", "mrad", of)


def over_bound(trial: PatternTrial, *, at_most: float) -> Check:
    """Return the check of the thickness error over its Cramer-Rao bound, pattern by pattern (root mean square)."""

    def of(found: Fitted) -> Measurement:
        ratio = found.error_nm / found.bound_nm
        interval = bootstrap(lambda drawn: _rms(np.array(drawn)), list(ratio), np.random.default_rng(0))
        return Measurement.of(interval, limit=1.0, detail=f"median {np.median(np.abs(ratio)) / 0.6745:.2f} (robust)")

    return _check("error of the thickness over its bound", trial, at_most, "<=", "", of)


def interval_coverage(trial: PatternTrial, *, at_least: float) -> Check:
    """Return the check of how many 95 % intervals of thickness and tilts hold the truth."""

    def of(found: Fitted) -> Measurement:
        inside = np.concatenate(
            [
                np.abs(found.error_nm) <= 1.96 * found.sigma_nm,
                *(np.abs(found.tilt_mrad) <= 1.96 * found.tilt_sigma_mrad).T,
            ]
        )
        share = float(np.mean(np.abs(found.error_nm) <= 1.96 * found.sigma_nm))
        return Measurement.of(clopper_pearson(int(inside.sum()), len(inside)), detail=f"of the thickness {share:.3f}")

    return _check("95 % intervals that hold the truth", trial, at_least, ">=", "", of)


def foreign_patterns(trial: PatternTrial, *, at_least: float) -> Check:
    """Return the check of how well what is no pattern of the crystal is told from what is (area under the curve).

    Foreign are smooth discs with grain, and the crystal's own patterns with their discs cut in four and mixed up.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own: list[float] = []
        foreign: list[float] = []
        for convergence in trial.convergences_mrad:
            drawn = own_patterns(replace(trial, each=max(3, trial.each // 2)), convergence, rng)
            images = [image for image, _ in drawn]
            pitch = drawn[0][1].geometry.mrad_per_px
            for kept, shown in (
                (own, images),
                (foreign, [_foreign(one, drawn[0][1].geometry, convergence, rng) for one in images]),
            ):
                frames = analyser.movie(recording_of(shown, convergence, pitch))["frames"]
                kept += list(frames["domain_distance"].to_numpy(float))
        return Measurement.of(
            bootstrap(
                lambda pairs: _auroc(pairs), [(d, 0) for d in own] + [(d, 1) for d in foreign], rng, resamples=300
            ),
            detail=f"{len(own)} own, {len(foreign)} foreign; flagged {np.mean(np.array(foreign) > 1):.2f} of these, "
            f"{np.mean(np.array(own) > 1):.2f} of the own",
        )

    return Check(f"foreign patterns told from own, {trial.name}", measure, at_least, ">=")


def _foreign(
    image: NDArray[np.float32], place: Geometry, convergence: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return counts of a disc with random grain, as many as `image` has."""
    from scipy.ndimage import gaussian_filter

    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    away = np.hypot(y - place.y_px, x - place.x_px) * place.mrad_per_px
    grain = gaussian_filter(rng.normal(0, 1, image.shape), rng.uniform(1.5, 5.0))
    disc = (1 + 0.4 * grain / grain.std()).clip(0) * (
        0.15 * np.exp(-away / 10) + 1 / (1 + np.exp((away - convergence) / 0.4))
    )
    return np.asarray(rng.poisson(disc / disc.sum() * float(image.sum())), np.float32)


def _auroc(pairs: object) -> float:
    rows = np.array(pairs, dtype=float)
    own, foreign = rows[rows[:, 1] == 0, 0], rows[rows[:, 1] == 1, 0]
    if not len(own) or not len(foreign):
        return float("nan")
    return float(np.mean((foreign[:, None] > own) + 0.5 * (foreign[:, None] == own)))
