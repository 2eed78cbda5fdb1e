import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.track import chains_table, contacts, kinetic_order


def decay(rng, order, number=120, frames=50, missed=0.0, left=0.25):
    """Return times, numbers seen and k of a death process that is watched at even times."""
    k, when, n = 0.01 / number ** (order - 1), [0.0], number
    while n > left * number:
        when.append(when[-1] + rng.exponential(1 / (k * n**order)))
        n -= 1
    times = np.linspace(0, when[-1], frames)
    true = number - np.searchsorted(when, times, side="right") + 1
    return times, true + rng.binomial(number - true, missed), k


@pytest.mark.parametrize("order", [1, 2])
def test_the_order_of_a_decay_and_its_rate_are_found(order):
    right = inside = 0
    for seed in range(6):
        times, counts, k = decay(np.random.default_rng([seed, order]), order)
        found = kinetic_order(times, counts)
        right += found.order == order
        inside += found.k_low <= k <= found.k_high
    assert right == 6
    assert inside >= 5


def test_missed_bonds_do_not_hide_the_order():
    times, counts, _ = decay(np.random.default_rng(3), 2, missed=0.03, frames=30)
    found = kinetic_order(times, counts)
    assert found.order == 2
    assert 0.005 < found.missed < 0.1


def test_uneven_times_are_allowed():
    keep, right = np.r_[0, 1, np.arange(3, 58, 3), 59], 0
    for seed in range(4):
        for order in (1, 2):
            times, counts, _ = decay(np.random.default_rng(seed), order, frames=60)
            right += kinetic_order(times[keep], counts[keep]).order == order
    # 90 joinings do not always tell: the chance of waiting times alone favours the other order in one run of eight.
    assert right >= 7


def test_numbers_that_are_no_counts_are_refused():
    with pytest.raises(BadInput, match="whole numbers"):
        kinetic_order([0, 1, 2], [10, 9.5, 8])
    with pytest.raises(BadInput, match="three numbers"):
        kinetic_order([0, 1], [10, 9])


def test_touching_particles_form_groups_that_last_through_missed_frames():
    rows = []
    for frame in range(8):
        for track, x in enumerate((0.0, 10.0, 20.0, 60.0)):
            gap = 5.0 if frame < 3 else 0.0
            far = 8.0 if frame == 5 and track == 2 else 0.0
            rows.append((frame, 0.5 * frame, track, 0.0, x + gap * track + far, 10.0))
    tracks = pd.DataFrame(rows, columns=["frame", "t_s", "track", "y_nm", "x_nm", "equivalent_diameter_nm"])
    bonds = contacts(tracks)
    assert bonds[["track", "other", "first_frame"]].to_numpy().tolist() == [[0, 1, 3], [1, 2, 3]]
    table = chains_table(tracks, bonds)
    assert table["groups"].tolist() == [4, 4, 4, 2, 2, 2, 2, 2]
    assert table["free"].tolist() == [4, 4, 4, 1, 1, 1, 1, 1]
    assert table["largest"].tolist() == [1, 1, 1, 3, 3, 3, 3, 3]


def test_a_passing_contact_is_no_bond():
    rows = [(frame, track, 0.0, 30.0 * track * (frame != 2), 10.0) for frame in range(5) for track in range(2)]
    tracks = pd.DataFrame(rows, columns=["frame", "track", "y_nm", "x_nm", "equivalent_diameter_nm"])
    assert len(contacts(tracks)) == 0
