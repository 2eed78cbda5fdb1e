"""Images of crystalline surfaces under a scanning probe: any lattice and motif, defects, islands, a bent scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.ranges import Range
from micrograph.simulate.scanning.lattice_images import LATTICES, random_cell

Array = NDArray[np.float64]

#: Adatoms of Si(111)-7x7 in one half of its cell, in sevenths along axes 60 degrees apart; those of the other half lie
#: opposite (dimer-adatom-stacking-fault model, Takayanagi 1985, doi:10.1116/1.573160).
_HALF = np.array([(1, 1), (5, 1), (1, 5), (3, 1), (1, 3), (3, 3)]) / 7
_BOTH = np.concatenate([_HALF, 1 - _HALF])
#: The same along axes 120 degrees apart, as cells are given here; atoms of the faulted half and at corners are higher.
ADATOMS = np.column_stack([_BOTH.sum(axis=1) % 1.0, _BOTH[:, 1]])
ADATOM_HEIGHTS = np.repeat([1.0, 0.95, 0.9, 0.85], 3)


#: Atoms lie at least so far apart: nearer ones are narrower than the pixels with which probes are scanned.
_LEAST_APART_PX = 6.0


@dataclass(frozen=True)
class SurfaceImages:
    """Random images of one surface each.

    side_px: pixels a side; kinds: types of lattice, all as likely. Ranges: spacing_px (of the shortest vector, log-
    uniform), atoms (in a cell), snr (of the motif's standard deviation over the noise of a pixel, log-uniform),
    defects (share of the atoms that are missing or have one on top), bend (of the scan, root mean square, over the
    distance between atoms), tilt (of the ground, edge to edge over the atoms' height), jumps (between lines, over
    the atoms' height). reconstructed: share of images that show Si(111)-7x7; islands: share of images with islands;
    distortion: 1-sigma of each element of the scan's stretch and shear.
    """

    side_px: int = 224
    kinds: tuple[str, ...] = LATTICES
    spacing_px: Range = (9.0, 26.0)
    atoms: tuple[int, int] = (1, 4)
    snr: Range = (3.0, 10.0)
    defects: Range = (0.0, 0.04)
    bend: Range = (0.0, 0.25)
    tilt: Range = (0.0, 5.0)
    jumps: Range = (0.0, 0.5)
    reconstructed: float = 0.15
    islands: float = 0.2
    distortion: float = 0.03
    most_ratio: float = 2.0
    pixel_nm: float = 0.05

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image in nm; sites are its defects ('missing', 'added'), `params` the cell (px), straight."""
        if rng.random() < self.reconstructed:
            kind, atoms, height = "hexagonal", ADATOMS, ADATOM_HEIGHTS
            spacing = float(rng.uniform(2.5, 3.5)) * self.spacing_px[0] * 1.3
            cell, width = spacing * random_cell(kind, 1.0, rng), 0.085 * spacing
        else:
            kind = str(rng.choice(self.kinds))
            spacing = float(np.exp(rng.uniform(*np.log(self.spacing_px))))
            cell = spacing * random_cell(kind, self.most_ratio, rng)
            atoms, height = random_motif(cell / spacing, int(rng.integers(self.atoms[0], self.atoms[1] + 1)), rng)
            seen_apart = [_apart(atoms[: count + 1], cell) >= _LEAST_APART_PX for count in range(len(atoms))]
            atoms, height = (part[: max(1, sum(seen_apart))] for part in (atoms, height))
            width = float(rng.uniform(0.17, 0.24)) * _apart(atoms, cell)
        seen = cell @ (np.eye(2) + self.distortion * rng.normal(size=(2, 2)))
        scan = _Bent(float(rng.uniform(*self.bend)) * _apart(atoms, cell), self.side_px, rng)
        points, heights, sites = self._atoms(seen, atoms, height, scan, rng)
        image = _bumps(points, heights, width, self.side_px)
        image = image * 0.1 / max(float(np.median(heights)), 1e-9)  # atoms of some 0.1 nm
        islands = self._islands(rng) if rng.random() < self.islands else np.zeros((self.side_px,) * 2)
        noise = float(np.std(image)) / float(np.exp(rng.uniform(*np.log(self.snr))))
        image = np.where(islands > 0, 0.25 * islands, image) + self._ground(rng) + rng.normal(0, noise, image.shape)
        kept = [islands[tuple(np.clip(np.rint(place), 0, self.side_px - 1).astype(int))] == 0 for place in sites[0]]
        where, names = sites[0][kept] * self.pixel_nm, sites[1][kept]
        params = {
            "a_y_px": seen[0, 0], "a_x_px": seen[0, 1], "b_y_px": seen[1, 0], "b_x_px": seen[1, 1],
            "type": float(LATTICES.index(kind)), "noise_nm": noise, "atoms": float(len(atoms)),
        }  # fmt: skip
        masks = {"island": (islands > 0).astype(np.float32)}
        return Sample(image.astype(np.float32), self.pixel_nm, Sites(where[:, 0], where[:, 1], names), masks, params)

    def domain(self) -> Mapping[str, tuple[float, float]]:
        """Return the ranges in which the answers were measured."""
        return {name: getattr(self, name) for name in ("spacing_px", "snr", "defects", "bend", "tilt", "jumps")}

    def _atoms(
        self, cell: Array, motif: Array, height: Array, scan: _Bent, rng: np.random.Generator
    ) -> tuple[Array, Array, tuple[Array, NDArray[np.str_]]]:
        """Return places (N, 2) and heights (N,) of all atoms, and places and names of the defects in the image."""
        count = int(np.ceil(1.7 * self.side_px / np.linalg.norm(cell, axis=1).min())) + 2
        grid = np.stack(np.meshgrid(*[np.arange(-count, count + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 1, 2)
        origin = self.side_px / 2 + rng.uniform(0, 1, 2) @ cell
        points = scan(((grid + motif) @ cell + origin).reshape(-1, 2))
        heights = np.tile(height, len(grid))
        spacing = float(np.linalg.norm(cell, axis=1).min())
        near = ((points > -spacing) & (points < self.side_px + spacing)).all(axis=1)
        points, heights = points[near], heights[near]
        chance = float(rng.uniform(*self.defects))
        draw = rng.random(len(points))
        full = heights > 0.7 * heights.max()  # what is hard to see without them is no test of how defects are found
        missing, added = full & (draw < chance / 2), full & (draw > 1 - chance / 2)
        heights = np.where(missing, 0.0, np.where(added, heights + heights.max(), heights))
        inside = ((points > 0) & (points < self.side_px - 1)).all(axis=1)
        odd = (missing | added) & inside
        return points, heights, (points[odd], np.where(missing[odd], "missing", "added").astype(np.str_))

    def _islands(self, rng: np.random.Generator) -> Array:
        """Return one to three rough islands (H, W), 1 and more where they are."""
        y, x = np.indices((self.side_px,) * 2)
        found = np.zeros((self.side_px,) * 2)
        for _ in range(int(rng.integers(1, 4))):
            middle, radius = rng.uniform(0, self.side_px, 2), rng.uniform(0.06, 0.14) * self.side_px
            turn = np.arctan2(y - middle[0], x - middle[1])
            edge = radius * (1 + 0.2 * np.sin(3 * turn + rng.uniform(0, 6.3)) + 0.1 * np.sin(7 * turn))
            found = np.maximum(found, np.where(np.hypot(y - middle[0], x - middle[1]) < edge, rng.uniform(1, 2), 0))
        return found

    def _ground(self, rng: np.random.Generator) -> Array:
        """Return the tilt of the sample and jumps between lines, in nm."""
        place, turn = np.linspace(-0.5, 0.5, self.side_px), rng.uniform(0, 2 * np.pi)
        slope = 0.1 * float(rng.uniform(*self.tilt))
        jumps = np.cumsum(rng.normal(0, 0.1 * float(rng.uniform(*self.jumps)), self.side_px)) * (rng.random() < 0.5)
        return np.asarray(slope * (np.cos(turn) * place[:, None] + np.sin(turn) * place) + jumps[:, None])


class _Bent:
    """A scan whose lattice is bent by creep at its start and by slow waves; what it moves on average is taken off."""

    def __init__(self, amount_px: float, side: int, rng: np.random.Generator) -> None:
        self.side, self.creep = side, rng.normal(0, 1, 2)
        self.waves = rng.normal(0, 0.5, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
        grid = np.stack(np.meshgrid(*[np.linspace(0, side, 12)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
        design = np.column_stack([np.ones(len(grid)), grid])
        self.straight: Array = np.asarray(np.linalg.lstsq(design, self._moved(grid), rcond=None)[0], float)
        self.amount = amount_px / max(float(np.std(self._moved(grid) - design @ self.straight)), 1e-9)

    def _moved(self, points: Array) -> Array:
        y, x = points.T / self.side
        creep = np.exp(-np.clip(y, 0, None) / 0.3)[:, None] * self.creep
        strength, phase = self.waves
        waves = sum(strength[n] * np.sin(2 * np.pi * 0.7 * way[:, None] + phase[n]) for n, way in enumerate((y, x)))
        return np.asarray(creep + waves)

    def __call__(self, points: Array) -> Array:
        """Return where points (N, 2) of the straight lattice are seen."""
        design = np.column_stack([np.ones(len(points)), points])
        return np.asarray(points + self.amount * (self._moved(points) - design @ self.straight))


def random_motif(cell: Array, atoms: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return places (N, 2) in a cell, not too near each other, and heights (N,), the first 1."""
    least = 0.45 / np.sqrt(atoms)
    places = [np.zeros(2)]
    for _ in range(200):
        if len(places) == atoms:
            break
        place = rng.uniform(0, 1, 2)
        if _apart(np.array([*places, place]), cell) > least * np.sqrt(abs(np.linalg.det(cell))) * 1.1:
            places.append(place)
    return np.array(places), np.concatenate([[1.0], rng.uniform(0.45, 0.85, len(places) - 1)])


def _apart(places: Array, cell: Array) -> float:
    """Return the least distance between the atoms of a lattice with a basis."""
    images = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    away = np.linalg.norm((places[:, None, None] - places[None, :, None] + images) @ cell, axis=-1)
    return float(away[away > 1e-9].min())


def _bumps(points: Array, heights: Array, sigma: float, side: int) -> Array:
    """Return the image (side, side) of round bumps, which add."""
    grid = np.arange(side)
    rows = np.exp(-0.5 * ((grid - points[:, :1]) / sigma) ** 2) * heights[:, None]
    columns = np.exp(-0.5 * ((grid - points[:, 1:]) / sigma) ** 2)
    return np.asarray(rows.T @ columns)
