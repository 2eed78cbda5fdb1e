"""What belongs to a movie: pictures of the tables over time, the tables read within bounds, and the movie itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Prediction
from micrograph.core.memory import give_back
from micrograph.draw import (
    Curve,
    MovieSettings,
    arrhenius_figure,
    classes_figure,
    counts_over_time_figure,
    curves_of,
    drift_figure,
    kymograph_figure,
    map_figure,
    msd_figure,
    rates_figure,
    shown_positions,
    state_diagram,
    time_figure,
    tracks_figure,
    traversal_figure,
    write_movie,
)
from micrograph.report.outlined import OF_CLASSIFIED, is_outlined, is_timed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Result

#: Recordings of fewer frames get no movie.
FEWEST_FRAMES = 10
#: The movie on the page is small.
SMALL = MovieSettings(side_px=480, most_frames=48, per_second=8.0)
#: Of a longer table of tracks only the longest are read; of other tables so many rows are drawn into the movie.
MOST_ROWS, MOST_TRACKS = 1_000_000, 1500
#: Outlines of the shown among so many frames are read at a time: they lie together in the file.
READ_FRAMES = 32
#: Tables of this recording that are small whatever its length.
SMALL_TABLES = (
    "drift",
    "motion",
    "diffusion",
    "rates",
    "states",
    "counts",
    "events",
    "classes",
    "averages",
    "order",
    "traversal",
    "boundaries",
    "predictions",
    "patches",
    "rate_law",
    "rate_bins",
    "growth",
    "stages",
    "shapes",
    "sizes",
    "together",
    "families",
    "point_groups",
    "space_groups",
    "maps",
    "patterns",
    "spectra",
    "singular",
)
#: Up to so many states are a diagram; more are bars.
MOST_STATES = 8
_OF_TRACKS = ("track", "frame", "t_s", "y_nm", "x_nm", "y_sample_nm", "x_sample_nm", "class", "state")
_OF_OUTLINED = ("shape", "area_nm2", "area_sigma_nm2", "flags")


def movie_tables(result: Result) -> dict[str, DataFrame]:
    """Return the tables over time that pictures are made of, however long the recording is."""
    found = {name: result.tables[name] for name in SMALL_TABLES if name in result.tables}
    if "tracks" in result.tables:
        found["tracks"] = _read(result, "tracks", (*_OF_TRACKS, *_OF_OUTLINED), _longest(result))
    if {"classified", "objects"} <= set(result.tables):
        sizes = _read(result, "objects", OF_CLASSIFIED)
        found["classified"] = result.tables["classified"].merge(sizes, "left", ["frame", "id"])
    if "crops" in result.tables and (first := result.preview()) is not None:
        found["crops"] = result.tables.of_frame("crops", first.frame.index)
    return found


def movie_figures(prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures of the tables over time by name; tables that are missing or empty are left out."""
    known = {name: table for name, table in tables.items() if len(table)}
    found: dict[str, Figure] = {}
    outlined = is_outlined(known)
    if {"track", "y_nm", "x_nm"} <= set(known.get("tracks", ())) and (not outlined or is_timed(known["tracks"])):
        found |= _track_figures(prediction, known["tracks"])
    if "drift" in known and len(known["drift"]) > 2:
        found["drift"] = drift_figure(known["drift"])
    if "motion" in known and np.isfinite(known["motion"]["msd_nm2"].to_numpy(float)).any():
        found["displacement"] = msd_figure(known["motion"], known.get("diffusion"))
    if "rates" in known:
        found |= _rate_figures(known["rates"], known.get("states"))
    counted = {"name", "count", "count_low", "count_high"} <= set(known.get("counts", ())) and not outlined
    if counted and known["counts"]["count"].notna().any():
        found["numbers-time"] = counts_over_time_figure(
            known["counts"], log=known.get("frames"), changes_s=_changes(known.get("events"))
        )
    if {"class", "y_nm", "x_nm", "intensity"} <= set(known.get("averages", ())):
        found["classes"] = _class_figure(known["averages"], known.get("classes"))
    if {"order", "order_sigma"} <= set(known.get("order", ())) and len(known["order"]) > 2:
        found["order-time"] = _order_figure(known["order"])
    if {"class", "latent", "value", "brightness"} <= set(known.get("traversal", ())):
        found["traversal"] = _traversal_figure(known["traversal"])
    if prediction is not None and {"y_nm", "x_nm", "order"} <= set(known.get("crops", ())):
        found |= _order_map(prediction, known["crops"])
    return found


def write_movies(result: Result, progress: Callable[[int, int], object] | None = None) -> dict[str, Path]:
    """Write ``movie.mp4`` and ``figures/movie.gif`` of a recording of some length and return them by suffix.

    Those of an earlier report go. Nothing is written where the recording is short or has no pixel size. The drift is
    removed where it is known and keeps most of the sample in view.
    """
    paths = {"mp4": result.folder / "movie.mp4", "gif": result.folder / "figures" / "movie.gif"}
    for path in paths.values():
        path.unlink(missing_ok=True)
    recording = result.recording
    if len(recording) < FEWEST_FRAMES or recording.calibration.pixel_nm is None:
        return {}
    drift = result.tables.get("drift")
    view_nm = min(recording.shape) * recording.calibration.pixel_nm
    sample = drift is not None and "tracks" in result.tables and _reach_nm(drift) < view_nm / 3
    drift = drift if sample else None
    for suffix, settings in (("mp4", MovieSettings()), ("gif", SMALL)):
        shown, marks = _marks(result, replace(settings, sample=sample))
        give_back()
        if "outlines" in result.tables:
            shown = replace(shown, outlines=_Outlines(result, shown.most_frames))
        write_movie(paths[suffix], recording, marks, drift, shown, progress if suffix == "mp4" else None)
    return paths


def _track_figures(prediction: Prediction | None, tracks: DataFrame) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    if prediction is not None and (pixel_nm := prediction.frame.calibration.pixel_nm) is not None:
        image = prediction.frame.data
        found["tracks"] = tracks_figure(image, pixel_nm, tracks, "Tracks over time")
        if "class" in tracks and tracks["class"].nunique() > 1:
            found["tracks-class"] = tracks_figure(image, pixel_nm, tracks, "Tracks by class", "class")
    if "area_nm2" not in tracks:
        found["kymograph"] = kymograph_figure(tracks, "Position over time")
    return found


def _rate_figures(rates: DataFrame, states: DataFrame | None) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    if "temperature_C" in rates:
        return {"rates-temperature": arrhenius_figure(rates)}
    if states is not None and 0 < len(states) <= MOST_STATES:
        found["states"] = state_diagram(rates, states)
    found["rates"] = rates_figure(rates)
    return found


def _class_figure(averages: DataFrame, classes: DataFrame | None) -> Figure:
    """Return mean images given as rows of ``class, y_nm, x_nm, intensity`` on one square grid."""
    names = list(dict.fromkeys(averages["class"]))
    images = [
        averages[averages["class"] == name].pivot(index="y_nm", columns="x_nm", values="intensity").to_numpy(np.float32)
        for name in names
    ]
    numbers = {} if classes is None else dict(zip(classes["class"], classes["count"], strict=True))
    pixel_nm = float(np.diff(np.unique(averages["x_nm"].to_numpy(float))).min())
    return classes_figure(np.stack(images), names, [numbers.get(name, np.nan) for name in names], pixel_nm)


def _order_figure(order: DataFrame) -> Figure:
    time, label = (order["t_s"], "time (s)") if order["t_s"].notna().any() else (order["frame"], "frame")
    value, half = order["order"].to_numpy(float), 1.96 * order["order_sigma"].to_numpy(float)
    curve = Curve(time.to_numpy(float), value, value - half, value + half)
    return time_figure({"mean order": curve}, "Local order over time", label, "order (1: as in the most ordered)")


def _order_map(prediction: Prediction, crops: DataFrame) -> dict[str, Figure]:
    """Return the order around every site of the frame that is shown."""
    pixel_nm, here = prediction.frame.calibration.pixel_nm, crops[crops["frame"] == prediction.frame.index]
    if pixel_nm is None or not len(here):
        return {}
    points, title = here[["y_nm", "x_nm"]].to_numpy(float), f"Local order: frame {prediction.frame.index}"
    return {"order": map_figure(prediction.frame.data, pixel_nm, points, here["order"], title, "order (0 to 1)")}


def _traversal_figure(traversal: DataFrame) -> Figure:
    """Return drawings given as rows of ``class, latent, value, y_nm, x_nm, brightness`` on one square grid."""
    values, places = np.unique(traversal["value"]), np.unique(traversal["x_nm"])
    rows = traversal.sort_values(["class", "latent", "value", "y_nm", "x_nm"], kind="stable")
    drawn = rows["brightness"].to_numpy(np.float32).reshape(-1, len(values), len(places), len(places))
    pairs = rows[["class", "latent"]].drop_duplicates().itertuples(index=False)
    names = [f"{kind}, z{latent}" for kind, latent in pairs]
    pixel_nm = float(np.diff(places).min())
    return traversal_figure(drawn, names, list(values), pixel_nm, "What the numbers z mean: drawings as one changes")


def _changes(events: DataFrame | None) -> list[float]:
    """Return when something changed for all objects: the times of events of the kind 'change'."""
    if events is None:
        return []
    return [float(t_s) for t_s in events.loc[events["kind"] == "change", "t_s"] if np.isfinite(t_s)]


def _reach_nm(drift: DataFrame) -> float:
    return float(drift[["drift_y_nm", "drift_x_nm"]].abs().max().max())


def _marks(result: Result, settings: MovieSettings) -> tuple[MovieSettings, DataFrame | None]:
    """Return what is ringed in the movie, the tracks or else the defects or else all objects, and how many frames."""
    if "tracks" in result.tables:
        return settings, _read(result, "tracks", _OF_TRACKS, _longest(result))
    name = next((name for name in ("defects", "objects") if name in result.tables), None)
    if name is None or not {"frame", "y_nm", "x_nm"} <= set(result.tables.head(name, 1)):
        return settings, None
    rows = int(result.record["tables"].get(name, 0)) / max(len(result.recording), 1)
    most = int(np.clip(MOST_ROWS / max(rows, 1), FEWEST_FRAMES, settings.most_frames))
    shown = replace(settings, most_frames=most)
    chosen = [result.recording.indices[int(k)] for k in shown_positions(len(result.recording), most)]
    return shown, _read(result, name, ("frame", "y_nm", "x_nm", "class", "name"), [("frame", "in", chosen)])


class _Outlines:
    """The outlines of each of the `most_frames` that a movie shows; those of a few frames are held at a time."""

    def __init__(self, result: Result, most_frames: int) -> None:
        shown = shown_positions(len(result.recording), most_frames)
        self._result, self._frames = result, [result.recording.indices[int(k)] for k in shown]
        self._held: dict[int, list[NDArray[np.float64]]] = {}

    def __call__(self, frame: int) -> list[NDArray[np.float64]]:
        """Return the outlines of one frame."""
        if frame not in self._held:
            later = [one for one in self._frames if frame < one < frame + READ_FRAMES]  # a smaller movie shows others
            few = [frame, *later]
            read = _read(self._result, "outlines", ("frame", "id", "point", "y_nm", "x_nm"), [("frame", "in", few)])
            rows = dict(iter(read.groupby("frame")))
            self._held = {one: list(curves_of(rows[one]).values()) if one in rows else [] for one in few}
        return self._held[frame]


def _longest(result: Result) -> list[tuple[str, str, Any]] | None:
    """Return the filter that reads only the longest tracks where there are too many rows; ``None`` to read all."""
    if int(result.record["tables"].get("tracks", 0)) <= MOST_ROWS:
        return None
    tracks, length = np.unique(result.tables.columns("tracks", ("track",))["track"].to_numpy(), return_counts=True)
    return [("track", "in", tracks[np.argsort(-length, kind="stable")[:MOST_TRACKS]].tolist())]


def _read(
    result: Result, name: str, columns: tuple[str, ...], filters: list[tuple[str, str, Any]] | None = None
) -> DataFrame:
    """Return those of the columns that a table has, and only the rows that the filters let through."""
    import pandas as pd

    present = set(result.tables.head(name, 1))
    wanted = [column for column in columns if column in present]
    return pd.read_parquet(result.tables.folder / f"{name}.parquet", columns=wanted, filters=filters)
