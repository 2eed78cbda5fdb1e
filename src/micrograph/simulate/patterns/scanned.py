"""4D-STEM scans whose answer is known: a disc that a planted potential shifts, and scattering out of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording, SignalAxis

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PlantedScan:
    """What is planted: maps (Y, X) over the scan, and the disc's geometry, before any noise.

    potential: its slopes (a step) are the shifts in pixels; scattered: share of the electrons outside the disc, in a
    wide halo; descan (3, 2): constant, and slopes down and across the scan, of the shift (y, x) that the descan leaves.
    """

    potential: Array
    scattered: Array
    descan: Array
    y_px: float
    x_px: float
    radius_px: float
    side_px: int
    electrons: float
    mrad_per_px: float = 0.5
    step_nm: float = 0.1
    halo_px: float = 30.0

    @property
    def shift(self) -> tuple[Array, Array]:
        """Return the shifts (Y, X) in pixels that the specimen makes, down and across the detector."""
        y, x = np.gradient(self.potential)
        return np.asarray(y), np.asarray(x)

    @property
    def middle_px(self) -> tuple[float, float]:
        """Return where (y, x) the disc's middle lies on average over the scan."""
        down, across = self.potential.shape
        off = self.descan[0] + (down - 1) / 2 * self.descan[1] + (across - 1) / 2 * self.descan[2]
        y, x = (float(one.mean()) for one in self.shift)
        return self.y_px + y + float(off[0]), self.x_px + x + float(off[1])

    def expected(self, row: int) -> Array:
        """Return the patterns (X, H, W) that one line of the scan expects, in electrons."""
        shift_y, shift_x = (one[row] for one in self.shift)
        columns = np.arange(self.potential.shape[1])
        off = self.descan[0] + row * self.descan[1] + columns[:, None] * self.descan[2]
        y = np.arange(self.side_px) - (self.y_px + shift_y + off[:, 0])[:, None]
        x = np.arange(self.side_px) - (self.x_px + shift_x + off[:, 1])[:, None]
        away = np.hypot(y[:, :, None], x[:, None, :])
        disc = np.clip((self.radius_px - away) / 1.0 + 0.5, 0, 1)
        halo = np.exp(-0.5 * (away / self.halo_px) ** 2)
        share = self.scattered[row][:, None, None]
        pattern = (1 - share) * disc / (np.pi * self.radius_px**2) + share * halo / (2 * np.pi * self.halo_px**2)
        return np.asarray(self.electrons * pattern)

    def recording(self, seed: int) -> Recording:
        """Return the scan as a recording of counts; every pattern's noise follows from `seed` and its line."""
        down, across = self.potential.shape

        def line(row: int) -> NDArray[np.uint16]:
            return np.random.default_rng([seed, row]).poisson(self.expected(row)).astype(np.uint16)

        def block(first: int, last: int) -> NDArray[np.uint16]:
            lines = np.concatenate([line(row) for row in range(first // across, -(-last // across))])
            begin = first // across * across
            return lines[first - begin : last - begin]

        scale = Calibration(
            content="scan", step_nm=self.step_nm, voltage_kV=200.0, signal_axis=SignalAxis("mrad", self.mrad_per_px)
        )
        return Recording(
            lambda index: block(index, index + 1)[0],
            range(down * across),
            scale,
            (self.side_px, self.side_px),
            "uint16",
            "planted scan",
            nav_shape=(down, across),
            block=block,
        )


def random_scan(rng: np.random.Generator, places: int = 32, side_px: int = 64, electrons: float = 2e4) -> PlantedScan:
    """Return a scan of places x places over bumps of potential, with a random disc and descan."""
    y, x = np.mgrid[:places, :places].astype(float)
    potential, scattered = np.zeros((places, places)), np.full((places, places), 0.05)
    for _ in range(6):
        at = rng.uniform(0.1, 0.9, 2) * places
        width = rng.uniform(0.08, 0.16) * places
        bump = np.exp(-0.5 * ((y - at[0]) ** 2 + (x - at[1]) ** 2) / width**2)
        potential += rng.uniform(1.0, 3.0) * bump
        scattered += rng.uniform(0.05, 0.2) * bump
    descan = np.stack([np.zeros(2), *rng.normal(0, 1.0 / places, (2, 2))])
    radius = float(rng.uniform(0.16, 0.26)) * side_px
    centre = (side_px - 1) / 2 + rng.uniform(-0.08, 0.08, 2) * side_px
    return PlantedScan(
        potential, scattered, descan, float(centre[0]), float(centre[1]), radius, side_px, electrons,
        halo_px=0.25 * side_px,
    )  # fmt: skip
