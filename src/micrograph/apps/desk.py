"""Drop a file, get an answer: which recipes fit a recording, and one of them run in the background for the page."""

from __future__ import annotations

import io
import itertools
import re
import threading
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps import jobs, requests
from micrograph.apps.scales import SCALES, in_words, scale_texts
from micrograph.core import BadInput, MissingCalibration, Recording
from micrograph.live.web.lab import Given, Progress, Proposals, Scale, Suggestion, Suggestions

if TYPE_CHECKING:
    from micrograph.live.shown import Shown

_NOTHING = Given()
#: Side of the picture of a suggestion.
THUMBNAIL_PX = 240
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

    def open(self, path: Path, given: Given = _NOTHING) -> Iterator[Proposals]:
        """Yield what a file holds and which recipes fit it, the likeliest first, ever more of them tried.

        Raises `BadInput`.
        """
        from micrograph.apps.proposing import proposals

        said = scale_texts(_opened(path, _NOTHING).calibration)
        recording = _opened(path, given)
        facts = {"frames": f"{len(recording)}", "size": " x ".join(map(str, recording.shape)) + " pixels"}
        scales = tuple(
            Scale(name, label, said[name], given.calibration.get(name, ""), example)
            for name, (label, example) in SCALES.items()
        )
        yield Proposals(recording.name or path.name, facts, (), scales, Progress(0, 0, "reading the recipes"))
        for found, progress in proposals(recording):
            yield Proposals(recording.name or path.name, facts, found, scales, progress)

    def run(self, recipe: str, path: Path, given: Given = _NOTHING) -> Analysis:
        """Start an analysis and return at once; raises `BadInput`, also where the recipe needs what is unknown."""
        from micrograph.apps.proposing import words
        from micrograph.recipes import find_recipe

        missing = _opened(path, given).calibration.missing(find_recipe(recipe).task.needs)
        if missing:
            raise MissingCalibration(
                f"Recipe '{recipe}' needs {words(missing)}, which {path.name} does not say: enter it."
            )
        request = requests.Request(recipe, dict(given.calibration))
        job = Analysis(request, path, self._folder(path, recipe))
        job.start()
        return job

    def suggest(self, recipe: str, path: Path, given: Given = _NOTHING) -> Suggesting:
        """Start to look for the frames that are most worth a label; raises `BadInput` for a recipe without labels."""
        from micrograph.apps.suggesting import require_labels
        from micrograph.recipes import find_recipe

        require_labels(find_recipe(recipe))
        request = requests.Request(recipe, dict(given.calibration))
        job = Suggesting(request, path, self._folder(path, f"{recipe}-to-label"))
        job.start()
        return job

    def _folder(self, path: Path, what: str) -> Path:
        """Return a new folder for the results of a job."""
        return self._out / f"{path.stem}-{what}-{next(self._numbers)}"


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


def readied() -> None:
    """Import all recipes in a thread, so that the first file is judged without waiting for that."""
    from micrograph.recipes import RECIPES, find_recipe

    threading.Thread(target=lambda: [find_recipe(name) for name in RECIPES], name="recipes", daemon=True).start()


class Work:
    """What runs in a thread of its own (`micrograph.live.web.lab.Job`); `_do` is what it does."""

    def __init__(self, request: requests.Request, path: Path, out: Path) -> None:
        self._request, self._path, self._out = request, path, out
        self._progress, self._shown = Progress(), None  # type: Progress, Shown | None
        self._suggestions: Suggestions | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="job", daemon=True)

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

    @property
    def takes_labels(self) -> bool:
        """Whether its recipe learns from labels."""
        from micrograph.apps.suggesting import require_labels
        from micrograph.recipes import find_recipe

        try:
            require_labels(find_recipe(self._request.recipe))
        except BadInput:
            return False
        return True

    @property
    def suggestions(self) -> Suggestions | None:
        """What to label next, once it is known."""
        return self._suggestions

    def thumbnail(self, rank: int) -> bytes | None:
        """Return the picture of a suggestion."""
        return None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop it at the next frame."""
        self._stop.set()

    def _do(self) -> None:
        raise NotImplementedError

    def _advance(self, done: int, total: int, note: str = "") -> None:
        self._progress = Progress(done, total, note)
        if self._stop.is_set():
            raise _Stopped

    def _work(self) -> None:
        ended, note = "done", ""
        try:
            self._do()
        except _Stopped:
            ended = "stopped"
        except Exception as error:  # the page shows it: nothing of one job may stop the server
            ended, note = "failed", in_words(str(error))
        self._progress = replace(self._progress, note=note, ended=ended)


class Analysis(Work):
    """One analysis."""

    def _do(self) -> None:
        from micrograph.live.finished import Finished

        list(jobs.analyze_paths([self._path], self._request, self._out, lambda name: self._advance))
        self._shown = Finished(self._out, self._path)


class Suggesting(Work):
    """A search for the frames that are most worth a label, written ready to be labelled."""

    def _do(self) -> None:
        from micrograph.apps.suggesting import suggest, what_next

        table = suggest(self._request, [self._path], self._out, progress=self._advance)
        told, _, command = what_next(self._request.recipe, table, self._out).rpartition(", then: ")
        pieces = tuple(
            Suggestion(row["rank"], row["frame"], row["image"], _reason(row)) for row in table.to_dict("records")
        )
        self._suggestions = Suggestions(f"{told}.", command, pieces)

    def thumbnail(self, rank: int) -> bytes | None:
        """Return the picture of a suggestion."""
        from micrograph.io import open_recording

        told = self._suggestions
        if told is None or not 1 <= rank <= len(told.pieces):
            return None
        return _thumbnail(open_recording(self._out / told.pieces[rank - 1].file).frame(0).data)


def _thumbnail(image: NDArray[np.float32]) -> bytes:
    """Return a small PNG of an image (H, W)."""
    from PIL import Image

    from micrograph.draw.image import contrast

    low, high = contrast(image)
    grey = np.clip((np.nan_to_num(image) - low) / max(high - low, 1e-12), 0, 1) * 255
    picture, file = Image.fromarray(grey.astype(np.uint8)), io.BytesIO()
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    picture.save(file, "PNG")
    return file.getvalue()


def _reason(row: Mapping[Hashable, Any]) -> str:
    """Return why a piece is worth a label."""
    doubt = float(row["doubt"])
    sure = f"its doubt is {doubt:.2g} times the mean" if abs(doubt - 1) > 0.005 else "its doubt is that of all"
    likely = f", likeliest {row['likely']}" if row["likely"] else ""
    return f"{sure}{likely}" + ("; it looks unlike those above" if row["rank"] > 1 else "")


class _Stopped(Exception):
    """The user stopped the job."""
