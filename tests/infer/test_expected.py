"""What an answer is worth, from the answer; how frames were taken, from the frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.core import Sample, Sites
from micrograph.infer.expected import CARD, Expected, expected_of, signs
from micrograph.infer.likeness import alike, described

EXPECTED = Expected(
    (2.0, 2.0, 1.0, -2.0, -2.0, -0.5), (1.0,) * 6, (1.0, 1.0, -0.5, -0.5, 0.1, -0.5), 1.0, 0.97, 100, 0.05
)


def spots(height: float, width_px: float = 1.2) -> np.ndarray:
    rows, columns = np.mgrid[:60, :60]
    phase = [np.minimum(part % 10, 10 - part % 10) for part in (rows, columns)]
    return (height * np.exp(-0.5 * (phase[0] ** 2 + phase[1] ** 2) / width_px**2)).astype(np.float32)


def test_sure_spots_are_worth_more_than_doubtful_ones() -> None:
    worth = [EXPECTED(signs([spots(height)], 0.03, 0.5)) for height in (0.98, 0.8, 0.55)]
    assert worth[0] > worth[1] > worth[2]


def test_an_empty_map_is_worth_little_and_finite() -> None:
    seen = signs([np.zeros((20, 20), np.float32)], 0.03, 0.5)
    assert np.isfinite(seen).all()
    assert EXPECTED(seen) < 0.1


def test_signs_do_not_know_right_from_left() -> None:
    score = spots(0.9) * np.linspace(0.5, 1, 60, dtype=np.float32)
    np.testing.assert_allclose(signs([score], 0.03, 0.5), signs([score[:, ::-1]], 0.03, 0.5), rtol=1e-5)


def test_a_card_brings_back_what_was_learned() -> None:
    assert expected_of({CARD: EXPECTED.as_dict()}) == EXPECTED
    assert expected_of({}) is None


def test_doubt_begins_at_twice_the_error_of_training_images_but_not_at_next_to_nothing() -> None:
    assert replace(EXPECTED, nominal=0.93).doubtful == pytest.approx(0.86)
    assert replace(EXPECTED, nominal=0.999).doubtful == pytest.approx(0.9)
    assert EXPECTED.notes(0.95) == ()
    assert "micrograph mend" in EXPECTED.notes(0.5)[0]


def noisy(blur: float, seed: int) -> Sample:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    image = 20 * gaussian_filter(spots(1.0), blur) + rng.normal(0, 0.3, (60, 60))
    return Sample(image.astype(np.float32), 0.03, Sites(*np.zeros((2, 0)), np.zeros(0, "U4")), params={"blur": blur})


def test_numbers_of_an_image_know_no_gain_and_no_offset() -> None:
    image = noisy(1.0, 0).image
    np.testing.assert_allclose(described(image, 0.03, 0.03), described(70 * image + 900, 0.03, 0.03), atol=2e-3)


def test_images_that_are_alike_say_how_a_frame_was_taken() -> None:
    draws = [noisy(blur, seed) for seed, blur in enumerate(np.linspace(0.3, 3.0, 60))]
    weights = alike([noisy(2.2, 99).image], 0.03, draws, ["blur"], 0.03)
    assert weights.sum() == pytest.approx(1.0)
    assert float(weights @ [one.params["blur"] for one in draws]) == pytest.approx(2.2, abs=0.25)
