"""Training images without end from one labelled frame: its defects are moved to other sites like theirs.

What makes a defect stand out, the frame minus its lattice, is cut out around it and put in the place of what stands
out at other sites of the same place in the cell, alone and in clusters; then the field is turned, stretched, blurred
and made noisier. So a network learns from one frame of few defects what many of them look like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: A field is cut so much larger than it will be, so that it is filled at any angle.
TURNED = 1.45


@dataclass(frozen=True)
class LabelledFrame:
    """One frame (H, W) with its N sites, of which `odd` ones are defects; a sampler of fields of it.

    periodic: the frame's lattice (H, W); variance: (H, W) of the frame's noise; site: (N,) place in the cell;
    brightness: (N,) over that of the like;
    radius_px: how far a defect reaches; label: name of a defect; field_px: side of a sample; most: highest share of
    sites that become defects; noise: most noise that is added, in sigmas of the frame's own; blur: most blur, in
    radii; zoom: 1-sigma; unturned: share of samples whose pixels are left as they are.
    """

    image: NDArray[np.float32]
    periodic: NDArray[np.float32]
    variance: NDArray[np.float32]
    pixel_nm: float
    y_px: Array
    x_px: Array
    site: Index
    odd: NDArray[np.bool_]
    brightness: Array
    radius_px: float
    label: str = "defect"
    field_px: int = 180
    most: float = 0.35
    noise: float = 1.5
    blur: float = 0.17
    zoom: float = 0.04
    unturned: float = 0.3

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one field of the frame, turned at random, with the frame's own defects and moved ones."""
        from scipy.ndimage import gaussian_filter

        corner, side = self._corner(rng)
        image, marked = self._with_moved(corner, side, rng)
        turn, centre = self._turn(rng), np.full(2, (side - 1) / 2)
        field, variance = (_turned(part, turn) for part in (image, self._cut(self.variance, corner, side)))
        place = (np.column_stack([self.y_px, self.x_px])[marked] - corner - centre) @ turn.T + centre
        blur = float(rng.uniform(0, self.blur)) * self.radius_px if rng.random() < 0.5 else 0.0
        if blur > 0.2:
            field = gaussian_filter(field, blur)
        extra = float(rng.uniform(0, self.noise)) if rng.random() < 0.7 else 0.0
        field = field + extra * np.sqrt(variance) * rng.standard_normal(field.shape)
        low = (side - int(side / TURNED)) // 2
        high = low + int(side / TURNED)
        inside = ((place > low - 0.5) & (place < high - 0.5)).all(axis=1)
        y, x = ((place[inside] - low) * self.pixel_nm).T
        names = np.full(int(inside.sum()), self.label)
        return Sample(
            image=field[low:high, low:high].astype(np.float32),
            pixel_nm=self.pixel_nm,
            sites=Sites(y, x, names),
            params={"blur_px": blur, "noise": extra},
        )

    def _corner(self, rng: np.random.Generator) -> tuple[Array, int]:
        side = min(round(TURNED * self.field_px), *self.image.shape)
        return np.array([rng.integers(n - side + 1) for n in self.image.shape], float), side

    def _cut(self, image: NDArray[np.float32], corner: Array, side: int) -> Array:
        top, left = corner.astype(int)
        return np.asarray(image[top : top + side, left : left + side], np.float64)

    def _turn(self, rng: np.random.Generator) -> Array:
        """Return a random rotation with a little zoom and shear, as (2, 2), or none at all."""
        if rng.random() < self.unturned:
            return np.eye(2)
        angle = rng.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.asarray(rotation @ (np.eye(2) + rng.normal(0, self.zoom / 2, (2, 2))))

    def _with_moved(self, corner: Array, side: int, rng: np.random.Generator) -> tuple[Array, Index]:
        """Return the field with moved defects added, and the rows of all its defects."""
        image, lattice = (self._cut(part, corner, side) for part in (self.image, self.periodic))
        donors = np.flatnonzero(self.odd)
        reach = self.radius_px + 2
        places = np.column_stack([self.y_px, self.x_px]) - corner
        inside = ((places > reach) & (places < side - 1 - reach)).all(axis=1)
        free = np.flatnonzero(inside & ~self.odd)
        if len(donors) == 0 or len(free) == 0 or rng.random() < 0.1:
            return image, np.flatnonzero(self.odd)
        chosen = self._chosen(free, places, rng)
        taken = []
        for row in chosen:
            donor = self._donor(donors[self.site[donors] == self.site[row]], rng)
            if donor is not None:
                self._paste(image, lattice, donor, places[row], self._strength(donor, rng))
                taken.append(row)
        return image, np.r_[np.flatnonzero(self.odd), np.array(taken, np.intp)]

    def _chosen(self, free: Index, places: Array, rng: np.random.Generator) -> Index:
        """Return sites that become defects: scattered ones, and in half of the fields clusters of neighbours."""
        share = self.most * rng.random() ** 2
        picked = free[rng.random(len(free)) < share]
        if rng.random() < 0.5 and len(free):
            for seed in rng.choice(free, size=min(len(free), int(rng.integers(1, 6)))):
                near = np.linalg.norm(places[free] - places[seed], axis=1) < rng.uniform(1.0, 3.5) * self.radius_px
                picked = np.union1d(picked, free[near & (rng.random(len(free)) < rng.uniform(0.3, 0.9))])
        return np.asarray(picked, np.intp)

    def _donor(self, alike: Index, rng: np.random.Generator) -> int | None:
        """Return a defect; rare ones, by their brightness, are taken more often than they come."""
        if len(alike) == 0:
            return None
        nearby = np.sum(np.abs(self.brightness[alike, None] - self.brightness[alike]) < 0.15, axis=1)
        weight = 1 / np.sqrt(nearby)
        return int(rng.choice(alike, p=weight / weight.sum()))

    def _strength(self, donor: int, rng: np.random.Generator) -> float:
        """Return how much stronger the moved defect stands out: dark ones up to an empty site."""
        change = abs(self.brightness[donor] - 1)
        most = 1 / change if self.brightness[donor] < 1 else 1.5
        return float(rng.uniform(min(0.85, most), max(most, 1.0))) if rng.random() < 0.4 else 1.0

    def _paste(self, image: Array, lattice: Array, donor: int, place: Array, strength: float) -> None:
        """Make `image` at `place` (y, x) its `lattice` and what makes `donor` stand out, softly up to the radius."""
        from scipy.ndimage import map_coordinates

        reach = int(np.ceil(self.radius_px))
        centre = np.rint(place).astype(int)
        rows, columns = (slice(c - reach, c + reach + 1) for c in centre)
        offset = np.arange(-reach, reach + 1)
        dy, dx = offset[:, None] + (centre[0] - place[0]), offset[None] + (centre[1] - place[1])
        window = np.cos(np.clip(np.hypot(dy, dx) / self.radius_px, 0, 1) * np.pi / 2) ** 0.5
        at = np.broadcast_arrays(self.y_px[donor] + dy, self.x_px[donor] + dx)
        stands_out = map_coordinates(self.image - self.periodic, at, order=1, mode="reflect")
        image[rows, columns] += window * (lattice[rows, columns] + strength * stands_out - image[rows, columns])


def _turned(image: Array, turn: Array) -> Array:
    """Return `image` turned about its middle: what lay at r lies at `turn` r."""
    from scipy.ndimage import affine_transform

    if np.array_equal(turn, np.eye(2)):
        return image

    back = np.linalg.inv(turn)
    centre = (np.array(image.shape) - 1) / 2
    return np.asarray(affine_transform(image, back, centre - back @ centre, order=1, mode="reflect"))
