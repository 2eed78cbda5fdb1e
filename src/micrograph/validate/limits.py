"""What counting statistics allow at best: Cramer-Rao bounds of overlapping columns, Bayes errors of classes.

A bound is only as good as its image model: give the spot, intensities and background of the very images judged.
Information of an image: doi:10.1529/biophysj.103.035972; of overlapping columns: doi:10.1016/j.ultramic.2016.08.014.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Side of the tiles (pixels) in which the information is summed up.
_TILE = 40
#: Weights are capped where less than this share of the brightest pixel is expected.
_DARK = 1e-12


class Spot(Protocol):
    """The image of a single column per nm^2, of integral one."""

    def __call__(self, dy_nm: Array, dx_nm: Array) -> Array:
        """Return (3, h, w): value and derivatives along y and x at all offsets dy (h,), dx (w,) from the column."""
        ...


def gaussian_spot(sigma_nm: float) -> Spot:
    """Return a round Gaussian spot."""

    def spot(dy_nm: Array, dx_nm: Array) -> Array:
        along = [np.exp(-0.5 * (d / sigma_nm) ** 2) / (np.sqrt(2 * np.pi) * sigma_nm) for d in (dy_nm, dx_nm)]
        value = along[0][:, None] * along[1][None, :]
        return np.stack([value, -value * dy_nm[:, None] / sigma_nm**2, -value * dx_nm[None, :] / sigma_nm**2])

    return spot


def image_spot(image: ArrayLike, step_nm: float) -> Spot:
    """Return the spot that an image (n, n) of a single column shows, sampled at `step_nm`, centred on pixel n // 2.

    It is normalised to integral one and interpolated by cubic splines; outside the image it is zero.
    """
    from scipy.interpolate import RectBivariateSpline

    shown = np.asarray(image, float)
    axes = [(np.arange(n) - n // 2) * step_nm for n in shown.shape]
    spline = RectBivariateSpline(axes[0], axes[1], shown / (shown.sum() * step_nm**2))

    def spot(dy_nm: Array, dx_nm: Array) -> Array:
        inside = [(d >= axis[0]) & (d <= axis[-1]) for d, axis in zip((dy_nm, dx_nm), axes, strict=True)]
        values = np.stack([spline(dy_nm, dx_nm, dx=a, dy=b) for a, b in ((0, 0), (1, 0), (0, 1))])
        return np.asarray(values * inside[0][:, None] * inside[1][None, :], float)

    return spot


@dataclass(frozen=True)
class Columns:
    """Columns at ``y_nm, x_nm`` (K,) with cross-sections ``section_A2`` (K,); column k shows ``spots[kind[k]]``.

    `background` is the share of the beam that reaches the detector everywhere; `reach_nm` is where spots are cut off.
    """

    y_nm: Array
    x_nm: Array
    section_A2: Array
    spots: Sequence[Spot]
    kind: Index | None = None
    background: float = 0.0
    reach_nm: float = 0.45

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.y_nm)


@dataclass(frozen=True)
class Raster:
    """The pixels (H, W) of an image, `pixel_nm` apart; pixel (0, 0) lies at the origin."""

    shape: tuple[int, int]
    pixel_nm: float


@dataclass(frozen=True)
class ColumnLimits:
    """Smallest 1-sigma errors (K,) that unbiased estimates can have, everything else unknown too.

    Positions of columns without intensity cannot be measured: they are NaN, and taken as known for the others.
    """

    y_nm: Array
    x_nm: Array
    section_A2: Array


def cramer_rao(
    columns: Columns,
    raster: Raster,
    dose_e_per_A2: float,
    fraction: NDArray[np.floating] | None = None,
    *,
    sections_known: bool = False,
) -> ColumnLimits:
    """Return the bounds from the full information of all positions, cross-sections and a constant background.

    Where all columns are known to be equal (`sections_known`), only positions and background are unknown.

    `fraction` (H, W) is the expected image as a share of the beam; without it the columns' own image is taken. Pixels
    are counted by Poisson's law at `dose_e_per_A2`. Cost: some seconds for 500 columns on 400 x 400 pixels.
    """
    if len(columns) == 0:
        return ColumnLimits(*(np.zeros(0) for _ in range(3)))
    information, scale = _information(columns, raster, dose_e_per_A2, fraction)
    if sections_known:
        kept = np.arange(len(information) - 1) % 3 > 0
        places = np.sqrt(
            np.diagonal(_covariance(information[np.ix_(*[np.append(kept, True)] * 2)]))[:-1].reshape(-1, 2)
        )
        return ColumnLimits(places[:, 0], places[:, 1], np.zeros(len(columns)))
    sigma = np.sqrt(np.diagonal(_covariance(information))[:-1].reshape(-1, 3))
    return ColumnLimits(sigma[:, 1], sigma[:, 2], sigma[:, 0] * scale)


def bond_limits(
    columns: Columns,
    raster: Raster,
    dose_e_per_A2: float,
    bonds: Index,
    fraction: NDArray[np.floating] | None = None,
) -> Array:
    """Return the smallest 1-sigma errors (E,) of the distances of pairs (E, 2) of columns, as `cramer_rao` does."""
    information, _ = _information(columns, raster, dose_e_per_A2, fraction)
    covariance = _covariance(information)
    place = np.column_stack([columns.y_nm, columns.x_nm])
    step = place[bonds[:, 1]] - place[bonds[:, 0]]
    along = step / np.hypot(step[:, 0], step[:, 1])[:, None]
    which = np.concatenate([3 * bonds[:, :1] + (1, 2), 3 * bonds[:, 1:] + (1, 2)], axis=1)
    slope = np.concatenate([-along, along], axis=1)
    parts = covariance[which[:, :, None], which[:, None, :]]
    return np.asarray(np.sqrt(np.einsum("ei,eij,ej->e", slope, parts, slope)))


def _information(
    columns: Columns, raster: Raster, dose_e_per_A2: float, fraction: NDArray[np.floating] | None
) -> tuple[Array, float]:
    """Return the information of all parameters (see `_pieces`) and the unit of the cross-sections (A^2)."""
    expected = draw(columns, raster) if fraction is None else np.asarray(fraction, float)
    if not (dose_e_per_A2 > 0 and expected.max() > 0):
        raise BadInput("The dose or the expected image is zero: without counts there is no bound.")
    scale = float(np.abs(columns.section_A2).max())
    electrons = dose_e_per_A2 * (10 * raster.pixel_nm) ** 2
    weight = electrons / np.maximum(expected, _DARK * expected.max())
    information = np.zeros((3 * len(columns) + 1,) * 2)
    for which, area, rows in _pieces(columns, raster, scale):
        parameters = np.append((3 * which[:, None] + np.arange(3)).ravel(), 3 * len(columns))
        information[np.ix_(parameters, parameters)] += (rows * weight[area].ravel()) @ rows.T
    return information, scale


def _covariance(information: Array) -> Array:
    """Return the inverse; NaN for parameters without information, which are taken as known for the others."""
    from scipy.linalg import cho_factor, cho_solve

    own = np.diagonal(information)
    known = np.flatnonzero(own > 0)
    scale = 1 / np.sqrt(own[known])
    normed = information[np.ix_(known, known)] * scale[:, None] * scale[None, :]
    try:
        inverse = cho_solve(cho_factor(normed, lower=True), np.eye(len(known)))
    except np.linalg.LinAlgError as error:
        raise BadInput("The columns cannot be told apart: two of them lie at one place.") from error
    covariance = np.full(information.shape, np.nan)
    covariance[np.ix_(known, known)] = inverse * scale[:, None] * scale[None, :]
    return covariance


def draw(columns: Columns, raster: Raster) -> Array:
    """Return the image (H, W) of the columns and their background, as a share of the beam."""
    image = np.full(raster.shape, columns.background)
    for which, area, rows in _pieces(columns, raster, 1.0):
        image[area] += (columns.section_A2[which] @ rows[:-1:3]).reshape(image[area].shape)
    return image


def fit_sections(columns: Columns, raster: Raster, fraction: NDArray[np.floating]) -> Columns:
    """Return the columns with the cross-sections and background of the least-squares fit to an image (H, W)."""
    size = len(columns) + 1
    normal, right = np.zeros((size, size)), np.zeros(size)
    for which, area, rows in _pieces(columns, raster, 1.0):
        values = np.concatenate([rows[:-1:3], rows[-1:]])
        parameters = np.append(which, size - 1)
        normal[np.ix_(parameters, parameters)] += values @ values.T
        right[parameters] += values @ np.asarray(fraction[area], float).ravel()
    scale = 1 / np.sqrt(np.maximum(np.diagonal(normal), 1e-300))
    ridge = 1e-9 * np.eye(size)
    found = np.linalg.solve(normal * scale[:, None] * scale[None, :] + ridge, right * scale) * scale
    return replace(columns, section_A2=found[:-1], background=max(float(found[-1]), 0.0))


def _pieces(columns: Columns, raster: Raster, scale_A2: float) -> Iterator[tuple[Index, tuple[slice, slice], Array]]:
    """Yield tile by tile the columns that reach it, its area, and (3 k + 1, pixels) derivatives of the image.

    Parameters: per column its cross-section (in units of `scale_A2`), y, x (nm); last the background (a share).
    """
    kind = np.zeros(len(columns), np.intp) if columns.kind is None else columns.kind
    for area in _tiles(raster.shape):
        y, x = (np.arange(part.start, part.stop) * raster.pixel_nm for part in area)
        reach = columns.reach_nm
        near_y = (columns.y_nm > y[0] - reach) & (columns.y_nm < y[-1] + reach)
        which = np.flatnonzero(near_y & (columns.x_nm > x[0] - reach) & (columns.x_nm < x[-1] + reach))
        rows = np.empty((3 * len(which) + 1, len(y) * len(x)))
        rows[-1] = 1.0
        for place, k in enumerate(which):
            dy, dx = y - columns.y_nm[k], x - columns.x_nm[k]
            spot = columns.spots[kind[k]](dy, dx) * (dy[:, None] ** 2 + dx[None, :] ** 2 < reach**2)
            strength = 1e-2 * np.array([scale_A2, -columns.section_A2[k], -columns.section_A2[k]])
            rows[3 * place : 3 * place + 3] = (spot * strength[:, None, None]).reshape(3, -1)
        yield which, area, rows


def _tiles(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for top in range(0, shape[0], _TILE):
        for left in range(0, shape[1], _TILE):
            yield slice(top, min(top + _TILE, shape[0])), slice(left, min(left + _TILE, shape[1]))


def bayes_error(expected_counts: ArrayLike, priors: ArrayLike | None = None) -> float:
    """Return the smallest share of wrong answers when classes (C,) give Poisson counts of these means, known exactly.

    `priors` (C,) are the shares of the classes (default: equal). Exact summation over all counts.
    """
    from scipy.stats import poisson

    means = np.asarray(expected_counts, float)
    if not (len(means) and means.min() >= 0):
        raise BadInput(f"Expected counts are {means}: they must be zero or greater.")
    highest = int(means.max() + 12 * np.sqrt(means.max()) + 30)
    likelihood = poisson.pmf(np.arange(highest + 1)[None, :], means[:, None])
    right = float((_shares(priors, len(means))[:, None] * likelihood).max(axis=0).sum())
    return max(1.0 - right, 0.0)


def bayes_confusion(means: ArrayLike, sigmas: ArrayLike, priors: ArrayLike | None = None) -> Array:
    """Return the (C, C) chances that the best rule calls class i (row) class j when intensities are normal.

    means, sigmas: (C,), for example cross-sections and their bounds from `cramer_rao`, in which neighbours overlap.
    """
    from scipy.special import ndtr

    mean, sigma = np.asarray(means, float), np.asarray(sigmas, float)
    if not (len(mean) and sigma.min() > 0):
        raise BadInput(f"Errors of the class intensities are {sigma}: they must be greater than zero.")
    edges = np.unique((mean[:, None] + sigma[:, None] * np.linspace(-9, 9, 4001)).ravel())
    middle = (edges[1:] + edges[:-1]) / 2
    shares = np.maximum(_shares(priors, len(mean)), 1e-300)[:, None]
    log_density = np.log(shares / sigma[:, None]) - 0.5 * ((middle - mean[:, None]) / sigma[:, None]) ** 2
    called = log_density.argmax(axis=0)
    mass = np.diff(ndtr((edges - mean[:, None]) / sigma[:, None]), axis=1)
    return np.stack([mass[:, called == j].sum(axis=1) for j in range(len(mean))], axis=1)


def bayes_error_normal(means: ArrayLike, sigmas: ArrayLike, priors: ArrayLike | None = None) -> float:
    """Return the smallest share of wrong answers when a measured intensity is normal about each class's mean (C,)."""
    confusion = bayes_confusion(means, sigmas, priors)
    return float(_shares(priors, len(confusion)) @ (confusion.sum(axis=1) - np.diagonal(confusion)))


def _shares(priors: ArrayLike | None, count: int) -> Array:
    shares = np.ones(count) if priors is None else np.asarray(priors, float)
    if not (len(shares) == count and shares.min() >= 0 and shares.sum() > 0):
        raise BadInput(f"The priors {shares} do not fit {count} classes: give one share, zero or greater, for each.")
    return np.asarray(shares / shares.sum())
