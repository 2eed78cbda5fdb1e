"""The closed loop: the very same engine, rules and triggers, with a simulated tip at the other end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput, Prediction
from micrograph.live.engine import Engine
from micrograph.live.rules import read_rules
from micrograph.live.sources.address import source_of
from micrograph.live.sources.simulated import SimulatedTip
from micrograph.live.triggers import Triggers, fired_before

RULE = "when frames.p_bad >= 0.95 for 2 frames again after 1 frame at most 120 times: tell pulse"
#: What a judge says of a tip: it sees the truth, but every fifth scan tells it nothing.
UNTOLD = 5


class Objects:
    """The toy recipe's objects, with a column p_bad."""

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __call__(self, prediction: Prediction) -> dict[str, pd.DataFrame]:
        found = dict(self.inner(prediction))  # type: ignore[operator]
        bad = prediction.frame.known["true_state"] > 0
        found["frames"] = found["frames"].assign(p_bad=np.nan if prediction.frame.index % UNTOLD == 0 else float(bad))
        return found


def test_a_bad_tip_is_conditioned_until_it_is_good_and_never_when_nothing_can_be_told(
    toy: ModuleType, tmp_path: Path
) -> None:
    source = source_of("simulated:stm-tip?seed=3&scans=120")
    assert isinstance(source, SimulatedTip)
    recipe = toy.recipe()
    recipe = replace(recipe, objects=Objects(recipe.objects))
    engine = Engine(recipe, source, toy.predict, tmp_path)
    (tmp_path / "rules.txt").write_text(RULE)
    columns = {name: tuple(one.name for one in promised) for name, promised in recipe.task.answers.items()}
    rules = read_rules(tmp_path / "rules.txt", {"frames": (), **columns})
    triggers = Triggers(rules, engine, told=source.told)
    engine.watchers = (triggers,)
    engine.run()
    triggers.close()
    fired = fired_before(tmp_path)
    frames = engine.board.table("frames").set_index("frame")
    assert len(fired) == source.microscope.conditioned >= 1
    for one in fired:
        assert (frames.loc[[one["frame"] - 1, one["frame"]], "true_state"] > 0).all()
        assert one["frame"] % UNTOLD and (one["frame"] - 1) % UNTOLD
        assert one["outcome"] == "pulse before the next scan"
    assert (frames["true_state"] == 0).any()
    engine.close()


def test_a_simulated_source_that_is_not_known_is_refused() -> None:
    for text in ("simulated:afm", "simulated:stm-tip?seed=x", "simulated:stm-tip?speed=2"):
        with pytest.raises(BadInput, match="simulated:stm-tip"):
            source_of(text)
    assert SimulatedTip().told("hammer").startswith("failed")
