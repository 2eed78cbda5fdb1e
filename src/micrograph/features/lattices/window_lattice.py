"""The lattice of a small window of an image by least squares in Fourier space, with its errors; or that there is none.

A window is freed of its plane and tapered (Hann). Without a lattice the power of a Fourier coefficient over its
expectation `floor` (from the median over a ring of equal frequencies: noise need not be white) is exponentially
distributed with mean one. Peaks stand out of that. Of all lattices that two of the strongest peaks span, that one is
taken which explains most: each peak on it adds its power, each of its points costs what one free amplitude brings by
chance. The two shortest vectors of the reciprocal lattice follow from all its peaks by weighted least squares: one of
power s (in units of the floor) is placed by Newton steps to a maximum of the continuous transform, with the 1-sigma

    sqrt(V / (8 pi^2 s)) per axis, V = sum(w^2 y^2) sum(w)^2 / (sum(w^2) sum(w y^2)^2)

along each axis (w the taper, y the distance from the middle). Where peaks do not lie as well as that (a strained
window), the errors grow with the misfit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.bravais import reduction

Array = NDArray[np.float64]

#: Peaks that are looked at, those whose pairs are tried, and the power (of the floor) from which a peak is one.
MOST_PEAKS, _TRIED, _PEAK = 14, 7, 11.0
#: Fewest cycles of a peak over the window, and how far (in cycles) a peak may lie from its place on a lattice.
_LEAST_CYCLES, _OFF_CYCLES = 1.8, 0.3
#: Pixels a side in which a frame's own period is sought, and what share of the highest power is a strong wave.
_MOST_SEARCHED, _STRONG = 512, 0.03
#: Width of the rings in which noise is measured (cycles), and coefficients that one needs.
_RING_CYCLES, _FEWEST = 3.0, 6
#: Power (of the floor) from which maxima are looked at, and the neighbours of a coefficient.
_LOWEST, _AROUND = 5.0, [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
#: Noise is taken to be at least this share of the highest peak: finer waves of smooth pictures are no peaks.
_LEAST = 2e-4
#: What a point of a lattice costs: a free amplitude, found by chance.
_COST = 4.0


@dataclass(frozen=True)
class WindowLattice:
    """What one window holds: reciprocal `basis` (2, 2), rows g1, g2 as [y, x] in cycles per pixel.

    covariance: (4, 4) of the basis; evidence: logarithm of how much likelier the image is with the lattice, after the
    search; peaks: how many of its peaks are seen. NaN and 0 where there are no two peaks that span a lattice.
    """

    basis: Array
    covariance: Array
    evidence: float
    peaks: int

    @property
    def cell(self) -> tuple[Array, Array]:
        """The cell (2, 2), rows a and b as [y, x] in px, and its covariance (4, 4)."""
        cell = np.linalg.inv(self.basis).T
        matrix = -np.einsum("il,kj->ijkl", cell, cell).reshape(4, 4)  # d cell_ij = -cell_il cell_kj d basis_kl
        return np.asarray(cell, np.float64), np.asarray(matrix @ self.covariance @ matrix.T)


@dataclass(frozen=True)
class Taper:
    """All that depends on the size of the windows alone, `side` x `side` px."""

    side: int

    @cached_property
    def place(self) -> Array:
        """Distance (side,) from the window's middle."""
        return np.asarray(np.arange(self.side) - (self.side - 1) / 2, np.float64)

    @cached_property
    def weight(self) -> Array:
        """The taper along one axis (side,)."""
        return np.asarray(np.sin(np.pi * (np.arange(self.side) + 0.5) / self.side) ** 2, np.float64)

    @cached_property
    def spread(self) -> float:
        """V of the module's formula, along one axis."""
        w, y = self.weight, self.place
        return float((w**2 @ y**2) * w.sum() ** 2 / ((w**2).sum() * (w @ y**2) ** 2))

    @cached_property
    def frequency(self) -> Array:
        """Frequency (2 side, side + 1, 2) of each coefficient of the doubled transform, [y, x] in cycles per px."""
        ky, kx = np.fft.fftfreq(2 * self.side), np.fft.rfftfreq(2 * self.side)
        return np.stack(np.meshgrid(ky, kx, indexing="ij"), axis=-1)

    @cached_property
    def rings(self) -> int:
        """Number of rings of equal frequency."""
        return int(self.side / 2 / _RING_CYCLES) + 1

    @cached_property
    def ring(self) -> NDArray[np.intp]:
        """Number of the ring of each coefficient."""
        cycles = np.hypot(self.frequency[..., 0], self.frequency[..., 1]) * self.side
        return np.minimum(cycles / _RING_CYCLES, self.rings - 1).astype(np.intp)

    @cached_property
    def own_ring(self) -> NDArray[np.intp]:
        """Number of the ring of each independent coefficient, flat."""
        return self.ring[::2, ::2].ravel()

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Which coefficients may be peaks: not too slow, one of each pair that belongs together, inside the circle."""
        ky, kx = self.frequency[..., 0], self.frequency[..., 1]
        cycles = np.hypot(ky, kx) * self.side
        once = (kx > 0) | (ky > 0)
        return np.asarray(once & (cycles >= _LEAST_CYCLES) & (cycles < 0.47 * self.side))

    @cached_property
    def plane(self) -> Array:
        """Orthonormal plane (3, side^2) that is taken off a window."""
        y, x = np.meshgrid(self.place, self.place, indexing="ij")
        return np.linalg.qr(np.stack([np.ones(y.size), y.ravel(), x.ravel()], axis=1))[0].T


def fit_windows(windows: NDArray[np.floating], taper: Taper) -> list[WindowLattice]:
    """Return the lattice of each of the windows (N, side, side)."""
    return [_fit(window, taper) for window in _flat(windows, taper)]


def slowest_period(image: NDArray[np.floating]) -> float | None:
    """Return the period (px) of the slowest strong wave in an image (H, W), its middle square; ``None`` without any."""
    side = min(*image.shape, _MOST_SEARCHED) // 2 * 2
    top, left = ((size - side) // 2 for size in image.shape)
    taper = Taper(side)
    window = _flat(image[None, top : top + side, left : left + side], taper)[0]
    power = _transform(window, side)
    place, strength = _peaks(power / _floor(power, taper)[taper.ring], taper)
    strong = strength > max(_PEAK + np.log(side / 64), _STRONG * float(strength.max(initial=0.0)))
    return float(1 / np.hypot(*place[strong].T).min()) if strong.any() else None


def _flat(windows: NDArray[np.floating], taper: Taper) -> Array:
    flat = np.asarray(windows, np.float64).reshape(len(windows), -1)
    flat = flat - (flat @ taper.plane.T) @ taper.plane
    return np.asarray(flat.reshape(windows.shape) * taper.weight[:, None] * taper.weight)


def _transform(window: Array, side: int) -> Array:
    """Return the power (2 side, side + 1) of a flat tapered window's transform, doubled in resolution."""
    import scipy.fft

    return np.asarray(np.abs(scipy.fft.rfft2(window, s=(2 * side, 2 * side))) ** 2)


def _floor(power: Array, taper: Taper, held: NDArray[np.bool_] | None = None) -> Array:
    """Return the expected noise (rings,) by ring of frequency, from the coefficients (side, side / 2 + 1) not `held`.

    Every second coefficient of the doubled transform is independent of the others.
    """
    values, ring = power[::2, ::2].ravel(), taper.own_ring
    if held is not None:
        free = ~held.ravel()
        values, ring = values[free], ring[free]
    order = np.lexsort((values, ring))
    count = np.bincount(ring, minlength=taper.rings)
    known = np.flatnonzero(count >= _FEWEST)
    if len(known) == 0:
        return np.full(taper.rings, float(power.mean()) + 1e-300)
    middle = (np.cumsum(count) - count + count // 2)[known]
    found = values[order[middle]] / np.log(2)
    least = _LEAST * float(power[taper.usable].max()) + 1e-300
    return np.asarray(np.interp(np.arange(taper.rings), known, np.maximum(found, least)))


def _fit(window: Array, taper: Taper) -> WindowLattice:
    power = _transform(window, taper.side)
    floor = _floor(power, taper)
    place, strength = _peaks(power / floor[taper.ring], taper)
    if len(place):  # strong peaks raise the floor around them, above which weak ones do not show
        floor = _floor(power, taper, _near_points(place[strength > _PEAK], taper))
    place, strength = _peaks(power / floor[taper.ring], taper)
    if len(place):
        place, height = _placed(window, place, taper)
        strength = height / floor[_ring_of(place, taper)]
    basis, evidence = _best(place, strength, taper.side)
    nothing = WindowLattice(np.full((2, 2), np.nan), np.full((4, 4), np.nan), evidence, 0)
    if basis is None:
        return nothing
    index = np.rint(place @ np.linalg.inv(basis))
    on = np.hypot(*(index @ basis - place).T) < _OFF_CYCLES / taper.side
    on &= (index != 0).any(axis=1) & (strength > _PEAK)
    if on.sum() < 2 or np.linalg.matrix_rank(index[on]) < 2:
        return nothing
    return _least_squares(place[on], strength[on], index[on], taper, evidence)


def _ring_of(place: Array, taper: Taper) -> NDArray[np.intp]:
    return np.asarray(np.minimum(np.hypot(*place.T) * taper.side / _RING_CYCLES, taper.rings - 1), dtype=np.intp)


def _near_points(place: Array, taper: Taper) -> NDArray[np.bool_]:
    """Return which independent coefficients lie on the taper's main lobe around any of the points (N, 2)."""
    held = np.zeros((taper.side, taper.side // 2 + 1), dtype=bool)
    reach = np.arange(-2, 3)
    rows, columns = (np.rint(place * taper.side).astype(int)[:, axis, None] + reach for axis in (0, 1))
    for sign in (1, -1):  # the conjugate of a point near zero shows on this half of the plane too
        inside = (sign * columns >= 0) & (sign * columns < held.shape[1])
        row = np.broadcast_to((sign * rows)[:, :, None] % taper.side, (len(place), 5, 5))
        column = np.broadcast_to((sign * columns)[:, None, :], row.shape)
        chosen = np.broadcast_to(inside[:, None, :], row.shape)
        held[row[chosen], column[chosen]] = True
    return held


def _peaks(share: Array, taper: Taper) -> tuple[Array, Array]:
    """Return the places (N, 2) in cycles per px and the powers (N,) of the highest maxima, the highest first."""
    row, column = np.nonzero(taper.usable & (share > _LOWEST))
    height, top = share[row, column], np.ones(len(row), dtype=bool)
    for dy, dx in _AROUND:
        near, aside = (row + dy) % len(share), column + dx
        near, aside = np.where(aside < 0, -near % len(share), near), np.abs(aside)
        inside = aside < share.shape[1]
        top &= ~inside | (height >= share[near, np.where(inside, aside, 0)])
    row, column = row[top], column[top]
    order = np.argsort(-share[row, column])[:MOST_PEAKS]
    row, column = row[order], column[order]
    return taper.frequency[row, column], share[row, column]


def _best(place: Array, strength: Array, side: int) -> tuple[Array | None, float]:
    """Return the reciprocal basis that explains the peaks best and its evidence; none where all lie on one line.

    Where the strongest peaks, two by two, leave others unexplained, their differences are tried too: a large cell may
    show high orders only.
    """
    none = float(-np.log(side**2))
    if len(place) < 2:
        return None, none
    found = np.where(strength > _PEAK, strength, 0.0)
    basis, hit, score = _scored(place[:_TRIED], place, found, side)
    if basis is None or hit is None:
        return None, none
    if (~hit & (strength > 2 * _PEAK)).any():
        few = place[:_TRIED]
        first, second = np.triu_indices(len(few), 1)
        apart = np.concatenate([few[first] - few[second], few[first] + few[second]])
        apart = apart[np.hypot(*apart.T) * side > _LEAST_CYCLES]
        other, other_hit, other_score = _scored(np.concatenate([few, apart]), place, found, side)
        if other is not None and other_hit is not None and other_score > score:
            basis, hit = _fitted(other, place[other_hit]), other_hit
    own = np.sort(strength[hit])[::-1][:2] if hit.sum() >= 2 else np.sort(strength)[-2:]
    return basis, float((own - np.log(side**2)).sum())


def _scored(
    vectors: Array, place: Array, found: Array, side: int
) -> tuple[Array | None, NDArray[np.bool_] | None, float]:
    """Return the reduced basis of two of the vectors (V, 2) that explains most, which peaks (N,), and its score."""
    first, second = np.triu_indices(len(vectors), 1)
    pairs = np.stack([vectors[first], vectors[second]], axis=1)
    across = np.abs(np.linalg.det(pairs))
    pairs = pairs[across > 0.15 * np.linalg.norm(pairs, axis=2).prod(axis=1)]
    if len(pairs) == 0:
        return None, None, 0.0
    reach = float(np.linalg.norm(place[found > 0], axis=1).max(initial=0.0))
    index = np.rint(place @ np.linalg.inv(pairs))
    off = np.linalg.norm(index @ pairs - place, axis=2) * side
    hit = (off < _OFF_CYCLES) & (index != 0).any(axis=2)
    points = 0.5 * np.pi * reach**2 / np.abs(np.linalg.det(pairs))
    score = (hit * found).sum(axis=1) - _COST * points - (~hit * found).sum(axis=1)
    best = int(score.argmax())
    return reduction(pairs[best]) @ pairs[best], np.asarray(hit[best]), float(score[best])


def _fitted(basis: Array, place: Array) -> Array:
    """Return the basis that fits peaks (N, 2) on it best."""
    index = np.rint(place @ np.linalg.inv(basis))
    if np.linalg.matrix_rank(index) < 2:
        return basis
    return np.asarray(np.linalg.lstsq(index, place, rcond=None)[0], np.float64)


def _placed(window: Array, place: Array, taper: Taper) -> tuple[Array, Array]:
    """Return the maxima (N, 2) of the continuous power near `place`, and the power there (N,): two Newton steps."""
    y, window = taper.place, window.astype(np.complex128)
    k = place.copy()
    for _ in range(2):
        turn = 2j * np.pi * y
        rows, columns = np.exp(-k[:, :1] * turn), np.exp(-k[:, 1:] * turn)
        by = np.stack([rows, rows * y, rows * y**2])
        bx = np.stack([columns, columns * y, columns * y**2], axis=-1)
        part = by @ window
        moment = np.einsum("anx,nxb->nab", part, bx)
        f, fy, fx = moment[:, 0, 0], -2j * np.pi * moment[:, 1, 0], -2j * np.pi * moment[:, 0, 1]
        curve = -4 * np.pi**2
        second = [
            curve * moment[:, 2, 0],
            curve * moment[:, 1, 1],
            curve * moment[:, 0, 2],
        ]
        slope = 2 * np.stack([(f.conj() * fy).real, (f.conj() * fx).real], axis=1)
        hyy = 2 * ((f.conj() * second[0]).real + np.abs(fy) ** 2)
        hyx = 2 * ((f.conj() * second[1]).real + (fy.conj() * fx).real)
        hxx = 2 * ((f.conj() * second[2]).real + np.abs(fx) ** 2)
        bend = np.stack([np.stack([hyy, hyx], 1), np.stack([hyx, hxx], 1)], axis=1)
        convex = (hyy < 0) & (hxx < 0) & (hyy * hxx > hyx**2)
        bend = np.where(convex[:, None, None], bend, -np.eye(2) * (np.abs(hyy) + np.abs(hxx) + 1e-300)[:, None, None])
        step = -np.linalg.solve(bend, slope[..., None])[..., 0]
        k = k + np.clip(step, -0.4 / taper.side, 0.4 / taper.side)
    return k, np.abs(f) ** 2


def _least_squares(place: Array, strength: Array, index: Array, taper: Taper, evidence: float) -> WindowLattice:
    """Return the basis that fits peaks at `place` (N, 2), of so many floors, with `index` (N, 2)."""
    variance = taper.spread / (8 * np.pi**2 * strength)
    normal = (index / variance[:, None]).T @ index
    inverse = np.linalg.inv(normal)
    basis = inverse @ (index / variance[:, None]).T @ place
    rest = place - index @ basis
    free = 2 * len(place) - 4
    misfit = max(1.0, float((rest**2 / variance[:, None]).sum()) / free) if free else 1.0
    covariance = np.einsum("ij,kl->ikjl", inverse * misfit, np.eye(2)).reshape(4, 4)
    return WindowLattice(basis, covariance, evidence, len(place))
