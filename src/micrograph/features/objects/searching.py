"""A genetic search for the chain of image operations that suits a user's images, without any truth.

After Lee et al. 2020 (doi:10.1021/acsnano.0c06809): chains of operations compete, exchange stages and change; those
that survive are stacked, and what most of them find is kept, so that precision comes before recall. A chain is judged
by what its objects explain of the images and by how much they look like whole objects (`label_quality.merit`).
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.objects.label_quality import merit
from micrograph.features.objects.operation_chain import STAGES, Chain, Method, Step
from micrograph.features.objects.operations import Image, bin_image, gaussian_background, noise_of

#: Values of a changed parameter stay within this factor of its range for random ones.
_BEYOND = 1.5
#: Slow methods are drawn this much more rarely than others.
_SLOW = {"bilateral": 0.15, "nonlocal_means": 0.3, "total_variation": 0.1}
#: A chain whose merit in the first piece is below this share of the best so far is judged by that piece alone.
_HOPELESS = 0.75


@dataclass(frozen=True)
class SearchSettings:
    """How long and how widely is sought.

    population: chains alive at once; generations: at most; seconds: of computing, after which no generation begins;
    survivors: chains that are stacked; side_px: of the pieces of the images, after binning, on which chains are judged;
    pieces: their number; diameter_px: images are binned until typical objects are not larger.
    """

    population: int = 18
    generations: int = 12
    seconds: float = 50.0
    survivors: int = 9
    side_px: int = 224
    pieces: int = 3
    diameter_px: float = 36.0


@dataclass(frozen=True)
class Found:
    """What a search found: the best chain, the survivors with their merits, the best merit by generation."""

    chain: Chain
    survivors: tuple[Chain, ...]
    merits: tuple[float, ...]
    history: tuple[float, ...]
    diameter_px: float
    tried: int


def search(images: Sequence[NDArray[Any]], rng: np.random.Generator, settings: SearchSettings | None = None) -> Found:
    """Return the chains that suit `images` (each (H, W), one kind of recording), found within about ``seconds``.

    The same rng gives the same chains as long as the time suffices. Raises `BadInput` where there is no image of at
    least 32 pixels a side with anything in it.
    """
    settings = settings or SearchSettings()
    begin = time.process_time()
    judge = _Judge.of(images, rng, settings)
    alive = [_random_chain(judge.diameter, judge.factor, rng) for _ in range(2 * settings.population)]
    history: list[float] = []
    for _ in range(settings.generations):
        ranked = sorted(dict.fromkeys(alive), key=judge, reverse=True)
        history.append(judge(ranked[0]))
        if time.process_time() - begin > settings.seconds:
            break
        alive = _next(ranked, judge, rng, settings.population)
    survivors = _survivors(judge, settings.survivors)
    return Found(
        survivors[0],
        survivors,
        tuple(judge(chain) for chain in survivors),
        tuple(history),
        judge.diameter * judge.factor,
        len(judge.known),
    )


def typical_diameter(image: NDArray[Any]) -> float:
    """Return the typical diameter (px) of the objects in an image (H, W), from the width of its autocorrelation.

    That of a disc of diameter d falls to one half at 0.4 d.
    """
    from scipy.fft import irfft2, rfft2

    image = np.asarray(image, dtype=np.float32)
    flat = image - _plane(image)
    power = np.abs(rfft2(flat, s=[2 * size for size in image.shape])) ** 2
    overlap = np.abs(rfft2(np.ones(image.shape, np.float32), s=[2 * size for size in image.shape])) ** 2
    shape = [2 * size for size in image.shape]
    like = irfft2(power, s=shape) / np.maximum(irfft2(overlap, s=shape), 1)
    reach = min(image.shape) // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    ring = np.hypot(y, x).round().astype(int)
    mean = np.bincount(ring.ravel(), like[y, x].ravel())[:reach] / np.bincount(ring.ravel())[:reach]
    top = 2 * mean[1] - mean[2] if len(mean) > 2 else mean[0]
    below = np.flatnonzero(mean < 0.5 * top)
    below = below[below > 0]
    return float(np.clip(2.5 * (below[0] if len(below) else reach), 5, min(image.shape) / 2))


@dataclass(frozen=True)
class _Judge:
    """Pieces of images, binned, as they are and flattened (bright and dark); what was judged before."""

    pieces: tuple[Image, ...]
    flat: dict[str, tuple[Image, ...]]
    noise: tuple[float, ...]
    diameter: float
    factor: int
    known: dict[Chain, float]
    kept: MutableMapping[object, Any]

    @classmethod
    def of(cls, images: Sequence[NDArray[Any]], rng: np.random.Generator, settings: SearchSettings) -> _Judge:
        usable = [np.asarray(one, np.float32) for one in images if one.ndim == 2 and min(one.shape) >= 32]
        usable = [np.nan_to_num(one, nan=float(np.nanmedian(one))) for one in usable if np.nanmax(one) > np.nanmin(one)]
        if not usable:
            raise BadInput("There is no image of at least 32 pixels a side with anything in it: give other images.")
        diameter = float(np.median([typical_diameter(one) for one in usable[:8]]))
        least = min(min(one.shape) for one in usable)
        factor = int(np.clip(np.floor(diameter / settings.diameter_px), 1, max(least // 32, 1)))
        chosen = [usable[index % len(usable)] for index in rng.permutation(max(len(usable), settings.pieces))]
        pieces = tuple(_piece(bin_image(one, factor), settings.side_px, rng) for one in chosen[: settings.pieces])
        size = diameter / factor
        flat = {
            name: tuple(gaussian_background(sign * one, 2.5 * size) for one in pieces)
            for name, sign in (("bright", np.float32(1)), ("dark", np.float32(-1)))
        }
        return cls(pieces, flat, tuple(noise_of(one) for one in pieces), size, factor, {}, {})

    def __call__(self, chain: Chain) -> float:
        if chain not in self.known:
            if len(self.kept) > 300:
                self.kept.clear()
            first = self._one(chain, 0)
            hopeless = first < _HOPELESS * max(self.known.values(), default=0.0)
            rest = [] if hopeless else [self._one(chain, index) for index in range(1, len(self.pieces))]
            self.known[chain] = float(np.mean([first, *rest]))
        return self.known[chain]

    def _one(self, chain: Chain, index: int) -> float:
        scale = chain.steps[0]
        rest = Chain((Step(scale.stage, scale.method, (("factor", 1.0),)), *chain.steps[1:]))
        found = rest(self.pieces[index], self.kept, index)
        return merit(self.flat[chain.step("polarity").method][index], found.labels, self.noise[index])


def _piece(image: Image, side: int, rng: np.random.Generator) -> Image:
    height, width = image.shape
    top, left = (int(rng.integers(max(size - side, 0) + 1)) for size in (height, width))
    return image[top : top + side, left : left + side]


def _random_chain(diameter: float, factor: int, rng: np.random.Generator) -> Chain:
    return Chain(tuple(_random_step(stage, diameter, factor, rng) for stage in STAGES))


def _random_step(stage: str, diameter: float, factor: int, rng: np.random.Generator) -> Step:
    if stage == "scale":
        return Step(stage, "bin", (("factor", float(factor)),))
    names = list(STAGES[stage])
    weight = np.array([_SLOW.get(name, 1.0) for name in names])
    name = names[int(rng.choice(len(names), p=weight / weight.sum()))]
    return Step(stage, name, _random_values(STAGES[stage][name], diameter, rng))


def _random_values(method: Method, diameter: float, rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
    values = []
    for parameter in method.parameters:
        unit = diameter if parameter.by_size else 1.0
        drawn = np.exp(rng.uniform(np.log(parameter.low), np.log(parameter.high))) * unit
        values.append((parameter.name, _rounded(max(float(drawn), parameter.least))))
    return tuple(values)


def _changed(chain: Chain, diameter: float, factor: int, rng: np.random.Generator) -> Chain:
    """Return the chain with about two stages changed: another method, or other values of the same."""
    steps = list(chain.steps)
    for number, step in enumerate(steps):
        if rng.random() > 2 / len(steps):
            continue
        if rng.random() < 0.35 or step.stage == "scale":
            steps[number] = _random_step(step.stage, diameter, factor, rng)
            continue
        values = []
        for parameter, (name, value) in zip(STAGES[step.stage][step.method].parameters, step.values, strict=True):
            unit = diameter if parameter.by_size else 1.0
            low, high = max(parameter.low * unit / _BEYOND, parameter.least), parameter.high * unit * _BEYOND
            values.append((name, _rounded(float(np.clip(value * np.exp(rng.normal(0, 0.3)), low, high)))))
        steps[number] = Step(step.stage, step.method, tuple(values))
    return Chain(tuple(steps))


def _next(ranked: Sequence[Chain], judge: _Judge, rng: np.random.Generator, population: int) -> list[Chain]:
    """Return the next generation: the best, children of the good ones, and two strangers."""
    parents = ranked[:population]
    children = [_random_chain(judge.diameter, judge.factor, rng) for _ in range(2)]
    while len(children) < population - 3:
        mother, father = (parents[int(rng.integers(len(parents), size=3).min())] for _ in range(2))
        mixed = Chain(tuple((a, b)[int(rng.integers(2))] for a, b in zip(mother.steps, father.steps, strict=True)))
        children.append(_changed(mixed, judge.diameter, judge.factor, rng))
    return [*ranked[:3], *children]


def _survivors(judge: _Judge, number: int) -> tuple[Chain, ...]:
    """Return the best chains, at most two with the same threshold and separation, not much worse than the best."""
    ranked = sorted(judge.known, key=judge, reverse=True)
    chosen: list[Chain] = []
    seen: dict[tuple[str, str], int] = {}
    for chain in ranked:
        kind = (chain.step("threshold").method, chain.step("separation").method)
        if seen.get(kind, 0) < 2 and judge(chain) >= 0.85 * judge(ranked[0]):
            seen[kind] = seen.get(kind, 0) + 1
            chosen.append(chain)
        if len(chosen) == number:
            break
    return tuple(chosen)


def _plane(image: Image) -> Image:
    """Return the least-squares quadratic surface through an image."""
    height, width = image.shape
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    powers = [(p, q) for p in range(3) for q in range(3 - p)]
    terms = np.stack([np.multiply.outer(y**p, x**q) for p, q in powers])
    thin = max(1, min(image.shape) // 64)
    factors = np.linalg.lstsq(
        terms[:, ::thin, ::thin].reshape(len(powers), -1).T, image[::thin, ::thin].ravel(), rcond=None
    )[0]
    return np.asarray(np.tensordot(factors, terms, 1), dtype=np.float32)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
