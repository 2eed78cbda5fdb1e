"""Domain randomisation: microscopes and scans drawn from stated ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from micrograph.core import BadInput
from micrograph.simulate.optics import Microscope
from micrograph.simulate.scan import Scan

Range = tuple[float, float]

#: Aberration-corrected ADF-STEM between 60 and 200 kV. Uniform; azimuths cover the whole circle.
MICROSCOPE_RANGES: Mapping[str, Range] = {
    "voltage_kV": (60.0, 200.0),
    "convergence_mrad": (22.0, 35.0),
    "inner_mrad": (50.0, 90.0),
    "outer_mrad": (150.0, 250.0),
    "defocus_nm": (-4.0, 4.0),
    "cs_mm": (-2e-3, 2e-3),
    "astigmatism_nm": (0.0, 3.0),
    "astigmatism_deg": (0.0, 180.0),
    "coma_nm": (0.0, 100.0),
    "coma_deg": (0.0, 360.0),
    "source_fwhm_nm": (0.04, 0.11),
}

#: Uniform, but for the dose, which is log-uniform.
SCAN_RANGES: Mapping[str, Range] = {
    "dose_e_per_A2": (1e3, 1e6),
    "jitter_nm": (0.0, 0.006),
    "drift_nm": (0.0, 0.15),
    "flyback_nm": (0.0, 0.05),
    "flyback_decay": (0.02, 0.1),
    "affine": (0.0, 0.015),
    "background": (0.0, 1e-3),
    "line_noise": (0.0, 0.03),
    "gain": (1.0, 1.0),
    "offset": (0.0, 0.0),
    "readout_e": (0.0, 0.3),
    "dead_fraction": (0.0, 0.0),
    "hot_fraction": (0.0, 0.0),
}
_LOG_UNIFORM = {"dose_e_per_A2"}


def random_microscope(rng: np.random.Generator, **ranges: Range) -> Microscope:
    """Return a microscope drawn from `MICROSCOPE_RANGES`; a keyword ``field=(low, high)`` replaces a field's range.

    >>> random_microscope(np.random.default_rng(0), voltage_kV=(60.0, 60.0)).voltage_kV
    60.0
    """
    return Microscope(**_draw(MICROSCOPE_RANGES, ranges, rng))


def random_scan(rng: np.random.Generator, **ranges: Range) -> Scan:
    """Return a scan drawn from `SCAN_RANGES`; a keyword ``field=(low, high)`` replaces a field's range."""
    return Scan(**_draw(SCAN_RANGES, ranges, rng))


def params_of(*settings: Microscope | Scan) -> dict[str, float]:
    """Return the settings as one flat mapping, as `micrograph.core.Sample.params` keeps them."""
    return {name: float(value) for part in settings for name, value in asdict(part).items()}


def _draw(defaults: Mapping[str, Range], ranges: Mapping[str, Range], rng: np.random.Generator) -> dict[str, float]:
    """Draw every field in the order of `defaults`."""
    unknown = set(ranges) - set(defaults)
    if unknown:
        raise BadInput(f"There is no setting '{min(unknown)}' to draw: choose among {', '.join(defaults)}.")
    drawn = {}
    for name, default in defaults.items():
        low, high = ranges.get(name, default)
        if name in _LOG_UNIFORM:
            drawn[name] = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        else:
            drawn[name] = float(rng.uniform(low, high))
    return drawn
