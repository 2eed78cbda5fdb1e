"""Sentences for the user that do not flood: of each kind one at a time, and how many were held back."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from micrograph.live.source import Complain


@dataclass
class _Kind:
    """What happened with the sentences of one kind."""

    said_s: float
    held: int = 0
    newest: str = ""


@dataclass
class Rationed:
    """Hands sentences on to `complain`, of each kind at most one every `every_s` seconds."""

    complain: Complain
    every_s: float = 5.0
    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def __call__(self, kind: str, sentence: str) -> None:
        """Say a sentence now, or hold it back where one of its kind was said just before."""
        before = self._kinds.get(kind)
        if before is not None and time.monotonic() - before.said_s < self.every_s:
            before.held, before.newest = before.held + 1, sentence
        else:
            self._say(kind, sentence, before.held if before else 0)

    def settle(self) -> None:
        """Say what was held back: the newest sentence of each kind."""
        for kind, found in list(self._kinds.items()):
            if found.held:
                self._say(kind, found.newest, found.held - 1)

    def _say(self, kind: str, sentence: str, unsaid: int) -> None:
        self._kinds[kind] = _Kind(time.monotonic())
        self.complain(f"{sentence} ({unsaid} more like this before.)" if unsaid else sentence)
