"""Which model answers for a recipe: the shipped weights, given ones, or a user's own classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import BadInput, BrokenCheckpoint

if TYPE_CHECKING:
    from micrograph.infer import Predictor
    from micrograph.run import Predict, Recipe

#: What a model is called that was sought before and is a text.
CHAINS = "model.toml"


def with_own_classes(recipe: Recipe, weights: Sequence[Path]) -> Recipe:
    """Return the recipe, or what answers in its place where the weights hold a user's own classes."""
    from micrograph.nets import find_weights, read_card
    from micrograph.nets.prototype_spec import PrototypeSpec

    cards = [read_card(find_weights(path)) for path in weights if path.suffix == ".safetensors"]
    own = [card for card in cards if card.get("net", {}).get("kind") == "prototypes"]
    if not own:
        return _with_painted(recipe, cards)
    if len(weights) > 1:
        raise BadInput(f"Weights of your own classes answer alone: give one of the {len(weights)} files.")
    spec, made_for = PrototypeSpec.from_dict(own[0]["net"]), own[0].get("recipe")
    if recipe.name != made_for and (spec.view or recipe.name != "few-shot"):
        raise BadInput(
            f"The weights '{weights[0].name}' were made for recipe '{made_for}': analyse with that one, or train "
            f"'{recipe.name}' on your folder of classes."
        )
    from micrograph.recipes.few_shot import with_classes

    return with_classes(recipe, spec)


def _with_painted(recipe: Recipe, cards: Sequence[Mapping[str, Any]]) -> Recipe:
    """Return the recipe with the classes and the least object of weights that learned them from painted masks."""
    from micrograph.nets import NetSpec

    own = [card for card in cards if "classes" in card.get("labels", {}) and card.get("recipe") == recipe.name]
    if not own or not isinstance(recipe.model, NetSpec):
        return recipe
    model = replace(recipe.model, heads=NetSpec.from_dict(own[0]["net"]).heads, weights=None)
    least = min(card["labels"]["least_object_px"] for card in own)
    return replace(recipe, model=model).with_settings({"least_object_px": least})


def predictor(
    recipe: Recipe, weights: Sequence[Path], device: str = "auto", backend: str = "auto"
) -> Predictor | Predict:
    """Return the predictor of the given weights, or of the recipe's shipped ones; refuse weights of another kind.

    backend: 'openvino', 'torch' (loads in a fraction of the time, for few frames), or 'auto'.
    """
    from micrograph.infer import load_encoder, load_predictor
    from micrograph.infer.predictor import unaided
    from micrograph.nets import EncoderSpec, NoNet, find_weights, load
    from micrograph.nets.prototype_spec import PrototypeSpec
    from micrograph.run import Searcher, SelfTaught

    if isinstance(recipe.learner, Searcher):
        return recipe.learner.model(_text_of(recipe, weights))
    if isinstance(recipe.learner, SelfTaught):
        raise BadInput(f"Recipe '{recipe.name}' trains on each recording: give --set start=FILE in place of --weights.")
    if isinstance(recipe.model, NoNet):
        return unaided
    if isinstance(recipe.model, PrototypeSpec):
        from micrograph.infer.few_shot import load_prototypes

        own = "views" in recipe.model.looks
        return load_prototypes(
            str(weights[0]), view=None if own else recipe.view, own=recipe.view if own else None, device=device
        )
    if not weights and recipe.model.weights is None:
        raise BadInput(f"Recipe '{recipe.name}' ships no weights: train them and give them with --weights.")
    names = [str(path) for path in weights] or [str(recipe.model.weights)]
    for name in names:
        found = load(find_weights(name)).spec.heads
        if found != recipe.model.heads:
            raise BrokenCheckpoint(
                f"The weights '{name}' look for {_sought(found)}, recipe '{recipe.name}' needs "
                f"{_sought(recipe.model.heads)}: give weights that were trained for it."
            )
    if isinstance(recipe.model, EncoderSpec):
        return load_encoder(names, device=device, view=recipe.view, backend_name=backend)
    return load_predictor(names, device=device, view=recipe.view, backend_name=backend)


def _text_of(recipe: Recipe, paths: Sequence[Path]) -> str:
    """Return the text of a model that was sought before; raises `BadInput` where it is not one readable file."""
    if len(paths) != 1:
        raise BadInput(f"Recipe '{recipe.name}' takes one {CHAINS} of an earlier run with --weights, not {len(paths)}.")
    try:
        return paths[0].read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{paths[0]} cannot be read as text: give the {CHAINS} of an earlier run.") from error


def _sought(heads: Sequence[object]) -> str:
    """Return in words what the heads of a network look for."""
    return ", ".join(f"'{getattr(h, 'name', h)}' ({'/'.join(getattr(h, 'labels', ())) or 'region'})" for h in heads)
