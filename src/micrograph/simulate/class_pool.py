"""Procedural classes without end, to learn features from that suit classes nobody has named yet.

A family is a handful of classes that are much alike (defects of one host lattice, fields of one kind with other sizes);
a class is a recipe for images; an image adds what does not matter: turn, place, strain, contrast, brightness, dose.
The pool holds no material: its lattices are random, honeycombs and the nets of named materials are left out on purpose,
so that these can be held out when features are judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate import class_fields
from micrograph.simulate.class_fields import Array, Draw
from micrograph.simulate.scanning.lattice_images import spots

#: What an image of the pool may show: the kinds of families.
KINDS = ("lattice", "defect", "boundary", "field", "particles", "texture", "diffraction")
#: Families of each kind are drawn this often.
_SHARES = (0.18, 0.42, 0.07, 0.09, 0.08, 0.10, 0.06)


@dataclass(frozen=True)
class Net:
    """A random net of columns: cell (2, 2) px, rows a and b as (y, x); sites (M, 2) in shares of it; heights (M,);
    spot: 1-sigma of a column (px).
    """

    cell: Array
    sites: Array
    heights: Array
    spot: float


@dataclass(frozen=True)
class Change:
    """A defect at the middle: what becomes of the columns next to it, in units of the shortest distance of columns.

    factors: by what the heights of the nearest columns are multiplied, nearest first; push: how far the others give
    way; added: (K, 3) further columns, y, x and height; turn_deg: by what angle the nearest pair is turned.
    """

    factors: tuple[float, ...] = ()
    push: float = 0.0
    added: tuple[tuple[float, float, float], ...] = ()
    turn_deg: float = 0.0


@dataclass(frozen=True)
class ClassPool:
    """The pool. side_px: of its images; ways: classes of a family; signal: bright pixels over noise (log-uniform)."""

    side_px: int = 64
    ways: int = 5
    signal: tuple[float, float] = (0.7, 12.0)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image, whose truth is the place of its kind in `KINDS`."""
        kind = int(rng.choice(len(KINDS), p=_SHARES))
        image = self.family(rng, KINDS[kind])[0](rng)
        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        return Sample(image, 1.0, none, truth={"kind": float(kind)})

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        return {"side_px": (float(self.side_px),) * 2, "signal_to_noise": self.signal}

    def family(self, rng: np.random.Generator, kind: str) -> list[Callable[[np.random.Generator], NDArray[np.float32]]]:
        """Return `ways` classes of a family: each makes one image (side_px, side_px) a call."""
        draws = _FAMILIES[kind](self.side_px, self.ways, rng)
        noise = float(rng.uniform(0.3, 1.0))
        return [self._class(draw, noise) for draw in draws]

    def drawn(self, rng: np.random.Generator, images: int) -> tuple[NDArray[np.float32], int]:
        """Return `images` of each class of one family (ways, images, side_px, side_px), and the place of its kind."""
        kind = int(rng.choice(len(KINDS), p=_SHARES))
        made = [[one(rng) for _ in range(images)] for one in self.family(rng, KINDS[kind])]
        return np.array(made, np.float32), kind

    def _class(self, draw: Draw, noise: float) -> Callable[[np.random.Generator], NDArray[np.float32]]:
        def image(rng: np.random.Generator) -> NDArray[np.float32]:
            return self._recorded(draw(rng), noise, rng)

        return image

    def _recorded(self, clean: Array, counted: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return a clean image as it is recorded: gamma, uneven light, counting noise of its signal, and even noise."""
        low, high = np.quantile(clean, (0.01, 0.99))
        scaled = np.clip((clean - low) / max(high - low, 1e-9), -0.3, 1.6)
        scaled = np.sign(scaled) * np.abs(scaled) ** float(np.exp(rng.normal(0, 0.15)))
        place = np.linspace(-0.5, 0.5, self.side_px)
        slope = rng.normal(0, 0.15, 2)
        scaled = scaled * (1 + rng.normal(0, 0.1) + slope[0] * place[:, None] + slope[1] * place)
        signal = float(np.exp(rng.uniform(*np.log(self.signal))))
        share = counted * np.clip(scaled, 0, None) + (1 - counted) * 0.5 + 0.05
        return np.asarray(scaled + rng.normal(size=scaled.shape) * np.sqrt(share) / signal, np.float32)


def random_net(rng: np.random.Generator, spacing: tuple[float, float] = (5.0, 13.0)) -> Net:
    """Return a random net of one to four columns a cell that is no honeycomb."""
    while True:
        ratio, angle = float(np.exp(rng.uniform(0, 0.7))), float(rng.choice([90, 90, 60, rng.uniform(60, 90)]))
        turn = np.deg2rad(angle)
        cell = np.array([[0.0, 1.0], [ratio * np.sin(turn), ratio * np.cos(turn)]])
        if angle == 60 and rng.random() < 0.7:
            cell[1] /= ratio
        count = int(rng.choice([1, 2, 3, 4], p=[0.3, 0.35, 0.2, 0.15]))
        special = rng.integers(0, 5, (count, 2)) / rng.choice([2.0, 4.0])
        sites = np.where(rng.random((count, 1)) < 0.4, special % 1, rng.uniform(0, 1, (count, 2)))
        sites -= sites[0]
        nearest = _nearest(cell, sites)
        if nearest > 0.3 and not _is_honeycomb(cell, sites):
            break
    size = float(np.exp(rng.uniform(*np.log(spacing)))) / np.sqrt(nearest)
    heights = np.where(rng.random(count) < 0.4, 1.0, rng.uniform(0.15, 1.0, count))
    spot = float(rng.uniform(0.2, 0.42)) * size * nearest
    return Net(cell * size, sites, heights / heights.max(), min(max(spot, 0.9), 3.5))


def _nearest(cell: Array, sites: Array) -> float:
    """Return the shortest distance of two columns."""
    steps = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2, indexing="ij"), -1).reshape(-1, 2)
    away = (sites[:, None, None] - sites[None, :, None] + steps) @ cell
    distance = np.hypot(away[..., 0], away[..., 1])
    distance[np.arange(len(sites)), np.arange(len(sites)), len(steps) // 2] = np.inf  # a column and itself
    return float(distance.min())


def _is_honeycomb(cell: Array, sites: Array) -> bool:
    """Return whether two of the columns of a hexagonal cell stand where those of a honeycomb do."""
    lengths = np.hypot(*cell.T)
    hexagonal = abs(lengths[0] / lengths[1] - 1) < 0.05 and abs(abs(cell[0] @ cell[1]) / lengths.prod() - 0.5) < 0.05
    third = (sites[:, None] - sites[None]) % 1
    near = np.minimum(np.abs(third - 1 / 3), np.abs(third - 2 / 3)).max(axis=-1)
    return bool(hexagonal and (near < 0.08).any())


def columns_of(net: Net, side: int, rng: np.random.Generator, *, turn: bool = True) -> tuple[Array, Array]:
    """Return the places (N, 2) px from the middle of a randomly turned, slightly strained net, and heights (N,)."""
    angle = rng.uniform(0, 2 * np.pi) if turn else 0.0
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        rotation = rotation * np.array([1.0, -1.0])
    cell = net.cell @ rotation @ (np.eye(2) * rng.normal(1, 0.015) + rng.normal(0, 0.008, (2, 2)))
    reach = int(np.ceil(0.9 * side / np.sqrt(np.abs(np.linalg.det(cell))) * 1.6)) + 2
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), -1).reshape(-1, 2)
    places = ((steps[:, None] + net.sites).reshape(-1, 2)) @ cell
    heights = np.tile(net.heights, len(steps))
    near = np.abs(places).max(axis=1) < side / 2 + 14
    return places[near], heights[near]


def seen(net: Net, places: Array, heights: Array, side: int, rng: np.random.Generator) -> Array:
    """Return the image of columns at places from the middle, with thermal scatter and a somewhat other focus."""
    scattered = places + rng.normal(0, 0.03 * net.spot * 2, places.shape) + (side - 1) / 2
    return spots(scattered, heights, net.spot * float(np.exp(rng.normal(0, 0.08))), side)


def _lattices(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """Nets of about one spacing; in half of the families with one motif or one cell in common."""
    first = random_net(rng)
    nets = [first, *(random_net(rng) for _ in range(ways - 1))]
    size = np.sqrt(np.abs(np.linalg.det(first.cell)))
    same = rng.random() < 0.6
    alike = [replace(n, cell=n.cell * (size / np.sqrt(np.abs(np.linalg.det(n.cell))) if same else 1.0)) for n in nets]
    alike = [replace(n, spot=first.spot if same else n.spot) for n in alike]
    if rng.random() < 0.3:  # one cell, other motifs
        alike = [_varied(first, rng) if at else first for at in range(ways)]

    def draw_of(net: Net) -> Draw:
        def draw(rng: np.random.Generator) -> Array:
            places, heights = columns_of(net, side, rng)
            return seen(net, places + rng.uniform(-8, 8, 2), heights, side, rng)

        return draw

    return [draw_of(net) for net in alike]


def _varied(net: Net, rng: np.random.Generator) -> Net:
    """Return a net of the same cell with other heights, or one more column where there is room."""
    for _ in range(20):
        extra = np.concatenate([net.sites, rng.uniform(0, 1, (1, 2))])
        if _nearest(net.cell, extra) > 2.2 * net.spot and not _is_honeycomb(net.cell, extra):
            return replace(net, sites=extra, heights=np.append(net.heights, rng.uniform(0.25, 1.0)))
    return replace(net, heights=net.heights * rng.uniform(0.3, 1.0, len(net.heights)))


def random_change(rng: np.random.Generator, columns: int) -> Change:
    """Return a random defect."""
    kind = int(rng.integers(8))
    factor = float(rng.choice([0.0, 0.5, 0.7, 1.5, 2.2, 3.0]))
    if kind <= 1:
        return Change((factor,), push=float(rng.normal(0, 0.06)))
    if kind == 2:
        return Change((0.0,) * int(rng.integers(1, 4)), push=float(rng.normal(0, 0.1)))
    if kind == 3:
        other = float(rng.choice([0.0, 0.5, 1.6, 2.5]))
        return Change((factor, other), push=float(rng.normal(0, 0.06)))
    if kind == 4:
        return Change((1.0,) * int(rng.integers(1, 3)) + (factor,) * int(rng.integers(1, 3)))
    if kind == 5:
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7)
        place = (far * np.sin(angle), far * np.cos(angle), float(rng.choice([0.6, 1.0, 2.0])))
        return Change((), added=(place,), push=float(rng.uniform(0, 0.15)))
    if kind == 6:
        return Change((1.0, 1.0), turn_deg=float(rng.choice([30, 60, 90])), push=float(rng.normal(0, 0.05)))
    return Change((0.0, 0.0), added=((0.0, 0.0, float(rng.uniform(0.8, 2.5))),), push=float(rng.normal(0, 0.06)))


def changed(places: Array, heights: Array, change: Change) -> tuple[Array, Array]:
    """Return columns after a `change` at the origin."""
    places, heights = places.copy(), heights.copy()
    distance = np.hypot(*places.T)
    order = np.argsort(distance)
    unit = float(np.sort(np.hypot(*(places - places[order[0]]).T))[1])
    away = places / np.maximum(distance, 0.3 * unit)[:, None]
    places += change.push * unit * np.exp(-((distance / (1.6 * unit)) ** 2))[:, None] * away
    for place, factor in zip(order, change.factors, strict=False):
        heights[place] *= factor
    if change.turn_deg:
        pair, turn = order[:2], np.deg2rad(change.turn_deg)
        middle = places[pair].mean(axis=0)
        matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        places[pair] = (places[pair] - middle) @ matrix + middle
    if change.added:
        more = np.array(change.added)
        places = np.concatenate([places, more[:, :2] * unit])
        heights = np.concatenate([heights, more[:, 2] * float(np.median(heights))])
    return places, heights


def _defects(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """Defects of one net, its own perfect state among them; some families have stray defects farther out."""
    net = random_net(rng, (6.0, 15.0))
    first = int(rng.integers(len(net.sites)))
    changes: list[tuple[int, Change]] = [(first, Change())]
    while len(changes) < ways:
        site = first if rng.random() < 0.5 else int(rng.integers(len(net.sites)))
        changes.append((site, random_change(rng, len(net.sites))))
    if rng.random() < 0.4:
        changes[0] = (first, random_change(rng, len(net.sites)))
    stray = float(rng.choice([0.0, 0.0, 0.03, 0.08]))
    off = float(rng.uniform(0.3, 3.0))

    def draw_of(site: int, change: Change) -> Draw:
        def draw(rng: np.random.Generator) -> Array:
            return _defective(net, site, change, side, stray, off, rng)

        return draw

    return [draw_of(site, change) for site, change in changes]


def _defective(
    net: Net, site: int, change: Change, side: int, stray: float, off: float, rng: np.random.Generator
) -> Array:
    """Return an image with a change at `site` in the middle, and strayed ones in a share of the columns farther out."""
    centred = replace(net, sites=net.sites - net.sites[site])
    places, heights = columns_of(centred, side, rng)
    far = np.hypot(*places.T) > 0.22 * side
    hit = far & (rng.random(len(places)) < stray)
    heights = np.where(hit, heights * rng.choice([0.0, 0.5, 1.8], len(places)), heights)
    places, heights = changed(places, heights, change)
    return seen(net, places + rng.normal(0, off, 2), heights, side, rng)


def _boundaries(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """One net: whole, ending in a vacuum, twinned, turned by some angle, under another one, half amorphous."""
    net, over = random_net(rng, (5.0, 10.0)), random_net(rng, (5.0, 10.0))
    angles = rng.uniform(5, 45, ways)
    kinds = rng.permutation(6)[:ways]

    def draw_of(kind: int, angle: float) -> Draw:
        def draw(rng: np.random.Generator) -> Array:
            places, heights = columns_of(net, side, rng)
            direction = rng.uniform(0, 2 * np.pi)
            normal = np.array([np.sin(direction), np.cos(direction)])
            beyond = places @ normal > rng.normal(0, 0.06 * side)
            if kind == 0:
                heights = np.where(beyond, 0.0, heights)
            elif kind == 1:
                places = np.where(beyond[:, None], places - 2 * (places @ normal)[:, None] * normal, places)
            elif kind == 2:
                turn = np.deg2rad(angle)
                matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
                other, more = places @ matrix, heights
                kept = other @ normal > 0
                places = np.concatenate([places[~beyond], other[kept]])
                heights = np.concatenate([heights[~beyond], more[kept]])
            elif kind == 3:
                other, more = columns_of(over, side, rng)
                places, heights = np.concatenate([places, other]), np.concatenate([heights, 0.7 * more])
            elif kind == 4:
                places = places + np.where(beyond[:, None], rng.normal(0, 2.0, places.shape), 0.0)
            return seen(net, places, heights, side, rng)

        return draw

    return [draw_of(int(kind), float(angle)) for kind, angle in zip(kinds, angles, strict=True)]


def _diffraction(side: int, ways: int, rng: np.random.Generator) -> list[Draw]:
    """Spots or rings of random nets about a bright middle."""
    rings = rng.random() < 0.3
    nets = [random_net(rng, (7.0, 14.0)) for _ in range(ways)]
    width, fall = float(rng.uniform(0.9, 2.2)), float(rng.uniform(9, 20))

    def draw_of(net: Net, radii: Array) -> Draw:
        def draw(rng: np.random.Generator) -> Array:
            y, x = np.mgrid[:side, :side] - (side - 1) / 2
            radius = np.hypot(y, x)
            glow = 1.5 * np.exp(-radius / 5)
            if rings:
                return np.asarray(glow + sum(np.exp(-(((radius - r) / width) ** 2)) * np.exp(-r / fall) for r in radii))
            places, _ = columns_of(net, side, rng)
            phase = np.exp(2j * np.pi * (places @ np.linalg.inv(net.cell)) @ net.sites.T * 3) @ net.heights
            heights = np.abs(phase) * np.exp(-np.hypot(*places.T) / fall) * rng.lognormal(0, 0.25, len(places))
            return np.asarray(glow + spots(places + (side - 1) / 2, heights, width, side))

        return draw

    return [draw_of(net, np.sort(rng.uniform(5, 30, int(rng.integers(2, 6))))) for net in nets]


_FAMILIES: dict[str, Callable[[int, int, np.random.Generator], list[Draw]]] = {
    "lattice": _lattices,
    "defect": _defects,
    "boundary": _boundaries,
    "field": class_fields.fields,
    "particles": class_fields.particles,
    "texture": class_fields.textures,
    "diffraction": _diffraction,
}
