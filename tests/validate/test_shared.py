"""Checks that ask the same of the same analyser share one pass; others never get its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from micrograph.validate.shared import Shared


def analyser() -> Callable[[Any, float], Mapping[str, pd.DataFrame]]:
    return lambda image, pixel_nm: {}


def test_the_same_question_is_asked_once_and_another_anew() -> None:
    asked: list[int] = []

    def find(seed: int) -> int:
        asked.append(seed)
        return seed

    shared, first, second = Shared[int](), analyser(), analyser()

    def ask(question: str, who: Any, seed: int) -> int:
        return shared.found(question, who, np.random.default_rng(seed), find)

    assert ask("a", first, 1) == ask("a", first, 1)
    assert len(asked) == 1
    ask("a", second, 1)
    ask("b", first, 1)
    ask("a", first, 2)
    assert len(asked) == 4


def test_what_was_asked_long_ago_is_asked_anew() -> None:
    asked: list[int] = []

    def find(seed: int) -> int:
        asked.append(seed)
        return seed

    shared, who = Shared[int](), analyser()
    for question in ("old", "a", "b", "c", "d", "e", "e", "old"):
        shared.found(question, who, np.random.default_rng(0), find)
    assert len(asked) == 7
