"""Checks of paths, and what a file's first bytes say of its kind."""

from __future__ import annotations

import os
import re
import string
from pathlib import Path

from micrograph.core import BadInput

MAGIC = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"II+\0": "tif",
    b"MM\0+": "tif",
    b"\x89HDF": "hdf5",
    b"%PDF": "pdf",
    b"GIF8": "gif",
    b"\0\0\0\3": "dm3",
    b"\0\0\0\4": "dm4",
}


def existing(path: str | Path) -> Path:
    """Return `path` as a readable, non-empty file or a folder; raises `BadInput` with what is wrong."""
    if not str(path).strip():
        raise BadInput("The path is empty: give the name of a recording or of a folder of images.")
    found = Path(path).expanduser()
    try:
        status = found.stat()
    except PermissionError as error:
        raise BadInput(_locked(found)) from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{found} does not exist: check the name and the folder.") from error
    if not os.access(found, os.R_OK) or (found.is_dir() and not os.access(found, os.X_OK)):
        raise BadInput(_locked(found))
    if found.is_dir():
        return found
    if not found.is_file():
        raise BadInput(f"{found} is neither a file nor a folder: give a recording or a folder of images.")
    if status.st_size == 0:
        raise BadInput(f"{found.name} is empty (0 bytes): copy it again from the microscope.")
    return found


def sniff(path: Path) -> str:
    """Return what the first bytes of a file say: the suffix of a known kind, 'text', or '' for unknown."""
    with path.open("rb") as file:
        head = file.read(512)
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    printable = set(string.printable.encode())
    return "text" if head and all(byte in printable for byte in head) else ""


def unreadable(path: Path, reader: str, error: Exception | str) -> BadInput:
    """Return the sentence for a file that its reader refuses: reader, its reason, and what the content looks like."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
    kind, suffix = sniff(path), path.suffix.lower().lstrip(".")
    same = {kind, suffix} <= {"jpg", "jpeg"} or {kind, suffix} <= {"tif", "tiff"} or {kind, suffix} <= {"hdf5", "h5"}
    if kind == "text":
        advice = "its content is plain text, not a recording"
    elif kind and kind != suffix and not same and kind not in {"hdf5", "dm3", "dm4", "npz"}:
        advice = f"its content looks like .{kind}; rename it accordingly"
    else:
        advice = "it may be truncated, damaged or of a newer version; copy it again, or export it as TIFF"
    return BadInput(f"{path.name} cannot be read by {reader} ({text}): {advice}.")


def natural(name: str) -> list[tuple[int, str]]:
    """Return the sorting key under which 'frame_2' comes before 'frame_10'."""
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


def _locked(path: Path) -> str:
    return f"{path} cannot be read: you lack the permission; ask its owner or copy it to a place of your own."
