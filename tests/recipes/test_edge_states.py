"""States of silicon at the edges of holes, from images to rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from micrograph.infer import load_predictor
from micrograph.recipes.edge_states import RECIPE
from micrograph.run import Analyser
from micrograph.simulate import EDGE_STATES, EdgeSample, MovieSettings, Scan, edge_movie


def test_silicon_at_the_corners_of_a_hole_is_in_the_state_it_was_put_in() -> None:
    settings = MovieSettings(
        frames=4, size_px=(236, 236), frame_time_s=2.0, seed=3, scan=Scan(dose_e_per_A2=1e5, jitter_nm=0.002)
    )
    movie = edge_movie(EdgeSample(), settings)
    tables = Analyser(RECIPE, load_predictor("graphene-1")).movie(movie.recording)
    tracks = tables["tracks"]
    right = 0
    for true in movie.truth.to_dict("records"):
        rows = tracks[tracks["frame"] == true["frame"]]
        distance = np.hypot(rows["y_nm"] - true["y_nm"], rows["x_nm"] - true["x_nm"])
        right += bool(distance.min() < 0.1) and rows["state"].iloc[int(np.argmin(distance))] == true["state"]
    assert right >= 15
    assert tracks["track"].nunique() <= 5 and (tracks["state_p"] > 0.5).all()
    assert tuple(tables["states"]["state"]) == EDGE_STATES
    assert abs(tables["states"]["share"].sum() - 1) < 1e-9
    assert {"from", "to", "rate_per_s"} <= set(tables["rates"]) and len(tables["rates"]) == 20


def test_a_fold_without_any_silicon_gives_empty_tables() -> None:
    fold = replace(RECIPE.summary, gap_frames=2)
    tables = fold.result(fold.start())
    assert len(tables["tracks"]) == 0 and len(tables["rates"]) == 0 and len(tables["states"]) == 5
