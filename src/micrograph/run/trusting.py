"""Intervals beside the numbers that a recipe claims, where they were measured with this very model and settings."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from micrograph.validate.claims import Stated
from micrograph.validate.measured import Intervals, read_intervals

if TYPE_CHECKING:
    from micrograph.core import Column
    from micrograph.run.recipe import Recipe, Tables

#: In place of the digest of weights where a recipe needs none, or each recording has its own.
WITHOUT = "learned from each recording"


def digest_of(recipe: Recipe, predict: object) -> str:
    """Return what tells the model of a recipe from others: the digest of its weights."""
    return WITHOUT if recipe.learner is not None else str(getattr(predict, "digest", WITHOUT))


def trusted(recipe: Recipe, predict: object) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with the intervals that were measured for it, and a sentence where they do not hold here.

    They hold for the weights and the settings with which they were measured.
    """
    if recipe.trust is None or recipe.intervals:
        return recipe, ()
    measured = read_intervals(recipe.name)
    if measured is None:
        return recipe, ()
    other = _other(measured, recipe, predict)
    if other:
        return recipe, (f"The 90 % intervals of this recipe were measured with other {other}: none are given here.",)
    return with_intervals(recipe, measured.claims), ()


def with_intervals(recipe: Recipe, intervals: tuple[Stated, ...]) -> Recipe:
    """Return the recipe whose tables hold these intervals, and whose task promises them."""
    answers: dict[str, tuple[Column, ...]] = dict(recipe.task.answers)
    for one in intervals:
        promised = answers.get(one.table, ())
        unit = next((column.unit for column in promised if column.name == one.column), "")
        answers[one.table] = (*promised, *one.columns(unit))
    task = dataclasses.replace(recipe.task, answers=answers)
    return dataclasses.replace(recipe, task=task, intervals=intervals)


def stated(recipe: Recipe, tables: Tables) -> Tables:
    """Return the tables of one frame with the ends of the recipe's intervals."""
    found = dict(tables)
    for one in recipe.intervals:
        found[one.table] = one.added(found[one.table])
    return found


def _other(measured: Intervals, recipe: Recipe, predict: object) -> str:
    """Return what differs from what intervals were measured with, '' where nothing does."""
    if measured.weights != digest_of(recipe, predict):
        return "weights"
    settings = plain_settings(recipe)
    changed = [name for name in settings if measured.settings.get(name) != settings[name]]
    return f"settings ({', '.join(changed)})" if changed else ""


def plain_settings(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe's settings as text, which JSON keeps as it is."""
    return {name: str(value) for name, value in recipe.settings().items()}
