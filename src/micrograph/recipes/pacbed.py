"""Thickness and tilt of a crystal from convergent-beam (PACBED) patterns.   doi:10.1016/j.ultramic.2018.03.004"""

from dataclasses import replace

from micrograph.core import Task
from micrograph.features.diffraction.pattern_tables import FITTED, PATTERNS, SUMMARY, PatternRow, PatternSummary
from micrograph.infer.patterns import PatternLibrary
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.diffraction.pattern_checks import (
    PatternTrial,
    foreign_patterns,
    interval_coverage,
    over_bound,
    thickness_error,
    tilt_error,
)
from micrograph.validate.diffraction.pattern_claims import THICKNESS, TILTS, patterns

THIN = PatternTrial("5 to 40 nm", (5.0, 40.0))
THICK = PatternTrial("40 to 100 nm", (40.0, 100.0))
FEW = PatternTrial("5 to 100 nm, 1e4 electrons", (5.0, 100.0), electrons=1e4, each=8)
OTHER_THIN = PatternTrial("5 to 40 nm, frozen phonons", (5.0, 40.0), (13.6, 19.1), each=10, other=True)
OTHER_THICK = PatternTrial("40 to 100 nm, frozen phonons", (40.0, 100.0), (13.6, 19.1), each=4, other=True)
SILICON = PatternTrial("silicon [110], 5 to 40 nm", (5.0, 40.0), (10.0,), each=24, crystal=("Si", "110"))

OWN = PatternTrial("5 to 100 nm", (5.0, 100.0))
TRUST = Trust(
    patterns(OWN),
    (THICKNESS, *TILTS),
    shifted=(
        ("half the dose", patterns(replace(OWN, electrons=5e4))),
        ("twice the tilt", patterns(replace(OWN, tilt_mrad=8.0))),
    ),
    frames=600,
    fresh=600,
    farther=40,
)
RECIPE = Recipe(
    name="pacbed",
    title="Thickness and tilt from convergent-beam patterns",
    task=Task(
        question="How thick is the crystal, and how is it tilted, in each pattern or all over a 4D-STEM scan?",
        needs=("voltage_kV", "convergence_mrad"),
        answers={"objects": PATTERNS, "frames": FITTED, "summary": SUMMARY},
        reference="doi:10.1016/j.ultramic.2018.03.004",
        takes=("image", "scan"),
    ),
    data=PatternLibrary(),
    model=NoNet(),
    objects=PatternRow(),
    summary=PatternSummary(),
    checks=(
        thickness_error(THIN, at_most=1.0),
        thickness_error(THICK, at_most=2.0),
        tilt_error(THIN, at_most=0.5),
        tilt_error(THICK, at_most=0.5),
        over_bound(THIN, at_most=2.0),
        over_bound(THICK, at_most=2.0),
        interval_coverage(THIN, at_least=0.95),
        interval_coverage(THICK, at_least=0.95),
        thickness_error(FEW, at_most=2.0),
        thickness_error(OTHER_THIN, at_most=1.0),
        thickness_error(OTHER_THICK, at_most=2.0),
        interval_coverage(OTHER_THIN, at_least=0.95),
        thickness_error(SILICON, at_most=1.0),
        tilt_error(SILICON, at_most=0.5),
        foreign_patterns(THIN, at_least=0.95),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
)
