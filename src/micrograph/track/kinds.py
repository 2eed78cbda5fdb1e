"""Kinds of objects that nobody has named: classes of crops from all over a movie, as likelihoods for every crop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column
from micrograph.features.layers.classes import LEAST, classes
from micrograph.features.layers.crops import Crops, Disc, Sampled
from micrograph.features.layers.folding import permutations

Array = NDArray[np.float64]

#: What the table 'classes' promises.
CLASSES = (
    Column("class", "", "number of the class, the largest first"),
    Column("count", "", "crops in it"),
    Column("share", "", "its share of all crops"),
    Column("stability", "", "lowest agreement (adjusted Rand index) of the classes with those from other starts"),
)
#: What the table 'averages' promises: mean crops on one grid.
AVERAGES = (
    Column("class", "", "number of the class"),
    Column("y_nm", "nm", "row position from the defect"),
    Column("x_nm", "nm", "column position from the defect"),
    Column("intensity", "", "mean brightness; 0 is the dark level of its frames, 1 the bright one"),
)
_STEP_NM = 0.02
#: A crop's number among all: its frame times this, and its row in that frame.
ROWS_A_FRAME = 1_000_000


@dataclass(frozen=True)
class Kinds:
    """Classes of crops: tables 'classes' and 'averages', names (K,), p (N, K) of the crops `source` (N,)."""

    tables: Mapping[str, pd.DataFrame]
    names: tuple[str, ...]
    source: NDArray[np.int64]
    p: Array

    def likelihood(self, frame: NDArray[np.int64], row: NDArray[np.int64]) -> Array:
        """Return the likelihood (M, K) of the kinds of objects by frame and row in it; ones where there is no crop."""
        prior = np.maximum(self.p.mean(axis=0), 1e-6) if len(self.p) else np.ones(len(self.names))
        found = np.ones((len(frame), len(self.names)))
        order = np.argsort(self.source)
        wanted = frame.astype(np.int64) * ROWS_A_FRAME + row
        place = np.searchsorted(self.source[order], wanted)
        known = place < len(order)
        known[known] = self.source[order][place[known]] == wanted[known]
        found[known] = np.maximum(self.p[order[place[known]]], 1e-6) / prior
        return found


def kinds(sample: Sampled, group: str, prefix: str = "kind") -> Kinds:
    """Return the classes of the sampled crops after folding by a point group; one class where they are few."""
    crops = sample.crops
    if len(crops) < LEAST:
        one = np.ones((len(crops), 1))
        return Kinds(_tables(crops, (f"{prefix}-1",), one, crops.values, 1.0), (f"{prefix}-1",), crops.source, one)
    found = classes(crops.values, permutations(crops.disc, group), np.random.default_rng(0), disc=crops.disc)
    names = tuple(f"{prefix}-{number + 1}" for number in range(found.p.shape[1]))
    return Kinds(_tables(crops, names, found.p, found.values, found.stability), names, crops.source, found.p)


def _tables(
    crops: Crops, names: tuple[str, ...], p: Array, values: NDArray[np.float32], stability: float
) -> dict[str, pd.DataFrame]:
    label = p.argmax(axis=1) if len(p) else np.zeros(0, np.intp)
    size = np.bincount(label, minlength=len(names))
    if len(crops) == 0:
        names, size = (), size[:0]
    total = max(int(size.sum()), 1)
    table = pd.DataFrame(
        {"class": pd.Series(list(names), dtype=str), "count": size, "share": size / total, "stability": stability}
    )
    return {"classes": table, "averages": _averages(crops.disc, names, p, values)}


def _averages(disc: Disc, names: tuple[str, ...], p: Array, values: NDArray[np.float32]) -> pd.DataFrame:
    pieces = [pd.DataFrame({"class": pd.Series(dtype=str), "y_nm": [], "x_nm": [], "intensity": []})]
    for k, name in enumerate(names):
        picture = disc.picture(p[:, k] @ values / max(float(p[:, k].sum()), 1e-12), _STEP_NM)
        half = picture.shape[0] // 2
        y, x = np.mgrid[-half : half + 1, -half : half + 1] * _STEP_NM
        columns = {"class": name, "y_nm": y.ravel(), "x_nm": x.ravel(), "intensity": picture.ravel()}
        pieces.append(pd.DataFrame(columns))
    return pd.concat(pieces[1:], ignore_index=True) if len(pieces) > 1 else pieces[0]
