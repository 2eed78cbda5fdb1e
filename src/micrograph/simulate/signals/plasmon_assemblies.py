"""Self-assembled metal nanoparticles - chains, islands, patches of a lattice - with their loss spectra.

An electron's loss is that of `simulate.signals.plasmons`; particles of one metal share its permittivity, so that the
modes of an assembly are found once for all energies (the electrostatic resonances, doi:10.1103/PhysRevB.72.155412).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording, SignalAxis
from micrograph.simulate.ranges import Range
from micrograph.simulate.signals.plasmons import (
    Drude,
    Ellipsoids,
    Spectrometer,
    coupling,
    depolarisation,
    electron_field,
)

Array = NDArray[np.float64]

#: e^2 in units of (hbar c)^2, over pi: what turns ``Im(E* . p)`` into losses per eV.
_LOSS = 1 / 137.035999 / (np.pi * 197.3269804)
#: The electron's field is found at so many energies, and interpolated: it changes slowly.
_ENERGIES = 7
#: Places that are answered at once.
_TOGETHER = 512
#: Kinds of assemblies, with their shares.
KINDS = {"one": 0.08, "pair": 0.12, "chain": 0.3, "island": 0.25, "patch": 0.25}


@dataclass(frozen=True)
class AssemblyRanges:
    """Ranges from which assemblies are drawn, uniformly.

    radius_nm: of a typical particle; uneven: 1-sigma of single radii; longest: axis over the others' mean, in the plane
    and along the beam; gap: between surfaces, over the radius; bend_deg: 1-sigma of a chain's turn at each particle;
    vacancies: share of empty places of a patch; plasma, damping: factors of those of `metal` (batches differ).
    """

    radius_nm: Range = (5.0, 9.0)
    uneven: Range = (0.0, 0.08)
    longest: Range = (1.0, 1.6)
    gap: Range = (0.12, 0.5)
    bend_deg: Range = (0.0, 25.0)
    vacancies: Range = (0.0, 0.25)
    plasma: Range = (0.99, 1.01)
    damping: Range = (0.85, 1.15)
    kinds: tuple[tuple[str, float], ...] = tuple(KINDS.items())
    metal: Drude = field(default_factory=Drude)


@dataclass(frozen=True)
class Assembly:
    """Particles of one `metal` in a field of view (height, width) in nm; `kind` as in `KINDS`."""

    particles: Ellipsoids
    metal: Drude
    size_nm: tuple[float, float]
    kind: str = "island"

    def losses(self, probe_nm: Array, energy_eV: Array, voltage_kV: float = 60.0) -> Array:
        """Return the losses per eV (P, E) at places (P, 2), as `plasmons.loss_probability` does, but faster."""
        if len(probe_nm) > _TOGETHER:
            parts = [probe_nm[at : at + _TOGETHER] for at in range(0, len(probe_nm), _TOGETHER)]
            return np.concatenate([self.losses(part, energy_eV, voltage_kV) for part in parts])
        particles, metal = self.particles, self.metal
        strength, shift = _modes(particles, metal.host)
        every = np.linspace(energy_eV[0], energy_eV[-1], _ENERGIES)
        driven = np.stack([_driven(particles, strength, probe_nm, float(one), voltage_kV) for one in every])
        weight = np.moveaxis(_interpolation(every, energy_eV) @ driven.reshape(_ENERGIES, -1), 0, -1)
        weight = np.clip(weight, 0, None).reshape(len(probe_nm), len(shift), -1)
        inverse = 1 / (metal.permittivity(energy_eV) / metal.host - 1)
        answer = np.imag(1 / (inverse + shift[:, None]))
        return np.asarray(np.clip(np.einsum("pke,ke->pe", weight, answer) * _LOSS, 0, None))

    def near(self, rng: np.random.Generator, number: int, margin_nm: float = 8.0) -> Array:
        """Return random places (number, 2) on particles or at most `margin_nm` outside their bounds."""
        reach = self.particles.semi_nm.max(axis=1)
        chosen = rng.integers(len(self.particles), size=number)
        length = np.sqrt(rng.uniform(0, 1, number)) * (reach[chosen] + margin_nm)
        angle = rng.uniform(0, 2 * np.pi, number)
        away = length[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        return np.asarray(self.particles.place_nm[chosen] + away)


def _modes(particles: Ellipsoids, host: float) -> tuple[Array, Array]:
    """Return the modes (3N, 3N), one a column, as dipoles in nm^1.5, and their shifts (3N,)."""
    number = len(particles)
    root = np.sqrt(particles.semi_nm.prod(axis=1) / 3)
    factor = depolarisation(particles.semi_nm)
    cos, sin = np.cos(particles.angle), np.sin(particles.angle)
    turn = np.zeros((number, 3, 3))
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = cos, -sin, sin, cos, 1.0
    own = np.einsum("nia,na,nja->nij", turn, factor, turn)
    system = -coupling(particles).reshape(number, 3, number, 3) / host
    system = system * root[:, None, None, None] * root[:, None]
    system[np.arange(number), :, np.arange(number)] = own
    shift, modes = np.linalg.eigh(system.reshape(3 * number, 3 * number))
    return np.repeat(root, 3)[:, None] * modes, shift


def _driven(particles: Ellipsoids, modes: Array, probe_nm: Array, energy_eV: float, voltage_kV: float) -> Array:
    """Return how strongly each electron drives each mode (P, 3N)."""
    found = electron_field(particles, probe_nm, energy_eV, voltage_kV).reshape(len(probe_nm), -1)
    return np.asarray((found.real @ modes) ** 2 + (found.imag @ modes) ** 2)


def _interpolation(known: Array, wanted: Array) -> Array:
    """Return the matrix (W, K) that interpolates values at `known` with cubic splines."""
    from scipy.interpolate import CubicSpline

    return np.asarray(CubicSpline(known, np.eye(len(known)))(wanted))


def random_assembly(ranges: AssemblyRanges, rng: np.random.Generator) -> Assembly:
    """Return a random assembly in a field of view that leaves 12 nm around it."""
    names, shares = zip(*ranges.kinds, strict=True)
    kind = str(rng.choice(names, p=np.array(shares) / np.sum(shares)))
    radius, uneven = float(rng.uniform(*ranges.radius_nm)), float(rng.uniform(*ranges.uneven))
    pitch = radius * (2 + float(rng.uniform(*ranges.gap)))
    place = pitch * _places(kind, ranges, rng)
    number = len(place)
    ratio = float(rng.uniform(*ranges.longest))
    semi = radius * np.clip(1 + uneven * rng.standard_normal((number, 1)), 0.75, 1.25) * np.ones(3)
    long = rng.uniform(1, ratio, (number, 1))
    semi *= np.concatenate([long**0.5, long**-0.5, rng.uniform(0.9, 1.1, (number, 1))], axis=1)
    turned = float(rng.uniform(0, 2 * np.pi))
    place = place + 0.03 * radius * rng.standard_normal(place.shape)
    turn = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    place = apart(place @ turn.T, semi, radius * ranges.gap[0])
    reach = semi.max() + 12.0
    place = place - place.min(axis=0) + reach
    size = place.max(axis=0) + reach
    base = ranges.metal
    metal = replace(
        base,
        plasma_eV=base.plasma_eV * float(rng.uniform(*ranges.plasma)),
        damping_eV=base.damping_eV * float(rng.uniform(*ranges.damping)),
    )
    bodies = Ellipsoids(place, semi, rng.uniform(0, np.pi, number))
    return Assembly(bodies, metal, (float(size[0]), float(size[1])), kind)


def apart(place: Array, semi: Array, gap_nm: float, rounds: int = 60) -> Array:
    """Return places (N, 2) pushed apart until the bodies' longest axes leave `gap_nm`, as far as `rounds` suffice."""
    reach = semi[:, :2].max(axis=1)
    least = reach[:, None] + reach + gap_nm - np.eye(len(place)) * 1e9
    for _ in range(rounds):
        offset = place[:, None] - place
        distance = np.linalg.norm(offset, axis=2) + np.eye(len(place))
        missing = np.clip(least - distance, 0, None)
        if missing.max() < 1e-3:
            break
        place = place + 0.5 * ((missing / distance)[..., None] * offset).sum(axis=1)
    return place


def _places(kind: str, ranges: AssemblyRanges, rng: np.random.Generator) -> Array:
    """Return places (N, 2) in units of the distance between neighbours."""
    if kind == "one":
        return np.zeros((1, 2))
    if kind == "pair":
        return np.array([[0.0, 0.0], [0.0, 1.0]])
    if kind == "chain":
        number, bend = int(rng.integers(3, 10)), np.radians(rng.uniform(*ranges.bend_deg))
        heading = np.cumsum(bend * rng.standard_normal(number))
        return np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    if kind == "island":
        return _island(int(rng.integers(3, 13)), rng)
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    y, x = (part.ravel().astype(float) for part in np.mgrid[:rows, :columns])
    if rng.random() < 0.5:
        y, x = y * np.sqrt(3) / 2, x + 0.5 * (np.mgrid[:rows, :columns][0].ravel() % 2)
    there = rng.random(len(y)) >= rng.uniform(*ranges.vacancies)
    there[:2] = True
    return np.stack([y, x], axis=1)[there]


def _island(number: int, rng: np.random.Generator) -> Array:
    """Return places of particles that stuck, one by one, to a random one of those that were there."""
    place = np.zeros((1, 2))
    while len(place) < number:
        angle = rng.uniform(0, 2 * np.pi)
        new = place[rng.integers(len(place))] + np.array([np.sin(angle), np.cos(angle)])
        if np.linalg.norm(place - new, axis=1).min() > 0.999:
            place = np.concatenate([place, new[None]])
    return place


def electrons_for(losses: Array, snr: float, spectrometer: Spectrometer) -> float:
    """Return the electrons a spectrum at which the highest channel of the mean of `losses` (P, E) has this SNR.

    SNR: counts of that channel that are losses over the root of all its counts.
    """
    bright = replace(spectrometer, electrons=1.0)
    whole, none = (bright.expected(part)[0] for part in (losses.mean(axis=0)[None], np.zeros((1, losses.shape[1]))))
    signal = whole - none
    top = int(signal.argmax())
    return float(snr**2 * whole[top] / signal[top] ** 2)


@dataclass(frozen=True)
class SpectrumMap:
    """A simulated spectrum image: `counts` (Y, X, E) and what is expected of them, `image` (Y, X), truth in `assembly`.

    step_nm between places; the image is that of an annular dark-field detector on the same grid, in counts.
    """

    assembly: Assembly
    spectrometer: Spectrometer
    step_nm: float
    image: NDArray[np.float32]
    counts: Array
    expected: Array

    def recording(self) -> Recording:
        """Return the map as a recording of lines of spectra, its image beside it in the metadata as 'image'."""
        energy = self.spectrometer.energy_eV
        axis = SignalAxis("eV", float(np.diff(energy).mean()), float(energy[0]))
        known = Calibration(step_nm=self.step_nm, signal_axis=axis, content="spectra")
        down, across, channels = self.counts.shape
        lines = self.counts.astype(np.float32)
        return Recording(
            lines.__getitem__, range(down), known, (across, channels), name="simulated spectrum image",
            metadata={"image": self.image}, nav_shape=(down, across),
        )  # fmt: skip


def spectrum_map(
    assembly: Assembly, rng: np.random.Generator, *, snr: float = 20.0, step_nm: float = 2.0, image_snr: float = 25.0
) -> SpectrumMap:
    """Return the spectrum image of a whole assembly with Poisson noise; image_snr: of a particle's middle."""
    spectrometer = Spectrometer()
    shape = tuple(int(length / step_nm) for length in assembly.size_nm)
    y, x = ((np.arange(n) + 0.5) * step_nm for n in shape)
    probes = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    losses = assembly.losses(probes, spectrometer.energy_eV)
    near = losses[losses.max(axis=1) > 0.2 * losses.max()]
    spectrometer = replace(spectrometer, electrons=electrons_for(near, snr, spectrometer))
    expected = spectrometer.expected(losses).reshape(*shape, -1)
    image = noisy_image(assembly.particles.thickness_nm((shape[0], shape[1]), step_nm), image_snr, rng)
    return SpectrumMap(assembly, spectrometer, step_nm, image, rng.poisson(expected).astype(float), expected)


def noisy_image(thickness: NDArray[np.float32], snr: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an annular dark-field image: counts in proportion to the thickness, on a background of 5 %, noisy."""
    most = float(thickness.max()) or 1.0
    return rng.poisson(snr**2 * (thickness / most + 0.05)).astype(np.float32)
