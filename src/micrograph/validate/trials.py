"""Trials: noise-free reference images, exposed to a dose, analysed, and matched with what is known of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag, Sites
from micrograph.simulate import Microscope, Scan, adf_points, expose
from micrograph.validate.baselines import Spots, fit_spots, log_peaks
from micrograph.validate.checks import Analyser
from micrograph.validate.limits import ColumnLimits, Columns, Raster, Spot, cramer_rao, fit_sections, image_spot
from micrograph.validate.metrics import Match, match
from micrograph.validate.multislice import load_reference, reference_defects

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Pitch and half-width (pixels) of the images of single columns from which limits are computed.
_SPOT_STEP_NM, _SPOT_REACH = 0.006, 90
#: Width of the Gaussian of the classical baseline: the best F1 on graphene of 0.03, 0.035 and 0.045 nm.
_SPOT_SIGMA_NM = 0.035


@dataclass(frozen=True)
class Reference:
    """A noise-free image (H, W), the share of the beam detected; its columns; its defects (name, y, x in nm)."""

    name: str
    fraction: NDArray[np.float32]
    pixel_nm: float
    sites: Sites
    defects: tuple[tuple[str, float, float], ...]
    microscope: Microscope
    thermal_nm: float = 0.0

    def inner(self, y_nm: Array, x_nm: Array, inset_nm: float) -> Mask:
        """Return which points lie at least `inset_nm` inside the image."""
        high = [(n - 1) * self.pixel_nm - inset_nm for n in self.fraction.shape]
        return np.asarray((y_nm >= inset_nm) & (y_nm <= high[0]) & (x_nm >= inset_nm) & (x_nm <= high[1]))


@dataclass(frozen=True)
class Trial:
    """Reference sets at a dose (electrons per square angstrom), each exposed `repeats` times.

    Points nearer than `inset_nm` to the border are not judged. `load` finds a reference by name under these conditions;
    `of` tells trials of one dose apart in the names of checks.
    """

    references: tuple[str, ...]
    dose_e_per_A2: float = 1e5
    repeats: int = 2
    pixel_nm: float = 0.02
    source_fwhm_nm: float = 0.06
    thermal_nm: float = 0.005
    inset_nm: float = 0.15
    load: Callable[[str, Trial], Reference] | None = None
    of: str = ""

    def at(self, dose_e_per_A2: float, repeats: int | None = None) -> Trial:
        """Return the same trial at another dose."""
        return replace(self, dose_e_per_A2=dose_e_per_A2, repeats=self.repeats if repeats is None else repeats)

    def __str__(self) -> str:
        """Name the trial as the screen shows it."""
        return f"{dose_text(self.dose_e_per_A2)} e/A^2" + (f", {self.of}" if self.of else "")

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> list[Answer]:
        """Expose and analyse every reference `repeats` times."""
        shown = [(name, image) for name, images in exposures(self, rng).items() for image in images]
        return [Answer(_reference(self, name), self, image, analyser(image, self.pixel_nm)) for name, image in shown]


def exposures(trial: Trial, rng: np.random.Generator) -> dict[str, list[NDArray[np.float32]]]:
    """Return the exposed images of every reference of `trial`, by name."""
    scan = Scan(dose_e_per_A2=trial.dose_e_per_A2)
    return {
        name: [expose(_reference(trial, name).fraction, scan, trial.pixel_nm, rng) for _ in range(trial.repeats)]
        for name in trial.references
    }


@dataclass(frozen=True)
class Answer:
    """One exposed image of a reference and the tables that the analyser gave for it."""

    reference: Reference
    trial: Trial
    image: NDArray[np.float32]
    tables: Mapping[str, DataFrame]

    @functools.cached_property
    def found(self) -> Sites:
        """Rows of table 'objects' as points with their class."""
        objects = self.tables["objects"]
        y, x = (objects[column].to_numpy(float) for column in ("y_nm", "x_nm"))
        return Sites(y, x, objects["class"].to_numpy(str))

    @functools.cached_property
    def spots(self) -> Spots:
        """Spots of the classical baseline: peaks of the Laplacian of Gaussian, a free Gaussian fit to each."""
        width = _SPOT_SIGMA_NM / self.reference.pixel_nm
        return fit_spots(self.image, *log_peaks(self.image, width), width)

    @property
    def plain(self) -> Sites:
        """The classical baseline's points, all of class 'atom'."""
        pixel = self.reference.pixel_nm
        return Sites(self.spots.y * pixel, self.spots.x * pixel, np.full(len(self.spots.y), "atom"))

    @functools.cached_property
    def measured(self) -> Mask:
        """Rows of table 'objects' whose position was fitted."""
        return np.asarray((self.tables["objects"]["flags"].to_numpy(np.int64) & int(Flag.NO_FIT)) == 0)

    @functools.cached_property
    def judged(self) -> Mask:
        """True columns far enough from the border."""
        sites = self.reference.sites
        return self.reference.inner(sites.y_nm, sites.x_nm, self.trial.inset_nm)

    def matched(self, radius_nm: float) -> Match:
        """Return the matching of all true columns with all rows of 'objects'."""
        sites, found = self.reference.sites, self.found
        return match(sites.y_nm, sites.x_nm, found.y_nm, found.x_nm, radius_nm)

    def limits(self) -> ColumnLimits:
        """Return the bounds of all true columns at the trial's dose."""
        return _limits(self.trial, self.reference.name)

    def columns(self) -> Columns:
        """Return the true columns with the cross-sections that fit the noise-free image."""
        return _columns(self.trial.at(1.0, 1), self.reference.name)


def load_multislice(name: str, trial: Trial) -> Reference:
    """Return a shipped reference set under the conditions of `trial`."""
    sample = load_reference(
        name, pixel_nm=trial.pixel_nm, source_fwhm_nm=trial.source_fwhm_nm, thermal_nm=trial.thermal_nm
    )
    optics = {field.name for field in fields(Microscope)}
    microscope = Microscope(**{key: value for key, value in sample.params.items() if key in optics})
    defects = tuple(reference_defects(name))
    return Reference(name, sample.image, trial.pixel_nm, sample.sites, defects, microscope, trial.thermal_nm)


def is_empty(labels: NDArray[np.str_]) -> Mask:
    """Return which labels mark a site that holds no atom: 'vac_W', 'Se0'."""
    return np.array([str(label).startswith("vac_") or str(label).endswith("0") for label in labels], dtype=bool)


def dose_text(dose: float) -> str:
    """Return a dose in few characters.

    >>> dose_text(3e4)
    '3e4'
    """
    mantissa, exponent = f"{dose:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _reference(trial: Trial, name: str) -> Reference:
    return _loaded(trial.at(1.0, 1), name)


@functools.lru_cache(maxsize=32)
def _loaded(trial: Trial, name: str) -> Reference:
    return (trial.load or load_multislice)(name, trial)


@functools.lru_cache(maxsize=32)
def _columns(trial: Trial, name: str) -> Columns:
    """Return the image model of a reference: linear spots of its elements, cross-sections fitted to its own image."""
    reference = _reference(trial, name)
    sites = reference.sites
    elements = [_element(str(label)) for label in sites.label]
    known = sorted({element for element in elements if element})
    spots = [_spot(reference, element) for element in known]
    kind = np.array([known.index(element) if element else 0 for element in elements], np.intp)
    columns = Columns(sites.y_nm, sites.x_nm, np.zeros(len(sites)), spots, kind)
    fitted = fit_sections(columns, Raster(_shape(reference), reference.pixel_nm), reference.fraction)
    return replace(fitted, section_A2=np.where(is_empty(sites.label), 0.0, fitted.section_A2))


@functools.lru_cache(maxsize=64)
def _limits(trial: Trial, name: str) -> ColumnLimits:
    reference = _reference(trial, name)
    raster = Raster(_shape(reference), reference.pixel_nm)
    return cramer_rao(_columns(trial.at(1.0, 1), name), raster, trial.dose_e_per_A2, reference.fraction)


def _shape(reference: Reference) -> tuple[int, int]:
    height, width = reference.fraction.shape
    return height, width


def _spot(reference: Reference, element: str) -> Spot:
    from ase.data import atomic_numbers

    side = 2 * _SPOT_REACH + 1
    place = np.full((1, 2), _SPOT_REACH * _SPOT_STEP_NM)
    image = adf_points(
        place,
        [atomic_numbers[element]],
        reference.microscope,
        pixel_nm=_SPOT_STEP_NM,
        shape=(side, side),
        thermal_nm=reference.thermal_nm,
    )
    return image_spot(image, _SPOT_STEP_NM)


def _element(label: str) -> str:
    """Return the element that a label such as 'Se2' names first; '' for an empty site."""
    if is_empty(np.array([label]))[0]:
        return ""
    bare = label.rstrip("0123456789")
    return bare[:2] if bare[1:2].islower() else bare[:1]
