"""Score maps of all frames on disk: one compressed zarr array a head, one chunk a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from micrograph.core import Prediction


class MapWriter:
    """Writes the maps of one frame at a time into ``folder``; frames without a prediction stay NaN.

    Every head has an array (N, h, w) float16 in 0..1 and, where the model gives one, ``<head>_sigma``; the attribute
    ``pixel_nm`` is the pitch of the maps. Writing a frame again gives the same bytes.
    """

    def __init__(self, folder: Path, frames: int) -> None:
        self._folder = folder
        self._frames = frames
        self._arrays: dict[str, Any] = {}

    def write(self, position: int, prediction: Prediction | None) -> None:
        """Store the maps of the frame at `position` (0 .. N - 1)."""
        if prediction is None:
            return
        sigma = {f"{name}_sigma": values for name, values in prediction.sigma.items() if np.any(values)}
        for name, values in {**prediction.maps, **sigma}.items():
            array = self._arrays.get(name)
            if array is None:
                array = self._arrays[name] = self._open(name, values.shape, prediction.pixel_nm)
            array[position] = values.astype(np.float16)

    def _open(self, name: str, shape: tuple[int, ...], pixel_nm: float) -> Any:
        import zarr

        root = zarr.open_group(self._folder, mode="a", attributes={"pixel_nm": pixel_nm})
        if name in root:
            return root[name]
        return root.create_array(
            name, shape=(self._frames, *shape), chunks=(1, *shape), dtype="float16", fill_value=np.nan
        )
