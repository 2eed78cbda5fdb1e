"""Movies of which many frames were coded into one, decoded again.   doi:10.1016/j.patter.2021.100292"""

from micrograph.core import Task
from micrograph.features.restoring.coded_tables import FRAMES, ROWS, SUMMARY, DecodedRows, DecodedSummary
from micrograph.infer.coded import CodedMovies
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.validate.restoring.coded_checks import (
    CodedTrial,
    decoded_psnr,
    decoding_seconds,
    over_jpeg,
    over_tv,
    particles_lost,
    stated_sigma,
)
from micrograph.validate.restoring.coded_scenes import Scenes

TEN, TWENTY, THIRTY = (CodedTrial(f"{together} in one", together) for together in (10, 20, 30))
SOME = ("etching", "chaining", "diffusing", "pores", "drifting lattice")
#: Half the electrons; motion three times as fast.
FEWER = CodedTrial("20 in one, half the dose", 20, SOME, Scenes(frames=40, electrons=(2.5, 5.0, 10.0)), same="fewer")
FASTER = CodedTrial("20 in one, three times as fast", 20, SOME, Scenes(frames=40, pace=3.0), same="faster")

RECIPE = Recipe(
    name="compressed-movie",
    title="Movies decoded from coded frames",
    task=Task(
        question="What did each frame of a movie show, of which many frames were summed through masks into one?",
        needs=(),
        answers={"objects": FRAMES, "frames": ROWS, "summary": SUMMARY},
        reference="doi:10.1016/j.patter.2021.100292",
        takes=("coded",),
    ),
    data=CodedMovies(),
    model=NoNet(),
    objects=DecodedRows(),
    summary=DecodedSummary(),
    checks=(
        decoded_psnr(TEN, at_least=30.0),
        decoded_psnr(TWENTY, at_least=27.0),
        decoded_psnr(THIRTY, at_least=25.0),
        over_tv(TEN, at_least=2.0),
        over_tv(TWENTY, at_least=2.0),
        over_tv(THIRTY, at_least=2.0),
        over_jpeg(TEN, at_least=0.0),
        over_jpeg(TWENTY, at_least=0.0),
        over_jpeg(THIRTY, at_least=0.0),
        particles_lost(TWENTY, at_most=2.0),
        stated_sigma(TWENTY, at_most=1.25),
        decoded_psnr(FEWER, at_least=25.0),
        over_tv(FEWER, at_least=1.0),
        decoded_psnr(FASTER, at_least=23.0),
        over_tv(FASTER, at_least=1.0),
        decoding_seconds(at_most_s=1.0),
    ),
    images=("image",),
)
