"""What scanning and counting do to an image: slow distortion, row jitter, Poisson counts, readout, bad pixels.

Slow distortion (drift, flyback, affine) moves the atoms before they are rendered, so that the truth stays exact.
Fast row jitter, counting and the detector act on the rendered image and leave the truth where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sites

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Scan:
    """Settings of one scanned frame; rows are scanned from left to right and from top to bottom.

    dose_e_per_A2: incident electrons per square angstrom. jitter_nm: rms shift of a row, per axis. drift_nm: length of
    the drift over the whole frame. flyback_nm: shift along x where a line starts, dying off over `flyback_decay` line
    lengths. affine: rms of each element of a random 2 x 2 distortion. background: fraction of the beam (0..1) that
    reaches the detector without the sample. line_noise: relative rms of the brightness from row to row. A count comes
    out as `gain`, zero counts as `offset`; readout_e is the readout noise in electrons; dead_fraction and
    hot_fraction are the shares of pixels that read zero or several times the brightest pixel.
    """

    dose_e_per_A2: float = 1e5
    jitter_nm: float = 0.0
    drift_nm: float = 0.0
    flyback_nm: float = 0.0
    flyback_decay: float = 0.05
    affine: float = 0.0
    background: float = 0.0
    line_noise: float = 0.0
    gain: float = 1.0
    offset: float = 0.0
    readout_e: float = 0.0
    dead_fraction: float = 0.0
    hot_fraction: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a dose that is not positive, and impossible shares of pixels."""
        if not self.dose_e_per_A2 > 0:
            raise BadInput(f"The dose is {self.dose_e_per_A2} e/A^2: it must be greater than zero.")
        if not (0 <= self.dead_fraction < 1 and 0 <= self.hot_fraction < 1):
            raise BadInput("The shares of dead and hot pixels must lie between 0 and 1.")


@dataclass(frozen=True)
class Distortion:
    """A slow distortion of one frame of `size_nm` (y, x), fixed once drawn: where a point of the sample appears.

    matrix: (2, 2) about the centre of the frame; drift: (4, 2) nm, the (y, x) amplitudes of the straight drift
    from -1/2 to 1/2 over the frame and of its first three sine bends.
    """

    size_nm: tuple[float, float]
    matrix: NDArray[np.float64]
    drift_nm: NDArray[np.float64]
    flyback_nm: float
    flyback_decay: float

    def move(self, positions_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the apparent positions of points (N, 2) or (N, 3) with (y, x) first; further columns stay."""
        moved = np.array(positions_nm, dtype=float)
        centre = np.array(self.size_nm) / 2
        moved[:, :2] = (moved[:, :2] - centre) @ self.matrix.T + centre
        time = np.clip(moved[:, 0] / self.size_nm[0], -0.2, 1.2)
        course = np.stack([time - 0.5] + [np.sin(np.pi * bend * time) for bend in (1, 2, 3)], axis=1)
        start = np.exp(-np.clip(moved[:, 1], 0, None) / (self.flyback_decay * self.size_nm[1]))
        moved[:, :2] += course @ self.drift_nm
        moved[:, 1] += self.flyback_nm * start
        return moved

    def move_sites(self, sites: Sites) -> Sites:
        """Return `sites` at their apparent positions."""
        moved = self.move(np.stack([sites.y_nm, sites.x_nm], axis=1))
        return replace(sites, y_nm=moved[:, 0], x_nm=moved[:, 1])

    def move_atoms(self, atoms: Atoms, origin_nm: tuple[float, float] = (0.0, 0.0)) -> Atoms:
        """Return a copy of ASE `atoms` at their apparent positions; pixel (0, 0) lies at `origin_nm` (y, x) in them."""
        moved: Atoms = atoms.copy()  # type: ignore[no-untyped-call]
        y_x = self.move(moved.positions[:, [1, 0]] / 10.0 - np.array(origin_nm)) + np.array(origin_nm)
        moved.positions[:, [1, 0]] = y_x * 10.0
        return moved


def draw_distortion(scan: Scan, size_nm: tuple[float, float], rng: np.random.Generator) -> Distortion:
    """Return the slow distortion of one frame of `size_nm` (y, x): drift in a random direction with smooth bends."""
    angle = rng.uniform(0, 2 * np.pi)
    straight = scan.drift_nm * np.array([[np.sin(angle), np.cos(angle)]])
    bends = scan.drift_nm * rng.normal(0, 1, (3, 2)) * np.array([[0.15], [0.07], [0.04]])
    return Distortion(
        size_nm=size_nm,
        matrix=np.eye(2) + scan.affine * rng.normal(0, 1, (2, 2)),
        drift_nm=np.concatenate([straight, bends]),
        flyback_nm=scan.flyback_nm,
        flyback_decay=scan.flyback_decay,
    )


def distort_positions(
    positions_nm: NDArray[np.float64], scan: Scan, size_nm: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return points (N, 2) or (N, 3), (y, x) first, as one new slow distortion of the frame shows them."""
    return draw_distortion(scan, size_nm, rng).move(positions_nm)


def expose(fraction: NDArray[np.float32], scan: Scan, pixel_nm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one noisy frame (H, W) float32 in detector units from the `fraction` (H, W) of electrons detected.

    The counts are Poisson with the mean ``dose * pixel area * (fraction + background)``, rows shifted by the jitter.
    """
    jittered = _jitter_rows(fraction, scan.jitter_nm / pixel_nm, rng) if scan.jitter_nm > 0 else fraction
    mean = scan.dose_e_per_A2 * (10.0 * pixel_nm) ** 2 * (np.clip(jittered, 0, None).astype(float) + scan.background)
    if scan.line_noise > 0:
        mean = mean * np.clip(rng.normal(1, scan.line_noise, (len(mean), 1)), 0, None)
    counts = rng.poisson(mean).astype(np.float32)
    if scan.readout_e > 0:
        counts += np.float32(scan.readout_e) * rng.standard_normal(counts.shape, dtype=np.float32)
    if scan.dead_fraction > 0:
        counts[rng.random(counts.shape) < scan.dead_fraction] = 0.0
    if scan.hot_fraction > 0:
        hot = rng.random(counts.shape) < scan.hot_fraction
        counts[hot] = counts.max() * rng.uniform(1, 4, int(hot.sum()))
    return counts * np.float32(scan.gain) + np.float32(scan.offset)


def _jitter_rows(image: NDArray[np.float32], sigma_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Shift every row by its own random sub-pixel amount along both axes (cubic interpolation, edges held)."""
    h, w = image.shape
    shift = np.clip(rng.normal(0, sigma_px, (2, h)), -3 * sigma_px, 3 * sigma_px)
    whole = np.floor(shift).astype(np.intp)
    taps = _cubic_taps((shift - whole).astype(np.float32)[:, :, None])
    rows, columns = np.arange(h), np.arange(w)
    moved = np.zeros_like(image)
    for tap, weight in enumerate(taps, start=-1):
        moved += weight[0] * image[np.clip(rows + whole[0] + tap, 0, h - 1)]
    result = np.zeros_like(image)
    for tap, weight in enumerate(taps, start=-1):
        source = np.clip(columns[None, :] + (whole[1] + tap)[:, None], 0, w - 1)
        source += (rows * w)[:, None]
        result += weight[1] * moved.take(source)
    return result


def _cubic_taps(t: NDArray[np.float32]) -> tuple[NDArray[np.floating], ...]:
    """Catmull-Rom weights of the points -1, 0, 1, 2 for a position `t` in 0..1."""
    return (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (t**3 - t**2) / 2,
    )
