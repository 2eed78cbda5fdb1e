"""A recipe: the five stages of one reviewed analysis, read from top to bottom in the order of its paper."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from micrograph.core import BadInput, Prediction, Sampler, Task, parse_quantity
from micrograph.run.learning import Learner, Preparer, Searcher, SelfTaught

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.infer.encoders import View
    from micrograph.nets import EncoderSpec, NetSpec, NoNet
    from micrograph.nets.prototype_spec import PrototypeSpec
    from micrograph.run.analyze import Result
    from micrograph.train import TrainSettings
    from micrograph.validate import Check
    from micrograph.validate.claims import Stated, Trust

State = TypeVar("State")
Tables = Mapping[str, "DataFrame"]

#: Ending of a setting's name -> the unit in which the recipe keeps it ("spacing_nm" takes "0.25 nm" or "250 pm").
_UNIT_OF_ENDING = {
    "nm": "nm",
    "nm2": "nm^2",
    "per_nm2": "1/nm^2",
    "s": "s",
    "kV": "kV",
    "mrad": "mrad",
    "deg": "degree",
    "e_per_A2": "e/angstrom^2",
}
_WORDS_FOR_TRUE, _WORDS_FOR_FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


#: What `Recipe.images` says where every map is an answer, whatever it is called (elements).
EVERY_MAP = ("*",)


class Fold(Protocol[State]):
    """What is learned from all frames together: a running state, small however long the movie is.

    `step` is called once per usable frame, in order, with that frame's tables; it returns the new state. `result` may
    be asked at any moment, before the first frame too, and gives tables by name, always the same ones: 'summary', and
    what else follows from all frames together ('tracks', 'rates').
    """

    def start(self) -> State:
        """Return the state before the first frame."""
        ...

    def step(self, state: State, tables: Tables) -> State:
        """Return the state after one more frame, whose tables are `tables`."""
        ...

    def result(self, state: State) -> Tables:
        """Return what all frames that went into `state` say together."""
        ...


@runtime_checkable
class FoldsMany(Protocol[State]):
    """A `Fold` that takes several frames at once, for less than `step` costs for each of them."""

    def steps(self, state: State, tables: Tables) -> State:
        """Return the state after several more frames, in order; rows of `tables` are told apart by ``frame``."""
        ...


@dataclass(frozen=True)
class Recipe:
    """One analysis: 1 task, 2 data, 3 model, 4 features (`objects` per frame, `summary` over frames), 5 checks.

    `objects` turns a `Prediction` into named tables: 'objects' always (one row a point or outline, with ``frame``),
    'defects' and others if it likes, and 'frames' (one row). It gives empty tables with the right columns when nothing
    is seen. A table whose name begins with '_' is for the fold alone. `data` simulates samples, or is a `Learner`, a
    `Searcher`, a `Preparer` or `SelfTaught`: then the model comes from the recording itself before the first frame.
    `objects`, `summary`, `view` and a learner are instances of frozen dataclasses whose fields are the settings that a
    user may change (`with_settings`), except fields with the metadata ``{"setting": False}``. `training` is how its
    shipped weights are made, `begins_from` the shipped weights that they begin from. `files` writes what else a
    finished run leaves beside its tables. `view` says what in a frame a network looks at, where that is not the whole
    frame. `images` are the names of those maps that are answers themselves, images or volumes in the recording's units
    (`EVERY_MAP`: all of them): every run keeps them. `trust` says which numbers are claimed and how they are judged on
    simulations; `intervals` are those that were so measured and hold for the model in use (`run.trusting`).
    """

    name: str
    title: str
    task: Task
    data: Sampler | Learner | Searcher | Preparer | SelfTaught
    model: NetSpec | EncoderSpec | NoNet | PrototypeSpec
    objects: Callable[[Prediction], Tables]
    summary: Fold[Any]
    checks: tuple[Check, ...] = ()
    training: TrainSettings | None = None
    begins_from: str | None = None
    files: Callable[[Result], object] | None = None
    view: View | None = None
    images: tuple[str, ...] = ()
    trust: Trust | None = None
    intervals: tuple[Stated, ...] = ()

    def images_in(self, prediction: Prediction) -> tuple[str, ...]:
        """Return the names of those maps of a prediction that are answers themselves."""
        return tuple(name for name in prediction.maps if self.images == EVERY_MAP or name in self.images)

    @functools.cached_property
    def over_time(self) -> tuple[str, ...]:
        """Names of the tables that follow from all frames together."""
        return tuple(self.summary.result(self.summary.start()))

    @property
    def learner(self) -> Learner | Searcher | Preparer | SelfTaught | None:
        """The stage 'data' where the model is learned from each recording, else ``None``."""
        return self.data if isinstance(self.data, Learner | Searcher | Preparer | SelfTaught) else None

    @property
    def stages(self) -> tuple[object, ...]:
        """What the user's settings belong to, in the order of the analysis."""
        return (self.learner, self.view, self.objects, self.summary)

    def settings(self) -> dict[str, Any]:
        """Return the names of the user's settings and their present values."""
        return {name: getattr(stage, name) for stage in self.stages for name in _kinds(stage)}

    def with_settings(self, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some settings replaced; text is converted by the field's type.

        Raises `BadInput` for an unknown name (the sentence lists the known ones) or a value that does not fit.
        """
        known = self.settings()
        for name in changes:
            if name not in known:
                names = ", ".join(known) or "none"
                raise BadInput(f"Recipe '{self.name}' has no setting '{name}': its settings are {names}.")
        if not changes:
            return self
        return dataclasses.replace(
            self,
            objects=self._changed(self.objects, changes),
            summary=self._changed(self.summary, changes),
            data=self.data if self.learner is None else self._changed(self.data, changes),
            view=self._changed(self.view, changes),
        )

    def _changed(self, stage: Any, changes: Mapping[str, Any]) -> Any:
        """Return one stage with those of the `changes` that are its own."""
        kinds = _kinds(stage)
        values = {
            name: _converted(name, value, kinds[name]) if isinstance(value, str) else value
            for name, value in changes.items()
            if name in kinds
        }
        try:
            return dataclasses.replace(stage, **values) if values else stage
        except ValueError as error:
            raise BadInput(f"Recipe '{self.name}' cannot take these settings: {error}") from error


def _kinds(stage: object) -> dict[str, Any]:
    """Return the type of every setting of a stage, in the order of its fields."""
    if not dataclasses.is_dataclass(stage):
        return {}
    hints = typing.get_type_hints(type(stage))
    fields = [field for field in dataclasses.fields(stage) if field.init and field.metadata.get("setting", True)]
    return {field.name: hints[field.name] for field in fields}


def _converted(name: str, text: str, kind: Any) -> Any:
    """Return `text` as a value of type `kind`; refuse with a sentence that names the setting."""
    text = text.strip()
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if type(None) in arguments and text.lower() in ("none", ""):
            return None
        return _converted(name, text, next(choice for choice in arguments if choice is not type(None)))
    if origin is typing.Literal:
        if text in arguments:
            return text
        raise BadInput(f"Setting {name} is '{text}': choose one of {', '.join(map(str, arguments))}.")
    if origin is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(_converted(name, part, arguments[0]) for part in parts)
    return _scalar(name, text, kind)


def _scalar(name: str, text: str, kind: Any) -> Any:
    if kind is str:
        return text
    if kind is bool:
        if text.lower() in _WORDS_FOR_TRUE + _WORDS_FOR_FALSE:
            return text.lower() in _WORDS_FOR_TRUE
        raise BadInput(f"Setting {name} is '{text}': it must be yes or no.")
    if kind is int:
        try:
            return int(text)
        except ValueError as error:
            raise BadInput(f"Setting {name} is '{text}': it must be a whole number.") from error
    if kind is float:
        return _number(name, text)
    raise BadInput(f"Setting {name} cannot be given as text: set it in Python.")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        endings = [ending for ending in _UNIT_OF_ENDING if name.endswith(f"_{ending}")]
        if endings:
            return parse_quantity(text, _UNIT_OF_ENDING[max(endings, key=len)], name=f"Setting {name}")
        raise BadInput(f"Setting {name} is '{text}': it must be a number.") from error
