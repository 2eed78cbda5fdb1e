"""Classes of images without a lattice: random fields, particles, grains, fibres, layers (families of `class_pool`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Makes one clean image of a class a call.
Draw = Callable[[np.random.Generator], Array]


def random_field(side: int, middle: float, width: float, fall: float, rng: np.random.Generator) -> Array:
    """Return a random field (side, side) of standard deviation 1, whose power has a ring at `middle` (1/px) or falls.

    `width`: of the ring over its radius; a `fall` above zero is the exponent of a power law instead.
    """
    ky, kx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    k = np.hypot(ky, kx)
    power = (
        np.where(k > 0, np.maximum(k, 0.5 / side) ** -fall, 0.0)
        if fall > 0
        else np.exp(-0.5 * ((k - middle) / (width * middle)) ** 2)
    )
    spectrum = np.fft.rfft2(rng.normal(size=(side, side))) * np.sqrt(power)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(side, side))
    return np.asarray(field / max(float(field.std()), 1e-9))


def fields(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """Random fields of one look (smooth, two phases, ridges, crests) with other sizes, shares or powers."""
    look = int(rng.integers(4))
    falling = rng.random() < 0.4
    shared = rng.random() < 0.5
    first = float(np.exp(rng.uniform(np.log(0.03), np.log(0.2))))

    def draw_of() -> Draw:
        middle = first if shared else float(np.exp(rng.uniform(np.log(0.03), np.log(0.2))))
        width, fall = float(rng.uniform(0.1, 0.6)), float(rng.uniform(1.0, 4.0)) if falling else 0.0
        level, own = float(rng.normal(0, 0.7)), int(rng.integers(4)) if shared else look

        def draw(rng: np.random.Generator) -> Array:
            field = random_field(side, middle * float(np.exp(rng.normal(0, 0.04))), width, fall, rng)
            if own == 0:
                return field
            if own == 1:
                return np.tanh(4 * (field - level))
            return np.exp(-np.abs(field - level) * 3) if own == 2 else np.exp(field)

        return draw

    return [draw_of() for _ in range(ways)]


def particles(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """Particles of several shapes, sizes, numbers and looks; each family varies some of these."""
    base = _Kind.drawn(rng)
    vary = rng.random(4) < 0.5
    if not vary.any():
        vary[:] = True

    def draw_of() -> Draw:
        own, kind = _Kind.drawn(rng), base
        names = (("corners", "aspect"), ("radius", "spread"), ("covered",), ("look", "rim"))
        for changes, group in zip(vary, names, strict=True):
            if changes:
                kind = kind.with_(**{name: getattr(own, name) for name in group})
        return lambda rng: kind.image(side, rng)

    return [draw_of() for _ in range(ways)]


class _Kind:
    """Particles of one class: corners (0: round), aspect, radius (px), its spread, covered share, look, rim."""

    def __init__(self, **values: float) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> float:
        raise AttributeError(name)

    @staticmethod
    def drawn(rng: np.random.Generator) -> _Kind:
        return _Kind(
            corners=float(rng.choice([0, 0, 3, 4, 6])),
            aspect=float(np.exp(rng.choice([0.0, rng.uniform(0.3, 1.3)]))),
            radius=float(np.exp(rng.uniform(np.log(2.0), np.log(13.0)))),
            spread=float(rng.choice([0.05, 0.15, 0.4])),
            covered=float(np.exp(rng.uniform(np.log(0.06), np.log(0.5)))),
            look=float(rng.choice([1.0, 1.0, -1.0])),
            rim=float(rng.choice([0.0, 0.0, 1.0, 2.0])),
        )

    def with_(self, **values: float) -> _Kind:
        return _Kind(**{**self.__dict__, **values})

    def image(self, side: int, rng: np.random.Generator) -> Array:
        """Return a clean image of particles at random places."""
        y, x = np.mgrid[:side, :side].astype(float)
        count = max(1, int(rng.poisson(self.covered * side**2 / (np.pi * self.radius**2 * self.aspect**0.5))))
        seen = np.zeros((side, side))
        for _ in range(min(count, 90)):
            centre, turn = rng.uniform(-2, side + 2, 2), rng.uniform(0, 2 * np.pi)
            size = self.radius * float(np.exp(rng.normal(0, self.spread)))
            v = (y - centre[0]) * np.cos(turn) - (x - centre[1]) * np.sin(turn)
            u = ((y - centre[0]) * np.sin(turn) + (x - centre[1]) * np.cos(turn)) / self.aspect
            if self.corners:
                sector = 2 * np.pi / self.corners
                angle = (np.arctan2(v, u) % sector) - sector / 2
                distance = np.hypot(u, v) * np.cos(angle) / np.cos(sector / 2) ** 0.5
            else:
                distance = np.hypot(u, v)
            inside = 1 / (1 + np.exp(np.clip(2.0 * (distance - size), -30, 30)))
            one = inside + self.rim * np.exp(-((distance - size) ** 2) / 2) - (0.5 * self.rim > 0.7) * 0.5 * inside
            seen = np.maximum(seen, one) if self.rim == 0 else seen + one
        return self.look * seen


def textures(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """Grains, fibres, layers, facets and pillars, each family with one or several of them; or surfaces in an SEM."""
    if rng.random() < 0.35:
        return _surfaces(side, ways, rng)
    kinds = [int(rng.integers(5))] * ways if rng.random() < 0.5 else rng.integers(0, 5, ways).tolist()
    makers = (_grains, _fibres, _layers, _crystals, _pillars)
    return [makers[kind](side, rng) for kind in kinds]


def _surfaces(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """Kinds of surfaces as a scanning electron microscope shows them, at one magnification."""
    from micrograph.simulate.secondary.sem import secondary_yield
    from micrograph.simulate.secondary.sem_textures import TEXTURES

    names = rng.permutation(sorted(TEXTURES))[:ways]
    unit = side * float(np.exp(rng.uniform(0, 0.8)))

    def draw_of(name: str) -> Draw:
        def draw(rng: np.random.Generator) -> Array:
            surface = TEXTURES[name](side, unit, rng)
            return np.asarray(secondary_yield(surface.height, surface.material, 1.0, escape_nm=1.5), np.float64)

        return draw

    return [draw_of(str(name)) for name in names]


def _grains(side: int, rng: np.random.Generator) -> Draw:
    count, look = float(np.exp(rng.uniform(np.log(4), np.log(70)))), int(rng.integers(4))

    def draw(rng: np.random.Generator) -> Array:
        from scipy.spatial import cKDTree

        seeds = rng.uniform(-10, side + 10, (max(3, int(rng.poisson(count * (1 + 20 / side) ** 2))), 2))
        place = np.argwhere(np.ones((side, side), bool))
        found = cKDTree(seeds).query(place, k=2)
        near, which = np.asarray(found[0]), np.asarray(found[1])
        gap = (near[:, 1] - near[:, 0]).reshape(side, side)
        level = rng.uniform(0, 1, len(seeds))[which[:, 0]].reshape(side, side)
        edge = np.exp(-gap / 1.5)
        return np.asarray((level, level - edge, edge, level * 0.4 + edge)[look])

    return draw


def _fibres(side: int, rng: np.random.Generator) -> Draw:
    count, width = float(np.exp(rng.uniform(np.log(3), np.log(40)))), float(np.exp(rng.uniform(0, np.log(5))))
    order, bend = float(rng.choice([0.1, 0.5, 3.0])), float(rng.choice([0.0, 0.0, 6.0]))

    def draw(rng: np.random.Generator) -> Array:
        y, x = np.mgrid[:side, :side] - side / 2
        lead, image = rng.uniform(0, np.pi), np.zeros((side, side))
        for _ in range(max(1, int(rng.poisson(count)))):
            turn = lead + rng.normal(0, order)
            across = y * np.cos(turn) - x * np.sin(turn)
            along = y * np.sin(turn) + x * np.cos(turn)
            path = rng.uniform(-0.6, 0.6) * side + bend * np.sin(along / rng.uniform(5, 12) + rng.uniform(0, 6.3))
            profile = np.clip(1 - ((across - path) / width) ** 2, 0, None) ** 0.5
            image = np.maximum(image, profile * rng.uniform(0.5, 1.0))
        return image

    return draw


def _layers(side: int, rng: np.random.Generator) -> Draw:
    period, wave = float(np.exp(rng.uniform(np.log(4), np.log(24)))), float(rng.choice([0.0, 1.0, 4.0]))
    sharp, share = float(rng.choice([1.0, 6.0])), float(rng.uniform(-0.6, 0.6))

    def draw(rng: np.random.Generator) -> Array:
        y, x = np.mgrid[:side, :side].astype(float)
        turn = rng.uniform(0, 2 * np.pi)
        bent = wave * random_field(side, 0.03, 0.5, 0.0, rng)
        phase = (y * np.cos(turn) + x * np.sin(turn) + bent) * 2 * np.pi / (period * rng.normal(1, 0.03))
        return np.asarray(np.tanh(sharp * (np.sin(phase + rng.uniform(0, 6.3)) - share)))

    return draw


def _crystals(side: int, rng: np.random.Generator) -> Draw:
    """Facets: the highest of many tilted planes, lit from one side."""
    count, steep = float(np.exp(rng.uniform(np.log(4), np.log(60)))), float(rng.uniform(0.3, 1.5))

    def draw(rng: np.random.Generator) -> Array:
        y, x = np.mgrid[:side, :side].astype(float)
        height = np.full((side, side), -1e9)
        for _ in range(max(2, int(rng.poisson(count)))):
            centre, slope = rng.uniform(0, side, 2), rng.normal(0, steep, 2)
            cone = -np.maximum(np.abs(y - centre[0]), np.abs(x - centre[1])) * steep
            height = np.maximum(height, cone + 0.3 * (slope[0] * (y - centre[0]) + slope[1] * (x - centre[1])))
        down, across = np.gradient(height)
        return np.asarray(down * 0.6 + across + 0.2 * np.hypot(down, across))

    return draw


def _pillars(side: int, rng: np.random.Generator) -> Draw:
    """A net of round or square pillars with bright rims."""
    pitch, share = float(np.exp(rng.uniform(np.log(8), np.log(24)))), float(rng.uniform(0.25, 0.42))
    square, rim = rng.random() < 0.5, float(rng.choice([0.3, 1.0]))

    def draw(rng: np.random.Generator) -> Array:
        y, x = np.mgrid[:side, :side].astype(float)
        turn = rng.uniform(0, 2 * np.pi)
        u = (y * np.cos(turn) - x * np.sin(turn) + rng.uniform(0, pitch)) % pitch - pitch / 2
        v = (y * np.sin(turn) + x * np.cos(turn) + rng.uniform(0, pitch)) % pitch - pitch / 2
        distance = np.maximum(np.abs(u), np.abs(v)) if square else np.hypot(u, v)
        inside = 1 / (1 + np.exp(np.clip(2 * (distance - share * pitch), -30, 30)))
        return np.asarray(inside * 0.5 + rim * np.exp(-((distance - share * pitch) ** 2) / 1.5))

    return draw
