"""Movies: every frame there, everything at its place, whole files of bounded size."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from micrograph.core import BadInput, Calibration, Frame, Recording
from micrograph.draw import MovieSettings, shown_positions, write_movie
from micrograph.draw.annotate import Painter, clock_text, marks_of
from micrograph.draw.movie import painter_for

SMALL = MovieSettings(side_px=256)


def decoded(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_an_mp4_holds_every_frame_in_even_sizes(tmp_path: Path, movies: ModuleType) -> None:
    done: list[tuple[int, int]] = []
    path = write_movie(
        tmp_path / "a.mp4", movies.recording(14), movies.tracks(), movies.drift(), SMALL,
        lambda now, all_of: done.append((now, all_of)),
    )  # fmt: skip
    frames = decoded(path)
    assert len(frames) == 14 and frames[0].shape[0] % 2 == 0 and frames[0].shape[1] == 256
    assert done[0] == (1, 14) and done[-1] == (14, 14)
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_a_gif_keeps_to_its_size_and_its_colours(tmp_path: Path, movies: ModuleType) -> None:
    settings = MovieSettings(side_px=256, most_frames=20, most_bytes=150_000)
    path = write_movie(tmp_path / "a.gif", movies.recording(20), movies.tracks(), None, settings)
    assert path.stat().st_size <= 150_000
    with Image.open(path) as image:
        assert 10 <= image.n_frames < 20
        image.seek(5)
        shown = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (np.ptp(shown.astype(int), axis=1) > 60).any()


def test_long_recordings_are_shown_evenly_from_first_to_last() -> None:
    chosen = shown_positions(10_000, 600)
    assert len(chosen) == 600 and (chosen[0], chosen[-1]) == (0, 9_999)
    assert set(np.diff(chosen)) <= {16, 17}
    assert shown_positions(7, 600).tolist() == list(range(7))


def spot(index: int) -> np.ndarray:
    image = np.zeros((50, 80), np.float32)
    image[10 + index, 20 + 2 * index] = 1.0
    return image


def spots(frames: int = 8) -> Recording:
    calibration = Calibration(pixel_nm=0.1, frame_time_s=0.2)
    return Recording(spot, range(frames), calibration, (50, 80), name="spot")


def positions_of_spot(frames: int = 8) -> pd.DataFrame:
    at = np.arange(frames)
    table = pd.DataFrame({"frame": at, "track": 3, "y_nm": (10 + at) * 0.1, "x_nm": (20 + 2 * at) * 0.1, "class": "Si"})
    return table.assign(y_sample_nm=1.0, x_sample_nm=2.0)


def painted(painter: Painter, index: int) -> np.ndarray:
    return np.asarray(painter.paint(spots().frame(index))).astype(int)


def test_rings_lie_around_what_they_mark() -> None:
    painter = painter_for(spots(), positions_of_spot(), None, MovieSettings(side_px=400, tail=0))
    assert painter.scale == 5 and painter.size == (400, 250)
    for index in (0, 7):
        picture = painted(painter, index)[:200]
        y, x = np.nonzero(np.ptp(picture, axis=2) > 80)
        expected = (10 + index + 0.5) * 5, (20 + 2 * index + 0.5) * 5
        assert (y.mean() + 0.5, x.mean() + 0.5) == pytest.approx(expected, abs=1.0)


def test_with_the_drift_removed_the_sample_stays_in_place() -> None:
    at = np.arange(8)
    drift = pd.DataFrame({"frame": at, "drift_y_nm": 0.1 * at, "drift_x_nm": 0.2 * at})
    painter = painter_for(spots(), None, drift, MovieSettings(side_px=400, sample=True))
    pictures = [painted(painter, index)[:200].sum(axis=2) for index in (0, 7)]
    places = [np.unravel_index(np.argmax(picture[:190]), (190, 400)) for picture in pictures]
    assert places[0] == places[1]


def test_a_tail_holds_the_last_frames_of_its_own_track() -> None:
    other = positions_of_spot().assign(track=4)
    marks = marks_of(pd.concat([positions_of_spot(), other[other["frame"] != 5]]).sample(frac=1, random_state=1), False)
    (row,) = [row for row in marks.of(6) if marks.track[row] == 4]
    assert marks.frame[marks.tail(int(row), 3)].tolist() == [3, 4, 6]
    assert set(marks.track[marks.tail(int(row), 3)]) == {4}


def test_grey_values_are_the_same_in_all_frames() -> None:
    bright = Recording(lambda k: np.full((20, 20), float(k)), range(11), Calibration(pixel_nm=0.1), (20, 20))
    painter = painter_for(bright, None, None, SMALL)
    levels = [np.asarray(painter.paint(bright.frame(k)))[5, 5, 0] for k in range(11)]
    assert np.diff(levels.copy()).min() > 10 and levels[0] == 0 and levels[-1] == 255


def test_the_clock_says_what_is_known() -> None:
    image = np.zeros((4, 4), np.float32)
    assert clock_text(Frame(image, 3, Calibration())) == "frame 3"
    logged = Frame(image, 3, Calibration(frame_time_s=1.0), {"t_s": 125.0, "temperature_set_C": 49.2})
    assert clock_text(logged, 1) == "125.0 s   frame 3   49 °C"


def test_what_cannot_be_drawn_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"written as \.mp4 or \.gif"):
        write_movie(tmp_path / "a.avi", spots())
    with pytest.raises(BadInput, match="no pixel size"):
        write_movie(tmp_path / "a.mp4", Recording(spot, range(3), Calibration(), (50, 80), name="x"))
    with pytest.raises(BadInput, match="no frames"):
        write_movie(tmp_path / "a.mp4", spots()[:0])

    def breaks(index: int) -> np.ndarray:
        if index == 6:
            raise BadInput("Frame 6 cannot be read: copy it again.")
        return spot(index % 8)

    assert 6 not in shown_positions(30, 9)
    broken = Recording(breaks, range(30), Calibration(pixel_nm=0.1), (50, 80))
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(BadInput, match="Frame 6"):
            write_movie(tmp_path / name, broken, None, None, SMALL)
    assert list(tmp_path.iterdir()) == []
