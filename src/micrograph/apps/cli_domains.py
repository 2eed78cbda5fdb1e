"""The verbs for other microscopes: where a network can be believed, and one mended for a user's own settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from micrograph.apps.options import Quiet, RecipeName, asking

if TYPE_CHECKING:
    from micrograph.apps.requests import Request


def domain(
    recipe: RecipeName,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Draw the map: .png.")] = None,
    weights: Annotated[list[Path] | None, typer.Option(help="Own weights instead of the shipped ones.")] = None,
    images: Annotated[int, typer.Option("-n", min=1, help="Simulated images of each kind.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 0,
    record: Annotated[
        bool, typer.Option("--record", help="Store the map, and what to expect, with the shipped weights.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure where a recipe's network can be believed: F1 over dose, pixel size, defocus, noise and material."""
    from micrograph.apps import domains, screen

    with screen.progress("simulating and analysing", quiet) as advance:
        found = domains.map_domain(
            recipe, tuple(weights or ()), images=images, seed=seed, record=record, progress=advance
        )
    screen.rows([domains.told(row) for row in found.rows], f"{recipe}: F1 of columns found, true and expected")
    if out is not None:
        screen.say(f"picture: {domains.draw(found, out)}")


@asking
def mend(
    request: Request,
    path: Annotated[Path, typer.Argument(metavar="PATH", readable=False, help="File or folder of your frames.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write (.safetensors).")],
    structure: Annotated[Path | None, typer.Option(help="Own structure (CIF, XYZ), for recipe 'atoms'.")] = None,
    zone_axis: Annotated[str, typer.Option(help="Beam direction in the crystal.")] = "001",
    steps: Annotated[int, typer.Option(min=1, help="Training steps, at most.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Fit a recipe's network to your microscope, from frames without labels, in minutes; kept only if it is better."""
    from micrograph.apps import mending, screen

    with screen.progress("mending", quiet) as advance:
        found = mending.mend_for(request, path, out, mending.Asked(structure, zone_axis, steps, seed), advance)
    screen.rows(mending.settings_told(found), "Your frames look as if they were taken with")
    screen.rows(mending.attempts_told(found), "On images simulated at these settings, and on your frames")
    screen.say(mending.verdict(found, request.recipe, path, out))
