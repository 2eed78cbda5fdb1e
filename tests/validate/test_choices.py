"""Laws of sets of classes: they hold the true one as often as stated, and are no larger than they must be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Flag
from micrograph.validate.choices import Choice, Sets
from micrograph.validate.claims import Drawn, Rows, Tables, still
from micrograph.validate.conformal import LEVELS


def true_row(truth: int, tables: Tables) -> np.ndarray:
    return np.arange(len(tables["probabilities"])) == truth


CHOICE = Choice("probabilities", "probability", true_row)


def draws(number: int, rng: np.random.Generator) -> list[Rows]:
    """Return frames whose probabilities are far too sure of themselves."""
    found = []
    for _ in range(number):
        p = rng.dirichlet(np.full(8, 0.4))
        truth = int(rng.choice(8, p=p))
        sure = p**3 / np.sum(p**3)
        tables = {"probabilities": pd.DataFrame({"probability": sure})}
        found.append(CHOICE.judged(Drawn(still(np.zeros((2, 2))), truth), tables))
    return found


def test_sets_hold_the_true_class_of_new_frames_as_often_as_stated() -> None:
    rng = np.random.default_rng(0)
    held, plain = [], []
    for _ in range(20):
        found = CHOICE.measured(draws(200, rng))
        for rows in draws(100, rng):
            stated = Rows(found.added(rows.table), rows.truth, 1)
            held.append(CHOICE.held(stated).inside[0])
            plain.append(CHOICE.held(stated, plain=True).inside[0])
    assert np.mean(held) == pytest.approx(0.9, abs=0.015) and np.mean(plain) < 0.87


def test_a_set_holds_the_likeliest_classes_and_all_of_a_doubted_frame() -> None:
    found = Sets("probabilities", "probability", (0.65,) * len(LEVELS))
    table = pd.DataFrame({"probability": [0.05, 0.6, 0.2, 0.15], "flags": 0})
    assert found.added(table)["in_set90"].tolist() == [False, True, True, False]
    assert found.inside(table.assign(flags=int(Flag.OUT_OF_DOMAIN))).all()
    assert Sets.from_dict(found.as_dict()) == found


def test_frames_of_no_known_class_do_not_count() -> None:
    tables = {"probabilities": pd.DataFrame({"probability": [0.5, 0.5]})}
    assert CHOICE.judged(Drawn(still(np.zeros((2, 2))), 7), tables).known == 0
