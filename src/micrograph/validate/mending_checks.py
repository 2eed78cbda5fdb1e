"""A check of mending: how much of what a network loses on other microscopes comes back, from frames without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from micrograph.core import Sampler
from micrograph.simulate import StemSampler
from micrograph.simulate.settings import Told, at_places, one_of, ranges_of
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.metrics import f1
from micrograph.validate.shift_checks import expected_alarm, expected_rank
from micrograph.validate.shifts import clean, found, network_of

if TYPE_CHECKING:
    from micrograph.nets import Checkpoint
    from micrograph.validate.mending import MendSettings

#: Where the dose of a microscope lies that is shifted in something else, in places of its range; and other settings.
_DOSE, _MIDDLE = 0.7, (0.3, 0.7)
#: Where scale and contrast are told as they are.
_RIGHTLY = {"claimed": 0.5, "turned": 0.0}
#: Frames that a mending sees; images that judge it; least loss of F1 that is worth a mending.
_FRAMES, _JUDGES, LEAST_LOSS = 3, 24, 0.1


#: What is moved, to which place of its range, on scanned images and on those of a TEM; 0 to 1 is what was trained, of
#: 'claimed' scales that are wrong by 0.8 to 1.25, of 'turned' shares up to a quarter.
SCANNED: tuple[Mapping[str, float], ...] = (
    {"claimed": 1.0}, {"claimed": 0.0}, {"claimed": 1.4}, {"turned": 4.0}, {"astigmatism_nm": 3.0},
    {"source_fwhm_nm": 2.0}, {"defocus_nm": 1.4},
)  # fmt: skip
TEM: tuple[Mapping[str, float], ...] = (
    {"claimed": 1.0}, {"claimed": 0.0}, {"claimed": 1.4}, {"defocus_nm": 1.6}, {"astigmatism_nm": 4.0},
    {"vibration_nm": 2.0}, {"focal_spread_nm": 3.0},
)  # fmt: skip


class Case(NamedTuple):
    """F1 of one microscope: as trained, shifted, shifted and mended."""

    places: Mapping[str, float]
    home: float
    before: float
    after: float

    @property
    def share(self) -> float:
        """Share of the lost F1 that came back."""
        return (self.after - self.before) / (self.home - self.before)


def elsewhere(sampler: Sampler) -> tuple[Check, Check, Check]:
    """Build the checks of a network on other microscopes: is the error told, is an alarm right, can it be mended."""
    return expected_rank(sampler), expected_alarm(sampler), mended_share(sampler)


def mended_share(sampler: Sampler, *, at_least: float = 0.7, settings: MendSettings | None = None) -> Check:
    """Build the check: the mean share of lost F1 that mending brings back, over microscopes shifted to places.

    Each case is one microscope, all its settings pinned; mending sees three frames of it and its pixel size. Cases that
    cost less than `LEAST_LOSS` do not count. Baseline: no mending, 0.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        checkpoint = network_of(analyser).members[0].checkpoint
        done = [_case(checkpoint, sampler, places, rng, settings) for places in cases_of(sampler)]
        lost = [one for one in done if one.home - one.before >= LEAST_LOSS]
        interval = bootstrap(lambda drawn: float(np.mean([one.share for one in drawn])), lost, rng)
        detail = "; ".join(f"{_named(one)} F1 {one.before:.3f} to {one.after:.3f} of {one.home:.3f}" for one in done)
        return Measurement.of(interval, limit=1.0, baseline=0.0, detail=detail)

    return Check("share of lost F1 that mending brings back", measure, at_least, ">=")


def _case(
    checkpoint: Checkpoint,
    sampler: Sampler,
    places: Mapping[str, float],
    rng: np.random.Generator,
    settings: MendSettings | None,
) -> Case:
    from micrograph.validate.mending import MendSettings, mend, predictor_of, sampled

    home, shifted = microscopes(sampler, places, rng)
    frames, judges = sampled(shifted, _FRAMES, rng), sampled(shifted, _JUDGES, rng)
    predict, pixel = predictor_of(checkpoint), frames[0].pixel_nm
    before, best = (f1([found(predict, one) for one in images]) for images in (judges, sampled(home, _JUDGES, rng)))
    if best - before < LEAST_LOSS:
        return Case(places, best, before, before)
    made = mend(checkpoint, sampler, [one.image for one in frames], pixel, settings=settings or MendSettings(), rng=rng)
    kept = predictor_of(made.best.checkpoint) if made.worth_it else predict
    return Case(places, best, before, f1([found(kept, one) for one in judges]))


def cases_of(sampler: Sampler) -> tuple[Mapping[str, float], ...]:
    """Return what is moved on the microscopes of a sampler."""
    return SCANNED if isinstance(sampler, StemSampler) else TEM


def microscopes(sampler: Sampler, places: Mapping[str, float], rng: np.random.Generator) -> tuple[Sampler, Sampler]:
    """Return a microscope as in training, all its settings pinned, and the same one with some moved to `places`."""
    own = Told(one_of(clean(sampler), rng))
    names = list(ranges_of(own))
    usual = {name: float(rng.uniform(*_MIDDLE)) for name in names} | {names[0]: _DOSE} | _RIGHTLY
    return at_places(own, usual), at_places(own, usual | dict(places))


def _named(one: Case) -> str:
    return ", ".join(f"{name} at {place:g}" for name, place in one.places.items())
