"""Time and memory of volumes of three elements, 256^3 voxels from 13 views, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np

from benchmarks.measured import Measured
from micrograph.core import Calibration, Frame
from micrograph.features.volumes.projector import Projector
from micrograph.infer.volumes import Tomography
from micrograph.simulate.signals.phantoms import Dots

SIDE, QUICK_SIDE = 256, 96
TILTS = tuple(float(tilt) for tilt in range(-60, 61, 10))
#: Mean counts a pixel, an element and a view, on pixels of 1/64 of the field.
COUNTS = 0.5
MINUTES, PEAK_GB = 10, 6


def volumes(quick: bool) -> list[Measured]:
    """Reconstruct one dot; `quick`: on a smaller grid, where the bounds say little."""
    side = QUICK_SIDE if quick else SIDE
    command = [sys.executable, "-m", "benchmarks.volumes", str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    words = f"{side}^3 voxels, {len(TILTS)} views, 3 elements; processor {found['cpu'] / 60:.1f} min"
    return [
        Measured("volumes_minutes", found["seconds"] / 60, "min", MINUTES, detail=words),
        Measured("volumes_peak", found["peak_gb"], "GB", PEAK_GB, detail=words),
    ]


def main() -> None:
    side = int(sys.argv[1])
    rng = np.random.default_rng(0)
    dots = Dots(diameter_nm=(12, 12), facets=1.0, side=64)
    phantom = dots(rng)
    number = side // 64
    share = np.repeat(np.repeat(np.repeat(phantom.share, number, 1), number, 2), number, 3)
    projector = Projector(TILTS, side, side)
    clean = np.stack([projector.forward(one) for one in share])
    counts = rng.poisson(clean * (COUNTS / number**2 / clean.mean()) + 0.01 / number**2).astype(np.float32)
    del share, clean
    scale = Calibration(pixel_nm=dots.field_nm / side, content="elements", channels=phantom.elements)
    begun, cpu = time.perf_counter(), time.process_time()
    Tomography().predictor(TILTS, phantom.elements)(Frame(counts, 0, scale))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    said = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu, "peak_gb": peak}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
