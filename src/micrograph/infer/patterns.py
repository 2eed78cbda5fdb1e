"""Convergent-beam patterns to what a fit says of each: the model is a library that physics makes, not a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Flag, Frame, Prediction, Recording
from micrograph.features.pattern_fit import PARAMETERS, Geometry, PatternFit, Patterns, Prepared, expected
from micrograph.features.pattern_start import Bank, likely_places, make_bank, measured_pattern
from micrograph.simulate.optics import wavelength_nm
from micrograph.simulate.pattern_cache import cached_library, library_key
from micrograph.structures.zone_cell import zone_cell

#: Called with (done, total, a few words).
Progress = Callable[[int, int, str], object]
#: A pattern of which more than this is left unexplained is none of this crystal, voltage or convergence.
UNEXPLAINED = 0.7
#: Patterns of a scan from whose sum the common geometry is found.
_SUMMED = 64
#: Range of what is asked (nm, mrad, kV).
THICKEST_NM, CONVERGENCES_MRAD = (5.0, 300.0), (3.0, 40.0)


@dataclass(frozen=True)
class PatternPredictor:
    """Patterns to `Prediction.values`: one row, of the fit's parameters and their covariance (see `measured`).

    `common`: where the disc lies, how large a pixel is and how the crystal is turned in all patterns of a scan.
    """

    prepared: Prepared
    bank: Bank
    mrad_per_px: float | None
    digest: str
    common: Geometry | None = None

    def __call__(self, frame: Frame) -> Prediction:
        """Return what the fit says of one pattern; a flag and a note where it is unlike any of the library."""
        try:
            fit = self.fit(frame.data)
        except BadInput as error:
            return Prediction(frame, {}, {}, 1.0, Flag.BAD_FRAME, 0.0, (str(error),))
        distance = fit.unexplained / UNEXPLAINED
        flags, notes = Flag.OK, []
        if distance > 1:
            flags |= Flag.OUT_OF_DOMAIN
            notes.append(
                "The pattern is unlike any of this crystal, voltage and convergence: check them, and the zone axis."
            )
        if not fit.settled:
            flags |= Flag.NO_FIT
            notes.append("The fit did not settle.")
        library = self.prepared.library
        if fit.thickness_nm > library.thickness_nm[-1] - 1 or fit.thickness_nm < library.thickness_nm[0] + 0.2:
            flags |= Flag.EDGE
            notes.append("The thickness lies at the end of the library: give another with --set thickest_nm=...")
        return Prediction(frame, {}, {}, 1.0, flags, distance, tuple(notes), values=measured(fit, self.prepared, frame))

    def fit(self, image: NDArray[np.float32]) -> PatternFit:
        """Return the fit of one pattern (H, W)."""
        if self.common is None:
            places, turns = likely_places(image, self.bank, self.mrad_per_px), None
        else:
            places, turns = [self.common], np.array([self.common.rotation_deg])
        return measured_pattern(image, self.prepared, self.bank, places, turns_deg=turns)


def measured(fit: PatternFit, prepared: Prepared, frame: Frame) -> dict[str, NDArray[np.float64]]:
    """Return a fit as arrays: 'parameters' (10,) and their 'covariance' and 'bound', and what belongs to them."""
    place = fit.geometry
    values = [fit.thickness_nm, *fit.tilt_mrad, place.y_px, place.x_px, np.log(place.mrad_per_px)]
    values += [np.deg2rad(place.rotation_deg), fit.elastic, fit.diffuse, fit.dark]
    image = expected((frame.data.shape[0], frame.data.shape[1]), prepared, fit)
    return {
        "parameters": np.array(values),
        "covariance": fit.covariance,
        "bound": fit.bound,
        "misfit": np.array(fit.misfit),
        "unexplained": np.array(fit.unexplained),
        "convergence_mrad": np.array(prepared.library.convergence_mrad),
        "expected": image.astype(float),
    }


def parameter(prediction: Prediction, name: str) -> tuple[float, float]:
    """Return a parameter of a fitted pattern and its 1-sigma."""
    place = PARAMETERS.index(name)
    values = prediction.values
    return float(values["parameters"][place]), float(np.sqrt(values["covariance"][place, place]))


@dataclass(frozen=True)
class PatternLibrary:
    """The patterns of a crystal, computed for a recording's voltage and convergence, and kept in the user's cache.

    structure: 'SrTiO3', or a file (CIF); zone_axis: along the beam; thickest_nm: up to where thicknesses are sought;
    mrad_per_px: the scale, where the file does not state it and it is not to be measured; rotation_deg: how the crystal
    is turned, where that is known; scan: whether all patterns share centre, scale and rotation (by default those of a
    4D-STEM scan do).
    """

    structure: str = "SrTiO3"
    zone_axis: str = "001"
    thickest_nm: float = 112.0
    mrad_per_px: float | None = None
    rotation_deg: float | None = None
    scan: bool | None = None

    def prepared(self, recording: Recording, progress: Progress | None = None) -> PatternPredictor:
        """Return the model for a recording's microscope; raises `BadInput` where the crystal or a value will not do."""
        scale = recording.calibration
        assert scale.voltage_kV is not None and scale.convergence_mrad is not None
        _within(self.thickest_nm, THICKEST_NM, "thickest_nm", "nm")
        _within(scale.convergence_mrad, CONVERGENCES_MRAD, "The convergence", "mrad")
        tell = None if progress is None else _told(progress)
        cell = zone_cell(self.structure, self.zone_axis)
        facts = (scale.voltage_kV, scale.convergence_mrad, self.thickest_nm)
        library = cached_library(cell, *facts, progress=tell)
        key = f"{library_key(cell, *facts)} {self.mrad_per_px} {self.rotation_deg}"
        model = predictor_of(library, self.mrad_per_px or mrad_per_px(scale), hashlib.sha256(key.encode()).hexdigest())
        shares = self.scan if self.scan is not None else "scan_shape" in recording.metadata
        return model if not shares else self._shared(model, recording)

    def _shared(self, model: PatternPredictor, recording: Recording) -> PatternPredictor:
        """Return the model that knows the geometry that all patterns of a scan share: that of their sum."""
        every = max(1, len(recording) // _SUMMED)
        total = np.zeros(recording.shape, np.float32)
        for frame in recording[::every]:
            total += frame.data
        return replace(model, common=model.fit(total).geometry)


def predictor_of(library: Patterns, scale: float | None, digest: str) -> PatternPredictor:
    """Return the predictor of a library; without a `scale` (mrad per pixel) it is measured in each pattern."""
    return PatternPredictor(Prepared.of(library), make_bank(library), scale, digest)


def mrad_per_px(calibration: Calibration) -> float | None:
    """Return the angle of one pixel that a recording's axis states, ``None`` where it states none."""
    axis = calibration.signal_axis
    if axis is None:
        return None
    per_unit = {"mrad": 1.0, "1/nm": 1.0, "1/angstrom": 10.0}[axis.unit]
    if axis.unit == "mrad":
        return axis.scale
    return (
        None if calibration.voltage_kV is None else 1e3 * wavelength_nm(calibration.voltage_kV) * per_unit * axis.scale
    )


def _within(value: float, limits: tuple[float, float], name: str, unit: str) -> None:
    if not limits[0] <= value <= limits[1]:
        raise BadInput(f"{name} is {value:g} {unit}: it must lie between {limits[0]:g} and {limits[1]:g} {unit}.")


def _told(progress: Progress) -> Callable[[int, int], object]:
    """Return what the making of a library calls with (done, total)."""
    return lambda done, total: progress(done, total, "computing the patterns of this crystal, once")
