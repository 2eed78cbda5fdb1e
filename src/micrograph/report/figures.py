"""Which pictures fit a result: chosen by the tables and columns that are there, not by the recipe's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Flag, Prediction
from micrograph.draw import (
    Curve,
    counts_figure,
    cut_out,
    distance_figure,
    image_figure,
    intensity_figure,
    rows_within,
    score_figure,
    sites_figure,
    strain_figure,
    time_figure,
)
from micrograph.report.crystals import crystal_figures
from micrograph.report.energies import energy_figures, is_energies
from micrograph.report.finer import finer_figures, is_finer
from micrograph.report.foils import foil_figures, is_foil
from micrograph.report.heights import height_figures, is_heights
from micrograph.report.kinds import is_kinds, kind_figures
from micrograph.report.micrographs import is_micro, micro_figures
from micrograph.report.mixtures import mixture_figures
from micrograph.report.molecules import is_molecules, molecule_figures
from micrograph.report.named import is_named, named_figures
from micrograph.report.outlined import is_outlined, outlined_figures
from micrograph.report.over_time import movie_figures
from micrograph.report.restored import restored_figures
from micrograph.report.scans import scan_figures
from micrograph.report.spectra import is_told, told_spectra_figures
from micrograph.report.structures import is_structural, structural_figures
from micrograph.report.surfaces import is_surface, surface_figures
from micrograph.report.tilts import is_tilts, tilt_figures
from micrograph.report.tips import is_tips, tip_figures, tip_history_figures
from micrograph.report.tubes import is_tubes, tube_figures
from micrograph.report.volumes import volume_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Recipe

#: With more sites than this, a detail is shown too.
MOST_SITES = 1500
DETAIL_NM = 6.0
MOST_SCORES = 4
#: Rows and frames with one of these flags do not count in curves over time.
UNCOUNTED = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME)
MOST_NAMES_IN_TIME = 5
#: Frames are gathered into so many points of a curve over time.
MOST_POINTS = 150
_STRAIN = re.compile(r"^(?:strain_|eps_?|e_?)(?P<part>xx|yy|xy|yx)(?P<percent>_percent)?$")
_WHERE = {"xx": "along x", "yy": "along y", "xy": "shear", "yx": "shear"}


@dataclass(frozen=True)
class _Kind:
    """Objects with pictures of their own; `atoms`: distances and intensities of atoms are drawn of them too."""

    known: Callable[[Mapping[str, DataFrame]], bool]
    drawn: Callable[[Recipe, Prediction, Mapping[str, DataFrame]], dict[str, Figure]]
    atoms: bool = False


_KINDS = (
    _Kind(is_micro, micro_figures),
    _Kind(is_tubes, tube_figures, atoms=True),
    _Kind(is_tips, tip_figures),
    _Kind(is_molecules, molecule_figures),
    _Kind(is_tilts, tilt_figures),
    _Kind(is_structural, structural_figures),
    _Kind(is_surface, surface_figures),
    _Kind(is_heights, height_figures, atoms=True),
)


def figures(recipe: Recipe, prediction: Prediction | None, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the pictures of one frame and of the whole recording by name.

    prediction: of the frame that is shown; tables: 'objects' and 'defects' of that very frame, 'frames' and 'summary'
    of the whole recording, and 'defects_over_time' (``frame, name, flags``) for a movie, with the tables over time
    ('tracks', 'drift', 'motion', 'diffusion', 'rates', 'states', 'counts', 'averages'). What is missing is left out.
    Objects with an outline have pictures of their own, see `outlined_figures`.
    """
    own = foil_figures if is_foil(tables) else outlined_figures
    found = own(recipe, prediction, tables) | movie_figures(prediction, tables)
    found |= crystal_figures(prediction, tables) | scan_figures(prediction, tables)
    found |= mixture_figures(prediction, tables) | energy_figures(prediction, tables) | tip_history_figures(tables)
    if prediction is not None:
        found |= _frame_figures(recipe, prediction, tables)
    if "objects" in tables and len(tables["objects"]) and not _has_own(tables):
        found |= _object_figures(tables["objects"], tables.get("frames"))
    if "summary" in tables:
        found |= _summary_figures(tables["summary"])
    if "frames" in tables and len(tables["frames"]) > 2:
        found |= _time_figures(tables["frames"], tables.get("defects_over_time"))
    return found


def _has_own(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether distances and intensities of the objects are not those of atoms."""
    others = (is_outlined, is_energies, is_told, is_finer)
    return (
        "maps" in tables
        or any(kind.known(tables) and not kind.atoms for kind in _KINDS)
        or any(known(tables) for known in others)
    )


def _frame_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    if recipe.images:
        return told_spectra_figures(prediction) or (
            restored_figures(recipe, prediction)
            | finer_figures(recipe, prediction, tables)
            | volume_figures(prediction, tables)
        )
    if is_kinds(tables):
        return kind_figures(recipe, prediction, tables)
    if is_named(tables):
        return named_figures(recipe, prediction, tables)
    image, pixel_nm = prediction.frame.data, prediction.frame.calibration.pixel_nm
    if pixel_nm is None:
        return {}
    number = f"frame {prediction.frame.index}"
    objects, defects = tables.get("objects"), tables.get("defects")
    found: dict[str, Figure] = {}
    own = next((kind for kind in _KINDS if kind.known(tables)), None)
    if own is not None:
        found |= own.drawn(recipe, prediction, tables)
    elif objects is not None and {"y_nm", "x_nm", "class"} <= set(objects) and not is_outlined(tables):
        found["sites"] = sites_figure(image, pixel_nm, objects, f"{recipe.title}: {number}", defects)
        if len(objects) > MOST_SITES:
            found["detail"] = _detail(prediction, pixel_nm, objects, defects)
        found |= _strain_figures(image, pixel_nm, objects, number)
    found["image"] = image_figure(image, pixel_nm, f"As recorded: {number}")
    for name, score in list(prediction.maps.items())[: 0 if is_micro(tables) else MOST_SCORES]:
        found[f"score-{name}"] = score_figure(score, prediction.pixel_nm, f"Score of '{name}': {number}")
    return found


def _detail(prediction: Prediction, pixel_nm: float, objects: DataFrame, defects: DataFrame | None) -> Figure:
    """Return the surroundings of the best defect, or of the middle of the image."""
    if defects is not None and len(defects):
        best = defects.iloc[int(np.argmax(defects["score"]))] if "score" in defects else defects.iloc[0]
        centre = (float(best["y_nm"]), float(best["x_nm"]))
    else:
        height, width = prediction.frame.data.shape
        centre = (height * pixel_nm / 2, width * pixel_nm / 2)
    part, corner = cut_out(prediction.frame.data, pixel_nm, centre, DETAIL_NM)
    size = (part.shape[0] * pixel_nm, part.shape[1] * pixel_nm)
    near = None if defects is None else rows_within(defects, corner, size)
    title = f"Detail at y = {corner[0]:.1f} nm, x = {corner[1]:.1f} nm (upper left corner)"
    return sites_figure(part, pixel_nm, rows_within(objects, corner, size), title, near)


def _strain_figures(image: np.ndarray, pixel_nm: float, objects: DataFrame, number: str) -> dict[str, Figure]:
    found = {}
    points = objects[["y_nm", "x_nm"]].to_numpy(float)
    for column in objects:
        match = _STRAIN.match(str(column))
        if match and objects[column].notna().any():
            strain = objects[column].to_numpy(float) * (1 if match["percent"] else 100)
            title = f"Strain, {_WHERE[match['part']]}: {number}"
            found[f"strain-{match['part']}"] = strain_figure(image, pixel_nm, points, strain, title)
    return found


def _object_figures(objects: DataFrame, frames: DataFrame | None) -> dict[str, Figure]:
    found = {}
    distances = neighbour_distances(objects) if {"y_nm", "x_nm"} <= set(objects) else np.empty(0)
    if len(distances) > 10:
        value, sigma = float(np.mean(distances)), float(np.std(distances, ddof=1) / np.sqrt(len(distances)))
        kind = "mean"
        if frames is not None and {"bond_nm", "bond_sigma_nm"} <= set(frames):
            row = frames[frames["frame"] == objects["frame"].iloc[0]].iloc[0]
            value, sigma, kind = float(row["bond_nm"]), float(row["bond_sigma_nm"]), "fitted"
        found["distances"] = distance_figure(distances, "Distances between neighbouring sites", value, sigma, kind)
    if {"intensity", "class"} <= set(objects):
        found["intensity"] = intensity_figure(objects["intensity"], list(objects["class"]), "Intensity of the sites")
    return found


def neighbour_distances(objects: DataFrame, reach: float = 1.25) -> np.ndarray:
    """Return every distance in nm between sites at most `reach` times the typical nearest distance apart, once each."""
    from scipy.spatial import cKDTree

    points = objects[["y_nm", "x_nm"]].to_numpy(float)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return np.empty(0)
    tree = cKDTree(points)
    nearest = np.median(np.asarray(tree.query(points, k=[2])[0]))
    pairs = tree.query_pairs(reach * float(nearest), output_type="ndarray")
    distances: np.ndarray = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    return distances


def _summary_figures(summary: DataFrame) -> dict[str, Figure]:
    if not {"name", "count", "count_low", "count_high"} <= set(summary) or not len(summary):
        return {}
    rows = summary.sort_values("count", ascending=False, kind="stable").head(15)
    title = "How many of each"
    return {"counts": counts_figure(list(rows["name"]), rows["count"], rows["count_low"], rows["count_high"], title)}


def _time_figures(frames: DataFrame, defects: DataFrame | None) -> dict[str, Figure]:
    usable = _counted(frames)
    if len(usable) < 3:
        return {}
    time_column = "t_s" if "t_s" in usable else "frame"
    label = "time (s)" if time_column == "t_s" else "frame"
    found = {}
    if defects is not None and len(defects) and "area_nm2" in usable and usable["area_nm2"].sum() > 0:
        curves = _density_curves(usable, defects, time_column)
        found["density-time"] = time_figure(curves, "Density over time", label, "density (1/nm²)")
    if {"a_nm", "a_sigma_nm"} <= set(usable) and usable["a_nm"].notna().sum() > 2:
        known = usable[usable["a_nm"].notna()]
        time, value, sigma = (known[column].to_numpy(float) for column in (time_column, "a_nm", "a_sigma_nm"))
        curve = Curve(time, value, value - 1.96 * sigma, value + 1.96 * sigma)
        found["lattice-time"] = time_figure({"a": curve}, "Lattice parameter over time", label, "length (nm)")
    return found


def _counted(table: DataFrame) -> DataFrame:
    clean: DataFrame = table[(table["flags"].to_numpy(np.int64) & UNCOUNTED) == 0]
    return clean


def _density_curves(frames: DataFrame, defects: DataFrame, time_column: str) -> dict[str, Curve]:
    """Return density over time by name, in 1/nm², with Garwood's exact 95 % interval of the count."""
    from scipy.stats import chi2

    chunk = np.arange(len(frames)) * min(MOST_POINTS, len(frames)) // len(frames)
    area = np.bincount(chunk, frames["area_nm2"].to_numpy(float))
    time = np.bincount(chunk, frames[time_column].to_numpy(float)) / np.bincount(chunk)
    place = dict(zip(frames["frame"], chunk, strict=True))
    defects = _counted(defects)
    curves = {}
    for name in defects["name"].value_counts().index[:MOST_NAMES_IN_TIME]:
        at = defects.loc[defects["name"] == name, "frame"].map(place).dropna().to_numpy(np.intp)
        count = np.bincount(at, minlength=len(area))
        low, high = chi2.ppf(0.025, 2 * count) / 2, chi2.ppf(0.975, 2 * count + 2) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            curves[str(name)] = Curve(time, count / area, np.nan_to_num(low) / area, high / area)
    return curves
