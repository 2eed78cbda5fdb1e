"""What all frames say together is the same wherever it is folded, and outlives the loss of the other process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from micrograph.live.folding import Folding
from micrograph.track.gather import Gather, Gathered

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class Known:
    """A fold that another process can import: all points, joined."""

    gather: Gather = field(default_factory=lambda: Gather(("objects",)))

    def start(self) -> Gathered:
        return self.gather.start()

    def step(self, state: Gathered, tables: Tables) -> Gathered:
        return self.gather.step(state, tables)

    def result(self, state: Gathered) -> Tables:
        return {"summary": self.gather.table(state, "objects")}


def frames(number: int) -> list[Tables]:
    rng = np.random.default_rng(3)
    return [
        {
            "objects": pd.DataFrame({"frame": index, "y_nm": rng.random(5), "x_nm": rng.random(5), "class": "C"}),
            "frames": pd.DataFrame({"frame": [index], "flags": [0], "t_s": [0.1 * index]}),
        }
        for index in range(number)
    ]


def folded(every: list[Tables], shown: list[Tables], summary: object = None, long_s: float = -1.0) -> Folding:
    """Return a fold to which all frames have gone: at once in the other process unless `long_s` says otherwise."""
    found = Folding(summary or Known(), shown.append, lambda: iter(every), long_s)  # type: ignore[arg-type]
    for tables in every:
        found.step(tables)
        found.refresh()
    return found


def in_another_process(folding: Folding) -> bool:
    return folding._beside is not None


def test_another_process_gives_the_tables_of_this_one() -> None:
    every, shown = frames(12), list[Tables]()
    here, there = folded(every, [], long_s=1e9), folded(every, shown)
    assert in_another_process(there)
    assert not in_another_process(here)
    pd.testing.assert_frame_equal(here.result()["summary"], there.result()["summary"])
    assert all(set(tables) == {"summary"} for tables in shown)


def test_the_fold_begins_anew_from_the_disk_when_the_other_process_is_lost() -> None:
    every = frames(8)
    lost = folded(every[:4], [])
    lost._read = lambda: iter(every)
    assert lost._beside is not None
    lost._beside._process.kill()
    for tables in every[4:]:
        lost.step(tables)
    pd.testing.assert_frame_equal(lost.result()["summary"], folded(every, [], long_s=1e9).result()["summary"])


def test_a_summary_that_only_this_process_knows_stays_in_it() -> None:
    @dataclass(frozen=True)
    class Own(Known):
        """Nobody else can import this."""

    every = frames(3)
    stayed = folded(every, [], Own())
    assert not in_another_process(stayed)
    assert len(stayed.result()["summary"]) == 15


def test_what_is_on_disk_goes_in_first() -> None:
    every = frames(6)
    resumed = Folding(Known(), lambda tables: None, lambda: iter(every[:4]), long_s=-1.0)
    resumed.earlier()
    for tables in every[4:]:
        resumed.step(tables)
    pd.testing.assert_frame_equal(resumed.result()["summary"], folded(every, [], long_s=1e9).result()["summary"])
    resumed.close()


def test_frames_that_were_missed_are_in_the_final_result() -> None:
    every = frames(6)
    slow = Folding(Known(), lambda tables: None, lambda: iter(every), long_s=-1.0)
    for tables in every[::2]:
        slow.step(tables)
        slow.miss()
    pd.testing.assert_frame_equal(slow.result()["summary"], folded(every, [], long_s=1e9).result()["summary"])
