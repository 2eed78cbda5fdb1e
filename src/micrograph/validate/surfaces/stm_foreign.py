"""Foreign surfaces for scanning probes, none of which a network for dangling bonds was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = tuple[NDArray[np.float32], float]

_SIDE = 144


def _noisy(image: Array, noise: float, rng: np.random.Generator) -> NDArray[np.float32]:
    lines = rng.normal(0, 0.3 * noise, (len(image), 1))
    return np.asarray(image + rng.normal(0, noise, image.shape) + lines, np.float32)


def _grid(pixel: float, turn: float) -> tuple[Array, Array]:
    y, x = np.mgrid[:_SIDE, :_SIDE] * pixel
    return y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)


def silicon_7x7(rng: np.random.Generator) -> Image:
    """Return Si(111)-7x7: twelve adatoms a cell, corner holes, some adatoms missing."""
    pixel = float(rng.uniform(0.08, 0.16))
    a = 2.69
    cell = a * np.array([[0.0, 1.0], [np.sqrt(3) / 2, 0.5]])
    third = np.array([[i, j] for i in range(1, 7) for j in range(1, 7)]) / 7.0
    adatoms = [place for place in third if _is_adatom(place)]
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    reach = int(2 * _SIDE * pixel / a) + 2
    image = np.zeros((_SIDE, _SIDE))
    for i in range(-reach, reach):
        for j in range(-reach, reach):
            for place in adatoms:
                at = (np.array([i, j]) + place) @ cell @ rotation
                if not (-0.5 < at[0] < _SIDE * pixel + 0.5 and -0.5 < at[1] < _SIDE * pixel + 0.5):
                    continue
                if rng.random() > 0.04:
                    _add_bump(image, at / pixel, 0.05, 0.2 / pixel)
    return _noisy(image, float(rng.uniform(0.003, 0.01)), rng), pixel


def _is_adatom(place: Array) -> bool:
    """Return whether a seventh of the cell holds an adatom: six in each half, as triangles around its middle."""
    i, j = (round(7 * float(one)) for one in place)
    first = {(one, other) for one in (1, 3, 5) for other in (1, 3, 5) if one + other <= 6}
    second = {(7 - i, 7 - j) for i, j in first}
    return (i, j) in first | second


def _add_bump(image: Array, at: Array, height: float, sigma: float) -> None:
    low = np.maximum(np.floor(at - 4 * sigma).astype(int), 0)
    high = np.minimum(np.ceil(at + 4 * sigma).astype(int) + 1, image.shape)
    if (high <= low).any():
        return
    y, x = np.arange(low[0], high[0])[:, None], np.arange(low[1], high[1])[None]
    image[low[0] : high[0], low[1] : high[1]] += height * np.exp(
        -((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * sigma**2)
    )


def molecules(rng: np.random.Generator) -> Image:
    """Return a film of one kind of molecule, each a few lobes, that lie in rows in some directions."""
    pixel = float(rng.uniform(0.08, 0.16))
    image, lobes = np.zeros((_SIDE, _SIDE)), rng.normal(0, 0.5, (int(rng.integers(3, 7)), 2))
    spacing = float(rng.uniform(1.4, 2.2))
    for row in np.arange(0, _SIDE * pixel, spacing):
        for column in np.arange(0, _SIDE * pixel, spacing * float(rng.uniform(0.98, 1.02))):
            turn = rng.integers(0, 4) * np.pi / 2
            rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            if rng.random() > 0.15:
                for lobe in lobes @ rotation + (row, column):
                    _add_bump(image, lobe / pixel, 0.06, 0.25 / pixel)
    return _noisy(image, float(rng.uniform(0.004, 0.015)), rng), pixel


def moire(rng: np.random.Generator) -> Image:
    """Return graphene on a metal: a lattice of 0.246 nm and a moire of 2 to 3.5 nm."""
    pixel = float(rng.uniform(0.08, 0.16))
    image = np.zeros((_SIDE, _SIDE))
    for period, height in ((0.213, 0.01), (float(rng.uniform(1.8, 3.0)), 0.05)):
        turn = rng.uniform(0, np.pi)
        for number in range(3):
            along, _ = _grid(pixel, turn + number * np.pi / 3)
            image += height * np.cos(2 * np.pi * along / period)
    return _noisy(image, float(rng.uniform(0.004, 0.02)), rng), pixel


def terraces(rng: np.random.Generator) -> Image:
    """Return a vicinal metal: steps close to each other, rough at their edges."""
    from scipy.ndimage import gaussian_filter

    pixel = float(rng.uniform(0.1, 0.2))
    along, _ = _grid(pixel, float(rng.uniform(0, np.pi)))
    rough = gaussian_filter(rng.normal(size=(_SIDE, _SIDE)), 1.0 / pixel) / pixel
    image = 0.23 * np.floor((along + 0.8 * rough) / rng.uniform(2.0, 5.0))
    return _noisy(gaussian_filter(image, 0.2 / pixel), float(rng.uniform(0.004, 0.02)), rng), pixel


def clusters(rng: np.random.Generator) -> Image:
    """Return metal clusters of 2 to 5 nm, flat on top."""
    from scipy.ndimage import gaussian_filter

    pixel = float(rng.uniform(0.1, 0.2))
    y, x = np.mgrid[:_SIDE, :_SIDE] * pixel
    image = np.zeros((_SIDE, _SIDE))
    for _ in range(int(rng.integers(8, 30))):
        at, radius = rng.uniform(0, _SIDE * pixel, 2), rng.uniform(1.0, 2.5)
        image = np.maximum(image, np.clip(radius - np.hypot(y - at[0], x - at[1]), 0, 0.5))
    return _noisy(gaussian_filter(image, 0.2 / pixel), float(rng.uniform(0.005, 0.03)), rng), pixel


def noise(rng: np.random.Generator) -> Image:
    """Return noise alone: white, with lines."""
    return _noisy(np.zeros((_SIDE, _SIDE)), 0.01, rng), float(rng.uniform(0.08, 0.2))


#: Draws of foreign surfaces, by name.
FOREIGN: Mapping[str, Callable[[np.random.Generator], Image]] = {
    "Si(111)-7x7": silicon_7x7,
    "molecules": molecules,
    "moire": moire,
    "terraces": terraces,
    "clusters": clusters,
    "noise": noise,
}
