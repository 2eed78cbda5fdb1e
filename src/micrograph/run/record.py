"""Where a run comes from and what it was like: the key that a resumed run must match, and run.json."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import BadInput, Flag, Recording
from micrograph.core.provenance import digest, whole

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.run.recipe import Recipe

#: At most so many different notes of the model are kept, however long the movie.
MOST_NOTES = 50
#: A number in a note, by which the notes of frames that say the same differ.
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")

#: Flag -> what it means for the reader of a report.
SENTENCES = {
    Flag.EDGE: "{n} of {all} frames are marked as cut by the border of the image.",
    Flag.LOW_CONFIDENCE: "In {n} of {all} frames the model is unsure of what it sees: check these by eye.",
    Flag.OUT_OF_DOMAIN: "{n} of {all} frames look unlike the images that the model was trained on: "
    "do not trust their numbers without checking them by eye.",
    Flag.NO_FIT: "In {n} of {all} frames a fit failed: the values that rest on it are missing.",
    Flag.BAD_FRAME: "{n} of {all} frames are empty, constant or not finite: they were left out.",
}


def key_of(recipe: Recipe, recording: Recording, predict: object, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the result to the last byte, as plain JSON: input, recipe, settings, weights, plan."""
    frames = recording.indices
    given = {
        "name": recording.name,
        "signal": recording.metadata.get("number", 0),
        "digest": input_digest(recording),
        "frames": [frames.start, frames.stop, frames.step],
        "shape": list(recording.shape),
        "calibration": dataclasses.asdict(recording.calibration),
        "log": log_digest(recording),
    }
    return key_for(recipe, predict, given, plan)


def key_for(recipe: Recipe, predict: object, given: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return `key_of` for an input that `given` describes."""
    key = {
        "input": dict(given),
        "recipe": recipe.name,
        "settings": {name: _plain(value) for name, value in recipe.settings().items()},
        "weights": str(getattr(predict, "digest", "unknown")),
        "plan": dict(plan),
    }
    plain: dict[str, Any] = json.loads(json.dumps(key, default=_plain))
    return plain


def input_digest(recording: Recording) -> str:
    """Return the digest of the recording's file; of its first, middle and last frame where there is no single file."""
    source = recording.metadata.get("path")
    if source and Path(source).is_file():
        return digest(Path(source))
    sha = hashlib.sha256(repr((recording.shape, recording.dtype, len(recording))).encode())
    for position in sorted({0, len(recording) // 2, len(recording) - 1}):
        sha.update(np.ascontiguousarray(recording.frame(position).data).tobytes())
    return f"sha256-frames:{sha.hexdigest()}"


def log_digest(recording: Recording) -> str | None:
    """Return the digest of what a log says of the frames, ``None`` without a log."""
    if recording.known is None:
        return None
    said = repr([dict(recording.known(index)) for index in recording.indices])
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"


def require_same(found: Mapping[str, Any], wanted: Mapping[str, Any], folder: Path) -> None:
    """Raise `BadInput` unless the earlier run in `folder` had the same key."""
    names = {"input": "input or calibration", "plan": "batch size or part size"}
    other = [names.get(name, name) for name in wanted if found.get(name) != wanted[name]]
    if other:
        raise BadInput(
            f"The earlier run in {folder} was made with another {' and another '.join(other)}: "
            "give the same as then, or leave --resume out to start anew."
        )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as readable JSON, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=_plain) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file, ``None`` if there is none that can be read."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


@dataclass
class Said:
    """A note that frames share but for its numbers: how many say it, and the least and the greatest of each number."""

    frames: int
    least: list[str]
    most: list[str]

    def add(self, numbers: list[str]) -> None:
        """Count one more frame."""
        self.frames += 1
        self.least = [min(pair, key=float) for pair in zip(self.least, numbers, strict=True)]
        self.most = [max(pair, key=float) for pair in zip(self.most, numbers, strict=True)]

    def told(self, note: str) -> str:
        """Return `note`, in which `_NUMBER` was cut out, with its numbers or their ranges."""
        ranges = (low if low == high else f"{low} to {high}" for low, high in zip(self.least, self.most, strict=True))
        return "".join(part for pair in zip_longest(note.split("\0"), ranges, fillvalue="") for part in pair)


@dataclass
class Tally:
    """Counts over all frames that run.json reports: frames per flag, and how often the model said what."""

    frames: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    notes: dict[str, Said] = field(default_factory=dict)

    def add(self, frames: DataFrame) -> None:
        """Count the rows of a part's table 'frames'."""
        self.frames += len(frames)
        flags = frames["flags"].to_numpy(np.int64)
        self.flags.update({flag.name: int(np.sum(flags & flag != 0)) for flag in SENTENCES if flag.name})
        for note in filter(None, frames["notes"]):
            alike, numbers = _NUMBER.sub("\0", note), _NUMBER.findall(note)
            if alike in self.notes:
                self.notes[alike].add(numbers)
            elif len(self.notes) < MOST_NOTES:
                self.notes[alike] = Said(1, numbers, numbers)

    def warnings(self) -> list[str]:
        """Return one sentence for every flag that was raised and every note of the model.

        Notes of several frames that differ only in their numbers are one, with the range of each number.
        """
        raised = [(sentence, self.flags[flag.name or ""]) for flag, sentence in SENTENCES.items()]
        sentences = [sentence.format(n=count, all=self.frames) for sentence, count in raised if count]
        notes = sorted((said.told(note), said.frames) for note, said in self.notes.items())
        return sentences + [f"{note} ({count} of {self.frames} frames)" for note, count in notes]


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    return str(value)
