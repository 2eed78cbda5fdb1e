"""Any file or folder to a recording, and the list of what is in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from micrograph.core import BadInput, Recording, SignalAxis
from micrograph.io import (
    coded,
    elements,
    hdf5,
    numpy_files,
    peak_lists,
    pictures,
    scan_files,
    site_lists,
    spectra,
    structures,
    tiff,
    vendor,
    zarr_files,
)
from micrograph.io.axes import length_nm
from micrograph.io.data_bar import without_bar
from micrograph.io.files import existing, sniff
from micrograph.io.probe import gwyddion, igor, nanonis, nanoscope, ntmdt, omicron
from micrograph.io.recording import as_scan, make_recording
from micrograph.io.signals import Signal, choose, layout, trouble

HDF5 = (".h5", ".hdf5", ".he5")

#: Own readers by suffix; every other suffix goes to rosettasciio.
READERS: dict[str, Callable[[Path], list[Signal]]] = {
    ".npy": numpy_files.npy_signals,
    ".npz": numpy_files.npz_signals,
    ".tif": tiff.signals,
    ".tiff": tiff.signals,
    ".mib": scan_files.mib_signals,
    ".blo": scan_files.blo_signals,
    ".raw": scan_files.raw_signals,
    ".bin": scan_files.raw_signals,
    ".sxm": nanonis.signals,
    ".gwy": gwyddion.signals,
    ".ibw": igor.signals,
    ".spm": nanoscope.signals,
    ".mdt": ntmdt.signals,
    ".mat": elements.mat_signals,
    **dict.fromkeys(pictures.PICTURES, pictures.signals),
}


def open_recording(
    path: str | Path,
    *,
    pixel_nm: float | None = None,
    frame_time_s: float | None = None,
    signal: str | int | None = None,
    scan_shape: tuple[int, int] | None = None,
    raw_layout: str | None = None,
    energy_axis: SignalAxis | None = None,
    takes: tuple[str, ...] = (),
) -> Recording:
    """Open a file, or a folder of images, as a lazy recording of grey images (H, W) with square pixels.

    Maps of several elements, named by them, are one recording of frames (C, H, W) unless one is chosen by `signal`.
    The patterns of a 4D-STEM scan (Y, X, H, W) are its frames, line by line; `scan_shape` (Y, X) makes a scan of a
    series of patterns, `raw_layout` says what a file without a head holds ('256x256x128x128 uint16 offset=0 gap=0').

    The calibration is taken from the file, in nm and s, where the file states it; an explicit `pixel_nm` (> 0, the side
    of square pixels) or `frame_time_s` (> 0) wins. `signal` is the number or name of one of several arrays in a file.
    Of spectra (Y, X, E) a frame is a line (X, E) and `pixel_nm` the step; `energy_axis` is that of the last axis where
    the file does not say. Of a file with images and spectra the images are opened, unless a recipe `takes` but spectra.
    Frame ``i`` is read alone, when asked for. ``metadata['notes']`` says what was done to the data.

    Raises `BadInput`, in one sentence, for anything that is no readable image or series of images.
    """
    _check_positive(pixel_nm, "pixel_nm")
    _check_positive(frame_time_s, "frame_time_s")
    source = existing(path)
    if signal is None and coded.is_coded(source):
        return coded.coded_recording(source, pixel_nm=pixel_nm, frame_time_s=frame_time_s)
    but_spectra = energy_axis is not None or ("spectra" in takes and "image" not in takes and "elements" not in takes)
    if signal is None and scan_shape is None and not but_spectra:
        maps = elements.element_recording(source, find_signals, pixel_nm)
        if maps is not None:
            return maps
    layout_given = None if raw_layout is None else scan_files.RawLayout.parsed(raw_layout)
    found = find_signals(source) if layout_given is None else scan_files.raw_signals(source, layout_given)
    found = found if energy_axis is None else _with_energies(found, energy_axis)
    number, chosen = choose(found, signal, source.name, but_spectra)
    if spectra.holds_spectra(chosen):
        recording = spectra.make_spectra(chosen, source.name, step_nm=pixel_nm)
    else:
        recording = make_recording(chosen, source.name, pixel_nm=pixel_nm, frame_time_s=frame_time_s)
    recording.metadata.update(path=str(source), number=number)
    if source.is_dir() or source.suffix.lower() in (".tif", ".tiff", *pictures.PICTURES):
        recording = without_bar(recording)
    return recording if scan_shape is None else as_scan(recording, scan_shape)


def _with_energies(found: list[Signal], axis: SignalAxis) -> list[Signal]:
    """Return the signals of a file, of which those with the most axes get these energies."""
    most = max((len(one.axes) for one in found), default=0)
    return [spectra.with_energies(one, axis) if len(one.axes) == most else one for one in found]


def describe(path: str | Path) -> list[dict[str, Any]]:
    """Return one row per signal of a file or folder.

    Keys: signal (number), name, shape, dtype, axes (text), frames, pixel_nm, frame_time_s, voltage_kV (``None`` where
    unknown), reader, and trouble: why it cannot be opened as a recording ('' where it can).
    """
    source = existing(path)
    if coded.is_coded(source):
        return [coded.described(source)]
    return [_row(number, signal) for number, signal in enumerate(find_signals(source))]


def find_signals(source: Path) -> list[Signal]:
    """Return every array in a file or folder, unread; raises `BadInput` where no reader can list it."""
    suffix = source.suffix.lower()
    if suffix == ".zarr":
        return zarr_files.signals(source)
    if suffix == ".zspy":
        return zarr_files.hyperspy_signals(source)
    if source.is_dir():
        return pictures.folder_signals(source, _suffixes(), find_signals)
    if structures.format_of(source):
        return structures.signals(source)
    if suffix in site_lists.SUFFIXES and site_lists.names_sites(source):
        return site_lists.signals(source)
    if suffix in peak_lists.SUFFIXES and (peak_lists.names_peaks(source) or suffix not in vendor.claims()):
        return peak_lists.signals(source)
    if suffix in READERS:
        return READERS[suffix](source)
    if nanoscope.NUMBERED.fullmatch(suffix):
        return nanoscope.signals(source)
    if omicron.SUFFIX.fullmatch(suffix):
        return omicron.signals(source)
    if suffix == ".xml" and "EMPAD" in source.read_bytes()[:4000].decode("latin-1").upper():
        return scan_files.empad_signals(source)
    if suffix in HDF5 or (suffix == ".emd" and hdf5.holds_scan(source)):
        return _hdf5(source)
    if suffix in vendor.claims():
        return vendor.signals(source)
    kind = sniff(source)
    if kind not in {"", "text", "pdf"}:
        raise BadInput(f"{source.name} has the suffix '{suffix}', but its content looks like .{kind}: rename it.")
    raise BadInput(
        f"{source.name} has the suffix '{suffix}', which no reader knows: a recording such as .dm3, .emd, .mrc, .ser, "
        ".tif, .png, .npy, .h5 or a folder of images was expected; export it as TIFF."
    )


def _hdf5(source: Path) -> list[Signal]:
    found = [] if hdf5.is_hyperspy(source) else hdf5.signals(source)
    return found or vendor.signals(source)


def _row(number: int, signal: Signal) -> dict[str, Any]:
    row: dict[str, Any] = {"signal": number, "name": signal.name, "shape": signal.shape, "dtype": str(signal.dtype)}
    row["axes"] = [axis.text() for axis in signal.axes]
    row |= {"frames": None, "pixel_nm": None, "frame_time_s": None, "voltage_kV": signal.stated.voltage_kV}
    row |= {"step_nm": None}
    if spectra.holds_spectra(signal):
        return {**row, **spectra.facts(signal)}
    if not (reason := trouble(signal)):
        recording = None if signal.colour else make_recording(signal, signal.name, pixel_nm=None, frame_time_s=None)
        plan = layout(signal)
        row["frames"] = 1 if plan.frame is None else signal.axes[plan.frame].size
        if plan.row is not None:
            row["frames"] *= signal.axes[plan.row].size
        row["pixel_nm"] = recording.calibration.pixel_nm if recording else length_nm(signal.axes[plan.x])
        row["frame_time_s"] = recording.calibration.frame_time_s if recording else None
        row["step_nm"] = recording.calibration.step_nm if recording else None
    return {**row, "reader": signal.reader, "trouble": reason}


def _suffixes() -> tuple[str, ...]:
    """Return the suffixes that count as frames in a folder: pictures, and the one-image formats of microscopes."""
    return (*pictures.PICTURES, ".tif", ".tiff", ".npy", ".dm3", ".dm4", ".ser", ".mrc", ".emd", ".hspy")


def _check_positive(value: float | None, name: str) -> None:
    if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
        raise BadInput(f"{name} is {value}: it must be a number greater than zero and finite.")
