import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Flag
from micrograph.run.parts import fold_part, joined
from micrograph.track import BOUNDARIES, RATE_LAW, Outlined

_SPEC = importlib.util.spec_from_file_location("etching", Path(__file__).with_name("etching.py"))
etching = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(etching)

V0, K = -0.08, -0.6


@pytest.fixture(scope="module")
def movie():
    return etching.etched(np.random.default_rng(3), V0, K, shapes=4, frames=17)


def folded(movie, fold, dt_s=2.0, skip=()):
    state = fold.start()
    for frame in range(len(movie[0])):
        outlines = [one[frame] for i, one in enumerate(movie) if (i, frame) not in skip]
        state = fold.step(state, etching.tables(outlines, frame, dt_s * frame))
    return state


@pytest.fixture(scope="module")
def result(movie):
    return Outlined().result(folded(movie, Outlined()))


def test_the_planted_law_comes_back_from_noisy_outlines_of_moving_particles(result):
    law = result["rate_law"].iloc[0]
    assert law["v0_nm_per_s"] == pytest.approx(V0 / 2, rel=0.08)
    assert law["k_nm2_per_s"] == pytest.approx(K / 2, rel=0.1)
    assert list(result["rate_law"].columns) == [column.name for column in RATE_LAW]
    assert result["rate_law"]["track"].tolist() == [-1, 0, 1, 2, 3]


def test_a_particle_that_passes_for_a_frame_does_not_bend_the_law(movie):
    spoilt = [list(one) for one in movie]
    for frame, (i, first) in {3: (0, 50), 8: (1, 200), 9: (2, 10), 12: (0, 300), 14: (3, 90)}.items():
        outline = spoilt[i][frame].copy()
        away = outline[first : first + 40] - outline.mean(axis=0)
        bump = np.hanning(len(away))[:, None]
        outline[first : first + 40] += 4.0 * bump * away / np.hypot(*away.T)[:, None]
        spoilt[i][frame] = outline
    law = Outlined().result(folded(spoilt, Outlined()))["rate_law"].iloc[0]
    assert law["v0_nm_per_s"] == pytest.approx(V0 / 2, rel=0.08)
    assert law["k_nm2_per_s"] == pytest.approx(K / 2, rel=0.1)
    assert law["aside"] > 0


def test_bins_follow_the_law_without_the_attenuation_by_noise(result):
    bins = result["rate_bins"]
    law = (V0 + K * bins["curvature_per_nm"]) / 2
    assert np.abs(bins["velocity_nm_per_s"] - law).max() < 0.012
    assert len(bins) == 12


def test_boundaries_tell_velocity_and_curvature_of_places(result):
    rows = result["boundaries"]
    assert list(rows.columns) == [column.name for column in BOUNDARIES]
    assert set(rows["track"]) == {0, 1, 2, 3}
    assert (rows["velocity_sigma_nm_per_s"] > 0).all()


def test_growth_tells_the_area_rate_of_every_particle(result, movie):
    true = [(etching.area(one[-1]) - etching.area(one[0])) / (2.0 * (len(one) - 1)) for one in movie]
    assert result["growth"]["area_rate_nm2_per_s"].to_numpy() == pytest.approx(true, rel=0.02)


def test_a_particle_that_is_missed_keeps_its_track(movie):
    state = folded(movie, Outlined(), skip={(1, 5), (1, 6), (2, 9)})
    tracks = Outlined().result(state)["tracks"]
    assert tracks["track"].nunique() == 4
    assert tracks.groupby("track").size().tolist() == [17, 15, 16, 17]


def test_without_times_rates_are_not_invented(movie):
    found = Outlined().result(folded(movie, Outlined(), dt_s=np.nan))
    assert len(found["tracks"]) == 4 * 17
    for name in ("boundaries", "rate_law", "rate_bins", "growth", "motion", "diffusion"):
        assert len(found[name]) == 0
    assert set(found["stages"]["name"]) <= {"count"}


def test_tables_are_the_same_before_the_first_frame(result):
    empty = Outlined().result(Outlined().start())
    assert list(empty) == list(result)
    assert [list(empty[name].columns) for name in ("growth", "rate_law", "boundaries")] == [
        list(result[name].columns) for name in ("growth", "rate_law", "boundaries")
    ]


def test_the_sample_of_boundaries_stays_bounded(movie):
    fold = Outlined(most_points=300)
    assert 0 < len(fold.result(folded(movie, fold))["boundaries"]) <= 300


def test_a_pickled_state_goes_on_as_if_nothing_had_happened(movie):
    fold, half = Outlined(), [one[:9] for one in movie]
    state = pickle.loads(pickle.dumps(folded(half, fold)))
    for frame in range(9, 17):
        state = fold.step(state, etching.tables([one[frame] for one in movie], frame, 2.0 * frame))
    assert fold.result(state)["rate_law"].equals(Outlined().result(folded(movie, fold))["rate_law"])


def test_empty_frames_are_counted():
    fold, state = Outlined(), Outlined().start()
    for frame in range(3):
        state = fold.step(state, etching.tables([], frame, float(frame)))
    assert fold.result(state)["counts"]["count"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("dt_s", [2.0, np.nan])
def test_frames_folded_together_give_the_tables_of_frames_folded_one_by_one(movie, dt_s):
    # One frame shows nothing, in others an object is missed, and of one object every outline is cut.
    fold, skip = Outlined(), {(i, 5) for i in range(len(movie))} | {(1, 8), (2, 9)}
    found = []
    for frame in range(len(movie[0])):
        outlines = [one[frame] for i, one in enumerate(movie) if (i, frame) not in skip]
        found.append(etching.tables(outlines, frame, dt_s * frame))
        found[-1]["objects"].loc[found[-1]["objects"]["id"] == 3, "flags"] = int(Flag.EDGE)
    one_by_one, together = fold.start(), fold.start()
    for tables in found:
        one_by_one = fold.step(one_by_one, tables)
    for some in (found[:1], found[1:7], found[7:]):
        together = fold.steps(together, joined(some))
    expected, tables = fold.result(one_by_one), fold.result(together)
    assert list(tables) == list(expected)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, expected[name], check_exact=True)


def test_a_bad_frame_in_a_part_is_left_out_of_what_is_folded_together(movie):
    tables = [etching.tables([one[frame] for one in movie], frame, 2.0 * frame) for frame in range(6)]
    good = Outlined().steps(Outlined().start(), joined([*tables[:3], *tables[4:]]))
    tables[3]["frames"]["flags"] = int(Flag.BAD_FRAME)
    found = fold_part(Outlined(), Outlined().start(), joined(tables))
    pd.testing.assert_frame_equal(Outlined().result(found)["tracks"], Outlined().result(good)["tracks"])
