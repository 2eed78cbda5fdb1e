"""Images of surfaces to learn their kinds from: of one kind, of two kinds at once, and of none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.secondary.sem import SemBeam, expose_sem, secondary_yield
from micrograph.simulate.secondary.sem_shapes import (
    Array,
    Body,
    Surface,
    between,
    grid,
    heap,
    random_field,
    scattered,
    turned,
)
from micrograph.simulate.secondary.sem_textures import TEXTURES

#: The kinds, in the order of the answers.
KINDS = tuple(TEXTURES)
#: Kinds that are bodies on a ground, and kinds that may be such a ground.
_BODIES = ("biological", "fibres", "nanowires", "particles", "tips")
_GROUNDS = ("MEMS devices and electrodes", "patterned surface", "porous sponge", "powder")
#: Each of two kinds takes at least so much of the image.
LEAST_SHARE = 0.2
#: Images of two kinds are drawn anew, at most so often, until each has its share.
_TRIES = 4

Rng = np.random.Generator


@dataclass(frozen=True)
class SemTextures:
    """Simulated images and their kinds.

    side_px: of the image; magnification: by how much all lengths of a kind are larger than it draws them, outside of
    `beyond` where that is given; electrons_per_px: primaries of the beam; probe_px: its width; mixed, none: shares of
    images of two kinds and of none.
    `Sample.truth` has 'category' (place in `KINDS`; of two one at random, by their shares; NaN of none), 'several'
    and 'foreign' (0 no, 1 yes); `params` has 'first', 'second' (-1: none) and 'share' of the first.
    """

    side_px: tuple[int, int] = (128, 176)
    magnification: tuple[float, float] = (0.667, 1.5)
    electrons_per_px: tuple[float, float] = (25.0, 400.0)
    probe_px: tuple[float, float] = (0.4, 2.5)
    mixed: float = 0.24
    none: float = 0.16
    beyond: tuple[float, float] | None = None

    def __call__(self, rng: Rng) -> Sample:
        """Return an image with the truth of its kinds."""
        side, what = int(rng.integers(self.side_px[0], self.side_px[1] + 1)), rng.random()
        if what < self.none:
            return self._sample(foreign_image(side, rng), (-1, -1), 0.0, rng)
        unit = side * self._magnified(rng)
        if what < self.none + self.mixed:
            surface, pair, share = mixture(side, unit, rng)
            return self._sample(self.exposed(surface, rng), pair, share, rng)
        kind = int(rng.integers(len(KINDS)))
        return self.of_kind(kind, rng, side, unit)

    def of_kind(self, kind: int, rng: Rng, side: int | None = None, unit: float | None = None) -> Sample:
        """Return an image of one kind."""
        side = side or int(rng.integers(self.side_px[0], self.side_px[1] + 1))
        unit = unit or side * self._magnified(rng)
        return self._sample(self.exposed(TEXTURES[KINDS[kind]](side, unit, rng), rng), (kind, -1), 1.0, rng)

    def exposed(self, surface: Surface, rng: Rng) -> Array:
        """Return the image of a surface by a microscope drawn at random."""
        yields = secondary_yield(
            surface.height,
            surface.material,
            1.0,
            escape_nm=between(rng, 0.5, 6.0),
            edge=rng.uniform(0, 2) if rng.random() < 0.65 else 0.0,
            side=rng.uniform(0, 1.6) if rng.random() < 0.7 else 0.0,
            toward_deg=rng.uniform(0, 360),
            slope_power=rng.uniform(0.1, 1.1),
        )
        if rng.random() < 0.5:  # edges brighter than the screen's white: what lies between fills the greys
            yields = np.minimum(yields, np.quantile(yields, rng.uniform(0.75, 0.99)))
        charging = rng.uniform(0, 0.8) if rng.random() < 0.3 else 0.0
        jitter = rng.uniform(0, 0.5) if rng.random() < 0.4 else 0.0
        dose = between(rng, *self.electrons_per_px)
        beam = SemBeam(between(rng, *self.probe_px), dose, charging, jitter)
        if rng.random() < 0.3:
            yields = yields * np.exp(
                0.2 * rng.standard_normal() * turned(len(yields), rng.uniform(0, 6.3))[0] / len(yields)
            )
        return displayed(expose_sem(yields, beam, 1.0, rng), rng)

    def _magnified(self, rng: Rng) -> float:
        """Return a magnification, log-uniform, outside `beyond` where that is given."""
        drawn = between(rng, *self.magnification)
        while self.beyond is not None and self.beyond[0] < drawn < self.beyond[1]:
            drawn = between(rng, *self.magnification)
        return drawn

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        names = ("magnification", "electrons_per_px", "probe_px")
        return {name: getattr(self, name) for name in names}

    def _sample(self, image: Array, pair: tuple[int, int], share: float, rng: Rng) -> Sample:
        first, second = pair
        told = second if second >= 0 and rng.random() > share else first
        truth = {"category": float(told) if told >= 0 else np.nan, "foreign": float(first < 0)}
        truth["several"] = float(second >= 0) if first >= 0 else np.nan
        params = {"first": float(first), "second": float(second), "share": share}
        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        return Sample(image, 1.0, none, params=params, truth=truth)


def displayed(image: Array, rng: Rng) -> Array:
    """Return counts (H, W) as a screen shows them: black level, contrast and gamma, 0 to 1."""
    low, high = np.percentile(image, [rng.uniform(0, 2), rng.uniform(97, 100)])
    shown = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    return np.asarray(shown ** np.float32(between(rng, 0.5, 1.3)), np.float32)


def mixture(side: int, unit: float, rng: Rng) -> tuple[Surface, tuple[int, int], float]:
    """Return a surface of two kinds, their places in `KINDS`, and the first one's share: side by side or on top."""
    for _ in range(_TRIES):
        over = rng.random() < 0.4
        names = (rng.choice(_BODIES), rng.choice(_GROUNDS)) if over else rng.choice(KINDS, 2, replace=False)
        first, second = (TEXTURES[str(name)](side, unit, rng) for name in names)
        if over:
            above = first.height - np.percentile(first.height, 5)
            part = above > max(1.0, 0.15 * float(np.ptp(above)))
            top = float(np.percentile(second.height, 80))
            first = Surface((above + top).astype(np.float32), first.material)
        else:
            across = turned(side, rng.uniform(0, 2 * np.pi))[1] + 0.06 * side * random_field(side, 0.15 * side, rng)
            part = across > np.quantile(across, rng.uniform(0.35, 0.65))
            first = Surface(first.height - np.median(first.height), first.material)
            second = Surface(second.height - np.median(second.height), second.material)
        share = float(part.mean())
        if LEAST_SHARE <= share <= 1 - LEAST_SHARE:
            break
    both = (np.where(part, a, b).astype(np.float32) for a, b in zip(_of(first), _of(second), strict=True))
    return Surface(*both), (KINDS.index(str(names[0])), KINDS.index(str(names[1]))), share


def _of(surface: Surface) -> tuple[Array, Array]:
    return surface.height, surface.material


def foreign_image(side: int, rng: Rng) -> Array:
    """Return an image (side, side) that is none of a surface: noise, nothing, lattices, diffraction, drawings."""
    makers: tuple[Callable[[int, Rng], NDArray[Any]], ...] = (
        _noise, _noise, _lattice, _lattice, _diffraction, _shadows, _granular, _drawing, _blank,
    )  # fmt: skip
    return displayed(np.asarray(makers[rng.integers(len(makers))](side, rng), np.float32), rng)


def _noise(side: int, rng: Rng) -> NDArray[Any]:
    white = rng.standard_normal((side, side), np.float32)
    if rng.random() < 0.5:
        white = rng.poisson(between(rng, 0.05, 20), (side, side)).astype(np.float32)
    if rng.random() < 0.5:
        return white
    return random_field(side, between(rng, 0.4, 0.5 * side), rng) + between(rng, 0.01, 1.0) * white


def _lattice(side: int, rng: Rng) -> NDArray[Any]:
    period, angle, lean = between(rng, 4, 28), rng.uniform(0, np.pi), rng.choice([np.pi / 3, np.pi / 2, 1.3])
    image = np.zeros((side, side), np.float32)
    for number in range(int(rng.integers(1, 4))):
        image += rng.uniform(0.3, 1) * np.cos(2 * np.pi * turned(side, angle + number * lean)[0] / period)
    if rng.random() < 0.5:
        image = np.exp(rng.uniform(0.5, 1.5) * image)
    if rng.random() < 0.4:
        image = image * (random_field(side, 0.1 * side, rng) > rng.uniform(-1, 0.5))
    image = (image - image.min()) / max(float(np.ptp(image)), 1e-6) + rng.uniform(0, 1)
    return np.asarray(rng.poisson(image * between(rng, 1, 100)))


def _diffraction(side: int, rng: Rng) -> NDArray[Any]:
    y, x = grid(side)
    middle = side * rng.uniform(0.45, 0.55, 2)
    r = np.hypot(y - middle[0], x - middle[1]) / side
    image = np.exp(-r / rng.uniform(0.02, 0.1))
    if rng.random() < 0.5:
        for radius in rng.uniform(0.05, 0.6, int(rng.integers(1, 8))):
            image += rng.uniform(0.02, 0.3) * np.exp(-(((r - radius) / rng.uniform(0.004, 0.015)) ** 2))
    else:
        size, pitch = between(rng, 0.8, 0.04 * side), between(rng, 0.06, 0.2) * side
        along, across = turned(side, rng.uniform(0, np.pi))
        near = np.hypot(np.mod(along, pitch) - pitch / 2, np.mod(across, pitch) - pitch / 2)
        image += rng.uniform(0.2, 1) * np.exp(-r / 0.2) * np.exp(-((near / size) ** 2))
    return np.asarray(rng.poisson(image * between(rng, 5, 500)) ** rng.choice([0.5, 1.0]))


def _shadows(side: int, rng: Rng) -> NDArray[Any]:
    """Return the shadows of particles in transmission: dark on bright, darkest in their middle."""
    none, radius = np.zeros((side, side), np.float32), side * between(rng, 0.02, 0.15)
    bodies = [
        Body("ball", at, radius * between(rng, 0.6, 1.6), rng.uniform(0, 3), rng.uniform(1, 1.5))
        for at in scattered(side, int(rng.integers(2, 40)), rng, apart=radius)
    ]
    thick = heap(Surface(none, none), bodies, rng).height / radius
    film = 0.05 * random_field(side, between(rng, 0.5, 3), rng, band=True) * rng.uniform(0, 1)
    share = np.exp(-rng.uniform(0.2, 1.5) * thick) + film
    return np.asarray(rng.poisson(np.clip(share, 0, None) * between(rng, 3, 300)))


def _granular(side: int, rng: Rng) -> NDArray[Any]:
    """Return phase contrast of an amorphous film, with fringes of a crystal where there is one."""
    image = 0.1 * random_field(side, between(rng, 0.8, 4), rng, band=True)
    if rng.random() < 0.5:
        fringes = np.cos(2 * np.pi * turned(side, rng.uniform(0, np.pi))[0] / between(rng, 3, 10))
        image += rng.uniform(0.02, 0.2) * fringes * (random_field(side, 0.15 * side, rng) > rng.uniform(-0.5, 1))
    return np.asarray(rng.poisson(np.clip(1 + image, 0, None) * between(rng, 5, 500)))


def _drawing(side: int, rng: Rng) -> NDArray[Any]:
    """Return a chart: lines and bars on white, or white on black."""
    image = np.ones((side, side), np.float32)
    columns = np.arange(side)
    for _ in range(int(rng.integers(1, 5))):
        course = side * (
            0.5 + 0.15 * random_field(side, between(rng, 0.02, 0.3) * side, rng)[0] + rng.uniform(-0.3, 0.3)
        )
        rows = np.clip(course, 0, side - 2).astype(np.intp)
        image[rows, columns] = image[rows + 1, columns] = rng.uniform(0, 0.4)
    image[int(0.9 * side), :] = image[:, int(0.1 * side)] = 0
    return 1 - image if rng.random() < 0.4 else image


def _blank(side: int, rng: Rng) -> NDArray[Any]:
    slope = turned(side, rng.uniform(0, 6.3))[0] / side * rng.uniform(0, 1)
    return rng.poisson((1 + slope) * between(rng, 2, 200)) if rng.random() < 0.7 else slope
