"""From a signal of a file to a recording: grey, square pixels, calibrated, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Recording
from micrograph.io.axes import length_nm, reciprocal, time_s
from micrograph.io.files import first_line
from micrograph.io.signals import Key, Layout, Signal, Sliceable, layout

#: Pixels whose two sides differ by less than this fraction count as square.
SQUARE = 1e-3


@dataclass(frozen=True)
class FrameReader:
    """Reads frame ``i`` of an array as a grey image (H, W); callable and picklable."""

    array: Sliceable
    layout: Layout
    ndim: int
    where: str
    steps: tuple[float, float] | None = None

    def __call__(self, index: int) -> NDArray[Any]:
        """Return frame `index`; raises `BadInput` where the file cannot give it."""
        try:
            image = np.asarray(self.array[self.layout.key(self.ndim, index)])
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(
                f"Frame {index} of {self.where} cannot be read ({first_line(error)}): "
                "the file may be truncated or damaged; copy it again from the microscope."
            ) from error
        image = grey(image, self.where) if image.ndim == 3 or image.dtype.names else image
        return image if self.steps is None else square(image, self.steps)

    def block(self, first: int, last: int) -> NDArray[Any]:
        """Return frames `first` to ``last - 1`` (N, H, W) of a series or scan, read at once."""
        if self.steps is not None or self.layout.colour is not None or self.layout.frame is None:
            return np.stack([self(index) for index in range(first, last)])
        try:
            parts = [np.asarray(self.array[key]) for key in self._stretches(first, last)]
            parts = [part.reshape(-1, *part.shape[-2:]) for part in parts]
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(
                f"Frames {first} to {last - 1} of {self.where} cannot be read ({first_line(error)}): "
                "the file may be truncated or damaged; copy it again from the microscope."
            ) from error
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _stretches(self, first: int, last: int) -> Iterator[Key]:
        """Yield the keys of frames `first` to ``last - 1``: one, or one a line of a scan that is cut."""
        plan = self.layout
        if plan.row is None:
            yield plan.key(self.ndim, slice(first, last))
            return
        if first % plan.across == 0 and last % plan.across == 0:
            yield plan.key(self.ndim, slice(None), slice(first // plan.across, last // plan.across))
            return
        for row in range(first // plan.across, -(-last // plan.across)):
            begin = row * plan.across
            stretch = slice(max(first - begin, 0), min(last - begin, plan.across))
            yield plan.key(self.ndim, stretch, row)


def make_recording(signal: Signal, where: str, *, pixel_nm: float | None, frame_time_s: float | None) -> Recording:
    """Return `signal` as a lazy recording; an explicit `pixel_nm` (of square pixels) or `frame_time_s` wins."""
    plan = layout(signal, where)
    height, width = signal.axes[plan.y], signal.axes[plan.x]
    known, notes = _scale(signal, plan)
    read = FrameReader(signal.array, plan, len(signal.axes), where)
    shape, dtype = (height.size, width.size), signal.dtype.name
    sides = length_nm(height), length_nm(width)
    if pixel_nm is None and sides[0] and sides[1] and abs(sides[0] / sides[1] - 1) > SQUARE:
        steps = known.pixel_nm / sides[0], known.pixel_nm / sides[1]  # type: ignore[operator]
        read, dtype = replace(read, steps=steps), "float32"
        shape = (int(shape[0] / steps[0] + 1e-9), int(shape[1] / steps[1] + 1e-9))
        text = f"{sides[0]:.6g} x {sides[1]:.6g} nm (y, x)"
        notes.append(f"pixels of {text} were resampled to squares of {known.pixel_nm:.6g} nm")
    if plan.colour is not None or signal.dtype.names:
        read(0)
        dtype = (signal.dtype[0] if signal.dtype.names else signal.dtype).name
    frames = 1 if plan.frame is None else signal.axes[plan.frame].size
    nav = () if plan.row is None else (signal.axes[plan.row].size, frames)
    metadata = {**signal.metadata, "reader": signal.reader, "signal": signal.name, "notes": [*signal.notes, *notes]}
    known = known.with_known(pixel_nm=pixel_nm, frame_time_s=frame_time_s)
    made = Recording(read, range(nav[0] * nav[1] if nav else frames), known, shape, dtype, where, metadata)
    return replace(made, block=None if plan.frame is None else read.block, nav_shape=nav)


def as_scan(recording: Recording, scan: tuple[int, int]) -> Recording:
    """Return a series of patterns as a 4D-STEM scan of (Y, X) places; of one that was cut off the whole lines stay."""
    down, across = scan
    count = len(recording)
    if count > down * across or count < across:
        raise BadInput(
            f"{recording.name} has {count} patterns, but --scan-shape is {down}x{across}, which are {down * across}: "
            "give as many lines and places as were recorded."
        )
    notes = [*recording.metadata.get("notes", ())]
    if count < down * across:
        notes.append(f"the scan has {count // across} of its {down} lines")
    nav = (count // across, across)
    scale = replace(recording.calibration, content="scan", pixel_nm=None, frame_time_s=None)
    return replace(
        recording,
        indices=range(nav[0] * nav[1]),
        calibration=scale,
        nav_shape=nav,
        metadata={**recording.metadata, "notes": notes},
    )


def _scale(signal: Signal, plan: Layout) -> tuple[Calibration, list[str]]:
    """Return the calibration that file and axes state; the finer side gives the pixel of non-square pixels."""
    sides = length_nm(signal.axes[plan.y]), length_nm(signal.axes[plan.x])
    notes = []
    pixel = min(sides) if sides[0] and sides[1] else None  # type: ignore[type-var]
    if (sides[0] is None) != (sides[1] is None):
        notes.append("only one of the two image axes has a length scale, so the pixel size counts as unknown")
    time = None if plan.frame is None else time_s(signal.axes[plan.frame])
    angles = reciprocal(signal.axes[plan.x])
    if plan.row is not None:
        assert plan.frame is not None
        notes, pixel, time = [], None, None
        steps = length_nm(signal.axes[plan.row]), length_nm(signal.axes[plan.frame])
        step = steps[1] or steps[0]
        if step and steps[0] and abs(steps[0] / step - 1) > SQUARE:
            notes.append(f"the scan's steps differ, {steps[0]:.6g} nm down and {step:.6g} nm across: the latter counts")
        return signal.stated.with_known(content="scan", step_nm=step, signal_axis=angles), notes
    return signal.stated.with_known(pixel_nm=pixel, frame_time_s=time, signal_axis=angles), notes


def grey(image: NDArray[Any], where: str) -> NDArray[Any]:
    """Return the grey image (H, W) of an (H, W, C) or record array whose colour channels are all equal.

    A constant fourth (or second) channel is an opacity and is dropped. Raises `BadInput` for true colours.
    """
    channels = [image[name] for name in image.dtype.names] if image.dtype.names else list(np.moveaxis(image, -1, 0))
    if len(channels) in (2, 4) and np.ptp(channels[-1]) == 0:
        channels = channels[:-1]
    if all(np.array_equal(channels[0], other) for other in channels[1:]):
        return np.ascontiguousarray(channels[0])
    raise BadInput(
        f"{where} is a colour image of {len(channels)} channels that differ: grey values as the detector gave them "
        "were expected; export the image without colour map, scale bar and text, or convert it to grey."
    )


def square(image: NDArray[Any], steps: tuple[float, float]) -> NDArray[np.float32]:
    """Resample (H, W) linearly with `steps` (y, x) input pixels per output pixel, so that the corners stay in place."""
    from scipy import ndimage

    shape = tuple(int(size / step + 1e-9) for size, step in zip(image.shape, steps, strict=True))
    offset = [0.5 * step - 0.5 for step in steps]
    source = np.asarray(image, dtype=np.float32)
    resampled: NDArray[np.float32] = ndimage.affine_transform(source, steps, offset, shape, order=1, mode="nearest")
    return resampled
