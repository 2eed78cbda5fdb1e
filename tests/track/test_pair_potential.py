import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.track import pair_potential

FIELD = (200.0, 300.0)


def scattered(rng, frames, number):
    place = rng.uniform((0, 0), FIELD, (frames * number, 2))
    return pd.DataFrame({"frame": np.repeat(np.arange(frames), number), "y_nm": place[:, 0], "x_nm": place[:, 1]})


def test_independent_particles_have_no_potential_up_to_the_edges_of_the_field():
    table = pair_potential(scattered(np.random.default_rng(0), 200, 40), FIELD, reach_nm=150.0, bins=15)
    off = (table["g"] - 1) / table["g_sigma"]
    assert np.abs(table["g"] - 1).iloc[2:].max() < 0.03
    assert (off**2).mean() < 2.5


def test_the_potential_of_two_particles_is_that_of_boltzmann():
    rng = np.random.default_rng(1)
    place = rng.uniform((0, 0), FIELD, (12_000, 2, 2))
    apart = np.hypot(*(place[:, 0] - place[:, 1]).T)
    place = place[rng.random(len(place)) < np.exp(-2.0 * np.exp(-((apart / 40.0) ** 2)))]
    rows = np.concatenate(place)
    points = pd.DataFrame({"frame": np.repeat(np.arange(len(place)), 2), "y_nm": rows[:, 0], "x_nm": rows[:, 1]})
    table = pair_potential(points, FIELD, reach_nm=90.0, bins=6)
    u = 2.0 * np.exp(-((table["r_nm"] / 40.0) ** 2))
    shift = (table["u_kT"] - u).iloc[1:]
    assert np.abs(shift - shift.mean()).max() < 0.2


def test_a_field_without_size_is_refused():
    with pytest.raises(BadInput, match="height and width"):
        pair_potential(pd.DataFrame({"frame": [0], "y_nm": [1.0], "x_nm": [1.0]}), (0.0, 10.0))
