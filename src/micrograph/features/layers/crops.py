"""Sub-images around places of interest, sampled at sub-pixel positions in the lattice's own directions.

A crop is a vector of values at the points of a `Disc`: a hexagonal grid, which every rotation by 60 degrees and every
mirror of a hexagonal layer maps onto itself. Symmetry operations are therefore permutations, without interpolation.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.features.columns.covariance import points

Array = NDArray[np.float64]
Values = NDArray[np.float32]
#: Sub-images that a long movie keeps for its classes: 3 MB at 187 points each.
MOST = 4096


@dataclass(frozen=True)
class Disc:
    """Sampling points within `radius_nm` of a place: a hexagonal grid, neighbours `step_nm` apart."""

    radius_nm: float = 0.35
    step_nm: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a step that is no fraction of the radius."""
        if not 0 < self.step_nm < self.radius_nm < np.inf:
            raise BadInput(
                f"Sub-images of radius {self.radius_nm} nm with a step of {self.step_nm} nm were asked for: "
                "the step must be greater than zero and smaller than the radius."
            )

    @functools.cached_property
    def points(self) -> Array:
        """Offsets (P, 2) as [y, x] in nm; the first is (0, 0), the others follow by distance."""
        many = int(np.ceil(1.2 * self.radius_nm / self.step_nm)) + 1
        i, j = np.mgrid[-many : many + 1, -many : many + 1].reshape(2, -1)
        place = self.step_nm * np.stack([np.sqrt(3) / 2 * j, i + j / 2], axis=1)
        distance = np.hypot(*place.T)
        order = np.argsort(distance, kind="stable")
        return np.asarray(place[order[distance[order] <= self.radius_nm + 1e-9]])

    def permutation(self, operation: ArrayLike) -> NDArray[np.intp]:
        """Return (P,) such that ``values[..., permutation]`` is the sub-image after `operation`.

        operation: (2, 2) orthogonal matrix for row vectors [y, x], a feature at r comes to ``r @ operation``. Raises
        `BadInput` where it does not map the grid onto itself: rotations by 60 degrees and the mirrors of x and y do.
        """
        from scipy.spatial import cKDTree

        origin = self.points @ np.linalg.inv(np.asarray(operation, dtype=np.float64))
        distance, index = (np.asarray(each) for each in cKDTree(self.points).query(origin))
        if np.max(distance) > 1e-6 * self.step_nm:
            raise BadInput("A symmetry operation does not map the hexagonal grid onto itself: take those of D6.")
        return np.asarray(index, dtype=np.intp)

    def picture(self, values: ArrayLike, step_nm: float = 0.01) -> Values:
        """Return values (P,) as a square image (n, n), the place in its centre, NaN outside the disc."""
        from scipy.interpolate import CloughTocher2DInterpolator

        half = int(self.radius_nm / step_nm)
        axis = step_nm * np.arange(-half, half + 1)
        drawn = CloughTocher2DInterpolator(self.points, np.asarray(values, dtype=np.float64))
        return np.asarray(drawn(axis[:, None], axis[None, :]), dtype=np.float32)


@dataclass(frozen=True)
class Crops:
    """Sub-images ``values`` (N, P) of `disc` and the numbers ``source`` (N,) of the places that they were cut at."""

    disc: Disc
    values: Values
    source: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.values)

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Crops:
        """Return the crops of a mask or of rows."""
        return replace(self, values=self.values[which], source=self.source[which])


def cut(
    image: NDArray[np.floating], pixel_nm: float, y_nm: ArrayLike, x_nm: ArrayLike, disc: Disc, turn: ArrayLike = 1.0
) -> Crops:
    """Return the sub-images of `image` (H, W) around the places ``y_nm, x_nm`` (N,) by cubic splines.

    turn: what takes an offset of the disc to one in the image, ``offset @ turn``: a (2, 2) matrix or one a place
    (N, 2, 2); it may hold the scan's distortion besides the rotation. Where the disc is coarser than the pixels, the
    image is smoothed first, so that no electron is thrown away. Places whose disc is cut by the border, or holds a
    pixel that is not finite, are left out: ``source`` tells which remain.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

    place = points(y_nm, x_nm)
    matrix = np.asarray(turn, dtype=np.float64) * (np.eye(2) if np.ndim(turn) == 0 else 1.0)
    at = (place[:, None] + disc.points @ matrix) / pixel_nm
    inside = ((at >= 0) & (at <= np.array(image.shape) - 1)).all(axis=(1, 2))
    finite = np.isfinite(image)
    smooth = np.where(finite, image, np.median(image[finite]) if finite.any() else 0.0).astype(np.float64)
    width = 0.5 * np.sqrt(max((disc.step_nm / pixel_nm) ** 2 - 1, 0.0))
    if width > 0.1:
        smooth = gaussian_filter(smooth, width)
    if not finite.all():
        unknown = ~finite[tuple(np.clip(np.rint(at[..., i]), 0, n - 1).astype(int) for i, n in enumerate(image.shape))]
        inside &= ~unknown.any(axis=1)
    rows = np.flatnonzero(inside)
    values = map_coordinates(spline_filter(smooth, order=3), at[rows].reshape(-1, 2).T, order=3, prefilter=False)
    return Crops(disc, values.reshape(len(rows), len(disc.points)).astype(np.float32), rows.astype(np.int64))


def levelled(image: NDArray[np.floating]) -> Values:
    """Return `image` with its dark level at 0 and its bright level at 1, so that frames of a movie compare.

    The levels are the means of the darkest and the brightest tenth of the pixels: steady against noise.
    """
    finite = np.sort(image[np.isfinite(image)], axis=None)
    tenth = max(1, len(finite) // 10)
    dark, bright = (float(part.mean()) if len(part) else 0.0 for part in (finite[:tenth], finite[-tenth:]))
    return ((image - dark) / (bright - dark if bright > dark else 1.0)).astype(np.float32)


@dataclass(frozen=True)
class Sampled:
    """A fair sample of a stream of crops: `most` of all `seen`, each as likely as any other, in the order of arrival.

    Every crop draws a random key when it arrives and the smallest keys stay; samples of parts therefore merge into the
    sample of the whole (bottom-k sampling, doi:10.1145/1281100.1281133).
    """

    crops: Crops
    key: Array
    seen: int = 0
    most: int = MOST

    @classmethod
    def empty(cls, disc: Disc, most: int = MOST) -> Sampled:
        """Return the sample of nothing."""
        if most < 1:
            raise BadInput(f"At most {most} sub-images were asked for: keep at least one.")
        none = Crops(disc, np.zeros((0, len(disc.points)), np.float32), np.zeros(0, np.int64))
        return cls(none, np.zeros(0), 0, most)

    def with_crops(self, crops: Crops, rng: np.random.Generator) -> Sampled:
        """Return the sample after some more crops."""
        return self.merged(Sampled(crops, rng.random(len(crops)), len(crops), self.most))

    def merged(self, other: Sampled) -> Sampled:
        """Return the sample of both streams, one after the other."""
        if self.crops.disc != other.crops.disc:
            raise BadInput("Sub-images of different size cannot be put together: cut all of them with one disc.")
        key = np.concatenate([self.key, other.key])
        kept = np.sort(np.argsort(key, kind="stable")[: self.most])
        mine, yours = kept[kept < len(self.key)], kept[kept >= len(self.key)] - len(self.key)
        crops = Crops(
            self.crops.disc,
            np.concatenate([self.crops.values[mine], other.crops.values[yours]]),
            np.concatenate([self.crops.source[mine], other.crops.source[yours]]),
        )
        return Sampled(crops, key[kept], self.seen + other.seen, self.most)
