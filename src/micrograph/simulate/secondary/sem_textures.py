"""Ten kinds of surfaces as scanning electron microscopes show them, made by rule, over wide ranges.

The kinds are those of the images of Modarres et al. 2017 (doi:10.1038/s41598-017-13565-z).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from micrograph.simulate.secondary.sem_devices import mems
from micrograph.simulate.secondary.sem_shapes import (
    Body,
    Places,
    Surface,
    Thread,
    between,
    cells,
    flat,
    heap,
    random_field,
    scattered,
    threads,
    turned,
)

Rng = np.random.Generator
#: Makes a surface of `side` pixels in which a unit of length has so many pixels.
Texture = Callable[[int, float, Rng], Surface]


def _place(side: int, rng: Rng, number: int, apart: float, margin: float) -> Places:
    """Return places, scattered or in clusters."""
    if number < 5 or rng.random() < 0.6:
        return scattered(side, number, rng, apart=apart, margin=margin)
    middles = scattered(side, int(rng.integers(1, 5)), rng)
    wide = rng.uniform(0.08, 0.3) * side
    return np.asarray(middles[rng.integers(0, len(middles), number)] + wide * rng.standard_normal((number, 2)))


def _number(side: int, radius: float, covered: float, most: int = 110) -> int:
    return int(np.clip(covered * side**2 / (np.pi * radius**2), 1, most))


def biological(side: int, unit: float, rng: Rng) -> Surface:
    """Return cells in a heap, bacteria, a tissue, or grains of pollen."""
    return (_blood, _bacteria, _tissue, _pollen)[rng.integers(4)](side, unit, rng)


def _blood(side: int, unit: float, rng: Rng) -> Surface:
    radius, bodies = unit * between(rng, 0.06, 0.16), []
    for at in _place(side, rng, _number(side, radius, rng.uniform(0.3, 1.3)), 0.8 * radius, radius):
        lift, long = rng.uniform(0, 0.5) * radius, 1 / rng.uniform(0.45, 1.0)
        own = radius * rng.uniform(0.9, 1.1) / np.sqrt(long)
        bodies.append(Body("disc", at, own, rng.uniform(0, np.pi), long, 1.0, lift, rng.uniform(0.5, 0.6)))
    found = heap(flat(side, rng), bodies, rng)
    skin = random_field(side, radius * 0.15, rng) * rng.uniform(0, 0.03) * radius
    return Surface(found.height + skin, found.material)


def _bacteria(side: int, unit: float, rng: Rng) -> Surface:
    radius, long, tone = unit * between(rng, 0.02, 0.05), rng.uniform(1.8, 4), rng.uniform(0.45, 0.7)
    number, bodies = _number(side, radius * np.sqrt(long), rng.uniform(0.15, 0.9)), []
    for at in _place(side, rng, number, 1.2 * radius, radius):
        angle, own = rng.uniform(0, np.pi), radius * rng.uniform(0.85, 1.15)
        length = long * rng.uniform(0.7, 1.4)
        lift = rng.uniform(0, 0.8) * radius
        bodies.append(Body("rod", at, own, angle, length, 1.0, lift, tone))
        if rng.random() < 0.5:  # dividing: a second half of the rod behind a waist
            behind = at + 1.8 * own * length * np.array([np.sin(angle), np.cos(angle)])
            bodies.append(Body("rod", behind, own, angle + rng.normal(0, 0.15), length, 1.0, lift, tone))
    found = heap(flat(side, rng, rough=1.0), bodies, rng)
    skin = random_field(side, max(radius * 0.3, 1.0), rng) * rng.uniform(0, 0.06) * radius
    return Surface(found.height + skin, found.material)


def _tissue(side: int, unit: float, rng: Rng) -> Surface:
    size = unit * between(rng, 0.1, 0.3)
    border, _ = cells(side, size, rng, warp=rng.uniform(0.05, 0.2) * size)
    wide = rng.uniform(0.1, 0.35) * size
    wall = np.exp(-((border / (rng.uniform(0.25, 0.6) * wide)) ** 2))
    nucleus = np.sqrt(np.clip(border / (rng.uniform(0.22, 0.3) * size) - 1, 0, 1))
    shape = rng.uniform(0.5, 1.2) * wall + rng.uniform(0.6, 1.2) * nucleus
    wrinkles = random_field(side, rng.uniform(0.06, 0.15) * size, rng, band=True, stretch=rng.uniform(1, 4))
    height = size * (rng.uniform(0.15, 0.4) * shape + rng.uniform(0.0, 0.03) * wrinkles)
    return Surface(height.astype(np.float32), np.full((side, side), 0.5, np.float32))


def _pollen(side: int, unit: float, rng: Rng) -> Surface:
    radius, found = unit * between(rng, 0.15, 0.38), flat(side, rng, rough=1.0)
    long, size, kind = rng.uniform(1, 1.5), between(rng, 0.06, 0.2), rng.random()
    for at in scattered(side, int(rng.integers(1, 6)), rng, apart=1.5 * radius):
        found = heap(found, [Body("ball", at, radius, rng.uniform(0, 3), long, 0.9, 0.0, 0.5)], rng)
    body = found.height > np.percentile(found.height, 5) + 0.15 * radius
    if kind < 0.5:
        border, _ = cells(side, size * radius * 1.6, rng, warp=0.1 * size * radius)
        bumps = np.clip(1 - border / (0.5 * size * radius), 0, 1) * rng.choice([-0.6, 0.6])
    else:
        bumps = 2 * np.clip(random_field(side, size * radius * 0.5, rng, band=True) - 0.6, 0, None)
    return Surface((found.height + body * bumps * size * radius).astype(np.float32), found.material)


def fibres(side: int, unit: float, rng: Rng) -> Surface:
    """Return a mat of long curved threads."""
    radius = unit * between(rng, 0.006, 0.035)
    number = int(np.clip(rng.uniform(0.3, 2.2) * side / (2 * radius), 4, 45))
    main, spread = rng.uniform(0, np.pi), between(rng, 0.08, 1.6)
    lines = [
        Thread(
            angle=main + rng.normal(0, spread),
            offset=rng.uniform(-0.6, 0.6) * side,
            radius=radius * between(rng, 0.6, 1.6),
            wave=unit * between(rng, 0.5, 2.5),
            bend=unit * between(rng, 0.005, 0.06),
            lift=place * radius * rng.uniform(0.1, 0.6),
            tone=rng.uniform(0.5, 0.65),
        )
        for place in range(number)
    ]
    return threads(flat(side, rng, (0.08, 0.35)), lines, rng)


def films(side: int, unit: float, rng: Rng) -> Surface:
    """Return a film: of grains, cracked, with pinholes, wrinkled, or cut so that its layers show."""
    return (_grains, _cracked, _pinholes, _wrinkled, _layers)[rng.integers(5)](side, unit, rng)


def _grains(side: int, unit: float, rng: Rng) -> Surface:
    size = max(unit * between(rng, 0.025, 0.07), 3.0)
    border, which = cells(side, size, rng, warp=rng.uniform(0, 0.1) * size)
    lift = rng.standard_normal(int(which.max()) + 1)[which] * rng.uniform(0, 0.1) * size
    groove = -rng.uniform(0.1, 0.4) * size * np.exp(-border / (0.15 * size))
    tone = 0.5 + rng.uniform(0, 0.08) * rng.standard_normal(int(which.max()) + 1)[which]
    return Surface((lift + groove).astype(np.float32), np.clip(tone, 0.2, 0.9).astype(np.float32))


def _cracked(side: int, unit: float, rng: Rng) -> Surface:
    size, base = unit * between(rng, 0.15, 0.6), flat(side, rng, (0.4, 0.6), rough=0.4)
    border, _ = cells(side, size, rng, warp=rng.uniform(0.02, 0.15) * size)
    wide = max(size * between(rng, 0.008, 0.05), 0.8)
    depth = np.clip(1 - (border - wide) / 1.0, 0, 1) * wide * rng.uniform(1.5, 6)
    tilt = rng.uniform(-0.02, 0.02) * border
    dark = np.where(border < wide, rng.uniform(0.2, 0.7), 1.0)
    return Surface((base.height - depth + tilt).astype(np.float32), (base.material * dark).astype(np.float32))


def _pinholes(side: int, unit: float, rng: Rng) -> Surface:
    base, radius = flat(side, rng, (0.4, 0.6), rough=0.5), unit * between(rng, 0.012, 0.04)
    bumps = []
    for at in scattered(side, int(rng.integers(2, 14)), rng):
        bumps.append(Body("ball", at, radius * between(rng, 0.5, 2.0), flat=rng.uniform(0.1, 0.4), tone=0.5))
    domes = heap(Surface(np.zeros((side, side), np.float32), base.material), bumps, rng)
    sign = -rng.uniform(1, 5) if rng.random() < 0.6 else 1.0
    return Surface(base.height + np.float32(sign) * domes.height, base.material)


def _wrinkled(side: int, unit: float, rng: Rng) -> Surface:
    size = unit * between(rng, 0.015, 0.1)
    waves = random_field(side, size, rng, band=True, stretch=rng.uniform(1, 3))
    if rng.random() < 0.4:
        waves = random_field(side, size * 0.5, rng, stretch=rng.uniform(1, 1.5))
    height = size * rng.uniform(0.08, 0.25) * waves
    return Surface(height.astype(np.float32), np.full((side, side), rng.uniform(0.4, 0.6), np.float32))


def _layers(side: int, unit: float, rng: Rng) -> Surface:
    _, across = turned(side, rng.normal(0, 0.1))
    wavy = rng.uniform(0.2, 0.02 * unit) * random_field(side, 0.08 * side, rng)[side // 2][None]
    depth = across + wavy
    borders = np.sort(rng.uniform(-0.4, 0.45, int(rng.integers(2, 6)))) * side
    layer = np.searchsorted(borders, depth)
    tones, lifts = rng.uniform(0.15, 0.75, len(borders) + 1), rng.uniform(0, 4, len(borders) + 1)
    grain = np.array([rng.uniform(0, 0.5) for _ in lifts])[layer]
    stretch = rng.uniform(1, 4)
    height = lifts[layer] + grain * random_field(side, between(rng, 0.01, 0.04) * side, rng, stretch=stretch)
    height = height + 30.0 * (layer > 0)
    return Surface(height.astype(np.float32), tones[layer].astype(np.float32))


def nanowires(side: int, unit: float, rng: Rng) -> Surface:
    """Return thin straight wires, lying anyhow, in bundles, or standing as a forest."""
    radius, kind = max(unit * between(rng, 0.005, 0.011), 0.9), rng.random()
    long = np.clip(unit * between(rng, 0.12, 0.6) / radius, 16, 160)
    number = int(np.clip(side**2 * rng.uniform(0.12, 0.9) / (4 * long * radius**2), 12, 170))
    main, spread = rng.uniform(0, np.pi), 9.0 if kind < 0.45 else between(rng, 0.05, 0.5)
    if kind > 0.8:
        main, long = np.pi / 2, long * 0.6
    bodies = []
    for place, at in enumerate(scattered(side, number, rng, margin=0.3 * long * radius)):
        own, lift = radius * between(rng, 0.7, 1.4), place * radius * rng.uniform(0.0, 0.3)
        angle, length = main + rng.normal(0, spread), long * between(rng, 0.5, 1.5) / 2
        bodies.append(Body("rod", at, own, angle, length, 1.0, lift, rng.uniform(0.55, 0.75)))
        if kind > 0.65:  # a drop of the catalyst at the end
            end = at - own * length * np.array([np.sin(angle), np.cos(angle)])
            bodies.append(Body("ball", end, 1.4 * own, lift=lift, tone=1.0))
    return heap(flat(side, rng, (0.12, 0.4)), bodies, rng)


def particles(side: int, unit: float, rng: Rng) -> Surface:
    """Return particles on a substrate, apart or in groups: balls, cubes, plates, ellipsoids."""
    radius, kind = unit * between(rng, 0.025, 0.1), str(rng.choice(["ball", "ball", "box", "ball", "grain"]))
    tone, spread, oval = rng.uniform(0.5, 1.0), rng.uniform(0.02, 0.35), rng.uniform(1, 1.6)
    number = _number(side, radius, rng.uniform(0.06, 0.6), most=130)
    height, bodies = rng.uniform(0.5, 1.0) if kind != "box" else rng.uniform(0.3, 1.5), []
    for at in _place(side, rng, number, 1.6 * radius, 0.0):
        own = radius * float(np.exp(spread * rng.standard_normal()))
        long = oval * rng.uniform(0.9, 1.1) if oval > 1.1 else 1.0
        bodies.append(Body(kind, at, own, rng.uniform(0, np.pi), max(long, 1.0), height, 0.0, tone))
    return heap(flat(side, rng, (0.12, 0.45)), bodies, rng)


def patterned(side: int, unit: float, rng: Rng) -> Surface:
    """Return a regular pattern: lines, or pillars, holes or rings on a lattice."""
    period, angle = max(unit * between(rng, 0.06, 0.28), 6.0), rng.uniform(0, np.pi)
    along, across = (part / np.float32(period) for part in turned(side, angle))
    kind, duty = rng.integers(5), rng.uniform(0.25, 0.75)
    if kind == 0:
        wave = np.abs(np.mod(across, 1) - 0.5) * 2
    else:
        tall = float(rng.choice([1.0, np.sqrt(3) / 2, rng.uniform(0.7, 1.4)]))
        row = np.round(across / tall)
        shift = 0.5 * np.mod(row, 2) if tall < 0.9 or rng.random() < 0.2 else 0.0
        u, v = np.mod(along + shift + 0.5, 1) - 0.5, across - tall * row
        square = np.maximum(np.abs(u), np.abs(v)) * 2
        wave = (np.hypot(u, v) * 2, square, np.abs(np.hypot(u, v) * 2 - 0.6) * 2, np.hypot(u, 0.6 * v) * 2)[kind - 1]
        duty = rng.uniform(0.35, 0.75)
    soft = max(rng.uniform(0.3, 3.0) / period, 0.02)
    mesa = 1 / (1 + np.exp(np.clip((wave - duty) / soft * 2, -30, 30)))
    high = period * rng.uniform(0.08, 0.8) * rng.choice([-1, 1])
    tones = rng.uniform(0.25, 0.75, 2) if rng.random() < 0.5 else np.full(2, 0.5)
    rough = rng.uniform(0, 0.3) * random_field(side, between(rng, 0.01, 0.1) * side, rng)
    material = tones[0] + (tones[1] - tones[0]) * mesa
    return Surface((high * mesa + rough).astype(np.float32), material.astype(np.float32))


def porous(side: int, unit: float, rng: Rng) -> Surface:
    """Return a sponge: a bicontinuous skeleton, or a foam of round hollows, pores of all depths."""
    size = unit * between(rng, 0.04, 0.13)
    if rng.random() < 0.55:
        height = np.full((side, side), -6 * size, np.float32)
        for depth in range(3):  # struts behind struts
            field = random_field(side, size * rng.uniform(0.5, 0.7), rng, band=rng.random() < 0.5)
            strut = np.abs(field) if rng.random() < 0.5 else field + 0.3
            inside = np.clip(rng.uniform(0.4, 0.7) - strut, 0, None)
            level = size * (1.2 * np.sqrt(inside) - 1.3 * depth)
            height = np.maximum(height, np.where(inside > 0, level, -6 * size)).astype(np.float32)
        return Surface(height, np.full((side, side), rng.uniform(0.45, 0.65), np.float32))
    number = _number(side, size, rng.uniform(1.2, 2.2), most=220)
    spread, bodies = rng.uniform(0.1, 0.5), []
    for at in scattered(side, number, rng, apart=0.9 * size, margin=size):
        own = size * float(np.exp(spread * rng.standard_normal()))
        bodies.append(Body("ball", at, own, rng.uniform(0, 3), rng.uniform(1, 1.3), rng.uniform(0.8, 2.0)))
    hollow = heap(Surface(np.zeros((side, side), np.float32), np.full((side, side), 0.55, np.float32)), bodies, rng)
    rough = rng.uniform(0, 0.4) * random_field(side, max(size * 0.2, 1.0), rng)
    return Surface((rough - hollow.height).astype(np.float32), hollow.material)


def powder(side: int, unit: float, rng: Rng) -> Surface:
    """Return a heap of irregular grains of many sizes, many layers deep."""
    radius, spread = unit * between(rng, 0.05, 0.12), rng.uniform(0.2, 0.55)
    kinds = ["grain"] if rng.random() < 0.7 else ["grain", "ball"]
    number, bodies = _number(side, radius, rng.uniform(2.2, 3.5), most=240), []
    hills = 0.8 * random_field(side, 0.2 * side, rng)
    for at in scattered(side, number, rng, margin=radius):
        own = radius * float(np.exp(spread * rng.standard_normal() - 0.3 * spread**2))
        row, column = (int(np.clip(c, 0, side - 1)) for c in at)
        lift = radius * (float(hills[row, column]) + rng.uniform(0, 2.5))
        long = rng.uniform(1, 1.7)
        bodies.append(
            Body(str(rng.choice(kinds)), at, own, rng.uniform(0, np.pi), long, 1.2, lift, rng.uniform(0.5, 0.6))
        )
    found = heap(
        Surface(np.full((side, side), -2 * radius, np.float32), np.full((side, side), 0.5, np.float32)), bodies, rng
    )
    rough = rng.uniform(0, 0.3) * random_field(side, max(radius * 0.15, 0.8), rng)
    return Surface(found.height + rough, found.material)


def tips(side: int, unit: float, rng: Rng) -> Surface:
    """Return one tip or a few, seen from the side before nothing, or a pyramid on its lever seen from above."""
    if rng.random() < 0.25:
        return _lever(side, unit, rng)
    angle, number = rng.uniform(0, 2 * np.pi), 1 if rng.random() < 0.8 else int(rng.integers(2, 4))
    along, across = turned(side, angle)
    base = flat(side, rng, (0.03, 0.2), rough=0.1)
    height, material = base.height.copy(), base.material.copy()
    power, end = rng.uniform(0.5, 1.3), rng.uniform(-0.3, 0.25) * side
    wide, blunt = unit * rng.uniform(0.08, 0.3) / np.sqrt(number), unit * between(rng, 0.003, 0.03)
    flat_sided, tone = rng.random() < 0.3, rng.uniform(0.45, 0.9)
    for place in range(number):
        middle = rng.uniform(-0.2, 0.2) * side + (place - (number - 1) / 2) * 2.4 * wide
        behind = (end + rng.normal(0, 0.02) * side - along) / side
        t = np.clip(behind, 0, None)
        half = np.minimum(wide * (t / 0.5) ** power + np.sqrt(blunt * side * t), wide * 2)
        q = np.abs(across - middle) / np.maximum(half, 1e-3)
        top = half * (1 - q if flat_sided else np.sqrt(np.clip(1 - q**2, 0, None)))
        seen = (q < 1) & (behind > 0)
        height[seen] = 10 + top[seen]
        material[seen] = tone
    return Surface(height.astype(np.float32), material)


def _lever(side: int, unit: float, rng: Rng) -> Surface:
    along, across = turned(side, rng.uniform(0, 2 * np.pi))
    base, wide, end = (
        flat(side, rng, (0.03, 0.2), rough=0.1),
        unit * rng.uniform(0.18, 0.4),
        rng.uniform(0.05, 0.4) * side,
    )
    taper = rng.uniform(0, 1) * np.clip((along - end + wide) / wide, 0, 1)
    lever = (along < end) & (np.abs(across) < wide * (1 - taper))
    u, v = along - (end - wide * rng.uniform(0.5, 1.2)), across - rng.normal(0, 0.05) * wide
    foot = wide * rng.uniform(0.3, 0.75)
    corners = 2 * np.pi * np.arange(int(rng.integers(3, 6)))
    sides = [u * np.cos(a / len(corners)) + v * np.sin(a / len(corners)) for a in corners]
    pyramid = np.clip(foot - np.max(sides, axis=0), 0, None) * rng.uniform(0.8, 2.0)
    height = np.where(lever, 20 + pyramid, base.height)
    return Surface(height.astype(np.float32), np.where(lever, rng.uniform(0.4, 0.7), base.material).astype(np.float32))


TEXTURES: dict[str, Texture] = {
    "biological": biological,
    "fibres": fibres,
    "films and coated surfaces": films,
    "MEMS devices and electrodes": mems,
    "nanowires": nanowires,
    "particles": particles,
    "patterned surface": patterned,
    "porous sponge": porous,
    "powder": powder,
    "tips": tips,
}
