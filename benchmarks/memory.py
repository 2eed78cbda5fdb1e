"""Memory over a long movie: the peak of `micrograph analyze` must not grow with the number of frames."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import Measured

PIXEL_NM, PIXELS, BUDGET_MB = 0.01, 512, 2000
#: Frames of the long and of the short movie; the same with --quick.
LONG, SHORT = 20_000, 200
QUICK_LONG, QUICK_SHORT = 300, 100
_AS = (f"--pixel-size={PIXEL_NM} nm", f"--memory={BUDGET_MB} MB")


@dataclass(frozen=True)
class Run:
    """One run of the command: peak memory, time, time until the first rows were on disk."""

    peak_mb: float
    seconds: float
    first_rows_s: float


def memory(quick: bool, frames: int | None = None) -> list[Measured]:
    """Analyse a long and a short movie of 512 x 512 uint16 frames in processes of their own."""
    long, short = frames or (QUICK_LONG if quick else LONG), QUICK_SHORT if quick else SHORT
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        require_space(folder, long * PIXELS**2 * 2)
        few, many = (
            analysed("atoms", written(folder / f"movie-{count}.npy", _scenes(), count), folder / f"out-{count}", *_AS)
            for count in (short, long)
        )
    size = long * PIXELS**2 * 2 / 1e9
    speed = f"{long} frames, {size:.1f} GB: {many.seconds:.0f} s, {long / many.seconds:.1f} frames/s"
    peaks = f"peak {many.peak_mb:.0f} MB after {long} frames, {few.peak_mb:.0f} MB after {short}"
    return [
        Measured("memory_growth", many.peak_mb - few.peak_mb, "MB", 200, detail=peaks),
        Measured("memory_peak", many.peak_mb, "MB", BUDGET_MB, detail=f"--memory '{BUDGET_MB} MB'; {speed}"),
        Measured("first_rows", many.first_rows_s, "s", 15, detail="from the start of the program to rows on disk"),
    ]


def require_space(folder: Path, size: int) -> None:
    """End the program where a folder has not a fifth more room than `size` bytes."""
    need, free = int(1.2 * size), shutil.disk_usage(folder).free
    if need > free:
        sys.exit(f"{folder} has {free / 1e9:.0f} GB free, {need / 1e9:.0f} GB are needed: set TMPDIR or give --frames.")


def _scenes(count: int = 16) -> NDArray[np.uint16]:
    """Return (count, H, W) noisy images of a square crystal of 170 columns."""
    from micrograph.simulate import Microscope, adf_points

    rng = np.random.default_rng(0)
    side = np.arange(0.2, PIXELS * PIXEL_NM - 0.1, 0.39)
    columns = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    images = []
    for _ in range(count):
        moved = columns + rng.normal(0, 0.005, columns.shape)
        fraction = adf_points(moved, np.full(len(moved), 38), Microscope(), pixel_nm=PIXEL_NM, shape=(PIXELS, PIXELS))
        images.append(rng.poisson(2e5 * (10 * PIXEL_NM) ** 2 * np.clip(fraction, 0, None).astype(float)))
    return np.array(images, np.uint16)


def written(path: Path, scenes: NDArray[np.uint16], frames: int) -> Path:
    """Write a movie of `frames` frames that repeats a few scenes (N, H, W), without holding it in memory."""
    with path.open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": (frames, *scenes.shape[1:])}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in range(frames):
            file.write(scenes[frame % len(scenes)].tobytes())
    return path


def analysed(recipe: str, movie: Path, out: Path, *options: str) -> Run:
    """Run `micrograph analyze` on `movie`, watching for its first rows, and remove the movie."""
    command = [sys.executable, "-c", "from micrograph.apps.cli import main; main()", "analyze", recipe, str(movie)]
    began, first = time.perf_counter(), float("nan")
    process = subprocess.Popen(
        [*command, "-o", str(out), *options, "--device=cpu", "--quiet"], stdout=subprocess.DEVNULL
    )
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if np.isnan(first) and any(out.glob("parts/objects-*.arrow")):
            first = time.perf_counter() - began
        if pid:
            break
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"micrograph analyze ended with status {process.returncode}.")
    movie.unlink()
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Run(usage.ru_maxrss / unit, time.perf_counter() - began, first)
