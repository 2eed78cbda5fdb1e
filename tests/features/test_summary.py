import numpy as np
import pandas as pd
import pytest

from micrograph.features.summary import ArealDensity, interval


def tables(count, score=1.0, flags=0, area=10.0):
    rows = pd.DataFrame({"class": ["Si"] * count, "score": [score] * count, "flags": [0] * count})
    return {"objects": rows, "frames": pd.DataFrame({"frame": [0], "flags": [flags], "area_nm2": [area]})}


def test_interval_of_zero_counts_ends_at_three_point_seven():
    assert interval(0.0) == pytest.approx((0.0, 3.689), abs=1e-3)


def test_interval_covers_the_planted_number():
    rng = np.random.default_rng(4)
    inside = [low <= 9.0 <= high for low, high in (interval(float(n), 0.2) for n in rng.poisson(9.0, 400))]
    assert np.mean(inside) >= 0.94


def test_density_is_count_over_area_of_clean_frames():
    fold = ArealDensity(always=("Si",))
    state = fold.start()
    for step in (tables(4), tables(6), tables(1000, flags=4)):
        state = fold.step(state, step)
    row = fold.result(state)["summary"].iloc[0]
    assert row["density_per_nm2"] == pytest.approx(0.5)
    assert row["density_low_per_nm2"] < 0.5 < row["density_high_per_nm2"]
    assert row["frames"] == 2


def test_a_name_that_is_never_seen_still_has_an_upper_bound():
    fold = ArealDensity(always=("V1",))
    row = fold.result(fold.step(fold.start(), tables(3)))["summary"].iloc[0]
    assert row["name"] == "V1" and row["count"] == 0 and row["density_high_per_nm2"] == pytest.approx(0.3689, abs=1e-3)
