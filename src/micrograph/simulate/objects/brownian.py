"""Particles that diffuse and push or pull each other: overdamped Langevin motion in the plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
#: Longest random move (rms) in one step where particles act on each other, over the length on which their forces vary.
_FINE = 0.2


@dataclass(frozen=True)
class PairPotential:
    """Energy of two particles over their distance r, in kT: a screened repulsion and a longer attraction.

    ``u(r) = repulsion * exp(-(r - contact) / screening) - attraction * exp(-(r - contact) / reach)``, lengths in nm.
    """

    contact_nm: float
    repulsion_kT: float = 5.0
    screening_nm: float = 2.0
    attraction_kT: float = 0.0
    reach_nm: float = 6.0

    def energy_kT(self, distance_nm: Array) -> Array:
        """Return the energy at distances of any shape."""
        push, pull = self._parts(distance_nm)
        return push - pull

    def force_kT_per_nm(self, distance_nm: Array) -> Array:
        """Return the force at distances of any shape, positive where it pushes apart."""
        push, pull = self._parts(distance_nm)
        return push / self.screening_nm - pull / self.reach_nm

    def _parts(self, distance_nm: Array) -> tuple[Array, Array]:
        beyond = np.maximum(np.asarray(distance_nm, dtype=float) - self.contact_nm, -2 * self.screening_nm)
        return (
            self.repulsion_kT * np.exp(-beyond / self.screening_nm),
            self.attraction_kT * np.exp(-beyond / self.reach_nm),
        )


@dataclass(frozen=True)
class Bath:
    """Where particles move: diffusion coefficient, box (height, width), reflecting or periodic, and their potential."""

    d_nm2_per_s: float
    box_nm: tuple[float, float]
    potential: PairPotential | None = None
    periodic: bool = False

    def __post_init__(self) -> None:
        """Refuse a negative diffusivity or an empty box."""
        if self.d_nm2_per_s < 0 or min(self.box_nm) <= 0:
            raise BadInput(f"D = {self.d_nm2_per_s} nm2/s in a box of {self.box_nm} nm: give D >= 0 and a box.")


def brownian(start_nm: Array, times_s: NDArray[np.floating], bath: Bath, rng: np.random.Generator) -> Array:
    """Return the places (T, N, 2) of particles that begin at `start_nm` (N, 2) at ``times_s[0]``.

    In a periodic box places are not folded back, so displacements can be measured; in a reflecting one they stay
    inside. With a potential, each interval is cut into steps short beside the length on which the force changes.
    """
    places = np.empty((len(times_s), *np.shape(start_nm)))
    places[0] = start_nm
    for index, gap in enumerate(np.diff(times_s)):
        place = places[index]
        for step in _steps(float(gap), bath):
            place = _moved(place, step, bath, rng)
        places[index + 1] = place
    return places


def _steps(gap: float, bath: Bath) -> Iterator[float]:
    count = 1
    if bath.potential is not None and bath.d_nm2_per_s > 0:
        longest = _FINE * min(bath.potential.screening_nm, bath.potential.reach_nm)
        count = max(1, int(np.ceil(2 * bath.d_nm2_per_s * gap / longest**2)))
    return iter([gap / count] * count)


def _moved(place: Array, step: float, bath: Bath, rng: np.random.Generator) -> Array:
    moved = place + rng.normal(0, np.sqrt(2 * bath.d_nm2_per_s * step), place.shape)
    if bath.potential is not None and len(place) > 1:
        moved += step * bath.d_nm2_per_s * forces(place, bath)
    if bath.periodic:
        return moved
    box = np.array(bath.box_nm)
    folded = np.mod(moved, 2 * box)
    return np.asarray(np.where(folded > box, 2 * box - folded, folded))


def forces(place_nm: Array, bath: Bath) -> Array:
    """Return the force (N, 2) in kT/nm on every particle from all others."""
    if bath.potential is None:
        return np.zeros_like(place_nm)
    apart = place_nm[:, None] - place_nm[None]
    if bath.periodic:
        apart -= np.array(bath.box_nm) * np.round(apart / np.array(bath.box_nm))
    distance = np.linalg.norm(apart, axis=2)
    np.fill_diagonal(distance, np.inf)
    strength = bath.potential.force_kT_per_nm(distance) / np.maximum(distance, 1e-9)
    total: Array = np.sum(strength[:, :, None] * apart, axis=1)
    return total
