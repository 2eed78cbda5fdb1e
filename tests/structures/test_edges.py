import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.structures import EDGES, graphene, sites_of, tmd, with_edge, with_holes


def degrees(points, pairs):
    return np.bincount(pairs.ravel(), minlength=len(points))


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("cut", ["hole", "edge"])
def test_no_atom_at_a_cut_dangles(edge, cut, bonds):
    sheet = graphene(4.0, rotation_deg=7.0, margin_nm=1.0)
    rng = np.random.default_rng(1)
    atoms = with_holes(sheet, 0.7, rng, edge=edge) if cut == "hole" else with_edge(sheet, rng, edge=edge)
    points, pairs, _ = bonds(atoms)
    inner = ((points > -0.8) & (points < 4.8)).all(axis=1)
    assert len(atoms) < len(sheet)
    assert degrees(points, pairs)[inner].min() == 2


@pytest.mark.parametrize(("edge", "turn_deg"), [("zigzag", 0.0), ("armchair", 30.0)])
def test_a_straight_edge_runs_along_its_rows(edge, turn_deg, bonds):
    rotation = 12.0
    atoms = with_edge(graphene(6.0, rotation_deg=rotation, margin_nm=1.0), np.random.default_rng(2), edge=edge)
    points, pairs, _ = bonds(atoms)
    inner = ((points > -0.7) & (points < 6.7)).all(axis=1)
    rim = points[inner & (degrees(points, pairs) == 2)]
    along = np.linalg.svd(rim - rim.mean(axis=0))[2][0]
    angle = np.degrees(np.arctan2(-along[0], along[1]))
    assert (angle - rotation - turn_deg + 5) % 60 == pytest.approx(5.0, abs=2.0)


@pytest.mark.parametrize("edge", EDGES)
def test_a_hole_has_about_the_asked_area(edge):
    sheet = graphene(10.0, margin_nm=0.0)
    lost = [len(sheet) - len(with_holes(sheet, 0.8, np.random.default_rng(seed), edge=edge)) for seed in range(30)]
    area = {"random": np.pi}.get(edge, 2 * np.sqrt(3)) * 0.8**2
    assert np.median(lost) / 38.2 == pytest.approx(area, rel=0.25)


def test_columns_of_a_monolayer_are_cut_as_a_whole():
    atoms = with_holes(tmd("MoS2", 4.0), 0.8, np.random.default_rng(0), count=2)
    assert (atoms.numbers == 16).sum() == 2 * (sites_of(atoms).label == "S2").sum()


def test_a_kind_of_edge_that_is_not_known_is_refused():
    with pytest.raises(BadInput, match="bearded"):
        with_edge(graphene(2.0), np.random.default_rng(0), edge="bearded")
