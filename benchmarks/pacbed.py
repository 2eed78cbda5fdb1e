"""Time of one fitted convergent-beam pattern, alone and in a scan whose geometry is known."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from benchmarks.measured import Measured

CONVERGENCE_MRAD, MRAD_PER_PX, SIDE, ELECTRONS, BOUND_MS = 19.1, 0.41, 128, 1e5, 20.0
COUNT, QUICK_COUNT = 40, 8


def pacbed(quick: bool) -> list[Measured]:
    """Fit patterns of SrTiO3 of random thickness and tilt; the library is made first where it is not there yet."""
    from micrograph.features.diffraction.pattern_fit import Geometry, PatternFit, Prepared, expected
    from micrograph.infer.patterns import predictor_of
    from micrograph.simulate.patterns.pattern_cache import cached_library
    from micrograph.structures.zone_cell import zone_cell

    library = cached_library(zone_cell("SrTiO3"), 200.0, CONVERGENCE_MRAD)
    alone, wide = predictor_of(library, MRAD_PER_PX, ""), Prepared.of(library, 12.0)
    rng, place = np.random.default_rng(0), Geometry(63.0, 64.5, MRAD_PER_PX, 20.0)
    images = []
    for _ in range(QUICK_COUNT if quick else COUNT):
        tilt = rng.uniform(-2.5, 2.5, 2)
        truth = PatternFit(float(rng.uniform(5, 100)), (float(tilt[0]), float(tilt[1])), place, ELECTRONS, 0.5)
        images.append(rng.poisson(np.clip(expected((SIDE, SIDE), wide, truth), 0, None)).astype(np.float32))
    results = []
    for name, predict in (("pacbed_pattern", alone), ("pacbed_in_scan", replace(alone, common=place))):
        predict.fit(images[0])
        times = []
        for image in images:
            began = time.perf_counter()
            predict.fit(image)
            times.append(1e3 * (time.perf_counter() - began))
        words = (
            f"median of {len(times)} patterns of {SIDE} x {SIDE}, {CONVERGENCE_MRAD} mrad; mean {np.mean(times):.1f} ms"
        )
        results.append(Measured(name, float(np.median(times)), "ms", BOUND_MS, detail=words))
    return results
