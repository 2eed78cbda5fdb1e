"""A recording as a movie with what was found drawn in: MP4 for the screen, GIF for pages; few frames in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from micrograph.core import BadInput, Recording
from micrograph.core.provenance import whole
from micrograph.draw.annotate import Painter, marks_of
from micrograph.draw.image import contrast

if TYPE_CHECKING:
    from pandas import DataFrame

Progress = Callable[[int, int], object]
#: Gives the closed curves (K, 2) of (y, x) in nm of a frame by its number.
Outlines = Callable[[int], Sequence[NDArray[np.float64]]]
#: The grey values are chosen from so many frames, evenly spread.
_SAMPLED = 9
#: A noisy movie is coded with so many bits a second at most.
MOST_BITS = "4M"
#: So many pictures are painted ahead of the one that is coded.
_AHEAD = 4
#: A GIF larger than asked for is made again, so often at most, each time this much smaller.
_TRIES, _SMALLER = 5, 0.75


@dataclass(frozen=True)
class MovieSettings:
    """How the movie is made.

    side_px: longest side of the image (small images are enlarged by whole numbers); most_frames: of a longer recording
    so many are shown, evenly spread; per_second: frames shown a second; tail: frames that a track trails behind its
    object; sample: the drift is removed; most_bytes: of a GIF; outlines: drawn in place of rings, in the colours of the
    tracks that lie in them.
    """

    side_px: int = 768
    most_frames: int = 600
    per_second: float = 12.0
    tail: int = 30
    sample: bool = False
    most_bytes: int = 3_000_000
    outlines: Outlines | None = None


def write_movie(
    path: Path,
    recording: Recording,
    marks: DataFrame | None = None,
    drift: DataFrame | None = None,
    settings: MovieSettings | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a recording as .mp4 (H.264) or .gif with scale bar, clock, temperature, rings and tails; return the path.

    marks: rows with ``frame, y_nm, x_nm`` and, where known, ``track`` (for tails) and ``state``, ``class`` or ``name``
    (for colours), with ``y_sample_nm, x_sample_nm`` where the drift is removed; drift: rows with ``frame, drift_y_nm,
    drift_x_nm``. Grey values are the same in all frames. `progress` is called with frames done and in all. The file
    appears whole or not at all. Raises `BadInput` without frames or pixel size, or for another kind of file.
    """
    settings = settings or MovieSettings()
    suffix = path.suffix.lower()
    if suffix not in (".mp4", ".gif"):
        raise BadInput(f"A movie is written as .mp4 or .gif, not as '{path.name}': choose one of them.")
    if not len(recording) or recording.calibration.pixel_nm is None:
        lack = "frames" if not len(recording) else "pixel size"
        raise BadInput(f"The recording '{recording.name}' has no {lack}, so no movie can be drawn of it.")
    if suffix == ".gif":
        return _within(path, settings, lambda smaller: _write_gif(path, recording, marks, drift, smaller, progress))
    painter = painter_for(recording, marks, drift, settings)
    with whole(path) as temporary:
        _encode(temporary, painter, _painted(recording, painter, settings, progress), settings.per_second)
    return path


def shown_positions(length: int, most: int) -> NDArray[np.intp]:
    """Return which frames of a recording are shown: all, or `most` of them evenly spread, first and last among them.

    >>> shown_positions(7, 3).tolist()
    [0, 3, 6]
    """
    return np.linspace(0, length - 1, min(length, most)).round().astype(np.intp)


def painter_for(
    recording: Recording, marks: DataFrame | None, drift: DataFrame | None, settings: MovieSettings
) -> Painter:
    """Return what paints all frames of a recording alike; a few frames are read for the grey values."""
    sample = settings.sample and drift is not None
    height, width = recording.shape
    thin = max(1, int(np.sqrt(height * width / 250_000)))
    few = shown_positions(len(recording), _SAMPLED)
    limits = contrast(np.concatenate([recording.frame(int(k)).data[::thin, ::thin].ravel() for k in few]))
    known = None
    if sample and drift is not None:
        shifts = drift[["drift_y_nm", "drift_x_nm"]].fillna(0.0).to_numpy(float)
        known = {int(frame): (float(y), float(x)) for frame, (y, x) in zip(drift["frame"], shifts, strict=True)}
    return Painter(
        (height, width), float(recording.calibration.pixel_nm or 1.0), limits,
        marks_of(marks, sample, settings.outlines is not None), settings.side_px, settings.tail, known,
        _decimals(recording), settings.outlines,
    )  # fmt: skip


def _decimals(recording: Recording) -> int:
    """Return how many decimals tell the times of two frames apart."""
    step = recording.calibration.frame_time_s
    if recording.known is not None and len(recording) > 1:
        first, last = (recording.known(recording.indices[k]).get("t_s", np.nan) for k in (0, -1))
        step = (last - first) / (len(recording) - 1) if last > first else step
    return 2 if step is None else int(np.clip(1 - np.floor(np.log10(step)), 0, 6))


def _painted(
    recording: Recording, painter: Painter, settings: MovieSettings, progress: Progress | None
) -> Iterator[Image.Image]:
    """Yield the pictures in order; a thread paints the next few while those before are coded."""
    chosen = shown_positions(len(recording), settings.most_frames)
    with ThreadPoolExecutor(1) as beside:
        waiting = deque[Future[Image.Image]]()
        for done in range(len(chosen)):
            for position in chosen[done + len(waiting) : done + _AHEAD]:
                waiting.append(beside.submit(lambda k: painter.paint(recording.frame(k)), int(position)))
            yield waiting.popleft().result()
            if progress is not None:
                progress(done + 1, len(chosen))


def _encode(path: Path, painter: Painter, pictures: Iterator[Image.Image], per_second: float) -> None:
    """Encode pictures as H.264 in 4:2:0, which every player shows; as MPEG-4 where the coder is missing."""
    import av

    codec, options = "libx264", {"crf": "22", "preset": "superfast", "maxrate": MOST_BITS, "bufsize": MOST_BITS}
    if codec not in av.codecs_available:
        codec, options = "mpeg4", {"qscale": "3"}
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(per_second).limit_denominator(1000), options=options)
        stream.width, stream.height = painter.size[0], painter.size[1] + painter.strip
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _write_gif(
    path: Path,
    recording: Recording,
    marks: DataFrame | None,
    drift: DataFrame | None,
    settings: MovieSettings,
    progress: Progress | None,
) -> Path:
    painter = painter_for(recording, marks, drift, settings)
    palette = _palette(painter)
    coded = (
        picture.quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in _painted(recording, painter, settings, progress)
    )
    first = next(coded)
    with whole(path) as temporary:
        first.save(
            temporary, format="GIF", save_all=True, append_images=coded, duration=1000 / settings.per_second, loop=0
        )
    return path


def _palette(painter: Painter) -> Image.Image:
    """Return the colours that all frames share: greys, and each mark's colour with its shades on dark and light."""
    marks = np.array([_rgb(color) for color in painter.colors[:12]]).reshape(-1, 3)
    shades = [marks * share + 255 * light for share, light in ((1, 0), (0.7, 0), (0.45, 0), (0.7, 0.3))]
    mixed = np.concatenate(shades)[:120].round().astype(int)
    greys = np.repeat(np.linspace(0, 255, 256 - len(mixed)).round().astype(int)[:, None], 3, axis=1)
    image = Image.new("P", (1, 1))
    image.putpalette(np.concatenate([greys, mixed]).ravel().tolist())
    return image


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _within(path: Path, settings: MovieSettings, write: Callable[[MovieSettings], Path]) -> Path:
    """Write, and while the file is too large write it again with fewer and smaller frames."""
    for _ in range(_TRIES):
        write(settings)
        if path.stat().st_size <= settings.most_bytes:
            break
        settings = replace(
            settings,
            side_px=max(120, round(settings.side_px * _SMALLER)),
            most_frames=max(10, round(settings.most_frames * _SMALLER)),
        )
    return path
