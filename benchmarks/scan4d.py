"""4D-STEM: virtual detectors and mean patterns of a scan; memory must not grow with it, the pace be that of reading."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import Measured

SIDE, POOL = 128, 64
#: Lines and places of the long scan, lines of the short one, and places along each side of the scan on disk.
LONG, ACROSS, SHORT, ON_DISK = 256, 256, 32, 128
QUICK_LONG, QUICK_ON_DISK = 48, 24
GROWTH_MB, PEAK_MB = 200, 1500
#: The pace asked for, as a share of that of a plain sum over the same patterns.
SHARE = 0.25


def scan4d(quick: bool) -> list[Measured]:
    """Analyse a long and a short scan made on the fly, and one on disk, each in a process of its own."""
    lines = QUICK_LONG if quick else LONG
    few, many = apart("made", str(SHORT)), apart("made", str(lines))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.npy"
        _write(path, QUICK_ON_DISK if quick else ON_DISK)
        disk = apart("disk", str(path))
    patterns = lines * ACROSS
    size = patterns * SIDE**2 * 2 / 1e9
    pace = patterns / many["seconds"]
    words = f"{lines} x {ACROSS} patterns of {SIDE} x {SIDE} uint16, {size:.2f} GB: {many['seconds']:.1f} s"
    share = disk["sum_seconds"] / disk["seconds"]
    paces = (
        f"{disk['bytes'] / 1e9 / disk['seconds']:.2f} GB/s, a plain sum over the same file "
        f"{disk['bytes'] / 1e9 / disk['sum_seconds']:.2f} GB/s"
    )
    peaks = f"peak {many['peak_mb']:.0f} MB after {lines} lines, {few['peak_mb']:.0f} MB after {SHORT}"
    return [
        Measured("scan4d_pace", pace, "1/s", detail=f"patterns a second, with all tables and maps written; {words}"),
        Measured("scan4d_share", share, "", SHARE, at_least=True, detail=f"of the pace of a plain sum: {paces}"),
        Measured("scan4d_growth", many["peak_mb"] - few["peak_mb"], "MB", GROWTH_MB, detail=peaks),
        Measured("scan4d_peak", many["peak_mb"], "MB", PEAK_MB, detail=words),
    ]


def apart(kind: str, what: str) -> dict[str, float]:
    """Return what a run of this file in a process of its own measures: a scan 'made' of so many lines, or on 'disk'."""
    command = [sys.executable, "-m", "benchmarks.scan4d", kind, what]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _pool() -> NDArray[np.uint16]:
    """Return (POOL, SIDE, SIDE) noisy patterns of a disc that wanders."""
    rng = np.random.default_rng(0)
    y = np.arange(SIDE)[:, None] - SIDE / 2 - rng.normal(0, 0.5, (POOL, 1, 1))
    x = np.arange(SIDE) - SIDE / 2 - rng.normal(0, 0.5, (POOL, 1, 1))
    away = np.hypot(y, x)
    return np.asarray(rng.poisson(40.0 * (away < 24) + 3 * np.exp(-away / 20)), np.uint16)


def _write(path: Path, side: int) -> None:
    pool = _pool()
    with path.open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": (side, side, SIDE, SIDE)}
        np.lib.format.write_array_header_1_0(file, header)
        for line in range(side):
            file.write(pool[(np.arange(side) + 7 * line) % POOL].tobytes())


def _made(lines: int) -> Any:
    """Return a scan whose patterns are made when they are read."""
    from micrograph.core import Calibration, Recording, SignalAxis

    pool = _pool()

    def block(first: int, last: int) -> NDArray[np.uint16]:
        return pool[np.arange(first, last) % POOL]

    scale = Calibration(content="scan", step_nm=0.1, signal_axis=SignalAxis("mrad", 0.5))
    count, shape = range(lines * ACROSS), (SIDE, SIDE)
    return Recording(
        lambda index: pool[index % POOL], count, scale, shape, "uint16", "made", nav_shape=(lines, ACROSS), block=block
    )


def measure(kind: str, what: str) -> dict[str, float]:
    """Return the seconds of an analysis, of a plain sum over the same patterns, and the peak memory."""
    from micrograph.io import open_recording
    from micrograph.recipes import find_recipe
    from micrograph.run import analyze, learned, presented

    recipe = find_recipe("virtual-detectors")
    with tempfile.TemporaryDirectory() as folder:  # what is imported when it is first needed does not count
        rows = presented(recipe, _made(8))
        analyze(recipe, rows, learned(recipe, rows, Path(folder) / "unused"), Path(folder) / "out")
    scan = _made(int(what)) if kind == "made" else open_recording(what)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        rows = presented(recipe, scan)
        analyze(recipe, rows, learned(recipe, rows, Path(folder) / "unused"), Path(folder) / "out")
        seconds = time.perf_counter() - began
    began = time.perf_counter()
    down, across = scan.nav_shape
    sum(int(scan.many(row * across, (row + 1) * across).sum()) for row in range(down))
    plain = time.perf_counter() - began
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    size = down * across * SIDE**2 * 2
    return {"seconds": seconds, "sum_seconds": plain, "peak_mb": peak, "bytes": float(size)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], sys.argv[2])) + "\n")
