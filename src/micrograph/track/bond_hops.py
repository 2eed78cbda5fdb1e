"""How often foreign atoms hop along the bonds of the sheet that hosts them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from micrograph.core import Column
from micrograph.features.layers.bond_sites import stars_of
from micrograph.track.steps import steps_of
from micrograph.track.walks import hop_rate

#: What the table 'hops' promises: all tracks together.
HOPS = (
    Column("hops", "", "steps longer than half a bond"),
    Column("time_s", "s", "time for which foreign atoms were followed"),
    Column("rate_per_s", "1/s", "hops of one atom per second, those that frames cannot show included"),
    Column("rate_low_per_s", "1/s", "lower end of its 95 % interval"),
    Column("rate_high_per_s", "1/s", "upper end of its 95 % interval"),
    Column("d_nm2_per_s", "nm^2/s", "diffusion constant of a lone atom that hops so often"),
    Column("d_low_nm2_per_s", "nm^2/s", "lower end of its 95 % interval"),
    Column("d_high_nm2_per_s", "nm^2/s", "upper end of its 95 % interval"),
)
#: 1-sigma of a position on its site: that of the fit is smaller, but neighbours and the scan move the atom as well.
ON_SITE_NM = 0.02


def hop_table(tracks: pd.DataFrame, bonds: pd.DataFrame, bond_nm: float, reach_nm: float) -> pd.DataFrame:
    """Return `HOPS`, one row; rates are NaN without times.

    tracks: ``track, t_s, y_sample_nm, x_sample_nm`` (`link`), linked up to `reach_nm`; bonds: `BONDS` of these atoms,
    which tell the directions; bond_nm: length of a hop.
    """
    steps = steps_of(tracks) if np.isfinite(tracks["t_s"].to_numpy(float)).all() else steps_of(tracks.iloc[:0])
    angle = np.radians(stars_of(bonds).first_deg + 60.0 * np.arange(6))
    hops = bond_nm * np.column_stack([-np.sin(angle), np.cos(angle)])
    found = hop_rate(steps.nm, steps.dt_s, hops, sigma_nm=ON_SITE_NM, reach_nm=reach_nm)
    moved = int((np.hypot(*steps.nm.T) > bond_nm / 2).sum())
    rates = (found.rate_per_s, found.low_per_s, found.high_per_s)
    constants = (found.d_nm2_per_s, found.d_low_nm2_per_s, found.d_high_nm2_per_s)
    known = np.array([*rates, *constants]) if len(steps) else np.full(6, np.nan)
    return pd.DataFrame([(moved, float(steps.dt_s.sum()), *known)], columns=[column.name for column in HOPS])
