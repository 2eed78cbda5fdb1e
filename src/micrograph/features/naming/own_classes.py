"""Tables of frames, or of windows of them, that were named by a user's own classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Column, Flag, Prediction

if TYPE_CHECKING:
    import pandas as pd

#: What is called neither, and why.
NONE, UNSURE = "none of these", "unsure"

NAMED = (
    Column("y_px", "", "middle of what was named, from the middle of the first pixel"),
    Column("x_px", "", "middle of what was named"),
    Column("side_px", "", "its shorter side in pixels"),
    Column("class", "", f"'{NONE}' where it is unlike all examples, '{UNSURE}' where two classes are about as likely"),
    Column("probability", "", "calibrated probability of the likeliest class, if it is one of them"),
    Column("nearest", "", "likeliest class, whatever was called"),
    Column("second", "", "next likeliest class"),
    Column("second_probability", "", "probability of that"),
    Column("away", "", "distance from the nearest class over its border: above 1 it is none of them"),
)
SEEN = (
    Column("count", "", "what was named in this frame: itself, or its windows"),
    Column("class", "", "most frequent class"),
    Column("share", "", "share of what was named that belongs to it"),
    Column("probability", "", "mean probability of that class"),
)
CHANCES = (Column("class", "", "class"), Column("probability", "", "mean over the frame"))
SHARES = (
    Column("class", "", "class"),
    Column("count", "", "how many were named so"),
    Column("share", "", "their share"),
    Column("share_low", "", "lower end of its 95 % interval, as if all were independent"),
    Column("share_high", "", "upper end of its 95 % interval"),
)
ANSWERS = {"objects": NAMED, "frames": SEEN, "probabilities": CHANCES, "summary": SHARES}


def corners_of(shape: tuple[int, int], window_px: int) -> NDArray[np.intp]:
    """Return the upper left corners (N, 2) of windows, about half a side apart, that cover a frame; of one if 0."""
    side = min(window_px or min(shape), *shape)
    if not window_px:
        return np.zeros((1, 2), np.intp)
    numbers = [int(np.ceil((n - side) / (side / 2))) + 1 for n in shape]
    places = [np.rint(np.linspace(0, n - side, number)).astype(int) for n, number in zip(shape, numbers, strict=True)]
    return np.stack(np.meshgrid(*places, indexing="ij"), -1).reshape(-1, 2)


@dataclass(frozen=True)
class OwnClasses:
    """The class of every frame or window.

    certainty: probability below which it is 'unsure'; window_px: name windows of so many pixels, 0: the whole frame;
    border: how many borders away from all examples something is none of them.
    """

    certainty: float = 0.5
    window_px: int = 0
    border: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no probability, and windows that are too small to show anything."""
        if not 0 <= self.certainty < 1 or not self.border > 0:
            raise ValueError("certainty must lie between 0 and 1, and border above 0")
        if self.window_px and self.window_px < 16:
            raise ValueError("window_px must be 16 or more, or 0 for the whole frame")

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'frames' and 'probabilities' of one frame."""
        import pandas as pd

        if "class" not in prediction.labels or "away" not in prediction.values:
            raise BadInput(
                "There are no classes yet: make them from your own examples with 'micrograph train few-shot --labels "
                "FOLDER -o mine.safetensors' (one sub-folder a class), then give --weights mine.safetensors."
            )
        labels, shares = np.array(prediction.labels["class"]), prediction.values["class"]
        away = prediction.values["away"]
        rows = np.arange(len(shares))
        order = np.argsort(-shares, axis=1, kind="stable")
        best, second = order[:, 0], order[:, 1]
        sure, known = shares[rows, best] >= self.certainty, away <= self.border
        called = np.where(~known, NONE, np.where(sure, labels[best], UNSURE))
        doubt = np.where(known, 0, int(Flag.OUT_OF_DOMAIN)) | np.where(sure, 0, int(Flag.LOW_CONFIDENCE))
        middle, side = self._places(prediction, len(shares))
        objects = pd.DataFrame(
            {
                "y_px": middle[:, 0],
                "x_px": middle[:, 1],
                "side_px": np.full(len(shares), side),
                "class": called.astype(str),
                "probability": shares[rows, best],
                "nearest": labels[best].astype(str),
                "second": labels[second].astype(str),
                "second_probability": shares[rows, second],
                "away": away,
                "flags": doubt.astype(np.int64),
            }
        )
        chances = pd.DataFrame({"class": labels.astype(str), "probability": shares.mean(axis=0)})
        return {"objects": objects, "frames": _frame(objects), "probabilities": chances}

    def _places(self, prediction: Prediction, number: int) -> tuple[NDArray[np.float64], int]:
        """Return the middles (N, 2) of what was named, and its side."""
        shape = prediction.frame.data.shape[-2:]
        corners = corners_of((int(shape[0]), int(shape[1])), self.window_px)
        if not self.window_px or len(corners) != number:
            middle = np.array([[(n - 1) / 2 for n in shape]])
            return np.repeat(middle, number, axis=0), int(min(shape))
        side = min(self.window_px, *shape)
        return corners + (side - 1) / 2, int(side)


def _frame(objects: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    names, counts = np.unique(objects["class"].to_numpy(str), return_counts=True)
    name = str(names[np.argmax(counts)]) if len(names) else NONE
    mine = objects["class"] == name
    row = {
        "count": len(objects),
        "class": name,
        "share": float(mine.mean()) if len(objects) else np.nan,
        "probability": float(objects["probability"][mine].mean()) if len(objects) else np.nan,
    }
    return pd.DataFrame([row])


@dataclass(frozen=True)
class ClassShares:
    """The fold: how many were named by each class, over all frames."""

    labels: tuple[str, ...] = field(default=(), metadata={"setting": False})

    def start(self) -> Mapping[str, int]:
        """Return the state before the first frame."""
        return dict.fromkeys(self.labels, 0)

    def step(self, state: Mapping[str, int], tables: Mapping[str, pd.DataFrame]) -> Mapping[str, int]:
        """Return the state after one more frame."""
        counted = dict(state)
        for name, count in tables["objects"]["class"].value_counts().items():
            counted[str(name)] = counted.get(str(name), 0) + int(count)
        return counted

    def result(self, state: Mapping[str, int]) -> Mapping[str, pd.DataFrame]:
        """Return 'summary', one row a class."""
        import pandas as pd
        from scipy.stats import beta

        total = sum(state.values())
        counts = np.array(list(state.values()), float)
        share = counts / total if total else np.full(len(counts), np.nan)
        low, high = (beta.ppf(q, counts + 0.5, total - counts + 0.5) for q in (0.025, 0.975))
        return {
            "summary": pd.DataFrame(
                {
                    "class": pd.Series(list(state), dtype="object"),
                    "count": counts.astype(np.int64),
                    "share": share,
                    "share_low": np.where(counts > 0, low, 0.0),
                    "share_high": np.where(counts < total, high, 1.0),
                }
            )
        }
