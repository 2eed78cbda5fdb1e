"""Where a network can be believed: F1 over two settings at a time, what it was trained on framed, and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from micrograph.draw.style import BLACK, BLUE, ORANGE, new_figure

#: What settings are called on the axes.
NAMES = {
    "electrons": "electrons per column",
    "dose_e_per_A2": "dose (e/Å$^2$)",
    "pixel_nm": "pixel (nm)",
    "defocus_nm": "defocus (nm)",
    "astigmatism_nm": "astigmatism (nm)",
    "source_fwhm_nm": "source (nm)",
    "jitter_nm": "jitter of rows (nm)",
    "line_noise": "noise of rows",
    "focal_spread_nm": "focal spread (nm)",
    "vibration_nm": "vibration (nm)",
    "claimed": "pixel told / true",
    "turned": "contrast turned",
    "material": "",
}


def domain_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Return the domain map of a network: rows as `validate.shift_map.table_of` gives them."""
    planes = list(dict.fromkeys(str(row["family"]) for row in rows if len(row["values"]) == 2))
    alone = [row for row in rows if len(row["values"]) == 1]
    figure = new_figure(0.62)
    widths = [1.0] * len(planes) + [0.8]
    parts = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    for axes, plane in zip(parts, planes, strict=False):
        _plane(axes, [row for row in rows if row["family"] == plane])
    _alone(parts[-1], alone)
    known = next((row for row in rows if not row["values"]), None)
    told = f"; as trained: F1 {known['f1']:.3f}" if known else ""
    figure.suptitle(f"{title}{told}", fontsize=13)
    return figure


def _plane(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw F1 over two settings; the cells that were trained on are framed."""
    first, second = rows[0]["values"]
    ys, xs = (sorted({row["values"][name] for row in rows}) for name in (first, second))
    values = np.full((len(ys), len(xs)), np.nan)
    for row in rows:
        at = ys.index(row["values"][first]), xs.index(row["values"][second])
        values[at] = row["f1"]
        axes.text(at[1], at[0], f"{row['f1']:.2f}", ha="center", va="center", fontsize=9,
                  color="white" if row["f1"] < 0.6 else "black")  # fmt: skip
        if row["inside"]:
            axes.add_patch(
                Rectangle((at[1] - 0.47, at[0] - 0.47), 0.94, 0.94, fill=False, edgecolor=ORANGE, linewidth=2.5)
            )
    axes.imshow(values, origin="lower", vmin=0, vmax=1, cmap="cividis", aspect="auto")
    axes.set_xticks(range(len(xs)), [f"{x:.2g}" for x in xs], fontsize=8, rotation=40)
    axes.set_yticks(range(len(ys)), [f"{y:.2g}" for y in ys], fontsize=8)
    axes.set_xlabel(NAMES.get(second, second))
    axes.set_ylabel(NAMES.get(first, first))
    axes.set_title("F1; framed: trained on", fontsize=10)


def _alone(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw F1 and the expected F1 of the other shifts, one a line."""
    places = np.arange(len(rows))[::-1]
    true, expected = (np.array([row[name] if row[name] is not None else np.nan for row in rows], float)
                      for name in ("f1", "expected_f1"))  # fmt: skip
    axes.barh(places, true, color=BLUE, height=0.7, label="true")
    axes.plot(expected, places, "D", color=BLACK, markersize=5, label="expected")
    axes.set_yticks(places, [_told(row) for row in rows], fontsize=8)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("F1")
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False)


def _told(row: Mapping[str, Any]) -> str:
    ((name, value),) = row["values"].items()
    shown = value if isinstance(value, str) else f"{value:.3g}"
    return f"{NAMES.get(name, name)} {shown}".strip()
