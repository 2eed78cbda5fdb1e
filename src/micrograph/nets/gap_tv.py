"""Classical decoding of coded frames: generalised alternating projection with total variation (GAP-TV).

After Yuan 2016 (doi:10.1109/ICIP.2016.7532817). There the coded frame is met exactly; with counting noise that copies
the noise into the frames, so here it is met as far as the noise allows: the same two steps, with momentum
(doi:10.1137/080716542), without the feedback of what is left over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
#: A drift of less than so many pixels, within a block and to its neighbours, is none.
_STILL = 0.2


@dataclass(frozen=True)
class GapTv:
    """How to decode.

    weight: of the total variation in units of the raw noise; time: how much changes from frame to frame count beside
    those in space (0: every frame is smoothed by itself, as in the paper). The values are those that did best on scenes
    of `simulate.coding_scenes` with 10, 20 and 30 frames and 5 to 20 electrons a pixel.
    """

    rounds: int = 8
    weight: float = 0.2
    time: float = 4.0
    inner: int = 6


def gap_tv(
    total: NDArray[np.floating],
    masks: NDArray[np.uint8],
    noise: float,
    how: GapTv | None = None,
    sides: Sides | None = None,
) -> Image:
    """Return the frames (B, H, W) of a coded frame (H, W) with masks (B, H, W); noise: 1-sigma of a raw pixel."""
    how, sides = how or GapTv(), sides or Sides()
    mask = masks.astype(np.float32)
    count = np.maximum(mask.sum(axis=0), 1)
    total = np.asarray(total, np.float32)
    inner = slice(sides.before is not None, None if sides.after is None else -1)
    course = sides.course(len(mask))
    frames = resting(sides.around(np.repeat((total / count)[None], len(mask), axis=0).astype(np.float32)), course)
    ahead, pace = frames, 1.0
    for _ in range(how.rounds):
        own = resting(ahead, -course)[inner]
        stepped = own + mask * ((total - (mask * own).sum(axis=0)) / count)
        smooth = total_variation(resting(sides.around(stepped), course), how.weight * noise, how.time, how.inner)
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = smooth + np.float32((pace - 1) / faster) * (smooth - frames)
        frames, pace = smooth, faster
    return resting(frames, -course)[inner]


@dataclass(frozen=True)
class Sides:
    """What is known beside a block: mean images (H, W) of the blocks before and after, and how the specimen drifts.

    The images count as one more frame at either end, seen without a mask. first, second: drift (y, x) in pixels from
    the block before to this one, and from this one to the one after; frames are compared where the specimen lies.
    """

    before: Image | None = None
    after: Image | None = None
    first: tuple[float, float] = (0.0, 0.0)
    second: tuple[float, float] = (0.0, 0.0)

    def around(self, frames: Image) -> Image:
        """Return frames (B, H, W) with the images beside them, where there are any."""
        ends = [None if one is None else np.asarray(one, np.float32)[None] for one in (self.before, self.after)]
        return np.concatenate([one for one in (ends[0], frames, ends[1]) if one is not None])

    def course(self, frames: int) -> NDArray[np.float64]:
        """Return where (y, x; pixels from the middle of the block) the specimen lies in each of the frames `around`."""
        time = (np.arange(frames) - (frames - 1) / 2) / frames
        time = np.concatenate([[-1.0] * (self.before is not None), time, [1.0] * (self.after is not None)])[:, None]
        first, second = np.array(self.first), np.array(self.second)
        return np.asarray(time * (first + second) / 2 + time**2 * (second - first) / 2)


def resting(frames: Image, course: NDArray[np.float64]) -> Image:
    """Return frames (N, H, W) moved back by where the specimen lies in each; as they are where it hardly moves."""
    from scipy.ndimage import shift

    if np.abs(course).max() < _STILL:
        return frames
    moved = [shift(one, -move, order=3, mode="nearest") for one, move in zip(frames, course, strict=True)]
    return np.asarray(np.stack(moved), np.float32)


def total_variation(movie: Image, weight: float, time: float, rounds: int) -> Image:
    """Return the movie (B, H, W) that is near and has little total variation (Chambolle's dual projection)."""
    if weight <= 0:
        return movie
    steps = (time, 1.0, 1.0)
    axes = [axis for axis in range(3) if steps[axis] > 0 and movie.shape[axis] > 1]
    dual = [np.zeros_like(movie) for _ in axes]
    pace = np.float32(1 / (4 * sum(steps[axis] ** 2 for axis in axes)))
    smooth = movie
    for _ in range(rounds):
        slopes = [np.float32(steps[axis]) * _forward(smooth, axis) for axis in axes]
        for one, slope in zip(dual, slopes, strict=True):
            one += pace / np.float32(weight) * slope
        length = np.maximum(1, np.sqrt(sum(one * one for one in dual)))
        for one in dual:
            one /= length
        smooth = movie + np.float32(weight) * sum(
            np.float32(steps[axis]) * _backward(one, axis) for axis, one in zip(axes, dual, strict=True)
        )
    return np.asarray(smooth, np.float32)


def _forward(movie: Image, axis: int) -> Image:
    """Return differences to the next pixel along an axis; 0 at the end."""
    found = np.zeros_like(movie)
    ahead, here = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], here[axis] = slice(1, None), slice(None, -1)
    np.subtract(movie[tuple(ahead)], movie[tuple(here)], out=found[tuple(here)])
    return found


def _backward(dual: Image, axis: int) -> Image:
    """Return the divergence along an axis: minus the adjoint of `_forward`."""
    found = dual.copy()
    ahead, here = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], here[axis] = slice(1, None), slice(None, -1)
    last = [slice(None)] * 3
    last[axis] = slice(-1, None)
    found[tuple(last)] = 0
    found[tuple(ahead)] -= dual[tuple(here)]
    return found
