"""Checks of tilts: angles and signs beside a library's Fisher bound and the geometry of the oxygen's shifts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Frame
from micrograph.features.lattices.tilts import ANSWERS, EITHER, Seen, cells_of, ordered
from micrograph.features.lattices.unit_cells import SIDE
from micrograph.simulate.tilt_images import CellImage, Crystal, Kept, TiltRanges, random_crystal, view_of
from micrograph.simulate.tilt_scans import TiltScan
from micrograph.structures.perovskite import Tilts
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import Interval, bootstrap
from micrograph.validate.lattices.tilt_multislice import shipped_images
from micrograph.validate.shared import Shared

Array = NDArray[np.float64]

#: Sets of the bar: SrTiO3, 0 to 12 degrees (an axis has no tilt, or one of 1 degree or more), 5 to 30 nm, defocus of 5
#: nm at most, mistilt of 5 mrad at most. Source and diffuse background as the sampler has them.
ASKED = TiltRanges(
    chemistries=(("SrTiO3", 1.0),), angle_deg=(1.0, 12.0), mistilt_mrad=(0.0, 5.0), thickness_nm=(5.0, 30.0),
    defocus_nm=(-5.0, 5.0), thermal=(1.0, 1.0), a_shift_pm=(0.0, 0.0), source_fwhm_nm=(0.06, 0.08),
)  # fmt: skip
#: Middle of all angles: a third of the axes has no tilt.
_MIDDLE_DEG = 4.0
#: Prior of an angle in the bound: spread evenly over 12 degrees.
_PRIOR_DEG = 12 / np.sqrt(12)


@dataclass(frozen=True)
class TiltTrial:
    """A test set of whole images.

    name: in words; ranges: of Bloch-wave crystals, `number` of them; `multislice`: chemistries whose images by
    multislice are shown instead, each `repeats` times; scan: how they are recorded; bounds: images whose Fisher bound
    is computed.
    """

    name: str
    ranges: TiltRanges = ASKED
    number: int = 60
    scan: TiltScan = field(default_factory=lambda: TiltScan(field_nm=4.5))
    multislice: tuple[str, ...] = ()
    repeats: int = 1
    bounds: int = 0


@dataclass(frozen=True)
class Judged:
    """One image: true and found signs and angles (3,) in order, sigma (3,), baseline (3,), bound (3,) or NaN."""

    signs: str
    angles: Array
    found_signs: str
    found: Array
    sigma: Array
    patterns: tuple[str, ...]
    baseline: Array
    bound: Array


_ANSWERS: Shared[list[Judged]] = Shared()


def judged(trial: TiltTrial, analyser: Analyser, rng: np.random.Generator) -> list[Judged]:
    """Return what the analyser found in every image of a trial."""
    return _ANSWERS.found(trial, analyser, rng, lambda seed: _judged(trial, analyser, seed))


def _judged(trial: TiltTrial, analyser: Analyser, seed: int) -> list[Judged]:
    found = []
    for number, (cell, crystal) in enumerate(_cells(trial, seed)):
        rng = np.random.default_rng([seed, number, 5])
        image, pixel = trial.scan(cell, rng)
        row = analyser(image, pixel)["frames"].iloc[0]
        signs, angles = ordered(cell.tilts.signs, np.array(cell.tilts.angles_deg))
        seen = cells_of(Frame(image, 0, Calibration(pixel_nm=pixel)))
        bound = np.full(3, np.nan)
        if number < trial.bounds and crystal is not None:
            pixels = image.size / SIDE**2
            dose = float(np.mean(trial.scan.dose_e_per_A2)) * (10 * pixel) ** 2 * pixels
            bound = fisher_bound(crystal, cell, dose)
        if row["class"] not in ANSWERS:
            blank = np.full(3, np.nan)
            found.append(Judged(signs, angles, "", blank, blank, (), shifts_deg(seen), bound))
            continue
        values = np.array([row["a_deg"], row["b_deg"], row["c_deg"]], float)
        sigma = np.array([row["a_sigma_deg"], row["b_sigma_deg"], row["c_sigma_deg"]], float)
        patterns = tuple(str(row["patterns"]).split())
        found.append(Judged(signs, angles, str(row["class"]), values, sigma, patterns, shifts_deg(seen), bound))
    return found


def _cells(trial: TiltTrial, seed: int) -> list[tuple[CellImage, Crystal | None]]:
    """Return the images of the doubled cells of a trial and, of Bloch waves, the crystals."""
    rng = np.random.default_rng([seed, 3])
    found: list[tuple[CellImage, Crystal | None]] = []
    sources: Sequence[tuple[Kept, Crystal]] = [one for name in trial.multislice for one in shipped_images(name)]
    ranges = trial.ranges
    if not trial.multislice:
        for _ in range(trial.number):
            crystal = random_crystal(ranges, rng, 1, 1)
            found.append((random_view(Kept.of(crystal.images()), crystal, (0, 0), ranges, rng), crystal))
    for kept, crystal in sources:
        for place in range(len(crystal.thickness_nm)):
            for _ in range(trial.repeats):
                found.append((random_view(kept, crystal, (place, 0), ranges, rng), None))
    return found


def random_view(
    kept: Kept, crystal: Crystal, place: tuple[int, int], ranges: TiltRanges, rng: np.random.Generator
) -> CellImage:
    """Return one image of a crystal with random blur and diffuse background."""
    blur, diffuse = float(rng.uniform(*ranges.source_fwhm_nm)), float(rng.uniform(*ranges.diffuse))
    return view_of(kept, crystal, place, blur, diffuse)


def shifts_deg(seen: Seen) -> Array:
    """Return angles (3,) from the places of the oxygen columns: a = b, and 4 degrees, the middle of all, for c.

    The classical way: each pure oxygen column's centre of darkness is found; columns that go to and fro along [001]
    tell the mean of a and b where both are out of phase. In-phase tilts and those about [001] move no column.
    """
    if not seen.patches or seen.cells is None:
        return np.full(3, np.nan)
    image, fine = seen.patches[0].image, 8
    big = np.fft.fftshift(np.fft.fft2(image))
    pad = (SIDE * fine - SIDE) // 2
    upsampled = np.fft.ifft2(np.fft.ifftshift(np.pad(big, pad))).real
    along, across = seen.cells.axes.cubic_nm
    size = np.array([2 * along, np.sqrt(2) * across])
    shift = np.zeros((2, 2, 2))
    for row in (0, 1):
        for column in (0, 1):
            expected = np.array([0.25 + 0.5 * row, 0.25 + 0.5 * column])
            shift[row, column] = _darkest(upsampled, expected, size) - expected
    shift = (shift - shift.mean(axis=(0, 1))) * size
    to_and_fro = float(np.mean(shift[..., 0] * np.array([[1, -1], [-1, 1]])))
    tilt = float(np.degrees(abs(to_and_fro) / (across / 2)))
    return np.array([tilt, tilt, _MIDDLE_DEG])


def _darkest(image: Array, place: Array, size_nm: Array, reach_nm: float = 0.07) -> Array:
    """Return the centre (y, x), in shares of the patch, of what is dark within `reach_nm` of `place`."""
    n = image.shape[0]
    at = place.copy()
    for _ in range(3):
        y, x = (((np.arange(n) / n - centre + 0.5) % 1) - 0.5 for centre in at)
        near = np.hypot(y[:, None] * size_nm[0], x * size_nm[1]) < reach_nm
        weight = np.where(near, np.quantile(image[near], 0.8) - image, 0).clip(0)
        total = max(float(weight.sum()), 1e-12)
        at = at + np.array([(weight.sum(axis=1) * y).sum(), (weight.sum(axis=0) * x).sum()]) / total
    return at


def fisher_bound(crystal: Crystal, cell: CellImage, electrons: float) -> Array:
    """Return the least 1-sigma (3,) of a, b, c in degrees, in the order of `ordered`.

    The Bloch-wave image is changed by a little in each parameter: angles (with their prior: 12 degrees wide),
    thickness, defocus, mistilt, source, diffuse background, brightness. electrons: that fall on each of SIDE x SIDE
    samples.
    """
    grid = np.arange(SIDE) / SIDE
    blur, diffuse = cell.params["source_fwhm_nm"], cell.params["diffuse"]

    def image(one: Crystal, blurred: float = blur, share: float = diffuse) -> Array:
        return view_of(Kept.of(one.images()), one, (0, 0), blurred, share).sampled(grid, grid).ravel()

    slopes = []
    tilts, steps = crystal.tilts, 0.4
    tilted = [axis for axis in range(3) if tilts.signs[axis] != "0"]
    for axis in tilted:
        changed = [list(tilts.angles_deg) for _ in (0, 1)]
        changed[0][axis] += steps
        changed[1][axis] -= steps
        up, down = (image(replace(crystal, tilts=Tilts((a[0], a[1], a[2]), tilts.signs))) for a in changed)
        slopes.append((up - down) / (2 * steps))
    here = image(crystal)
    thicker = replace(crystal, thickness_nm=(crystal.thickness_nm[0] + 0.5,))
    closer = replace(crystal, defocus_nm=(crystal.defocus_nm[0] + 0.5,))
    y, x = crystal.mistilt_mrad
    others = [replace(crystal, mistilt_mrad=(y + 0.3, x)), replace(crystal, mistilt_mrad=(y, x + 0.3)), thicker, closer]
    slopes += [image(one) - here for one in others]
    slopes += [image(crystal, blur + 0.003) - here, image(crystal, blur, diffuse + 0.05) - here, here]
    design = np.array(slopes)
    information = (design / (np.clip(here, 1e-3, None) / electrons)) @ design.T
    information[np.arange(len(tilted)), np.arange(len(tilted))] += 1 / _PRIOR_DEG**2
    scale = np.sqrt(np.diag(information))
    covariance = np.linalg.pinv(information / scale[:, None] / scale) / scale[:, None] / scale
    sigma = np.zeros(3)
    sigma[tilted] = np.sqrt(np.diag(covariance)[: len(tilted)])
    angle = np.where([sign == "0" for sign in tilts.signs], 0.0, np.abs(tilts.angles_deg))
    key = [("-+0".index(tilts.signs[axis]), -angle[axis]) for axis in (0, 1)]
    return sigma[[1, 0, 2]] if key[1] < key[0] else sigma


def errors_of(one: Judged) -> Array:
    """Return the errors (3,) of the magnitudes: a and b change places where that fits better; missing ones count 6."""
    if not one.found_signs:
        return np.full(3, 6.0)
    return _errors(one.angles, one.found)


def _errors(true: Array, found: Array) -> Array:
    straight, crossed = np.abs(found - true), np.abs(found[[1, 0, 2]] - true)
    return straight if straight[:2].sum() <= crossed[:2].sum() else crossed


def _data(trial: TiltTrial) -> str:
    return f"octahedral-tilts {trial.name}"


def angle_error(trial: TiltTrial, *, at_most: float) -> Check:
    """Return the check of the mean absolute error of the three angles (degrees), beside bound and oxygen shifts."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = judged(trial, analyser, rng)
        interval = bootstrap(lambda drawn: float(np.mean([errors_of(one) for one in drawn])), found, rng)
        classical = [_errors(one.angles, one.baseline) for one in found]
        bounds = [one.bound * np.sqrt(2 / np.pi) for one in found if np.isfinite(one.bound).all()]
        by_angle = np.mean([errors_of(one) for one in found], axis=0)
        detail = f"{len(found)} images; about [100] and [010] {by_angle[:2].mean():.2f}, about [001] {by_angle[2]:.2f}"
        return Measurement.of(
            interval,
            limit=float(np.mean(bounds)) if bounds else None,
            baseline=float(np.nanmean(classical)),
            detail=detail,
        )

    name = f"mean error of an angle, {trial.name}"
    return Check(name, measure, at_most, "<=", unit="degree", data=_data(trial))


def _accuracy(
    trial: TiltTrial, right: Callable[[Judged], bool], words: str, at_least: float, baseline: bool = False
) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = judged(trial, analyser, rng)
        interval = _share([right(one) for one in found])
        classical = float(np.mean([_classical(one) for one in found])) if baseline else None
        return Measurement.of(interval, baseline=classical, detail=f"{len(found)} images")

    return Check(f"{words}, {trial.name}", measure, at_least, ">=", data=_data(trial))


def _share(right: Sequence[bool]) -> Interval:
    from micrograph.validate.intervals import clopper_pearson

    return clopper_pearson(sum(right), len(right))


def _classical(one: Judged) -> bool:
    """Return whether oxygen shifts give the signs: no pair where they tell less than a degree, [001] always tilted."""
    pair = "--" if one.baseline[0] > 1 else "00"
    return _same(pair + EITHER, one.signs)


def _same(found: str, true: str) -> bool:
    """Return whether the signs found are the true ones; '±' is right for either."""
    return found[:2] == true[:2] and (found[2:] == true[2] or (found[2:] == EITHER and true[2] != "0"))


def pattern_accuracy(trial: TiltTrial, *, at_least: float) -> Check:
    """Return the check of the share of images whose signs are all right, as far as the projection tells them."""
    return _accuracy(trial, lambda one: _same(one.found_signs, one.signs), "signs right", at_least, True)


def set_coverage(trial: TiltTrial, *, at_least: float) -> Check:
    """Return the check of the share of images whose set of patterns holds the truth."""
    return _accuracy(trial, lambda one: one.signs in one.patterns, "sets hold the truth", at_least)


def _covered(drawn: Sequence[Judged]) -> float:
    return float(np.mean([errors_of(one) <= 1.96 * one.sigma for one in drawn]))


def interval_coverage(trial: TiltTrial, *, at_least: float) -> Check:
    """Return the check of the share of angles within 1.96 sigma of the truth."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        found = [one for one in judged(trial, analyser, rng) if one.found_signs]
        interval = bootstrap(_covered, found, rng)
        return Measurement.of(interval, detail=f"{3 * len(found)} angles")

    return Check(f"95 % intervals hold the angle, {trial.name}", measure, at_least, ">=", data=_data(trial))


def bloch_difference(chemistry: str, *, at_most: float) -> Check:
    """Return the check of how unlike the images learned from are to multislice: what no gain and offset explain.

    The standard deviation of the difference over that of the image, the median over the crystals.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        grid, found = np.arange(SIDE) / SIDE, []
        for kept, crystal in shipped_images(chemistry):
            own = Kept.of(crystal.images())
            for place in range(len(crystal.thickness_nm)):
                one, other = (view_of(k, crystal, (place, 0), 0.07, d) for k, d in ((kept, 0.0), (own, 0.1)))
                true, fast = one.sampled(grid, grid).ravel(), other.sampled(grid, grid).ravel()
                found.append(float(np.sqrt(1 - np.corrcoef(true, fast)[0, 1] ** 2)))
        interval = bootstrap(lambda drawn: float(np.median(drawn)), found, rng)
        return Measurement.of(interval, detail=f"{len(found)} images, {min(found):.3f} to {max(found):.3f}")

    return Check(f"Bloch waves unlike multislice, {chemistry}", measure, at_most, "<=")


def seconds_a_frame(trial: TiltTrial, *, at_most_s: float) -> Check:
    """Return the check of the time that an image of 512 x 512 pixels takes, the best of three."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        scan = TiltScan(field_nm=6.145, pixel_nm=(0.012, 0.012))
        cell, _ = _cells(replace(trial, number=1), int(rng.integers(2**31)))[0]
        times = []
        for _ in range(3):
            image, pixel = scan(cell, rng)  # a new one each time: the last frame's cells are kept
            began = time.perf_counter()
            analyser(image, pixel)
            times.append(time.perf_counter() - began)
        return Measurement(min(times), min(times), min(times), detail=f"{image.shape[0]} x {image.shape[1]} pixels")

    return Check("time of a frame of 512 x 512", measure, at_most_s, "<=", unit="s")
