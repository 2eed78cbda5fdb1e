"""Figures of tables over time: nothing cut off or covered, units on every axis, the right numbers."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from micrograph import draw
from micrograph.core import BadInput, Calibration, Frame
from micrograph.draw.kymograph import angle_of
from micrograph.draw.style import WIDTH_PX, line_colors
from micrograph.draw.tracks import MOST_CORNERS, paths_of

NAMES = (
    "tracks", "tracks by class", "no tracks", "kymograph", "kymograph along y", "no kymograph", "line", "1 state",
    "2 states", "3 states", "5 states", "8 states", "rates", "no rates", "temperature", "drift", "displacement",
    "displacement alone", "counts", "counts with log", "no counts", "classes", "one class", "traversal", "map",
)  # fmt: skip


def made(name: str, m: ModuleType) -> Figure:
    image, tracks, classes = m.read(0), m.tracks(), np.stack([m.read(k)[:40, :40] for k in range(7)])
    if name.endswith(("state", "states")):
        return draw.state_diagram(*m.chain(int(name[0])))
    return {
        "tracks": lambda: draw.tracks_figure(image, m.PIXEL_NM, tracks, "Tracks"),
        "tracks by class": lambda: draw.tracks_figure(image, m.PIXEL_NM, tracks, "Tracks", "class"),
        "no tracks": lambda: draw.tracks_figure(image, m.PIXEL_NM, tracks[:0], "Tracks"),
        "kymograph": lambda: draw.kymograph_figure(tracks, "Kymograph"),
        "kymograph along y": lambda: draw.kymograph_figure(tracks.drop(columns=["state", "class"]), "Kymograph", "y"),
        "no kymograph": lambda: draw.kymograph_figure(tracks[:0], "Kymograph"),
        "line": lambda: draw.line_kymograph_figure(image, 2.0, 30.0, "Line"),
        "rates": lambda: draw.rates_figure(m.chain(4)[0]),
        "no rates": lambda: draw.rates_figure(m.chain(4)[0][:0]),
        "temperature": lambda: draw.arrhenius_figure(m.temperature_rates()),
        "drift": lambda: draw.drift_figure(m.drift()),
        "displacement": lambda: draw.msd_figure(*m.motion()),
        "displacement alone": lambda: draw.msd_figure(m.motion()[0]),
        "counts": lambda: draw.counts_over_time_figure(m.counts(), area_nm2=25.0),
        "counts with log": lambda: draw.counts_over_time_figure(m.counts(), log=m.log(), changes_s=[15.0]),
        "no counts": lambda: draw.counts_over_time_figure(m.counts()[:0]),
        "classes": lambda: draw.classes_figure(classes, [f"class {k}" for k in range(7)], range(7), 0.02),
        "traversal": lambda: draw.traversal_figure(
            np.stack([classes[:5], classes[:5] + 9]), ["k1, z1", "k1, z2"], [-2, -1, 0, 1, 2], 0.02, "Drawings"
        ),
        "map": lambda: draw.map_figure(image, 0.02, np.array([[0.2, 0.2], [1, 1]]), [0.5, np.nan], "Order", "order"),
        "one class": lambda: draw.classes_figure(classes[:1], ["Si1C3"], [3], 0.02),
    }[name]()


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_over_time_is_1000_px_wide_and_cuts_no_text_off(name: str, movies: ModuleType) -> None:
    figure = made(name, movies)
    FigureCanvasAgg(figure).draw()
    assert figure.bbox.width == pytest.approx(WIDTH_PX)
    tight = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert tight.x0 > -1 and tight.y0 > -1 and tight.x1 < figure.bbox.width + 1 and tight.y1 < figure.bbox.height + 1
    assert figure.get_suptitle() or any(axes.get_title() for axes in figure.axes)


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("kymograph", "time (s)", "(nm)"),
        ("line", "time (s)", "(nm)"),
        ("temperature", "1000 K / temperature", "(1/s)"),
        ("drift", "time (s)", "(nm)"),
        ("displacement", "(s)", "(nm²)"),
        ("counts", "time (s)", "(1/nm²)"),
        ("rates", "per second", ""),
    ],
)
def test_every_axis_over_time_has_its_unit(name: str, x: str, y: str, movies: ModuleType) -> None:
    axes = made(name, movies).axes[0]
    assert x in axes.get_xlabel() and y in axes.get_ylabel()


def test_tracks_coloured_by_time_say_so(movies: ModuleType) -> None:
    assert made("tracks", movies).axes[1].get_ylabel() == "time (s)"
    unknown = movies.tracks().assign(t_s=np.nan)
    assert draw.tracks_figure(movies.read(0), 0.02, unknown, "Tracks").axes[1].get_ylabel() == "frame"


def test_tracks_are_drawn_where_the_sample_was_in_the_first_frame(movies: ModuleType) -> None:
    tracks = movies.tracks(1)
    (lines,) = [one for one in made("tracks", movies).axes[0].collections if isinstance(one, LineCollection)][:1]
    assert lines.get_segments()[0][0].tolist() == pytest.approx(tracks[["x_sample_nm", "y_sample_nm"]].iloc[0].tolist())


def test_of_many_tracks_the_longest_are_drawn_and_thinned() -> None:
    frames = pd.concat(
        [
            pd.DataFrame({"track": k, "frame": np.arange(n), "y_nm": 1.0, "x_nm": 2.0})
            for k, n in enumerate((5, 2000, 50))
        ]
    )
    paths, every = paths_of(frames, most=2)
    assert every == 3 and [len(path.time) for path in paths] == [MOST_CORNERS, 50]
    assert (paths[0].time[0], paths[0].time[-1]) == (0, 1999)


def test_motion_along_a_line_has_the_angle_of_the_line() -> None:
    along = np.linspace(0, 3, 50)
    for degrees in (-60.0, -10.0, 0.0, 30.0, 80.0):
        y, x = -along * np.sin(np.radians(degrees)), along * np.cos(np.radians(degrees))
        assert angle_of(np.column_stack([y, x]), np.zeros(50), "motion") == pytest.approx(degrees)


def frames_of(image: np.ndarray, number: int = 3, pixel_nm: float | None = 0.1) -> list[Frame]:
    return [Frame((image + k).astype(np.float32), k, Calibration(pixel_nm=pixel_nm)) for k in range(number)]


def test_a_line_kymograph_of_a_ramp_is_the_ramp() -> None:
    y, x = np.mgrid[:20, :30]
    rows = draw.line_kymograph(iter(frames_of(2.0 * x + y)), (0.5, 0.2), (1.5, 2.2), width_nm=0.4)
    assert rows.shape == (3, 23)
    expected = np.linspace(2 * 2 + 5, 2 * 22 + 15, 23)
    assert rows == pytest.approx(expected + np.arange(3)[:, None], rel=1e-5)


@pytest.mark.parametrize(
    ("end", "pixel_nm", "said"),
    [((5.0, 0.0), 0.1, "leaves the image"), ((0.0, 0.01), 0.1, "less than a pixel"), ((1.0, 1.0), None, "pixel size")],
)
def test_a_line_that_cannot_be_read_is_refused(end: tuple[float, float], pixel_nm: float | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        draw.line_kymograph(frames_of(np.zeros((20, 30)), 1, pixel_nm), (0.0, 0.0), end)


@pytest.mark.parametrize("number", [2, 3, 4, 6, 8])
def test_texts_of_a_state_diagram_cover_neither_each_other_nor_a_state(number: int, movies: ModuleType) -> None:
    figure = draw.state_diagram(*movies.chain(number))
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    discs = [patch.get_window_extent() for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    assert len(discs) == number
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    for disc in discs:
        x, y = (disc.x0 + disc.x1) / 2, (disc.y0 + disc.y1) / 2
        gaps = [np.hypot(x - np.clip(x, box.x0, box.x1), y - np.clip(y, box.y0, box.y1)) for box in boxes]
        assert min(gaps) > disc.width / 2


def test_areas_of_states_are_shares_and_widths_of_arrows_follow_rates() -> None:
    states = pd.DataFrame({"state": ["a", "b"], "share": [0.8, 0.2]})
    rates = pd.DataFrame({"from": ["a", "b", "a"], "to": ["b", "a", "a"], "p": [0.1, 0.4, 0.5]})
    rates = rates.assign(p_low=0.5 * rates["p"], p_high=2 * rates["p"], jumps=[10, 10, 0])
    axes = draw.state_diagram(rates, states).axes[0]
    radii = [patch.radius for patch in axes.patches if isinstance(patch, Circle)]
    widths = sorted(patch.get_linewidth() for patch in axes.patches if isinstance(patch, FancyArrowPatch))
    assert radii[1] / radii[0] == pytest.approx(0.5)
    assert len(widths) == 2 and widths[0] < widths[1]
    assert "probability per frame" in axes.get_title()
    assert {text.get_text() for text in axes.texts} >= {"0.1\n(0.05 to 0.2)", "0.4\n(0.2 to 0.8)"}


def test_the_slope_over_temperature_is_the_activation_energy(movies: ModuleType) -> None:
    axes = made("temperature", movies).axes[0]
    written = sorted(text.get_text() for text in axes.get_legend().get_texts())
    assert [text.split(": ")[1].split(" ")[0] for text in written] == ["0.80", "1.10"]


def test_the_diffusion_constant_is_written_with_its_interval(movies: ModuleType) -> None:
    legend = made("displacement", movies).axes[0].get_legend()
    assert "Si: D = 0.003 (0.0024 to 0.00375) nm²/s" in {text.get_text() for text in legend.get_texts()}


def test_the_line_of_the_displacement_goes_through_its_points(movies: ModuleType) -> None:
    motion, diffusion = movies.motion(("Si",))
    line = draw.msd_figure(motion, diffusion).axes[0].lines[-1]
    x, y = (np.asarray(values, dtype=float) for values in line.get_data())
    assert np.interp(motion["lag_s"], x, y) == pytest.approx(motion["msd_nm2"].to_numpy(), rel=0.12)


def test_lines_have_colours_of_their_own_and_known_names_keep_theirs() -> None:
    for dark in (False, True):
        assert len(set(line_colors([f"state {k}" for k in range(8)], dark).values())) == 8
        assert line_colors(["Si1C3", "x", "y"], dark)["Si1C3"] == draw.looks(["Si1C3"])["Si1C3"].color
    assert line_colors(["Si1C4"]) != {"Si1C4": draw.looks(["Si1C4"])["Si1C4"].color}
