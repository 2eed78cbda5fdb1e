"""What is claimed of dumbbells: how far apart their columns are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.validate.claims import Claim, Tables
from micrograph.validate.metrics import match

Array = NDArray[np.float64]

#: The columns of a dumbbell are nearer to each other than this share of the distance to the next column.
_PAIRED = 0.75
_REACH_NM = 0.05


def separation(sample: Sample, tables: Tables) -> Array:
    """Return the distance (nm) of the two true columns of each found dumbbell, NaN where there is none."""
    from scipy.spatial import cKDTree

    objects, place = tables["objects"], np.column_stack([sample.sites.y_nm, sample.sites.x_nm])
    truth = np.full(len(objects), np.nan)
    if len(place) < 3:
        return truth
    distance, near = map(np.asarray, cKDTree(place).query(place, k=3))
    partner, rows = near[:, 1], np.arange(len(place))
    first = rows[(partner[partner] == rows) & (rows < partner) & (distance[:, 1] < _PAIRED * distance[:, 2])]
    middle = (place[first] + place[partner[first]]) / 2
    pairs = match(middle[:, 0], middle[:, 1], objects["y_nm"], objects["x_nm"], _REACH_NM)
    truth[pairs.found] = distance[first[pairs.true], 1]
    return truth


SEPARATION = Claim(
    "objects",
    "separation_nm",
    separation,
    scale=("separation_sigma_nm", "score"),
    sigma="separation_sigma_nm",
    least=0.0,
)
