"""A recipe: the five stages of one reviewed analysis, read from top to bottom in the order of its paper."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from micrograph.core import BadInput, Prediction, Sampler, Task, parse_quantity

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.nets import NetSpec
    from micrograph.validate import Check

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


class Fold(Protocol[State]):
    """What is learned from all frames together: a running state, small however long the movie is.

    `step` is called once per usable frame, in order, with that frame's tables; it returns the new state. `result` may
    be asked at any moment and gives the table 'summary'.
    """

    def start(self) -> State:
        """Return the state before the first frame."""
        ...

    def step(self, state: State, tables: Tables) -> State:
        """Return the state after one more frame, whose tables are `tables`."""
        ...

    def result(self, state: State) -> DataFrame:
        """Return the summary of all frames that went into `state`."""
        ...


@dataclass(frozen=True)
class Recipe:
    """One analysis: 1 task, 2 data, 3 model, 4 features (`objects` per frame, `summary` over frames), 5 checks.

    `objects` turns a `Prediction` into named tables: 'objects' always (one row a point or outline, with ``frame``),
    'defects' and others if it likes, and 'frames' (one row). It is an instance of a frozen dataclass whose fields are
    the settings a user may change (`with_settings`). It gives empty tables with the right columns when nothing is seen.
    """

    name: str
    title: str
    task: Task
    data: Sampler
    model: NetSpec
    objects: Callable[[Prediction], Tables]
    summary: Fold[Any]
    checks: tuple[Check, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Return the user's settings and their present values."""
        return {name: getattr(self.objects, name) for name in _kinds(self.objects)}

    def with_settings(self, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some settings replaced; text is converted by the field's type.

        Raises `BadInput` for an unknown name (the sentence lists the known ones) or a value that does not fit.
        """
        if not changes:
            return self
        kinds = _kinds(self.objects)
        for name in changes:
            if name not in kinds:
                known = ", ".join(kinds) or "none"
                raise BadInput(f"Recipe '{self.name}' has no setting '{name}': its settings are {known}.")
        values = {
            name: _converted(name, value, kinds[name]) if isinstance(value, str) else value
            for name, value in changes.items()
        }
        try:
            objects = dataclasses.replace(typing.cast(Any, self.objects), **values)
        except ValueError as error:
            raise BadInput(f"Recipe '{self.name}' cannot take these settings: {error}") from error
        return dataclasses.replace(self, objects=objects)


def _kinds(objects: object) -> dict[str, Any]:
    """Return the type of every setting of `objects`, in the order of its fields."""
    if not dataclasses.is_dataclass(objects):
        return {}
    hints = typing.get_type_hints(type(objects))
    return {field.name: hints[field.name] for field in dataclasses.fields(objects) if field.init}


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
