"""Where each view of a tilt series lies: shifts along the tilt axis and across it, from the counts themselves.

Along the axis all views hold the same profile; across it the middle of what is seen goes as ``x cos t + z sin t``.
Shifts found so are made better by the views that a reconstruction would give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.features.volumes.projector import Projector, Volume
from micrograph.features.volumes.tomography import sirt

Array = NDArray[np.float64]

#: Views are smoothed by so many pixels before they are compared.
_SOFT_PX = 2.0


def first_shifts(views: Volume, tilts_deg: Sequence[float]) -> Array:
    """Return the shifts (V, 2) down and across of views (V, Y, X) in pixels, by their middles.

    What is dimmer than the edges of the field is no specimen. The middle across the axis is fitted by its course over
    the tilts, ``c + x cos t + z sin t`` without c; what is left over is the shift.
    """
    clear = np.stack([_specimen(one) for one in views])
    total = np.maximum(clear.sum(axis=(1, 2)), 1e-9)
    down = clear.sum(axis=2) @ np.arange(views.shape[1]) / total
    across = clear.sum(axis=1) @ np.arange(views.shape[2]) / total - (views.shape[2] - 1) / 2
    tilt = np.deg2rad(np.asarray(tilts_deg))
    course = np.column_stack([np.cos(tilt), np.sin(tilt)])
    fitted = course @ np.linalg.lstsq(course, across, rcond=None)[0]
    return np.column_stack([down - np.median(down), across - fitted])


def _specimen(view: Volume) -> NDArray[np.float32]:
    """Return a smoothed view without its background."""
    from scipy.ndimage import gaussian_filter

    soft = gaussian_filter(view.astype(np.float32), _SOFT_PX)
    ground = float(np.median(soft))
    top = float(np.quantile(soft, 0.99))
    return np.asarray(np.where(soft > ground + 0.25 * (top - ground), soft - ground, 0), np.float32)


def shifted(views: Volume, shifts: Array) -> Volume:
    """Return views (V, Y, X) moved back by whole pixels of their shifts; what comes in from outside is zero.

    Counts stay counts: what is left of the shifts, less than half a pixel, is for the projector (`remainder`).
    """
    found = np.zeros_like(views)
    height, width = views.shape[1:]
    for view, (down, across) in enumerate(np.rint(shifts).astype(int)):
        rows, columns = _overlap(down, height), _overlap(across, width)
        found[view][rows[0], columns[0]] = views[view][rows[1], columns[1]]
    return found


def remainder(shifts: Array) -> tuple[float, ...]:
    """Return what whole pixels leave of the shifts across the axis."""
    return tuple(float(one) for one in shifts[:, 1] - np.rint(shifts[:, 1]))


def _overlap(shift: int, size: int) -> tuple[slice, slice]:
    """Return where pixels go, and where they come from, when an axis is moved back by `shift`."""
    return slice(max(0, -shift), min(size, size - shift)), slice(max(0, shift), min(size, size + shift))


def aligned(views: Volume, tilts_deg: Sequence[float], rounds: int = 3, most_px: float = 0.25) -> Array:
    """Return the shifts (V, 2) down and across of views (V, Y, X) in pixels; those of all views have the median 0.

    Each view is compared with what all views, reconstructed, give at its tilt, beginning from no shifts and from
    `first_shifts`: what agrees better is taken, for the middles mislead where particles leave the field. Shifts across
    the axis that a specimen elsewhere would give too are left out. most_px: share of the field that a shift can be.
    """
    limit = most_px * np.array(views.shape[1:])
    starts = (np.zeros((len(views), 2)), np.clip(first_shifts(views, tilts_deg), -limit, limit))
    tried = [_climbed(views, tilts_deg, start, rounds, limit) for start in starts]
    return min(tried, key=lambda one: one[1])[0]


def _climbed(
    views: Volume, tilts_deg: Sequence[float], shifts: Array, rounds: int, limit: Array
) -> tuple[Array, float]:
    """Return the shifts after some rounds, and the share of the views that their reconstruction does not give."""
    moved, seen = _reprojected(views, tilts_deg, shifts)
    for _ in range(rounds):
        steps = np.stack([_step(one, other) for one, other in zip(moved, seen, strict=True)])
        steps[:, 1] -= _explained(steps[:, 1], tilts_deg)
        steps[:, 0] -= np.median(steps[:, 0])
        shifts = np.clip(shifts + steps, -limit, limit)
        moved, seen = _reprojected(views, tilts_deg, shifts)
        if np.abs(steps).max() < 0.1:
            break
    kept, given = (np.stack([_soft(one) for one in many]) for many in (moved, seen))
    return shifts, float(((kept - given) ** 2).sum() / max(float((kept**2).sum()), 1e-30))


def _reprojected(views: Volume, tilts_deg: Sequence[float], shifts: Array) -> tuple[Volume, Volume]:
    """Return views moved back, and what their reconstruction gives at their tilts."""
    moved = shifted(views, shifts)
    projector = Projector(tuple(tilts_deg), views.shape[2], views.shape[2], remainder(shifts))
    return moved, projector.forward(sirt(moved, projector, 6))


def _soft(view: Volume) -> Array:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(view.astype(float), _SOFT_PX))


def _explained(shifts: Array, tilts_deg: Sequence[float]) -> Array:
    """Return the part of shifts across the axis that a specimen elsewhere would give."""
    tilt = np.deg2rad(np.asarray(tilts_deg))
    course = np.column_stack([np.cos(tilt), np.sin(tilt)])
    return np.asarray(course @ np.linalg.lstsq(course, shifts, rcond=None)[0])


def _step(view: Volume, expected: Volume, most: int = 6) -> Array:
    """Return by how much a view (Y, X) lies off what is expected, to a fraction of a pixel, at most `most` pixels."""
    soft, model = _soft(view), _soft(expected)
    spectrum = np.fft.rfft2(soft - soft.mean()) * np.conj(np.fft.rfft2(model - model.mean()))
    score = np.fft.fftshift(np.fft.irfft2(spectrum, soft.shape))
    middle = [size // 2 for size in soft.shape]
    near = score[middle[0] - most : middle[0] + most + 1, middle[1] - most : middle[1] + most + 1]
    y, x = np.unravel_index(int(near.argmax()), near.shape)
    return np.array([y - most + _vertex(near[:, x], int(y)), x - most + _vertex(near[y], int(x))])


def _vertex(values: Array, at: int) -> float:
    """Return how far from `at` the top of the parabola through three neighbouring values lies."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = values[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0
