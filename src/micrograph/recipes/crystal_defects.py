"""Dislocations, precipitates and voids in diffraction-contrast images of a foil.   doi:10.1038/s41598-019-49105-0"""

from dataclasses import replace

from micrograph.core import Task
from micrograph.features.metallography.foil_summary import (
    FOIL_SUMMARY,
    LINE_DENSITY,
    SIZE_BINS,
    SWELLING,
    FoilDensities,
)
from micrograph.features.metallography.foil_tables import (
    DEFECT_BODIES,
    DEFECT_FRAMES,
    DEFECT_LINES,
    LINE_POINTS,
    CrystalDefects,
)
from micrograph.features.objects.outlined import OUTLINES
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate.foils.crystal_defect_sampler import DefectImages
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.foils.foil_checks import (
    FoilTrial,
    density_coverage,
    diameter_bias,
    length_error,
    mask_overlap,
    other_images,
    pixel_accuracy,
    score_error,
    seconds_an_image,
)
from micrograph.validate.foils.foil_claims import BODY_DIAMETER, LINE_LENGTH, foils
from micrograph.validate.foils.two_beam import TwoBeamImages

MODEL = NetSpec(
    heads=(Head("dislocation", "region"), Head("precipitate", "region"), Head("void", "region")),
    base=16,
    levels=4,
    fold=2,
    pixel_nm=None,
    patch=192,
    least_px=8.0,
    weights="crystal-defects-1",
)
FIELDS = DefectImages()
OWN = FoilTrial("new images", FIELDS, 64)
#: Half the dose; thicker foils, wider and narrower lines, steeper backgrounds than were learned from.
FARTHER = FoilTrial(
    "half the dose and beyond",
    replace(FIELDS, contrast_to_noise=(1.41, 8.5), line_px=(2.5, 13.0), thickness=(7.0, 10.0), tilted_background=0.5),
    32,
)
TWO_BEAM = FoilTrial("two-beam theory", TwoBeamImages(), 32)
#: Lines alone, whose mean length per area is known exactly.
PLANTED = FoilTrial("planted", replace(FIELDS, side_px=192, curves=(1.0, 0.0, 0.0)), 210)

#: Half the least dose; lines and bodies of more pixels than were learned from.
TRUST = Trust(
    foils(FIELDS.scene),
    (LINE_LENGTH, BODY_DIAMETER),
    shifted=(
        ("half the dose", foils(replace(FIELDS, contrast_to_noise=(1.41, 2.0)).scene)),
        (
            "smaller pixels",
            foils(replace(FIELDS, line_px=(11.0, 16.0), precipitate_px=(50.0, 75.0), void_px=(44.0, 66.0)).scene),
        ),
    ),
    frames=400,
    fresh=400,
    farther=80,
)
RECIPE = Recipe(
    name="crystal-defects",
    title="Defects in crystals",
    task=Task(
        question="How long are the dislocation lines, how large the precipitates and voids, and how dense are they?",
        needs=("pixel_nm",),
        answers={
            "objects": DEFECT_BODIES,
            "outlines": OUTLINES,
            "lines": DEFECT_LINES,
            "line_points": LINE_POINTS,
            "frames": DEFECT_FRAMES,
            "summary": FOIL_SUMMARY,
            "line_density": LINE_DENSITY,
            "swelling": SWELLING,
            "size_bins": SIZE_BINS,
        },
        reference="doi:10.1038/s41598-019-49105-0",
    ),
    data=FIELDS,
    model=MODEL,
    objects=CrystalDefects(),
    summary=FoilDensities(),
    checks=(
        pixel_accuracy(OWN, "dislocation", at_least=0.92),
        pixel_accuracy(OWN, "precipitate", at_least=0.94),
        pixel_accuracy(OWN, "void", at_least=0.99),
        mask_overlap(OWN, "dislocation", at_least=0.60),
        mask_overlap(OWN, "precipitate", at_least=0.75),
        mask_overlap(OWN, "void", at_least=0.80),
        length_error(OWN, at_most=0.10),
        diameter_bias(OWN, "precipitate", at_most=0.05),
        diameter_bias(OWN, "void", at_most=0.05),
        score_error(OWN, at_most=0.05),
        other_images(OWN, at_least=0.95),
        density_coverage(PLANTED, "dislocation", at_least=0.90),
        density_coverage(PLANTED, "precipitate", at_least=0.90),
        density_coverage(PLANTED, "void", at_least=0.90),
        mask_overlap(FARTHER, "dislocation", at_least=0.50),
        mask_overlap(FARTHER, "precipitate", at_least=0.65),
        mask_overlap(FARTHER, "void", at_least=0.70),
        length_error(FARTHER, at_most=0.20),
        mask_overlap(TWO_BEAM, "dislocation", at_least=0.45),
        mask_overlap(TWO_BEAM, "precipitate", at_least=0.65),
        mask_overlap(TWO_BEAM, "void", at_least=0.70),
        length_error(TWO_BEAM, at_most=0.20),
        diameter_bias(TWO_BEAM, "precipitate", at_most=0.10),
        diameter_bias(TWO_BEAM, "void", at_most=0.10),
        seconds_an_image(OWN, at_most=1.0),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    training=TrainSettings(steps=1600, reuse=6, learning_rate=3e-3),
    begins_from="particles-1",
)
