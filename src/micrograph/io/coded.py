"""Movies of which several frames are coded into one: the container (HDF5), checked frame by frame when it is read.

What is kept are whole numbers, levels: the coded counts on a scale on which their noise is the same everywhere, rounded
to a share of it (`Levels`). Layout: ``coded`` (N, H, W) int32, one chunk a frame, deflated; ``sha256`` (N, 32), the
digests of the frames' levels (little-endian int32, line by line); attribute ``header``, everything else as JSON, and
``header_sha256``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Recording
from micrograph.core.provenance import whole
from micrograph.io.files import first_line

FORMAT, VERSION = "micrograph coded movie", 1
#: Ending of the files' names.
SUFFIX = ".coded.h5"
#: Calibration that travels with the movie.
_KEPT = ("pixel_nm", "frame_time_s", "dose_e_per_A2", "voltage_kV", "convergence_mrad", "inner_mrad", "outer_mrad")


@dataclass(frozen=True)
class Levels:
    """The scale of the levels: a coded count c of variance ``gain * c + floor`` lies at level ``f(c) / step``.

    f is the transform that makes the variance 1: ``2 / gain * (sqrt(gain * c + floor) - sqrt(floor))``, odd about c = 0
    and a straight line where the gain is 0. So `step` is the width of a level in units of the noise; rounding adds
    ``step ** 2 / 12`` to the variance.
    """

    gain: float
    floor: float
    step: float

    def of(self, counts: NDArray[np.generic]) -> NDArray[np.int32]:
        """Return the levels (H, W) of coded counts; values that are not finite become 0."""
        c = np.nan_to_num(np.asarray(counts, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        root = np.sqrt(self.floor)
        size = 2 * np.abs(c) / (np.sqrt(self.gain * np.abs(c) + self.floor) + root)
        return np.asarray(np.rint(np.sign(c) * size / self.step), np.int32)

    def counts(self, levels: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the coded counts (H, W) in the middle of each level."""
        f = np.abs(np.asarray(levels, np.float64)) * self.step
        size = np.sqrt(self.floor) * f + self.gain * f**2 / 4
        return np.asarray(np.sign(levels) * size, np.float32)


@dataclass(frozen=True)
class CodedHeader:
    """Everything but the coded frames.

    frames: of the movie; together: frames in one coded frame (the last may hold fewer); kind, seed: of the masks;
    zero: was taken from every raw pixel before it was summed; gain, floor: the variance of a raw pixel of value v is
    ``gain * (v - zero) + floor``; levels: scale of what is kept.
    """

    frames: int
    together: int
    shape: tuple[int, int]
    kind: str
    seed: int
    zero: float
    gain: float
    floor: float
    levels: Levels
    calibration: Calibration = field(default_factory=Calibration)
    source: str = ""
    source_digest: str = ""
    dtype: str = "float32"

    @property
    def blocks(self) -> int:
        """Number of coded frames."""
        return -(-self.frames // self.together)

    def frames_of(self, block: int) -> range:
        """Return the numbers of the frames of a block."""
        return range(block * self.together, min((block + 1) * self.together, self.frames))

    def text(self) -> str:
        """Return the header as JSON."""
        said = dataclasses.asdict(self)
        said["calibration"] = {name: getattr(self.calibration, name) for name in _KEPT}
        return json.dumps({"format": FORMAT, "version": VERSION, **said}, sort_keys=True)

    @classmethod
    def parsed(cls, text: str) -> CodedHeader:
        """Return the header that `text` wrote."""
        said = dict(json.loads(text))
        known = {one.name: said[one.name] for one in dataclasses.fields(cls)}
        known["levels"], known["shape"] = Levels(**said["levels"]), tuple(said["shape"])
        known["calibration"] = Calibration(**said["calibration"])
        return cls(**known)


@dataclass(frozen=True)
class CodedFile:
    """An open container: its header; frames are read alone, and checked."""

    path: Path
    header: CodedHeader

    @property
    def bytes_per_pixel(self) -> float:
        """Size of the file over the pixels of all frames of the movie."""
        return self.path.stat().st_size / (self.header.frames * self.header.shape[0] * self.header.shape[1])

    def levels(self, block: int) -> NDArray[np.int32]:
        """Return the levels (H, W) of a coded frame; raises `BadInput` where its checksum differs."""
        import h5py

        try:
            with h5py.File(self.path, "r") as file:
                levels = np.asarray(file["coded"][block], np.int32)
                expected = bytes(file["sha256"][block])
        except (OSError, RuntimeError, KeyError, ValueError, IndexError) as error:
            raise BadInput(f"{self._what(block)} cannot be read ({first_line(error)}): copy the file again.") from error
        if checksum(levels) != expected:
            raise BadInput(f"{self._what(block)} is damaged (its checksum differs): copy the file again.")
        return levels

    def read(self, block: int) -> NDArray[np.float32]:
        """Return the coded counts (H, W) of a coded frame."""
        return self.header.levels.counts(self.levels(block))

    def damaged(self) -> dict[int, str]:
        """Return a sentence for every coded frame that cannot be used; reads all of them, one at a time."""
        found = {}
        for block in range(self.header.blocks):
            try:
                self.levels(block)
            except BadInput as error:
                found[block] = str(error)
        return found

    def _what(self, block: int) -> str:
        held = self.header.frames_of(block)
        return f"Coded frame {block} of {self.path.name} (frames {held.start} to {held.stop - 1})"


def checksum(levels: NDArray[np.int32]) -> bytes:
    """Return the SHA-256 digest of the levels of a coded frame."""
    return hashlib.sha256(np.ascontiguousarray(levels, "<i4").tobytes()).digest()


def write_coded(path: Path, header: CodedHeader, frames: Iterable[NDArray[np.int32]]) -> None:
    """Write a container, whole or not at all; `frames` gives the levels of each coded frame in order."""
    import h5py

    shape = (header.blocks, *header.shape)
    text = header.text()
    with whole(path) as temporary, h5py.File(temporary, "w") as file:
        kept = file.create_dataset("coded", shape, "<i4", chunks=(1, *header.shape), compression=6, shuffle=True)
        sums = file.create_dataset("sha256", (header.blocks, 32), "u1")
        for block, levels in enumerate(frames):
            kept[block] = levels
            sums[block] = np.frombuffer(checksum(levels), np.uint8)
        file.attrs["header"] = text
        file.attrs["header_sha256"] = hashlib.sha256(text.encode()).hexdigest()


def is_coded(path: Path) -> bool:
    """Tell whether a file is a container of a coded movie."""
    import h5py

    if path.suffix.lower() not in (".h5", ".hdf5") or not path.is_file():
        return False
    try:
        with h5py.File(path, "r") as file:
            return "header_sha256" in file.attrs and "coded" in file
    except (OSError, RuntimeError):
        return False


def open_coded(path: Path) -> CodedFile:
    """Open a container; raises `BadInput` where its header is damaged or not understood."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text, digest = str(file.attrs["header"]), str(file.attrs["header_sha256"])
            shape = tuple(int(size) for size in file["coded"].shape)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise BadInput(
            f"{path.name} is no coded movie that can be read ({first_line(error)}): copy it again."
        ) from error
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        raise BadInput(f"The header of {path.name} is damaged (its checksum differs): copy the file again.")
    version = json.loads(text).get("version")
    if version != VERSION:
        raise BadInput(f"{path.name} is a coded movie of version {version}: update micrograph to read it.")
    header = CodedHeader.parsed(text)
    if shape != (header.blocks, *header.shape):
        raise BadInput(f"{path.name} holds coded frames {shape}, its header tells of {header.blocks}: copy it again.")
    return CodedFile(path, header)


def coded_recording(path: Path, *, pixel_nm: float | None = None, frame_time_s: float | None = None) -> Recording:
    """Return a container as a recording of its coded frames; ``metadata['coded']`` is the `CodedFile`.

    The calibration is that of the movie: `frame_time_s` lies between its frames, not between coded ones.
    """
    file = open_coded(path)
    header = file.header
    known = dataclasses.replace(header.calibration, content="coded")
    metadata: dict[str, Any] = {"coded": file, "reader": "coded", "signal": "coded", "notes": [], "path": str(path)}
    metadata["number"] = 0
    known = known.with_known(pixel_nm=pixel_nm, frame_time_s=frame_time_s)
    return Recording(file.read, range(header.blocks), known, header.shape, "float32", path.name, metadata)


def described(path: Path) -> dict[str, Any]:
    """Return the row of `io.describe` for a container."""
    file = open_coded(path)
    header = file.header
    known = {name: getattr(header.calibration, name) for name in ("pixel_nm", "frame_time_s", "voltage_kV")}
    axes = [f"{header.blocks} coded frames of {header.together} frames", *(f"{size} px" for size in header.shape)]
    shape = (header.blocks, *header.shape)
    row: dict[str, Any] = {"signal": 0, "name": "coded", "shape": shape, "dtype": "int32", "axes": axes}
    return {**row, **known, "frames": header.blocks, "step_nm": None, "reader": "coded", "trouble": ""}
