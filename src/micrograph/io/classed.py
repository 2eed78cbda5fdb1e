"""A user's own classes: a folder with one sub-folder a class, and a few images in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from micrograph.core import BadInput, Frame, Recording
from micrograph.core.provenance import digest
from micrograph.io.files import existing, natural
from micrograph.io.opening import open_recording

#: Files that are no images and are passed over in silence: they come with folders and with image files.
_BESIDE = {".txt", ".json", ".csv", ".md", ".xml", ".ini", ".log", ".yaml", ".yml", ".html", ".pdf"}
#: So many names are listed in a sentence.
_NAMED = 5


@dataclass(frozen=True)
class ClassFile:
    """A file of images of one class, and its recording, whose frames are read when asked for."""

    path: Path
    label: str
    recording: Recording

    def names(self) -> list[str]:
        """Return a name for each image: the file's, with the number of its frame where it has several."""
        name = f"{self.label}/{self.path.name}"
        return [name] if len(self.recording) == 1 else [f"{name}, frame {n}" for n in self.recording.indices]


@dataclass(frozen=True)
class ClassFolder:
    """The classes (K,) in natural order, their files, and the files that could not be used, with the reason."""

    labels: tuple[str, ...]
    files: tuple[ClassFile, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        """Number of images."""
        return sum(len(one.recording) for one in self.files)

    def images(self) -> Iterator[tuple[ClassFile, str, Frame]]:
        """Yield each image with its file and its name, reading one at a time."""
        for one in self.files:
            for place, name in enumerate(one.names()):
                yield one, name, one.recording.frame(place)

    def digests(self) -> dict[str, str]:
        """Return the digest of each file."""
        return {f"{one.label}/{one.path.name}": digest(one.path) for one in self.files if one.path.is_file()}


def has_classes(folder: str | Path) -> bool:
    """Return whether a folder looks like classes: two or more sub-folders with files, whose names are not of labels."""
    from micrograph.io.masks import IMAGE_FOLDERS, LABEL_FOLDERS, is_named

    root = Path(folder)
    if not root.is_dir():
        return False
    known = (LABEL_FOLDERS, IMAGE_FOLDERS)
    inside = [one for one in _folders(root) if not any(is_named(one.name, names) for names in known)]
    return len(inside) > 0 and len(inside) == len(_folders(root))


def read_classes(folder: str | Path, takes: Sequence[str] = ("image",)) -> ClassFolder:
    """Return the classes in a folder: every sub-folder is one, named after it; files are what `open_recording` reads.

    `takes`: contents of recordings that suit. Files that cannot be used are skipped and named in ``skipped``. Raises
    `BadInput`, in one sentence, for a folder without sub-folders, for one class alone, and for a class without or with
    a single image.
    """
    root = existing(folder)
    if not root.is_dir():
        raise BadInput(f"{root} is a file: give a folder that holds one sub-folder a class, with images in each.")
    folders = _folders(root)
    if not folders:
        loose = sum(one.is_file() for one in root.iterdir())
        raise BadInput(
            f"{root} holds {loose or 'no'} file{'s' * (loose != 1)} and no sub-folder: make one sub-folder a class "
            "and put the images of that class into it."
        )
    if len(folders) == 1:
        raise BadInput(f"{root} holds one class alone, '{folders[0].name}': make a sub-folder for a second one.")
    files: list[ClassFile] = []
    skipped: list[tuple[str, str]] = []
    for one in folders:
        found, passed = _files_of(one, takes)
        files += found
        skipped += passed
        _require_enough(one.name, found, passed)
    return ClassFolder(tuple(one.name for one in folders), tuple(files), tuple(skipped))


def _require_enough(label: str, found: Sequence[ClassFile], passed: Sequence[tuple[str, str]]) -> None:
    number = sum(len(one.recording) for one in found)
    if number >= 2:
        return
    unread = f" ({len(passed)} could not be read: {_listed([name for name, _ in passed])})" if passed else ""
    if number == 0:
        raise BadInput(f"Class '{label}' holds no image{unread}: put at least two into its sub-folder, or remove it.")
    raise BadInput(
        f"Class '{label}' holds one image alone{unread}: two are needed, one to learn from, one to judge by."
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _folders(root: Path) -> list[Path]:
    inside = [one for one in root.iterdir() if one.is_dir() and not one.name.startswith((".", "_"))]
    return sorted(inside, key=lambda one: natural(one.name))


def _files_of(folder: Path, takes: Sequence[str]) -> tuple[list[ClassFile], list[tuple[str, str]]]:
    """Return the files of a class that can be used, and the names of others with the reason."""
    found, skipped = [], []
    inside = [one for one in folder.rglob("*") if one.is_file() and not one.name.startswith(".")]
    for path in sorted(inside, key=lambda one: natural(str(one))):
        if path.suffix.lower() in _BESIDE and "peaks" not in takes:
            continue
        name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
        try:
            recording = open_recording(path, takes=tuple(takes))
            if recording.calibration.content not in takes:
                raise BadInput(f"it holds {recording.calibration.content}, not {' or '.join(takes)}")
            first = recording.frame(0).data
            if not np.isfinite(first).any():
                raise BadInput("it has no finite pixel")
            found.append(ClassFile(path, folder.name, recording))
        except (BadInput, OSError, ValueError) as error:
            skipped.append((name, " ".join(str(error).split())))
    return found, skipped
