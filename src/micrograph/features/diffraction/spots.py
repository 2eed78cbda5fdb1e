"""Spots of diffraction patterns: where they are about the direct beam, and the plane lattice that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.features.columns.peaks import find_peaks

Array = NDArray[np.float64]

#: Spots stand out from the noise by so many of its 1-sigma; at most so many are kept.
_SIGNIFICANT, _MOST = 7.0, 150
#: A spot belongs to the lattice if it is off by less than this share of the shorter basis vector.
_TOLERANCE = 0.13
#: Spots of one pattern lie on one plane lattice: this share of them at least, and so many spots, or it is no pattern.
_ON_LATTICE, _LEAST_SPOTS = 0.6, 6
_NO_PATTERN = "The image is no spot pattern of one crystal: its spots do not lie on one lattice about the beam."
#: The direct beam lies within this share of the side about the middle of the image.
_WINDOW = 0.08


@dataclass(frozen=True)
class Spots:
    """Spots (N, 2) as x, y from the direct beam, in pixels or 1/nm, intensity (N,) and the beam's place (x, y) in px.

    `sigma` is the 1-sigma of a place, as far as it is known beforehand.
    """

    place: Array
    intensity: Array
    centre_px: tuple[float, float] = (0.0, 0.0)

    def __len__(self) -> int:
        """Number of spots."""
        return len(self.intensity)


#: A frame without spots.
NO_SPOTS = Spots(np.zeros((0, 2)), np.zeros(0))


@dataclass(frozen=True)
class Net:
    """The plane lattice of a pattern: reduced basis (2, 2) in rows, its covariance, indices of the spots, fit.

    `indexed` is the share of the spots' number on the lattice; `sigma` (2,) the 1-sigma of the basis lengths, and
    `angle_sigma_deg` that of the angle. `origin` is by how much the direct beam was off.
    """

    basis: Array
    index: NDArray[np.intp]
    on: NDArray[np.bool_]
    origin: Array
    indexed: float
    sigma: Array
    angle_sigma_deg: float

    @property
    def lengths(self) -> Array:
        """Lengths (2,) of the basis vectors, the shorter first."""
        return np.asarray(np.linalg.norm(self.basis, axis=1))

    @property
    def angle_deg(self) -> float:
        """Angle between the basis vectors, 60 to 90 degrees."""
        cosine = self.basis[0] @ self.basis[1] / self.lengths.prod()
        return float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))


def find_spots(image: NDArray[Any]) -> Spots:
    """Return the spots of a pattern (H, W); the direct beam is found as the centre of symmetry, also behind a stop.

    Each spot's place is its centre of mass, its intensity what it holds above its surroundings.
    """
    data = np.nan_to_num(np.asarray(image, float), nan=0.0)
    data = data - min(0.0, float(data.min()))
    centre = _centre(data)
    peaks = find_peaks(_significance(data, centre).astype(np.float32), _SIGNIFICANT, 5.0)
    margin = (peaks.y > 3) & (peaks.x > 3) & (peaks.y < data.shape[0] - 4) & (peaks.x < data.shape[1] - 4)
    points = np.column_stack([peaks.x, peaks.y])[margin][:_MOST]
    points, intensity = _measured(data, points)
    place = points - centre
    keep = (np.linalg.norm(place, axis=1) > 0.04 * max(data.shape)) & (intensity > 0)
    return Spots(place[keep], intensity[keep], (float(centre[0]), float(centre[1])))


def doubts_about(spots: Spots) -> dict[str, object]:
    """Return what table 'frames' says of an image with these spots: how unlike a pattern it is, a flag and a note."""
    distance = unlike_pattern(spots)
    if distance <= 1:
        return {"domain_distance": distance}
    return {"domain_distance": distance, "flags": int(Flag.OUT_OF_DOMAIN), "notes": _NO_PATTERN}


def unlike_pattern(spots: Spots) -> float:
    """Return how unlike a spot pattern of one crystal an image is whose spots are `spots`; above 1 it is none.

    0 where all spots lie on one plane lattice about the direct beam, 2 where there are too few to tell.
    """
    net = fit_net(spots) if len(spots) >= _LEAST_SPOTS else None
    return 2.0 if net is None else (1 - net.indexed) / (1 - _ON_LATTICE)


def _significance(data: Array, centre: Array) -> Array:
    """Return by how many 1-sigma a disc about each pixel is brighter than the ring around it.

    The noise is that of discs at the same distance from the beam.
    """
    from scipy import signal

    inside, around = (_disc(radius) for radius in (3, 7))
    ring = around.copy()
    ring[3:-3, 3:-3] -= _disc(4)
    above = signal.fftconvolve(data, inside / inside.sum(), "same") - signal.fftconvolve(
        data, ring / ring.sum(), "same"
    )
    y, x = np.indices(data.shape)
    shell = (np.hypot(x - centre[0], y - centre[1]) / 10).astype(int)
    noise = np.array([np.median(np.abs(above[shell == one])) for one in range(int(shell.max()) + 1)])
    floor = 0.05 * float(noise.max()) + 1e-9
    return np.asarray(above / (1.4826 * np.maximum(noise, floor))[shell])


def _disc(radius: int) -> Array:
    steps = np.arange(-radius, radius + 1)
    return np.asarray((np.hypot(steps[:, None], steps[None]) <= radius + 0.5).astype(float))


def _measured(data: Array, points: Array) -> tuple[Array, Array]:
    """Return centres of mass (x, y) and sums above the surroundings, in discs of radius 4 px."""
    reach = 4
    steps = np.arange(-reach, reach + 1)
    dy, dx = np.meshgrid(steps, steps, indexing="ij")
    radius = np.hypot(dy, dx)
    disc, ring = radius <= 3.6, radius > 3.6
    refined, total = points.copy(), np.zeros(len(points))
    for number, (x, y) in enumerate(points):
        row, column = round(y), round(x)
        rows, columns = np.clip(row + dy, 0, data.shape[0] - 1), np.clip(column + dx, 0, data.shape[1] - 1)
        part = data[rows, columns]
        above = np.where(disc, part - part[ring].mean(), 0.0)
        total[number] = above.sum()
        weight = np.clip(above, 0, None)
        if weight.sum() > 0:
            refined[number] = (column + (weight * dx).sum() / weight.sum(), row + (weight * dy).sum() / weight.sum())
    return refined, total


def _centre(data: Array) -> Array:
    """Return the point (x, y) near the middle about which the image is most alike to itself turned by 180 degrees.

    Spots are cut at the level of the brightest diffuse light: so the beam stop, the diffuse light and the places of the
    spots count, and not their intensities, which differ where the crystal is tilted.
    """
    from scipy import ndimage

    level = max(float(np.quantile(data, 0.97)), 1e-3 * float(data.max()))
    flat = ndimage.gaussian_filter(np.minimum(data, level), 1.5)
    flat = flat - flat.mean()
    shape = tuple(2 * n for n in flat.shape)
    transform = np.fft.rfft2(flat, shape)
    alike = ndimage.gaussian_filter(np.fft.irfft2(transform**2, shape), 2.0)
    window = round(2 * _WINDOW * max(data.shape))
    top, left = (n - 1 - window for n in data.shape)
    part = alike[top : top + 2 * window + 1, left : left + 2 * window + 1]
    best = find_peaks(part.astype(np.float32), -np.inf, 1.0)
    return np.array([best.x[0] + left, best.y[0] + top]) / 2


def fit_net(spots: Spots, free_origin: bool = True) -> Net | None:
    """Return the plane lattice of the spots, ``None`` where fewer than three spots make none."""
    strongest = np.argsort(-spots.intensity)[:60]
    points = spots.place[strongest]
    if len(points) < 3:
        return None
    found = _best_basis(points, _candidates(points))
    net = None if found is None else _refined(spots, found, free_origin)
    return net if net is not None and net.on.sum() >= 3 else None


def _candidates(points: Array) -> Array:
    """Return short vectors (M, 2) that occur among the spots and their differences, one of each pair v, -v."""
    every = np.vstack([points, (points[:, None] - points[None]).reshape(-1, 2)])
    every = every[np.linalg.norm(every, axis=1) > 0.25 * np.linalg.norm(points, axis=1).min()]
    every = np.where((every[:, :1] < 0) | ((every[:, :1] == 0) & (every[:, 1:] < 0)), -every, every)
    every = every[np.argsort(np.linalg.norm(every, axis=1))][:900]
    tolerance = 0.08 * np.linalg.norm(points, axis=1).min()
    chosen: list[Array] = []
    left = every
    while len(left) and len(chosen) < 14:
        near = np.linalg.norm(left - left[0], axis=1) < 2 * tolerance
        if near.sum() >= min(3, len(points) // 2):
            chosen.append(left[near].mean(axis=0))
        left = left[~near]
    return np.array(chosen).reshape(-1, 2)


def _best_basis(points: Array, candidates: Array) -> Array | None:
    """Return the basis with the largest cell among those that index (nearly) most spots."""
    first, second = np.triu_indices(len(candidates), 1)
    bases = np.stack([candidates[first], candidates[second]], axis=1)
    area = np.abs(np.linalg.det(bases)) if len(bases) else np.zeros(0)
    shorter = np.linalg.norm(bases, axis=2).min(axis=1) if len(bases) else area
    wide = area > 0.2 * shorter**2
    if not wide.any():
        return None
    bases, area, shorter = bases[wide], area[wide], shorter[wide]
    fraction = points @ np.linalg.inv(bases)
    off = np.linalg.norm((fraction - np.round(fraction)) @ bases, axis=2)
    share = (off < _TOLERANCE * shorter[:, None]).mean(axis=1)
    return reduced(bases[int(np.argmax(np.where(share >= share.max() - 0.08, area, 0.0)))])


def reduced(basis: Array) -> Array:
    """Return Gauss's reduced basis: the two shortest vectors, with an angle of 60 to 90 degrees."""
    a, b = basis
    for _ in range(50):
        if a @ a > b @ b:
            a, b = b, a
        shift = round(float(a @ b / (a @ a)))
        if shift == 0:
            break
        b = b - shift * a
    return np.array([a, -b if a @ b < 0 else b])


def _refined(spots: Spots, basis: Array, free_origin: bool) -> Net:
    """Return the lattice after least squares with all spots, and again with those that fit."""
    origin = np.zeros(2)
    for _ in range(3):
        fraction = (spots.place - origin) @ np.linalg.inv(basis)
        index = np.round(fraction).astype(int)
        off = np.linalg.norm((fraction - index) @ basis, axis=1)
        on = (off < _TOLERANCE * np.linalg.norm(basis, axis=1).min()) & index.any(axis=1)
        design, wanted = index[on].astype(float), spots.place[on]
        if np.linalg.matrix_rank(design) < 2:
            break
        if free_origin:  # it is known beforehand to lie near the centre of symmetry: as two more spots say
            design = np.vstack([np.column_stack([design, np.ones(len(design))]), [0.0, 0.0, 1.5]])
            wanted = np.vstack([wanted, [0.0, 0.0]])
        solution = np.linalg.lstsq(design, wanted, rcond=None)[0]
        basis = solution[:2]
        origin = solution[2] if free_origin else np.zeros(2)
    rest = (spots.place - origin - index @ basis)[on]
    variance = float((rest**2).sum() / max(1, 2 * (len(rest) - design.shape[1]))) if len(rest) else np.nan
    normal = np.linalg.pinv(design.T @ design) * variance
    length = np.linalg.norm(basis, axis=1)
    sigma = np.sqrt(np.maximum(np.diag(normal)[:2], 0))
    angle = np.rad2deg(float(np.hypot(*(sigma / length))))
    return Net(basis, index, on, origin, float(on.mean()), sigma, angle)
