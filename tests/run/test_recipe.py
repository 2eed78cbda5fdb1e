from __future__ import annotations

from types import ModuleType

import pytest

from micrograph.core import BadInput


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("threshold", "0.25", 0.25),
        ("element", "Si", "Si"),
        ("spacing_nm", "250 pm", 0.25),
        ("spacing_nm", "0.3", 0.3),
        ("strict", "Yes", True),
        ("most", "7", 7),
        ("most", "none", None),
        ("elements", "W, Se,", ("W", "Se")),
    ],
)
def test_a_setting_is_read_from_text_by_its_type(toy: ModuleType, name: str, text: str, value: object) -> None:
    assert toy.recipe().with_settings({name: text}).settings()[name] == value


def test_a_setting_leaves_the_recipe_and_its_other_settings_as_they_were(toy: ModuleType) -> None:
    recipe = toy.recipe()
    changed = recipe.with_settings({"threshold": 0.9})
    assert recipe.settings()["threshold"] == 0.5
    assert changed.settings() == recipe.settings() | {"threshold": 0.9}


def test_an_unknown_setting_is_refused_with_the_known_ones(toy: ModuleType) -> None:
    with pytest.raises(BadInput, match="no setting 'treshold': its settings are threshold, element"):
        toy.recipe().with_settings({"treshold": "1"})


@pytest.mark.parametrize(("name", "text"), [("threshold", "high"), ("most", "1.5"), ("strict", "maybe")])
def test_a_value_that_does_not_fit_its_setting_is_refused_by_name(toy: ModuleType, name: str, text: str) -> None:
    with pytest.raises(BadInput, match=name):
        toy.recipe().with_settings({name: text})
