"""Convergent-beam patterns to what a fit says of each: the model is a library that physics makes, not a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Flag, Frame, Prediction, Recording
from micrograph.features.diffraction.pattern_bank import Bank, make_bank
from micrograph.features.diffraction.pattern_fit import PARAMETERS, Geometry, PatternFit, Patterns, Prepared, expected
from micrograph.features.diffraction.pattern_start import likely_places, measured_pattern
from micrograph.simulate.optics import wavelength_nm
from micrograph.simulate.patterns.pattern_cache import cached_library, library_key
from micrograph.structures.zone_cell import zone_cell

#: Called with (done, total, a few words).
Progress = Callable[[int, int, str], object]
#: A pattern of which more than this is left unexplained is none of this crystal, voltage or convergence.
UNEXPLAINED = 0.7
#: Patterns of a scan from whose sum the common geometry is found.
_SUMMED = 64
#: 1-sigma of the library's own error: of the thickness (nm, and share of it), of a tilt (mrad, and mrad nm over the
#: thickness). Patterns of atoms that move by a fifth more, at 0.3 % more voltage, are fitted so far off.
MODEL_NM, MODEL_SHARE, MODEL_MRAD, MODEL_MRAD_NM = 0.25, 0.012, 0.03, 1.5
#: Range of what is asked (nm, mrad, kV).
THICKEST_NM, CONVERGENCES_MRAD = (5.0, 300.0), (3.0, 40.0)


@dataclass(frozen=True)
class PatternPredictor:
    """Patterns to `Prediction.values`: one row, of the fit's parameters and their covariance (see `measured`).

    `common`: where the disc lies, how large a pixel is and how the crystal is turned in all patterns of a scan;
    `rotation_deg`: how it is turned, where that is known beforehand.
    """

    prepared: Prepared
    bank: Bank
    mrad_per_px: float | None
    digest: str
    common: Geometry | None = None
    rotation_deg: float | None = None

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
        values = measured(fit, self.prepared, frame, self.bank.period_deg)
        return Prediction(frame, {}, {}, 1.0, flags, distance, tuple(notes), values=values)

    def fit(self, image: NDArray[np.float32]) -> PatternFit:
        """Return the fit of one pattern (H, W)."""
        turns = None if self.rotation_deg is None else np.array([self.rotation_deg])
        if self.common is None:
            places = likely_places(image, self.bank, self.mrad_per_px)
        else:
            places, turns = [self.common], np.array([self.common.rotation_deg])
        return measured_pattern(image, self.prepared, self.bank, places, turns_deg=turns)


@dataclass(frozen=True)
class Measured(Mapping[str, NDArray[np.float64]]):
    """What a fit says as arrays: 'parameters' (10,), their 'covariance' and 'bound', and what belongs to them.

    'expected' (H, W), the pattern as the fit has it, is computed when it is asked for.
    """

    fit: PatternFit
    prepared: Prepared
    shape: tuple[int, int]
    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return one of the arrays."""
        if name == "expected":
            return expected(self.shape, self.prepared, self.fit).astype(float)
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        yield from (*self.arrays, "expected")

    def __len__(self) -> int:
        """Number of arrays."""
        return len(self.arrays) + 1


def measured(fit: PatternFit, prepared: Prepared, frame: Frame, period_deg: float) -> Measured:
    """Return a fit of a frame as arrays; turns by `period_deg` look the same."""
    place = fit.geometry
    values = [fit.thickness_nm, *fit.tilt_mrad, place.y_px, place.x_px, np.log(place.mrad_per_px)]
    values += [np.deg2rad(place.rotation_deg), fit.elastic, fit.diffuse, fit.dark]
    arrays = {
        "parameters": np.array(values),
        "covariance": fit.covariance + np.diag(_of_model(fit.thickness_nm)),
        "bound": fit.bound,
        "misfit": np.array(fit.misfit),
        "unexplained": np.array(fit.unexplained),
        "convergence_mrad": np.array(prepared.library.convergence_mrad),
        "period_deg": np.array(period_deg),
    }
    return Measured(fit, prepared, (frame.data.shape[0], frame.data.shape[1]), arrays)


def _of_model(thickness_nm: float) -> NDArray[np.float64]:
    """Return the variances (10,) that the library's own error adds to what a fit says."""
    variances = np.zeros(len(PARAMETERS))
    variances[0] = MODEL_NM**2 + (MODEL_SHARE * thickness_nm) ** 2
    variances[1:3] = MODEL_MRAD**2 + (MODEL_MRAD_NM / thickness_nm) ** 2
    return variances


def parameter(prediction: Prediction, name: str) -> tuple[float, float]:
    """Return a parameter of a fitted pattern and its 1-sigma."""
    place = PARAMETERS.index(name)
    values = prediction.values
    return float(values["parameters"][place]), float(np.sqrt(values["covariance"][place, place]))


@dataclass(frozen=True)
class PatternLibrary:
    """The patterns of a crystal, computed for a recording's voltage and convergence, and kept in the user's cache.

    structure: 'SrTiO3', an element, or a file (CIF); zone_axis: along the beam; thickest_nm: how far thicknesses are
    sought; mrad_per_px: the scale, where the file does not state it and it is not to be measured; rotation_deg: how the
    crystal is turned, where that is known; scan: whether all patterns share centre, scale and rotation (by default
    those of a 4D-STEM scan do); average: patterns at so many x so many places of a scan are averaged into one.
    """

    structure: str = "SrTiO3"
    zone_axis: str = "001"
    thickest_nm: float = 112.0
    mrad_per_px: float | None = None
    rotation_deg: float | None = None
    scan: bool | None = None
    average: int = 1

    def presented(self, recording: Recording) -> Recording:
        """Return the patterns that are fitted: those of a scan averaged as the setting says."""
        if not recording.nav_shape:
            return recording
        if not 1 <= self.average <= min(recording.nav_shape):
            down, across = recording.nav_shape
            raise BadInput(f"Setting average is {self.average}: the scan has {down} x {across} places.")
        return recording.averaged(self.average)

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
        digest = hashlib.sha256(key.encode()).hexdigest()
        model = predictor_of(library, self.mrad_per_px or mrad_per_px(scale), digest)
        model = replace(model, rotation_deg=self.rotation_deg)
        shares = self.scan if self.scan is not None else bool(recording.nav_shape)
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
