"""The settings of a sampler by name: in which ranges it draws them, and the same sampler with others.

A place is where a value lies relative to a range: 0 its lower end, 1 its upper one; below 0 and above 1 it lies beyond.
Doses and pixel sizes are placed by their logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from micrograph.core import BadInput, Sample, Sampler
from micrograph.simulate.phase.hrtem_sampler import Either, HrtemSampler
from micrograph.simulate.ranges import MICROSCOPE_RANGES, SCAN_RANGES, Range
from micrograph.simulate.sampler import StemSampler

#: What differs between microscopes and sessions, of scanned images and of those of a TEM.
STEM = (
    "electrons", "dose_e_per_A2", "pixel_nm", "defocus_nm", "astigmatism_nm", "source_fwhm_nm", "jitter_nm",
    "line_noise", "background", "readout_e",
)  # fmt: skip
TEM = ("dose_e_per_A2", "pixel_nm", "defocus_nm", "astigmatism_nm", "focal_spread_nm", "vibration_nm", "mtf")
#: Settings that are placed by their logarithm.
LOGARITHMIC = frozenset({"electrons", "dose_e_per_A2", "pixel_nm", "claimed"})
#: Ranges of what is not a setting of the microscope: scale bars that are wrong, and shares of images turned over.
CLAIMED, TURNED = (0.8, 1.25), (0.0, 0.25)


@dataclass(frozen=True)
class Told:
    """Samples as a file may tell them: with a scale that is wrong, and with bright and dark turned over.

    claimed: range (log-uniform) of the pixel size that is told over the true one; all lengths of a sample are told
    ones, and its 'pixel_nm' is pinned as it is told. turned: range of the share of images that are turned over.
    """

    sampler: Sampler
    claimed: Range = (1.0, 1.0)
    turned: Range = (0.0, 0.0)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one sample as it is told."""
        factor = float(np.exp(rng.uniform(*np.log(self.claimed))))
        turned = rng.random() < rng.uniform(*self.turned)
        true = tuple(end / factor for end in ranges_of(self.sampler)["pixel_nm"])
        sample = with_ranges(self.sampler, {"pixel_nm": (true[0], true[1])})(rng)
        return replace(
            sample,
            image=sample.image.max() + sample.image.min() - sample.image if turned else sample.image,
            pixel_nm=sample.pixel_nm * factor,
            sites=replace(sample.sites, y_nm=sample.sites.y_nm * factor, x_nm=sample.sites.x_nm * factor),
            params={**sample.params, "claimed": factor, "turned": float(turned)},
        )


def ranges_of(sampler: Sampler) -> dict[str, Range]:
    """Return the range of every setting by name; raises `BadInput` for a sampler whose settings are not known."""
    if isinstance(sampler, StemSampler):
        known = {**MICROSCOPE_RANGES, **SCAN_RANGES, **sampler.microscope, **sampler.scan}
        known |= {"pixel_nm": sampler.pixel_nm, "dose_e_per_A2": sampler.dose_e_per_A2}
        if sampler.electrons is not None:
            known = {**known, "electrons": sampler.electrons}
            del known["dose_e_per_A2"]
        return {name: known[name] for name in STEM if name in known}
    if isinstance(sampler, HrtemSampler):
        return {name: getattr(sampler, name) for name in TEM}
    if isinstance(sampler, Either):
        each = [ranges_of(one) for one in sampler.samplers]
        return {name: (min(one[name][0] for one in each), max(one[name][1] for one in each)) for name in each[0]}
    if isinstance(sampler, Told):
        return {**ranges_of(sampler.sampler), "claimed": CLAIMED, "turned": TURNED}
    raise BadInput(f"The settings of {type(sampler).__name__} are not known by name: only those of STEM and HRTEM are.")


def with_ranges(sampler: Sampler, changes: Mapping[str, Range]) -> Sampler:
    """Return the sampler with other ranges for some settings; raises `BadInput` for a name that it does not have."""
    unknown = set(changes) - set(ranges_of(sampler))
    if unknown:
        raise BadInput(f"There is no setting '{min(unknown)}': choose among {', '.join(ranges_of(sampler))}.")
    if isinstance(sampler, Told):
        told = {name: changes.get(name, getattr(sampler, name)) for name in _TOLD}
        rest = {name: range_ for name, range_ in changes.items() if name not in _TOLD}
        return Told(with_ranges(sampler.sampler, rest), **told)
    if isinstance(sampler, Either):
        return replace(sampler, samplers=tuple(_hrtem(one, changes) for one in sampler.samplers))
    if isinstance(sampler, HrtemSampler):
        return _hrtem(sampler, changes)
    assert isinstance(sampler, StemSampler)
    own = {field.name for field in fields(StemSampler)}
    direct: dict[str, Any] = {name: range_ for name, range_ in changes.items() if name in own}
    return replace(
        sampler,
        **direct,
        microscope={**sampler.microscope, **{n: r for n, r in changes.items() if n in MICROSCOPE_RANGES}},
        scan={**sampler.scan, **{n: r for n, r in changes.items() if n in SCAN_RANGES and n not in own}},
    )


def at_places(sampler: Sampler, places: Mapping[str, float]) -> Sampler:
    """Return the sampler with some settings pinned at places of its own ranges; magnitudes do not fall below zero.

    Of several samplers each is pinned in its own ranges.
    """
    if isinstance(sampler, Either):
        return replace(sampler, samplers=tuple(_hrtem(one, _pinned(one, places)) for one in sampler.samplers))
    return with_ranges(sampler, _pinned(sampler, places))


def _pinned(sampler: Sampler, places: Mapping[str, float]) -> dict[str, Range]:
    ranges = ranges_of(sampler)
    values = {name: value_at(name, ranges[name], place) for name, place in places.items()}
    return {name: (value, value) for name, value in values.items()}


def value_at(name: str, range_: Range, place: float) -> float:
    """Return the value of a setting at a place of its range.

    >>> round(value_at("pixel_nm", (0.01, 0.04), 0.5), 4), value_at("jitter_nm", (0.0, 0.006), 2.0)
    (0.02, 0.012)
    """
    low, high = range_
    if name in LOGARITHMIC:
        return float(np.exp(np.log(low) + place * (np.log(high) - np.log(low))))
    value = low + place * (high - low)
    return max(value, 0.0) if low >= 0 else value


def place_of(name: str, range_: Range, value: float) -> float:
    """Return the place of a value in a range: what `value_at` turns round."""
    low, high = (np.log(range_) if name in LOGARITHMIC else np.asarray(range_)).tolist()
    here = float(np.log(value)) if name in LOGARITHMIC else value
    return (here - low) / (high - low) if high > low else 0.5


def _hrtem(sampler: HrtemSampler, changes: Mapping[str, Range]) -> HrtemSampler:
    given: dict[str, Any] = dict(changes)
    return replace(sampler, insists=False, **given)  # others record the best that their lens shows, however little


#: Settings of `Told`.
_TOLD = ("claimed", "turned")
#: How far beyond its range a setting may lie on other microscopes, in places below and above.
REACH = (-0.5, 1.5)
REACH_LINEAR = (-1.0, 3.0)


@dataclass(frozen=True)
class Elsewhere:
    """Samples of other microscopes: each setting, with the probability `moved`, lies anywhere within `REACH`."""

    sampler: Sampler
    moved: float = 0.3

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one sample."""
        sampler = one_of(self.sampler, rng)
        names = [name for name in ranges_of(sampler) if rng.random() < self.moved]
        places = {name: float(rng.uniform(*(REACH if name in LOGARITHMIC else REACH_LINEAR))) for name in names}
        return at_places(sampler, places)(rng)


def one_of(sampler: Sampler, rng: np.random.Generator) -> Sampler:
    """Return the sampler, or of `Either` one of its samplers, each as likely as its share."""
    if isinstance(sampler, Told):
        return replace(sampler, sampler=one_of(sampler.sampler, rng))
    if isinstance(sampler, Either):
        return sampler.samplers[int(rng.choice(len(sampler.samplers), p=sampler.shares))]
    return sampler


@dataclass(frozen=True)
class Among:
    """Samples with one of several `settings`, each as likely as its weight: values by name, pinned together."""

    sampler: Sampler
    settings: tuple[Mapping[str, float], ...]
    weights: tuple[float, ...]

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one sample."""
        chosen = self.settings[int(rng.choice(len(self.settings), p=self.weights))]
        return with_ranges(self.sampler, {name: (value, value) for name, value in chosen.items()})(rng)

    def quantile(self, name: str, share: float) -> float:
        """Return the value of a setting below which a share of the weight lies; signs are left out."""
        values = np.abs([one[name] for one in self.settings])
        order = np.argsort(values)
        at = np.searchsorted(np.cumsum(np.array(self.weights)[order]), share)
        return float(values[order[min(int(at), len(order) - 1)]])

    def domain(self) -> dict[str, Range]:
        """Return the ranges of the settings for a card: four fifths of the weight."""
        return {name: (self.quantile(name, 0.1), self.quantile(name, 0.9)) for name in self.settings[0]}
