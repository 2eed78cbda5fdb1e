"""How well the plane lattices of several patterns of one crystal fit the zones of known structure types.

A pattern's lattice says little: a square one may be any cubic crystal's. Several that share a camera length say much,
for all of them must be zones of one crystal, with the reflections that its structure lets through.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.spots import Net, reduced
from micrograph.structures.prototypes import ELEMENTAL, PROTOTYPES, prototype

Array = NDArray[np.float64]

#: Free parameters of a structure type are tried in steps of about this share.
_STEP = 0.012
#: Indices of zone axes and of reflections that are looked at, at most; and the longest axis, in the shortest one's.
_ZONE, _INDEX, _FARTHEST = 3, 8, 3.4
#: Reflections weaker than this share of the strongest, by geometry alone, count as forbidden.
_FORBIDDEN = 1e-3
#: Distinct lengths of reflections, from the shortest, of which one is the shortest that the patterns show.
_SHELLS = 4
#: Errors of a length (share) and of a cosine that no least-squares fit knows of: mistilt, distortion, the steps above.
_LENGTH_SIGMA, _COSINE_SIGMA = 0.008, 0.012
#: A lattice that is no zone at all, by a wrong fit, is so likely; per unit of ln length squared and of cosine.
_STRAY = 0.02
#: Evidence is told down to so much below the best, and in these units.
_DEEP, _UNIT = 40.0, 10.0
#: Numbers that `zone_evidence` returns.
EVIDENCE = len(ELEMENTAL) + 1


def zone_evidence(nets: Sequence[Net], shortest: float) -> Array:
    """Return (EVIDENCE,): ln evidence of each of `ELEMENTAL` over the best one's, and the best one's for each lattice.

    nets: plane lattices of one crystal by one camera; shortest: length of the shortest reflection seen in any. All are
    in units of 10 and end at -4. Without a lattice all are zero.
    """
    if not nets:
        return np.zeros(EVIDENCE)
    known = _catalogue()
    lengths = np.log([net.lengths / shortest for net in nets])
    cosines = np.array([np.cos(np.deg2rad(net.angle_deg)) for net in nets])
    spread = np.hypot(_LENGTH_SIGMA, np.array([net.sigma / net.lengths for net in nets]))
    bend = np.hypot(_COSINE_SIGMA, np.deg2rad([net.angle_sigma_deg for net in nets]))
    by_scale = np.zeros(known.shells.shape)
    for length, cosine, wide, bent in zip(lengths, cosines, spread, bend, strict=True):
        seen = length + known.shells[..., None]  # (hypotheses, shells, 2): what the lattice would be in the crystal
        off = ((seen[:, :, None] - known.lengths[:, None]) / wide) ** 2
        turned = ((cosine - known.cosines) / bent) ** 2
        like = np.exp(-(off.sum(axis=-1) + turned[:, None]) / 2) / ((2 * np.pi) ** 1.5 * wide.prod() * bent)
        by_scale += np.log(_STRAY + (1 - _STRAY) * (like * known.weights[:, None]).sum(axis=-1))
    each = np.logaddexp.reduce(by_scale, axis=1) - np.log(_SHELLS)
    types = np.array([np.logaddexp.reduce(each[known.kind == kind] - np.log((known.kind == kind).sum()))
                      for kind in range(len(ELEMENTAL))])  # fmt: skip
    best = float(types.max())
    return np.append(np.maximum(types - best, -_DEEP), max(best / len(nets), -_DEEP)) / _UNIT


@dataclass(frozen=True)
class _Catalogue:
    """Zones of ideal crystals, one row a structure type with one set of its free parameters.

    kind (H,): place in `ELEMENTAL`; lengths (H, Z, 2), cosines (H, Z), weights (H, Z): reduced lattices of the zones,
    lengths as logarithms, and how likely each is met; shells (H, S): logarithms of the shortest reflections' lengths.
    """

    kind: NDArray[np.intp]
    lengths: Array
    cosines: Array
    weights: Array
    shells: Array


@functools.cache
def _catalogue() -> _Catalogue:
    rows = [(kind, *_zones(name, free)) for kind, name in enumerate(ELEMENTAL) for free in _parameters(name)]
    most = max(len(row[1]) for row in rows)
    zones = np.zeros((len(rows), most, 4))
    for padded, (_, found, _) in zip(zones, rows, strict=True):
        padded[: len(found)] = found
    return _Catalogue(
        np.array([row[0] for row in rows]), zones[..., :2], zones[..., 2], zones[..., 3], np.array([r[2] for r in rows])
    )


def _parameters(name: str) -> list[dict[str, float]]:
    """Return the sets of free parameters of a structure type that are tried."""
    found = []
    for branch in PROTOTYPES[name].free:
        steps = [np.linspace(low, high, 1 + round(np.log(high / max(low, 1e-6)) / _STEP) if high - low > 0.02 else 1)
                 for _, low, high in branch]  # fmt: skip
        found += [dict(zip([one[0] for one in branch], values, strict=True)) for values in itertools.product(*steps)]
    return found


def _zones(name: str, free: dict[str, float]) -> tuple[Array, Array]:
    """Return rows (Z, 4) of the zones' lattices (ln length, ln length, cosine, weight) and the shells (S,)."""
    atoms = prototype(name, ("Cu",), 1.0, **free)
    cell = np.asarray(atoms.cell)
    index = _indices(_INDEX)
    g = index @ np.linalg.inv(cell).T
    length = np.linalg.norm(g, axis=1)
    phases = np.exp(2j * np.pi * index @ atoms.get_scaled_positions().T)  # type: ignore[no-untyped-call]
    allowed = np.abs(phases.sum(axis=1)) ** 2 > _FORBIDDEN * len(atoms) ** 2
    allowed &= length < 4.5 * length[allowed].min()
    index, g, length = index[allowed], g[allowed], length[allowed]
    rows: dict[tuple[float, ...], float] = {}
    axes = _indices(_ZONE)
    axes = axes[: len(axes) // 2]  # the other half is the first, reversed
    axes = axes[np.gcd.reduce(axes, axis=1) == 1]
    long = np.linalg.norm(axes @ cell, axis=1)
    near = long < _FARTHEST * long.min()
    for axis, far in zip(axes[near], long[near], strict=True):
        basis = _basis(g[(index @ axis) == 0])
        if basis is not None:
            short, longer = np.linalg.norm(basis, axis=1)
            key = tuple(np.round([np.log(short), np.log(longer), basis[0] @ basis[1] / (short * longer)], 6).tolist())
            rows[key] = rows.get(key, 0.0) + far**-3.0
    found = np.array([(*key, weight) for key, weight in rows.items()])
    found[:, 3] /= found[:, 3].sum()
    return found, np.log(np.unique(np.round(length, 6))[:_SHELLS])


def _indices(most: int) -> NDArray[np.intp]:
    """Return the whole-number triples (N, 3) but 0 with entries up to `most`."""
    every = np.stack(np.meshgrid(*[np.arange(-most, most + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return every[every.any(axis=1)]


def _basis(g: Array) -> Array | None:
    """Return the reduced basis (2, 3) of the plane lattice that vectors (N, 3) of a plane make, None for a line."""
    order = g[np.argsort(np.linalg.norm(g, axis=1), kind="stable")]
    if len(order) < 2:
        return None
    area = np.linalg.norm(np.cross(order[0], order), axis=1)
    free = area > 1e-6 * (order[0] @ order[0])
    return reduced(np.array([order[0], order[free][int(np.argmin(np.round(area[free], 9)))]])) if free.any() else None
