"""Losses of particles made of many dipoles each: bodies of any shape on a cubic lattice (discrete dipoles).

Another model than `simulate.signals.plasmons`, where a particle is one dipole: here the particles have multipoles, and
what an electron drives in a particle varies over it. After Purcell and Pennypacker (doi:10.1086/152538) without
retardation, with the electron's field of Garcia de Abajo (doi:10.1103/RevModPhys.82.209).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import kn

from micrograph.simulate.signals.plasmons import Drude, Ellipsoids

Array = NDArray[np.float64]

#: Energies at which the electron's field is found; between them it is taken from the nearest two.
_ENERGIES = 5


def lattice_of(bodies: Ellipsoids, across: int) -> tuple[Array, Array]:
    """Return points (N, 3) as x, y, z in nm inside the ellipsoids, `across` along the shortest axis, and volumes (N,).

    The points of a body share its volume.
    """
    points, volumes = [], []
    for (y, x), semi, angle in zip(bodies.place_nm, bodies.semi_nm, bodies.angle, strict=True):
        pitch = 2 * float(semi.min()) / across
        sides = [(np.arange(-n, n + 1) + (0.5 if across % 2 == 0 else 0.0)) * pitch for n in
                 (int(np.ceil(length / pitch)) for length in semi)]  # fmt: skip
        grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
        own = grid[((grid / semi) ** 2).sum(axis=1) <= 1.0]
        cos, sin = np.cos(angle), np.sin(angle)
        points.append(np.column_stack([x + own[:, 0] * cos - own[:, 1] * sin,
                                       y + own[:, 0] * sin + own[:, 1] * cos, own[:, 2]]))  # fmt: skip
        volumes.append(np.full(len(own), 4 / 3 * np.pi * semi.prod() / len(own)))
    return np.concatenate(points), np.concatenate(volumes)


def dipole_losses(
    bodies: Ellipsoids, metal: Drude, probe_nm: Array, energy_eV: Array, *, across: int = 6, voltage_kV: float = 60.0
) -> Array:
    """Return the losses per eV (P, E) at places (P, 2) as y, x: every body is a lattice of dipoles."""
    points, volumes = lattice_of(bodies, across)
    root = np.sqrt(3 * volumes / (4 * np.pi))
    scale = np.repeat(root, 3)
    shift, modes = np.linalg.eigh(-_between(points) * scale[:, None] * scale / metal.host)
    known = np.linspace(energy_eV[0], energy_eV[-1], _ENERGIES)
    drive = np.stack([_drive(points, probe_nm, one, voltage_kV, scale, modes) for one in known])
    ratio = metal.permittivity(energy_eV) / metal.host
    answer = np.imag(1 / (((ratio + 2) / (ratio - 1))[:, None] + shift))  # Clausius and Mossotti
    found = np.empty((len(probe_nm), len(energy_eV)))
    for at, one in enumerate(energy_eV):
        right = int(np.clip(np.searchsorted(known, one), 1, _ENERGIES - 1))
        share = (one - known[right - 1]) / (known[right] - known[right - 1])
        found[:, at] = ((1 - share) * drive[right - 1] + share * drive[right]) @ answer[at]
    return np.asarray(found / (np.pi * 197.3269804 * 137.035999))


def _between(points: Array) -> Array:
    """Return the field (3N, 3N) of unit dipoles at each other's places."""
    apart = points[:, None] - points
    squared = (apart**2).sum(axis=2)
    np.fill_diagonal(squared, 1.0)
    tensor = 3 * apart[..., :, None] * apart[..., None, :] / squared[..., None, None] - np.eye(3)
    tensor /= (squared**1.5)[..., None, None]
    tensor[np.arange(len(points)), np.arange(len(points))] = 0
    return np.asarray(tensor.swapaxes(1, 2).reshape(3 * len(points), -1))


def _drive(points: Array, probe: Array, energy: float, voltage: float, scale: Array, modes: Array) -> Array:
    """Return how strongly electrons at places (P, 2) drive the modes (P, 3N)."""
    gamma = 1 + voltage / 510.99895
    beta = np.sqrt(1 - gamma**-2)
    wave = energy / (197.3269804 * beta)
    pitch = float(np.cbrt(scale.mean() ** 2 * 4 * np.pi / 3))
    away = points[:, :2] - probe[:, None, ::-1]
    distance = np.maximum(np.linalg.norm(away, axis=2), 0.5 * pitch)
    across = -2 * wave / (beta * gamma) * kn(1, wave * distance / gamma) / distance
    along = 2 * wave / (beta * gamma**2) * kn(0, wave * distance / gamma)
    phase = np.exp(1j * wave * points[:, 2])
    field = np.concatenate([across[..., None] * away, 1j * along[..., None]], axis=2) * phase[:, None]
    pulled = (field.reshape(len(probe), -1) * scale) @ modes
    return np.asarray(np.abs(pulled) ** 2)
