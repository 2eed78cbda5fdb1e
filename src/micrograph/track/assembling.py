"""Fold over particles that join: all that `Outlined` gives, and chains over time with the order of their kinetics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from micrograph.core import Column
from micrograph.track.chaining import CHAINS, chains_table, contacts, kinetic_order
from micrograph.track.shapes import Outlined, Shapes

KINETICS = (
    Column("order", "", "order of the law by which the number of groups falls: 1 or 2"),
    Column("k", "", "rate constant in 1/s for order 1, in 1/s per group for order 2"),
    Column("k_low", "", "lower end of its 95 % interval"),
    Column("k_high", "", "upper end of its 95 % interval"),
    Column("delta_aic", "", "by how much the other order is worse (Akaike)"),
    Column("missed", "", "share of the joinings that a frame misses"),
    Column("joined", "", "joinings that it rests on"),
)
#: Fewer joinings tell no order.
_LEAST = 8


@dataclass(frozen=True)
class Assembling(Outlined):
    """Follow particles, their outlines, and which of them touch.

    contact: particles touch where their centres are closer than this times the mean of their diameters.
    """

    contact: float = 1.15

    def result(self, state: Shapes) -> dict[str, pd.DataFrame]:
        """Return the tables of `Outlined`, and 'chains' and 'kinetics'; without times the kinetics are empty."""
        tables = super().result(state)
        tracks = tables["tracks"]
        chains = pd.DataFrame({column.name: np.empty(0) for column in CHAINS})
        if len(tracks):
            bonds = contacts(tracks, self.contact)
            chains = chains_table(tracks, bonds)
        return {**tables, "chains": chains, "kinetics": kinetics_table(chains)}


def kinetics_table(chains: pd.DataFrame) -> pd.DataFrame:
    """Return the order by which the groups of 'chains' become fewer (`KINETICS`), no row where too few join."""
    names = [column.name for column in KINETICS]
    timed = len(chains) > 3 and bool(np.isfinite(chains["t_s"].to_numpy(float)).all())
    joined = int(chains["groups"].iloc[0] - chains["groups"].iloc[-1]) if len(chains) else 0
    if not timed or joined < _LEAST:
        return pd.DataFrame({name: np.empty(0) for name in names})
    found = kinetic_order(chains["t_s"], chains["groups"])
    values = (found.order, found.k, found.k_low, found.k_high, found.delta_aic, found.missed, joined)
    return pd.DataFrame([values], columns=names)
