"""Nanoparticles in a liquid cell: outlines, motion, etching by curvature.   doi:10.1021/acscentsci.0c00430"""

from dataclasses import replace

import numpy as np

from micrograph.core import Task
from micrograph.features.objects.outlined import OutlinedObjects
from micrograph.nets import outlining
from micrograph.run import Recipe
from micrograph.simulate import ParticleMovie, ParticleSampler, etching_movie
from micrograph.track.answers import BORDER_ANSWERS
from micrograph.track.assembling import KINETICS, Assembling
from micrograph.track.chaining import CHAINS
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.objects.growth_checks import kinetic_order_share, rate_law_error
from micrograph.validate.objects.particle_checks import area_bias, height_error, iou_gain, mask_iou, outline_error
from micrograph.validate.objects.particle_claims import COVERED, DIAMETER, scenes
from micrograph.validate.objects.particle_multislice import gold_in_liquid
from micrograph.validate.objects.particle_scenes import Trial

#: Images like those of the paper, never trained on: 0.193 nm pixels, particles of 10 to 18 nm, others passing by.
CELL = ParticleSampler(
    side_px=512,
    diameter_px=(50.0, 90.0),
    contrast=(0.2, 0.3),
    covered=(0.15, 0.3),
    pixel_nm=(0.193, 0.19301),
    shapes=("rod", "triangle", "cube", "concave-cube", "sphere"),
    gaps=("apart",),
    bright=0.0,
    liquid=1.0,
    bragg=0.05,
    texture=0.2,
    slope=0.4,
    empty=0.0,
    offset=(0.0, 0.0),
)
CLEAR = Trial("signal to noise 1", replace(CELL, contrast_to_noise=(1.0, 1.001)), 30, alone=True)
FAINT = Trial("signal to noise 0.5", replace(CELL, contrast_to_noise=(0.5, 0.5001)), 30, alone=True)
RODS = Trial("signal to noise 1", replace(CELL, contrast_to_noise=(1.0, 1.001), shapes=("rod",)), 48)


def etched(rng: np.random.Generator) -> ParticleMovie:
    """Return a movie of rods that are etched, faster at their ends."""
    return etching_movie(rng)


#: What the network learned from.
IMAGES = ParticleSampler(
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
    rough=0.15,
    grainy=0.25,
    banded=0.15,
)
#: Half the least dose; particles of more pixels than were learned from.
TRUST = Trust(
    scenes(IMAGES.scene),
    (DIAMETER, COVERED),
    shifted=(
        ("half the dose", scenes(replace(IMAGES, contrast_to_noise=(0.42, 0.6)).scene)),
        ("smaller pixels", scenes(replace(IMAGES, diameter_px=(72.0, 110.0)).scene)),
    ),
    frames=300,
    fresh=300,
    farther=60,
)
RECIPE = Recipe(
    name="liquid-cell",
    title="Nanoparticles in a liquid cell",
    task=Task(
        question="Where are the particles of every frame, how thick, and how do their outlines move with curvature?",
        needs=("pixel_nm",),
        answers={
            **BORDER_ANSWERS,
            "chains": CHAINS,
            "kinetics": KINETICS,
        },
        reference="doi:10.1021/acscentsci.0c00430",
    ),
    data=IMAGES,
    model=outlining("particle", weights="liquid-cell-1"),
    objects=OutlinedObjects(),
    summary=Assembling(),
    checks=(
        mask_iou(CLEAR, at_least=0.95),
        mask_iou(FAINT, at_least=0.85),
        mask_iou(Trial("gold by multislice", gold_in_liquid(), 12, alone=True), at_least=0.95),
        iou_gain(CLEAR, at_least=0.10),
        outline_error(CLEAR, at_most=1.0),
        area_bias(replace(CLEAR, images=90), at_most=0.02),
        height_error(RODS, at_most=1.5),
        rate_law_error(etched, at_most=0.10),
        kinetic_order_share(at_least=0.95),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    training=TrainSettings(steps=1600, reuse=8, learning_rate=2e-3),
    begins_from="particles-1",
)
