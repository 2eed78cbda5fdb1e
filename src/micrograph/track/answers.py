"""What the recipes of outlined objects promise alike, by table: how their borders move, or how their shapes differ."""

from __future__ import annotations

from collections.abc import Mapping

from micrograph.core import Column
from micrograph.features.objects.distributions import SHAPES
from micrograph.features.objects.distributions import SIZES as SIZES_AND_SPREADS
from micrograph.features.objects.outlined import COVERED, OUTLINED, OUTLINES
from micrograph.track.counts import COUNTS
from micrograph.track.levels import LEVELS
from micrograph.track.population import CLASSIFIED
from micrograph.track.rate_law import BOUNDARIES, RATE_BINS, RATE_LAW
from micrograph.track.sizes import GROWTH, SIZES

#: What `OutlinedObjects` promises of each frame, and `Outlined` of all together.
BORDER_ANSWERS: Mapping[str, tuple[Column, ...]] = {
    "objects": OUTLINED,
    "outlines": OUTLINES,
    "frames": COVERED,
    "boundaries": BOUNDARIES,
    "rate_law": RATE_LAW,
    "rate_bins": RATE_BINS,
    "growth": GROWTH,
    "stages": LEVELS,
    "counts": COUNTS,
    "summary": SIZES,
}
#: What `OutlinedObjects` promises of each frame, and `Population` of all together.
SHAPE_ANSWERS: Mapping[str, tuple[Column, ...]] = {
    "objects": OUTLINED,
    "outlines": OUTLINES,
    "frames": COVERED,
    "classified": CLASSIFIED,
    "shapes": SHAPES,
    "sizes": SIZES_AND_SPREADS,
    "counts": COUNTS,
    "summary": SIZES,
}
