"""Pictures of images that were sorted into kinds: the one that is shown, and examples of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Prediction
from micrograph.draw.kinds import kinds_figure
from micrograph.draw.named import named_figure
from micrograph.features.naming.sem_kinds import as_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from pandas import DataFrame

    from micrograph.run import Recipe

    Row = tuple[str, list[tuple[NDArray[np.uint8], str]]]

#: Tables over all frames that the pictures need.
KINDS_OF_ALL = ("examples",)


def is_kinds(tables: Mapping[str, DataFrame]) -> bool:
    """Return whether the objects are whole images that were sorted into kinds."""
    return "objects" in tables and {"none_probability", "more_than_one"} <= set(tables["objects"])


def kind_figures(recipe: Recipe, prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return the picture of a frame with the probabilities of its kinds, and the gallery of all frames."""
    import pandas as pd

    frame = prediction.frame
    found: dict[str, Figure] = {}
    label = next(iter(prediction.labels), None)
    if label is not None and len(tables["objects"]):
        row = tables["objects"].iloc[0]
        chances = pd.DataFrame(
            {"class": prediction.labels[label], "probability": prediction.values[label].mean(axis=0)}
        )
        called = f"{row['class']} and another" if int(row["more_than_one"]) else str(row["class"])
        title = f"{recipe.title}: frame {frame.index}"
        found["kind"] = named_figure(frame.data, frame.calibration.pixel_nm, chances, (title, called))
    if "examples" in tables and len(tables["examples"]) > 1:
        found["examples"] = kinds_figure(_rows(tables), "First images of every kind")
    return found


def _rows(tables: Mapping[str, DataFrame]) -> list[Row]:
    summary = tables.get("summary")
    numbers: dict[str, int] = {}
    if summary is not None:
        numbers = dict(zip(summary["class"].astype(str), summary["count"].astype(int), strict=True))
    found = []
    for name, examples in tables["examples"].groupby("class", sort=False):
        pictures = [
            (as_picture(str(row["picture"])), f"{row['frame']}: {row['probability']:.2f}{'+' * row['more_than_one']}")
            for _, row in examples.iterrows()
        ]
        found.append((f"{name} ({numbers[str(name)]})" if str(name) in numbers else str(name), pictures))
    return found
