"""Position-averaged convergent-beam patterns of any thickness and tilt, as a compact library.

Averaged over whole unit cells, beams of different incidence do not interfere: the pattern is a sum of rocking curves,
``P(q) = sum over g of A(q - g) I_g(q - g + tilt)``, A the aperture about the optic axis. All patterns of one
convergence lie near a space of some hundred dimensions, in which the library keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.patterns.rocking import Advance, Array, Index, Rocking, Zone, rocking

Image = NDArray[np.float32]

#: Patterns are kept out to this much (mrad) beyond the disc; tilts up to this (mrad) can be interpolated.
MARGIN_MRAD, TILT_MRAD = 14.0, 5.0
#: Dimensions of the library.
RANK = 128
#: Patterns from which the space is found.
_SEEN = 1800


@dataclass(frozen=True)
class Library:
    """Patterns of one crystal, voltage and convergence.

    basis (R, H, W): what all patterns are sums of, on a grid of `step_mrad` (y, x) whose middle is the middle of the
    disc; coefficients (T, Y, X, R) by thickness_nm (T,), and tilt in whole steps from -`reach` to `reach` (y, x), zero
    where there is none. A pattern sums to the share of the beam that is scattered elastically into it.
    """

    convergence_mrad: float
    voltage_kV: float
    step_mrad: tuple[float, float]
    thickness_nm: Array
    reach: tuple[int, int]
    basis: Image
    coefficients: Image
    tilts: Index

    @property
    def tilt_mrad(self) -> float:
        """Greatest tilt that can be interpolated."""
        return TILT_MRAD

    def at(self, thickness_nm: float, tilt_mrad: tuple[float, float]) -> NDArray[np.float64]:
        """Return coefficients and their slopes (4, R): the pattern, its change per nm, per mrad along y and x."""
        state = np.array([[thickness_nm, *tilt_mrad]])
        return np.asarray(self.many(state)[0], dtype=float)

    def many(self, states: Array, rank: int | None = None) -> Image:
        """Return `at` of M states (M, 3), thickness and tilts (y, x), for the first `rank` dimensions: (M, 4, R)."""
        origin = (-self.thickness_nm[0] / self._thickness_step, *self.reach)
        per_unit = np.array([1 / self._thickness_step, 1 / self.step_mrad[0], 1 / self.step_mrad[1]])
        sizes = np.array(self.coefficients.shape[:3])
        first, weights = _cubic(states * per_unit + origin, sizes)
        flat = self.coefficients.reshape(-1, self.coefficients.shape[-1])
        t, y, x = (first[:, axis, None] + np.arange(4) for axis in range(3))
        rows = ((t[:, :, None] * sizes[1] + y[:, None, :])[..., None] * sizes[2] + x[:, None, None, :]).reshape(-1, 64)
        wt, wy, wx = weights[:, 0], weights[:, 1], weights[:, 2]
        found = np.empty((len(states), 4, 4, 4, 4), np.float32)
        for number, (one, two, three) in enumerate(((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))):
            outer = wy[:, two, :, None] * wx[:, three, None, :]
            found[:, number] = wt[:, one, :, None, None] * outer[:, None]
        found[:, 1:] *= per_unit[:, None, None, None].astype(np.float32)
        return np.asarray(found.reshape(-1, 4, 64) @ flat[rows, :rank], np.float32)

    def pattern(self, thickness_nm: float, tilt_mrad: tuple[float, float] = (0.0, 0.0)) -> Array:
        """Return the elastic pattern (H, W) of a unit beam on the library's grid."""
        row = self.at(thickness_nm, tilt_mrad)[0]
        return np.clip(np.tensordot(row, self.basis.astype(float), axes=1), 0, None)

    @property
    def _thickness_step(self) -> float:
        return float(self.thickness_nm[1] - self.thickness_nm[0])


def _cubic(place: Array, sizes: NDArray[np.int_]) -> tuple[NDArray[np.int_], Array]:
    """Return the first of four neighbours of places (M, D) and the weights (M, D, 2, 4) of Lagrange's cubic.

    The second of the two are those of its slope.
    """
    first = np.clip(place.astype(int) - 1, 0, sizes - 4)
    a = place - first
    b, c, d = a - 1, a - 2, a - 3
    weights = [-b * c * d / 6, a * c * d / 2, -a * b * d / 2, a * b * c / 6]
    slopes = [
        -(c * d + b * d + b * c) / 6,
        (c * d + a * d + a * c) / 2,
        -(b * d + a * d + a * b) / 2,
        (b * c + a * c + a * b) / 6,
    ]
    return first, np.stack([np.stack(weights, -1), np.stack(slopes, -1)], -2)


def make_library(
    zone: Zone,
    voltage_kV: float,
    convergence_mrad: float,
    thickest_nm: float = 112.0,
    progress: Advance | None = None,
    parts: Path | None = None,
) -> Library:
    """Return the library of a zone; takes some minutes, of which `progress` is told (done, total).

    With a folder `parts` what is propagated is kept there, and found there when an interrupted run goes on.
    """
    reach = convergence_mrad + MARGIN_MRAD
    table = rocking(
        zone,
        convergence_mrad + TILT_MRAD + 1.5,
        2 * convergence_mrad + MARGIN_MRAD,
        thickest_nm,
        None if progress is None else lambda done, total: progress(500 * done // total, 1000),
        parts,
    )
    drawn = _Drawn.of(table, convergence_mrad, reach)
    basis, weight = _space(drawn, table)
    flat = (basis * weight).reshape(len(basis), -1)
    most = np.abs(drawn.all_tilts).max(axis=0)
    shape = (len(table.thickness_nm), 2 * most[0] + 1, 2 * most[1] + 1, len(basis))
    coefficients = np.zeros(shape, np.float32)
    for number in range(len(table.thickness_nm)):
        if progress is not None:
            progress(500 + 500 * number // len(table.thickness_nm), 1000)
        for tilts, images in drawn.turned(number):
            found = images.reshape(len(images), -1) @ flat.T
            coefficients[number, tilts[:, 0] + most[0], tilts[:, 1] + most[1]] = found
    return Library(
        convergence_mrad,
        voltage_kV,
        table.step_mrad,
        table.thickness_nm,
        (int(most[0]), int(most[1])),
        (basis / weight).astype(np.float32),
        coefficients,
        drawn.all_tilts,
    )


def _space(drawn: _Drawn, table: Rocking) -> tuple[Image, Image]:
    """Return an orthonormal basis (R, H, W) of weighted patterns, and the weight (H, W): 1 / root of the mean."""
    rng = np.random.default_rng(0)
    chosen = []
    numbers = range(0, len(table.thickness_nm), 4)
    each = max(1, _SEEN // (len(table.operations) * len(numbers)))
    for number in numbers:
        images = drawn.images(number)
        picked = images[rng.choice(len(images), min(each, len(images)), replace=False)]
        chosen += [_turned(picked, operation) for operation in table.operations]
    seen = np.concatenate(chosen)
    mean = seen.mean(axis=0)
    weight = (1 / np.sqrt(mean + 0.02 * mean.max())).astype(np.float32)
    flat = (seen * weight).reshape(len(seen), -1)
    values, vectors = np.linalg.eigh((flat @ flat.T).astype(float))
    keep = np.argsort(values)[::-1][:RANK]
    keep = keep[values[keep] > 1e-7 * values[keep[0]]]
    basis = ((vectors[:, keep] / np.sqrt(values[keep])).T @ flat).astype(np.float32)
    return basis.reshape(-1, *mean.shape), weight


@dataclass(frozen=True)
class _Drawn:
    """Draws patterns out of rocking curves: at tilts of the irreducible sector, and turned, at all others."""

    table: Rocking
    aperture: Image
    where: Index
    tilts: Index
    all_tilts: Index
    half: tuple[int, int]

    @staticmethod
    def of(table: Rocking, convergence_mrad: float, reach_mrad: float) -> _Drawn:
        step = np.array(table.step_mrad)
        half = np.ceil(reach_mrad / step).astype(int)
        disc = np.ceil(convergence_mrad / step + 0.5).astype(int)
        y, x = (np.arange(-n, n + 1) * s for n, s in zip(disc, step, strict=True))
        aperture = np.clip((convergence_mrad - np.hypot(y[:, None], x)) / step.mean() + 0.5, 0, 1)
        length = np.hypot(*(table.tilts * step).T)
        tilts = table.tilts[length <= TILT_MRAD + 0.75]
        every = np.unique(np.einsum("oij,kj->koi", table.operations, tilts).reshape(-1, 2), axis=0)
        aperture = (aperture / aperture.sum()).astype(np.float32)
        return _Drawn(table, aperture, _expanded(table), tilts, every, (int(half[0]), int(half[1])))

    def images(self, number: int) -> Image:
        """Return the patterns (K, H, W) at thickness `number` and the `tilts` of the irreducible sector."""
        share = np.append(self.table.share[number].ravel(), np.float32(0))
        height, width = (2 * n + 1 for n in self.half)
        result = np.zeros((len(self.tilts), height, width), np.float32)
        middle = np.array(self.where.shape[1:]) // 2
        disc = np.array(self.aperture.shape) // 2
        for beam, rows in zip(self.table.beams, self.where, strict=True):
            at = np.array(self.half) + beam * self.table.fine
            low = np.maximum(disc - at, 0)
            high = np.minimum(2 * disc + 1, np.array([height, width]) - at + disc)
            if (low >= high).any():
                continue
            part = self.aperture[low[0] : high[0], low[1] : high[1]]
            target = result[:, at[0] - disc[0] + low[0] : at[0] - disc[0] + high[0],
                            at[1] - disc[1] + low[1] : at[1] - disc[1] + high[1]]  # fmt: skip
            curve = share[rows]
            windows = np.lib.stride_tricks.sliding_window_view(curve, part.shape)
            corner = middle - disc + low + self.tilts
            target += part * windows[corner[:, 0], corner[:, 1]]
        return result

    def turned(self, number: int) -> Iterator[tuple[Index, Image]]:
        """Yield tilts (K, 2) and their patterns for every operation."""
        images = self.images(number)
        for operation in self.table.operations:
            yield self.tilts @ operation.T, _turned(images, operation)


def _turned(images: Image, operation: Index) -> Image:
    """Return (K, H, W) images moved by an operation of a square (2, 2) on (y, x) about their middle."""
    if operation[0, 0] == 0:
        images = images.swapaxes(1, 2)
    signs = operation.sum(axis=1)
    return images[:, :: signs[0], :: signs[1]]


def _expanded(table: Rocking) -> Index:
    """Return (G, Y, X): where in a flattened ``share[t]`` and a zero behind it each beam at each tilt is found."""
    most = np.abs(np.einsum("oij,kj->koi", table.operations, table.tilts)).reshape(-1, 2).max(axis=0)
    number = {tuple(beam): place for place, beam in enumerate(table.beams.tolist())}
    nothing = len(table.tilts) * len(table.beams)
    where = np.full((len(table.beams), 2 * most[0] + 1, 2 * most[1] + 1), nothing, dtype=np.int64)
    for operation in table.operations:
        tilts = table.tilts @ operation.T + most
        turned = np.array([number.get(tuple(beam), -1) for beam in (table.beams @ operation.T).tolist()])
        beams = np.flatnonzero(turned >= 0)
        source = np.arange(len(table.tilts))[None, :] * len(table.beams) + beams[:, None]
        where[turned[beams][:, None], tilts[None, :, 0], tilts[None, :, 1]] = source
    return where
