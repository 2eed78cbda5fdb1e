"""Rates against temperature and exposure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.simulate import arrhenius
from micrograph.track.arrhenius import activation, at_risk_s, event_rate

CELSIUS = np.array([450.0, 500.0, 550.0, 600.0, 650.0])


def test_a_planted_activation_energy_lies_in_its_interval_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    rate = np.array([arrhenius(1e9, 1.6, c + 273.15) for c in CELSIUS])
    time = np.full(5, 60.0)
    held, rates = 0, 0
    for _ in range(300):
        found = activation(rng.poisson(rate * time), time, CELSIUS)
        held += abs(found.energy_eV - 1.6) < 1.96 * found.energy_sigma_eV
        _, low, high = found.rate_per_s(550.0)
        rates += low <= rate[2] <= high
    assert held >= 0.92 * 300 and rates >= 0.92 * 300


def test_energy_and_attempts_are_exact_where_counts_are_the_means() -> None:
    rate = np.array([arrhenius(1e13, 2.0, c + 273.15) for c in CELSIUS])
    found = activation(rate * 1e6, np.full(5, 1e6), CELSIUS)
    assert found.energy_eV == pytest.approx(2.0, abs=1e-6)
    assert np.log(found.attempts_per_s) == pytest.approx(np.log(1e13), abs=1e-4)
    assert found.deviance < 1e-6 and found.covariance[0, 1] > 0


def test_one_temperature_says_nothing_of_an_activation_energy() -> None:
    with pytest.raises(BadInput, match="two temperatures"):
        activation([3, 4], [1.0, 1.0], [500.0, 500.0])


def test_no_event_bounds_the_rate_from_above() -> None:
    found = event_rate(0, 10.0)
    assert found.rate == 0 and found.low == 0 and found.high == pytest.approx(0.369, abs=0.001)


def test_tracks_are_at_risk_from_first_to_last_sight() -> None:
    assert at_risk_s(pd.DataFrame({"track": [0, 0, 1, 1], "t_s": [0.0, 4.0, 1.0, 2.5]})) == 5.5
