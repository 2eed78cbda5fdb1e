"""The headline: the numbers that were asked for, each with its error, its unit and its meaning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import Column
from micrograph.core.units import sigma_of, unit_of
from micrograph.draw import with_error
from micrograph.report.energies import energy_headlines
from micrograph.report.headline import Headline, interval_text
from micrograph.report.molecules import valued_headlines

if TYPE_CHECKING:
    from pandas import DataFrame

#: So many numbers of each kind over time are headlines.
MOST_NUMBERS = 8
_SHARE = ("share_low", "share_high")
_LATTICE = {
    "a_nm": "lattice parameter a",
    "b_nm": "lattice parameter b",
    "gamma_deg": "angle between a and b",
    "bond_nm": "bond length",
    "rotation_deg": "rotation of the lattice",
}


def headlines(summary: DataFrame, frames: DataFrame, columns: tuple[Column, ...]) -> list[Headline]:
    """Return the lattice from 'frames', then the rows of the summary, which for outlined objects stand elsewhere."""
    about = {column.name: column.about for column in columns}
    if {"count", "covered_nm2"} <= set(frames) or {"class", "fraction"} <= set(summary):
        return list(_lattice(frames))
    if {"name", "count"} <= set(summary):
        return [*_lattice(frames), *(_counted(row) for row in summary.to_dict("records"))]
    if {"name", "w_kT"} <= set(summary):
        return [*_lattice(frames), *energy_headlines(summary)]
    if {"name", "value", "value_low"} <= set(summary):
        return [*_lattice(frames), *valued_headlines(summary)]
    return [*_lattice(frames), *_plain(summary, about)]


def headlines_over_time(tables: Mapping[str, DataFrame]) -> list[Headline]:
    """Return diffusion constants, shares of states and the highest rates, each with its 95 % interval."""
    found: list[Headline] = []
    if _holds(tables, "diffusion", "class", "d_nm2_per_s"):
        found += [_diffusion(row) for row in tables["diffusion"].head(MOST_NUMBERS).to_dict("records")]
    if _holds(tables, "states", "state", "share"):
        rows = tables["states"].sort_values("share", ascending=False, kind="stable").head(MOST_NUMBERS)
        found += [_share(row) for row in rows.to_dict("records")]
    if _holds(tables, "rates", "from", "to", "p"):
        rates = tables["rates"]
        rows = rates[rates["from"] != rates["to"]].sort_values("p", ascending=False, kind="stable").head(MOST_NUMBERS)
        found += [_rate(row) for row in rows.to_dict("records")]
    return found


def _holds(tables: Mapping[str, DataFrame], name: str, *columns: str) -> bool:
    return name in tables and set(columns) <= set(tables[name])


def _diffusion(row: Mapping[Any, Any]) -> Headline:
    value = with_error(row["d_nm2_per_s"], row.get("d_sigma_nm2_per_s"), "nm² s⁻¹")
    remark = interval_text(row, "d_low_nm2_per_s", "d_high_nm2_per_s", "nm² s⁻¹")
    if "tracks" in row:
        remark += f"; {row['tracks']:.0f} tracks"
    return Headline(f"diffusion constant, {row['class']}", value, remark)


def _share(row: Mapping[Any, Any]) -> Headline:
    percent = {name: 100 * row[name] for name in ("share_low", "share_high") if name in row}
    return Headline(f"share of {row['state']}", f"{100 * row['share']:.3g} %", interval_text(percent, *_SHARE, "%"))


def _rate(row: Mapping[Any, Any]) -> Headline:
    """Return one rate per second or, where times are unknown, the probability per frame."""
    name = f"{row['from']} → {row['to']}"
    jumps = f"; {row['jumps']:.0f} jump{'' if row['jumps'] == 1 else 's'}" if "jumps" in row else ""
    if math.isfinite(row.get("rate_per_s", math.nan)):
        interval = interval_text(row, "rate_low_per_s", "rate_high_per_s", "s⁻¹")
        return Headline(name, f"{row['rate_per_s']:.3g} s⁻¹", interval + jumps)
    return Headline(name, f"{row['p']:.3g} per frame", interval_text(row, "p_low", "p_high", "") + jumps)


def _lattice(frames: DataFrame) -> Iterator[Headline]:
    """Yield the mean lattice of all frames; its error is the larger of the fits' and of the scatter between frames."""
    for column, name in _LATTICE.items():
        if column not in frames:
            continue
        values = frames[column].to_numpy(float)
        known = np.isfinite(values)
        number = int(known.sum())
        if not number:
            continue
        sigma = math.nan
        if sigma_of(column) in frames:
            sigma = float(np.sqrt(np.sum(frames[sigma_of(column)].to_numpy(float)[known] ** 2)) / number)
        if number > 1:
            sigma = float(np.fmax(sigma, np.std(values[known], ddof=1) / math.sqrt(number)))
        remark = "one frame" if number == 1 else f"mean of {number} frames"
        yield Headline(name, with_error(float(values[known].mean()), sigma, unit_of(column)), remark)


def _counted(row: Mapping[Any, Any]) -> Headline:
    """Return density with its error, and the count with its interval, of one name."""
    count = f"{row['count']:.4g}"
    if "count_low" in row and "count_high" in row:
        count += f" (95 %: {row['count_low']:.4g} to {row['count_high']:.4g})"
    density = row.get("density_per_nm2", math.nan)
    if not math.isfinite(density):
        return Headline(str(row["name"]), count)
    value = with_error(density, row.get("density_sigma_per_nm2"), "nm⁻²")
    limits = row.get("density_low_per_nm2"), row.get("density_high_per_nm2")
    interval = f"95 %: {limits[0]:.4g} to {limits[1]:.4g} nm⁻²; " if None not in limits else ""
    return Headline(str(row["name"]), value, f"{interval}number {count}")


def _plain(summary: DataFrame, about: Mapping[str, str]) -> Iterator[Headline]:
    """Yield every number of a summary of one row, or of the first row of a longer one."""
    if not len(summary):
        return
    row = summary.iloc[0]
    for column in map(str, summary.columns):
        if "_sigma" in column:
            continue
        if summary[column].dtype.kind not in "iuf":
            yield Headline(column, str(row[column]), about.get(column, ""))
            continue
        sigma = float(row[sigma_of(column)]) if sigma_of(column) in summary else None
        yield Headline(column, with_error(float(row[column]), sigma, unit_of(column)), about.get(column, ""))
