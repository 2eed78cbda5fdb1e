"""Crystals and particles from files (CIF, XYZ and what else ASE reads), seen along a zone axis."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ase import Atoms

from micrograph.core import BadInput
from micrograph.structures.layer import MARGIN_NM, Array, Index, Size, field, layer

#: Most places of unit cells that are tried to fill a field.
_MOST_CELLS = 20_000_000


def from_file(
    path: str | Path,
    zone_axis: str = "001",
    *,
    size_nm: Size,
    thickness_nm: float | None = None,
    rotation_deg: float = 0.0,
    margin_nm: float = MARGIN_NM,
) -> Atoms:
    """Return the structure in a file with its zone axis along z; labels are the elements.

    A periodic structure fills the field `size_nm` (h, w) and its margin from z = 0 to `thickness_nm` (by default one
    period along the axis); before the rotation the shortest repeat of the projection lies along +x. A structure
    that is not periodic (a particle) stands in the middle of the field, with x, y, z as in the file at axis '001'.
    `zone_axis` is a direct lattice vector: '001', '1-10', '0 0 1', '[1 1 0]'. Raises `BadInput` for a file that cannot
    be read, an axis that is none, and a field that would take too many atoms.
    """
    axis = zone_axis_of(zone_axis)
    atoms = _read(Path(path))
    if not (atoms.cell.rank == 3 and atoms.pbc.any()):
        return _particle(atoms, axis, field(size_nm), rotation_deg)
    cell = np.asarray(atoms.cell) / 10.0
    cell = cell @ _to_z(axis @ cell)
    cell = cell @ _about_z(_angle_of_shortest(cell) + np.deg2rad(rotation_deg))
    depth = float(np.linalg.norm(axis @ cell)) if thickness_nm is None else thickness_nm
    height, width = field(size_nm)
    low = np.array([-margin_nm, -margin_nm, 0.0]) - 1e-6
    high = np.array([width + margin_nm, height + margin_nm, depth - 2e-6])
    points, numbers = _filled(cell, atoms, low, high)
    return _labelled(points, numbers)


def zone_axis_of(text: str) -> Index:
    """Return the zone axis (3,) that a text such as '001', '1-10', '0 0 1' or '[1 1 0]' stands for.

    >>> zone_axis_of("1-10").tolist()
    [1, -1, 0]
    """
    bare = text.strip().removeprefix("[").removesuffix("]").strip()
    parts = re.split(r"[\s,]+", bare) if re.search(r"[\s,]", bare) else re.findall(r"-?\d|.", bare)
    if len(parts) != 3 or not all(re.fullmatch(r"-?\d+", part) for part in parts) or not any(map(int, parts)):
        raise BadInput(f"The zone axis is '{text}': write three whole numbers, not all zero, like '001' or '1 -1 0'.")
    return np.array([int(part) for part in parts])


def _read(path: Path) -> Atoms:
    import ase.io

    if not path.is_file():
        raise BadInput(f"There is no file '{path}': give the path of a CIF or XYZ file.")
    try:
        found = ase.io.read(path)
    except Exception as error:  # ASE's many readers raise errors of every kind
        raise BadInput(f"'{path.name}' cannot be read as a structure: give a CIF, XYZ or other file of ASE.") from error
    if not isinstance(found, Atoms) or not len(found):
        raise BadInput(f"'{path.name}' holds no atoms: give a file with a structure in it.")
    return found


def _to_z(vector: Array) -> Array:
    """Return the rotation for row vectors (x, y, z) that turns `vector` to +z; the unit matrix for +z itself."""
    along = vector / np.linalg.norm(vector)
    start = np.eye(3)[0 if abs(along[0]) < 0.9 else 1]
    right = start - (start @ along) * along
    right /= np.linalg.norm(right)
    return np.column_stack([right, np.cross(along, right), along])


def _about_z(angle: float) -> Array:
    """Return the rotation for row vectors (x, y, z), counter-clockwise on the screen, where y points down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _angle_of_shortest(cell: Array) -> float:
    """Return the turn (radian) that brings the lattice vector shortest in projection to +x."""
    index = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    x, y = (index @ cell)[:, :2].T
    length = np.round(np.hypot(x, y), 6)
    shortest = np.argmin(np.where(length > 1e-3, length, np.inf))
    return float(np.arctan2(y[shortest], x[shortest]))


def _filled(cell: Array, atoms: Atoms, low: Array, high: Array) -> tuple[Array, Index]:
    """Return positions (N, 3) in nm and numbers of all atoms of the crystal between the corners `low` and `high`."""
    basis = atoms.get_scaled_positions() @ cell  # type: ignore[no-untyped-call]
    corners = np.stack(np.meshgrid(*np.stack([low, high], axis=1)), axis=-1).reshape(-1, 3) @ np.linalg.inv(cell)
    first, last = np.floor(corners.min(axis=0)).astype(int) - 1, np.ceil(corners.max(axis=0)).astype(int)
    if np.prod(last - first + 1.0) > _MOST_CELLS:
        raise BadInput(
            "The field holds too many unit cells: ask for a smaller field, a thinner crystal or a simpler axis."
        )
    index = np.stack(np.meshgrid(*map(np.arange, first, last + 1), indexing="ij"), axis=-1).reshape(-1, 3)
    origin = index @ cell
    reach = np.linalg.norm(cell.sum(axis=0)) + np.linalg.norm(cell, axis=1).sum()
    origin = origin[((origin > low - reach) & (origin < high + reach)).all(axis=1)]
    points = (origin[:, None, :] + basis).reshape(-1, 3)
    keep = ((points >= low) & (points <= high)).all(axis=1)
    return points[keep], np.tile(atoms.numbers, len(origin))[keep]


def _particle(atoms: Atoms, axis: Index, size_nm: tuple[float, float], rotation_deg: float) -> Atoms:
    points = atoms.positions / 10.0 @ _to_z(axis.astype(float)) @ _about_z(np.deg2rad(rotation_deg))
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    height, width = size_nm
    return _labelled(points - middle + np.array([width / 2, height / 2, 0.0]), atoms.numbers)


def _labelled(points: Array, numbers: Index) -> Atoms:
    from ase.data import chemical_symbols

    return layer(points[:, 1::-1], points[:, 2], numbers, np.array(chemical_symbols)[numbers])
