import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.structures import DEFECTS, named_defect, side_by_side, sites_of

SIZE_NM = 3.0
#: Rings that differ from the six-fold ones around each defect (a bond is any contact within the usual cut-offs).
RINGS = {
    "SW": {5: 2, 7: 2},
    "5-7": {5: 1, 7: 1},
    "V2": {5: 2, 8: 1},
    "V1": {12: 1},
    "Si1C3": {},
    "Si2C4": {},
    "Si1C4": {5: 2},
    "Si2C5": {5: 2},
    "Si2C6": {5: 4},
    "Si3C6": {3: 1, 5: 3},
}


@pytest.mark.parametrize("name", DEFECTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_rings_of_a_defect_are_those_of_its_name(name, seed, rings):
    atoms, [(found, y, x)] = named_defect(name, SIZE_NM, np.random.default_rng(seed))
    sizes, middles = rings(atoms, SIZE_NM)
    assert found == name
    assert {size: count for size, count in sizes.items() if size != 6} == RINGS[name]
    for _, ring_y, ring_x in middles[middles[:, 0] != 6]:
        assert np.hypot(ring_y - y, ring_x - x) < 0.35


@pytest.mark.parametrize("name", [name for name in DEFECTS if name.startswith("Si")])
def test_a_silicon_cluster_has_the_neighbours_of_its_name(name, bonds):
    atoms, [(_, y, x)] = named_defect(name, SIZE_NM, np.random.default_rng(5))
    points, pairs, _ = bonds(atoms)
    silicon = atoms.numbers == 14
    carbons = {int(b) for pair in pairs for a, b in (pair, pair[::-1]) if silicon[a] and not silicon[b]}
    assert f"Si{silicon.sum()}C{len(carbons)}" == name
    assert np.hypot(*(points[silicon].mean(axis=0) - (y, x))) < 1e-9


@pytest.mark.parametrize(
    ("name", "carbon_silicon_nm"), [("Si1C3", (0.150, 0.159)), ("Si1C4", (0.180, 0.192)), ("Si3C6", (0.170, 0.190))]
)
def test_silicon_bonds_are_as_long_as_published(name, carbon_silicon_nm, bonds):
    atoms, _ = named_defect(name, SIZE_NM, np.random.default_rng(0))
    _, pairs, length = bonds(atoms)
    mixed = length[(atoms.numbers[pairs] == 14).sum(axis=1) == 1]
    assert carbon_silicon_nm[0] < mixed.min() and mixed.max() < carbon_silicon_nm[1]


@pytest.mark.parametrize("name", DEFECTS)
def test_carbon_bonds_stay_between_130_and_155_pm(name, bonds):
    atoms, _ = named_defect(name, SIZE_NM, np.random.default_rng(2))
    _, pairs, length = bonds(atoms)
    carbon = length[(atoms.numbers[pairs] == 6).all(axis=1)]
    assert carbon.min() > 0.130 and carbon.max() < 0.155


def test_the_rotated_bond_of_stone_wales_is_the_shortest(bonds):
    atoms, [(_, y, x)] = named_defect("SW", SIZE_NM, np.random.default_rng(1))
    points, pairs, length = bonds(atoms)
    shortest = points[pairs[np.argmin(length)]].mean(axis=0)
    assert np.hypot(*(shortest - (y, x))) < 0.02
    assert length.min() == pytest.approx(0.132, abs=0.004)


def test_missing_atoms_leave_their_number():
    atoms = {name: len(named_defect(name, 3.0, np.random.default_rng(0), rotation_deg=0)[0]) for name in ("SW", "V1")}
    assert atoms["SW"] - atoms["V1"] == 1


def test_many_defects_lie_apart_in_the_field():
    atoms, named = named_defect("Si1C3", 6.0, np.random.default_rng(0), count=6)
    places = np.array([(y, x) for _, y, x in named])
    apart = np.hypot(*(places[:, None] - places).transpose(2, 0, 1))[~np.eye(6, dtype=bool)]
    assert (sites_of(atoms).label == "Si").sum() == 6
    assert apart.min() > 1.0 and places.min() > 0 and places.max() < 6


def test_defects_of_several_names_lie_side_by_side(rings):
    names = ("SW", "Si1C3", "V1")
    atoms, named = side_by_side(names, 5.0, np.random.default_rng(0))
    sizes, _ = rings(atoms, 5.0)
    assert tuple(name for name, _, _ in named) == names
    assert {size: count for size, count in sizes.items() if size != 6} == {5: 2, 7: 2, 12: 1}
    assert (sites_of(atoms).label == "Si").sum() == 1
    with pytest.raises(BadInput, match="5-7"):
        side_by_side(("SW", "5-7"), 5.0, np.random.default_rng(0))


def test_two_dislocations_are_two_pentagons_beside_two_heptagons(rings):
    atoms, named = named_defect("5-7", 5.0, np.random.default_rng(0), count=2)
    sizes, middles = rings(atoms, 5.0)
    assert {size: count for size, count in sizes.items() if size != 6} == {5: 2, 7: 2}
    for _, y, x in named:
        distance = np.hypot(*(middles[middles[:, 0] != 6][:, 1:] - (y, x)).T)
        assert (distance < 0.2).sum() == 2


def test_the_same_seed_gives_the_same_defect():
    (first, places), (second, again) = (named_defect("Si2C5", 3.0, np.random.default_rng(9)) for _ in range(2))
    assert (first.positions == second.positions).all() and places == again


def test_unknown_and_too_many_defects_are_refused():
    with pytest.raises(BadInput, match="V7"):
        named_defect("V7", 3.0, np.random.default_rng(0))
    with pytest.raises(BadInput, match="ask for fewer"):
        named_defect("V1", 3.0, np.random.default_rng(0), count=50)
