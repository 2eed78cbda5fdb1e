"""Pictures of objects with an outline: outlines, sizes, shapes, moving boundaries, growth, stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Flag, Prediction
from micrograph.draw import (
    Curve,
    Distribution,
    Panel,
    areas_figure,
    gallery_figure,
    outlines_figure,
    rate_law_figure,
    reaction_figure,
    sizes_figure,
    time_figure,
    time_of,
    velocity_figure,
)
from micrograph.features.objects.distributions import describe, effective_number, histogram, wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe

SIZE = "equivalent_diameter_nm"
#: Columns of 'objects' that are read of all frames, with the table 'classified'.
OF_CLASSIFIED = ("frame", "id", SIZE)
#: Fewer objects make no histogram.
FEWEST = 5
_CUT = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.NO_FIT | Flag.BAD_FRAME)
_SEED = 17


def is_outlined(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects have outlines: their tables know areas, and no shares of constituents."""
    known = [tables[name] for name in ("objects", "tracks") if name in tables]
    return "phases" not in tables and any("area_nm2" in table for table in known)


def is_timed(table: DataFrame) -> bool:
    """Return whether every row has a time in s."""
    return len(table) > 0 and "t_s" in table and bool(np.isfinite(table["t_s"].to_numpy(float)).all())


def outlined_figures(
    recipe: Recipe, prediction: Prediction | None, tables: Mapping[str, DataFrame]
) -> dict[str, Figure]:
    """Return the pictures of outlined objects by name; nothing where objects have no areas.

    prediction: of the frame that is shown; tables: 'objects' and 'outlines' of that frame; 'frames', 'tracks',
    'counts', 'boundaries', 'rate_law', 'rate_bins', 'growth', 'stages', 'sizes', 'shapes' of the recording;
    'classified' with ``frame, id, shape, weight`` and `SIZE` of all its objects. What is missing is left out.
    """
    known = {name: table for name, table in tables.items() if len(table)}
    if not is_outlined(known):
        return {}
    found = _frame_figures(recipe, prediction, known)
    distributions = size_distributions(known)
    if distributions:
        found["sizes"] = sizes_figure(distributions, _sizes_title(known), "diameter of the circle of equal area (nm)")
    pixel_nm = None if prediction is None else prediction.frame.calibration.pixel_nm
    if prediction is not None and pixel_nm is not None and "boundaries" in known:
        found["velocity"] = velocity_figure(prediction.frame.data, pixel_nm, known["boundaries"])
    if "rate_bins" in known:
        laws = known["rate_law"].to_dict("records") if "rate_law" in known else []
        found["rate-law"] = rate_law_figure(known["rate_bins"], next(iter(laws), None))
    if "tracks" in known and is_timed(known["tracks"]):
        found["areas"] = areas_figure(known["tracks"], known.get("growth"))
    return found | _over_time(known)


def _frame_figures(recipe: Recipe, prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    objects, outlines = tables.get("objects"), tables.get("outlines")
    if prediction is None or objects is None or outlines is None:
        return {}
    image, pixel_nm = prediction.frame.data, prediction.frame.calibration.pixel_nm
    if pixel_nm is None or not {"id", "y_nm", "x_nm"} <= set(objects):
        return {}
    number = f"frame {prediction.frame.index}"
    objects = with_shapes(objects, tables.get("classified"))
    found = {"outlines": outlines_figure(image, pixel_nm, objects, outlines, f"{recipe.title}, {number}")}
    if "shape" in objects:
        words = _shape_words(objects, tables.get("shapes"))
        title = f"Examples of every shape, {number}"
        found["shapes"] = gallery_figure(image, pixel_nm, objects, outlines, words, title)
    return found


def with_shapes(objects: DataFrame, classified: DataFrame | None) -> DataFrame:
    """Return the objects of a frame with the shapes that were found for them at the end, where there are any."""
    if "shape" in objects or classified is None or "shape" not in classified:
        return objects
    shapes = classified[["frame", "id", "shape"]]
    return objects.merge(shapes, "left", ["frame", "id"]).fillna({"shape": "unknown"})


def _shape_words(objects: DataFrame, shapes: DataFrame | None) -> dict[str, str]:
    """Return name, number and share of every shape of the recording, else of the frame, commonest first."""
    if shapes is None:
        number = objects["shape"].astype(str).value_counts()
        return {str(name): f"{name}\nn = {count}" for name, count in number.items()}
    return {
        str(row["shape"]): f"{row['shape']}\nn = {row['number']:.0f}\n{100 * row['share']:.3g} % "
        f"({100 * row['share_low']:.3g} to {100 * row['share_high']:.3g})"
        for row in shapes.to_dict("records")
    }


def _sizes_title(tables: Mapping[str, DataFrame]) -> str:
    if "classified" in tables:
        return "Sizes of the objects"
    return "Sizes of the objects, each its mean over time" if _is_movie(tables) else "Sizes of the objects of the frame"


def _is_movie(tables: Mapping[str, DataFrame]) -> bool:
    return "tracks" in tables and "area_nm2" in tables["tracks"] and is_timed(tables["tracks"])


def size_distributions(tables: Mapping[str, DataFrame]) -> dict[str, Distribution]:
    """Return the distribution of diameters (nm) of all objects and of every shape; none for fewer than `FEWEST`."""
    values, weights, names, repeats = _measured(tables)
    if len(values) < FEWEST:
        return {}
    bins = histogram(values, None, weights)
    edges = np.append(bins["low"].to_numpy(float), bins["high"].iloc[-1])
    parts = {"all": np.ones(len(values), bool)}
    kinds = sorted(set(names.tolist()), key=lambda name: -float(weights[names == name].sum()))
    parts |= {name: names == name for name in kinds if len(kinds) > 1}
    return {
        name: _distribution(name, values[mine], weights[mine], edges, (repeats, tables.get("sizes")))
        for name, mine in parts.items()
    }


def _distribution(
    name: str, values: np.ndarray, weights: np.ndarray, edges: np.ndarray, known: tuple[float, DataFrame | None]
) -> Distribution:
    """Return one distribution; `known` is how often an object was measured, and the table 'sizes'."""
    repeats, sizes = known
    share = histogram(values, edges, weights)["share"].to_numpy(float)
    number = effective_number(weights) / repeats
    low, high = np.array([wilson(float(one), number) for one in share]).T
    row = None if sizes is None else sizes[(sizes["name"] == name) & (sizes["quantity"] == SIZE)]
    if row is not None and len(row):
        found = {str(column): value for column, value in row.iloc[0].items()}
    else:
        found = vars(describe(values, np.random.default_rng(_SEED), weights))
    mean = (float(found["mean"]), float(found["mean_low"]), float(found["mean_high"]))
    words = f"mean {mean[0]:.4g} nm"
    if np.isfinite(mean[1:]).all():
        words += f" (95 %: {mean[1]:.4g} to {mean[2]:.4g})"
    return Distribution(edges, share, low, high, mean, f"{words}, median {found['median']:.4g} nm, n = {len(values)}")


def _measured(tables: Mapping[str, DataFrame]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return diameters, weights, shapes, and how many of them an object has: of all frames, of tracks, of a frame."""
    if SIZE in tables.get("classified", ()):
        rows = tables["classified"]
        rows = rows[(rows["weight"].to_numpy(float) > 0) & np.isfinite(rows[SIZE].to_numpy(float))]
        repeats = len(tables["tracks"]) / tables["tracks"]["track"].nunique() if _is_movie(tables) else 1.0
        return rows[SIZE].to_numpy(float), rows["weight"].to_numpy(float), rows["shape"].to_numpy(str), repeats
    source = tables["tracks"] if _is_movie(tables) else tables.get("objects", next(iter(tables.values())))
    if "area_nm2" not in source:
        return np.empty(0), np.empty(0), np.empty(0, str), 1.0
    rows = source[(source["flags"].to_numpy(np.int64) & _CUT) == 0] if "flags" in source else source
    rows = rows.assign(**{SIZE: 2 * np.sqrt(rows["area_nm2"].to_numpy(float) / np.pi)})
    kind = next((name for name in ("shape", "class") if name in rows), None)
    if source is tables.get("tracks"):
        rows = rows.groupby("track").agg({SIZE: "mean"} | ({} if kind is None else {kind: "first"}))
    names = np.full(len(rows), "all") if kind is None else rows[kind].to_numpy(str)
    return rows[SIZE].to_numpy(float), np.ones(len(rows)), names, 1.0


def _over_time(tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    frames = tables.get("frames")
    if frames is None or len(frames) < 3:
        return {}
    _, label = time_of(frames)
    found = {}
    panels = list(_panels(tables, frames, label == "time (s)"))
    if panels:
        found["stages"] = reaction_figure(panels, label, "Objects over time, and stages")
    counts = tables.get("counts")
    if counts is not None and "temperature_C" in counts and counts["temperature_C"].nunique() > 2:
        curves = {str(name): _by_temperature(rows) for name, rows in counts.groupby("name", sort=True)}
        title = "Number against temperature"
        found["numbers-temperature"] = time_figure(curves, title, "temperature (°C)", "number in a frame")
    return found


def _panels(tables: Mapping[str, DataFrame], frames: DataFrame, timed: bool) -> Iterator[Panel]:
    """Yield number, covered share, velocity of the edges and temperature over time, as far as they are known."""
    counts = tables.get("counts")
    if counts is not None:
        curves = {
            str(name): Curve(time_of(rows)[0], rows["count"], rows["count_low"], rows["count_high"])
            for name, rows in counts.groupby("name", sort=True)
        }
        yield Panel("number", curves, _stages(tables, "count", timed))
    time, _ = time_of(frames)
    if {"covered_nm2", "area_nm2"} <= set(frames):
        share = 100 * frames["covered_nm2"].to_numpy(float) / frames["area_nm2"].to_numpy(float)
        half = 1.96 * _covered_sigma(frames, tables.get("tracks"))
        yield Panel("covered share (%)", {"covered": Curve(time, share, share - half, share + half)})
    velocity = _stages(tables, "edge velocity (nm/s)", timed)
    if velocity is not None:
        yield Panel("edge velocity (nm/s)", {}, velocity)
    if "temperature_C" in frames and np.isfinite(frames["temperature_C"].to_numpy(float)).any():
        yield Panel("temperature (°C)", {"temperature": Curve(time, frames["temperature_C"])})


def _covered_sigma(frames: DataFrame, tracks: DataFrame | None) -> np.ndarray:
    """Return the 1-sigma (%) of the covered share of each frame, from the errors of the areas; NaN where unknown."""
    if tracks is None or "area_sigma_nm2" not in tracks:
        return np.full(len(frames), np.nan)
    square = (tracks["area_sigma_nm2"].astype(float) ** 2).groupby(tracks["frame"]).sum()
    sigma = np.sqrt(square.reindex(frames["frame"]).fillna(0.0).to_numpy(float))
    percent: np.ndarray = 100 * sigma / frames["area_nm2"].to_numpy(float)
    return percent


def _stages(tables: Mapping[str, DataFrame], name: str, timed: bool) -> DataFrame | None:
    stages = tables.get("stages")
    if stages is None or not {"value", "value_low", "value_high"} <= set(stages):
        return None
    mine = stages[stages["name"] == name]
    if not timed:
        mine = mine.assign(start_s=mine["first_frame"], end_s=mine["last_frame"])
    return mine if len(mine) else None


def _by_temperature(counts: DataFrame) -> Curve:
    """Return mean number and interval at every temperature."""
    mean = counts.groupby(counts["temperature_C"].round(1))[["count", "count_low", "count_high"]].mean()
    return Curve(mean.index.to_numpy(float), *(mean[name].to_numpy(float) for name in mean))
