"""Checks of intervals: how often they hold the truth on simulations that nothing was measured on before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.claims import Claimed, Held, Rows, Trust, passed
from micrograph.validate.conformal import LEVEL
from micrograph.validate.intervals import Interval, bootstrap, clopper_pearson
from micrograph.validate.shared import Shared

Array = NDArray[np.float64]

#: What the names of the checks begin with.
INTERVALS_OF = "intervals of "
#: How far the coverage may be from what is stated, on either side.
WITHIN = 0.02
#: The least coverage is told of so many parts of the rows, by the width of the interval.
_PARTS = 3


@dataclass(frozen=True)
class _Passes:
    """Rows of all claims, ``[claim][draw]``, in draws of the recipe's own kind and in each shifted one."""

    own: list[list[Rows]]
    shifted: dict[str, list[list[Rows]]]


def intervals_cover(trust: Trust, *, within: float = WITHIN) -> tuple[Check, ...]:
    """Build a check for each claim: how far the share of rows whose interval holds the truth is from 90 %.

    Shares are means over frames, which are independent; too high a share counts as much as one that is too low. All
    checks share one pass over fresh draws. Baseline: the same for 1.645 of the recipe's own 1-sigma to either side. The
    detail tells the share itself, that in the third of the rows where it is least, by width, and that under each shift.
    """
    shared: Shared[_Passes] = Shared()

    def look(analyser: Analyser, seed: int) -> _Passes:
        rng = np.random.default_rng(seed)
        _require_stated(trust, analyser, rng)
        own = passed(trust.draw, trust.claims, analyser, rng, trust.fresh)
        farther = {name: passed(draw, trust.claims, analyser, rng, trust.farther) for name, draw in trust.shifted}
        return _Passes(own, farther)

    def check_of(place: int, claim: Claimed) -> Check:
        def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
            found = shared.found("claims", analyser, rng, lambda seed: look(analyser, seed))
            shifted = {name: draws[place] for name, draws in found.shifted.items()}
            return _measured(claim, found.own[place], shifted, rng)

        return Check(
            f"{INTERVALS_OF}{claim}: coverage, distance from 90 %", measure, within, "<=", data="intervals of claims"
        )

    return tuple(check_of(place, claim) for place, claim in enumerate(trust.claims))


def _require_stated(trust: Trust, analyser: Analyser, rng: np.random.Generator) -> None:
    """Raise `BadInput` where the tables of a draw hold none of the intervals."""
    tables = analyser.frames(trust.draw(rng).recording)
    if not any(set(claim.names) <= set(tables[claim.table]) for claim in trust.claims):
        names = ", ".join(map(str, trust.claims))
        raise BadInput(f"No intervals of {names} are stated: measure them with micrograph validate --intervals.")


def _measured(claim: Claimed, own: list[Rows], shifted: dict[str, list[Rows]], rng: np.random.Generator) -> Measurement:
    """Return the distance of the coverage from the level; the detail tells the rest."""
    held = _held(claim, own)
    if not held:
        raise BadInput(f"No row of {claim} was given an interval: draw more, or others.")
    share, width = _share(held, rng), np.concatenate([one.width for one in held])
    least = _least_part(np.concatenate([one.inside for one in held]), width)
    told = [
        f"{share.value:.3f} ({share.low:.3f} .. {share.high:.3f}) of {len(width)} in {len(held)} frames",
        f"mean width {width.mean():.3g} {claim.unit}".strip(),
        f"least third by width {least:.3f}",
        f"given to {_given(held, own)}",
    ]
    for name, draws in shifted.items():
        farther = _held(claim, draws)
        covered = f"{_share(farther, rng).value:.3f}" if farther else "none"
        told.append(f"{name}: {covered}, given to {_given(farther, draws)}")
    baseline = _held(claim, own, plain=True)
    off = max(abs(end - LEVEL) for end in (share.low, share.high))
    return Measurement(
        abs(share.value - LEVEL),
        0.0 if share.low <= LEVEL <= share.high else min(abs(end - LEVEL) for end in (share.low, share.high)),
        off,
        limit=0.0,
        baseline=abs(_share(baseline, rng).value - LEVEL) if baseline else None,
        detail="; ".join(told),
    )


def _held(claim: Claimed, draws: list[Rows], *, plain: bool = False) -> list[Held]:
    """Return what intervals hold in the draws that have any."""
    found = (claim.held(rows, plain=plain) for rows in draws)
    return [one for one in found if len(one.inside)]


def _share(held: list[Held], rng: np.random.Generator) -> Interval:
    """Return the mean over frames of the share of rows that hold the truth, with its interval."""
    shares = [float(one.inside.mean()) for one in held]
    if set(shares) <= {0.0, 1.0}:
        return clopper_pearson(int(sum(shares)), len(shares))
    return bootstrap(lambda drawn: float(np.mean(drawn)), shares, rng)


def _least_part(inside: Array, width: Array) -> float:
    """Return the least share of rows (N,) that hold the truth among the narrowest, middling and widest intervals."""
    parts = np.array_split(inside[np.argsort(width, kind="stable")], _PARTS)
    return float(min(part.mean() for part in parts if len(part)))


def _given(held: list[Held], draws: list[Rows]) -> str:
    known = sum(rows.known for rows in draws)
    return f"{sum(len(one.width) for one in held) / max(known, 1):.0%} of rows"
