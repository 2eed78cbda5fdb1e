"""Numbers of atoms from intensities: the comb, its spacing, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.columns.atom_counts import CountPriors, count_atoms, shortest_runs

RNG = np.random.default_rng(3)
ATOMS = RNG.integers(1, 13, 160)


def intensities(per_atom: float, electrons: float, scatter: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    counts = rng.poisson(electrons * ATOMS * np.clip(1 + scatter * rng.normal(size=len(ATOMS)), 0, None))
    return counts * per_atom / electrons, np.sqrt(np.maximum(counts, 1)) * per_atom / electrons


def test_the_intensity_of_one_atom_follows_from_the_comb() -> None:
    found = count_atoms(*intensities(37.0, 400.0))
    assert found.comb.per_atom == pytest.approx(37.0, rel=0.01)
    assert (found.likeliest == ATOMS).mean() > 0.95
    np.testing.assert_allclose(found.p.sum(axis=1), 1.0)


def test_probabilities_are_right_as_often_as_they_say() -> None:
    found = count_atoms(*intensities(1.0, 60.0), CountPriors(per_atom=1.0, per_atom_sigma=0.02))
    right = found.likeliest == ATOMS
    assert right.mean() == pytest.approx(found.score.mean(), abs=0.08)
    low, high = found.interval()
    assert ((low <= ATOMS) & (high >= ATOMS)).mean() > 0.9


def test_scatter_is_found_and_makes_thick_columns_uncertain() -> None:
    known = CountPriors(per_atom=1.0, per_atom_sigma=0.02)
    still, moved = (count_atoms(*intensities(1.0, 400.0, scatter), known) for scatter in (0.0, 0.06))
    assert moved.comb.scatter == pytest.approx(0.06, abs=0.02) and still.comb.scatter < 0.025
    thick = ATOMS > 8
    assert moved.score[thick].mean() < still.score[thick].mean() - 0.1


def test_shortest_runs_hold_their_share() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.02, 0.97, 0.01]])
    low, high = shortest_runs(p, 0.75)
    assert low.tolist() == [0, 1] and high.tolist() == [1, 1]


def test_without_columns_there_is_no_comb() -> None:
    found = count_atoms(np.zeros(0), np.zeros(0))
    assert found.p.shape == (0, 21) and np.isnan(found.comb.per_atom)
