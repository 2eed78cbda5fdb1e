"""Drop a file, get an answer: which recipes fit a recording, and one of them run in the background for the page."""

from __future__ import annotations

import functools
import itertools
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from micrograph.apps import jobs, models, requests
from micrograph.apps.scales import SCALES, in_words, scale_texts
from micrograph.core import BadInput, MicrographError, MissingCalibration, Recording
from micrograph.live.web.lab import Given, Progress, Proposal, Proposals, Scale

if TYPE_CHECKING:
    from micrograph.live.shown import Shown
    from micrograph.run import Predict, Recipe

#: An image that lies farther than this from the training images of a model is not proposed to it.
_FOREIGN = 1.0
_NOTHING = Given()
#: What a browser may send as a quantity: a number and a unit, but no sums or towers of powers to work out.
_NUMBER, _UNIT = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?", r"[A-Za-zµμÅ]+(?:(?:\^|\*\*)-?\d)?"
_QUANTITY = re.compile(rf"{_NUMBER}\s*(?:1\s*/\s*)?(?:{_UNIT}(?:(?:\s*[/*]\s*|\s+){_UNIT})*)?")


class Desk:
    """Opens recordings below `root` and runs recipes on them, results in folders of their own in `out`.

    See `micrograph.live.web.lab.Lab`.
    """

    def __init__(self, root: Path, out: Path) -> None:
        self._root, self._out = root, out
        self._numbers = itertools.count(1)

    @property
    def root(self) -> Path:
        """The folder whose files may be opened."""
        return self._root

    def open(self, path: Path, given: Given = _NOTHING) -> Proposals:
        """Return what a file holds and which recipes fit it, the likeliest first; raises `BadInput`."""
        from micrograph.recipes import RECIPES, find_recipe

        said = scale_texts(_opened(path, _NOTHING).calibration)
        recording = _opened(path, given)
        facts = {"frames": f"{len(recording)}", "size": " x ".join(map(str, recording.shape)) + " pixels"}
        scales = tuple(
            Scale(name, label, said[name], given.calibration.get(name, ""), example)
            for name, (label, example) in SCALES.items()
        )
        found = [proposal(find_recipe(name), recording) for name in RECIPES]
        found.sort(key=lambda one: (not one.fits, one.distance is None, one.distance or 0.0))
        return Proposals(recording.name or path.name, facts, tuple(found), scales)

    def run(self, recipe: str, path: Path, given: Given = _NOTHING) -> Analysis:
        """Start an analysis and return at once; raises `BadInput`, also where the recipe needs what is unknown."""
        from micrograph.recipes import find_recipe

        missing = _opened(path, given).calibration.missing(find_recipe(recipe).task.needs)
        if missing:
            raise MissingCalibration(
                f"Recipe '{recipe}' needs {_words(missing)}, which {path.name} does not say: enter it."
            )
        request = requests.Request(recipe, dict(given.calibration))
        job = Analysis(request, path, self._out / f"{path.stem}-{recipe}-{next(self._numbers)}")
        job.start()
        return job


def _opened(path: Path, given: Given) -> Recording:
    """Open a recording with what the user says of it; a value that cannot be used is told by the name of its field."""
    for name, text in given.calibration.items():
        if not _QUANTITY.fullmatch(text.strip()):
            label, example = SCALES[name]
            raise BadInput(f"The {label} is '{text}', which is no number with a unit: write it like '{example}'.")
    try:
        return requests.open_calibrated(path, requests.Request("", dict(given.calibration)))
    except BadInput as error:
        raise BadInput(in_words(str(error))) from error


def _words(names: Sequence[str]) -> str:
    """Return what values of a calibration are called: "the pixel size and the voltage"."""
    return " and ".join(f"the {SCALES[name][0]}" for name in names)


def proposal(recipe: Recipe, recording: Recording) -> Proposal:
    """Return whether `recipe` fits a recording, judged by its calibration, length, and the look of its first frame."""
    from micrograph.infer import Predictor
    from micrograph.nets import NoNet
    from micrograph.run.streaming import frame_tables

    answer = functools.partial(Proposal, recipe.name, recipe.title)
    missing = recording.calibration.missing(recipe.task.needs)
    if missing:
        return answer(f"It needs {_words(missing)}, which the file does not say: enter it above.", False, None, missing)
    if recipe.learner is not None:
        return answer("It learns from the recording itself, which takes some minutes.", True)
    try:
        predict = _model(recipe.name)
        frame = _first(recipe, recording, predict).frame(0)
        pixel_nm = frame.calibration.pixel_nm
        if isinstance(predict, Predictor) and pixel_nm is not None and (far := predict.pixel_notes(pixel_nm)):
            return answer(" ".join(far), False)  # on the model's pixel such an image may be vast
        seen = predict(frame)
        told, distance = " ".join(seen.notes), float(seen.domain_distance)
        if isinstance(recipe.model, NoNet):  # what it measures tells what it does not know
            row = frame_tables(recipe, frame, seen)[0]["frames"].iloc[0]
            told, distance = str(row["notes"]), float(row["domain_distance"])
    except MicrographError as error:
        return answer(str(error), False)
    fits = distance <= _FOREIGN and not told
    return answer(told or "The first frame looks like the images that its model knows.", fits, distance)


def _first(recipe: Recipe, recording: Recording, predict: Predict) -> Recording:
    """Return the first frame alone, binned as an analysis would."""
    from micrograph.run import suitably_binned

    return suitably_binned(recipe, recording[:1], predict)


@functools.cache
def _model(name: str) -> Predict:
    """Return the predictor of a recipe's shipped weights, loaded once."""
    from micrograph.recipes import find_recipe

    return models.predictor(find_recipe(name), ())


class Analysis:
    """One analysis in a thread of its own (`micrograph.live.web.lab.Job`)."""

    def __init__(self, request: requests.Request, path: Path, out: Path) -> None:
        self._request, self._path, self._out = request, path, out
        self._progress, self._shown = Progress(), None  # type: Progress, Shown | None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="analysis", daemon=True)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    @property
    def shown(self) -> Shown | None:
        """Its results, once they are there."""
        return self._shown

    @property
    def report(self) -> Path | None:
        """The report, once it is written."""
        path = self._out / "report.html"
        return path if self._progress.ended == "done" and path.exists() else None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it at the next frame."""
        self._stop.set()

    def _advance(self, done: int, total: int, note: str = "") -> None:
        self._progress = Progress(done, total, note)
        if self._stop.is_set():
            raise _Stopped

    def _work(self) -> None:
        from micrograph.live.finished import Finished

        ended, note = "done", ""
        try:
            list(jobs.analyze_paths([self._path], self._request, self._out, lambda name: self._advance))
            self._shown = Finished(self._out, self._path)
        except _Stopped:
            ended = "stopped"
        except Exception as error:  # the page shows it: nothing of one analysis may stop the server
            ended, note = "failed", in_words(str(error))
        self._progress = replace(self._progress, note=note, ended=ended)


class _Stopped(Exception):
    """The user stopped the analysis."""
