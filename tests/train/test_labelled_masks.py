import numpy as np
import pytest

from micrograph.core import Sample, Sites
from micrograph.train.labelled_masks import Labelled, LabelledMasks, Mixed, binned, mirrored_out, own_share


def two_discs(side: int = 96) -> Labelled:
    y, x = np.indices((side, side))
    labels = np.zeros((side, side), np.int32)
    for number, (row, column, radius) in enumerate([(30, 30, 14), (62, 60, 10)], start=1):
        labels[np.hypot(y - row, x - column) <= radius] = number
    image = np.where(labels > 0, 40.0, 100.0) + np.random.default_rng(0).normal(0, 3, labels.shape)
    return Labelled(image.astype(np.float32), labels, ("large", "small"), 0.5)


PLAIN = {"gamma": (1.0, 1.0), "slope": 0.0, "noise": 0.0, "blur_px": 0.0}


def test_image_and_masks_are_turned_alike() -> None:
    sampler = LabelledMasks((two_discs(),), unturned=0.0, **PLAIN)
    for seed in range(8):
        sample = sampler(np.random.default_rng(seed))
        covered = sample.masks["particle"]
        inside, outside = sample.image[covered > 0.95], sample.image[covered < 0.05]
        assert inside.mean() < 45 and outside.mean() > 95
        assert sample.image.shape == covered.shape == sample.masks["core"].shape == (96, 96)


@pytest.mark.parametrize("zoom", [0.8, 1.25])
def test_areas_grow_with_the_square_of_the_zoom(zoom: float) -> None:
    y, x = np.indices((101, 101))
    disc = (np.hypot(y - 50, x - 50) < 20).astype(np.int32)
    sampler = LabelledMasks((Labelled(disc * np.float32(9), disc),), unturned=0.0, zoom=(zoom, zoom), **PLAIN)
    sample = sampler(np.random.default_rng(4))
    assert sample.params["zoom"] == pytest.approx(zoom)
    assert sample.masks["particle"].sum() == pytest.approx(np.pi * 20**2 * zoom**2, rel=0.02)


def test_core_has_its_top_in_every_object_and_sites_lie_there() -> None:
    sampler = LabelledMasks((two_discs(),), unturned=1.0, **PLAIN)
    sample = sampler(np.random.default_rng(0))
    assert sorted(sample.sites.label) == ["large", "small"]
    for y, x in zip(sample.sites.y_nm / 0.5, sample.sites.x_nm / 0.5, strict=True):
        assert sample.masks["core"][round(y), round(x)] > 0.9
    assert sample.masks["core"].max() == 1


def test_same_seed_same_sample_and_all_is_finite() -> None:
    sampler = LabelledMasks((two_discs(),), region="pore")
    for seed in range(12):
        first, second = (sampler(np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first.image, second.image)
        assert np.isfinite(first.image).all()
        assert set(first.masks) == {"pore", "core"}
        assert all(mask.min() >= 0 and mask.max() <= 1 for mask in first.masks.values())
        assert first.image.dtype == first.masks["pore"].dtype == np.float32


def test_a_constant_image_gives_finite_samples() -> None:
    flat = Labelled(np.full((32, 32), 7, np.float32), np.eye(32, dtype=np.int32))
    sampler = LabelledMasks((flat,))
    assert all(np.isfinite(sampler(np.random.default_rng(seed)).image).all() for seed in range(6))


def test_mixed_takes_the_share_it_is_told() -> None:
    empty = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
    own, simulated = (lambda rng, v=v: Sample(np.full((2, 2), v, np.float32), 1.0, empty) for v in (1.0, 0.0))
    rng = np.random.default_rng(0)
    mixed = Mixed(own, simulated, 0.7)
    assert np.mean([mixed(rng).image[0, 0] for _ in range(2000)]) == pytest.approx(0.7, abs=0.04)
    assert own_share(1) == pytest.approx(0.6)
    assert own_share(1) < own_share(6) < own_share(100) < 1


def test_binning_averages_the_image_and_keeps_the_objects() -> None:
    small = binned(two_discs(), 2)
    assert small.image.shape == small.labels.shape == (48, 48)
    assert small.pixel_nm == 1.0
    assert np.sum(small.labels == 1) == pytest.approx(np.pi * 7**2, rel=0.06)
    assert small.image[15, 15] == pytest.approx(40, abs=5)


def test_small_images_are_mirrored_out() -> None:
    one = mirrored_out(two_discs(), 200)
    assert one.image.shape == one.labels.shape == (200, 200)
    np.testing.assert_array_equal(one.image[96:192], one.image[:96][::-1])
    np.testing.assert_array_equal(mirrored_out(one, 50).labels, one.labels)
