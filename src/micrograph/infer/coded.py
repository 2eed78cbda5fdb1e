"""Coded frames to movies: each block is decoded once, with its neighbours, and kept while its frames are asked for."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame, Prediction, Recording
from micrograph.core.provenance import digest
from micrograph.features.restoring.block_drift import displacement
from micrograph.io.coded import CodedFile, CodedHeader
from micrograph.io.coding import make_masks
from micrograph.nets import find_weights
from micrograph.nets.gap_tv import GapTv, Sides, gap_tv

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint
    from micrograph.nets.unrolled import Unrolled

Image = NDArray[np.float32]
#: Called with (step, steps, a few words).
Progress = Callable[[int, int, str], object]
#: The shipped decoder.
WEIGHTS = "coded-1"
#: Ways to decode.
Method = Literal["network", "gap-tv"]
#: Sides of an image are mirrored out to multiples of this for the network.
_MULTIPLE = 4


@dataclass(frozen=True)
class Block:
    """A coded frame (H, W) in counts about the header's zero, with the mean images of the blocks before and after."""

    header: CodedHeader
    number: int
    total: Image
    before: Image | None = None
    after: Image | None = None

    @property
    def masks(self) -> NDArray[np.uint8]:
        """The masks (B, H, W)."""
        return masks_of(self.header, len(self.header.frames_of(self.number)))


@functools.lru_cache(maxsize=2)
def _masks(kind: str, seed: int, frames: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    return make_masks(kind, seed, frames, shape)


def masks_of(header: CodedHeader, frames: int) -> NDArray[np.uint8]:
    """Return the masks (B, H, W) of a block of so many frames."""
    return _masks(header.kind, header.seed, frames, header.shape)


@dataclass(frozen=True)
class Decoded:
    """Frames of a block (B, H, W) in the units of the movie, and the 1-sigma of each pixel, likewise."""

    frames: Image
    sigma: Image


Decoder = Callable[[Block], Decoded]


@dataclass(frozen=True)
class TvDecoder:
    """Total variation, nothing learned; the sigma is that of the noise alone: of the mean over the open frames."""

    how: GapTv = field(default_factory=GapTv)
    digest: str = "gap-tv"

    def __call__(self, block: Block) -> Decoded:
        """Return the decoded block."""
        header, masks = block.header, block.masks
        count = masks.sum(axis=0).astype(np.float32)
        level = float(block.total.sum() / count.sum())
        noise = np.sqrt(max(header.gain * level + header.floor, 1e-12))
        frames = gap_tv(block.total, masks, noise, self.how) + np.float32(header.zero)
        sigma = np.sqrt(np.maximum(header.gain * (frames - header.zero) + header.floor, 0) / count)
        return Decoded(frames, np.asarray(sigma, np.float32))


@dataclass(frozen=True)
class NetDecoder:
    """The unrolled network of `nets.unrolled`."""

    net: Unrolled
    digest: str
    card: Mapping[str, Any]

    def __call__(self, block: Block) -> Decoded:
        """Return the decoded block."""
        import torch

        from micrograph.nets.unrolled import Coded

        header, masks = block.header, block.masks
        count = masks.sum(axis=0).astype(np.float32)
        mean = float(block.total.sum(dtype=np.float64) / count.sum(dtype=np.float64))
        unit = float(np.sqrt(max(header.gain * mean + header.floor, header.levels.floor / header.together, 1e-30)))
        level = block.total / count
        seen = np.asarray((block.total - count * mean) / unit, np.float32)
        ends = [None if one is None else (one - mean) / unit for one in (block.before, block.after)]
        others = [np.zeros_like(seen) if one is None else one - seen / count for one in ends]
        noise = noise_map(level, header) / unit
        whole = (
            seen,
            np.stack(others),
            noise,
            gap_tv(seen, masks, 1.0, sides=beside_of(ends[0], seen / count, ends[1])),
        )
        padded = [torch.from_numpy(_padded(np.asarray(one, np.float32)))[None] for one in whole]
        mask = torch.from_numpy(_padded(masks).astype(np.float32))[None]
        with torch.inference_mode():
            found, log_variance = self.net(Coded(padded[0], mask, *padded[1:]))
        height, width = header.shape
        frames, doubt = (one[0, :, :height, :width].numpy() for one in (found[-1], log_variance))
        scale = float(self.card.get("sigma_scale", 1.0))
        sigma = np.exp(0.5 * doubt) * (unit * scale)
        return Decoded(np.asarray(frames * unit + (mean + header.zero), np.float32), np.asarray(sigma, np.float32))


def beside_of(before: Image | None, own: Image, after: Image | None) -> Sides:
    """Return what the mean images of a block and of its neighbours tell: with one neighbour the drift is as steady."""
    moves = [
        None if before is None else displacement(before, own),
        None if after is None else displacement(own, after),
    ]
    first, second = (moves[0] or moves[1] or (0.0, 0.0), moves[1] or moves[0] or (0.0, 0.0))
    return Sides(before, after, first, second)


def noise_map(level: Image, header: CodedHeader) -> Image:
    """Return the 1-sigma (H, W) of raw pixels of about this `level` (smoothed, as it is noisy itself)."""
    from scipy.ndimage import uniform_filter

    smooth = uniform_filter(np.asarray(level, np.float32), 5, mode="nearest")
    variance = header.gain * smooth + header.floor
    return np.asarray(np.sqrt(np.maximum(variance, max(0.02 * float(variance.mean()), 1e-12))), np.float32)


def _padded(array: NDArray[Any]) -> NDArray[Any]:
    """Return (..., H, W) mirrored out to sides that the network takes."""
    sides = [(0, 0)] * (array.ndim - 2) + [(0, -size % _MULTIPLE) for size in array.shape[-2:]]
    return np.pad(array, sides, mode="symmetric") if any(last for _, last in sides) else array


def load_decoder(weights: str = WEIGHTS) -> NetDecoder:
    """Return the network of shipped weights by name, or of a file."""
    from micrograph.nets.unrolled import load_unrolled

    net, card = load_unrolled(weights)
    return NetDecoder(net, digest(find_weights(weights)), card)


@dataclass
class BlockReader:
    """Blocks of a coded movie with their neighbours; a damaged one is None, and no neighbour to others."""

    file: CodedFile
    damaged: Mapping[int, str]
    _kept: dict[int, Image] = field(default_factory=dict)

    def block(self, number: int) -> Block | None:
        """Return block `number`."""
        total = self._total(number)
        if total is None:
            return None
        return Block(self.file.header, number, total, self.mean(number - 1), self.mean(number + 1))

    def _total(self, number: int) -> Image | None:
        if not 0 <= number < self.file.header.blocks or number in self.damaged:
            return None
        if number not in self._kept:
            while len(self._kept) >= 3:
                self._kept.pop(next(iter(self._kept)))
            self._kept[number] = self.file.read(number)
        return self._kept[number]

    def mean(self, number: int) -> Image | None:
        """Return the mean image of a block about the header's zero; None where there is none."""
        total = self._total(number)
        if total is None:
            return None
        header = self.file.header
        count = masks_of(header, len(header.frames_of(number))).sum(axis=0)
        return np.asarray(total / count, np.float32)


@dataclass
class MoviePredictor:
    """Frames of a presented coded movie to `Prediction`: map 'image' with its sigma. One decoded block is kept."""

    reader: BlockReader
    decode: Decoder
    digest: str
    card: Mapping[str, Any]
    _number: int = -1
    _decoded: Decoded | None = None

    def __call__(self, frame: Frame) -> Prediction:
        """Return the decoded frame; `frame` holds the mean image of its block."""
        header = self.reader.file.header
        number, place = divmod(frame.index, header.together)
        if number != self._number:
            block = self.reader.block(number)
            self._decoded = None if block is None else self.decode(block)
            self._number = number
        if self._decoded is None:
            return Prediction(frame, {}, {}, 1.0, Flag.BAD_FRAME)
        image, sigma = self._decoded.frames[place], self._decoded.sigma[place]
        pixel = frame.calibration.pixel_nm or 1.0
        size, raw = self.reader.file.bytes_per_pixel, np.dtype(header.dtype).itemsize
        values = {"block": np.array([number, place, header.together]), "bytes": np.array([size, raw])}
        return Prediction(frame, {"image": image}, {"image": sigma}, pixel, values=values)

    def bytes_per_frame(self, shape: tuple[int, int], pixel_nm: float | None) -> int:
        """Return about how many bytes a block takes while it is decoded."""
        return 4 * shape[0] * shape[1] * (12 * self.reader.file.header.together + 400)


@dataclass(frozen=True)
class CodedMovies:
    """The decoder of a coded movie.

    method: 'network', or 'gap-tv' (total variation, nothing learned); weights: of the network, by name or file.
    """

    method: Method = "network"
    weights: str = WEIGHTS

    def presented(self, recording: Recording) -> Recording:
        """Return the movie's frames; what is read of one is the mean image of its block, and NaN of a damaged one.

        Every checksum is looked at first; what is damaged is told in the notes.
        """
        file = recording.metadata.get("coded")
        if not isinstance(file, CodedFile):
            raise BadInput(f"{recording.name} is no coded movie: make one with 'micrograph compress'.")
        header, damaged = file.header, file.damaged()
        reader = BlockReader(file, damaged)
        chosen = recording.indices
        first, last = header.frames_of(chosen.start).start, header.frames_of(chosen.stop - 1).stop
        nothing = np.full(header.shape, np.nan, np.float32)

        def read(index: int) -> Image:
            mean = reader.mean(index // header.together)
            return nothing if mean is None else mean + np.float32(header.zero)

        spoilt = [number for number in damaged if number in chosen]
        notes = [*recording.metadata.get("notes", ()), *(_told(damaged[number]) for number in spoilt)]
        metadata = {**recording.metadata, "notes": notes, "damaged": damaged}
        return dataclasses.replace(recording, read=read, indices=range(first, last), metadata=metadata, block=None)

    def prepared(self, recording: Recording, progress: Progress | None = None) -> MoviePredictor:
        """Return the decoder for a presented recording."""
        file = recording.metadata["coded"]
        decode = TvDecoder() if self.method == "gap-tv" else load_decoder(self.weights)
        reader = BlockReader(file, recording.metadata["damaged"])
        return MoviePredictor(reader, decode, decode.digest, getattr(decode, "card", {}))

    def begun(self, weights: Path, steps: int | None, seed: int, progress: Progress | None = None) -> Checkpoint:
        """Train the network on scenes that are drawn as it learns, and write it to `weights`."""
        from micrograph.simulate.coding_scenes import CodingScenes
        from micrograph.train.coded import CodedTraining, train_decoder

        usual = CodedTraining(seed=seed)
        settings = usual if steps is None else dataclasses.replace(usual, steps=steps)

        def show(done: int, total: int, loss: float) -> None:
            if progress is not None:
                progress(done, total, f"log error {loss:.3f}")

        return train_decoder(weights, CodingScenes(), settings, progress=show)


def _told(sentence: str) -> str:
    """Return the sentence on a damaged coded frame as a note of a run that goes on without it."""
    return sentence.replace(": copy the file again.", ": these frames are left out; copy the file again.")
