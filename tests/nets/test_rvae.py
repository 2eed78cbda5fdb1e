"""Turns and shifts of crops are exact in circular harmonics, and the auto-encoder's likelihood respects the lattice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.nets.harmonics import Harmonics
from micrograph.nets.rvae import Rvae
from micrograph.nets.rvae_spec import RvaeSpec

SIZE = 24


def crop(turn_deg: float = 0.0, shift_px: tuple[float, float] = (0.0, 0.0)) -> torch.Tensor:
    """Return a crop (1, SIZE, SIZE) with nine spots, turned counter-clockwise and then moved by (y, x)."""
    spots: NDArray[np.float64] = np.random.default_rng(3).uniform(-7, 7, (9, 2))
    turned = (spots[:, 1] - 1j * spots[:, 0]) * np.exp(1j * np.radians(turn_deg))
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    image = sum(np.exp(-((y + s.imag - shift_px[0]) ** 2 + (x - s.real - shift_px[1]) ** 2) / 5.8) for s in turned)
    return torch.tensor(np.asarray(image), dtype=torch.float32)[None]


def relative(found: torch.Tensor, true: torch.Tensor) -> float:
    return float((found - true).norm() / true.norm())


def test_harmonics_draw_the_crop_that_they_describe() -> None:
    harmonics = Harmonics(SIZE)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    inside = torch.tensor(np.hypot(y, x) < 0.9 * SIZE / 2)
    image = harmonics.images(harmonics(crop()))
    assert relative(image[:, inside], crop()[:, inside]) < 0.03


@pytest.mark.parametrize("turn_deg", [20.0, 100.0, -75.0])
def test_a_turn_of_the_harmonics_is_a_turn_of_the_crop(turn_deg: float) -> None:
    harmonics = Harmonics(SIZE)
    found = harmonics.turned(harmonics(crop()), torch.tensor([np.radians(turn_deg)]).float())
    assert relative(found, harmonics(crop(turn_deg))) < 0.01


@pytest.mark.parametrize("shift_px", [(0.5, 0.0), (0.0, 1.0), (1.0, -1.0)])
def test_a_shift_of_the_harmonics_is_a_shift_of_the_crop_and_keeps_its_length(shift_px: tuple[float, float]) -> None:
    harmonics = Harmonics(SIZE)
    found = harmonics.shifted(harmonics(crop()), torch.tensor([shift_px]))
    assert relative(found, harmonics(crop(shift_px=shift_px))) < 0.03
    assert float(found.norm()) == pytest.approx(float(harmonics(crop()).norm()), rel=1e-3)


def test_white_noise_stays_white_in_the_harmonics() -> None:
    torch.manual_seed(0)
    harmonics = Harmonics(SIZE)
    spread = harmonics(torch.randn(3000, SIZE, SIZE)).std(0)
    assert (spread[:, 0] - 1).abs().max() < 0.1
    assert (spread[harmonics.orders > 0, 1] - 1).abs().max() < 0.1


def test_a_crop_is_laid_on_the_drawing_from_which_it_was_turned_and_shifted() -> None:
    net = Rvae(RvaeSpec(size=SIZE))
    drawing = net.harmonics(crop())
    turn, shift = net.poses(net.harmonics(crop(50.0, (0.6, -0.7))), drawing[0], 2 * np.pi)
    assert np.degrees(float(turn)) == pytest.approx(50.0, abs=1.5)
    np.testing.assert_allclose(shift[0].numpy(), (0.6, -0.7), atol=0.35)


def test_the_evidence_does_not_change_when_a_crop_is_turned_by_the_symmetry_of_the_lattice() -> None:
    torch.manual_seed(1)
    net = Rvae(RvaeSpec(size=SIZE, symmetry=3, classes=2))
    with torch.no_grad():
        net.prototype.normal_()
        laid = net.harmonics(crop())[:, None].expand(-1, 2, -1, -1)
        turned = net.harmonics.turned(laid, torch.full((1, 2), 2 * torch.pi / 3))
        belief = net.encode(laid)
        still = belief._replace(turn=torch.zeros(1, 2), shift=torch.zeros(1, 2, 2))
        before, after = (torch.logsumexp(net.log_evidence(crops, still, belief.content), 2) for crops in (laid, turned))
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-2)


def test_a_belief_as_wide_as_its_prior_tells_nothing() -> None:
    net = Rvae(RvaeSpec(size=SIZE))
    belief = net.encode(net.harmonics(crop())[:, None])
    content = belief._replace(content=torch.zeros(1, 1, 2), content_log_sigma=torch.zeros(1, 1, 2))
    assert net.content_divergence(content).abs().max() == 0


@pytest.mark.parametrize("wrong", [{"symmetry": 0}, {"latents": 0}, {"classes": 0}])
def test_a_specification_without_symmetry_latents_or_classes_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="each must be 1 or more"):
        RvaeSpec(**wrong)
