"""Nanoscope files (.spm, .000 and on) of Bruker and Veeco: a text header of lists, then whole numbers.

A channel's value is ``stored * hard scale * sensitivity``, see Bruker's NanoScope software guide: the soft scale names
the sensitivity, and the hard scale is the 'Z scale' in volt over the range of the stored numbers.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.axes import LENGTHS_NM
from micrograph.io.probe.channels import Channel, read_channels
from micrograph.io.signals import Signal

#: Suffixes of older files, which are numbered.
NUMBERED = re.compile(r"\.\d{3}")
_IMAGE = "Ciao image list"
_NUMBER = r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"
Section = dict[str, str]


def signals(path: Path) -> list[Signal]:
    """Return every image of a Nanoscope file."""
    return read_channels(path, "Nanoscope", _channels)


def sections_of(text: str) -> list[tuple[str, Section]]:
    """Return the lists of a header in their order: the name of each, and its entries.

    >>> sections_of("\\\\*File list\\r\\n\\\\Version: 0x05\\r\\n")
    [('File list', {'Version': '0x05'})]
    """
    found: list[tuple[str, Section]] = []
    for line in text.splitlines():
        if line.startswith("\\*"):
            found.append((line[2:].strip(), {}))
        elif line.startswith("\\") and found:
            name, _, value = line[1:].partition(": ")
            found[-1][1][name.strip().rstrip(":")] = value.strip()
    return found


def _channels(path: Path) -> list[Channel]:
    raw = path.read_bytes()
    end = raw.find(b"File list end")
    if not raw.startswith(b"\\*") or end < 0:
        raise BadInput(f"{path.name} has no Nanoscope header: it is another format, or truncated.")
    sections = sections_of(raw[:end].decode("latin-1"))
    shared = {name: value for title, section in sections if title != _IMAGE for name, value in section.items()}
    return [_channel(raw, section, shared, path) for title, section in sections if title == _IMAGE]


def _channel(raw: bytes, section: Section, shared: Section, path: Path) -> Channel:
    width = int(section.get("Samps/line", shared.get("Samps/line", "0")).split()[0])
    height = int(section["Number of lines"].split()[0])
    offset, length = int(section["Data offset"]), int(section["Data length"])
    size = length // max(height * width, 1)
    if size not in (2, 4) or offset + length > len(raw):
        raise BadInput(f"{path.name} ends before its data does: it is truncated; copy it again.")
    stored = np.frombuffer(raw, f"<i{size}", height * width, offset).reshape(height, width)
    factor, unit = _scale(section, shared, size)
    name = re.search(r'"([^"]*)"', _entry(section, "Image Data"))
    way = " backward" if section.get("Line Direction", "").lower() == "retrace" else " forward"
    # Rows are stored from the bottom of the scan upwards.
    values: NDArray[np.float32] = (stored[::-1] * factor).astype(np.float32)
    return Channel((name[1] if name else "image") + way, values, unit, _sides(section, shared))


def _scale(section: Section, shared: Section, size: int) -> tuple[float, str]:
    """Return what a stored 1 is worth, and in which unit."""
    text = _entry(section, "Z scale")
    volts = re.search(_NUMBER + r"\s*(?:V|mV|~m|nm|um|pm|A|deg|.)?\s*$", text)
    soft = re.search(r"\[([^\]]+)\]", text)
    hard = float(volts[1]) / 2 ** (8 * size) if volts else 1.0
    sensitivity = shared.get(f"@{soft[1]}", "") if soft else ""
    found = re.search(_NUMBER + r"\s*(\S*)$", sensitivity)
    if not found:
        return hard, "V"
    unit = found[2].split("/")[0].replace("~m", "um").replace("º", "deg")
    return hard * float(found[1]), unit


def _entry(section: Section, name: str) -> str:
    """Return the entry that ends with a name, whatever number a version puts before it ('@2:Z scale')."""
    return next((value for key, value in section.items() if key.split(":")[-1] == name), "")


def _sides(section: Section, shared: Section) -> tuple[float | None, float | None]:
    """Return the sides (y, x) of the scan in nm, from 'Scan Size: 500 500 nm' or 'Scan Size: 500 nm'."""
    words = section.get("Scan Size", shared.get("Scan Size", "")).replace("~m", "um").split()
    to_nm = LENGTHS_NM.get(words[-1].lower()) if words else None
    numbers = [float(word) for word in words[:-1]]
    if to_nm is None or not numbers:
        return None, None
    return numbers[-1] * to_nm, numbers[0] * to_nm
