"""Wulff particles: faces, symmetry, supports, rough surfaces, zone axes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from micrograph.core import BadInput
from micrograph.structures import columns
from micrograph.structures.wulff import GOLD_NM, roughened, seen_along, wulff_particle


def test_a_particle_has_the_density_and_the_bonds_of_gold() -> None:
    atoms = wulff_particle(4.0)
    nearest = cKDTree(atoms.positions).query(atoms.positions, k=2)[0][:, 1] / 10
    assert nearest == pytest.approx(GOLD_NM / np.sqrt(2))
    octahedron = wulff_particle(4.0, faces={(1, 1, 1): 1.0})
    volume = 4 * np.sqrt(3) * 2.0**3
    assert len(octahedron) == pytest.approx(4 / GOLD_NM**3 * volume, rel=0.2)


def test_the_shape_is_as_symmetric_as_the_lattice() -> None:
    points = wulff_particle(3.0).positions
    for turn in (points[:, [1, 0, 2]], points[:, [2, 0, 1]], -points):
        assert cKDTree(points).query(turn)[0].max() < 1e-6


def test_a_support_cuts_the_particle_at_its_face() -> None:
    whole, cut = wulff_particle(4.0), wulff_particle(4.0, contact=((1, 1, 1), 0.3))
    height = cut.positions @ np.ones(3) / np.sqrt(3) / 10
    assert height.min() >= -0.6 - 1e-9 and len(cut) < len(whole)


def test_a_rough_surface_keeps_to_the_lattice_and_most_atoms() -> None:
    atoms = wulff_particle(3.0)
    rough = roughened(atoms, np.random.default_rng(1), share=0.2)
    on_grid = (rough.positions / 10 / GOLD_NM * 2).round(2)
    assert np.abs(on_grid - on_grid.round()).max() < 0.02
    kept = cKDTree(rough.positions).query(atoms.positions)[0] < 0.1
    assert 0.8 < kept.mean() < 1.0 and abs(len(rough) - len(atoms)) <= 2


def test_along_110_columns_hold_many_atoms_and_lie_as_in_gold() -> None:
    seen = seen_along(wulff_particle(3.0), (1, 1, 0), turn_deg=20.0)
    number = int(columns(seen.positions[:, 1::-1] / 10).max()) + 1
    assert number < len(seen) / 4


def test_nothing_is_refused_silently() -> None:
    with pytest.raises(BadInput, match="greater than zero"):
        wulff_particle(0.0)
    with pytest.raises(BadInput, match="points nowhere"):
        seen_along(wulff_particle(1.0), (0, 0, 0))
