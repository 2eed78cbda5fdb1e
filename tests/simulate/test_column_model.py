"""The image of columns, and what one atom more changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.simulate.phase.column_model import ColumnModel, ColumnSet
from micrograph.simulate.phase.hrtem import Lens

LENS = Lens(300.0, -7.0, -0.015, focal_spread_nm=3.0)
MODEL = ColumnModel(LENS, 79, 0.288, (48, 48), 0.028, 6)


def alone(atoms: int, y: float = 0.66) -> ColumnSet:
    return ColumnSet(np.array([[y, 0.66]]), np.array([atoms]), np.zeros(1))


def test_no_atoms_leave_the_vacuum() -> None:
    image = MODEL.image(MODEL.spectrum(ColumnSet(np.zeros((0, 2)), np.zeros(0, np.intp), np.zeros(0))), LENS)
    np.testing.assert_allclose(image, 1.0, atol=1e-5)


@pytest.mark.parametrize("more", [2, 4])
def test_changes_of_a_lone_column_are_nearly_those_of_the_image(more: int) -> None:
    spectrum = MODEL.spectrum(alone(3))
    (change,) = MODEL.changes(spectrum, LENS, alone(3), [np.array([more])])
    true = MODEL.image(MODEL.spectrum(alone(more)), LENS) - MODEL.image(spectrum, LENS)
    error = true[change.rows, change.columns] - change.values[0]
    assert np.std(error) < 0.4 * np.std(true[change.rows, change.columns])


def test_slopes_are_nearly_those_of_a_moved_column() -> None:
    spectrum = MODEL.spectrum(alone(3))
    (change,) = MODEL.changes(spectrum, LENS, alone(3), [np.array([3])])
    moved = MODEL.image(MODEL.spectrum(alone(3, 0.664)), LENS) - MODEL.image(spectrum, LENS)
    error = moved[change.rows, change.columns] / 0.004 - change.slopes[0]
    assert np.std(error) < 0.3 * np.std(change.slopes[0])


def test_what_is_lost_grows_with_the_atoms() -> None:
    lost = replace(MODEL, thermal_nm=0.0085).lost_nm2
    assert lost[0] == pytest.approx(0.0, abs=1e-6) and (np.diff(lost) > 0).all()
