"""NumPy's own files: .npy and .npz, read frame by frame with plain file reads so that memory stays flat."""

from __future__ import annotations

import functools
import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.io.axes import plain_axes
from micrograph.io.files import unreadable
from micrograph.io.records import chosen
from micrograph.io.signals import EXPECTED, Key, Signal

#: Arrays that can only be read whole (Fortran order, compressed) are held in memory up to this many bytes.
HELD = 256 * 2**20


@dataclass(frozen=True)
class Header:
    """What the head of an .npy says: shape, dtype, whether in Fortran order, and the bytes before the data."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    size: int


@dataclass(frozen=True)
class RawArray:
    """An uncompressed C-ordered array at `offset` of a file; leading integers of a key read only their part."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read a part of the array: from the file only what leading whole numbers, and a slice behind them, choose."""
        nav = self.shape[:-2]
        first, last, kept = chosen(key, nav)
        image = self.shape[len(nav) :]
        count = (last - first) * math.prod(image)
        with self.path.open("rb") as file:
            file.seek(self.offset + first * math.prod(image) * self.dtype.itemsize)
            block = np.fromfile(file, self.dtype, count)
        if block.size < count:
            raise BadInput(f"{self.path.name} ends before its data does: it is truncated; copy it again.")
        rest = key[len(nav) - len(kept) :]
        whole = (slice(None),) if kept else ()
        return block.reshape(*kept, *image)[(*whole, *rest[len(whole) :])]


@dataclass(frozen=True)
class HeldArray:
    """An array that can only be read whole; the last one used stays in memory."""

    path: Path
    member: str | None

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Return a part of the array; all of it is read, once."""
        return _held(self.path, self.member, self.path.stat().st_mtime_ns)[key]


@dataclass(frozen=True)
class PackedArray:
    """A compressed member of an .npz too big to hold: every frame is unpacked from the start, slow but small."""

    path: Path
    member: str
    header: Header

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Read a part of the member: only what leading whole numbers choose."""
        leading = [part for part in key[: _leading(key)] if isinstance(part, int)]
        rest = self.header.shape[len(leading) :]
        size = math.prod(rest) * self.header.dtype.itemsize
        index = int(np.ravel_multi_index(leading, self.header.shape[: len(leading)])) if leading else 0
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            file.seek(self.header.size + index * size)
            block = file.read(size)
        return np.frombuffer(block, self.header.dtype).reshape(rest)[key[len(leading) :]]


def npy_signals(path: Path) -> list[Signal]:
    """Return the one array of an .npy file; raises `BadInput` for a broken head or missing data."""
    try:
        with path.open("rb") as file:
            header = _header(file)
    except Exception as error:
        raise unreadable(path, "the NumPy reader", error) from error
    expected = header.size + math.prod(header.shape) * header.dtype.itemsize
    if not header.dtype.hasobject and (found := path.stat().st_size) < expected:
        raise BadInput(
            f"{path.name} has {found} bytes, but {expected} were expected for the {header.shape} {header.dtype} of its "
            "head: it is truncated; copy it again."
        )
    if header.fortran and len(header.shape) > 1:
        _refuse_big(path.name, header, "is in Fortran order", "save it with numpy.ascontiguousarray")
        return [_signal(path.name, HeldArray(path, None), header)]
    return [_signal(path.name, RawArray(path, header.size, header.shape, header.dtype), header)]


def npz_signals(path: Path) -> list[Signal]:
    """Return the arrays of an .npz archive, in its order; raises `BadInput` where it is broken or holds none."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            signals = [_member(path, archive, info) for info in members]
    except Exception as error:
        raise unreadable(path, "the NumPy reader", error) from error
    if not signals:
        raise BadInput(f"{path.name} holds no array: {EXPECTED}.")
    return signals


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Signal:
    with archive.open(info) as file:
        header = _header(file)
    name = info.filename.removesuffix(".npy")
    if header.dtype.hasobject or (header.fortran and len(header.shape) > 1):
        return _signal(name, HeldArray(path, name), header)
    if info.compress_type == zipfile.ZIP_STORED:
        offset = _data_offset(path, info) + header.size
        return _signal(name, RawArray(path, offset, header.shape, header.dtype), header)
    if math.prod(header.shape) * header.dtype.itemsize <= HELD:
        return _signal(name, HeldArray(path, name), header)
    return _signal(name, PackedArray(path, info.filename, header), header)


def _header(file: IO[bytes]) -> Header:
    version = npy_format.read_magic(file)
    parse = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}.get(version)
    if parse is None:
        raise ValueError(f"it has npy format version {version[0]}.{version[1]}; versions 1.0 and 2.0 are known")
    shape, fortran, dtype = parse(file)
    return Header(tuple(shape), dtype, fortran, file.tell())


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where the data of a stored member begin: behind its local head of 30 bytes, name and extra field."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + int(name) + int(extra)


@functools.lru_cache(maxsize=1)
def _held(path: Path, member: str | None, _stamp: int) -> NDArray[Any]:
    if member is None:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    else:
        with np.load(path, allow_pickle=False) as archive:
            array = archive[member]
    return array


def _signal(name: str, array: RawArray | HeldArray | PackedArray, header: Header) -> Signal:
    return Signal(name, array, header.dtype, plain_axes(header.shape), "numpy")


def _refuse_big(name: str, header: Header, finding: str, advice: str) -> None:
    if math.prod(header.shape) * header.dtype.itemsize > HELD:
        raise BadInput(f"{name} {finding}, so a frame cannot be read alone, and is too big to be held: {advice}.")


def _leading(key: Key) -> int:
    """Return how many parts at the front of `key` are integers."""
    return next((i for i, part in enumerate(key) if not isinstance(part, int)), len(key))
