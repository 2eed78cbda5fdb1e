"""A library of defects: nothing is lost, and what is turned, mirrored or renumbered is found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.core import BadInput
from micrograph.io import Entry, Fragment, Library
from micrograph.io.library import look_distance


def star(arms: int, *, centre: str = "Si", length_nm: float = 0.17, turn_deg: float = 0.0) -> Fragment:
    """Return an atom with so many carbon neighbours, each of which is bonded to one atom more."""
    angle = np.radians(turn_deg + 360 * np.arange(arms) / arms)
    out = np.column_stack([np.sin(angle), np.cos(angle)])
    bonds = [(0, k + 1) for k in range(arms)] + [(k + 1, arms + k + 1) for k in range(arms)]
    return Fragment(
        element=(centre, *"C" * (2 * arms)),
        place_nm=np.vstack([np.zeros((1, 2)), length_nm * out, (length_nm + 0.14) * out]),
        sigma_nm=np.full((2 * arms + 1, 2), 0.005),
        core=np.arange(2 * arms + 1) <= arms,
        rings=("6-6-6",) * (2 * arms + 1),
        bonds=np.array(bonds, dtype=np.int64),
        length_nm=np.array([length_nm] * arms + [0.14] * arms),
        length_sigma_nm=np.full(2 * arms, 0.007),
    )


def entry(fragment: Fragment, name: str = "Si1C3") -> Entry:
    image = np.random.default_rng(1).random((5, 4), dtype=np.float32)
    return Entry(name, 0.9, fragment, image, 0.02, (1.5, 2.5), "scan.dm4", "sha256:00", 7)


def renumbered(one: Fragment, order: np.ndarray) -> Fragment:
    """Return the fragment with its atoms in another order."""
    place = np.argsort(order)
    return replace(
        one,
        element=tuple(one.element[k] for k in order),
        place_nm=one.place_nm[order],
        sigma_nm=one.sigma_nm[order],
        core=one.core[order],
        rings=tuple(one.rings[k] for k in order),
        bonds=place[one.bonds],
    )


def test_an_entry_comes_back_as_it_was_added(tmp_path: Path) -> None:
    library = Library.create(tmp_path / "library.h5")
    given_ = entry(star(3))
    assert library.add([given_]) == 1
    (found,) = Library.open(library.path).entries()
    for name in ("name", "score", "pixel_nm", "corner_nm", "source", "digest", "frame", "added"):
        assert getattr(found, name) == getattr(given_, name)
    assert np.array_equal(found.image, given_.image)
    assert found.fragment.element == given_.fragment.element and found.fragment.rings == given_.fragment.rings
    for name in ("place_nm", "sigma_nm", "core", "bonds", "length_nm", "length_sigma_nm"):
        assert np.array_equal(getattr(found.fragment, name), getattr(given_.fragment, name))


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(9)))
def test_the_hash_does_not_depend_on_the_order_of_atoms(order: list[int]) -> None:
    one = star(4)
    other = renumbered(one, np.array(order))
    assert one.graph == other.graph and one.same_graph(other)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 360), st.booleans(), st.floats(-5, 5))
def test_turning_mirroring_and_moving_leave_the_look(turn_deg: float, mirrored: bool, away_nm: float) -> None:
    one, other = star(3), star(3, turn_deg=turn_deg)
    place = other.place_nm * ([1, -1] if mirrored else [1, 1]) + away_nm
    assert look_distance(one.look, replace(other, place_nm=place).look[None])[0] < 1e-6


def test_other_elements_rings_or_bonds_are_other_graphs() -> None:
    one = star(3)
    assert one.graph != star(4).graph
    assert one.graph != star(3, centre="N").graph
    assert one.graph != replace(one, rings=("5-6-6", *one.rings[1:])).graph
    assert one.graph == star(3, length_nm=0.19, turn_deg=40.0).graph


def test_equal_hashes_of_different_graphs_are_told_apart() -> None:
    """Two triangles and one hexagon look alike to the refinement of colours."""
    ring = np.arange(6)
    place = np.column_stack([np.sin(ring), np.cos(ring)])
    plain = {"place_nm": place, "sigma_nm": place * 0, "core": np.ones(6, bool), "rings": ("",) * 6}
    lengths = {"length_nm": np.ones(6), "length_sigma_nm": np.ones(6)}
    hexagon = Fragment(("C",) * 6, **plain, bonds=np.column_stack([ring, (ring + 1) % 6]), **lengths)
    triangles = np.array([(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)])
    two = replace(hexagon, bonds=triangles)
    assert hexagon.graph == two.graph and not hexagon.same_graph(two)


def test_the_nearest_look_comes_first_and_exact_asks_for_the_graph(tmp_path: Path) -> None:
    library = Library.create(tmp_path / "library.h5")
    library.add([entry(star(4), "Si1C4"), entry(star(3, length_nm=0.19)), entry(star(3, length_nm=0.172))])
    found = library.search(star(3, turn_deg=10.0))
    assert [one.number for one in found] == [2, 1, 0] and [one.same_graph for one in found] == [True, True, False]
    assert found[0].distance < found[1].distance < found[2].distance < 1.5
    assert [one.number for one in library.search(star(4), exact=True)] == [0]
    assert len(library.search(star(3), count=1)) == 1


def test_an_addition_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    library = Library.create(tmp_path / "library.h5")
    library.add([entry(star(3))])
    before = library.path.read_bytes()

    def breaks_off():  # type: ignore[no-untyped-def]
        yield entry(star(4))
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        library.add(breaks_off())
    assert library.path.read_bytes() == before and list(tmp_path.iterdir()) == [library.path]


def test_an_empty_library_finds_nothing(tmp_path: Path) -> None:
    assert Library.create(tmp_path / "library.h5").search(star(3)) == []


def test_files_that_are_no_library_are_refused(tmp_path: Path) -> None:
    import h5py

    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["image"] = np.zeros((3, 3))
    with pytest.raises(BadInput, match="no library"):
        Library.open(other)
    with pytest.raises(BadInput, match="cannot be read"):
        Library.open(tmp_path / "missing.h5")
    with pytest.raises(BadInput, match="already"):
        Library.create(other)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="do not fit"):
        replace(star(3), rings=("6",))
    with pytest.raises(BadInput, match="not there"):
        replace(star(3), bonds=star(3).bonds + 5)
