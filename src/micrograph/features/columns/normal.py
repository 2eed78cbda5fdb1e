"""Normal equations of columns and background together, solved by preconditioned conjugate gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.information import Information, inverse3

if TYPE_CHECKING:
    from scipy.sparse import bsr_array, csr_array

Array = NDArray[np.float64]


#: Added to the scaled information (ones on its diagonal) where the answer of all columns to a background is computed:
#: the couplings of wide tails are approximate and can make the smallest eigenvalues slightly negative.
RIDGE = 0.1


class Normal:
    """The system ``[[F, C], [C', B]]`` of K columns (intensity, y, x) and N background nodes.

    information: F. coupling: C (3 K, N) sparse. touching: (K, 3) coupling to a background raised as a whole. hats:
    (K, N) sparse values of the nodes' splines at the columns. gram: B (N, N). As neighbours are much closer than nodes,
    ``F^-1 C`` is nearly each column's answer to a raised background times the splines; that preconditions the system
    and gives the background's share of the variances.
    """

    def __init__(
        self, information: Information, coupling: csr_array, touching: Array, hats: csr_array, gram: Array
    ) -> None:
        self.information, self.hats = information, hats
        own = information.own
        self._scale = 1 / np.sqrt(np.maximum(np.einsum("kii->ki", own), 1e-300))
        self._inverse = _blocks(inverse3(np.moveaxis(own * self._scale[:, :, None] * self._scale[:, None, :], 0, 2)))
        self._matrix = information.sparse(self._scale)
        flat = self._scale.ravel()
        self._coupling = coupling.multiply(flat[:, None]).tocsr()
        self._transposed = self._coupling.T.tocsr()
        self._gram = gram
        self._answer = self._columns_alone(touching * self._scale)
        absorbed = np.einsum("ki,ki->k", touching * self._scale, self._answer)
        spread = hats.multiply(np.sqrt(np.clip(absorbed, 0, None))[:, None]).tocsr()
        self._schur = self._inverse_of(gram - (spread.T @ spread).toarray())
        self._hats_back, self._answer_flat = hats.T.tocsr(), self._answer.ravel()

    @property
    def answer(self) -> Array:
        """Change (K, 3) of the columns when the background is raised by one, negative."""
        return np.asarray(self._answer * self._scale)

    def _inverse_of(self, schur: Array) -> Array:
        values, vectors = np.linalg.eigh((schur + schur.T) / 2)
        least = 1e-3 * np.trace(self._gram) / len(schur) + 1e-30
        return np.asarray((vectors / np.maximum(values, least)) @ vectors.T)

    def ground_variance(self) -> Array:
        """Return the variance (K,) of the background under every column."""
        return np.asarray(self.hats.multiply(self.hats @ self._schur).sum(axis=1)).ravel()

    def _columns_alone(self, right: Array, tolerance: float = 0.03) -> Array:
        solution, _ = self._conjugate(right, np.zeros(0), tolerance, ridge=RIDGE)
        return solution

    def solve(self, columns: Array, nodes: Array, tolerance: float = 0.05) -> tuple[Array, Array]:
        """Return the solution (K, 3), (N,) for right-hand sides of the columns and of the nodes."""
        a, b = self._conjugate(columns * self._scale, nodes, tolerance)
        return a * self._scale, b

    def _conjugate(
        self, a: Array, b: Array, tolerance: float, most: int = 80, ridge: float = 0.0
    ) -> tuple[Array, Array]:
        k = a.size
        r = np.concatenate([a.ravel(), b])
        x = np.zeros_like(r)
        z = self._precondition(r, k)
        p, rz = z, float(r @ z)
        stop = tolerance**2 * rz
        for _ in range(most):
            if not rz > stop:
                break
            q = self._times(p, k) + ridge * p
            curvature = float(p @ q)
            if not curvature > 0:
                break
            x += (rz / curvature) * p
            r = r - (rz / curvature) * q
            z = self._precondition(r, k)
            p, rz = z + (float(r @ z) / rz) * p, float(r @ z)
        return x[:k].reshape(-1, 3), x[k:]

    def _times(self, p: Array, k: int) -> Array:
        if len(p) == k:
            return np.asarray(self._matrix @ p)
        a, b = p[:k], p[k:]
        return np.concatenate([self._matrix @ a + self._coupling @ b, self._transposed @ a + self._gram @ b])

    def _precondition(self, r: Array, k: int) -> Array:
        alone = np.asarray(self._inverse @ r[:k])
        if len(r) == k:
            return alone
        taken = (self._answer_flat * r[:k]).reshape(-1, 3).sum(axis=1)
        nodes = self._schur @ (r[k:] - self._hats_back @ taken)
        alone -= self._answer_flat * np.repeat(self.hats @ nodes, 3)
        return np.concatenate([alone, nodes])


def _blocks(diagonal: Array) -> bsr_array:
    """Return the sparse matrix with 3 x 3 blocks (3, 3, K) on its diagonal."""
    from scipy.sparse import bsr_array

    k = diagonal.shape[2]
    return bsr_array(
        (np.ascontiguousarray(diagonal.transpose(2, 0, 1)), np.arange(k), np.arange(k + 1)), (3 * k, 3 * k)
    )
