"""The network: which shapes come out of which shapes, and what is refused."""

from dataclasses import replace

import pytest
import torch

from micrograph.nets import Head, NetSpec, build

SPEC = NetSpec(heads=(Head("atom", "spots", ("C",)), Head("contamination", "region")), base=4, levels=3)


@pytest.mark.parametrize(("levels", "shape"), [(2, (16, 24)), (3, (20, 32)), (4, (32, 40))])
def test_logits_have_the_shape_of_the_image_and_one_map_a_head(levels: int, shape: tuple[int, int]) -> None:
    net = build(NetSpec(heads=tuple(Head(name, "region") for name in "abc"), base=4, levels=levels)).eval()
    logits, embedding = net(torch.zeros(2, 1, *shape))
    assert logits.shape == (2, 3, *shape)
    assert embedding.shape == (2, 4 * 2 ** (levels - 1) + 4)


def test_an_image_that_cannot_be_halved_is_refused_with_the_size_that_fits() -> None:
    with pytest.raises(ValueError, match=r"pad it to \(24, 32\)"):
        build(SPEC)(torch.zeros(1, 1, 22, 32))


def test_a_specification_decides_the_number_of_maps() -> None:
    assert build(SPEC).head.out_channels == len(SPEC.names) == 2


def test_a_shifted_image_gives_shifted_logits() -> None:
    torch.manual_seed(0)
    net = build(SPEC).eval()
    image = torch.randn(1, 1, 96, 96)
    with torch.inference_mode():
        first, shifted = net(image)[0], net(image.roll((8, -4), (2, 3)))[0]
    inner = slice(36, 60)
    assert torch.allclose(first.roll((8, -4), (2, 3))[..., inner, inner], shifted[..., inner, inner], atol=1e-4)


def test_a_network_can_be_built_in_other_ways_that_give_maps_of_the_same_shape() -> None:
    plain = sum(one.numel() for one in build(SPEC).parameters())
    for change in ({"convolutions": 3}, {"dilation": 4}, {"norm": "group"}, {"fold": 2, "base": 6}):
        spec = replace(SPEC, **change)  # type: ignore[arg-type]
        net = build(spec).eval()
        assert net(torch.zeros(1, 1, 32, 32))[0].shape == (1, 2, 32, 32)
        assert NetSpec.from_dict(spec.as_dict()) == spec and spec.body == SPEC.body | change
    assert sum(one.numel() for one in build(replace(SPEC, convolutions=3)).parameters()) > plain
