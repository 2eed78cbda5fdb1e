"""Tilted perovskites against published structures and what rigid octahedra keep to."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.structures.perovskite import (
    GLAZER,
    Tilts,
    along_110,
    cubic_perovskite,
    parse_glazer,
    spacings_nm,
    tilted_perovskite,
)

#: CaTiO3, Pbnm (doi:10.1107/S0108270187093788): cell (angstrom) and places of Ca, O1, O2; Ti lies at (0, 1/2, 0).
CELL = (5.3789, 5.4361, 7.6388)
CA, O1, O2 = (-0.00676, 0.03602, 0.25), (0.0714, 0.4838, 0.25), (0.7108, 0.2888, 0.0371)


def bonds(atoms: Atoms, number: int) -> np.ndarray:
    first, distance = neighbor_list("id", atoms, 2.4)
    return np.asarray(distance[atoms.numbers[first] == number])


def test_without_tilts_the_cell_is_the_cubic_one() -> None:
    tilted, cubic = tilted_perovskite(Tilts((5.0, 5.0, 5.0), "000")), cubic_perovskite() * (2, 2, 2)
    assert sorted(tilted.numbers) == sorted(cubic.numbers)
    np.testing.assert_allclose(tilted.cell.lengths(), cubic.cell.lengths())
    np.testing.assert_allclose(sorted(bonds(tilted, 22)), sorted(bonds(cubic, 22)))


@pytest.mark.parametrize("symbol", GLAZER.values())
def test_every_system_keeps_its_octahedra_rigid_but_for_second_order(symbol: str) -> None:
    letters, signs = parse_glazer(symbol)
    angle = {"a": 8.0, "b": 5.0, "c": 3.0}
    atoms = tilted_perovskite(Tilts(tuple(angle[letter] for letter in letters), signs))  # type: ignore[arg-type]
    length = bonds(atoms, 22)
    assert len(length) == 48
    assert length == pytest.approx(1.9525, rel=0.006)


@given(angle=st.floats(0, 15))
@settings(max_examples=20, deadline=None)
def test_one_tilt_shortens_the_two_spacings_across_it(angle: float) -> None:
    spacing = spacings_nm(Tilts((0.0, 0.0, angle), "00-"), 0.4)
    assert spacing == pytest.approx([0.4 * np.cos(np.radians(angle))] * 2 + [0.4])


def test_in_phase_and_out_of_phase_differ_in_the_next_layer() -> None:
    moved = {}
    for signs in ("00+", "00-"):
        places = tilted_perovskite(Tilts((0.0, 0.0, 8.0), signs)).get_scaled_positions()
        rows = [i for i, place in enumerate(places) if np.allclose(place[0], 0.25, atol=0.01)]
        heights = [places[i, 1] for i in rows if abs(places[i, 1] - 0.5) < 0.1]
        moved[signs] = np.ptp(heights)
    assert moved["00+"] == pytest.approx(0, abs=1e-6) and moved["00-"] > 0.03


def test_calcium_titanate_is_a_tilted_perovskite_with_shifted_calcium() -> None:
    a, b, c = CELL
    apical = np.array([O1[0] * a, (O1[1] - 0.5) * b])
    about_b, about_a = apical[0] / (c / 4), -apical[1] / (c / 4)
    planar = np.array([(0.5 - O2[0] + 0.25) * a, (O2[1] + 0.5 - 0.75) * b])
    about_c = -planar.mean() / (b / 4)
    half = np.degrees([(about_a + about_b) / np.sqrt(2), (about_b - about_a) / np.sqrt(2), about_c])
    tilts = Tilts((float(half[0]), float(half[1]), float(half[2])), "--+", 0.19)
    atoms = tilted_perovskite(tilts, "CaTiO3")
    spacing = np.asarray(atoms.cell.lengths()) / 2
    assert spacing == pytest.approx([np.hypot(a, b) / 2, np.hypot(a, b) / 2, c / 2], rel=0.01)
    calcium = atoms.positions[atoms.numbers == 20]
    nearest = calcium[np.argmin(np.linalg.norm(calcium - spacing / 2, axis=1))] - spacing / 2
    along_b = (nearest[0] + nearest[1]) / np.sqrt(2)
    assert along_b == pytest.approx(CA[1] * b, rel=0.15)


def test_along_110_holds_the_same_crystal_twice() -> None:
    atoms = tilted_perovskite(Tilts((8.0, 8.0, 6.0), "--+"))
    turned = along_110(atoms)
    assert len(turned) == 80 and turned.get_volume() == pytest.approx(2 * atoms.get_volume(), rel=1e-6)
    assert np.sort(bonds(turned, 22)) == pytest.approx(np.repeat(np.sort(bonds(atoms, 22)), 2), abs=1e-4)


def test_what_is_no_tilt_is_told() -> None:
    with pytest.raises(BadInput, match="three of 0"):
        Tilts((1.0, 1.0, 1.0), "+-x")
    with pytest.raises(BadInput, match="no Glazer symbol"):
        parse_glazer("a+b")
    with pytest.raises(BadInput, match="choose among SrTiO3"):
        tilted_perovskite(Tilts((0.0, 0.0, 0.0), "000"), "XY")
