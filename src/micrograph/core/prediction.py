"""What a model says of a frame, and what a recipe promises to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core.flags import Flag
from micrograph.core.frame import Frame


@dataclass(frozen=True)
class Prediction:
    """Maps of a model over a frame, on the model's own grid.

    maps: head name -> (h, w) float32 probability in 0..1, or for names in ``Recipe.images`` an image (h, w) or volume
    (z, h, w) in the recording's own units; sigma: 1-sigma, same keys (zeros for one member of an ensemble).
    ``pixel_nm`` is the pitch of the maps; map pixel (i, j) lies at frame pixel ``(i + 0.5) * steps[0] - 0.5``,
    ``(j + 0.5) * steps[1] - 0.5``. ``domain_distance`` is 0 at the centre of the training domain and 1
    at its border (the 99.5 % quantile of training images); above 1 the flag OUT_OF_DOMAIN is set. `position_sigma_nm`
    is the 1-sigma of a peak's place in a map, by head, where it was measured on fresh samples after the training.
    `values` are answers on the frame as a whole, by name (see `nets.encoder_spec`), one row a view of the frame; for
    those that are classes `labels` has the classes' names, as the weights know them, in the order of the columns.
    ``expected_f1`` is the F1 that such an answer to such an image is expected to reach, NaN where that is not known.
    """

    frame: Frame
    maps: Mapping[str, NDArray[np.float32]]
    sigma: Mapping[str, NDArray[np.float32]]
    pixel_nm: float
    flags: Flag = Flag.OK
    domain_distance: float = 0.0
    notes: tuple[str, ...] = field(default=())
    position_sigma_nm: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    expected_f1: float = float("nan")

    @property
    def steps(self) -> tuple[float, float]:
        """Frame pixels per map pixel along y and x (they differ by rounding); 1 without maps."""
        if not self.maps:
            return 1.0, 1.0
        height, width = next(iter(self.maps.values())).shape
        return self.frame.data.shape[0] / height, self.frame.data.shape[1] / width


@dataclass(frozen=True)
class Column:
    """A promised column: its name with the unit in it, the unit ('' for none), its meaning, its 1-sigma column."""

    name: str
    unit: str
    about: str
    sigma: str | None = None


@dataclass(frozen=True)
class Task:
    """Stage 1: what is asked, of which data. `answers` maps a table's name to the columns that it promises.

    `takes` are the contents of recordings (see `Calibration`) that the question makes sense of.
    """

    question: str
    needs: tuple[str, ...]
    answers: Mapping[str, tuple[Column, ...]]
    reference: str
    takes: tuple[str, ...] = ("image",)
