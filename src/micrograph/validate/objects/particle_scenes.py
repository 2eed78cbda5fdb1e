"""Simulated fields of particles, what a recipe finds in them, and the classical way to the same masks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.objects.particle_sampler import ParticleScene
from micrograph.simulate.objects.particles import Shadow
from micrograph.simulate.objects.pores import inside_of
from micrograph.validate.checks import Analyser

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: Of a found and a true object that are the same, the share of both together that both hold.
SAME = 0.5


class Scenes(Protocol):
    """A data class that draws images of particles with their truth, of `shapes`, or where given of all `kinds`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def shapes(self) -> tuple[str, ...]:
        """Names of the shapes that it knows."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the shapes that each image holds; none: a choice of `shapes`."""
        ...

    def scene(self, rng: np.random.Generator) -> ParticleScene:
        """Return one image with all particles in it."""
        ...


@dataclass(frozen=True)
class Trial:
    """So many images of a sampler's kind; `name` says of which kind in the names of checks.

    With `alone` each image holds one of the sampler's shapes, in turn, so that its contrast is that of all particles.
    """

    name: str
    sampler: Scenes
    images: int = 20
    alone: bool = False

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> Iterator[Answer]:
        """Yield what `analyser` finds in each image."""
        for number in range(self.images):
            shapes = self.sampler.shapes
            kinds = (shapes[number % len(shapes)],) if self.alone else self.sampler.kinds
            scene = replace(self.sampler, kinds=kinds).scene(rng)
            yield Answer(scene, analyser(scene.image, scene.field.pixel_nm))


@dataclass(frozen=True)
class Answer:
    """One simulated image and the tables that a recipe gave for it."""

    scene: ParticleScene
    tables: Mapping[str, DataFrame]

    @functools.cached_property
    def found(self) -> list[Shadow]:
        """What each found outline covers, in the order of table 'objects'."""
        return found_in(self.tables, self.scene.image.shape, self.scene.field.pixel_nm)

    @functools.cached_property
    def coverage(self) -> Image:
        """What all found outlines cover together (H, W)."""
        return union(self.found, self.scene.image.shape)

    @functools.cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """True and found objects that are the same, one to one, best first."""
        return same(self.scene.field.shadows, self.found)

    @functools.cached_property
    def inner(self) -> NDArray[np.bool_]:
        """Which true objects do not touch the border of the image."""
        height, width = self.scene.image.shape
        inside = [
            s.rows.start > 0 and s.columns.start > 0 and s.rows.stop < height and s.columns.stop < width
            for s in self.scene.field.shadows
        ]
        return np.array(inside, dtype=bool)


def found_in(tables: Mapping[str, DataFrame], shape: tuple[int, ...], pixel_nm: float, frame: int = 0) -> list[Shadow]:
    """Return what each outline of one frame covers of an image of `shape`, in the order of table 'objects'."""
    outlines = tables["outlines"]
    points = outlines[outlines["frame"] == frame]
    by_id = {int(name): rows[["y_nm", "x_nm"]].to_numpy(float) / pixel_nm for name, rows in points.groupby("id")}  # type: ignore[arg-type]
    objects = tables["objects"]
    ids = objects.loc[objects["frame"] == frame, "id"]
    return [inside_of(by_id[int(number)], (shape[0], shape[1])) for number in ids]


def union(shadows: list[Shadow], shape: tuple[int, ...]) -> Image:
    """Return what shadows cover together (H, W), 0 .. 1."""
    covered = np.zeros(shape, np.float32)
    for one in shadows:
        here = covered[one.rows, one.columns]
        np.maximum(here, one.coverage, out=here)
    return covered


def overlap(one: Shadow, other: Shadow) -> float:
    """Return the area that two objects share over that which they cover together."""
    top, bottom = max(one.rows.start, other.rows.start), min(one.rows.stop, other.rows.stop)
    left, right = max(one.columns.start, other.columns.start), min(one.columns.stop, other.columns.stop)
    if bottom <= top or right <= left:
        return 0.0
    first, second = (
        s.coverage[top - s.rows.start : bottom - s.rows.start, left - s.columns.start : right - s.columns.start]
        for s in (one, other)
    )
    common = float(np.minimum(first, second).sum())
    return common / max(one.area_px + other.area_px - common, 1e-9)


def same(true: tuple[Shadow, ...], found: list[Shadow], least: float = SAME) -> list[tuple[int, int]]:
    """Return pairs (true, found) whose overlap is `least` or more, one to one, the best first."""
    likely = [(overlap(t, f), i, j) for i, t in enumerate(true) for j, f in enumerate(found)]
    pairs: list[tuple[int, int]] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for value, i, j in sorted(likely, reverse=True):
        if value < least:
            break
        if i not in used[0] and j not in used[1]:
            pairs.append((i, j))
            used[0].add(i)
            used[1].add(j)
    return pairs


#: Makes a mask (H, W) of an image.
Threshold = Callable[[Image], NDArray[np.bool_]]


def otsu(image: Image, sigma: float = 2.0) -> NDArray[np.bool_]:
    """Return the mask of dark objects by a Gaussian of `sigma` pixels and Otsu's threshold."""
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    smooth = gaussian_filter(image, sigma)
    return np.asarray(smooth < threshold_otsu(smooth))  # type: ignore[no-untyped-call]


def adaptive(image: Image, sigma: float = 2.0, window: int = 151) -> NDArray[np.bool_]:
    """Return the mask of dark objects by a Gaussian and a local mean over `window` pixels, lowered by half a sigma."""
    from scipy.ndimage import gaussian_filter, uniform_filter

    smooth = gaussian_filter(image, sigma)
    return np.asarray(smooth < uniform_filter(smooth, window) - 0.5 * float(smooth.std()))


#: The classical ways to a mask: a threshold and the width (px) of the smoothing before it.
WAYS = tuple((way, sigma) for way in (otsu, adaptive) for sigma in (1.0, 2.0, 4.0))


def tuned(image: Image, truth: Image, sign: float = 1.0) -> NDArray[np.bool_]:
    """Return the best mask, judged by the truth, of Otsu's and the adaptive threshold over several widths."""
    from micrograph.validate.masks import iou

    masks = [way(sign * image, sigma) for way, sigma in WAYS]
    return max(masks, key=lambda mask: iou(truth, mask))


def cut_apart(mask: NDArray[np.bool_], diameter_px: float) -> list[Shadow]:
    """Return the objects of a mask (H, W) the classical way: opening, watershed of the distance to the background.

    Tops of the distance that lie a quarter of `diameter_px` apart are objects of their own; under 12 pixels are none.
    """
    from scipy import ndimage as ndi
    from skimage.feature import peak_local_max
    from skimage.morphology import disk, opening
    from skimage.segmentation import watershed

    mask = np.asarray(opening(mask, disk(1)))  # type: ignore[no-untyped-call]
    distance = ndi.distance_transform_edt(mask)
    seeds = np.zeros(mask.shape, np.int32)
    peaks = peak_local_max(distance, min_distance=max(3, int(0.25 * diameter_px)), labels=ndi.label(mask)[0])  # type: ignore[no-untyped-call]
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distance, seeds, mask=mask)  # type: ignore[no-untyped-call]
    found = []
    for number, box in enumerate(ndi.find_objects(labels), start=1):
        if box is not None:
            covered = (labels[box] == number).astype(np.float32)
            if covered.sum() >= 12:
                found.append(Shadow(box[0], box[1], covered, covered))
    return found
