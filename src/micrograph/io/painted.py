"""Objects that were painted: mask pictures in black and white, in numbers or in colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.opening import open_recording
from micrograph.io.pictures import PICTURES, Picture
from micrograph.io.quiet import quiet

Labels = NDArray[np.int32]
#: A mask has no more colours than this; a photograph or a mask that was saved as JPEG has.
_MOST_COLOURS = 256
#: Share of the pixels that are black or white in a mask whose borders were smoothed.
_BLACK_OR_WHITE = 0.9


def mask_frames(path: Path) -> int:
    """Return how many masks a file holds."""
    return 1 if is_picture(path) else len(open_recording(path))


def is_picture(path: Path) -> bool:
    """Return whether a mask's file is one picture: of a kind that always is, or a TIFF that begins in colours."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return path.suffix.lower() in PICTURES
    import tifffile

    try:
        with quiet(), tifffile.TiffFile(path) as tiff:
            first = tiff.series[0]
            colours, table = first.axes.endswith("S"), first.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE
            return bool(colours or table) and len(first.shape) == 2 + colours
    except (tifffile.TiffFileError, IndexError, OSError):
        return False


def stored(path: Path, frame: int) -> NDArray[Any]:
    """Return what a file stores as mask number `frame`: numbers (H, W) or colours (H, W, C).

    A picture with a table of colours is what that means, or the numbers themselves where it holds greys alone.
    """
    if not is_picture(path):
        return np.asarray(open_recording(path).read(frame))
    if path.suffix.lower() in PICTURES:
        from PIL import Image

        values = np.asarray(Picture(path)[()])
        with Image.open(path) as image:
            numbers = np.asarray(image) if image.mode == "P" else None
    else:
        import tifffile

        with quiet(), tifffile.TiffFile(path) as tiff:
            values = tiff.series[0].asarray()
            numbers = values if values.ndim == 2 else None
            if numbers is not None:
                values = np.moveaxis(np.asarray(tiff.pages[0].colormap)[:, numbers] >> 8, 0, -1)  # type: ignore[union-attr]
    if numbers is not None and (np.ptp(values[..., :3].astype(np.int64), axis=-1) == 0).all():
        return numbers
    return values


def mask_objects(path: Path, frame: int = 0) -> tuple[Labels, tuple[str, ...]]:
    """Return labels (H, W), 1 .. N, of mask number `frame` in a file, and the objects' names.

    Two values: everything connected is an object. More: every value is an object, unless values come in many pieces;
    then a value is a kind, and its pieces are objects. Colours: connected parts of one colour; grey is background.
    """
    values = stored(path, frame)
    if values.ndim == 3:
        values, names = _colours(values, path.name)
        return _pieces(values, names)
    values = _whole_numbers(values, path.name)
    found = np.unique(values)
    if len(found) <= 2 or _smoothed(values):
        return _pieces((values > found[-1] / 2).astype(np.int32), {1: "object"})
    return _numbered(values)


def _whole_numbers(values: NDArray[Any], name: str) -> NDArray[np.int64]:
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values.min() < 0:
        raise BadInput(
            f"{name} holds values between {np.nanmin(values):.3g} and {np.nanmax(values):.3g} that are no whole "
            "numbers from 0: a mask was expected, 0 for background and 255 or the object's number inside."
        )
    return values.astype(np.int64)


def _smoothed(values: NDArray[np.int64]) -> bool:
    """Tell whether a mask is black and white with grey borders."""
    ends = np.mean((values == 0) | (values == 255))
    return bool(values.max() == 255 and len(np.unique(values)) > 2 and ends > _BLACK_OR_WHITE and (values == 255).any())


def _colours(image: NDArray[Any], name: str) -> tuple[Labels, dict[int, str]]:
    """Return (H, W) numbers of colours, 0 for background, and the colours by number; white if none is coloured."""
    colour = image[..., : 3 if image.shape[-1] > 2 else 1].astype(np.int64)
    seen = image[..., -1] > 0 if image.shape[-1] in (2, 4) else np.ones(image.shape[:2], bool)
    grey = np.ptp(colour, axis=-1) == 0
    if (grey | ~seen).all():
        return ((colour[..., 0] > colour.max() / 2) & seen).astype(np.int32), {1: "object"}
    code = colour @ np.array([65536, 256, 1])
    inside = seen & ~grey
    known = np.unique(code[inside])
    if len(known) > _MOST_COLOURS:
        raise BadInput(
            f"{name} holds {len(known)} colours: a mask of few colours was expected; save it as PNG, which keeps them."
        )
    numbers = np.where(inside, np.searchsorted(known, code) + 1, 0).astype(np.int32)
    return numbers, {number: f"#{int(value):06x}" for number, value in enumerate(known, start=1)}


def _numbered(values: NDArray[np.int64]) -> tuple[Labels, tuple[str, ...]]:
    """Return the objects of an image of numbers: one a number, or one a piece where numbers are kinds."""
    kinds = np.unique(values[values > 0])
    numbers = np.where(values > 0, np.searchsorted(kinds, values) + 1, 0).astype(np.int32)
    pieces, names = _pieces(numbers, {number: str(kind) for number, kind in enumerate(kinds, start=1)})
    if len(names) > 2 * len(kinds):
        return pieces, names
    return numbers, ("object",) * len(kinds)


def _pieces(kinds: Labels, names: dict[int, str]) -> tuple[Labels, tuple[str, ...]]:
    """Return every connected part of one kind (0: background) as an object, and its kind's name."""
    from skimage import measure

    labels = np.asarray(measure.label(kinds, background=0, connectivity=1), np.int32)  # type: ignore[no-untyped-call]
    _, first = np.unique(labels, return_index=True)
    kind_of = kinds.ravel()[first]
    return labels, tuple(names[int(kind)] for kind in kind_of[kind_of > 0])
