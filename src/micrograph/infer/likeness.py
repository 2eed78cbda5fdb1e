"""How frames were taken, from the frames: simulated images that are like them say with which settings they were made.

Images with known settings are described by a few numbers (spectra on the frame's own pixels and the network's, noise,
jitter); a forest learns what these say of the settings, and images that fall into the leaves of the user's frames have
settings that the frames may have: approximate Bayesian computation by random forests (Raynal et al. 2019,
doi:10.1093/bioinformatics/bty867).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.nets import to_model_grid

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: Rings of the power spectrum, from zero to its border.
RINGS = 12
_TREES, _LEAF = 200, 4


def spectrum(image: Array, rings: int = RINGS) -> Array:
    """Return (3, rings): the log of mean, median and maximum of the power of (H, W) in rings of spatial frequency."""
    from scipy import ndimage

    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])[None, :]
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2 / max(float((window**2).sum()), 1e-9)
    frequency = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None, :])
    ring, each = (frequency * 2 * rings).astype(int), np.arange(rings)
    parts = [of(power, ring, each) for of in (ndimage.mean, ndimage.median, ndimage.maximum)]
    return np.asarray(np.log(np.nan_to_num(np.array(parts, float)) + 1e-6))


def described(image: Image, pixel_nm: float, model_nm: float) -> Array:
    """Return numbers (D,) that tell how an image (H, W) was taken, whatever gain and offset of its detector."""
    own = np.nan_to_num(np.asarray(image, float), nan=float(np.nanmedian(image)))
    own = (own - own.mean()) / (float(own.std()) or 1.0)
    grid = to_model_grid(own.astype(np.float32), pixel_nm, model_nm).numpy().astype(float)
    crossed = (own[:-1, :-1] - own[1:, :-1] - own[:-1, 1:] + own[1:, 1:]) / 2
    spreads = [float(np.median(np.abs(crossed))), float(np.std(np.diff(own.mean(axis=1)))), float(grid.std())]
    skew = [float(np.mean(part**3)) for part in (own, grid / (float(grid.std()) or 1.0))]
    return np.array([*spectrum(own).ravel(), *spectrum(grid).ravel(), *np.log(np.array(spreads) + 1e-6), *skew])


def alike(
    frames: Sequence[Image], pixel_nm: float, draws: Sequence[Sample], settings: Sequence[str], model_nm: float
) -> Array:
    """Return for each of the `draws` how likely its `settings` (names of its params) are those of all the `frames`.

    frames: (H, W), with pixels of `pixel_nm`; the weights (N,) sum to 1. Signs say nothing: an image of something thin
    is nearly the same on both sides of the focus.
    """
    from scipy.stats import rankdata
    from sklearn.ensemble import ExtraTreesRegressor

    numbers = np.array([described(one.image, one.pixel_nm, model_nm) for one in draws])
    values = np.array([[abs(one.params[name]) for name in settings] for one in draws])
    ranks = np.squeeze(rankdata(values, axis=0) / len(draws))
    forest = ExtraTreesRegressor(_TREES, min_samples_leaf=_LEAF, max_features=0.5, random_state=0).fit(numbers, ranks)
    leaves = forest.apply(numbers)
    asked = forest.apply(np.array([described(frame, pixel_nm, model_nm) for frame in frames]))
    same = [leaves == one for one in asked]
    weight = np.mean([(here / here.sum(axis=0)).mean(axis=1) for here in same], axis=0)
    return np.asarray(weight / weight.sum())
