"""Objective lenses drawn from ranges: what the samplers of HRTEM images share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from micrograph.simulate.phase.hrtem import Lens
from micrograph.simulate.ranges import Range

if TYPE_CHECKING:
    from micrograph.simulate.phase.hrtem_sampler import HrtemSampler
    from micrograph.simulate.phase.nanotube_sampler import NanotubeSampler


def drawn_lens(
    ranges: HrtemSampler | NanotubeSampler, defocus_nm: float, illumination_mrad: Range, rng: np.random.Generator
) -> Lens:
    """Return a lens of a given defocus whose errors lie in a sampler's ranges and point in any direction."""
    return Lens(
        voltage_kV=ranges.voltage_kV,
        defocus_nm=defocus_nm,
        cs_mm=float(rng.uniform(*ranges.cs_mm)),
        astigmatism_nm=float(rng.uniform(*ranges.astigmatism_nm)),
        astigmatism_deg=float(rng.uniform(0, 180)),
        threefold_nm=float(rng.uniform(*ranges.threefold_nm)),
        threefold_deg=float(rng.uniform(0, 120)),
        coma_nm=float(rng.uniform(*ranges.coma_nm)),
        coma_deg=float(rng.uniform(0, 360)),
        focal_spread_nm=float(rng.uniform(*ranges.focal_spread_nm)),
        illumination_mrad=float(rng.uniform(*illumination_mrad)),
        vibration_nm=float(rng.uniform(*ranges.vibration_nm)),
    )
