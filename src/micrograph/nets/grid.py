"""From an image to what a network sees: the model's pixel, and contrast without gain, offset and slow background.

Training and inference call the same two functions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

#: Scales of the local mean and of the local contrast (1 sigma of the smoothing, nm).
MEAN_NM, CONTRAST_NM = 0.4, 0.8
#: The local means are computed on a grid this many times coarser.
COARSE = 8


def to_model_grid(image: NDArray[np.float32] | Tensor, pixel_nm: float, model_nm: float) -> Tensor:
    """Return `image` (H, W) on pixels of `model_nm` as (h, w) float32: averaged when coarser, linear when finer.

    Not finite pixels take the median. Pixel (i, j) of the result lies at ``(i + 0.5) * model_nm / pixel_nm - 0.5``.
    """
    data = torch.as_tensor(np.ascontiguousarray(image) if isinstance(image, np.ndarray) else image).float()
    finite = torch.isfinite(data)
    if not bool(finite.all()):
        data = torch.where(finite, data, data[finite].median() if bool(finite.any()) else torch.zeros(()))
    height, width = (max(1, round(n * pixel_nm / model_nm)) for n in data.shape)
    if (height, width) == tuple(data.shape):
        return data
    scale = data[None, None] - data.mean()
    small = functional.interpolate(scale, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    return small[0, 0]


def normalise(image: Tensor, pixel_nm: float | None) -> Tensor:
    """Return (h, w): the image minus its local mean over its local contrast, clipped to +-6; zeros if constant.

    Without `pixel_nm`, mean and contrast are those of the whole image: objects may be of any size.
    """
    image = image - image.mean()
    spread = image.std(correction=0)
    if not bool(spread > 0):
        return torch.zeros_like(image)
    image = image / spread
    if pixel_nm is None:
        return image.clamp(-6, 6)
    return local_contrast(image, pixel_nm, (image.shape[0], image.shape[1]))


def local_contrast(image: Tensor, pixel_nm: float, size: tuple[int, int]) -> Tensor:
    """Return (h, w): the image minus its local mean over its local contrast, clipped to +-6.

    `size` says how coarse the grid of the means is and how far they reach: the image's own, or, where a network is
    written for images of any size, the least one of them.
    """
    centred = image - _smooth(image, MEAN_NM / pixel_nm, size)
    power = _smooth(centred**2, CONTRAST_NM / pixel_nm, size)
    floor = 0.1 * centred.abs().median() ** 2
    return (centred / torch.sqrt(power.clamp_min(0) + floor + 1e-12)).clamp(-6, 6)


def coarseness(sigma: float, size: tuple[int, int]) -> int:
    """Return how many pixels of an image (h, w) are averaged into one before it is smoothed over `sigma` pixels."""
    return int(min(COARSE, max(1, sigma / 1.5), max(1, min(size) // 4)))


def _smooth(image: Tensor, sigma: float, size: tuple[int, int]) -> Tensor:
    """Smooth (h, w) over `sigma` pixels on a coarse grid; the border is mirrored."""
    height, width = image.shape
    factor = coarseness(sigma, size)
    padded = functional.pad(image[None, None], (0, -width % factor, 0, -height % factor), mode="replicate")
    coarse = functional.avg_pool2d(padded, factor)
    for axis in (2, 3):
        coarse = _blur(coarse, sigma / factor, axis, -(-size[axis - 2] // factor))
    fine = functional.interpolate(coarse, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return fine[0, 0, :height, :width]


def _blur(image: Tensor, sigma: float, axis: int, size: int) -> Tensor:
    """Convolve (1, 1, h, w) with a Gaussian along one axis, mirrored as far as `size` pixels allow."""
    reach = max(1, min(int(3 * sigma + 0.5), size - 1))
    if size == 1:
        return image
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(image)
    pad = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
    shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
    return functional.conv2d(functional.pad(image, pad, mode="reflect"), kernel.reshape(shape))
