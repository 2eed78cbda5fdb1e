"""The unit cell by which an image of a surface repeats itself, whatever the motif in it is.

Candidates are pairs of maxima of the autocorrelation. At every vector of the lattice it is the same, but for the bends
of the scan; at vectors between atoms of one cell, which a search for the shortest period finds, it is less. So the
smallest cell is taken at whose vectors the autocorrelation is as high as anywhere. It is fitted to the power of the
image at its reciprocal lattice, and it must foretell: folded into the cell, every second cell apart, each half of the
image has to say what the other shows. No shape of the cell is given beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.bravais import reduction
from micrograph.features.surface.bends import straight, unbent

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Pixels a side above which an image is binned in the search.
_SEARCHED_PX = 256
#: Shortest period (px of the search), fewest periods along the shorter side; maxima that are tried.
_LEAST_PX, _PERIODS = 3.5, 2.5
#: The nearest of the maxima that reach these shares of the highest, so many of each.
_TRIED = ((0.85, 6), (0.6, 5), (0.0, 5))
#: What changes over more than this share of the shorter side (1 sigma) is ground, no lattice.
_SLOW = 0.08
#: Multiples of the cell's vectors at which the autocorrelation sharpens it, round by round.
_SHARPENED = (1, 2, 4)
#: Least autocorrelation of a maximum, and the least angle between the two vectors of a cell (degrees).
_LEAST_RISE, _LEAST_ANGLE = 0.08, 25.0
#: Samples of a cell along one side, at most.
_SAMPLES = 28
#: A cell's autocorrelation must reach this share of the best cell's, at first and where the image is straight; so many
#: of the smallest such cells are folded.
_AS_HIGH, _FOLDED = (0.85, 0.92), 5
#: The same where what sits on the sites differs; the share at far vectors, and how far (over the shorter side) is far.
_AS_SITES, _AS_FAR, _FAR = (0.7, 0.3), 0.88, (0.2, 0.5)
#: A cell must foretell so much of the variance less than the best at most, within blocks of so many cells.
_AS_MUCH, _BLOCK_CELLS = 0.06, 6


@dataclass(frozen=True)
class Repeat:
    """A cell (2, 2), rows a and b as [y, x] in px, reduced; the share of the variance that its motif foretells.

    shift: (2, h, w), how far (px) places are shifted from the straight lattice, in the image binned by `binning`.
    """

    cell: Array
    foretold: float
    shift: Array


def find_repeat(image: Array, usable: Mask) -> Repeat | None:
    """Return the cell by which an image (H, W), zero on average, repeats; ``None`` where it does not.

    `usable` pixels count; those that belong to islands, defects or scars should not.
    """
    found = _straightened(image, usable, _AS_HIGH)
    if found is None:
        return None
    folded = [(foretold(found.image, found.usable, cell), cell) for cell in found.cells[:_FOLDED]]
    most = max(share for share, _ in folded)
    share, cell = min((one for one in folded if one[0] >= most - _AS_MUCH), key=lambda one: _area(one[1]))
    number = binning(image.shape)
    return Repeat(cell * number, share, found.shift * number)


def find_lattice(image: Array) -> Repeat | None:
    """Return the cell of the lattice on which an image (H, W), zero on average, has its sites; ``None`` without one.

    What sits on the sites may differ and follow its neighbours: that is forgotten some cells away, where the image is
    as much like itself at every vector of the lattice. The smallest such cell is taken.
    """
    found = _straightened(image, np.ones(image.shape, bool), _AS_SITES)
    if found is None:
        return None
    cells = found.cells[:_FOLDED]
    far = [_far(found.correlation, cell) for cell in cells]
    cell = next(cell for share, cell in zip(far, cells, strict=True) if share >= min(_AS_FAR * max(far), max(far)))
    number = binning(image.shape)
    return Repeat(cell * number, foretold(found.image, found.usable, cell), found.shift * number)


def _far(correlation: Array, cell: Array) -> float:
    """Return the mean autocorrelation at, or next to, the vectors of a cell that are long, but not too long."""
    from scipy.ndimage import maximum_filter

    side = (min(correlation.shape) + 1) / 2
    reach = int(np.ceil(_FAR[1] * side * np.linalg.norm(np.linalg.inv(cell), axis=0).max())) + 1
    lags = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2) @ cell
    length = np.hypot(*lags.T)
    chosen = np.rint(lags[(length >= _FAR[0] * side) & (length <= _FAR[1] * side)]).astype(int)
    if not len(chosen):
        return -1.0
    return float(maximum_filter(correlation, 3)[tuple((chosen + np.array(correlation.shape) // 2).T)].mean())


@dataclass(frozen=True)
class _Straight:
    """An image (h, w), binned, without its lattice's bend (2, h, w); its autocorrelation; cells, smallest first."""

    image: Array
    usable: Mask
    shift: Array
    correlation: Array
    cells: list[Array]


def _straightened(image: Array, usable: Mask, as_high: tuple[float, float]) -> _Straight | None:
    """Return an image straight, and its cells that reach a share of the best autocorrelation, before and after."""
    small, good = binned(image, usable, binning(image.shape))
    near = _nearly_best(_autocorrelation(small, good), as_high[0])
    if not near:
        return None
    _, shift = unbent(small, good, near[0])
    small = straight(np.where(good, small, np.nan), shift)
    good = np.isfinite(small)
    correlation = _autocorrelation(small, good)
    cells = [_sharpened(correlation, cell) for cell in _nearly_best(correlation, as_high[1]) or near]
    return _Straight(small, good, shift, correlation, cells)


def _nearly_best(correlation: Array, as_high: float) -> list[Array]:
    """Return the cells by which an image repeats about as well as by any, smallest first; none where by no cell."""
    judged = [(_repeated(correlation, cell), cell) for cell in _cells(_maxima(correlation))]
    best = max((share for share, _ in judged), default=0.0)
    least = as_high * best if best >= _LEAST_RISE else np.inf
    return sorted((cell for share, cell in judged if share >= least), key=_area)


def _sharpened(correlation: Array, cell: Array) -> Array:
    """Return the cell, reduced, whose vectors lie best at maxima of the autocorrelation near its own."""
    middle = np.array(correlation.shape) // 2
    for reach in _SHARPENED:
        orders = np.array([(i, j) for i in range(reach + 1) for j in range(-reach, reach + 1) if (i, j) > (0, 0)])
        lags = np.rint(orders @ cell).astype(int)
        inside = (np.abs(lags) < 0.8 * middle).all(axis=1)
        if inside.sum() < 2 or np.linalg.matrix_rank(orders[inside]) < 2:
            break
        tops = np.array([_climbed(correlation, lag + middle) for lag in lags[inside]])
        cell = np.linalg.lstsq(orders[inside], tops - middle, rcond=None)[0]
    return np.asarray(reduction(cell) @ cell)


def _climbed(values: Array, place: NDArray[np.intp]) -> Array:
    """Return the place of the highest value within one pixel of a place, with parts of a pixel."""
    around = values[place[0] - 1 : place[0] + 2, place[1] - 1 : place[1] + 2]
    top = place - 1 + np.array(np.unravel_index(int(around.argmax()), around.shape))
    return np.asarray(top + _between(values, top))


def _area(cell: Array) -> float:
    return abs(float(np.linalg.det(cell)))


def _repeated(correlation: Array, cell: Array) -> float:
    """Return the least autocorrelation at, or next to, the four shortest vectors of a reduced cell."""
    a, b = cell
    lags = np.rint(np.array([a, b, a + b, a - b])).astype(int) + np.array(correlation.shape) // 2
    if (lags < 1).any() or (lags > np.array(correlation.shape) - 2).any():
        return -1.0
    return min(float(correlation[y - 1 : y + 2, x - 1 : x + 2].max()) for y, x in lags)


def binning(shape: tuple[int, ...]) -> int:
    """Return how many pixels, along each axis, are averaged into one for a search."""
    return max(1, -(-max(shape) // _SEARCHED_PX))


def binned(image: Array, usable: Mask, number: int) -> tuple[Array, Mask]:
    """Return the means of usable pixels over `number` by `number`, and where at least half of them are usable."""
    height, width = (size // number * number for size in image.shape)
    blocks = (height // number, number, width // number, number)
    weight = usable[:height, :width].reshape(blocks).sum(axis=(1, 3))
    total = np.where(usable, image, 0.0)[:height, :width].reshape(blocks).sum(axis=(1, 3))
    return total / np.maximum(weight, 1), weight > number**2 / 2


def _autocorrelation(image: Array, usable: Mask) -> Array:
    """Return the correlation at lags (y, x), the lag 0 in the middle; zero where too little overlaps."""
    from scipy.ndimage import gaussian_filter
    from scipy.signal import fftconvolve

    weight = usable.astype(float)
    sigma = _SLOW * min(image.shape)
    slow = gaussian_filter(np.where(usable, image, 0.0), sigma) / np.maximum(gaussian_filter(weight, sigma), 1e-6)
    values = np.where(usable, image - slow, 0.0)
    both = fftconvolve(weight, weight[::-1, ::-1])
    total = fftconvolve(values, values[::-1, ::-1])
    enough = both > 0.2 * weight.sum()
    return np.asarray(np.where(enough, total / np.maximum(both, 1), 0.0) / max(float(np.mean(values**2)), 1e-300))


def _maxima(correlation: Array) -> Array:
    """Return lags (N, 2) of the highest maxima, one of each pair of opposite ones, with parts of a pixel."""
    from scipy.ndimage import maximum_filter

    middle = np.array(correlation.shape) // 2
    reach = int(_LEAST_PX)
    high = (maximum_filter(correlation, size=reach) == correlation) & (correlation > _LEAST_RISE)
    places = np.argwhere(high) - middle
    half = (places[:, 0] > 0) | ((places[:, 0] == 0) & (places[:, 1] > 0))
    length = np.hypot(*places.T)
    places = places[half & (length >= _LEAST_PX) & (length <= min(middle) / _PERIODS * 1.5)]
    strength = correlation[tuple((places + middle).T)]
    order = np.argsort(np.hypot(*places.T), kind="stable")
    best = float(strength.max(initial=0.0))
    chosen = np.unique(np.concatenate([order[strength[order] >= share * best][:count] for share, count in _TRIED]))
    return np.array([lag + _between(correlation, lag + middle) for lag in places[chosen]]).reshape(-1, 2)


def _between(values: Array, place: NDArray[np.intp]) -> Array:
    """Return where the parabolas through a maximum and its neighbours have theirs, in pixels from it."""
    offset = np.zeros(2)
    for axis in range(2):
        step = np.eye(2, dtype=int)[axis]
        if not 0 < place[axis] < values.shape[axis] - 1:
            continue
        low, top, high = (float(values[tuple(place + sign * step)]) for sign in (-1, 0, 1))
        bend = low - 2 * top + high
        offset[axis] = 0.5 * (low - high) / bend if bend < 0 else 0.0
    return np.clip(offset, -0.5, 0.5)


def _cells(lags: Array) -> list[Array]:
    """Return the reduced cells that pairs of lags span, none twice."""
    found: list[Array] = []
    for second in range(len(lags)):
        for first in range(second):
            pair = lags[[first, second]]
            area = abs(float(np.linalg.det(pair)))
            if area < np.sin(np.radians(_LEAST_ANGLE)) * float(np.prod(np.hypot(*pair.T))) * 0.5:
                continue
            cell = reduction(pair) @ pair
            if np.linalg.norm(cell[0]) >= _LEAST_PX and not any(_same(cell, other) for other in found):
                found.append(cell)
    return found


def _same(one: Array, other: Array) -> bool:
    """Tell whether two cells are one lattice but for a tenth of a cell."""
    order = one @ np.linalg.inv(other)
    return bool(abs(abs(np.linalg.det(order)) - 1) < 0.1 and np.abs(order - np.rint(order)).max() < 0.1)


def foretold(image: Array, usable: Mask, cell: Array) -> float:
    """Return the share of the variance that every second cell foretells of the others in the same block of cells."""
    place = np.argwhere(usable) @ np.linalg.inv(cell)
    whole = np.floor(place)
    sides = np.clip(np.rint(np.linalg.norm(cell, axis=1)), 3, _SAMPLES).astype(int)
    sample = np.minimum(((place - whole) * sides).astype(int), sides - 1)
    block = np.floor(whole / _BLOCK_CELLS).astype(int)
    block -= block.min(axis=0)
    group = block[:, 0] * (int(block[:, 1].max()) + 1) + block[:, 1]
    index = (group * sides[0] + sample[:, 0]) * sides[1] + sample[:, 1]
    size = int(index.max()) + 1
    values = image[usable]
    odd = (whole.sum(axis=1) % 2).astype(bool)
    error, spread = 0.0, 0.0
    for side in (odd, ~odd):
        if not side.any() or side.all():
            return 0.0
        count = np.bincount(index[~side], minlength=size)
        total = np.bincount(index[~side], values[~side], minlength=size)
        known = count[index[side]] > 0
        told = (total / np.maximum(count, 1))[index[side]]
        error += float(np.sum((values[side] - told)[known] ** 2))
        spread += float(np.sum((values[side] - values.mean())[known] ** 2))
    return 1 - error / max(spread, 1e-300)
