"""How a network is built may be told by a file; whatever is no such file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from micrograph.apps.making import built_as
from micrograph.apps.searching import search_for
from micrograph.core import BadInput
from micrograph.recipes import find_recipe
from micrograph.validate.searching import SearchSettings


def test_a_network_is_built_as_a_file_says_and_answers_as_the_recipe_does(tmp_path: Path) -> None:
    own = find_recipe("atoms").model
    (tmp_path / "net.json").write_text(json.dumps({**own.body, "base": 20, "fold": 2}))
    spec = built_as(own, tmp_path / "net.json")
    assert (spec.base, spec.fold, spec.heads, spec.patch) == (20, 2, own.heads, own.patch)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"heads": []}', "none"])
def test_a_file_that_describes_no_network_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(BadInput, match="describes no network"):
        built_as(find_recipe("atoms").model, tmp_path / "net.json")


def test_a_search_is_refused_for_one_network_and_for_a_recipe_that_finds_no_columns(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="finds no columns"):
        search_for("pores", tmp_path, SearchSettings())
    with pytest.raises(BadInput, match="needs two networks"):
        search_for("atoms", tmp_path, SearchSettings(candidates=1))
