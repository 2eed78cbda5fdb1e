"""Where the atoms around a silicon are in graphene: two ways at a straight edge, three in the sheet.

Places [y, x] in nm from the silicon, as `structures.relaxed` gives them, with a vector of the lattice along x; atoms
within 0.46 nm. Turned by multiples of 60 degrees and mirrored they give all ways of being there. Silicon with three and
four neighbours: doi:10.1103/PhysRevLett.109.206803; at edges and beside turned bonds: doi:10.1002/adfm.201904480.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Names of the states: two bonds at a zigzag or an armchair edge; three, four bonds in the sheet; three, in a pentagon
#: and two heptagons.
STATES = ("zigzag", "armchair", "bulk-3", "bulk-4", "bulk-57")

_NM: Mapping[str, tuple[tuple[float, float], ...]] = {
    "zigzag": (
        (-0.092, -0.130),
        (-0.092, 0.130),
        (-0.023, -0.254),
        (-0.023, 0.254),
        (-0.234, 0.124),
        (-0.234, -0.124),
        (-0.304, 0.000),
        (-0.095, -0.374),
        (-0.095, 0.374),
        (-0.307, -0.247),
        (-0.307, 0.247),
        (-0.237, -0.371),
        (-0.237, 0.371),
        (-0.447, 0.000),
    ),
    "armchair": (
        (-0.159, 0.016),
        (0.071, 0.144),
        (0.212, 0.146),
        (-0.220, 0.144),
        (-0.003, 0.266),
        (0.283, 0.023),
        (-0.146, 0.266),
        (0.282, 0.269),
        (-0.361, 0.146),
        (0.067, 0.390),
        (0.425, 0.023),
        (-0.432, 0.023),
        (0.210, 0.391),
        (-0.217, 0.390),
    ),
    "bulk-3": (
        (0.155, 0.000),
        (-0.078, 0.135),
        (-0.078, -0.135),
        (0.218, 0.126),
        (0.218, -0.126),
        (0.000, 0.252),
        (0.000, -0.252),
        (-0.218, -0.126),
        (-0.218, 0.126),
        (0.143, -0.247),
        (0.143, 0.247),
        (-0.285, 0.000),
        (0.359, 0.124),
        (-0.072, -0.373),
        (-0.072, 0.373),
        (0.359, -0.124),
        (-0.287, -0.249),
        (-0.287, 0.249),
        (0.214, 0.370),
        (0.214, -0.370),
        (-0.428, 0.000),
        (0.429, 0.000),
        (-0.214, -0.371),
        (-0.214, 0.371),
    ),
    "bulk-4": (
        (0.050, -0.180),
        (-0.181, -0.047),
        (-0.050, 0.180),
        (0.181, 0.047),
        (-0.261, 0.069),
        (0.190, -0.191),
        (-0.190, 0.191),
        (0.261, -0.069),
        (0.029, 0.299),
        (0.244, 0.175),
        (-0.244, -0.175),
        (-0.029, -0.299),
        (0.172, 0.298),
        (-0.172, -0.299),
        (-0.399, 0.066),
        (0.256, -0.313),
        (-0.256, 0.313),
        (0.399, -0.065),
        (-0.388, -0.180),
        (0.038, -0.426),
        (0.388, 0.180),
        (-0.038, 0.426),
    ),
    "bulk-57": (
        (-0.127, 0.073),
        (0.010, -0.156),
        (0.140, 0.069),
        (0.148, -0.167),
        (0.219, -0.044),
        (-0.123, 0.213),
        (-0.246, 0.000),
        (0.191, 0.202),
        (-0.079, -0.266),
        (-0.033, 0.325),
        (-0.298, -0.134),
        (0.113, 0.323),
        (-0.224, -0.259),
        (-0.330, 0.109),
        (-0.259, 0.231),
        (0.210, -0.288),
        (0.355, -0.037),
        (-0.014, -0.394),
        (0.335, 0.209),
        (0.129, -0.403),
        (0.414, 0.090),
        (0.349, -0.283),
        (0.420, -0.161),
    ),
}


def templates() -> Mapping[str, NDArray[np.float64]]:
    """Return the places (N, 2) of the carbon atoms of every state, the nearest first."""
    return {name: np.array(places).reshape(-1, 2) for name, places in _NM.items()}
