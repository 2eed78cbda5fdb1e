"""Electron energy loss by the plasmons of metal nanoparticles: ellipsoids of Drude metal as coupled point dipoles.

Each particle answers the field of the passing electron and those of the other particles by the quasistatic
polarisability of an ellipsoid. What the electron loses is the work that the dipoles' field does on it (Garcia de Abajo,
doi:10.1103/RevModPhys.82.209). Lengths are in nm, energies in eV; polarisabilities are volumes (Gaussian units).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]

_HBAR_C_EV_NM = 197.3269804
_FINE_STRUCTURE = 1 / 137.035999
_REST_ENERGY_KEV = 510.99895
#: Electrons nearer to a particle's middle than this share of its radius feel a field no stronger than there: a point
#: dipole's would grow without bound where the particle's own charge is spread.
_INNERMOST = 0.8


@dataclass(frozen=True)
class Drude:
    """A metal: ``eps = eps_inf - plasma^2 / (E (E + i damping))``, energies in eV; in a host of permittivity `host`.

    The default is fluorine- and tin-doped indium oxide: a sphere of it resonates at 0.78 eV.
    """

    plasma_eV: float = 1.9
    damping_eV: float = 0.09
    eps_inf: float = 4.0
    host: float = 1.0

    def permittivity(self, energy_eV: Array) -> Complex:
        """Return the permittivity (E,) at energies (E,) above 0."""
        energy = np.asarray(energy_eV, float)
        return np.asarray(self.eps_inf - self.plasma_eV**2 / (energy * (energy + 1j * self.damping_eV)))

    def resonance_eV(self, depolarisation: float) -> float:
        """Return the energy of an ellipsoid's resonance along an axis of this depolarisation factor (sphere: 1/3)."""
        around = self.host * (1 - depolarisation) / depolarisation
        squared = self.plasma_eV**2 / (self.eps_inf + around) - self.damping_eV**2
        return float(np.sqrt(max(squared, 0.0)))


@dataclass(frozen=True)
class Ellipsoids:
    """N particles on a plane: place (N, 2) as y, x; semi-axes (N, 3): two in the plane, one along the beam; angle (N,).

    Angles turn the first axis from +x towards +y. Everything in nm and radians.
    """

    place_nm: Array
    semi_nm: Array
    angle: Array

    def __len__(self) -> int:
        """Number of particles."""
        return len(self.place_nm)

    @property
    def gaps_nm(self) -> Array:
        """Return the distances (N, N) between the surfaces of spheres of equal volume, inf with itself."""
        radius = np.cbrt(self.semi_nm.prod(axis=1))
        apart = np.linalg.norm(self.place_nm[:, None] - self.place_nm, axis=2)
        return np.asarray(np.where(np.eye(len(self), dtype=bool), np.inf, apart - radius[:, None] - radius))

    def thickness_nm(self, shape: tuple[int, int], pixel_nm: float) -> NDArray[np.float32]:
        """Return the projected thickness (H, W) in nm on a grid of pixels whose first centre lies at half a pixel."""
        y, x = ((np.arange(n) + 0.5) * pixel_nm for n in shape)
        total = np.zeros(shape)
        for (at_y, at_x), (a, b, c), angle in zip(self.place_nm, self.semi_nm, self.angle, strict=True):
            reach = max(a, b)
            rows, columns = (slice(*np.searchsorted(axis, (at - reach, at + reach)))
                             for axis, at in ((y, at_y), (x, at_x)))  # fmt: skip
            dy, dx = np.meshgrid(y[rows] - at_y, x[columns] - at_x, indexing="ij")
            along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
            total[rows, columns] += 2 * c * np.sqrt(np.clip(1 - (along / a) ** 2 - (across / b) ** 2, 0, None))
        return total.astype(np.float32)


def depolarisation(semi: Array) -> Array:
    """Return the depolarisation factors (N, 3) of ellipsoids with semi-axes (N, 3); those of each sum to 1.

    By Gauss-Legendre quadrature of Stoner's integral (doi:10.1080/14786444508521510).
    """
    semi = np.asarray(semi, float)
    node, weight = np.polynomial.legendre.leggauss(96)
    u, du = (node + 1) / 2, weight / 2
    scale = (semi**2).mean(axis=1)[:, None]
    s = scale * u**2 / (1 - u) ** 2  # from 0 to infinity; squared, so that the ends are smooth
    jacobian = scale * 2 * u / (1 - u) ** 3 * du
    squares = semi**2
    root = np.sqrt((s[:, None] + squares[..., None]).prod(axis=1))
    integral = (jacobian / root)[:, None] / (s[:, None] + squares[..., None])
    return np.asarray(integral.sum(axis=2) * semi.prod(axis=1)[:, None] / 2)


def polarisability(particles: Ellipsoids, metal: Drude, energy_eV: Array) -> Complex:
    """Return the polarisabilities (E, N, 3, 3) in nm^3, in the frame x, y, z (z along the beam)."""
    factor = depolarisation(particles.semi_nm)
    volume = 4 / 3 * np.pi * particles.semi_nm.prod(axis=1)
    ratio = metal.permittivity(energy_eV)[:, None, None] / metal.host - 1
    principal = volume[:, None] / (4 * np.pi) * ratio / (1 + factor * ratio)
    cos, sin = np.cos(particles.angle), np.sin(particles.angle)
    turn = np.zeros((len(particles), 3, 3))
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = cos, -sin, sin, cos, 1.0
    return np.asarray(np.einsum("nia,ena,nja->enij", turn, principal, turn))


def loss_probability(
    particles: Ellipsoids, probe_nm: Array, energy_eV: Array, *, metal: Drude | None = None, voltage_kV: float = 60.0
) -> Array:
    """Return the loss probability per eV (P, E) of an electron that passes at each place (P, 2) as y, x, in nm.

    energy_eV (E,): above 0. Retardation between the particles is left out: assemblies are smaller than the wavelength.
    """
    metal = metal or Drude()
    energy = np.asarray(energy_eV, float)
    if len(particles) == 0:
        return np.zeros((len(probe_nm), len(energy)))
    alpha = polarisability(particles, metal, energy)
    between = coupling(particles) / metal.host
    found = np.empty((len(probe_nm), len(energy)))
    size = 3 * len(particles)
    for row, one in enumerate(energy):
        field_ = electron_field(particles, np.asarray(probe_nm, float), one, voltage_kV).reshape(len(probe_nm), size)
        system = _block_diagonal(np.linalg.inv(alpha[row])) - between
        dipoles = np.linalg.solve(system, field_.T)
        found[:, row] = np.imag((field_.conj() * dipoles.T).sum(axis=1))
    # charge in units of e: e^2 = alpha hbar c, and Gamma = Im(E* . p) / (pi (hbar c)^2 alpha) for fields of charge 1
    return np.clip(found * _FINE_STRUCTURE / (np.pi * _HBAR_C_EV_NM), 0.0, None)


def _block_diagonal(blocks: Complex) -> Complex:
    """Return the blocks (N, 3, 3) along the diagonal of a matrix (3N, 3N)."""
    number = len(blocks)
    whole = np.zeros((number, 3, number, 3), complex)
    whole[np.arange(number), :, np.arange(number)] = blocks
    return whole.reshape(3 * number, 3 * number)


def coupling(particles: Ellipsoids) -> Array:
    """Return the field (3N, 3N) in 1/nm^3 that unit dipoles in the particles' places make in the others' places."""
    number = len(particles)
    apart = np.zeros((number, number, 3))
    apart[..., :2] = (particles.place_nm[:, None] - particles.place_nm)[..., ::-1]
    distance = np.linalg.norm(apart, axis=2) + np.eye(number)
    unit = apart / distance[..., None]
    field_ = (3 * unit[..., :, None] * unit[..., None, :] - np.eye(3)) / distance[..., None, None] ** 3
    field_[np.arange(number), np.arange(number)] = 0.0
    return np.asarray(field_.transpose(0, 2, 1, 3).reshape(3 * number, 3 * number))


def electron_field(particles: Ellipsoids, probe_nm: Array, energy_eV: float, voltage_kV: float) -> Complex:
    """Return the field (P, N, 3) of a passing unit charge at the particles, in 1/nm^2 per (eV / hbar c)."""
    from scipy.special import k0, k1

    gamma = 1 + voltage_kV / _REST_ENERGY_KEV
    speed = np.sqrt(1 - 1 / gamma**2)  # over that of light
    wave = energy_eV / (_HBAR_C_EV_NM * speed)
    apart = (particles.place_nm - probe_nm[:, None])[..., ::-1]
    distance = np.linalg.norm(apart, axis=2)
    radius = particles.semi_nm[:, :2].mean(axis=1)
    reach = np.maximum(distance, _INNERMOST * radius)
    argument = wave * reach / gamma
    across = 2 * wave / (speed * gamma) * k1(argument)
    found = np.zeros((*distance.shape, 3), complex)
    found[..., :2] = -(across / reach)[..., None] * apart
    found[..., 2] = 1j * 2 * wave / (speed * gamma**2) * k0(argument)
    return found


@dataclass(frozen=True)
class Spectrometer:
    """What turns loss probabilities into counts: the zero-loss peak, the axis and the dose.

    energy_eV: (E,) channels; width_eV: FWHM of the zero-loss peak; tail: share of a Lorentzian in it; electrons: that
    pass in one spectrum.
    """

    energy_eV: Array = field(default_factory=lambda: np.linspace(0.2, 1.4, 121))
    width_eV: float = 0.06
    tail: float = 0.02
    electrons: float = 1e6

    def expected(self, loss_per_eV: Array) -> Array:
        """Return the expected counts (P, E) of losses (P, E): these, blurred by the zero-loss peak, and that itself."""
        step = float(np.diff(self.energy_eV).mean())
        offset = step * np.arange(-len(self.energy_eV) + 1.0, len(self.energy_eV))
        shape = self.zero_loss(np.asarray(offset, float))
        shape = shape / shape.sum()
        size = len(self.energy_eV)
        index = np.arange(size)[:, None] - np.arange(size) + size - 1
        blurred = loss_per_eV @ shape[index].T
        elastic = 1 - np.clip(blurred.sum(axis=1) * step, 0, 0.9)
        return np.asarray(self.electrons * step * (blurred + elastic[:, None] * self.zero_loss(self.energy_eV)))

    def zero_loss(self, energy_eV: Array) -> Array:
        """Return the zero-loss peak (E,) per eV: a Gaussian with the tails of a Lorentzian (pseudo-Voigt)."""
        energy = np.asarray(energy_eV, float)
        sigma = self.width_eV / np.sqrt(8 * np.log(2))
        gauss = np.exp(-(energy**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
        half = self.width_eV / 2
        return np.asarray((1 - self.tail) * gauss + self.tail * half / np.pi / (energy**2 + half**2))

    def recorded(self, loss_per_eV: Array, rng: np.random.Generator) -> Array:
        """Return counts (P, E) with Poisson noise."""
        return rng.poisson(np.minimum(self.expected(loss_per_eV), 1e12)).astype(float)
