"""The full image from a scan that visited few pixels, and how sure each pixel is.   doi:10.1038/s41598-020-65261-0"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from micrograph.core import Sample, Sites, Task
from micrograph.features.partial import CHANNELS, partial_of, seen_of
from micrograph.features.partial_tables import DOUBTFUL, SEEN, SUMMARY, DoubtfulAreas, PartialSummary
from micrograph.infer.partial_scans import IMAGE, PartialLook
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate.partial_sampler import PartialScans
from micrograph.simulate.stem_scenes import StemScenes
from micrograph.train import TrainSettings


@dataclass(frozen=True)
class PartialSamples:
    """What a network learns from: its view of a simulated partial scan, and the noise-free image in the same units."""

    scans: PartialScans = field(default_factory=PartialScans)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return the stack (7, H, W) of one partial scan, with the true image as mask."""
        scan = self.scans(rng)
        seen, offset, scale = seen_of(partial_of(scan.image, scan.dwells))
        truth = ((scan.truth - offset) / scale).astype(np.float32)
        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        params = {"coverage": scan.coverage, "electrons": scan.electrons}
        return Sample(seen, 1.0, none, {IMAGE: truth}, params)

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        scenes = self.scans.scenes
        return {
            "coverage": self.scans.coverage,
            "electrons": self.scans.electrons,
            "spacing_px": scenes.spacing_px,
            "size_px": scenes.size_px,
        }


MODEL = NetSpec(
    heads=(Head(IMAGE, "image"),),
    base=16,
    levels=4,
    fold=2,
    pixel_nm=None,
    patch=128,
    channels=len(CHANNELS),
    weights="partial-1",
)

RECIPE = Recipe(
    name="partial-scan",
    title="Completed partial scans",
    task=Task(
        question="What would a full scan have shown, where the beam visited only one of twenty pixels, and how sure is "
        "each pixel of it?",
        needs=(),
        answers={"objects": DOUBTFUL, "frames": SEEN, "summary": SUMMARY},
        reference="doi:10.1038/s41598-020-65261-0",
    ),
    data=PartialSamples(PartialScans(StemScenes(side=176), cut_from=512)),
    model=MODEL,
    objects=DoubtfulAreas(),
    summary=PartialSummary(),
    view=PartialLook(),
    images=(IMAGE,),
    checks=(),
    training=TrainSettings(steps=2800, batch=8, reuse=4, learning_rate=3e-3, calibration_samples=300),
)
