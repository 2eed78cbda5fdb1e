"""Images that are no films of islands: textures of other kinds, with counts like theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.contaminate import smooth_field
from micrograph.simulate.stem_scenes import StemScenes

Image = NDArray[np.float32]

#: Kinds of textures: nothing but noise, clouds, fibres (as of a dried gel), grains of lattices, bands.
KINDS = ("noise", "clouds", "fibres", "lattices", "bands")


def foreign_image(kind: str, side: int, rng: np.random.Generator) -> Image:
    """Return a noisy image (side, side) of a kind; `ValueError` for an unknown one."""
    counts = float(np.exp(rng.uniform(np.log(20), np.log(300))))
    return rng.poisson(counts * _texture(kind, side, rng)).astype(np.float32)


def _texture(kind: str, side: int, rng: np.random.Generator) -> Image:
    """Return a texture (side, side) of values about 0.2 to 1."""
    if kind == "noise":
        return np.full((side, side), np.float32(0.6))
    if kind == "clouds":
        field = sum(smooth_field((side, side), float(scale), rng) for scale in np.exp(rng.uniform(1.0, 3.5, 3)))
        return np.asarray(0.6 * np.exp(0.25 * np.clip(np.asarray(field), -4, 4)), np.float32)
    if kind == "fibres":
        fields = [smooth_field((side, side), float(rng.uniform(6, 14)), rng) for _ in range(6)]
        lines = sum(np.exp(-((one / np.float32(0.06)) ** 2)) for one in fields)
        return np.asarray(0.25 + 0.6 * np.clip(np.asarray(lines), 0, 1.5), np.float32)
    if kind == "lattices":
        scene, _ = StemScenes(side=side, spacing_px=(4.0, 12.0), size_px=(20.0, 80.0), shares={"grains": 1.0})(rng)
        return np.asarray(0.2 + 0.8 * scene, np.float32)
    if kind == "bands":
        y, x = np.mgrid[:side, :side] / float(rng.uniform(6, 20))
        turn = float(rng.uniform(0, np.pi))
        wave = np.sin(2 * np.pi * (np.cos(turn) * x + np.sin(turn) * y) + 1.5 * smooth_field((side, side), 25.0, rng))
        return np.asarray(0.6 + 0.35 * wave, np.float32)
    raise ValueError(f"There is no kind of texture '{kind}': choose among {', '.join(KINDS)}.")
