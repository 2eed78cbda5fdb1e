"""The classical way to constituents: a filter bank around every pixel, and a random forest of what it answers."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.steels.metallography import MetallographySampler

#: Scales (px) of the filters, and of the window over which their answers are averaged.
_SCALES, _WINDOW = (0.8, 1.6, 3.2), 6.0
#: Images and pixels of each that the forest learns from, its trees, and every how many pixels it is asked.
_IMAGES, _PIXELS, _TREES, _STEP = 60, 400, 30, 4


@dataclass(frozen=True)
class TextureClasses:
    """A random forest that answers with places in `CONSTITUENTS`."""

    forest: Any

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.intp]:
        """Return the likeliest constituent of each pixel (H, W), found on every fourth one."""
        coarse = texture_features(image)[:, ::_STEP, ::_STEP]
        kinds = self.forest.predict(coarse.reshape(len(coarse), -1).T).reshape(coarse.shape[1:])
        fine = np.repeat(np.repeat(kinds, _STEP, axis=0), _STEP, axis=1)
        return np.asarray(fine[: image.shape[0], : image.shape[1]], np.intp)


def texture_features(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a filter bank says of each pixel (F, H, W): grey, spread, edges, lines and their directedness."""
    from scipy.ndimage import gaussian_filter

    grey = (image - image.mean()) / max(float(image.std()), 1e-6)
    found = [gaussian_filter(grey, _WINDOW)]
    for scale in _SCALES:
        calm = gaussian_filter(grey, scale)
        down, right = np.gradient(calm)
        rr, rx, xx = (gaussian_filter(part, _WINDOW) for part in (down * down, down * right, right * right))
        energy = rr + xx
        found += [
            gaussian_filter((calm - gaussian_filter(grey, 2 * scale)) ** 2, _WINDOW),
            energy,
            np.sqrt((rr - xx) ** 2 + 4 * rx**2) / np.maximum(energy, 1e-6),
            gaussian_filter(np.maximum(calm - found[0], 0) ** 2, _WINDOW),
        ]
    logs = [one if number == 0 or number % 4 == 3 else np.log(one + 1e-4) for number, one in enumerate(found)]
    return np.asarray(np.stack(logs), np.float32)


@functools.cache
def learned_textures() -> TextureClasses:
    """Return the forest that learned from simulated micrographs which no trial shows."""
    from sklearn.ensemble import RandomForestClassifier

    sampler, rng = MetallographySampler(), np.random.default_rng(20_250_711)
    features, kinds = [], []
    for _ in range(_IMAGES):
        made = sampler.micrograph(rng)
        pick = rng.integers(made.image.size, size=_PIXELS)
        found = texture_features(made.image)
        features.append(found.reshape(len(found), -1)[:, pick].T)
        kinds.append(made.metal.constituent.ravel()[pick])
    forest = RandomForestClassifier(_TREES, max_depth=16, min_samples_leaf=3, random_state=0)
    forest.fit(np.concatenate(features), np.concatenate(kinds))
    return TextureClasses(forest)
