"""Outlined particles: one large frame with all descriptors, and memory over a long movie, from file to tables."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measured import Measured

SIDE, PARTICLES, SCENES, SMALL = 1024, 200, 12, 256


def particles(quick: bool) -> list[Measured]:
    """Analyse a frame of 1024 x 1024 pixels with 200 particles, and movies of 256 x 256, with `particle-shapes`."""
    seconds, number = _frame(3 if quick else 7)
    short, long = (40, 120) if quick else (100, 1000)
    with tempfile.TemporaryDirectory() as name:
        few, many = (_peak(_movie(Path(name), frames), Path(name) / f"out-{frames}") for frames in (short, long))
    peaks = f"peak {many:.0f} MB after {long} frames, {few:.0f} MB after {short}"
    detail = f"{number} particles: network, outlines, all descriptors; bin 1; median"
    return [
        Measured("particle_frame", seconds, "s", 1.0, detail=detail),
        Measured("particle_memory_growth", many - few, "MB", 200, detail=peaks),
    ]


def _frame(repeats: int) -> tuple[float, int]:
    """Return the median seconds from a frame to its tables, and how many particles it holds."""
    from micrograph.core import Calibration, Frame
    from micrograph.infer import load_predictor
    from micrograph.recipes import find_recipe
    from micrograph.simulate import ParticleSampler

    area = np.pi / 4 * 38**2 * PARTICLES / SIDE**2
    sampler = ParticleSampler(
        side_px=SIDE,
        diameter_px=(38, 38.01),
        covered=(area, area * 1.001),
        gaps=("apart",),
        contrast_to_noise=(4, 4.01),
    )
    scene = sampler.scene(np.random.default_rng(2))
    frame = Frame(scene.image, 0, Calibration(pixel_nm=scene.field.pixel_nm))
    recipe, predict = find_recipe("particle-shapes"), load_predictor("particles-1")
    taken = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        number = len(recipe.objects(predict(frame))["objects"])
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:])), number


def _movie(folder: Path, frames: int) -> Path:
    """Write a movie that goes to and fro through a few scenes of particles."""
    from micrograph.simulate import ParticleSampler

    sampler = ParticleSampler(side_px=SMALL, diameter_px=(20, 20.01), covered=(0.1, 0.101), bright=0.0, empty=0.0)
    images = [sampler(np.random.default_rng([4, scene])).image for scene in range(SCENES)]
    path = folder / f"particles-{frames}.npy"
    order = [*range(SCENES), *range(SCENES - 2, 0, -1)]
    np.save(path, np.stack([images[order[frame % len(order)]] for frame in range(frames)]).astype(np.float32))
    return path


def _peak(path: Path, out: Path) -> float:
    """Return the peak memory (MB) of the analysis of a movie, report and movie included."""
    command = [sys.executable, "-c", "from micrograph.apps.cli import main; main()", "analyze", "particle-shapes"]
    options = ["--pixel-size", "0.5 nm", "--frame-time", "1 s", "--quiet"]
    process = subprocess.Popen([*command, str(path), "-o", str(out), *options], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"micrograph analyze ended with status {process.returncode}.")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
