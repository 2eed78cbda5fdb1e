"""Trained on crops alone, the auto-encoder finds planted turns, shifts, disorder, classes, the same from any seed."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from micrograph.core import BadInput
from micrograph.nets.rvae import Rvae
from micrograph.nets.rvae_spec import Encoded, RvaeSpec
from micrograph.train.ensemble import train_ensemble
from micrograph.train.rvae import RvaeSettings, encode, train_rvae, traversal
from micrograph.train.stability import agreements, circular_correlation, paired_rho, verdict

SIZE, SPEC = 20, RvaeSpec(size=20, hidden=32)
SHORT = RvaeSettings(steps=150, batch=64, learning_rate=5e-3)


def honeycomb() -> NDArray[np.complex128]:
    """Return the sites x + i y (up) around one site, which is at 0, within 12 pixels; bonds of 4.6 pixels."""
    a = 4.6 * np.sqrt(3)
    first = np.array([a, a * np.exp(1j * np.pi / 3)])
    cells = (np.arange(-4, 5)[:, None] * first[0] + np.arange(-4, 5) * first[1]).ravel()
    sites = np.concatenate([cells, cells + 4.6 * np.exp(1j * np.pi / 6)])
    return sites[np.abs(sites) < 12]


def crop(turn_deg: float, rng: np.random.Generator, disorder: float = 0.0, bright: bool = False) -> NDArray[np.float32]:
    """Return a noisy crop of a honeycomb, turned counter-clockwise, its sites displaced by `disorder` pixels."""
    sites = honeycomb()
    weight = np.where((np.abs(sites) < 0.1) & bright, 3.0, 1.0)
    sites = (sites + disorder * (rng.normal(size=len(sites)) + 1j * rng.normal(size=len(sites)))) * np.exp(
        1j * np.radians(turn_deg)
    )
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    spots = weight * np.exp(-((y[..., None] + sites.imag) ** 2 + (x[..., None] - sites.real) ** 2) / 5.0)
    return np.asarray(spots.sum(-1) + rng.normal(0, 0.25, (SIZE, SIZE)), np.float32)


@functools.cache
def planted() -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return crops, their turns in degrees and their disorder in pixels."""
    rng = np.random.default_rng(0)
    turns, disorder = rng.uniform(0, 120, 500), rng.uniform(0, 1.0, 500)
    crops = [crop(turn, rng, spread) for turn, spread in zip(turns, disorder, strict=True)]
    return np.stack(crops), turns, disorder


@functools.cache
def learned(seed: int = 0) -> tuple[Rvae, list[float]]:
    losses: list[float] = []
    settings = RvaeSettings(**{**vars(SHORT), "seed": seed})
    net = train_rvae(planted()[0], SPEC, settings, lambda step, steps, loss: losses.append(loss))
    return net, losses


def test_training_lowers_the_loss() -> None:
    _, losses = learned()
    assert len(losses) == SHORT.steps and losses[-1] < losses[5] - 2


def test_the_angle_is_the_planted_turn_modulo_the_symmetry() -> None:
    crops, turns, _ = planted()
    found = encode(learned()[0], crops)
    assert circular_correlation(found.angle_deg, turns, 3) > 0.98
    # One bond points to 30 degrees before the turn.
    off = (found.angle_deg - turns - 30 + 60) % 120 - 60
    assert abs(np.median(off)) < 1.5
    assert np.percentile(np.abs(off), 68) < 2.5


def test_the_first_latent_is_the_disorder_and_order_falls_with_it() -> None:
    crops, _, disorder = planted()
    found = encode(learned()[0], crops)
    assert abs(spearmanr(found.latents[:, 0], disorder).statistic) > 0.85
    assert spearmanr(found.order, disorder).statistic < -0.85
    assert found.order.min() >= 0 and found.order.max() <= 1


def test_a_turned_crop_keeps_its_content_and_turns_its_angle_as_much() -> None:
    rng = np.random.default_rng(1)
    before = np.stack([crop(turn, np.random.default_rng(n), 0.3) for n, turn in enumerate(rng.uniform(0, 120, 40))])
    after = np.rot90(before, axes=(1, 2))  # by 90 degrees counter-clockwise as displayed
    first, second = encode(learned()[0], before), encode(learned()[0], after)
    turned = (second.angle_deg - first.angle_deg - 90 + 60) % 120 - 60
    assert np.abs(turned).max() < 1.0
    np.testing.assert_allclose(first.latents, second.latents, atol=0.15)
    np.testing.assert_allclose(first.order, second.order, atol=0.03)


def test_a_moved_crop_moves_its_shift_as_much() -> None:
    rng = np.random.default_rng(2)
    wide = np.stack([np.pad(crop(turn, rng), 1, mode="edge") for turn in rng.uniform(0, 120, 40)])
    here, there = wide[:, 1:-1, 1:-1], wide[:, :-2, 1:-1]  # what is shown moves down by one pixel
    moved = encode(learned()[0], there).shift_px - encode(learned()[0], here).shift_px
    np.testing.assert_allclose(np.median(moved, axis=0), (1.0, 0.0), atol=0.3)


def test_the_same_seed_gives_the_same_network() -> None:
    crops = planted()[0][:100]
    few = RvaeSettings(steps=10, batch=32)
    first, second = (encode(train_rvae(crops, SPEC, few), crops) for _ in range(2))
    np.testing.assert_array_equal(first.latents, second.latents)
    np.testing.assert_array_equal(first.angle_deg, second.angle_deg)


def test_two_seeds_order_the_crops_alike() -> None:
    crops = planted()[0]
    one, other = encode(learned(0)[0], crops), encode(learned(1)[0], crops)
    assert one.information_nats[0] > 0.5
    assert agreements([one, other], 3)[0].rho > 0.95


def test_a_bright_site_is_a_class_of_its_own_whatever_the_disorder() -> None:
    rng = np.random.default_rng(3)
    bright = rng.random(300) < 0.3
    crops = np.stack([crop(rng.uniform(0, 120), rng, rng.uniform(0, 0.6), bright=one) for one in bright])
    spec = RvaeSpec(size=SIZE, hidden=32, classes=2)
    ensemble = train_ensemble(crops, spec, RvaeSettings(steps=60, batch=64), seeds=2)
    label = ensemble.encoded.class_p.argmax(1)
    assert max((label == bright).mean(), (label != bright).mean()) > 0.98
    assert ensemble.pairs[0].ari > 0.9
    assert verdict(ensemble.pairs).startswith("The training is")
    assert traversal(ensemble.nets[0], steps=3).shape == (2, 2, 3, SIZE, SIZE)


def test_crops_of_another_size_are_refused() -> None:
    with pytest.raises(BadInput, match=r"at least 50 of 20 pixels"):
        train_rvae(np.zeros((60, 24, 24), np.float32), SPEC, SHORT)


def test_angles_at_random_do_not_correlate_and_an_offset_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    angle = rng.uniform(0, 120, 4000)
    assert circular_correlation(angle, (angle + 77) % 120, 3) == pytest.approx(1.0, abs=1e-6)
    assert abs(circular_correlation(angle, rng.uniform(0, 120, 4000), 3)) < 0.05


def test_latents_are_paired_whatever_their_order_and_sign() -> None:
    latents = np.random.default_rng(5).normal(size=(500, 2))
    assert paired_rho(latents, -latents[:, ::-1]) == pytest.approx(1.0)
    assert np.isnan(paired_rho(latents[:, :0], latents[:, :0]))


def test_a_latent_at_rest_takes_no_part_in_the_agreement() -> None:
    rng = np.random.default_rng(6)
    told, spec = rng.normal(size=500), RvaeSpec()
    nothing = Encoded.none(spec)
    runs = [
        replace(
            nothing,
            angle_deg=np.linspace(0, 119, 500),
            latents=np.column_stack([told, 1e-2 * told + 1e-3 * rng.normal(size=500)])[:, order],
            latent_sigma=np.column_stack([np.full(500, 0.1), np.ones(500)])[:, order],
            class_p=np.ones((500, 1)),
        )
        for order in ([0, 1], [1, 0])
    ]
    assert agreements(runs, 3)[0].rho == pytest.approx(1.0)
