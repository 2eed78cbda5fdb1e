"""Fold over unnamed objects that move: drift, tracks, kinds from crops, motion, rates between kinds, counts, doubts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from micrograph.features.layers.crops import Crops, Disc, Sampled
from micrograph.features.layers.folding import PointGroup
from micrograph.features.summary import ArealDensity, Counts
from micrograph.track.chain import Tracks, smoothed
from micrograph.track.counts import counts_table
from micrograph.track.drift import find_drift, in_sample
from micrograph.track.events import EVENTS, events_table
from micrograph.track.gather import Gather, Gathered
from micrograph.track.kinds import ROWS_A_FRAME, Kinds, kinds
from micrograph.track.link import LinkSettings, link
from micrograph.track.motion import DIFFUSION, diffusion_table
from micrograph.track.msd import MOTION, msd_table
from micrograph.track.rates import Rates, estimate_rates, generator_of, rates_table, states_table

#: The working table of crops: ``row`` of its object in the frame, ``values`` (P,) as a list.
CROPS = "_crops"
#: Frames over which the distance from the training images is watched for the alarm.
_WATCHED = 5
_POINTS = ("y_nm", "x_nm", "y_sigma_nm", "x_sigma_nm", "class", "score", "flags")
_FRAMES = ("t_s", "temperature_C", "area_nm2", "flags", "domain_distance")


@dataclass(frozen=True)
class Seen:
    """Running state: points and frames, a sample of crops, counts."""

    points: Gathered
    crops: Sampled
    counts: Counts


@dataclass(frozen=True)
class Unnamed:
    """Follow objects from frame to frame. `symmetry`: point group of their sites, by which crops are folded.

    reach_nm: how far an object may go in one frame, or max_speed_nm_per_s; gap_frames: frames it may be missed in a
    row; least_frames: shorter tracks are taken for noise in motion and rates; most_crops: crops kept for the kinds;
    most_kinds: kinds between which rates are sought.
    """

    reach_nm: float = 0.4
    max_speed_nm_per_s: float | None = None
    gap_frames: int = 2
    least_frames: int = 3
    symmetry: PointGroup = "C3"
    most_crops: int = 6000
    most_kinds: int = 5
    disc: Disc = field(default=Disc(0.32, 0.04), metadata={"setting": False})

    def start(self) -> Seen:
        """Return the state before the first frame."""
        return Seen(self._gather.start(), Sampled.empty(self.disc, self.most_crops), ArealDensity().start())

    def step(self, state: Seen, tables: Mapping[str, pd.DataFrame]) -> Seen:
        """Return the state after one more frame."""
        frame = int(tables["frames"]["frame"].iloc[0])
        crops = state.crops
        if len(tables[CROPS]):
            values = np.stack([np.asarray(v, np.float32) for v in tables[CROPS]["values"]])
            source = frame * ROWS_A_FRAME + tables[CROPS]["row"].to_numpy(np.int64)
            crops = crops.with_crops(Crops(self.disc, values, source), np.random.default_rng([5, frame]))
        counts = ArealDensity(always=("defect",)).step(state.counts, tables)
        return Seen(self._gather.step(state.points, tables), crops, counts)

    def result(self, state: Seen) -> dict[str, pd.DataFrame]:
        """Return all tables over time; without times those of motion and rates are empty."""
        frames = self._gather.frames(state.points)
        points = self._gather.table(state.points, "objects")
        points = points.assign(row=points.groupby("frame").cumcount())
        drift = find_drift(points, frames=frames)
        found = kinds(state.crops, self.symmetry)
        settings = LinkSettings(self.max_speed_nm_per_s, reach_nm=self.reach_nm, gap_frames=self.gap_frames)
        tracks, parents = link(in_sample(points, drift), settings, frames)
        timed = bool(len(frames)) and bool(np.isfinite(frames["t_s"]).all())
        tracks, rates = self._with_kinds(tracks, found, timed)
        long = tracks[tracks.groupby("track")["frame"].transform("size") >= self.least_frames]
        named = tracks.sort_values(["frame", "row"], kind="stable")
        return {
            "summary": ArealDensity(always=("defect",)).result(state.counts)["summary"],
            "tracks": tracks.drop(columns=["row"]),
            "drift": drift,
            "events": pd.concat([_alarm(frames), events_table(tracks, parents, frames)], ignore_index=True),
            "counts": counts_table(named, frames) if len(frames) else counts_table(named, frames, ("defect",)),
            "motion": msd_table(long) if timed else _none(MOTION),
            "diffusion": diffusion_table(long) if timed else _none(DIFFUSION),
            "rates": rates_table(rates),
            "states": states_table(rates),
            **found.tables,
        }

    @property
    def _gather(self) -> Gather:
        return Gather(("objects",), _POINTS, _FRAMES)

    def _with_kinds(self, tracks: pd.DataFrame, found: Kinds, timed: bool) -> tuple[pd.DataFrame, Rates]:
        """Return the tracks with ``class``, ``state`` and ``state_p`` smoothed over time, and the rates."""
        seen = found.likelihood(tracks["frame"].to_numpy(np.int64), tracks["row"].to_numpy(np.int64))
        count = min(len(found.names), self.most_kinds)
        own = tracks["track"].to_numpy()
        time = tracks["t_s"].to_numpy(float) if timed else tracks["frame"].to_numpy(float)
        cuts = np.flatnonzero(np.r_[True, own[1:] != own[:-1], True]) if len(own) else np.zeros(1, np.intp)
        pieces = [slice(a, b) for a, b in itertools.pairwise(cuts.tolist())]
        chain = Tracks.of([time[s] for s in pieces], [seen[s] for s in pieces], len(found.names))
        common = np.zeros((len(found.names),) * 2, bool)
        common[:count, :count] = ~np.eye(count, dtype=bool)
        rates = estimate_rates(chain, found.names, common & timed)
        away = generator_of(np.where(np.isfinite(rates.rate_per_s), rates.rate_per_s, 0.0))
        p = np.concatenate(smoothed(chain, away)) if pieces else np.zeros((0, len(found.names)))
        names = np.array(found.names, dtype=object)
        state = names[p.argmax(axis=1)] if len(p) else np.zeros(0, dtype=object)
        usual = pd.Series(state).groupby(own).transform(lambda s: s.mode().iloc[0]) if len(p) else state
        return tracks.assign(
            **{"class": np.asarray(usual), "state": state, "state_p": p.max(axis=1, initial=0.0)}
        ), rates


def _alarm(frames: pd.DataFrame) -> pd.DataFrame:
    """Return the event at which frames begin to be unlike what the model has learned, if there is one."""
    distance = frames["domain_distance"].to_numpy(float) if "domain_distance" in frames else np.zeros(0)
    steady = pd.Series(distance).rolling(_WATCHED, min_periods=1).median().to_numpy()
    beyond = np.flatnonzero(steady > 1)
    rows = frames.iloc[beyond[:1]] if len(beyond) else frames.iloc[:0]
    columns = {"t_s": rows["t_s"], "frame": rows["frame"], "kind": "out of domain", "track": -1}
    return pd.DataFrame(columns).assign(y_nm=np.nan, x_nm=np.nan)[[column.name for column in EVENTS]]


def _none(columns: tuple[object, ...]) -> pd.DataFrame:
    """Return a table without rows."""
    return pd.DataFrame({getattr(column, "name", ""): [] for column in columns})
