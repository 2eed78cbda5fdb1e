"""Pores in thin films: border, area, and how fast they close or open.   doi:10.1088/1674-4926/43/8/081001"""

from dataclasses import replace

import numpy as np

from micrograph.core import Task
from micrograph.features.objects.outlined import OutlinedObjects
from micrograph.nets import outlining
from micrograph.run import Recipe
from micrograph.simulate import PoreMovie, PoreMovieSettings, PoreSampler, pore_movie
from micrograph.track import Outlined
from micrograph.track.answers import BORDER_ANSWERS
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.objects.growth_checks import area_flicker, closing_rate_error
from micrograph.validate.objects.particle_claims import PORE_DIAMETER, PORES_COVERED
from micrograph.validate.objects.pore_checks import pore_dice, pore_hausdorff

#: What the network learned from.
IMAGES = PoreSampler(fringes=(0.1, 1.3))
#: Movies of films that were never trained on, signal to noise 2, and such as close or rest.
MOVIES = PoreMovieSettings(frames=8)


def closing(rng: np.random.Generator) -> PoreMovie:
    """Return a movie of pores whose edges move inwards at constant velocities."""
    return pore_movie(rng, PoreMovieSettings(frames=30, laws=("edge", "exponential")))


def resting(rng: np.random.Generator) -> PoreMovie:
    """Return a movie of pores that do not change."""
    return pore_movie(rng, PoreMovieSettings(frames=20, laws=("static",), closed=(0.0, 0.0)))


#: Half the least dose; pores of more pixels than were learned from.
TRUST = Trust(
    stills(IMAGES),
    (PORE_DIAMETER, PORES_COVERED),
    shifted=(
        ("half the dose", stills(replace(IMAGES, contrast_to_noise=(0.35, 0.5)))),
        ("smaller pixels", stills(replace(IMAGES, radius_px=(70.0, 100.0)))),
    ),
    frames=800,
    fresh=800,
    farther=80,
)
RECIPE = Recipe(
    name="pores",
    title="Pores in thin films",
    task=Task(
        question="Where is the border of every pore, how large is its area, and how fast does it close?",
        needs=("pixel_nm",),
        answers=BORDER_ANSWERS,
        reference="doi:10.1088/1674-4926/43/8/081001",
    ),
    data=IMAGES,
    model=outlining("pore", weights="pores-1", least_px=64.0),
    objects=OutlinedObjects(kind="pore", least_diameter_px=6.0),
    summary=Outlined(),
    checks=(
        pore_dice(MOVIES, at_least=0.95),
        pore_hausdorff(MOVIES, at_most=3.0),
        closing_rate_error(closing, at_most=0.05, count=24),
        area_flicker(resting, at_most=0.01),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    training=TrainSettings(steps=1200, reuse=4, learning_rate=3e-3),
    begins_from="particles-1",
)
