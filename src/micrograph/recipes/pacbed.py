"""Thickness and tilt of a crystal from convergent-beam (PACBED) patterns.   doi:10.1016/j.ultramic.2018.03.004"""

from micrograph.core import Task
from micrograph.features.pattern_tables import PATTERNS, SUMMARY, PatternRow, PatternSummary
from micrograph.infer.patterns import PatternLibrary
from micrograph.nets import NoNet
from micrograph.run import Recipe

RECIPE = Recipe(
    name="pacbed",
    title="Thickness and tilt from convergent-beam patterns",
    task=Task(
        question="How thick is the crystal, and how is it tilted, in each pattern or all over a 4D-STEM scan?",
        needs=("voltage_kV", "convergence_mrad"),
        answers={"objects": PATTERNS, "summary": SUMMARY},
        reference="doi:10.1016/j.ultramic.2018.03.004",
    ),
    data=PatternLibrary(),
    model=NoNet(),
    objects=PatternRow(),
    summary=PatternSummary(),
)
