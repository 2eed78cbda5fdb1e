"""What sits on every site of a sublattice: classes by the likelihood of the intensities, written into the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.columns.species import Species, classify

_UNFIT = int(Flag.LOW_CONFIDENCE | Flag.EDGE)


#: Column that `occupied` adds.
CLASS_P = Column("class_p", "", "posterior probability of the class if there is a site; 0 if it was not measured")


def occupied(table: pd.DataFrame, rows: NDArray[np.bool_], species: Sequence[Species]) -> pd.DataFrame:
    """Return `table` with class and score of the given rows (one sublattice, ``species[0]`` its host) replaced.

    The column `CLASS_P` becomes the posterior of the class, the score the network's score times it. An intensity that
    fits no class, or that could not be measured, sets LOW_CONFIDENCE.
    """
    intensity, sigma = table["intensity"].to_numpy(), table["intensity_sigma"].to_numpy()
    label, score = np.array(table["class"], dtype=object), np.array(table["score"], dtype=float)
    known = CLASS_P.name in table
    posterior = table[CLASS_P.name].to_numpy(copy=True) if known else np.zeros(len(table))
    flags = np.array(table["flags"], dtype=np.int64)
    usable = rows & np.isfinite(intensity) & np.isfinite(sigma) & (sigma > 0)
    clean = usable & ((flags & _UNFIT) == 0)
    learned = classify(intensity[clean], sigma[clean], species) if clean.any() else None
    label[rows], doubtful = species[0].label, rows.copy()
    if learned is not None and np.isfinite(learned.host_intensity):
        found = classify(intensity[usable], sigma[usable], species, learned=learned)
        label[usable] = found.label
        score[usable] *= found.score
        posterior[usable] = found.score
        doubtful[usable] = ~found.typical
    flags[doubtful] |= int(Flag.LOW_CONFIDENCE)
    new: dict[str, Any] = {"class": pd.Series(label, table.index, dtype=str), "score": score, "flags": flags}
    return table.assign(**new, **{CLASS_P.name: posterior})
