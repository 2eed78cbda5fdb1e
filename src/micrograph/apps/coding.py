"""A movie into a container of coded frames: streamed, in parts that a kill does not cost, whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.jobs import Advance, silent
from micrograph.core import BadInput, Recording
from micrograph.core.provenance import made_folder, whole
from micrograph.features.restoring.coding_plan import Coding, planned
from micrograph.io.coded import SUFFIX, CodedFile, CodedHeader, checksum, open_coded, write_coded
from micrograph.io.coding import Summing, make_masks
from micrograph.run.record import input_digest


def compress(
    recording: Recording, out: Path, coding: Coding | None = None, *, resume: bool = False, progress: Advance = silent
) -> CodedFile:
    """Write `recording`, `coding.together` frames coded into one, to `out` (.coded.h5), and return the open file.

    Every frame is read once. Coded frames are kept beside `out` as they are made; `out` appears whole at the end.
    With `resume` an earlier run that was stopped goes on, if it was made from the same movie in the same way. Raises
    `BadInput` for another suffix, and for what is no movie.
    """
    if not out.name.endswith(SUFFIX):
        raise BadInput(f"The coded movie is to be called '{out.name}': give a name that ends in {SUFFIX}.")
    if out.is_dir():
        raise BadInput(f"{out} is a folder: give the name of a file that ends in {SUFFIX}.")
    header = planned(recording, coding or Coding())
    header = dataclasses.replace(header, source_digest=input_digest(recording))
    parts = _Parts(out.with_name(f".{out.name}-parts"), header)
    made_folder(out.parent)
    if resume:
        parts.require_same()
    else:
        parts.remove()
    parts.begin()
    for block in range(header.blocks):
        if not parts.has(block):
            parts.write(block, _coded(recording, header, block))
        progress(header.frames_of(block).stop, header.frames, f"coded frame {block + 1} of {header.blocks}")
    write_coded(out, header, parts.all())
    parts.remove()
    return open_coded(out)


def _coded(recording: Recording, header: CodedHeader, block: int) -> NDArray[np.int32]:
    """Return the levels of one coded frame, holding one frame of the movie at a time."""
    frames = header.frames_of(block)
    summing = Summing(make_masks(header.kind, header.seed, len(frames), header.shape), header.zero)
    for position in frames:
        summing.add(recording.frame(position).data)
    return header.levels.of(summing.total)


@dataclass(frozen=True)
class _Parts:
    """Coded frames on disk before the container is written; a digest stands in front of each."""

    folder: Path
    header: CodedHeader

    def begin(self) -> None:
        """Write what decides the result."""
        made_folder(self.folder)
        with whole(self.folder / "header.json") as temporary:
            temporary.write_text(self.header.text(), encoding="utf-8")

    def require_same(self) -> None:
        """Refuse to go on with parts of another movie."""
        path = self.folder / "header.json"
        if path.exists() and path.read_text(encoding="utf-8") != self.header.text():
            raise BadInput(
                "The earlier run was made from another movie or in another way: give the same as then, or leave "
                "--resume out to start anew."
            )

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def has(self, block: int) -> bool:
        """Tell whether a coded frame is there and whole."""
        return self._path(block).exists() and self._read(block) is not None

    def write(self, block: int, levels: NDArray[np.int32]) -> None:
        """Write a coded frame, whole or not at all."""
        with whole(self._path(block)) as temporary:
            temporary.write_bytes(checksum(levels) + np.ascontiguousarray(levels, "<i4").tobytes())

    def all(self) -> Iterator[NDArray[np.int32]]:
        """Yield all coded frames in order."""
        for block in range(self.header.blocks):
            levels = self._read(block)
            if levels is None:
                raise BadInput(f"{self._path(block)} was damaged while the movie was coded: start anew.")
            yield levels

    def _path(self, block: int) -> Path:
        return self.folder / f"{block:07d}.levels"

    def _read(self, block: int) -> NDArray[np.int32] | None:
        content = self._path(block).read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        return np.frombuffer(content[32:], "<i4").reshape(self.header.shape)


@dataclass(frozen=True)
class Asked:
    """A movie as it is named on the command line, with texts that carry units."""

    path: Path
    pixel_size: str | None = None
    frame_time: str | None = None
    signal: str | None = None


def compress_file(asked: Asked, out: Path, coding: Coding, *, resume: bool = False, progress: Advance = silent) -> str:
    """Code the movie that is asked for, and return in words what was written."""
    from micrograph.apps import requests

    calibration = {"pixel_nm": asked.pixel_size, "frame_time_s": asked.frame_time}
    recording = requests.open_calibrated(asked.path, requests.Request("", calibration, signal=asked.signal))
    return sentence(compress(recording, out, coding, resume=resume, progress=progress), recording)


def sentence(file: CodedFile, recording: Recording) -> str:
    """Return in words how large the movie has become."""
    raw = np.dtype(recording.dtype).itemsize
    each = file.bytes_per_pixel
    return (
        f"{file.path} holds {file.header.frames} frames in {file.header.blocks} coded ones: {8 * each:.3g} bits a "
        f"pixel, {raw / each:.3g} times smaller than the raw ones; decode it with 'micrograph analyze compressed-movie'"
    )
