"""Classical ways to fill in what was not visited: what a network is compared with.

All take `values` (H, W), 0 where not visited, and `visited` (H, W), and return (H, W).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def nearest(values: Image, visited: Mask) -> Image:
    """Give each pixel the value of the nearest visited one."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~visited, return_distances=False, return_indices=True)
    found: Image = values[rows, columns]
    return found


def linear(values: Image, visited: Mask) -> Image:
    """Interpolate linearly in the triangles between visited pixels; outside of them the nearest one counts."""
    from scipy.interpolate import LinearNDInterpolator

    places = np.argwhere(visited)
    inside = LinearNDInterpolator(places, values[visited])(*np.indices(visited.shape))
    return np.where(np.isfinite(inside), inside, nearest(values, visited)).astype(np.float32)


def biharmonic(values: Image, visited: Mask) -> Image:
    """Bend a thin plate through all visited pixels (Damelin and Hoang 2018, doi:10.1155/2018/3950312)."""
    from skimage.restoration import inpaint_biharmonic

    return np.asarray(inpaint_biharmonic(values.astype(float), ~visited), np.float32)


def total_variation(values: Image, visited: Mask, noise: float = 0.0, rounds: int = 200) -> Image:
    """Return the image of least total variation that agrees with the visited pixels within `noise` (1-sigma).

    Chambolle and Pock 2011, doi:10.1007/s10851-010-0251-1; begins from `nearest`.
    """
    image = nearest(values, visited).astype(float)
    flow, ahead, step = np.zeros((2, *image.shape)), image.copy(), 0.35
    for _ in range(rounds):
        flow[0, :-1] += step * np.diff(ahead, axis=0)
        flow[1, :, :-1] += step * np.diff(ahead, axis=1)
        flow /= np.maximum(np.hypot(flow[0], flow[1]), 1)
        older = image
        image = image + step * _divergence(flow)
        off = image - values
        image = np.where(visited, values + np.clip(off, -noise, noise), image)
        ahead = 2 * image - older
    return image.astype(np.float32)


def _divergence(flow: Array) -> Array:
    found = flow.sum(axis=0)
    found[1:] -= flow[0, :-1]
    found[:, 1:] -= flow[1, :, :-1]
    return np.asarray(found)


def kriging(values: Image, visited: Mask, noise: float = 0.0, neighbours: int = 8) -> Image:
    """Return the mean of a Gaussian process, from the `neighbours` visited pixels nearest to each pixel.

    Its covariance falls as a Gaussian; its variance and length come from the visited pixels themselves (variogram).
    """
    from scipy.spatial import cKDTree

    places = np.argwhere(visited).astype(float)
    known, mean = values[visited].astype(float), float(values[visited].mean())
    neighbours = min(neighbours, len(known))
    tree = cKDTree(places)
    variance, length = _variogram(places, known, noise)
    asked = np.argwhere(np.ones(visited.shape, bool)).astype(float)
    away, near = (np.reshape(found, (-1, neighbours)) for found in tree.query(asked, neighbours))
    between = places[near][:, :, None] - places[near][:, None]
    nugget = max(noise**2, 1e-3 * variance) * np.eye(neighbours)
    inner = variance * np.exp(-0.5 * (between**2).sum(axis=-1) / length**2) + nugget
    outer = variance * np.exp(-0.5 * (away / length) ** 2)
    weights = np.linalg.solve(inner, outer[..., None])[..., 0]
    image = mean + (weights * (known[near] - mean)).sum(axis=1)
    return np.asarray(image.reshape(visited.shape), np.float32)


def _variogram(places: Array, known: Array, noise: float) -> tuple[float, float]:
    """Return variance and length of a Gaussian covariance from pairs of visited pixels at all distances."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(len(known), size=(2, 40000))
    distance = np.hypot(*(places[one] - places[other]).T)
    half = 0.5 * (known[one] - known[other]) ** 2 - noise**2
    variance = max(float(known.var()) - noise**2, 1e-9)
    bins = np.geomspace(2.0, max(float(distance.max()), 4.0), 14)
    at = np.digitize(distance, bins)
    means = [half[at == number].mean() if (at == number).sum() > 20 else np.nan for number in range(1, len(bins))]
    reached = np.flatnonzero(np.nan_to_num(np.array(means)) > 0.4 * variance)
    middle = float(np.sqrt(bins[reached[0]] * bins[reached[0] + 1])) if len(reached) else float(bins[-1])
    return variance, middle
