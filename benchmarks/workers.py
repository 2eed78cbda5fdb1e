"""Several workers: how much faster they are, and whether their tables are those of one, also when one is killed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.measured import Measured

#: Frames of the movie by which the speed-up is measured, and of the one that is analysed again and again.
FRAMES, FEW, PIXELS = 4000, 200, 256
QUICK_FRAMES = 100
SPEED_UP = 1.8
#: One thread each, alone or beside others: what is compared is processes.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def workers(quick: bool) -> list[Measured]:
    """Analyse a movie with one process and with two workers; a short one again, and with two of which one is killed."""
    frames = QUICK_FRAMES if quick else FRAMES
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        movie, short = _movie(folder / "movie.npy", frames), _movie(folder / "short.npy", FEW)
        one_s, alone = _analysed(movie, folder / "one", core=0)
        two_s, two = _analysed(movie, folder / "two", "--workers", "2")
        short_s, first = _analysed(short, folder / "first")
        _, again = _analysed(short, folder / "again")
        _, lost = _analysed(short, folder / "lost", "--workers", "2", kill_after_s=0.5 * short_s)
    words = f"{frames} frames of {PIXELS} x {PIXELS}: {one_s:.0f} s on one core, {two_s:.0f} s by two workers"
    return [
        Measured("workers_speed_up", one_s / two_s, "", SPEED_UP, at_least=True, detail=words),
        _same("workers_same_tables", alone, two, "one process and two workers"),
        _same("workers_lost_one", first, lost, "one process, and two workers of which one is killed"),
        _same("run_twice", first, again, "the same run twice"),
    ]


def cores(quick: bool) -> list[Measured]:
    """Analyse a short movie on one core, then two copies of it at once: no two workers can gain more than these do."""
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        movie = _movie(folder / "movie.npy", QUICK_FRAMES if quick else FEW)
        alone_s, _ = _analysed(movie, folder / "alone", core=0)
        both = pool.map(lambda core: _analysed(movie, folder / f"beside-{core}", core=core)[0], range(2))
        pair_s = max(both)
    words = f"what this machine's cores allow: a run takes {alone_s:.1f} s alone, {pair_s:.1f} s beside another"
    return [Measured("workers_limit", 2 * alone_s / pair_s, "", detail=words)]


def _same(name: str, first: dict[str, str], second: dict[str, str], words: str) -> Measured:
    """Return the share of tables that are the same, byte for byte."""
    same = [first[table] == second.get(table) for table in first]
    return Measured(name, sum(same) / len(same), "", 1.0, at_least=True, detail=f"{words}: {len(same)} tables")


def _movie(path: Path, frames: int) -> Path:
    """Write a movie of particles, each frame with noise of its own."""
    from micrograph.simulate import ParticleSampler

    rng = np.random.default_rng(0)
    images = [ParticleSampler()(np.random.default_rng(seed)).image for seed in range(8)]
    scenes = [image[:PIXELS, :PIXELS] / image.mean() for image in images]
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (frames, PIXELS, PIXELS)}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in range(frames):
            scene = scenes[frame * len(scenes) // frames]
            file.write((scene + 0.05 * rng.standard_normal(scene.shape)).astype("<f4").tobytes())
    return path


def _analysed(
    movie: Path, out: Path, *more: str, core: int | None = None, kill_after_s: float | None = None
) -> tuple[float, dict[str, str]]:
    """Return the seconds of `micrograph analyze` and the digests of its tables.

    core: the only one that it may use, where the system can hold it there; kill a worker after so many seconds.
    """
    command = [sys.executable, "-c", "from micrograph.apps.cli import main; main()", "analyze", "particle-shapes"]
    options = ["--pixel-size=0.5 nm", "--device=cpu", "--quiet", "--bin=1", *more]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, str(movie), "-o", str(out), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | ONE_THREAD,
    )  # fmt: skip
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {core})  # the threads that it starts stay there too
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(_workers_of(process.pid)[0], signal.SIGKILL)
    if process.wait():
        sys.exit(f"micrograph analyze ended with status {process.returncode}.")
    seconds = time.perf_counter() - began
    return seconds, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("*.parquet"))}


def _workers_of(pid: int) -> list[int]:
    """Return the processes of a program that compute: its children whose command is a worker's."""
    import psutil

    children = psutil.Process(pid).children(recursive=True)
    return [one.pid for one in children if "spawn_main" in " ".join(one.cmdline())]
