"""How atoms of a simple metal are stacked in columns along a zone axis: net of columns, distance of atoms, heights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stacking:
    """Columns of element `number` along a zone axis.

    spacing_nm: distance of atoms in a column; vectors_nm (2, 2): rows (y, x) span the net of columns; heights_nm (2,):
    how much higher (modulo the spacing) atoms lie one vector on.
    """

    number: int
    spacing_nm: float
    vectors_nm: Array
    heights_nm: Array

    @property
    def area_nm2(self) -> float:
        """Area of one column in the net."""
        return abs(float(np.linalg.det(self.vectors_nm)))

    @property
    def nearest_nm(self) -> float:
        """Distance of neighbouring columns."""
        return float(np.linalg.norm(self.vectors_nm, axis=1).min())

    def reflections_per_nm(self, limit_per_nm: float) -> Array:
        """Return the spatial frequencies (N, 2) as (ky, kx) of the net up to a limit, one of each pair of opposites."""
        dual = np.linalg.inv(self.vectors_nm).T
        steps = np.arange(-12, 13)
        every = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
        half = every[(every[:, 0] > 0) | ((every[:, 0] == 0) & (every[:, 1] > 0))] @ dual
        length = np.linalg.norm(half, axis=1)
        order = np.argsort(length)
        return np.asarray(half[order][length[order] <= limit_per_nm])


def stacking(symbol: str, zone_axis: tuple[int, int, int]) -> Stacking:
    """Return how columns of a cubic element with one atom a primitive cell (fcc, bcc) are stacked along an axis.

    Raises `BadInput` for another element.
    """
    from ase.build import bulk
    from ase.data import atomic_numbers, reference_states

    state = reference_states[atomic_numbers.get(symbol, 0)]
    if state is None or state.get("symmetry") not in ("fcc", "bcc"):
        raise BadInput(f"The structure is '{symbol}': columns are counted in fcc and bcc metals, give one such as Au.")
    primitive = np.asarray(bulk(symbol).cell) / 10.0
    beam = np.asarray(zone_axis, float)
    if not beam.any():
        raise BadInput("The zone axis 000 points nowhere: give another, for example 110.")
    beam /= np.linalg.norm(beam)
    side = np.cross(beam, (0.0, 0.0, 1.0) if abs(beam[2]) < 0.9 else (1.0, 0.0, 0.0))
    side /= np.linalg.norm(side)
    steps = np.arange(-6, 7)
    points = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) @ primitive
    height, plane = points @ beam, points @ np.stack([np.cross(beam, side), side], axis=1)
    away = np.linalg.norm(plane, axis=1)
    inside = np.sort(height[(away < 1e-6) & (height > 1e-6)])
    if not len(inside):
        raise BadInput(f"Atoms along {zone_axis} lie too far apart to form columns: give a zone axis of low indices.")
    spacing = float(inside[0])
    order = np.argsort(np.round(away, 6), kind="stable")
    order = order[away[order] > 1e-6]
    first = order[0]
    across = np.abs(plane[order] @ np.array([-plane[first, 1], plane[first, 0]])) > 1e-6
    acute = plane[order] @ plane[first] > -1e-6
    second = order[np.flatnonzero(across & acute)[0]]
    chosen = [first, second]
    return Stacking(int(atomic_numbers[symbol]), spacing, plane[chosen], np.mod(height[chosen], spacing))
