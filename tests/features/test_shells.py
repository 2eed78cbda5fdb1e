"""Particles with core and shell: sizes of known bodies, and their fit to counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.features.volumes.projector import Projector
from micrograph.features.volumes.shell_shape import Body, harmonics, sizes
from micrograph.features.volumes.shells import Bodies, Fit, begin, size_sigmas

VOXEL = 0.6
CENTRE = (13.5, 13.2, 14.1)


def ball(radius: float = 6.0, shell: float = 0.25, degree: int = 2) -> Body:
    outer, share = np.zeros((degree + 1) ** 2), np.zeros(9)
    outer[0], share[0] = radius, shell
    return Body(CENTRE, outer, share)


def planted() -> Bodies:
    core, rim = np.array([[0.5, 0.0]]), np.array([[0.0, 0.4]])
    return Bodies((ball(),), core, rim, np.array([0.02, 0.02]), VOXEL)


def test_harmonics_are_orthonormal() -> None:
    nodes, weights = np.polynomial.legendre.leggauss(12)
    turn = np.arange(24) * 2 * np.pi / 24
    cos, around = (one.ravel() for one in np.meshgrid(nodes, turn, indexing="ij"))
    sin = np.sqrt(1 - cos**2)
    basis = harmonics(np.column_stack([cos, sin * np.sin(around), sin * np.cos(around)]), 4).astype(float)
    share = np.repeat(weights, 24) / 48
    np.testing.assert_allclose((basis * share[:, None]).T @ basis, np.eye(25), atol=1e-5)


def test_a_ball_has_the_sizes_of_a_ball() -> None:
    found = sizes(ball())
    assert found.diameter_nm == pytest.approx(12, rel=1e-4)
    assert found.core_nm == pytest.approx(9, rel=1e-4) and found.shell_nm == pytest.approx(1.5, rel=1e-4)


def test_the_shell_of_an_octahedron_is_the_distance_of_its_faces() -> None:
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(3000, 3))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    radius = 5 * np.sqrt(3) / np.abs(unit).sum(axis=1)  # faces 5 nm from the middle
    basis = harmonics(unit, 10).astype(float)
    outer = np.linalg.lstsq(basis, radius, rcond=None)[0]
    share = np.zeros(9)
    share[0] = 0.3
    assert sizes(Body(CENTRE, outer, share)).shell_nm == pytest.approx(1.5, rel=0.07)


def test_a_volume_holds_what_core_and_shell_hold() -> None:
    volume = planted().volume((28, 28, 28))
    room = 4 / 3 * np.pi * np.array([4.5**3, 6**3 - 4.5**3]) / VOXEL**3
    np.testing.assert_allclose(volume.sum(axis=(1, 2, 3)), np.array([0.5, 0.4]) * room, rtol=0.02)
    finer = planted().volume((56, 56, 56), 2)
    np.testing.assert_allclose(finer.sum(axis=(1, 2, 3)), volume.sum(axis=(1, 2, 3)), rtol=0.02)


def test_counts_tell_the_shell_within_its_sigma() -> None:
    rng = np.random.default_rng(3)
    projector = Projector((-60.0, -30.0, 0.0, 30.0, 60.0), 28, 28)
    truth = planted()
    volume = truth.volume((28, 28, 28))
    counts = rng.poisson(np.stack([projector.forward(one) for one in volume]) + 0.02).astype(np.float32)
    body, core, rim = begin(volume, (13.0, 13.5, 14.0), 5.4, VOXEL, 3)
    start = replace(truth, bodies=(body,), core=core[None], rim=rim[None])
    fit = Fit(counts, projector, start)
    found = fit.with_covariances(fit.best(8))
    size, sigma = sizes(found.bodies[0]), size_sigmas(found, 0)
    assert size.shell_nm == pytest.approx(1.5, abs=4 * sigma.shell_nm + 0.05) and 0.005 < sigma.shell_nm < 0.2
    assert size.diameter_nm == pytest.approx(12, abs=0.2)
    np.testing.assert_allclose(found.core[0], [0.5, 0.0], atol=0.05)
    np.testing.assert_allclose(found.rim[0], [0.0, 0.4], atol=0.05)
