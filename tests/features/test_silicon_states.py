"""Laws of the states of silicon: simulated holes with known states, their atoms known up to a few that are missed."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from micrograph.core import Flag
from micrograph.features.lattices.crystal import crystal_of
from micrograph.features.layers.graph import neighbours
from micrograph.features.layers.sheet import Sheet
from micrograph.features.layers.silicon_states import P_COLUMNS, SILICON, silicon_states
from micrograph.simulate import EDGE_STATES, RING_SIZES, EdgeSample, Movie, MovieSettings, Scan, edge_movie

PIXEL_NM, FRAMES = 0.02, 6
#: Every state as likely as any other.
EVEN = tuple(tuple(0.0 if i == j else 0.2 for j in range(5)) for i in range(5))


@functools.cache
def movie(dose: float) -> Movie:
    settings = MovieSettings(
        frames=FRAMES, size_px=(236, 236), pixel_nm=PIXEL_NM, frame_time_s=10.0, seed=2, scan=Scan(dose_e_per_A2=dose)
    )
    return edge_movie(EdgeSample(rates_per_s=EVEN), settings)


def sheet_of(shown: Movie, frame: int, missed_nm: float = 0.0) -> Sheet:
    """Return the true atoms of a frame, without the carbon closer than `missed_nm` to a silicon."""
    assert shown.sites is not None
    sites = shown.sites(frame)
    silicon = sites.label == "Si"
    gap = np.hypot(sites.y_nm[:, None] - sites.y_nm[silicon], sites.x_nm[:, None] - sites.x_nm[silicon]).min(axis=1)
    sites = sites[silicon | (gap >= missed_nm)]
    table = pd.DataFrame(
        {
            "frame": frame, "y_nm": sites.y_nm, "x_nm": sites.x_nm, "y_sigma_nm": 0.003, "x_sigma_nm": 0.003,
            "class": sites.label.astype(object), "score": 1.0, "flags": 0,
            "intensity": np.where(sites.label == "Si", 4.5, 1.0),
        }
    )  # fmt: skip
    return Sheet(table, crystal_of(table), neighbours(sites.y_nm, sites.x_nm), pd.DataFrame(), pd.DataFrame())


def read(dose: float, missed_nm: float = 0.0) -> pd.DataFrame:
    shown = movie(dose)
    pieces = []
    for frame in range(FRAMES):
        found = silicon_states(shown.recording.read(frame), PIXEL_NM, sheet_of(shown, frame, missed_nm))
        true = shown.truth[shown.truth["frame"] == frame]
        gap = np.hypot(*(found[axis].to_numpy()[:, None] - true[axis].to_numpy() for axis in ("y_nm", "x_nm")))
        pieces.append(found.assign(true=true["state"].to_numpy()[gap.argmin(axis=1)]))
    return pd.concat(pieces, ignore_index=True)


def test_silicon_is_in_the_state_it_was_put_in_with_the_rings_of_that_state() -> None:
    found = read(1e5)
    assert len(found) == 4 * FRAMES and set(found["true"]) == set(EDGE_STATES)
    assert found["class"].tolist() == found["true"].tolist()
    assert found["rings"].tolist() == [RING_SIZES[state] for state in found["true"]]
    assert found["misfit"].between(0.5, 1.5).all()


def test_carbon_missed_beside_silicon_changes_neither_state_nor_rings() -> None:
    found = read(1e5, missed_nm=0.15)
    assert found["class"].tolist() == found["true"].tolist()
    assert found["rings"].tolist() == [RING_SIZES[state] for state in found["true"]]


def test_fewer_electrons_leave_more_doubt() -> None:
    bright, dim = (read(dose)[[*P_COLUMNS]].to_numpy() for dose in (1e5, 5e3))
    for p in (bright, dim):
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert dim.max(axis=1).mean() < bright.max(axis=1).mean()


def test_without_a_lattice_all_states_are_alike_and_the_row_says_so() -> None:
    shown = movie(1e5)
    whole = sheet_of(shown, 0)
    alone = whole.table[whole.table["class"] == "Si"].reset_index(drop=True)
    few = Sheet(alone, crystal_of(alone), neighbours([], []), pd.DataFrame(), pd.DataFrame())
    found = silicon_states(shown.recording.read(0), PIXEL_NM, few)
    assert (found["flags"] & int(Flag.NO_FIT) > 0).all() and np.allclose(found[[*P_COLUMNS]], 0.2)
    none = Sheet(alone.iloc[:0], crystal_of(alone.iloc[:0]), neighbours([], []), pd.DataFrame(), pd.DataFrame())
    empty = silicon_states(shown.recording.read(0), PIXEL_NM, none)
    assert len(empty) == 0 and list(empty) == [column.name for column in SILICON]
