"""Carbon atoms far from silicon as probes: their three bonds are equal, so any difference stated is a false alarm.

They go through the very steps of silicon, relabelled, and there are many of them in every movie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.crystal import crystal_of, with_strain
from micrograph.features.layers.bond_sites import SAME_SITE_NM, site_tables
from micrograph.features.layers.bonds import bonds_of
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.simulate import Movie

Array = NDArray[np.float64]

#: Nearer than this to silicon the bonds of carbon differ; nearer to the border a probe may lack a neighbour.
_FAR_NM, _INSET_NM = 0.75, 0.4
#: Probes are at least so far from each other: none is bonded to another.
_APART_NM = 0.2


def probe_p(movie: Movie, tables: Mapping[str, DataFrame], most: int = 14) -> Array:
    """Return the p-values (M,) that equal bonds get at most `most` carbon atoms of a movie, 1 for one not found.

    tables: 'objects' and 'drift' as recipe dopant-motion gives them.
    """
    place = _probes(movie, most)
    found = np.ones(len(place))
    if len(place) == 0:
        return found
    sites = _sites(tables, place)
    for k in range(len(place)):
        mine = sites[sites["track"] == k]
        if len(mine):
            found[k] = float(mine["asymmetry_p"].to_numpy()[mine["frames"].to_numpy().argmax()])
    return found


def _probes(movie: Movie, most: int) -> Array:
    """Return places (M, 2) nm of carbon atoms in the first frame, inside of the field and far from silicon."""
    assert movie.sites is not None
    atoms = movie.sites(0)
    place = np.column_stack([atoms.y_nm, atoms.x_nm])
    silicon = place[atoms.label == "Si"]
    far = np.ones(len(place), dtype=bool)
    if len(silicon):
        far = np.hypot(*(place[:, None] - silicon).transpose(2, 0, 1)).min(axis=1) > _FAR_NM
    inside = ((place > _INSET_NM) & (place < place.max(axis=0) - _INSET_NM)).all(axis=1)
    chosen = np.empty((0, 2))
    for at in place[far & inside & (atoms.label == "C")]:
        if len(chosen) < most and (np.hypot(*(chosen - at).T) > _APART_NM).all():
            chosen = np.vstack([chosen, at])
    return chosen


def _sites(tables: Mapping[str, DataFrame], place: Array) -> DataFrame:
    """Return the table 'sites' of the probes at `place`, track k being probe k, by the steps that silicon goes."""
    import pandas as pd

    drift = tables["drift"].set_index("frame")[["drift_y_nm", "drift_x_nm"]]
    pieces = [
        _bonds(objects.reset_index(drop=True), place, drift.loc[frame].to_numpy(float))
        for frame, objects in tables["objects"].groupby("frame")
    ]
    return site_tables(pd.concat(pieces, ignore_index=True))["sites"]


def _bonds(table: DataFrame, place: Array, drift: Array) -> DataFrame:
    """Return the bonds of the probes that are found in one frame."""
    crystal = crystal_of(table, "hexagonal")
    off = np.hypot(*((table[["y_nm", "x_nm"]].to_numpy(float) - drift)[:, None] - place).transpose(2, 0, 1))
    row = off.argmin(axis=0)
    hit = np.flatnonzero(off[row, np.arange(len(place))] < SAME_SITE_NM)
    label = np.full(len(table), "C", dtype=object)
    label[row[hit]] = "probe"
    graph = neighbours(crystal.y_nm, crystal.x_nm, CUTOFFS_NM["C", "C"], sigma_nm=crystal.sigma_nm)
    bonds = bonds_of(with_strain(table.assign(**{"class": label}), crystal), crystal, graph)
    number = np.zeros(len(table), dtype=np.intp)
    number[row[hit]] = hit
    track = number[bonds["dopant"].to_numpy(np.intp)]
    return bonds.assign(track=track, y_sample_nm=place[track, 0], x_sample_nm=place[track, 1])
