"""The widget 'Correct and train': masks corrected by hand become labels, and a recipe's weights learn on from them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, Label, LineEdit, PushButton, Widget, create_widget

from micrograph.apps.jobs import Advance
from micrograph.apps.labelling import STEPS, LabelReport, OwnLabels, train_on_labels
from micrograph.apps.napari import work
from micrograph.apps.napari.analysis import WEIGHTS
from micrograph.apps.napari.grid import pixels_of, recording_of
from micrograph.apps.napari.running import Running
from micrograph.core import BadInput, MicrographError

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: Frames that are suggested at once.
SUGGESTED = 6


class Training(Container[Widget]):
    """Choose the image and its corrected masks, add frames to a folder of labels, train from that folder."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.image: Any = create_widget(annotation="napari.layers.Image", label="image")
        self.masks: Any = create_widget(annotation="napari.layers.Labels", label="corrected masks")
        self.frames = LineEdit(label="frames", tooltip="Such as 3, 7, 10:20; the one shown where nothing is written")
        self.suggest = PushButton(
            text="Suggest frames", tooltip="Those whose labels would teach the recipe's model most"
        )
        self.folder = FileEdit(label="folder of labels", mode=FileDialogMode.EXISTING_DIRECTORY, nullable=True)
        self.add = PushButton(text="Add to the folder")
        self.recipe: Any = ComboBox(label="recipe", choices=work.trainable())
        self.weights = FileEdit(
            label="new weights", mode=FileDialogMode.OPTIONAL_FILE, filter="*.safetensors", nullable=True
        )
        self.steps = LineEdit(label="steps", value=str(STEPS), tooltip="More take longer and learn more")
        self.curve = CheckBox(text="say what one more image would bring (takes longer)", value=False)
        self.running = Running("Train")
        self.scores = Label(value="")
        super().__init__(
            widgets=[
                self.image, self.masks, self.recipe, self.suggest, self.frames, self.folder, self.add, self.weights,
                self.steps, self.curve, self.running, self.scores,
            ],
        )  # fmt: skip
        self.suggest.changed.connect(self.suggest_frames)
        self.add.changed.connect(self.add_labels)
        self.running.begin.changed.connect(self.run)

    def suggest_frames(self) -> None:
        """Find in a thread the frames that are most worth a label; they are filled in, and the first is shown."""
        layer, name = self.image.value, str(self.recipe.value)
        if layer is None or len(recording_of(layer)) < 2:
            self.running.refuse("A movie or a series is needed, of which some frames are suggested: choose one.")
            return
        recording = recording_of(layer)
        self.running.start(partial(work.worth_a_label, name, recording, SUGGESTED), self.show_suggested)

    def show_suggested(self, frames: list[int]) -> None:
        """Fill in the frames, the most worthwhile first, and go to that one."""
        self.frames.value = ", ".join(map(str, frames))
        self._viewer.dims.set_current_step(0, frames[0])
        self.running.say(f"Frame {frames[0]} is worth a label most; correct the masks of these {len(frames)}.")

    def add_labels(self) -> bool:
        """Write the chosen frames with their masks into the folder; return whether that could be done."""
        try:
            written = self._write()
        except MicrographError as error:
            self.running.refuse(str(error))
            return False
        held = len(list(written[0].parent.glob("*_mask.tif")))
        self.running.say(f"Added {len(written)}: {written[0].parent} holds {held} labelled images.")
        return True

    def run(self) -> None:
        """Train in a thread from what the folder holds; the scores are shown when it is done."""
        try:
            folder, out = _path(self.folder, "a folder of labels"), _path(self.weights, "a file for the new weights")
            steps = _steps(self.steps.value)
        except MicrographError as error:
            self.running.refuse(str(error))
            return
        out = out if out.suffix else out.with_suffix(".safetensors")
        own, name = OwnLabels(folder, curve=bool(self.curve.value)), str(self.recipe.value)

        def job(progress: Advance) -> LabelReport:
            return train_on_labels(name, own, out, steps=steps, progress=progress)

        self.scores.value = ""
        self.running.start(job, partial(self.show_scores, out))

    def show_scores(self, out: Path, report: LabelReport) -> None:
        """Show the scores before and after, and offer the new weights to the analysis."""
        if out not in WEIGHTS:
            WEIGHTS.append(out)
        self.scores.value = scores_page(report)
        self.running.say(f"The weights are in {out}: choose them in the widget 'micrograph'.")

    def _write(self) -> list[Path]:
        layer, masks = self.image.value, self.masks.value
        if layer is None or masks is None:
            raise BadInput("An image and its masks are needed: run a recipe that outlines objects, and correct them.")
        folder, recording = _path(self.folder, "a folder of labels"), recording_of(layer)
        shown = int(self._viewer.dims.current_step[0]) if len(recording) > 1 else 0
        frames = work.chosen_frames(self.frames.value, len(recording), shown)
        return work.write_labels(recording, pixels_of(masks), frames, folder)


def training_widget(napari_viewer: Viewer) -> Training:
    """Return the widget for a viewer."""
    return Training(napari_viewer)


def scores_page(report: LabelReport) -> str:
    """Return the scores of a training as a small page."""
    rows = "".join(
        f"<tr><td>{name}</td><td>{before}</td><td>{after}</td></tr>" for name, before, after in work.score_rows(report)
    )
    head = "<tr><th align=left>on held-out labels</th><th align=left>before</th><th align=left>after</th></tr>"
    page = f"<table cellpadding=3>{head}{rows}</table>"
    if report.curve is not None:
        gain = 100 * report.curve.gain.value
        page += f"<p>One more labelled image would lower the error by about {gain:.1f} points of IoU.</p>"
    return page


def _path(field: FileEdit, what: str) -> Path:
    text = str(field.line_edit.value).strip()
    if not text:
        raise BadInput(f"Choose {what} first.")
    return Path(text).expanduser()


def _steps(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise BadInput(f"'steps' is '{text}': write a whole number from 1.")
    return int(text)
