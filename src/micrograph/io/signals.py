"""One array found in a file, how its axes make frames, and the choice among several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import Axis, is_spectral, length_nm, reciprocal

Key = tuple[int | slice, ...]
#: Beside a larger image, arrays narrower than this many pixels are tables.
THUMB = 8
#: How the channel begins that shows the surface, in files of probe microscopes: the first such is opened.
USUAL = ("z forward", "current forward", "height", "topography", "zsensor")
EXPECTED = "an image (H, W), a series of images (frames, H, W) or a 4D-STEM scan (Y, X, H, W) was expected"


class Sliceable(Protocol):
    """An array on disk: indexing it with one integer or full slice per axis reads only that part."""

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Return the part of the array."""
        ...


@dataclass(frozen=True)
class Signal:
    """One array of a file, unread. `axes` are in the order of the array; `stated` is the calibration beside the axes.

    `colour` marks a last axis of colour channels; `trusted` axes were named by the file, others only by their order.
    """

    name: str
    array: Sliceable
    dtype: np.dtype[Any]
    axes: tuple[Axis, ...]
    reader: str
    stated: Calibration = field(default_factory=Calibration)
    colour: bool = False
    trusted: bool = False
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array as stored."""
        return tuple(axis.size for axis in self.axes)


@dataclass(frozen=True)
class Layout:
    """Which axis of the array is which; `frame` is ``None`` for a single image, `colour` for grey values.

    Of a 4D-STEM scan `row` counts the lines, `frame` the places along each, of which there are `across`.
    """

    frame: int | None
    y: int
    x: int
    colour: int | None = None
    row: int | None = None
    across: int = 1

    def key(self, ndim: int, index: int | slice, row: int | slice = 0) -> Key:
        """Return the index in the array of frame `index`, or of a stretch of them on one or several lines of a scan."""
        if self.row is not None and isinstance(index, int):
            row, index = divmod(index, self.across)
        whole = (self.y, self.x, self.colour)
        chosen = {self.frame: index, self.row: row}
        return tuple(slice(None) if axis in whole else chosen.get(axis, 0) for axis in range(ndim))


def layout(signal: Signal, where: str = "") -> Layout:
    """Return how the axes of `signal`, found in file `where`, make frames; raises `BadInput` where they make none."""
    if where and where != signal.name:
        signal = replace(signal, name=f"{where} ('{signal.name}')")
    _check_dtype(signal)
    colour = _colour_axis(signal)
    axes = [i for i in range(len(signal.axes)) if i != colour]
    axes = _without_singletons(signal, axes)
    shape = signal.shape
    if 0 in shape:
        raise BadInput(f"{signal.name} has shape {shape} and so holds no image: {EXPECTED}.")
    if any(is_spectral(signal.axes[i]) for i in axes):
        raise BadInput(f"{signal.name} is a spectrum or spectrum image of shape {shape}: {EXPECTED}.")
    if len(axes) == 1:
        raise BadInput(f"{signal.name} is a 1-D array of {shape[axes[0]]} values: {EXPECTED}.")
    if len(axes) == 0 or len(axes) > 4:
        raise BadInput(_too_many(signal))
    y, x = axes[-2:]
    frame = axes[-3] if len(axes) > 2 else None
    row = axes[-4] if len(axes) > 3 else None
    if min(shape[y], shape[x]) < 2:
        raise BadInput(f"{signal.name} has images of {shape[y]} x {shape[x]} pixels: at least 2 x 2 were expected.")
    if row is not None:
        assert frame is not None
        _check_scan(signal, row, frame, y, x)
        return Layout(frame, y, x, colour, row, shape[frame])
    _check_order(signal, frame, y, x)
    return Layout(frame, y, x, colour)


def trouble(signal: Signal) -> str:
    """Return why `signal` cannot be opened as a recording, '' where it can."""
    try:
        layout(signal)
    except BadInput as error:
        return str(error)
    return ""


def choose(
    signals: Sequence[Signal], wanted: str | int | None, where: str, spectra: bool = False
) -> tuple[int, Signal]:
    """Return number and signal that `wanted` names, or the only (or only HAADF) image; raises `BadInput` otherwise.

    The only spectrum image is returned where there is no image, or where `spectra` are asked for.
    """
    if wanted is not None:
        return _named(signals, wanted, where)
    if len(signals) == 1:
        return 0, signals[0]
    if spectra and (chosen := _spectra(signals, where)):
        return chosen
    images = [(number, signal) for number, signal in enumerate(signals) if not trouble(signal)]
    large = [(number, signal) for number, signal in images if min(signal.shape[-2:]) >= THUMB]
    usual = [(number, signal) for number, signal in images if signal.name.lower().startswith(USUAL)]
    haadf = [(number, signal) for number, signal in images if "haadf" in signal.name.lower()]
    for found in (images, large, haadf, usual[:1]):
        if len(found) == 1:
            return found[0]
    if not signals:
        raise BadInput(f"{where} holds no image: {EXPECTED}.")
    if images:
        raise BadInput(
            f"{where} holds {len(images)} images: choose one by number or name (signal=...) out of {_listing(images)}."
        )
    if chosen := _spectra(signals, where):
        return chosen
    raise BadInput(f"{where} holds no image, only {_listing(enumerate(signals))}: {EXPECTED}.")


def _spectra(signals: Sequence[Signal], where: str) -> tuple[int, Signal] | None:
    """Return the only spectrum image, or the only spectrum, ``None`` where there is none."""
    found = [(number, one) for number, one in enumerate(signals) if any(map(is_spectral, one.axes))]
    maps = [(number, one) for number, one in found if sum(axis.size > 1 for axis in one.axes) > 1]
    for one in (maps, found):
        if len(one) == 1:
            return one[0]
    if found:
        listing = _listing(maps or found)
        raise BadInput(f"{where} holds several spectra: choose one by number (signal=...) out of {listing}.")
    return None


def _named(signals: Sequence[Signal], wanted: str | int, where: str) -> tuple[int, Signal]:
    text = str(wanted).strip()
    found = [(i, s) for i, s in enumerate(signals) if s.name.lower() == text.lower()]
    if len(found) != 1 and text.isdecimal() and int(text) < len(signals):
        found = [(int(text), signals[int(text)])]
    if len(found) != 1:
        many = "no" if not found else "more than one"
        listing = _listing(enumerate(signals))
        raise BadInput(f"{where} has {many} signal '{text}': choose one by number out of {listing}.")
    return found[0]


def _listing(numbered: Any) -> str:
    rows = [f"{number} '{signal.name}' {signal.shape} {signal.dtype}" for number, signal in numbered]
    return ", ".join(rows[:12]) + (f" and {len(rows) - 12} more" if len(rows) > 12 else "")


def _check_dtype(signal: Signal) -> None:
    kind = signal.dtype.kind
    if kind == "c":
        raise BadInput(
            f"{signal.name} holds complex numbers ({signal.dtype}): real grey values were expected; "
            "save its modulus, phase or real part as an array of its own."
        )
    if signal.dtype.hasobject:
        raise BadInput(
            f"{signal.name} holds pickled Python objects, which are never loaded because they could run code: an array "
            "of numbers was expected; save it with numpy.save(name, numpy.asarray(images, dtype='float32'))."
        )
    if kind not in "biuf" and not (signal.dtype.names and signal.colour):
        raise BadInput(f"{signal.name} holds values of type {signal.dtype}: numbers were expected; save it as float32.")


def _colour_axis(signal: Signal) -> int | None:
    if signal.dtype.names:
        return None
    last = len(signal.axes) - 1
    if signal.colour:
        return last
    guess = not signal.trusted and last >= 2 and signal.shape[-1] in (3, 4) and min(signal.shape[-3:-1]) > 8
    return last if guess else None


def _without_singletons(signal: Signal, axes: list[int]) -> list[int]:
    """Drop axes of length 1 beyond two dimensions, the last first, so that (1, H, W, 1) is one image (H, W)."""
    kept = list(axes)
    for axis in reversed(axes):
        if len(kept) > 2 and signal.axes[axis].size == 1:
            kept.remove(axis)
    return kept


def _too_many(signal: Signal) -> str:
    return f"{signal.name} is a {len(signal.shape)}-D array of shape {signal.shape}: {EXPECTED}."


def _check_scan(signal: Signal, row: int, frame: int, y: int, x: int) -> None:
    """Refuse (H, W, Y, X): patterns come first where the axes say that they are angles, places where lengths."""
    places, patterns = (signal.axes[row], signal.axes[frame]), (signal.axes[y], signal.axes[x])
    turned = any(reciprocal(one) for one in places) or (
        all(length_nm(one) for one in patterns) and not any(length_nm(one) for one in places)
    )
    if turned:
        raise BadInput(
            f"{signal.name} has shape {signal.shape} with the patterns first: the places of the scan were expected "
            "first, as in (Y, X, H, W); save it with numpy.moveaxis(array, (0, 1), (2, 3))."
        )


def _check_order(signal: Signal, frame: int | None, y: int, x: int) -> None:
    """Refuse (H, W, frames), which would silently give strips for images."""
    if frame is None or signal.trusted:
        return
    first, second, last = (signal.axes[axis] for axis in (frame, y, x))
    by_length = length_nm(first) and length_nm(second) and not length_nm(last)
    if by_length or (first.size == second.size != last.size and last.size < first.size):
        raise BadInput(
            f"{signal.name} has shape {signal.shape}, which looks like (H, W, frames): frames are expected first; "
            "save it with numpy.moveaxis(array, -1, 0)."
        )
