"""Element maps without the noise of counting, learned from the counts themselves.   doi:10.1038/s42256-020-00289-5"""

from micrograph.core import Task
from micrograph.features.spectra.map_tables import FRAMES, ROWS, SUMMARY, MapRows, MapSummary
from micrograph.infer.element_maps import ElementMaps
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.run.recipe import EVERY_MAP
from micrograph.validate.spectra import edx_checks as checks

RECIPE = Recipe(
    name="edx-denoise",
    title="Denoised element maps",
    task=Task(
        question="How many counts of each element are expected in each pixel, without the noise of counting?",
        needs=(),
        answers={"objects": ROWS, "frames": FRAMES, "summary": SUMMARY},
        reference="doi:10.1038/s42256-020-00289-5",
        takes=("elements", "image"),
    ),
    data=ElementMaps(),
    model=NoNet(),
    objects=MapRows(),
    summary=MapSummary(),
    checks=(
        checks.gain_over_classical(checks.MAPS, at_least=0.3),
        checks.gain_over_classical(checks.FAINT_MAPS, at_least=0.0),
        checks.gain_over_classical(checks.LAYERS, at_least=0.0),
        checks.within_sigma(checks.MAPS, at_least=0.6),
        checks.counts_kept(checks.MAPS, at_most=0.001),
    ),
    images=EVERY_MAP,
)
