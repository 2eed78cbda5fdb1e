"""The full image from a scan that visited few pixels, and how sure each pixel is.   doi:10.1038/s41598-020-65261-0"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from micrograph.core import Sample, Sites, Task
from micrograph.features.restoring.partial import CHANNELS, partial_of, seen_of
from micrograph.features.restoring.partial_tables import DOUBTFUL, SEEN, SUMMARY, DoubtfulAreas, PartialSummary
from micrograph.infer.partial_scans import IMAGE, PartialLook
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate.partial_sampler import PartialScans
from micrograph.simulate.stem_scenes import StemScenes
from micrograph.train import TrainSettings
from micrograph.validate.restoring.partial_checks import (
    FIELD,
    SIDE,
    PartialTrial,
    completion_error,
    completion_gain,
    sigma_coverage,
    whole_scan,
)
from micrograph.validate.timing import frame_seconds


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
    patch=96,
    channels=len(CHANNELS),
    weights="partial-1",
)

#: Bars hold for 1/20 of the pixels, all kinds of paths alike: an image in 0..1 and its error in parts of that.
#: The published images are cuts of 512 pixels from scans of 2048: all that is in them is many pixels wide.
PUBLISHED = StemScenes(side=SIDE, spacing_px=(20.0, 120.0), size_px=(40.0, 300.0), blur_px=(2.0, 6.0))
OWN = PartialTrial(
    "1/20 visited",
    PartialScans(PUBLISHED, coverage=(0.0499, 0.0501), electrons=(50.0, 5000.0), cut_from=FIELD),
    all_ways=True,
)
FARTHER = PartialTrial(
    "1/40 visited, half the dose",
    PartialScans(PUBLISHED, coverage=(0.0249, 0.0251), electrons=(25.0, 2500.0), cut_from=FIELD),
    number=12,
)
#: Finer things than the published images show: lattices whose spacing is less than the distance of a spiral's turns.
FINER = PartialTrial(
    "1/20 visited, fine things",
    PartialScans(
        StemScenes(side=SIDE, spacing_px=(12.0, 20.0), size_px=(16.0, 40.0), blur_px=(1.2, 2.0)),
        coverage=(0.0499, 0.0501),
        electrons=(50.0, 5000.0),
        cut_from=FIELD,
    ),
    number=12,
)
MULTISLICE = PartialTrial(
    "1/20 visited, multislice",
    PartialScans(PUBLISHED, coverage=(0.0499, 0.0501), electrons=(50.0, 5000.0), cut_from=FIELD),
    number=15,
    multislice=True,
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
    checks=(
        completion_error(OWN, at_most=0.04),
        completion_gain(OWN, at_least=0.2),
        sigma_coverage(OWN, sigmas=1, off_by=0.06),
        sigma_coverage(OWN, sigmas=2, off_by=0.04),
        completion_error(FARTHER, at_most=0.07),
        completion_gain(FARTHER, at_least=0.2),
        sigma_coverage(FARTHER, sigmas=1, off_by=0.1),
        completion_error(FINER, at_most=0.1),
        completion_gain(FINER, at_least=0.2),
        completion_error(MULTISLICE, at_most=0.06),
        completion_gain(MULTISLICE, at_least=0.2),
        frame_seconds(whole_scan, frames=5, at_most_s=1.0),
    ),
    # The shipped weights are a first version: 500 steps, then 400 more.
    training=TrainSettings(steps=900, batch=8, reuse=6, learning_rate=4e-3, calibration_samples=120),
)
