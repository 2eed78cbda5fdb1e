"""Weights against selection: what the border cuts, what crowding hides and what was rejected, all without any truth.

An object that is seen with probability p stands for 1/p objects (Horvitz and Thompson,
doi:10.1080/01621459.1952.10483446).
Large objects are cut by the border and overlap with others more often than small ones; left uncorrected, every
distribution leans to the small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Nothing is taken to be seen more rarely than this: no object stands for more than 20.
RAREST = 0.05


def edge_weights(extent_y: Array, extent_x: Array, field: tuple[float, float]) -> Array:
    """Return the weights (N,) of objects that lie wholly inside a field: Miles (1974) and Lantuejoul (1980).

    extent_y, extent_x (N,): sides of the upright box around each object; field: height and width, same unit. Objects
    that touch the border must be left out (weight 0). Raises `BadInput` where an object is larger than the field.
    """
    height, width = field
    inside = np.clip(height - np.asarray(extent_y, float), 0, None) * np.clip(
        width - np.asarray(extent_x, float), 0, None
    )
    if np.any(inside <= 0):
        raise BadInput(f"An object is as large as the field of {height:g} x {width:g}: give the field's own size.")
    return np.asarray(height * width / inside)


def box_of_ellipse(feret_max: Array, feret_min: Array, angle_deg: Array) -> tuple[Array, Array]:
    """Return the extents (N,) along y and x of ellipses with these diameters; angle counter-clockwise from +x."""
    angle = np.deg2rad(angle_deg)
    along, across = np.asarray(feret_max, float), np.asarray(feret_min, float)
    return (
        np.hypot(along * np.sin(angle), across * np.cos(angle)),
        np.hypot(along * np.cos(angle), across * np.sin(angle)),
    )


def crowding_acceptance(
    area: Array, perimeter: Array, covered_area: float, field_area: float, weights: Array | None = None
) -> Array:
    """Return the probability (N,) that an object of this size stood free of others and was accepted.

    area, perimeter (N,): accepted objects of all fields; covered_area: everything that is covered in these fields,
    rejected clumps and cut objects included; field_area: their whole area; weights (N,): those of the border.

    Objects thrown at random miss one of given size with probability ``exp(-density * (A + A' + P P' / 2 pi))``, the
    mean area that convex ones exclude (Kihara, doi:10.1103/RevModPhys.25.831). The density is found from the covered
    share f: weighted like that, the objects must have the area ``-ln(1 - f)`` per field that covers f when thrown at
    random (Boolean model). Where the accepted ones alone explain what is covered, p = 1.
    """
    area, perimeter = np.asarray(area, float), np.asarray(perimeter, float)
    weights = np.ones(len(area)) if weights is None else np.asarray(weights, float)
    share = covered_area / field_area
    if not 0 <= share < 1:
        raise BadInput(f"A covered share of {share:g} leaves no ground between objects: give areas of the same unit.")
    there = -field_area * np.log1p(-share)
    if len(area) == 0 or float(weights @ area) >= there:
        return np.ones(len(area))
    low, high = 0.0, 1.0
    while _total(area, perimeter, weights, high / area.mean()) < there and high < 64:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _total(area, perimeter, weights, middle / area.mean()) < there else (low, middle)
    return np.clip(_free(area, perimeter, weights, (low + high) / 2 / area.mean()), RAREST, 1.0)


def candidate_acceptance(size: Array, accepted: Mask, *, shrink: float = 1.0) -> Array:
    """Return the probability (N,) that a candidate of this size is accepted: logistic in log size, by ridge.

    size (N,): above 0, of all candidates; accepted (N,): which of them passed. `shrink`: weight of the prior that
    acceptance does not depend on size (1 = a standard deviation of the slope of 1 per standard deviation of log size).
    """
    size, accepted = np.asarray(size, float), np.asarray(accepted, bool)
    if len(size) == 0 or accepted.all():
        return np.ones(len(size))
    if np.any(size <= 0):
        raise BadInput(f"A candidate has the size {size.min():g}: sizes are above 0.")
    logs = np.log(size)
    spread = float(logs.std())
    x = np.stack([np.ones(len(size)), (logs - logs.mean()) / (spread if spread > 0 else 1.0)])
    x = np.concatenate([x, x[1:] ** 2 - 1])
    theta = np.array([np.log((accepted.sum() + 0.5) / ((~accepted).sum() + 0.5)), 0.0, 0.0])
    ridge = shrink * np.diag([1e-6, 1.0, 4.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(theta @ x, -30, 30)))
        step = np.linalg.solve((x * (p * (1 - p))) @ x.T + ridge, x @ (accepted - p) - ridge @ theta)
        theta = theta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(np.clip(1 / (1 + np.exp(-np.clip(theta @ x, -30, 30))), RAREST, 1.0))


def _free(area: Array, perimeter: Array, weights: Array, density: float) -> Array:
    """Return exp(-density * excluded area), the partners drawn from the corrected population."""
    p = np.ones(len(area))
    for _ in range(30):
        w = weights / p
        partner, edge = float(w @ area) / w.sum(), float(w @ perimeter) / w.sum()
        before, p = p, np.clip(np.exp(-density * (area + partner + perimeter * edge / (2 * np.pi))), RAREST, 1.0)
        if np.abs(p - before).max() < 1e-9:
            break
    return p


def _total(area: Array, perimeter: Array, weights: Array, density: float) -> float:
    """Return the area of all objects that the accepted ones stand for at this density."""
    return float((weights / _free(area, perimeter, weights, density)) @ area)
