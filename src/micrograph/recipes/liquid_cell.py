"""Nanoparticles in a liquid cell: outlines, motion, etching and growth by curvature.   doi:10.1021/acscentsci.0c00430"""

from micrograph.core import Task
from micrograph.features.outlined import COVERED, OUTLINED, OUTLINES, OutlinedObjects
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import ParticleSampler
from micrograph.track import BOUNDARIES, COUNTS, GROWTH, LEVELS, RATE_BINS, RATE_LAW, SIZES, Outlined
from micrograph.train import TrainSettings

RECIPE = Recipe(
    name="liquid-cell",
    title="Nanoparticles in a liquid cell",
    task=Task(
        question="Where are the particles of every frame, how thick, and how do their outlines move with curvature?",
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
        reference="doi:10.1021/acscentsci.0c00430",
    ),
    data=ParticleSampler(
        diameter_px=(12.0, 72.0),
        contrast_to_noise=(0.6, 10.0),
        contrast=(0.08, 0.6),
        covered=(0.04, 0.45),
        shapes=("sphere", "rod", "rod", "cube", "tilted-cube", "triangle", "concave-cube"),
        bright=0.0,
        liquid=0.85,
        texture=0.3,
        slope=0.6,
        bragg=0.15,
    ),
    model=NetSpec(
        heads=(Head("particle", "region"), Head("core", "region")),
        base=16,
        levels=4,
        fold=2,
        pixel_nm=None,
        patch=192,
        weights="liquid-cell-1",
    ),
    objects=OutlinedObjects(),
    summary=Outlined(),
    checks=(),
    training=TrainSettings(steps=900, reuse=6, learning_rate=2e-3),
    begins_from="particles-1",
)
