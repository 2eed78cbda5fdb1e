"""Drop a file, get an answer: what the page needs to open a file, propose recipes for it, and run one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from micrograph.live.shown import Shown


@dataclass(frozen=True)
class Given:
    """What the user says of a file: texts with units by name in `Calibration` (``{"pixel_nm": "0.25 nm"}``).

    They win over what the file says.
    """

    calibration: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """One value of a file's calibration as a field to fill in.

    name: in `Calibration`; label: in words; file: what the file says, with its unit, '' where it says nothing; given:
    what the user said instead; example: of what may be written.
    """

    name: str
    label: str
    file: str
    given: str
    example: str


@dataclass(frozen=True)
class Progress:
    """How far a job is: `done` of `total` steps (0: not known yet), what it does, and how it ended.

    ended: '' while it runs, else 'done', 'failed' (`note` is then the reason, in one sentence) or 'stopped'.
    """

    done: int = 0
    total: int = 0
    note: str = ""
    ended: str = ""


@dataclass(frozen=True)
class Proposal:
    """One recipe for a file: whether it fits, and a sentence that says why or why not.

    distance: how far the file lies from the images that its network was trained on (below 1: like them), where it has
    one; missing: names of `Scale` that must be filled in before it can run; likeness: how probably the file is of the
    kind that the recipe is made for, by its look, 0 .. 1; tried: whether the reason rests on all that is asked.
    """

    recipe: str
    title: str
    reason: str
    fits: bool
    distance: float | None = None
    missing: tuple[str, ...] = ()
    likeness: float | None = None
    tried: bool = True


@dataclass(frozen=True)
class Proposals:
    """What a file holds: facts by name (frames, size), its scales, recipes for it, best first, and how far it is."""

    name: str
    facts: Mapping[str, str] = field(default_factory=dict)
    proposals: tuple[Proposal, ...] = ()
    scales: tuple[Scale, ...] = ()
    progress: Progress = Progress()


@dataclass(frozen=True)
class Suggestion:
    """A frame, or a piece of one, that is worth a label: its rank (1 is worth most), its file, and the reason."""

    rank: int
    frame: int
    file: str
    reason: str


@dataclass(frozen=True)
class Suggestions:
    """What to label next, the most worthwhile first: `told` in words, and the `command` to go on with afterwards."""

    told: str
    command: str
    pieces: tuple[Suggestion, ...] = ()


class Job(Protocol):
    """One analysis, or one search for what to label, in a thread or process. May be asked from any thread."""

    @property
    def progress(self) -> Progress:
        """How far it is."""
        ...

    @property
    def shown(self) -> Shown | None:
        """Its results for the page, as soon as there are any."""
        ...

    @property
    def report(self) -> Path | None:
        """The HTML report, once it is written."""
        ...

    @property
    def takes_labels(self) -> bool:
        """Whether its recipe learns from labels, so that frames to label may be suggested."""
        ...

    @property
    def suggestions(self) -> Suggestions | None:
        """What to label next, once a job that was to find that has found it."""
        ...

    def thumbnail(self, rank: int) -> bytes | None:
        """Return the picture (PNG) of a suggestion."""
        ...

    def stop(self) -> None:
        """Stop it; does nothing once it has ended."""
        ...


class Lab(Protocol):
    """Opens files and runs recipes. Methods may take long and are called from threads of the server."""

    @property
    def root(self) -> Path:
        """The folder whose files may be opened; nothing outside it is listed or read."""
        ...

    def open(self, path: Path, given: Given) -> Iterator[Proposals]:
        """Yield what a file (or folder of images) holds and which recipes fit it: at once, then with ever more tried.

        Raises `BadInput` for a file or a given value that cannot be used.
        """
        ...

    def run(self, recipe: str, path: Path, given: Given) -> Job:
        """Start an analysis and return at once; raises `BadInput`, also where the recipe needs what is unknown."""
        ...

    def suggest(self, recipe: str, path: Path, given: Given) -> Job:
        """Start to look for the frames that are most worth a label; raises `BadInput` for a recipe without labels."""
        ...
