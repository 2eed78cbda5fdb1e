"""Networks that were tried in place of a recipe's own: what they find against the time that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from micrograph.draw.style import BLUE, GREY, ORANGE, SKY, new_figure

#: How each kind of network looks: what it is called, colour, marker, size.
_KINDS = {
    "tried": ("tried", SKY, "o", 60),
    "winner": ("best", ORANGE, "D", 110),
    "own": ("the recipe's own", BLUE, "s", 110),
}


def searched_figure(rows: Sequence[Mapping[str, Any]], slower: float, title: str) -> Figure:
    """Return F1 over processor time, a panel for each number of training steps.

    rows: as `apps.searching.table_of` gives them; slower: the limit of time over that of the recipe's own network.
    """
    figure = new_figure(0.5)
    steps = sorted({int(row["steps"]) for row in rows})
    limit = slower * next(float(row["ms_per_Mpx"]) for row in rows if row["kind"] == "own")
    for axes, number in zip(figure.subplots(1, len(steps), squeeze=False, sharey=True)[0], steps, strict=True):
        for kind, (name, colour, marker, size) in _KINDS.items():
            some = [row for row in rows if row["kind"] == kind and row["steps"] == number]
            place = [[row[column] for row in some] for column in ("ms_per_Mpx", "f1")]
            axes.scatter(
                *place,
                s=size,
                color=colour,
                marker=marker,
                label=name if some else None,
                edgecolor="black",
                linewidth=0.6,
            )
        axes.axvline(limit, color=GREY, linestyle="--", label="limit of time")
        axes.set_xlim(0, 1.1 * limit)
        axes.set_title(f"after {number} steps")
        axes.set_xlabel("ms for a million pixels")
    first = figure.axes[0]
    first.set_ylabel("F1 of columns found")
    first.legend(loc="best", fontsize=9)
    figure.suptitle(title, fontsize=13)
    return figure
