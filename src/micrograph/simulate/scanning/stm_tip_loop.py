"""A simulated microscope whose tip gets worse by itself and better, or worse still, when it is conditioned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from micrograph.core import Sample
from micrograph.simulate.scanning.stm import StmScans, Tip, random_tip

#: What may be done to a tip, and how likely one sharp apex is then: a voltage pulse, a controlled indentation.
SHARP_AFTER: Mapping[str, float] = {"pulse": 0.15, "indent": 0.25}


@dataclass
class SimulatedMicroscope:
    """A microscope with H:Si(100): each scan is of a new place.

    spoils: chance that a good tip changes between two scans; scans: what they look like.
    """

    rng: np.random.Generator
    scans: StmScans = field(default_factory=lambda: StmScans(pixel_nm=(0.18, 0.1801), side_px=(208, 208)))
    spoils: float = 0.02
    tip: Tip | None = None
    conditioned: int = 0

    def scan(self) -> Sample:
        """Return the next scan; it begins with a bad tip unless one was given."""
        if self.tip is None or (self.tip.is_good and self.rng.random() < self.spoils):
            self.tip = self._bad()
        return self.scans.scan(self.tip, self.rng)

    def condition(self, how: str) -> None:
        """Pulse or indent the tip: it is another one afterwards; raises `KeyError` for what cannot be done."""
        likely = SHARP_AFTER[how]
        self.conditioned += 1
        good = self.rng.random() < likely
        self.tip = random_tip("sharp", self.scans.tips, self.rng) if good else self._bad()

    def _bad(self) -> Tip:
        _, double, blunt = self.scans.states
        state = "double" if self.rng.random() < double / (double + blunt) else "blunt"
        return random_tip(state, self.scans.tips, self.rng)
