import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.track import LinkSettings, link

from .walks import drifting


def points(rows, **more):
    return pd.DataFrame(rows, columns=["frame", "y_nm", "x_nm"]).assign(**more)


def wrong_and_found(tracks, truth):
    """Return the share of links that join different objects, and the share of the possible links that were made."""
    same = tracks["track"].to_numpy()[1:] == tracks["track"].to_numpy()[:-1]
    right = tracks["true"].to_numpy()[1:] == tracks["true"].to_numpy()[:-1]
    possible = (truth.groupby("true").size() - 1).sum()
    return (same & ~right).sum() / same.sum(), (same & right).sum() / possible


@pytest.fixture(scope="module")
def movie():
    return drifting(np.random.default_rng(2), 130, 40, np.zeros((130, 2)), field=40.0, sigma=0.1, missed=0.1)


def test_planted_tracks_come_back_through_gaps_births_and_deaths(movie):
    tracks, parents = link(movie, LinkSettings(reach_nm=2.0, gap_frames=3))
    wrong, found = wrong_and_found(tracks, movie)
    assert wrong < 0.01 and found > 0.98 and len(parents) == 0
    assert len(tracks) == len(movie)
    assert not tracks.duplicated(["track", "frame"]).any()


def test_order_of_the_points_does_not_matter(movie):
    some = movie[movie["frame"] < 40]
    shuffled = some.sample(frac=1, random_state=1)
    one, other = (link(rows, LinkSettings(reach_nm=2.0))[0] for rows in (some, shuffled))
    key = ["frame", "y_nm", "x_nm"]
    assert len(one.merge(other, on=key).groupby(["track_x", "track_y"])) == one["track"].nunique()


def test_blocks_of_frames_give_the_same_tracks_as_all_at_once(movie):
    whole, _ = link(movie, LinkSettings(reach_nm=2.0, block_frames=200))
    parts, _ = link(movie, LinkSettings(reach_nm=2.0, block_frames=30))
    pairs = whole.merge(parts, on=["frame", "y_nm", "x_nm"])[["track_x", "track_y"]].drop_duplicates()
    assert len(pairs) <= 1.05 * whole["track"].nunique()


def test_gate_is_speed_times_time_between_irregular_frames():
    still = points([(0, 0.0, 0.0), (1, 0.0, 1.0), (2, 0.0, 4.0), (3, 0.0, 5.0)], t_s=[0.0, 1.0, 4.0, 4.5])
    tracks, _ = link(still, LinkSettings(max_speed_nm_per_s=1.2, gap_frames=0))
    assert tracks["track"].tolist() == [0, 0, 0, 1]


def test_a_missed_point_is_bridged_up_to_the_gap():
    rows = points([(0, 1.0, 1.0), (2, 1.0, 1.0), (6, 1.0, 1.0)])
    frames = pd.DataFrame({"frame": range(7)})
    assert link(rows, LinkSettings(gap_frames=2), frames)[0]["track"].tolist() == [0, 0, 1]
    assert link(rows, LinkSettings(gap_frames=3), frames)[0]["track"].tolist() == [0, 0, 0]


def test_merge_and_split_end_tracks_and_name_their_parents():
    rows = [(f, y, 0.0) for f in range(4) for y in ((-0.6 + 0.15 * f), (0.6 - 0.15 * f))]
    rows += [(f, 0.0, 0.0) for f in range(4, 8)]
    settings = LinkSettings(reach_nm=0.3, merges=True, crowding=5.0)
    tracks, parents = link(points(rows), settings)
    assert tracks["track"].nunique() == 3
    assert sorted(parents["parent"]) == [0, 1] and set(parents["kind"]) == {"merge"} and set(parents["frame"]) == {4}
    back = points([(7 - f, y, x) for f, y, x in rows])
    _, parents = link(back, LinkSettings(reach_nm=0.3, splits=True, crowding=5.0))
    assert sorted(parents["track"]) == [1, 2] and set(parents["kind"]) == {"split"}


def test_a_change_of_class_costs():
    rows = points([(0, 0.0, 0.0), (0, 0.0, 0.4), (1, 0.0, 0.19), (1, 0.0, 0.6)])
    rows["class"] = ["a", "b", "b", "a"]
    crowded = {"reach_nm": 1.0, "crowding": 10.0}
    plain, _ = link(rows, LinkSettings(**crowded))
    costly, _ = link(rows, LinkSettings(**crowded, class_cost=0.5))
    assert plain.groupby("track")["class"].nunique().tolist() == [2, 2]
    assert costly.groupby("track")["class"].nunique().tolist() == [1, 1]


@pytest.mark.parametrize("rows", [[], [(0, 1.0, 1.0)], [(0, 1.0, 1.0), (0, 2.0, 2.0)]])
def test_no_frame_and_one_frame_are_fine(rows):
    tracks, parents = link(points(rows))
    assert tracks["track"].tolist() == list(range(len(rows))) and list(parents) == ["track", "parent", "kind", "frame"]


@pytest.mark.parametrize(
    ("change", "word"),
    [({"y_nm": np.nan}, "finite"), ({"t_s": 0.0}, "increase")],
)
def test_nonsense_is_refused(change, word):
    with pytest.raises(BadInput, match=word):
        link(points([(0, 1.0, 1.0), (1, 1.0, 1.0)]).assign(**change))


@pytest.mark.parametrize(
    "settings", [{"reach_nm": 0.0}, {"max_speed_nm_per_s": -1.0}, {"gap_frames": -1}, {"block_frames": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(BadInput):
        LinkSettings(**settings)
