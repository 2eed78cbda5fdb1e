"""Recordings of 30 GB: a movie of a 4k camera, and a scan of diffraction patterns, each within 1 GB of memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import scan4d
from benchmarks.measured import Measured
from benchmarks.memory import analysed, require_space, written

#: Bytes of a recording, pixels of a camera along each side, how many of them are averaged, memory in MB.
SIZE, QUICK_SIZE = 30e9, 0.6e9
PIXELS, BINNED = 4096, 8
BUDGET_MB = 1000


def large(quick: bool) -> list[Measured]:
    """Analyse the particles of a movie and the virtual detectors of a scan, each in a process of its own."""
    size = QUICK_SIZE if quick else SIZE
    frames = int(np.ceil(size / (PIXELS**2 * 2)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        require_space(folder, frames * PIXELS**2 * 2)
        movie = written(folder / "movie.npy", _scenes(), frames)
        options = (f"--bin={BINNED}", f"--memory={BUDGET_MB} MB", "--pixel-size=0.05 nm")
        run = analysed("particle-shapes", movie, folder / "out", *options)
    words = f"{frames} frames of {PIXELS} x {PIXELS}, {frames * PIXELS**2 * 2 / 1e9:.1f} GB"
    lines = int(np.ceil(size / (scan4d.ACROSS * scan4d.SIDE**2 * 2)))
    scan = scan4d.apart("made", str(lines))
    patterns = f"{lines} x {scan4d.ACROSS} patterns of {scan4d.SIDE} x {scan4d.SIDE}, {scan['bytes'] / 1e9:.1f} GB"
    times = f"{run.seconds:.0f} s, first rows after {run.first_rows_s:.0f} s"
    return [
        Measured("large_movie_peak", run.peak_mb, "MB", BUDGET_MB, detail=f"{words}: {times}"),
        Measured("large_scan_peak", scan["peak_mb"], "MB", BUDGET_MB, detail=f"{patterns}: {scan['seconds']:.0f} s"),
    ]


def _scenes(count: int = 4) -> NDArray[np.uint16]:
    """Return (count, PIXELS, PIXELS) noisy images of particles, drawn at the size of the binned frames."""
    from micrograph.simulate import ParticleSampler

    rng, sampler = np.random.default_rng(0), ParticleSampler()
    found = np.empty((count, PIXELS, PIXELS), np.uint16)
    for scene in found:
        image = sampler(rng).image
        room = [(0, max(0, PIXELS // BINNED - side)) for side in image.shape]
        drawn = np.pad(image, room, mode="reflect")[: PIXELS // BINNED, : PIXELS // BINNED]
        scene[:] = rng.poisson(20 * np.kron(drawn / drawn.mean(), np.ones((BINNED, BINNED))))
    return found
