"""What sits on every site of a sublattice: classes by the likelihood of the intensities, written into the table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.features.species import Species, classify

_UNFIT = int(Flag.LOW_CONFIDENCE | Flag.EDGE)


def occupied(table: pd.DataFrame, rows: NDArray[np.bool_], species: Sequence[Species]) -> pd.DataFrame:
    """Return `table` with class and score of the given rows (one sublattice, ``species[0]`` its host) replaced.

    The score becomes the network's score times the posterior of the class. An intensity that fits no class, or that
    could not be measured, sets LOW_CONFIDENCE.
    """
    changed = table.copy()
    intensity, sigma = table["intensity"].to_numpy(), table["intensity_sigma"].to_numpy()
    usable = rows & np.isfinite(intensity) & np.isfinite(sigma) & (sigma > 0)
    clean = usable & ((table["flags"].to_numpy(np.int64) & _UNFIT) == 0)
    learned = classify(intensity[clean], sigma[clean], species) if clean.sum() else None
    if learned is None or not np.isfinite(learned.host_intensity):
        changed.loc[rows, "class"] = species[0].label
        changed.loc[rows, "flags"] |= int(Flag.LOW_CONFIDENCE)
        return changed
    all_rows = classify(intensity[usable], sigma[usable], species, learned=learned)
    changed.loc[usable, "class"] = all_rows.label.astype(object)
    changed.loc[usable, "score"] = table["score"].to_numpy()[usable] * all_rows.score
    doubtful = rows & ~usable
    doubtful[np.flatnonzero(usable)[~all_rows.typical]] = True
    changed.loc[rows & ~usable, "class"] = species[0].label
    changed.loc[doubtful, "flags"] |= int(Flag.LOW_CONFIDENCE)
    return changed

