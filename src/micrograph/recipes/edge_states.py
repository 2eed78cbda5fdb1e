"""Silicon at edges and in the bulk of graphene: states and rates (ADF-STEM movies).   doi:10.1002/adfm.201904480"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from micrograph.core import Column, Flag, Prediction, Task
from micrograph.features.layers.named_atoms import NAMED_ATOMS
from micrograph.features.layers.sheet import SheetSettings, read_sheet
from micrograph.features.layers.silicon_states import P_COLUMNS, SILICON, silicon_states
from micrograph.features.layers.silicon_templates import STATES
from micrograph.features.summary import SUMMARY, ArealDensity, Counts
from micrograph.nets import shipped
from micrograph.run import Recipe
from micrograph.simulate import brightness
from micrograph.simulate.layers.sheets import GRAPHENE_IMAGES
from micrograph.track import (
    COUNTS,
    DRIFT,
    EVENTS,
    RATES,
    DriftSettings,
    Gather,
    Gathered,
    LinkSettings,
    counts_table,
    events_table,
    find_drift,
    in_sample,
    link,
    rates_table,
    states_table,
)
from micrograph.track import STATES as SHARES
from micrograph.track.gather import POINT_COLUMNS
from micrograph.track.named import named_states
from micrograph.validate.layers.state_checks import (
    ring_accuracy,
    smoothing_gain,
    state_accuracy,
    state_coverage,
    stationary_divergence,
)

_KEPT = Gather(("objects", "silicon"), (*POINT_COLUMNS, "rings", *P_COLUMNS))
TRACKS = (
    Column("track", "", "number of the silicon"),
    Column("frame", "", "number of the frame"),
    Column("t_s", "s", "its time"),
    Column("y_nm", "nm", "row position in the image", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position in the image", sigma="x_sigma_nm"),
    Column("y_sample_nm", "nm", "row position in the sample, drift removed"),
    Column("x_sample_nm", "nm", "column position in the sample, drift removed"),
    Column("class", "", "state as this frame alone says"),
    Column("score", "", "probability of that"),
    Column("rings", "", "sizes of the rings around it in this frame"),
    Column("state", "", "state in the light of all frames"),
    Column("state_p", "", "probability of that"),
)


@dataclass(frozen=True)
class Silicon(SheetSettings):
    """Atoms, defects and strain of graphene, and how every silicon is bonded."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects', 'frames' and 'silicon' of one frame."""
        sheet = read_sheet(prediction, self, brightness(prediction.frame.calibration))
        pixel = prediction.frame.calibration.pixel_nm
        assert pixel is not None
        return {**sheet.tables(), "silicon": silicon_states(prediction.frame.data, pixel, sheet)}


@dataclass(frozen=True)
class States:
    """Follow every silicon, and let neighbouring frames help to say in which state it is.

    reach_nm: how far it may go between two frames as it changes state; gap_frames: frames in a row in which it may be
    missed; most_drift_nm: how far the sample may drift between two frames, less than half a lattice constant.
    """

    reach_nm: float = 0.7
    gap_frames: int = 3
    most_drift_nm: float = 0.1
    density: ArealDensity = field(default_factory=lambda: ArealDensity(always=("C", "Si")), metadata={"setting": False})

    def start(self) -> tuple[Gathered, Counts]:
        """Return the state before the first frame."""
        return _KEPT.start(), self.density.start()

    def step(self, state: tuple[Gathered, Counts], tables: Mapping[str, pd.DataFrame]) -> tuple[Gathered, Counts]:
        """Return the state after one more frame."""
        return _KEPT.step(state[0], tables), self.density.step(state[1], tables)

    def result(self, state: tuple[Gathered, Counts]) -> dict[str, pd.DataFrame]:
        """Return 'tracks', 'drift', 'states', 'rates', 'events', 'counts' and 'summary'."""
        frames, silicon = _KEPT.frames(state[0]), _KEPT.table(state[0], "silicon")
        atoms = _KEPT.table(state[0], "objects")
        drift = find_drift(atoms, DriftSettings(tolerance_nm=0.06, most_nm=self.most_drift_nm), frames)
        settings = LinkSettings(reach_nm=self.reach_nm, gap_frames=self.gap_frames)
        whole = silicon[(silicon["flags"].to_numpy("int64") & int(Flag.EDGE)) == 0]
        tracks, parents = link(in_sample(whole, drift), settings, frames)
        seen = tracks.reindex(columns=list(P_COLUMNS)).to_numpy(float)
        found = named_states(tracks, seen, STATES)
        known = found.tracks.reindex(columns=[*found.tracks.columns, *({"rings"} - set(found.tracks.columns))])
        named = known.assign(**{"class": known["state"], "score": known["state_p"]})
        return {
            **self.density.result(state[1]),
            "tracks": known[[column.name for column in TRACKS] + ["y_sigma_nm", "x_sigma_nm", "flags"]],
            "drift": drift,
            "states": states_table(found.rates),
            "rates": rates_table(found.rates),
            "events": events_table(known, parents, frames),
            "counts": counts_table(named.sort_values("frame", kind="stable"), frames, STATES),
        }


RECIPE = Recipe(
    name="edge-states",
    title="Silicon at edges and in the bulk of graphene: states and rates",
    task=Task(
        question="How is every silicon bonded in each frame, and how often does it change?",
        needs=("pixel_nm",),
        answers={
            **NAMED_ATOMS,
            "silicon": SILICON,
            "tracks": TRACKS,
            "drift": DRIFT,
            "states": SHARES,
            "rates": RATES,
            "events": EVENTS,
            "counts": COUNTS,
            "summary": SUMMARY,
        },
        reference="doi:10.1002/adfm.201904480",
    ),
    data=GRAPHENE_IMAGES,
    model=shipped("graphene-1"),
    objects=Silicon(),
    summary=States(),
    checks=(ring_accuracy(), state_accuracy(), smoothing_gain(), state_coverage(), stationary_divergence()),
)
