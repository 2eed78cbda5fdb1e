"""STM images of dangling bonds from sums of orbitals: another simulator, with nothing of `simulate.scanning.stm`.

Tersoff and Hamann (doi:10.1103/PhysRevB.31.805): the current is the density of states at the atoms of the tip. Hydrogen
atoms are s orbitals, dangling bonds p orbitals along z, each falling off as exp(-k d); the tip is made of atoms in
places of their own; the height at which the current is that of the set point is sought between levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Decay of the density (1/nm) at a work function of 4.2 eV.
_DECAY = 21.0
#: Dimer rows, dimers, and half a dimer (nm).
_ROWS, _DIMERS, _HALF = 0.768, 0.384, 0.12
#: Strength of a dangling bond over a hydrogen atom, and how much lower (nm) it sits.
_STRENGTH, _LOWER = 500.0, 0.12
#: Heights (nm) of the tip between which the set point is sought.
_LEVELS = np.linspace(0.45, 1.25, 21)
_CELL = (8, 16)


@dataclass(frozen=True)
class OrbitalScan:
    """An image (H, W) in nm with its pixel (nm), the dangling bonds (N, 2) as y, x (nm), and the state of the tip.

    ghost_nm: place (y, x) of the ghost of a double tip seen from what casts it, else NaN.
    """

    image: NDArray[np.float32]
    pixel_nm: float
    sites: Array
    state: str
    ghost_nm: tuple[float, float]


def tip_atoms(state: str, rng: np.random.Generator) -> tuple[Array, tuple[float, float]]:
    """Return the atoms (N, 3) of a tip, y, x (nm) and height above the lowest, and where it casts a ghost (y, x)."""
    nowhere = (np.nan, np.nan)
    if state == "sharp":
        return _cluster(rng), nowhere
    if state == "double":
        away, turn = rng.uniform(0.7, 1.9), rng.uniform(0, 2 * np.pi)
        second = _cluster(rng) + np.array([away * np.sin(turn), away * np.cos(turn), rng.uniform(0, 0.06)])
        return np.concatenate([_cluster(rng), second]), (-float(second[0, 0]), -float(second[0, 1]))
    # A flat facet of close-packed atoms, a little tilted and rough.
    i, j = (one.ravel() for one in np.mgrid[-4:5, -4:5])
    flat = 0.29 * np.column_stack([i * np.sqrt(3) / 2, j + i / 2])
    turn, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 0.75)
    flat = flat[np.hypot(*flat.T) <= radius] @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    up = flat @ rng.normal(0, 0.01, 2) + rng.uniform(0, 0.01, len(flat))
    return np.column_stack([flat, up - up.min()]), nowhere


def _cluster(rng: np.random.Generator) -> Array:
    """Return one atom with three or four behind it."""
    many, turn = int(rng.integers(3, 5)), rng.uniform(0, 2 * np.pi)
    around = turn + 2 * np.pi * np.arange(many) / many
    behind = np.column_stack([0.17 * np.sin(around), 0.17 * np.cos(around), np.full(many, rng.uniform(0.18, 0.25))])
    return np.concatenate([np.zeros((1, 3)), behind])


def orbital_scan(state: str, rng: np.random.Generator, *, side_px: int = 192) -> OrbitalScan:
    """Return a scan of a new surface with a tip in the named state."""
    pixel = float(rng.uniform(0.14, 0.18))
    size, turn = side_px * pixel, float(rng.uniform(0, np.pi))
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    anywhere = rng.uniform(0, size, (max(5, rng.poisson(0.009 * size**2)), 2))
    cells = np.rint((anywhere @ axes.T) / (_ROWS, _DIMERS)) * (_ROWS, _DIMERS)
    cells[:, 0] += rng.choice([-_HALF, _HALF], len(cells))
    sites = cells @ axes
    charged = sites[rng.random(len(sites)) < 0.6]
    grid = np.arange(side_px) * pixel
    y, x = np.meshgrid(grid, grid, indexing="ij")
    atoms, ghost = tip_atoms(state, rng)
    current = np.zeros((len(_LEVELS), side_px, side_px))
    cell = _cell_density()
    for atom in atoms:
        current += _density(y + atom[0], x + atom[1], atom[2], axes, cell)
        _add_bonds(current, y[:, 0] + atom[0], x[0] + atom[1], atom[2], sites)
    current *= _bent(y, x, charged, rng)
    image = _height_at(np.log(current), float(np.log(1e-6)) + float(rng.uniform(-1, 1)))
    return OrbitalScan(_noisy(image, rng), pixel, sites, state, ghost)


def _cell_density() -> Array:
    """Return the density (levels and 0.3 nm above, dimers, rows) of the hydrogen atoms over one cell."""
    levels = np.concatenate([_LEVELS, _LEVELS[-1] + np.arange(1, 13) * (_LEVELS[1] - _LEVELS[0])])
    along = np.arange(_CELL[0]) * _DIMERS / _CELL[0]
    across = np.arange(_CELL[1]) * _ROWS / _CELL[1]
    density = np.zeros((len(levels), *_CELL))
    for row in range(-2, 3):
        for dimer in range(-4, 5):
            for half in (-_HALF, _HALF):
                flat = (across[None] - row * _ROWS - half) ** 2 + (along[:, None] - dimer * _DIMERS) ** 2
                density += np.exp(-_DECAY * np.sqrt(flat[None] + levels[:, None, None] ** 2))
    return density


def _density(y: Array, x: Array, up: float, axes: Array, cell: Array) -> Array:
    """Return the density (levels, H, W) of the hydrogen atoms at an atom of the tip that sits higher by `up`."""
    places = np.stack([y, x], axis=-1) @ axes.T
    across = np.rint(places[..., 0] / _ROWS * _CELL[1]).astype(int) % _CELL[1]
    along = np.rint(places[..., 1] / _DIMERS * _CELL[0]).astype(int) % _CELL[0]
    step = up / float(_LEVELS[1] - _LEVELS[0])
    low = int(step)
    part, many = step - low, len(_LEVELS)
    levels = np.exp((1 - part) * np.log(cell[low : low + many]) + part * np.log(cell[low + 1 : low + 1 + many]))
    return np.asarray(levels[:, along, across])


def _add_bonds(current: Array, y: Array, x: Array, up: float, sites: Array) -> None:
    """Add the density of dangling bonds to (levels, H, W), where it counts."""
    height = (_LEVELS + up + _LOWER)[:, None, None]
    for site in sites:
        rows, columns = (
            slice(*np.searchsorted(axis, (at - 1.6, at + 1.6))) for axis, at in ((y, site[0]), (x, site[1]))
        )
        flat = (y[rows, None] - site[0]) ** 2 + (x[None, columns] - site[1]) ** 2
        away = np.sqrt(flat[None] + height**2)
        current[:, rows, columns] += _STRENGTH * (height / away) ** 2 * np.exp(-_DECAY * away)


def _bent(y: Array, x: Array, charged: Array, rng: np.random.Generator) -> Array:
    """Return by how much the bands' bending around charged bonds lowers the current (H, W)."""
    strength, screening = rng.uniform(0.2, 0.8), rng.uniform(1.0, 2.0)
    bending = np.zeros_like(y)
    for site in charged:
        away = np.hypot(y - site[0], x - site[1])
        bending += np.exp(-away / screening) / (1 + away)
    return np.asarray(np.exp(-strength * bending))


def _height_at(log_current: Array, wanted: float) -> Array:
    """Return the height (H, W) at which the current falls to `wanted`."""
    above = np.clip((log_current > wanted).sum(axis=0) - 1, 0, len(_LEVELS) - 2)
    low = np.take_along_axis(log_current, above[None], axis=0)[0]
    high = np.take_along_axis(log_current, above[None] + 1, axis=0)[0]
    return np.asarray(_LEVELS[above] + (low - wanted) / (low - high) * (_LEVELS[1] - _LEVELS[0]))


def _noisy(image: Array, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the image with a tilt, white noise and lines whose noise has a memory."""
    noise = float(np.exp(rng.uniform(np.log(0.004), np.log(0.02))))
    lines = np.zeros(len(image))
    for row in range(1, len(image)):
        lines[row] = 0.7 * lines[row - 1] + rng.normal(0, 0.3)
    y, x = np.mgrid[: len(image), : image.shape[1]]
    slope = rng.normal(0, 5e-4, 2)
    made = image + noise * (rng.normal(size=image.shape) + lines[:, None]) + slope[0] * y + slope[1] * x
    return np.asarray(made, np.float32)
