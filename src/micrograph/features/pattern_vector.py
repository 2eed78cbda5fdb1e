"""Diffraction patterns of one crystal, however many, as one vector that knows neither camera length nor turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.spots import Net, Spots, fit_net

Array = NDArray[np.float64]

#: Bins of the logarithm of a spot's distance from the beam, up to so many times the shortest.
_BINS, _REACH = 72, 4.2
#: Bins of the logarithm of the area of a plane cell, in units of the shortest distance squared and of the least area.
_AREAS, _AREA_REACH = 40, 9.0
#: Patterns that are looked at one by one, and the places of their plane lattice whose spots are looked at.
_SLOTS = 4
_NODES = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 2), (2, 1), (2, -1), (1, 2), (1, -2))
#: Length of the vector of `pattern_vector`.
PATTERN_FEATURES = 2 * _BINS + 2 * _AREAS + _SLOTS * (6 + len(_NODES)) + 2
#: Spots weaker than this share of the strongest do not set the scale.
_FAINT = 0.02


def pattern_vector(patterns: Sequence[Spots]) -> NDArray[np.float32]:
    """Return the vector (PATTERN_FEATURES,) of the patterns of one crystal that share a camera length.

    It holds at which distances spots are, and how strong, in units of the shortest distance; and for up to four
    patterns (shortest plane lattices first) the lattice and how strong its first spots are.
    """
    seen = [(one, fit_net(one)) for one in patterns if len(one) >= 3]
    nets = [(spots, net) for spots, net in seen if net is not None]
    if not nets:
        return np.zeros(PATTERN_FEATURES, np.float32)
    shortest = min(_shortest(spots, net) for spots, net in nets)
    present, strength = np.zeros(_BINS), np.zeros(_BINS)
    for spots, net in nets:
        place = np.linalg.norm(net.index[net.on] @ net.basis, axis=1) / shortest
        weight = np.clip(1 + np.log10(np.maximum(_relative(spots, net), 1e-6)) / 4, 0, 1)
        for into, value in ((present, np.minimum(1.0, 3 * weight)), (strength, weight)):
            _spread(into, np.log(np.maximum(place, 1e-3)) / np.log(_REACH), value)
    areas = np.array([abs(np.linalg.det(net.basis)) for _, net in nets])
    wide = np.zeros((2, _AREAS))
    _spread(wide[0], np.log(2 * areas / shortest**2) / np.log(2 * _AREA_REACH), np.ones(len(areas)))
    _spread(wide[1], np.log(areas / areas.min()) / np.log(_AREA_REACH), np.ones(len(areas)))
    order = [nets[place] for place in np.argsort(areas)[:_SLOTS]]
    slots = np.zeros((_SLOTS, 6 + len(_NODES)))
    for slot, (spots, net) in zip(slots, order, strict=False):
        slot[:] = _described(spots, net, shortest)
    how = [len(nets) / 4, float(np.mean([net.indexed for _, net in nets]))]
    vector = np.concatenate([present, strength, wide.ravel(), slots.ravel(), how])
    return vector.astype(np.float32)


def _shortest(spots: Spots, net: Net) -> float:
    """Return the shortest distance of a spot that is not faint."""
    strong = net.on & (spots.intensity > _FAINT * spots.intensity.max())
    length = np.linalg.norm(net.index[strong] @ net.basis, axis=1)
    return float(length.min()) if len(length) else float(net.lengths[0])


def _relative(spots: Spots, net: Net) -> Array:
    return np.asarray(spots.intensity[net.on] / spots.intensity[net.on].max())


def _spread(into: Array, logarithm: Array, value: Array) -> None:
    """Put the highest of the values into the two bins next to each logarithm (0..1: all bins)."""
    at = logarithm * (len(into) - 2) + 0.5
    low = np.floor(at).astype(int)
    for bin_, share in ((low, 1 - (at - low)), (low + 1, at - low)):
        inside = (bin_ >= 0) & (bin_ < len(into))
        np.maximum.at(into, bin_[inside], (share * value)[inside])


def _described(spots: Spots, net: Net, shortest: float) -> Array:
    short, long = net.lengths
    cosine = float(net.basis[0] @ net.basis[1] / (short * long))
    other = float(np.linalg.norm(net.basis[0] - net.basis[1]))
    shape = [
        np.log(short / shortest) * 2,
        np.log(long / short) * 2,
        np.log(other / short),
        4 * cosine,
        net.indexed,
        1.0,
    ]
    relative: dict[tuple[int, int], float] = {}
    for index, value in zip(net.index[net.on], _relative(spots, net), strict=True):
        for sign in (1, -1):
            key = (sign * int(index[0]), sign * int(index[1]))
            relative[key] = max(relative.get(key, 0.0), float(value))
    nodes: list[Any] = [np.clip(1 + np.log10(max(relative.get(node, 0.0), 1e-4)) / 4, 0, 1) for node in _NODES]
    return np.array(shape + nodes)
