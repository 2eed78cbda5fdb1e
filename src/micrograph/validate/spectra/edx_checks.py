"""Checks of EDX tomography on planted dots, and of the denoising of element maps on planted maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Flag, Frame, Prediction, Recording
from micrograph.features.volumes.shell_tables import MODEL_NM, ShellRows
from micrograph.infer.element_maps import ElementMaps
from micrograph.infer.volumes import Tomography
from micrograph.io.elements import HAADF
from micrograph.simulate.signals.phantoms import Dots
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, clopper_pearson
from micrograph.validate.shared import Shared
from micrograph.validate.spectra.edx_scenes import (
    DotMaps,
    DotSeries,
    EllipsoidSeries,
    LayerMaps,
    MapTruth,
    SeriesTruth,
    best_classical,
    best_sirt,
    best_variation,
    decibels,
    likeness,
)

Array = NDArray[np.float64]
Sampler = DotSeries | EllipsoidSeries


@dataclass(frozen=True)
class Seen:
    """What was found in one series: error of the shell (nm) and its 1-sigma, of the composition (largest error of a
    share), PSNR (dB), of SIRT and of total variation, likeness, chi^2 over pixels, whether core and shell differ,
    share of the voxels within 1-sigma where there is something.
    """

    shell: float
    sigma: float
    composition: float
    decibels: float
    sirt: float
    variation: float
    likeness: float
    misfit: float
    distinct: bool
    within: float


@dataclass(frozen=True)
class Trial:
    """So many series of a sampler.

    compared: whether SIRT and total variation are tuned by the truth beside them; else only particles are fitted.
    """

    name: str
    sampler: Sampler
    number: int = 6
    compared: bool = True
    align: bool = False


SeriesMeasure = Callable[[Sequence[Seen]], Measurement]
_SERIES: Shared[tuple[Seen, ...]] = Shared()


def _seen(trial: Trial, analyser: Analyser, rng: np.random.Generator) -> tuple[Seen, ...]:
    return _SERIES.found(trial.name, analyser, rng, lambda seed: tuple(_all(trial, np.random.default_rng(seed))))


def _all(trial: Trial, rng: np.random.Generator) -> list[Seen]:
    how = Tomography(align=trial.align, replicas=2)
    if not trial.compared:
        how = replace(how, prior="shells", replicas=0)
    return [_judged(trial.sampler(rng), how, trial) for _ in range(trial.number)]


def reconstructed(one: SeriesTruth, how: Tomography) -> Prediction:
    """Return what the recipe makes of a planted series."""
    data, channels = one.counts, one.elements
    if one.haadf is not None:
        data, channels = np.concatenate([data, one.haadf[None]]), (*channels, HAADF)
    scale = Calibration(pixel_nm=one.voxel_nm, content="elements", channels=channels)
    return how.predictor(one.tilts_deg, channels)(Frame(data, 0, scale))


def _judged(one: SeriesTruth, how: Tomography, trial: Trial) -> Seen:
    found = reconstructed(one, how)
    tables = ShellRows()(found)
    objects, composition = tables["objects"], tables["composition"]
    volumes = np.stack([found.maps[name] for name in one.elements])
    sigma = np.stack([found.sigma.get(name, np.zeros_like(found.maps[name])) for name in one.elements])
    if trial.align:
        volumes = in_place(volumes, one.truth)
    held = one.truth > 0.05 * one.truth.max(axis=(1, 2, 3), keepdims=True)
    within = float((np.abs(volumes - one.truth) <= sigma)[held].mean())
    shell, doubt, distinct, error = np.nan, np.nan, False, 1.0
    if len(objects):
        row = objects.iloc[int(objects["counts"].to_numpy(float).argmax())]
        shell, doubt = float(row["shell_nm"]) - one.shell_nm, float(row["shell_sigma_nm"])
        distinct = not int(row["flags"]) & Flag.LOW_CONFIDENCE
        own = composition[composition["particle"] == row["particle"]]
        shares = own["share"].to_numpy(float).reshape(2, -1)
        error = float(np.abs(shares - one.shares).max())
    compared = trial.compared
    return Seen(
        shell,
        doubt,
        error,
        decibels(volumes, one.truth),
        best_sirt(one) if compared else np.nan,
        best_variation(one) if compared else np.nan,
        likeness(volumes, one.truth),
        float(np.mean(found.values["misfit"])),
        distinct,
        within,
    )


def in_place(volumes: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return volumes (C, Z, Y, X) moved to the middle of the true ones: views out of place do not say where it is."""
    from scipy.ndimage import center_of_mass, shift

    ends = [np.array(center_of_mass(many.sum(axis=0))) for many in (truth, volumes)]
    return np.stack([shift(one, ends[0] - ends[1], order=1) for one in volumes]).astype(np.float32)


def _check(name: str, trial: Trial, of: SeriesMeasure, bound: float, *, least: bool = False, unit: str = "") -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        return of(_seen(trial, analyser, rng))

    return Check(f"{name}: {trial.name}", measure, bound, ">=" if least else "<=", unit, data=trial.name)


def _mean(
    values: Sequence[float], *, limit: float | None = None, baseline: float | None = None, detail: str = ""
) -> Measurement:
    interval = bootstrap(lambda drawn: float(np.mean(np.array(drawn))), list(values), np.random.default_rng(0))
    return Measurement.of(interval, limit=limit, baseline=baseline, detail=detail)


def shell_error(trial: Trial, *, at_most: float) -> Check:
    """Return the check of the mean absolute error of the shell's thickness in nm; its limit is by counting alone."""

    def of(seen: Sequence[Seen]) -> Measurement:
        counted = [np.sqrt(max(one.sigma**2 - MODEL_NM**2, 0)) for one in seen]
        pulls = [one.shell / one.sigma for one in seen]
        words = f"{len(seen)} dots; mean {np.mean([one.shell for one in seen]):+.2f} nm; over its 1-sigma, root mean "
        words += f"square, {np.sqrt(np.mean(np.square(pulls))):.1f}"
        limit = float(np.sqrt(2 / np.pi) * np.mean(counted))
        return _mean([abs(one.shell) for one in seen], limit=limit, detail=words)

    return _check("error of the shell's thickness", trial, of, at_most, unit="nm")


def composition_error(trial: Trial, *, at_most: float) -> Check:
    """Return the check of the largest error of an element's share in core or shell, mean over dots."""
    return _check("error of the composition", trial, lambda seen: _mean([one.composition for one in seen]), at_most)


def structural_likeness(trial: Trial, *, at_least: float) -> Check:
    """Return the check of the structural similarity of the volumes, mean over elements and dots."""
    return _check(
        "structural similarity", trial, lambda seen: _mean([one.likeness for one in seen]), at_least, least=True
    )


def gain_over_sirt(trial: Trial, *, at_least: float) -> Check:
    """Return the check of the PSNR beyond that of SIRT whose steps the truth chose, in dB."""

    def of(seen: Sequence[Seen]) -> Measurement:
        words = f"{np.mean([one.decibels for one in seen]):.1f} dB, SIRT {np.mean([one.sirt for one in seen]):.1f} dB"
        return _mean([one.decibels - one.sirt for one in seen], detail=words)

    return _check("gain over SIRT", trial, of, at_least, least=True, unit="dB")


def gain_over_variation(trial: Trial, *, at_least: float) -> Check:
    """Return the check of the PSNR beyond that of total variation, element by element, tuned by the truth, in dB."""

    def of(seen: Sequence[Seen]) -> Measurement:
        own, other = (np.mean([getattr(one, name) for one in seen]) for name in ("decibels", "variation"))
        words = f"{own:.1f} dB, total variation {other:.1f} dB; voxels within 1-sigma: "
        words += f"{np.mean([one.within for one in seen]):.2f}"
        return _mean([one.decibels - one.variation for one in seen], detail=words)

    return _check("gain over total variation", trial, of, at_least, least=True, unit="dB")


def misfit(trial: Trial, *, at_most: float) -> Check:
    """Return the check of how far chi^2 over pixels of the re-projection lies from 1, mean over dots."""

    def of(seen: Sequence[Seen]) -> Measurement:
        values = [one.misfit for one in seen]
        return _mean([abs(one - 1) for one in values], detail=f"chi^2/n from {min(values):.3f} to {max(values):.3f}")

    return _check("chi^2 over pixels, off 1", trial, of, at_most)


def false_shells(trial: Trial, *, at_most: float) -> Check:
    """Return the check of the share of alloyed particles that are said to have a shell of other composition."""

    def of(seen: Sequence[Seen]) -> Measurement:
        told = sum(one.distinct for one in seen)
        return Measurement.of(clopper_pearson(told, len(seen)), detail=f"{told} of {len(seen)}")

    return _check("shells where there is none", trial, of, at_most)


@dataclass(frozen=True)
class MapTrial:
    """So many fields of a sampler of element maps."""

    name: str
    sampler: DotMaps | LayerMaps
    number: int = 6


@dataclass(frozen=True)
class MapSeen:
    """What became of a field: PSNR (dB), of each classical method, share within 1-sigma, chi^2 over pixels."""

    own: float
    classical: dict[str, float]
    within: float
    kept: float


MapMeasure = Callable[[Sequence[MapSeen]], Measurement]
_MAPS: Shared[tuple[MapSeen, ...]] = Shared()


def denoised(one: MapTruth, how: ElementMaps) -> Prediction:
    """Return what the recipe makes of planted maps."""
    names = tuple(f"E{number}" for number in range(len(one.counts)))
    data = one.counts
    if one.haadf is not None:
        data, names = np.concatenate([data, one.haadf[None]]), (*names, HAADF)
    scale = Calibration(pixel_nm=0.2, content="elements", channels=names)
    recording = Recording(lambda index: data, range(1), scale, data.shape)
    return how.prepared(recording)(recording.frame(0))


def _maps(trial: MapTrial, analyser: Analyser, rng: np.random.Generator) -> tuple[MapSeen, ...]:
    def find(seed: int) -> tuple[MapSeen, ...]:
        generator = np.random.default_rng(seed)
        return tuple(_map_judged(trial.sampler(generator)) for _ in range(trial.number))

    return _MAPS.found(trial.name, analyser, rng, find)


def _map_judged(one: MapTruth) -> MapSeen:
    found = denoised(one, ElementMaps())
    maps, sigma = (np.stack(list(many.values())) for many in (found.maps, found.sigma))
    within = float((np.abs(maps - one.clean) <= sigma).mean())
    counts, own = (many.sum(axis=(1, 2), dtype=float) for many in (one.counts, maps))
    return MapSeen(decibels(maps, one.clean), best_classical(one), within, float(np.abs(own / counts - 1).max()))


def _map_check(name: str, trial: MapTrial, of: MapMeasure, bound: float, *, least: bool, unit: str = "") -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        return of(_maps(trial, analyser, rng))

    return Check(f"{name}: {trial.name}", measure, bound, ">=" if least else "<=", unit, data=trial.name)


def gain_over_classical(trial: MapTrial, *, at_least: float) -> Check:
    """Return the check of the PSNR beyond the best of Gaussian, total variation, non-local means and PCA, in dB.

    Each of these is tuned by the truth, map by map; the recipe sees no truth.
    """

    def of(seen: Sequence[MapSeen]) -> Measurement:
        means = {name: float(np.mean([one.classical[name] for one in seen])) for name in seen[0].classical}
        words = ", ".join(f"{name} {value:.1f}" for name, value in means.items())
        own = float(np.mean([one.own for one in seen]))
        return _mean([one.own - max(one.classical.values()) for one in seen], detail=f"{own:.1f} dB; {words}")

    return _map_check("gain over the best classical method", trial, of, at_least, least=True, unit="dB")


def within_sigma(trial: MapTrial, *, at_least: float) -> Check:
    """Return the check of the share of pixels whose expected counts lie within the stated 1-sigma."""
    return _map_check(
        "pixels within 1-sigma", trial, lambda seen: _mean([one.within for one in seen]), at_least, least=True
    )


def counts_kept(trial: MapTrial, *, at_most: float) -> Check:
    """Return the check of how far the counts of a map are from those recorded, as a share, at most."""
    return _map_check(
        "change of the counts in all", trial, lambda seen: _mean([one.kept for one in seen]), at_most, least=False
    )


#: Series as the recipe is made for; more extreme ones; and ones of another forward model, with views out of place.
_COARSE = Dots(side=32)
DOTS13 = Trial("dots, 13 views", DotSeries(13), number=4)
DOTS7 = Trial("dots, 7 views", DotSeries(7, dots=_COARSE), number=3)
DOTS5 = Trial("dots, 5 views", DotSeries(5, dots=_COARSE), number=5)
FAINT = Trial("dots, 9 views up to 50 degrees, half the counts", DotSeries(9, 50.0, (0.1, 0.2), dots=_COARSE), number=3)
ELLIPSOIDS = Trial("ellipsoids, views out of place", EllipsoidSeries(side=32), number=3, align=True)
ALLOYS = Trial("alloys", EllipsoidSeries(9, side=28, alloy=True, off_px=0.0), number=12, compared=False)

MAPS = MapTrial("dots", DotMaps())
FAINT_MAPS = MapTrial("dots, a tenth of the counts", DotMaps(counts=(0.02, 0.06)))
LAYERS = MapTrial("layers", LayerMaps())
