"""How strongly single atoms scatter onto an annular detector: amplitudes, cross-sections, coherence.

A thin atom acts on a fast electron as a phase plate, so that a plane wave is scattered with the amplitude
``F(s) = integral (exp(i sigma V(r)) - 1) exp(-2 pi i s r) d2r`` at the spatial frequency ``s``.
V is the projected potential in the parametrisation of Lobato and Van Dyck (doi:10.1107/S205327331401643X), as in abTEM.
``F / sigma`` is tabled in ``cross_sections.npz`` for every element up to uranium; every detector and convergence
angle then follows by one integral. Screened-Rutherford values would be twice too high for heavy elements.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.simulate.optics import Microscope, interaction_rad_per_V_A

TABLE = Path(__file__).with_name("cross_sections.npz")
VOLTAGES_KV = (30.0, 60.0, 80.0, 100.0, 120.0, 200.0, 300.0)
HEAVIEST = 92


@dataclass(frozen=True)
class _Table:
    """``F / sigma`` (Z, voltage, s) in V angstrom^3 at frequencies (1/angstrom), for `sigma` (rad / V angstrom)."""

    amplitude: NDArray[np.complex64]
    frequency_per_A: NDArray[np.float64]
    sigma: NDArray[np.float64]


@functools.cache
def _table() -> _Table:
    with np.load(TABLE) as file:
        amplitude = file["real"].astype(np.float32) + 1j * file["imag"].astype(np.float32)
        order = np.argsort(file["sigma"])
        return _Table(amplitude[:, order], file["frequency_per_A"], file["sigma"][order])


def scattering_amplitude_A2(number: int, voltage_kV: float, frequency_per_A: ArrayLike) -> NDArray[np.complex128]:
    """Return the amplitude F (angstrom^2, complex) of element `number` at `frequency_per_A`; zero for number 0.

    Interpolated in the table; beyond its last frequency (14 per angstrom) the amplitude is taken as zero.
    """
    table = _table()
    s = np.asarray(frequency_per_A, dtype=float)
    if number == 0:
        return np.zeros(s.shape, complex)
    sigma = interaction_rad_per_V_A(voltage_kV)
    upper = int(np.clip(np.count_nonzero(table.sigma < sigma), 1, len(table.sigma) - 1))
    share = (sigma - table.sigma[upper - 1]) / (table.sigma[upper] - table.sigma[upper - 1])
    rows = table.amplitude[number - 1]
    row = (1 - share) * rows[upper - 1] + share * rows[upper]
    return np.asarray(sigma * np.interp(s, table.frequency_per_A, row, right=0.0))


def collected(
    microscope: Microscope, frequency_per_A: ArrayLike, convergence_mrad: float | None = None
) -> NDArray[np.float64]:
    """Return which share (0..1) of the probe's plane waves, scattered by `frequency_per_A`, lands on the detector.

    Another half-angle of the probe than the microscope's may be given.
    """
    per_angle = _per_mrad(microscope)
    s = np.asarray(frequency_per_A, dtype=float)
    disc = per_angle * (microscope.convergence_mrad if convergence_mrad is None else convergence_mrad)
    outer, inner = microscope.outer_mrad * per_angle, microscope.inner_mrad * per_angle
    return (_overlap(s, disc, outer) - _overlap(s, disc, inner)) / (np.pi * disc**2)


def _per_mrad(microscope: Microscope) -> float:
    """Spatial frequency (1/angstrom) of one mrad."""
    return 1e-3 / (microscope.wavelength_nm * 10.0)


def _overlap(distance: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    """Area that two discs of radii a and b have in common, by the distance of their centres."""
    if min(a, b) <= 0:
        return np.zeros_like(distance)
    d = np.clip(distance, abs(a - b) + 1e-9, a + b)
    x = np.clip((d**2 + a**2 - b**2) / (2 * d * a), -1, 1)
    y = np.clip((d**2 + b**2 - a**2) / (2 * d * b), -1, 1)
    kite = np.sqrt(np.clip((a + b - d) * (d + a - b) * (d - a + b) * (d + a + b), 0, None))
    lens = a**2 * np.arccos(x) + b**2 * np.arccos(y) - kite / 2
    return np.asarray(np.where(distance <= abs(a - b), np.pi * min(a, b) ** 2, np.where(distance >= a + b, 0.0, lens)))


def detector_nodes(microscope: Microscope, count: int = 192) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies (1/angstrom) and weights with which ``sum(weight * |F|^2)`` is the collected cross-section."""
    s, step = _nodes(microscope, count)
    return s, 2 * np.pi * s * step * collected(microscope, s)


def _nodes(microscope: Microscope, count: int) -> tuple[NDArray[np.float64], float]:
    """Midpoints (1/angstrom) and step of all momentum transfers that can reach the detector."""
    if microscope.inner_mrad < microscope.convergence_mrad:
        raise BadInput(
            f"The detector begins at {microscope.inner_mrad} mrad, inside the probe's disc: "
            f"annular dark field needs an inner angle of at least {microscope.convergence_mrad} mrad, the convergence."
        )
    low = (microscope.inner_mrad - microscope.convergence_mrad) * _per_mrad(microscope)
    high = (microscope.outer_mrad + microscope.convergence_mrad) * _per_mrad(microscope)
    step = (high - low) / count
    return np.asarray(low + step * (np.arange(count) + 0.5), float), step


def cross_section_A2(numbers: ArrayLike, microscope: Microscope) -> NDArray[np.float64]:
    """Return the ADF cross-sections (angstrom^2) of the elements `numbers` (0..92, any shape; 0 scatters nothing).

    The integral of a single atom's image over the scan: counts of an isolated atom = dose per angstrom^2 times this.
    Includes the convergence of the probe. Raises `BadInput` for an element beyond uranium.
    """
    z = np.asarray(numbers, dtype=int)
    check_numbers(z)
    s, weight = detector_nodes(microscope)
    result = np.zeros(z.shape)
    for number in np.unique(z):
        amplitude = scattering_amplitude_A2(int(number), microscope.voltage_kV, s)
        result[z == number] = np.sum(weight * np.abs(amplitude) ** 2)
    return result


def response(number: int, microscope: Microscope) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies kappa (1/nm, rising from 0) and how well an atom's image transfers them, from 1 downwards.

    An atom does not answer to the beam's intensity at one point: its image is ``|psi|^2`` times this transfer,
    ``m(kappa) = <integral over the detector of F(q - k) F*(q - k')>`` with ``k - k' = kappa``, averaged over the waves
    k, k' of the probe. Their overlap, a lens, is taken as the disc of the same area. Within 1 % of multislice for C,
    S, Se, Mo and W. At 60 kV, 30 mrad and 60-200 mrad the transfer for carbon falls to 0.8 at the probe's finest
    detail: a point-like atom would make graphene's contrast 12 % too high.
    """
    kappa, s, window = _response_window(microscope)
    azimuth = (np.arange(4) + 0.5) / 4 * np.pi / 2
    shift = s[:, None] * np.cos(azimuth) * kappa[:, None, None]
    base = (s**2)[:, None] + kappa[:, None, None] ** 2 / 4
    ahead = scattering_amplitude_A2(number, microscope.voltage_kV, np.sqrt(base + shift))
    behind = scattering_amplitude_A2(number, microscope.voltage_kV, np.sqrt(base - shift))
    products = np.mean(ahead.real * behind.real + ahead.imag * behind.imag, axis=2)
    transfer = np.sum(products * window, axis=1)
    return 10.0 * kappa, transfer / transfer[0]


@functools.lru_cache(maxsize=8)
def _response_window(
    microscope: Microscope,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies kappa (6,) and momentum transfers s (40,) per angstrom, and what the detector collects (6, 40)."""
    disc = microscope.convergence_mrad * _per_mrad(microscope)
    kappa = np.linspace(0, 1.9 * disc, 6)
    s, _ = _nodes(microscope, 40)
    shared = np.sqrt(_overlap(kappa, disc, disc) / (np.pi * disc**2)) * microscope.convergence_mrad
    return kappa, s, s * np.stack([collected(microscope, s, float(half_angle)) for half_angle in shared])


def check_numbers(numbers: NDArray[np.int_]) -> None:
    """Raise `BadInput` unless all atomic numbers are in 0..92."""
    if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) <= HEAVIEST:
        raise BadInput(
            f"Atomic numbers {int(numbers.min())}..{int(numbers.max())} were found: "
            f"only 0 (an empty site) to {HEAVIEST} (uranium) are known."
        )


def make_cross_sections(path: Path = TABLE) -> None:
    """Make the table of scattering amplitudes from abTEM's projected potentials (the [sim] extra); takes 20 s."""
    import scipy.special
    from abtem.parametrizations import LobatoParametrization
    from ase.data import chemical_symbols

    potentials = LobatoParametrization()
    edges = 10.0 * (np.arange(16001) / 16000) ** 2  # dense at the nucleus, 10 angstrom wide
    r = (edges[1:] + edges[:-1]) / 2
    frequency = 14.0 * (np.arange(160) / 159) ** 1.5
    kernel = scipy.special.j0(2 * np.pi * frequency[:, None] * r) * (np.pi * np.diff(edges**2))
    sigma = np.array([interaction_rad_per_V_A(kV) for kV in VOLTAGES_KV])
    table = np.empty((HEAVIEST, len(sigma), len(frequency)), complex)
    for z in range(1, HEAVIEST + 1):
        potential = np.asarray(potentials.projected_potential(chemical_symbols[z])(r), dtype=float)
        table[z - 1] = (np.exp(1j * sigma[:, None] * potential) - 1) @ kernel.T / sigma[:, None]
    real, imag = table.real.astype(np.float16), table.imag.astype(np.float16)
    np.savez_compressed(path, frequency_per_A=frequency, sigma=sigma, real=real, imag=imag)
