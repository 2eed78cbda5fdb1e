"""Pores in thin films: border, area, and how fast they close or open.   doi:10.1088/1361-6528/ac3617"""

from micrograph.core import Task
from micrograph.features.outlined import COVERED, OUTLINED, OUTLINES, OutlinedObjects
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import PoreSampler
from micrograph.track import BOUNDARIES, COUNTS, GROWTH, LEVELS, RATE_BINS, RATE_LAW, SIZES, Outlined
from micrograph.train import TrainSettings

RECIPE = Recipe(
    name="pores",
    title="Pores in thin films",
    task=Task(
        question="Where is the border of every pore, how large is its area, and how fast does it close?",
        needs=("pixel_nm",),
        answers={
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
        },
        reference="doi:10.1088/1361-6528/ac3617",
    ),
    data=PoreSampler(),
    model=NetSpec(
        heads=(Head("pore", "region"), Head("core", "region")),
        base=16,
        levels=4,
        fold=2,
        pixel_nm=None,
        patch=192,
        weights="pores-1",
    ),
    objects=OutlinedObjects(kind="pore", least_diameter_px=6.0),
    summary=Outlined(),
    checks=(),
    training=TrainSettings(steps=1200, reuse=4, learning_rate=3e-3),
    begins_from="particles-1",
)
