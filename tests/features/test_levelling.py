"""Levelling: tilt, jumps and scars go; terraces and lattices stay."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.levelling import Levelling, jumps, surface

RNG = np.random.default_rng(3)
Y, X = np.mgrid[:96, :120]
TILT = 0.02 * Y - 0.035 * X


def test_a_tilted_plane_becomes_zero() -> None:
    np.testing.assert_allclose(Levelling(lines="none")(TILT), 0, atol=1e-5)
    np.testing.assert_allclose(Levelling()(TILT), 0, atol=1e-5)


def test_a_terrace_keeps_its_height_on_a_tilted_sample() -> None:
    terrace = np.where(X > 80, 0.31, 0.0)
    level = Levelling()(TILT + terrace + RNG.normal(0, 0.01, X.shape))
    step = np.median(level[:, 90:]) - np.median(level[:, :70])
    assert step == pytest.approx(0.31, abs=0.02)


def test_jumps_between_lines_go_and_terraces_along_the_lines_stay() -> None:
    off = RNG.normal(0, 0.5, 96)
    terrace = np.where(X > 60, 0.3, 0.0)
    level = Levelling()(terrace + off[:, None])
    assert np.ptp(np.median(level[:, 70:], axis=1)) < 1e-3
    np.testing.assert_allclose(level[:, 70:].mean() - level[:, :50].mean(), 0.3, atol=1e-3)


def test_a_lattice_under_jumps_comes_back() -> None:
    lattice = 0.05 * np.cos(2 * np.pi * X / 7.3) + 0.05 * np.cos(2 * np.pi * (0.5 * X + 0.87 * Y) / 7.3)
    level = Levelling()(lattice + TILT + RNG.normal(0, 0.2, 96)[:, None])
    assert np.corrcoef(level.ravel(), lattice.ravel())[0, 1] > 0.98


def test_a_scar_is_bridged() -> None:
    image = RNG.normal(0, 0.01, X.shape)
    image[40, 30:80] += 2.0
    level = Levelling()(image)
    assert np.abs(level[40]).max() < 0.1


def test_lines_that_were_not_scanned_stay_empty() -> None:
    image = TILT.copy()
    image[60:] = np.nan
    level = Levelling(lines="median")(image)
    assert np.isnan(level[60:]).all() and np.isfinite(level[:60]).all()


def test_a_bow_is_a_polynomial_of_second_order() -> None:
    bow = 1e-4 * (X - 50.0) ** 2 + 0.01 * Y
    np.testing.assert_allclose(surface(bow, 2), bow, atol=2e-3 * np.ptp(bow))


def test_jumps_of_equal_lines_are_zero() -> None:
    np.testing.assert_allclose(jumps(np.ones((5, 6))), 0)
