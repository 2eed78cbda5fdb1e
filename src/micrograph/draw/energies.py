"""Pictures of lattice gases: energies with their limits, configurations side by side, order at other temperatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLACK, BLUE, GREY, ORANGE, SKY, line_colors, new_figure, with_error

if TYPE_CHECKING:
    from pandas import DataFrame

#: Colours of the two species of the first lattice.
SPECIES = (SKY, ORANGE)


def energies_figure(energies: DataFrame, title: str) -> Figure:
    """Return the energies with their 95 % profile intervals, beside what the counts of pairs alone say."""
    figure = new_figure(0.22 + 0.1 * len(energies))
    axes = figure.subplots()
    for place, row in enumerate(energies.to_dict("records")):
        value, low, high = (float(row[name]) for name in ("w_kT", "w_low_kT", "w_high_kT"))
        axes.errorbar(
            value, place, xerr=[[max(value - low, 0)], [max(high - value, 0)]], fmt="o", color=BLUE, capsize=5,
            label="fitted, 95 % interval" if place == 0 else None,
        )  # fmt: skip
        axes.plot(row["pairs_alone_kT"], place, "D", color=ORANGE, label="pairs alone (Bethe)" if place == 0 else None)
        text = with_error(value, float(row["w_sigma_kT"]), "kT")
        axes.annotate(text, (value, place), (0, 9), textcoords="offset points", ha="center", fontsize=11)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(energies)), [str(name) for name in energies["name"]], fontsize=12)
    axes.set_ylim(len(energies) - 0.5, -0.6)
    label_axes(axes, title, "energy of a pair (kT)", "")
    figure.legend(loc="outside lower center", ncols=2, fontsize=11, frameon=False)
    return figure


def patches_figure(patches: DataFrame, names: tuple[str, str], adatom: str, title: str) -> Figure:
    """Return configurations side by side: the first lattice in two colours, adatoms as black dots between.

    names: of the species that counts and of the other.
    """
    kinds = list(dict.fromkeys(patches["kind"]))
    figure = new_figure(0.36 if len(kinds) > 2 else 0.62)
    panels = np.atleast_1d(figure.subplots(1, len(kinds)))
    for axes, kind in zip(panels, kinds, strict=True):
        _patch(axes, patches[patches["kind"] == kind], str(kind))
    handles: list[Any] = [
        axes.scatter([], [], marker="s", s=60, color=color, label=name)
        for axes, name, color in ((panels[0], names[0], SPECIES[1]), (panels[0], names[1], SPECIES[0]))
    ]
    if (patches["adatom"] == 1).any():
        handles.append(panels[0].scatter([], [], marker="o", s=18, color=BLACK, label=adatom))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=11, frameon=False)
    figure.suptitle(title, fontsize=13)
    return figure


def _patch(axes: Axes, table: DataFrame, title: str) -> None:
    from matplotlib.colors import ListedColormap

    side = int(max(table["u"].max(), table["v"].max())) + 1
    grid = np.full((side, side), np.nan)
    u, v = table["u"].to_numpy(int), table["v"].to_numpy(int)
    state = table["state"].to_numpy(float)
    grid[side - 1 - v, u] = np.where(state < 0, np.nan, state)
    axes.imshow(grid, cmap=ListedColormap(SPECIES), vmin=0, vmax=1, extent=(-0.5, side - 0.5, -0.5, side - 0.5))
    on = table["adatom"].to_numpy() == 1
    axes.scatter(u[on] + 0.5, v[on] + 0.5, s=3.5, color=BLACK, linewidth=0)
    axes.set(xlim=(-0.5, side - 0.5), ylim=(-0.5, side - 0.5), xticks=[], yticks=[], aspect="equal")
    axes.set_title(title, fontsize=11)


def foretold_figure(predictions: DataFrame, title: str) -> Figure:
    """Return the order of every kind of pairs over temperature, and the latent map of all drawn surfaces."""
    figure = new_figure(0.5)
    left, right = figure.subplots(1, 2)
    measured = float(predictions["share_1"].iloc[0])
    own = predictions[predictions["share_1"] == measured]
    colours = line_colors(own["name"].unique())
    for name, rows in own.groupby("name", sort=False):
        left.errorbar(
            rows["temperature"], rows["order"], yerr=1.96 * rows["order_sigma"], color=colours[str(name)], marker="o",
            markersize=4, label=str(name),
        )  # fmt: skip
    left.axvline(1, color=GREY, linewidth=1)
    left.axhline(0, color=GREY, linewidth=1)
    label_axes(left, f"Order at a share of {measured:.2f}", "temperature / that of the image", "Warren-Cowley order")
    left.legend(fontsize=10)
    once = predictions[predictions["name"] == predictions["name"].iloc[0]]
    shown = None
    for share, rows in once.groupby("share_1"):
        rows = rows.sort_values("temperature")
        right.plot(rows["latent_1"], rows["latent_2"], color=GREY, linewidth=0.8, zorder=1)
        shown = right.scatter(
            rows["latent_1"], rows["latent_2"], c=np.log2(rows["temperature"]), cmap="cividis", s=34, zorder=2
        )
        end = rows.iloc[0]
        right.annotate(
            f"{share:.2f}", (end["latent_1"], end["latent_2"]), (-6, 6), textcoords="offset points", fontsize=10,
            ha="right",
        )  # fmt: skip
    label_axes(right, "Latent map (numbers: share)", "latent 1", "latent 2")
    right.margins(0.14)
    bar = figure.colorbar(shown, ax=right, label="temperature / that of the image")  # type: ignore[arg-type]
    ticks = np.unique(once["temperature"])
    bar.set_ticks(list(np.log2(ticks)), labels=[f"{t:g}" for t in ticks])
    figure.suptitle(title, fontsize=13)
    return figure


def map_figure(objects: DataFrame, title: str) -> Figure:
    """Return the map of all sites of a table: species in colours, adatoms as dots."""
    x, y = objects["x_nm"].to_numpy(float), objects["y_nm"].to_numpy(float)
    tall = float(np.clip(np.ptp(y) / max(np.ptp(x), 1e-9), 0.2, 1.4))
    figure = new_figure(0.9 * tall + 0.1)
    axes = figure.subplots()
    size = 1.1e5 * tall / max(len(objects), 1)
    for lattice, rows in objects.groupby("lattice"):
        counted = rows["class"] == rows["counts"]
        for is_one, color in ((False, SPECIES[0]), (True, SPECIES[1])):
            part = rows[counted == is_one]
            if not len(part) or (lattice == 2 and not is_one):
                continue
            look: dict[str, Any] = {"color": BLACK, "s": 0.2 * size} if lattice == 2 else {"color": color, "s": size}
            name = f"{part['class'].iloc[0]} ({len(part)})"
            axes.scatter(part["x_nm"], part["y_nm"], linewidth=0, label=name, **look)
    axes.set(aspect="equal")
    axes.invert_yaxis()
    label_axes(axes, title, "x (nm)", "y (nm)")
    figure.legend(loc="outside lower center", ncols=3, fontsize=11, frameon=False, markerscale=2)
    return figure
