import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.track import (
    MotionSettings,
    anomalous_exponent,
    cramer_rao,
    diffusion,
    diffusion_table,
    msd_table,
    velocities,
)

from .walks import walks

AT_ONCE = MotionSettings(exposure_share=0.0)


def test_msd_of_a_random_walk_is_linear():
    table = msd_table(walks(np.random.default_rng(0), 60, 200), AT_ONCE)
    expected = 4 * 0.5 * table["lag_s"] + 4 * 0.1**2
    assert (np.abs(table["msd_nm2"] - expected) / table["msd_sigma_nm2"] < 3).all()
    assert np.polyfit(table["lag_s"], table["msd_nm2"], 1) == pytest.approx([2.0, 0.04], abs=0.2)


def test_errors_of_the_msd_are_those_of_repeated_experiments():
    rng = np.random.default_rng(1)
    tables = [msd_table(walks(rng, 4, 40), AT_ONCE) for _ in range(50)]
    spread = np.std([table["msd_nm2"] for table in tables], axis=0)
    stated = np.mean([table["msd_sigma_nm2"] for table in tables], axis=0)
    assert (np.abs(spread / stated - 1) < 0.35).all()


def test_bound_of_d_is_one_over_the_root_of_the_steps():
    assert cramer_rao(100, 0.1, 0.5, 0.0, exposure_share=0.0, known=True) == pytest.approx(0.5 / np.sqrt(100))
    assert cramer_rao(100, 0.1, 0.5, 0.2, exposure_share=0.0) > 0.05


@pytest.mark.parametrize(("steps", "sigma", "known"), [(20, 0.1, True), (100, 0.1, False), (100, 0.3, False)])
def test_d_reaches_its_bound_and_its_interval_covers_the_truth(steps, sigma, known):
    rng, settings = np.random.default_rng(2), MotionSettings(exposure_share=0.0, known_sigma=known)
    found = [diffusion(walks(rng, 1, steps, sigma=sigma), settings) for _ in range(50)]
    error = np.array([one.d - 0.5 for one in found])
    bound = cramer_rao(steps, 0.1, 0.5, sigma, exposure_share=0.0, known=known)
    assert np.sqrt(np.mean(error**2)) < 1.2 * bound
    assert abs(error.mean()) < 0.1 * 0.5
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) >= 0.9


def test_gaps_and_irregular_times_do_not_bias_d():
    rng = np.random.default_rng(3)
    tracks = walks(rng, 40, 100)
    found = diffusion(tracks[rng.random(len(tracks)) > 0.3], AT_ONCE)
    assert found.low <= 0.5 <= found.high
    assert found.sigma_nm == pytest.approx(0.1, abs=0.03)


def test_motion_blur_is_taken_out():
    rng = np.random.default_rng(4)
    fine = walks(rng, 40, 1000, dt=0.01, sigma=0.0)
    blurred = fine.assign(frame=fine["frame"] // 10).groupby(["track", "frame"], as_index=False).mean(numeric_only=True)
    found = diffusion(blurred, MotionSettings(exposure_share=1.0))
    assert found.low <= 0.5 <= found.high and found.high - found.low < 0.1


def test_points_that_stand_still_have_an_interval_from_zero():
    found = diffusion(walks(np.random.default_rng(5), 5, 100, d=0.0), AT_ONCE)
    assert found.low == 0 and found.high < 0.002 and found.sigma_nm == pytest.approx(0.1, abs=0.01)


def test_every_class_has_its_own_constant():
    rng = np.random.default_rng(6)
    slow, fast = walks(rng, 10, 60, d=0.1, sigma=0.02), walks(rng, 10, 60, d=1.0, sigma=0.02)
    both = pd.concat([slow, fast.assign(track=fast["track"] + 10, **{"class": "b"})])
    table = diffusion_table(both, AT_ONCE).set_index("class")
    assert table["d_nm2_per_s"].to_dict() == pytest.approx({"a": 0.1, "b": 1.0}, rel=0.2)
    assert table["tracks"].to_dict() == {"a": 10, "b": 10}


def test_a_random_walk_is_not_called_anomalous_but_directed_motion_is():
    rng = np.random.default_rng(7)
    found = [anomalous_exponent(walks(rng, 6, 60), AT_ONCE) for _ in range(20)]
    assert np.mean([one.alpha for one in found]) == pytest.approx(1.0, abs=0.08)
    assert sum(one.anomalous for one in found) <= 3
    tracks = walks(rng, 6, 60)
    assert anomalous_exponent(tracks.assign(x_nm=tracks["x_nm"] + 3 * tracks["t_s"]), AT_ONCE).anomalous


def test_without_tracks_nothing_is_known():
    nothing = walks(np.random.default_rng(8), 1, 5).iloc[:0]
    assert np.isnan(diffusion(nothing).d) and diffusion(nothing).high == np.inf
    assert len(diffusion_table(nothing)) == 0 and len(msd_table(nothing)) == 0


def test_unknown_times_are_refused():
    with pytest.raises(BadInput, match="times"):
        diffusion(walks(np.random.default_rng(9), 1, 5).assign(t_s=np.nan))


def test_velocities_of_directed_motion_lie_within_their_errors():
    tracks = walks(np.random.default_rng(11), 200, 50)
    walk = diffusion(tracks, AT_ONCE)
    found = velocities(tracks.assign(x_nm=tracks["x_nm"] + 3.0 * tracks["t_s"]), walk)
    off = (found["v_x_nm_per_s"] - 3.0) / found["v_sigma_nm_per_s"]
    assert off.std() == pytest.approx(1.0, abs=0.2) and abs(off.mean()) < 0.25
