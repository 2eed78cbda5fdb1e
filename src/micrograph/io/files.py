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

#: Kinds that no other format begins like, and other suffixes of the same kind.
UNMISTAKABLE = {"npy", "png", "jpg", "tif", "pdf", "gif"}
ALIASES = {"jpeg": "jpg", "jpe": "jpg", "tiff": "tif"}
#: Formats whose files begin with text.
TEXT_HEADED = {"mib", "emi", "xml", "csv", "rpl", "msa"}


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
    return "text" if len(head) >= 32 and all(byte in printable for byte in head) else ""


def unreadable(path: Path, reader: str, error: Exception | str) -> BadInput:
    """Return the sentence for a file that its reader refuses: reader, its reason, and what the content looks like."""
    kind, suffix = sniff(path), path.suffix.lower().lstrip(".")
    if kind == "text" and suffix not in TEXT_HEADED:
        return BadInput(f"{path.name} is no .{suffix} recording but plain text: give the recording itself.")
    if kind in UNMISTAKABLE and kind != ALIASES.get(suffix, suffix):
        return BadInput(f"{path.name} is no .{suffix} file, its content looks like .{kind}: rename it accordingly.")
    reason = first_line(error).replace(str(path), path.name)
    return BadInput(
        f"{path.name} cannot be read by {reader} ({reason}): it may be truncated, damaged or of a newer version; "
        "copy it again, or export it as TIFF."
    )


def first_line(error: Exception | str) -> str:
    """Return the first line of an error's text, the error's kind where it has none."""
    text = (str(error).strip().splitlines() or [""])[0][:300].rstrip(".")
    return text if " " in text else f"{type(error).__name__} {text}".strip()


def natural(name: str) -> list[tuple[int, str]]:
    """Return the sorting key under which 'frame_2' comes before 'frame_10'."""
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


def _locked(path: Path) -> str:
    return f"{path} cannot be read: you lack the permission; ask its owner or copy it to a place of your own."
