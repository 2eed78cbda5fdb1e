"""Image operations that a chain is made of: from a grey image to one label an object. Lengths are in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.objects.label_quality import measure_labels, solidity_of

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Parts:
    """What flows from the threshold on: the grey image, objects bright (h, w), and what was found in it."""

    grey: Image
    inside: Mask
    labels: Labels


def bin_image(image: Image, factor: float) -> Image:
    """Return the means (h, w) of blocks of `factor` x `factor` pixels; what is left over at the ends is dropped."""
    n = max(round(factor), 1)
    height, width = (size // n for size in image.shape)
    blocks = image[: height * n, : width * n].reshape(height, n, width, n)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def bright(image: Image) -> Image:
    """Return the image as it is: objects are brighter than what surrounds them."""
    return image


def dark(image: Image) -> Image:
    """Return the negative: objects are darker than what surrounds them."""
    return -image


def gaussian_background(image: Image, size: float) -> Image:
    """Return the image without a plane and what varies over more than `size`, found from the darker pixels."""
    image = polynomial_background(image, 1)
    weight = np.ones(image.shape, np.float32)
    background = _normalised(image, weight, size)
    for _ in range(2):
        left = image - background
        spread = 1.4826 * float(np.median(np.abs(left - np.median(left))))
        weight = np.where(left < spread, 1.0, 0.02).astype(np.float32)
        background = _normalised(image, weight, size)
    return np.asarray(image - background, dtype=np.float32)


def polynomial_background(image: Image, order: float) -> Image:
    """Return the image without a polynomial of that order along y and x, fitted to the darker pixels."""
    height, width = image.shape
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    n = round(order)
    powers = [(p, q) for p in range(n + 1) for q in range(n + 1 - p)]
    step = max(1, int(np.sqrt(image.size / 20000)))
    terms = np.stack([np.multiply.outer(y**p, x**q) for p, q in powers]).astype(np.float32)
    thin, values = terms[:, ::step, ::step].reshape(len(powers), -1).T, image[::step, ::step].ravel()
    keep = np.ones(len(values), bool)
    for _ in range(4):
        factors = np.linalg.lstsq(thin[keep], values[keep], rcond=None)[0]
        left = values - thin @ factors
        keep = left < np.median(left) + 1.4826 * float(np.median(np.abs(left - np.median(left))))
    return np.asarray(image - np.tensordot(factors, terms, 1), dtype=np.float32)


def opening_background(image: Image, size: float) -> Image:
    """Return the white top-hat: the image without a plane and its opening by a square of side `size`."""
    from scipy import ndimage as ndi

    side = max(3, round(size))
    image = polynomial_background(image, 1)
    opened = ndi.grey_opening(ndi.gaussian_filter(image, 1.5), size=(side, side), mode="reflect")
    return np.asarray(image - ndi.uniform_filter(opened, side, mode="reflect"), dtype=np.float32)


def gaussian_blur(image: Image, sigma: float) -> Image:
    """Return the image blurred by a Gaussian of `sigma` pixels."""
    from scipy import ndimage as ndi

    return np.asarray(ndi.gaussian_filter(image, sigma), dtype=np.float32)


def median_blur(image: Image, radius: float) -> Image:
    """Return the median over a square of side ``2 radius + 1``."""
    from scipy import ndimage as ndi

    return np.asarray(ndi.median_filter(image, 2 * max(round(radius), 1) + 1), dtype=np.float32)


def total_variation(image: Image, weight: float) -> Image:
    """Return the image with least total variation (doi:10.1023/B:JMIV.0000011325.36760.1e), `weight` in its noise."""
    from skimage.restoration import denoise_tv_chambolle

    noise = noise_of(image)
    return np.asarray(denoise_tv_chambolle(image / noise, weight=weight, max_num_iter=25) * noise, dtype=np.float32)  # type: ignore[no-untyped-call]


def nonlocal_means(image: Image, strength: float) -> Image:
    """Return non-local means (doi:10.1109/CVPR.2005.38), `strength` in the image's noise."""
    from skimage.restoration import denoise_nl_means

    noise = noise_of(image)
    smooth = denoise_nl_means(image / noise, patch_size=5, patch_distance=5, h=strength, sigma=1.0, fast_mode=True)
    return np.asarray(smooth * noise, dtype=np.float32)


def bilateral(image: Image, sigma: float, strength: float) -> Image:
    """Return the bilateral filter over `sigma` pixels (doi:10.1109/ICCV.1998.710815), `strength` in the noise."""
    from skimage.restoration import denoise_bilateral

    low, high = float(image.min()), float(image.max())
    if high <= low:
        return image
    width = strength * noise_of(image) / (high - low)
    smooth = denoise_bilateral((image - low) / (high - low), sigma_color=max(width, 1e-4), sigma_spatial=sigma)
    return np.asarray(smooth * (high - low) + low, dtype=np.float32)


def equalise(image: Image, size: float, clip: float) -> Image:
    """Return the image with its histogram evened out over tiles of `size` (CLAHE: Zuiderveld 1994)."""
    from skimage.exposure import equalize_adapthist

    low, high = np.quantile(image, [0.001, 0.999])
    if high <= low:
        return image
    tile = [int(np.clip(round(size), 8, side)) for side in image.shape]
    unit = np.clip((image - low) / (high - low), 0, 1)
    return np.asarray(equalize_adapthist(unit, kernel_size=tile, clip_limit=clip), dtype=np.float32)


def otsu(image: Image, factor: float) -> Parts:
    """Return what exceeds Otsu's threshold (doi:10.1109/TSMC.1979.4310076), `factor` times as far above the median."""
    from skimage.filters import threshold_otsu

    return _above(image, float(threshold_otsu(image)) if np.ptp(image) > 0 else np.inf, factor)  # type: ignore[no-untyped-call]


def li(image: Image, factor: float) -> Parts:
    """Return what exceeds Li's threshold of least cross entropy (doi:10.1016/0031-3203(93)90115-D)."""
    from skimage.filters import threshold_li

    return _above(image, float(threshold_li(image)) if np.ptp(image) > 0 else np.inf, factor)  # type: ignore[no-untyped-call]


def triangle(image: Image, factor: float) -> Parts:
    """Return what exceeds the triangle threshold (doi:10.1177/25.7.70454)."""
    from skimage.filters import threshold_triangle

    return _above(image, float(threshold_triangle(image)) if np.ptp(image) > 0 else np.inf, factor)  # type: ignore[no-untyped-call]


def two_means(image: Image, factor: float) -> Parts:
    """Return what is nearer to the brighter of two means (k-means of the grey values)."""
    low, high = (float(value) for value in np.quantile(image, [0.25, 0.98]))
    for _ in range(30):
        upper = image > (low + high) / 2
        if not upper.any() or upper.all():
            return _above(image, np.inf, factor)
        low, high = float(image[~upper].mean()), float(image[upper].mean())
    return _above(image, (low + high) / 2, factor)


def local(image: Image, size: float, offset: float) -> Parts:
    """Return what exceeds the mean over `size` by `offset` standard deviations of the whole image."""
    from scipy import ndimage as ndi

    mean = ndi.gaussian_filter(image, size / 2)
    inside = image > mean + offset * float(image.std())
    return Parts(image, inside, np.zeros(image.shape, np.int32))


def hysteresis(image: Image, low: float, high: float) -> Parts:
    """Return what exceeds `low` and hangs together with what exceeds `high`, both over Otsu's threshold."""
    from skimage.filters import apply_hysteresis_threshold, threshold_otsu

    ground = float(np.median(image))
    step = (float(threshold_otsu(image)) - ground) if np.ptp(image) > 0 else np.inf  # type: ignore[no-untyped-call]
    inside = apply_hysteresis_threshold(image, ground + min(low, high) * step, ground + max(low, high) * step)  # type: ignore[no-untyped-call]
    return Parts(image, np.asarray(inside, bool), np.zeros(image.shape, np.int32))


def smooth_mask(parts: Parts, opening: float, closing: float, holes: float) -> Parts:
    """Return the mask opened and closed by discs of these radii, holes of less than `holes` pixels filled."""
    from scipy import ndimage as ndi

    inside = _opened(parts.inside, opening)
    inside = ~_opened(~inside, closing)
    empty, number = ndi.label(~inside)
    if number > 1:
        small = np.bincount(empty.ravel()) < holes
        small[0] = False
        inside = inside | small[empty]
    return Parts(parts.grey, inside, parts.labels)


def connected(parts: Parts) -> Parts:
    """Return one label for each connected part."""
    from scipy import ndimage as ndi

    return Parts(parts.grey, parts.inside, ndi.label(parts.inside)[0].astype(np.int32))


def by_distance(parts: Parts, smooth: float, rise: float) -> Parts:
    """Return parts cut by a watershed of the distance to the background, for maxima that rise by `rise` of theirs."""
    from scipy import ndimage as ndi

    distance = ndi.gaussian_filter(_distance(parts.inside), smooth)
    seeds = _tops(distance, rise) & parts.inside
    return _cut(parts, -distance, seeds)


def by_grey(parts: Parts, smooth: float, rise: float) -> Parts:
    """Return parts cut by a watershed of the grey image and the distance together, each over its largest value."""
    from scipy import ndimage as ndi

    grey, distance = ndi.gaussian_filter(parts.grey, smooth), _distance(parts.inside)
    grey = np.where(parts.inside, grey - np.median(grey), 0)
    both = distance / max(float(distance.max()), 1e-9) + grey / max(float(grey.max()), 1e-9)
    both = ndi.gaussian_filter(both, smooth)
    return _cut(parts, -both, _tops(both, rise) & parts.inside)


def by_blobs(parts: Parts, sigma: float) -> Parts:
    """Return parts cut between the blobs of the mask: maxima of the Laplacian of a Gaussian of `sigma`."""
    from scipy import ndimage as ndi

    blobs = -ndi.gaussian_laplace(parts.inside.astype(np.float32), sigma) * sigma**2
    seeds = (blobs == ndi.maximum_filter(blobs, 2 * max(round(sigma / 2), 1) + 1)) & parts.inside & (blobs > 0.05)
    return _cut(parts, -_distance(parts.inside), seeds)


def by_erosion(parts: Parts, depth: float) -> Parts:
    """Return parts cut between what is left when each is eroded to `depth` of its own greatest distance."""
    from scipy import ndimage as ndi

    distance = _distance(parts.inside)
    whole, number = ndi.label(parts.inside)
    most = np.zeros(number + 1, np.float32)
    np.maximum.at(most, whole.ravel(), distance.ravel())
    return _cut(parts, -distance, parts.inside & (distance > depth * most[whole]))


def join(parts: Parts, solidity: float, neck: float) -> Parts:
    """Return neighbours joined that a cut took from one convex object: a rod's two halves, but not two discs.

    Two are joined where the joint object has at least this `solidity` and where the widest place of their common border
    is at least `neck` times as wide as the narrower of the two; the widest borders come first.
    """
    from scipy import ndimage as ndi

    distance = _distance(parts.inside)
    pairs, saddles = _borders(parts.labels, distance)
    number = int(parts.labels.max()) + 1
    tops = np.zeros(number, np.float32)
    np.maximum.at(tops, parts.labels.ravel(), distance.ravel())
    boxes, owner = ndi.find_objects(parts.labels), np.arange(number, dtype=np.int32)
    members = {label: [label] for label in range(1, number)}
    for row in np.argsort(-saddles / np.maximum(tops[pairs].min(axis=1), 1e-9), kind="stable"):
        one, other = (int(owner[label]) for label in pairs[row])
        if one == other or saddles[row] < neck * min(tops[one], tops[other]):
            continue
        both = [*members[one], *members[other]]
        box = _around([boxes[label - 1] for label in both])
        if solidity_of(np.isin(parts.labels[box], both)) >= solidity:
            members[one], owner[both], tops[one] = both, one, max(tops[one], tops[other])
    return Parts(parts.grey, parts.inside, owner[parts.labels])


def accept(parts: Parts, least_px: float, most: float, solidity: float, contrast: float, leak: float) -> Parts:
    """Return the objects that pass: at least `least_px` pixels, at most `most` times the median area, solid enough.

    The contrast of inside and surroundings must be at least `contrast` times the median object's, and at most the share
    `leak` of the surroundings may look like inside: what leaks is a part of something.
    """
    found = measure_labels(parts.grey, parts.labels)
    if len(found.area) == 0:
        return parts
    kept = (found.area >= least_px) & (found.solidity >= solidity) & (found.leak <= leak)
    if kept.any():
        kept &= (found.area <= most * np.median(found.area[kept])) & (
            found.contrast >= contrast * np.median(found.contrast[kept])
        )
    number = np.zeros(int(parts.labels.max()) + 1, np.int32)
    number[found.label[kept]] = np.arange(1, kept.sum() + 1)
    labels = number[parts.labels]
    return Parts(parts.grey, labels > 0, labels)


def noise_of(image: Image) -> float:
    """Return the 1-sigma of white noise in an image (h, w), from second differences, robustly."""
    if min(image.shape) < 3:
        return 1.0
    rough = image[1:-1, 1:-1] * 4 - 2 * (image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:])
    rough = rough + image[:-2, :-2] + image[2:, 2:] + image[:-2, 2:] + image[2:, :-2]
    return max(float(1.4826 * np.median(np.abs(rough)) / 6), 1e-12)


def _normalised(image: Image, weight: Image, sigma: float) -> Image:
    """Return the weighted mean over a Gaussian; wide ones on a thinned image."""
    from scipy import ndimage as ndi

    thin = max(1, int(sigma // 4))
    if thin > 1:
        small = [bin_image(part, thin) for part in (image * weight, weight)]
        smooth = [ndi.gaussian_filter(part, sigma / thin) for part in small]
        ratio = smooth[0] / np.maximum(smooth[1], 1e-6)
        grid = [(np.arange(size) + 0.5) / thin - 0.5 for size in image.shape]
        return np.asarray(
            ndi.map_coordinates(ratio, np.meshgrid(*grid, indexing="ij"), order=1, mode="nearest"), dtype=np.float32
        )
    smooth = [ndi.gaussian_filter(part, sigma) for part in (image * weight, weight)]
    return np.asarray(smooth[0] / np.maximum(smooth[1], 1e-6), dtype=np.float32)


def _above(image: Image, threshold: float, factor: float) -> Parts:
    ground = float(np.median(image))
    level = ground + factor * (threshold - ground) if threshold > ground else threshold
    return Parts(image, np.asarray(image > level), np.zeros(image.shape, np.int32))


def _distance(inside: Mask) -> Image:
    """Return the distance (h, w) of each pixel inside to the nearest one outside; the image's edge is no outside."""
    from scipy import ndimage as ndi

    if inside.all():
        return np.full(inside.shape, float(max(inside.shape)), np.float32)
    return np.asarray(ndi.distance_transform_edt(inside), dtype=np.float32)


def _borders(labels: Labels, distance: Image) -> tuple[NDArray[np.int64], Image]:
    """Return the pairs (N, 2) of labels that touch along a side of a pixel, and the greatest distance there (N,)."""
    sides = []
    for axis in (0, 1):
        (a, b), (near, far) = (
            (np.moveaxis(whole, axis, 0)[:-1], np.moveaxis(whole, axis, 0)[1:]) for whole in (labels, distance)
        )
        met = (a != b) & (a > 0) & (b > 0)
        sides.append((np.minimum(a, b)[met], np.maximum(a, b)[met], np.minimum(near, far)[met]))
    low, high, height = (np.concatenate(part) for part in zip(*sides, strict=True))
    pairs, place = np.unique(np.stack([low, high], 1).astype(np.int64), axis=0, return_inverse=True)
    saddles = np.zeros(len(pairs), np.float32)
    np.maximum.at(saddles, place.ravel(), height)
    return pairs, saddles


def _around(boxes: Sequence[tuple[slice, ...]]) -> tuple[slice, ...]:
    """Return the smallest box that holds all boxes."""
    return tuple(slice(min(s.start for s in side), max(s.stop for s in side)) for side in zip(*boxes, strict=True))


def _opened(inside: Mask, radius: float) -> Mask:
    """Return the opening by a disc, by two distance transforms."""
    from scipy import ndimage as ndi

    if radius < 1 or not inside.any() or inside.all():
        return inside
    padded = np.pad(inside, int(radius) + 2, mode="edge")
    core = ndi.distance_transform_edt(padded) > radius
    if not core.any():
        return np.zeros_like(inside)
    edge = int(radius) + 2
    return np.asarray(ndi.distance_transform_edt(~core)[edge:-edge, edge:-edge] <= radius)


def _tops(height: Image, rise: float) -> Mask:
    """Return the maxima that rise above their surrounding saddles by the share `rise` of their height."""
    from skimage.morphology import reconstruction

    positive = np.maximum(height, 0)
    lowered = reconstruction(positive * (1 - rise), positive, method="dilation")  # type: ignore[no-untyped-call]
    return np.asarray((positive - lowered >= rise * positive * 0.999) & (positive > 0))


def _cut(parts: Parts, height: NDArray[np.floating[Any]], seeds: Mask) -> Parts:
    from scipy import ndimage as ndi
    from skimage.segmentation import watershed

    markers, number = ndi.label(seeds, np.ones((3, 3)))
    whole, parts_in_all = ndi.label(parts.inside)
    seeded = np.zeros(parts_in_all + 1, bool)
    seeded[whole[seeds]] = True
    bare = (whole > 0) & ~seeded[whole]
    markers = np.where(bare, number + whole, markers)
    labels = watershed(height, markers, mask=parts.inside)  # type: ignore[no-untyped-call]
    return Parts(
        parts.grey, parts.inside, np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)
    )
