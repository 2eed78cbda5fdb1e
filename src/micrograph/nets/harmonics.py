"""Square crops as circular harmonics, in which a rotation is exact and a shift is orthogonal."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

#: The functions vanish at this multiple of half the crop's side; pixels inside the inscribed circle are fitted.
_RIM = 1.08


class Harmonics(nn.Module):
    """Fourier-Bessel functions ``J_m(k r) exp(i m a)`` on the circle inscribed in crops of `size` pixels.

    All with a frequency below `cycles` per pixel, as (B, J, 2): real and imaginary part of J coefficients. White noise
    in the pixels stays white, nearly. Angles a run counter-clockwise from +x as the crop is displayed (y points down).
    """

    orders: Tensor
    analysis: Tensor
    synthesis: Tensor
    generators: Tensor

    def __init__(self, size: int, cycles: float = 0.28) -> None:
        super().__init__()
        self.size = size
        rim = _RIM * size / 2
        m, k = _modes(rim, 2 * np.pi * cycles)
        basis = _basis(m, k, rim, _grid(size))
        inside = np.hypot(*_grid(size)) <= size / 2
        scale = np.linalg.norm(basis[inside], axis=0)
        self.register_buffer("orders", torch.from_numpy(m))
        self.register_buffer("synthesis", _tensor(basis / np.where(scale > 1e-9, scale, 1.0)))
        inverse = np.zeros((basis.shape[1], size * size))
        inverse[:, inside] = np.linalg.pinv(basis[inside], rcond=1e-2) * np.where(scale > 1e-9, scale, 0.0)[:, None]
        self.register_buffer("analysis", _tensor(inverse))
        self.register_buffer("generators", _tensor(np.stack([_generator(m, k, rim, size, axis) for axis in (0, 1)])))

    def forward(self, crops: Tensor) -> Tensor:
        """Return the coefficients (B, J, 2) of crops (B, size, size)."""
        return (crops.reshape(len(crops), -1) @ self.analysis.T).reshape(len(crops), -1, 2)

    def images(self, coefficients: Tensor) -> Tensor:
        """Return the crops (B, size, size) that coefficients (B, J, 2) describe; zero beyond the circle."""
        flat = coefficients.flatten(1) @ self.synthesis.T
        return flat.reshape(-1, self.size, self.size)

    def turned(self, coefficients: Tensor, angle: Tensor) -> Tensor:
        """Return coefficients (..., J, 2) of the crops turned counter-clockwise by `angle` (...), in radians."""
        phase = angle[..., None] * self.orders
        cos, sin = torch.cos(phase), torch.sin(phase)
        real, imaginary = coefficients[..., 0], coefficients[..., 1]
        return torch.stack([real * cos + imaginary * sin, imaginary * cos - real * sin], dim=-1)

    def shifted(self, coefficients: Tensor, shift: Tensor) -> Tensor:
        """Return coefficients (..., J, 2) of the crops moved by `shift` (..., 2), (y, x) in pixels, up to about 2."""
        total = term = coefficients.flatten(-2)
        for power in range(1, 6):
            along_y, along_x = term @ self.generators[0].T, term @ self.generators[1].T
            term = (shift[..., :1] * along_y + shift[..., 1:] * along_x) / power
            total = total + term
        return total.reshape(coefficients.shape)


def _modes(rim: float, highest: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return order m and wave number k (1/pixel) of all functions that vanish at `rim`, m ascending."""
    from scipy.special import jn_zeros

    modes: list[tuple[int, float]] = []
    for m in range(int(highest * rim) + 1):
        zeros = jn_zeros(m, int(highest * rim / np.pi) + 2) / rim
        modes += [(m, float(k)) for k in zeros if k <= highest]
    return np.array([m for m, _ in modes], dtype=np.int64), np.array([k for _, k in modes])


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return y (down) and x of the pixels of a crop from its centre, each (size * size,)."""
    axis = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y.ravel(), x.ravel()


def _basis(
    m: NDArray[np.int64], k: NDArray[np.float64], rim: float, at: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return (P, 2 J): the functions at points (y, x), the factors of real and imaginary part side by side."""
    from scipy.special import jv

    radius, angle = np.hypot(*at), np.arctan2(-at[0], at[1])
    radial = jv(m, k * radius[:, None]) * (radius[:, None] < rim)
    phase = m * angle[:, None]
    parts = np.stack([radial * np.cos(phase), -radial * np.sin(phase)], axis=-1).reshape(len(radius), -1)
    return np.asarray(parts, dtype=np.float64)


def _generator(m: NDArray[np.int64], k: NDArray[np.float64], rim: float, size: int, axis: int) -> NDArray[np.float64]:
    """Return the antisymmetric (2 J, 2 J) matrix whose exponential shifts by one pixel along `axis`."""
    y, x = _grid(2 * size)
    fine = (y / 2, x / 2)
    step = 1e-3
    ahead, behind = (
        _basis(m, k, rim, (fine[0] - sign * step * (axis == 0), fine[1] - sign * step * (axis == 1)))
        for sign in (1, -1)
    )
    here = _basis(m, k, rim, fine)
    norm = np.linalg.norm(here, axis=0)
    norm = np.where(norm > 1e-9, norm, np.inf)
    moved = (here / norm).T @ ((ahead - behind) / (2 * step) / norm)
    return np.asarray((moved - moved.T) / 2)


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
