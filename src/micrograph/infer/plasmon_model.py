"""Loss spectra of metal particles from an image of them alone: particles as ellipsoids, their dipoles coupled.

No spectrum is learned from: the image says where the particles are and what shape they have,
`simulate.signals.plasmons` what they then lose. The 1-sigma comes from draws of what the image leaves open, and of the
metal.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.objects.bodies import bodies_in
from micrograph.simulate.signals.plasmon_assemblies import Assembly
from micrograph.simulate.signals.plasmons import Drude, Ellipsoids, Spectrometer

Array = NDArray[np.float64]

#: More particles than this are too many for one matrix.
MOST = 400


@dataclass(frozen=True)
class Doubt:
    """1-sigma of what an image leaves open: axes in the plane and along the beam (shares), places (share of a pixel);
    of the metal's plasma energy and damping (shares); and of the model itself (share of the spectrum).
    """

    across: float = 0.015
    along: float = 0.05
    place: float = 0.07
    plasma: float = 0.006
    damping: float = 0.09
    model: float = 0.03


@dataclass(frozen=True)
class ToldSpectra:
    """Losses (P, E) as recorded, without the zero-loss peak, in shares of the electrons, with their 1-sigma."""

    energy_eV: Array
    mean: Array
    sigma: Array
    particles: Ellipsoids


def particles_of(image: NDArray[np.floating], pixel_nm: float) -> Ellipsoids:
    """Return the particles in an annular dark-field image (H, W); raises `BadInput` for none, or too many."""
    found = bodies_in(image, pixel_nm)
    if not 0 < len(found) <= MOST:
        raise BadInput(f"The image shows {len(found)} particles: bright particles, 1 to {MOST}, were expected.")
    return Ellipsoids(found.place, found.semi, found.angle)


@dataclass(frozen=True)
class PlasmonModel:
    """What an image says of the losses at places on it, for particles of `metal` and a spectrometer.

    draws: of the particles and the metal, from which the 1-sigma comes; 0 for none.
    """

    metal: Drude = field(default_factory=Drude)
    spectrometer: Spectrometer = field(default_factory=lambda: Spectrometer(electrons=1.0))
    doubt: Doubt = Doubt()
    draws: int = 16
    seed: int = 0

    def __call__(self, image: NDArray[np.floating], pixel_nm: float, probe_nm: Array) -> ToldSpectra:
        """Return the spectra at places (P, 2), y, x in nm from the image's corner."""
        particles = particles_of(image, pixel_nm)
        best = self.recorded(particles, self.metal, probe_nm)
        rng = np.random.default_rng(self.seed)
        drawn = [self.recorded(*self._drawn(particles, pixel_nm, rng), probe_nm) for _ in range(self.draws)]
        spread = np.std(drawn, axis=0) if drawn else np.zeros_like(best)
        sigma = np.hypot(spread, self.doubt.model * best)
        return ToldSpectra(self.spectrometer.energy_eV, best, sigma, particles)

    def recorded(self, particles: Ellipsoids, metal: Drude, probe_nm: Array) -> Array:
        """Return the losses (P, E) as they are recorded, without the zero-loss peak."""
        losses = Assembly(particles, metal, (0.0, 0.0)).losses(probe_nm, self.spectrometer.energy_eV)
        return np.asarray(self.spectrometer.expected(losses) - self.spectrometer.expected(0 * losses))

    def _drawn(self, particles: Ellipsoids, pixel_nm: float, rng: np.random.Generator) -> tuple[Ellipsoids, Drude]:
        number, doubt = len(particles), self.doubt
        across, along = rng.standard_normal((number, 2)) * doubt.across, rng.standard_normal((number, 1)) * doubt.along
        place = particles.place_nm + doubt.place * pixel_nm * rng.standard_normal((number, 2))
        semi = particles.semi_nm * (1 + np.concatenate([across, along], axis=1))
        metal = replace(
            self.metal,
            plasma_eV=self.metal.plasma_eV * (1 + doubt.plasma * float(rng.standard_normal())),
            damping_eV=self.metal.damping_eV * (1 + doubt.damping * float(rng.standard_normal())),
        )
        return Ellipsoids(place, semi, particles.angle), metal
