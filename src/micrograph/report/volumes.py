"""Pictures of volumes of elements: slices, colours laid over one another, profiles of particles, the turning view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Prediction
from micrograph.draw.volumes import Profile, profile_figure, slices_figure, views_figure
from micrograph.features.volumes.shell_tables import whole_particles

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Volume = NDArray[np.float32]


def volume_figures(prediction: Prediction, tables: Mapping[str, DataFrame]) -> dict[str, Figure]:
    """Return slices, overlays and the profile of the largest whole particle of volumes; {} for other answers."""
    volumes = {name: one for name, one in prediction.maps.items() if one.ndim == 3}
    if not volumes:
        return {}
    voxel = prediction.pixel_nm
    objects = tables.get("objects")
    largest = None
    if objects is not None and "diameter_nm" in objects and len(objects := whole_particles(objects)):
        row = objects.iloc[int(objects["diameter_nm"].to_numpy(float).argmax())]
        largest = {str(name): float(value) for name, value in row.items() if isinstance(value, float)}
    at = _middle(volumes, None if largest is None else [largest[f"{axis}_nm"] / voxel for axis in "zyx"])
    place = f"slices through z, y, x = {', '.join(f'{(one + 0.5) * voxel:.1f}' for one in at)} nm"
    found = {
        "volume-views": views_figure(volumes, at, voxel, f"Elements: {place}"),
        "volume-slices": slices_figure(volumes, prediction.sigma, at, voxel, f"Counts a voxel, {place}"),
    }
    if largest is not None:
        found["volume-profile"] = _profile(volumes, prediction.sigma, largest, voxel)
    return found


def _middle(volumes: Mapping[str, Volume], place: list[float] | None) -> tuple[int, int, int]:
    """Return the voxel (z, y, x) that slices go through: a particle's middle, else that of all that is there."""
    shape = next(iter(volumes.values())).shape
    if place is None:
        total = sum(np.nan_to_num(one) for one in volumes.values())
        weight = max(float(np.sum(total)), 1e-30)
        place = [
            float((np.sum(total, axis=tuple({0, 1, 2} - {axis})) * (np.arange(shape[axis]) + 0.5)).sum()) / weight
            for axis in range(3)
        ]
    z, y, x = (int(np.clip(one, 0, size - 1)) for one, size in zip(place, shape, strict=True))
    return z, y, x


def _profile(
    volumes: Mapping[str, Volume], sigma: Mapping[str, Volume], particle: Mapping[str, float], voxel: float
) -> Figure:
    """Return the mean concentrations over the distance from a particle's middle, up to a half beyond its radius."""
    reach = 0.75 * particle["diameter_nm"]
    shape = next(iter(volumes.values())).shape
    spans = [
        np.arange(max(0, int((particle[f"{axis}_nm"] - reach) / voxel)),
                  min(size, int((particle[f"{axis}_nm"] + reach) / voxel) + 1))
        for axis, size in zip("zyx", shape, strict=True)
    ]  # fmt: skip
    z, y, x = ((span + 0.5) * voxel - particle[f"{axis}_nm"] for span, axis in zip(np.ix_(*spans), "zyx", strict=True))
    radius = np.sqrt(z**2 + y**2 + x**2)
    edges = np.arange(0, reach + voxel, voxel)
    number = np.digitize(radius.ravel(), edges) - 1
    room = np.maximum(np.bincount(number, minlength=len(edges))[: len(edges) - 1], 1)

    def mean(volume: Volume) -> NDArray[np.float64]:
        part = np.nan_to_num(volume[np.ix_(*spans)]).ravel().astype(float)
        return np.asarray(np.bincount(number, part, len(edges))[: len(edges) - 1] / room / voxel**3)

    nothing = np.full(len(edges) - 1, np.nan)
    profiles = {
        name: Profile(mean(one), mean(sigma[name]) if name in sigma else nothing) for name, one in volumes.items()
    }
    surfaces = (particle["core_nm"] / 2, particle["diameter_nm"] / 2)
    title = (
        f"Particle {int(particle['particle'])}: shell {particle['shell_nm']:.2f} ± {particle['shell_sigma_nm']:.2f} nm"
    )
    return profile_figure((edges[1:] + edges[:-1]) / 2, profiles, title, surfaces)
