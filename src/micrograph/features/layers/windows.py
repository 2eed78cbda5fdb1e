"""Square windows around points of a frame, and a bounded choice of them from a recording of any length."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag, Frame

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

#: Atoms with one of these flags are not looked at.
_UNSEEN = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.NO_FIT)
#: An atom's intensity is spread over about so much (side of a square).
_SPREAD_NM = 0.1
#: Images of windows are kept as these numbers.
KEPT = np.float16


def windows(image: NDArray[np.float32], y_px: Array, x_px: Array, size: int, step_px: float) -> NDArray[np.float32]:
    """Return (N, size, size): the image around points, `step_px` image pixels from one pixel of a window to the next.

    The centre of a window is its point, by cubic interpolation; where the step is coarse the image is smoothed before.
    Beyond the border the image is mirrored; pixels that are not finite take the median.
    """
    from scipy import ndimage

    finite = np.isfinite(image)
    clean = np.where(finite, image, np.median(image[finite]) if finite.any() else 0.0).astype(float)
    if step_px > 1:
        clean = ndimage.gaussian_filter(clean, 0.4 * np.sqrt(step_px**2 - 1))
    spline = ndimage.spline_filter(clean, order=3)
    offset = (np.arange(size) - (size - 1) / 2) * step_px
    y = np.broadcast_to(y_px[:, None, None] + offset[:, None], (len(y_px), size, size))
    x = np.broadcast_to(x_px[:, None, None] + offset, (len(x_px), size, size))
    return np.asarray(ndimage.map_coordinates(spline, [y, x], order=3, prefilter=False, mode="mirror"), np.float32)


@dataclass(frozen=True)
class Windows:
    """N windows: random `key`, `frame`, `t_s`, `y_nm`, `x_nm` (N,) and `images` (N, size, size)."""

    key: Array
    frame: NDArray[np.int64]
    t_s: Array
    y_nm: Array
    x_nm: Array
    images: NDArray[np.float16]

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.key)

    @staticmethod
    def none(size: int) -> Windows:
        """Return no windows of `size` pixels."""
        empty = np.empty(0)
        return Windows(empty, np.empty(0, np.int64), empty, empty, empty, np.empty((0, size, size), KEPT))

    @staticmethod
    def of_table(table: DataFrame, size: int, t_s: float) -> Windows:
        """Return the windows of one frame from the table that `table` made, seen at `t_s`."""
        if len(table) == 0:
            return Windows.none(size)
        images = np.stack([np.frombuffer(pixels, KEPT).reshape(size, size) for pixels in table["pixels"]])
        key, y, x = (table[name].to_numpy(float) for name in ("key", "y_nm", "x_nm"))
        return Windows(key, table["frame"].to_numpy(np.int64), np.full(len(table), t_s), y, x, images)

    def table(self) -> DataFrame:
        """Return frame, key, y_nm, x_nm and the pixels as bytes: what goes through a file."""
        import pandas as pd

        pixels = [image.tobytes() for image in self.images]
        return pd.DataFrame(
            {
                "frame": self.frame,
                "key": self.key,
                "y_nm": self.y_nm,
                "x_nm": self.x_nm,
                "pixels": pd.Series(pixels, dtype=object),
            }
        )

    def joined(self, other: Windows, most: int) -> Windows:
        """Return both together, at most `most`: those with the smallest keys, a fair draw whatever came first."""
        both = {
            field.name: np.concatenate([getattr(self, field.name), getattr(other, field.name)])
            for field in fields(self)
        }
        chosen = np.sort(np.argsort(both["key"], kind="stable")[:most])
        return Windows(**{name: values[chosen] for name, values in both.items()})


@dataclass(frozen=True)
class WindowSettings:
    """Windows of `size` pixels and `side_nm`, around at most `most` atoms of a frame, drawn at random."""

    size: int = 28
    side_nm: float = 0.9
    most: int = 300


def windows_of(frame: Frame, atoms: DataFrame, settings: WindowSettings) -> Windows:
    """Return windows around atoms (a table of points with 'intensity') that lie whole in the frame, without doubt.

    Brightness counts from the frame's median, in units in which a median carbon atom is of order one, so that frames of
    different dose are alike. The draw follows from the frame's number.
    """
    pixel = frame.calibration.pixel_nm or 1.0
    y, x = atoms["y_nm"].to_numpy(float), atoms["x_nm"].to_numpy(float)
    height, width = ((count - 1) * pixel for count in frame.data.shape)
    inside = np.minimum.reduce([y, x, height - y, width - x]) >= settings.side_nm / 2
    clear = np.flatnonzero(inside & ((atoms["flags"].to_numpy(np.int64) & _UNSEEN) == 0))
    rng = np.random.default_rng([7, frame.index])
    chosen = np.sort(rng.permutation(clear)[: settings.most])
    if len(chosen) == 0:
        return Windows.none(settings.size)
    step = settings.side_nm / settings.size / pixel
    images = windows(frame.data, y[chosen] / pixel, x[chosen] / pixel, settings.size, step)
    carbon = float(np.nanmedian(atoms["intensity"].to_numpy(float)[clear]))
    spread_px = (_SPREAD_NM / pixel) ** 2
    images = (images - np.nanmedian(frame.data)) * np.float32(spread_px / carbon if carbon > 0 else 1.0)
    index = np.full(len(chosen), frame.index, np.int64)
    unknown = np.full(len(chosen), np.nan)
    return Windows(rng.random(len(chosen)), index, unknown, y[chosen], x[chosen], images.astype(KEPT))
