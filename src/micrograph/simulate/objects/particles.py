"""Fields of particles with everything known of them: where each lies, how thick it is, what covers what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core.depth import normalised_depth
from micrograph.simulate.objects.solids import Ball, Rod, Solid, about_beam, concave_cube, cube, prism, random_rotation

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: Points per pixel, along each axis, at which a solid is evaluated, and one that reaches less than so many pixels.
_FINE, _FINER, _SMALL = 3, 8, 12
#: A random place for a particle is sought so many times.
_TRIES = 30


@dataclass(frozen=True)
class Particle:
    """A solid of a named shape with its origin at (y, x) in nm from the centre of pixel (0, 0)."""

    shape: str
    solid: Solid
    y_nm: float
    x_nm: float


@dataclass(frozen=True)
class Shadow:
    """What a particle covers of an image: the part of it that its box shows, coverage (h, w) 0 .. 1, thickness (nm)."""

    rows: slice
    columns: slice
    coverage: Image
    thickness_nm: Image

    @property
    def area_px(self) -> float:
        """Covered area in pixels, without what lies outside the image."""
        return float(self.coverage.sum(dtype=np.float64))

    @property
    def centre_px(self) -> tuple[float, float]:
        """Centroid (y, x) of the covered area."""
        total = max(self.area_px, 1e-9)
        y, x = np.arange(self.rows.start, self.rows.stop), np.arange(self.columns.start, self.columns.stop)
        return float(self.coverage.sum(axis=1) @ y / total), float(self.coverage.sum(axis=0) @ x / total)


def shadow(particle: Particle, pixel_nm: float, shape: tuple[int, int]) -> Shadow:
    """Return what `particle` covers of an image of `shape` pixels; an empty box where it lies outside."""
    reach = particle.solid.reach_nm / pixel_nm + 1
    y, x = particle.y_nm / pixel_nm, particle.x_nm / pixel_nm
    top, left = max(0, int(np.floor(y - reach))), max(0, int(np.floor(x - reach)))
    bottom, right = min(shape[0], int(np.ceil(y + reach)) + 1), min(shape[1], int(np.ceil(x + reach)) + 1)
    rows, columns = slice(top, max(bottom, top)), slice(left, max(right, left))
    if bottom <= top or right <= left:
        return Shadow(rows, columns, *(np.zeros((rows.stop - top, columns.stop - left), np.float32),) * 2)
    number = _FINER if reach < _SMALL else _FINE
    fine = (np.arange(number) + 0.5) / number - 0.5
    ys = ((np.arange(top, bottom)[:, None] + fine).ravel() - y) * pixel_nm
    xs = ((np.arange(left, right)[:, None] + fine).ravel() - x) * pixel_nm
    thick = particle.solid.thickness(*np.meshgrid(ys, xs, indexing="ij"))
    blocks = thick.reshape(bottom - top, number, right - left, number)
    coverage = (blocks > 0).mean(axis=(1, 3), dtype=np.float32)
    return Shadow(rows, columns, coverage, blocks.mean(axis=(1, 3)).astype(np.float32))


#: Makes a solid of about the given equivalent diameter (nm).
Maker = Callable[[float, np.random.Generator], Solid]


def _sphere(diameter: float, rng: np.random.Generator) -> Solid:
    stretch = float(rng.uniform(1.0, 1.12))
    r = diameter / 2
    return Ball((r / stretch**0.5, r * stretch**0.5, r), float(rng.uniform(0, 180)))


def _rod(diameter: float, rng: np.random.Generator) -> Solid:
    aspect = float(rng.uniform(2.0, 4.5))
    radius = diameter / 2 * np.sqrt(np.pi / (np.pi + 4 * (aspect - 1)))
    return Rod(2 * radius * aspect, float(radius), float(rng.uniform(0, 180)))


def _cube(diameter: float, rng: np.random.Generator) -> Solid:
    edge = diameter * np.sqrt(np.pi) / 2
    return cube(edge, about_beam(float(rng.uniform(0, 360))), float(rng.uniform(0.05, 0.25)))


def _tilted_cube(diameter: float, rng: np.random.Generator) -> Solid:
    return cube(diameter * 0.78, random_rotation(rng), float(rng.uniform(0.05, 0.25)))


def _triangle(diameter: float, rng: np.random.Generator) -> Solid:
    edge = diameter * np.sqrt(np.pi / np.sqrt(3))
    turn = about_beam(float(rng.uniform(0, 360)))
    return prism(3, edge, diameter * float(rng.uniform(0.2, 0.5)), turn, float(rng.uniform(0.1, 0.35)))


def _hexagon(diameter: float, rng: np.random.Generator) -> Solid:
    edge = diameter * np.sqrt(np.pi / (6 * np.sqrt(3)))
    turn = about_beam(float(rng.uniform(0, 360)))
    return prism(6, edge, diameter * float(rng.uniform(0.2, 0.6)), turn, float(rng.uniform(0.0, 0.2)))


def _concave_cube(diameter: float, rng: np.random.Generator) -> Solid:
    turn = about_beam(float(rng.uniform(0, 360)))
    return concave_cube(diameter * 0.87, turn, float(rng.uniform(0.15, 0.45)))


#: Shapes by name.
SHAPES: Mapping[str, Maker] = {
    "sphere": _sphere,
    "rod": _rod,
    "cube": _cube,
    "tilted-cube": _tilted_cube,
    "triangle": _triangle,
    "hexagon": _hexagon,
    "concave-cube": _concave_cube,
}


@dataclass(frozen=True)
class Field:
    """Particles over an image: their shadows, and in pixels what they cover (0 .. 1), how deep, how thick (nm)."""

    particles: tuple[Particle, ...]
    shadows: tuple[Shadow, ...]
    pixel_nm: float
    coverage: Image
    depth: Image
    thickness_nm: Image

    @property
    def overlaps(self) -> Array:
        """Return the share (N,) of every particle's area that others cover too."""
        layers = np.zeros(self.coverage.shape, np.float32)
        for one in self.shadows:
            layers[one.rows, one.columns] += one.coverage
        return np.array(
            [
                float((one.coverage * np.clip(layers[one.rows, one.columns] - one.coverage, 0, 1)).sum())
                / max(one.area_px, 1e-9)
                for one in self.shadows
            ]
        )


def field_of(
    particles: Sequence[Particle], pixel_nm: float, shape: tuple[int, int], darkness: Array | None = None
) -> Field:
    """Return `particles` over an image; `darkness` (N,) multiplies the thickness of each (Bragg contrast)."""
    shadows = [shadow(one, pixel_nm, shape) for one in particles]
    kept = [index for index, one in enumerate(shadows) if one.area_px > 1]
    uncovered, depth, thick = (np.ones(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    for index in kept:
        one = shadows[index]
        place = (one.rows, one.columns)
        uncovered[place] *= 1 - one.coverage
        depth[place] = np.maximum(depth[place], depth_of(one.coverage))
        thick[place] += one.thickness_nm * (1.0 if darkness is None else float(darkness[index]))
    return Field(
        tuple(particles[index] for index in kept),
        tuple(shadows[index] for index in kept),
        pixel_nm,
        1 - uncovered,
        depth,
        thick,
    )


def depth_of(coverage: Image) -> Image:
    """Return how deep each pixel lies inside a covered area (h, w), see `normalised_depth`; it goes on past the box."""
    return normalised_depth((coverage > 0.5).astype(np.int32))


def scattered(
    solids: Sequence[tuple[str, Solid]],
    size_nm: tuple[float, float],
    rng: np.random.Generator,
    gap: tuple[float, float] = (1.05, 1.05),
) -> list[Particle]:
    """Return the solids at random places of a field (height, width), largest first; what finds no place is left out.

    gap: smallest distance between centres over the sum of the particles' reaches, drawn per pair of this range: above
    1 they stay apart, below they touch and overlap.
    """
    order = sorted(range(len(solids)), key=lambda index: -solids[index][1].reach_nm)
    placed: list[Particle] = []
    centres, reaches = np.empty((0, 2)), np.empty(0)
    for index in order:
        shape, solid = solids[index]
        for _ in range(_TRIES):
            at = rng.uniform((0, 0), size_nm)
            least = rng.uniform(*gap) * (reaches + solid.reach_nm)
            if np.all(np.linalg.norm(centres - at, axis=1) >= least):
                placed.append(Particle(shape, solid, float(at[0]), float(at[1])))
                centres, reaches = np.vstack([centres, at]), np.append(reaches, solid.reach_nm)
                break
    return placed
