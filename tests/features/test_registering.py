"""Registration: crops cut beside their sites come to the middle, others stay where they are."""

import numpy as np

from micrograph.features.layers.crops import Disc, cut
from micrograph.features.layers.folding import operations, permutations
from micrograph.features.layers.registering import registered, within

DISC = Disc(0.35, 0.05)
PIXEL_NM = 0.02


def crops(offset, noise, seed=0):
    """Crops of a site with six neighbours, cut `offset` (N, 2) nm beside it."""
    y, x = PIXEL_NM * np.indices((60, 60))
    places = [np.array([0.0, 0.0]), *(np.array([0.0, 0.19]) @ turn for turn in operations("C6"))]
    image = sum(np.exp(-((y - 0.6 - p[0]) ** 2 + (x - 0.6 - p[1]) ** 2) / (2 * 0.045**2)) for p in places)
    values = cut(image, PIXEL_NM, 0.6 + offset[:, 0], 0.6 + offset[:, 1], DISC).values
    return values + noise * np.random.default_rng(seed).normal(size=values.shape).astype(np.float32)


def test_crops_beside_their_sites_become_those_at_the_site():
    offset = np.random.default_rng(1).normal(0, 0.015, (120, 2))
    order, one = permutations(DISC, "D3"), np.zeros(120, np.intp)
    at_site = registered(crops(0 * offset, 0.0), one, order, DISC)[:, within(DISC)]
    before = crops(offset, 0.02)[:, within(DISC)]
    after = registered(crops(offset, 0.02), one, order, DISC)[:, within(DISC)]
    assert np.sqrt(((before - at_site) ** 2).mean()) > 0.08
    assert np.sqrt(((after - at_site) ** 2).mean()) < 0.03


def test_crops_at_their_sites_stay():
    offset = np.zeros((40, 2))
    order, one = permutations(DISC, "C3"), np.zeros(40, np.intp)
    plain = crops(offset, 0.0)
    np.testing.assert_allclose(registered(plain, one, order, DISC), plain, atol=0.03)


def test_without_symmetry_there_is_no_middle():
    values = crops(np.full((5, 2), 0.01), 0.1)
    assert registered(values, np.zeros(5, np.intp), permutations(DISC, "C1"), DISC) is values
