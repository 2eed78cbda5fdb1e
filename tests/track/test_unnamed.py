"""Unnamed objects through a movie: two kinds of crops, one that stays and one that changes into the other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from micrograph.track.kinds import ROWS_A_FRAME, kinds
from micrograph.track.unnamed import CROPS, Unnamed

FOLD = Unnamed(reach_nm=0.3)
FRAMES, OBJECTS = 30, 12


def movie(seed: int = 0, timed: bool = True) -> tuple[list[dict[str, pd.DataFrame]], np.ndarray]:
    """Return the tables of every frame, and the true kind (T, N) of every object."""
    rng = np.random.default_rng(seed)
    points = len(FOLD.disc.points)
    looks = np.stack([np.exp(-np.sum(FOLD.disc.points**2, axis=1) / 0.02), np.zeros(points)])
    place = rng.uniform(0.5, 6.0, (OBJECTS, 2))
    kind = np.zeros((FRAMES, OBJECTS), int)
    kind[0] = np.arange(OBJECTS) % 2
    for frame in range(1, FRAMES):
        kind[frame] = np.where(rng.random(OBJECTS) < 0.05, 1 - kind[frame - 1], kind[frame - 1])
    frames = []
    for frame in range(FRAMES):
        seen = place + rng.normal(0, 0.01, place.shape) + np.array([0.02, -0.01]) * frame
        objects = pd.DataFrame(
            {
                "frame": frame, "y_nm": seen[:, 0], "x_nm": seen[:, 1], "y_sigma_nm": 0.01, "x_sigma_nm": 0.01,
                "class": "defect", "score": 0.99, "flags": 0,
            }
        )  # fmt: skip
        values = looks[kind[frame]] + rng.normal(0, 0.1, (OBJECTS, points))
        crops = pd.DataFrame({"frame": frame, "row": np.arange(OBJECTS), "values": list(values.astype(np.float32))})
        row = {"frame": frame, "flags": 0, "area_nm2": 40.0, "domain_distance": 0.5 if frame < 20 else 1.5}
        frames.append(
            {"objects": objects, CROPS: crops, "frames": pd.DataFrame([row | ({"t_s": frame * 0.5} if timed else {})])}
        )
    return frames, kind


@pytest.fixture(scope="module")
def told() -> tuple[dict[str, pd.DataFrame], np.ndarray]:
    frames, kind = movie()
    state = FOLD.start()
    for tables in frames:
        state = FOLD.step(state, tables)
    return FOLD.result(state), kind


def test_kinds_are_the_planted_ones(told: tuple[dict[str, pd.DataFrame], np.ndarray]) -> None:
    tables, kind = told
    assert len(tables["classes"]) == 2 and tables["classes"]["stability"].min() > 0.99
    tracks = tables["tracks"]
    assert tracks["track"].nunique() == OBJECTS and len(tracks) == FRAMES * OBJECTS
    states = tracks.pivot(index="frame", columns="track", values="state").to_numpy()
    same = (states == states[0, 0]) == (kind[:, tracks.groupby("track")["frame"].idxmin().argsort()] == kind[0, 0])
    assert same.mean() > 0.97 or (~same).mean() > 0.97


def test_rates_between_kinds_hold_the_planted_one(told: tuple[dict[str, pd.DataFrame], np.ndarray]) -> None:
    rates = told[0]["rates"]
    planted = -np.log(1 - 2 * 0.05) / 2 / 0.5
    assert len(rates) == 2
    assert ((rates["rate_low_per_s"] < planted) & (planted < rates["rate_high_per_s"])).all()


def test_drift_is_removed_and_what_stands_still_does_not_diffuse(
    told: tuple[dict[str, pd.DataFrame], np.ndarray],
) -> None:
    tables = told[0]
    last = tables["drift"].iloc[-1]
    assert last["drift_y_nm"] == pytest.approx(0.02 * (FRAMES - 1), abs=0.02)
    assert (tables["diffusion"]["d_low_nm2_per_s"] < 1e-4).all()


def test_the_alarm_rings_when_the_frames_become_strange(told: tuple[dict[str, pd.DataFrame], np.ndarray]) -> None:
    events = told[0]["events"]
    alarm = events[events["kind"] == "out of domain"]
    assert len(alarm) == 1 and 20 <= alarm["frame"].iloc[0] <= 23


def test_nothing_gives_the_same_tables_without_rows(told: tuple[dict[str, pd.DataFrame], np.ndarray]) -> None:
    nothing = FOLD.result(FOLD.start())
    assert list(nothing) == list(told[0])
    assert all(len(table) == 0 for name, table in nothing.items() if name not in ("summary", "states"))


def test_without_times_there_are_tracks_but_no_rates() -> None:
    state = FOLD.start()
    for tables in movie(timed=False)[0]:
        state = FOLD.step(state, tables)
    tables = FOLD.result(state)
    assert len(tables["tracks"]) and not len(tables["diffusion"]) and not len(tables["rates"])


def test_a_crop_that_was_not_kept_says_nothing_of_its_kind() -> None:
    state = FOLD.start()
    for tables in movie()[0]:
        state = FOLD.step(state, tables)
    found = kinds(state.crops, "C3")
    seen = found.likelihood(np.array([0, FRAMES + 5]), np.array([0, 0]))
    assert (seen[1] == 1).all() and seen[0].max() > 10 * seen[0].min()
    assert found.source[0] == 0 and found.source[-1] == (FRAMES - 1) * ROWS_A_FRAME + OBJECTS - 1
