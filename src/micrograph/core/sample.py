"""A labelled image: what simulators make and trainers and validations take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sites:
    """Points with a name: ``y_nm, x_nm`` (N,) from the centre of pixel (0, 0); ``label`` (N,) like 'Si', 'vac_W'."""

    y_nm: NDArray[np.float64]
    x_nm: NDArray[np.float64]
    label: NDArray[np.str_]

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.y_nm)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Sites:
        """Return the sites of a mask, rows or a slice."""
        return Sites(self.y_nm[which], self.x_nm[which], self.label[which])


@dataclass(frozen=True)
class Sample:
    """An image (H, W) float32 with everything that is known of it.

    `masks` are (H, W) arrays in 0..1 on the image's grid ('contamination'); `params` the settings that made it; `marks`
    (N,) the names by which a network's heads know the sites, where these are not their labels; `truth` what is to be
    answered of the image as a whole, by name: the place of a class in its labels, or numbers.
    """

    image: NDArray[np.float32]
    pixel_nm: float
    sites: Sites
    masks: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    params: Mapping[str, float] = field(default_factory=dict)
    marks: NDArray[np.str_] | None = None
    truth: Mapping[str, float | NDArray[np.float64]] = field(default_factory=dict)


class Sampler(Protocol):
    """Makes one labelled sample a call; all randomness comes from `rng`."""

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return a new sample."""
        ...
