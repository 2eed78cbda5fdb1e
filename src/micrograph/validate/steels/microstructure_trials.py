"""Simulated micrographs of steels, what a model says of them, and the classical ways to the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.metallography.denuded import Gaps, find_gaps, zone_width
from micrograph.features.metallography.microstructure import Microstructure
from micrograph.features.metallography.particles import Particles, find_particles
from micrograph.features.metallography.phases import Objects, Phases, area_shares
from micrograph.features.objects.distributions import compare
from micrograph.simulate.steels.carbides import Carbides
from micrograph.simulate.steels.metallography import CONSTITUENTS, MetallographySampler, Micrograph
from micrograph.validate.checks import Analyser
from micrograph.validate.shared import Shared
from micrograph.validate.steels.texture_baseline import TextureClasses, learned_textures

if TYPE_CHECKING:
    from micrograph.run import Recipe

Array = NDArray[np.float64]
#: Islands of fewer pixels are too small a part of one to be judged.
LEAST_ISLAND_PX = 300
#: Blur (px) of a sharp instrument, for what physics allows.
_SHARP_PX = 0.7
#: Pixels of one image from which reliability is judged.
_PIXELS = 400


class Metals(Protocol):
    """A data class that draws micrographs with their truth."""

    def micrograph(self, rng: np.random.Generator) -> Micrograph:
        """Return a random one."""
        ...


class Told(Protocol):
    """What these checks need of an analyser: its recipe and its model."""

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        ...

    @property
    def predict(self) -> Callable[[Frame], Prediction]:
        """The model: a frame in, maps out."""
        ...


@dataclass(frozen=True)
class SteelTrial:
    """So many `images` of metals; `name` says of which kind in the names of checks."""

    name: str
    metals: Metals = field(default_factory=MetallographySampler)
    images: int = 40


@dataclass(frozen=True)
class Steel:
    """One image. Low-carbon: of every island whether vote and texture baseline were right (2, N), and shares of their
    pixels that were (2, 2: image's pixels right and in all; rows as before); pixels of each constituent (K, 3: both,
    true, found) by network, baseline, and truth seen through a sharp instrument; scores and rights (P,) of pixels;
    errors of the area shares over their 1-sigma; distance from the training domain; what particles and zone are like.
    """

    votes: NDArray[np.bool_]
    pixels: Array
    overlap: Array
    plain_overlap: Array
    limit_overlap: Array
    confidence: Array
    right: NDArray[np.bool_]
    share_error: Array
    domain_distance: float
    grains: Mapping[str, float]


_FOUND: Shared[list[Steel]] = Shared()


def answers(trial: SteelTrial, analyser: Analyser, rng: np.random.Generator) -> list[Steel]:
    """Return what the analyser says of every image of a trial."""

    def find(seed: int) -> list[Steel]:
        own = np.random.default_rng(seed)
        texture = learned_textures()
        return [_answer(trial.metals.micrograph(own), cast(Told, analyser), texture, own) for _ in range(trial.images)]

    return _FOUND.found(trial, analyser, rng, find)


def _answer(made: Micrograph, told: Told, texture: TextureClasses, rng: np.random.Generator) -> Steel:
    stage = told.recipe.objects
    assert isinstance(stage, Microstructure)
    frame = Frame(made.image, 0, Calibration(pixel_nm=made.pixel_nm))
    prediction = told.predict(frame)
    phases, objects, _ = stage.told(prediction)
    order = np.array([CONSTITUENTS.index(name) for name in phases.names])
    true, winner = made.metal.constituent, order[phases.winner]
    raw = order[phases.share.argmax(axis=0)]
    plain = texture(made.image)
    pick = rng.integers(true.size, size=_PIXELS)
    share = phases.share.reshape(len(order), -1)[:, pick]
    carbides = made.metal.carbides
    grains = {} if carbides is None else _grains(made, carbides, stage, prediction, phases)
    return Steel(
        votes=_votes(made, objects, order, winner, plain),
        pixels=_pixels(made, raw, plain),
        overlap=_overlap(true, winner),
        plain_overlap=_overlap(true, plain),
        limit_overlap=_overlap(true, _blurred(true)),
        confidence=share.max(axis=0).astype(float),
        right=raw.ravel()[pick] == true.ravel()[pick],
        share_error=_share_errors(phases, order, true),
        domain_distance=prediction.domain_distance,
        grains=grains,
    )


def _votes(
    made: Micrograph, objects: Objects, order: NDArray[np.intp], winner: NDArray[np.intp], plain: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return of each large island (N,) whether the class of the object that covers most of it, and the vote of the
    baseline's pixels inside the true island, are right (2, N)."""
    metal, rows = made.metal, []
    for island in range(1, int(metal.islands.max(initial=0)) + 1):
        mine = metal.islands == island
        if mine.sum() < LEAST_ISLAND_PX or made.params["high_carbon"]:
            continue
        kind = metal.constituent[mine][0]
        covering = np.bincount(objects.labels[mine])
        best = int(covering.argmax())
        own = order[objects.kind[best - 1]] if best else CONSTITUENTS.index("ferrite")
        rows.append((own == kind, np.bincount(plain[mine]).argmax() == kind))
    return np.array(rows, bool).reshape(-1, 2).T


def _pixels(made: Micrograph, raw: NDArray[np.intp], plain: NDArray[np.intp]) -> Array:
    """Return how many pixels of the islands each way has right before any vote, and all of them (2, 2)."""
    inside = made.metal.constituent != CONSTITUENTS.index("ferrite")
    true, number = made.metal.constituent[inside], float(inside.sum())
    return np.array([[float((one[inside] == true).sum()), number] for one in (raw, plain)])


def _overlap(true: NDArray[Any], found: NDArray[Any]) -> Array:
    """Return pixels of every constituent (K, 3) in both, in the true and in the found one."""
    number = len(CONSTITUENTS)
    both = np.bincount(true[true == found], minlength=number)
    return np.stack([both, *(np.bincount(one.ravel(), minlength=number) for one in (true, found))], axis=1).astype(
        float
    )


def _blurred(true: NDArray[np.int8]) -> NDArray[np.intp]:
    """Return the true constituents (H, W) as a sharp instrument shows them."""
    from scipy.ndimage import gaussian_filter

    seen = [gaussian_filter((true == kind).astype(np.float32), _SHARP_PX) for kind in range(len(CONSTITUENTS))]
    return np.asarray(np.argmax(seen, axis=0), np.intp)


def _share_errors(phases: Phases, order: NDArray[np.intp], true: NDArray[np.int8]) -> Array:
    """Return the errors (K,) of the shares of the area of this very image."""
    return np.array(
        [one.value - float((true == kind).mean()) for one, kind in zip(area_shares(phases), order, strict=True)]
    )


def _grains(
    made: Micrograph,
    carbides: Carbides,
    stage: Microstructure,
    prediction: Prediction,
    phases: Phases,
) -> dict[str, float]:
    """Return how the particles' sizes and the denuded zone agree with the truth, by network, classically, at best."""
    from scipy.ndimage import gaussian_filter

    true = carbides.diameters_px[carbides.inside((made.image.shape[0], made.image.shape[1]))]
    found = stage.particles(prediction)
    limit = find_particles(gaussian_filter(carbides.particles, _SHARP_PX))
    plain = thresholded(made.image, carbides.network > 0.5)
    ways = {
        "own": found.diameter_px[~found.cut],
        "limit": limit.diameter_px[~limit.cut],
        "plain": plain.diameter_px[~plain.cut],
    }
    facts = {"number": float(len(true)), "planted": carbides.denuded_px, "true mean": float(true.mean())}
    for way, diameters in ways.items():
        facts |= {f"{way} number": float(len(diameters))}
        facts |= {f"{way} p": compare(diameters, true).p if len(diameters) else 0.0}
        facts |= {f"{way} mean": float(diameters.mean()) if len(diameters) else 0.0}
    if np.isfinite(carbides.denuded_px):
        exact, plain_gaps = (
            find_gaps(carbides.network > 0.5, limit.labels),
            find_gaps(carbides.network > 0.5, plain.labels),
        )
        for way, gaps in (("own", stage.gaps(phases, found)), ("limit", exact), ("plain", plain_gaps)):
            facts |= {f"{way} zone": _zone(gaps), f"{way} clear": _median(gaps.clear_px)}
    return facts


def noise(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an image of nothing: counts of one mean, or smooth specks."""
    from scipy.ndimage import gaussian_filter

    white = rng.normal(100, 10, (320, 320))
    return np.asarray(gaussian_filter(white, rng.choice([0.0, 1.0, 3.0])), np.float32)


def lattice(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a hexagonal lattice of bright columns with counting noise."""
    y, x = np.mgrid[:320, :320]
    wave, start = 2 * np.pi / rng.uniform(7, 20), rng.uniform(0, np.pi)
    waves = sum(np.cos(wave * (np.cos(start + t) * x + np.sin(start + t) * y)) for t in np.arange(3) * np.pi / 3)
    return np.asarray(rng.poisson(30 * np.clip(1.5 + np.asarray(waves), 0.05, None)), np.float32)


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else 0.0


def _zone(gaps: Gaps) -> float:
    return float(np.nan_to_num(zone_width(gaps, np.random.default_rng(0), 1)[0]))


def thresholded(image: NDArray[np.float32], network: NDArray[np.bool_]) -> Particles:
    """Return particles the classical way: Otsu's threshold of the smoothed image, cut apart like any others.

    What touches the network, which is given, is no particle. Of both signs of contrast the one that makes the network
    brighter is taken.
    """
    from scipy import ndimage as ndi
    from skimage.filters import threshold_otsu

    calm = ndi.gaussian_filter(image, 1.0)
    sign = 1.0 if not network.any() or calm[network].mean() >= np.median(calm) else -1.0
    bright = sign * calm > threshold_otsu(sign * calm)  # type: ignore[no-untyped-call]
    parts, number = ndi.label(bright)
    good = np.ones(number + 1, bool)
    good[0] = False
    if network.any():
        good[np.unique(parts[ndi.binary_dilation(network)])] = False
    return find_particles(good[parts].astype(np.float32))
