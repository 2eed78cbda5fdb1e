"""Files of pixelated detectors: Merlin (.mib), EMPAD (.xml with .raw), NanoMEGAS (.blo), and raw numbers."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import Axis
from micrograph.io.files import unreadable
from micrograph.io.records import Records
from micrograph.io.signals import Signal

#: Rows and columns of an EMPAD pattern, and rows that follow it and hold no pattern.
_EMPAD, _EMPAD_FOOT = (128, 128), 2
_MIB_KINDS = {"U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
_LAYOUT = re.compile(
    r"^\s*(\d+(?:\s*[x,]\s*\d+){1,3})\s+([<>]?\w+)(?:\s+offset\s*=?\s*(\d+))?(?:\s+gap\s*=?\s*(\d+))?\s*$"
)
#: How a raw file is described.
LAYOUT_HELP = (
    "scan rows x columns x pattern rows x columns and the type, such as '256x256x128x128 uint16 offset=0 gap=0'"
)


def mib_signals(path: Path) -> list[Signal]:
    """Return the patterns of a Merlin file, upside down against the file as its own software shows them.

    The scan's width comes from the .hdr file beside it; else it is one series of frames. Raises `BadInput` for a broken
    head, and for raw counter data, which the detector's software converts.
    """
    try:
        with path.open("rb") as file:
            said = file.read(768).decode("latin-1").split(",")
        if said[0] != "MQ1":
            raise ValueError("it does not begin with MQ1")
        head, width, height, kind = int(said[2]), int(said[4]), int(said[5]), said[6].strip()
    except (ValueError, IndexError, OSError) as error:
        raise unreadable(path, "the Merlin reader", error) from error
    if kind not in _MIB_KINDS:
        raise BadInput(f"{path.name} holds raw counters ({kind}): let the Merlin software save it processed.")
    dtype = np.dtype(_MIB_KINDS[kind])
    count = path.stat().st_size // (head + width * height * dtype.itemsize)
    if count == 0:
        raise BadInput(f"{path.name} ends within its first pattern: it is truncated; copy it again.")
    header = _mib_header(path.with_suffix(".hdr"))
    nav, notes = _mib_scan(header, count)
    axes = (*_nav_axes(nav), Axis(height, "ky", navigate=False), Axis(width, "kx", navigate=False))
    array = Records(path, nav, (height, width), dtype, head=head, flipped=True)
    return [Signal(path.name, array, dtype, axes, "Merlin", trusted=True, notes=notes, metadata=header)]


def _mib_header(path: Path) -> dict[str, Any]:
    """Return the lines 'name: value' of the .hdr file beside a Merlin file, empty where there is none."""
    if not path.exists():
        return {}
    lines = (line.partition(":\t") for line in path.read_text(encoding="latin-1").splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon}


def _mib_scan(header: dict[str, Any], count: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the scan (Y, X) of `count` frames, or (N,), and what was made of a scan that was cut off."""
    down, across = (_whole(header.get(name)) for name in ("ScanY", "ScanX"))
    if not (down and across):
        across = _whole(header.get("Frames per Trigger (Number)"))
        total = _whole(header.get("Frames in Acquisition (Number)"))
        down = total // across if across and total else 0
    if across < 2 or down < 2:
        return (count,), ()
    lines = min(down, count // across)
    note = f"the scan has {count // across} of its {down} lines" if lines < down else ""
    return ((lines, across) if lines else (count,)), ((note,) if note else ())


def _whole(text: object) -> int:
    found = re.search(r"\d+", str(text or ""))
    return int(found.group()) if found else 0


def blo_signals(path: Path) -> list[Signal]:
    """Return the scan of a NanoMEGAS block file; the scale of the patterns follows from camera length and voltage."""
    try:
        with path.open("rb") as file:
            raw = file.read(240)
        identity, magic = raw[:6], struct.unpack_from("<H", raw, 6)[0]
        if identity != b"IMGBLO":
            raise ValueError(f"it begins with {identity!r}, not with IMGBLO")
        _, begin, _, side, _, across, down, _, step_x, step_y, volts, per_cm, camera = struct.unpack_from(
            "<IIIHHHHHddIHI", raw, 8
        )
        del magic
    except (struct.error, ValueError, OSError) as error:
        raise unreadable(path, "the block file reader", error) from error
    dtype = np.dtype("u1")
    nav = (down, across)
    notes: tuple[str, ...] = ()
    whole_rows = (path.stat().st_size - begin) // (6 + side * side) // max(across, 1)
    if whole_rows < 1 or side < 2:
        raise BadInput(f"{path.name} ends within the first line of its scan: it is truncated; copy it again.")
    if whole_rows < down:
        nav, notes = (whole_rows, across), (f"the scan has {whole_rows} of its {down} lines",)
    array = Records(path, nav, (side, side), dtype, offset=begin, head=6)
    mrad = _camera_mrad(100.0 / per_cm if per_cm else 0.0, camera / 10.0)
    steps = [float(step) if step > 0 else None for step in (step_y, step_x)]
    axes = (*_nav_axes(nav, steps, "nm"), *_pattern_axes((side, side), mrad, "mrad"))
    stated = Calibration(voltage_kV=volts / 1e3 if volts else None)
    return [Signal(path.name, array, dtype, axes, "block file", stated, trusted=True, notes=notes)]


def _camera_mrad(pixel_cm: float, camera_mm: float) -> float | None:
    """Return the angle of a pixel of a camera so far away."""
    return 1e3 * 10 * pixel_cm / camera_mm if pixel_cm > 0 and camera_mm > 0 else None


def empad_signals(path: Path) -> list[Signal]:
    """Return the patterns of an EMPAD: `path` is its .xml, or its .raw with the .xml beside it."""
    xml = path if path.suffix.lower() == ".xml" else path.with_suffix(".xml")
    try:
        root = ElementTree.parse(xml).getroot()
        named = root.find("raw_file")
        raw = path if path != xml else xml.with_name(Path(str(named.get("filename"))).name if named is not None else "")
        nav = _empad_scan(root, raw.name)
    except (ElementTree.ParseError, OSError, ValueError, AttributeError) as error:
        raise unreadable(path, "the EMPAD reader", error) from error
    if not raw.is_file():
        raise BadInput(f"{xml.name} names the patterns '{raw.name}', which is not beside it: copy both files together.")
    dtype, tail = np.dtype("<f4"), 4 * _EMPAD_FOOT * _EMPAD[1]
    array = Records(raw, nav, _EMPAD, dtype, tail=tail)
    there = raw.stat().st_size // array.stride
    if there < int(np.prod(nav)):
        raise BadInput(f"{raw.name} holds {there} patterns, but {int(np.prod(nav))} were expected: copy it again.")
    scale = _text(root, "iom_measurements/calibrated_pixelsize")
    axes = _pattern_axes(_EMPAD, float(scale) * 1e9 if scale else None, "1/nm")
    volts = _text(root, "iom_measurements/source.get_voltage") or _text(root, "iom_measurements/high_voltage")
    stated = Calibration(voltage_kV=float(volts) / 1e3 if volts else None)
    steps = _empad_steps(root, nav)
    return [Signal(raw.name, array, dtype, (*_nav_axes(nav, steps, "m"), *axes), "EMPAD", stated, trusted=True)]


def _empad_scan(root: ElementTree.Element, name: str) -> tuple[int, ...]:
    count = _text(root, "scan_parameters/series_count")
    if count:
        return (int(count),)
    down, across = _text(root, "pix_y"), _text(root, "pix_x")
    if down and across:
        return int(down), int(across)
    found = re.search(r"_x(\d+)_y(\d+)", name)
    if not found:
        raise ValueError("neither the .xml nor the name says how large the scan is")
    return int(found.group(2)), int(found.group(1))


def _empad_steps(root: ElementTree.Element, nav: tuple[int, ...]) -> list[float | None]:
    """Return the steps (y, x) of the scan in m."""
    text = _text(root, "iom_measurements/optics.get_full_scan_field_of_view")
    numbers = [float(one) for one in re.findall(r"[-+.\deE]+", text or "") if re.search(r"\d", one)]
    if len(nav) == 2 and len(numbers) == 2:
        return [numbers[0] / nav[0], numbers[1] / nav[1]]
    field = _text(root, "iom_measurements/full_scan_field_of_view/x")
    factor = _text(root, "iom_measurements/full_scan_field_of_view/scale_factor")
    if len(nav) == 2 and field:
        return [float(field) / float(factor or 1) / max(nav)] * 2
    return [None, None]


def _text(root: ElementTree.Element, path: str) -> str:
    node: ElementTree.Element | None = root
    for name in path.split("/"):
        node = None if node is None else next((child for child in node if child.tag == name), None)
    return (node.text or "").strip() if node is not None else ""


@dataclass(frozen=True)
class RawLayout:
    """What a raw file holds: shape (N, H, W) or (Y, X, H, W), the type of its numbers, bytes before all and each."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int = 0
    gap: int = 0

    @staticmethod
    def parsed(text: str) -> RawLayout:
        """Return the layout that a text describes, such as '256x256x128x128 uint16 offset=0 gap=0'."""
        found = _LAYOUT.match(text)
        try:
            assert found
            dtype = np.dtype(found.group(2))
            assert dtype.kind in "biuf"
        except (AssertionError, TypeError) as error:
            raise BadInput(f"--raw-layout is '{text}': give {LAYOUT_HELP}.") from error
        shape = tuple(int(one) for one in re.split(r"\s*[x,]\s*", found.group(1)))
        if min(shape) < 1:
            raise BadInput(f"--raw-layout is '{text}': every size must be at least 1.")
        shape = shape if len(shape) > 2 else (1, *shape)
        return RawLayout(shape, dtype, int(found.group(3) or 0), int(found.group(4) or 0))


def raw_signals(path: Path, layout: RawLayout | None = None) -> list[Signal]:
    """Return the numbers of a file without a head; without a `layout` that of the EMPAD whose .xml lies beside it."""
    if layout is None:
        if path.with_suffix(".xml").exists():
            return empad_signals(path)
        raise BadInput(f"{path.name} holds numbers without a head: say with --raw-layout what they are: {LAYOUT_HELP}.")
    nav, pattern = layout.shape[:-2], (layout.shape[-2], layout.shape[-1])
    array = Records(path, nav, pattern, layout.dtype, layout.offset, layout.gap)
    need, there = layout.offset + int(np.prod(nav)) * array.stride, path.stat().st_size
    if there < need:
        raise BadInput(f"{path.name} has {there} bytes, but --raw-layout asks for {need}: give another layout.")
    axes = (*_nav_axes(nav), *_pattern_axes(pattern, None, ""))
    return [Signal(path.name, array, layout.dtype, axes, "raw numbers", trusted=True)]


def _nav_axes(
    nav: tuple[int, ...], steps: list[float | None] | tuple[None, None] = (None, None), unit: str = ""
) -> tuple[Axis, ...]:
    if len(nav) == 1:
        return (Axis(nav[0], "frame", navigate=True),)
    return tuple(
        Axis(size, name, step, unit if step else "", True) for size, name, step in zip(nav, "yx", steps, strict=True)
    )


def _pattern_axes(pattern: tuple[int, int], scale: float | None, unit: str) -> tuple[Axis, Axis]:
    height, width = pattern
    known = unit if scale else ""
    return Axis(height, "ky", scale, known, False), Axis(width, "kx", scale, known, False)
