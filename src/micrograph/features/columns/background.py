"""A smooth background: quadratic B-splines on a coarse grid, smooth to the slope, so that no column sits on a kink."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[np.float64]
Image = NDArray[np.float32]


class Background:
    """Biquadratic B-splines on cells of about `spacing` pixels over an (H, W) image; one node is a constant."""

    def __init__(self, shape: tuple[int, int], spacing: float, most: int = 400) -> None:
        self.shape = shape
        number = [2 + max(int(np.rint((n - 1) / spacing)), 1) if spacing < n - 1 else 1 for n in shape]
        while number[0] * number[1] > most:
            number = [max(3, int(n * 0.9)) if n > 1 else 1 for n in number]
        self.number = (number[0], number[1])
        self.along_y = splines(np.arange(shape[0], dtype=np.float64), shape[0], number[0])
        self.along_x = splines(np.arange(shape[1], dtype=np.float64), shape[1], number[1])
        self._fine_y, self._fine_x = self.along_y.astype(np.float32), self.along_x.astype(np.float32)

    def __len__(self) -> int:
        """Number of nodes N."""
        return self.number[0] * self.number[1]

    def draw(self, nodes: Array) -> Image:
        """Return the image (H, W) of node values (N,)."""
        image: Image = self._fine_y @ nodes.reshape(self.number).astype(np.float32) @ self._fine_x.T
        return image

    def feel(self, image: Image) -> Array:
        """Return the sums (N,) of an image (H, W) against every node's spline."""
        return np.asarray(self._fine_y.T @ image @ self._fine_x, dtype=np.float64).ravel()

    def coupled(self, place: Array, moments: Array) -> tuple[csr_array, csr_array]:
        """Return the coupling (3 K, N) to the nodes, and the splines' values (K, N), at places (K, 2) in pixels.

        moments: (K, 3, 3, 3) couplings of three quantities a place to backgrounds ``dy^i dx^j`` about the place.
        """
        from scipy.sparse import csr_array

        k = len(place)
        low_y, by_y = _cell(place[:, 0], self.shape[0], self.number[0])
        low_x, by_x = _cell(place[:, 1], self.shape[1], self.number[1])
        each = by_y.shape[1] * by_x.shape[1]
        values = np.einsum("kni,kqim->kqnm", by_y, np.einsum("kqij,kmj->kqim", moments, by_x)).reshape(3 * k, each)
        at_y, at_x = low_y[:, None] + np.arange(by_y.shape[1]), low_x[:, None] + np.arange(by_x.shape[1])
        nodes = (at_y[:, :, None] * self.number[1] + at_x[:, None, :]).reshape(k, each)
        here = (by_y[:, :, None, 0] * by_x[:, None, :, 0]).reshape(k, each)
        ends = np.arange(0, 3 * each * k + 1, each)
        coupling = csr_array((values.ravel(), np.repeat(nodes, 3, axis=0).ravel(), ends), (3 * k, len(self)))
        return coupling, csr_array((here.ravel(), nodes.ravel(), ends[: k + 1]), (k, len(self)))

    def gram(self, weight: Image) -> Array:
        """Return (N, N): sums over pixels of spline times spline times `weight` (H, W)."""
        fine_y, fine_x = (_products(each).astype(np.float32) for each in (self.along_y, self.along_x))
        return self._unfolded((fine_y.T @ weight @ fine_x).astype(np.float64))

    def roughness(self) -> Array:
        """Return (N, N): the sum of squared differences between neighbouring nodes as a quadratic form."""
        ny, nx = self.number
        dy, dx = (np.diff(np.eye(n), axis=0) for n in (ny, nx))
        return np.asarray(np.kron(dy.T @ dy, np.eye(nx)) + np.kron(np.eye(ny), dx.T @ dx))

    def _unfolded(self, folded: Array) -> Array:
        """Return the (N, N) matrix from sums over products of hats along y and along x."""
        ny, nx = self.number
        padded = np.pad(folded, (0, 1))
        full = padded[_product_number(ny)[:, :, None, None], _product_number(nx)]
        return np.asarray(full.transpose(0, 2, 1, 3).reshape(ny * nx, ny * nx))


def _cell(position: NDArray[np.floating], size: int, number: int) -> tuple[NDArray[np.intp], Array]:
    """Return the first node (K,) that acts on each position, and value, slope, half curvature (K, 3, 3) there."""
    if number == 1:
        out = np.zeros((len(position), 1, 3))
        out[:, 0, 0] = 1
        return np.zeros(len(position), np.intp), out
    scale = (number - 2) / (size - 1)
    place = position * scale
    low = np.clip(place.astype(np.intp), 0, number - 3)
    f = place - low
    values = np.stack([(1 - f) ** 2 / 2, 0.5 + f - f**2, f**2 / 2], axis=1)
    slopes = np.stack([f - 1, 1 - 2 * f, f], axis=1) * scale
    curvatures = np.broadcast_to(np.array([0.5, -1.0, 0.5]) * scale**2, values.shape)
    return low, np.stack([values, slopes, curvatures], axis=2)


def splines(position: NDArray[np.floating], size: int, number: int) -> Array:
    """Return (len(position), number) values of B-splines over pixels 0 to ``size - 1`` (continued beyond)."""
    low, values = _cell(position, size, number)
    out = np.zeros((len(position), number))
    np.put_along_axis(out, low[:, None] + np.arange(values.shape[1]), values[:, :, 0], axis=1)
    return out


def _products(values: Array) -> Array:
    """Return (len, 3 n - 3): squares of the n splines, products of neighbours, products of next neighbours."""
    return np.concatenate([values**2, values[:, 1:] * values[:, :-1], values[:, 2:] * values[:, :-2]], axis=1)


def _product_number(n: int) -> NDArray[np.intp]:
    """Return (n, n): the column of `_products` that holds each pair of splines, one past the last for pairs apart."""
    first, second = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    apart, low = np.abs(first - second), np.minimum(first, second)
    starts = np.array([0, n, 2 * n - 1, max(3 * n - 3, 1)])
    return np.asarray(np.where(apart < 3, starts[np.minimum(apart, 3)] + low, starts[3]), dtype=np.intp)
