"""The job behind `micrograph search`: networks tried in place of a recipe's own, and how the best one is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.apps.domains import sampler_of
from micrograph.apps.jobs import Advance, silent
from micrograph.core import BadInput
from micrograph.core.provenance import made_folder, whole

if TYPE_CHECKING:
    from micrograph.validate.searching import Searched, SearchSettings


def search_for(name: str, out: Path, settings: SearchSettings, progress: Advance = silent) -> Searched:
    """Search among networks for a recipe; table, picture and the winner's ``net.json`` go into the folder `out`.

    Raises `BadInput` for a recipe whose network finds no columns, or a search of fewer than two networks.
    """
    import pandas as pd

    from micrograph.draw import to_png
    from micrograph.draw.searched import searched_figure
    from micrograph.nets import NetSpec
    from micrograph.recipes import find_recipe
    from micrograph.validate.searching import search

    recipe = find_recipe(name)
    sampler = sampler_of(recipe)
    assert isinstance(recipe.model, NetSpec)
    if settings.candidates < 2:
        raise BadInput("A search needs two networks at least, the recipe's own among them: give a larger -n.")
    made_folder(out)
    found = search(sampler, recipe.model, out, settings, progress)
    rows = table_of(found)
    with whole(out / "search.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    with whole(out / "search.png") as temporary:
        temporary.write_bytes(to_png(searched_figure(rows, settings.slower, f"{name}: networks tried")))
    with whole(out / "net.json") as temporary:
        temporary.write_text(json.dumps(found.winner.spec.body, indent=1) + "\n", encoding="utf-8")
    return found


def table_of(found: Searched) -> list[dict[str, Any]]:
    """Return one row a trial; `kind` is 'own' for the recipe's network, 'winner' for the best, else 'tried'."""
    kinds = {found.winner: "winner", found.own: "own"}
    rows = []
    for one in found.trials:
        plain = {name: value for name, value in one.as_dict().items() if name != "counts"}
        rows.append({"network": str(one.candidate), "kind": kinds.get(one.candidate, "tried"), **plain})
    return rows


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the table as the screen shows it."""
    return {
        "network": row["network"],
        "": {"own": "the recipe's own", "winner": "best"}.get(row["kind"], ""),
        "steps": str(row["steps"]),
        "F1": row["f1"],
        "ms a Mpx": f"{row['ms_per_Mpx']:.0f}",
        "parameters": str(row["parameters"]),
    }


def verdict(found: Searched, recipe: str, out: Path) -> str:
    """Return what the search came to, in a sentence or two."""
    if found.winner == found.own:
        return f"None of the networks tried is better than the one of '{recipe}': keep it."
    gain = f"{found.gain.value:+.4f} ({found.gain.low:+.4f} to {found.gain.high:+.4f})"
    said = f"On fresh images the F1 of {found.winner} is {gain} beside the recipe's own after as many steps"
    if not found.worth_it:
        return f"{said}: no better beyond chance. Keep the recipe's own."
    return f"{said}. Train it in full: micrograph train {recipe} --net {out / 'net.json'} -o own.safetensors"
