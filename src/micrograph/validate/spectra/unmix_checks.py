"""Checks of unmixing on planted mixtures: endmembers, their number, their shares and their errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.signals.spectra import Mixture
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.shared import Shared
from micrograph.validate.spectra.mixture_scenes import (
    KINDS,
    Likeness,
    baselines,
    known_shares_limit,
    likeness,
    scene,
    visible_components,
)

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]

#: Ratio of signal to noise of one spectrum, and the number of mixtures of each kind in a set.
SNR = 5.0
SCENES = {"new": 32, "half dose": 10, "exspy": 10}
#: Baselines are fitted to so many mixtures of each kind.
_COMPARED = 3


@dataclass(frozen=True)
class Seen:
    """What was found in one mixture: the likeness of the endmembers at the number found, or 0 where it is wrong; the
    numbers planted, found and visible; the limit; baselines; and errors of shares over their 1-sigma."""

    kind: str
    found: Likeness
    limit: Likeness
    planted: int
    number: int
    visible: int
    plain: Mapping[str, Likeness]
    pulls: Array


_KNOWN: Shared[tuple[Seen, ...]] = Shared()


def _seen(data: str, analyser: Analyser, rng: np.random.Generator) -> tuple[Seen, ...]:
    def find(seed: int) -> tuple[Seen, ...]:
        own = np.random.default_rng(seed)
        return tuple(_one(data, kind, number, analyser, own) for number in range(SCENES[data]) for kind in KINDS)

    return _KNOWN.found(data, analyser, rng, find)


def _one(data: str, kind: str, number: int, analyser: Analyser, rng: np.random.Generator) -> Seen:
    truth = scene(data, kind, rng, SNR)
    recording = truth.recording(rng)
    tables = analyser.movie(recording)
    planted = len(truth.endmembers)
    found = int(tables["summary"]["components"].iloc[0])
    plain = {}
    if number < _COMPARED:
        seen = np.stack([recording.read(row) for row in range(len(recording))])
        plain = {name: likeness(truth.endmembers, one) for name, one in baselines(seen, planted).items()}
    spectra = tables["spectra"]["value"].to_numpy(float).reshape(found, -1)
    like = likeness(truth.endmembers, spectra) if found == planted else Likeness(0.0, 0.0)
    pulls = _pulls(truth, tables, spectra) if found == planted else np.zeros(0)
    return Seen(kind, like, known_shares_limit(truth), planted, found, visible_components(truth), plain, pulls)


def _pulls(truth: Mixture, tables: Mapping[str, DataFrame], spectra: Array) -> Array:
    """Return errors of the endmembers' channels over the 1-sigma that is stated, where it is above nothing."""
    from scipy.optimize import linear_sum_assignment

    sigma = tables["spectra"]["value_sigma"].to_numpy(float).reshape(spectra.shape)
    middle = truth.endmembers.mean(axis=0)
    rows, columns = linear_sum_assignment((truth.endmembers - middle) @ (middle - spectra).T)
    clear = sigma[columns] > 0
    clear &= truth.endmembers[rows] > 3 * sigma[columns]
    return np.asarray(((spectra[columns] - truth.endmembers[rows]) / np.where(clear, sigma[columns], 1.0))[clear])


def endmember_likeness(data: str, *, at_least: float, contrast: bool = False) -> Check:
    """Return the check of the endmembers: the lowest cosine with a planted one in each mixture, mean over mixtures.

    contrast: of what tells the endmembers of a mixture apart. A mixture whose number is wrong counts as 0.
    """
    field = "contrast" if contrast else "cosine"

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seen = _seen(data, analyser, rng)
        values = [float(getattr(one.found, field)) for one in seen]
        interval = bootstrap(lambda drawn: float(np.mean(np.array(drawn))), values, np.random.default_rng(0))
        limit = float(np.mean([getattr(one.limit, field) for one in seen]))
        by_name = {
            name: float(np.mean([getattr(one.plain[name], field) for one in seen if one.plain]))
            for name in next(one.plain for one in seen if one.plain)
        }
        right = [value for value, one in zip(values, seen, strict=True) if one.number == one.planted]
        snr = f"SNR {SNR:g}" + (" before the dose is halved" if data == "half dose" else "")
        words = f"{len(seen)} mixtures, {snr}; lowest where the number is right: {min(right, default=np.nan):.4f}"
        told = ", ".join(f"{name} {value:.4f}" for name, value in by_name.items())
        return Measurement.of(interval, limit=limit, baseline=max(by_name.values()), detail=f"{words}; told K: {told}")

    what = "of what tells endmembers apart" if contrast else "of endmembers"
    return Check(f"cosine {what}, {data}", measure, at_least, ">=", data=f"mixtures, {data}")


def right_numbers(data: str, *, at_least: float) -> Check:
    """Return the check of the number of endmembers: in what share of mixtures it is the planted one."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seen = _seen(data, analyser, rng)
        right = [float(one.number == one.planted) for one in seen]
        interval = bootstrap(lambda drawn: float(np.mean(np.array(drawn))), right, np.random.default_rng(0))
        visible = float(np.mean([one.visible == one.planted for one in seen]))
        wrong = ", ".join(f"{one.planted} as {one.number}" for one in seen if one.number != one.planted) or "none"
        return Measurement.of(interval, limit=visible, detail=f"{len(seen)} mixtures of 2 to 5; wrong: {wrong}")

    return Check(f"share of mixtures whose number is right, {data}", measure, at_least, ">=", data=f"mixtures, {data}")


def endmember_errors(data: str, *, at_most: float) -> Check:
    """Return the check of the endmembers' errors over the 1-sigma that is stated (root mean square)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        pulls = [one.pulls for one in _seen(data, analyser, rng) if len(one.pulls)]
        interval = bootstrap(
            lambda drawn: float(np.sqrt(np.mean(np.concatenate(list(drawn)) ** 2))), pulls, np.random.default_rng(0)
        )
        return Measurement.of(interval, limit=1.0, detail=f"channels of {len(pulls)} mixtures")

    return Check(f"error of endmembers over its sigma, {data}", measure, at_most, "<=", data=f"mixtures, {data}")
