"""Defects with their atoms, bonds and rings: what is drawn is what a library gets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from micrograph.features.lattices.crystal import crystal_of, defect_table, with_strain
from micrograph.features.layers.defects import name_defects
from micrograph.features.layers.fragments import (
    FRAGMENT_BONDS,
    FRAGMENTS,
    LIBRARY,
    fragment_of,
    fragments,
    library_table,
)
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours
from micrograph.features.layers.sheet import Sheet
from micrograph.structures import named_defect

SIZE_NM = 3.0


def sheet(name: str, seed: int = 0, stretch_y: float = 1.0) -> Sheet:
    """Return what a perfect reading of graphene with one defect gives, stretched along y by the scan."""
    atoms, _ = named_defect(name, SIZE_NM, np.random.default_rng(seed))
    place = atoms.positions[:, [1, 0]] / 10
    inside = ((place > 0) & (place < SIZE_NM)).all(axis=1) & (atoms.numbers > 0)
    place, count = place[inside] * [stretch_y, 1.0], int(inside.sum())
    table = pd.DataFrame({"frame": np.zeros(count, int), "y_nm": place[:, 0], "x_nm": place[:, 1]})
    table["y_sigma_nm"] = table["x_sigma_nm"] = 0.002
    table["class"] = np.where(atoms.numbers[inside] == 14, "Si", "C")
    table["score"], table["flags"] = 1.0, 0
    crystal = crystal_of(table, "hexagonal")
    label = table["class"].to_numpy(str)
    graph = neighbours(crystal.y_nm, crystal.x_nm, CUTOFFS_NM, label, sigma_nm=crystal.sigma_nm)
    extent = (0.0, 0.0, SIZE_NM * stretch_y, SIZE_NM)
    found = name_defects(place[:, 0], place[:, 1], label, graph, extent=extent)
    defects = defect_table(0, found)
    return Sheet(with_strain(table, crystal), crystal, graph, defects[defects["name"] != "edge"], pd.DataFrame())


def tables(seen: Sheet) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    parts = fragments(seen, (SIZE_NM, SIZE_NM))
    atoms, bonds = parts["fragments"], parts["fragment_bonds"]
    return atoms, bonds, library_table(seen.defects, atoms, bonds)


@pytest.mark.parametrize(
    ("name", "core", "bonds"), [("Si1C3", 4, 3), ("Si1C4", 5, 4), ("Si2C4", 6, 4), ("Si3C6", 9, 6)]
)
def test_a_cluster_is_its_silicon_and_their_carbons_with_their_bonds(name: str, core: int, bonds: int) -> None:
    atoms, _, library = tables(sheet(name))
    (row,) = library.to_dict("records")
    assert (row["name"], row["atoms"], row["bonds"]) == (name, core, bonds)
    assert (atoms.loc[atoms["element"] == "Si", "core"]).all() and len(atoms) > core


def test_the_three_bonds_of_a_threefold_silicon_are_as_long_as_drawn() -> None:
    (row,) = tables(sheet("Si1C3"))[2].to_dict("records")
    assert row["bond_nm"] == pytest.approx(0.1554, abs=3e-4)
    assert row["bond_sigma_nm"] == pytest.approx(0.002 * np.sqrt(2 / 3), rel=0.05)


def test_atoms_beside_a_fourfold_silicon_are_in_pentagons() -> None:
    atoms, _, _ = tables(sheet("Si1C4"))
    assert set(atoms.loc[atoms["core"], "rings"]) == {"5-5-6-6", "5-6-6"}


def test_defects_bonded_alike_have_one_hash_in_a_stretched_and_in_a_turned_scan() -> None:
    scans = ((0, 1.0), (1, 1.0), (2, 1.03))
    hashes = {tables(sheet("Si2C4", seed, stretch))[2]["graph"].iloc[0] for seed, stretch in scans}
    assert len(hashes) == 1


def test_tables_of_one_defect_give_its_fragment_back() -> None:
    atoms, bonds, library = tables(sheet("Si1C3"))
    found = fragment_of(atoms.sample(frac=1, random_state=1), bonds)
    assert found.element[0] == "Si" and found.graph == library["graph"].iloc[0]
    length = np.hypot(*(found.place_nm[found.bonds[:, 0]] - found.place_nm[found.bonds[:, 1]]).T)
    assert np.allclose(length, found.length_nm, atol=1e-4)


def test_without_defects_the_tables_are_empty_and_whole() -> None:
    seen = sheet("Si1C3")
    none = Sheet(seen.table, seen.crystal, seen.graph, seen.defects.iloc[:0], seen.frames)
    for table, promised in zip(tables(none), (FRAGMENTS, FRAGMENT_BONDS, LIBRARY), strict=True):
        assert len(table) == 0 and list(table.columns) == [column.name for column in promised]
