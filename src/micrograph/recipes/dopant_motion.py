"""Silicon moving through graphene: tracks, hops, bonds and strain (ADF-STEM movies).   doi:10.1088/1361-6528/abb8a6"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from micrograph.core import Prediction, Task
from micrograph.features.layers.bond_sites import SITES, STRAIN_MAP, SUBLATTICES, TRACKS, site_tables, strain_map
from micrograph.features.layers.bonds import BOND_STRAIN, BONDS, bonds_of, trusted, with_bond_strain
from micrograph.features.layers.named_atoms import NAMED_ATOMS
from micrograph.features.layers.sheet import A_NM, SheetSettings, read_sheet
from micrograph.features.summary import SUMMARY, ArealDensity, Counts
from micrograph.nets import shipped
from micrograph.run import Recipe
from micrograph.simulate import brightness
from micrograph.simulate.layers.sheets import GRAPHENE_IMAGES
from micrograph.track import (
    DRIFT,
    DriftSettings,
    Gather,
    Gathered,
    LinkSettings,
    find_drift,
    in_sample,
    link,
)
from micrograph.track.bond_hops import HOPS, hop_table
from micrograph.track.gather import POINT_COLUMNS
from micrograph.validate.layers.bond_checks import bond_checks

HOST, BOND_NM = "C", A_NM / np.sqrt(3)
#: Atoms of two frames are the same if they lie closer than this once the drift is removed: less than half a bond.
MATCH_NM = 0.06
_KEPT = (*POINT_COLUMNS, "row", *(column.name for column in (*BOND_STRAIN, *BONDS) if column.name != "frame"))
_ATOMS = Gather(("objects", "bonds"), tuple(dict.fromkeys(_KEPT)))


@dataclass(frozen=True)
class Bonds(SheetSettings):
    """Atoms, defects and strain of graphene, and the bonds of every silicon."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects', 'frames' and 'bonds' of one frame."""
        sheet = read_sheet(prediction, self, brightness(prediction.frame.calibration))
        objects = with_bond_strain(sheet.table, sheet.crystal, sheet.graph, HOST)
        return {**sheet.tables(), "objects": objects, "bonds": bonds_of(sheet.table, sheet.crystal, sheet.graph, HOST)}


@dataclass(frozen=True)
class Motion:
    """Follow every silicon and average its bonds for as long as it stays on a site.

    reach_nm: how far it may go between two frames; gap_frames: frames in a row in which it may be missed;
    most_drift_nm: how far the sample may drift between two frames: less than half a lattice constant, or the drift is
    known up to a lattice vector only.
    """

    reach_nm: float = 0.35
    gap_frames: int = 3
    most_drift_nm: float = 0.1
    density: ArealDensity = field(default_factory=lambda: ArealDensity(always=("C", "Si")), metadata={"setting": False})

    def start(self) -> tuple[Gathered, Counts]:
        """Return the state before the first frame."""
        return _ATOMS.start(), self.density.start()

    def step(self, state: tuple[Gathered, Counts], tables: Mapping[str, pd.DataFrame]) -> tuple[Gathered, Counts]:
        """Return the state after one more frame."""
        objects = tables["objects"].assign(row=np.arange(len(tables["objects"])))
        return _ATOMS.step(state[0], {**tables, "objects": objects}), self.density.step(state[1], tables)

    def result(self, state: tuple[Gathered, Counts]) -> dict[str, pd.DataFrame]:
        """Return 'tracks', 'drift', 'sites', 'sublattices', 'strain_map', 'hops' and 'summary'."""
        objects, frames = _ATOMS.table(state[0], "objects"), _ATOMS.frames(state[0])
        objects = objects[trusted(objects["flags"])]
        drift = find_drift(objects, DriftSettings(tolerance_nm=MATCH_NM, most_nm=self.most_drift_nm), frames)
        objects = in_sample(objects, drift)
        silicon = objects[objects["class"].to_numpy(str) != HOST]
        tracks, _ = link(silicon, LinkSettings(reach_nm=self.reach_nm, gap_frames=self.gap_frames), frames)
        place = tracks[["frame", "row", "track", "y_sample_nm", "x_sample_nm"]].rename(columns={"row": "dopant"})
        bonds = _ATOMS.table(state[0], "bonds").merge(place.astype({"dopant": int}), on=["frame", "dopant"])
        return {
            **self.density.result(state[1]),
            "tracks": tracks[[column.name for column in TRACKS]],
            "drift": drift,
            **site_tables(bonds),
            "strain_map": strain_map(objects),
            "hops": hop_table(tracks, bonds, BOND_NM, self.reach_nm),
        }


RECIPE = Recipe(
    name="dopant-motion",
    title="Silicon moving through graphene: tracks, bonds and strain",
    task=Task(
        question="Where does every silicon go, how long are its bonds, do they differ, and how is the sheet strained?",
        needs=("pixel_nm",),
        answers={
            **NAMED_ATOMS,
            "objects": (*NAMED_ATOMS["objects"], *BOND_STRAIN),
            "bonds": BONDS,
            "tracks": TRACKS,
            "drift": DRIFT,
            "sites": SITES,
            "sublattices": SUBLATTICES,
            "strain_map": STRAIN_MAP,
            "hops": HOPS,
            "summary": SUMMARY,
        },
        reference="doi:10.1088/1361-6528/abb8a6",
    ),
    data=GRAPHENE_IMAGES,
    model=shipped("graphene-1"),
    objects=Bonds(),
    summary=Motion(),
    checks=bond_checks(),
)
