"""How many of each over time, with what was done to the sample below, and the moments at which something changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLACK, RED, line_colors, looks, new_figure
from micrograph.draw.tracks import time_of

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
#: The most frequent names are drawn, so many at most.
MOST_NAMES = 6
#: Columns of a log as they are written on an axis; the first that is there is shown.
_LOGGED = {
    "temperature_C": "temperature (°C)",
    "temperature_set_C": "set temperature (°C)",
    "voltage_V": "voltage (V)",
    "current_A": "current (A)",
    "pressure_mbar": "pressure (mbar)",
}


def counts_over_time_figure(
    counts: DataFrame,
    title: str = "Number over time",
    log: DataFrame | None = None,
    changes_s: Sequence[float] = (),
    area_nm2: float | None = None,
) -> Figure:
    """Return the number of each name over time with its 95 % band, the log below, and dashed lines at changes.

    counts: rows with ``frame, t_s, name, count, count_low, count_high``; log: rows with ``t_s`` or ``frame`` and one
    of ``temperature_C, voltage_V, current_A, pressure_mbar``; changes_s: times of changes in s (frames where times are
    unknown). With the area in view the density in 1/nm² is drawn. Of many names the `MOST_NAMES` most frequent are.
    """
    shown = _shown(log)
    figure = new_figure(0.75 if shown else 0.6)
    panels = figure.subplots(2 if shown else 1, 1, sharex=True, height_ratios=(3, 1) if shown else None, squeeze=False)
    axes = panels[0, 0]
    scale = 1.0 if area_nm2 is None else 1 / area_nm2
    total = counts.groupby("name")["count"].sum().sort_values(ascending=False)
    names = [str(name) for name in total.index[:MOST_NAMES]]
    for name, color in line_colors(names).items():
        mine = counts[counts["name"].astype(str) == name]
        time, _ = time_of(mine)
        value, low, high = (mine[column].to_numpy(float) * scale for column in ("count", "count_low", "count_high"))
        axes.plot(
            time,
            value,
            color=color,
            lw=1.5,
            marker=looks([name])[name].marker if len(time) <= 40 else "",
            ms=4,
            label=name,
        )
        axes.fill_between(time, low, high, color=color, alpha=0.25, lw=0)
    axes.set_ylim(bottom=0)
    _mark(panels, changes_s)
    _, label = time_of(counts)
    label_axes(axes, title, "" if shown else label, "number" if area_nm2 is None else "density (1/nm²)")
    if names:
        axes.legend(fontsize=11, title="bands: 95 %", title_fontsize=10, loc="best")
    if shown and log is not None:
        _draw_log(panels[1, 0], log, shown, label)
    return figure


def _shown(log: DataFrame | None) -> str:
    """Return the column of the log that is drawn, '' if none."""
    if log is None:
        return ""
    known = (name for name in _LOGGED if name in log and np.isfinite(log[name].to_numpy(float)).any())
    return next(known, "")


def _draw_log(axes: Axes, log: DataFrame, column: str, label: str) -> None:
    time, _ = time_of(log)
    step = "steps-post" if "_set" in column else "default"
    axes.plot(time, log[column].to_numpy(float), color=RED, lw=1.5, drawstyle=step)
    label_axes(axes, "", label, _LOGGED[column])


def _mark(panels: NDArray[np.object_], changes_s: Sequence[float]) -> None:
    """Draw a dashed line through all panels at each change and write its time at the top."""
    for moment in changes_s:
        for axes in panels.ravel():
            axes.axvline(moment, color=BLACK, lw=1.2, ls="--", zorder=1)
        top = panels[0, 0]
        top.annotate(
            f"{moment:.4g}", (moment, 1.0), (3, -2), xycoords=top.get_xaxis_transform(), textcoords="offset points",
            va="top", fontsize=10,
        )  # fmt: skip
