"""Microstructure of steels: constituents, phase fractions, particle sizes.   doi:10.1038/s41598-018-20037-5"""

from micrograph.core import Task
from micrograph.features.metallography.microstructure import Microstructure
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate.steels.carbides import CarbideRanges
from micrograph.simulate.steels.metallography import CONSTITUENTS, PARTICLE, MetallographySampler, Seeing
from micrograph.track.micrographs import ANSWERS, Micrographs
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.steels.drawn_steels import DrawnSteels
from micrograph.validate.steels.label_flips import flip_loss
from micrograph.validate.steels.microstructure_checks import (
    calibration_error,
    clear_error,
    denuded_error,
    mean_overlap,
    object_vote,
    share_error,
    size_bias,
    sizes_agree,
    strange_auroc,
    vote_gain,
)
from micrograph.validate.steels.microstructure_trials import SteelTrial, lattice, noise
from micrograph.validate.steels.steel_claims import FRACTION, steels

MODEL = NetSpec(
    heads=tuple(Head(name, "region") for name in (*CONSTITUENTS, PARTICLE)),
    base=16,
    levels=4,
    fold=2,
    pixel_nm=None,
    patch=160,
    least_px=6.0,
    weights="microstructure-1",
)

#: Steels that were never trained on, of the same kinds.
LOW = SteelTrial("low-carbon steel", MetallographySampler(side_px=320, high_carbon=0.0), 36)
HIGH = SteelTrial(
    "ultrahigh-carbon steel",
    MetallographySampler(
        side_px=320,
        high_carbon=1.0,
        carbides=CarbideRanges(diameter_px=(5.0, 10.0), covered=(0.14, 0.28), denuded_px=(8.0, 24.0), whole=0.0),
    ),
    50,
)
#: Beyond what was learned from: half the least dose, a wider probe, smaller islands, narrower particles and zones.
_DIM = Seeing(electrons_per_px=(50.0, 100.0), probe_px=(2.2, 2.6), light=0.0)
LOW_DIM = SteelTrial(
    "low-carbon, half the dose, smaller islands",
    MetallographySampler(side_px=320, high_carbon=0.0, islands_px=(45.0, 60.0), seeing=_DIM),
    14,
)
HIGH_DIM = SteelTrial(
    "ultrahigh-carbon, half the dose, other sizes",
    MetallographySampler(
        side_px=320,
        high_carbon=1.0,
        carbides=CarbideRanges(
            diameter_px=(5.0, 10.0), spread=(0.45, 0.5), covered=(0.14, 0.28), denuded_px=(28.0, 34.0), whole=0.0
        ),
        seeing=_DIM,
    ),
    16,
)
#: By other algorithms: grains, lamellae, laths, particles, light and noise.
LOW_DRAWN = SteelTrial("low-carbon, other simulator", DrawnSteels(high_carbon=0.0), 16)
HIGH_DRAWN = SteelTrial("ultrahigh-carbon, other simulator", DrawnSteels(high_carbon=1.0), 16)

#: Steels of both kinds; seen as dimly as nothing that was learned from; made by other algorithms.
TRUST = Trust(
    steels(MetallographySampler()),
    (FRACTION,),
    shifted=(
        ("half the dose", steels(MetallographySampler(seeing=_DIM))),
        ("other simulator", steels(DrawnSteels())),
    ),
    frames=300,
    fresh=300,
    farther=60,
)
RECIPE = Recipe(
    name="microstructure",
    title="Microstructure of steels",
    task=Task(
        question="Which constituents make up this steel, in what shares, and how large are its particles?",
        needs=("pixel_nm",),
        answers=ANSWERS,
        reference="doi:10.1038/s41598-018-20037-5",
    ),
    data=MetallographySampler(),
    model=MODEL,
    objects=Microstructure(),
    summary=Micrographs(),
    checks=(
        object_vote(LOW, at_least=0.94),
        vote_gain(LOW),
        mean_overlap(LOW, at_least=0.75),
        flip_loss(MetallographySampler(high_carbon=0.0), at_most=2.0),
        share_error(LOW, at_most=0.05),
        calibration_error(LOW, at_most=0.05),
        sizes_agree(HIGH, at_least=0.9),
        size_bias(HIGH, at_most=0.03),
        denuded_error(HIGH, at_most=0.05),
        clear_error(HIGH, at_most=0.05),
        mean_overlap(HIGH, at_least=0.75),
        calibration_error(HIGH, at_most=0.05),
        strange_auroc(HIGH, (("noise", noise), ("a lattice", lattice)), at_least=0.95),
        object_vote(LOW_DIM, at_least=0.85),
        mean_overlap(LOW_DIM, at_least=0.65),
        sizes_agree(HIGH_DIM, at_least=0.7),
        size_bias(HIGH_DIM, at_most=0.06),
        denuded_error(HIGH_DIM, at_most=0.1),
        clear_error(HIGH_DIM, at_most=0.1),
        object_vote(LOW_DRAWN, at_least=0.8),
        mean_overlap(LOW_DRAWN, at_least=0.6),
        sizes_agree(HIGH_DRAWN, at_least=0.7),
        size_bias(HIGH_DRAWN, at_most=0.06),
        denuded_error(HIGH_DRAWN, at_most=0.1),
        clear_error(HIGH_DRAWN, at_most=0.1),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    training=TrainSettings(steps=1000, reuse=6, learning_rate=3e-3, calibration_samples=300),
    begins_from="particles-1",
)
