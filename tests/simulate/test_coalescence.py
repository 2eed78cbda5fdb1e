"""Two spheres become one: volume, neck, ends of the family."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.simulate.objects.coalescence import Fused, neck_at
from micrograph.simulate.objects.shaping import area_nm2


@pytest.mark.parametrize("neck", [0.0, 0.2, 0.6, 1.0])
def test_volume_is_that_of_both_spheres(neck: float) -> None:
    body = Fused(5.0, neck, 30.0)
    y, x = np.meshgrid(np.arange(-12, 12, 0.05), np.arange(-12, 12, 0.05), indexing="ij")
    assert body.thickness(y, x).sum() * 0.05**2 == pytest.approx(2 * 4 / 3 * np.pi * 125, rel=1e-3)
    assert (body.thickness(y, x) > 0).sum() * 0.05**2 == pytest.approx(area_nm2(body.outline(800)), rel=3e-3)


def test_the_family_runs_from_two_touching_spheres_to_one() -> None:
    assert Fused(5.0, 0.0).reach_nm == pytest.approx(10.0, rel=1e-4)
    assert Fused(5.0, 1.0).reach_nm == pytest.approx(5.0 * 2 ** (1 / 3), rel=1e-4)


def test_the_neck_grows_by_its_power_of_time() -> None:
    assert neck_at(1.0, 16.0, 4.0) == pytest.approx(0.5)
    assert neck_at(-1.0, 16.0) == 0.0 and neck_at(99.0, 16.0) == 1.0
