"""A network at other pixels and with other norms."""

from __future__ import annotations

import pytest
import torch

from micrograph.nets import Checkpoint, Head, NetSpec, build
from micrograph.train.adapting import renormalised, resampled, turned_over

SPEC = NetSpec(heads=(Head("atom", "spots", ("atom",)),), base=4, levels=2, pixel_nm=0.03)


def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(SPEC, {f"net.{name}": part for name, part in build(SPEC).state_dict().items()}, {})


def test_a_resampled_network_sees_columns_as_many_pixels_wide_as_before() -> None:
    spec = resampled(checkpoint(), 1.25).spec
    assert isinstance(spec, NetSpec) and spec.pixel_nm == pytest.approx(0.0375)
    assert spec.spot_nm / spec.pixel_nm == pytest.approx(SPEC.spot_nm / 0.03)


def test_norms_take_their_statistics_from_the_images_and_nothing_else_changes() -> None:
    older, images = checkpoint(), [3 * torch.randn(32, 40) + 1 for _ in range(3)]
    newer = renormalised(older, images)
    changed = {name for name, part in newer.state.items() if not torch.equal(part, older.state[name])}
    assert changed and all("running" in name for name in changed)
    half = renormalised(older, images, share=0.5)
    name = "net.down.0.norm.running_var"
    expected = 0.5 * (older.state[name] + newer.state[name])
    torch.testing.assert_close(half.state[name], expected)


def test_none_of_the_norms_is_the_network_itself() -> None:
    older = checkpoint()
    same = renormalised(older, [torch.randn(16, 16)], share=0.0)
    assert all(torch.equal(same.state[name], part) for name, part in older.state.items())


def test_a_network_turned_over_says_of_an_image_what_it_said_of_its_negative() -> None:
    older, image = checkpoint(), torch.randn(1, 1, 24, 24)
    answers = []
    for one, seen in ((older, -image), (turned_over(older), image)):
        net = build(SPEC).eval()
        net.load_state_dict(one.part("net"))
        answers.append(net(seen)[0])
    torch.testing.assert_close(answers[0], answers[1])
