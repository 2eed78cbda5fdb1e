"""Examples of every kind of image side by side, with how surely each was called so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from micrograph.draw.style import new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Kinds and examples of each that are shown, at most; the space between the pictures over their side.
MOST_KINDS, MOST_EXAMPLES, _GAP = 12, 8, 0.08


def kinds_figure(
    rows: Sequence[tuple[str, Sequence[tuple[NDArray[np.uint8], str]]]], title: str = "Examples of every kind"
) -> Figure:
    """Return small pictures in a row for each kind: rows of (name and number, [(picture (s, s), words), ...])."""
    rows = [(name, list(pictures)[:MOST_EXAMPLES]) for name, pictures in rows[:MOST_KINDS]]
    widest = max((len(pictures) for _, pictures in rows), default=1)
    columns = max(widest, 4)
    figure = new_figure(0.06 + 0.8 * max(len(rows), 1) * 1.32 / (columns + 2.2))
    axes = figure.subplots()
    for place, (name, pictures) in enumerate(rows):
        top = place * 1.32
        axes.text(-0.12, top + 0.5, _broken(name), ha="right", va="center", fontsize=10)
        for column, (picture, words) in enumerate(pictures):
            left = column * (1 + _GAP)
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top), aspect="equal")
            axes.text(left + 0.5, top + 1.03, words, ha="center", va="top", fontsize=8)
    axes.set_xlim(-2.1, columns * (1 + _GAP))
    axes.set_ylim(max(len(rows), 1) * 1.32, -0.1)
    axes.set_title(title, fontsize=13)
    axes.axis("off")
    return figure


def _broken(name: str, most: int = 18) -> str:
    """Return a name over several lines of about `most` letters."""
    import textwrap

    return "\n".join(textwrap.wrap(name, most))
