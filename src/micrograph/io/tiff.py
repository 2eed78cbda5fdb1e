"""TIFF files: images and series page by page."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.axes import Axis
from micrograph.io.files import unreadable
from micrograph.io.numpy_files import RawArray
from micrograph.io.quiet import quiet
from micrograph.io.signals import Key, Signal, Sliceable
from micrograph.io.tiff_scale import axes_and_microscope

if TYPE_CHECKING:
    import tifffile

WHITE_IS_ZERO, PALETTE = 0, 3
NOTES = {
    WHITE_IS_ZERO: ("stored with white as zero: bright is a small number",),
    PALETTE: ("stored with a grey palette whose annotation colours count as grey values",),
}


@dataclass(frozen=True)
class Pages:
    """The pages of a series of `shape`, whose first `outer` axes count pages; a key reads the one page it names."""

    path: Path
    shape: tuple[int, ...]
    outer: int
    numbers: tuple[int, ...]

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read a part of the one page that the key names."""
        import tifffile

        leading = cast(tuple[int, ...], key[: self.outer])
        position = int(np.ravel_multi_index(leading, self.shape[: self.outer])) if leading else 0
        with quiet(), tifffile.TiffFile(self.path) as tiff:
            page = tiff.pages[self.numbers[position]].asarray()
        return np.asarray(page).reshape(self.shape[self.outer :])[key[self.outer :]]


@dataclass(frozen=True)
class Stack:
    """Arrays of one shape, counted by a first axis."""

    arrays: tuple[Sliceable, ...]

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Return a part of the page that the first number chooses."""
        first, *rest = key
        assert isinstance(first, int)
        return self.arrays[first][tuple(rest)]


def signals(path: Path) -> list[Signal]:
    """Return one signal per series of a TIFF file; raises `BadInput` where it is broken."""
    import tifffile

    try:
        with quiet() as said, tifffile.TiffFile(path) as tiff:
            _check_chain(tiff, said)
            if _is_one_series(tiff):
                return [_stacked(path, tiff)]
            return [_signal(path, tiff, number) for number in range(len(tiff.series))]
    except BadInput:
        raise
    except Exception as error:
        raise unreadable(path, f"tifffile {tifffile.__version__}", error) from error


def _check_chain(tiff: tifffile.TiffFile, said: list[str]) -> None:
    """Raise `ValueError` where the chain of pages is cut; tifffile would only log it and return fewer frames."""
    len(tiff.pages)
    cut = [message for message in said if "invalid page offset" in message or "corrupted" in message]
    if cut:
        raise ValueError(cut[0].split("> ", 1)[-1])


def _is_one_series(tiff: tifffile.TiffFile) -> bool:
    """Tell whether the pages, each written as a series of its own, are images of one size and kind."""
    kinds = {(series.shape, str(series.dtype), series.axes) for series in tiff.series}
    return len(tiff.series) > 1 and len(kinds) == 1 and tiff.series[0].axes == "YX"


def _stacked(path: Path, tiff: tifffile.TiffFile) -> Signal:
    first = _signal(path, tiff, 0)
    axes = (Axis(len(tiff.series), "frame", navigate=True), *first.axes)
    arrays = tuple(_array(path, tiff, series) for series in tiff.series)
    return replace(first, name=path.name, array=Stack(arrays), axes=axes)


def _signal(path: Path, tiff: tifffile.TiffFile, number: int) -> Signal:
    series = tiff.series[number]
    page = series.keyframe
    photometric = int(page.photometric)
    if photometric == PALETTE and not _is_grey_ramp(page.colormap):
        raise BadInput(f"{path.name} holds false colours (a palette): grey values were expected; export it as grey.")
    if "S" in series.axes[:-1]:
        raise BadInput(f"{path.name} holds colours plane by plane: grey values were expected; export it as grey.")
    axes, microscope = axes_and_microscope(path, tiff, number)
    return Signal(
        name=path.name if len(tiff.series) == 1 else series.name or f"series {number}",
        array=_array(path, tiff, series),
        dtype=np.dtype(series.dtype).newbyteorder("="),
        axes=axes,
        reader="tifffile",
        stated=microscope,
        colour=series.axes.endswith("S"),
        trusted=True,
        notes=NOTES.get(photometric, ()),
    )


def _is_grey_ramp(colormap: NDArray[Any] | None) -> bool:
    """Tell whether a palette (3, N) is black to white but for a few annotation colours, as Zeiss microscopes write."""
    if colormap is None:
        return False
    ramp = np.linspace(0, int(np.max(colormap)), colormap.shape[1])
    return bool(np.mean(np.abs(colormap - ramp) <= 256) >= 0.8)


def _array(path: Path, tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> RawArray | Pages:
    shape = tuple(int(size) for size in series.shape)
    size = path.stat().st_size
    if series.dataoffset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        offset = int(series.dataoffset)
        if offset + math.prod(shape) * dtype.itemsize > size:
            raise ValueError(f"it ends after {size} bytes, before its {shape} values do")
        return RawArray(path, offset, shape, dtype)
    pages = [page for page in series.pages if page is not None]
    last = pages[-1]
    if any(start + count > size for start, count in zip(last.dataoffsets, last.databytecounts, strict=False)):
        raise ValueError(f"it ends after {size} bytes, before its last page does")
    outer = next(n for n in range(len(shape) + 1) if math.prod(shape[:n]) == len(pages))
    return Pages(path, shape, outer, tuple(int(page.index) for page in pages))
