"""Diamond and zinc blende seen along [110]: columns in pairs, a quarter of the lattice constant apart."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from micrograph.structures.layer import MARGIN_NM, Array, Size, inside, lattice_points, layer, turn

#: Lattice constants (nm) at room temperature; the two elements, of which the second stands a quarter of it along [001].
CRYSTALS = {
    "Si": ("Si", "Si", 0.5431),
    "Ge": ("Ge", "Ge", 0.5658),
    "GaAs": ("Ga", "As", 0.5653),
    "InP": ("In", "P", 0.5869),
    "InAs": ("In", "As", 0.6058),
    "AlAs": ("Al", "As", 0.5661),
    "InSb": ("In", "Sb", 0.6479),
    "CdTe": ("Cd", "Te", 0.6482),
    "ZnSe": ("Zn", "Se", 0.5669),
}


def columns_110(
    a_nm: float, size_nm: Size, shift_nm: Array, rotation_deg: float = 0.0, margin_nm: float = MARGIN_NM
) -> tuple[Array, Array, Array]:
    """Return points (N, 2) (y, x) of the first columns of all dumbbells over a field, of the second, and heights (N,).

    `heights` is where along the beam, in units of the period a / sqrt(2), the first atom of the first column stands;
    that of the second stands half a period on. Before the rotation dumbbells lie along +x.
    """  # fmt: skip
    cell = np.array([[a_nm / np.sqrt(2), 0.0], [a_nm / np.sqrt(8), a_nm / 2]]) @ turn(rotation_deg)
    first = lattice_points(cell, size_nm, margin_nm, shift_nm)
    index = np.rint((first - shift_nm) @ np.linalg.inv(cell))
    second = first + np.array([0.0, a_nm / 4]) @ turn(rotation_deg)
    return first, second, index[:, 1] % 2 / 2


def dumbbells(
    name: str,
    size_nm: Size,
    rng: np.random.Generator,
    *,
    thickness_nm: float = 5.0,
    rotation_deg: float = 0.0,
    displaced_nm: float = 0.0,
    missing: float = 0.0,
    margin_nm: float = MARGIN_NM,
) -> Atoms:
    """Return one of `CRYSTALS` along [110] over the field `size_nm` and its margin, anywhere; labels are the elements.

    Columns are displaced as a whole by `displaced_nm` (1-sigma per axis); the share `missing` of them is not there.
    """
    one, other, a_nm = CRYSTALS[name]
    first, second, height = columns_110(a_nm, size_nm, rng.uniform(0, a_nm, 2), rotation_deg, margin_nm)
    points = np.concatenate([first, second])
    numbers = np.repeat([atomic_numbers[one], atomic_numbers[other]], len(first))
    begins = np.concatenate([height, (height + 0.5) % 1.0])
    points = points + rng.normal(0, displaced_nm, points.shape)
    keep = inside(points, size_nm, margin_nm) & (rng.random(len(points)) >= missing)
    period = a_nm / np.sqrt(2)
    layers = max(1, round(thickness_nm / period))
    symbols = np.repeat([one, other], len(first))
    return layer(
        np.repeat(points[keep], layers, axis=0),
        ((begins[keep][:, None] + np.arange(layers)) * period).ravel(),
        np.repeat(numbers[keep], layers),
        np.repeat(symbols[keep], layers),
    )
