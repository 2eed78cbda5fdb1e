"""A surface's lattice followed through the image, and the motif that all its cells share.

Scanners creep and drift: the lattice is bent. How far it is shifted at each place follows from the phases of its
Fourier components there (geometric phase, Hytch 1998, doi:10.1016/S0304-3991(98)00035-7), those of the strongest
components together. Folded with that shift, the image gives the motif: at each place in the cell the median over all
cells, which defects do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from micrograph.features.surface.bends import block_side, demodulated, orders_of, placed, solved, spread, unbent

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Shifts are averaged over so many cells (1 sigma), from so many components up to this order.
REACH_CELLS, _COMPONENTS, _ORDERS = 0.8, 12, 8
#: Pixels of all cells that share one sample of the motif, at least; samples along a side, and to a pixel, at most.
_SHARED, _MOST_SAMPLES, _FINEST = 12, 96, 2.0
#: Highest order of the directions in which a motif may be nothing but stripes.
_LINES = 6
#: Rounds of shift and motif.
ROUNDS = 2


@dataclass(frozen=True)
class Followed:
    """A lattice in an image (H, W): its mean `cell` (2, 2), rows a and b as [y, x] in px, and how it is bent.

    shift: (2, H, W), how far (y, x, in px) each place is shifted from the straight lattice; motif: (Na, Nb) values in
    the cell, NaN where nothing was seen; place: (2, H, W) where each pixel lies in its cell, 0 to 1 along a and b.
    """

    cell: Array
    shift: Array
    motif: Array
    place: Array

    @cached_property
    def periodic(self) -> Array:
        """Return the image (H, W) that the motif alone would give."""
        return sampled(self.motif, self.place)


def follow(image: Array, usable: Mask, cell: Array, shift: Array | None = None, rounds: int = ROUNDS) -> Followed:
    """Return the lattice of an image (H, W) of about `cell`, followed through it; `usable` pixels count.

    shift: (2, H, W) where it is known already, roughly; then one of the `rounds` is enough.
    """
    values = np.where(usable, image, 0.0)
    if shift is None:
        cell, shift = unbent(image, usable, cell)
    for _ in range(rounds):
        cell, shift, place = placed(cell, shift, usable)
        shift = shift + _shift(values, place, cell, _motif(image, usable, cell, place))
    cell, shift, place = placed(cell, shift, usable)
    return Followed(cell, shift, _motif(image, usable, cell, place), place)


def enlarged(shift: Array, number: int, shape: tuple[int, ...]) -> Array:
    """Return the shift (2, H, W) of an image from that of the same one binned by `number`."""
    from scipy.ndimage import zoom

    if number == 1:
        return shift
    whole = np.stack([number * zoom(one, number, order=1, mode="nearest", grid_mode=True) for one in shift])
    missing = [(0, max(0, side - had)) for side, had in zip(shape, whole.shape[1:], strict=True)]
    return np.asarray(np.pad(whole, [(0, 0), *missing], mode="edge"))


def _shift(values: Array, place: Array, cell: Array, motif: Array) -> Array:
    """Return how far (2, H, W) the image lies from where the motif says, from the strongest components."""
    reciprocal = np.linalg.inv(cell).T
    filled = np.where(np.isfinite(motif), motif, np.nanmean(motif))
    spectrum = np.fft.fft2(filled) / filled.size
    orders = orders_of(_ORDERS, cell)
    orders = orders[(np.abs(orders) < np.array(motif.shape) / 2).all(axis=1)]
    strength = np.abs(spectrum[tuple(orders.T)])
    orders = orders[np.argsort(-strength)[:_COMPONENTS]]
    sigma = REACH_CELLS * float(np.linalg.norm(cell, axis=1).mean())
    step = block_side(values.shape, sigma)
    product = demodulated(values, place, orders, step, sigma) * spectrum[tuple(orders.T)].conj()[:, None, None]
    weight, g = np.abs(product), orders @ reciprocal
    along = np.angle(product) / (-2 * np.pi)
    return spread(solved(weight, along, g, 1e-3), step, values.shape)


def motif_of(image: Array, usable: Mask, followed: Followed) -> Array:
    """Return the motif (Na, Nb) of an image in a lattice that was followed in another one of the same place."""
    return _motif(image, usable, followed.cell, followed.place)


def along_one(motif: Array) -> float:
    """Return the largest share of the variance of a motif (Na, Nb) that waves of one direction hold; stripes: 1."""
    filled = np.where(np.isfinite(motif), motif, np.nanmean(motif))
    power = np.abs(np.fft.fft2(filled)) ** 2
    power[0, 0] = 0.0
    orders = [(h, k) for h in range(_LINES + 1) for k in range(-_LINES, _LINES + 1) if (h, k) > (0, 0)]
    shares = [0.0]
    for order in (np.array(one) for one in orders if np.gcd(*one) == 1):
        times = np.arange(1, int(((np.array(motif.shape) - 1) / 2 / np.maximum(np.abs(order), 1e-9)).min()) + 1)
        shares.append(2 * float(power[tuple(np.outer(order, times))].sum()))
    return max(shares) / max(float(power.sum()), 1e-300)


def _motif(image: Array, usable: Mask, cell: Array, place: Array) -> Array:
    """Return the median of the image at every place in the cell (Na, Nb); NaN where no pixel fell."""
    sides = _sides(cell, int(usable.sum()))
    index = np.minimum((place * sides[:, None, None]).astype(np.intp), (sides - 1)[:, None, None])
    flat = (index[0] * sides[1] + index[1])[usable]
    values = image[usable]
    least, range_ = float(values.min()), max(float(np.ptp(values)), 1e-300)
    keys = np.sort(flat + (values - least) / range_ * (1 - 1e-6))  # one sort of one number: sample, then value
    start = np.searchsorted(keys, np.arange(int(sides.prod())))
    count = np.diff(np.append(start, len(keys)))
    low, high = start + np.maximum(count - 1, 0) // 2, start + count // 2
    middle = (keys[np.minimum(low, len(keys) - 1)] % 1 + keys[np.minimum(high, len(keys) - 1)] % 1) / 2
    middle = middle / (1 - 1e-6) * range_ + least
    return np.where(count > 0, middle, np.nan).reshape(tuple(sides))


def _sides(cell: Array, pixels: int) -> NDArray[np.intp]:
    """Return how many samples a motif has along a and b: half a pixel each, or more where few pixels share one."""
    sides = np.linalg.norm(cell, axis=1)
    share = float(np.sqrt(pixels / _SHARED / sides.prod()))
    return np.asarray(np.clip(np.rint(sides * min(_FINEST, share)), 3, _MOST_SAMPLES), np.intp)


def sampled(motif: Array, place: Array) -> Array:
    """Return the motif, which repeats, at places (2, ...) in the cell."""
    from scipy.ndimage import map_coordinates

    filled = np.where(np.isfinite(motif), motif, np.nanmedian(motif))
    sides = np.array(motif.shape).reshape(2, *[1] * (place.ndim - 1))
    return np.asarray(map_coordinates(filled, place * sides - 0.5, order=3, mode="grid-wrap"))
