"""Fold over the shapes of many objects, of one movie or of many single images: classes, their shares, distributions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from micrograph.core import Column, Flag
from micrograph.features.objects.distributions import QUANTITIES, shapes_table, sizes_table
from micrograph.features.objects.selection import box_of_ellipse, crowding_acceptance, edge_weights
from micrograph.features.objects.shape_classes import DESCRIPTORS, learn_shapes
from micrograph.track.gather import Gather
from micrograph.track.shapes import Outlined, Shapes, kept
from micrograph.track.timeline import Array

#: What table 'classified' promises: one row an object, in the order of table 'objects'.
CLASSIFIED = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the object in its frame"),
    Column("shape", "", "class of its shape"),
    Column("shape_score", "", "probability of that class"),
    Column("weight", "", "objects that it stands for: 1 over the chance to see one of its size whole and by itself"),
)
#: Outlines with more of this share on neighbours are no shapes of their own.
_SHARED = 0.05
#: Outlines that do not show the object's own shape.
_DOUBTED = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.NO_FIT)
_SEED = 17
#: Columns of 'objects' that the distributions need.
_COLUMNS = tuple(dict.fromkeys(("id", "y_nm", "x_nm", "angle_deg", "shared", "flags", *QUANTITIES, *DESCRIPTORS)))


@dataclass(frozen=True)
class Population(Outlined):
    """Sort the shapes of all objects into classes, as many as there are, and follow the objects where times are known.

    correct: give objects that the border cuts or neighbours touch more often their full weight in the distributions.
    """

    correct: bool = True

    def result(self, state: Shapes) -> dict[str, pd.DataFrame]:
        """Return the tables of `Outlined`, and 'classified', 'shapes' and 'sizes'."""
        frames = self._gather.frames(state.points)
        objects = kept(self._gather.table(state.points, "objects"), ("t_s", "track", *_COLUMNS))
        classified, sure = self._classified(objects, frames)
        timed = len(frames) > 1 and bool(np.isfinite(frames["t_s"]).all())
        known = objects.assign(shape=classified["shape"])
        known = known.astype({"track": np.int64}) if timed else known.drop(columns="track", errors="ignore")
        weights = classified["weight"].to_numpy(float)
        rng = np.random.default_rng(_SEED)
        return {
            **super().result(state),
            "classified": classified,
            "shapes": shapes_table(known[sure], weights[sure]),
            "sizes": sizes_table(known[sure], rng, weights[sure]),
        }

    @property
    def _gather(self) -> Gather:
        own = super()._gather
        columns = dict.fromkeys((*own.columns, *_COLUMNS))
        frame_columns = dict.fromkeys((*own.frame_columns, "covered_nm2", "height_nm", "width_nm"))
        return Gather(own.tables, tuple(columns), tuple(frame_columns))

    def _classified(self, objects: pd.DataFrame, frames: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the table 'classified' and which objects show their own shape."""
        if not len(objects):
            empty = {column.name: np.empty(0) for column in CLASSIFIED}
            table = pd.DataFrame(empty).astype({"frame": np.int64, "id": np.int64, "shape": str})
            return table, np.empty(0, bool)
        flags = objects["flags"].to_numpy(np.int64)
        sure = ((flags & _DOUBTED) == 0) & (objects["shared"].to_numpy(float) <= _SHARED)
        model = learn_shapes(objects[sure], np.random.default_rng(_SEED))
        found = model(objects)
        weights = self._weights(objects, frames, sure) if self.correct else sure.astype(float)
        table = pd.DataFrame(
            {
                "frame": objects["frame"].to_numpy(np.int64),
                "id": objects["id"].to_numpy(np.int64),
                "shape": pd.Series(found.shape, dtype=str),
                "shape_score": found.score,
                "weight": weights,
            }
        )
        return table, sure

    def _weights(self, objects: pd.DataFrame, frames: pd.DataFrame, sure: np.ndarray) -> Array:
        """Return for how many objects each stands, 0 for those that do not show their own shape."""
        height, width = (float(frames[name].median()) for name in ("height_nm", "width_nm"))
        boxes = box_of_ellipse(
            *(objects[name].to_numpy(float) for name in ("feret_max_nm", "feret_min_nm", "angle_deg"))
        )
        room = np.minimum(boxes, np.array([[0.9 * height], [0.9 * width]]))
        weights = np.where(sure, edge_weights(room[0], room[1], (height, width)), 0.0)
        area, perimeter = (objects[name].to_numpy(float)[sure] for name in ("area_nm2", "perimeter_nm"))
        if len(area):
            covered = min(float(frames["covered_nm2"].sum()), 0.95 * float(frames["area_nm2"].sum()))
            seen = crowding_acceptance(area, perimeter, covered, float(frames["area_nm2"].sum()), weights[sure])
            weights[sure] /= seen
        return weights
