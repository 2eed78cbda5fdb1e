import numpy as np
from ase import Atoms

from micrograph.structures import graphene, sites_of


def test_stacked_atoms_are_one_column_named_by_the_heaviest():
    sites = sites_of(Atoms("OTiSr", positions=[(1, 2, 0), (1.1, 2, 2), (4, 2, 0)]))
    assert sorted(sites.label) == ["Sr", "Ti"]
    np.testing.assert_allclose(sites.x_nm[sites.label == "Ti"], 0.105)
    np.testing.assert_allclose(sites.y_nm, 0.2)


def test_an_empty_place_in_a_column_does_not_move_its_centre():
    atoms = Atoms(numbers=[0, 34], positions=[(1.0, 1.0, 0), (1.2, 1.0, 3)])
    atoms.set_array("label", np.array(["Se1", "Se1"]))
    sites = sites_of(atoms)
    assert list(sites.label) == ["Se1"] and np.allclose(sites.x_nm, 0.12)


def test_atoms_31_pm_apart_are_two_columns_and_29_pm_apart_one():
    for distance, count in ((0.31, 2), (0.29, 1)):
        assert len(sites_of(Atoms("Au2", positions=[(0, 0, 0), (distance, 0, 5)]))) == count


def test_a_structure_without_atoms_has_no_sites():
    assert len(sites_of(Atoms())) == 0
    assert len(sites_of(graphene(1.0)[:0])) == 0


def test_sites_do_not_share_memory_with_the_atoms():
    atoms = graphene(1.0)
    sites_of(atoms).label[:] = "X"
    assert set(atoms.arrays["label"]) == {"C"}
