"""Volumes of the elements of core-shell particles from a few noisy EDX maps.   doi:10.1038/s42256-020-00289-5"""

from micrograph.core import Task
from micrograph.features.volumes.shell_tables import (
    COMPOSITION,
    ELEMENTS,
    PARTICLES,
    SERIES,
    SUMMARY,
    VIEWS,
    ShellRows,
    ShellSummary,
)
from micrograph.infer.volumes import Tomography
from micrograph.nets import NoNet
from micrograph.run import Recipe, Result
from micrograph.run.recipe import EVERY_MAP
from micrograph.validate.spectra import edx_checks as checks


def write_turning_view(result: Result) -> None:
    """Write the volumes of a finished run as ``volume.gif``, seen from all sides about the tilt axis."""
    import numpy as np

    from micrograph.draw.volumes import write_turning
    from micrograph.features.volumes.projector import Projector

    found = result.preview()
    if found is None or not found.maps:
        return
    step = max(1, -(-max(next(iter(found.maps.values())).shape) // 96))
    views = {}
    for name, volume in found.maps.items():
        some = np.ascontiguousarray(volume[::step, ::step, ::step])
        depth, _, width = some.shape
        views[name] = Projector(tuple(float(turn) for turn in range(0, 360, 10)), width, depth).forward(some)
    write_turning(result.folder / "volume.gif", views, found.pixel_nm * step)


RECIPE = Recipe(
    name="edx-tomography",
    title="EDX tomography of core-shell particles",
    task=Task(
        question="Where are the elements in three dimensions, how thick are the shells, and what do core and shell "
        "consist of?",
        needs=("pixel_nm",),
        answers={
            "objects": PARTICLES,
            "frames": SERIES,
            "composition": COMPOSITION,
            "views": VIEWS,
            "elements": ELEMENTS,
            "summary": SUMMARY,
        },
        reference="doi:10.1038/s42256-020-00289-5",
        takes=("elements",),
    ),
    data=Tomography(),
    model=NoNet(),
    objects=ShellRows(),
    summary=ShellSummary(),
    checks=(
        checks.shell_error(checks.DOTS13, at_most=0.5),
        checks.composition_error(checks.DOTS13, at_most=0.1),
        checks.structural_likeness(checks.DOTS13, at_least=0.85),
        checks.gain_over_sirt(checks.DOTS13, at_least=3.0),
        checks.gain_over_variation(checks.DOTS13, at_least=1.0),
        checks.misfit(checks.DOTS13, at_most=0.1),
        checks.shell_error(checks.DOTS7, at_most=0.7),
        checks.structural_likeness(checks.DOTS7, at_least=0.85),
        checks.gain_over_sirt(checks.DOTS7, at_least=3.0),
        checks.gain_over_variation(checks.DOTS7, at_least=1.0),
        checks.shell_error(checks.DOTS5, at_most=1.0),
        checks.structural_likeness(checks.DOTS5, at_least=0.85),
        checks.gain_over_sirt(checks.DOTS5, at_least=3.0),
        checks.gain_over_variation(checks.DOTS5, at_least=1.0),
        checks.shell_error(checks.FAINT, at_most=0.7),
        checks.gain_over_variation(checks.FAINT, at_least=0.5),
        checks.shell_error(checks.ELLIPSOIDS, at_most=0.7),
        checks.gain_over_variation(checks.ELLIPSOIDS, at_least=0.5),
        checks.false_shells(checks.ALLOYS, at_most=0.3),
    ),
    files=write_turning_view,
    images=EVERY_MAP,
)
