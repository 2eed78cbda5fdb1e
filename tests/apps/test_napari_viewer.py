"""The plugin in a real viewer, which needs a display.

Without one: ``QT_QPA_PLATFORM=xcb xvfb-run -a -s '-screen 0 1280x1024x24 +extension GLX' pytest -n0 tests/apps``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from micrograph.apps.labelling import LabelReport
from micrograph.core import Recording

pytest.importorskip("napari")
pytestmark = [
    pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="no display"),
    pytest.mark.skipif(os.environ.get("QT_QPA_PLATFORM") == "offscreen", reason="napari draws nothing offscreen"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import napari
    from napari.utils import notifications

    monkeypatch.setattr(notifications, "show_error", lambda sentence: None)
    shown = napari.Viewer(show=True)
    yield shown
    shown.close()


def until(done: Callable[[], bool], seconds: float = 600) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        QApplication.processEvents()
        time.sleep(0.01)


def add(viewer: Any, recording: Recording) -> Any:
    from napari.layers import Layer

    from micrograph.apps.napari.grid import image_layer

    return viewer.add_layer(Layer.create(*image_layer(recording)))


def test_a_recipe_run_in_the_viewer_leaves_layers_on_its_image(viewer: Any, tmp_path: Path) -> None:
    from micrograph.apps.napari.analysis import Analysis
    from micrograph.apps.napari.samples import particles

    image = add(viewer, particles(side_px=256))
    widget = Analysis(viewer)
    viewer.window.add_dock_widget(widget, name="micrograph")
    assert "atoms" not in widget.recipe.choices
    widget.recipe.value = "particle-shapes"
    widget.folder.line_edit.value = str(tmp_path / "results")
    widget.run()
    until(lambda: bool(widget.running.begin.enabled))
    found = {layer.name: layer for layer in viewer.layers[1:]}
    assert set(found) == {"masks (particle-shapes)", "objects (particle-shapes)"}
    for layer in found.values():
        np.testing.assert_allclose(layer.scale, image.scale)
        assert layer.units == image.units
        assert str(layer.units[0]) == "nanometer"
    masks, points = found["masks (particle-shapes)"], found["objects (particle-shapes)"]
    assert 5 < len(points.data) == len(np.unique(masks.data)) - 1
    rows, columns = np.rint(points.data).astype(int).T
    assert np.mean(masks.data[rows, columns] == np.arange(1, len(rows) + 1)) > 0.9
    assert {"area_nm2", "shape"} <= set(points.features)
    assert (tmp_path / "results" / "objects.parquet").is_file()
    assert list((tmp_path / "results").glob("*.html"))
    assert viewer.scale_bar.visible
    picture = viewer.screenshot(canvas_only=True, flash=False)
    assert picture[..., :3].std() > 10


def test_a_missing_scale_is_asked_for_and_given_to_the_image(viewer: Any) -> None:
    from micrograph.apps.napari.analysis import Analysis

    pixels = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    image = viewer.add_image(pixels, name="plain")
    widget = Analysis(viewer)
    viewer.window.add_dock_widget(widget, name="micrograph")
    widget.recipe.value = "particle-shapes"
    widget.run()
    assert "'pixel size'" in widget.running.message.value
    widget.scales["pixel_nm"].value = "20 parsec"
    widget.frames.value = "7"
    widget.running.start = lambda *_: None  # type: ignore[method-assign]
    widget.scales["pixel_nm"].value = "250 pm"
    widget.run()
    assert image.scale.tolist() == [0.25, 0.25]
    assert [str(unit) for unit in image.units] == ["nanometer", "nanometer"]


def test_a_job_shows_its_progress_and_stops_when_asked(viewer: Any) -> None:
    from micrograph.apps.napari.running import STOPPED, Running

    running, found = Running("Begin"), []
    viewer.window.add_dock_widget(running, name="job")

    def endless(progress: Callable[[int, int, str], None]) -> None:
        for done in range(10**9):
            progress(done, 10**9, "counting")
            time.sleep(0.001)

    running.start(endless, found.append)
    until(lambda: "counting" in running.message.value)
    assert not running.begin.enabled
    running.halt()
    until(lambda: bool(running.begin.enabled))
    assert (running.message.value, found) == (STOPPED, [])


def test_corrected_masks_become_labels_and_new_weights_can_be_chosen(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from micrograph.apps.napari import training
    from micrograph.apps.napari.analysis import WEIGHTS, Analysis
    from micrograph.io.masks import read_labels

    names = ("iou", "dice", "precision", "recall", "f1")
    scores = SimpleNamespace(as_dict=lambda: {name: [0.9, 0.8, 1.0] for name in names})
    asked: list[Any] = []

    def train(name: str, own: Any, out: Path, *, steps: int, progress: Callable[[int, int, str], None]) -> LabelReport:
        asked.append((name, len(read_labels(own.folder)), steps))
        progress(1, 2, "loss 1")
        return LabelReport(("a",), ("b",), 1, None, scores, None)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "train_on_labels", train)
    image = viewer.add_image(np.random.default_rng(0).random((32, 32)), name="scan", units=("nm", "nm"))
    painted = viewer.add_labels(np.zeros((32, 32), np.int32), scale=image.scale, units=image.units)
    widget, analysis = training.Training(viewer), Analysis(viewer)
    viewer.window.add_dock_widget(analysis, name="micrograph")
    viewer.window.add_dock_widget(widget, name="Correct and train")
    widget.folder.line_edit.value, widget.weights.line_edit.value = str(tmp_path / "own"), str(tmp_path / "mine")
    assert not widget.add_labels()
    painted.data[4:9, 5:12] = 3
    assert widget.add_labels()
    widget.recipe.value, widget.steps.value = "pores", "12"
    widget.run()
    until(lambda: bool(widget.running.begin.enabled))
    assert asked == [("pores", 1, 12)]
    assert "0.90 (0.80 to 1.00)" in widget.scores.value
    assert tmp_path / "mine.safetensors" in analysis.weights.choices
    WEIGHTS.clear()


def test_hand_painted_corrections_of_a_movie_stay_in_their_frame(viewer: Any) -> None:
    from micrograph.apps.napari.frames import Painted

    masks = Painted(5, (32, 32), lambda index: np.zeros((32, 32), np.int32))
    layer = viewer.add_labels(masks)
    layer.selected_label, layer.brush_size = 6, 5
    layer.paint((3, 10, 12), 6)
    layer.fill((2, 0, 0), 4)
    assert sorted(masks.changed) == [2, 3]
    assert set(np.unique(masks[3])) == {0, 6}
    assert (masks[2] == 4).all()
    layer.undo()
    assert not masks[2].any()


def test_suggested_frames_are_filled_in_and_the_first_is_shown(viewer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from micrograph.apps.napari import training, work

    monkeypatch.setattr(work, "worth_a_label", lambda name, recording, number, progress: [3, 1])
    widget = training.Training(viewer)
    viewer.window.add_dock_widget(widget, name="Correct and train")
    viewer.add_image(np.zeros((32, 32)), name="one")
    widget.suggest_frames()
    assert "movie or a series" in widget.running.message.value
    viewer.layers.clear()
    viewer.add_image(np.random.default_rng(0).random((5, 32, 32)), name="movie", units=("s", "nm", "nm"))
    widget.suggest_frames()
    until(lambda: bool(widget.frames.value))
    assert widget.frames.value == "3, 1" and viewer.dims.current_step[0] == 3
