"""Masks that tell what every pixel is: painted in colours, or numbered, with the names that a user gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.files import existing
from micrograph.io.painted import stored

#: What a mask paints: a colour (red, green, blue), or a number.
Mark = tuple[int, int, int] | int
Labels = NDArray[np.int32]
Values = NDArray[np.int64]

#: Name of what is left unpainted, name of what is not to be learned, and its place among labels.
REST, UNKNOWN, UNKNOWN_LABEL = "matrix", "unlabelled", -1
#: Files of names that a folder of masks may hold.
NAME_FILES = ("classes.txt", "classes.csv")
_COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "orange": (255, 165, 0),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
#: More classes, or colours that nobody named, are no mask; a painted colour may be off by so much (JPEG, smoothing).
_MOST, _OFF = 32, 48
#: Share of the pixels above which a colour that has no name is not taken for a smoothed border.
_FEW = 0.002


@dataclass(frozen=True)
class ClassNames:
    """Names of classes by colour or number; rest: the name of what none of them is painted on."""

    by_mark: Mapping[Mark, str] = field(default_factory=dict)
    rest: str = REST

    @property
    def names(self) -> tuple[str, ...]:
        """The names that were given, in order, without that of what is not to be learned."""
        return tuple(name for name in dict.fromkeys(self.by_mark.values()) if name != UNKNOWN)


def read_names(text: str, folder: Path | None = None) -> ClassNames:
    """Return the names in `text`, ``name=0,0,255; other=#ff0000; third=3``, or without it those in a file of `folder`.

    A line of ``classes.txt`` or ``classes.csv`` holds one such pair, or a name alone: then lines are numbered from 0.
    ``rest=NAME`` names what is unpainted; a class called 'unlabelled' is not learned. Raises `BadInput` for others.
    """
    where, lines = "--classes", [part.strip() for part in text.split(";")]
    if not text.strip():
        found = None if folder is None else next((folder / n for n in NAME_FILES if (folder / n).is_file()), None)
        if found is None:
            return ClassNames()
        where = found.name
        lines = [part.strip() for part in existing(found).read_text(encoding="utf-8-sig").splitlines()]
    marks: dict[Mark, str] = {}
    rest = REST
    for number, line in enumerate(line for line in lines if line and not line.startswith("#")):
        name, mark = _pair(line, number, where)
        if mark is None:
            rest = name
        elif mark in marks:
            raise BadInput(f"{where} gives '{line}' a colour or number that '{marks[mark]}' has: give each its own.")
        else:
            marks[mark] = name
    return ClassNames(marks, rest)


def _pair(line: str, number: int, where: str) -> tuple[str, Mark | None]:
    """Return the name in a line and its colour or number, ``None`` for the rest."""
    name, mark = re.fullmatch(r"([^=:,;\t]+?)\s*(?:[=:,;\t]\s*(.*))?", line, re.DOTALL).groups()  # type: ignore[union-attr]
    if mark is None or not mark.strip():
        return name, number
    mark = mark.strip().strip("()[]")
    if name.lower() == "rest":
        return mark, None
    if mark.lower() in _COLOURS:
        return name, _COLOURS[mark.lower()]
    if re.fullmatch(r"#?[0-9a-fA-F]{6}", mark) and not mark.isdigit():
        code = mark.lstrip("#")
        return name, (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16))
    parts = [part for part in re.split(r"[\s,;]+", mark) if part]
    if len(parts) in (1, 3) and all(part.isdigit() and int(part) < 65536 for part in parts):
        values = [int(part) for part in parts]
        return name, values[0] if len(values) == 1 else (values[0], values[1], values[2])
    raise BadInput(
        f"{where} holds '{line}': a name with a colour or a number was expected, such as 'secondary=0,0,255', "
        "'secondary=#0000ff' or 'secondary=1'."
    )


def class_mask(path: Path, frame: int, known: ClassNames) -> tuple[Labels, tuple[str, ...]]:
    """Return labels (H, W) of mask number `frame` in a file, and the names of the classes 0 .. K - 1.

    Class 0 is what is unpainted: grey in a mask of colours, 0 in a mask of numbers, unless it has a name. Colours and
    numbers without a name are called by themselves. -1: not to be learned. Raises `BadInput` for what is no mask.
    """
    values = stored(path, frame)
    if values.ndim == 3 and values.shape[-1] > 2:
        return _of_colours(values[..., :3], path.name, known)
    if values.ndim == 3:
        values = values[..., 0]
    return _of_numbers(values, path.name, known)


def _coloured(image: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.ptp(image[..., :3].astype(np.int64), axis=-1) > 0)


def _of_colours(image: NDArray[Any], name: str, known: ClassNames) -> tuple[Labels, tuple[str, ...]]:
    colours: dict[Mark, str] = {mark: name for mark, name in known.by_mark.items() if isinstance(mark, tuple)}
    coloured = _coloured(image)
    if not coloured.any() and not colours:
        return _of_numbers(image[..., 0], name, known)
    if not colours:
        colours = _own_colours(image[coloured], name)
    names = _ordered(known.rest, colours.values())
    labels = np.zeros(image.shape[:2], np.int32)
    left = coloured.copy()
    values = image.astype(np.int16)
    for mark, called in colours.items():
        same = (np.abs(values - np.array(mark, np.int16)).max(axis=-1) <= (_OFF if np.ptp(mark) else 0)) & (labels == 0)
        labels[same] = UNKNOWN_LABEL if called == UNKNOWN else names.index(called)
        left &= ~same
    if left.mean() > _FEW:
        most = _most_frequent(image[left])
        raise BadInput(
            f"{name} is painted {_written(most)} where no class has that colour ({100 * left.mean():.1f} % of the "
            f"pixels): named are {', '.join(f'{n} ({_written(m)})' for m, n in colours.items())}; name it too."
        )
    return labels, names


def _own_colours(painted: NDArray[Any], name: str) -> dict[Mark, str]:
    """Return the colours of painted pixels (N, 3) that cover more than smoothed borders do, called by themselves."""
    found, counts = np.unique(painted.reshape(-1, 3), axis=0, return_counts=True)
    kept = found[counts > _FEW * counts.sum()]
    if not 0 < len(kept) <= _MOST or counts[counts > _FEW * counts.sum()].sum() < 0.9 * counts.sum():
        raise BadInput(
            f"{name} holds {len(found)} colours: a mask of at most {_MOST} was expected; save it as PNG or TIFF, "
            "which keep colours, or name the painted ones by --classes."
        )
    called = {mark: word for word, mark in _COLOURS.items()}
    marks = [(int(r), int(g), int(b)) for r, g, b in kept]
    return {mark: called.get(mark, _written(mark)) for mark in marks}


def _of_numbers(values: NDArray[Any], name: str, known: ClassNames) -> tuple[Labels, tuple[str, ...]]:
    whole = np.asarray(values)
    if not np.isfinite(whole).all() or (whole != np.rint(whole)).any() or whole.min() < 0:
        raise BadInput(f"{name} holds values that are no whole numbers from 0: a number a class was expected.")
    numbers = whole.astype(np.int64)
    there = np.unique(numbers)
    if len(there) > _MOST:
        raise BadInput(
            f"{name} holds {len(there)} different numbers: masks with a number a class (at most {_MOST}) were "
            "expected; objects with a number each suit recipes that outline objects."
        )
    given = {mark: called for mark, called in known.by_mark.items() if isinstance(mark, int)}
    unnamed = [int(n) for n in there if n and int(n) not in given]
    if given and unnamed:
        raise BadInput(f"{name} holds the number {unnamed[0]}, which has no name: name it too, or leave all names out.")
    called = {0: known.rest} | {number: f"class {number}" for number in unnamed} | given
    names = _ordered(called[0], [called[n] for n in sorted(called)])
    place = {n: UNKNOWN_LABEL if called[n] == UNKNOWN else names.index(called[n]) for n in map(int, there)}
    labels = np.array([place[int(n)] for n in there], np.int32)[np.searchsorted(there, numbers)]
    return labels, names


def _ordered(first: str, others: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in (first, *others) if name != UNKNOWN))


def _most_frequent(pixels: NDArray[Any]) -> Mark:
    found, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    red, green, blue = found[counts.argmax()]
    return int(red), int(green), int(blue)


def _written(mark: Mark) -> str:
    return str(mark) if isinstance(mark, int) else "#{:02x}{:02x}{:02x}".format(*mark)
