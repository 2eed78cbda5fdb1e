"""Objects with an outline, from maps of coverage and depth: the stage 'objects' of recipes of particles and pores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Column, Flag, Prediction
from micrograph.features.objects.closed_curves import perimeter, smoothed
from micrograph.features.objects.descriptors import SHAPE_COLUMNS, shape_values
from micrograph.features.objects.instances import find_objects
from micrograph.features.objects.outlines import Outlines, outlines_of
from micrograph.features.objects.thickness import darkness

if TYPE_CHECKING:
    import pandas as pd

#: An object's score from which it is not doubted.
_SURE = 0.9
#: Curvature is averaged over this share of the object's diameter along the outline, and over so many pixels at least.
_SMOOTH, _SMOOTH_PX = 0.04, 1.5

#: What table 'objects' promises.
OUTLINED = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the object in its frame"),
    *SHAPE_COLUMNS,
    Column("optical_depth", "", "-ln(I / I0) of its inner part against its surroundings: above 0 where darker", None),
    Column("thickness_nm", "nm", "optical depth times the mean free path, where that is given", "thickness_sigma_nm"),
    Column("volume_nm3", "nm^3", "thickness integrated over the area, where the mean free path is given"),
    Column("shared", "", "share of the outline that lies on a neighbour"),
    Column("class", "", "what it is"),
    Column("score", "", "mean of the model's coverage over the object's inner part"),
    Column("flags", "", "doubts, see the conventions"),
)
#: What table 'outlines' promises.
OUTLINES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the object in its frame"),
    Column("point", "", "number of the point, counter-clockwise"),
    Column("y_nm", "nm", "row position from the centre of the first pixel"),
    Column("x_nm", "nm", "column position from the centre of the first pixel"),
    Column("curvature_per_nm", "nm^-1", "curvature, positive where the outline is convex"),
)
#: What table 'frames' promises beside what every recipe gives.
COVERED = (
    Column("count", "", "objects in the frame"),
    Column("area_nm2", "nm^2", "analysed area"),
    Column("covered_nm2", "nm^2", "area that objects cover"),
    Column("height_nm", "nm", "height of the frame"),
    Column("width_nm", "nm", "width of the frame"),
    Column("domain_distance", "", "distance from the training images; above 1 the frame is out of domain"),
)


@dataclass(frozen=True)
class OutlinedObjects:
    """Objects of one frame of the kind `kind`, which is the name of their map too.

    threshold: coverage from which a pixel belongs to an object; rise: how far two tops of the depth must rise above
    the saddle between them to be two objects; least_diameter_px: smaller ones are left out, and those with a score
    below least_score; mean_free_path_nm: of the objects' material at the microscope's voltage, for their thickness by
    Beer's law; dark_level: what the camera reads without beam.
    """

    kind: str = field(default="particle", metadata={"setting": False})
    threshold: float = 0.5
    rise: float = 0.15
    least_diameter_px: float = 4.0
    least_score: float = 0.8
    mean_free_path_nm: float | None = None
    dark_level: float = 0.0

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'outlines' and 'frames' of one frame."""
        import pandas as pd

        covered, deep = prediction.maps[self.kind], prediction.maps["core"]
        least = round(np.pi / 4 * self.least_diameter_px**2)
        found = find_objects(covered, deep, self.threshold, self.rise, least, self.least_score)
        outlines, pixel, index = outlines_of(found.labels, covered), prediction.pixel_nm, prediction.frame.index
        shapes, begin = shape_values(outlines, pixel), prediction.frame.calibration.first_pixel_nm
        number, ids = len(outlines), outlines.label.astype(np.int64)
        scores = found.scores[ids - 1] if number else np.empty(0)
        doubts = np.where(outlines.border, int(Flag.EDGE), 0) | np.where(scores < _SURE, int(Flag.LOW_CONFIDENCE), 0)
        objects = {
            "frame": np.full(number, index, np.int64),
            "id": ids,
            **shapes,
            "y_nm": shapes["y_nm"] + begin,
            "x_nm": shapes["x_nm"] + begin,
            **self._thickness(prediction, found.labels, ids - 1),
            "shared": outlines.shared,
            "class": pd.array([self.kind] * number, dtype="str"),
            "score": np.clip(scores, 0, 1),
            "flags": doubts.astype(np.int64),
        }
        area = float(covered.size) * pixel**2
        frames = {
            "frame": [index],
            "count": [number],
            "area_nm2": [area],
            "covered_nm2": [float((found.labels > 0).sum()) * pixel**2],
            "height_nm": [covered.shape[0] * pixel],
            "width_nm": [covered.shape[1] * pixel],
        }
        outline = outline_table(outlines, pixel, index, begin)
        return {"objects": pd.DataFrame(objects), "outlines": outline, "frames": pd.DataFrame(frames)}

    def _thickness(self, prediction: Prediction, labels: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        image = prediction.frame.data
        if image.shape != labels.shape or not len(rows):
            nothing = np.full(len(rows), np.nan)
            names = ("optical_depth", "optical_depth_sigma", "thickness_nm", "thickness_sigma_nm", "volume_nm3")
            return dict.fromkeys(names, nothing)
        dark = darkness(image, labels, self.dark_level)
        path = np.nan if self.mean_free_path_nm is None else self.mean_free_path_nm
        return {
            "optical_depth": dark.depth[rows],
            "optical_depth_sigma": dark.depth_sigma[rows],
            "thickness_nm": path * dark.depth[rows],
            "thickness_sigma_nm": path * dark.depth_sigma[rows],
            "volume_nm3": path * dark.total_px[rows] * prediction.pixel_nm**2,
        }


def outline_table(outlines: Outlines, pixel_nm: float, frame: int, begin_nm: float = 0.0) -> pd.DataFrame:
    """Return all points of all outlines as the table `OUTLINES`; the first pixel's centre lies at `begin_nm`."""
    import pandas as pd

    counts = [len(points) for points in outlines.points_px]
    bends = [_curvature(points) / pixel_nm for points in outlines.points_px]
    points = np.concatenate([np.empty((0, 2)), *outlines.points_px]) * pixel_nm + begin_nm
    return pd.DataFrame(
        {
            "frame": np.full(len(points), frame, np.int64),
            "id": np.repeat(outlines.label, counts).astype(np.int64),
            "point": np.concatenate([np.empty(0, np.int64), *map(np.arange, counts)]).astype(np.int64),
            "y_nm": points[:, 0],
            "x_nm": points[:, 1],
            "curvature_per_nm": np.concatenate([np.empty(0), *bends]),
        }
    )


def _curvature(points: np.ndarray) -> np.ndarray:
    """Return the curvature (K,) in 1/px of a closed outline (K, 2) of even steps."""
    length = perimeter(points)
    return smoothed(points, length, max(_SMOOTH_PX, _SMOOTH * length / np.pi)).curvature
