"""Phantoms for spectroscopic tomography: core-shell dots and alloys, their X-ray counts and their HAADF tilt series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range

Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Phantom:
    """A specimen: `share` (elements, Z, Y, X), the concentration of each element in units of its pure phase.

    elements: their symbols; atomic_numbers; voxel_nm; core_nm and shell_nm: mean radius of the core and thickness of
    the shell; centre_voxel: (z, y, x) of the middle.
    """

    share: Volume
    elements: tuple[str, ...]
    atomic_numbers: tuple[int, ...]
    voxel_nm: float
    core_nm: float
    shell_nm: float
    centre_voxel: tuple[float, float, float]

    def haadf(self) -> Volume:
        """Return what HAADF sees of a voxel (Z, Y, X): the sum over elements of share times Z^1.7."""
        weight = np.asarray(self.atomic_numbers, np.float32) ** 1.7
        return np.asarray(np.tensordot(weight / weight.max(), self.share, 1), np.float32)


@dataclass(frozen=True)
class Dots:
    """Random core-shell dots: In and P in the core, Zn and Se in the shell, as quantum dots are made.

    diameter_nm, shell_nm: ranges; facets: share of polyhedral ones; off_nm: by how much the core is off the middle, at
    most; rough_nm: 1-sigma of the surface; side: voxels; field_nm: side of the volume.
    """

    diameter_nm: Range = (11.0, 13.0)
    shell_nm: Range = (0.6, 2.0)
    facets: float = 0.5
    off_nm: float = 0.4
    rough_nm: float = 0.15
    side: int = 96
    field_nm: float = 19.2
    elements: tuple[str, ...] = ("In", "Zn", "Se")
    atomic_numbers: tuple[int, ...] = (49, 30, 34)

    def __call__(self, rng: np.random.Generator) -> Phantom:
        """Return one dot."""
        voxel = self.field_nm / self.side
        outer = float(rng.uniform(*self.diameter_nm)) / 2
        shell = float(rng.uniform(*self.shell_nm))
        axis = (np.arange(self.side) - (self.side - 1) / 2) * voxel
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
        middle = rng.uniform(-0.5, 0.5, 3)
        place = np.stack([z - middle[0], y - middle[1], x - middle[2]])
        normals = _directions(rng) if rng.random() < self.facets else None
        rough = _rough(rng, self.rough_nm)
        outside = _radius(place, normals, rough)
        inside = _radius(place - rng.uniform(-self.off_nm, self.off_nm, 3)[:, None, None, None], normals, rough)
        whole, core = _soft(outer - outside, voxel), _soft(outer - shell - inside, voxel)
        core = np.minimum(core, whole)
        ring = whole - core
        sulphur = float(rng.uniform(0.75, 1.0))
        share = np.stack([core, ring, sulphur * ring])
        return Phantom(
            share.astype(np.float32), self.elements, self.atomic_numbers, voxel, outer - shell, shell,
            tuple(float(m / voxel + (self.side - 1) / 2) for m in middle),  # type: ignore[arg-type]
        )  # fmt: skip


def _directions(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the normals (N, 3) of a truncated octahedron's facets, turned at random, scaled by their distance."""
    from scipy.spatial.transform import Rotation

    cube = np.vstack([np.eye(3), -np.eye(3)])
    octa = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) / np.sqrt(3)
    turn = Rotation.random(random_state=rng).as_matrix()
    return np.asarray(np.vstack([cube / rng.uniform(1.0, 1.12), octa / rng.uniform(0.98, 1.05)]) @ turn.T)


def _rough(rng: np.random.Generator, sigma_nm: float) -> NDArray[np.float64]:
    """Return random waves over directions (6, 5): wave vector, phase and amplitude."""
    return np.column_stack(
        [rng.normal(0, 3, (6, 3)), rng.uniform(0, 2 * np.pi, 6), rng.normal(0, sigma_nm / np.sqrt(3), 6)]
    )


def _radius(
    place: NDArray[np.float64], normals: NDArray[np.float64] | None, rough: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distance of places (3, ...) from the middle, in terms of the body's shape."""
    length = np.linalg.norm(place, axis=0)
    shape = length if normals is None else np.max(np.tensordot(normals, place, 1), axis=0)
    unit = place / np.maximum(length, 1e-9)
    waves = sum(row[4] * np.sin(np.tensordot(row[:3], unit, 1) + row[3]) for row in rough)
    return np.asarray(shape + waves)


def _soft(depth_nm: NDArray[np.float64], voxel_nm: float) -> NDArray[np.float64]:
    """Return the share of a voxel that is filled, from the depth of its middle below the surface."""
    return np.asarray(np.clip(depth_nm / voxel_nm + 0.5, 0, 1))
