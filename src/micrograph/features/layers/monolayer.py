"""A monolayer of MoS2, WS2, MoSe2 or WSe2 as it is seen in one frame: sites, defects, lattice, strain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Prediction
from micrograph.features.columns.locate import LocateSettings, locate
from micrograph.features.columns.occupancy import CLASS_P, occupied
from micrograph.features.columns.species import Species
from micrograph.features.lattices.crystal import Crystal, crystal_of, defect_table, voted, with_strain
from micrograph.features.lattices.lattice import Lattice
from micrograph.features.lattices.site_defects import site_defects
from micrograph.features.layers.sheet import Brightness
from micrograph.features.overview import frame_row, lattice_doubts, magnification_note, order_doubts
from micrograph.structures import BRIGHT_CHALCOGEN, MATERIALS, Material


@dataclass(frozen=True)
class MonolayerSettings:
    """How sites are found and read. `dopants` may sit on metal sites, `substitutes` in chalcogen columns.

    A defect is listed from the posterior `certainty` on; every site keeps its likeliest class.
    """

    material: Literal["auto", "MoS2", "WS2", "MoSe2", "WSe2"] = "auto"
    dopants: tuple[str, ...] = ("V",)
    substitutes: tuple[str, ...] = ()
    threshold: float = 0.4
    min_distance_nm: float = 0.1
    prior_nm: float = 0.015
    certainty: float = 0.8


@dataclass(frozen=True)
class Monolayer:
    """What is seen: `table` of sites (as table 'objects'), their crystal, tables 'defects' and 'frames'."""

    table: pd.DataFrame
    crystal: Crystal
    defects: pd.DataFrame
    frames: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames'."""
        return {"objects": self.table, "defects": self.defects, "frames": self.frames}


def read_monolayer(prediction: Prediction, settings: MonolayerSettings, brightness: Brightness) -> Monolayer:
    """Return what is on every site of one frame of a monolayer (maps 'bright', 'dim', 'contamination')."""
    found = LocateSettings(
        heads=("bright", "dim"),
        threshold=settings.threshold,
        min_distance_nm=settings.min_distance_nm,
        prior_nm=settings.prior_nm,
    )
    table = locate(prediction, found).table
    crystal = crystal_of(table, "hexagonal")
    lattice = crystal.lattice
    bright = voted(crystal, (table["class"] == "bright").to_numpy())
    table = with_strain(table, crystal)
    name = settings.material if settings.material != "auto" else _likeliest(table, bright, lattice, brightness)
    host = MATERIALS[name]
    metal = bright != (name in BRIGHT_CHALCOGEN)
    table = occupied(table, metal, _on_metal_sites(host, settings.dopants, brightness))
    table = occupied(table, ~metal, _in_chalcogen_columns(host, settings.substitutes, brightness))
    hosts = np.where(metal, host.metal, f"{host.chalcogen}2")
    named = site_defects(table["y_nm"], table["x_nm"], table["class"].to_numpy(str), hosts, table["score"])
    at = np.array([rows[0] for rows in named.atoms], dtype=np.intp)
    defects = defect_table(prediction.frame.index, named).assign(flags=table["flags"].to_numpy()[at])
    sure = table[CLASS_P.name].to_numpy()[at] >= settings.certainty
    defects = defects[sure].reset_index(drop=True).assign(id=np.arange(int(sure.sum()), dtype=np.int64))
    doubts = (*lattice_doubts(lattice, host.a_nm, name), *order_doubts(table, lattice))
    notes = magnification_note(lattice, host.a_nm, prediction.frame.calibration.pixel_nm or 1.0)
    frames = frame_row(prediction, table, crystal, doubts=doubts, notes=notes)
    return Monolayer(table, crystal, defects, frames.assign(material=name))


def _on_metal_sites(host: Material, dopants: tuple[str, ...], brightness: Brightness) -> tuple[Species, ...]:
    """Return what a metal site may hold: the host, each dopant by its atomic number, nothing."""
    one = brightness((host.metal,))
    ratios = {element: brightness((element,)) / one for element in dopants if element != host.metal}
    doped = tuple(Species(element, ratio, 0.12 * ratio) for element, ratio in ratios.items())
    return Species(host.metal, 1.0), *doped, Species(f"vac_{host.metal}", 0.0, 0.02)


def _in_chalcogen_columns(host: Material, substitutes: tuple[str, ...], brightness: Brightness) -> tuple[Species, ...]:
    """Return what a chalcogen column may hold: two, one, none, or one of the host and one substitute."""
    x = host.chalcogen
    two = brightness((x, x))
    mixed = tuple(
        Species("".join(sorted((x, other))), brightness((x, other)) / two, 0.05) for other in substitutes if other != x
    )
    return Species(f"{x}2", 1.0), Species(f"{x}1", 0.5, 0.02), Species(f"{x}0", 0.0, 0.02), *mixed


def _likeliest(table: pd.DataFrame, bright: NDArray[np.bool_], lattice: Lattice | None, brightness: Brightness) -> str:
    """Return the material whose lattice constant and brightness of the sublattices fit best."""
    intensity = table["intensity"].to_numpy()
    usable = np.isfinite(intensity) & (table["flags"].to_numpy() == 0)
    if not (usable & bright).any() or not (usable & ~bright).any():
        return "MoS2"
    seen = np.median(intensity[usable & ~bright]) / np.median(intensity[usable & bright])
    misfit = {}
    for name, host in MATERIALS.items():
        ratio = brightness((host.chalcogen,) * 2) / brightness((host.metal,))
        expected = 1 / ratio if name in BRIGHT_CHALCOGEN else ratio
        misfit[name] = (np.log(max(seen, 0.02) / expected) / 0.3) ** 2
        if lattice is not None:
            misfit[name] += ((lattice.a_nm / host.a_nm - 1) / 0.015) ** 2
    return min(misfit, key=misfit.__getitem__)
