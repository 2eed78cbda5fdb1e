"""How columns of metals are stacked along zone axes."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.structures.stacking import stacking


@pytest.mark.parametrize(("axis", "spacing", "area"), [((1, 1, 0), 0.5**0.5, 0.5**0.5 / 2), ((1, 0, 0), 1.0, 0.25)])
def test_columns_of_gold_hold_its_density(axis: tuple[int, int, int], spacing: float, area: float) -> None:
    a = 0.408
    found = stacking("Au", axis)
    assert found.spacing_nm == pytest.approx(spacing * a)
    assert found.area_nm2 == pytest.approx(area * a**2)
    assert found.area_nm2 * found.spacing_nm == pytest.approx(a**3 / 4)


def test_reflections_of_the_net_are_those_of_the_crystal() -> None:
    lengths = np.linalg.norm(stacking("Au", (1, 1, 0)).reflections_per_nm(5.0), axis=1)
    np.testing.assert_allclose(lengths, np.array([3**0.5, 3**0.5, 2.0]) / 0.408)


@pytest.mark.parametrize("symbol", ["Si", "Zn", "gold"])
def test_other_structures_are_refused(symbol: str) -> None:
    with pytest.raises(BadInput, match="fcc and bcc"):
        stacking(symbol, (1, 1, 0))
