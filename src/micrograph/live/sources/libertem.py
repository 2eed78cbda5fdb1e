"""A recipe as a user-defined function of LiberTEM: the same analysis on its data sets and live detectors.

LiberTEM: https://doi.org/10.21105/joss.02006
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Frame
from micrograph.run.streaming import Predict, frame_tables, predicted, require_calibration

if TYPE_CHECKING:
    from micrograph.run.recipe import Recipe, Tables

#: Columns of objects whose mean over a frame says nothing.
_PLACES = ("y_nm", "x_nm")


def recipe_udf(recipe: Recipe, predict: Predict, calibration: Calibration) -> Any:
    """Return a LiberTEM UDF that looks at the frame of every navigation position as `recipe` does.

    Its result buffers, all of the shape of the navigation axes: ``count`` (objects, NaN in an unusable frame),
    ``flags``, the promised numbers of the table 'frames' by their column, and ``mean_<column>`` of the promised columns
    with a unit of 'objects'. What follows from all frames together is not computed. `calibration` is that of all
    frames, which are taken as they come. Executors of several processes need a `predict` that can be pickled.

    Raises `BadInput` where LiberTEM is not installed and `MissingCalibration` where the recipe needs what is unknown.
    """
    require_calibration(recipe, calibration)
    try:
        from libertem.udf import UDF  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise BadInput("A recipe as a UDF needs LiberTEM: install it with  pip install libertem.") from error

    class RecipeUDF(UDF):  # type: ignore[misc, unused-ignore]
        """Runs the recipe frame by frame."""

        def get_result_buffers(self) -> dict[str, Any]:
            """Declare one number a navigation position for each quantity."""
            kinds = dict.fromkeys(quantities(self.params.recipe), "float64") | {"flags": "int64"}
            return {name: self.buffer(kind="nav", dtype=dtype) for name, dtype in kinds.items()}

        def process_frame(self, frame: NDArray[Any]) -> None:
            """Measure one frame."""
            place = tuple(int(k) for k in self.meta.coordinates[0])
            index = int(np.ravel_multi_index(place, tuple(self.meta.dataset_shape.nav)))
            measured = measure(self.params.recipe, self.params.predict, self.params.calibration, frame, index)
            for name, value in measured.items():
                getattr(self.results, name)[:] = value

    return RecipeUDF(recipe=recipe, predict=predict, calibration=calibration)


def quantities(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the numbers that a recipe gives of each frame, beside its flags."""
    answers = recipe.task.answers
    of_frames = [column.name for column in answers.get("frames", ()) if column.unit]
    of_objects = [each.name for each in answers.get("objects", ()) if each.unit and each.name not in _PLACES]
    return tuple(dict.fromkeys(["count", *of_frames, *(f"mean_{name}" for name in of_objects)]))


def measure(
    recipe: Recipe, predict: Predict, calibration: Calibration, image: NDArray[Any], index: int
) -> dict[str, float]:
    """Return the numbers of one image (H, W) by name (see `quantities`), and its flags; NaN where there is none."""
    frame = Frame(np.asarray(image, np.float32), index, calibration)
    (prediction,) = predicted([frame], predict)
    tables, flags = frame_tables(recipe, frame, prediction)
    usable = prediction is not None
    numbers = {name: _number(tables, name) if usable else np.nan for name in quantities(recipe)}
    return {**numbers, "flags": int(flags)}


def _number(tables: Tables, name: str) -> float:
    """Return one number of a frame: a column of 'frames', or the mean of one of 'objects'."""
    frames, objects = tables["frames"], tables["objects"]
    if name in frames:
        return float(frames[name].iloc[0])
    if name == "count":
        return float(len(objects))
    column = name.removeprefix("mean_")
    return float(objects[column].mean()) if column in objects and len(objects) else float("nan")
