"""The job behind `micrograph validate NAME --shifts`: where a network can be believed, and how well it knows that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.apps.jobs import Advance, silent
from micrograph.core import BadInput
from micrograph.core.provenance import whole

if TYPE_CHECKING:
    from micrograph.core import Sampler
    from micrograph.infer import Predictor
    from micrograph.run import Recipe

#: Seeds of the images that teach what to expect; those that judge it follow from the user's.
_TEACHING = 90_210


@dataclass(frozen=True)
class DomainMap:
    """One row a shift, as `validate.shifts.table_of` gives them, and the sentence that sums them up."""

    recipe: str
    rows: tuple[dict[str, Any], ...]
    expected: dict[str, Any]


def sampler_of(recipe: Recipe) -> Sampler:
    """Return a recipe's sampler; raises `BadInput` where its settings have no names, or no columns are sought."""
    from micrograph.nets import NetSpec
    from micrograph.run import Learner, Preparer, Searcher, SelfTaught
    from micrograph.simulate.settings import ranges_of

    spots = isinstance(recipe.model, NetSpec) and any(head.kind == "spots" for head in recipe.model.heads)
    if isinstance(recipe.data, Learner | Searcher | Preparer | SelfTaught) or not spots:
        raise BadInput(f"Recipe '{recipe.name}' finds no columns by a network that was trained on simulated images.")
    ranges_of(recipe.data)
    return recipe.data


def map_domain(
    name: str,
    weights: Sequence[Path] = (),
    *,
    images: int = 5,
    seed: int = 0,
    record: bool = False,
    progress: Advance = silent,
) -> DomainMap:
    """Return the domain map of a recipe's network; with `record` it ships.

    What to expect is learned first where the card does not say, and with `record` written to it.
    """
    from micrograph.apps.models import predictor
    from micrograph.infer.expected import expected_of
    from micrograph.recipes import find_recipe
    from micrograph.simulate.settings import Elsewhere
    from micrograph.validate.shift_map import record_map, table_of
    from micrograph.validate.shifts import analysed, clean, shifts_of

    recipe = find_recipe(name)
    sampler = sampler_of(recipe)
    predict: Any = predictor(recipe, weights)
    if expected_of(predict.card) is None:
        progress(0, 0, "learning what to expect")
        predict = expecting(predict, clean(sampler), Elsewhere(clean(sampler)))
        if record:
            write_card(str(recipe.model.weights), predict.card)
    shifts = shifts_of(sampler)
    found = []
    for one in analysed(shifts, predict, images, seed):
        found.append(one)
        progress(len(found), len(shifts), str(one[0].shift))
    rows = table_of(found, np.random.default_rng(seed))
    if record:
        record_map(name, predict.digest, rows)
    return DomainMap(name, tuple(rows), dict(predict.card["expected_f1"]))


def expecting(predict: Predictor, home: Sampler, away: Sampler, images: int = 450) -> Predictor:
    """Return the predictor with a card that says what F1 to expect, learned on images of its own kind and of others."""
    from micrograph.infer.expected import CARD
    from micrograph.validate.expecting import learn_expected

    expected = learn_expected(predict, home, away, _TEACHING, images)
    members = [
        replace(
            member,
            checkpoint=replace(member.checkpoint, card={**member.checkpoint.card, CARD: expected.as_dict()}),
        )
        for member in predict.members
    ]
    return replace(predict, members=tuple(members))


def write_card(weights: str, card: Any) -> Path:
    """Write the card of shipped weights, beside them."""
    from micrograph.nets import find_weights

    path = find_weights(weights).with_suffix(".json")
    with whole(path) as temporary:
        temporary.write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def told(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the map as the screen shows it."""
    settings = ", ".join(
        f"{name} {value}" if isinstance(value, str) else f"{name} {value:.3g}" for name, value in row["values"].items()
    )
    return {
        "images": settings or "as trained",
        "trained on": "yes" if row["inside"] or not row["values"] else "",
        "F1": row["f1"],
        "low": row["low"],
        "high": row["high"],
        "expected": row["expected_f1"],
        "distance": row["domain_distance"],
    }


def draw(found: DomainMap, out: Path) -> Path:
    """Write the picture of a map; raises `BadInput` for a name that is no picture's."""
    from micrograph.draw import to_png
    from micrograph.draw.domain import domain_figure

    if out.suffix != ".png":
        raise BadInput(f"The picture is called '{out.name}': give a name that ends in .png.")
    with whole(out) as temporary:
        temporary.write_bytes(to_png(domain_figure(found.rows, f"{found.recipe}: where it can be believed")))
    return out
