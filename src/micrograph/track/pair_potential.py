"""How particles attract and repel each other: the pair distribution of their positions and the potential behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from micrograph.core import BadInput, Column
from micrograph.track.timeline import Array, position_columns

PAIR_POTENTIAL = (
    Column("r_nm", "nm", "distance of two centres"),
    Column("g", "", "pair distribution: pairs over those of independent particles", sigma="g_sigma"),
    Column("g_sigma", "", "1-sigma of it"),
    Column("u_kT", "kT", "pair potential -ln g, for dilute particles", sigma="u_sigma_kT"),
    Column("u_sigma_kT", "kT", "1-sigma of it"),
    Column("pairs", "", "pairs of particles at that distance, all frames"),
)
#: Stretches of the movie whose scatter tells the errors.
_BLOCKS = 10


def pair_potential(
    points: pd.DataFrame, size_nm: tuple[float, float], *, reach_nm: float | None = None, bins: int = 40
) -> pd.DataFrame:
    """Return g(r) and U(r) = -kT ln g(r) (`PAIR_POTENTIAL`) of particles in a rectangular field.

    points: ``frame, y_nm, x_nm``; size_nm: (height, width) of the field in which all particles were found; reach_nm:
    largest distance (a third of the shorter side). Pairs that a field cuts off are made up for by the exact share of
    places for such a pair in a rectangle. Errors are Poisson's, or those of ten stretches of the movie where these
    are larger, as neighbouring frames are alike. U holds for dilute particles only: in dense ones it is a mean force.
    """
    if min(size_nm) <= 0 or not np.isfinite(size_nm).all():
        raise BadInput(f"A field of {size_nm} nm holds no particles: give its height and width.")
    reach = min(size_nm) / 3 if reach_nm is None else reach_nm
    if not 0 < reach <= min(size_nm):
        raise BadInput(f"Setting reach_nm is {reach}: it must lie between 0 and the shorter side of the field.")
    edges = np.linspace(0, reach, bins + 1)
    y, x = position_columns(points)
    ordered = points.sort_values("frame", kind="stable")
    cuts = np.flatnonzero(np.diff(ordered["frame"].to_numpy())) + 1
    places = np.split(ordered[[y, x]].to_numpy(float), cuts)
    blocks = np.array_split(np.arange(len(places)), min(_BLOCKS, max(len(places), 1)))
    seen = np.array([_pairs([places[i] for i in block], edges) for block in blocks])
    free = np.array([sum(len(places[i]) * (len(places[i]) - 1) / 2 for i in block) for block in blocks])
    share = _shares(edges, size_nm)
    return _table(edges, seen, free[:, None] * share)


def _pairs(places: Sequence[Array], edges: Array) -> Array:
    """Return how many pairs lie at every distance."""
    from scipy.spatial import cKDTree

    total = np.zeros(len(edges) - 1)
    for place in places:
        pairs = cKDTree(place).query_pairs(float(edges[-1]), output_type="ndarray")
        total += np.histogram(np.hypot(*(place[pairs[:, 0]] - place[pairs[:, 1]]).T), edges)[0]
    return total


def _shares(edges: Array, size_nm: tuple[float, float]) -> Array:
    """Return the chance of each bin for two independent points in a rectangle (Ghosh 1951)."""
    area, around = size_nm[0] * size_nm[1], size_nm[0] + size_nm[1]

    def below(r: Array) -> Array:
        return np.asarray((np.pi * area * r**2 - 4 / 3 * around * r**3 + 0.5 * r**4) / area**2)

    return np.diff(below(edges))


def _table(edges: Array, seen: Array, free: Array) -> pd.DataFrame:
    pairs, expected = seen.sum(axis=0), free.sum(axis=0)
    safe = np.where(expected > 0, expected, np.nan)
    g = pairs / safe
    sigma = np.sqrt(np.maximum(pairs, 1)) / safe
    if len(seen) >= _BLOCKS:
        spread = np.sqrt(np.sum((seen - g * free) ** 2, axis=0) * len(seen) / (len(seen) - 1)) / safe
        sigma = np.fmax(sigma, spread)
    known = pairs > 0
    u = np.where(known, -np.log(np.where(known, g, 1.0)), np.nan)
    columns = (0.5 * (edges[1:] + edges[:-1]), g, sigma, u, np.where(known, sigma / np.where(known, g, 1.0), np.nan))
    names = [column.name for column in PAIR_POTENTIAL]
    return pd.DataFrame(dict(zip(names, (*columns, pairs.astype(np.int64)), strict=True)))
