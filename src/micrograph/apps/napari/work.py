"""What the widgets do, without a window: an analysis of a layer's recording, corrected masks as labels, a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps import jobs, models, requests
from micrograph.core import BadInput, Recording
from micrograph.core.provenance import made_folder
from micrograph.io.labelled import file_stem, write_image
from micrograph.io.masks import require_images_folder

if TYPE_CHECKING:
    from micrograph.apps.labelling import LabelReport
    from micrograph.run import Recipe, Result

#: Masks are written with numbers from here on: 255 among them would look like white.
_FIRST_NUMBER = 1000
#: How the scores of a training are called.
SCORES = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall", "f1": "F1"}


def analyse(request: requests.Request, recording: Recording, out: Path | None, progress: jobs.Advance) -> Result:
    """Analyse the frames of an open recording that `request` asks for, with its recipe, settings and weights.

    With `out`, tables, figures and the report are written there, as ``micrograph analyze`` writes them.
    """
    from micrograph.recipes import find_recipe

    recipe = models.with_own_classes(find_recipe(request.recipe), request.weights).with_settings(request.settings)
    recording = recording.calibrated(**requests.parse_calibration(request.calibration))
    recording = recording[requests.parse_frames(request.frames, len(recording))]
    if out is not None:
        jobs.require_folder(out)
    return jobs.analyze_opened(recipe, recording, request, into=out, progress=progress)


def told(recipe: Recipe, result: Result) -> str:
    """Return in a sentence or two what an analysis found, and what was done to the data before."""
    count, frames = len(result.tables.columns("objects", ("frame",))), len(result.recording)
    words = f"{count} objects in {frames} frame{'s' if frames > 1 else ''}, {result.record.get('seconds', 0):.3g} s."
    return " ".join([words, *map(str, result.recording.metadata.get("notes", ()))])


def chosen_frames(text: str, count: int, shown: int) -> list[int]:
    """Return the numbers of frames that "3, 7, 10:20" names among `count`; the frame `shown` where nothing is named."""
    if not text.strip():
        return [shown]
    found = [range(count)[requests.parse_frames(part.strip(), count)] for part in text.split(",") if part.strip()]
    return sorted({index for part in found for index in part})


def worth_a_label(recipe: str, recording: Recording, number: int, progress: jobs.Advance) -> list[int]:
    """Return the frames of a recording whose labels would teach the recipe's model most, the best first."""
    from micrograph.apps.suggesting import Choice, ranked

    places, _ = ranked(requests.Request(recipe), [recording], Choice(number, piece_px=0), progress)
    return [place.index for place in places]


def write_labels(recording: Recording, labels: Any, frames: Sequence[int], folder: Path) -> list[Path]:
    """Write frames of a recording and their masks into a folder that ``micrograph train --labels`` reads.

    labels: (H, W), or (T, H, W) for a movie, 0 outside objects. Of frame 7 of 'run 1' come ``run-1-frame-0007.tif``
    (the image as it is, with its pixel size) and ``run-1-frame-0007_mask.tif``, in place of older ones.
    Returns the images written. Raises `BadInput` for masks of another size, and for frames without an object.
    """
    size = (*((len(recording),) if len(recording) > 1 else ()), *recording.shape[-2:])
    if tuple(labels.shape) != size:
        raise BadInput(
            f"The masks have {_times(labels.shape)} pixels, the image {_times(size)}: choose the image that the masks "
            "were painted on."
        )
    require_images_folder(folder)
    masks = {index: np.asarray(labels[index] if len(size) == 3 else labels) for index in frames}
    for index, mask in masks.items():
        if not (mask > 0).any():
            raise BadInput(f"No object is marked in frame {index}: paint some, or choose other frames.")
    made_folder(folder)
    written = []
    for index, mask in masks.items():
        path = folder / f"{file_stem(recording, index)}.tif"
        write_image(np.asarray(recording.read(recording.indices[index])), recording.calibration.pixel_nm, path)
        write_image(_renumbered(mask), None, path.with_name(f"{path.stem}_mask.tif"))
        written.append(path)
    return written


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _renumbered(mask: NDArray[Any]) -> NDArray[np.uint16]:
    """Return a mask with its objects numbered one after the other; refuse more than a picture can number."""
    kinds, place = np.unique(mask, return_inverse=True)
    if len(kinds) > 60_000:
        raise BadInput(f"The masks hold {len(kinds)} objects in one frame: at most 60000 can be written.")
    numbers = np.where(kinds > 0, np.cumsum(kinds > 0) + _FIRST_NUMBER - 1, 0)
    return numbers[place].reshape(mask.shape).astype(np.uint16)


def trainable() -> list[tuple[str, str]]:
    """Return (title, name) of the recipes whose weights learn from masks."""
    from micrograph.recipes import RECIPES, find_recipe

    recipes = map(find_recipe, RECIPES)
    return [(one.title, one.name) for one in recipes if "core" in one.model.names and one.training is not None]


def score_rows(report: LabelReport) -> list[tuple[str, str, str]]:
    """Return (score, before, after) of a training from labels, each as text with its 95 % interval."""
    before: Mapping[str, Any] = {} if report.before is None else report.before.as_dict()
    after = report.after.as_dict()
    return [(words, _interval(before.get(name)), _interval(after[name])) for name, words in SCORES.items()]


def _interval(numbers: Sequence[float] | None) -> str:
    """Return value, low and high as '0.93 (0.90 to 0.95)', '-' for none."""
    return "-" if numbers is None else "{:.2f} ({:.2f} to {:.2f})".format(*numbers)
