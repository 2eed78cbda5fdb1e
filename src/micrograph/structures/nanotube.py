"""Single-wall carbon nanotubes (n, m): a sheet of graphene rolled up, its list, its atoms, and its layer lines.

A tube is a sheet whose lattice vector ``C = n a1 + m a2`` runs once around. The reciprocal vector ``h b1 + k b2`` of
the sheet becomes a layer line: a helical wave that runs ``h n + k m`` times around the tube (the order of its Bessel
function) and has a sharp frequency along the axis (Cochran, Crick and Vand 1952, doi:10.1107/S0365110X52001635; for
tubes Qin 1994, doi:10.1088/0953-8984/6/41/003).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.structures.graphene import A_NM
from micrograph.structures.layer import Array, copy_of, layer

#: Frequency (1/nm) of the first reflections of graphene, of distance 0.213 nm.
FIRST_PER_NM = 2 / (np.sqrt(3) * A_NM)


@dataclass(frozen=True, order=True)
class Tube:
    """A tube (n, m) with ``n >= m >= 0``. Its mirror image (m, n) looks the same from one side."""

    n: int
    m: int

    def __post_init__(self) -> None:
        """Refuse what is no tube."""
        if not self.n >= self.m >= 0 or self.n < 1:
            raise BadInput(f"({self.n}, {self.m}) is no tube: n must be at least 1, and m lie between 0 and n.")

    @property
    def square(self) -> int:
        """Square of the circumference in lattice constants."""
        return self.n**2 + self.n * self.m + self.m**2

    @property
    def diameter_nm(self) -> float:
        """Diameter (nm) of the rolled-up sheet."""
        return float(A_NM * np.sqrt(self.square) / np.pi)

    @property
    def angle_deg(self) -> float:
        """Chiral angle: 0 for zigzag (n, 0), 30 for armchair (n, n)."""
        return float(np.degrees(np.arctan2(np.sqrt(3) * self.m, 2 * self.n + self.m)))

    @property
    def metallic(self) -> bool:
        """Whether n - m is a multiple of three: metallic but for the gap that the curvature opens."""
        return (self.n - self.m) % 3 == 0

    @property
    def kind(self) -> str:
        """Return 'zigzag', 'armchair' or 'chiral'."""
        return "zigzag" if self.m == 0 else "armchair" if self.n == self.m else "chiral"

    def __str__(self) -> str:
        """Return the tube as people write it."""
        return f"({self.n},{self.m})"


@functools.lru_cache(maxsize=16)
def tubes_between(low_nm: float, high_nm: float) -> tuple[Tube, ...]:
    """Return all tubes with a diameter (nm) from `low_nm` to `high_nm`, thin ones first."""
    most = int(np.ceil(high_nm * np.pi / A_NM))
    found = [Tube(n, m) for n in range(1, most + 1) for m in range(n + 1)]
    return tuple(
        sorted((one for one in found if low_nm <= one.diameter_nm <= high_nm), key=lambda one: (one.diameter_nm, one))
    )


@dataclass(frozen=True)
class LayerLines:
    """The layer lines of a tube, (L,) each: `order` of the Bessel function, frequency along the axis, structure factor.

    `index` (L, 2) holds h and k, `around_per_nm` and `along_per_nm` the reciprocal vector's parts in the unrolled
    sheet, `factor` the complex structure factors (two atoms a cell, at most 2).
    """

    index: NDArray[np.int_]
    order: NDArray[np.int_]
    around_per_nm: Array
    along_per_nm: Array
    factor: NDArray[np.complex128]


@functools.lru_cache(maxsize=1024)
def layer_lines(tube: Tube, highest_per_nm: float) -> LayerLines:
    """Return the layer lines whose reciprocal vector is at most `highest_per_nm` long, with K >= 0 and K < 0 alike."""
    most = int(np.ceil(highest_per_nm * A_NM)) + 1
    h, k = np.mgrid[-most : most + 1, -most : most + 1].reshape(2, -1)
    b1, b2 = np.array([1, -1 / np.sqrt(3)]) / A_NM, np.array([0, 2 / np.sqrt(3)]) / A_NM
    vector = h[:, None] * b1 + k[:, None] * b2
    keep = np.hypot(*vector.T) <= highest_per_nm
    around = np.array([tube.n + tube.m / 2, tube.m * np.sqrt(3) / 2]) / np.sqrt(tube.square)
    along = vector @ np.array([-around[1], around[0]])
    along[np.abs(along) < 1e-9] = 0.0
    factor = 1 + np.exp(-2j * np.pi * (h + k) / 3)
    order = h * tube.n + k * tube.m
    return LayerLines(np.column_stack([h, k])[keep], order[keep], (vector @ around)[keep], along[keep], factor[keep])


@dataclass(frozen=True)
class Pose:
    """How a tube lies: point (y, x) nm on its axis, its angle counter-clockwise from +x, tilt out of the plane.

    `azimuth_deg` turns the tube about its axis; a positive `tilt_deg` lowers the end that points along the axis, in the
    direction of the beam.
    """

    y_nm: float = 0.0
    x_nm: float = 0.0
    axis_deg: float = 0.0
    tilt_deg: float = 0.0
    azimuth_deg: float = 0.0


def nanotube(tube: Tube, length_nm: float, pose: Pose | None = None, *, mirrored: bool = False) -> Atoms:
    """Return the atoms of `length_nm` of a tube, labels 'C', its middle in the plane z = 0; `mirrored` is (m, n).

    The lattice constant along the surface is graphene's. A row of the unrolled sheet keeps its length around the tube:
    bonds are chords, shorter than in the sheet by up to ``(bond / diameter)^2 / 6``.
    """
    if not length_nm > 0:
        raise BadInput(f"A tube of {length_nm} nm was asked for: its length must be greater than zero.")
    turn, along = _unrolled(tube, length_nm)
    pose = pose or Pose()
    phi = (-1 if mirrored else 1) * turn + np.deg2rad(pose.azimuth_deg)
    radius = tube.diameter_nm / 2
    across, up = radius * np.cos(phi), radius * np.sin(phi)
    tilt, axis = np.deg2rad(pose.tilt_deg), np.deg2rad(pose.axis_deg)
    forward, height = along * np.cos(tilt) - up * np.sin(tilt), along * np.sin(tilt) + up * np.cos(tilt)
    y = pose.y_nm - forward * np.sin(axis) + across * np.cos(axis)
    x = pose.x_nm + forward * np.cos(axis) + across * np.sin(axis)
    return layer(np.column_stack([y, x]), height, 6, "C", tube=str(tube))


def _unrolled(tube: Tube, length_nm: float) -> tuple[Array, Array]:
    """Return the azimuth (rad) and the place along the axis (nm) of all atoms within half of `length_nm`."""
    n, m, square = tube.n, tube.m, tube.square
    # In steps of A_NM / sqrt(square) the places around the tube are whole numbers: no rounding decides what is inside.
    reach = int(np.ceil(length_nm / A_NM)) + n + m + 2
    p, q = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    turn, along = [], []
    for atom in (0, 1):
        around = p * (2 * n + m) + q * (2 * m + n) + atom * (n + m)
        place = (n * (3 * q + atom) - m * (3 * p + atom)) * A_NM / np.sqrt(12 * square)
        keep = (around >= 0) & (around < 2 * square) & (np.abs(place) <= length_nm / 2)
        turn.append(around[keep] * np.pi / square)
        along.append(place[keep])
    return np.concatenate(turn), np.concatenate(along)


def with_turned_bonds(atoms: Atoms, rng: np.random.Generator, *, count: int) -> Atoms:
    """Turn `count` bonds by 90 degrees in the surface (Stone-Wales defects); nothing relaxes.

    Bonds are drawn at random, no two of which share or neighbour an atom.
    """
    from scipy.spatial import cKDTree

    changed = copy_of(atoms)
    tree = cKDTree(atoms.positions)
    pairs = rng.permutation(tree.query_pairs(1.6, output_type="ndarray"))
    taken = np.zeros(len(atoms), dtype=bool)
    for first, second in pairs:
        if count < 1:
            break
        near = sorted({place for end in (first, second) for place in tree.query_ball_point(atoms.positions[end], 1.6)})
        if len(near) < 6 or taken[near].any():
            continue
        taken[near] = True
        ends = atoms.positions[[first, second]]
        middle, half = ends.mean(axis=0), (ends[1] - ends[0]) / 2
        normal = _normal(atoms.positions[near])
        sideways = np.cross(normal, half)
        changed.positions[[first, second]] = middle - sideways, middle + sideways
        count -= 1
    return changed


def _normal(points: Array) -> Array:
    """Return the unit normal (3,) of the plane that fits points (N, 3) best."""
    _, _, rows = np.linalg.svd(points - points.mean(axis=0))
    return np.asarray(rows[2])
