"""How large the decoder of coded movies is, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from micrograph.core import BrokenCheckpoint


@dataclass(frozen=True)
class UnrolledSpec:
    """Size of the decoder: stages, channels at half and at a quarter of the resolution."""

    stages: int = 2
    width: int = 32
    deep: int = 48
    weights: str | None = None

    @property
    def heads(self) -> tuple[()]:
        """It answers in the movie's own units: no heads."""
        return ()

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain values for a card."""
        return {"kind": "unrolled", **asdict(self)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> UnrolledSpec:
        """Return the specification that a card holds; refuse one that is not understood."""
        try:
            return UnrolledSpec(**{name: value for name, value in values.items() if name != "kind"})
        except TypeError as error:
            raise BrokenCheckpoint(f"The card's network specification is not understood ({error}).") from error
