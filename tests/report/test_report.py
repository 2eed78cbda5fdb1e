from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Column
from micrograph.report import result_figures, write_report
from micrograph.report.figures import neighbour_distances
from micrograph.report.numbers import headlines, sigma_of, unit_of
from micrograph.run import Result


class Links(HTMLParser):
    """Collects what a page would load, and checks that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(result: Result) -> str:
    return write_report(result).read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_loads_nothing(page: str) -> None:
    links = Links()
    links.feed(page)
    assert links.open == []
    assert links.sources and all(source.startswith("data:image/png;base64,") for source in links.sources)
    assert "http" not in re.sub(r'base64,[^"]*', "", page)


def test_the_page_shows_numbers_with_errors_then_doubts_and_provenance(page: str, result: Result) -> None:
    assert re.search(r"lattice parameter a<b>0\.24\d+ ± 0\.000\d+ nm</b>", page)
    assert re.search(r"Si1C3<b>0\.\d+ ± 0\.\d+ nm⁻²</b>", page)
    assert "1 of 5 frames look unlike the images that the model was trained on" in page
    assert "The dose is below &lt;100&gt; e (1 of 5 frames)" in page
    assert result.record["key"]["input"]["digest"] in page and "setting threshold" in page
    assert "Honeycomb &amp; silicon" in page


def test_every_picture_is_a_file_too(page: str, result: Result) -> None:
    names = {path.stem for path in (result.folder / "figures").glob("*.png")}
    assert names == set(result_figures(result))
    assert {"sites", "image", "score-atom", "strain-xx", "intensity", "counts", "density-time", "lattice-time"} <= names


def test_a_recording_with_nothing_in_it_still_gets_a_report(blank: Result) -> None:
    page = write_report(blank).read_text(encoding="utf-8")
    assert "2 of 2 frames are empty, constant or not finite" in page


def test_neighbour_distances_of_a_honeycomb_are_its_bonds(result: Result) -> None:
    distances = neighbour_distances(result.tables.of_frame("objects", 0))
    assert np.mean(distances) == pytest.approx(0.142, abs=0.001)


def test_units_and_errors_are_found_by_the_name_of_a_column() -> None:
    assert unit_of("density_per_nm2") == "nm⁻²" and unit_of("area_nm2") == "nm²" and unit_of("count") == ""
    assert sigma_of("a_nm") == "a_sigma_nm" and sigma_of("density_per_nm2") == "density_sigma_per_nm2"
    assert sigma_of("count") == "count_sigma"


def test_a_lattice_of_several_frames_has_the_error_of_its_mean() -> None:
    frames = pd.DataFrame({"a_nm": [0.246] * 4, "a_sigma_nm": [0.002] * 4})
    (first,) = headlines(pd.DataFrame(), frames, ())
    assert (first.value, first.remark) == ("0.2460 ± 0.0010 nm", "mean of 4 frames")


def test_a_summary_of_one_row_is_read_by_its_columns() -> None:
    summary = pd.DataFrame({"thickness_nm": [12.345], "thickness_sigma_nm": [0.21]})
    (only,) = headlines(summary, pd.DataFrame(), (Column("thickness_nm", "nm", "thickness of the foil"),))
    assert (only.name, only.value, only.remark) == ("thickness_nm", "12.35 ± 0.21 nm", "thickness of the foil")
