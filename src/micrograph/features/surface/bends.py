"""How far the lattice of an image is shifted at each place, from the phases of its waves (geometric phase).

A wave's phase tells the shift along it but for whole periods. Its differences between neighbouring blocks are small and
known without that doubt: the shift is the field whose differences agree best with those of all waves, each weighted by
how strong it is there (least squares, Ghiglia and Romero, doi:10.1364/JOSAA.11.000107). Islands and noise weigh little.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Waves = NDArray[np.complex64]

#: Cells over which waves are averaged (1 sigma), round by round: where the lattice is still much bent, over less.
_REACH_CELLS = (0.5, 0.7, 0.7)
#: Highest order of the waves, and how many of the strongest count.
_ORDERS, _STRONGEST = 4, 12
#: Pixels along one side to which a mean slope is fitted, at most.
_FITTED = 96
#: Blocks along one side, at most, of a shift that is unwound.
_MOST_BLOCKS = 72


def unbent(image: Array, usable: Mask, cell: Array) -> tuple[Array, Array]:
    """Return the mean cell of an image (H, W) in which `cell` (2, 2) about repeats, and the shift (2, H, W) of places.

    Whatever is in the cell does not matter: only how its waves change from place to place.
    """
    values, shift, orders = np.where(usable, image, 0.0), np.zeros((2, *image.shape)), None
    for reach in _REACH_CELLS:
        cell, shift, place = placed(cell, shift, usable)
        sigma = reach * float(np.linalg.norm(cell, axis=1).mean())
        step = block_side(image.shape, sigma)
        if orders is None:
            orders = orders_of(_ORDERS, cell)
            seen = demodulated(values, place, orders, step, sigma)
            strong = np.argsort(-np.mean(np.abs(seen) ** 2, axis=(1, 2)))[:_STRONGEST]
            orders, seen = orders[strong], seen[strong]
        else:
            seen = demodulated(values, place, orders, step, sigma)
        shift = shift + spread(unwound(seen, orders @ np.linalg.inv(cell).T), step, image.shape)
    cell, shift, _ = placed(cell, shift, usable)
    return cell, shift


def block_side(shape: tuple[int, ...], sigma: float) -> int:
    """Return the side (px) of blocks that are fine enough for what is smooth over `sigma` px."""
    return max(1, int(sigma / 2), -(-max(shape) // _MOST_BLOCKS))


def placed(cell: Array, shift: Array, usable: Mask) -> tuple[Array, Array, Array]:
    """Return the cell with the mean slope of a shift (2, H, W) in it, the shift without, where pixels lie in the cell.

    The last is (2, H, W), 0 to 1 along a and b.
    """
    slope, shift = _straightened(shift, usable)
    cell = cell @ (np.eye(2) + slope).T
    grid = np.indices(shift.shape[1:]).astype(float)
    return cell, shift, np.einsum("ij,jyx->iyx", np.linalg.inv(cell).T, grid - shift) % 1.0


def _straightened(shift: Array, usable: Mask) -> tuple[Array, Array]:
    """Return the mean slope (2, 2) of a shift, d(y, x) by d(y, x), and the shift without it."""
    if not shift.any():
        return np.zeros((2, 2)), shift
    grid = np.indices(shift.shape[1:]).astype(float)
    few = np.s_[:: -(-shift.shape[1] // _FITTED), :: -(-shift.shape[2] // _FITTED)]
    known = usable[few]
    design = np.column_stack([np.ones(int(known.sum())), grid[0][few][known], grid[1][few][known]])
    normal, pull = design.T @ design, design.T @ np.stack([one[few][known] for one in shift], axis=1)
    fit = np.linalg.solve(normal + 1e-9 * np.diag(np.diag(normal)), pull)
    return fit[1:].T, shift - np.einsum("ij,jyx->iyx", fit[1:].T, grid)


def orders_of(most: int, cell: Array) -> NDArray[np.intp]:
    """Return the orders (K, 2) up to `most`, one of each opposite pair, of a cell's waves that pixels show."""
    orders = np.array([(h, k) for h in range(most + 1) for k in range(-most, most + 1) if (h, k) > (0, 0)], np.intp)
    return np.asarray(orders[np.abs(orders @ np.linalg.inv(cell).T).max(axis=1) < 0.4])


def spread(blocks: Array, step: int, shape: tuple[int, ...]) -> Array:
    """Return values (N, h, w) of blocks of `step` px at all pixels of an image (H, W), (N, H, W)."""
    from scipy.ndimage import zoom

    whole = np.stack([zoom(one, step, order=1, mode="nearest", grid_mode=True) for one in blocks])
    return np.asarray(whole[:, : shape[0], : shape[1]])


def straight(image: Array, shift: Array) -> Array:
    """Return an image (H, W) as it were without its shift (2, H, W); NaN where nothing was seen."""
    from scipy.ndimage import map_coordinates

    grid = np.indices(image.shape).astype(float)
    at = grid + shift
    for _ in range(3):
        at = grid + np.stack([map_coordinates(one, at, order=1, mode="nearest") for one in shift])
    return np.asarray(map_coordinates(image, at, order=1, mode="constant", cval=np.nan))


def demodulated(image: Array, place: Array, orders: NDArray[np.intp], step: int, sigma: float) -> Waves:
    """Return the waves (K, h, w) of an image (H, W) in blocks of `step` px, smoothed by `sigma` px; outside is zero.

    place: (2, H, W), where each pixel lies, in cells along a and b; orders: (K, 2), how often a wave repeats in a cell.
    """
    from scipy.ndimage import gaussian_filter

    values = image.astype(np.float32)
    first = [np.exp(np.asarray(-2j * np.pi * one, np.complex64)) for one in place]
    powers: list[dict[int, Waves]] = [{}, {}]
    found = []
    for order in orders:
        wave: NDArray[Any] = values
        for axis, times in enumerate(order.tolist()):
            if abs(times) not in powers[axis]:
                powers[axis][abs(times)] = np.asarray(first[axis] ** abs(times), np.complex64)
            one = powers[axis][abs(times)]
            wave = wave * (one if times >= 0 else one.conj())
        mean = block_means(wave, step)
        found.append(gaussian_filter(mean, sigma / step, mode="constant", truncate=3.0))
    return np.asarray(found, np.complex64)


def block_means(image: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the means over blocks of `step` px of an image (H, W), which zeros complete."""
    height, width = (-(-n // step) for n in image.shape)
    missing = [(0, height * step - image.shape[0]), (0, width * step - image.shape[1])]
    padded = np.pad(image, missing) if any(after for _, after in missing) else image
    return np.asarray(padded.reshape(height, step, width, step).mean(axis=(1, 3)))


def unwound(seen: Waves, waves: Array) -> Array:
    """Return the shift (2, h, w), zero on average, of blocks in which `waves` (K, 2), cycles per px, are `seen`."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import splu

    number = seen[0].size
    index = np.arange(number).reshape(seen.shape[1:])
    flat = seen.reshape(len(seen), -1)
    diagonal, ends, pull = np.zeros(number), [], np.zeros((2, number))
    for i, j in ((index[:, :-1].ravel(), index[:, 1:].ravel()), (index[:-1].ravel(), index[1:].ravel())):
        step, weight = _steps(flat[:, i], flat[:, j], waves)
        ends.append((i, j, weight))
        for sign, end in ((-1, i), (1, j)):
            diagonal += np.bincount(end, weight, number)
            for axis in range(2):
                pull[axis] += sign * np.bincount(end, weight * step[axis], number)
    i, j, weight = (np.concatenate(part) for part in zip(*ends, strict=True))
    rows, columns = np.concatenate([i, j, np.arange(number)]), np.concatenate([j, i, np.arange(number)])
    values = np.concatenate([-weight, -weight, diagonal + 1e-9 * diagonal.mean()])
    solver = splu(coo_array((values, (rows, columns)), shape=(number, number)).tocsc(), "MMD_AT_PLUS_A")
    shift = np.array([solver.solve(one) for one in pull]).reshape(2, *index.shape)
    strength = diagonal.reshape(index.shape) / diagonal.sum()
    return np.asarray(shift - np.sum(shift * strength, axis=(1, 2), keepdims=True))


def _steps(one: Waves, other: Waves, waves: Array) -> tuple[Array, Array]:
    """Return the steps (2, E) of the shift between neighbouring blocks, and their weights (E,)."""
    product = other * one.conj()
    weight = np.abs(product)
    return solved(weight, np.angle(product) / (-2 * np.pi), waves, 1e-2), np.sum(waves**2, axis=1) @ weight


def solved(weight: Array, along: Array, waves: Array, least: float) -> Array:
    """Return the vectors (2, ...) of which `waves` (K, 2) see the parts `along` (K, ...), weighted least squares.

    least: share of the mean weight that is added where waves see little or one direction only.
    """
    flat, y, x = weight.reshape(len(waves), -1), *waves.T
    yy, yx, xx = (part @ flat for part in (y * y, y * x, x * x))
    small = least * float(np.mean(yy + xx)) / 2
    yy, xx = yy + small, xx + small
    seen = flat * along.reshape(flat.shape)
    pull_y, pull_x = y @ seen, x @ seen
    found = np.array([xx * pull_y - yx * pull_x, yy * pull_x - yx * pull_y]) / (yy * xx - yx**2)
    return np.asarray(found.reshape(2, *weight.shape[1:]))
