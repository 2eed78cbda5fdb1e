"""H:Si(100)-2x1 as a scanning tunnelling microscope sees it: dimer rows, dangling bonds, other defects, steps.

Everything is a sum of round bumps and hollows over rows of dimers. Rows are 0.768 nm apart, dimers of a row 0.384 nm;
a dangling bond is a bright bump, in a dark halo where it is charged (doi:10.1103/PhysRevLett.121.166801).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range

Array = NDArray[np.float64]

#: Distances (nm) of dimer rows, of dimers in a row, and of the two atoms of a dimer; height (nm) of a step.
ROWS_NM, DIMERS_NM, DIMER_NM, STEP_NM = 0.768, 0.384, 0.24, 0.136
#: Bumps are cut off at so many 1-sigma.
_REACH = 4.0


@dataclass(frozen=True)
class SurfaceRanges:
    """Ranges from which surfaces are drawn, uniformly; densities are per square nanometre, lengths in nm.

    height and width (1-sigma) of a dangling bond; charged: share of those with a halo, and its depth and width.
    pairs: share of dangling bonds with a second one next to it, on the same dimer or a neighbouring one.
    dark: missing dimers and dihydrides; adsorbates: bright, of a few bumps each; stepped: share of images with a step.
    """

    dangling_per_nm2: Range = (0.003, 0.008)
    height_nm: Range = (0.10, 0.25)
    width_nm: Range = (0.22, 0.36)
    charged: float = 0.6
    halo_nm: Range = (0.01, 0.05)
    halo_width_nm: Range = (0.8, 1.8)
    pairs: float = 0.03
    dark_per_nm2: Range = (0.0, 0.02)
    adsorbates_per_nm2: Range = (0.0, 0.001)
    rows_nm: Range = (0.01, 0.04)
    dimers_nm: Range = (0.0, 0.012)
    stepped: float = 0.15


@dataclass(frozen=True)
class SiliconSurface:
    """A surface: `bumps` (N, 4) of y, x, height and 1-sigma in nm; hollows have negative heights.

    rows_deg: direction across the rows, counter-clockwise on the screen from +x; phase (2,) in nm and heights (nm) of
    rows and dimers; step: direction (degrees) in which the surface falls by a step, and where (nm), or ``None``.
    dangling (M, 2): y, x of the dangling bonds.
    """

    bumps: Array
    dangling: Array
    rows_deg: float = 0.0
    phase_nm: tuple[float, float] = (0.0, 0.0)
    lattice_nm: tuple[float, float] = (0.025, 0.005)
    step: tuple[float, float] | None = None

    def heights(self, y_nm: Array, x_nm: Array, blur_nm: float) -> Array:
        """Return the height (H, W) at points (H, W), seen by one apex that blurs with a 1-sigma of `blur_nm`.

        The points must lie on nearly a grid: y grows along the first axis, x along the second.
        """
        across, along = self._axes(y_nm, x_nm)
        height, lower = np.zeros_like(y_nm), None
        if self.step is not None:
            angle = np.radians(self.step[0])
            away = x_nm * np.cos(angle) - y_nm * np.sin(angle) - self.step[1]
            lower = 0.5 * (1 + np.tanh(away / np.hypot(0.15, blur_nm)))
            height -= STEP_NM * lower
        waves = self._lattice(across, along, blur_nm)
        if lower is not None:  # rows turn by a right angle from terrace to terrace
            waves = (1 - lower) * waves + lower * self._lattice(along, across, blur_nm)
        height += waves
        for y, x, top, width in self.bumps:
            wide = float(np.hypot(width, blur_nm))
            rows = _near(y_nm[:, 0], y, wide)
            columns = _near(x_nm[len(x_nm) // 2], x, wide + float(np.ptp(x_nm[:, 0])) / _REACH)
            part = (y_nm[rows, columns] - y) ** 2 + (x_nm[rows, columns] - x) ** 2
            height[rows, columns] += top * (width / wide) * np.exp(-part / (2 * wide**2))
        return height

    def _axes(self, y_nm: Array, x_nm: Array) -> tuple[Array, Array]:
        angle = np.radians(self.rows_deg)
        across = x_nm * np.cos(angle) - y_nm * np.sin(angle) - self.phase_nm[0]
        return across, x_nm * np.sin(angle) + y_nm * np.cos(angle) - self.phase_nm[1]

    def _lattice(self, across: Array, along: Array, blur_nm: float) -> Array:
        found = np.zeros_like(across)
        for place, period, height in zip((across, along), (ROWS_NM, DIMERS_NM), self.lattice_nm, strict=True):
            seen = height * float(np.exp(-2 * (np.pi * blur_nm / period) ** 2))
            if seen > 1e-4:
                found += 0.5 * seen * np.cos(2 * np.pi / period * place)
        return found


def _near(places: Array, at: float, width: float) -> slice:
    """Return the stretch of ascending `places` within `_REACH` times `width` of `at`."""
    low, high = np.searchsorted(places, (at - _REACH * width, at + _REACH * width))
    return slice(int(low), int(high))


def random_surface(field_nm: tuple[float, float], ranges: SurfaceRanges, rng: np.random.Generator) -> SiliconSurface:
    """Return a surface whose defects cover a field (height, width) in nm and 3 nm beyond each border."""
    rows_deg, phase = float(rng.uniform(0, 180)), (float(rng.uniform(0, ROWS_NM)), float(rng.uniform(0, DIMERS_NM)))
    size = np.array(field_nm) + 6.0
    area = float(np.prod(size))
    lattice = _Places(rows_deg, phase, size)
    count = max(1, rng.poisson(area * rng.uniform(*ranges.dangling_per_nm2)))
    sites = lattice.draw(count, rng)
    sites = np.concatenate([sites, lattice.beside(sites[rng.random(len(sites)) < ranges.pairs], rng)])
    height, width = rng.uniform(*ranges.height_nm), rng.uniform(*ranges.width_nm)
    parts = [_bonds(sites, height, width, rng)]
    charged = sites[rng.random(len(sites)) < ranges.charged]
    halo, wide = rng.uniform(*ranges.halo_nm), rng.uniform(*ranges.halo_width_nm)
    parts.append(_bumps(charged, np.full(len(charged), -halo), np.full(len(charged), wide)))
    dark = lattice.draw(rng.poisson(area * rng.uniform(*ranges.dark_per_nm2)), rng)
    parts.append(_bumps(dark, -rng.uniform(0.02, 0.1, len(dark)), rng.uniform(0.15, 0.35, len(dark))))
    for middle in lattice.draw(rng.poisson(area * rng.uniform(*ranges.adsorbates_per_nm2)), rng):
        parts.append(_adsorbate(middle, rng))
    step = None
    if rng.random() < ranges.stepped:
        step = (float(rng.uniform(0, 360)), float(rng.uniform(-0.3, 0.3) * min(field_nm)))
        middle = np.array(field_nm) / 2
        angle = np.radians(step[0])
        step = (step[0], step[1] + float(middle[1] * np.cos(angle) - middle[0] * np.sin(angle)))
    heights = (float(rng.uniform(*ranges.rows_nm)), float(rng.uniform(*ranges.dimers_nm)))
    return SiliconSurface(np.concatenate(parts), sites, rows_deg, phase, heights, step)


@dataclass(frozen=True)
class _Places:
    """Places of dimer atoms: rows at an angle, over a field (height, width) that begins 3 nm before zero."""

    rows_deg: float
    phase_nm: tuple[float, float]
    size_nm: Array

    @property
    def axes(self) -> Array:
        """Unit vectors (2, 2) across and along the rows, as (y, x)."""
        angle = np.radians(self.rows_deg)
        return np.array([[-np.sin(angle), np.cos(angle)], [np.cos(angle), np.sin(angle)]])

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Return random places (count, 2), each on one atom of a dimer."""
        anywhere = rng.uniform(0, 1, (count, 2)) * self.size_nm - 3.0
        cells = (anywhere @ self.axes.T - self.phase_nm) / (ROWS_NM, DIMERS_NM)
        places = np.rint(cells) * (ROWS_NM, DIMERS_NM) + self.phase_nm
        places[:, 0] += rng.choice([-0.5, 0.5], count) * DIMER_NM
        return np.asarray(places @ self.axes)

    def beside(self, sites: Array, rng: np.random.Generator) -> Array:
        """Return a neighbour of each of `sites`: of the same dimer, of the next in the row, or of the next row."""
        steps = np.array([[DIMER_NM, 0.0], [0.0, DIMERS_NM], [0.0, 2 * DIMERS_NM], [ROWS_NM, 0.0]])
        chosen = steps[rng.integers(0, len(steps), len(sites))] * rng.choice([-1.0, 1.0], (len(sites), 1))
        return np.asarray(sites + chosen @ self.axes)


def _bonds(sites: Array, height: float, width: float, rng: np.random.Generator) -> Array:
    """Return bumps of dangling bonds, nearly alike."""
    many = len(sites)
    return _bumps(sites, height * rng.uniform(0.85, 1.15, many), width * rng.uniform(0.92, 1.08, many))


def _bumps(sites: Array, height: Array, width: Array) -> Array:
    return np.column_stack([sites.reshape(-1, 2), height, width])


def _adsorbate(middle: Array, rng: np.random.Generator) -> Array:
    """Return the bumps of one adsorbate."""
    many = int(rng.integers(1, 5))
    places = middle + rng.normal(0, 0.35, (many, 2))
    return _bumps(places, rng.uniform(0.06, 0.35, many), rng.uniform(0.2, 0.55, many))
