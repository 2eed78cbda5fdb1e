"""Drop a file, get an answer: which recipes fit a recording, and one of them run in the background for the page."""

from __future__ import annotations

import functools
import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from micrograph.apps import jobs
from micrograph.core import MicrographError, Recording
from micrograph.live.web.lab import Progress, Proposal, Proposals

if TYPE_CHECKING:
    from micrograph.live.shown import Shown
    from micrograph.run import Predict, Recipe

#: An image that lies farther than this from the training images of a model is not proposed to it.
_FOREIGN = 1.0


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

    def open(self, path: Path) -> Proposals:
        """Return what a file holds and which recipes fit it, the likeliest first; raises `BadInput`."""
        from micrograph.recipes import RECIPES, find_recipe

        recording = jobs.open_calibrated(path, jobs.Request(""))
        calibration = recording.calibration
        pixel = calibration.pixel_nm
        facts = {
            "frames": f"{len(recording)}",
            "size": " x ".join(map(str, recording.shape)) + " pixels",
            "pixel": "unknown" if pixel is None else f"{pixel:.4g} nm",
            "time of a frame": "unknown" if calibration.frame_time_s is None else f"{calibration.frame_time_s:g} s",
        }
        found = [proposal(find_recipe(name), recording) for name in RECIPES]
        found.sort(key=lambda one: (not one.fits, one.distance is None, one.distance or 0.0))
        return Proposals(recording.name or path.name, facts, tuple(found))

    def run(self, recipe: str, path: Path) -> Analysis:
        """Start an analysis and return at once; raises `BadInput`."""
        from micrograph.recipes import find_recipe

        find_recipe(recipe)
        job = Analysis(recipe, path, self._out / f"{path.stem}-{recipe}-{next(self._numbers)}")
        job.start()
        return job


def proposal(recipe: Recipe, recording: Recording) -> Proposal:
    """Return whether `recipe` fits a recording, judged by its calibration, length, and the look of its first frame."""
    answer = functools.partial(Proposal, recipe.name, recipe.title)
    missing = recording.calibration.missing(recipe.task.needs)
    if missing:
        return answer(f"It needs {', '.join(missing)}, which the file does not say.", False)
    if recipe.learner is not None:
        return answer("It learns from the recording itself, which takes some minutes.", True)
    try:
        predict = _model(recipe.name)
        seen = predict(_first(recipe, recording, predict).frame(0))
    except MicrographError as error:
        return answer(str(error), False)
    told = " ".join(seen.notes)
    distance = float(seen.domain_distance)
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

    return jobs.predictor(find_recipe(name), ())


class Analysis:
    """One analysis in a thread of its own (`micrograph.live.web.lab.Job`)."""

    def __init__(self, recipe: str, path: Path, out: Path) -> None:
        self._recipe, self._path, self._out = recipe, path, out
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
            list(jobs.analyze_paths([self._path], jobs.Request(self._recipe), self._out, lambda name: self._advance))
            self._shown = Finished(self._out, self._path)
        except _Stopped:
            ended = "stopped"
        except Exception as error:  # the page shows it: nothing of one analysis may stop the server
            ended, note = "failed", str(error)
        self._progress = replace(self._progress, note=note, ended=ended)


class _Stopped(Exception):
    """The user stopped the analysis."""
