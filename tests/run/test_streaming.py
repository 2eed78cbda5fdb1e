from __future__ import annotations

import dataclasses
import logging
import re
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Flag, MicrographError, MissingCalibration
from micrograph.run import Analyser, Step, stream


def test_a_stream_gives_one_step_a_frame_and_a_summary_of_all_so_far(toy: ModuleType) -> None:
    steps = [
        (step.index, len(step.tables["objects"]), step.summary)
        for step in stream(toy.recipe(), toy.movie(4), toy.predict)
    ]
    assert [index for index, _, _ in steps] == [0, 1, 2, 3]
    total = np.cumsum([count for _, count, _ in steps])
    assert [int(summary["count"].iloc[0]) for _, _, summary in steps] == total.tolist()


def test_every_row_knows_its_frame_its_time_and_its_flags(toy: ModuleType) -> None:
    *_, last = stream(toy.recipe(), toy.movie(4), toy.Doubts())
    assert set(last.tables["objects"]["frame"]) == {3}
    assert set(last.tables["objects"]["flags"]) == {int(Flag.OUT_OF_DOMAIN)}
    row = last.tables["frames"].iloc[0]
    assert (row["frame"], row["t_s"], row["domain_distance"], row["notes"]) == (3, 1.5, 1.7, "low dose")


def test_frames_in_batches_give_the_same_tables_as_one_by_one(toy: ModuleType) -> None:
    one = stream(toy.recipe(), toy.movie(7, bad=(2,)), toy.predict)
    three = stream(toy.recipe(), toy.movie(7, bad=(2,)), toy.predict, batch=3)
    for left, right in zip(one, three, strict=True):
        for name in left.tables:
            pd.testing.assert_frame_equal(left.tables[name], right.tables[name])


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, np.inf])
def test_a_frame_with_nothing_in_it_gives_empty_tables_and_a_flag(toy: ModuleType, value: float) -> None:
    blank = dataclasses.replace(toy.movie(1), read=lambda index: np.full((16, 16), value, np.float32))
    (step,) = stream(toy.recipe(), blank, toy.predict)
    promised = {name for column in toy.ANSWERS["objects"] for name in (column.name, column.sigma) if name}
    assert len(step.tables["objects"]) == 0
    assert promised <= set(step.tables["objects"])
    assert step.tables["frames"]["flags"].tolist() == [int(Flag.BAD_FRAME)]
    assert step.prediction is None and step.flags == Flag.BAD_FRAME


def test_a_frame_without_pixels_is_flagged_too(toy: ModuleType) -> None:
    blank = dataclasses.replace(toy.movie(1), read=lambda index: np.empty((0, 0), np.float32))
    (step,) = stream(toy.recipe(), blank, toy.predict)
    assert step.flags == Flag.BAD_FRAME


def test_a_missing_calibration_is_refused_with_the_option_to_give(toy: ModuleType) -> None:
    movie = toy.movie(1)
    unknown = dataclasses.replace(movie, calibration=dataclasses.replace(movie.calibration, pixel_nm=None))
    with pytest.raises(MissingCalibration, match=re.escape('--pixel-size "0.0176 nm"')):
        next(stream(toy.recipe(), unknown, toy.predict))


def test_a_failing_watcher_is_logged_and_the_others_go_on(toy: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def fails(step: Step) -> None:
        raise RuntimeError("no screen")

    with caplog.at_level(logging.ERROR):
        steps = list(
            stream(toy.recipe(), toy.movie(3), toy.predict, watchers=[fails, lambda step: seen.append(step.index)])
        )
    assert len(steps) == 3 and seen == [0, 1, 2]
    assert "A watcher failed at frame 0" in caplog.text


def test_a_broken_promise_is_found_at_the_first_frame(toy: ModuleType) -> None:
    recipe = toy.recipe()
    promise = dataclasses.replace(toy.ANSWERS["objects"][0], name="strain_yy", unit="%")
    task = dataclasses.replace(recipe.task, answers={"objects": (promise,)})
    with pytest.raises(MicrographError, match="strain_yy"):
        next(stream(dataclasses.replace(recipe, task=task), toy.movie(1), toy.predict))


def test_an_image_alone_gives_the_tables_of_its_frame(toy: ModuleType) -> None:
    image = toy.movie(1).frame(0).data
    tables = Analyser(toy.recipe(), toy.predict)(image, 0.05)
    (step,) = stream(toy.recipe(), toy.movie(1), toy.predict)
    pd.testing.assert_frame_equal(tables["objects"], step.tables["objects"])
