"""Volumes from tilt series of counts: back-projection, SIRT, and Poisson likelihood with total variation.

Few views at fractions of a count a pixel cannot fix a volume; what is known beforehand must. `total_variation` asks for
few edges, shared by all elements and by HAADF where it is given as one more channel. It finds the one minimum of a
convex function, so nothing is invented that the counts or the prior do not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.projector import Projector, Volume


def filtered_back_projection(series: Volume, projector: Projector) -> Volume:
    """Return the volume (depth, Y, width) by the ramp filter with Hann's window; each view counts by its tilt's share.

    series: (V, Y, width), sums of voxels. Source: Kak and Slaney, doi:10.1137/1.9780898719277, ch. 3.
    """
    _check(series, projector)
    width = projector.width
    size = 1 << int(np.ceil(np.log2(2 * width)))
    frequency = np.fft.rfftfreq(size)
    ramp = np.abs(frequency) * (0.5 + 0.5 * np.cos(2 * np.pi * frequency))
    filtered = np.fft.irfft(np.fft.rfft(series, size, axis=2) * ramp, size, axis=2)[..., :width]
    share = _shares(np.deg2rad(projector.tilts_deg))
    return projector.back((filtered * share[:, None, None]).astype(np.float32))


def _shares(tilts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle (V,) that each view stands for: half the way to its neighbours."""
    if len(tilts) == 1:
        return np.ones(1)
    order = np.argsort(tilts)
    gaps = np.diff(tilts[order])
    held = np.concatenate([[gaps[0]], (gaps[1:] + gaps[:-1]) / 2, [gaps[-1]]])
    found = np.empty(len(tilts))
    found[order] = held
    return found


def sirt(
    series: Volume,
    projector: Projector,
    iterations: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> Volume:
    """Return the volume (depth, Y, width), never below zero, by simultaneous iterative reconstruction.

    Source: Gilbert, doi:10.1016/0022-5193(72)90180-4. progress is told (done, all) after each iteration.
    """
    _check(series, projector)
    one = np.ones((projector.depth, 1, projector.width), np.float32)
    per_ray = 1 / np.maximum(projector.forward(one), 1e-3)
    per_voxel = 1 / np.maximum(projector.back(np.ones((projector.views, 1, projector.width), np.float32)), 1e-3)
    volume = np.zeros((projector.depth, series.shape[1], projector.width), np.float32)
    for step in range(iterations):
        volume += per_voxel * projector.back(np.asarray((series - projector.forward(volume)) * per_ray, np.float32))
        np.maximum(volume, 0, out=volume)
        if progress is not None:
            progress(step + 1, iterations)
    return volume


@dataclass(frozen=True)
class TotalVariation:
    """How `total_variation` weighs its prior.

    weight: of the total variation against the Poisson likelihood; iterations: of the primal-dual steps; background:
    counts per pixel that are not the specimen's.
    """

    weight: float = 4.0
    iterations: int = 120
    background: float = 1e-3


def total_variation(
    counts: Volume,
    projector: Projector,
    settings: TotalVariation | None = None,
    support: NDArray[np.bool_] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Volume:
    """Return volumes (C, depth, Y, width), never below zero, of most Poisson likelihood with least total variation.

    counts: (C, V, Y, width), C elements of one specimen, reconstructed together: an edge that several elements share
    costs less than as many edges in different places (Bresson and Chan, doi:10.3934/ipi.2008.2.455). Elements count in
    units of their own usual voxel. support (depth, Y, width): where the specimen is; outside all is zero. Primal-dual
    steps with diagonal preconditioning (Pock and Chambolle, doi:10.1109/ICCV.2011.6126441).
    """
    settings = settings or TotalVariation()
    for series in counts:
        _check(series, projector)
    inside = np.ones((), np.float32) if support is None else support.astype(np.float32)
    volume = np.stack([sirt(series, projector, 5) for series in counts]) * inside
    usual = np.maximum((volume**2).sum(axis=(1, 2, 3)) / np.maximum(volume.sum(axis=(1, 2, 3)), 1e-12), 1e-9)
    unit = usual.astype(np.float32)[:, None, None, None]
    one = np.ones((projector.depth, 1, projector.width), np.float32)
    sigma = 1 / unit / np.maximum(projector.forward(one), 1e-3)
    rays_per_voxel = projector.back(np.ones((projector.views, 1, projector.width), np.float32))
    pace = np.float32(2 * settings.weight)  # of the edges' dual, which never exceeds the weight
    tau = 1 / (unit * rays_per_voxel + 6 * pace)
    volume = volume / unit
    leading, rays, edges = volume.copy(), np.zeros_like(counts), np.zeros((3, *volume.shape), np.float32)
    for step in range(settings.iterations):
        for channel, own in enumerate(unit[:, 0, 0, 0]):
            expected = own * projector.forward(leading[channel]) + settings.background
            rays[channel] = _poisson_dual(rays[channel] + sigma[channel] * expected, counts[channel], sigma[channel])
        edges += pace / 2 * _differences(leading)
        edges /= np.maximum(1, np.sqrt((edges**2).sum(axis=(0, 1))) / np.float32(settings.weight))
        before = volume
        slope = np.stack([own * projector.back(one) for own, one in zip(unit[:, 0, 0, 0], rays, strict=True)])
        volume = np.maximum(volume - tau * (slope - _divergence(edges)), 0) * inside
        leading = 2 * volume - before
        if progress is not None:
            progress(step + 1, settings.iterations)
    return np.asarray(volume * unit, np.float32)


def _poisson_dual(dual: Volume, counts: Volume, sigma: Volume) -> Volume:
    """Return the proximal point of the conjugate of the Poisson likelihood ``sum(x - n log x)``."""
    return np.asarray((1 + dual - np.sqrt((dual - 1) ** 2 + 4 * sigma * counts)) / 2, np.float32)


def _differences(volume: Volume) -> Volume:
    """Return the forward differences (3, C, Z, Y, X) of (C, Z, Y, X), zero at the far ends."""
    found = np.zeros((3, *volume.shape), np.float32)
    found[0, :, :-1] = volume[:, 1:] - volume[:, :-1]
    found[1, :, :, :-1] = volume[:, :, 1:] - volume[:, :, :-1]
    found[2, ..., :-1] = volume[..., 1:] - volume[..., :-1]
    return found


def _divergence(field: Volume) -> Volume:
    """Return the divergence (C, Z, Y, X), the negative adjoint of `_differences`."""
    found = np.zeros(field.shape[1:], np.float32)
    for axis in range(3):
        part, into = np.moveaxis(field[axis], axis + 1, 0), np.moveaxis(found, axis + 1, 0)
        into[:-1] += part[:-1]
        into[1:] -= part[:-1]
    return found


def misfit(counts: Volume, volume: Volume, projector: Projector, background: float = 0.0) -> float:
    """Return chi^2 over the number of pixels of the re-projected volume: 1 where only counting noise is left over.

    Expected counts below 1e-6 are left out. With few counts a pixel the sum is still 1 on average (Pearson's).
    """
    expected = projector.forward(volume).astype(float) + background
    seen = expected > 1e-6
    return float(((counts[seen] - expected[seen]) ** 2 / expected[seen]).mean())


def _check(series: Volume, projector: Projector) -> None:
    wanted = (projector.views, projector.width)
    if series.ndim != 3 or (series.shape[0], series.shape[2]) != wanted:
        raise BadInput(
            f"The tilt series is {series.shape}, but {wanted[0]} views of {wanted[1]} pixels across the tilt axis were "
            "expected: give it as (views, along the axis, across it)."
        )
