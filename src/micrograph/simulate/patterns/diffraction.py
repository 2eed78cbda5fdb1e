"""Kinematic electron diffraction: structure factors, patterns of selected areas with tilt and thickness, peak lists.

A reflection g is excited by ``sin(pi t s)^2 / (pi s)^2``, where s is how far it lies from Ewald's sphere and t the
thickness (Fultz and Howe, doi:10.1007/978-3-642-29761-8, ch. 6). Vectors g are in 1/nm, without 2 pi, in rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.simulate.optics import Microscope
from micrograph.simulate.scattering import scattering_amplitude_A2

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reflections:
    """Reflections of a crystal: whole-number indices (N, 3), g (N, 3) in 1/nm, |F|^2 (N,) in units of their highest."""

    index: NDArray[np.intp]
    g_per_nm: Array
    intensity: Array

    def __len__(self) -> int:
        """Number of reflections."""
        return len(self.intensity)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Reflections:
        """Return some of the reflections."""
        return Reflections(self.index[which], self.g_per_nm[which], self.intensity[which])


@dataclass(frozen=True)
class Beam:
    """Illumination and crystal: voltage, thickness, buckling (1-sigma of the tilt within the area), thermal motion."""

    voltage_kV: float = 200.0
    thickness_nm: float = 20.0
    buckling_mrad: float = 4.0
    thermal_nm: float = 0.008

    @property
    def wavelength_nm(self) -> float:
        """Relativistic wavelength."""
        return Microscope(voltage_kV=self.voltage_kV).wavelength_nm


@dataclass(frozen=True)
class Camera:
    """A camera for patterns: side in pixels, 1/nm a pixel, width of spots (1-sigma, px), counts in the pattern.

    background: share of the counts that is diffuse; stop_px: radius of the beam stop about the direct beam (0: none);
    centre_px: by how much the direct beam is off the middle, at most.
    """

    side_px: int = 256
    pixel_per_nm: float = 0.12
    spot_px: float = 1.6
    counts: float = 1e4
    background: float = 0.3
    stop_px: float = 7.0
    centre_px: float = 6.0


def reflections(
    atoms: Atoms, g_max_per_nm: float, *, voltage_kV: float = 200.0, thermal_nm: float = 0.008, least: float = 1e-6
) -> Reflections:
    """Return all reflections of a periodic crystal up to `g_max_per_nm` but those weaker than `least` of the strongest.

    The cell may be any; `thermal_nm` is the rms displacement per axis of every atom (Debye-Waller). F(000) is left out.
    Raises `BadInput` for a structure without a periodic cell.
    """
    cell = np.asarray(atoms.cell) / 10
    if abs(np.linalg.det(cell)) < 1e-9:
        raise BadInput("The structure has no periodic cell, so it has no reflections: give a crystal, such as a CIF.")
    reciprocal = np.linalg.inv(cell).T
    most = np.floor(g_max_per_nm * np.linalg.norm(cell, axis=1)).astype(int)
    index = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    g = index @ reciprocal
    length = np.linalg.norm(g, axis=1)
    inside = (length > 1e-9) & (length <= g_max_per_nm)
    index, g, length = index[inside], g[inside], length[inside]
    half = _first_of_pair(index)
    index, g, length = index[half], g[half], length[half]
    amplitude = _amplitude(atoms, index, length, voltage_kV) * np.exp(-2 * (np.pi * thermal_nm * length) ** 2)
    intensity = np.abs(amplitude) ** 2
    both = Reflections(
        np.concatenate([index, -index]), np.concatenate([g, -g]), np.tile(intensity / intensity.max(), 2)
    )
    return both[both.intensity > least]


def _first_of_pair(index: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Mark one of each pair hkl, -h-k-l: without absorption they are equally strong (Friedel)."""
    h, k, m = index.T
    return np.asarray((h > 0) | ((h == 0) & ((k > 0) | ((k == 0) & (m > 0)))))


def _amplitude(atoms: Atoms, index: NDArray[np.intp], length: Array, voltage_kV: float) -> NDArray[np.complex128]:
    basis, numbers = atoms.get_scaled_positions(), atoms.numbers  # type: ignore[no-untyped-call]
    most = np.abs(index).max(axis=0, initial=0)
    total = np.zeros(len(index), complex)
    for number in np.unique(numbers):
        # exp(2 pi i (h x + k y + l z)) as a product of three small tables, each over one index
        h, k, m = (
            np.exp(2j * np.pi * np.multiply.outer(np.arange(-reach, reach + 1), place))
            for reach, place in zip(most, basis[numbers == number].T, strict=True)
        )
        phases = np.einsum("ra,ra,ra->r", h[index[:, 0] + most[0]], k[index[:, 1] + most[1]], m[index[:, 2] + most[2]])
        total += np.abs(scattering_amplitude_A2(int(number), voltage_kV, length / 10)) * phases
    return total


def zone_rotation(
    atoms: Atoms, zone: NDArray[np.intp], mistilt_deg: float = 0.0, towards_deg: float = 0.0, turn_deg: float = 0.0
) -> Array:
    """Return the matrix R (``g @ R``) that brings a zone axis [uvw] to +z, mistilted, and turned about the beam."""
    axis = np.asarray(zone, float) @ np.asarray(atoms.cell)
    axis = axis / np.linalg.norm(axis)
    start = np.eye(3)[int(np.argmin(np.abs(axis)))]
    right = start - (start @ axis) * axis
    right /= np.linalg.norm(right)
    upright = np.column_stack([right, np.cross(axis, right), axis])
    return np.asarray(
        upright @ _about_z(turn_deg) @ _about_z(-towards_deg) @ _about_x(mistilt_deg) @ _about_z(towards_deg)
    )


def _about_z(angle_deg: float) -> Array:
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _about_x(angle_deg: float) -> Array:
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def excited(found: Reflections, rotation: Array, beam: Beam) -> Reflections:
    """Return the reflections in the beam's frame (z along it), with the intensities that the pattern shows.

    Buckling spreads the distance from Ewald's sphere: the mean over 7 tilts of a Gaussian is taken.
    """
    g = found.g_per_nm @ rotation
    wave = beam.wavelength_nm
    planar = np.linalg.norm(g[:, :2], axis=1)
    away = -g[:, 2] - wave * (g**2).sum(axis=1) / 2
    tilts = np.linspace(-2, 2, 7)
    weights = np.exp(-(tilts**2) / 2)
    s = away[:, None] + planar[:, None] * beam.buckling_mrad * 1e-3 * tilts
    shape = np.sinc(beam.thickness_nm * s) ** 2 @ (weights / weights.sum())
    return Reflections(found.index, g, found.intensity * shape)


def saed(
    found: Reflections, rotation: Array, beam: Beam, camera: Camera, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a selected-area pattern (side, side) in counts, with Poisson noise, the direct beam and a beam stop.

    x of a pattern is the first column of ``g @ rotation``, y, downwards, the second.
    """
    shown = excited(found, rotation, beam)
    side, sigma = camera.side_px, camera.spot_px
    middle = (side - 1) / 2 + rng.uniform(-camera.centre_px, camera.centre_px, 2)
    x, y = (
        middle[0] + shown.g_per_nm[:, 0] / camera.pixel_per_nm,
        middle[1] + shown.g_per_nm[:, 1] / camera.pixel_per_nm,
    )
    keep = (x > -9) & (x < side + 8) & (y > -9) & (y < side + 8) & (shown.intensity > 1e-5 * shown.intensity.max())
    image = np.zeros((side, side))
    pixel = np.arange(side)
    across = np.exp(-((pixel - x[keep, None]) ** 2) / (2 * sigma**2))
    down = np.exp(-((pixel - y[keep, None]) ** 2) / (2 * sigma**2))
    image += (down * shown.intensity[keep, None]).T @ across
    image *= camera.counts * (1 - camera.background) / max(image.sum(), 1e-12)
    radius = np.hypot(pixel[None, :] - middle[0], pixel[:, None] - middle[1])
    diffuse = np.exp(-radius * camera.pixel_per_nm / 2.5) + 0.02
    image += camera.counts * camera.background * diffuse / diffuse.sum()
    image += 0.5 * camera.counts * np.exp(-(radius**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    if camera.stop_px > 0:
        image[radius < camera.stop_px] = 0.0
    return rng.poisson(image).astype(np.float32)


@dataclass(frozen=True)
class Measured:
    """How a list of peaks is measured: errors (1-sigma) of places in 1/nm and of intensities (share), weakest seen."""

    place_per_nm: float = 0.02
    intensity: float = 0.10
    weakest: float = 1e-3


def zone_peaks(
    found: Reflections, rotation: Array, beam: Beam, measured: Measured, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the peaks of one zone's pattern, rows (gx, gy, 0, intensity) in 1/nm, without the direct beam."""
    shown = excited(found, rotation, beam)
    return _list(shown.g_per_nm * [1.0, 1.0, 0.0], shown.intensity, measured, rng, planar=True)


def volume_peaks(found: Reflections, measured: Measured, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return peaks in three dimensions, rows (gx, gy, gz, intensity), as precession or rotation data give them."""
    return _list(found.g_per_nm, found.intensity, measured, rng)


def powder_peaks(found: Reflections, measured: Measured, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the lines of a powder, rows (|g|, 0, 0, intensity): reflections closer than the error are one line."""
    length = np.linalg.norm(found.g_per_nm, axis=1)
    order = np.argsort(length)
    length, strength = length[order], found.intensity[order]
    line = np.concatenate([[0], np.cumsum(np.diff(length) > measured.place_per_nm)])
    total = np.asarray(np.bincount(line, strength), float)
    place = np.bincount(line, strength * length) / total
    g = np.zeros((len(place), 3))
    g[:, 0] = place
    return _list(g, total, measured, rng)


def _list(
    g: Array, intensity: Array, measured: Measured, rng: np.random.Generator, planar: bool = False
) -> NDArray[np.float32]:
    seen = intensity > measured.weakest * intensity.max()
    noisy = intensity[seen] * np.exp(rng.normal(0, measured.intensity, int(seen.sum())))
    off = rng.normal(0, measured.place_per_nm, (int(seen.sum()), 3))
    off[:, 1:] *= np.abs(g[:, 1:]).any(axis=0) if not planar else [1.0, 0.0]
    return np.column_stack([g[seen] + off, noisy]).astype(np.float32)


#: Wavelength, distance and pixel of Ziletti's fingerprint (nm, nm, nm), and its masks in shares of the side.
_WAVE_NM, _DISTANCE_NM, _PIXEL_NM = 5e-3, 1e8, 4e5
_STOP, _RIM = 5 / 64, 15 / 32


def fingerprint(atoms: Atoms, nearest_A: float, side_px: int = 64) -> NDArray[np.float32]:
    """Return the diffraction fingerprint (3, side, side): per axis x, y, z the sum of patterns at +45 and -45 degrees.

    The structure is scaled so that its nearest neighbours (`nearest_A`) are 1 angstrom apart and cut to a ball of 4
    such distances. Wavelength 5 pm, distance 0.1 m, pixels 0.4 mm with 64 of them, centre and rim masked; each channel
    has 1 as its highest value. Every atom scatters alike (doi:10.1038/s41467-018-05169-6).
    """
    points = (atoms.positions - atoms.positions.mean(axis=0)) / nearest_A
    points = points[np.linalg.norm(points, axis=1) <= 4.0]
    pixel = (np.arange(side_px) - (side_px - 1) / 2) * _PIXEL_NM * 64 / side_px
    x, y = np.meshgrid(pixel, pixel)
    q = np.column_stack([x.ravel(), y.ravel()]) / _DISTANCE_NM / _WAVE_NM / 10
    radius = np.hypot(x, y) / pixel[-1] / 2
    seen = (radius >= _STOP) & (radius <= _RIM)
    channels = []
    for axis in range(3):
        image = np.zeros(len(q))
        for angle in (-45.0, 45.0):
            turned = points @ _about(axis, angle)
            image += np.abs(np.exp(2j * np.pi * (q @ turned[:, :2].T)).sum(axis=1)) ** 2
        image = image.reshape(side_px, side_px) * seen
        channels.append(image / max(image.max(), 1e-12))
    return np.stack(channels).astype(np.float32)


def _about(axis: int, angle_deg: float) -> Array:
    """Return the turn (``points @ R``) about axis 0, 1 or 2."""
    order = [(axis + 1) % 3, (axis + 2) % 3, axis]
    turn = np.zeros((3, 3))
    turn[np.ix_(order, order)] = _about_z(angle_deg)
    return turn
