"""Particles of any size and contrast, sorted by shape without a single label.   doi:10.1021/jacsau.0c00030"""

from dataclasses import replace

from micrograph.core import Task
from micrograph.features.objects.outlined import OutlinedObjects
from micrograph.nets import outlining
from micrograph.run import Recipe
from micrograph.simulate import ParticleSampler
from micrograph.track.answers import SHAPE_ANSWERS
from micrograph.track.population import Population
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.objects.particle_checks import detection_f1, foreign_auroc, size_bias
from micrograph.validate.objects.particle_claims import COVERED, DIAMETER, scenes
from micrograph.validate.objects.particle_multislice import MultisliceParticles
from micrograph.validate.objects.particle_scenes import Trial
from micrograph.validate.objects.shape_checks import Mixtures, shape_ari, share_error

#: Fields that were never trained on: sizes, overlaps of up to 40 %, either contrast, supports with speckle.
FIELDS = ParticleSampler(
    side_px=384,
    diameter_px=(16.0, 48.0),
    covered=(0.08, 0.3),
    gaps=("apart", "close", "overlapping"),
    shapes=("sphere", "rod", "cube", "triangle"),
    texture=0.2,
    slope=0.5,
    empty=0.0,
)
CLEAR = Trial("contrast to noise 2 to 6", replace(FIELDS, contrast_to_noise=(2.0, 6.0)), 60)
FAINT = Trial("contrast to noise 1", replace(FIELDS, contrast_to_noise=(1.0, 1.001)), 80)
MIXED = Mixtures(
    "four of them",
    replace(
        FIELDS,
        kinds=FIELDS.shapes,
        contrast_to_noise=(2.5, 6.0),
        diameter_px=(28.0, 28.01),
        covered=(0.12, 0.2),
        pixel_nm=(0.5, 0.501),
        bright=0.0,
        liquid=0.0,
    ),
    4,
    15,
)
#: Half the least dose; particles of more pixels than were learned from.
TRUST = Trust(
    scenes(ParticleSampler().scene),
    (DIAMETER, COVERED),
    shifted=(
        ("half the dose", scenes(ParticleSampler(contrast_to_noise=(0.42, 0.6)).scene)),
        ("smaller pixels", scenes(ParticleSampler(diameter_px=(72.0, 110.0)).scene)),
    ),
    frames=800,
    fresh=800,
    farther=60,
)

RECIPE = Recipe(
    name="particle-shapes",
    title="Particles: sizes and shapes",
    task=Task(
        question="How many particles of which sizes and shapes are there, in stills or over time?",
        needs=("pixel_nm",),
        answers=SHAPE_ANSWERS,
        reference="doi:10.1021/jacsau.0c00030",
    ),
    data=ParticleSampler(),
    model=outlining("particle", weights="particles-1"),
    objects=OutlinedObjects(),
    summary=Population(),
    checks=(
        detection_f1(CLEAR, at_least=0.97),
        detection_f1(FAINT, at_least=0.90),
        detection_f1(Trial("gold by multislice", MultisliceParticles(), 12), at_least=0.97),
        size_bias(replace(CLEAR, images=140), at_most=0.5),
        shape_ari(MIXED, at_least=0.90),
        share_error(MIXED, at_most=0.03),
        foreign_auroc(CLEAR, at_least=0.95),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    training=TrainSettings(steps=2400, reuse=6),
)
