"""Which frames, or parts of them, a user should label next: those whose labels teach a model most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.jobs import Advance, readied, recipe_for, silent
from micrograph.apps.models import predictor
from micrograph.apps.requests import Request, open_calibrated
from micrograph.core import BadInput, Column, Frame, Recording
from micrograph.core.provenance import made_folder, whole
from micrograph.features.naming.choosing import Corners, chosen, class_doubt, doubt_in_maps, pieces_of

if TYPE_CHECKING:
    import pandas as pd

    from micrograph.infer.few_shot import Features
    from micrograph.run import Predict, Recipe

Array = NDArray[np.float64]

#: What the table of suggestions promises.
SUGGESTIONS = (
    Column("rank", "", "1 is worth most"),
    Column("image", "", "file in this folder that holds the piece"),
    Column("file", "", "recording that it was cut from"),
    Column("frame", "", "number of the frame in it"),
    Column("top_px", "", "first row of the piece in the frame"),
    Column("left_px", "", "first column of the piece in the frame"),
    Column("height_px", "", "rows of the piece"),
    Column("width_px", "", "columns of the piece"),
    Column("doubt", "", "doubt of the model over its mean over all pieces; 1 where there is no model yet"),
    Column("likely", "", "likeliest class, where a model sorts pieces into classes"),
)
#: Frames that are larger are offered in squares of so many pixels.
WHOLE_PX, PIECE_PX = 640, 512


@dataclass(frozen=True)
class Choice:
    """How to choose. number: of pieces; piece_px: side of pieces, 0 for whole frames, ``None``: squares of 512 px
    where frames are larger than 640 px; most_frames: that are looked at, evenly spread over all recordings;
    labelled: a folder of images that have labels already, as ``train --labels`` takes it.
    """

    number: int = 12
    piece_px: int | None = None
    most_frames: int = 200
    labelled: Path | None = None

    def side(self, shape: tuple[int, int]) -> int | None:
        """Return the side of the pieces of a frame (H, W); ``None`` for whole frames."""
        if self.piece_px is None:
            return PIECE_PX if max(shape) > WHOLE_PX else None
        return self.piece_px or None


@dataclass(frozen=True)
class Place:
    """One piece: which recording and frame of it, where in the frame, and its likeliest class."""

    recording: Recording
    index: int
    corners: Corners
    row: int
    likely: str


def suggest(
    request: Request, paths: Sequence[Path], out: Path, choice: Choice | None = None, progress: Advance = silent
) -> pd.DataFrame:
    """Write the pieces of recordings that are most worth a label into `out`, ready to be labelled; return their table.

    Pieces become TIFF files with their pixel size; ``suggestions.csv`` and ``.parquet`` tell where they come from,
    ``suggestions.png`` shows them. Raises `BadInput` for a recipe that takes no labels.
    """
    from micrograph.io.masks import require_images_folder

    require_images_folder(out)
    require_labels(recipe_for(request))
    recordings = [open_calibrated(path, request) for path in paths]
    places, doubt = ranked(request, recordings, choice or Choice(), progress)
    return _written(places, doubt, made_folder(out))


def ranked(
    request: Request, recordings: Sequence[Recording], choice: Choice, progress: Advance = silent
) -> tuple[list[Place], Array]:
    """Return the pieces of open recordings that are most worth a label, and the doubt of each over the mean of all."""
    from micrograph.infer.few_shot import shared_features

    recipe = recipe_for(request)
    require_labels(recipe)
    features = shared_features()
    known = _known(recipe, choice.labelled, features)
    look = _Looking(recipe, request, choice, features)
    places, doubts, looks = [], [], []
    frames = _spread(recordings, choice.most_frames)
    for done, (recording, index) in enumerate(frames):
        progress(done, len(frames), f"looking at {recording.name}")
        found, doubt, seen = look(recording, index)
        places += found
        doubts.append(doubt)
        looks.append(seen)
    every = np.concatenate(doubts)
    order = chosen(every, np.concatenate(looks), choice.number, known)
    return [places[place] for place in order], every[order] / max(float(every.mean()), 1e-12)


def what_next(name: str, table: pd.DataFrame, out: Path) -> str:
    """Return in words what was written, and how to go on."""
    from micrograph.recipes import find_recipe

    said = f"{len(table)} images to label are in {out} (suggestions.png shows them, the most worthwhile first). "
    if sorts(find_recipe(name)):
        return (
            said
            + f"Sort them into a sub-folder a class, then: micrograph train {name} --labels {out} -o mine.safetensors"
        )
    first = Path(str(table["image"].iloc[0])).stem
    return (
        f"{said}Paint a mask for each beside it ({first}_mask.tif; napari: 'Correct and train'), then: "
        f"micrograph train {name} --labels {out} -o mine.safetensors"
    )


def require_labels(recipe: Recipe) -> None:
    """Raise `BadInput` for a recipe that learns neither from masks nor from folders of classes."""
    from micrograph.apps.painting import paints

    if not (sorts(recipe) or paints(recipe) or "core" in recipe.model.names):
        raise BadInput(
            f"Recipe '{recipe.name}' learns from no labels, so none can be suggested: use particle-shapes, "
            "liquid-cell, pores, microstructure, or few-shot for classes of your own."
        )


def sorts(recipe: Recipe) -> bool:
    """Return whether a recipe sorts what it sees into classes, which may be a user's own."""
    from micrograph.apps.classing import is_classifying
    from micrograph.nets.prototype_spec import PrototypeSpec

    return isinstance(recipe.model, PrototypeSpec) or is_classifying(recipe)


class _Looking:
    """Frames to pieces, with their doubts and looks; the model of each recording is loaded once."""

    def __init__(self, recipe: Recipe, request: Request, choice: Choice, features: Features) -> None:
        self.recipe, self.request, self.choice, self.features = recipe, request, choice, features
        self.sorts = sorts(recipe)
        unknown = self.sorts and not request.weights  # nobody has named classes yet: only the looks count
        self.predict: Predict | None = None if unknown else predictor(recipe, request.weights, request.device)
        self._fitting: dict[int, Recording] = {}

    def __call__(self, recording: Recording, index: int) -> tuple[list[Place], Array, Array]:
        """Return the pieces of one frame, the doubt (N,) of each, and what they look like (N, D)."""
        frame = recording.frame(index)
        corners = pieces_of(frame.data.shape, self.choice.side(frame.data.shape))
        images = [np.asarray(piece, np.float32) for piece in corners.cut(frame.data)]
        names = [""] * len(images)
        if self.predict is None:
            doubt = np.ones(len(images))
        elif self.sorts:
            doubt, names = self._sorted(frame, images)
        else:
            doubt = doubt_in_maps(self.predict(self._binned(recording).frame(index)), corners)
        seen = self.features.even(self.features.of_small(images))
        return [Place(recording, index, corners, row, name) for row, name in enumerate(names)], doubt, seen

    def _sorted(self, frame: Frame, images: Sequence[NDArray[np.float32]]) -> tuple[Array, list[str]]:
        """Return the doubt about the class of every piece, and the likeliest class."""
        assert self.predict is not None
        found = [self.predict(replace(frame, data=image)) for image in images]
        shares = np.array([one.values["class"].mean(axis=0) for one in found])
        away = np.array([one.domain_distance for one in found])
        return class_doubt(shares, away), [found[0].labels["class"][best] for best in shares.argmax(axis=1)]

    def _binned(self, recording: Recording) -> Recording:
        """Return the recording as the recipe's network looks at it."""
        if id(recording) not in self._fitting:
            fitting, _ = readied(self.recipe, recording, self.request, into=None, predict=self.predict)
            self._fitting[id(recording)] = fitting
        return self._fitting[id(recording)]


def _spread(recordings: Sequence[Recording], most: int) -> list[tuple[Recording, int]]:
    """Return the frames that are looked at, at most so many, evenly spread over all recordings."""
    every = [(recording, index) for recording in recordings for index in range(len(recording))]
    places = np.unique(np.rint(np.linspace(0, len(every) - 1, min(most, len(every)))).astype(int))
    return [every[place] for place in places]


def _known(recipe: Recipe, folder: Path | None, features: Features) -> Array | None:
    """Return what the images look like (M, D) that have labels already."""
    if folder is None:
        return None
    images = list(_labelled(recipe, folder))
    return features.even(features.of_small(images)) if images else None


def _labelled(recipe: Recipe, folder: Path) -> Iterator[NDArray[np.float32]]:
    from micrograph.apps.classing import suits
    from micrograph.apps.painting import paints
    from micrograph.io.classed import read_classes
    from micrograph.io.masks import read_labels

    if suits(recipe.name, folder):
        for one in read_classes(folder).files:
            for index in range(len(one.recording)):
                yield one.recording.frame(index).data
    else:
        for image in read_labels(folder, several=paints(recipe)):
            yield image.frame().data


def _written(places: Sequence[Place], doubt: Array, folder: Path) -> pd.DataFrame:
    """Write the chosen pieces, their table and their picture; return the table."""
    import pandas as pd

    from micrograph.draw import to_png
    from micrograph.draw.suggested import suggested_figure
    from micrograph.io import write_table
    from micrograph.io.labelled import file_stem, write_image

    rows: list[list[Any]] = []
    images = []
    for rank, (place, value) in enumerate(zip(places, doubt, strict=True), start=1):
        corners, recording = place.corners, place.recording
        top, left = int(corners.top[place.row]), int(corners.left[place.row])
        image = np.asarray(recording.read(recording.indices[place.index]))
        image = image[top : top + corners.height, left : left + corners.width]
        part = "" if (corners.height, corners.width) == corners.shape else f"-y{top}-x{left}"
        path = folder / f"{file_stem(recording, place.index)}{part}.tif"
        write_image(image, recording.calibration.pixel_nm, path)
        images.append(np.asarray(image, np.float32))
        where = (place.index, top, left, corners.height, corners.width)
        rows.append([rank, path.name, recording.name, *where, float(value), place.likely])
    table = pd.DataFrame(rows, columns=[column.name for column in SUGGESTIONS])
    write_table(table, folder / "suggestions", SUGGESTIONS)
    with whole(folder / "suggestions.png") as temporary:
        temporary.write_bytes(to_png(suggested_figure(images, table, _pixels(places))))
    return table


def _pixels(places: Sequence[Place]) -> list[float | None]:
    return [place.recording.calibration.pixel_nm for place in places]
