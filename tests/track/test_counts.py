import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput, Flag
from micrograph.track import counts_table, events_table, stages, stages_table

FRAMES = pd.DataFrame(
    {"frame": [0, 1, 2], "t_s": [0.0, 1.0, 2.0], "temperature_C": [20.0, 30.0, 40.0], "area_nm2": 10.0}
)


def test_counts_of_every_frame_carry_intervals_density_and_temperature():
    points = pd.DataFrame({"frame": [0, 0, 2, 2], "class": "V", "score": 1.0, "flags": [0, 0, 0, int(Flag.EDGE)]})
    table = counts_table(points, FRAMES, names=("Si",))
    assert table["name"].tolist() == ["Si"] * 3 + ["V"] * 3
    assert table["count"].tolist() == [0, 0, 0, 2, 0, 1]
    assert table["count_high"].iloc[0] == pytest.approx(3.689, abs=1e-3)
    assert table["density_per_nm2"].iloc[3] == pytest.approx(0.2) and table["temperature_C"].iloc[5] == 40.0


def test_intervals_cover_the_mean_that_counts_were_drawn_from():
    rng = np.random.default_rng(0)
    number = rng.poisson(7.0, 300)
    frames = pd.DataFrame({"frame": np.arange(300), "t_s": np.arange(300.0)})
    table = counts_table(pd.DataFrame({"frame": np.repeat(np.arange(300), number), "class": "V"}), frames)
    assert ((table["count_low"] <= 7) & (table["count_high"] >= 7)).mean() >= 0.94


def test_stages_of_a_reaction_are_found():
    rng = np.random.default_rng(1)
    series = np.concatenate([rng.poisson(mean, 50) for mean in (20, 35, 8)])
    found = stages(series)
    assert [(one.first, one.last) for one in found] == [
        (pytest.approx(a, abs=2), pytest.approx(b, abs=2)) for a, b in ((0, 49), (50, 99), (100, 149))
    ]
    assert all(one.low <= mean <= one.high for one, mean in zip(found, (20, 35, 8), strict=True))


def test_a_flat_series_is_one_stage():
    rng = np.random.default_rng(2)
    assert np.mean([len(stages(rng.poisson(20, 100))) for _ in range(40)]) < 1.1


def test_scatter_beyond_poisson_makes_no_stages():
    rng = np.random.default_rng(3)
    assert len(stages(rng.negative_binomial(5, 0.1, 150))) <= 2


def test_stages_are_listed_by_name_and_frame():
    counts = pd.DataFrame({"name": "V", "frame": np.arange(20) * 2, "count": [5.0] * 10 + [40.0] * 10})
    table = stages_table(counts)
    assert table["first_frame"].tolist() == [0, 20] and table["last_frame"].tolist() == [18, 38]


def test_nonsense_counts_are_refused():
    with pytest.raises(BadInput):
        stages([1.0, -1.0])
    with pytest.raises(BadInput, match="class"):
        counts_table(pd.DataFrame({"frame": [0]}), FRAMES)


def test_events_tell_what_happened_to_each_track():
    tracks = pd.DataFrame(
        {
            "track": [0, 0, 0, 1, 1, 2],
            "frame": [0, 1, 2, 0, 1, 1],
            "y_nm": [0.0, 0.0, 0.3, 1.0, 1.0, 2.0],
            "x_nm": 0.0,
            "state": ["a", "b", "b", "a", "a", "a"],
        }
    )
    found = events_table(tracks, frames=FRAMES, hop_nm=0.3)
    assert [tuple(row) for row in found[["frame", "kind", "track"]].to_numpy()] == [
        (1, "a>b", 0),
        (1, "appear", 2),
        (2, "hop", 0),
        (2, "vanish", 1),
        (2, "vanish", 2),
    ]
    assert found["t_s"].tolist() == [1, 1, 2, 2, 2]


def test_a_merger_is_neither_birth_nor_death():
    tracks = pd.DataFrame({"track": [0, 1, 2, 2], "frame": [0, 0, 1, 2], "y_nm": [0.0, 1.0, 0.5, 0.5], "x_nm": 0.0})
    parents = pd.DataFrame({"track": [2, 2], "parent": [0, 1], "kind": "merge", "frame": 1})
    assert events_table(tracks, parents, FRAMES)["kind"].tolist() == ["merge"]


def test_without_tracks_there_are_no_events():
    found = events_table(pd.DataFrame({"track": [], "frame": [], "y_nm": [], "x_nm": []}))
    assert list(found) == ["t_s", "frame", "kind", "track", "y_nm", "x_nm"] and len(found) == 0


def test_a_frame_that_is_out_of_domain_has_no_number_instead_of_none():
    frames = FRAMES.assign(flags=[0, int(Flag.OUT_OF_DOMAIN), 0])
    points = pd.DataFrame({"frame": [0, 1], "class": "V", "score": 1.0, "flags": [0, int(Flag.OUT_OF_DOMAIN)]})
    table = counts_table(points, frames)
    assert (
        table["count"].tolist()[::2] == [1, 0]
        and np.isnan(table.loc[1, ["count", "count_low", "count_high"]].astype(float)).all()
    )
    assert np.isnan(table["density_per_nm2"].iloc[1])
