"""Distributions of sizes: one panel for all objects and one for every shape, with bands and the numbers in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLACK, BLUE, line_colors, new_figure

Array = NDArray[np.float64]
#: Panels at most.
MOST_PANELS = 6


@dataclass(frozen=True)
class Distribution:
    """Shares (B,) of objects between edges (B + 1,) with their 95 % interval, the mean with its own, and words."""

    edges: Array
    share: Array
    low: Array
    high: Array
    mean: tuple[float, float, float]
    words: str


def sizes_figure(parts: Mapping[str, Distribution], title: str, label: str) -> Figure:
    """Return one histogram a part, 'all' first, over one axis; `label` names that axis with its unit.

    Shaded bands are the 95 % intervals of the shares; the line is the mean, with its 95 % interval beside it. Of more
    than `MOST_PANELS` parts the first are drawn.
    """
    names = list(parts)[:MOST_PANELS]
    figure = new_figure(0.14 + (0.46 if len(names) == 1 else 0.22 * len(names)))
    panels = figure.subplots(max(len(names), 1), 1, sharex=True, squeeze=False)[:, 0]
    colors = line_colors(name for name in names if name != "all")
    for axes, name in zip(panels, names, strict=False):
        _draw(axes, parts[name], colors.get(name, BLUE))
        axes.set_title(f"{name}: {parts[name].words}", fontsize=11, loc="left", pad=3)
        label_axes(axes, axes.get_title(), label if name == names[-1] else "", "")
    if len(names) > 0:
        panels[0].set_xlim(*parts[names[0]].edges[[0, -1]])
    figure.suptitle(title, fontsize=13)
    figure.supylabel("share of the objects in a bin (%)", fontsize=12)
    return figure


def _draw(axes: Axes, part: Distribution, color: str) -> None:
    low, high = (np.append(values, values[-1]) * 100 for values in (part.low, part.high))
    axes.stairs(part.share * 100, part.edges, fill=True, color=color, alpha=0.55)
    axes.fill_between(part.edges, low, high, step="post", color=color, alpha=0.25, lw=0)
    axes.stairs(part.share * 100, part.edges, color=color, lw=1.4)
    mean, least, most = part.mean
    if np.isfinite(mean):
        axes.axvline(mean, color=BLACK, lw=1.4)
    if np.isfinite(least) and np.isfinite(most):
        axes.axvspan(least, most, color=BLACK, alpha=0.18, lw=0)
    axes.set_ylim(0, 1.08 * float(np.nanmax(high, initial=1.0)))
