"""The first particle of a fit of columns: slabs as templates, the origin of the net, which columns touch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.phase.column_model import ColumnModel, ColumnSet
from micrograph.simulate.phase.hrtem import Lens
from micrograph.structures.stacking import Stacking

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Count = NDArray[np.intp]

#: Radius of templates (nm); 1-sigma of their weight.
_TEMPLATE_NM, _WEIGHT_NM = 0.24, 0.1


@dataclass(frozen=True)
class Particle:
    """The present particle: net (origin, vectors), indices (K, 2) of its columns, numbers, shifts, lens, look."""

    origin: Array
    vectors: Array
    index: Count
    atoms: Count
    moved: Array
    heights: Array
    spacing: float
    lens: Lens | None = None
    tilt: Array = field(default_factory=lambda: np.zeros(2))
    diffuse: float = 0.0

    def columns(self) -> ColumnSet:
        """Return the columns in space: each as near to the height that it was moved to as its lattice allows."""
        place = self.origin + self.index @ self.vectors + self.moved[:, :2]
        middle = self.index @ self.heights + (self.atoms - 1) / 2 * self.spacing
        middle += self.spacing * np.rint((self.moved[:, 2] - middle) / self.spacing)
        return ColumnSet(place, self.atoms, middle, self.tilt)


def slabs(model: ColumnModel, vectors: Array, stacked: Stacking, lens: Lens) -> Image:
    """Return templates (most + 1, t, t): the surroundings of a column in slabs of 0 .. most atoms."""
    half = int(np.ceil(_TEMPLATE_NM / model.pixel_nm))
    side = 2 * max(half, round(0.5 / model.pixel_nm)) + 1
    small = replace(model, shape=(side, side))
    steps = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    middle = (side - 1) / 2 * model.pixel_nm
    place = middle + steps @ vectors
    reach = middle + np.array(small.grid.margin_nm)[0] - 0.05
    steps = steps[(np.abs(place - middle) < reach).all(axis=1)]
    keep = slice(side // 2 - half, side // 2 + half + 1)
    shown = [np.ones((2 * half + 1,) * 2, np.float32)]
    for number in range(1, model.most + 1):
        state = Particle(
            np.full(2, middle), vectors, steps, np.full(len(steps), number), np.zeros((len(steps), 3)),
            stacked.heights_nm, stacked.spacing_nm,
        )  # fmt: skip
        shown.append(small.image(small.spectrum(state.columns()), lens)[keep, keep])
    return np.stack(shown)


def misfits(seen: Image, model: ColumnModel, vectors: Array, templates: Image) -> Image:
    """Return (most + 1, H, W): the weighted squared difference of every template to the image about every pixel."""
    import scipy.fft

    half = templates.shape[1] // 2
    y, x = (np.mgrid[: 2 * half + 1, : 2 * half + 1] - half) * model.pixel_nm
    weight = np.exp(-0.5 * (y**2 + x**2) / _WEIGHT_NM**2)
    shape = [scipy.fft.next_fast_len(n + 2 * half, real=True) for n in seen.shape]
    padded = np.pad(seen, half, mode="edge")

    def felt(image: NDArray[np.floating], kernel: NDArray[np.floating]) -> Any:
        spectrum = scipy.fft.rfft2(image, s=shape) * np.conj(scipy.fft.rfft2(kernel, s=shape))
        return scipy.fft.irfft2(spectrum, s=shape)[: seen.shape[0], : seen.shape[1]]

    squares = felt(padded**2, weight)
    maps = [squares - 2 * felt(padded, weight * one) + float((weight * one**2).sum()) for one in templates]
    return np.asarray(np.stack(maps), np.float32)


def begun(maps: Image, vectors: Array, stacked: Stacking, pixel_nm: float) -> Particle:
    """Return the first particle: the origin at which slabs fit best, numbers of the best slabs, vacuum left out."""
    from scipy.ndimage import map_coordinates

    best, empty = maps[1:].min(axis=0), maps[0]
    height, width = empty.shape
    corners = np.array([[0, 0], [0, width], [height, 0], [height, width]]) * pixel_nm @ np.linalg.inv(vectors)
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    every = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    index = every.reshape(-1, 2)
    busy = np.minimum(best, empty) < 0.5 * empty
    gain = np.where(busy | (empty > 4 * np.median(empty)), empty - best, 0.0)
    parts = (np.arange(16) + 0.5) / 16
    scores = []
    offsets = np.stack(np.meshgrid(parts, parts, indexing="ij"), -1).reshape(-1, 2) @ vectors
    for offset in offsets:
        at = (index @ vectors + offset) / pixel_nm
        scores.append(float(map_coordinates(gain, at.T, order=1, cval=0.0).sum()))
    origin = offsets[int(np.argmax(scores))]
    place = (index @ vectors + origin) / pixel_nm
    inside = ((place > 0.1 / pixel_nm) & (place < np.array(empty.shape) - 1 - 0.1 / pixel_nm)).all(axis=1)
    index, place = index[inside], place[inside]
    own = np.stack([map_coordinates(one, place.T, order=1) for one in maps], axis=1)
    atoms = own.argmin(axis=1)
    kept = near_particle(index, atoms, vectors)
    atoms = np.where(_main(index, atoms, vectors), atoms, 0)
    return Particle(
        origin, vectors, index[kept], atoms[kept], np.zeros((int(kept.sum()), 3)),
        stacked.heights_nm, stacked.spacing_nm,
    )  # fmt: skip


def touching(index: Count, vectors: Array) -> Any:
    """Return the pairs (E, 2) of columns that touch."""
    from scipy.spatial import cKDTree

    place = index @ vectors
    reach = 1.25 * float(np.linalg.norm(vectors, axis=1).max())
    return cKDTree(place).query_pairs(reach, output_type="ndarray")


def _main(index: Count, atoms: Count, vectors: Array) -> NDArray[np.bool_]:
    """Return which columns belong to the largest group of touching columns that hold atoms."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = touching(index, vectors)
    there = atoms > 0
    pairs = pairs[there[pairs].all(axis=1)]
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(index),) * 2)
    group = connected_components(links, directed=False)[1]
    sizes = np.bincount(group, there)
    return np.asarray(there & (group == int(sizes.argmax())))


def near_particle(index: Count, atoms: Count, vectors: Array) -> NDArray[np.bool_]:
    """Return which sites belong to the particle or touch it."""
    main = _main(index, atoms, vectors)
    pairs = touching(index, vectors)
    near = main.copy()
    near[pairs[main[pairs[:, 1]], 0]] = True
    near[pairs[main[pairs[:, 0]], 1]] = True
    return near
