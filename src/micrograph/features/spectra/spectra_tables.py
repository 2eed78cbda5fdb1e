"""What an image says of the spectra on its grid, as tables: place by place, which places are alike, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Prediction

Array = NDArray[np.float64]

#: What is scored of a map, in order; see `SUMMARY`.
SCORES = (
    "r2", "r2_nearest", "r2_ceiling", "peak_error_eV", "peak_error_nearest_eV", "peak_error_mean_eV", "coverage_68",
    "coverage_95", "overlap", "overlap_nearest", "overlap_mean",
)  # fmt: skip
#: Latent numbers that are shown.
LATENT = 3
#: Numbers of a place's surroundings by which its spectrum may be told.
KINDS = ("near", "wide", "near and where", "plasmons", "plasmons and near")

PLACES = (
    Column("frame", "", "number of the map"),
    Column("row", "", "line of the spectrum image"),
    Column("column", "", "place along the line"),
    Column("y_nm", "nm", "place down the map (NaN: no step is known)"),
    Column("x_nm", "nm", "place along the line"),
    Column("half", "", "half of the map that the place belongs to; the answers on it come from the other half"),
    Column(
        "peak_eV", "eV", "energy of the highest place of the recorded spectrum, denoised (NaN: none, or no axis in eV)"
    ),
    Column("told_peak_eV", "eV", "the same of the spectrum that the image tells", sigma="told_peak_sigma_eV"),
    Column("error", "", "root mean square of what was told minus what was recorded, over that of the noise"),
    *(
        Column(f"latent_{k + 1}", "", f"component {k + 1} of the recorded spectrum, over its noise")
        for k in range(LATENT)
    ),
    Column(
        "overlap", "", "intersection over union of the bright surroundings that the spectrum tells with the true ones"
    ),
)
ALIKE = (
    Column("frame", "", "number of the map"),
    Column("row", "", "line of a place"),
    Column("column", "", "place along the line"),
    Column("rank", "", "1: the place whose spectrum is most like it"),
    Column("alike_row", "", "line of that place"),
    Column("alike_column", "", "place along its line"),
    Column("apart", "", "distance of the two spectra, root mean square of components over their noise"),
)
COMPONENTS = (
    Column("frame", "", "number of the map"),
    Column("energy_eV", "eV", "energy (NaN: the axis is not in eV)"),
    Column("channel", "", "number of the channel among those that are told"),
    Column("mean", "", "mean of the recorded spectra"),
    Column("told_mean", "", "mean of the spectra that the image tells"),
    Column("noise", "", "1-sigma of the noise of a channel"),
    *(Column(f"part_{k + 1}", "", f"component {k + 1} of the spectra, in recorded units") for k in range(LATENT)),
)
SUMMARY = (
    Column("places", "", "places of the map"),
    Column("components", "", "components of the spectra that stand out of the noise"),
    Column("spikes", "", "share of the values that were spikes, and were taken out"),
    Column("r2", "", "share of the scatter of unseen spectra about the mean spectrum that the image tells"),
    Column("r2_nearest", "", "the same of the spectrum of the place whose surroundings are most alike"),
    Column("r2_ceiling", "", "the same of a perfect answer: the noise alone is left (the mean spectrum has 0)"),
    Column("peak_error_eV", "eV", "mean absolute error of the peak's energy, of places with a clear peak"),
    Column("peak_error_nearest_eV", "eV", "the same of the nearest place's spectrum"),
    Column("peak_error_mean_eV", "eV", "the same of the mean spectrum"),
    Column("coverage_68", "", "share of recorded values within 1 sigma of what was told, noise included"),
    Column("coverage_95", "", "share within 1.96 sigma"),
    Column("overlap", "", "intersection over union of bright surroundings told by unseen spectra with the true ones, "
           "turned and mirrored at best"),
    Column("overlap_nearest", "", "the same of the surroundings of the nearest spectrum"),
    Column("overlap_mean", "", "the same of the mean surroundings"),
)  # fmt: skip
SEEN = (
    Column("count", "", "places of the map"),
    *SUMMARY[1:],
    Column("told_by", "", "what told the spectra of each half: near or wide surroundings, the losses of particles"),
)


@dataclass(frozen=True)
class SpectraRows:
    """One row a place, its most alike places, and the components of the spectra."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'alike', 'components' and 'frames' of one map."""
        values = prediction.values
        row, column = np.divmod(np.arange(len(values["half"])), int(values["shape"][1]))
        step = prediction.frame.calibration.step_nm
        pitch = np.nan if step is None else step
        in_eV = bool(values["axis"][0])
        known = np.where((values["clear"] > 0) & in_eV, 1.0, np.nan)
        off = np.sqrt(np.mean(((values["predicted"] - values["measured"]) / values["noise"]) ** 2, axis=1))
        peak = values["peak"] * known[:, None]
        objects = pd.DataFrame(
            {
                "row": row,
                "column": column,
                "y_nm": row * pitch,
                "x_nm": column * pitch,
                "half": values["half"].astype(np.int64),
                "peak_eV": peak[:, 0],
                "told_peak_eV": peak[:, 1],
                "told_peak_sigma_eV": peak[:, 2],
                "error": off,
                **{f"latent_{k + 1}": values["latent"][:, k] for k in range(LATENT)},
                "overlap": np.where(values["full"] > 0, values["overlap"][:, 0], np.nan),
            }
        )
        return {
            "objects": objects,
            "alike": _alike(values, row, column),
            "components": _components(values, in_eV),
            "frames": pd.DataFrame([_scores(values, in_eV)]),
        }


def _alike(values: Mapping[str, Array], row: NDArray[np.int_], column: NDArray[np.int_]) -> pd.DataFrame:
    other = values["alike"].astype(np.int64)
    number, most = other.shape
    return pd.DataFrame(
        {
            "row": np.repeat(row, most),
            "column": np.repeat(column, most),
            "rank": np.tile(np.arange(1, most + 1), number),
            "alike_row": row[other].ravel(),
            "alike_column": column[other].ravel(),
            "apart": values["apart"].ravel(),
        }
    )


def _components(values: Mapping[str, Array], in_eV: bool) -> pd.DataFrame:
    energy, parts = values["energy"], values["parts"]
    shown = {f"part_{k + 1}": parts[k] if k < len(parts) else np.zeros_like(energy) for k in range(LATENT)}
    return pd.DataFrame(
        {
            "energy_eV": energy if in_eV else np.full_like(energy, np.nan),
            "channel": np.arange(len(energy)),
            "mean": values["measured"].mean(axis=0),
            "told_mean": values["predicted"].mean(axis=0),
            "noise": values["noise"],
            **shown,
        }
    )


def _scores(values: Mapping[str, Array], in_eV: bool) -> dict[str, Any]:
    components, spikes = values["chosen"][:2]
    scores = dict(zip(SCORES, map(float, values["scores"]), strict=True))
    scores |= {} if in_eV else {name: np.nan for name in SCORES if name.endswith("_eV")}
    return {"count": len(values["half"]), "components": int(components), "spikes": float(spikes), **scores,
            "told_by": ", ".join(KINDS[int(at)] for at in values["told_by"])}  # fmt: skip


@dataclass(frozen=True)
class SpectraSummary:
    """The scores of the map (of the last one, where there are several)."""

    def start(self) -> dict[str, Any]:
        """Return the state before the first map."""
        return {}

    def step(self, state: dict[str, Any], tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
        """Return the state after a map."""
        row = tables["frames"].iloc[0]
        return {"places": int(row["count"]), **{column.name: row[column.name] for column in SUMMARY[1:]}}

    def result(self, state: dict[str, Any]) -> dict[str, pd.DataFrame]:
        """Return the table 'summary'."""
        columns = [column.name for column in SUMMARY]
        return {"summary": pd.DataFrame([state] if state else [], columns=columns, dtype=float)}
