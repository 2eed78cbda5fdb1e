"""One call to HyperSpy and one back: recordings as its signals, with calibrated axes, read lazily both ways.

HyperSpy (and exspy, for signals that know EELS and EDX) is imported only here, and only when it is asked for.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Recording
from micrograph.io.axes import axis_of, instrument
from micrograph.io.recording import make_recording
from micrograph.io.signals import Key, Signal
from micrograph.io.spectra import holds_spectra, make_spectra

#: Recordings larger than this many bytes become lazy signals.
LAZY_BYTES = 256 * 2**20
#: Kinds of spectra, as files and people name them -> the class of exspy.
KINDS = {"EELS": "EELSSpectrum", "EDS_TEM": "EDSTEMSpectrum", "EDS_SEM": "EDSSEMSpectrum", "EDX": "EDSTEMSpectrum"}


def to_hyperspy(
    data: Recording | NDArray[Any],
    *,
    kind: str | None = None,
    calibration: Calibration | None = None,
    lazy: bool | None = None,
) -> Any:
    """Return a recording, or an array whose last axes are those of `calibration`, as a signal of HyperSpy.

    Spectra become an EELSSpectrum or EDSTEMSpectrum where exspy is installed and the file or `kind` ('EELS',
    'EDS_TEM', 'EDS_SEM') says which, else a Signal1D; images, movies and 4D-STEM scans a Signal2D. Axes carry names,
    steps and units. lazy: read when needed, through dask; by default where the data take more than 256 MB.
    Raises `BadInput` where HyperSpy is not installed.
    """
    signals = _imported("hyperspy.api").signals
    recording = data if isinstance(data, Recording) else _recording_of(np.asarray(data), calibration or Calibration())
    scale = recording.calibration
    axes = axes_of(recording)
    shape = tuple(int(axis["size"]) for axis in axes)
    large = math.prod(shape) * np.dtype(recording.dtype).itemsize > LAZY_BYTES if lazy is None else lazy
    array = _dask(recording, shape) if large else _whole(recording, shape)
    spectral = scale.content == "spectra"
    name = KINDS.get(kind or str(recording.metadata.get("signal_type", ""))) if spectral else None
    if kind is not None and kind not in KINDS:
        raise BadInput(f"The kind of spectra is '{kind}': it must be one of {', '.join(KINDS)}.")
    found = None if name is None else getattr(_optional("exspy.signals"), name, None)
    make = found or (signals.Signal1D if spectral else signals.Signal2D)
    signal = make(array, axes=axes, metadata=metadata_of(recording, "SEM" if name == "EDSSEMSpectrum" else "TEM"))
    return signal.as_lazy() if large else signal


def from_hyperspy(signal: Any) -> Recording:
    """Return a signal of HyperSpy as a recording: spectra line by line, images and movies frame by frame.

    Lazy signals stay lazy. Raises `BadInput` for what is no recording: its sentence says what was expected.
    """
    try:
        stated = list(signal.axes_manager.as_dictionary().values())
        metadata, data = signal.metadata.as_dictionary(), signal.data
    except AttributeError as error:
        raise BadInput(
            f"{type(signal).__name__} is no signal of HyperSpy: give one, such as hs.load(...) returns."
        ) from error
    axes = tuple(axis_of(each, int(size)) for each, size in zip(stated, data.shape, strict=True))
    general = metadata.get("General", {})
    kind = metadata.get("Signal", {}).get("signal_type")
    name = str(general.get("title") or type(signal).__name__)
    known = {"signal_type": str(kind)} if kind else {}
    found = Signal(
        name,
        HeldSignal(data),
        np.dtype(data.dtype),
        axes,
        "HyperSpy",
        instrument(metadata),
        trusted=True,
        metadata=known,
    )
    if holds_spectra(found):
        return make_spectra(found, name)
    return make_recording(found, name, pixel_nm=None, frame_time_s=None)


class HeldSignal:
    """The data of a signal, an array of NumPy or dask, of which parts are read."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Return a part, computed where it is lazy."""
        part = self._data[key]
        return np.asarray(part.compute() if hasattr(part, "compute") else part)


def axes_of(recording: Recording) -> list[dict[str, Any]]:
    """Return the axes of a recording as HyperSpy has them, those of places and frames first."""
    scale = recording.calibration
    spectral = scale.signal_axis

    def axis(name: str, size: int, step: float | None, unit: str, navigate: bool, first: float = 0.0) -> dict[str, Any]:
        known = {"scale": step, "offset": first, "units": unit} if step is not None else {"scale": 1.0, "offset": 0.0}
        return {"name": name, "size": int(size), "navigate": navigate} | known

    if scale.content == "spectra":
        across, channels = recording.shape
        places = [("y", len(recording)), ("x", across)]
        found = [axis(name, size, scale.step_nm, "nm", True) for name, size in places if size > 1]
        step, first = (None, 0.0) if spectral is None else (spectral.scale, spectral.offset)
        return [*found, axis("Energy", channels, step, "" if spectral is None else spectral.unit, False, first)]
    if recording.nav_shape:
        down = len(recording) // recording.nav_shape[1]
        found = [
            axis(n, s, scale.step_nm, "nm", True) for n, s in zip("yx", (down, recording.nav_shape[1]), strict=True)
        ]
        step, unit = (None, "") if spectral is None else (spectral.scale, spectral.unit)
        return found + [axis(n, s, step, unit, False) for n, s in zip(("ky", "kx"), recording.shape, strict=True)]
    found = [axis("time", len(recording), scale.frame_time_s, "s", True)] if len(recording) > 1 else []
    return found + [axis(n, s, scale.pixel_nm, "nm", False) for n, s in zip("yx", recording.shape, strict=True)]


def metadata_of(recording: Recording, column: str = "TEM") -> dict[str, Any]:
    """Return title and microscope of a recording as HyperSpy's metadata, below ``TEM`` or ``SEM``."""
    scale = recording.calibration
    beam = {"beam_energy": scale.voltage_kV, "convergence_angle": scale.convergence_mrad}
    known = {name: value for name, value in beam.items() if value is not None}
    tree: dict[str, Any] = {"General": {"title": recording.name}}
    return tree | ({"Acquisition_instrument": {column: known}} if known else {})


def _whole(recording: Recording, shape: tuple[int, ...]) -> NDArray[Any]:
    frames = np.stack([np.asarray(recording.read(index)) for index in recording.indices])
    return frames.reshape(shape)


def _dask(recording: Recording, shape: tuple[int, ...]) -> Any:
    """Return all frames as an array of dask, one chunk a frame, or a line of them."""
    from importlib import import_module

    da, delayed = import_module("dask.array"), import_module("dask").delayed
    read = delayed(recording.read, pure=True)
    each = np.dtype(recording.dtype)
    frames = [da.from_delayed(read(index), recording.shape, dtype=each) for index in recording.indices]
    return da.stack(frames).reshape(shape)


def _recording_of(array: NDArray[Any], scale: Calibration) -> Recording:
    """Return an array (..., H, W), or of spectra (..., E), with its scale as a recording."""
    if scale.content == "spectra":
        if not 1 <= array.ndim <= 3:
            raise BadInput(f"The array of spectra has shape {array.shape}: (E), (X, E) or (Y, X, E) was expected.")
        cube = array.reshape((1,) * (3 - array.ndim) + array.shape)
        return Recording(
            cube.__getitem__, range(len(cube)), scale, cube.shape[1:], array.dtype.name, nav_shape=cube.shape[:2]
        )
    if not 2 <= array.ndim <= 4:
        raise BadInput(
            f"The array has shape {array.shape}: an image (H, W), a movie or a scan (Y, X, H, W) was expected."
        )
    frames = array.reshape(-1, *array.shape[-2:])
    nav = array.shape[:2] if array.ndim == 4 else ()
    return Recording(frames.__getitem__, range(len(frames)), scale, frames.shape[1:], array.dtype.name, nav_shape=nav)


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadInput(
            "HyperSpy is not installed, which holds the signals that were asked for: install it with "
            "'pip install hyperspy exspy'."
        ) from error


def _optional(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
