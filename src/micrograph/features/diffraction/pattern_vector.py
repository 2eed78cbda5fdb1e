"""Diffraction patterns of one crystal, however many, as one vector that knows neither camera length nor turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.diffraction.spots import Net, Spots, fit_net
from micrograph.features.diffraction.zone_catalogue import EVIDENCE, zone_evidence

Array = NDArray[np.float64]

#: Bins of the logarithm of a spot's distance from the beam, up to so many times the shortest.
_BINS, _REACH = 72, 4.2
#: Patterns that are looked at one by one, and the places of their plane lattice whose spots are looked at.
_SLOTS = 4
_NODES = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 2), (2, 1), (2, -1), (1, 2), (1, -2))
#: Length of the vector of `pattern_vector`.
PATTERN_FEATURES = 2 * _BINS + _SLOTS * (5 + len(_NODES)) + 2 + EVIDENCE
#: Spots weaker than this share of the strongest do not set the scale.
_FAINT = 0.02


def pattern_vector(patterns: Sequence[Spots]) -> NDArray[np.float32]:
    """Return the vector (PATTERN_FEATURES,) of the patterns of one crystal that share a camera length.

    It holds at which distances spots are, and how strong, in units of the shortest distance; for up to four patterns
    (shortest plane lattices first) the lattice and how strong its first spots are; and how well all lattices fit the
    zones of each known structure type.
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
            _spread(into, np.log(np.maximum(place, 1e-3)), value)
    order = sorted(nets, key=lambda one: float(np.prod(one[1].lengths)))[:_SLOTS]
    slots = np.zeros((_SLOTS, 5 + len(_NODES)))
    for slot, (spots, net) in zip(slots, order, strict=False):
        slot[:] = _described(spots, net, shortest)
    whole = [len(nets) / 4, np.mean([net.indexed for _, net in nets])]
    evidence = zone_evidence([net for _, net in nets], shortest)
    vector = np.concatenate([present, strength, slots.ravel(), whole, evidence])
    return vector.astype(np.float32)


def _shortest(spots: Spots, net: Net) -> float:
    """Return the shortest distance of a spot that is not faint."""
    strong = net.on & (spots.intensity > _FAINT * spots.intensity.max())
    length = np.linalg.norm(net.index[strong] @ net.basis, axis=1)
    return float(length.min()) if len(length) else float(net.lengths[0])


def _relative(spots: Spots, net: Net) -> Array:
    return np.asarray(spots.intensity[net.on] / spots.intensity[net.on].max())


def _spread(into: Array, logarithm: Array, value: Array) -> None:
    """Put the highest of the values into the two bins next to each logarithm."""
    at = logarithm / np.log(_REACH) * (_BINS - 2) + 0.5
    low = np.floor(at).astype(int)
    for bin_, share in ((low, 1 - (at - low)), (low + 1, at - low)):
        inside = (bin_ >= 0) & (bin_ < _BINS)
        np.maximum.at(into, bin_[inside], (share * value)[inside])


def _described(spots: Spots, net: Net, shortest: float) -> Array:
    short, long = net.lengths
    cosine = float(net.basis[0] @ net.basis[1] / (short * long))
    shape = [np.log(short / shortest) * 2, np.log(long / short) * 2, 4 * cosine, net.indexed, 1.0]
    relative: dict[tuple[int, int], float] = {}
    for index, value in zip(net.index[net.on], _relative(spots, net), strict=True):
        for sign in (1, -1):
            key = (sign * int(index[0]), sign * int(index[1]))
            relative[key] = max(relative.get(key, 0.0), float(value))
    nodes: list[Any] = [np.clip(1 + np.log10(max(relative.get(node, 0.0), 1e-4)) / 4, 0, 1) for node in _NODES]
    return np.array(shape + nodes)
