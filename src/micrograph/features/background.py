"""A smooth background: values on a coarse grid, straight lines between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]


class Background:
    """Bilinear interpolation between ny x nx nodes about `spacing` pixels apart over an (H, W) image; one node = constant."""

    def __init__(self, shape: tuple[int, int], spacing: float, most: int = 400) -> None:
        self.shape = shape
        number = [1 + (max(int(np.rint((n - 1) / spacing)), 1) if spacing < n - 1 else 0) for n in shape]
        while number[0] * number[1] > most:
            number = [max(2, int(n * 0.9)) if n > 1 else 1 for n in number]
        self.number = (number[0], number[1])
        self.along_y = hats(np.arange(shape[0]), shape[0], number[0])
        self.along_x = hats(np.arange(shape[1]), shape[1], number[1])
        self._fine_y, self._fine_x = self.along_y.astype(np.float32), self.along_x.astype(np.float32)

    def __len__(self) -> int:
        return self.number[0] * self.number[1]

    def draw(self, nodes: Array) -> Image:
        """Return the image (H, W) of node values (N,)."""
        image: Image = self._fine_y @ nodes.reshape(self.number).astype(np.float32) @ self._fine_x.T
        return image

    def feel(self, image: Image) -> Array:
        """Return the sums (N,) of an image (H, W) against every node's hat."""
        return np.asarray(self._fine_y.T @ image @ self._fine_x, dtype=np.float64).ravel()

    def at(self, y: Array, x: Array) -> Array:
        """Return the hats' values (K, N) at points in pixels (the border's value beyond it)."""
        hats_y = hats(y, self.shape[0], self.number[0])
        hats_x = hats(x, self.shape[1], self.number[1])
        return np.asarray((hats_y[:, :, None] * hats_x[:, None, :]).reshape(len(y), -1))

    def gram(self, weight: Image) -> Array:
        """Return (N, N): sums over pixels of hat times hat times `weight` (H, W)."""
        fine_y, fine_x = (_products(each).astype(np.float32) for each in (self.along_y, self.along_x))
        return self._unfolded((fine_y.T @ weight @ fine_x).astype(np.float64))

    def gram_at(self, y: Array, x: Array, weight: Array) -> Array:
        """Return (N, N): sums over points (K,) in pixels of hat times hat times `weight` (K,)."""
        along_y = _products(hats(y, self.shape[0], self.number[0]))
        along_x = _products(hats(x, self.shape[1], self.number[1]))
        return self._unfolded((along_y * weight[:, None]).T @ along_x)

    def _unfolded(self, folded: Array) -> Array:
        """Return the (N, N) matrix from sums over products of hats along y and along x."""
        ny, nx = self.number
        padded = np.pad(folded, (0, 1))
        full = padded[_product_number(ny)[:, :, None, None], _product_number(nx)]
        return np.asarray(full.transpose(0, 2, 1, 3).reshape(ny * nx, ny * nx))


def hats(position: NDArray[np.floating] | NDArray[np.integer], size: int, number: int) -> Array:
    """Return (len(position), number) hat functions on `number` nodes from pixel 0 to pixel ``size - 1``."""
    if number == 1:
        return np.ones((len(position), 1))
    place = np.clip(np.asarray(position, dtype=np.float64), 0, size - 1) * (number - 1) / (size - 1)
    return np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(number)))


def _products(values: Array) -> Array:
    """Return (len, 2 n - 1): squares of the n hats and then products of neighbouring ones."""
    return np.concatenate([values**2, values[:, 1:] * values[:, :-1]], axis=1)


def _product_number(n: int) -> NDArray[np.intp]:
    """Return (n, n): the column of `_products` that holds each pair of hats, ``2 n - 1`` for pairs that do not touch."""
    first, second = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    apart = np.abs(first - second)
    return np.where(apart == 0, first, np.where(apart == 1, n + np.minimum(first, second), 2 * n - 1))
