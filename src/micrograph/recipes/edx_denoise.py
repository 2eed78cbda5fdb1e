"""Element maps without the noise of counting, learned from the counts themselves.   doi:10.1038/s42256-020-00289-5"""

from micrograph.core import Task
from micrograph.features.map_tables import FRAMES, ROWS, SUMMARY, MapRows, MapSummary
from micrograph.infer.element_maps import ElementMaps
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.run.recipe import EVERY_MAP

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
    images=EVERY_MAP,
)
