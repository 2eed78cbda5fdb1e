"""Images and movies without their noise, learned from the noise itself, no clean data.   doi:10.1109/CVPR.2019.00223"""

from micrograph.core import Task
from micrograph.features.restoring.restored import RESTORED, STRETCHES, SUMMARY, RestoredSummary, RestoredTables
from micrograph.infer.restoring import Denoiser
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.validate.restoring.denoise_checks import (
    DenoiseTrial,
    behind_supervised,
    correlation_told,
    defects_kept,
    gain,
    mean_kept,
    movie_gain,
    over_classical,
    seconds_a_frame,
    sigma_coverage,
)
from micrograph.validate.restoring.denoise_scenes import lattices, multislice

LEARNER = Denoiser()
LATTICES = DenoiseTrial("lattices, 10 e/px", lattices, LEARNER)
HALF = DenoiseTrial("lattices, 5 e/px", lattices, LEARNER, electrons=5.0)
OTHER = DenoiseTrial("multislice, 10 e/px", multislice, LEARNER)

RECIPE = Recipe(
    name="denoise",
    title="Denoised images and movies",
    task=Task(
        question="What does an image or a movie show without its noise, and how sure is each pixel of it?",
        needs=(),
        answers={"objects": STRETCHES, "frames": RESTORED, "summary": SUMMARY},
        reference="doi:10.1109/CVPR.2019.00223",
    ),
    data=LEARNER,
    model=NoNet(),
    objects=RestoredTables(),
    summary=RestoredSummary(),
    images=("denoised",),
    checks=(
        behind_supervised(LATTICES, at_most=2.0),
        behind_supervised(HALF, at_most=2.0),
        behind_supervised(OTHER, at_most=2.0),
        gain(LATTICES, at_least=3.0),
        gain(HALF, at_least=3.0),
        gain(OTHER, at_least=3.0),
        over_classical(LATTICES, at_least=0.0),
        over_classical(OTHER, at_least=0.0),
        sigma_coverage(LATTICES, at_least=0.9),
        sigma_coverage(OTHER, at_least=0.9),
        mean_kept(LATTICES, at_most=1e-3),
        defects_kept(LEARNER, 10.0, 3, at_least=0.0),
        defects_kept(LEARNER, 1.0, 4, at_least=0.0),
        movie_gain(LEARNER, at_least=1.0),
        correlation_told(at_least=0.9),
        seconds_a_frame(LEARNER, at_most_s=1.0),
    ),
)
