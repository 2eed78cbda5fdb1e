"""A small search among networks for one recipe: what the best of them brings beside the recipe's own."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measured import Measured

RECIPE, BOUND_PERCENT = "graphene-dopants", -0.5
#: Where the search is kept: one that was interrupted goes on.
FOLDER = Path("build/search")
CANDIDATES, STEPS, IMAGES, ROUNDS = 8, 50, 20, 3


def search(quick: bool) -> list[Measured]:
    """Search among networks; the bound is on the lower end of the winner's F1 minus that of the recipe's own."""
    from micrograph.apps.searching import search_for
    from micrograph.validate.searching import SearchSettings

    settings = SearchSettings(candidates=CANDIDATES, steps=STEPS, images=IMAGES, rounds=ROUNDS)
    if quick:
        settings = SearchSettings(candidates=3, steps=10, images=4, rounds=2)
    found = search_for(RECIPE, FOLDER / "quick" if quick else FOLDER, settings)
    gain, times = found.gain, found.winner.ms_per_Mpx / found.own.ms_per_Mpx
    detail = (
        f"{RECIPE}: lower end of the 95 % interval of F1 of {found.winner} minus F1 of {found.own}, both after "
        f"{found.trials[-1].steps} steps, on {2 * settings.images} fresh images: {100 * gain.value:+.2f} % "
        f"({100 * gain.low:+.2f} to {100 * gain.high:+.2f}), in {times:.2f} of the time; "
        f"{len({one.candidate for one in found.trials})} networks tried"
    )
    return [Measured("search_gain", 100 * gain.low, "%", BOUND_PERCENT, at_least=True, detail=detail)]
