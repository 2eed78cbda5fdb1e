"""How the labels are counted that suggestion and random choice need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.features.naming.prototypes import Prior
from micrograph.validate.naming import choosing_checks as checks

KINDS, HALF = 6, 4


def features() -> Any:
    """Return features that are told as they are: unit scatter in every direction."""
    prior = Prior(np.eye(HALF))
    return cast(Any, SimpleNamespace(prior=prior, even=lambda values: values))


def pool(rng: np.random.Generator) -> checks.Pool:
    """Return a pool of six clouds, of which one holds nine tenths."""
    classes = np.r_[np.zeros(360, int), np.repeat(np.arange(1, KINDS), 8)].astype(np.intp)
    truth = np.repeat(np.arange(KINDS), 20).astype(np.intp)

    def at(kinds: NDArray[np.intp]) -> NDArray[np.float64]:
        return 12 * np.eye(KINDS, 2 * HALF)[kinds] + rng.normal(size=(len(kinds), 2 * HALF))

    return checks.Pool(at(classes), classes, at(truth), truth, KINDS)


def test_suggestion_finds_rare_kinds_long_before_random_choice() -> None:
    rng = np.random.default_rng(0)
    scene, known = pool(rng), features()
    suggested = checks.accuracy_over_labels(scene, known, checks.suggested(scene, known))
    random = checks.accuracy_over_labels(scene, known, checks.at_random(scene, rng))
    assert suggested[0] > 0.99 > random[0] + 0.2
    assert len(suggested) == checks.ROUNDS


def test_no_piece_is_labelled_twice() -> None:
    rng = np.random.default_rng(1)
    scene, known = pool(rng), features()
    for choose in (checks.suggested(scene, known), checks.at_random(scene, rng)):
        labelled: list[int] = []
        for _ in range(5):
            labelled += choose(labelled).tolist()
        assert len(set(labelled)) == len(labelled) == 5 * checks.ROUND


def test_labels_are_counted_in_rounds_and_never_reached_is_one_round_too_many() -> None:
    up, low = np.linspace(0.1, 1.0, checks.ROUNDS), np.full(checks.ROUNDS, 0.1)
    own, random = checks.labels_needed([checks._Run(up, low, up[4] + checks.AS_GOOD)])
    assert own == 5 * checks.ROUND
    assert random == (checks.ROUNDS + 1) * checks.ROUND
