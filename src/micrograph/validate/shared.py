"""Answers that several checks share: what was asked of an analyser last is not asked again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

from micrograph.validate.checks import Analyser

Found = TypeVar("Found")
#: So many answers are kept, the last ones.
_MOST = 5


def one_by_one(number: int, look: Callable[[np.random.Generator], Found]) -> Callable[[int], list[Found]]:
    """Return what, for a seed, looks at `number` draws, each from a stream of its own."""
    return lambda seed: [look(np.random.default_rng([seed, draw])) for draw in range(number)]


class Shared(Generic[Found]):
    """What analysers found, by question; checks that draw the same (`Check.data`) share one pass."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Hashable, int], tuple[Analyser, Found]] = {}

    def found(
        self, question: Hashable, analyser: Analyser, rng: np.random.Generator, find: Callable[[int], Found]
    ) -> Found:
        """Return ``find(seed)`` for a seed that is drawn from `rng`, or what was found with the same one before."""
        seed = int(rng.integers(2**62))
        key = (id(analyser), question, seed)
        if key not in self._kept:
            while len(self._kept) >= _MOST:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = (analyser, find(seed))  # the analyser is held so that no other one gets its id
        return self._kept[key][1]
