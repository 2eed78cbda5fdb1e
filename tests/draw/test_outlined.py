"""Figures of outlined objects: at their places, in their colours, with units, nothing cut off."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from micrograph import draw
from micrograph.draw.outlines import MOST_IDS
from micrograph.draw.style import WIDTH_PX

PIXEL_NM, SHAPE = 0.5, (120, 160)
IMAGE = np.random.default_rng(3).poisson(20, SHAPE).astype(np.float32)
TURN = np.linspace(0, 2 * np.pi, 40, endpoint=False)


def circle(y: float, x: float, radius: float) -> np.ndarray:
    return np.column_stack([y - radius * np.sin(TURN), x + radius * np.cos(TURN)])


def objects(number: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"frame": 0, "id": np.arange(1, number + 1)})
    table["y_nm"], table["x_nm"] = rng.uniform(5, 55, number), rng.uniform(5, 75, number)
    table["equivalent_diameter_nm"] = rng.uniform(5, 9, number)
    table["shape"] = [("round", "rod", "other")[k % 3] for k in range(number)]
    return table.assign(**{"class": "particle", "flags": [int(k == 2) for k in range(number)]})


def outlines(table: pd.DataFrame) -> pd.DataFrame:
    rows = [
        pd.DataFrame(circle(row["y_nm"], row["x_nm"], row["equivalent_diameter_nm"] / 2), columns=["y_nm", "x_nm"])
        .assign(frame=0, id=row["id"], point=np.arange(len(TURN)))
        for row in table.to_dict("records")
    ]  # fmt: skip
    return pd.concat(rows) if rows else pd.DataFrame(columns=["frame", "id", "point", "y_nm", "x_nm"], dtype=float)


def boundaries(tracks: int = 3) -> pd.DataFrame:
    rows = []
    for track in range(tracks):
        for frame in range(0, 40, 4):
            points = circle(20 + 8 * (track % 3), 30 + 12 * (track % 3), 5 - 0.1 * frame)
            table = pd.DataFrame(points, columns=["y_nm", "x_nm"]).assign(track=track, frame=frame)
            rows.append(table.assign(velocity_nm_per_s=-0.1 + 0.02 * np.cos(2 * TURN)))
    return pd.concat(rows, ignore_index=True)


def law() -> tuple[pd.DataFrame, dict[str, float]]:
    bend = np.linspace(-0.1, 0.6, 10)
    table = pd.DataFrame({"curvature_per_nm": bend, "velocity_nm_per_s": -0.05 - 0.4 * bend})
    found = {"v0_nm_per_s": -0.05, "v0_sigma_nm_per_s": 0.004, "k_nm2_per_s": -0.4, "k_sigma_nm2_per_s": 0.02}
    return table.assign(velocity_sigma_nm_per_s=0.01), found


def areas(number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    t = np.arange(30.0)
    tracks, growth = [], []
    for track in range(number):
        area = (20 + track - 0.5 * t) ** 2
        tracks.append(pd.DataFrame({"track": track, "frame": t.astype(int), "t_s": t, "area_nm2": area}))
        row = {
            "track": track,
            "law": ("constant edge velocity", "constant area rate", "exponential")[track % 3],
            "radius_rate_nm_per_s": -0.3,
            "closing_s": 40.0,
        }
        row |= {"closing_low_s": 39.0, "closing_high_s": 41.0, "area_rate_nm2_per_s": -12.5}
        growth.append(row | {"area_rate_low_nm2_per_s": -13.0, "area_rate_high_nm2_per_s": -12.0})
    return pd.concat(tracks, ignore_index=True).assign(area_sigma_nm2=4.0), pd.DataFrame(growth)


def sizes(names: tuple[str, ...]) -> dict[str, draw.Distribution]:
    share = np.array([0.1, 0.4, 0.3, 0.2])
    one = draw.Distribution(
        np.linspace(2, 10, 5), share, share - 0.05, share + 0.05, (6, 5.5, 6.5), "mean 6 nm, n = 40"
    )
    return dict.fromkeys(names, one)


def panels() -> list[draw.Panel]:
    t = np.arange(50.0)
    stages = pd.DataFrame({"start_s": [0.0, 21.0], "end_s": [20.0, 49.0], "value": [12.0, 5.0]})
    stages = stages.assign(value_low=stages["value"] - 1, value_high=stages["value"] + 1)
    count = draw.Curve(t, np.where(t < 21, 12, 5), np.where(t < 21, 7, 2), np.where(t < 21, 19, 11))
    return [draw.Panel("number", {"particle": count}, stages), draw.Panel("edge velocity (nm/s)", {}, stages)]


MADE = {
    "outlines": lambda: draw.outlines_figure(IMAGE, PIXEL_NM, objects(), outlines(objects()), "Particles"),
    "no outlines": lambda: draw.outlines_figure(IMAGE, PIXEL_NM, objects(0), outlines(objects(0)), "Particles"),
    "gallery": lambda: draw.gallery_figure(
        IMAGE, PIXEL_NM, objects(), outlines(objects()), {name: f"{name}\nn = 4" for name in ("round", "rod", "other")}
    ),
    "gallery of an unseen shape": lambda: draw.gallery_figure(
        IMAGE, PIXEL_NM, objects(0), outlines(objects(0)), {"rod": "rod\nn = 4"}
    ),
    "velocity": lambda: draw.velocity_figure(IMAGE, PIXEL_NM, boundaries()),
    "velocity of many": lambda: draw.velocity_figure(IMAGE, PIXEL_NM, boundaries(40)),
    "no velocity": lambda: draw.velocity_figure(IMAGE, PIXEL_NM, boundaries()[:0]),
    "law": lambda: draw.rate_law_figure(*law()),
    "no law": lambda: draw.rate_law_figure(law()[0], None),
    "areas": lambda: draw.areas_figure(*areas(4)),
    "many areas": lambda: draw.areas_figure(*areas(20)),
    "areas alone": lambda: draw.areas_figure(areas(2)[0], None),
    "reaction": lambda: draw.reaction_figure(panels(), "time (s)", "Stages"),
    "sizes": lambda: draw.sizes_figure(sizes(("all", "round", "rod")), "Sizes", "diameter (nm)"),
    "sizes of one": lambda: draw.sizes_figure(sizes(("all",)), "Sizes", "diameter (nm)"),
}


@pytest.mark.parametrize("name", MADE)
def test_every_figure_of_outlined_objects_is_1000_px_wide_and_cuts_no_text_off(name: str) -> None:
    figure: Figure = MADE[name]()
    FigureCanvasAgg(figure).draw()
    assert figure.bbox.width == pytest.approx(WIDTH_PX)
    tight = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert tight.x0 > -1 and tight.y0 > -1 and tight.x1 < figure.bbox.width + 1 and tight.y1 < figure.bbox.height + 1


@pytest.mark.parametrize("name", ["outlines", "gallery", "velocity"])
def test_every_picture_of_outlined_objects_has_a_scale_bar(name: str) -> None:
    axes = MADE[name]().axes[0]
    texts = [text.get_text() for artist in axes.artists for text in artist.findobj() if hasattr(text, "get_text")]
    assert any(text.endswith(" nm") for text in texts)


@pytest.mark.parametrize("name", ["law", "areas", "sizes", "reaction"])
def test_every_chart_of_outlined_objects_has_units_on_its_axes(name: str) -> None:
    figure = MADE[name]()
    assert figure.axes[-1].get_xlabel().endswith((")", "positive"))
    assert "(" in (figure.axes[-1].get_ylabel() or figure.get_supylabel())


def test_objects_are_counted_by_shape_and_the_doubted_are_dashed() -> None:
    figure = MADE["outlines"]()
    written = {text.get_text() for text in figure.legends[0].get_texts()}
    assert written == {"round (4)", "rod (4)", "other (4)", "dashed: doubted or cut off (1)"}


def test_many_objects_are_not_numbered() -> None:
    few, many = objects(), objects(MOST_IDS + 1)
    assert len(draw.outlines_figure(IMAGE, PIXEL_NM, few, outlines(few), "").axes[0].texts) == 12
    assert len(draw.outlines_figure(IMAGE, PIXEL_NM, many, outlines(many), "").axes[0].texts) == 0


def test_velocities_are_coloured_symmetrically_about_zero() -> None:
    lines = MADE["velocity"]().axes[0].collections[-1]
    low, high = lines.get_clim()
    assert low == -high and 0.1 < high < 0.13


def test_the_legend_of_the_law_holds_both_numbers_with_errors() -> None:
    written = " ".join(text.get_text() for text in MADE["law"]().axes[0].get_legend().get_texts())
    assert "v0 = -0.0500 ± 0.0040 nm/s" in written and "k = -0.400 ± 0.020 nm²/s" in written


def test_a_closing_law_is_drawn_to_its_end() -> None:
    axes = MADE["areas"]().axes[0]
    ends = [line.get_xdata()[-1] for line in axes.lines if len(line.get_xdata()) == 200]
    assert len(ends) == 4 and max(ends) == 40.0


def test_outlines_of_a_movie_lie_where_they_are_in_the_colour_of_their_track(
    tmp_path: Path, movies: ModuleType
) -> None:
    from micrograph.draw.movie import painter_for

    marks = pd.DataFrame({"frame": 0, "track": [4, 5], "y_nm": [0.8, 1.6], "x_nm": [0.6, 1.8], "class": "pore"})
    curves = [circle(0.8, 0.6, 0.4), circle(1.6, 1.8, 0.4), circle(2.2, 0.4, 0.2)]
    settings = draw.MovieSettings(side_px=512, outlines=lambda frame: curves if frame == 0 else [])
    painter = painter_for(movies.recording(2), marks, None, settings)
    picture = np.asarray(painter.paint(movies.recording(2).frame(0)))[:512].astype(int)
    seen = []
    for color in (painter.colors[4], painter.colors[5], "#B8B8B8"):
        rgb = [int(color[k : k + 2], 16) for k in (1, 3, 5)]
        y, x = np.nonzero((np.abs(picture - rgb) <= 2).all(axis=2))
        seen.append((np.median([y.min(), y.max()]) / 4 * 0.02, np.median([x.min(), x.max()]) / 4 * 0.02))
    assert seen[:2] == [pytest.approx((0.8, 0.6), abs=0.03), pytest.approx((1.6, 1.8), abs=0.03)]
    blank = np.asarray(painter.paint(movies.recording(2).frame(1)))[:512].astype(int)
    assert np.ptp(blank, axis=2).max() == 0
