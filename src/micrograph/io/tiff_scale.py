"""What a TIFF file says of its scale: ImageJ and OME tags read here, vendor tags by rosettasciio."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from micrograph.core import Calibration
from micrograph.io.axes import Axis, axis_of, instrument
from micrograph.io.metadata import mapped

if TYPE_CHECKING:
    import tifffile


def axes_and_microscope(path: Path, tiff: tifffile.TiffFile, number: int) -> tuple[tuple[Axis, ...], Calibration]:
    """Return the axes of series `number`, in order and with scales where stated, and what is said of the microscope."""
    series = tiff.series[number]
    letters = series.axes.upper()
    sizes = dict(zip(letters, (int(size) for size in series.shape), strict=True))
    stated, microscope = _stated(path, tiff, number)
    axes = [
        axis_of({"name": letter.lower(), "navigate": letter not in "YXS", **stated.get(letter, {})}, sizes[letter])
        for letter in letters
    ]
    return tuple(axes), microscope


def _stated(path: Path, tiff: tifffile.TiffFile, number: int) -> tuple[dict[str, dict[str, Any]], Calibration]:
    if tiff.ome_metadata:
        return _ome(tiff.ome_metadata, number), Calibration()
    vendor, microscope = _vendor(path, tiff, number)
    if vendor:
        return vendor, microscope
    return (_imagej(tiff) if tiff.imagej_metadata else {}), microscope


def _imagej(tiff: tifffile.TiffFile) -> dict[str, dict[str, Any]]:
    said = tiff.imagej_metadata or {}
    unit = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), str(said.get("unit", "")))
    tags = tiff.pages[0].tags  # type: ignore[union-attr]
    found: dict[str, dict[str, Any]] = {}
    for letter, tag in (("X", "XResolution"), ("Y", "YResolution")):
        if tag in tags and unit and tags[tag].value[0]:
            count, span = tags[tag].value
            found[letter] = {"scale": span / count, "units": unit}
    interval = said.get("finterval") or (1 / said["fps"] if said.get("fps") else None)
    if interval:
        found |= {letter: {"scale": interval, "units": str(said.get("tunit", "s"))} for letter in "TI"}
    return found


def _ome(xml: str, number: int) -> dict[str, dict[str, Any]]:
    """Return the physical sizes of image `number` in OME-XML; a size without a unit is in micrometres (OME schema)."""
    try:
        images = [element for element in ElementTree.fromstring(xml).iter() if element.tag.endswith("}Pixels")]
        said = images[number].attrib
    except (ElementTree.ParseError, IndexError):
        return {}
    found = {}
    names = {"X": ("PhysicalSizeX", "µm"), "Y": ("PhysicalSizeY", "µm"), "T": ("TimeIncrement", "s")}
    for letter, (name, default) in names.items():
        if name in said:
            found[letter] = {"scale": said[name], "units": said.get(name + "Unit", default)}
    return found


def _vendor(path: Path, tiff: tifffile.TiffFile, number: int) -> tuple[dict[str, dict[str, Any]], Calibration]:
    """Return what rosettasciio finds in the tags of FEI, Zeiss, JEOL, TVIPS, Olympus and DigitalMicrograph."""
    from rsciio.tiff import _api

    found = _api._read_tiff(tiff, tiff.series[number], str(path), lazy=True)
    names = {"height": "Y", "width": "X", "y": "Y", "x": "X", "time": "T", "t": "T"}
    scales = {}
    for axis in found["axes"]:
        letter = names.get(str(axis["name"]).lower())
        if letter and isinstance(axis.get("units"), str) and axis["units"]:
            scales[letter] = {"scale": axis["scale"], "units": axis["units"]}
    return scales, instrument(mapped(found))
