"""What the network is to answer lies where the sites are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from micrograph.core import Sample, Sites
from micrograph.nets import Head, NetSpec
from micrograph.train.targets import example, spots


@given(y=st.floats(8, 32), x=st.floats(8, 40))
@effort(max_examples=30, deadline=None)
def test_a_spot_is_centred_on_its_site(y: float, x: float) -> None:
    spot = spots(np.array([y]), np.array([x]), (40, 48), 1.2).astype(float)
    centre = [(spot.sum(1 - axis) * np.arange(n)).sum() / spot.sum() for axis, n in enumerate(spot.shape)]
    assert centre == pytest.approx([y, x], abs=0.01)


def test_overlapping_spots_take_the_higher_value() -> None:
    both = spots(np.array([10.0, 12.0]), np.array([10.0, 10.0]), (24, 24), 1.5)
    each = [spots(np.array([y]), np.array([10.0]), (24, 24), 1.5) for y in (10.0, 12.0)]
    np.testing.assert_array_equal(both, np.maximum(*each))


def test_sites_outside_the_image_leave_no_spot() -> None:
    assert not spots(np.array([-9.0, 50.0]), np.array([5.0, 5.0]), (24, 24), 1.5).any()


@pytest.mark.parametrize("pixel_nm", [0.01, 0.03, 0.05])
def test_a_target_is_brightest_at_its_site_for_any_pixel_size(pixel_nm: float) -> None:
    spec = NetSpec(heads=(Head("atom", "spots", ("Si",)),), pixel_nm=0.03)
    sites = Sites(np.array([0.9, 2.0]), np.array([1.5, 0.6]), np.array(["Si", "C"]))
    size = round(3.0 / pixel_nm)
    image = np.random.default_rng(0).random((size, size), dtype=np.float32)
    _, targets = example(Sample(image, pixel_nm, sites), spec)
    row, column = divmod(int(targets[0].argmax()), targets.shape[-1])
    step = size / targets.shape[-1]
    found = [((n + 0.5) * step - 0.5) * pixel_nm for n in (row, column)]
    assert found == pytest.approx([0.9, 1.5], abs=0.021)
    assert float(targets[0, round(2.0 / 0.03), round(0.6 / 0.03)]) < 1e-3


def test_marks_go_before_labels() -> None:
    spec = NetSpec(heads=(Head("bright", "spots", ("bright",)),))
    sites = Sites(np.array([0.3]), np.array([0.3]), np.array(["W"]))
    image = np.random.default_rng(0).random((30, 30), dtype=np.float32)
    _, unmarked = example(Sample(image, 0.03, sites), spec)
    _, marked = example(Sample(image, 0.03, sites, marks=np.array(["bright"])), spec)
    assert float(unmarked.max()) == 0.0
    assert float(marked[0, 10, 10]) == pytest.approx(1.0)


def test_a_region_is_its_mask(toy: Callable[[np.random.Generator], Sample], spec: NetSpec) -> None:
    sample = toy(np.random.default_rng(0))
    _, targets = example(sample, spec)
    np.testing.assert_array_equal(targets[1].numpy(), sample.masks["dirt"])
