"""Bright-field contrast by mass and thickness (Beer's law), liquid cells, and what a camera makes of it.

Values for gold, water and silicon nitride as in the simulated liquid-phase movies of Yao et al. 2020
(doi:10.1021/acscentsci.0c00430).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """What lies in the beam beside the particles: layers of thickness (nm) with their inelastic mean free path (nm)."""

    layers: tuple[tuple[float, float], ...] = ()

    @property
    def transmitted(self) -> float:
        """The share of the beam that passes."""
        return float(np.exp(-sum(thickness / path for thickness, path in self.layers)))


#: 150 nm of water between two silicon nitride windows of 50 nm: passes 22 % of the beam.
LIQUID_CELL = Window(((150.0, 185.0), (100.0, 144.0)))
#: Nothing: vacuum.
VACUUM = Window()


@dataclass(frozen=True)
class Camera:
    """Electrons per pixel of the unscattered beam, and the camera.

    mtf: the modulation transfer at the Nyquist frequency (1: perfect), falling like a Lorentzian; gain and offset:
    counts per electron and counts without any; read_noise: 1-sigma in counts; grain_px: 1-sigma width of the grains of
    the counting noise, as in images that were scaled or compressed (0: every pixel for itself).
    """

    electrons: float
    mtf: float = 0.6
    gain: float = 1.0
    offset: float = 0.0
    read_noise: float = 0.0
    grain_px: float = 0.0


def transmission(thickness_nm: NDArray[np.floating], mean_free_path_nm: float, window: Window = VACUUM) -> Image:
    """Return the share of the beam (H, W) that passes particles of `thickness_nm` (H, W) and the window."""
    share: Image = (window.transmitted * np.exp(-np.asarray(thickness_nm) / mean_free_path_nm)).astype(np.float32)
    return share


def record(share: NDArray[np.floating], camera: Camera, rng: np.random.Generator) -> Image:
    """Return the image (H, W) of a camera behind `share` (H, W) of its beam: Poisson, then MTF, gain and read noise."""
    expected = np.clip(camera.electrons * np.asarray(share, dtype=float), 0, None)
    electrons: NDArray[np.floating] = rng.poisson(expected).astype(np.float32)
    if camera.grain_px:
        electrons = expected + grainy(electrons - expected, camera.grain_px)
    image = transferred(electrons, camera.mtf) * camera.gain + camera.offset
    if camera.read_noise:
        image = image + rng.normal(0, camera.read_noise, image.shape)
    return np.asarray(image, dtype=np.float32)


def grainy(noise: NDArray[np.floating], grain_px: float) -> Image:
    """Return `noise` (H, W) of one strength a pixel with grains of 1-sigma `grain_px`, as strong as before."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.asarray(noise, np.float32), grain_px, mode="wrap")
    return np.asarray(smooth * (float(np.std(noise)) / max(float(smooth.std()), 1e-12)), dtype=np.float32)


def transferred(image: NDArray[np.floating], mtf: float) -> Image:
    """Return the image (H, W) through a camera whose modulation transfer falls to `mtf` at the Nyquist frequency."""
    from scipy.fft import irfft2, rfft2

    if mtf >= 1:
        return np.asarray(image, dtype=np.float32)
    height, width = image.shape
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = (1 / max(mtf, 0.05) - 1) * 4  # 1 at f = 0, mtf at f = 0.5
    transfer = 1 / (1 + falling * (fy**2 + fx**2))
    through: Image = irfft2(rfft2(image) * transfer, s=image.shape).astype(np.float32)
    return through
