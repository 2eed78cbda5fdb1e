"""Silicon at rest: a bond that was drawn longer is found longer, and nothing hops."""

from __future__ import annotations

import numpy as np

from micrograph.infer import load_predictor
from micrograph.recipes.dopant_motion import RECIPE
from micrograph.run import Analyser
from micrograph.simulate import Microscope, MovieSettings, Scan, SiliconSample, silicon_movie

SETTINGS = MovieSettings(
    frames=10,
    size_px=(112, 112),
    seed=3,
    microscope=Microscope(source_fwhm_nm=0.05, convergence_mrad=35.0),
    scan=Scan(1e5, affine=0.005, drift_nm=0.005, jitter_nm=0.002),
    wander_nm=0.02,
)


def test_a_bond_drawn_longer_is_found_longer_and_silicon_at_rest_does_not_hop() -> None:
    longer = (0.0, 0.0, 20.0)
    movie = silicon_movie(SiliconSample(count=1, hop=0.0, asymmetry_pm=(longer, longer)), SETTINGS)
    tables = Analyser(RECIPE, load_predictor("graphene-1")).movie(movie.recording)
    true = movie.truth.iloc[0]
    sites = tables["sites"]
    off = np.hypot(sites["y_sample_nm"] - true["y_sample_nm"], sites["x_sample_nm"] - true["x_sample_nm"])
    (row,) = sites[off < 0.07].to_dict("records")
    assert row["asymmetry_p"] < 0.01 and row["frames"] >= 9
    found = sorted(row[f"bond_{k}_nm"] for k in (1, 2, 3))
    planted = sorted(true[f"bond_{k}_nm"] for k in (1, 2, 3))
    assert np.allclose(found, planted, atol=5 * row["bond_1_sigma_nm"])
    hops = tables["hops"].iloc[0]
    assert hops["hops"] == 0 and hops["rate_low_per_s"] == 0
    drift = tables["drift"][["drift_y_nm", "drift_x_nm"]].to_numpy() - movie.drift_nm
    assert (drift - drift.mean(axis=0)).std() < 0.01


def test_without_frames_all_tables_are_there_and_empty() -> None:
    fold = RECIPE.summary
    tables = fold.result(fold.start())
    for name in ("tracks", "drift", "sites", "sublattices", "strain_map", "hops"):
        assert list(tables[name].columns) == [column.name for column in RECIPE.task.answers[name]]
