"""A recipe's settings and the scale that it needs as fields to fill in: texts with units, choices, ticks."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micrograph.core import Recording
    from micrograph.run import Recipe

#: Endings of the names of settings whose texts carry a unit.
_WITH_UNIT = {"nm": "nm", "s": "s", "kV": "kV", "mrad": "mrad", "deg": "degree"}
#: Other endings, which are only told.
_TOLD = {"px": "px", "nm_per_s": "nm/s", "nm2": "nm²", "per_nm2": "1/nm²"}
#: A network that looks at columns of atoms needs pixels no coarser than so many of its own.
_COARSEST = 2.5


@dataclass(frozen=True)
class Setting:
    """One setting as a field: its `name`, what is written in it at first, and what it means.

    kind: 'text', 'choice' (one of `choices`) or 'tick' (`text` is 'yes' or 'no'); unit: told beside the name, where
    the text itself carries none.
    """

    name: str
    text: str
    kind: str
    choices: tuple[str, ...]
    unit: str
    about: str

    @property
    def label(self) -> str:
        """The name in words, with the unit in brackets where the text carries none."""
        ending = max((one for one in (*_WITH_UNIT, *_TOLD) if self.name.endswith(f"_{one}")), key=len, default="")
        words = self.name.removesuffix(f"_{ending}").replace("_", " ")
        return f"{words} ({self.unit})" if self.unit else words


def settings_of(recipe: Recipe) -> list[Setting]:
    """Return the settings of a recipe, in its own order, as `Recipe.with_settings` takes them back."""
    stages: list[Any] = [stage for stage in recipe.stages if is_dataclass(stage)]
    kinds: dict[str, Any] = {}
    about: dict[str, str] = {}
    for stage in stages:
        hints = typing.get_type_hints(type(stage))
        for field in fields(stage):
            kinds.setdefault(field.name, hints[field.name])
            about.setdefault(field.name, meaning(type(stage).__doc__ or "", field.name))
    return [_setting(name, value, kinds[name], about[name]) for name, value in recipe.settings().items()]


def changes(before: Sequence[Setting], now: Mapping[str, str]) -> dict[str, str]:
    """Return those texts that are no longer what they were."""
    return {one.name: now[one.name] for one in before if now.get(one.name, one.text) != one.text}


def meaning(text: str, name: str) -> str:
    """Return what the docstring of a stage says of one of its fields: 'rise: how far two tops must rise ...;'."""
    found = re.search(rf"\b{re.escape(name)}: (.+?)(?:;|\.\s|\.$|\Z)", text, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _setting(name: str, value: Any, kind: Any, about: str) -> Setting:
    choices = _choices(kind)
    if isinstance(value, bool):
        return Setting(name, "yes" if value else "no", "tick", (), "", about)
    ending = max((one for one in (*_WITH_UNIT, *_TOLD) if name.endswith(f"_{one}")), key=len, default="")
    unit = _WITH_UNIT.get(ending, "")
    text = _text(value)
    if unit and isinstance(value, float):
        text = f"{text} {unit}"
    told = "" if unit and isinstance(value, float) else _TOLD.get(ending, unit)
    return Setting(name, text, "choice" if choices else "text", choices, told, about)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _choices(kind: Any) -> tuple[str, ...]:
    """Return the texts between which a setting of type `kind` lets choose, none for a free one."""
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    words = [str(each) for one in options if typing.get_origin(one) is typing.Literal for each in typing.get_args(one)]
    return (*([""] if words and type(None) in options else []), *words)


def asked_scales(recipe: Recipe, recording: Recording) -> tuple[str, ...]:
    """Return which scales to show: the pixel, a movie's time, and what the recipe needs besides."""
    usual = ("pixel_nm", "frame_time_s") if len(recording) > 1 else ("pixel_nm",)
    return tuple(dict.fromkeys((*usual, *recipe.task.needs)))


def misfit(recipe: Recipe, recording: Recording) -> str:
    """Return why a recipe does not suit a recording, '' where it may."""
    if len(recording) == 1 and "drift" in recipe.over_time:
        return "it follows objects through a movie, and this is one image"
    pixel, own = recording.calibration.pixel_nm, recipe.model.pixel_nm
    if pixel is not None and own is not None and pixel > _COARSEST * own:
        return f"it looks at columns of atoms, and pixels of {pixel:.3g} nm are too coarse for them"
    return ""
