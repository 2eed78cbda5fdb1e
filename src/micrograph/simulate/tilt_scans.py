"""Whole images of tilted perovskites along [110], as a microscope records them: scan, dose, any direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.ranges import Range
from micrograph.simulate.tilt_images import CellImage


@dataclass(frozen=True)
class TiltScan:
    """How a `CellImage` is recorded: field_nm wide and high.

    dose_e_per_A2; pixel_nm; jitter_nm: 1-sigma of the place of each line along x; shear: 1-sigma of each element of the
    scan's distortion. The lattice is turned by any angle.
    """

    field_nm: float = 6.0
    pixel_nm: Range = (0.012, 0.0121)
    dose_e_per_A2: Range = (1e5, 1e5 + 1)
    jitter_nm: float = 0.002
    shear: float = 0.003

    def __call__(self, cell: CellImage, rng: np.random.Generator) -> tuple[NDArray[np.float32], float]:
        """Return counts (H, W) and the pixel size in nm."""
        pixel = float(rng.uniform(*self.pixel_nm))
        dose = float(np.exp(rng.uniform(*np.log(self.dose_e_per_A2))))
        number = int(self.field_nm / pixel)
        y, x = np.mgrid[:number, :number] * pixel
        x = x + rng.normal(0, self.jitter_nm, (number, 1))
        turn = float(rng.uniform(0, 2 * np.pi))
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        bent = rotation @ (np.eye(2) + self.shear * rng.normal(size=(2, 2)))
        places = np.einsum("ij,jhw->ihw", bent, np.stack([y, x])) / np.array(cell.cell_nm)[:, None, None]
        places += rng.uniform(size=2)[:, None, None]
        share = cell.at(places[0], places[1])
        counts = rng.poisson(np.clip(share, 0, None) * dose * (10 * pixel) ** 2)
        return counts.astype(np.float32), pixel
