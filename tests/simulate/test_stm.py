"""Scans by tips of several apices: what must hold whatever the surface."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.simulate.scanning.silicon_surface import SiliconSurface
from micrograph.simulate.scanning.stm import DECAY_PER_NM, TIPS, StmScans, Tip, constant_current, random_tip, truth_at
from micrograph.simulate.scanning.stm_tip_loop import SHARP_AFTER, SimulatedMicroscope

ONE = SiliconSurface(np.array([[3.0, 3.0, 0.2, 0.3]]), np.array([[3.0, 3.0]]), lattice_nm=(0.0, 0.0))
GRID = np.meshgrid(np.arange(60) * 0.1, np.arange(60) * 0.1, indexing="ij")


def test_a_sharp_tip_follows_the_surface() -> None:
    seen = constant_current(ONE, Tip(blur_nm=1e-6), *GRID)
    np.testing.assert_allclose(seen, 0.2 * np.exp(-((GRID[0] - 3) ** 2 + (GRID[1] - 3) ** 2) / 0.18), atol=1e-4)


def test_two_alike_apices_give_two_alike_bumps_and_twice_the_current_everywhere_else() -> None:
    tip = Tip("double", ((0.0, 0.0, 0.0), (0.0, 1.5, 0.0)), 1e-6)
    seen = constant_current(ONE, tip, *GRID)
    assert tip.offset_nm == (0.0, -1.5)
    assert seen[30, 30] == pytest.approx(seen[30, 15], abs=1e-6)
    assert seen[0, 59] == pytest.approx(np.log(2) / DECAY_PER_NM, abs=1e-6)


def test_a_second_apex_that_is_high_above_is_not_seen() -> None:
    tip = Tip("double", ((0.0, 0.0, 0.0), (0.0, 1.5, 1.0)), 1e-6)
    np.testing.assert_allclose(
        constant_current(ONE, tip, *GRID), constant_current(ONE, Tip(blur_nm=1e-6), *GRID), atol=1e-6
    )


def test_a_scan_follows_from_the_generator_alone_and_tells_where_its_bonds_are() -> None:
    scans = StmScans(states=(1.0, 0.0, 0.0), snr=(40.0, 41.0), current=0.0)
    scans = replace(scans, surface=replace(scans.surface, pairs=0.0, adsorbates_per_nm2=(0.0, 1e-9), stepped=0.0))
    one, again = (scans(np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(one.image, again.image)
    high = one.image - np.median(one.image, axis=1, keepdims=True)
    bonds = np.column_stack([one.sites.y_nm, one.sites.x_nm])
    assert len(bonds) > 1
    for place in bonds[(bonds > 1).all(axis=1) & (bonds < len(high) * one.pixel_nm - 1).all(axis=1)]:
        y, x = np.rint(place / one.pixel_nm).astype(int)
        assert high[y - 1 : y + 2, x - 1 : x + 2].max() > 0.5 * one.params["snr"] * one.params["noise_nm"]
        assert truth_at(one, place) == (0.0, 0.0)


def test_a_tip_that_changes_is_told_line_by_line() -> None:
    scan = StmScans(changing=1.0)(np.random.default_rng(4))
    change = scan.params["change_y_nm"]
    assert scan.params["tip"] != scan.params["tip_after"] and 0 < change < len(scan.image) * scan.pixel_nm
    assert truth_at(scan, np.array([change, 3.0])) is None


@pytest.mark.parametrize("state", TIPS)
def test_a_random_tip_is_of_the_state_asked_for(state: str) -> None:
    tip = random_tip(state, StmScans().tips, np.random.default_rng(1))
    assert tip.state == state and tip.is_good == (state == "sharp")
    assert np.isfinite(tip.offset_nm).all() == (state == "double")


def test_conditioning_makes_a_tip_sharp_as_often_as_it_is_said() -> None:
    microscope = SimulatedMicroscope(np.random.default_rng(0))
    good = 0
    for _ in range(2000):
        microscope.condition("indent")
        assert microscope.tip is not None
        good += microscope.tip.is_good
    assert good / 2000 == pytest.approx(SHARP_AFTER["indent"], abs=0.03)
    with pytest.raises(KeyError):
        microscope.condition("hammer")
