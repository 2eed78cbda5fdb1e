"""Tables of results as layers on the grid of their image: points, masks, outlines, tracks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.napari.frames import Painted
from micrograph.apps.napari.grid import Grid, LayerData
from micrograph.core import Flag

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.run import Recipe

#: Columns by which rows are coloured, the first that is there.
CLASSES = ("shape", "class", "name")
#: Rows that a layer shows at most, and polygons: of longer tables, those of the first frames.
MOST_ROWS, MOST_POLYGONS = 1_000_000, 5_000
#: matplotlib's markers of the house style in napari's words.
SYMBOLS = {
    "o": "disc", "s": "square", "^": "triangle_up", "D": "diamond", "v": "triangle_down", "P": "cross", "X": "x",
    "h": "star",
}  # fmt: skip
#: A site's disc is this share of the distance to its neighbour wide; the middle of an outlined object so many pixels
#: of an image of 512.
_DISC, _MIDDLE = 0.45, 13.0


@dataclass(frozen=True)
class Shown:
    """What to show: layers of results, and in one sentence each what they leave out."""

    layers: tuple[LayerData, ...]
    notes: tuple[str, ...]


def result_layers(recipe: Recipe, tables: Mapping[str, DataFrame], grid: Grid, *, polygons: bool = False) -> Shown:
    """Return the results of a recipe as layers on the grid of the image that they come from.

    Masks ('outlines' painted on the image's own pixels), points (every table with places in frames), tracks, and with
    `polygons` the outlines as shapes. Features of a layer are the columns of its table.
    """
    found: list[LayerData] = []
    notes: list[str] = []
    outlined = "outlines" in tables and len(tables["outlines"]) > 0
    if outlined:
        objects = with_shapes(tables["objects"], tables)
        found.append(masks(objects, tables["outlines"], grid, f"masks ({recipe.name})"))
        if polygons:
            some, note = first_rows(objects, MOST_POLYGONS, "outlines")
            notes += note
            found.append(outline_shapes(some, tables["outlines"], grid, f"outlines ({recipe.name})"))
    for name, table in point_tables(recipe, tables):
        some, note = first_rows(with_shapes(table, tables) if name == "objects" else table, MOST_ROWS, name)
        notes += note
        width = _MIDDLE * max(grid.shape) / 512 if outlined else disc_width(grid.places(some), grid)
        found.append(points(some, grid, f"{name} ({recipe.name})", width))
    if grid.frames is not None and "tracks" in tables and len(tables["tracks"]):
        some, note = first_rows(tables["tracks"], MOST_ROWS, "tracks")
        notes += note
        found.append(tracks(some, grid, f"tracks ({recipe.name})"))
    return Shown(tuple(found), tuple(notes))


def point_tables(recipe: Recipe, tables: Mapping[str, DataFrame]) -> Iterator[tuple[str, DataFrame]]:
    """Yield the tables whose rows have a place in a frame, but for the points of outlines; 'objects' comes first."""
    promised = [name for name in recipe.task.answers if name not in (*recipe.over_time, "outlines")]
    for name in dict.fromkeys(("objects", *promised)):
        if name in tables and {"frame", "y_nm", "x_nm"} <= set(tables[name]) and len(tables[name]):
            yield name, tables[name]


def first_rows(table: DataFrame, most: int, name: str) -> tuple[DataFrame, list[str]]:
    """Return the rows of the first frames, about `most` of them, and a sentence where that is not all."""
    if len(table) <= most:
        return table, []
    last = int(np.sort(table["frame"].to_numpy())[most - 1])
    return table[table["frame"] <= last], [
        f"'{name}' has {len(table)} rows, of which the viewer shows frames 0 to {last}: all are in the results' folder."
    ]


def with_shapes(objects: DataFrame, tables: Mapping[str, DataFrame]) -> DataFrame:
    """Return objects with the shape of each, where a recipe sorts them by shape."""
    if "classified" not in tables or not len(tables["classified"]):
        return objects
    return objects.merge(tables["classified"], how="left", on=["frame", "id"], suffixes=("", "_classified"))


def class_names(table: DataFrame) -> NDArray[Any]:
    """Return the name (N,) by which every row is coloured: its shape, class or name; 'object' without any."""
    column = next((name for name in CLASSES if name in table), None)
    return np.full(len(table), "object") if column is None else table[column].astype(str).to_numpy(dtype=str)


def features_of(table: DataFrame) -> DataFrame:
    """Return a table as the features of a layer, with the flags in words."""
    features = table.reset_index(drop=True)
    if "flags" in features:
        words = {number: Flag(int(number)).words() for number in features["flags"].unique()}
        features = features.assign(flags=features["flags"].map(words))
    return features


def points(table: DataFrame, grid: Grid, name: str, width_px: float) -> LayerData:
    """Return rows as points, each class with a colour and a marker of its own."""
    from micrograph.draw.style import looks

    names = class_names(table)
    look = looks(names)
    options = grid.options(name) | {
        "features": features_of(table),
        "face_color": _colors([look[each].color for each in names]),
        "symbol": np.array([SYMBOLS[look[each].marker] for each in names]),
        "size": width_px,
        "border_color": "white",
        "border_width": 0.12,
        "opacity": 0.9,
    }
    return grid.places(table), options, "points"


def disc_width(places: NDArray[np.float64], grid: Grid) -> float:
    """Return how wide to draw sites (pixels), so that neighbours in the first frame do not touch."""
    from scipy.spatial import cKDTree

    first = places[places[:, 0] == places[0, 0]][:, 1:] if grid.frames is not None else places
    if len(first) < 2:
        return max(grid.shape) / 40
    near = np.asarray(cKDTree(first).query(first, k=2)[0])[:, 1]
    return float(np.clip(_DISC * np.median(near), 2.0, max(grid.shape) / 40))


def masks(objects: DataFrame, outlines: DataFrame, grid: Grid, name: str) -> LayerData:
    """Return outlined objects as masks on the image's own pixels; object k of the table has the number k + 1.

    Of a movie a frame is painted when it is looked at, and kept when it is corrected by hand.
    """
    from napari.utils.colormaps import CyclicLabelColormap

    from micrograph.draw.style import GREEN, ORANGE, PURPLE, RED, SKY, YELLOW

    features = features_of(objects)
    features.insert(0, "index", np.arange(1, len(features) + 1))
    paint = partial(painted_frame, objects, curves_by_frame(outlines), grid)
    data = paint(0) if grid.frames is None else Painted(grid.frames, grid.shape, paint)
    colors = _colors(["#00000000", SKY, ORANGE, GREEN, YELLOW, PURPLE, RED])
    options = grid.options(name) | {
        "features": features,
        "colormap": CyclicLabelColormap(colors=colors, background_value=0),
        "opacity": 0.45,
    }
    return data, options, "labels"


def curves_by_frame(outlines: DataFrame) -> Mapping[int, dict[int, NDArray[np.float64]]]:
    """Return the closed curves (K, 2) y, x in nm by frame and object."""
    from micrograph.draw.outlines import curves_of

    frames = outlines["frame"].to_numpy(np.int64)
    return {int(frame): curves_of(outlines[frames == frame]) for frame in np.unique(frames)}


def painted_frame(
    objects: DataFrame, curves: Mapping[int, dict[int, NDArray[np.float64]]], grid: Grid, frame: int
) -> NDArray[np.int32]:
    """Return the mask (H, W) of one frame: number of the object's row, from 1; 0 outside."""
    from skimage.draw import polygon

    mask = np.zeros(grid.shape, np.int32)
    mine = curves.get(_only(curves) if grid.frames is None else frame, {})
    rows = np.flatnonzero(objects["frame"].to_numpy() == (_only(curves) if grid.frames is None else frame))
    ids = objects["id"].to_numpy()[rows]
    for number, one in zip(rows + 1, ids, strict=True):
        if int(one) in mine:
            corners = mine[int(one)] / grid.pixel_nm
            mask[polygon(corners[:, 0], corners[:, 1], grid.shape)] = number  # type: ignore[no-untyped-call]
    return mask


def _only(curves: Mapping[int, object]) -> int:
    """Return the number of the frame of a single image."""
    return next(iter(curves), 0)


def outline_shapes(objects: DataFrame, outlines: DataFrame, grid: Grid, name: str) -> LayerData:
    """Return outlines as polygons in the colours of their shapes or classes."""
    from micrograph.draw.style import looks

    curves, names = curves_by_frame(outlines), class_names(objects)
    look = looks(names)
    polygons, kept = [], []
    for row, (frame, one) in enumerate(zip(objects["frame"], objects["id"], strict=True)):
        corners = curves.get(int(frame), {}).get(int(one))
        if corners is not None:
            pixels = corners / grid.pixel_nm
            polygons.append(pixels if grid.frames is None else np.insert(pixels, 0, float(frame), axis=1))
            kept.append(row)
    options = grid.options(name) | {
        "shape_type": "polygon",
        "features": features_of(objects.iloc[kept]),
        "edge_color": _colors([look[names[row]].color for row in kept]),
        "face_color": "transparent",
        "edge_width": max(grid.shape) / 400,
    }
    return polygons, options, "shapes"


def tracks(table: DataFrame, grid: Grid, name: str) -> LayerData:
    """Return linked objects as tracks (track, frame, y, x), with the columns of the table that hold numbers."""
    rows = table.sort_values(["track", "frame"], kind="stable")
    data = np.column_stack([rows["track"].to_numpy(float), grid.places(rows)])
    numbers = rows.select_dtypes("number").drop(columns=["track"]).reset_index(drop=True)
    options = grid.options(name) | {
        "features": numbers,
        "colormap": "viridis",
        "tail_width": 3,
        "tail_length": 30,
    }
    return data, options, "tracks"


def _colors(hexes: list[str]) -> NDArray[np.float32]:
    """Return colours (N, 4) from 0 to 1."""
    from matplotlib.colors import to_rgba_array

    return np.asarray(to_rgba_array(hexes), np.float32).reshape(-1, 4)
