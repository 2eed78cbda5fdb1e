"""What weights made from a user's own examples answer: one of the user's classes, by prototypes of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from micrograph.core import BrokenCheckpoint
from micrograph.nets.encoder_spec import Answer, EncoderSpec, classes

#: What of a frame is looked at: as a whole, its middle (11/16 of its side), nine squares of half its side, nine squares
#: at its own pixels, or what the recipe that the encoder belongs to looks at.
LOOKS = ("whole", "middle", "half", "own pixels", "views")
#: How small images are looked at.
SMALL = ("whole", "middle")


@dataclass(frozen=True)
class PrototypeSpec:
    """The user's classes `labels`, the encoder whose features tell them apart, and what of a frame it `looks` at.

    view: the recipe whose view of a frame is looked at; '' for the frame itself.
    """

    labels: tuple[str, ...]
    encoder: EncoderSpec
    looks: tuple[str, ...] = ("whole",)
    view: str = ""
    kind: str = field(default="prototypes", init=False)

    @property
    def heads(self) -> tuple[Answer, ...]:
        """The one answer."""
        return (classes("class", self.labels),)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the answer."""
        return ("class",)

    @property
    def weights(self) -> None:
        """None are shipped."""
        return

    @property
    def pixel_nm(self) -> None:
        """Images are taken at their own pixels."""
        return

    @property
    def base(self) -> int:
        """Width of the encoder."""
        return self.encoder.base

    def grid_nm(self, pixel_nm: float) -> float:
        """Return the frame's own pixel."""
        return pixel_nm

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain values for a card."""
        return {
            "kind": self.kind,
            "labels": list(self.labels),
            "encoder": self.encoder.as_dict(),
            "looks": list(self.looks),
            "view": self.view,
        }

    @staticmethod
    def from_dict(card: Mapping[str, Any]) -> PrototypeSpec:
        """Return the specification that a card holds; refuse one that is not understood."""
        try:
            encoder = EncoderSpec.from_dict(card["encoder"])
            return PrototypeSpec(tuple(card["labels"]), encoder, tuple(card["looks"]), str(card["view"]))
        except (KeyError, TypeError) as error:
            raise BrokenCheckpoint(f"The card's classes are not understood ({error}).") from error
