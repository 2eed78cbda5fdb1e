import pickle
import sys

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.track import Gather


def frame(number, count, **more):
    rows = pd.DataFrame(
        {"frame": number, "y_nm": np.arange(count) + 0.5, "x_nm": float(number), "name": "V1", "junk": 1.0, **more}
    )
    return {"frames": pd.DataFrame({"frame": [number], "t_s": [0.1 * number], "flags": [0]}), "defects": rows}


def gathered(counts, fold=None):
    fold = fold or Gather()
    state = fold.start()
    for number, count in enumerate(counts):
        state = fold.step(state, frame(number, count))
    return fold, state


def test_rows_of_all_frames_come_back_with_their_times():
    fold, state = gathered([2, 0, 3])
    found = fold.table(state, "defects")
    assert found["frame"].tolist() == [0, 0, 2, 2, 2]
    assert found["t_s"].tolist() == pytest.approx([0, 0, 0.2, 0.2, 0.2])
    assert found["y_nm"].tolist() == [0.5, 1.5, 0.5, 1.5, 2.5]
    assert set(found["name"]) == {"V1"} and "junk" not in found
    assert fold.frames(state)["frame"].tolist() == [0, 1, 2]


def test_a_state_is_a_value_that_later_steps_do_not_change():
    fold, state = gathered([1])
    one, other = fold.step(state, frame(1, 2)), fold.step(state, frame(1, 5, name="Si"))
    assert [len(fold.table(s, "defects")) for s in (state, one, other)] == [1, 3, 6]
    assert fold.table(other, "defects")["name"].tolist() == ["V1"] + ["Si"] * 5


def test_before_the_first_frame_tables_are_empty_with_their_columns():
    fold = Gather()
    assert len(fold.table(fold.start(), "defects")) == 0
    assert {"frame", "t_s", "y_nm", "name", "score", "flags"} <= set(fold.table(fold.start(), "defects"))
    assert {"frame", "t_s"} <= set(fold.frames(fold.start()))


def test_a_long_state_survives_pickling():
    fold, tables = Gather(columns=("y_nm",)), frame(0, 1)
    state = fold.start()
    for _ in range(sys.getrecursionlimit()):
        state = fold.step(state, tables)
    assert fold.table(pickle.loads(pickle.dumps(state)), "defects").equals(fold.table(state, "defects"))


def test_a_step_holds_a_few_tens_of_bytes_a_point():
    _, state = gathered([50])
    assert state.rows["defects"].nbytes <= 50 * 40


def test_lists_are_refused_with_a_sentence():
    fold = Gather(columns=("y_nm", "crop"))
    tables = frame(0, 2)
    tables["defects"]["crop"] = pd.Series([[1.0], [2.0]], dtype=object)
    with pytest.raises(BadInput, match="crop"):
        fold.step(fold.start(), tables)


def test_a_table_that_was_not_gathered_is_refused():
    with pytest.raises(BadInput, match="objects"):
        Gather().table(Gather().start(), "objects")
