import numpy as np
import pytest
from ase import Atoms

from micrograph.core import BadInput
from micrograph.simulate.patterns.diffraction import (
    Beam,
    Camera,
    Measured,
    excited,
    fingerprint,
    powder_peaks,
    reflections,
    saed,
    zone_rotation,
)
from micrograph.structures.prototypes import prototype


def test_diamond_shows_no_reflection_whose_indices_forbid_it() -> None:
    found = reflections(prototype("diamond", ("Si",), 5.431), 12.0)
    parity = found.index % 2
    assert (parity == parity[:, :1]).all()
    even = found.index[(parity == 0).all(axis=1)]
    assert (even.sum(axis=1) % 4 == 0).all()


def test_opposite_reflections_are_equally_strong() -> None:
    found = reflections(prototype("zincblende", ("Ga", "As"), 5.653), 10.0)
    by_index = {tuple(i): s for i, s in zip(found.index.tolist(), found.intensity, strict=True)}
    assert all(by_index[tuple(-x for x in i)] == pytest.approx(s) for i, s in by_index.items())


def test_the_first_line_of_gold_is_at_its_spacing_of_111() -> None:
    gold = reflections(prototype("fcc", ("Au",), 4.078), 9.0)
    lines = powder_peaks(gold, Measured(1e-4, 0.0), np.random.default_rng(0))
    assert 1 / lines[:, 0].min() == pytest.approx(0.4078 / np.sqrt(3), rel=2e-3)


def test_a_zone_axis_excites_its_own_zone() -> None:
    cell = prototype("bcc", ("Fe",), 2.866)
    shown = excited(reflections(cell, 9.0), zone_rotation(cell, np.array([1, 1, 1])), Beam(thickness_nm=30.0))
    strongest = shown.index[np.argsort(-shown.intensity)[:6]]
    assert (strongest.sum(axis=1) == 0).all()


def test_a_pattern_holds_the_counts_that_were_asked_for() -> None:
    cell = prototype("fcc", ("Cu",), 3.61)
    upright = zone_rotation(cell, np.array([0, 0, 1]))
    image = saed(reflections(cell, 16.0), upright, Beam(), Camera(stop_px=0.0), np.random.default_rng(1))
    assert image.sum() == pytest.approx(1.5e4, rel=0.1)


def test_the_fingerprint_is_masked_and_normalised() -> None:
    block = prototype("fcc", ("Cu",), 3.61).repeat(4)
    found = fingerprint(block, 2.55)
    assert found.shape == (3, 64, 64) and found.max() == pytest.approx(1.0)
    assert not found[:, 31:33, 31:33].any() and not found[:, 0, 0].any()


def test_what_has_no_cell_has_no_reflections() -> None:
    with pytest.raises(BadInput, match="no periodic cell"):
        reflections(Atoms("Cu", positions=[[0, 0, 0]]), 5.0)
