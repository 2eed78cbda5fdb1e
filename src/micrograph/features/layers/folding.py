"""Symmetry folding: crops that are rotations or mirror images of one another are brought to one orientation.

A defect beside a site of threefold symmetry may sit on either of three equivalent sides. Without folding, a classifier
calls these three classes (as in doi:10.1038/s41524-019-0152-9). Here every crop takes the operation of the site's point
group that brings it closest to a template, and the template is the mean of the crops so turned: expectation and
maximisation in turn, with a hidden orientation (doi:10.1109/TPAMI.2003.1159942).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.layers.crops import Disc, Values

Array = NDArray[np.float64]
Index = NDArray[np.intp]
PointGroup = Literal["C1", "C2", "C3", "C6", "C2v", "D3", "D6"]
#: Order of the rotation axis of each group, and whether it has mirrors.
GROUPS: dict[str, tuple[int, bool]] = {
    "C1": (1, False),
    "C2": (2, False),
    "C3": (3, False),
    "C6": (6, False),
    "C2v": (2, True),
    "D3": (3, True),
    "D6": (6, True),
}


def operations(group: str, mirror_deg: float = 0.0) -> Array:
    """Return the operations (G, 2, 2) of a two-dimensional point group, the identity first; ``r @ operation``.

    The rotations come first, counter-clockwise on the screen; then the same after a mirror whose line lies at
    `mirror_deg` counter-clockwise of +x. 'D3' is C3v of a layer seen from above. Raises `BadInput` for another name.
    """
    if group not in GROUPS:
        raise BadInput(f"The point group is '{group}', which is not known: take one of {', '.join(GROUPS)}.")
    order, mirrors = GROUPS[group]
    angle = 2 * np.pi * np.arange(order) / order
    cos, sin = np.cos(angle), np.sin(angle)
    turns = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=1)
    if not mirrors:
        return turns
    twice = 2 * np.deg2rad(mirror_deg)
    mirror = np.array([[-np.cos(twice), -np.sin(twice)], [-np.sin(twice), np.cos(twice)]])
    return np.concatenate([turns, mirror @ turns])


def permutations(disc: Disc, group: str, mirror_deg: float = 0.0) -> Index:
    """Return the operations of a point group on the crops of `disc`: (G, P), the identity first."""
    return np.stack([disc.permutation(operation) for operation in operations(group, mirror_deg)])


@dataclass(frozen=True)
class Folded:
    """Crops in one orientation: ``values`` (N, P) = crop after ``operation`` (N,); ``margin`` (N,).

    The margin is by how much the chosen operation fits better than the next best (sum of squared differences): zero for
    a crop that is as symmetric as its site.
    """

    values: Values
    operation: Index
    margin: Array


def turned(values: Values, permuted: Index, operation: Index) -> Values:
    """Return crops (N, P) after the operation (N,) of each, out of the permutations (G, P)."""
    return np.take_along_axis(values, permuted[operation], axis=1)


def fold(values: Values, permuted: Index, *, rounds: int = 30) -> Folded:
    """Return crops (N, P) of one kind of site, each in the orientation that fits the others best.

    permuted: (G, P) as from `permutations`. The search begins at the direction in which the crops break the symmetry
    most. It ends when no crop turns any more, `rounds` times at most.
    """
    if len(permuted) == 1 or len(values) < 2:
        return Folded(values, np.zeros(len(values), np.intp), np.zeros(len(values)))
    template = _broken(values, permuted)
    folded = aligned(values, permuted, template)
    for _ in range(rounds):
        again = aligned(values, permuted, folded.values.mean(axis=0))
        if (again.operation == folded.operation).all():
            break
        folded = again
    return folded


def aligned(values: Values, permuted: Index, template: NDArray[np.floating]) -> Folded:
    """Return crops (N, P) after the operation that brings each closest to `template` (P,), or to its own (N, P)."""
    wanted = np.broadcast_to(np.asarray(template, dtype=np.float32), values.shape)
    fit = np.stack([np.einsum("np,np->n", values[:, order], wanted, dtype=np.float64) for order in permuted], axis=1)
    operation = fit.argmax(axis=1)
    best = np.sort(fit, axis=1)
    margin = 2 * (best[:, -1] - best[:, -2]) if fit.shape[1] > 1 else np.zeros(len(fit))
    return Folded(turned(values, permuted, operation), operation, margin)


def symmetric(values: NDArray[np.floating], permuted: Index) -> Values:
    """Return crops (..., P) averaged over all operations: the part that the point group leaves alone."""
    return np.asarray(values[..., permuted].mean(axis=-2), dtype=np.float32)


def _broken(values: Values, permuted: Index) -> Values:
    """Return the first principal component (P,) of what the crops, in all orientations, differ from their symmetry."""
    rest = values - symmetric(values, permuted)
    some = rest[:: max(1, len(rest) // 1000)]
    everywhere = some[:, permuted].reshape(-1, values.shape[1])
    covariance = everywhere.T @ everywhere
    direction: Values = covariance[np.diagonal(covariance).argmax()]
    for _ in range(50):
        direction = covariance @ (direction / max(float(np.abs(direction).max()), 1e-30))
    return direction
