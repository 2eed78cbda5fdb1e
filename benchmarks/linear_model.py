"""How much faster the linear image model is than multislice with abTEM, on the same field."""

from __future__ import annotations

import importlib.util

import numpy as np

from benchmarks.measured import Measured, median, timed

PIXEL_NM = 0.02


def linear_model(quick: bool) -> list[Measured]:
    """Return the ratio of times for a small MoS2 field: PRISM without interpolation (abTEM) over `simulate.adf`."""
    if importlib.util.find_spec("abtem") is None:
        return []
    from micrograph.simulate import Microscope, adf_points
    from micrograph.validate.exact import image_spectrum, scattering_products
    from micrograph.validate.scenes import Cell, tmd_scene

    microscope = Microscope(voltage_kV=80.0, convergence_mrad=25.0, inner_mrad=68.0, outer_mrad=180.0)
    specimen = tmd_scene("MoS2", Cell((1, 0), (4, 2)), microscope, np.random.default_rng(0)).specimen
    shape = (int(specimen.size_nm[0] / PIXEL_NM), int(specimen.size_nm[1] / PIXEL_NM))
    exact = timed(lambda: image_spectrum(scattering_products(specimen, microscope), microscope))

    def fast() -> None:
        adf_points(specimen.positions_nm, specimen.numbers, microscope, pixel_nm=PIXEL_NM, shape=shape)

    fast()
    linear = median([timed(fast) for _ in range(3 if quick else 11)])
    field = " x ".join(f"{side:.2f}" for side in specimen.size_nm)
    detail = f"{field} nm of MoS2: multislice {exact.wall:.1f} s, linear model {1e3 * linear.wall:.1f} ms"
    return [Measured("linear_model_speed", exact.wall / linear.wall, "times", 100, at_least=True, detail=detail)]
