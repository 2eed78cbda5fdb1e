"""The verb for those who choose networks: `micrograph search`."""

from __future__ import annotations

from typing import Annotated

import typer

from micrograph.apps.options import Out, Quiet, RecipeName


def search(
    recipe: RecipeName,
    out: Out,
    candidates: Annotated[int, typer.Option("-n", help="Networks to try, the recipe's own among them.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of the first round; doubled in each next.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; after each the better half goes on.")] = 3,
    images: Annotated[int, typer.Option(min=2, help="Simulated images that judge; twice as many judge the best.")] = 24,
    parameters: Annotated[int, typer.Option(min=1, help="Most parameters of a network.")] = 2_500_000,
    slower: Annotated[float, typer.Option(help="Most time of a network, over that of the recipe's own.")] = 1.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Try other networks in place of a recipe's own, on few training steps: is one better in no more time?"""
    from micrograph.apps import screen, searching
    from micrograph.validate.searching import SearchSettings

    asked = SearchSettings(candidates, steps, images, rounds, parameters, slower, seed)
    with screen.progress("searching", quiet) as advance:
        found = searching.search_for(recipe, out, asked, advance)
    screen.rows([searching.told(row) for row in searching.table_of(found)], f"{recipe}: networks tried")
    screen.say(searching.verdict(found, recipe, out))
