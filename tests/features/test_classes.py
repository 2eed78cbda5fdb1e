"""Classes: as many as there are, one for all orientations, the largest first."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from micrograph.core import BadInput
from micrograph.features.layers.classes import ClassSettings, above_noise, classes
from micrograph.features.layers.crops import Disc
from micrograph.features.layers.folding import operations, permutations

DISC = Disc(0.3, 0.05)
FLAT = ClassSettings(most=8, seeds=3, counting=False)


def spot(y, x):
    return np.exp(-((DISC.points - [y, x]) ** 2).sum(axis=1) / (2 * 0.06**2))


def sites(counts, seed=0, noise=0.25):
    """Crops of a site with three neighbours: whole, centre dim, one neighbour (random) dim, both; true kinds, sides."""
    rng = np.random.default_rng(seed)
    three = np.stack([spot(*([0.0, 0.18] @ operation)) for operation in operations("C3")])
    kind = np.repeat(np.arange(4), counts)
    side = rng.integers(3, size=len(kind))
    crops = three.sum(axis=0) + spot(0, 0) * np.where(np.isin(kind, (1, 3)), 0.4, 1.0)[:, None]
    crops -= 0.6 * np.isin(kind, (2, 3))[:, None] * three[side]
    return (crops + rng.normal(0, noise, crops.shape)).astype(np.float32), kind, side


def test_orientations_are_one_class_after_folding_and_several_without():
    crops, kind, side = sites([150, 90, 120, 60])
    order = permutations(DISC, "C3")
    folded = classes(crops, order, np.random.default_rng(0), FLAT)
    plain = classes(crops, order[:1], np.random.default_rng(0), FLAT)
    assert adjusted_rand_score(kind, folded.label) > 0.95
    assert len(folded.sizes) == 4 and folded.stability > 0.95
    assert len(plain.sizes) > 4 and adjusted_rand_score(kind, plain.label) < 0.8
    for k in (2, 3):
        assert len(np.unique((folded.operation + side)[kind == k] % 3)) == 1


def test_classes_come_by_size_with_probabilities_that_sum_to_one():
    crops, _, _ = sites([150, 90, 0, 0])
    found = classes(crops, permutations(DISC, "D3"), np.random.default_rng(0), FLAT)
    assert (np.diff(found.sizes) <= 0).all() and found.sizes.sum() == 240
    np.testing.assert_allclose(found.p.sum(axis=1), 1)
    assert (found.p.argmax(axis=1) == found.label).all()
    assert found.mean.shape == (len(found.sizes), len(DISC.points))
    assert min(found.criterion, key=found.criterion.__getitem__) == len(found.sizes)


@pytest.mark.parametrize("criterion", ["bic", "icl"])
def test_noise_alone_is_one_class(criterion):
    crops, _, _ = sites([200, 0, 0, 0])
    settings = ClassSettings(criterion=criterion, counting=False)
    for group in ("C1", "D3"):
        found = classes(crops, permutations(DISC, group), np.random.default_rng(0), settings)
        assert found.sizes.tolist() == [200]


def test_a_seed_gives_the_same_classes_again():
    crops, _, _ = sites([60, 40, 30, 0])
    first, again = (classes(crops, permutations(DISC, "D3"), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.p, again.p)


def test_components_of_noise_do_not_count():
    rng = np.random.default_rng(0)
    noise = np.linalg.eigvalsh(np.cov(rng.normal(size=(300, 200)), rowvar=False))[::-1]
    assert above_noise(noise[:30]) == 1
    assert above_noise(np.concatenate([[60.0, 20.0, 9.0], noise[:30]])) == 3


def test_too_few_crops_are_refused():
    crops, _, _ = sites([20, 0, 0, 0])
    with pytest.raises(BadInput, match="20 sub-images are too few"):
        classes(crops, permutations(DISC, "C1"), np.random.default_rng(0))
