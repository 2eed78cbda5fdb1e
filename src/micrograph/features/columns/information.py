"""Fisher information of overlapping columns, solved and inverted.

Each column has three parameters: intensity, y, x. Their information is a 3 x 3 block, and so is the coupling of two
columns that overlap, ``F_kl = sum_p W_p d(lambda_p)/d(theta_k) d(lambda_p)/d(theta_l)`` with W the inverse variance of
a pixel. The product of two equal Gaussians is a Gaussian half-way between with half the covariance, times
``exp(-d' P d / 4)``; so every block follows from the moments of W, up to the second, under that Gaussian, and these are
separable sums over a few pixels. The tail's share is added in closed form with W's local mean.

The variance of one column with all others unknown is a block of the inverse. Dense inversion gives it for few columns.
For many, messages are passed along the overlaps (Gaussian belief propagation, doi:10.1162/089976601750541769): each
column tells each neighbour how much of the neighbour's information it takes away, exact on trees and, where the
messages settle, to about one per cent between atomic columns. Where they do not (columns closer than about 2.8 sigma),
the matrix is inverted tile by tile, each with a seam of 6.5 sigma; what lies beyond changes a variance by about one per
cent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.shape import ColumnShape

if TYPE_CHECKING:
    from scipy.sparse import bsr_array

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Up to this many columns the information matrix is inverted densely.
DENSE = 100

#: Shares of the couplings that are tried in turn where the whole is no information matrix.
SOFTER = (0.92, 0.8)


@dataclass(frozen=True)
class Information:
    """Blocks ``own`` (K, 3, 3) and ``coupling`` (E, 3, 3) of pairs (``first``, ``second``) (E,); order intensity, y, x.

    ``place`` (K, 2) and ``sigma`` are the columns' places and core sigma in pixels.
    """

    own: Array
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    coupling: Array
    place: Array
    sigma: float

    def held(self, positions: NDArray[np.bool_], precision: Array) -> Information:
        """Return it with a prior `precision` (K,) on y and x, and with the positions (K,) of some columns known."""
        own, coupling = self.own.copy(), self.coupling.copy()
        own[positions, 1:, :] = 0
        own[positions, :, 1:] = 0
        own[:, 1, 1] += np.where(positions, 1.0, precision)
        own[:, 2, 2] += np.where(positions, 1.0, precision)
        coupling[positions[self.first], 1:, :] = 0
        coupling[positions[self.second], :, 1:] = 0
        return replace(self, own=own, coupling=coupling)

    def damped(self, damping: float) -> Information:
        """Return it with all diagonals multiplied by ``1 + damping`` (Levenberg and Marquardt)."""
        own = self.own.copy()
        own[:, [0, 1, 2], [0, 1, 2]] *= 1 + damping
        return replace(self, own=own)

    def sparse(self, scale: Array) -> bsr_array:
        """Return the whole matrix (3 K, 3 K), rows and columns multiplied by `scale` (K, 3)."""
        from scipy.sparse import bsr_array

        k, first, second = len(self.own), self.first, self.second
        rows = np.concatenate([np.arange(k), first, second])
        columns = np.concatenate([np.arange(k), second, first])
        blocks = np.concatenate([self.own, self.coupling, self.coupling.transpose(0, 2, 1)])
        order = np.argsort(rows, kind="stable")
        rows, columns = rows[order], columns[order]
        blocks = blocks[order] * scale[rows, :, None] * scale[columns, None, :]
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=k))])
        return bsr_array((blocks, columns, starts), shape=(3 * k, 3 * k))

    def dense(self) -> Array:
        """Return the whole matrix (3 K, 3 K)."""
        k = len(self.own)
        full = np.zeros((k, k, 3, 3))
        full[np.arange(k), np.arange(k)] = self.own
        full[self.first, self.second] = self.coupling
        full[self.second, self.first] = self.coupling.transpose(0, 2, 1)
        return full.transpose(0, 2, 1, 3).reshape(3 * k, 3 * k)

    def variance(self, count: int) -> Array:
        """Return the first `count` diagonal blocks (count, 3, 3) of the inverse.

        Couplings of columns with wide tails are approximate and may overshoot, so that the whole is no information
        matrix: blocks that come out singular or negative are taken from softer couplings, which changes others little.
        """
        variance = self._variance(count)
        for share in SOFTER:
            wrong = ~(np.einsum("kii->ki", variance) > 0).all(axis=1)
            if not wrong.any():
                break
            variance[wrong] = replace(self, coupling=share * self.coupling)._variance(count)[wrong]
        return variance

    def pair_variance(self, pairs: NDArray[np.intp]) -> Array:
        """Return the joint blocks (E, 6, 6) of the inverse for pairs (E, 2) of columns that overlap; NaN for others.

        Order: intensity, y, x of the first, then of the second. For many columns: what the messages of all others leave
        of each, and the coupling of the two.
        """
        k, first, second = len(self.own), pairs[:, 0], pairs[:, 1]
        if k <= DENSE:
            try:
                inverse = np.linalg.inv(self.dense()).reshape(k, 3, k, 3).transpose(0, 2, 1, 3)
            except np.linalg.LinAlgError:
                return np.full((len(pairs), 6, 6), np.nan)
            rows = [np.concatenate([inverse[a, first], inverse[a, second]], axis=2) for a in (first, second)]
            return np.concatenate(rows, axis=1)
        number = {(int(a), int(b)): edge for edge, (a, b) in enumerate(zip(self.first, self.second, strict=True))}
        forth = np.array([number.get((int(a), int(b)), -1) for a, b in pairs], dtype=np.intp)
        back = np.array([number.get((int(b), int(a)), -1) for a, b in pairs], dtype=np.intp)
        return _joint(self, pairs, np.where(forth >= 0, forth, back), forth >= 0)

    def _variance(self, count: int) -> Array:
        k = len(self.own)
        if k <= DENSE:
            try:
                inverse = np.linalg.inv(self.dense()).reshape(k, 3, k, 3)
                return np.asarray(inverse[np.arange(count), :, np.arange(count), :], dtype=np.float64)
            except np.linalg.LinAlgError:
                return np.full((count, 3, 3), np.nan)
        variance, settled = _propagate(self)
        variance, settled = variance[:count], settled[:count]
        if not settled.all():
            variance[~settled] = _tiled(self, np.nonzero(~settled)[0])
        return variance


def inverse3(m: Array) -> Array:
    """Return the inverses of symmetric 3 x 3 matrices (3, 3, N); singular ones give large finite numbers."""
    a, b, c, d, e, f = m[0, 0], m[0, 1], m[0, 2], m[1, 1], m[1, 2], m[2, 2]
    ca, cb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * ca + b * cb + c * cc
    scale = 1 / np.where(np.abs(determinant) > 1e-300, determinant, 1e-300)
    out = np.empty_like(m)
    out[0, 0], out[1, 1], out[2, 2] = ca * scale, (a * f - c * c) * scale, (a * d - b * b) * scale
    out[0, 1] = out[1, 0] = cb * scale
    out[0, 2] = out[2, 0] = cc * scale
    out[1, 2] = out[2, 1] = (b * c - a * e) * scale
    return out


def _tiled(information: Information, wanted: NDArray[np.intp]) -> Array:
    """Return marginal blocks (M, 3, 3) of `wanted` columns by dense inversion of square tiles with a seam.

    NaN where a tile's information is singular.
    """
    from scipy.linalg import lapack
    from scipy.spatial import cKDTree

    place, sigma = information.place, information.sigma
    scale = 1 / np.sqrt(np.maximum(np.einsum("kii->ki", information.own), 1e-300))
    matrix = information.sparse(scale).tocsr()
    tree, side = cKDTree(place), 8 * sigma
    out = np.full((len(wanted), 3, 3), np.nan)
    cell = np.floor(place[wanted] / side).astype(np.intp)
    _, key = np.unique(cell, axis=0, return_inverse=True)
    for tile in np.split(np.argsort(key, kind="stable"), np.cumsum(np.bincount(key))[:-1]):
        members = wanted[tile]
        low, high = place[members].min(axis=0), place[members].max(axis=0)
        reach = float((high - low).max()) / 2 + 6.5 * sigma
        near = np.array(tree.query_ball_point((low + high) / 2, reach, p=np.inf))
        everyone = np.concatenate([members, np.setdiff1d(near, members)])
        rows = (3 * everyone[:, None] + np.arange(3)).ravel()
        factor, failed = lapack.dpotrf(matrix[rows][:, rows].toarray())
        if failed:
            continue
        inverse, _ = lapack.dpotri(factor)
        n = len(members)
        upper = inverse[: 3 * n, : 3 * n].reshape(n, 3, n, 3)[np.arange(n), :, np.arange(n), :]
        out[tile] = np.triu(upper) + np.triu(upper, 1).transpose(0, 2, 1)
    return np.asarray(out * scale[wanted, :, None] * scale[wanted, None, :])


def _propagate(information: Information) -> tuple[Array, NDArray[np.bool_]]:
    """Return marginal blocks (K, 3, 3) by messages along the overlaps, and at which columns (K,) these settled."""
    scale, belief, _, unsettled = _messages(information)
    variance = inverse3(belief)
    settled = (np.einsum("iik->ik", variance) >= 0.98).all(axis=0) & np.isfinite(variance).all(axis=(0, 1))
    settled[unsettled] = False
    return np.moveaxis(variance, 2, 0) * scale[:, :, None] * scale[:, None, :], settled


def _joint(
    information: Information, pairs: NDArray[np.intp], edge: NDArray[np.intp], forth: NDArray[np.bool_]
) -> Array:
    """Return the joint blocks (E, 6, 6) of pairs whose coupling is number `edge` (-1: none), given `forth` or back."""
    out = np.full((len(pairs), 6, 6), np.nan)
    known = edge >= 0
    if not known.any():
        return out
    scale, belief, message, unsettled = _messages(information)
    number = len(information.first)
    a, b = pairs[known].T
    to_second = np.where(forth[known], edge[known], edge[known] + number)
    to_first = np.where(forth[known], edge[known] + number, edge[known])
    joint = np.empty((len(a), 6, 6))
    joint[:, :3, :3] = np.moveaxis(belief[:, :, a] - message[:, :, to_first], 2, 0)
    joint[:, 3:, 3:] = np.moveaxis(belief[:, :, b] - message[:, :, to_second], 2, 0)
    link = information.coupling[edge[known]]
    link = np.where(forth[known][:, None, None], link, link.transpose(0, 2, 1)) * scale[a, :, None] * scale[b, None, :]
    joint[:, :3, 3:], joint[:, 3:, :3] = link, link.transpose(0, 2, 1)
    sides = np.concatenate([scale[a], scale[b]], axis=1)
    good = (np.linalg.eigvalsh(joint)[:, 0] > 1e-6) & ~np.isin(a, unsettled) & ~np.isin(b, unsettled)
    joint[~good] = np.eye(6)
    found = np.linalg.inv(joint) * sides[:, :, None] * sides[:, None, :]
    found[~good] = np.nan
    out[known] = found
    return out


def _messages(information: Information, rounds: int = 14) -> tuple[Array, Array, Array, NDArray[np.intp]]:
    """Return scale (K, 3), beliefs (3, 3, K), messages (3, 3, 2 E), forth then back, and the unsettled columns."""
    k, edges = len(information.own), len(information.first)
    scale = 1 / np.sqrt(np.maximum(np.einsum("kii->ki", information.own), 1e-300))
    first, second = information.first, information.second
    source, target = np.concatenate([first, second]), np.concatenate([second, first])
    own = np.ascontiguousarray(np.moveaxis(information.own * scale[:, :, None] * scale[:, None, :], 0, 2))
    forth = np.moveaxis(information.coupling * scale[first, :, None] * scale[second, None, :], 0, 2)
    link = np.ascontiguousarray(np.concatenate([forth, forth.transpose(1, 0, 2)], axis=2))
    message, belief, change = np.zeros_like(link), own, np.zeros(2 * edges)
    for _ in range(rounds):
        cavity = belief[:, :, source] - np.concatenate([message[:, :, edges:], message[:, :, :edges]], axis=2)
        known = np.einsum("ije,jle->ile", inverse3(cavity), link)
        new = np.clip(-np.einsum("jie,jle->ile", link, known), -1e3, 1e3)
        change = np.abs(new - message).max(axis=(0, 1))
        message, belief = new, own + _gather(new, target, k)
        if change.max(initial=0.0) < 3e-3:
            break
    return scale, belief, message, target[change > 2e-2]


def _gather(message: Array, target: NDArray[np.intp], k: int) -> Array:
    out = np.empty((3, 3, k))
    for i in range(3):
        for j in range(i, 3):
            out[i, j] = out[j, i] = np.bincount(target, message[i, j], k)
    return out


def overlaps(y: Array, x: Array, reach: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pairs (E,), (E,) of columns closer than `reach`."""
    from scipy.spatial import cKDTree

    if len(y) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    pairs = cKDTree(np.column_stack([y, x])).query_pairs(reach, output_type="ndarray")
    return pairs[:, 0], pairs[:, 1]


def fisher(weight: Image, shape: ColumnShape, amplitude: Array, place: Array, reach: float) -> Information:
    """Return the information of columns at `place` (K, 2) pixels with `amplitude` (K,) under pixel weights (H, W)."""
    k = len(amplitude)
    first, second = overlaps(place[:, 0], place[:, 1], reach)
    a, b = np.concatenate([np.arange(k), first]), np.concatenate([np.arange(k), second])
    apart = place[a] - place[b]
    blocks = _blocks(moments(weight, (place[a] + place[b]) / 2, shape.core), apart, shape)
    blocks[:, 1:, :] *= amplitude[a][:, None, None]
    blocks[:, :, 1:] *= amplitude[b][:, None, None]
    return Information(blocks[:k], first, second, blocks[k:], place, shape.sigma_px)


def background_coupling(weight: Image, shape: ColumnShape, amplitude: Array, place: Array) -> Array:
    """Return (K, 3, 3, 3): the core's coupling of intensity, y and x to backgrounds ``dy^i dx^j`` about each column.

    Third moments, the coupling of places to curved backgrounds, are left out.
    """
    m = moments(weight, place, 2 * shape.core)
    m *= (1 - shape.tail_weight) / (2 * np.pi * np.sqrt(np.linalg.det(shape.core)))
    inverse = np.linalg.inv(shape.core)
    along_y, along_x = (amplitude[:, None, None] * each for each in (m[:, 1:, :2], m[:, :2, 1:]))
    out = np.zeros((len(place), 3, 3, 3))
    out[:, 0] = m
    out[:, 1, :2, :2] = inverse[0, 0] * along_y + inverse[0, 1] * along_x
    out[:, 2, :2, :2] = inverse[0, 1] * along_y + inverse[1, 1] * along_x
    return out


def _blocks(m: Array, apart: Array, shape: ColumnShape) -> Array:
    """Return blocks (N, 3, 3) for unit intensities from moments of the weight half-way between columns `apart`."""
    zeroth, first = m[:, 0, 0], np.stack([m[:, 1, 0], m[:, 0, 1]], axis=1)
    second = np.stack([m[:, 2, 0], m[:, 1, 1], m[:, 1, 1], m[:, 0, 2]], axis=1).reshape(-1, 2, 2)
    inverse = np.linalg.inv(shape.core)
    half = apart / 2
    overlap = np.exp(-0.25 * np.einsum("ni,ij,nj->n", apart, inverse, apart))
    out = np.empty((len(apart), 3, 3))
    out[:, 0, 0] = zeroth
    out[:, 0, 1:] = (first + half * zeroth[:, None]) @ inverse
    out[:, 1:, 0] = (first - half * zeroth[:, None]) @ inverse
    middle = second + first[:, :, None] * half[:, None, :] - half[:, :, None] * first[:, None, :]
    middle = middle - half[:, :, None] * half[:, None, :] * zeroth[:, None, None]
    out[:, 1:, 1:] = inverse @ middle @ inverse
    determinant = np.linalg.det(shape.core)
    out *= ((1 - shape.tail_weight) ** 2 * overlap / (4 * np.pi**2 * determinant))[:, None, None]
    w = shape.tail_weight
    if w > 0:
        mean = zeroth / (np.pi * np.sqrt(determinant))
        tail = shape.tail_sigma**2 * np.eye(2)
        both = 2 * w * (1 - w) * _closed(apart, shape.core + tail) + w**2 * _closed(apart, 2 * tail)
        out += mean[:, None, None] * both
    return out


def _closed(apart: Array, covariance: Array) -> Array:
    """Return (N, 3, 3): integrals of two Gaussians and their derivatives whose covariances add up to `covariance`."""
    inverse = np.linalg.inv(covariance)
    slope = apart @ inverse
    out = np.empty((len(apart), 3, 3))
    out[:, 0, 0] = 1
    out[:, 0, 1:] = slope
    out[:, 1:, 0] = -slope
    out[:, 1:, 1:] = inverse - slope[:, :, None] * slope[:, None, :]
    value = np.exp(-0.5 * np.einsum("ni,ni->n", slope, apart)) / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
    return np.asarray(out * value[:, None, None])


def moments(weight: Image, centre: Array, core: Array) -> Array:
    """Return (N, 3, 3): sums of ``weight * exp(-q) * dy^i * dx^j`` about `centre` (N, 2), i and j from 0 to 2.

    ``q = r' core^-1 r``: the product of two Gaussians of covariance `core` at the same place. Outside the image the
    weight is zero.
    """
    inverse = np.linalg.inv(core)
    radius = max(2, int(np.ceil(2.8 * np.sqrt(max(core[0, 0], core[1, 1])))))
    side = 2 * radius + 1
    padded = np.pad(weight, side)
    corner = np.rint(centre).astype(np.intp) - radius
    offset = (corner - centre)[:, :, None] + np.arange(side)
    rows, columns = (np.clip(corner[:, i] + side, 0, padded.shape[i] - side) for i in (0, 1))
    patch = np.lib.stride_tricks.sliding_window_view(padded, (side, side))[rows, columns]
    along_y, along_x = np.exp(-inverse[0, 0] * offset[:, 0] ** 2), np.exp(-inverse[1, 1] * offset[:, 1] ** 2)
    if abs(inverse[0, 1]) > 1e-6 * inverse[0, 0]:
        grid = np.arange(-radius, radius + 1)
        f = (corner - centre) + radius
        patch = patch * np.exp(-2 * inverse[0, 1] * np.outer(grid, grid)).astype(np.float32)
        along_y = along_y * np.exp(-2 * inverse[0, 1] * f[:, 1:] * (grid + f[:, :1]))
        along_x = along_x * np.exp(-2 * inverse[0, 1] * f[:, :1] * grid)
    u = np.stack([along_y, along_y * offset[:, 0], along_y * offset[:, 0] ** 2], axis=1).astype(np.float32)
    v = np.stack([along_x, along_x * offset[:, 1], along_x * offset[:, 1] ** 2], axis=2).astype(np.float32)
    return np.asarray((u @ (patch @ v)).astype(np.float64))
