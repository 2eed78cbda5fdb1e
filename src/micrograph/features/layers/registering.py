"""Registration: crops whose places were only roughly known are centred on their sites.

An offset of a tenth of a column's width changes a crop more than a missing sulphur atom does. Each crop is compared
with the mean of its group, made symmetric under the site's point group and thereby centred, and is moved by what fits
best; then the means are taken anew (Gauss and Newton). Values between sampling points come from a Gaussian process.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.features.layers.crops import Disc, Values
from micrograph.features.layers.folding import Index, symmetric

Array = NDArray[np.float64]
#: Correlation length of the Gaussian process in steps of the disc, and its variance of noise.
LENGTH, NUGGET = 1.2, 1e-2
#: No crop moves farther than this many steps of the disc.
FARTHEST = 1.2


def registered(values: Values, label: Index, permuted: Index, disc: Disc, rounds: int = 8) -> Values:
    """Return crops (N, P) of `disc`, each moved to the middle of its site.

    label: (N,) groups of crops that show one kind of site, roughly; permuted: (G, P) the sites' point group, which must
    have more than the identity, or nothing says where the middle is: then the crops come back as they are.
    """
    if len(permuted) == 1:
        return values
    field, inner = _Field(disc), within(disc)
    known = field.known(values)
    shift = np.zeros((len(values), 2))
    moved = field.moved(known, shift)
    for _ in range(rounds):
        for group in np.unique(label):
            rows = np.flatnonzero(label == group)
            mean = symmetric(moved[rows].mean(axis=0), permuted).astype(np.float64)
            slopes = field.slopes(mean)[:, inner]
            shift[rows] -= (moved[rows] - mean)[:, inner] @ np.linalg.pinv(slopes)
        far = np.hypot(*shift.T)
        shift *= np.minimum(1.0, FARTHEST * disc.step_nm / np.maximum(far, 1e-12))[:, None]
        moved = field.moved(known, shift)
    return moved


def within(disc: Disc) -> NDArray[np.bool_]:
    """Return which points (P,) of `disc` are known after a move: all but the rim."""
    return np.asarray(np.hypot(*disc.points.T) <= disc.radius_nm - disc.step_nm)


class _Field:
    """Values between the sampling points of a disc."""

    def __init__(self, disc: Disc) -> None:
        self.points, self.length = disc.points, LENGTH * disc.step_nm
        self.apart = self.points[:, None] - self.points
        self.kernel = np.exp(-0.5 * (self.apart**2).sum(axis=-1) / self.length**2)
        self.inverse = np.linalg.inv(self.kernel + NUGGET * np.eye(len(self.kernel)))

    def known(self, values: NDArray[np.floating]) -> tuple[Array, Array]:
        """Return the means (N,) of crops (N, P), and the weights (N, P) of the kernels about the points."""
        mean = values.mean(axis=1, dtype=np.float64)
        return mean, (values - mean[:, None]) @ self.inverse

    def moved(self, known: tuple[Array, Array], shift: Array) -> Values:
        """Return crops (N, P) sampled at points that lie `shift` (N, 2) nm off.

        The kernel about a point q, seen at p + s, is that at p times exp(-p s) exp(q s) exp(-s^2 / 2), in its lengths.
        """
        mean, weight = known
        along = shift @ self.points.T / self.length**2
        drop = 0.5 * (shift**2).sum(axis=1, keepdims=True) / self.length**2
        values = ((weight * np.exp(along)) @ self.kernel) * np.exp(-along - drop)
        return np.asarray(mean[:, None] + values, dtype=np.float32)

    def slopes(self, values: Array) -> Array:
        """Return the derivatives (2, P) of a crop (P,) along y and x."""
        weight = self.inverse @ (values - values.mean())
        pull = -self.kernel[..., None] * self.apart / self.length**2
        return np.asarray(np.einsum("pqi,q->ip", pull, weight))
