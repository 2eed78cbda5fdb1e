"""The blind-spot network: what it must not see, and what it must."""

from __future__ import annotations

import pytest
import torch

from micrograph.core import BrokenCheckpoint
from micrograph.nets.blind import BlindNet
from micrograph.nets.blind_spec import BlindSpec

SPEC = BlindSpec(widths=(4, 6, 8))


def seen_by(spec: BlindSpec, pixel: tuple[int, int]) -> torch.Tensor:
    """Return how much every input (F, H, W) moves the mean and the doubt of one pixel."""
    torch.manual_seed(0)
    net = BlindNet(spec)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    frames = torch.randn(1, spec.frames, 48, 64, requires_grad=True)
    mean, log_variance = net(frames, torch.ones(1, 3))
    (mean[0, *pixel] + log_variance[0, *pixel]).backward()
    assert frames.grad is not None
    return frames.grad[0].abs()


@pytest.mark.parametrize("pixel", [(20, 30), (21, 33), (0, 0), (47, 63)])
def test_no_path_leads_from_a_pixel_to_itself(pixel: tuple[int, int]) -> None:
    seen = seen_by(SPEC, pixel)
    assert seen[2, *pixel] == 0
    assert (seen[2] > 0).sum() > 100


def test_the_pixel_is_seen_in_the_other_frames_and_by_a_network_that_is_not_blind() -> None:
    assert (seen_by(SPEC, (20, 30))[[0, 1, 3, 4], 20, 30] > 0).all()
    assert seen_by(BlindSpec(widths=(4, 6, 8), blind=False), (20, 30))[2, 20, 30] > 0


def test_only_pixels_on_the_grid_of_the_hidden_one_stay_hidden() -> None:
    seen = seen_by(SPEC, (20, 30))[2]
    hidden = torch.nonzero(seen[8:33, 18:43] == 0) - 12
    assert ((hidden % (SPEC.reach + 1)) == 0).all()


def test_a_card_holds_the_specification() -> None:
    assert BlindSpec.from_dict(SPEC.as_dict()) == SPEC
    with pytest.raises(BrokenCheckpoint, match="not understood"):
        BlindSpec.from_dict({"kind": "blind", "width": 3})


def test_it_begins_as_the_mean_of_what_is_around() -> None:
    net = BlindNet(SPEC)
    frames = torch.full((1, 5, 32, 32), 2.0)
    for others in (False, True):
        net.begin(others=others)
        shown = frames if others else frames * torch.eye(5)[2][None, :, None, None]
        brighter, darker = (net(shown * factor, torch.ones(1, 3))[0] for factor in (1.0, 0.0))
        torch.testing.assert_close((brighter - darker)[0, 8:24, 8:24], torch.full((16, 16), 2.0))
