"""Lengths of digitised lines, crossings that are seen as such, densities with intervals that hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.metallography.foil_summary import IN_SPACE, FoilDensities, compound, scatter_of
from micrograph.features.metallography.foil_tables import CrystalDefects, depth_of
from micrograph.features.metallography.line_network import Network, network_of
from micrograph.features.metallography.skeletons import followed, skeleton_of, smoothed_along

Map = NDArray[np.float32]
SIDE = 160


def band(begin: tuple[float, float], end: tuple[float, float], width: float = 5.0) -> Map:
    """Return the coverage of a straight band."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    way = np.subtract(end, begin)
    length = float(np.hypot(*way))
    along = ((y - begin[0]) * way[0] + (x - begin[1]) * way[1]) / length
    across = np.abs((y - begin[0]) * way[1] - (x - begin[1]) * way[0]) / length
    inside = np.minimum(width / 2 - across, np.minimum(along, length - along))
    return np.clip(inside + 0.5, 0, 1).astype(np.float32)


def ring(radius: float, width: float = 5.0) -> Map:
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    return np.clip(width / 2 - np.abs(np.hypot(y - 80, x - 80) - radius) + 0.5, 0, 1).astype(np.float32)


def found(chances: Map) -> Network:
    return network_of(skeleton_of(chances, followed(chances)))


def total(network: Network) -> float:
    return sum(line.length_px for line in network.lines)


@pytest.mark.parametrize("angle", [0.0, 13.0, 22.5, 45.0, 71.0])
@pytest.mark.parametrize("width", [3.0, 6.0, 10.0])
def test_a_straight_band_is_as_long_as_it_is_whatever_its_angle(angle: float, width: float) -> None:
    turn = np.deg2rad(angle)
    step = 50 * np.array([np.sin(turn), np.cos(turn)])
    network = found(band(tuple(80 - step), tuple(80 + step), width))
    assert len(network.lines) == 1 and network.lines[0].free == 2
    assert total(network) == pytest.approx(100, rel=0.035)


@pytest.mark.parametrize("radius", [15.0, 40.0])
def test_a_ring_is_one_closed_line_of_its_circumference(radius: float) -> None:
    network = found(ring(radius))
    (line,) = network.lines
    assert line.closed and line.length_px == pytest.approx(2 * np.pi * radius, rel=0.015)


@pytest.mark.parametrize("angle", [25.0, 50.0, 90.0])
def test_two_bands_that_cross_are_two_lines_with_one_crossing(angle: float) -> None:
    turn = np.deg2rad(angle)
    step = 60 * np.array([np.sin(turn), np.cos(turn)])
    network = found(np.maximum(band((80, 20), (80, 140)), band(tuple(80 - step), tuple(80 + step))))
    assert len(network.lines) == 2 and len(network.crossings_px) == 1 and len(network.nodes_px) == 0
    np.testing.assert_allclose(network.crossings_px[0], (80, 80), atol=1.5)
    assert total(network) == pytest.approx(240, rel=0.03)


def test_three_bands_that_meet_are_three_lines_and_a_node() -> None:
    ends = [80 + 50 * np.array([np.sin(turn), np.cos(turn)]) for turn in (0.2, 0.2 + 2.1, 0.2 + 4.2)]
    network = found(np.max([band((80, 80), tuple(end)) for end in ends], axis=0))
    assert len(network.lines) == 3 and len(network.nodes_px) == 1
    assert total(network) == pytest.approx(150, rel=0.04)


def test_a_band_that_leaves_the_image_is_measured_up_to_its_border() -> None:
    assert total(found(band((80, -20), (80, 200)))) == pytest.approx(SIDE, rel=0.015)


def test_a_line_is_followed_where_it_is_fainter_and_noise_is_not() -> None:
    dim = band((80, 20), (80, 140))
    dim[:, 70:90] *= 0.4
    network = found(np.maximum(dim, 0.4 * band((30, 20), (30, 140))))
    assert len(network.lines) == 1 and total(network) == pytest.approx(120, rel=0.03)


def test_smoothing_keeps_the_ends_and_does_not_shrink_a_curve() -> None:
    turn = np.linspace(0, 2 * np.pi, 400)
    circle = 20 * np.stack([np.sin(turn), np.cos(turn)], 1)
    np.testing.assert_allclose(np.hypot(*smoothed_along(circle, closed=True).T), 20, rtol=1e-3)
    open_curve = circle[:150]
    np.testing.assert_allclose(smoothed_along(open_curve)[[0, -1]], open_curve[[0, -1]])


def test_depth_is_one_in_the_middle_of_every_part() -> None:
    mask = (ring(0.0, 20) > 0.5) | (band((20, 20), (20, 60), 6) > 0.5)
    depth = depth_of(mask)
    assert depth[80, 80] == pytest.approx(1) and depth[20, 40] == pytest.approx(1, abs=0.35) and depth[0, 0] == 0


def seen(**maps: Map) -> dict[str, pd.DataFrame]:
    whole = {
        name: maps.get(name, np.zeros((SIDE, SIDE), np.float32)) for name in ("dislocation", "precipitate", "void")
    }
    frame = Frame(np.ones((SIDE, SIDE), np.float32), 0, Calibration(pixel_nm=2.0))
    tables = dict(CrystalDefects()(Prediction(frame, whole, whole, 2.0)))
    tables["frames"] = tables["frames"].assign(flags=0)
    return tables


def test_a_void_has_its_diameter_and_a_line_its_length_in_nm() -> None:
    tables = seen(void=ring(0.0, 24), dislocation=band((30, 20), (30, 120)))
    (row,) = tables["objects"].to_dict("records")
    assert row["class"] == "void" and row["equivalent_diameter_nm"] == pytest.approx(48, rel=0.01)
    assert (row["y_nm"], row["x_nm"]) == pytest.approx((160, 160), abs=0.1)
    assert tables["lines"]["length_nm"].tolist() == pytest.approx([200], rel=0.02)
    assert tables["lines"]["width_nm"].tolist() == pytest.approx([10], rel=0.2)


def test_bodies_in_several_kinds_may_lie_on_each_other() -> None:
    tables = seen(void=ring(0.0, 24), precipitate=ring(0.0, 40))
    assert sorted(tables["objects"]["class"]) == ["precipitate", "void"]
    assert tables["objects"]["id"].is_unique and set(tables["outlines"]["id"]) == set(tables["objects"]["id"])


def test_bodies_at_the_upper_or_left_border_do_not_count_and_others_do() -> None:
    cut = np.pad(ring(0.0, 24)[76:], ((0, 76), (0, 0)))
    assert seen(void=cut)["frames"]["voids"].tolist() == [0] == seen(void=cut.T.copy())["frames"]["voids"].tolist()
    assert seen(void=cut[::-1].copy())["frames"]["voids"].tolist() == [1]


def test_densities_per_volume_follow_from_the_thickness() -> None:
    tables = seen(dislocation=band((30, 20), (30, 120)), void=ring(0.0, 24))
    results = []
    for thickness in (100.0, 200.0):
        fold = FoilDensities(thickness_nm=thickness)
        results.append(fold.result(fold.step(fold.start(), tables)))
    thin, thick = (one["line_density"].iloc[0] for one in results)
    assert thin["density_per_m2"] == pytest.approx(2 * thick["density_per_m2"])
    assert thin["density_per_m2"] == pytest.approx(IN_SPACE * thin["length_per_nm"] / 100 * 1e18)
    assert thin["length_per_nm"] == pytest.approx(200 / (2 * SIDE) ** 2, rel=0.02)
    void = results[0]["swelling"].set_index("name").loc["void"]
    chance = (1 - 24 / SIDE) ** 2
    assert void["volume_share"] == pytest.approx(np.pi / 6 * 48**3 / (2 * SIDE) ** 2 / 100 / chance, rel=0.04)
    share = float(void["volume_share"])
    assert void["swelling_percent"] == pytest.approx(100 * share / (1 - share))


def test_nothing_seen_gives_an_upper_end_for_counts_and_none_for_lengths() -> None:
    fold = FoilDensities(thickness_nm=100.0)
    result = fold.result(fold.step(fold.start(), seen()))
    assert result["summary"]["count"].tolist() == [0, 0, 0]
    assert result["summary"]["count_high"].tolist() == pytest.approx([3.69] * 3, abs=0.01)
    assert result["line_density"]["length_nm"].tolist() == [0]
    assert len(fold.result(fold.start())["size_bins"]) == 0


def test_intervals_of_compound_poisson_sums_cover_the_truth() -> None:
    hits, rng = [], np.random.default_rng(1)
    for _ in range(600):
        pieces = rng.uniform(20, 200, rng.poisson(15))
        low, high = compound(float(pieces.sum()), float((pieces**2).sum()))
        hits.append(low <= 15 * 110 <= high)
    assert 0.92 <= np.mean(hits) <= 0.99


def test_fields_that_scatter_more_than_chance_widen_the_interval() -> None:
    areas, rng = np.ones(40), np.random.default_rng(2)
    assert scatter_of(rng.poisson(20, 40).astype(float), areas) < 1.6
    assert scatter_of(rng.poisson(np.where(np.arange(40) % 2, 10, 30)).astype(float), areas) > 3
    assert scatter_of(np.array([1.0, 100.0]), np.ones(2)) == 1
