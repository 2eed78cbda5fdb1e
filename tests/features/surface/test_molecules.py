"""States of molecules: planted ones come back, without a template; Moran's I; domains; nodes of bent lattices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.surface.molecule_shapes import Turns, learn_shapes, rings_of
from micrograph.features.surface.nodes import Nodes, find_nodes, neighbours_of
from micrograph.features.surface.order import alike, domains_of, morans
from micrograph.simulate.scanning.molecules import MoleculeImages

SAMPLE = replace(MoleculeImages(), snr=(5.0, 5.01), cells=13, line=(0.0, 0.001))(np.random.default_rng(2))


@pytest.fixture(scope="module")
def nodes() -> Nodes:
    return find_nodes(SAMPLE.image)


def test_nodes_lie_at_the_molecules_of_a_bent_lattice(nodes: Nodes) -> None:
    from scipy.spatial import cKDTree

    true = np.column_stack([SAMPLE.sites.y_nm, SAMPLE.sites.x_nm]) / SAMPLE.pixel_nm
    away = np.asarray(cKDTree(true).query(nodes.place)[0])
    assert len(nodes) > 100 and np.sqrt(np.mean(away**2)) < 0.06 * nodes.spacing_px
    assert len(np.unique(nodes.index, axis=0)) == len(nodes)


def test_rows_of_alternating_molecules_are_one_lattice_and_not_one_of_twice_the_cell() -> None:
    sampler = replace(MoleculeImages(), snr=(4.0, 4.01), cells=12, couplings=(-0.6, -1.2, 0.0), bend=(0.0, 0.01))
    sample = sampler(np.random.default_rng(6))
    nodes = find_nodes(sample.image)
    assert nodes.spacing_px == pytest.approx(sample.params["spacing_px"], rel=0.06)


def test_shapes_and_states_are_learned_without_a_template(nodes: Nodes) -> None:
    from scipy.spatial import cKDTree

    true = np.column_stack([SAMPLE.sites.y_nm, SAMPLE.sites.x_nm]) / SAMPLE.pixel_nm
    labels = SAMPLE.sites.label[np.asarray(cKDTree(true).query(nodes.place)[1])]
    shapes = learn_shapes(rings_of(SAMPLE.image, nodes, Turns()), neighbours_of(nodes), Turns())
    best = shapes.evidence.reshape(len(nodes), -1).argmax(axis=1)
    down = np.char.startswith(labels, "down")
    assert np.mean((best >= 4) == down) > 0.98
    turned = np.array([int(label[-1]) for label in labels])
    for polarity in (0, 1):
        own = (best // 4 == polarity) & (down == polarity)
        assert max(np.mean((best[own] + shift) % 4 == turned[own]) for shift in range(4)) > 0.97


def test_noise_holds_no_lattice_and_few_cells_are_refused() -> None:
    with pytest.raises(BadInput, match="no lattice"):
        find_nodes(np.random.default_rng(3).normal(size=(120, 120)))
    y, x = np.mgrid[:60, :60]
    with pytest.raises(BadInput, match=r"no lattice|spacing"):
        find_nodes(np.cos(2 * np.pi * y / 20) + np.cos(2 * np.pi * x / 20))


def line(number: int) -> np.ndarray:
    return np.stack([np.arange(number - 1), np.arange(1, number)], axis=1)


def test_morans_i_is_about_one_in_two_halves_and_none_at_random() -> None:
    rng = np.random.default_rng(4)
    halves = (np.arange(200) < 100).astype(float)[:, None]
    value, p = morans(halves, line(200), rng)
    assert value == pytest.approx(0.99, abs=0.02) and p <= 0.002
    value, p = morans(rng.permutation(halves), line(200), rng)
    assert abs(value) < 0.2 and p > 0.01


def test_domains_are_numbered_from_the_largest() -> None:
    rotation = np.array([1, 1, 1, 0, 2, 2])
    assert domains_of(rotation, line(6)).tolist() == [0, 0, 0, -1, 1, 1]


def test_likeness_of_pairs_is_zero_by_chance_and_one_where_all_are_alike() -> None:
    labels = np.random.default_rng(5).integers(0, 4, (4000, 3))
    np.testing.assert_allclose(alike(labels, line(4000)), 0, atol=0.04)
    blocks = np.repeat(np.arange(4), 1000)[:, None]
    np.testing.assert_allclose(alike(blocks, line(4000)), 1, atol=0.01)
