"""Carbon far from silicon has equal bonds: one p-value for each probe, spread evenly."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from micrograph.core import Sites
from micrograph.structures import graphene
from micrograph.validate.layers.bond_probes import probe_p

SIZE_NM, SIGMA_NM, FRAMES = 2.6, 0.004, 12


def test_probes_without_differences_have_even_p_values_and_stay_away_from_silicon() -> None:
    rng = np.random.default_rng(2)
    place = graphene(SIZE_NM, rotation_deg=9).positions[:, [1, 0]] / 10
    place = place[((place > 0) & (place < SIZE_NM)).all(axis=1)]
    label = np.full(len(place), "C")
    label[np.hypot(*(place - 0.5).T).argmin()] = "Si"
    movie: Any = SimpleNamespace(sites=lambda frame: Sites(place[:, 0], place[:, 1], label))
    frames = []
    for frame in range(FRAMES):
        noisy = place + rng.normal(0, SIGMA_NM, place.shape)
        table = pd.DataFrame({"frame": frame, "y_nm": noisy[:, 0], "x_nm": noisy[:, 1], "class": label})
        frames.append(table.assign(y_sigma_nm=SIGMA_NM, x_sigma_nm=SIGMA_NM, score=1.0, flags=0))
    drift = pd.DataFrame({"frame": np.arange(FRAMES), "drift_y_nm": 0.0, "drift_x_nm": 0.0})
    p = probe_p(movie, {"objects": pd.concat(frames), "drift": drift}, most=20)
    assert len(p) >= 12 and (p < 0.001).sum() == 0 and 0.2 < p.mean() < 0.8
    everywhere: Any = SimpleNamespace(sites=lambda frame: Sites(place[:, 0], place[:, 1], np.full(len(place), "Si")))
    assert len(probe_p(everywhere, {})) == 0
