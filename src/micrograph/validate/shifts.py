"""Shifts: images of other microscopes and materials, analysed, with what was found, missed and expected of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Frame, Prediction, Sample, Sampler
from micrograph.features.columns.locate import LocateSettings, spotted
from micrograph.simulate import Either, HrtemSampler, StemSampler, Structure, WulffParticles
from micrograph.simulate.phase.hrtem_scenes import Scenery
from micrograph.simulate.settings import Told, at_places, ranges_of, value_at
from micrograph.structures import random_graphene, random_lattice_2d, random_monolayer
from micrograph.validate.metrics import Detection, f1, match
from micrograph.validate.trials import is_empty

if TYPE_CHECKING:
    from ase import Atoms

    from micrograph.infer import Predictor

#: A column counts as found within this distance, and counts at all so far from the border (nm).
RADIUS_NM, INSET_NM = 0.05, 0.15
#: Places of the settings in the planes of the map, and along a single axis; 0 to 1 is what was trained.
LOG_PLACES, LINEAR_PLACES = (-0.5, -0.25, 0.0, 0.5, 1.0), (0.5, 1.0, 1.5, 2.0, 3.0)
WIDE_PLACES = (-0.5, 0.0, 0.5, 1.0, 1.5)
#: Pixel sizes that images claim, over the true ones.
CLAIMS = (0.7, 0.85, 1.2, 1.45)
#: Settings that are moved alone.
ALONE = ("astigmatism_nm", "source_fwhm_nm", "jitter_nm", "line_noise", "focal_spread_nm", "vibration_nm")


@dataclass(frozen=True)
class Dumbbells:
    """A crystal of `structures.dumbbell` along [110], turned at random (`Structure`)."""

    name: str

    def __call__(self, size_nm: float, rng: np.random.Generator) -> Atoms:
        """Return the crystal over a field of ``size_nm``."""
        from micrograph.structures.dumbbell import dumbbells

        turned = float(rng.uniform(0, 180))
        return dumbbells(self.name, size_nm, rng, rotation_deg=turned, displaced_nm=0.005)


@dataclass(frozen=True)
class Oxide:
    """SrTiO3 along [001], turned at random: faint columns of oxygen beside heavy ones (`Structure`)."""

    cells: int = 8

    def __call__(self, size_nm: float, rng: np.random.Generator) -> Atoms:
        """Return the crystal over a field of ``size_nm``."""
        from micrograph.structures.layer import MARGIN_NM, lattice_points, layer, turn
        from micrograph.structures.perovskite import SRTIO3_NM, cubic_perovskite

        one = cubic_perovskite()
        place = np.tile(one.get_scaled_positions(), (self.cells, 1))  # type: ignore[no-untyped-call]
        cell = SRTIO3_NM * np.eye(2) @ turn(float(rng.uniform(0, 90)))
        corners = lattice_points(cell, size_nm, MARGIN_NM, rng.random(2) @ cell)
        points = (corners[:, None, :] + place[:, :2] @ cell).reshape(-1, 2)
        height = SRTIO3_NM * (place[:, 2] + np.repeat(np.arange(self.cells), len(one)))
        return layer(points, np.tile(height, len(corners)), np.tile(one.numbers, self.cells * len(corners)), "atom")


#: Materials of scanned images; of TEM images particles of other metals and along other axes.
CRYSTALS: Mapping[str, Structure] = {
    "graphene": random_graphene,
    "MX2 monolayers": random_monolayer,
    "any 2D lattice": random_lattice_2d,
    "Si [110]": Dumbbells("Si"),
    "GaAs [110]": Dumbbells("GaAs"),
    "SrTiO3 [001]": Oxide(),
}
PARTICLES: Mapping[str, Scenery] = {
    "Pt": WulffParticles(symbol="Pt", a_nm=0.3924),
    "Ag": WulffParticles(symbol="Ag", a_nm=0.4086),
    "Au [112]": WulffParticles(zones=((1, 1, 2),)),
}


@dataclass(frozen=True)
class Shift:
    """One kind of images: where some settings lie, or what they show.

    family: 'dose x pixel', 'source_fwhm_nm', 'material', ...; values: the settings by name, as numbers or in words.
    """

    family: str
    sampler: Sampler
    places: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def inside(self) -> bool:
        """Whether the network was trained on such images."""
        return all(0 <= self.places.get(name, 2.0) <= 1 for name in self.values)

    def __str__(self) -> str:
        """Name the shift in a table."""
        return ", ".join(f"{name} {_short(value)}" for name, value in self.values.items()) or "as trained"


@dataclass(frozen=True)
class Shifted:
    """What a network sees in an image of a shift: right, false and missed columns, and what was expected.

    distance: of the image from the training images, 1 at their border; expected: F1, NaN where nothing is expected.
    """

    shift: Shift
    counts: Detection
    expected: float
    distance: float

    @property
    def f1(self) -> float:
        """F1 of this image; 1 where there is nothing and nothing was found."""
        return 1.0 if not sum(self.counts) else f1([self.counts])


def moved_to(sampler: Sampler, family: str, places: Mapping[str, float]) -> Shift:
    """Return the shift that pins settings of a sampler at places of their ranges."""
    sampler, ranges = clean(sampler), ranges_of(sampler)
    values = {name: value_at(name, ranges[name], place) for name, place in places.items()}
    return Shift(family, at_places(sampler, places), places, values)


def clean(sampler: Sampler) -> Sampler:
    """Return the sampler without dirt and without empty images, which are no shift."""
    if isinstance(sampler, StemSampler):
        return replace(sampler, contaminated=0.0, noise_only=0.0)
    if isinstance(sampler, Either):
        return replace(sampler, samplers=tuple(replace(one, filmed=0.0) for one in sampler.samplers))
    if isinstance(sampler, HrtemSampler):
        return replace(sampler, filmed=0.0)
    if isinstance(sampler, Told):
        return replace(sampler, sampler=clean(sampler.sampler))
    return sampler


def shifts_of(sampler: Sampler) -> list[Shift]:
    """Return the map of a network's domain: dose by pixel size, dose by defocus, other settings alone, materials."""
    names = list(ranges_of(sampler))
    dose = names[0]
    found = [Shift("as trained", clean(sampler))]
    for second, places in (("pixel_nm", WIDE_PLACES), ("defocus_nm", LINEAR_PLACES)):
        found += [
            moved_to(sampler, f"{dose} x {second}", {dose: one, second: two}) for one in LOG_PLACES for two in places
        ]
    for name in ALONE:
        found += [moved_to(sampler, name, {name: place}) for place in LINEAR_PLACES[3:] if name in names]
    found += [Shift("claimed", Told(clean(sampler), (one, one)), values={"claimed": one}) for one in CLAIMS]
    found += [Shift("turned", Told(clean(sampler), turned=(1.0, 1.0)), values={"turned": "over"})]
    return found + materials_of(clean(sampler))


def materials_of(sampler: Sampler) -> list[Shift]:
    """Return other materials through the same microscopes."""
    if isinstance(sampler, StemSampler):
        found: dict[str, Sampler] = {name: replace(sampler, structure=one) for name, one in CRYSTALS.items()}
    elif isinstance(sampler, Either):
        particles = sampler.samplers[-1]
        found = {name: replace(particles, scene=one) for name, one in PARTICLES.items()}
    else:
        found = {}
    return [Shift("material", one, values={"material": name}) for name, one in found.items()]


def analysed(shifts: Iterable[Shift], predict: Predictor, images: int, seed: int) -> Iterator[list[Shifted]]:
    """Yield what a network sees in so many `images` of each shift; image i of shift k is always the same."""
    for number, shift in enumerate(shifts):
        drawn = (shift.sampler(np.random.default_rng([seed, number, image])) for image in range(images))
        yield [judged(shift, sample, predict) for sample in drawn]


def judged(shift: Shift, sample: Sample, predict: Predictor) -> Shifted:
    """Return what a network sees in one sample."""
    prediction, places = spots(predict, sample.image, sample.pixel_nm)
    counts = detection(sample, *places.T)
    return Shifted(shift, counts, prediction.expected_f1, prediction.domain_distance)


def spots(predict: Predictor, image: NDArray[np.float32], pixel_nm: float) -> tuple[Prediction, NDArray[np.float64]]:
    """Return what a network says of an image (H, W), and where (N, 2) in nm it sees columns, before any is fitted."""
    prediction = predict(Frame(image, 0, Calibration(pixel_nm=pixel_nm)))
    return prediction, spotted(prediction, LocateSettings(heads=spots_heads(predict)))


def spots_heads(predict: Predictor) -> tuple[str, ...]:
    """Return the names of the maps in which a network marks columns."""
    return tuple(head.name for head in predict.spec.heads if head.kind == "spots")


def found(predict: Predictor, sample: Sample) -> Detection:
    """Return what a network finds in a sample."""
    return detection(sample, *spots(predict, sample.image, sample.pixel_nm)[1].T)


def network_of(analyser: object) -> Predictor:
    """Return the one network of an analyser; raises `BadInput` where it is none, or several."""
    predict: Any = getattr(analyser, "predict", None)
    if len(getattr(predict, "members", ())) != 1:
        raise BadInput("One network is judged: validate a recipe that has one.")
    one: Predictor = predict
    return one


def detection(sample: Sample, y_nm: NDArray[np.float64], x_nm: NDArray[np.float64]) -> Detection:
    """Return how many columns of a sample are right, false and missed at points (N,), away from the border."""
    sites = sample.sites[~is_empty(sample.sites.label)]
    pairs = match(sites.y_nm, sites.x_nm, y_nm, x_nm, RADIUS_NM)
    hit, taken = np.zeros(len(sites), bool), np.zeros(len(y_nm), bool)
    hit[pairs.true], taken[pairs.found] = True, True
    high = [(n - 1) * sample.pixel_nm - INSET_NM for n in sample.image.shape]

    def inner(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray((y >= INSET_NM) & (y <= high[0]) & (x >= INSET_NM) & (x <= high[1]))

    judged, own = inner(sites.y_nm, sites.x_nm), inner(y_nm, x_nm)
    return Detection(int((judged & hit).sum()), int((own & ~taken).sum()), int((judged & ~hit).sum()))


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
