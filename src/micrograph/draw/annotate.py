"""One frame of a movie as a picture: the image, rings and tails of what was found, a scale bar, clock and legend."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from micrograph.core import Frame
from micrograph.draw.image import length_text, round_length
from micrograph.draw.style import line_colors

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: With more marks in a frame than this, they are dots and have no tails.
MOST_RINGS = 400
#: Where the sample has drifted out of the image.
BLANK = 40
_GROUND, _TEXT = (18, 18, 18), (240, 240, 240)
_FINE = 4
#: Rows of a frame that are turned into grey values at once: a frame may be large.
_STRIP = 512
#: Tracks share so many colours; an outline without a track is grey.
_COLORS, _TRACKLESS = 7, "#B8B8B8"


@dataclass(frozen=True)
class Marks:
    """What is drawn over the frames, sorted by track and frame: positions (N, 2) are (y, x) in nm, `kind` is a name."""

    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    points: Array
    kind: NDArray[np.intp]
    names: tuple[str, ...]
    #: Rows in the order of frames, and the frames in that order.
    by_frame: NDArray[np.intp]
    frames: NDArray[np.int64]

    def of(self, index: int) -> NDArray[np.intp]:
        """Return the rows of one frame."""
        low, high = np.searchsorted(self.frames, [index, index + 1])
        rows: NDArray[np.intp] = self.by_frame[low:high]
        return rows

    def tail(self, row: int, length: int) -> NDArray[np.intp]:
        """Return the rows of a row's track in the last `length` frames, up to the row itself."""
        rows = np.arange(max(0, row - length), row + 1)
        of_track: NDArray[np.intp] = rows[
            (self.track[rows] == self.track[row]) & (self.frame[rows] >= self.frame[row] - length)
        ]
        return of_track


def marks_of(table: DataFrame | None, sample: bool, by_track: bool = False) -> Marks:
    """Return a table of ``frame, y_nm, x_nm`` and, where known, ``track``, ``state``, ``class`` or ``name`` as marks.

    sample: use the positions in the sample, ``y_sample_nm, x_sample_nm``; by_track: each track is a kind of its own, as
    far as colours go round. Rows without a position are left out.
    """
    if table is None or not len(table):
        empty = np.empty(0, np.int64)
        return Marks(empty, empty, np.empty((0, 2)), empty, (), empty, empty)
    points = table[["y_sample_nm", "x_sample_nm"] if sample else ["y_nm", "x_nm"]].to_numpy(float)
    frame = table["frame"].to_numpy(np.int64)
    track = table["track"].to_numpy(np.int64) if "track" in table else -1 - np.arange(len(table))
    column = next((name for name in ("state", "class", "name") if name in table and not by_track), None)
    words = np.full(len(table), "found") if column is None else table[column].astype(str).to_numpy(dtype=str)
    order = np.lexsort((frame, track))
    order = order[np.isfinite(points[order]).all(axis=1)]
    names, kind = np.unique(words[order], return_inverse=True)
    if by_track:
        names, kind = np.arange(_COLORS), track[order] % _COLORS
    by_frame = np.argsort(frame[order], kind="stable")
    return Marks(
        frame[order], track[order], points[order], kind, tuple(map(str, names)), by_frame, frame[order][by_frame]
    )


@dataclass(frozen=True)
class Painter:
    """Paints frames alike. `shape` and `pixel_nm` are of the image, `limits` are the values shown black and white.

    side_px: longest side of the image in the picture; tail: length of the tails in frames; drift: shift of the sample
    (y, x) in nm by frame, which is undone, empty to show the frames as recorded; decimals: of the clock; outlines:
    gives the closed curves (K, 2) of (y, x) in nm of a frame by its number, to be drawn in place of rings.
    """

    shape: tuple[int, int]
    pixel_nm: float
    limits: tuple[float, float]
    marks: Marks
    side_px: int = 768
    tail: int = 30
    drift: Mapping[int, tuple[float, float]] | None = None
    decimals: int = 2
    outlines: Callable[[int], Sequence[Array]] | None = None

    @functools.cached_property
    def scale(self) -> float:
        """Pixels of the picture per pixel of the image: whole numbers where it is enlarged."""
        scale = self.side_px / max(self.shape)
        return float(int(scale)) if scale >= 1 else scale

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the image in the picture, even as video wants them."""
        height, width = (max(2, 2 * round(side * self.scale / 2)) for side in self.shape)
        return width, height

    @functools.cached_property
    def font(self) -> ImageFont.FreeTypeFont:
        """The letters, as large as the picture allows."""
        return _font(round(float(np.clip(self.size[0] / 36, 9, 20))))

    @functools.cached_property
    def strip(self) -> int:
        """Height of the strip below the image, for clock and legend."""
        return 2 * round(float(self.font.size))

    @functools.cached_property
    def colors(self) -> list[str]:
        """Colour of each group of marks."""
        return list(line_colors(self.marks.names, dark=True).values())

    @functools.cached_property
    def radius(self) -> float:
        """Radius of the rings in pixels of the picture: they do not touch where the marks are dense."""
        width = self.size[0]
        frames, number = np.unique(self.marks.frames, return_counts=True)
        if not len(frames) or number.max() < 2:
            return width / 50
        points = self.marks.points[self.marks.of(int(frames[np.argmax(number)]))]
        gaps = np.sqrt(np.ptp(points, axis=0).prod() / len(points)) / self.pixel_nm * self.scale
        return float(np.clip(0.4 * gaps, 3.0, width / 50))

    @functools.cached_property
    def rings(self) -> list[Image.Image]:
        """The mark of each group, smooth-edged, with a dark rim that shows on bright ground."""
        return [_ring(color, self.radius) for color in self.colors]

    @functools.cached_property
    def dots(self) -> list[Image.Image]:
        """The mark of each group where there are many."""
        return [_dot(color, max(2.0, min(self.radius * 0.5, self.size[0] / 200))) for color in self.colors]

    def paint(self, frame: Frame) -> Image.Image:
        """Return the picture (RGB) of one frame with all that belongs to it."""
        width, height = self.size
        picture = Image.new("RGB", (width, height + self.strip), _GROUND)
        picture.paste(self._image(frame), (0, 0))
        draw = ImageDraw.Draw(picture)
        self._paint_marks(picture, draw, frame.index)
        draw.rectangle((0, height, width, height + self.strip), fill=_GROUND)
        self._paint_scale(picture)
        self._paint_strip(draw, frame)
        return picture

    def _image(self, frame: Frame) -> Image.Image:
        low, high = self.limits
        values = np.empty(frame.data.shape, np.uint8)
        for top in range(0, len(values), _STRIP):
            strip = (frame.data[top : top + _STRIP] - low) * (255 / (high - low))
            values[top : top + _STRIP] = np.clip(np.nan_to_num(strip, posinf=255, neginf=0), 0, 255)
        grey = Image.fromarray(values)
        grey = grey.resize(self.size, Image.Resampling.BICUBIC if self.scale > 1 else Image.Resampling.BOX)
        if not self.drift:
            return grey
        shift = np.array(self.drift.get(frame.index, (0.0, 0.0))) / self.pixel_nm * self.scale
        moved = Image.new("L", self.size, BLANK)
        moved.paste(grey, (-round(shift[1]), -round(shift[0])))
        return moved

    def _paint_marks(self, picture: Image.Image, draw: ImageDraw.ImageDraw, index: int) -> None:
        rows = self.marks.of(index)
        few = len(rows) <= MOST_RINGS
        if few and self.tail > 0:
            for row in rows:
                self._paint_tail(draw, self.marks.tail(int(row), self.tail))
        if self.outlines is not None:
            self._paint_outlines(draw, self.outlines(index), rows, index)
            return
        sprites = self.rings if few else self.dots
        for (y, x), kind in zip(self._places(self.marks.points[rows]), self.marks.kind[rows], strict=True):
            sprite = sprites[kind]
            picture.paste(sprite, (round(x - sprite.width / 2), round(y - sprite.height / 2)), sprite)

    def _paint_outlines(
        self, draw: ImageDraw.ImageDraw, curves: Sequence[Array], rows: NDArray[np.intp], index: int
    ) -> None:
        """Draw closed curves with a dark rim, each in the colour of the mark that lies nearest to its middle."""
        shift = np.array((self.drift or {}).get(index, (0.0, 0.0)))
        width = max(1, round(self.size[0] / 300))
        for curve in curves:
            moved = curve - shift
            kind = self._kind_inside(moved, rows)
            color = _TRACKLESS if kind is None else self.colors[kind]
            corners = [(x, y) for y, x in self._places(np.concatenate([moved, moved[:2]]))]
            draw.line(corners, fill=_GROUND, width=width + 2)
            draw.line(corners, fill=color, width=width)

    def _kind_inside(self, curve: Array, rows: NDArray[np.intp]) -> int | None:
        """Return the kind of the mark nearest to the middle of a curve, ``None`` where none lies within its reach."""
        if not len(rows):
            return None
        away = np.hypot(*(self.marks.points[rows] - curve.mean(axis=0)).T)
        nearest = int(np.argmin(away))
        reach = float(np.ptp(curve, axis=0).max()) / 2
        return int(self.marks.kind[rows[nearest]]) if away[nearest] <= reach else None

    def _paint_tail(self, draw: ImageDraw.ImageDraw, rows: NDArray[np.intp]) -> None:
        """Draw one track's line, each run of one kind in the colour of that kind."""
        corners = [(x, y) for y, x in self._places(self.marks.points[rows])]
        kinds = self.marks.kind[rows]
        starts = [0, *(np.flatnonzero(np.diff(kinds[1:])) + 1).tolist(), len(rows) - 1]
        for start, end in itertools.pairwise(starts):
            if end > start:
                draw.line(corners[start : end + 1], fill=self.colors[kinds[end]], width=2)

    def _places(self, points_nm: Array) -> Array:
        """Return positions in pixels of the picture, where an image pixel's centre is half a pixel inside."""
        places: Array = (points_nm / self.pixel_nm + 0.5) * self.scale
        return places

    def _paint_scale(self, picture: Image.Image) -> None:
        bar, (width, height) = self._scale_bar, self.size
        picture.paste(bar, (width // 60, height - bar.height - width // 60), bar)

    @functools.cached_property
    def _scale_bar(self) -> Image.Image:
        """A white bar of a round length, about a fifth of the width, with its length above."""
        length = round_length(self.shape[1] * self.pixel_nm / 5)
        long = max(1, round(length / self.pixel_nm * self.scale))
        text, size = length_text(length), round(self.font.size)
        pad, thick = size // 2, max(3, size // 4)
        wide = max(long, round(self.font.getlength(text))) + 2 * pad
        bar = Image.new("RGBA", (wide, round(1.4 * size) + thick + 2 * (pad // 2)), (0, 0, 0, 150))
        draw = ImageDraw.Draw(bar)
        draw.text((wide / 2, pad // 2), text, fill="white", font=self.font, anchor="ma")
        bottom = bar.height - pad // 2
        draw.rectangle(((wide - long) / 2, bottom - thick, (wide + long) / 2 - 1, bottom - 1), fill="white")
        return bar

    def _paint_strip(self, draw: ImageDraw.ImageDraw, frame: Frame) -> None:
        middle, gap = self.size[1] + self.strip / 2, float(self.font.size)
        text = clock_text(frame, self.decimals)
        draw.text((gap / 2, middle), text, fill=_TEXT, font=self.font, anchor="lm")
        right = self.size[0] - gap / 2
        for k in reversed(self._written(right - 2 * gap - self.font.getlength(text))):
            right -= self.font.getlength(self.marks.names[k])
            draw.text((right, middle), self.marks.names[k], fill=_TEXT, font=self.font, anchor="lm")
            half, right = 0.38 * gap, right - 0.8 * gap
            box = (right - half, middle - half, right + half, middle + half)
            draw.ellipse(box, outline=self.colors[k], width=max(2, round(self.font.size / 6)))
            right -= gap

    def _written(self, room: float) -> list[int]:
        """Return which names the legend has room for, in their order: those marked most often; none for tracks."""
        if self.outlines is not None:
            return []
        number = np.bincount(self.marks.kind, minlength=len(self.marks.names))
        chosen = []
        for k in np.argsort(-number, kind="stable"):
            room -= self.font.getlength(self.marks.names[k]) + 1.8 * float(self.font.size)
            if room < 0:
                break
            chosen.append(int(k))
        return sorted(chosen)


def clock_text(frame: Frame, decimals: int = 2) -> str:
    """Return what is known of the moment of a frame: its time, its number, and the temperature.

    >>> from micrograph.core import Calibration
    >>> clock_text(Frame(np.zeros((2, 2), np.float32), 7, Calibration(frame_time_s=0.5), {"temperature_C": 349.6}))
    '3.50 s   frame 7   350 °C'
    """
    parts = [f"frame {frame.index}"]
    step = frame.calibration.frame_time_s
    t_s = frame.known.get("t_s", np.nan if step is None else frame.index * step)
    if np.isfinite(t_s):
        parts.insert(0, f"{t_s:.{decimals}f} s")
    celsius = frame.known.get("temperature_C", frame.known.get("temperature_set_C", np.nan))
    if np.isfinite(celsius):
        parts.append(f"{celsius:.0f} °C")
    return "   ".join(parts)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the sans-serif letters that come with matplotlib."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _ring(color: str, radius: float) -> Image.Image:
    return _sprite(radius, lambda draw, box, width: _circles(draw, box, width, color))


def _dot(color: str, radius: float) -> Image.Image:
    return _sprite(radius, lambda draw, box, width: draw.ellipse(box, fill=color))


def _circles(draw: ImageDraw.ImageDraw, box: tuple[float, ...], width: float, color: str) -> None:
    draw.ellipse(tuple(box), outline=(0, 0, 0, 140), width=round(2.2 * width))
    inner = tuple(edge + sign * 0.6 * width for edge, sign in zip(box, (1, 1, -1, -1), strict=True))
    draw.ellipse(inner, outline=color, width=round(width))


def _sprite(radius: float, paint: Any) -> Image.Image:
    """Return a small transparent picture, painted `_FINE` times larger and brought down for smooth edges."""
    side = 2 * int(np.ceil(radius + 2))
    large = Image.new("RGBA", (side * _FINE, side * _FINE), (0, 0, 0, 0))
    low, high = (side / 2 - radius) * _FINE, (side / 2 + radius) * _FINE
    paint(ImageDraw.Draw(large), (low, low, high, high), float(np.clip(radius / 5, 1.2, 2.2)) * _FINE)
    return large.resize((side, side), Image.Resampling.BOX)
