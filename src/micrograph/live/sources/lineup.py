"""The files of a folder in line: new ones join, the first leaves when it is complete, each number once."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from micrograph.core import Calibration
from micrograph.live.sources.complaints import Rationed
from micrograph.live.sources.files import Candidate, Image
from micrograph.live.sources.numbered import Key

#: The whole folder is listed at most for this share of the time.
_LISTING_SHARE = 0.05
#: A folder that is gone is looked for again after so many seconds.
_GONE_S = 0.1
#: So many files behind the one whose turn it is are watched for changes.
_AHEAD = 32


class Names(Protocol):
    """How the frames of a folder are named and ordered."""

    unnumbered: set[str]

    def fresh(self) -> Iterator[tuple[Key, Path]]:
        """Yield names that are new, as far as a quick look shows them."""
        ...

    def listed(self) -> Iterator[tuple[Key, Path]]:
        """Yield all names that are new; `OSError` where the folder is gone."""
        ...

    def forget(self, path: Path) -> None:
        """Give a name again when it is there again."""
        ...

    def follows(self, last: Key | None, key: Key) -> bool:
        """Tell whether no frame lies between two."""
        ...

    def number(self, key: Key) -> int:
        """Return the number of a frame that comes after those that have passed."""
        ...

    def passed(self, key: Key) -> None:
        """Go on to the frames after `key`."""
        ...

    def known(self, key: Key) -> Mapping[str, float]:
        """Return what the name says of the frame."""
        ...

    def between(self, last: Key, key: Key) -> str:
        """Return in words what is missing between two frames."""
        ...


@dataclass(frozen=True)
class Waits:
    """Seconds that a file must stay as it is to be complete, and that a missing or unreadable one is waited for."""

    settle_s: float = 0.05
    patience_s: float = 3.0


@dataclass(frozen=True)
class Taken:
    """A frame whose turn it was."""

    key: Key
    number: int
    path: Path
    image: Image


@dataclass
class Lineup:
    """Files that wait for their turn. `refuses` says why a frame is left out, '' where it is welcome.

    `counts` are the files left out: unreadable, late, twice, unlike. `active_s` is when something last happened.
    """

    names: Names
    given: Calibration
    waits: Waits
    refuses: Callable[[Path, Image | None], str]
    counts: Counter[str] = field(default_factory=Counter)
    active_s: float = field(default_factory=time.monotonic)
    _line: list[Key] = field(default_factory=list)
    _candidates: dict[Key, Candidate] = field(default_factory=dict)
    _passed: dict[Key, str] = field(default_factory=dict)
    _last: Key | None = None
    _gone: bool = False
    _listing_due_s: float = 0.0

    def __len__(self) -> int:
        """Files in line."""
        return len(self._line)

    def look(self, say: Rationed) -> None:
        """Let new files join; the whole folder is listed only now and then."""
        found = list(self.names.fresh())
        began = time.monotonic()
        if began >= self._listing_due_s:
            try:
                found += self.names.listed()
                self._back(say)
                cost = time.monotonic() - began
                self._listing_due_s = began + cost / _LISTING_SHARE
            except OSError as error:
                self._lost(error, say)
                self._listing_due_s = began + _GONE_S
        for key, path in sorted(found):
            self._join(key, path, say)
        for name in sorted(self.names.unnumbered)[:1]:
            self.names.unnumbered.clear()
            say("unnumbered", f"{name} has no number in its name by which it could be put in order: it is left out.")

    def take(self, done: Callable[[int], bool], say: Rationed) -> Taken | None:
        """Return the next frame that is not `done`, ``None`` while it must be waited for."""
        while self._line:
            key = self._line[0]
            candidate = self._candidates[key]
            in_order = self.names.follows(self._last, key)
            if not in_order and time.monotonic() - candidate.seen_s < self.waits.patience_s:
                break
            number, last = self.names.number(key), self._last
            if done(number):
                self._pass(key)
                continue
            image = self._attempt(key, candidate, say)
            if image is not None:
                if not in_order and last is not None:
                    say("gap", f"{self.names.between(last, key)}: going on with {candidate.path.name}.")
                return Taken(key, number, candidate.path, image)
            if self._line and self._line[0] == key:
                break
        self._watch()
        return None

    def _attempt(self, key: Key, candidate: Candidate, say: Rationed) -> Image | None:
        """Return the image of the first file in line if it is complete; drop a file that is gone, bad or unlike."""
        try:
            image = candidate.read(self.given) if candidate.look(self.waits.settle_s) else None
        except OSError:
            self._drop(key)
            self.names.forget(candidate.path)
            return None
        if image is None:
            if candidate.trouble and candidate.quiet_s >= self.waits.patience_s:
                self._leave_out("unreadable", key, f"{candidate.trouble} It is left out.", say)
            return None
        reason = self.refuses(candidate.path, image)
        if reason:
            self._leave_out("unlike", key, reason, say)
            return None
        self._pass(key)
        return image

    def _watch(self) -> None:
        """Begin to watch the files next in line for changes."""
        for key in self._line[1:_AHEAD]:
            if self._candidates[key].is_new:
                try:
                    self._candidates[key].look(self.waits.settle_s)
                except OSError:
                    continue

    def _join(self, key: Key, path: Path, say: Rationed) -> None:
        """Put a new file in line, unless its number came before or its turn is over."""
        self.active_s = time.monotonic()
        waiting = self._candidates.get(key)
        before = waiting.path.name if waiting is not None else self._passed.get(key)
        reason = self.refuses(path, None)
        if before is not None:
            self.counts["twice"] += 1
            say("twice", f"{path.name} has the number of {before}, which came before: it is left out.")
        elif reason:
            self.counts["unlike"] += 1
            say("unlike", reason)
        elif self._last is not None and key < self._last:
            self.counts["late"] += 1
            say("late", f"{path.name} came after {self._passed[self._last]}, too late to be put in order: left out.")
        else:
            self._candidates[key] = Candidate(path)
            bisect.insort(self._line, key)

    def _leave_out(self, kind: str, key: Key, sentence: str, say: Rationed) -> None:
        self.counts[kind] += 1
        say(kind, sentence)
        self._pass(key)

    def _pass(self, key: Key) -> None:
        self.active_s = time.monotonic()
        self._passed[key] = self._candidates[key].path.name
        self._last = key
        self.names.passed(key)
        self._drop(key)

    def _drop(self, key: Key) -> None:
        del self._candidates[key]
        self._line.remove(key)

    def _lost(self, error: OSError, say: Rationed) -> None:
        if not self._gone:
            self._gone = True
            say("gone", f"The folder cannot be read ({error.strerror}): waiting until it is back.")

    def _back(self, say: Rationed) -> None:
        if self._gone:
            self._gone = False
            say("back", "The folder is back: going on after the last frame; earlier numbers do not come again.")
