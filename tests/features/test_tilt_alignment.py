"""Views that lie off are moved back."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.features.volumes.projector import Projector
from micrograph.features.volumes.tilt_alignment import aligned, first_shifts, remainder, shifted

TILTS = tuple(float(tilt) for tilt in range(-60, 61, 20))
SIDE = 36


def series(offs: np.ndarray) -> np.ndarray:
    """Return counts of two balls off the middle, each view moved by whole pixels."""
    z, y, x = np.meshgrid(*[np.arange(SIDE) - (SIDE - 1) / 2] * 3, indexing="ij")
    volume = (np.sqrt((z - 3) ** 2 + (y + 5) ** 2 + (x - 4) ** 2) < 6).astype(np.float32)
    volume += 0.6 * (np.sqrt((z + 4) ** 2 + (y - 7) ** 2 + (x + 2) ** 2) < 5)
    clean = Projector(TILTS, SIDE, SIDE).forward(volume.astype(np.float32))
    moved = np.stack([np.roll(one, tuple(off), (0, 1)) for one, off in zip(clean, offs.astype(int), strict=True)])
    return np.random.default_rng(0).poisson(moved * 0.3).astype(np.float32)


def test_shifts_of_views_are_found() -> None:
    offs = np.random.default_rng(1).integers(-3, 4, (len(TILTS), 2)).astype(float)
    offs[:, 0] -= np.median(offs[:, 0])
    found = aligned(series(offs), TILTS)
    tilt = np.deg2rad(TILTS)
    course = np.column_stack([np.cos(tilt), np.sin(tilt)])
    left = found - offs
    left[:, 1] -= course @ np.linalg.lstsq(course, left[:, 1], rcond=None)[0]  # a specimen elsewhere is no error
    assert np.abs(left - np.median(left, axis=0)).max() < 0.6


def test_views_in_place_stay_there() -> None:
    assert np.abs(aligned(series(np.zeros((len(TILTS), 2))), TILTS)).max() < 0.4
    assert np.abs(first_shifts(series(np.zeros((len(TILTS), 2))), TILTS)).max() < 1.0


def test_moving_back_keeps_counts_and_leaves_less_than_half_a_pixel() -> None:
    views = np.zeros((1, 8, 9), np.float32)
    views[0, 5, 6] = 3
    moved = shifted(views, np.array([[2.2, -1.4]]))
    assert moved[0, 3, 7] == 3 and moved.sum() == 3
    assert remainder(np.array([[2.2, -1.4]])) == pytest.approx((-0.4,))
