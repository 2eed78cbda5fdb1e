"""A real movie coded and decoded: `python -m benchmarks.real_coded FOLDER`, beside the noise of its frames.

FOLDER holds the frames of a movie as pictures, or is any recording. The measured frames are no truth: the PSNR of a
perfect decoding against them is that of their noise, which is printed as the floor.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from micrograph.core import Calibration, Recording
from micrograph.features.restoring.coding_plan import Coding, planned
from micrograph.infer.coded import CodedMovies
from micrograph.io import open_recording
from micrograph.io.coded import SUFFIX, coded_recording
from micrograph.validate.restoring.coded_checks import decoded_frames, encode
from micrograph.validate.restoring.coded_scenes import psnr
from micrograph.validate.restoring.rates import jpeg_at


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=60, help="of the movie")
    parser.add_argument("--side", type=int, default=256, help="pixels of the middle that are used")
    given = parser.parse_args(arguments)
    recording = open_recording(given.folder)[: given.frames]
    top, left = ((size - min(given.side, size)) // 2 for size in recording.shape)
    cut = [frame.data[top : top + given.side, left : left + given.side] for frame in recording]
    raw = np.stack(cut)
    peak = 2 * float(raw.mean())
    noise = planned(_recording(raw), Coding(2))
    variance = noise.gain * (float(raw.mean()) - noise.zero) + noise.floor
    sys.stdout.write(
        f"{len(raw)} frames {raw.shape[1:]}: noise 1-sigma {np.sqrt(variance):.2f}, its PSNR "
        f"{10 * np.log10(peak**2 / variance):.1f} dB is what a perfect decoding would reach\n"
    )
    for together in (10, 20, 30):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"movie{SUFFIX}"
            encode(_recording(raw), path, Coding(together))
            size = path.stat().st_size
            said = [f"B = {together}: {8 * size / raw.size:.3f} bits a pixel"]
            for method in ("network", "gap-tv"):
                how = CodedMovies(method=method)
                opened = how.presented(coded_recording(path))
                begun = time.perf_counter()
                frames, _ = decoded_frames(opened, how.prepared(opened))
                seconds = (time.perf_counter() - begun) / len(raw)
                said.append(f"{method} {psnr(frames, raw, peak):.1f} dB ({seconds:.2f} s a frame)")
            said.append(f"JPEG of equal size {psnr(jpeg_at(raw, size)[0], raw, peak):.1f} dB")
        sys.stdout.write(", ".join(said) + "\n")


def _recording(frames: np.ndarray) -> Recording:
    """Return frames (T, H, W) in memory as a recording."""
    shape = (frames.shape[1], frames.shape[2])
    return Recording(frames.__getitem__, range(len(frames)), Calibration(), shape, str(frames.dtype), "movie")


if __name__ == "__main__":
    main()
