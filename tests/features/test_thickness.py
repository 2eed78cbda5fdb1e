import numpy as np
import pytest

from micrograph.features.thickness import heights, thickness_map

FREE_PATH = 50.0
PIXEL = 0.5


def plates(rng, height_nm, edge_px=3.0, side=270, ball=False):
    """Nine round plates (or balls) with rounded edges: thickness (side, side) nm and labels."""
    y, x = np.mgrid[:side, :side].astype(float)
    thickness, labels = np.zeros((side, side)), np.zeros((side, side), np.int32)
    for k in range(9):
        cy, cx = 45 + 90 * (k // 3) + rng.uniform(-3, 3), 45 + 90 * (k % 3) + rng.uniform(-3, 3)
        depth = 20 - np.hypot(y - cy, x - cx)
        rounding = 20 if ball else edge_px
        profile = np.sqrt(np.clip(1 - (1 - np.clip(depth / rounding, 0, 1)) ** 2, 0, None))
        thickness += np.where(depth > 0, height_nm * profile, 0)
        labels[depth > 0] = k + 1
    return thickness, labels


def image_of(thickness, dose, rng):
    sloping = dose * (1 + 0.1 * np.linspace(0, 1, thickness.shape[1]))
    return rng.poisson(sloping * np.exp(-thickness / FREE_PATH)).astype(np.float32)


def test_beers_law_is_inverted():
    thickness = np.array([[0.0, 10.0], [50.0, 100.0]])
    assert thickness_map(200 * np.exp(-thickness / FREE_PATH), 200.0, FREE_PATH) == pytest.approx(thickness)


def test_heights_of_plates_come_within_the_counting_bound():
    rng = np.random.default_rng(0)
    thickness, labels = plates(rng, 12.0)
    dose = 100.0
    tables = [heights(image_of(thickness, dose, rng), labels, PIXEL, FREE_PATH) for _ in range(5)]
    found = np.concatenate([table.thickness_nm for table in tables])
    pixels = (thickness[labels == 5] > 11.99).sum()
    bound = FREE_PATH / np.sqrt(pixels * dose * np.exp(-12 / FREE_PATH))
    assert np.sqrt(np.mean((found - 12) ** 2)) < 1.5 * bound
    assert np.concatenate([table.thickness_sigma_nm for table in tables]).mean() == pytest.approx(found.std(), rel=0.4)


def test_balls_are_as_thick_as_wide():
    rng = np.random.default_rng(1)
    thickness, labels = plates(rng, 2 * 20 * PIXEL, ball=True)
    table = heights(image_of(thickness, 2000.0, rng), labels, PIXEL, FREE_PATH)
    assert table.thickness_nm.mean() == pytest.approx(20, rel=0.02)
    assert table.edge_nm.mean() == pytest.approx(10, rel=0.15)


def test_volumes_are_right_within_their_errors():
    rng = np.random.default_rng(2)
    thickness, labels = plates(rng, 12.0)
    table = heights(image_of(thickness, 400.0, rng), labels, PIXEL, FREE_PATH)
    truth = np.array([thickness[labels == k].sum() * PIXEL**2 for k in range(1, 10)])
    assert table.volume_nm3.to_numpy() == pytest.approx(truth, rel=0.04)
    assert np.abs((table.volume_nm3 - truth) / table.volume_sigma_nm3).max() < 4


@pytest.mark.parametrize("sign", [1, -1])
def test_without_a_mean_free_path_thickness_is_relative_for_either_sign(sign):
    rng = np.random.default_rng(3)
    thickness, labels = plates(rng, 10.0)
    thickness[labels == 1] *= 2
    image = 1000 + sign * 20 * thickness + rng.normal(0, 5, thickness.shape)
    table = heights(image, labels, PIXEL)
    assert sign * table.relative_thickness.to_numpy() == pytest.approx([2] + [1] * 8, rel=0.02)


def test_an_object_without_clear_surroundings_has_no_height():
    table = heights(np.full((20, 20), 100.0), np.ones((20, 20), np.int32), PIXEL, FREE_PATH)
    assert table.thickness_nm.isna().all()


def test_no_objects_have_no_heights():
    assert len(heights(np.full((20, 20), 100.0), np.zeros((20, 20), np.int32), PIXEL, FREE_PATH)) == 0


def test_an_object_on_a_background_without_counts_has_no_thickness():
    _, labels = plates(np.random.default_rng(4), 10.0)
    table = heights(np.zeros(labels.shape), labels, PIXEL, FREE_PATH)
    assert table.thickness_nm.isna().all()
