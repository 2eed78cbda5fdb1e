"""Solids and how much of each the beam crosses: the chord along z at every point of the image plane."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Directions that are nearly in the image plane bound no chord.
_FLAT = 1e-9
#: Points (per outline length) from which the depth below an outline is measured.
_SPACING = 400


class Solid(Protocol):
    """A body around the origin."""

    @property
    def reach_nm(self) -> float:
        """Radius (nm) of a circle around the origin in the image plane that holds all of it."""
        ...

    def thickness(self, y_nm: Array, x_nm: Array) -> Array:
        """Return the length (nm) of the beam's path inside, at points (any shape) of the image plane."""
        ...


@dataclass(frozen=True)
class Ball:
    """An ellipsoid, turned by `angle_deg`: semi-axes (nm) along y, x and the beam; a sphere where all are equal."""

    semi_axes_nm: tuple[float, float, float]
    angle_deg: float = 0.0

    @property
    def reach_nm(self) -> float:
        """Radius (nm) in the image plane."""
        return max(self.semi_axes_nm[:2])

    def thickness(self, y_nm: Array, x_nm: Array) -> Array:
        """Return the chord (nm) along the beam at points of the image plane."""
        y, x = _turned(y_nm, x_nm, self.angle_deg)
        a, b, c = self.semi_axes_nm
        chord: Array = 2 * c * np.sqrt(np.clip(1 - (y / a) ** 2 - (x / b) ** 2, 0, None))
        return chord


@dataclass(frozen=True)
class Rod:
    """A cylinder with round ends that lies in the plane: whole length and radius (nm), axis at `angle_deg` from +x."""

    length_nm: float
    radius_nm: float
    angle_deg: float = 0.0

    @property
    def reach_nm(self) -> float:
        """Radius (nm) in the image plane."""
        return max(self.length_nm / 2, self.radius_nm)

    def thickness(self, y_nm: Array, x_nm: Array) -> Array:
        """Return the chord (nm) along the beam at points of the image plane."""
        y, x = _turned(y_nm, x_nm, self.angle_deg)
        straight = max(self.length_nm / 2 - self.radius_nm, 0.0)
        beyond = np.abs(x) - np.clip(np.abs(x), 0, straight)
        chord: Array = 2 * np.sqrt(np.clip(self.radius_nm**2 - y**2 - beyond**2, 0, None))
        return chord


@dataclass(frozen=True)
class Polyhedron:
    """A convex body: points p = (x, y, z) with ``normals @ p <= offsets_nm``; normals (M, 3) of length 1."""

    normals: Array
    offsets_nm: Array

    @functools.cached_property
    def reach_nm(self) -> float:
        """Radius (nm) in the image plane."""
        return float(np.linalg.norm(self.corners[:, :2], axis=1).max())

    @property
    def corners(self) -> Array:
        """Corners (K, 3); the origin lies inside, or the body's middle is sought first."""
        from scipy.optimize import linprog
        from scipy.spatial import HalfspaceIntersection

        inside = np.zeros(3)
        if self.offsets_nm.min() <= 0:  # the middle of the largest ball that fits
            faces = np.column_stack([self.normals, np.ones(len(self.normals))])
            found_inside = linprog([0, 0, 0, -1], faces, self.offsets_nm, bounds=[(None, None)] * 3 + [(0, None)]).x
            assert found_inside is not None  # a body without inside has no corners
            inside = found_inside[:3]
        found: Array = HalfspaceIntersection(np.column_stack([self.normals, -self.offsets_nm]), inside).intersections
        return found

    def thickness(self, y_nm: Array, x_nm: Array) -> Array:
        """Return the chord (nm) along the beam at points of the image plane."""
        top, bottom = np.full(np.shape(y_nm), np.inf), np.full(np.shape(y_nm), -np.inf)
        inside = np.ones(np.shape(y_nm), dtype=bool)
        for (nx, ny, nz), offset in zip(self.normals, self.offsets_nm, strict=True):
            left = offset - nx * x_nm - ny * y_nm
            if nz > _FLAT:
                np.minimum(top, left / nz, out=top)
            elif nz < -_FLAT:
                np.maximum(bottom, left / nz, out=bottom)
            else:
                inside &= left >= 0
        return np.where(inside, np.clip(top - bottom, 0, None), 0.0)

    def turned(self, rotation: Array) -> Polyhedron:
        """Return the body turned by a rotation matrix (3, 3)."""
        return Polyhedron(self.normals @ rotation.T, self.offsets_nm)


@dataclass(frozen=True)
class ConcaveCube:
    """A cube from whose faces pyramids are missing: `dent` is their depth over half the edge (0 .. 1)."""

    cube: Polyhedron
    pyramids: tuple[Polyhedron, ...]

    @property
    def reach_nm(self) -> float:
        """Radius (nm) in the image plane."""
        return self.cube.reach_nm

    def thickness(self, y_nm: Array, x_nm: Array) -> Array:
        """Return the chord (nm) along the beam at points of the image plane."""
        dents = [pyramid.thickness(y_nm, x_nm) for pyramid in self.pyramids]
        return np.asarray(np.clip(self.cube.thickness(y_nm, x_nm) - np.sum(dents, axis=0), 0, None))


@dataclass(frozen=True)
class Plate:
    """Any outline (K, 2), rows y and x in nm, closed, as thick as `height_nm` but for its rounded edge.

    At depth d below the outline, d < `edge_nm`, it is ``height * sqrt(1 - (1 - d / edge)^2)`` thick: with the edge as
    deep as the shape is narrow it is a sphere or a rod.
    """

    outline_nm: Array
    height_nm: float
    edge_nm: float

    @property
    def reach_nm(self) -> float:
        """Radius (nm) in the image plane."""
        return float(np.linalg.norm(self.outline_nm, axis=1).max())

    def thickness(self, y_nm: Array, x_nm: Array) -> Array:
        """Return the chord (nm) along the beam at points of the image plane."""
        depth = self.depth(y_nm, x_nm)
        share = np.clip(depth / max(self.edge_nm, 1e-9), 0, 1)
        return np.where(depth > 0, self.height_nm * np.sqrt(1 - (1 - share) ** 2), 0.0)

    def depth(self, y_nm: Array, x_nm: Array) -> Array:
        """Return how deep (nm) points lie below the outline, negative outside."""
        from scipy.spatial import cKDTree
        from skimage.measure import points_in_poly

        points = np.stack([np.ravel(y_nm), np.ravel(x_nm)], axis=1)
        distance = np.asarray(cKDTree(_dense(self.outline_nm)).query(points)[0])
        inside = points_in_poly(points, self.outline_nm)  # type: ignore[no-untyped-call]
        return np.where(inside, distance, -distance).reshape(np.shape(y_nm))


def cube(edge_nm: float, rotation: Array, truncation: float = 0.1) -> Polyhedron:
    """Return a cube turned by `rotation` whose corners and edges lack the share `truncation` (0 .. 0.5) of the edge."""
    axes = [sign * np.eye(3)[axis] for axis in range(3) for sign in (1, -1)]
    pairs = [np.array(v) / np.sqrt(2) for v in itertools.product((-1, 0, 1), repeat=3) if np.abs(v).sum() == 2]
    corners = [np.array(v) / np.sqrt(3) for v in itertools.product((-1, 1), repeat=3)]
    half = edge_nm / 2
    offsets = [half] * 6 + [half * (2 - truncation) / np.sqrt(2)] * 12 + [half * (3 - 2 * truncation) / np.sqrt(3)] * 8
    return Polyhedron(np.array([*axes, *pairs, *corners], dtype=float), np.array(offsets)).turned(rotation)


def prism(sides: int, edge_nm: float, height_nm: float, rotation: Array, truncation: float = 0.1) -> Polyhedron:
    """Return a flat regular prism of so many sides (3: a triangle) with blunted corners, turned by `rotation`."""
    angles = 2 * np.pi * np.arange(sides) / sides
    apothem = edge_nm / (2 * np.tan(np.pi / sides))
    radius = edge_nm / (2 * np.sin(np.pi / sides))
    walls = np.stack([np.cos(angles), np.sin(angles), np.zeros(sides)], axis=1)
    blunt = np.stack([np.cos(angles + np.pi / sides), np.sin(angles + np.pi / sides), np.zeros(sides)], axis=1)
    lids = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    cut = radius - truncation * (radius - apothem)
    offsets = np.array([*[apothem] * sides, *[cut] * sides, height_nm / 2, height_nm / 2])
    return Polyhedron(np.concatenate([walls, blunt, lids]), offsets).turned(rotation)


def concave_cube(edge_nm: float, rotation: Array, dent: float = 0.3) -> ConcaveCube:
    """Return a cube whose six faces are dented by pyramids `dent` half edges deep (0 .. 1), turned by `rotation`."""
    half = edge_nm / 2
    pyramids = []
    for axis, sign in itertools.product(range(3), (1.0, -1.0)):
        out = sign * np.eye(3)[axis]
        sides = [s * np.eye(3)[other] for other in range(3) if other != axis for s in (1.0, -1.0)]
        slanted = np.array([side - out / dent for side in sides])  # each holds the apex and one edge of the face
        length = np.linalg.norm(slanted, axis=1)
        apex = out * half * (1 - dent)
        offsets = [*(slanted @ apex / length), half]
        normals = np.array([*(slanted / length[:, None]), out])
        pyramids.append(Polyhedron(normals, np.array(offsets)).turned(rotation))
    return ConcaveCube(cube(edge_nm, rotation, 0.0), tuple(pyramids))


def about_beam(angle_deg: float) -> Array:
    """Return the rotation matrix (3, 3) of a turn about the beam."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def random_rotation(rng: np.random.Generator, tilt_deg: float = 180.0) -> Array:
    """Return a rotation matrix (3, 3): any turn about the beam, then a tilt of up to `tilt_deg` about any axis."""
    tilt, direction = np.deg2rad(rng.uniform(0, tilt_deg)), rng.uniform(0, 2 * np.pi)
    k = np.array([np.cos(direction), np.sin(direction), 0.0])
    cross = np.array([[0, -k[2], k[1]], [k[2], 0, -k[0]], [-k[1], k[0], 0]])
    tilted = np.eye(3) + np.sin(tilt) * cross + (1 - np.cos(tilt)) * cross @ cross
    rotation: Array = tilted @ about_beam(float(rng.uniform(0, 360)))
    return rotation


def _turned(y: Array, x: Array, angle_deg: float) -> tuple[Array, Array]:
    """Return points in the frame of a body whose own x axis lies at `angle_deg`, counter-clockwise with y down."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return c * y + s * x, -s * y + c * x


def _dense(outline: Array) -> Array:
    """Return the closed outline (K, 2) as evenly spaced points."""
    closed = np.concatenate([outline, outline[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(_SPACING, 4 * len(outline)), endpoint=False)
    return np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], axis=1)
