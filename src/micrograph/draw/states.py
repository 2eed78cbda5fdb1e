"""States and the jumps between them: a diagram with rates, rates as intervals, and rates over temperature."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike, NDArray

from micrograph.draw.charts import label_axes
from micrograph.draw.style import BLACK, BLUE, GREY, line_colors, new_figure

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Arrow = tuple[FancyArrowPatch, Array]
#: So many rates, the highest, are written in the diagram where there is room.
MOST_WRITTEN = 16
#: Radius of the largest node, of the smallest, and of the ring on which the nodes lie.
LARGEST, SMALLEST, RING = 0.27, 0.07, 1.0
#: How far an arrow bends aside, as a share of its length.
BEND = 0.16
MOST_BARS = 30
ZERO_C_IN_K, BOLTZMANN_EV = 273.15, 8.617333e-5


def state_diagram(rates: DataFrame, states: DataFrame, title: str = "States and rates") -> Figure:
    """Return the states as discs, their areas the shares, and the jumps seen as arrows, wider where more frequent.

    rates: rows with ``from, to, rate_per_s, rate_low_per_s, rate_high_per_s, jumps`` or, where times are unknown, the
    probabilities per frame ``p, p_low, p_high``; states: rows with ``state, share`` and ``share_low, share_high``.
    Rates are written where they cover nothing, the highest first; a line below counts those left out.
    """
    names = [str(name) for name in states["state"]]
    columns, unit = _value_columns(rates)
    tall, half = (0.9, 2.12) if len(names) > 2 else (0.45, 1.8)
    figure = new_figure(tall)
    figure.set_layout_engine("none")
    share = 1 - 0.14 / tall
    axes = figure.add_axes((0.0, 0.04 / tall, 1.0, share), xlim=(-half, half))
    axes.set_ylim(-half * tall * share, half * tall * share)
    axes.set_axis_off()
    axes.set_title(f"{title}\nnumbers at arrows: {unit}, 95 % interval in brackets", fontsize=13)
    centres, radii = _places(len(names)), _radii(states["share"].to_numpy(float), len(names))
    _draw_nodes(axes, names, states, centres, radii)
    seen = rates[(rates["from"] != rates["to"]) & (rates[columns[0]] > 0)]
    if "jumps" in seen:
        seen = seen[seen["jumps"] > 0]
    seen = seen.sort_values(columns[0], ascending=False, kind="stable")
    arrows = []
    for row in seen.to_dict("records"):
        i, j = names.index(str(row["from"])), names.index(str(row["to"]))
        width = 0.8 + 4.2 * float(row[columns[0]]) / float(seen[columns[0]].max())
        arrows.append(_draw_arrow(axes, (centres[i], centres[j]), (radii[i], radii[j]), width))
    left_out = _write_rates(figure, axes, arrows, [_text(row, columns) for row in seen.to_dict("records")])
    if left_out:
        note = f"{left_out} lower rates are not written: see the table"
        figure.text(0.5, 0.015, note, ha="center", color=GREY, fontsize=11)
    return figure


def rates_figure(rates: DataFrame, title: str = "Rates of the jumps") -> Figure:
    """Return every rate with its 95 % interval on a logarithmic axis; table as for `state_diagram`."""
    columns, unit = _value_columns(rates)
    rows = rates[(rates["from"] != rates["to"]) & np.isfinite(rates[columns[2]]) & (rates[columns[2]] > 0)]
    rows = rows.sort_values(columns[0], ascending=False, kind="stable").head(MOST_BARS)
    value, low, high = (rows[column].to_numpy(float) for column in columns)
    figure = new_figure(max(0.3, 0.16 + 0.042 * len(rows)))
    axes = figure.subplots()
    floor = 0.3 * np.min(np.where(low > 0, low, np.where(value > 0, value, high)), initial=np.inf) if len(rows) else 1.0
    at = np.arange(len(rows))
    axes.hlines(at, np.maximum(low, floor), high, color=BLUE, lw=2)
    axes.plot(value[value > 0], at[value > 0], "o", color=BLUE, ms=7)
    axes.plot(high[value <= 0], at[value <= 0], "<", color=BLUE, ms=7)
    axes.set_xscale("log")
    axes.set_yticks(at, [f"{row['from']} → {row['to']}" for row in rows.to_dict("records")])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    label_axes(axes, title, f"{unit}, with 95 % interval (◂: only an upper limit)", "")
    return figure


def arrhenius_figure(rates: DataFrame, title: str = "Rates against temperature") -> Figure:
    """Return rates with 95 % bars against 1/T, with the line of an activation energy fitted to each jump.

    rates: rows with ``temperature_C, rate_per_s, rate_low_per_s, rate_high_per_s`` and, for several jumps, ``from,
    to``. The line is the weighted fit of ln(rate) at two temperatures or more; its slope is the activation energy.
    """
    names = rates["from"].astype(str) + " → " + rates["to"].astype(str) if "from" in rates else None
    groups = [("rate", rates)] if names is None else [(str(name), part) for name, part in rates.groupby(names)]
    figure = new_figure()
    axes = figure.subplots()
    palette = line_colors(name for name, _ in groups)
    for name, part in groups:
        known = part[part["rate_per_s"] > 0]
        kelvin = known["temperature_C"].to_numpy(float) + ZERO_C_IN_K
        value, low, high = (known[f"rate_{part}per_s"].to_numpy(float) for part in ("", "low_", "high_"))
        bars = np.clip([value - np.maximum(low, 0.02 * value), high - value], 0, None)
        fit = _activation(kelvin, value, low, high)
        label = name if fit is None else f"{name}: {fit[0]:.2f} ± {fit[1]:.2f} eV"
        axes.errorbar(
            1000 / kelvin,
            value,
            bars,
            color=palette[name],
            marker="o",
            lw=0,
            elinewidth=1.3,
            capsize=3,
            label=label,
        )
        if fit is not None:
            line = np.linspace(kelvin.min(), kelvin.max(), 60)
            axes.plot(1000 / line, np.exp(fit[2] - fit[0] / (BOLTZMANN_EV * line)), color=palette[name], lw=1.2)
    axes.set_yscale("log")
    label_axes(axes, title, "1000 K / temperature", "rate (1/s)")
    top = axes.secondary_xaxis("top", functions=(_to_celsius, _from_celsius))
    top.set_xlabel("temperature (°C)", fontsize=12)
    if groups:
        axes.legend(fontsize=10)
    return figure


def _value_columns(rates: DataFrame) -> tuple[tuple[str, str, str], str]:
    if "rate_per_s" in rates and np.isfinite(rates["rate_per_s"].to_numpy(float)).any():
        return ("rate_per_s", "rate_low_per_s", "rate_high_per_s"), "rate per second"
    return ("p", "p_low", "p_high"), "probability per frame"


def _text(row: Any, columns: Sequence[str]) -> str:
    value, low, high = (float(row[column]) for column in columns)
    return f"{value:.2g}\n({low:.2g} to {high:.2g})"


def _places(number: int) -> Array:
    """Return the centres (N, 2) of the nodes on a ring, the first at the top, two side by side."""
    angle = np.pi / 2 - 2 * np.pi * np.arange(number) / max(number, 1) + (np.pi / 2 if number == 2 else 0)
    places: Array = RING * np.column_stack([np.cos(angle), np.sin(angle)]) * (0.0 if number == 1 else 1.0)
    return places


def _radii(share: Array, number: int) -> Array:
    largest = LARGEST if number < 6 else 0.8 * LARGEST
    known = np.nan_to_num(share)
    radii: Array = np.maximum(SMALLEST, largest * np.sqrt(known / max(float(known.max(initial=0)), 1e-12)))
    return radii


def _draw_nodes(axes: Axes, names: list[str], states: DataFrame, centres: Array, radii: Array) -> None:
    """Draw the discs with their shares written beside, away from the middle."""
    palette = line_colors(names)
    for name, row, centre, radius in zip(names, states.to_dict("records"), centres, radii, strict=True):
        axes.add_patch(Circle((centre[0], centre[1]), radius, color=palette[name], lw=0, zorder=3))
        share = f"{100 * row['share']:.3g} %"
        if np.isfinite(row.get("share_low", np.nan)):
            share += f"\n({100 * row['share_low']:.3g} to {100 * row['share_high']:.3g})"
        away = np.array([0.0, -1.0]) if len(names) <= 2 else centre / RING
        x, y = centre + away * (radius + 0.07)
        across = "center" if abs(away[0]) < 0.4 else ("left" if away[0] > 0 else "right")
        down = "center" if abs(away[1]) < 0.4 else ("bottom" if away[1] > 0 else "top")
        text = "\n".join([*textwrap.wrap(name, 18), share])
        axes.text(x, y, text, ha=across, va=down, fontsize=11, zorder=6, gid="node")


def _draw_arrow(axes: Axes, centres: tuple[Array, Array], radii: tuple[float, float], width: float) -> Arrow:
    """Draw one bent arrow between two nodes and return it with the points (N, 2) of its line."""
    start, end = centres
    aside = np.array([start[1] - end[1], end[0] - start[0]]) * -BEND
    t = np.linspace(0, 1, 200)[:, None]
    line: Array = (1 - t) ** 2 * start + 2 * t * (1 - t) * ((start + end) / 2 + 2 * aside) + t**2 * end
    gap = 0.02
    free = (np.hypot(*(line - start).T) > radii[0] + gap) & (np.hypot(*(line - end).T) > radii[1] + gap)
    line = line[free]
    arrow = FancyArrowPatch(
        path=Path(line), arrowstyle="-|>", mutation_scale=9 + 1.6 * width, lw=width, color=BLACK, alpha=0.75, zorder=2,
        shrinkA=0, shrinkB=0, joinstyle="miter", capstyle="butt",
    )  # fmt: skip
    axes.add_patch(arrow)
    return arrow, line


def _write_rates(figure: Figure, axes: Axes, arrows: list[Arrow], texts: list[str]) -> int:
    """Write the first texts at their arrows where they cover nothing; arrows without one fade; return how many."""
    figure.draw_without_rendering()
    taken = [text.get_window_extent().padded(2) for text in axes.texts if text.get_gid() == "node"]
    taken += [patch.get_window_extent().padded(2) for patch in axes.patches if isinstance(patch, Circle)]
    left_out = 0
    for number, ((arrow, curve), words) in enumerate(zip(arrows, texts, strict=True)):
        text = axes.text(
            0, 0, words, fontsize=9.5, ha="center", va="center", zorder=5, linespacing=1.05,
            bbox={"facecolor": "white", "alpha": 0.85, "pad": 0.8, "linewidth": 0},
        )  # fmt: skip
        for place, box in _boxes(axes, text, curve):
            if number < MOST_WRITTEN and not any(box.overlaps(other) for other in taken):
                text.set_position((place[0], place[1]))
                taken.append(box)
                break
        else:
            text.remove()
            arrow.set(alpha=0.2, zorder=1)
            left_out += 1
    return left_out


def _boxes(axes: Axes, text: Text, curve: Array) -> Iterator[tuple[Array, Bbox]]:
    """Yield places along a curve, its middle first, with the box that the text would take there in display pixels."""
    size = text.get_window_extent()
    half = np.array([size.width / 2 + 2, size.height / 2 + 2])
    for share in (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82):
        place = curve[round(share * (len(curve) - 1))]
        middle = axes.transData.transform(place)
        yield place, Bbox([middle - half, middle + half])


def _activation(kelvin: Array, value: Array, low: Array, high: Array) -> tuple[float, float, float] | None:
    """Return activation energy in eV, its 1-sigma and ln(prefactor) by weighted least squares; ``None`` if unknown."""
    if len(np.unique(kelvin)) < 2:
        return None
    sigma = np.log(high / np.where(low > 0, low, value**2 / high)) / 3.92
    design = np.column_stack([-1 / (BOLTZMANN_EV * kelvin), np.ones_like(kelvin)]) / sigma[:, None]
    (energy, prefactor), *_ = np.linalg.lstsq(design, np.log(value) / sigma, rcond=None)
    covariance = np.linalg.inv(design.T @ design)
    return float(energy), float(np.sqrt(covariance[0, 0])), float(prefactor)


def _to_celsius(inverse: ArrayLike) -> Array:
    celsius: Array = 1000 / np.maximum(np.asarray(inverse, dtype=np.float64), 1e-9) - ZERO_C_IN_K
    return celsius


def _from_celsius(celsius: ArrayLike) -> Array:
    inverse: Array = 1000 / np.maximum(np.asarray(celsius, dtype=np.float64) + ZERO_C_IN_K, 1e-9)
    return inverse
