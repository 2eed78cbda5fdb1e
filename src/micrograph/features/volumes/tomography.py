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
from micrograph.features.volumes.projector import Projector, Volume


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
    counts per pixel that are not the specimen's, one number or one for each element.
    """

    weight: float = 0.2
    iterations: int = 120
    background: float | tuple[float, ...] = 1e-3


@dataclass(frozen=True)
class Known:
    """What is known beforehand of volumes (C, depth, Y, width).

    support (depth, Y, width): where the specimen is, outside all is zero; model: volumes from which the differences
    shall have few edges, instead of the volumes themselves; start: volumes from which to begin.
    """

    support: NDArray[np.bool_] | None = None
    model: Volume | None = None
    start: Volume | None = None


def total_variation(
    counts: Volume,
    projector: Projector,
    settings: TotalVariation | None = None,
    known: Known | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Volume:
    """Return volumes (C, depth, Y, width), never below zero, of most Poisson likelihood with least total variation.

    counts: (C, V, Y, width), C elements of one specimen, reconstructed together: an edge that several elements share
    costs less than as many edges in different places (Bresson and Chan, doi:10.3934/ipi.2008.2.455). Elements count in
    units of their own usual voxel. With a `known.model` the total variation is that of the difference from it: what
    the model says right costs nothing, and where the counts speak against it they are heard. Primal-dual steps with
    diagonal preconditioning (Pock and Chambolle, doi:10.1109/ICCV.2011.6126441).
    """
    settings, known = settings or TotalVariation(), known or Known()
    for series in counts:
        _check(series, projector)
    volume = _begun(counts, projector, known)
    unit = _usual(volume)
    one = np.ones((projector.depth, 1, projector.width), np.float32)
    per_ray = 1 / np.maximum(projector.forward(one), 1e-3)
    rays_per_voxel = projector.back(np.ones((projector.views, 1, projector.width), np.float32))
    pace = np.float32(2 * settings.weight)  # of the edges' dual, which never exceeds the weight
    grounds = np.broadcast_to(np.asarray(settings.background, np.float32), len(counts))
    model = None if known.model is None else known.model / unit[:, None, None, None]
    volume /= unit[:, None, None, None]
    leading, rays, edges = volume.copy(), np.zeros_like(counts), np.zeros((3, *volume.shape), np.float32)
    if model is not None:
        leading -= model
    for step in range(settings.iterations):
        _push_edges(edges, leading, pace / 2, np.float32(settings.weight))
        if model is not None:
            leading += model
        for channel, own in enumerate(unit):
            sigma = per_ray / own
            expected = own * projector.forward(leading[channel]) + grounds[channel] * projector.hazes
            rays[channel] = _poisson_dual(rays[channel] + sigma * expected, counts[channel], sigma)
            move = own * projector.back(rays[channel])
            move -= _divergence(edges[:, channel])
            move /= own * rays_per_voxel + 6 * pace
            before, now = leading[channel], volume[channel]
            np.subtract(now, move, out=move)
            np.maximum(move, 0, out=move)
            if known.support is not None:
                move *= known.support
            np.subtract(2 * move, now, out=before)
            volume[channel] = move
        if model is not None:
            leading -= model
        if progress is not None:
            progress(step + 1, settings.iterations)
    volume *= unit[:, None, None, None]
    return volume


def _begun(counts: Volume, projector: Projector, known: Known) -> Volume:
    """Return volumes to begin from: those given, the model, or what a few steps of SIRT make of the counts."""
    given = known.start if known.start is not None else known.model
    if given is not None:
        return np.array(given, np.float32)
    found = np.stack([sirt(series, projector, 5) for series in counts])
    return found if known.support is None else np.asarray(found * known.support, np.float32)


def _usual(volume: Volume) -> NDArray[np.float32]:
    """Return the usual voxel (C,) of each element: the mean over what it is the mean of."""
    flat = volume.reshape(len(volume), -1)
    squares = np.einsum("cv,cv->c", flat, flat)
    return np.asarray(np.maximum(squares / np.maximum(flat.sum(axis=1), 1e-12), 1e-9), np.float32)


def _push_edges(edges: Volume, volume: Volume, step: np.float32, most: np.float32, slab: int = 8) -> None:
    """Add `step` times the differences of volumes (C, Z, Y, X) to `edges` (3, C, Z, Y, X), each cut to length `most`.

    All elements together have one length; it is done in slabs along z, so that little memory is needed.
    """
    for first in range(0, volume.shape[1], slab):
        part = edges[:, :, first : first + slab]
        here = volume[:, first : first + slab + 1]
        part[0, :, : here.shape[1] - 1] += step * (here[:, 1:] - here[:, :-1])
        own = here[:, : part.shape[2]]
        part[1, :, :, :-1] += step * (own[:, :, 1:] - own[:, :, :-1])
        part[2, ..., :-1] += step * (own[..., 1:] - own[..., :-1])
        length = np.sqrt(np.einsum("aczyx,aczyx->zyx", part, part))
        part /= np.maximum(1, length / most)


def _poisson_dual(dual: Volume, counts: Volume, sigma: Volume) -> Volume:
    """Return the proximal point of the conjugate of the Poisson likelihood ``sum(x - n log x)``."""
    return np.asarray((1 + dual - np.sqrt((dual - 1) ** 2 + 4 * sigma * counts)) / 2, np.float32)


def _divergence(field: Volume) -> Volume:
    """Return the divergence (Z, Y, X) of a field (3, Z, Y, X): minus the adjoint of forward differences."""
    found = np.zeros(field.shape[1:], np.float32)
    for axis in range(3):
        part, into = np.moveaxis(field[axis], axis, 0), np.moveaxis(found, axis, 0)
        into[:-1] += part[:-1]
        into[1:] -= part[:-1]
    return found


def misfit(counts: Volume, volume: Volume, projector: Projector, background: float = 0.0) -> float:
    """Return chi^2 over the number of pixels of the re-projected volume: 1 where only counting noise is left over.

    Expected counts below 1e-6 are left out. With few counts a pixel the sum is still 1 on average (Pearson's).
    """
    expected = projector.forward(volume).astype(float) + background * projector.hazes
    seen = expected > 1e-6
    return float(((counts[seen] - expected[seen]) ** 2 / expected[seen]).mean())


def _check(series: Volume, projector: Projector) -> None:
    wanted = (projector.views, projector.width)
    if series.ndim != 3 or (series.shape[0], series.shape[2]) != wanted:
        raise BadInput(
            f"The tilt series is {series.shape}, but {wanted[0]} views of {wanted[1]} pixels across the tilt axis were "
            "expected: give it as (views, along the axis, across it)."
        )
