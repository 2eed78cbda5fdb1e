"""What a network that denoises looks like, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from micrograph.core import BrokenCheckpoint


@dataclass(frozen=True)
class BlindSpec:
    """A network that says what a pixel holds from all others: its own is hidden from it (`blind`).

    It sees `frames` frames, the middle one with the hidden pixel, of the others everything. `reach` pixels in each
    direction enter the first layer; from then on only pixels at multiples of ``reach + 1`` are joined, by a U-Net of
    the given `widths`, so that no path leads back to the hidden pixel (doi:10.48550/arXiv.2008.13371).
    """

    frames: int = 5
    reach: int = 3
    widths: tuple[int, ...] = (12, 20, 28)
    blind: bool = True
    weights: str | None = None

    @property
    def heads(self) -> tuple[()]:
        """It answers in the image's own units: no heads."""
        return ()

    @property
    def multiple(self) -> int:
        """Sides of an image in pixels must be multiples of this."""
        return int((self.reach + 1) * 2 ** (len(self.widths) - 1))

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain values for a card."""
        return {"kind": "blind", **asdict(self)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> BlindSpec:
        """Return the specification that a card holds; refuse one that is not understood."""
        known = {name: value for name, value in values.items() if name != "kind"}
        try:
            return BlindSpec(**{**known, "widths": tuple(known["widths"])})
        except (KeyError, TypeError) as error:
            raise BrokenCheckpoint(f"The card's network specification is not understood ({error}).") from error
