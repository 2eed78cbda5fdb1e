from collections import Counter

import numpy as np
import pytest

from micrograph.simulate import Microscope
from micrograph.validate.layers.carbon_net import KINDS, CarbonNet, defective_scene
from micrograph.validate.scenes import Cell

CELL = Cell((2, 1), (5, 3))


def with_defect(kind: str) -> CarbonNet:
    net = CarbonNet.sheet(CELL)
    KINDS[kind](net, 100)
    net.relax()
    return net


@pytest.mark.parametrize(
    ("kind", "odd_rings"),
    [
        ("SW", {5: 2, 7: 2}),
        ("5-7", {5: 2, 7: 2}),
        ("V1", {12: 1}),
        ("V2", {5: 2, 8: 1}),
        ("Si1C3", {}),
        ("Si1C4", {5: 2}),
        ("Si2C4", {}),
    ],
)
def test_a_defect_has_the_rings_of_its_name(kind: str, odd_rings: dict[int, int]) -> None:
    rings = Counter(len(ring) for ring in with_defect(kind).rings())
    rings.pop(6)
    assert rings == odd_rings


@pytest.mark.parametrize("kind", ["SW", "5-7", "V2"])
def test_relaxed_bonds_stay_near_their_length(kind: str) -> None:
    net = with_defect(kind)
    lengths = [np.hypot(*net.vector(i, j)) for i, around in enumerate(net.neighbours) for j in around]
    assert min(lengths) > 0.128 and max(lengths) < 0.160
    assert np.median(lengths) == pytest.approx(0.142, abs=5e-4)


def test_four_bonds_hold_the_silicon_of_a_divacancy() -> None:
    net = with_defect("Si1C4")
    ((name, (site,)),) = net.defects
    assert name == "Si1C4" and len(net.neighbours[site]) == 4
    np.testing.assert_allclose([np.hypot(*net.vector(site, k)) for k in net.neighbours[site]], 0.167, atol=0.005)


def test_defects_stand_apart_and_away_from_the_border() -> None:
    scene = defective_scene(CELL, Microscope(), ("Si1C3", "V1", "SW"), np.random.default_rng(1))
    places = np.array([[y, x] for _, y, x in scene.defects])
    gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))[np.triu_indices(3, 1)]
    assert gaps.min() > 1.0
    assert np.minimum(places, np.array(scene.specimen.size_nm) - places).min() > 0.5
    assert sorted(name for name, _, _ in scene.defects) == ["SW", "Si1C3", "V1"]
    assert np.sum(scene.sites.label == "Si") == 1 and len(scene.sites) == 419
