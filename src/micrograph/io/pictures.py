"""PNG, JPEG and other pictures, and folders of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.axes import Axis, plain_axes
from micrograph.io.files import natural, unreadable
from micrograph.io.quiet import quiet
from micrograph.io.signals import Key, Signal, choose, layout

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".webp")
#: Modes in which Pillow hands on the stored grey or colour values without change.
DIRECT = {"1": "?", "L": "u1", "I;16": "u2", "I;16B": "u2", "I": "i4", "F": "f4", "LA": "u1", "RGB": "u1", "RGBA": "u1"}
CHANNELS = {"LA": 2, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True)
class Picture:
    """One picture file, decoded when it is indexed."""

    path: Path

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Return a part of the decoded picture, its channels last; refuse a file that cannot be read."""
        from PIL import Image

        try:
            with quiet(), Image.open(self.path) as image:
                image.load()
                array = np.asarray(image if image.mode in DIRECT else image.convert("RGBA"))
        except (OSError, ValueError, SyntaxError) as error:
            raise unreadable(self.path, "Pillow", error) from error
        return array[key]


@dataclass(frozen=True)
class Folder:
    """Files of one kind as the frames of a series; `open_file` returns the signals of one of them."""

    files: tuple[Path, ...]
    shape: tuple[int, int]
    open_file: Callable[[Path], list[Signal]]

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read the frame that the first number chooses; refuse one of another shape."""
        from micrograph.io.recording import FrameReader

        path = self.files[cast(int, key[0])]
        _, signal = choose(self.open_file(path), None, path.name)
        image = FrameReader(signal.array, layout(signal), len(signal.axes), path.name)(0)
        if image.shape != self.shape:
            raise BadInput(_odd(path.name, image.shape, self.files[0].name, self.shape))
        return image[key[1:]]


def signals(path: Path) -> list[Signal]:
    """Return the one image of a picture file; raises `BadInput` where it is broken or a film."""
    from PIL import Image

    try:
        with quiet(), Image.open(path) as image:
            mode, size, frames = image.mode, image.size, int(getattr(image, "n_frames", 1))
    except (OSError, ValueError, SyntaxError) as error:
        raise unreadable(path, "Pillow", error) from error
    if frames > 1:
        raise BadInput(f"{path.name} is an animation of {frames} pictures: save them as a TIFF series or as PNG files.")
    if mode in CHANNELS and _is_deep_png(path):
        raise BadInput(
            f"{path.name} holds 16-bit colours, which would lose depth: save it as 16-bit grey, PNG or TIFF."
        )
    channels = CHANNELS.get(mode, 0 if mode in DIRECT else 4)
    shape = (size[1], size[0], channels) if channels else (size[1], size[0])
    dtype = np.dtype(DIRECT.get(mode, "u1"))
    return [Signal(path.name, Picture(path), dtype, plain_axes(shape), "Pillow", colour=bool(channels), trusted=True)]


def folder_signals(path: Path, suffixes: Sequence[str], open_file: Callable[[Path], list[Signal]]) -> list[Signal]:
    """Return the images of a folder as one series in natural order of their names.

    Raises `BadInput` where the folder holds no images, several kinds, or images of different size.
    """
    files = _images(path, suffixes)
    _, first = choose(open_file(files[0]), None, files[0].name)
    plan = layout(first, files[0].name)
    if plan.frame is not None and first.axes[plan.frame].size > 1:
        raise BadInput(
            f"{path.name} holds series ({files[0].name} has {first.axes[plan.frame].size} frames): "
            "a folder of single images was expected; open the files one by one."
        )
    shape = (first.axes[plan.y].size, first.axes[plan.x].size)
    if files[0].suffix.lower() in (*PICTURES, ".tif", ".tiff", ".npy"):
        _same_size(files, shape, open_file)
    axes = (Axis(len(files), "frame", navigate=True), first.axes[plan.y], first.axes[plan.x])
    dtype = first.dtype[0] if first.dtype.names else first.dtype
    array = Folder(tuple(files), shape, open_file)
    reader = f"folder of {first.reader} files"
    return [
        replace(first, name=path.name, array=array, dtype=dtype, axes=axes, reader=reader, colour=False, trusted=True)
    ]


def _is_deep_png(path: Path) -> bool:
    """Tell whether a file is a PNG of 16 bits a channel, of which Pillow gives only 8 for colours."""
    with path.open("rb") as file:
        head = file.read(25)
    return head.startswith(b"\x89PNG") and head[-1] == 16


def _images(path: Path, suffixes: Sequence[str]) -> list[Path]:
    try:
        inside = sorted(path.iterdir(), key=lambda each: natural(each.name))
    except OSError as error:
        raise BadInput(f"{path} cannot be listed ({error.strerror}): check its permissions.") from error
    files = [each for each in inside if each.suffix.lower() in suffixes and each.is_file() and each.name[0] != "."]
    kinds = Counter(each.suffix.lower() for each in files)
    if not files:
        folders = [each.name for each in inside if each.is_dir()]
        advice = f"open one of its folders ({', '.join(folders[:5])})" if folders else "give the folder that holds them"
        raise BadInput(f"{path} holds no images among its {len(inside)} entries: {advice}.")
    if len(kinds) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        raise BadInput(f"{path} holds several kinds of files ({found}): put the frames of one recording in a folder.")
    return files


def _same_size(files: list[Path], shape: tuple[int, int], open_file: Callable[[Path], list[Signal]]) -> None:
    for file in files[1:]:
        _, signal = choose(open_file(file), None, file.name)
        plan = layout(signal, file.name)
        if (size := (signal.axes[plan.y].size, signal.axes[plan.x].size)) != shape:
            raise BadInput(_odd(file.name, size, files[0].name, shape))


def _odd(name: str, size: tuple[int, ...], first: str, shape: tuple[int, int]) -> str:
    return (
        f"{name} has {size[0]} x {size[1]} pixels, but {first} has {shape[0]} x {shape[1]}: "
        "all frames of a folder must be of one size; move the odd ones elsewhere."
    )
