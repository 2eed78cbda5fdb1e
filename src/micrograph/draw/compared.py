"""One quantity of several runs beside each other, with its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLUE, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: More rows than this have no names beside them.
_NAMED = 60


def compared_figure(table: DataFrame, quantity: str, by: str | None = None) -> Figure:
    """Return a quantity's values with their errors, one line a run, or over the column `by` of the table.

    table: ``run, name, value, sigma, low, high, unit``; errors are the interval where there is one, else 1-sigma.
    """
    value = table["value"].to_numpy(float)
    sigma = np.nan_to_num(table["sigma"].to_numpy(float))
    ends = [
        np.where(np.isfinite(end), np.abs(end - value), sigma)
        for end in (table["low"].to_numpy(float), table["high"].to_numpy(float))
    ]
    unit = next((str(one) for one in table["unit"] if one), "")
    label = f"{quantity} ({unit})" if unit else quantity
    look: dict[str, Any] = {"fmt": "o", "color": BLUE, "ecolor": BLUE, "capsize": 3, "markersize": 6}
    if by is not None:
        figure = new_figure(0.6)
        axes = figure.subplots()
        axes.errorbar(table[by].to_numpy(float), value, yerr=ends, **look)
        label_axes(axes, f"{quantity} of {len(table)} results", by, label)
        return figure
    figure = new_figure(float(np.clip(0.14 + 0.035 * len(table), 0.3, 1.6)))
    axes = figure.subplots()
    place = np.arange(len(table))
    axes.errorbar(value, place, xerr=ends, **look)
    axes.invert_yaxis()
    if len(table) <= _NAMED:
        names = [f"{run}: {name}" if name else run for run, name in zip(table["run"], table["name"], strict=True)]
        axes.set_yticks(place, names, fontsize=10)
    label_axes(axes, f"{quantity} of {len(table)} results", label, "")
    return figure
