"""Checks of columns in HRTEM: precision and recall, place errors beside the bound of phase contrast, abTEM's waves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sample, Sites
from micrograph.simulate.gridding import evaluate
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.optics import Microscope
from micrograph.simulate.phase.hrtem import Lens, image_of_wave, phase_contrast
from micrograph.simulate.phase.hrtem_sampler import HrtemSampler, Sliced, labelled, lattice_contrast
from micrograph.simulate.phase.hrtem_scenes import COLUMN
from micrograph.validate.baselines import Spots, fit_spots, log_peaks
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.columns.atom_checks import detection
from micrograph.validate.columns.hrtem_multislice import PIXEL_NM, SIDE_PX, Wave, load_wave
from micrograph.validate.intervals import bootstrap
from micrograph.validate.limits import ColumnLimits, Columns, Raster, Spot, cramer_rao
from micrograph.validate.metrics import Detection, match, precision, recall, rmse, total
from micrograph.validate.shared import Shared
from micrograph.validate.timing import frame_seconds
from micrograph.validate.trials import Answer, Mask, Reference, Trial

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Found within this distance (nm) of a column: less than half the distance of neighbours in graphene and in gold.
RADIUS_NM = 0.07
#: Width (nm) of the Gaussian of the classical baseline: for graphene, for gold.
_LOG_NM = (0.05, 0.07)
#: Columns nearer than this (nm) to a hole's rim are not judged where a check says so.
FROM_HOLES_NM = 0.5
#: Pitch and half-width (pixels) of the image of one atom from which the bound is computed; how far it reaches (nm).
_SPOT_STEP_NM, _SPOT_REACH, _REACH_NM = 0.01, 90, 0.8
_CARBON = 6


@dataclass(frozen=True)
class Judged(Reference):
    """A reference of which what lies near `rims` (M, 2), points (y, x) in nm, is not judged."""

    rims: Array = field(default_factory=lambda: np.zeros((0, 2)))
    rim_nm: float = 0.0

    def inner(self, y_nm: Array, x_nm: Array, inset_nm: float) -> Mask:
        """Return which points lie inside the image and away from the rims."""
        from scipy.spatial import cKDTree

        inside = super().inner(y_nm, x_nm, inset_nm)
        if not (len(self.rims) and self.rim_nm and len(y_nm)):
            return inside
        away, _ = cKDTree(self.rims).query(np.column_stack([y_nm, x_nm]))
        return np.asarray(inside & (np.asarray(away) >= self.rim_nm))


@dataclass(frozen=True)
class ColumnAnswer(Answer):
    """One image of columns, bright (`sign` 1) or dark (-1), through a lens."""

    sample: Sample
    sign: int

    @functools.cached_property
    def spots(self) -> Spots:
        """The classical baseline with a free Gaussian fit to each of its peaks."""
        rows, columns, width = self._peaks
        return fit_spots(self.sign * np.asarray(self.image, float), rows, columns, width)

    @functools.cached_property
    def peaks(self) -> Sites:
        """The classical baseline, told contrast and width: peaks of the Laplacian of Gaussian."""
        rows, columns, _ = self._peaks
        pixel = self.reference.pixel_nm
        return Sites(rows * pixel, columns * pixel, np.full(len(rows), COLUMN))

    @functools.cached_property
    def _peaks(self) -> tuple[Array, Array, float]:
        width = _LOG_NM[self.sample.params["voltage_kV"] > 200] / self.reference.pixel_nm
        rows, columns = log_peaks(self.sign * np.asarray(self.image, float), width)
        return rows.astype(float), columns.astype(float), width

    def limits(self) -> ColumnLimits:
        """Return the bounds of all columns for images of equal atoms that add up (phase contrast)."""
        return self._limits

    @functools.cached_property
    def _limits(self) -> ColumnLimits:
        sites, shape = self.sample.sites, self.image.shape
        lens = lens_of(self.sample)
        spot = atom_spot(lens, self.sample.params["thermal_nm"])
        section = np.full(len(sites), 100.0)
        columns = Columns(sites.y_nm, sites.x_nm, section, [spot], reach_nm=_REACH_NM)
        raster = Raster((shape[0], shape[1]), self.reference.pixel_nm)
        return cramer_rao(columns, raster, self.trial.dose_e_per_A2, np.ones(shape), sections_known=True)


@dataclass(frozen=True)
class ColumnTrial(Trial):
    """So many `images` of a sampler at one dose; `rim_nm`: how far from holes columns are judged."""

    sampler: Callable[[np.random.Generator], Sample] | None = None
    images: int = 10
    rim_nm: float = 0.0

    def seen(self, analyser: Analyser, rng: np.random.Generator) -> list[ColumnAnswer]:
        """Draw and analyse the images; the same ones are analysed once for all checks."""

        def find(seed: int) -> list[ColumnAnswer]:
            return [self._answer(analyser, np.random.default_rng([seed, one])) for one in range(self.images)]

        return _FOUND.found(str(self), analyser, rng, find)

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Answer]:
        """Return `seen`, as the checks of other recipes ask for it."""
        return list(self.seen(analyser, rng))

    def _answer(self, analyser: Analyser, rng: np.random.Generator) -> ColumnAnswer:
        assert self.sampler is not None
        sample = self.sampler(rng)
        sites = np.column_stack([sample.sites.y_nm, sample.sites.x_nm])
        rims = sites[np.asarray(sample.truth["rim_nm"]) < 1e-6]
        reference = Judged(
            str(self), sample.image, sample.pixel_nm, sample.sites, (), Microscope(), rims=rims, rim_nm=self.rim_nm
        )
        sign = 1 if lattice_contrast(lens_of(sample), 4.7) >= 0 else -1
        return ColumnAnswer(reference, self, sample.image, analyser(sample.image, sample.pixel_nm), sample, sign)


_FOUND: Shared[list[ColumnAnswer]] = Shared()


def lens_of(sample: Sample) -> Lens:
    """Return the lens that made a sample."""
    return Lens(**{one.name: sample.params[one.name] for one in fields(Lens)})


def atom_spot(lens: Lens, thermal_nm: float) -> Spot:
    """Return the image of one carbon atom through a lens, without the beam's own part, and its slopes."""
    from ase import Atoms
    from scipy.interpolate import RectBivariateSpline

    side, middle = 2 * _SPOT_REACH + 1, 10 * _SPOT_REACH * _SPOT_STEP_NM
    atom = Atoms([_CARBON], [[middle, middle, 0.0]])
    image = phase_contrast(atom, lens, pixel_nm=_SPOT_STEP_NM, shape=(side, side), thermal_nm=thermal_nm) - 1
    axis = (np.arange(side) - _SPOT_REACH) * _SPOT_STEP_NM
    spline = RectBivariateSpline(axis, axis, np.asarray(image, float))

    def spot(dy_nm: Array, dx_nm: Array) -> Array:
        inside = [np.abs(d) <= axis[-1] for d in (dy_nm, dx_nm)]
        values = np.stack([spline(dy_nm, dx_nm, dx=a, dy=b) for a, b in ((0, 0), (1, 0), (0, 1))])
        return np.asarray(values * inside[0][:, None] * inside[1][None, :], float)

    return spot


def columns_found(
    trial: ColumnTrial, what: Literal["precision", "recall"], *, at_least: float, radius_nm: float = RADIUS_NM
) -> Check:
    """Build the check: share of found columns that are right, or of columns that are found. Baseline: LoG peaks."""
    share = precision if what == "precision" else recall

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.seen(analyser, rng)
        counts = [detection(answer, answer.found, radius_nm) for answer in answers]
        plain = [detection(answer, answer.peaks, radius_nm) for answer in answers]
        sum_ = total(counts)
        worst = min(share([one]) for one in counts)
        detail = (
            f"{sum_.right} right, {sum_.missed} missed, {sum_.false} false in {len(counts)} images, worst {worst:.3f}"
        )
        interval = bootstrap(lambda drawn: share(_some(drawn)), counts, rng)
        return Measurement.of(interval, limit=1.0, baseline=share(plain), detail=detail)

    return Check(f"{what} of columns, {trial}", measure, at_least, ">=", data=str(trial))


def _some(drawn: Any) -> list[Detection]:
    return list(drawn)


def place_error(trial: ColumnTrial, *, at_most_nm: float) -> Check:
    """Build the check: root mean square error per axis (nm) of columns that are found; baseline: free Gaussian fits."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        errors = [_errors(answer, answer.found.y_nm, answer.found.x_nm) for answer in answers]
        plain = [_errors(answer, answer.plain.y_nm, answer.plain.x_nm) for answer in answers]
        interval = bootstrap(lambda drawn: rmse(np.concatenate(drawn)), errors, rng)
        detail = f"median {1e3 * float(np.median(np.abs(np.concatenate(errors)))):.1f} pm"
        return Measurement.of(interval, baseline=rmse(np.concatenate(plain)), detail=detail)

    return Check(f"place error of columns, {trial}", measure, at_most_nm, "<=", unit="nm", data=str(trial))


def _errors(answer: Answer, y_nm: Array, x_nm: Array) -> Array:
    """Return the errors (M,) along both axes of judged columns that are found, without the shift that all share."""
    sites = answer.reference.sites
    pairs = match(sites.y_nm, sites.x_nm, y_nm, x_nm, RADIUS_NM)
    kept = answer.judged[pairs.true]
    y = (y_nm[pairs.found] - sites.y_nm[pairs.true])[kept]
    x = (x_nm[pairs.found] - sites.x_nm[pairs.true])[kept]
    return np.concatenate([part - part.mean() if len(part) else part for part in (y, x)])


@dataclass(frozen=True)
class WaveSampler:
    """Images of the shipped waves of abTEM through random lenses of the sampler that made their scenes."""

    names: tuple[str, ...]
    sampler: HrtemSampler
    dose_e_per_A2: float

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return an image of any of the waves."""
        wave = load_wave(self.names[int(rng.integers(len(self.names)))])
        lens = self.sampler.lens(rng, wave.scene)
        image = through(wave, lens)
        mtf = float(rng.uniform(*self.sampler.mtf))
        counted = record(image, Camera(self.dose_e_per_A2 * (10 * PIXEL_NM) ** 2, mtf), rng)
        params = {name: float(value) for name, value in vars(lens).items()}
        params |= {"thermal_nm": 0.0, "dose_e_per_A2": self.dose_e_per_A2, "mtf": mtf, "film_nm": wave.film_nm}
        return labelled(wave.scene, counted, PIXEL_NM, params)


def through(wave: Wave, lens: Lens) -> Image:
    """Return the image (H, H), 1 in the vacuum, of a shipped wave; the lens's defocus counts from the crystal."""
    seen = replace(lens, defocus_nm=lens.defocus_nm + wave.height_nm)
    image = image_of_wave(wave.wave, seen, wave.grid.size_nm[0] / wave.grid.shape[0], planes=15)
    return evaluate(np.asarray(np.fft.rfft2(image), np.complex64), wave.grid)


def simulators_apart(names: tuple[str, ...], sampler: HrtemSampler, *, at_most: float) -> Check:
    """Build the check: rms difference of the sampler's noise-free images from abTEM's, over their contrast."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        apart = []
        for name in names:
            wave, lens = load_wave(name), sampler.lens(rng, load_wave(name).scene)
            if wave.film_nm:
                raise BadInput(f"The wave '{name}' shows a film of other atoms: compare those without.")
            shown = through(wave, lens)
            ours = Sliced()(wave.scene, None, lens, pixel_nm=PIXEL_NM, side_px=SIDE_PX, thermal_nm=0.0)
            apart.append(float(np.sqrt(np.mean((ours - shown) ** 2)) / shown.std()))
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), apart, rng)
        detail = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, apart, strict=True))
        return Measurement.of(interval, limit=0.0, detail=detail)

    return Check(f"own images apart from abTEM's, {names[0].split('_')[0]}", measure, at_most, "<=")


def sharing(check: Check, trial: ColumnTrial) -> Check:
    """Return a check of `atom_checks` that shares the images of a trial with the others."""
    return replace(check, data=str(trial))


def at_dose(sampler: HrtemSampler, dose_e_per_A2: float, **changes: Any) -> HrtemSampler:
    """Return a sampler at one dose, with other changes."""
    return replace(sampler, dose_e_per_A2=(dose_e_per_A2, dose_e_per_A2), **changes)


def seconds_a_frame(sampler: HrtemSampler, *, at_most_s: float) -> Check:
    """Build the check: median processor time (s) of a frame of 512 x 512 pixels, prediction too."""
    large = replace(sampler, field_nm=10.24, pixel_nm=(0.02, 0.02001))

    def draw(rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        sample = large(rng)
        return sample.image, sample.pixel_nm

    return frame_seconds(draw, frames=3, at_most_s=at_most_s)
