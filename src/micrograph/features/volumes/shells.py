"""Particles with a core and a shell, fitted to a tilt series of counts: shapes that few views and few counts can fix.

The outer surface is a radius over directions, the shell a share of it, both sums of spherical harmonics; each element
has one concentration in the core and one in the shell. All numbers are found together by Poisson's likelihood of the
counts themselves, not of a reconstruction, so their 1-sigma follows from Fisher's information.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.features.volumes.projector import Projector, Volume
from micrograph.features.volumes.shell_shape import Body, Sizes, degree_of, harmonics, sizes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[np.float64]

#: Expected 1-sigma of the outer harmonics of degree l >= 1: this share of the radius over l^1.5; and of the shell's.
_SHAPE, _UNEVEN = 0.35, 0.1
#: Highest degree of the harmonics of the shell.
_SHELL_DEGREE = 2


@dataclass(frozen=True)
class Bodies:
    """Particles of one specimen: `core` and `rim` (N, C), counts of each element per voxel; `ground` (C,) per pixel.

    voxel_nm: the grid on which the concentrations count. covariances: where they are known, one a body, of its outer,
    shell, core and rim, all else as it is.
    """

    bodies: tuple[Body, ...]
    core: Array
    rim: Array
    ground: Array
    voxel_nm: float
    covariances: tuple[Array, ...] = ()

    @property
    def parameters(self) -> Array:
        """All numbers in one row: each body's outer, shell, core and rim, then the ground."""
        parts = [
            np.concatenate([one.outer, one.shell, core, rim])
            for one, core, rim in zip(self.bodies, self.core, self.rim, strict=True)
        ]
        return np.concatenate([*parts, self.ground])

    def changed(self, parameters: Array) -> Bodies:
        """Return the particles with other numbers."""
        bodies, core, rim, at = [], [], [], 0
        channels = len(self.ground)
        for one in self.bodies:
            sizes = np.cumsum([len(one.outer), len(one.shell), channels, channels])
            outer, shell, own, around = np.split(parameters[at : at + sizes[-1]], sizes[:-1])
            bodies.append(replace(one, outer=outer, shell=shell))
            core.append(own)
            rim.append(around)
            at += int(sizes[-1])
        return replace(self, bodies=tuple(bodies), core=np.array(core), rim=np.array(rim), ground=parameters[at:])

    def volume(self, shape: tuple[int, int, int], finer: int = 1) -> Volume:
        """Return the concentrations (C, Z, Y, X), counts a voxel, on a grid with `finer` times smaller voxels."""
        found = np.zeros((len(self.ground), *shape), np.float32)
        for one, core, rim in zip(self.bodies, self.core, self.rim, strict=True):
            table = _Table.of(one)
            centre = [(each + 0.5) * finer - 0.5 for each in one.centre]
            box = _box(one, centre, shape, self.voxel_nm / finer)
            for plane in range(box[0].start, box[0].stop):
                inside, whole = table.fills((plane, *box[1:]), centre, self.voxel_nm / finer)
                part = found[:, plane, box[1], box[2]]
                for into, own, around in zip(part, core, rim, strict=True):
                    into += np.float32(own / finer**3) * inside + np.float32(around / finer**3) * (whole - inside)
        return found


Box = tuple[slice, slice, slice]


def _box(body: Body, centre: Sequence[float], shape: tuple[int, int, int], voxel_nm: float) -> Box:
    """Return the voxels that a body may fill, with room to grow."""
    reach = (1.5 * body.outer[0]) / voxel_nm + 2
    spans = [
        slice(max(0, int(at - reach)), min(size, int(at + reach) + 2)) for at, size in zip(centre, shape, strict=True)
    ]
    return spans[0], spans[1], spans[2]


@dataclass(frozen=True)
class _Table:
    """The radii (P, A) of a body's two surfaces over directions, by polar angle and angle around, to look up."""

    outer: Array
    inner: Array

    @classmethod
    def of(cls, body: Body, polar: int = 181, around: int = 361) -> _Table:
        """Return the radii of a body."""
        basis = _table_basis(degree_of(body.outer), polar, around)
        outer = basis @ body.outer
        inner = outer * (1 - np.clip(basis[:, : len(body.shell)] @ body.shell, 0, 1))
        return cls(outer.reshape(polar, around), inner.reshape(polar, around))

    def fills(self, plane: tuple[int, slice, slice], centre: Sequence[float], voxel_nm: float) -> tuple[Volume, Volume]:
        """Return the shares of the voxels of a part of a plane within the core and within the whole."""
        from scipy.ndimage import map_coordinates

        spans = [np.arange(one.start, one.stop) - at for one, at in zip(plane[1:], centre[1:], strict=True)]
        y, x = (one * voxel_nm for one in np.meshgrid(*spans, indexing="ij"))
        z = (plane[0] - centre[0]) * voxel_nm
        radius = np.sqrt(z * z + y * y + x * x)
        polar = np.arccos(np.clip(z / np.maximum(radius, 1e-9), -1.0, 1.0)) / np.pi * (self.outer.shape[0] - 1)
        around = (np.arctan2(y, x) + np.pi) / (2 * np.pi) * (self.outer.shape[1] - 1)
        at = np.stack([polar, around])
        found = [map_coordinates(one, at, order=1, mode="nearest") for one in (self.inner, self.outer)]
        inside, whole = (np.clip((one - radius) / voxel_nm + 0.5, 0, 1).astype(np.float32) for one in found)
        return np.minimum(inside, whole), whole


@functools.lru_cache(maxsize=2)
def _table_basis(degree: int, polar: int, around: int) -> NDArray[np.float32]:
    one, two = np.meshgrid(np.linspace(0, np.pi, polar), np.linspace(-np.pi, np.pi, around), indexing="ij")
    unit = np.stack([np.cos(one), np.sin(one) * np.sin(two), np.sin(one) * np.cos(two)], axis=-1).reshape(-1, 3)
    return harmonics(unit, degree)


@functools.lru_cache(maxsize=16)
def _place_basis(box: tuple[tuple[int, int], ...], centre: tuple[float, ...], degree: int) -> NDArray[np.float32]:
    """Return the harmonics (N, H) in the directions of the voxels of a box from a centre."""
    place = np.stack(np.meshgrid(*[np.arange(*span) - at for span, at in zip(box, centre, strict=True)], indexing="ij"))
    place = place.reshape(3, -1).T
    return harmonics(place / np.maximum(np.linalg.norm(place, axis=1), 1e-9)[:, None], degree)


@dataclass(frozen=True)
class _Place:
    """The voxels of a box about a body: their radius in nm (N,), harmonics (N, H), and the box in the volume."""

    box: Box
    radius_nm: NDArray[np.float32]
    basis: NDArray[np.float32]
    edge_nm: float

    @classmethod
    def of(cls, body: Body, shape: tuple[int, int, int], voxel_nm: float) -> _Place:
        """Return the voxels near a body."""
        box = _box(body, body.centre, shape, voxel_nm)
        spans = tuple((one.start, one.stop) for one in box)
        grid = np.meshgrid(*[np.arange(*span) - at for span, at in zip(spans, body.centre, strict=True)], indexing="ij")
        radius = np.sqrt(sum(one**2 for one in grid)).ravel() * voxel_nm
        basis = _place_basis(spans, body.centre, degree_of(body.outer))
        return cls(box, radius.astype(np.float32), basis, voxel_nm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the box."""
        z, y, x = (one.stop - one.start for one in self.box)
        return z, y, x

    def surfaces(self, body: Body) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return in the direction of each voxel the outer radius and the shell's share, and the depth below both."""
        outer = self.basis @ body.outer.astype(np.float32)
        share = np.clip(self.basis[:, : len(body.shell)] @ body.shell.astype(np.float32), 0, 1)
        return outer, share, np.stack([outer, outer * (1 - share)]) - self.radius_nm

    def fills(self, body: Body) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the shares (N,) of the voxels within the core and within the whole body."""
        whole, inside = np.clip(self.surfaces(body)[2] / self.edge_nm + 0.5, 0, 1)
        return np.minimum(inside, whole), whole


@dataclass(frozen=True)
class Fit:
    """Counts (C, V, Y, X) of a tilt series, their projector, and the particles from which a fit begins."""

    counts: Volume
    projector: Projector
    start: Bodies

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the volume."""
        return self.projector.depth, self.counts.shape[2], self.projector.width

    @cached_property
    def places(self) -> tuple[_Place, ...]:
        """The voxels near each body."""
        return tuple(_Place.of(one, self.shape, self.start.voxel_nm) for one in self.start.bodies)

    @cached_property
    def _rays(self) -> tuple[csr_array, ...]:
        """The projector's columns of each body's box."""
        z, x = np.indices((self.projector.depth, self.projector.width))
        columns = (z * self.projector.width + x).astype(np.intp)
        matrix = self.projector.matrix.tocsc()
        return tuple(matrix[:, columns[one.box[0], one.box[2]].ravel()].tocsr() for one in self.places)

    @cached_property
    def _sigma_before(self) -> Array:
        """1-sigma of all parameters beforehand, about zero; infinite where nothing is known."""
        sigma = []
        channels = len(self.start.ground)
        for one in self.start.bodies:
            for many, width in ((one.outer, _SHAPE * one.outer[0]), (one.shell, _UNEVEN)):
                level = np.concatenate([np.full(2 * n + 1, n) for n in range(degree_of(many) + 1)])
                sigma.append(np.where(level > 0, width / np.maximum(level, 1) ** 1.5, np.inf))
            sigma.append(np.full(2 * channels, np.inf))
        return np.concatenate([*sigma, np.full(channels, np.inf)])

    def expected(self, bodies: Bodies) -> tuple[Array, list[tuple[Volume, Volume]]]:
        """Return the expected counts (C, V, Y, X), and projections (V, y, X) of each body's core and shell."""
        shadows = []
        total = np.zeros(self.counts.shape) + bodies.ground[:, None, None, None] * self.projector.hazes
        for number, (one, place) in enumerate(zip(bodies.bodies, self.places, strict=True)):
            core, whole = place.fills(one)
            pair = self._shadows(number, np.stack([core, whole - core]))
            shadows.append((pair[0], pair[1]))
            part = total[:, :, place.box[1]]
            part += np.multiply.outer(bodies.core[number], pair[0]) + np.multiply.outer(bodies.rim[number], pair[1])
        return total, shadows

    def _shadows(self, number: int, values: NDArray[np.float32]) -> Volume:
        """Return the projections (K, V, y, X) of values (K, N) in the voxels of a body's box."""
        place, kinds = self.places[number], len(values)
        depth, height, width = place.shape
        flat = values.reshape(kinds, depth, height, width).transpose(1, 3, 0, 2).reshape(depth * width, -1)
        found = self._rays[number] @ np.ascontiguousarray(flat)
        views = found.reshape(self.projector.views, self.projector.width, kinds, height)
        return np.asarray(views.transpose(2, 0, 3, 1), np.float32)

    def loss(self, bodies: Bodies) -> float:
        """Return minus the log-likelihood, with what is known beforehand."""
        seen = np.maximum(self.expected(bodies)[0], 1e-9)
        known = 0.5 * float(((bodies.parameters / self._sigma_before) ** 2).sum())
        return float((seen - self.counts * np.log(seen)).sum()) + known

    def best(self, rounds: int = 12) -> Bodies:
        """Return the particles of most likelihood, by Fisher scoring with damping, one particle after the other."""
        bodies, damping = self.start, np.full(len(self.start.bodies), 1e-2)
        value = self.loss(bodies)
        for _ in range(rounds):
            before = value
            for number in range(len(bodies.bodies)):
                fisher, slope, at = self._quadratic(bodies, number)
                for _ in range(4):
                    moved = self._moved(bodies, at, fisher, slope, damping[number])
                    new = self.loss(moved)
                    if new < value:
                        bodies, value = moved, new
                        damping[number] = max(damping[number] / 5, 1e-5)
                        break
                    damping[number] *= 6
            bodies = self._grounded(bodies)
            value = self.loss(bodies)
            if before - value < 0.05:
                break
        return bodies

    def _grounded(self, bodies: Bodies) -> Bodies:
        """Return the particles with the ground that the counts far from them have."""
        far = np.ones(self.counts.shape[1:], bool)
        for place, pair in zip(self.places, self.expected(bodies)[1], strict=True):
            far[:, place.box[1]] &= (pair[0] + pair[1]) < 1e-3
        if far.mean() < 0.05:
            return bodies
        ground = (self.counts[:, far].sum(axis=1, dtype=float) + 0.5) / (far * self.projector.hazes).sum()
        return replace(bodies, ground=ground)

    def _moved(self, bodies: Bodies, at: NDArray[np.intp], fisher: Array, slope: Array, damping: float) -> Bodies:
        """Return the particles after a damped step; concentrations stay above zero."""
        parameters, least = bodies.parameters, self._least()[at]
        own = parameters[at]
        free = ~((own <= least * 1.001) & (slope > 0) & np.isfinite(least))
        step = np.zeros(len(at))
        matrix = fisher[np.ix_(free, free)]
        step[free] = -_inverse(matrix + damping * np.diag(np.diag(matrix))) @ slope[free]
        parameters[at] = np.maximum(own + step, least)
        return bodies.changed(parameters)

    def _quadratic(self, bodies: Bodies, number: int) -> tuple[Array, Array, NDArray[np.intp]]:
        """Return Fisher's information, slopes of the loss, and places of the parameters, of one body."""
        expected, shadows = self.expected(bodies)
        rows = self.places[number].box[1]
        expected = np.maximum(expected[:, :, rows], 1e-6).astype(np.float32)
        by_shape = self._by_shape(bodies, number)
        channels = len(bodies.ground)
        only = np.eye(channels, dtype=np.float32)[:, :, None, None, None]
        by_amount = [only * shadow for shadow in shadows[number]]
        jacobian = np.concatenate([by_shape, *by_amount]).reshape(-1, expected.size)
        slope = (jacobian @ (1 - self.counts[:, :, rows] / expected).ravel()).astype(float)
        jacobian *= 1 / np.sqrt(expected).ravel()
        fisher = (jacobian @ jacobian.T).astype(float)
        size = len(jacobian)
        first = sum(len(one.outer) + len(one.shell) + 2 * channels for one in bodies.bodies[:number])
        at = np.arange(first, first + size).astype(np.intp)
        sigma = self._sigma_before[at]
        return fisher + np.diag(1 / sigma**2), slope + bodies.parameters[at] / sigma**2, at

    def _by_shape(self, bodies: Bodies, number: int) -> Volume:
        """Return the slopes (H + K, C, V, y, X) of the expected counts by the harmonics of one body."""
        body, place = bodies.bodies[number], self.places[number]
        outer, share, depth = place.surfaces(body)
        ring, seam = (np.abs(depth) < place.edge_nm / 2) / np.float32(place.edge_nm)
        core, rim = (many[number].astype(np.float32)[:, None, None, None] for many in (bodies.core, bodies.rim))
        basis = place.basis.T
        at_ring = self._shadows(number, ring * basis)
        at_seam = self._shadows(number, seam * (1 - share) * basis)
        found = [rim * one + (core - rim) * two for one, two in zip(at_ring, at_seam, strict=True)]
        inner = self._shadows(number, -seam * outer * basis[: len(body.shell)])
        return np.stack([*found, *((core - rim) * one for one in inner)])

    def _least(self) -> Array:
        """Return the least value of every parameter."""
        channels = len(self.start.ground)
        parts = [
            np.concatenate([np.full(len(one.outer) + len(one.shell), -np.inf), np.full(2 * channels, 1e-7)])
            for one in self.start.bodies
        ]
        return np.concatenate([*parts, np.full(channels, 1e-6)])

    def with_covariances(self, bodies: Bodies) -> Bodies:
        """Return the particles with covariances: the inverses of Fisher's information and what is known before."""
        found = [_inverse(self._quadratic(bodies, number)[0]) for number in range(len(bodies.bodies))]
        return replace(bodies, covariances=tuple(found))


def _inverse(matrix: Array) -> Array:
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-12))
    return np.asarray(scale[:, None] * np.linalg.pinv(matrix * np.outer(scale, scale), rcond=1e-9) * scale)


def size_sigmas(bodies: Bodies, number: int) -> Sizes:
    """Return the 1-sigma of the sizes of body `number`, by the covariance of the fit; NaN where that is not known."""
    if not bodies.covariances:
        return Sizes(np.nan, np.nan, np.nan)
    body = bodies.bodies[number]
    many, size = np.concatenate([body.outer, body.shell]), len(body.outer)
    own = bodies.covariances[number][: len(many), : len(many)]
    rows = []
    for place, by in enumerate([1e-3] * size + [1e-4] * len(body.shell)):
        ends = []
        for sign in (1, -1):
            moved = many.copy()
            moved[place] += sign * by
            ends.append(sizes(replace(body, outer=moved[:size], shell=moved[size:])))
        rows.append([(getattr(ends[0], name) - getattr(ends[1], name)) / (2 * by) for name in _NAMES])
    slopes = np.array(rows)
    found = np.sqrt(np.maximum(np.einsum("ik,ij,jk->k", slopes, own, slopes), 0))
    return Sizes(*(float(one) for one in found))


_NAMES = ("diameter_nm", "core_nm", "shell_nm")


def begin(
    volume: Volume, centre: tuple[float, float, float], radius_nm: float, voxel_nm: float, degree: int = 6
) -> tuple[Body, Array, Array]:
    """Return a ball with a core and its concentrations to begin from, out of a reconstruction (C, Z, Y, X).

    The core's radius is where the shares of the elements change most between within and around.
    """
    grid = np.meshgrid(
        *[np.arange(size) - at for size, at in zip(volume.shape[1:], centre, strict=True)], indexing="ij"
    )
    radius = np.sqrt(sum(one**2 for one in grid)) * voxel_nm
    edges = np.linspace(0, radius_nm, 13)
    bin_of = np.digitize(radius.ravel(), edges[1:])
    amount = np.stack([np.bincount(bin_of, one.ravel(), 13)[:12] for one in volume])
    room = np.maximum(np.bincount(bin_of, minlength=13)[:12], 1)
    best, chosen = -np.inf, 8
    for split in range(4, 12):
        inside, around = amount[:, :split].sum(axis=1), amount[:, split:].sum(axis=1)
        rooms = room[:split].sum(), room[split:].sum()
        value = sum(float((part * np.log(np.maximum(part, 1e-9) / size)).sum())
                    for part, size in ((inside, rooms[0]), (around, rooms[1])))  # fmt: skip
        if value > best:
            best, chosen = value, split
    core, rim = (
        amount[:, :chosen].sum(axis=1) / room[:chosen].sum(),
        amount[:, chosen:].sum(axis=1) / room[chosen:].sum(),
    )
    outer, shell = np.zeros((degree + 1) ** 2), np.zeros((_SHELL_DEGREE + 1) ** 2)
    outer[0], shell[0] = radius_nm, 1 - edges[chosen] / radius_nm
    floor = 1e-3 * max(core.max(), rim.max())
    return Body(centre, outer, shell), np.maximum(core, floor), np.maximum(rim, floor)
