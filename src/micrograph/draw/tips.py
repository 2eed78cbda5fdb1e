"""The tip of a tunnelling microscope: the features that tell of it, how they look together, its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from micrograph.draw.image import contrast, dress_picture, extent_nm, picture_ratio, show_image
from micrograph.draw.style import new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

#: Colours (blue, orange, purple of Okabe and Ito) and marks of the states, and of what tells nothing.
COLORS = {"sharp": "#56b4e9", "double": "#e69f00", "blunt": "#cc79a7", "other": "#bbbbbb", "cannot tell": "#888888"}
_MARKS = {"sharp": "o", "double": "s", "blunt": "D", "other": "x", "cannot tell": "x"}


def tip_figure(
    level: NDArray[np.float32], pixel_nm: float, features: DataFrame, told: dict[str, Any], words: str
) -> Figure:
    """Return the levelled image (H, W) with its features, beside it how they look together and what they say.

    features: rows with ``y_nm, x_nm, class``; told: the row of table 'frames', with 'together', the mean crop (S, S) or
    ``None``, and 'step_nm', its pixel.
    """
    figure = new_figure(0.62 * picture_ratio(level.shape) + 0.08)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.7, 1.0), height_ratios=(1.7, 1.0))
    axes = figure.add_subplot(grid[:, 0])
    show_image(axes, level, pixel_nm, words)
    for name, rows in features.groupby("class", sort=True):
        mark, color = _MARKS.get(str(name), "o"), COLORS.get(str(name), "white")
        open_mark: dict[str, Any] = {"facecolors": "none", "edgecolors": color} if mark != "x" else {"color": color}
        axes.scatter(rows["x_nm"], rows["y_nm"], s=130, marker=mark, linewidths=1.8, zorder=4,
                     label=f"{name} ({len(rows)})", **open_mark)  # fmt: skip
    if len(features):
        axes.legend(loc="upper left", fontsize=9, framealpha=0.8, title="each feature alone", title_fontsize=9)
    _draw_together(figure.add_subplot(grid[0, 1]), told)
    _draw_probabilities(figure.add_subplot(grid[1, 1]), told)
    return figure


def _draw_together(axes: Any, told: dict[str, Any]) -> None:
    """Draw the mean feature, with an arrow to its ghost where there is one."""
    together, step = told["together"], float(told["step_nm"])
    if together is None:
        axes.axis("off")
        axes.text(0.5, 0.5, "no dangling bond\nis seen", ha="center", va="center", transform=axes.transAxes)
        return
    low, high = contrast(together)
    axes.imshow(together, cmap="gray", vmin=low, vmax=high, extent=extent_nm(together.shape, step))
    apex = float(told["apex_nm"])
    title = "Features together"
    if np.isfinite(apex):
        middle, angle = (len(together) - 1) / 2 * step, np.radians(float(told["apex_deg"]))
        end = (middle + apex * np.cos(angle), middle - apex * np.sin(angle))
        axes.annotate(
            "", xy=end, xytext=(middle, middle),
            arrowprops={"arrowstyle": "-|>", "color": COLORS["double"], "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip
        title = f"Second apex: {apex:.2f} ± {float(told['apex_sigma_nm']):.2f} nm,\nat {float(told['apex_deg']):.0f}°"
    dress_picture(axes, title, together.shape[1] * step)


def _draw_probabilities(axes: Any, told: dict[str, Any]) -> None:
    """Draw a bar for each state of the tip."""
    states = ("sharp", "double", "blunt")
    values = [float(told[f"p_{state}"]) for state in states]
    axes.barh(states, values, color=[COLORS[state] for state in states], edgecolor="black", linewidth=0.6)
    for place, value in enumerate(values):
        axes.text(min(value, 0.75) + 0.03, place, f"{value:.3f}", va="center", fontsize=10)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.set_xlabel(f"probability from {int(told['count'])} features together")


def tip_history_figure(frames: DataFrame, title: str) -> Figure:
    """Return the probability of a bad tip in every frame, and by colour its state; frames that tell nothing lie apart.

    frames: rows with ``frame, class, p_bad``.
    """
    figure = new_figure(0.42)
    axes = figure.subplots()
    known = frames[np.isfinite(frames["p_bad"].to_numpy(float))]
    axes.plot(known["frame"], known["p_bad"], color="#999999", linewidth=1, zorder=1)
    for state in ("sharp", "double", "blunt"):
        rows = known[known["class"] == state]
        axes.scatter(rows["frame"], rows["p_bad"], s=42, color=COLORS[state], marker=_MARKS[state], label=state,
                     edgecolors="black", linewidths=0.5, zorder=3)  # fmt: skip
    silent = frames[~np.isfinite(frames["p_bad"].to_numpy(float))]
    if len(silent):
        axes.scatter(silent["frame"], np.full(len(silent), 0.5), marker="x", color=COLORS["cannot tell"],
                     label="cannot tell")  # fmt: skip
    axes.set(ylim=(-0.06, 1.06), xlabel="frame", ylabel="probability of a bad tip", title=title)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure
