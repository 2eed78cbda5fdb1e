"""Maps of a recording, frame by frame, to a Zarr store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput

if TYPE_CHECKING:
    import zarr


class MapWriter:
    """Writes maps (H, W) of every frame into ``path`` as Zarr v3 arrays (frames, H, W), one chunk a frame, compressed.

    ``kind='probability'`` keeps values of 0..1 as bytes of 1/255 (attributes ``scale`` and ``offset`` say so); NaN
    becomes 0. ``kind='number'`` keeps float16. An existing store of the same layout is continued; frames written
    before stay, `done` tells which. The pixel size is in the attribute ``pixel_nm`` and the arrays' axes in ``axes``.

    Raises `BadInput` where the store at `path` has another layout.
    """

    def __init__(
        self, path: Path, names: Sequence[str], shape: tuple[int, int], pixel_nm: float, kind: str = "probability"
    ) -> None:
        import zarr

        self.path, self.names = path, tuple(names)
        self._scale = 255.0 if kind == "probability" else None
        size = [int(each) for each in shape]
        self._layout: dict[str, Any] = {"names": list(names), "shape": size, "pixel_nm": pixel_nm, "kind": kind}
        try:
            self._group = zarr.open_group(path, mode="a", zarr_format=3)
        except (ValueError, OSError, TypeError, KeyError) as error:
            raise BadInput(f"{path} is no Zarr store to be continued: remove it or choose another place.") from error
        self._arrays = self._continued() if "layout" in self._group.attrs else self._started(shape)
        self._written: Any = self._group["written"]

    def write(self, index: int, maps: Mapping[str, NDArray[Any]]) -> None:
        """Write the maps of frame `index` (from 0); a frame written twice keeps the last."""
        for name, array in self._arrays.items():
            if array.shape[0] <= index:
                array.resize((index + 1, *array.shape[1:]))
            array[index] = self._packed(maps[name])
        if self._written.shape[0] <= index:
            self._written.resize((index + 1,))
        self._written[index] = True

    def done(self, index: int) -> bool:
        """Tell whether frame `index` was written."""
        return bool(index < self._written.shape[0] and self._written[index])

    def _packed(self, values: NDArray[Any]) -> NDArray[Any]:
        if self._scale is None:
            return np.asarray(values, dtype=np.float16)
        clipped = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float32)), 0, 1)
        packed: NDArray[Any] = np.rint(clipped * self._scale).astype(np.uint8)
        return packed

    def _started(self, shape: tuple[int, int]) -> dict[str, zarr.Array[Any]]:
        dtype = "float16" if self._scale is None else "uint8"
        arrays = {name: self._array(name, (0, *shape), (1, *shape), dtype) for name in self.names}
        self._array("written", (0,), (4096,), "bool")
        for array in arrays.values():
            array.attrs.update(pixel_nm=self._layout["pixel_nm"], axes=["frame", "y", "x"])
            if self._scale is not None:
                array.attrs.update(scale=1 / self._scale, offset=0.0)
        self._group.attrs["layout"] = self._layout
        return arrays

    def _array(self, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str) -> zarr.Array[Any]:
        from zarr.codecs import BloscCodec

        codec = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle" if dtype == "float16" else "noshuffle")
        return self._group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, compressors=codec)

    def _continued(self) -> dict[str, Any]:
        if self._group.attrs["layout"] != self._layout:
            raise BadInput(
                f"{self.path} holds maps of another layout ({self._group.attrs['layout']}), but {self._layout} was "
                "expected: remove it or choose another place."
            )
        return {name: self._group[name] for name in self.names}
