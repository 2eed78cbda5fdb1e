"""Particles of any size and contrast, sorted by shape without a single label.   doi:10.1021/jacsau.0c00030"""

from micrograph.core import Task
from micrograph.features.distributions import SHAPES, SIZES
from micrograph.features.outlined import COVERED, OUTLINED, OUTLINES, OutlinedObjects
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import ParticleSampler
from micrograph.track import COUNTS
from micrograph.track.population import CLASSIFIED, Population
from micrograph.train import TrainSettings

RECIPE = Recipe(
    name="particle-shapes",
    title="Particles: sizes and shapes",
    task=Task(
        question="How many particles of which sizes and shapes are there, in stills or over time?",
        needs=("pixel_nm",),
        answers={
            "objects": OUTLINED,
            "outlines": OUTLINES,
            "frames": COVERED,
            "classified": CLASSIFIED,
            "shapes": SHAPES,
            "sizes": SIZES,
            "counts": COUNTS,
        },
        reference="doi:10.1021/jacsau.0c00030",
    ),
    data=ParticleSampler(),
    model=NetSpec(
        heads=(Head("particle", "region"), Head("core", "region")),
        base=16,
        levels=4,
        fold=2,
        pixel_nm=None,
        patch=192,
        weights="particles-1",
    ),
    objects=OutlinedObjects(),
    summary=Population(),
    checks=(),
    training=TrainSettings(steps=2400, reuse=6),
)
