"""What is claimed of defects in a foil: length of the lines, diameters of precipitates and voids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.foils.crystal_defect_sampler import DefectScene
from micrograph.validate.claims import Claim, Draw, Drawn, Tables, still
from micrograph.validate.foils.foil_checks import FoilAnswer, bodies_of, is_whole

Array = NDArray[np.float64]


def foils(scene: Callable[[np.random.Generator], DefectScene]) -> Draw:
    """Return draws of single images of foils; the scene tells the truth."""

    def draw(rng: np.random.Generator) -> Drawn:
        drawn = scene(rng)
        return Drawn(still(drawn.image, drawn.foil.pixel_nm), drawn)

    return draw


def line_length(scene: DefectScene, tables: Tables) -> Array:
    """Return the projected length (nm) of all lines that are seen in the image, (1,)."""
    return np.array([scene.foil.length_px * scene.foil.pixel_nm])


def body_diameters(scene: DefectScene, tables: Tables) -> Array:
    """Return the diameter (nm) of the whole true body of its kind that each found one is, NaN where there is none."""
    answer, objects = FoilAnswer(scene, tables), tables["objects"].reset_index(drop=True)
    truth = np.full(len(objects), np.nan)
    for kind in ("precipitate", "void"):
        bodies, rows, nearest, near = bodies_of(answer, kind, objects)
        for row, body, known in zip(rows.index, nearest, near, strict=True):
            if known and is_whole(bodies[body], scene.foil.shape):
                truth[row] = bodies[body].diameter_px * scene.foil.pixel_nm
    return truth


LINE_LENGTH = Claim(
    "frames",
    "line_length_nm",
    line_length,
    scale=("line_length_nm", "width_nm"),
    sigma="line_length_sigma_nm",
    least=0.0,
)
BODY_DIAMETER = Claim(
    "objects",
    "equivalent_diameter_nm",
    body_diameters,
    scale=("equivalent_diameter_sigma_nm", "equivalent_diameter_nm", "score"),
    sigma="equivalent_diameter_sigma_nm",
    least=0.0,
)
