"""What a network is to answer, without torch: heads, size, and the pixel at which it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from micrograph.core import BrokenCheckpoint


@dataclass(frozen=True)
class Head:
    """One output map: 'spots' marks the sites whose label is in `labels`, 'region' the mask of the same name.

    An 'image' is an image itself, in the units of the frame, with the 1-sigma of every pixel: a sample's mask of the
    same name holds the true one.
    """

    name: str
    kind: Literal["spots", "region", "image"]
    labels: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Channels of the network's answer: a logit, or an image's value and log-variance."""
        return 2 if self.kind == "image" else 1


#: Fields of a `NetSpec` that say how its network is built, whatever it answers.
BODY = ("base", "levels", "fold", "convolutions", "dilation", "norm")


@dataclass(frozen=True)
class NetSpec:
    """A U-Net: its heads, width (`base` channels at the finest level), depth, the pixel (nm) at which it looks.

    `fold` by `fold` pixels enter the finest level as channels and leave it as pixels again: for objects that are many
    pixels large it sees as much for a fraction of the work. Without `pixel_nm` the network looks at the frame's own
    pixels, whatever their size: for objects that are many pixels large. `spot_nm` is the 1-sigma of the Gaussian that
    marks a site in training, `patch` the side (pixels) of the pieces that it learns from, `least_px` the width to which
    objects may shrink when frames are binned for it; `weights` names the shipped checkpoint.

    With more than one of the `channels` a sample's image is a stack (channels, H, W), and a recipe's `view` makes the
    same of a frame. Number k of the 'image' heads says what is to be added to channel k of what the network sees (to
    the first where there are fewer channels), and such a network looks at the frame's own pixels. Where it
    `knows_its_own`, images of another kind are told by its features, as they are for other heads.

    A block has so many `convolutions` (two at least) with `norm`, those of the deepest `dilation` pixels wide.
    """

    heads: tuple[Head, ...]
    base: int = 12
    levels: int = 3
    fold: int = 1
    pixel_nm: float | None = 0.03
    spot_nm: float = 0.035
    patch: int = 96
    least_px: float = 20.0
    weights: str | None = None
    channels: int = 1
    knows_its_own: bool = False
    convolutions: int = 2
    dilation: int = 2
    norm: Literal["batch", "group"] = "batch"

    @property
    def body(self) -> dict[str, Any]:
        """What decides the shape of the network between its input and its heads (`BODY`)."""
        return {name: getattr(self, name) for name in BODY}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the output maps, in order."""
        return tuple(head.name for head in self.heads)

    @property
    def outputs(self) -> int:
        """Channels of the network's answer."""
        return sum(head.outputs for head in self.heads)

    @property
    def first(self) -> tuple[int, ...]:
        """Where each head begins among the channels of the answer."""
        return tuple(sum(head.outputs for head in self.heads[:place]) for place in range(len(self.heads)))

    @property
    def restores(self) -> bool:
        """Whether the answers are images."""
        return any(head.kind == "image" for head in self.heads)

    @property
    def added(self) -> tuple[tuple[int, int], ...]:
        """Of each image head the channel of the answer with its value, and that of the input to which it is added."""
        values = [at for at, head in zip(self.first, self.heads, strict=True) if head.kind == "image"]
        return tuple((at, place if len(values) <= self.channels else 0) for place, at in enumerate(values))

    @property
    def multiple(self) -> int:
        """Sides of an image in pixels must be multiples of this."""
        return int(self.fold * 2 ** (self.levels - 1))

    def grid_nm(self, pixel_nm: float) -> float:
        """Return the pixel (nm) of the maps for a frame with pixels of `pixel_nm`."""
        return pixel_nm if self.pixel_nm is None else self.pixel_nm

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain values for a card."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> NetSpec:
        """Return the specification that a card holds; refuse one that is not understood."""
        try:
            heads = tuple(Head(h["name"], h["kind"], tuple(h["labels"])) for h in values["heads"])
            return NetSpec(**{**values, "heads": heads})
        except (KeyError, TypeError) as error:
            raise BrokenCheckpoint(f"The card's network specification is not understood ({error}).") from error


@dataclass(frozen=True)
class NoNet:
    """In place of a network where a recipe needs none: `objects` looks at the frame itself."""

    heads: tuple[Head, ...] = ()
    names: tuple[str, ...] = ()
    base: int = 0
    pixel_nm: float | None = None
    weights: str | None = None

    def grid_nm(self, pixel_nm: float) -> float:
        """Return the frame's own pixel."""
        return pixel_nm

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain values."""
        return {"kind": "none"}


def outlining(kind: str, weights: str, least_px: float = NetSpec.least_px) -> NetSpec:
    """Return the network that outlines objects of many pixels: where they are (map `kind`), and how deep ('core')."""
    return NetSpec(
        heads=(Head(kind, "region"), Head("core", "region")),
        base=16,
        levels=4,
        fold=2,
        pixel_nm=None,
        patch=192,
        least_px=least_px,
        weights=weights,
    )
