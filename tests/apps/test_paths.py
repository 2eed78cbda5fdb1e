"""The command line writes a path that a microscope, or the recipe partial-scan, can read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from micrograph.apps.paths import make_path
from micrograph.core import BadInput


@pytest.mark.parametrize("coverage", ["0.05", "5 %", "1/20"])
def test_a_share_may_be_written_in_three_ways(coverage: str) -> None:
    path, about = make_path("jittered", "100x120", coverage, None)
    assert path.shape == (100, 120) and path.coverage == pytest.approx(0.05, rel=0.1)
    assert about.startswith("jittered") and "100 x 120" in about


def test_places_and_masks_are_files(tmp_path: Path) -> None:
    path, _ = make_path("spiral", "64x64", "1/10", tmp_path / "path.csv", seed=2)
    make_path("spiral", "64x64", "1/10", tmp_path / "mask.tif", seed=2)
    make_path("spiral", "64x64", "1/10", tmp_path / "mask.npy", seed=2)
    places = np.loadtxt(tmp_path / "path.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(places, np.column_stack([path.y_px, path.x_px]), atol=1e-4)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tif"), path.dwells)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), path.dwells)


@pytest.mark.parametrize(
    ("shape", "coverage", "name"), [("512", "1/20", "p.csv"), ("64x64", "few", "p.csv"), ("64x64", "1/20", "p.png")]
)
def test_what_cannot_be_read_or_written_is_refused(shape: str, coverage: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^[A-Z].*\.$"):
        make_path("spiral", shape, coverage, tmp_path / name)
