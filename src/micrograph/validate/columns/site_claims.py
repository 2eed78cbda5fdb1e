"""What is claimed of columns: where they are."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.validate.claims import Claim, Tables
from micrograph.validate.metrics import match
from micrograph.validate.trials import is_empty

Array = NDArray[np.float64]

#: A found column this near (nm) to a true one is that one: many times the error, less than half of any distance.
_REACH_NM = 0.07


def place(axis: str, sample: Sample, tables: Tables) -> Array:
    """Return the true row (`axis` 'y') or column position (nm) of each found column, NaN where there is none."""
    objects, sites = tables["objects"], sample.sites[~is_empty(sample.sites.label)]
    pairs = match(sites.y_nm, sites.x_nm, objects["y_nm"], objects["x_nm"], _REACH_NM)
    truth = np.full(len(objects), np.nan)
    truth[pairs.found] = (sites.y_nm if axis == "y" else sites.x_nm)[pairs.true]
    return truth


#: Row and column positions.
POSITIONS = tuple(
    Claim(
        "objects",
        f"{axis}_nm",
        functools.partial(place, axis),
        scale=(f"{axis}_sigma_nm", "score"),
        sigma=f"{axis}_sigma_nm",
    )
    for axis in ("y", "x")
)
