"""Growth and closing: areas over time with their fitted rates, and numbers and covered share with the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import Curve, label_axes
from micrograph.draw.style import BLACK, BLUE, GREY, line_colors, looks, new_figure
from micrograph.draw.tracks import time_of

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: Up to so many tracks each have a colour and their rate in words; of more the longest `MOST_LINES` are drawn.
FEW, MOST_LINES = 8, 400
#: A law is drawn on to where the area is zero, at most so many times the time seen.
_AHEAD = 0.5


@dataclass(frozen=True)
class Panel:
    """One quantity over time: its label with the unit, curves by name, and its stages (``start_s, end_s, value``)."""

    label: str
    curves: Mapping[str, Curve]
    stages: DataFrame | None = None


def areas_figure(tracks: DataFrame, growth: DataFrame | None, title: str = "Area over time") -> Figure:
    """Return the area (nm²) of each tracked object over time, with the law that it follows.

    tracks: rows with ``track, frame, t_s, area_nm2`` and, where known, ``area_sigma_nm2``; growth: rows with ``track,
    law, area_rate_nm2_per_s``, its ``_low`` and ``_high``, ``radius_rate_nm_per_s`` and ``closing_s``. Few tracks are
    drawn as points with the law as a line that goes on until the object is gone; many as lines coloured by the rate of
    the radius.
    """
    time, label = time_of(tracks)
    names, lengths = np.unique(tracks["track"].to_numpy(np.int64), return_counts=True)
    longest = names[np.argsort(-lengths, kind="stable")]
    figure = new_figure(0.6 + (0.03 * len(names) if len(names) <= FEW else 0.05))
    axes = figure.subplots()
    rates = {} if growth is None else {int(row["track"]): row for row in growth.to_dict("records")}
    if len(names) <= FEW:
        _few(axes, tracks, time, np.sort(longest), rates)
        if rates:
            figure.legend(loc="outside lower center", fontsize=10, frameon=False)
            title += " (brackets: 95 % intervals)"
    else:
        _many(figure, axes, tracks, time, longest[:MOST_LINES], rates)
        title += f" ({len(names)} objects)" if len(names) <= MOST_LINES else f" (the {MOST_LINES} seen longest)"
    axes.set_ylim(bottom=0)
    label_axes(axes, title, label, "area (nm²)")
    return figure


def reaction_figure(panels: Sequence[Panel], time_label: str, title: str) -> Figure:
    """Return panels over one time axis, each with 95 % bands; its stages are shaded spans with their means as lines."""
    figure = new_figure(0.14 + 0.24 * max(len(panels), 1))
    rows = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=False):
        for name, color in line_colors(panel.curves).items():
            _draw_curve(axes, name, color, panel.curves[name])
        if len(panel.curves) > 1:
            axes.legend(fontsize=10)
        if panel.stages is not None and len(panel.stages):
            _draw_stages(axes, panel.stages)
        last = panel is panels[-1]
        label_axes(axes, "", time_label if last else "", panel.label)
    figure.align_ylabels(rows)
    rows[0].set_title(title, fontsize=13)
    return figure


def rate_text(row: Mapping[Any, Any]) -> str:
    """Return 'rate [low, high] nm²/s' of a row of the table 'growth' and, where the object shrinks, when it is gone."""
    rate, low, high = (row[f"area_rate{end}_nm2_per_s"] for end in ("", "_low", "_high"))
    if not np.isfinite(rate):
        return "rate unknown"
    text = f"{rate:.3g} [{low:.3g}, {high:.3g}] nm²/s"
    if np.isfinite(row.get("closing_s", np.nan)) and high < 0:
        text += f", gone at {row['closing_s']:.3g}"
        known = np.isfinite([row["closing_low_s"], row["closing_high_s"]]).all()
        text += f" [{row['closing_low_s']:.3g}, {row['closing_high_s']:.3g}] s" if known else " s"
    return text


def _few(axes: Axes, tracks: DataFrame, time: Array, names: Array, rates: Mapping[int, Mapping[Any, Any]]) -> None:
    for name, color in line_colors([f"{int(one):06d}" for one in names]).items():
        mine = tracks["track"].to_numpy(np.int64) == int(name)
        t, area = time[mine], tracks["area_nm2"].to_numpy(float)[mine]
        error = tracks["area_sigma_nm2"].to_numpy(float)[mine] * 1.96 if "area_sigma_nm2" in tracks else None
        row = rates.get(int(name))
        words = f"track {int(name)}: {rate_text(row)}; {row['law']}" if row else "_"
        size = 4.0 if len(t) <= 150 else 2.0
        axes.errorbar(t, area, error, color=color, marker="o", ms=size, lw=0, elinewidth=0.8, alpha=0.6, label=words)
        if row and row.get("law") and len(t) >= 4:
            axes.plot(*_law_line(str(row["law"]), t, area, row.get("closing_s", np.nan)), color=color, lw=2.0)


def _law_line(law: str, t: Array, area: Array, closing_s: float) -> tuple[Array, Array]:
    """Return times and areas of the law through the areas, up to its closing where that is not far ahead."""
    end = float(t.max())
    if end < closing_s <= end + _AHEAD * (end - float(t.min())):
        end = float(closing_s)
    line, seen = np.linspace(float(t.min()), end, 200), area > 0
    if law == "constant area rate":
        return line, np.maximum(np.polyval(np.polyfit(t, area, 1), line), 0.0)
    if law == "exponential":
        return line, np.exp(np.polyval(np.polyfit(t[seen], np.log(area[seen]), 1, w=np.sqrt(area[seen])), line))
    return line, np.maximum(np.polyval(np.polyfit(t, np.sqrt(area), 1), line), 0.0) ** 2


def _many(
    figure: Figure,
    axes: Axes,
    tracks: DataFrame,
    time: Array,
    names: Array,
    rates: Mapping[int, Mapping[Any, Any]],
) -> None:
    ids, area = tracks["track"].to_numpy(np.int64), tracks["area_nm2"].to_numpy(float)
    order = np.lexsort([time, ids])
    order = order[np.isin(ids[order], names)]
    pieces = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1)
    lines = [np.column_stack([time[piece], area[piece]]) for piece in pieces]
    speed = np.array([rates.get(int(ids[piece[0]]), {}).get("radius_rate_nm_per_s", np.nan) for piece in pieces])
    known = np.isfinite(speed)
    plain = [line for line, one in zip(lines, known, strict=True) if not one]
    axes.add_collection(LineCollection(plain, colors=GREY, linewidths=0.8, alpha=0.6))
    if known.any():
        limit = float(np.percentile(np.abs(speed[known]), 98)) or 1.0
        fitted = [line for line, one in zip(lines, known, strict=True) if one]
        drawn = LineCollection(fitted, cmap="coolwarm", array=speed[known], linewidths=1.2)
        drawn.set_clim(-limit, limit)
        axes.add_collection(drawn)
        label = "change of the radius (nm/s)" + ("; grey: unknown" if len(plain) else "")
        figure.colorbar(drawn, ax=axes, label=label, extend="both")
    axes.autoscale_view()


def _draw_curve(axes: Axes, name: str, color: str, curve: Curve) -> None:
    time, value = np.asarray(curve.time, float), np.asarray(curve.value, float)
    marker = looks([name])[name].marker if len(time) <= 40 else ""
    axes.plot(time, value, color=color, lw=1.4, marker=marker, ms=4, label=name)
    if curve.low is not None and curve.high is not None:
        low, high = np.asarray(curve.low, float), np.asarray(curve.high, float)
        axes.fill_between(time, low, high, color=color, alpha=0.25, lw=0)


def _draw_stages(axes: Axes, stages: DataFrame) -> None:
    """Shade every second stage, draw the mean of each with its 95 % band, and write it where there is room."""
    rows = stages.sort_values("start_s", kind="stable").to_dict("records")
    whole = max(float(stages["end_s"].max()) - float(stages["start_s"].min()), 1e-12)
    for number, row in enumerate(rows):
        start, end = float(row["start_s"]), float(row["end_s"])
        if len(rows) > 1:
            axes.axvspan(start, end, color=BLUE if number % 2 else GREY, alpha=0.12, lw=0, zorder=0)
        axes.hlines(row["value"], start, end, color=BLACK, lw=1.6, zorder=3)
        axes.fill_between([start, end], row["value_low"], row["value_high"], color=BLACK, alpha=0.18, lw=0, zorder=2)
        if len(rows) > 1 and (end - start) / whole > 0.08:
            axes.annotate(
                f"{row['value']:.3g}", ((start + end) / 2, 1.0), (0, -3), xycoords=axes.get_xaxis_transform(),
                textcoords="offset points", ha="center", va="top", fontsize=10,
            )  # fmt: skip
    if rows:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.18 * (high - low))
