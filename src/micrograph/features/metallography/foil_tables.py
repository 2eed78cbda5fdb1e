"""Dislocation lines, precipitates and voids of one frame: the stage 'objects' of the recipe of crystal defects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.features.metallography.line_network import Line, Network, network_of
from micrograph.features.metallography.skeletons import followed, skeleton_of
from micrograph.features.objects.closed_curves import Border
from micrograph.features.objects.descriptors import SHAPE_COLUMNS, shape_values
from micrograph.features.objects.instances import Labels, find_objects
from micrograph.features.objects.outlined import outline_table
from micrograph.features.objects.outlines import Outlines, outlines_of

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
#: Names of the maps of bodies, and of lines.
BODIES, LINES = ("precipitate", "void"), "dislocation"
#: A score from which an object is not doubted.
_SURE = 0.8
#: 1-sigma of a line's length, estimated: per free end in half widths, and as share of the length.
_END_SIGMA, _SHARE_SIGMA = 1.0, 0.03
#: Border of a body: 1-sigma across it and over which length it is alike (px), estimated.
_BORDER = Border(0.45, 8.0)

_SHAPE_NAMES = (
    "y_nm", "x_nm", "y_sigma_nm", "x_sigma_nm", "area_nm2", "area_sigma_nm2", "perimeter_nm", "equivalent_diameter_nm",
    "equivalent_diameter_sigma_nm", "feret_max_nm", "feret_min_nm", "aspect", "circularity", "angle_deg",
)  # fmt: skip
#: What table 'objects' promises: precipitates and voids.
DEFECT_BODIES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the object in its frame"),
    Column("class", "", "precipitate or void"),
    *(column for column in SHAPE_COLUMNS if column.name in _SHAPE_NAMES),
    Column("counted", "", "1 where it counts in densities: it does not touch the frame's upper or left border, else 0"),
    Column("score", "", "mean of the model's probability over the object's inner part"),
    Column("flags", "", "doubts, see the conventions"),
)
#: What table 'lines' promises: dislocation lines.
DEFECT_LINES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the line in its frame; what goes straight on through a crossing is one line"),
    Column("y_nm", "nm", "row position of its middle"),
    Column("x_nm", "nm", "column position of its middle"),
    Column("length_nm", "nm", "projected length inside the frame", sigma="length_sigma_nm"),
    Column("length_sigma_nm", "nm", "1-sigma of the length"),
    Column("chord_nm", "nm", "distance of its ends"),
    Column("width_nm", "nm", "mean width of its image"),
    Column("free_ends", "", "ends that lie free in the frame: 0 to 2"),
    Column("closed", "", "1 for a loop, else 0"),
    Column("score", "", "mean of the model's probability along it"),
    Column("flags", "", "doubts, see the conventions"),
)
#: What table 'line_points' promises.
LINE_POINTS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the line in its frame"),
    Column("point", "", "number of the point along the line"),
    Column("y_nm", "nm", "row position from the centre of the first pixel"),
    Column("x_nm", "nm", "column position from the centre of the first pixel"),
    Column("width_nm", "nm", "width of the line's image there"),
)
#: What table 'frames' promises beside what every recipe gives.
DEFECT_FRAMES = (
    Column("precipitates", "", "precipitates that count in the frame"),
    Column("voids", "", "voids that count in the frame"),
    Column("lines", "", "dislocation lines in the frame"),
    Column("line_length_nm", "nm", "projected length of all lines", sigma="line_length_sigma_nm"),
    Column("line_length_sigma_nm", "nm", "1-sigma of that length"),
    Column("line_length_per_nm", "nm^-1", "projected length of lines per area"),
    Column("crossings", "", "places where lines cross"),
    Column("nodes", "", "places where three lines or more meet"),
    Column("area_nm2", "nm^2", "analysed area"),
    Column("height_nm", "nm", "height of the frame"),
    Column("width_nm", "nm", "width of the frame"),
    Column("domain_distance", "", "distance from the training images; above 1 the frame is out of domain"),
)


@dataclass(frozen=True)
class CrystalDefects:
    """Lines and bodies of one frame out of the maps 'dislocation', 'precipitate' and 'void'.

    threshold: probability from which a pixel belongs to a kind; least_diameter_px: smaller bodies are left out;
    least_length_px: shorter pieces of lines are left out; least_score: bodies with a lower score are left out; rise:
    how far two tops of the distance from the border must rise above the saddle between them to be two bodies; fainter:
    lines are followed down to this share of the threshold.
    """

    threshold: float = 0.4
    least_diameter_px: float = 4.0
    least_length_px: float = 12.0
    least_score: float = 0.6
    rise: float = 0.2
    fainter: float = 0.6

    def __post_init__(self) -> None:
        """Refuse a threshold that no probability can cross."""
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold:g}, it must lie between 0 and 1.")

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'outlines', 'lines', 'line_points' and 'frames' of one frame."""
        import pandas as pd

        pixel, begin = prediction.pixel_nm, prediction.frame.calibration.first_pixel_nm
        index = prediction.frame.index
        objects, outlines = self._bodies(prediction, begin)
        chances = prediction.maps[LINES]
        seen = followed(chances, self.threshold, self.fainter)
        network = network_of(skeleton_of(chances, seen, self.least_length_px))
        lines, points = line_tables(network, chances.shape, pixel, index, begin)
        points["width_nm"] = _widths(seen, network) * pixel
        counted = objects["class"].to_numpy(str)[objects["counted"].to_numpy(np.int64) == 1]
        area = float(chances.size) * pixel**2
        length = float(lines["length_nm"].sum())
        frames = {
            "frame": [index],
            "precipitates": [int((counted == "precipitate").sum())],
            "voids": [int((counted == "void").sum())],
            "lines": [len(lines)],
            "line_length_nm": [length],
            "line_length_sigma_nm": [_length_sigma(lines)],
            "line_length_per_nm": [length / area],
            "crossings": [len(network.crossings_px)],
            "nodes": [len(network.nodes_px)],
            "area_nm2": [area],
            "height_nm": [chances.shape[0] * pixel],
            "width_nm": [chances.shape[1] * pixel],
        }
        return {
            "objects": objects,
            "outlines": outlines,
            "lines": lines,
            "line_points": points,
            "frames": pd.DataFrame(frames),
        }

    def _bodies(self, prediction: Prediction, begin: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the tables 'objects' and 'outlines' of both kinds, numbered on from one to the other."""
        import pandas as pd

        tables, curves, first = [], [], 0
        least = max(4, round(np.pi / 4 * self.least_diameter_px**2))
        for kind in BODIES:
            chances = prediction.maps[kind]
            depth = depth_of(np.asarray(chances >= self.threshold))
            found = find_objects(chances, depth, self.threshold, self.rise, least, self.least_score)
            border = np.power(chances, np.log(0.5) / np.log(self.threshold))  # 0.5 where the threshold is
            outlines = outlines_of(found.labels, border)
            table = body_table(kind, outlines, found.scores, found.labels, prediction.pixel_nm)
            table[["y_nm", "x_nm"]] += begin
            curve = outline_table(outlines, prediction.pixel_nm, prediction.frame.index, begin)
            tables.append(table.assign(id=table["id"] + first))
            curves.append(curve.assign(id=curve["id"] + first))
            first += int(found.labels.max(initial=0))
        objects = pd.concat(tables, ignore_index=True)
        objects.insert(0, "frame", np.full(len(objects), prediction.frame.index, np.int64))
        return objects, pd.concat(curves, ignore_index=True)


def depth_of(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how far every pixel (h, w) is from the border of its connected part, over the greatest in that part."""
    from scipy import ndimage as ndi

    labels, _ = ndi.label(mask)
    depth = np.zeros(mask.shape, np.float32)
    for number, box in enumerate(ndi.find_objects(labels), start=1):
        wide = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        inside = labels[wide] == number
        distance = ndi.distance_transform_edt(inside)
        depth[wide][inside] = (distance / max(float(distance.max()), 1e-9))[inside]
    return depth


def body_table(kind: str, outlines: Outlines, scores: Array, labels: Labels, pixel_nm: float) -> pd.DataFrame:
    """Return one row a body, in the order of its outlines; see `DEFECT_BODIES`."""
    import pandas as pd

    number, ids = len(outlines), outlines.label.astype(np.int64)
    shapes = shape_values(outlines, pixel_nm, _BORDER)
    sure = scores[ids - 1] if number else np.empty(0)
    forbidden = np.union1d(labels[0], labels[:, 0])
    doubts = np.where(outlines.border, int(Flag.EDGE), 0) | np.where(sure < _SURE, int(Flag.LOW_CONFIDENCE), 0)
    return pd.DataFrame(
        {
            "id": ids,
            "class": pd.array([kind] * number, dtype="str"),
            **{name: shapes[name] for name in _SHAPE_NAMES},
            "counted": (~np.isin(ids, forbidden)).astype(np.int64),
            "score": np.clip(sure, 0, 1),
            "flags": doubts.astype(np.int64),
        }
    )


def line_tables(
    network: Network, shape: tuple[int, ...], pixel_nm: float, frame: int, begin_nm: float = 0.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return 'lines' (`DEFECT_LINES`) and 'line_points' (`LINE_POINTS` without widths) of a frame of `shape` pixels."""
    import pandas as pd

    lines = sorted(network.lines, key=lambda line: -line.length_px)
    rows = [_row(line, shape, pixel_nm, begin_nm) for line in lines]
    names = [column.name for column in DEFECT_LINES if column.name not in ("frame", "id")]
    table = pd.DataFrame({name: np.array([row[name] for row in rows], float) for name in names})
    for name in ("free_ends", "closed", "flags"):
        table[name] = table[name].astype(np.int64)
    ids = np.arange(1, len(lines) + 1, dtype=np.int64)
    table.insert(0, "id", ids)
    table.insert(0, "frame", np.full(len(lines), frame, np.int64))
    counts = [len(line.points_px) for line in lines]
    places = np.concatenate([np.empty((0, 2)), *(line.points_px for line in lines)]) * pixel_nm + begin_nm
    points = {
        "frame": np.full(len(places), frame, np.int64),
        "id": np.repeat(ids, counts).astype(np.int64),
        "point": np.concatenate([np.empty(0, np.int64), *map(np.arange, counts)]).astype(np.int64),
        "y_nm": places[:, 0],
        "x_nm": places[:, 1],
    }
    return table, pd.DataFrame(points)


def _widths(mask: NDArray[np.bool_], network: Network) -> Array:
    """Return the width (px) of the band at all points of all lines, in the order of table 'line_points'."""
    from scipy.ndimage import distance_transform_edt, map_coordinates

    lines = sorted(network.lines, key=lambda line: -line.length_px)
    if not lines:
        return np.empty(0)
    distance = distance_transform_edt(np.pad(mask, 8, mode="edge"))
    places = np.concatenate([line.points_px for line in lines]).T + 8
    return np.asarray(np.maximum(2 * map_coordinates(distance, places, order=1, mode="nearest") - 0.5, 1.0))


def _row(line: Line, shape: tuple[int, ...], pixel_nm: float, begin_nm: float) -> dict[str, float]:
    """Return one row of the table 'lines' without its numbers."""
    points, half = line.points_px, line.half_width_px
    cut = bool(((points < half) | (points > np.array(shape) - 1 - half)).any())
    flags = (int(Flag.EDGE) if cut else 0) | (int(Flag.LOW_CONFIDENCE) if line.score < _SURE else 0)
    middle = points[len(points) // 2] * pixel_nm + begin_nm
    sigma = np.hypot(_END_SIGMA * half * np.sqrt(line.free), _SHARE_SIGMA * line.length_px)
    return {
        "y_nm": float(middle[0]),
        "x_nm": float(middle[1]),
        "length_nm": line.length_px * pixel_nm,
        "length_sigma_nm": float(max(sigma, 0.5)) * pixel_nm,
        "chord_nm": float(np.hypot(*(points[-1] - points[0]))) * pixel_nm,
        "width_nm": 2 * half * pixel_nm,
        "free_ends": line.free,
        "closed": float(line.closed),
        "score": line.score,
        "flags": flags,
    }


def _length_sigma(lines: pd.DataFrame) -> float:
    """Return the 1-sigma of the sum of lengths: ends err each for itself, the share of the length alike for all."""
    share = _SHARE_SIGMA * float(lines["length_nm"].sum())
    ends = lines["length_sigma_nm"].to_numpy(float) ** 2 - (_SHARE_SIGMA * lines["length_nm"].to_numpy(float)) ** 2
    return float(np.hypot(share, np.sqrt(np.clip(ends, 0, None).sum())))
