"""Gold films: the coarse image is the finer one, averaged, with counting noise."""

from __future__ import annotations

import numpy as np
import pytest

from micrograph.core.frame import binned
from micrograph.simulate.secondary.gold_films import GoldFilms, SpinodalFilms, with_side


@pytest.mark.parametrize("films", [GoldFilms(side=64), SpinodalFilms(GoldFilms(side=64))])
def test_the_coarse_image_scatters_about_the_averaged_finer_one(films: GoldFilms | SpinodalFilms) -> None:
    film = films(np.random.default_rng(1))
    expected = binned(film.truth, 2)
    assert film.coarse.shape == (64, 64) and film.truth.shape == (128, 128) and film.distance.shape == (256, 256)
    pull = (film.coarse - expected) / np.sqrt(expected * (1 + expected / film.electrons))
    assert pull.mean() == pytest.approx(0, abs=0.08) and 0.9 < pull.std() < 1.3


def test_gold_is_brighter_than_carbon() -> None:
    film = with_side(GoldFilms(), 64)(np.random.default_rng(2))
    gold = binned((film.distance < -1).astype(np.float32), 2) == 1
    carbon = binned((film.distance > 2).astype(np.float32), 2) == 1
    assert np.median(film.truth[gold]) > 1.8 * np.median(film.truth[carbon])


def test_films_follow_from_the_generator_alone() -> None:
    first, again, other = (GoldFilms(side=48)(np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.coarse, again.coarse)
    assert not np.array_equal(first.coarse, other.coarse)
