"""How a known net of columns lies in an image, turned and stretched: by the reflections in its Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Steps of the search: degrees, and relative scales.
_STEP_DEG, _SCALES = 0.75, np.linspace(0.96, 1.04, 9)
#: A net is there if its reflections stand out so much from their surroundings (mean logarithm).
LEAST_EVIDENCE = 0.35


@dataclass(frozen=True)
class NetPose:
    """A net in an image: rows of ``vectors_nm`` (2, 2) are (y, x); ``evidence``: mean log of reflections."""

    vectors_nm: Array
    evidence: float

    @property
    def found(self) -> bool:
        """Whether the net is there."""
        return self.evidence >= LEAST_EVIDENCE


def find_net(contrast: NDArray[np.floating], pixel_nm: float, vectors_nm: Array, reflections_per_nm: Array) -> NetPose:
    """Return how the net of `vectors_nm` (2, 2) lies in `contrast` (H, W), of mean 0.

    reflections_per_nm (M, 2): spatial frequencies (ky, kx) of the unturned net that the lens passes.
    """
    from scipy.optimize import minimize

    spectrum, step = _flat_spectrum(contrast, pixel_nm)
    angles = np.deg2rad(np.arange(0.0, 180.0, _STEP_DEG))
    scores = np.array(
        [[_score(spectrum, step, reflections_per_nm, angle, scale) for scale in _SCALES] for angle in angles]
    )
    first, second = np.unravel_index(int(scores.argmax()), scores.shape)
    start = np.array([angles[first], _SCALES[second]])
    simplex = start + np.array([[0, 0], [0.006, 0], [0, 0.006]])
    found: Any = minimize(  # type: ignore[call-overload]
        lambda at: -_score(spectrum, step, reflections_per_nm, float(at[0]), float(at[1])),
        start, method="Nelder-Mead", options={"initial_simplex": simplex, "maxiter": 60},
    )  # fmt: skip
    angle, scale = map(float, found.x)
    return NetPose(scale * vectors_nm @ _turn(angle).T, -float(found.fun))


def _turn(angle: float) -> Array:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _flat_spectrum(contrast: NDArray[np.floating], pixel_nm: float) -> tuple[Array, float]:
    """Return the logarithm of the windowed image's spectrum over the median at the same frequency, and its pitch."""
    import scipy.fft

    side = scipy.fft.next_fast_len(2 * max(contrast.shape))
    windows = [np.hanning(n + 2)[1:-1] for n in contrast.shape]
    amplitude = np.abs(scipy.fft.fftshift(scipy.fft.fft2(contrast * np.outer(*windows), s=(side, side))))
    y, x = np.mgrid[:side, :side] - side // 2
    ring = np.minimum(np.hypot(y, x).astype(int) // 3, side // 6)
    order = np.argsort(ring.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(ring.ravel()))[:-1]
    medians = np.array([np.median(part) for part in np.split(amplitude.ravel()[order], ends)])
    ground = np.convolve(np.pad(medians, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return np.log(np.maximum(amplitude / np.maximum(ground[ring], 1e-12), 1e-3)), 1 / (side * pixel_nm)


def _score(spectrum: Array, step: float, reflections: Array, angle: float, scale: float) -> float:
    """Return the mean of the flat spectrum at the reflections of the net, turned and stretched."""
    from scipy.ndimage import map_coordinates

    at = reflections @ _turn(angle).T / scale / step + len(spectrum) // 2
    return float(map_coordinates(spectrum, at.T, order=1, mode="nearest").mean())
