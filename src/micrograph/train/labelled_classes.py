"""Training images without end from a few whose every pixel a user has given a class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.train.labelled_masks import Image, Labelled, LabelledMasks

#: Share of fields whose middle is a pixel of a class drawn at random: rare classes are seen as often as others.
_BALANCED = 0.6
#: How fields are zoomed, and how their grey values change; distance (pixels) over which shifts that bend them vary.
_SEEN, _SMOOTH_PX = LabelledMasks((), zoom=(0.75, 1.33)), 40


@dataclass(frozen=True)
class LabelledClasses:
    """A sampler of images whose pixels have classes: fields of them, turned, bent, zoomed, seen a little otherwise.

    images: their labels number the `classes` from 0, -1 where nobody knows. side_px: side of a field; unturned: share
    of fields whose pixels are left in place; bent_px: 1-sigma of the shifts that bend half of the others, up to.
    """

    images: tuple[Labelled, ...]
    classes: tuple[str, ...]
    side_px: int = 224
    unturned: float = 0.3
    bent_px: float = 2.0

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one field with a mask of every class; every pixel lies in one of them, or is -1 in all."""
        one = self.images[int(rng.integers(len(self.images)))]
        image, labels = self._field(one, rng)
        unknown = labels < 0
        masks = {name: np.where(unknown, -1, labels == k).astype(np.float32) for k, name in enumerate(self.classes)}
        none = np.zeros(0)
        nowhere = Sites(none, none, none.astype(np.str_))
        return Sample(_SEEN.seen_otherwise(image, rng), one.pixel_nm, nowhere, masks)

    def _field(self, one: Labelled, rng: np.random.Generator) -> tuple[Image, NDArray[np.int32]]:
        """Return image and labels (s, s) of a field; beyond the edge the image is mirrored."""
        from scipy.ndimage import map_coordinates

        shape = np.array(one.image.shape)
        side = int(min(self.side_px, *shape))
        half = (side - 1) / 2
        middle = np.clip(self._middle(one, rng), half, shape - 1 - half)
        if rng.random() < self.unturned:
            corner = np.rint(middle - half).astype(int)
            place = tuple(slice(c, c + side) for c in corner)
            return one.image[place], one.labels[place]
        grid = np.indices((side, side)).reshape(2, -1) - half
        places = middle[:, None] + np.linalg.inv(_SEEN.turn(rng)) @ grid + self._bend(side, rng)
        image = map_coordinates(one.image, places, order=1, mode="reflect").reshape(side, side)
        labels = map_coordinates(one.labels, places, order=0, mode="reflect").reshape(side, side)
        return image.astype(np.float32), labels.astype(np.int32)

    def _middle(self, one: Labelled, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return where a field lies: anywhere, or on a pixel of a class drawn at random."""
        there = np.unique(one.labels[one.labels >= 0])
        if rng.random() > _BALANCED or not len(there):
            return rng.random(2) * one.image.shape
        places = np.flatnonzero(one.labels == there[int(rng.integers(len(there)))])
        return np.array(np.unravel_index(places[int(rng.integers(len(places)))], one.labels.shape), float)

    def _bend(self, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Return smooth shifts (2, s s) of all places; none for half of the fields."""
        from scipy.ndimage import zoom

        if rng.random() < 0.5:
            return np.zeros((2, 1))
        knots = side // _SMOOTH_PX + 2
        coarse = self.bent_px * rng.random() * rng.standard_normal((2, knots, knots))
        fine = [zoom(part, side / knots, order=3, grid_mode=True, mode="nearest") for part in coarse]
        return np.reshape(fine, (2, -1))
