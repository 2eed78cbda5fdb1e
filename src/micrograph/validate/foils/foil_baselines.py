"""Classical ways to masks of lines and bodies, and what the truth itself scores when it is half a pixel off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def levelled(image: Image, sigma: float = 25.0) -> NDArray[np.float64]:
    """Return an image (H, W) over its slow background, less one."""
    from scipy.ndimage import gaussian_filter

    values = np.asarray(image, float)
    slow = gaussian_filter(values, sigma)
    return np.asarray(values / np.where(np.abs(slow) > 1e-9, slow, 1.0) - 1)


def ridge_mask(image: Image, scale: float = 2.5) -> Mask:
    """Return the mask of dark lines: greatest curvature across (Hessian), elongated, by Otsu's threshold."""
    from skimage.feature import hessian_matrix, hessian_matrix_eigvals
    from skimage.filters import threshold_otsu
    from skimage.morphology import remove_small_objects

    hessian = hessian_matrix(levelled(image), scale, use_gaussian_derivatives=False)  # type: ignore[no-untyped-call]
    high, low = hessian_matrix_eigvals(hessian)  # type: ignore[no-untyped-call]
    ridge = np.where((high > 0) & (np.abs(low) < 0.5 * high), high, 0.0)
    if not ridge.any():
        return np.zeros(image.shape, bool)
    mask = ridge > threshold_otsu(ridge[ridge > 0])  # type: ignore[no-untyped-call]
    return np.asarray(remove_small_objects(mask, max_size=int(20 * scale)))


def threshold_masks(image: Image, dark: bool) -> list[Mask]:
    """Return masks of dark or bright bodies: Otsu's threshold at three widths of smoothing, and a Laplacian's blobs."""
    from scipy.ndimage import binary_fill_holes, gaussian_filter, gaussian_laplace
    from skimage.filters import threshold_otsu

    flat = levelled(image) * (-1 if dark else 1)
    found = []
    for sigma in (1.0, 2.0, 3.5):
        smooth = gaussian_filter(flat, sigma)
        found.append(np.asarray(binary_fill_holes(smooth > threshold_otsu(smooth))))  # type: ignore[no-untyped-call]
    for sigma in (4.0, 8.0):
        blobs = -gaussian_laplace(flat, sigma)
        found.append(np.asarray(blobs > threshold_otsu(blobs)))  # type: ignore[no-untyped-call]
    return found


def shifted(mask: Image, by: float = 0.5) -> Mask:
    """Return where a coverage (H, W) exceeds a half once it is moved by a part of a pixel along the diagonal."""
    from scipy.ndimage import shift

    return np.asarray(shift(mask, (by / np.sqrt(2), by / np.sqrt(2)), order=1, mode="nearest") >= 0.5)


def line_length(chances: Image) -> float:
    """Return the length (px) of the skeleton of a map (H, W) as the recipe measures it."""
    from micrograph.features.metallography.line_network import network_of
    from micrograph.features.metallography.skeletons import skeleton_of

    mask = np.asarray(chances >= 0.5)
    return float(sum(line.length_px for line in network_of(skeleton_of(chances, mask)).lines))
