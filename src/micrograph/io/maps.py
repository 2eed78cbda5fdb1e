"""Maps and images of a recording, frame by frame, to a Zarr store, and from there to TIFFs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.core.provenance import whole

if TYPE_CHECKING:
    import zarr

Kind = Literal["probability", "number", "image"]
#: Kind of maps -> the type in which they are kept.
_DTYPES: dict[Kind, str] = {"probability": "uint8", "number": "float16", "image": "float32"}
#: Slices of a volume in one chunk.
_SLICES = 16
#: ImageJ reads files up to this size; larger ones are OME-TIFFs.
_MOST_IMAGEJ = 2**32 - 2**20


class MapWriter:
    """Writes maps (H, W), or volumes (Z, H, W), of every frame into ``path`` as Zarr v3 arrays (frames, ...).

    ``kind='probability'`` keeps values of 0..1 as bytes of 1/255 (attributes ``scale`` and ``offset`` say so); NaN
    becomes 0. ``kind='number'`` keeps float16, ``kind='image'`` float32; frames never written are NaN. An existing
    store of the same layout is continued; frames written before stay, `done` tells which. The pixel size is in the
    attribute ``pixel_nm`` (``None``: not known), the time between frames in ``frame_time_s``, the arrays' axes in
    ``axes``. Arrays are made for `frames` at first, and grow as they must: processes that write side by side need them
    whole.

    Raises `BadInput` where the store at `path` has another layout.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        shape: tuple[int, ...],
        pixel_nm: float | None,
        kind: Kind = "probability",
        frame_time_s: float | None = None,
        frames: int = 0,
    ) -> None:
        import zarr

        self.path, self.names = path, tuple(names)
        self._kind: Kind = kind
        self._scale = 255.0 if kind == "probability" else None
        size = [int(each) for each in shape]
        self._layout: dict[str, Any] = {"names": list(names), "shape": size, "pixel_nm": pixel_nm, "kind": kind}
        if frame_time_s is not None:
            self._layout["frame_time_s"] = frame_time_s
        try:
            self._group = zarr.open_group(path, mode="a", zarr_format=3)
        except (ValueError, OSError, TypeError, KeyError) as error:
            raise BadInput(f"{path} is no Zarr store to be continued: remove it or choose another place.") from error
        self._arrays = self._continued() if "layout" in self._group.attrs else self._started(tuple(size), frames)
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
            return np.asarray(values, dtype=_DTYPES[self._kind])
        clipped = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float32)), 0, 1)
        packed: NDArray[Any] = np.rint(clipped * self._scale).astype(np.uint8)
        return packed

    def _started(self, shape: tuple[int, ...], frames: int) -> dict[str, zarr.Array[Any]]:
        chunks = (1, *shape) if len(shape) == 2 else (1, min(shape[0], _SLICES), *shape[1:])
        arrays = {name: self._array(name, (frames, *shape), chunks, _DTYPES[self._kind]) for name in self.names}
        self._array("written", (frames,), (1,), "bool")
        known = {key: self._layout[key] for key in ("pixel_nm", "frame_time_s") if self._layout.get(key) is not None}
        for array in arrays.values():
            array.attrs.update(axes=["frame", *"zyx"[-len(shape) :]], **known)
            if self._scale is not None:
                array.attrs.update(scale=1 / self._scale, offset=0.0)
        self._group.attrs["layout"] = self._layout
        return arrays

    def _array(self, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str) -> zarr.Array[Any]:
        from zarr.codecs import BloscCodec

        codec = BloscCodec(cname="zstd", clevel=1, shuffle="shuffle" if "float" in dtype else "noshuffle")
        empty = np.nan if self._kind == "image" and dtype == "float32" else 0
        return self._group.create_array(
            name, shape=shape, chunks=chunks, dtype=dtype, compressors=codec, fill_value=empty
        )

    def _continued(self) -> dict[str, Any]:
        if self._group.attrs["layout"] != self._layout:
            raise BadInput(
                f"{self.path} holds maps of another layout ({self._group.attrs['layout']}), but {self._layout} was "
                "expected: remove it or choose another place."
            )
        return {name: self._group[name] for name in self.names}


def write_tiffs(store: Path, folder: Path) -> list[Path]:
    """Write every array of a store of images as ``folder/NAME.tif`` for ImageJ, frame by frame, with its scale.

    Arrays beyond 4 GB become ``NAME.ome.tif``.
    """
    import zarr

    group = zarr.open_group(store, mode="r")
    layout: dict[str, Any] = dict(group.attrs)["layout"]  # type: ignore[assignment]
    paths = []
    for name in layout["names"]:
        array: Any = group[name]
        small = array.nbytes < _MOST_IMAGEJ
        paths.append(folder / f"{name}{'' if small else '.ome'}.tif")
        with whole(paths[-1]) as temporary:
            _write_tiff(temporary, array, layout, imagej=small)
    return paths


def _write_tiff(path: Path, array: Any, layout: Mapping[str, Any], *, imagej: bool) -> None:
    import tifffile

    pixel, between = layout["pixel_nm"], layout.get("frame_time_s")
    said: dict[str, Any] = {"axes": "TYX" if array.ndim == 3 else "TZYX"}
    if imagej:
        said |= {"unit": "nm"} if pixel else {}
        said |= {"finterval": between} if between else {}
        said |= {"spacing": pixel} if pixel and array.ndim == 4 else {}
    elif pixel:
        said |= {f"PhysicalSize{axis}": pixel for axis in "XY"} | {f"PhysicalSize{axis}Unit": "nm" for axis in "XY"}
    tifffile.imwrite(
        path,
        _pages(array),
        shape=array.shape,
        dtype=array.dtype,
        imagej=imagej,
        ome=not imagej,
        bigtiff=not imagej,
        resolution=(1 / pixel, 1 / pixel) if pixel else None,
        metadata=said,
    )


def _pages(array: Any) -> Iterator[NDArray[np.float32]]:
    """Yield the pages (H, W) of an array (frames, H, W) or (frames, Z, H, W), a chunk in memory."""
    for frame in range(array.shape[0]):
        if array.ndim == 3:
            yield array[frame]
            continue
        for first in range(0, array.shape[1], _SLICES):
            yield from array[frame, first : first + _SLICES]
