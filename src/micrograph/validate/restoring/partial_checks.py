"""Checks of completed partial scans: error, and whether the 1-sigma holds, beside classical fillings and an oracle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.restoring import inpainting
from micrograph.features.restoring.partial import partial_of, seen_of
from micrograph.features.restoring.spectral_fill import wiener
from micrograph.simulate.partial_sampler import PartialScan, PartialScans
from micrograph.simulate.stem_scenes import StemScenes, scaled
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.shared import Shared

Image = NDArray[np.float32]
#: The coverage of the bar.
TWENTIETH = (0.0499, 0.0501)
#: Side (pixels) of the images that are judged, and of the field that was scanned, of which they are a part.
SIDE, FIELD = 224, 512


class Completes(Protocol):
    """What these checks need of an analyser: its model."""

    @property
    def predict(self) -> Callable[[Frame], Prediction]:
        """The model: a frame in, the completed image out."""
        ...


@dataclass(frozen=True)
class PartialTrial:
    """A test set: `number` partial scans; of multislice images where `multislice` is set; `all_ways`: of filling in."""

    name: str
    scans: PartialScans = field(
        default_factory=lambda: PartialScans(StemScenes(side=SIDE), coverage=TWENTIETH, cut_from=FIELD)
    )
    number: int = 24
    multislice: bool = False
    all_ways: bool = False


@dataclass(frozen=True)
class Completed:
    """One image: mean squared errors of the model, of classical ways by name, and shares within 1 and 2 sigma."""

    path: str
    kind: str
    error: float
    others: Mapping[str, float]
    within: tuple[float, float]


_FOUND: Shared[list[Completed]] = Shared()


def completion_error(trial: PartialTrial, *, at_most: float) -> Check:
    """Build the check: root mean square error of all pixels, images in 0..1. Baseline: a thin plate (biharmonic).

    Limit: the linear estimate that is told the true power spectrum of the very image.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = completed(trial, analyser, rng)
        interval = bootstrap(_root, [one.error for one in found], rng)
        limit, plain = (_root([one.others[name] for one in found]) for name in ("oracle", "biharmonic"))
        return Measurement.of(interval, limit=limit, baseline=plain, detail=_detail(found))

    return Check(f"RMS error, {trial.name}", measure, at_most, "<=", data=trial.name)


def completion_gain(trial: PartialTrial, *, at_least: float) -> Check:
    """Build the check: by how much the RMS error is smaller than that of a thin plate (biharmonic inpainting)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = completed(trial, analyser, rng)
        pairs = [(one.error, one.others["biharmonic"]) for one in found]
        interval = bootstrap(lambda drawn: 1 - _root([a for a, _ in drawn]) / _root([b for _, b in drawn]), pairs, rng)
        start = 1 - _root([one.others["waves"] for one in found]) / _root([b for _, b in pairs])
        return Measurement.of(interval, baseline=start, detail="baseline: few waves and smooth filling, no network")

    return Check(f"error saved over biharmonic inpainting, {trial.name}", measure, at_least, ">=", data=trial.name)


def sigma_coverage(trial: PartialTrial, *, sigmas: int, off_by: float) -> Check:
    """Build the check: by how much the share of pixels within 1 (68.3 %) or 2 (95.4 %) sigma is off."""
    expected = (0.6827, 0.9545)[sigmas - 1]

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        shares = [one.within[sigmas - 1] for one in completed(trial, analyser, rng)]
        interval = bootstrap(lambda drawn: abs(float(np.mean(drawn)) - expected), shares, rng)
        return Measurement.of(interval, limit=0.0, detail=f"{np.mean(shares):.3f} within {sigmas} sigma")

    return Check(f"share within {sigmas} sigma is off by, {trial.name}", measure, off_by, "<=", data=trial.name)


def whole_scan(rng: np.random.Generator) -> tuple[Image, float]:
    """Return a scan of 512 x 512 pixels, and its pixel size (nm), to take the time with."""
    return PartialScans(StemScenes(side=FIELD), coverage=TWENTIETH)(rng).image, 0.02


def completed(trial: PartialTrial, analyser: Analyser, rng: np.random.Generator) -> list[Completed]:
    """Return how well each scan of a trial was completed."""
    return _FOUND.found(trial.name, analyser, rng, lambda seed: _completed(trial, analyser, seed))


def _completed(trial: PartialTrial, analyser: Analyser, seed: int) -> list[Completed]:
    found = []
    for number in range(trial.number):
        scan = _scan(trial, number, np.random.default_rng([seed, number]))
        answer = cast(Completes, analyser).predict(Frame(scan.image, number, Calibration()))
        image, sigma = answer.maps["image"], answer.sigma["image"]
        ratio = np.abs(image - scan.truth) / sigma
        others = {name: _squared(other, scan.truth) for name, other in _classical(scan, trial.all_ways).items()}
        within = (float((ratio < 1).mean()), float((ratio < 2).mean()))
        found.append(Completed(scan.path, scan.kind, _squared(image, scan.truth), others, within))
    return found


def _scan(trial: PartialTrial, number: int, rng: np.random.Generator) -> PartialScan:
    """Return one scan of a trial; kinds of paths take turns."""
    scans = replace(trial.scans, paths=(trial.scans.paths[number % len(trial.scans.paths)],))
    if not trial.multislice:
        return scans(rng)
    from micrograph.validate.multislice import SCENES, load_reference

    names = sorted(SCENES)
    name = names[number * 7 % len(names)]
    field_nm = min(load_reference(name, pixel_nm=0.03).image.shape) * 0.03
    image = load_reference(name, pixel_nm=field_nm / SIDE, source_fwhm_nm=0.07, thermal_nm=0.006).image
    return scans.scanned(scaled(image[:SIDE, :SIDE]), rng, name)


def _classical(scan: PartialScan, all_ways: bool) -> dict[str, Image]:
    """Return what classical ways make of a scan; the oracle among them knows the truth's power and the noise."""
    visited = np.isfinite(scan.image)
    values = np.nan_to_num(scan.image)
    seen, offset, scale = seen_of(partial_of(scan.image, scan.dwells))
    noise = float(np.sqrt((scan.dwells[visited] * (scan.image - scan.truth)[visited] ** 2).mean()))
    power = np.abs(np.fft.rfft2(scan.truth - scan.truth.mean())) ** 2
    found = {
        "biharmonic": inpainting.biharmonic(values, visited),
        "waves": offset + scale * seen[0],
        "oracle": wiener(values, scan.dwells, power, noise),
    }
    if all_ways:
        found |= {
            "linear": inpainting.linear(values, visited),
            "total variation": inpainting.total_variation(values, visited, noise),
            "kriging": inpainting.kriging(values, visited, noise),
        }
    return found


def _squared(image: Image, truth: Image) -> float:
    return float(np.mean((image.astype(float) - truth) ** 2))


def _root(errors: Any) -> float:
    return float(np.sqrt(np.mean(errors)))


def _detail(found: list[Completed]) -> str:
    """Return the RMS by kind of path, and that of the classical ways."""
    paths = sorted({one.path for one in found})
    own = ", ".join(f"{path} {_root([one.error for one in found if one.path == path]):.4f}" for path in paths)
    names = [name for name in found[0].others if name not in ("oracle", "biharmonic")]
    others = ", ".join(f"{name} {_root([one.others[name] for one in found]):.4f}" for name in names)
    return f"{own}; {others}"
