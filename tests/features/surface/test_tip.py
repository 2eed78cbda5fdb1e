"""Features, votes and the second apex: what must hold without any network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput, Calibration, Frame, Prediction
from micrograph.features.surface.apices import find_ghost
from micrograph.features.surface.bright import SIDE, STEP_NM, bright_features, crop_of
from micrograph.features.surface.tip_look import Discriminant, Look, describe, fit
from micrograph.features.surface.tip_tables import CANNOT, TipHistory, TipSettings, read_tip
from micrograph.features.surface.tip_vote import PRIOR, evidence_of, parts_of, vote

PIXEL = 0.1


def bumps(*places: tuple[float, float, float], side: int = 200) -> np.ndarray:
    """Return an image in which bumps (y, x in nm, height) of 0.3 nm stand on a tilted plane with a little noise."""
    y, x = np.mgrid[:side, :side] * PIXEL
    image = 0.02 * y - 0.01 * x + np.random.default_rng(0).normal(0, 0.002, (side, side))
    for at_y, at_x, height in places:
        image += height * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / (2 * 0.3**2))
    return np.asarray(image, np.float32)


def test_bright_features_are_found_where_they_are_whatever_the_tilt_and_the_unit() -> None:
    image = bumps((5.0, 6.0, 0.2), (13.0, 8.0, 0.15), (9.0, 15.0, 0.1))
    for scale in (1.0, 1e-9):
        found = bright_features(scale * image, PIXEL)
        np.testing.assert_allclose(found.places * PIXEL, [[5, 6], [13, 8], [9, 15]], atol=0.15)
        assert found.crops.shape == (3, SIDE, SIDE)
        np.testing.assert_allclose(found.crops[:, 14:18, 14:18].mean((1, 2)), 1, atol=0.02)


def test_a_crop_is_the_same_on_finer_pixels() -> None:
    y, x = np.mgrid[:120, :120] * 0.05
    fine = np.exp(-((y - 3) ** 2 + (x - 3) ** 2) / 0.18)
    np.testing.assert_allclose(
        crop_of(fine, np.array([60, 60]), 0.05), crop_of(fine[::2, ::2], np.array([30, 30]), 0.1), atol=0.02
    )


def test_pixels_that_cannot_show_a_bond_are_refused() -> None:
    with pytest.raises(BadInput, match="pixel is 1 nm"):
        bright_features(np.zeros((64, 64)), 1.0)


def test_the_naive_vote_multiplies_and_alike_features_count_less() -> None:
    evidence = evidence_of(np.tile([0.8, 0.15, 0.05], (5, 1)), np.ones(5))
    np.testing.assert_allclose(vote(evidence[:1]), [0.8, 0.15, 0.05], atol=1e-9)
    naive = PRIOR * (np.array([0.8, 0.15, 0.05]) / PRIOR) ** 5
    np.testing.assert_allclose(vote(evidence, 0.0), naive / naive.sum(), rtol=1e-9)
    np.testing.assert_allclose(vote(evidence, 1.0), [0.8, 0.15, 0.05], atol=1e-9)
    assert vote(evidence, 1.0)[0] < vote(evidence)[0] < vote(evidence, 0.0)[0]
    np.testing.assert_allclose(vote(np.zeros((0, 3))), PRIOR)


def test_a_change_on_the_way_is_found_and_one_odd_feature_is_none() -> None:
    good, bad = np.array([0.97, 0.02, 0.01]), np.array([0.02, 0.97, 0.01])
    changed = parts_of(evidence_of(np.array([good] * 4 + [bad] * 4), np.ones(8)))
    assert [(part.first, part.last, part.state) for part in changed] == [(0, 4, "sharp"), (4, 8, "double")]
    (one,) = parts_of(evidence_of(np.array([good] * 7 + [bad]), np.ones(8)))
    assert one.state == "sharp"


def test_the_second_apex_is_where_it_was_put() -> None:
    rng = np.random.default_rng(1)
    axis = (np.arange(SIDE) - (SIDE - 1) / 2) * STEP_NM
    y, x = axis[:, None], axis[None]
    one = np.exp(-(y**2 + x**2) / 0.2) + 0.6 * np.exp(-((y + 0.5) ** 2 + (x - 1.0) ** 2) / 0.2)
    ghost = find_ghost(one + rng.normal(0, 0.05, (6, SIDE, SIDE)))
    assert ghost is not None
    assert ghost.offset_nm == pytest.approx((-0.5, 1.0), abs=4 * ghost.sigma_nm)
    assert ghost.height == pytest.approx(0.6, abs=0.06) and ghost.angle_deg == pytest.approx(26.6, abs=3)
    assert find_ghost(np.exp(-(y**2 + x**2) / 0.2) + rng.normal(0, 0.01, (6, SIDE, SIDE))) is None


def constant(*p: float, distance: float = 1.0) -> Discriminant:
    """Return a discriminant that always gives the probabilities `p`, whatever it sees."""
    many = describe(np.zeros((1, SIDE, SIDE))).shape[1]
    weights = np.zeros((2 * many + 1, len(p)))
    weights[-1] = np.log(p)
    return Discriminant(np.zeros(many), np.ones(many), weights, np.zeros((many, 1)), distance)


def told(p: tuple[float, float, float], dangling: float = 0.98, settings: TipSettings | None = None) -> dict[Any, Any]:
    """Return the row of 'frames' for three features of which a discriminant says `p` and `dangling`."""
    image = bumps((5.0, 6.0, 0.2), (13.0, 8.0, 0.15), (9.0, 15.0, 0.1))
    prediction = Prediction(Frame(image, 0, Calibration(pixel_nm=PIXEL)), {}, {}, PIXEL)
    look = Look(constant(*p), constant(dangling, 1 - dangling), constant(*p))
    row: dict[Any, Any] = read_tip(prediction, settings or TipSettings(), look)["frames"].iloc[0].to_dict()
    return row


def test_what_cannot_be_told_has_no_probability_of_a_bad_tip() -> None:
    good = told((0.98, 0.01, 0.01))
    assert good["class"] == "sharp" and good["p_bad"] == pytest.approx(0.02) and good["count"] == 3
    assert told((0.01, 0.02, 0.97))["class"] == "blunt"
    for row in (
        told((0.98, 0.01, 0.01), dangling=0.1),
        told((0.5, 0.3, 0.2)),
        told((0.98, 0.01, 0.01), settings=TipSettings(fewest=4)),
    ):
        assert row["class"] == CANNOT and np.isnan(row["p_bad"]) and "cannot be told" in row["notes"]


def test_a_description_does_not_change_when_the_crop_is_turned_or_mirrored() -> None:
    crop = np.random.default_rng(2).normal(size=(SIDE, SIDE))
    crop[13:19, 13:19] += 5
    first, turned, mirrored = describe(np.array([crop, np.rot90(crop), crop[:, ::-1]]))
    np.testing.assert_allclose(turned, first, atol=1e-9)
    np.testing.assert_allclose(mirrored, first, atol=1e-9)


def test_a_discriminant_finds_classes_that_differ_and_is_far_from_what_it_has_not_seen() -> None:
    rng = np.random.default_rng(3)
    classes = rng.integers(0, 2, 400)
    seen = rng.normal(size=(400, 3)) + 4 * classes[:, None] * np.array([1, 0, 0])
    found = fit(seen, classes, 2)
    assert np.mean(found.probabilities(seen).argmax(axis=1) == classes) > 0.95
    assert np.mean(found.distance(seen) <= 1) == pytest.approx(0.995, abs=0.003)
    assert found.distance(np.array([[0.0, 30.0, 0.0]]))[0] > 2


def test_the_history_joins_frames_that_say_the_same() -> None:
    fold = TipHistory()
    state = fold.start()
    for frame, name in enumerate(("sharp", "sharp", "double", "double", "double", "sharp")):
        apex = 1.2 if name == "double" else np.nan
        row = {"frame": frame, "class": name, "count": 4, "score": 0.9, "apex_nm": apex, "apex_sigma_nm": apex / 100}
        state = fold.step(state, {"frames": pd.DataFrame([row])})
    history = fold.result(state)["summary"]
    assert history[["class", "first", "last", "frames", "features"]].to_numpy().tolist() == [
        ["sharp", 0, 1, 2, 8], ["double", 2, 4, 3, 12], ["sharp", 5, 5, 1, 4],
    ]  # fmt: skip
    assert history["apex_sigma_nm"][1] == pytest.approx(0.012 / np.sqrt(3)) and np.isnan(history["apex_nm"][0])
    assert len(fold.result(fold.start())["summary"]) == 0
