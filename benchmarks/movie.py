"""A movie that the program has never seen, from file to report: learning once, then frames a second and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measured import Measured

PIXELS, SCENES = 512, 24


def movie(quick: bool) -> list[Measured]:
    """Analyse movies of 512 x 512 pixels with `movie-defects`, weights learned once, in processes of their own."""
    short, long = (20, 40) if quick else (60, 300)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [_movie(folder, count) for count in (short, long)]
        learned_s, weights = _learned(folder, paths[0])
        few, many = (_analysed(path, folder / path.stem, weights) for path in paths)
    rate = (long - short) / (many[0] - few[0])
    detail = f"{long} frames in {many[0]:.0f} s, report and movie included; per frame beyond the first {short}"
    peaks = f"peak {many[1]:.0f} MB after {long} frames, {few[1]:.0f} MB after {short}"
    return [
        Measured("movie_frames_per_s", rate, "1/s", 3, at_least=True, detail=detail),
        Measured("movie_memory_growth", many[1] - few[1], "MB", 200, detail=peaks),
        Measured("movie_learning", learned_s, "s", None, detail="training on the first frame, 600 steps"),
    ]


def _movie(folder: Path, frames: int) -> Path:
    """Write a movie of doped WS2 under the beam, which goes to and fro through a few frames."""
    from micrograph.simulate import TMD_SETTINGS, TmdSample, tmd_movie

    path = folder / f"movie-{frames}.npy"
    settings = replace(TMD_SETTINGS, frames=SCENES, size_px=(PIXELS, PIXELS), pixel_nm=0.0176)
    recording = tmd_movie(TmdSample(vacancies=0.015), settings).recording
    scenes = [np.clip(recording.read(i), 0, 65535).astype(np.uint16) for i in range(SCENES)]
    course = [*range(SCENES), *range(SCENES - 2, 0, -1)]
    with path.open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": (frames, PIXELS, PIXELS)}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in range(frames):
            file.write(scenes[course[frame % len(course)]].tobytes())
    return path


def _learned(folder: Path, path: Path) -> tuple[float, Path]:
    """Return how long learning takes, and the weights, from an analysis of the first frame."""
    began = time.perf_counter()
    _run(path, folder / "first", "--frames", "0:1")
    return time.perf_counter() - began, folder / "first" / "model.safetensors"


def _analysed(path: Path, out: Path, weights: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory (MB) of an analysis with known weights."""
    began = time.perf_counter()
    peak = _run(path, out, "--weights", str(weights))
    return time.perf_counter() - began, peak


def _run(path: Path, out: Path, *more: str) -> float:
    """Run the command on a movie; return its peak memory in MB."""
    command = [sys.executable, "-c", "from micrograph.apps.cli import main; main()", "analyze", "movie-defects"]
    options = ["--pixel-size", "0.0176 nm", "--frame-time", "1 s", "--quiet", *more]
    process = subprocess.Popen([*command, str(path), "-o", str(out), *options], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"micrograph analyze ended with status {process.returncode}.")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
