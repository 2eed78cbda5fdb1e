"""Maps of several elements of one field as one recording: a frame (C, H, W) a view of a tilt series.

They come as arrays of one file that are named by element (.npz, HDF5, Zarr, .mat), as one array with an axis of
channels, or as a folder with one file an element ('Zn.tif', 'series_In_La.mrc').
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Recording
from micrograph.io.axes import length_nm
from micrograph.io.files import first_line, natural
from micrograph.io.signals import Key, Signal

Reader = Callable[[Path], list[Signal]]

#: What the map of the annular dark field is called, which guides the elements.
HAADF = "HAADF"
#: Files of these kinds may hold an element each in a folder.
_IN_FOLDERS = (".tif", ".tiff", ".mrc", ".npy", ".hspy", ".ser", ".dm3", ".dm4", ".png")
#: Files of a folder, and names of arrays, that hold the tilts.
_TILTS, _TILT_FILES = ("tilts_deg", "tilts", "angles_deg", "angles"), (".tlt", ".rawtlt")
#: More channels than this along the last axis are no elements.
_MOST = 12


@dataclass(frozen=True)
class ElementMaps:
    """Reads view `index` (C, H, W) of the maps of several elements; callable and picklable."""

    signals: tuple[Signal, ...]
    where: str
    channel_axis: int | None = None

    def __call__(self, index: int) -> NDArray[Any]:
        """Return the maps of one view; raises `BadInput` where a file cannot give them."""
        try:
            if self.channel_axis is not None:
                return self._of_one(index)
            return np.stack([np.asarray(one.array[_view(one, index)]) for one in self.signals])
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(
                f"View {index} of {self.where} cannot be read ({first_line(error)}): copy the files again."
            ) from error

    def _of_one(self, index: int) -> NDArray[Any]:
        """Return a view of one array with an axis of channels."""
        (signal,), axis = self.signals, self.channel_axis
        assert axis is not None
        key: list[int | slice] = [slice(None)] * len(signal.shape)
        if len(key) == 4:
            key[0 if axis else 1] = index
        image = np.asarray(signal.array[tuple(key)])
        left = axis - (len(key) == 4 and axis > 0)
        return np.moveaxis(image, left, 0)


def element_recording(source: Path, find: Reader, pixel_nm: float | None) -> Recording | None:
    """Return the maps of elements that `source` holds as a recording, ``None`` where it holds none.

    Its calibration names the `channels`; ``metadata['tilts_deg']`` and ``known(i)['tilt_deg']`` are there where the
    file states the tilts. Raises `BadInput` for maps of different shapes, or other tilts than views.
    """
    if source.is_dir() and source.suffix.lower() not in {".zarr", ".zspy"}:
        return _of_folder(source, find, pixel_nm)
    suffix = source.suffix.lower()
    if suffix not in {".npz", ".h5", ".hdf5", ".zarr", ".hspy", ".zspy", ".mat"}:
        return None
    signals = find(source)
    named = _by_element(signals)
    if named is not None:
        return _made(source, named, _tilts_in(source), pixel_nm or _pixel_in(source))
    for signal in signals if len(signals) == 1 else ():
        found = _channels_of(source, signal)
        if found is not None:
            axis, names = found
            read = ElementMaps((signal,), source.name, axis)
            return _recording(source, read, names, _tilts_in(source), pixel_nm or _pixel_in(source))
    return None


def element_of(name: str) -> str | None:
    """Return the element (or HAADF) that a name such as 'series/In_La' speaks of, ``None`` where it names none."""
    tokens = [token for token in re.split(r"[^A-Za-z]+", name.replace("\\", "/").rsplit("/", 1)[-1]) if token]
    if any(token.lower() in ("haadf", "adf") for token in tokens):
        return HAADF
    return next((token for token in tokens if token in _symbols()), None)


@functools.cache
def _symbols() -> frozenset[str]:
    from ase.data import chemical_symbols

    return frozenset(chemical_symbols[1:])


def parse_tilts(text: str, views: int) -> tuple[float, ...]:
    """Return the tilts that 'first:last:step' or a list 'a, b, c' names, in degrees; one for each of the `views`.

    Raises `BadInput` where the text is neither, or names another number.
    """
    try:
        if ":" in text:
            first, last, step = (float(part) for part in text.split(":"))
            tilts = tuple(float(first + number * step) for number in range(round((last - first) / step) + 1))
        else:
            tilts = tuple(float(part) for part in re.split(r"[,;\s]+", text.strip()))
    except (ValueError, ZeroDivisionError) as error:
        raise BadInput(f"tilts_deg is '{text}': write first:last:step, such as -60:60:10, or a list.") from error
    return checked_tilts(tilts, views)


def checked_tilts(tilts: Sequence[float], views: int) -> tuple[float, ...]:
    """Return the tilts in degrees; raises `BadInput` where they are not as many as views, or beyond 90 degrees."""
    if len(tilts) != views:
        raise BadInput(
            f"There are {len(tilts)} tilts, but {views} views: give one for each with --set tilts_deg=first:last:step."
        )
    if not np.isfinite(tilts).all() or np.abs(tilts).max() > 90 or (views > 1 and np.ptp(tilts) < 1):
        raise BadInput("The tilts must be in degrees, from -90 to 90, and not all alike: give them with tilts_deg=...")
    return tuple(float(tilt) for tilt in tilts)


def _view(signal: Signal, index: int) -> Key:
    return (index, slice(None), slice(None)) if len(signal.shape) == 3 else (slice(None), slice(None))


def _by_element(signals: Sequence[Signal]) -> dict[str, Signal] | None:
    """Return the arrays by element where each names one, ``None`` where they are something else."""
    maps = [one for one in signals if len(one.shape) in (2, 3) and not one.name.endswith("_sigma")]
    maps = [one for one in maps if one.name.rsplit("/", 1)[-1] not in _TILTS]
    names = [element_of(one.name) for one in maps]
    elements = [name for name in names if name not in (None, HAADF)]
    if None in names or len(set(names)) < len(names) or not elements or len(names) < 2:
        return None
    return {str(name): one for name, one in zip(names, maps, strict=True)}


def _channels_of(source: Path, signal: Signal) -> tuple[int, tuple[str, ...]] | None:
    """Return the axis of channels of one array, and their names; ``None`` where it has none."""
    shape = signal.shape
    said = signal.metadata.get("elements") or _said_in(source, signal.name)
    if said and len(shape) in (3, 4):
        for axis in (1, 0, len(shape) - 1) if len(shape) == 4 else (0, 2):
            if shape[axis] == len(said):
                return axis, tuple(said)
    if source.suffix.lower() == ".mat" and len(shape) == 3 and shape[-1] <= min(_MOST, *shape[:2]):
        return 2, tuple(f"channel {number + 1}" for number in range(shape[-1]))
    return None


def _of_folder(source: Path, find: Reader, pixel_nm: float | None) -> Recording | None:
    files = sorted((one for one in source.iterdir() if one.name[0] != "."), key=lambda one: natural(one.name))
    series = [one for one in files if one.suffix.lower() == ".mat"]
    if series and not any(one.suffix.lower() in _IN_FOLDERS for one in files):
        return _views_in_files(source, series, find, pixel_nm)
    kept = [one for one in files if one.suffix.lower() in _IN_FOLDERS]
    names = [element_of(one.stem) for one in kept]
    if len(names) < 2 or None in names or len(set(names)) < len(names) or set(names) == {HAADF}:
        return None
    named = {}
    for name, path in zip(names, kept, strict=True):
        signals = find(path)
        if len(signals) != 1 or len(signals[0].shape) not in (2, 3):
            raise BadInput(f"{path.name} holds {len(signals)} arrays: one map, or one tilt series, was expected.")
        named[str(name)] = signals[0]
    return _made(source, named, _tilts_beside(files), pixel_nm)


@dataclass(frozen=True)
class _FileViews:
    """The views of a series, one file each, as one array (V, H, W, C)."""

    signals: tuple[Signal, ...]

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        return np.asarray(self.signals[int(key[0])].array[key[1:]])  # type: ignore[arg-type]


def _views_in_files(source: Path, files: Sequence[Path], find: Reader, pixel_nm: float | None) -> Recording:
    from micrograph.io.axes import plain_axes

    signals = tuple(find(path)[0] for path in files)
    shapes = {one.shape for one in signals}
    if len(shapes) > 1:
        raise BadInput(f"{source.name} holds views of different shapes {sorted(shapes)}: one shape was expected.")
    (shape,) = shapes
    flat = len(shape) == 2
    axes = plain_axes((len(files), *shape))
    whole = Signal(source.name, _FileViews(signals), signals[0].dtype, axes, signals[0].reader, trusted=True)
    if flat:
        return _made(source, {signals[0].name: whole}, None, pixel_nm)
    names = tuple(f"channel {number + 1}" for number in range(shape[-1]))
    return _recording(source, ElementMaps((whole,), source.name, 3), names, None, pixel_nm)


def _made(
    source: Path, named: Mapping[str, Signal], tilts: NDArray[np.float64] | None, pixel_nm: float | None
) -> Recording:
    shapes = {name: signal.shape for name, signal in named.items()}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise BadInput(f"{source.name} holds maps of different shapes ({said}): one shape was expected.")
    read = ElementMaps(tuple(named.values()), source.name)
    return _recording(source, read, tuple(named), tilts, pixel_nm)


def _recording(
    source: Path,
    read: ElementMaps,
    names: tuple[str, ...],
    tilts: NDArray[np.float64] | None,
    pixel_nm: float | None,
) -> Recording:
    first = read.signals[0]
    shape, axis = list(first.shape), read.channel_axis
    views = 1
    if axis is not None:
        shape.pop(axis)
    if len(shape) == 3:
        views = shape.pop(0)
    stated = first.stated.with_known(pixel_nm=pixel_nm or first.stated.pixel_nm or _side(first))
    scale = stated.with_known(content="elements", channels=names)
    metadata: dict[str, Any] = {**first.metadata, "reader": first.reader, "notes": [*first.notes], "path": str(source)}
    known = None
    if tilts is not None:
        metadata["tilts_deg"] = checked_tilts(list(tilts), views)
        known = _Tilts(metadata["tilts_deg"])
    dtype = np.result_type(*(one.dtype for one in read.signals)).name
    return Recording(read, range(views), scale, (len(names), *shape), dtype, source.name, metadata, known)


@dataclass(frozen=True)
class _Tilts:
    """What is known of each view: its tilt."""

    tilts_deg: tuple[float, ...]

    def __call__(self, index: int) -> Mapping[str, float]:
        return {"tilt_deg": self.tilts_deg[index]}


def _side(signal: Signal) -> float | None:
    """Return the pixel that the axes of a map state, in nm."""
    lengths = [length for axis in signal.axes if (length := length_nm(axis))]
    return lengths[-1] if lengths else None


def _tilts_in(source: Path) -> NDArray[np.float64] | None:
    for name in _TILTS:
        if (found := _numbers(source, name)) is not None and found.size:
            return found.ravel()
    return None


def _pixel_in(source: Path) -> float | None:
    found = _numbers(source, "pixel_nm")
    return float(found.ravel()[0]) if found is not None and found.size == 1 and found.ravel()[0] > 0 else None


def _numbers(source: Path, name: str) -> NDArray[np.float64] | None:
    """Return a small array or attribute of a file by name, ``None`` where there is none."""
    suffix = source.suffix.lower()
    found: Any = None
    if suffix == ".npz":
        with np.load(source, allow_pickle=False) as archive:
            found = archive[name] if name in archive.files else None
    elif suffix in (".h5", ".hdf5"):
        import h5py

        with h5py.File(source, "r") as file:
            found = file[name][()] if name in file else file.attrs.get(name)
    elif suffix == ".zarr":
        import zarr

        root: Any = zarr.open(source, mode="r")
        inside = isinstance(root, zarr.Group) and name in root
        found = root[name][...] if inside else root.attrs.get(name)
    elif suffix == ".mat":
        found = _mat(source).get(name)
    return None if found is None else np.asarray(found, float)


def _said_in(source: Path, name: str) -> tuple[str, ...]:
    """Return the names of channels in the attribute 'channels' or 'elements' of an array of an HDF5 or Zarr file."""
    suffix = source.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        import h5py

        with h5py.File(source, "r") as file:
            said = {**file.attrs, **(file[name].attrs if name in file else {})}
    elif suffix == ".zarr":
        import zarr

        root: Any = zarr.open(source, mode="r")
        said = {**root.attrs, **(root[name].attrs if isinstance(root, zarr.Group) and name in root else {})}
    else:
        return ()
    found = next((said[key] for key in ("channels", "elements") if key in said), ())
    return tuple(one.decode() if isinstance(one, bytes) else str(one) for one in np.ravel(np.asarray(found)).tolist())


def _tilts_beside(files: Sequence[Path]) -> NDArray[np.float64] | None:
    """Return the tilts in a text file beside the maps ('tilts.txt', 'series.rawtlt')."""
    for path in files:
        if path.suffix.lower() in _TILT_FILES or path.stem.lower() in _TILTS:
            try:
                return np.loadtxt(path, ndmin=1, delimiter="," if path.suffix.lower() == ".csv" else None).ravel()
            except ValueError as error:
                raise BadInput(f"{path.name} holds something else than one tilt in degrees a line.") from error
    return None


def mat_signals(path: Path) -> list[Signal]:
    """Return the arrays of a MATLAB file up to version 7; raises `BadInput` for a later one, which is HDF5."""
    from micrograph.io.axes import plain_axes
    from micrograph.io.structures import HeldTables

    arrays = {name: one for name, one in _mat(path).items() if one.ndim in (2, 3) and min(one.shape) > 1}
    if not arrays:
        raise BadInput(f"{path.name} holds no map: an array (H, W) or (H, W, channels) was expected.")
    return [
        Signal(name, HeldTables(one), one.dtype, plain_axes(one.shape), "scipy.io", trusted=True)
        for name, one in arrays.items()
    ]


@functools.lru_cache(maxsize=32)
def _mat(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat

    try:
        found = loadmat(path)
    except (NotImplementedError, ValueError, OSError) as error:
        raise BadInput(
            f"{path.name} cannot be read as a MATLAB file ({first_line(error)}): save it with -v7, or as HDF5."
        ) from error
    return {
        name: one
        for name, one in found.items()
        if not name.startswith("__") and isinstance(one, np.ndarray) and one.dtype.kind in "biuf"
    }
