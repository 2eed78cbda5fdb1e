"""What fitted energies foretell: the order of a surface at other temperatures and compositions, by Monte Carlo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.surface.latent_map import train_map
from micrograph.features.surface.motif_counts import motif_counts
from micrograph.structures.lattice_gas import LatticeGas, canonical
from micrograph.structures.pair_field import PairField, PairTerm

Array = NDArray[np.float64]

PREDICTIONS = (
    Column("temperature", "", "temperature over that at which the configuration froze"),
    Column("share_1", "", "share of counted sites on the first lattice"),
    Column("share_2", "", "share of counted sites on the second lattice, NaN where there is one lattice"),
    Column("name", "", "which pairs"),
    Column("order", "", "Warren-Cowley parameter: 0 random, 1 alike only, below 0 unlike preferred", "order_sigma"),
    Column("latent_1", "", "first latent number of the auto-encoder, turned to follow temperature"),
    Column("latent_2", "", "second latent number"),
)
PATCHES = (
    Column("kind", "", "measured, or Monte Carlo with its temperature"),
    Column("u", "", "cell along a"),
    Column("v", "", "cell along b"),
    Column("state", "", "1 where the site of the first lattice counts, 0 where not, -1 where nobody saw it"),
    Column("adatom", "", "the same for the second lattice, -1 where there is none"),
)
SUMMARY = (
    Column("name", "", "which pairs"),
    Column("w_kT", "kT", "weighted mean of the energy over the frames that count", "w_sigma_kT"),
    Column("w_low_kT", "kT", "lower end of its 95 % interval"),
    Column("w_high_kT", "kT", "upper end of its 95 % interval"),
    Column("scatter", "", "chi-square a frame of the energies about their mean; about 1 if only chance differs"),
    Column("frames", "", "frames that count"),
)
#: Temperatures that are foretold at the measured composition, and the grid of the latent map.
TEMPERATURES = (0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5)
COMPOSITIONS = (0.2, 0.4, 0.6, 0.8)
#: Cells a side of the pictures.
PATCH = 24


@dataclass(frozen=True)
class GridSettings:
    """Size of the drawn surfaces (cells a side), replicas of each, sweeps of exchanges."""

    size: int = 24
    replicas: int = 16
    sweeps: int = 30


@dataclass(frozen=True)
class Drawn:
    """Surfaces drawn at points of a grid: temperature, share (G,); order (G, E, R); histograms (G, R, B)."""

    temperature: Array
    share: Array
    order: Array
    histograms: Array
    states: dict[float, NDArray[np.int8]] = field(default_factory=dict)


def draw_grid(
    gas: LatticeGas,
    energies_kT: Sequence[float],
    shares: Sequence[float],
    rng: np.random.Generator,
    settings: GridSettings | None = None,
) -> Drawn:
    """Return surfaces drawn at all `TEMPERATURES` and `COMPOSITIONS`, and at the measured composition `shares`."""
    settings = settings or GridSettings()
    points = [(t, share) for share in (shares[0], *COMPOSITIONS) for t in TEMPERATURES]
    order, histograms = [], []
    kept: dict[float, NDArray[np.int8]] = {}
    model = gas.periodic(settings.size)
    known = np.ones(model.number, bool)
    for t, share in points:
        energies = [value / t for value in energies_kT]
        _, states = canonical(
            gas, energies, (share, *shares[1:]), settings.size, rng,
            replicas=settings.replicas, sweeps=settings.sweeps,
        )  # fmt: skip
        order.append(warren_cowley(model, states))
        counts = [one / one.sum(axis=1, keepdims=True) for one in motif_counts(model, states, known)]
        histograms.append(np.concatenate(counts, axis=1))
        if len(kept) < len(TEMPERATURES):
            kept[t] = states[:, 0]
    where = np.array(points)
    return Drawn(where[:, 0], where[:, 1], np.array(order), np.array(histograms), kept)


def warren_cowley(model: PairField, states: NDArray[np.int8]) -> Array:
    """Return for each kind of pairs (E, R) the correlation of the states at both ends of the pairs."""
    found = []
    for term in model.terms:
        if isinstance(term, PairTerm):
            one, other = states[term.pairs[:, 0]].astype(float), states[term.pairs[:, 1]].astype(float)
            joint = (one * other).mean(axis=0) - one.mean(axis=0) * other.mean(axis=0)
            found.append(joint / np.maximum(np.sqrt(one.var(axis=0) * other.var(axis=0)), 1e-12))
    return np.array(found)


def prediction_table(drawn: Drawn, names: Sequence[str], share_2: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table `PREDICTIONS` of what was drawn, with the latent numbers of an auto-encoder of its motifs."""
    groups, replicas = drawn.histograms.shape[:2]
    flat = drawn.histograms.reshape(groups * replicas, -1)
    group = np.repeat(np.arange(groups), replicas)
    latent = train_map(flat, group, np.log(drawn.temperature)[group], rng).encode(flat)
    means = latent.reshape(groups, replicas, 2).mean(axis=1)
    rows = [
        {
            "temperature": drawn.temperature[g], "share_1": drawn.share[g], "share_2": share_2, "name": name,
            "order": drawn.order[g, e].mean(), "order_sigma": drawn.order[g, e].std(ddof=1) / np.sqrt(replicas),
            "latent_1": means[g, 0], "latent_2": means[g, 1],
        }
        for g in range(groups)
        for e, name in enumerate(names)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[*dict.fromkeys(name for c in PREDICTIONS for name in (c.name, c.sigma) if name)])


@dataclass(frozen=True)
class Energies:
    """Running sums: per name of pairs weight, weighted energy and square; the first frame's model, as tables."""

    frames: int = 0
    sums: Mapping[str, Array] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    patches: pd.DataFrame | None = None


@dataclass(frozen=True)
class EnergyFold:
    """Fold of the energies of all frames; the first frame's are used to foretell other temperatures (`foretell`)."""

    foretell: bool = True
    ignore: int = field(default=int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME), metadata={"setting": False})

    def start(self) -> Energies:
        """Return the state before the first frame."""
        return Energies()

    def step(self, state: Energies, tables: Mapping[str, pd.DataFrame]) -> Energies:
        """Return the state after one more frame."""
        energies, frames = tables["energies"], tables["frames"]
        if len(energies) == 0 or int(frames["flags"].iloc[0]) & self.ignore:
            return state
        sums = dict(state.sums)
        for row in energies.to_dict("records"):
            ends = np.array([float(row["w_low_kT"]), float(row["w_high_kT"])])
            weight, value = 1 / float(row["w_sigma_kT"]) ** 2, float(row["w_kT"])
            new = weight * np.array([1, value, value**2, 1 / weight, *ends])
            sums[row["name"]] = sums.get(row["name"], np.zeros(6)) + new
        if state.frames or not self.foretell:
            return Energies(state.frames + 1, sums, state.predictions, state.patches)
        return Energies(1, sums, *self._foretold(tables))

    def _foretold(self, tables: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
        gas = gas_from(tables["_model"])
        row = tables["frames"].iloc[0]
        shares = [float(row["share_1"]), *([float(row["share_2"])] if gas.layers == 2 else [])]
        rng = np.random.default_rng([17, int(row["frame"])])
        energies = tables["energies"]
        drawn = draw_grid(gas, energies["w_kT"].to_list(), shares, rng)
        table = prediction_table(drawn, list(energies["name"]), shares[-1] if gas.layers == 2 else np.nan, rng)
        return table, _patches(tables["objects"], drawn, gas)

    def result(self, state: Energies) -> dict[str, pd.DataFrame]:
        """Return the tables 'summary', 'predictions' and 'patches'."""
        rows = [_mean(name, sums) for name, sums in state.sums.items()]
        columns = [name for column in SUMMARY for name in (column.name, column.sigma) if name]
        summary = pd.DataFrame(rows, columns=columns)
        empty = {
            "predictions": [name for column in PREDICTIONS for name in (column.name, column.sigma) if name],
            "patches": [column.name for column in PATCHES],
        }
        kept = {"predictions": state.predictions, "patches": state.patches}
        tables = {name: pd.DataFrame(columns=empty[name]) if kept[name] is None else kept[name] for name in kept}
        return {"summary": summary, **{name: table for name, table in tables.items() if table is not None}}


def _mean(name: str, sums: Array) -> dict[str, Any]:
    weight, first, second, frames, low, high = sums
    mean = first / weight
    chi = max(second - mean**2 * weight, 0.0) / max(frames - 1, 1)
    sigma = float(np.sqrt(max(chi if frames > 2 else 1.0, 1.0) / weight))
    ends = (low / weight, high / weight) if frames == 1 else (mean - 1.96 * sigma, mean + 1.96 * sigma)
    return {
        "name": name, "w_kT": mean, "w_sigma_kT": sigma, "w_low_kT": ends[0], "w_high_kT": ends[1],
        "scatter": chi if frames > 1 else np.nan, "frames": int(frames),
    }  # fmt: skip


def model_table(frame: int, gas: LatticeGas) -> pd.DataFrame:
    """Return which sites interact, as a table that a fold can read."""
    kinds = [(f"shell_{k}", steps) for k, steps in enumerate(gas.shells)] + [("contact", gas.contacts)]
    rows = [{"frame": frame, "kind": kind, "du": du, "dv": dv} for kind, steps in kinds for du, dv in steps]
    return pd.DataFrame(rows, columns=["frame", "kind", "du", "dv"])


def gas_from(table: pd.DataFrame) -> LatticeGas:
    """Return what `model_table` wrote down."""
    steps = {
        str(kind): tuple(zip(rows["du"].astype(int).tolist(), rows["dv"].astype(int).tolist(), strict=True))
        for kind, rows in table.groupby("kind", sort=False)
    }
    shells = tuple(value for name, value in steps.items() if name.startswith("shell"))
    return LatticeGas(shells, steps.get("contact", ()))


def _patches(objects: pd.DataFrame, drawn: Drawn, gas: LatticeGas) -> pd.DataFrame:
    """Return the middle of the measured configuration and drawn ones beside it."""
    parts = [_measured(objects)]
    nearest = [min(drawn.states, key=lambda t: abs(t - wanted)) for wanted in (1.0, min(TEMPERATURES), 2.0)]
    for t in nearest:
        states = drawn.states[t]
        side = int(np.sqrt(len(states) // gas.layers))
        u, v = np.divmod(np.arange(side * side), side)
        adatom = states[side * side :] if gas.layers == 2 else np.full(side * side, -1)
        kind = f"Monte Carlo, T = {t:g} T0"
        table = pd.DataFrame({"kind": kind, "u": u, "v": v, "state": states[: side * side], "adatom": adatom})
        parts.append(table[(u < PATCH) & (v < PATCH)])
    return pd.concat(parts, ignore_index=True).astype({"state": np.int64, "adatom": np.int64})


def _measured(objects: pd.DataFrame) -> pd.DataFrame:
    lattices = [objects[objects["lattice"] == number] for number in (1, 2)]
    first = lattices[0]
    low = [int(np.median(first[axis])) - PATCH // 2 for axis in ("u", "v")]
    grids = np.full((2, PATCH, PATCH), -1)
    for number, table in enumerate(lattices):
        if not len(table):
            continue
        counted = table["class"].isin([_counted(table)]).to_numpy()
        u, v = (table[axis].to_numpy(int) - start for axis, start in zip(("u", "v"), low, strict=True))
        inside = (u >= 0) & (u < PATCH) & (v >= 0) & (v < PATCH)
        grids[number][u[inside], v[inside]] = counted[inside]
    u, v = np.divmod(np.arange(PATCH * PATCH), PATCH)
    return pd.DataFrame({"kind": "measured", "u": u, "v": v, "state": grids[0].ravel(), "adatom": grids[1].ravel()})


def _counted(table: pd.DataFrame) -> str:
    """Return the species that counts, which the table names in 'counts'."""
    return str(table["counts"].iloc[0])
