"""The widget 'micrograph': a recipe run on the image that is shown, with its results as layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, LineEdit, PushButton, Widget, create_widget
from psygnal.containers import EventedList

from micrograph.apps.napari import fields, work
from micrograph.apps.napari.grid import Grid, calibrate, grid_of, recording_of
from micrograph.apps.napari.layers import result_layers
from micrograph.apps.napari.running import Running
from micrograph.apps.requests import Request, parse_calibration
from micrograph.apps.scales import SCALES, scale_texts
from micrograph.core import BadInput, MicrographError, Recording

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from micrograph.run import Recipe, Result

#: Weights that were trained since the viewer was opened, or chosen from a file.
WEIGHTS: EventedList[Path] = EventedList()
SHIPPED = ("shipped with the recipe", None)


class Analysis(Container[Widget]):
    """Choose an image and a recipe, fill in what is not known, run; results become layers on the image."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._settings: list[fields.Setting] = []
        self._asked: tuple[str, ...] = ()
        self._movie = False
        self._described: Any = None
        self.image: Any = create_widget(annotation="napari.layers.Image", label="image")
        self.recipe: Any = ComboBox(label="recipe", choices=[("", "")])
        self.every = CheckBox(text="all recipes, also those that do not fit", value=False)
        self.scales = {
            name: LineEdit(label=label, tooltip=f"With its unit: {example}", visible=False)
            for name, (label, example) in SCALES.items()
        }
        self.frames = LineEdit(label="frames", tooltip="First and end, such as 0:100; all where nothing is written")
        self.weights: Any = ComboBox(choices=_weights)
        self.other = PushButton(text="other ...")
        weights = Container(label="weights", widgets=[self.weights, self.other], layout="horizontal", labels=False)
        weights.margins = (0, 0, 0, 0)
        self.more = CheckBox(text="settings", value=False)
        self.settings: Container[Any] = Container(widgets=[], labels=True, visible=False)
        self.polygons = CheckBox(text="outlines as shapes too", value=False)
        self.folder = FileEdit(
            label="results",
            mode=FileDialogMode.EXISTING_DIRECTORY,
            nullable=True,
            tooltip="Folder for tables, figures, report",
        )
        self.running = Running("Analyse")
        super().__init__(
            widgets=[
                self.image, self.recipe, self.every, *self.scales.values(), self.frames, weights,
                self.more, self.settings, self.polygons, self.folder, self.running,
            ],
        )  # fmt: skip
        self._connect()
        self.look_again()

    def _connect(self) -> None:
        self.image.changed.connect(self.look_again)
        self.every.changed.connect(self.look_again)
        self.recipe.changed.connect(self.ask)
        self.more.changed.connect(self._fold)
        self.other.changed.connect(self._choose_weights)
        self.running.begin.changed.connect(self.run)
        WEIGHTS.events.inserted.connect(self._new_weights)
        forget = partial(WEIGHTS.events.inserted.disconnect, self._new_weights, missing_ok=True)
        self.native.destroyed.connect(lambda _: forget())

    def reset_choices(self, *_: Any) -> None:
        """Bring the lists up to date; napari calls this when layers come and go."""
        super().reset_choices()
        self.look_again()

    def look_again(self) -> None:
        """List the recipes that fit the chosen image, and show what is known of its scale."""
        from micrograph.recipes import RECIPES, find_recipe

        recording = self._recording()
        known = map(find_recipe, RECIPES)
        fitting = [
            (one.title, one.name)
            for one in known
            if recording is None or self.every.value or not fields.misfit(one, recording)
        ]
        before = self.recipe.value
        with self.recipe.changed.blocked():
            self.recipe.choices = fitting
            if before in [name for _, name in fitting]:
                self.recipe.value = before
        if recording is not None:
            for name, text in scale_texts(recording.calibration).items():
                if text or self.image.value is not self._described:
                    self.scales[name].value = text
            self._described = self.image.value
        self.ask()

    def ask(self) -> None:
        """Show the fields that the chosen recipe needs: scale, settings."""
        recipe, recording = self._recipe(), self._recording()
        asked = fields.asked_scales(recipe, recording) if recipe and recording else ()
        self._asked = asked
        for name, field in self.scales.items():
            field.visible = name in asked
        self._movie = recording is not None and len(recording) > 1
        self.frames.visible = self._movie
        fresh = fields.settings_of(recipe) if recipe else []
        if fresh != self._settings:
            self._settings = fresh
            self.settings.clear()
            self.settings.extend(map(widget_of, fresh))
            self._fold()

    def values(self) -> dict[str, str]:
        """Return the settings as they stand in the fields."""
        return {one.name: text_in(self.settings[one.name]) for one in self._settings}

    def run(self) -> None:
        """Analyse the chosen image in a thread; results are shown when it is done."""
        layer, recipe = self.image.value, self._recipe()
        try:
            if layer is None or recipe is None:
                raise BadInput("There is no image to analyse: open a recording, and choose its layer.")
            request = self._request(recipe, recording_of(layer))
            calibrate(layer, parse_calibration(request.calibration))
            grid, recording = grid_of(layer), recording_of(layer)
        except MicrographError as error:
            self.running.refuse(str(error))
            return
        job = partial(work.analyse, request, recording, self._folder())
        self.running.start(partial(_with_progress, job), partial(self.show_result, recipe, grid))

    def show_result(self, recipe: Recipe, grid: Grid, result: Result) -> None:
        """Add the results of an analysis as layers, and a scale bar."""
        from napari.layers import Layer

        shown = result_layers(recipe, result.tables, grid, polygons=bool(self.polygons.value))
        for data in shown.layers:
            self._viewer.add_layer(Layer.create(*data))
        self._viewer.scale_bar.visible = True
        folder = self._folder()
        where = f" Tables, figures and report are in {folder}." if folder else ""
        self.running.say(" ".join([work.told(recipe, result) + where, *shown.notes]))

    def _request(self, recipe: Recipe, recording: Recording) -> Request:
        """Return what is asked for; of the scale, what the image does not state itself."""
        texts = {name: self.scales[name].value.strip() for name in self._asked}
        missing = [name for name in recipe.task.needs if not texts.get(name)]
        if missing:
            words = " and ".join(f"'{SCALES[name][0]}'" for name in missing)
            example = SCALES[missing[0]][1]
            raise BadInput(f"The image does not state what this recipe needs: fill in {words}, for example {example}.")
        stated = scale_texts(recording.calibration)
        weights = () if self.weights.value is None else (Path(self.weights.value),)
        return Request(
            recipe.name,
            calibration={name: text for name, text in texts.items() if text not in ("", stated[name])},
            frames=self.frames.value.strip() or None if self._movie else None,
            weights=weights,
            settings=fields.changes(self._settings, self.values()),
        )

    def _recording(self) -> Recording | None:
        """Return what the chosen layer shows, ``None`` where there is none or it is no movie and no grey image."""
        if self.image.value is None:
            return None
        try:
            return recording_of(self.image.value)
        except BadInput:
            return None

    def _recipe(self) -> Recipe | None:
        from micrograph.recipes import find_recipe

        return find_recipe(self.recipe.value) if self.recipe.value else None

    def _folder(self) -> Path | None:
        text = str(self.folder.line_edit.value).strip()
        return Path(text).expanduser() if text else None

    def _fold(self) -> None:
        self.settings.visible = bool(self.more.value)

    def _choose_weights(self) -> None:
        from qtpy.QtWidgets import QFileDialog

        name, _ = QFileDialog.getOpenFileName(self.native, "Weights", "", "Weights (*.safetensors *.toml)")
        if name:
            WEIGHTS.append(Path(name))
            self.weights.value = Path(name)

    def _new_weights(self, index: int, path: Path) -> None:
        self.weights.reset_choices()


def analysis_widget(napari_viewer: Viewer) -> Analysis:
    """Return the widget for a viewer."""
    return Analysis(napari_viewer)


def widget_of(setting: fields.Setting) -> Widget:
    """Return the field of a setting."""
    if setting.kind == "tick":
        return CheckBox(name=setting.name, label=setting.label, value=setting.text == "yes", tooltip=setting.about)
    if setting.kind == "choice":
        chosen: Widget = ComboBox(
            name=setting.name, label=setting.label, choices=setting.choices, value=setting.text, tooltip=setting.about
        )
        return chosen
    return LineEdit(name=setting.name, label=setting.label, value=setting.text, tooltip=setting.about)


def text_in(widget: Any) -> str:
    """Return what stands in the field of a setting, as text."""
    return ("yes" if widget.value else "no") if isinstance(widget, CheckBox) else str(widget.value).strip()


def _weights(_: object) -> Sequence[tuple[str, Path | None]]:
    return [SHIPPED, *((path.name, path) for path in WEIGHTS)]


def _with_progress(job: Any, progress: Any) -> Any:
    return job(progress=progress)
