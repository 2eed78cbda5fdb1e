from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from micrograph import draw
from micrograph.draw.image import contrast, length_text, round_length
from micrograph.draw.sites import MOST_NAMES
from micrograph.draw.style import KNOWN, WIDTH_PX

RNG = np.random.default_rng(3)
IMAGE = RNG.poisson(20, (96, 128)).astype(np.float32)
PIXEL_NM = 0.02


def sites(number: int = 60) -> pd.DataFrame:
    y, x = RNG.uniform(0, 1.9, number), RNG.uniform(0, 2.5, number)
    return pd.DataFrame({"y_nm": y, "x_nm": x, "class": ["Si" if k == 0 else "C" for k in range(number)]})


def defects(number: int) -> pd.DataFrame:
    y, x = RNG.uniform(0, 1.9, number), RNG.uniform(0, 2.5, number)
    return pd.DataFrame({"y_nm": y, "x_nm": x, "name": [("Si1C3", "V1", "5-7")[k % 3] for k in range(number)]})


FIGURES = {
    "image": lambda: draw.image_figure(IMAGE, PIXEL_NM, "An image"),
    "score": lambda: draw.score_figure(np.clip(IMAGE / 40, 0, 1), PIXEL_NM, "A score"),
    "sites": lambda: draw.sites_figure(IMAGE, PIXEL_NM, sites(), "Sites", defects(9)),
    "no sites": lambda: draw.sites_figure(IMAGE, PIXEL_NM, sites(0), "No sites", defects(0)),
    "strain": lambda: draw.strain_figure(
        IMAGE, PIXEL_NM, sites()[["y_nm", "x_nm"]].to_numpy(), RNG.normal(0, 1, 60), "Strain"
    ),
    "strain of two": lambda: draw.strain_figure(IMAGE, PIXEL_NM, np.array([[0.5, 0.5], [1, 1]]), [1, np.nan], "Strain"),
    "distances": lambda: draw.distance_figure(RNG.normal(0.142, 0.01, 200), "Bonds", 0.142, 0.001),
    "no distances": lambda: draw.distance_figure([], "Bonds"),
    "intensity": lambda: draw.intensity_figure(
        [1.0, 1.1, 3.0, np.nan], ["C", "C", "Si", "C"], "Intensity", {"C": draw.Normal(0.7, 1, 0.1)}
    ),
    "time": lambda: draw.time_figure(
        {"V1": draw.Curve([0, 1, 2], [1, 2, 3], [0, 1, 2], [2, 3, 4])}, "V1", "time (s)", "n"
    ),
    "counts": lambda: draw.counts_figure(["C", "a rather long name"], [900, 2], [840, 0.2], [960, 7.2], "Counts"),
    "no counts": lambda: draw.counts_figure(["C"], [0], [0], [3.7], "Counts"),
}


def main_axes(figure: Figure) -> Axes:
    return figure.axes[0]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_title_is_1000_px_wide_and_cuts_no_text_off(name: str) -> None:
    figure = FIGURES[name]()
    FigureCanvasAgg(figure).draw()
    assert main_axes(figure).get_title()
    assert figure.bbox.width == pytest.approx(WIDTH_PX)
    tight = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert tight.x0 > -1 and tight.y0 > -1 and tight.x1 < figure.bbox.width + 1 and tight.y1 < figure.bbox.height + 1
    assert draw.to_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["image", "score", "sites", "strain"])
def test_every_image_has_a_scale_bar_of_a_round_length(name: str) -> None:
    axes = main_axes(FIGURES[name]())
    texts = [text.get_text() for artist in axes.artists for text in artist.findobj() if hasattr(text, "get_text")]
    assert "0.5 nm" in texts


@pytest.mark.parametrize("name", ["distances", "intensity", "time", "counts"])
def test_every_chart_says_what_its_axes_are(name: str) -> None:
    axes = main_axes(FIGURES[name]())
    assert axes.get_xlabel() and (axes.get_ylabel() or name == "counts")


def test_the_legend_counts_each_class_and_defect() -> None:
    figure = draw.sites_figure(IMAGE, PIXEL_NM, sites(), "Sites", defects(9))
    written = {text.get_text() for text in figure.legends[0].get_texts()}
    assert written == {"C (59)", "Si (1)", "Si1C3 (3)", "V1 (3)", "5-7 (3)"}


def test_names_of_defects_cover_neither_each_other_nor_the_border() -> None:
    figure = draw.sites_figure(IMAGE, PIXEL_NM, sites(), "Sites", defects(30))
    FigureCanvasAgg(figure).draw()
    axes = main_axes(figure)
    boxes = [text.get_window_extent() for text in axes.texts]
    inside = axes.get_window_extent()
    assert len(boxes) > 15
    assert all(
        inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1 for box in boxes
    )
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_too_many_defects_are_ringed_but_not_named() -> None:
    axes = main_axes(draw.sites_figure(IMAGE, PIXEL_NM, sites(), "Sites", defects(MOST_NAMES + 1)))
    assert len(axes.texts) == 0


def test_strain_colours_are_symmetric_about_zero() -> None:
    points = sites()[["y_nm", "x_nm"]].to_numpy()
    figure = draw.strain_figure(IMAGE, PIXEL_NM, points, np.linspace(-1, 3, 60), "Strain")
    shown = main_axes(figure).images[-1]
    assert shown.get_clim()[0] == -shown.get_clim()[1]
    assert figure.axes[1].get_ylabel() == "strain (%)"


def test_strain_is_not_shaded_across_a_hole() -> None:
    y, x = (axis.ravel() * 0.1 for axis in np.mgrid[:19, :25])
    ring = np.hypot(y - 0.9, x - 1.2) > 0.5
    points = np.column_stack([y, x])[ring]
    shown = (
        main_axes(draw.strain_figure(IMAGE, PIXEL_NM, points, np.ones(len(points)), "Strain")).images[-1].get_array()
    )
    assert shown is not None
    assert np.ma.getmaskarray(shown)[shown.shape[0] // 2, shown.shape[1] // 2]


def test_a_known_class_looks_the_same_in_every_company() -> None:
    assert draw.looks(["Si", "C", "thing"])["Si"] == draw.looks(["Si"])["Si"] == KNOWN["Si"]


def test_ten_unknown_names_get_ten_looks() -> None:
    assert len(set(draw.looks([f"name {k}" for k in range(10)]).values())) == 10


def test_a_cut_out_keeps_its_sites_where_they_are() -> None:
    part, corner = draw.cut_out(IMAGE, PIXEL_NM, (0.1, 2.4), 1.0)
    assert part.shape == (50, 50) and corner == (0.0, pytest.approx(78 * PIXEL_NM))
    table = pd.DataFrame({"y_nm": [0.5, 0.5], "x_nm": [2.0, 0.2]})
    near = draw.rows_within(table, corner, (1.0, 1.0))
    assert near["x_nm"].tolist() == pytest.approx([2.0 - 78 * PIXEL_NM])


@given(st.floats(1e-4, 1e6))
def test_a_round_length_is_one_two_or_five_and_at_most_what_was_asked(nm: float) -> None:
    length = round_length(nm)
    assert 0.39 * nm < length <= nm * (1 + 1e-6)
    assert f"{length:.0e}"[0] in "125"


def test_lengths_are_written_in_the_unit_that_suits_them() -> None:
    assert [length_text(nm) for nm in (0.02, 0.5, 20, 2000)] == ["20 pm", "0.5 nm", "20 nm", "2 µm"]


def test_contrast_ignores_what_is_not_finite_and_never_collapses() -> None:
    image = np.full((4, 4), 7, np.float32)
    image[0, 0] = np.nan
    assert contrast(image) == (7.0, 8.0)
    assert contrast(np.full((2, 2), np.nan, np.float32)) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "sigma", "unit", "text"),
    [
        (0.141987, 0.00123, "nm", "0.1420 ± 0.0012 nm"),
        (1234.5, 120.0, "", "1230 ± 120"),
        (5.0, None, "nm", "5 nm"),
        (float("nan"), 0.1, "nm", "unknown nm"),
        (1.234e-6, 2.1e-8, "", "(1.234 ± 0.021)e-6"),
        (0.0, 0.5, "", "0.00 ± 0.50"),
    ],
)
def test_a_number_is_written_to_the_second_digit_of_its_error(
    value: float, sigma: float | None, unit: str, text: str
) -> None:
    assert draw.with_error(value, sigma, unit) == text
