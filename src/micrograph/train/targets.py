"""What a network should answer on a sample: a Gaussian spot on every site of a head, a mask for every region."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from micrograph.core import Sample, Sites
from micrograph.nets import Head, NetSpec, normalise, to_model_grid, whitened


def example(sample: Sample, spec: NetSpec) -> tuple[Tensor, Tensor]:
    """Return input (C, h, w) and targets (K, h, w), both on the model's grid, of one sample.

    A stack of several channels is taken as it is; an image is normalised, the true images of 'image' heads likewise.
    """
    if spec.channels > 1:
        masks = np.stack([sample.masks[name] for name in spec.names])
        return torch.from_numpy(np.ascontiguousarray(sample.image)), torch.from_numpy(masks)
    if spec.restores:
        seen, offset, scale = whitened(sample.image)
        masks = np.stack([(sample.masks[name] - offset) / scale for name in spec.names])
        return torch.from_numpy(seen[None]), torch.from_numpy(masks.astype(np.float32))
    image = to_model_grid(sample.image, sample.pixel_nm, spec.grid_nm(sample.pixel_nm))
    shape = (image.shape[0], image.shape[1])
    targets = [_target(sample, head, shape, spec) for head in spec.heads]
    return normalise(image, spec.pixel_nm)[None], torch.stack(targets)


def _target(sample: Sample, head: Head, shape: tuple[int, int], spec: NetSpec) -> Tensor:
    if head.kind == "region":
        mask = torch.as_tensor(sample.masks[head.name])[None, None]
        return functional.interpolate(mask, size=shape, mode="bilinear", align_corners=False)[0, 0]
    marks = sample.sites.label if sample.marks is None else sample.marks
    mine = sample.sites[np.isin(marks, head.labels)]
    step_y, step_x = (n / m for n, m in zip(sample.image.shape, shape, strict=True))
    y, x = in_map_pixels(mine, sample.pixel_nm, (step_y, step_x))
    return torch.from_numpy(spots(y, x, shape, spec.spot_nm / spec.grid_nm(sample.pixel_nm)))


def in_map_pixels(
    sites: Sites, pixel_nm: float, steps: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows and columns of `sites` on a grid `steps` (y, x) times coarser than pixels of `pixel_nm`."""
    return (sites.y_nm / pixel_nm + 0.5) / steps[0] - 0.5, (sites.x_nm / pixel_nm + 0.5) / steps[1] - 0.5


def spots(
    y: NDArray[np.float64], x: NDArray[np.float64], shape: tuple[int, int], sigma_px: float
) -> NDArray[np.float32]:
    """Return (h, w): Gaussian spots of height 1 and `sigma_px` at (y, x); where two overlap the higher counts."""
    reach = int(np.ceil(3.5 * sigma_px))
    padded = np.zeros((shape[0] + 2 * reach, shape[1] + 2 * reach), np.float32)
    offsets = np.arange(-reach, reach + 1)
    centre_y, centre_x = np.rint(y).astype(int), np.rint(x).astype(int)
    inside = (centre_y >= 0) & (centre_y < shape[0]) & (centre_x >= 0) & (centre_x < shape[1])
    y, x, centre_y, centre_x = y[inside], x[inside], centre_y[inside], centre_x[inside]
    rows = np.exp(-0.5 * ((centre_y - y)[:, None] + offsets) ** 2 / sigma_px**2)
    columns = np.exp(-0.5 * ((centre_x - x)[:, None] + offsets) ** 2 / sigma_px**2)
    at_y = (centre_y[:, None] + offsets + reach)[:, :, None]
    at_x = (centre_x[:, None] + offsets + reach)[:, None, :]
    np.maximum.at(padded, (at_y, at_x), (rows[:, :, None] * columns[:, None, :]).astype(np.float32))
    return padded[reach : reach + shape[0], reach : reach + shape[1]]
