"""Outlines of noisy polygons with known shapes, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.features.objects.closed_curves import enclosed, evenly, perimeter
from micrograph.features.objects.descriptors import descriptors
from micrograph.features.objects.outlines import Outlines

Array = NDArray[np.float64]
CORNERS = {"triangle": 3, "cube": 4, "hexagon": 6}


def outline(shape: str, radius: float, rng: np.random.Generator) -> Array:
    """Return a closed outline (256, 2) of that equivalent radius, turned at random; corners are a little round."""
    if shape == "sphere":
        angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
        points = np.stack([np.sin(angle), rng.uniform(1, 1.08) * np.cos(angle)], axis=1)
    elif shape == "rod":
        half, angle = rng.uniform(2, 4.5) - 1, np.linspace(-np.pi / 2, np.pi / 2, 64)
        end = np.stack([np.sin(angle), np.cos(angle) + half], axis=1)
        points = np.concatenate([end, -end])
    elif shape == "clump":
        angle = np.linspace(0, 2 * np.pi, 256, endpoint=False)
        lobes = sum(rng.normal(0, 0.35 / k) * np.cos(k * angle + rng.uniform(0, 7)) for k in range(2, 9))
        points = np.stack([np.sin(angle), np.cos(angle)], axis=1) * np.clip(1 + lobes, 0.3, None)[:, None]
    else:
        angle = 2 * np.pi * np.arange(CORNERS[shape]) / CORNERS[shape]
        points = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    points = evenly(points, 256)
    if shape in CORNERS:
        series = np.fft.fft(points[:, 1] + 1j * points[:, 0])
        order = np.fft.fftfreq(256, 1 / 256)
        curve = np.fft.ifft(series * np.exp(-0.5 * (rng.uniform(0.03, 0.12) * order) ** 2))
        points = np.stack([curve.imag, curve.real], axis=1)
    points = points * radius * np.sqrt(np.pi / abs(enclosed(points)))
    turn = rng.uniform(0, 2 * np.pi)
    turned: Array = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return turned if enclosed(turned) > 0 else turned[::-1]


def with_noise(points: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Return the outline about a pixel a point, each moved along its normal by noise that hangs together over 1 px."""
    number = max(48, int(perimeter(points)))
    points = evenly(points, number)
    along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.linalg.norm(along, axis=1)[:, None]
    wave = 2 * np.pi * np.fft.fftfreq(number)
    smooth = np.exp(-0.5 * wave**2)
    noise = np.fft.ifft(np.fft.fft(rng.normal(0, sigma, number)) * smooth).real / np.sqrt(np.mean(smooth**2))
    return points + noise[:, None] * normal


def objects_of(
    shapes: Sequence[str], rng: np.random.Generator, radius_px: tuple[float, float] = (10, 40), sigma_px: float = 0.5
) -> pd.DataFrame:
    """Return the descriptors of one noisy outline for each of `shapes`, sizes log-uniform."""
    radii = np.exp(rng.uniform(*np.log(radius_px), len(shapes)))
    curves = [with_noise(outline(shape, float(r), rng), sigma_px, rng) for shape, r in zip(shapes, radii, strict=True)]
    count = len(curves)
    table: pd.DataFrame = descriptors(
        Outlines(tuple(curves), np.arange(1, count + 1), np.zeros(count, bool), np.zeros(count)), 1.0
    )
    return table
