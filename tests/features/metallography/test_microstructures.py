"""Phases, particles and the denuded zone of shapes that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput, Calibration, Flag, Frame, Prediction
from micrograph.features.metallography.denuded import find_gaps, middle_width, zone_width
from micrograph.features.metallography.island_textures import describe, islands_told, shipped_textures, through_filters
from micrograph.features.metallography.microstructure import Microstructure
from micrograph.features.metallography.particles import find_particles
from micrograph.features.metallography.phases import alike_area, area_shares, ground_of, phases_of, voted
from micrograph.simulate.steels.carbides import drawn
from micrograph.simulate.steels.metallography import CONSTITUENTS, MetallographySampler


def discs(places: list[tuple[float, float, float]], shape: tuple[int, int]) -> np.ndarray:
    table = np.array(places)
    return drawn(table[:, :2], np.repeat(table[:, 2:], 2, axis=1), np.zeros(len(table)), shape)[0]


def maps_of(kinds: np.ndarray, names: tuple[str, ...], sure: float = 0.9) -> dict[str, np.ndarray]:
    rest = (1 - sure) / (len(names) - 1)
    return {name: np.where(kinds == place, sure, rest).astype(np.float32) for place, name in enumerate(names)}


def test_an_object_is_what_most_of_its_pixels_say() -> None:
    kinds = np.zeros((60, 80), int)
    kinds[10:40, 10:40], kinds[10:40, 50:75] = 1, 2
    kinds[12:20, 12:20] = 2
    phases, objects = voted(
        *(lambda p: (p, ground_of(p)))(phases_of(maps_of(kinds, ("ferrite", "pearlite", "bainite"))))
    )
    assert [phases.names[kind] for kind in objects.kind] == ["pearlite", "bainite"]
    assert objects.votes[0] == pytest.approx(1 - 64 / 900) and objects.votes[1] == 1
    assert (phases.winner[10:40, 10:40] == 1).all()


def test_objects_that_hang_together_by_a_narrow_bridge_are_two() -> None:
    kinds = np.zeros((50, 90), int)
    kinds[10:40, 10:40], kinds[10:40, 50:80], kinds[24:26, 40:50] = 1, 2, 1
    _, objects = voted(*(lambda p: (p, ground_of(p)))(phases_of(maps_of(kinds, ("ferrite", "pearlite", "bainite")))))
    assert sorted(objects.kind.tolist()) == [1, 2]


def test_weights_of_any_names_have_objects() -> None:
    kinds = np.zeros((60, 60), int)
    kinds[5:30, 5:30], kinds[40:52, 40:52] = 1, 2
    maps = maps_of(kinds, ("matrix", "secondary", "tertiary"))
    frame = Frame(np.zeros((60, 60), np.float32), 0, Calibration(pixel_nm=2.0))
    tables = Microstructure()(Prediction(frame, maps, maps, 2.0))
    objects = tables["objects"]
    assert objects["class"].tolist() == ["secondary", "tertiary"]
    assert objects["area_nm2"].tolist() == [625 * 4, 144 * 4]
    assert len(tables["particles"]) == 0 and np.isnan(tables["frames"]["denuded_nm"].iloc[0])
    only = {"precipitate": maps["secondary"]}
    alone = Microstructure()(Prediction(frame, only, only, 2.0))
    assert alone["objects"]["class"].tolist() == ["precipitate"]
    assert alone["phases"]["class"].tolist() == ["precipitate", "rest"]


def test_a_ground_that_is_not_known_is_refused_with_the_names() -> None:
    phases = phases_of(maps_of(np.zeros((8, 8), int), ("matrix", "secondary")))
    with pytest.raises(BadInput, match=r"no constituent 'austenite'.*matrix, secondary"):
        ground_of(phases, "austenite")
    with pytest.raises(BadInput, match=r"no constituents"):
        phases_of({"particle": np.zeros((4, 4))}, ("particle",))


def test_shares_of_the_area_rest_on_independent_places() -> None:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random((16, 16)) < 0.4, np.ones((10, 10))).astype(int)
    assert alike_area(blocks.astype(np.float32)) == pytest.approx(100, rel=0.35)
    share = area_shares(phases_of(maps_of(blocks, ("ferrite", "pearlite"), 0.999)))[1]
    assert share.value == pytest.approx(blocks.mean(), abs=1e-6)
    assert share.sigma == pytest.approx(np.sqrt(0.4 * 0.6 / 256), rel=0.3)
    assert share.low < 0.4 < share.high


@pytest.mark.parametrize("radius", [1.8, 3.0, 7.3])
def test_a_particle_has_its_area_to_a_fraction_of_a_pixel(radius: float) -> None:
    found = find_particles(discs([(20.4, 30.7, radius)], (50, 60)))
    assert found.diameter_px == pytest.approx([2 * radius], rel=0.02)
    assert found.middle_px[0] == pytest.approx((20.4, 30.7), abs=0.05) and not found.cut[0]


def test_particles_that_touch_are_two_and_those_at_the_border_are_cut() -> None:
    found = find_particles(discs([(20, 20, 6), (20, 31.5, 6), (45, 1, 5)], (60, 60)))
    assert len(found.area_px) == 3 and found.cut.tolist() == [False, False, True]
    assert found.diameter_px[:2] == pytest.approx([12, 12], rel=0.04)


def test_the_denuded_zone_of_a_straight_network_has_the_planted_width() -> None:
    x = np.mgrid[:400, :400][1]
    rng = np.random.default_rng(0)
    away = rng.uniform(15, 190, 500) * rng.choice([-1, 1], 500)
    places = [(y, 200 + d, 3.0) for y, d in zip(rng.uniform(0, 400, 500), away, strict=True)]
    table = np.array(places)
    labels = drawn(table[:, :2], np.repeat(table[:, 2:], 2, axis=1), np.zeros(500), (400, 400))[1]
    gaps = find_gaps(np.abs(x - 200) <= 2, labels)
    width, sigma, low, high = zone_width(gaps, rng)
    assert width == pytest.approx(15 - 3 - 2.5, abs=2) and low <= width <= high and 0 < sigma < 3
    assert gaps.clear_px.min() >= 15 - 3 - 2.5 - 1
    middle, spread, least, most = middle_width(gaps.clear_px, gaps.place_px, rng)
    assert least <= middle <= most and middle > width and spread > 0


def test_specks_of_network_and_images_without_particles_have_no_zone() -> None:
    speck, labels = np.zeros((80, 80), bool), np.zeros((80, 80), np.int32)
    speck[40:43, 40:43] = True
    for gaps in (find_gaps(speck, labels), find_gaps(np.eye(80, dtype=bool), labels)):
        assert len(gaps.clear_px) == 0
        assert np.isnan(zone_width(gaps, np.random.default_rng(0))).all()
        assert np.isnan(middle_width(gaps.clear_px, gaps.place_px, np.random.default_rng(0))).all()


def test_the_weights_of_particles_undo_what_the_border_cuts() -> None:
    maps = maps_of(np.zeros((100, 100), int), ("ferrite", "spheroidite"))
    maps["particle"] = discs([(50, 50, 10), (20, 20, 3), (2, 50, 6)], (100, 100))
    frame = Frame(np.zeros((100, 100), np.float32), 4, Calibration(pixel_nm=10.0))
    rows = Microstructure()(Prediction(frame, maps, maps, 10.0))["particles"]
    large, small = rows[rows["weight"] > 0].sort_values("area_nm2", ascending=False).to_dict("records")
    assert large["weight"] == pytest.approx((100 / 80) ** 2, rel=0.05)
    assert small["weight"] == pytest.approx((100 / 94) ** 2, rel=0.05)
    assert rows["flags"].tolist().count(int(Flag.EDGE)) == 1 and (rows["frame"] == 4).all()


def test_lamellae_repeat_across_and_not_along() -> None:
    y, x = np.mgrid[:100, :100]
    lamellae = np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / 8)
    image = lamellae + np.random.default_rng(0).normal(0, 0.2, (100, 100))
    island = np.hypot(y - 50, x - 50) < 35
    found = describe(through_filters(image), island, ~island)
    across, along = found[-18:-9], found[-9:]
    assert across[3] < -0.6 and across[6] > 0.6  # half a spacing, a whole one
    assert along.min() > 0.6


def test_texture_as_a_whole_outvotes_undecided_pixels() -> None:
    sample = MetallographySampler(side_px=256, high_carbon=0.0)
    made = [sample.micrograph(np.random.default_rng([9, number])) for number in range(3)]
    right, number = 0, 0
    for one in made:
        told = islands_told(one.image, one.metal.islands, one.metal.constituent == 0)
        assert told.sum(axis=1) == pytest.approx(1)
        for island in range(1, len(told) + 1):
            mine = one.metal.islands == island
            if mine.sum() > 300:
                kind = shipped_textures().names[told[island - 1].argmax()]
                right, number = right + (CONSTITUENTS[one.metal.constituent[mine][0]] == kind), number + 1
    assert number > 10 and right / number > 0.7
