"""Unit cells of a perovskite along [110]: its rectangular lattice found, cells laid upon each other in one frame.

Seen along [110] the pseudo-cubic cell of side a shows a rectangle, a / sqrt(2) along [-110] by a along [001]. Tilts of
octahedra double both: patches hold two by two of them, all with the same origin at a centre of symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Samples of a patch along each side.
SIDE = 32
#: Pseudo-cubic cells (nm) that are tried.
CELLS_NM = (0.36, 0.43)
#: Part of the image (nm) in which the lattice is looked for first.
_FIRST_NM = 4.0
#: Fourier components (along [001], along [-110]) by which the lattice is found: those of every such perovskite.
_ORDERS = np.array([(0, 1), (1, 0), (2, 0), (1, 1), (1, -1), (2, 1), (2, -1), (0, 2), (2, 2), (2, -2), (3, 1), (3, -1)])
#: 1-sigma (samples) of the smoothing that fills samples on which no pixel fell; it is undone.
_SMOOTH = 0.35
#: How much larger what alternates is shown.
_LOUDER = 6.0
#: Least ratio of the components' strength to that at places in between: less is no lattice.
LEAST_CLEAR = 3.0


@dataclass(frozen=True)
class Axes:
    """The lattice of an image: reciprocal vectors (2, 2) in 1/nm, rows along [001] and [-110], each (y, x); clearness.

    A point r (y, x) in nm has the place ``reciprocal @ r`` in projected cells.
    """

    reciprocal: Array
    clear: float

    @property
    def cell(self) -> Array:
        """Vectors (2, 2) of a projected cell in nm: rows along [001] and [-110], each (y, x)."""
        return np.asarray(np.linalg.inv(self.reciprocal).T)

    @property
    def cubic_nm(self) -> tuple[float, float]:
        """Pseudo-cubic spacing along [001] and in the plane."""
        along, across = np.hypot(*self.cell.T)
        return float(along), float(across * np.sqrt(2))


def find_axes(image: NDArray[np.floating], pixel_nm: float) -> Axes | None:
    """Return the lattice of an image (H, W), ``None`` where there is no rectangle of 1 to sqrt(2) of a fitting size."""
    tapered = _tapered(image)
    if tapered is None:
        return None
    first = _best_of_grid(tapered, pixel_nm)
    if first is None:
        return None
    reciprocal = first
    for _ in range(2):
        reciprocal = _refined(tapered, pixel_nm, reciprocal)
    clear = _clearness(tapered, pixel_nm, reciprocal)
    lengths = np.hypot(*np.linalg.inv(reciprocal))
    fits = CELLS_NM[0] <= lengths[0] <= CELLS_NM[1] and abs(lengths[0] / lengths[1] / np.sqrt(2) - 1) < 0.06
    return Axes(reciprocal, clear) if fits and clear >= LEAST_CLEAR else None


def _tapered(image: NDArray[np.floating]) -> Array | None:
    values = np.asarray(image, float)
    values = np.where(np.isfinite(values), values, np.nanmean(values) if np.isfinite(values).any() else 0.0)
    if min(values.shape) < 24 or values.std() == 0:
        return None
    taper = np.multiply.outer(*(np.hanning(n + 2)[1:-1] for n in values.shape))
    flat = values - (values * taper).sum() / taper.sum()
    return np.asarray(flat * taper)


def _best_of_grid(tapered: Array, pixel_nm: float) -> Array | None:
    """Return the reciprocal vectors of the rectangle, over directions and sizes, that most of the spectrum lies on."""
    import scipy.fft
    from scipy.ndimage import map_coordinates, maximum_filter

    tapered = _middle(tapered, int(_FIRST_NM / pixel_nm))
    size = [scipy.fft.next_fast_len(2 * n) for n in tapered.shape]
    spectrum = np.abs(np.fft.fftshift(scipy.fft.fft2(tapered.astype(np.float32), s=size)))
    spectrum = maximum_filter(spectrum, 3)
    per_nm = [1 / (n * pixel_nm) for n in size]
    field = min(tapered.shape) * pixel_nm
    turns = np.arange(0, np.pi, min(0.35 * CELLS_NM[0] / field, 0.05))
    sides = np.arange(*CELLS_NM, min(0.3 * CELLS_NM[0] ** 2 / field, 0.02))
    turn, side = (part.ravel() for part in np.meshgrid(turns, sides, indexing="ij"))
    along = np.stack([-np.sin(turn), np.cos(turn)], axis=1) / side[:, None]
    across = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (np.sqrt(2) / side)[:, None]
    total = np.zeros(len(turn))
    nyquist = 0.5 / pixel_nm
    for along_n, across_n in _ORDERS:
        g = along_n * along + across_n * across
        seen = np.abs(g).max(axis=1) < nyquist
        at = [g[:, axis] / per_nm[axis] + size[axis] // 2 for axis in (0, 1)]
        strength = map_coordinates(spectrum, at, order=1, mode="nearest")
        total += np.where(seen, np.sqrt(strength), 0.0)
    best = int(np.argmax(total))
    return np.stack([along[best], across[best]]) if total[best] > 0 else None


def _middle(image: Array, side: int) -> Array:
    """Return the middle of an image, tapered anew, at most `side` pixels wide and high."""
    top, left = (max(0, (n - side) // 2) for n in image.shape)
    part = image[top : top + side, left : left + side]
    return part if part.shape == image.shape else part * np.multiply.outer(*(np.hanning(n) for n in part.shape))


def _transform(tapered: Array, pixel_nm: float, g: Array) -> NDArray[np.complex128]:
    """Return the Fourier transform at frequencies g (N, 2) in 1/nm."""
    y, x = (np.arange(n) * pixel_nm for n in tapered.shape)
    rows = np.exp(-2j * np.pi * g[:, :1] * y).astype(np.complex64)
    turn = -2 * np.pi * g[:, 1:] * x
    image = np.asarray(tapered.T, np.float32)
    columns = np.cos(turn).astype(np.float32) @ image + 1j * (np.sin(turn).astype(np.float32) @ image)
    return np.asarray(np.einsum("ny,ny->n", rows, columns), complex)


def _refined(tapered: Array, pixel_nm: float, reciprocal: Array) -> Array:
    """Return the reciprocal vectors fitted to the maxima of the spectrum near their sums."""
    g = _ORDERS @ reciprocal
    g_seen = np.abs(g).max(axis=1) < 0.48 / pixel_nm
    orders, g = _ORDERS[g_seen], g[g_seen]
    step = 0.2 / (np.array(tapered.shape) * pixel_nm)
    around = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
    for _ in range(2):
        at = g[:, None] + around * step
        power = np.abs(_transform(tapered, pixel_nm, at.reshape(-1, 2))).reshape(len(g), 5)
        value = np.log(power + 1e-12)
        slope = np.stack([value[:, 1] - value[:, 2], value[:, 3] - value[:, 4]], axis=1) / 2
        bend = np.stack([value[:, 1] + value[:, 2], value[:, 3] + value[:, 4]], axis=1) - 2 * value[:, :1]
        move = np.where(bend < 0, -slope / np.minimum(bend, -1e-9), np.sign(slope))
        g = g + np.clip(move, -2, 2) * step
    strength = np.abs(_transform(tapered, pixel_nm, g))
    away = np.hypot(*((g - orders @ reciprocal) * np.array(tapered.shape) * pixel_nm).T)
    weight = strength * (away < 1.5)
    if np.linalg.matrix_rank(orders * weight[:, None]) < 2:
        return reciprocal
    found, *_ = np.linalg.lstsq(orders * weight[:, None], g * weight[:, None], rcond=None)
    return np.asarray(found)


def _clearness(tapered: Array, pixel_nm: float, reciprocal: Array) -> float:
    """Return how much stronger the spectrum is on the lattice than between: at thirds, where no tilt puts anything."""
    seen = _ORDERS[np.abs(_ORDERS @ reciprocal).max(axis=1) < 0.48 / pixel_nm]
    on = np.abs(_transform(tapered, pixel_nm, seen @ reciprocal))
    between = [np.abs(_transform(tapered, pixel_nm, (seen + shift) @ reciprocal)) for shift in _THIRDS]
    strongest = np.sort(on)[::-1][: max(4, len(on) // 2)]
    return float(np.sqrt(np.mean(strongest**2)) / (np.sqrt(np.mean(np.square(between))) + 1e-12))


_THIRDS = np.array([(1 / 3, 1 / 3), (1 / 3, -1 / 3), (0.31, 0.0), (0.0, 0.31)])


@dataclass(frozen=True)
class Patch:
    """Two by two projected cells laid upon each other, (SIDE, SIDE): rows along [001], columns along [-110].

    origin (2,): the place, in projected cells, of the centre of symmetry that lies at sample (0, 0). noise: 1-sigma of
    a sample over the standard deviation of the samples. pixels: how many went into it.
    """

    image: Array
    origin: Array
    noise: float
    pixels: float


@dataclass(frozen=True)
class Cells:
    """Sums over the pixels of each doubled cell of an image, by sample of the patch.

    sums (Y, X, 3, SIDE, SIDE): of values, of weights, of squares; first (2,): number of the first cell along both axes.
    """

    axes: Axes
    sums: Array
    first: NDArray[np.int_]

    @staticmethod
    def of(image: NDArray[np.floating], pixel_nm: float, axes: Axes) -> Cells:
        """Return the sums of an image (H, W); a pixel is shared among the four samples around it."""
        y, x = (np.arange(n) * pixel_nm for n in image.shape)
        good = np.isfinite(image)
        place = [(axes.reciprocal[row, 0] * y[:, None] + axes.reciprocal[row, 1] * x)[good] / 2 for row in (0, 1)]
        number = [np.floor(part).astype(int) for part in place]
        first = np.array([part.min() for part in number])
        count = np.array([part.max() for part in number]) - first + 1
        at = [(part - whole) * SIDE for part, whole in zip(place, number, strict=True)]
        low = [np.minimum(part.astype(int), SIDE - 1) for part in at]
        rest = [part - whole for part, whole in zip(at, low, strict=True)]
        cell = (number[0] - first[0]) * count[1] + number[1] - first[1]
        values = np.asarray(image[good], float)
        values = values - values.mean()
        sums = np.zeros((3, count[0] * count[1] * SIDE**2))
        for dy in (0, 1):
            for dx in (0, 1):
                share = (rest[0] if dy else 1 - rest[0]) * (rest[1] if dx else 1 - rest[1])
                where = cell * SIDE**2 + (low[0] + dy) % SIDE * SIDE + (low[1] + dx) % SIDE
                for row, what in enumerate((values * share, share, values**2 * share)):
                    sums[row] += np.bincount(where, what, sums.shape[1])
        shaped = sums.reshape(3, count[0], count[1], SIDE, SIDE)
        return Cells(axes, np.moveaxis(shaped, 0, 2), first)

    def whole(self) -> Patch | None:
        """Return all cells laid upon each other."""
        return patch_of(self.sums.sum(axis=(0, 1)))

    def windows(self, reach: int = 1, least: float = 0.6) -> list[tuple[Patch, Array]]:
        """Return the patch of every cell with its neighbours up to `reach` away, and where (y, x) in nm its middle is.

        Left out are windows of which less than the share `least` of the usual number of pixels is in the image.
        """
        found: list[tuple[Patch, Array]] = []
        vectors, whole = self.axes.cell, self.whole()
        if whole is None:
            return found
        usual = float(np.median(self.sums[:, :, 1].sum(axis=(2, 3)).max())) * (2 * reach + 1) ** 2
        for row, column in np.ndindex(*self.sums.shape[:2]):
            near = self.sums[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            own = self.sums[row, column, 1].sum() * (2 * reach + 1) ** 2
            total = near.sum(axis=(0, 1))
            if min(own, total[1].sum()) < least * usual:
                continue
            patch = patch_of(total, whole.origin)
            if patch is not None:
                middle = 2 * (self.first + np.array([row, column]) + 0.5)
                found.append((patch, np.asarray(middle @ vectors)))
        return found


def patch_of(sums: Array, near: Array | None = None) -> Patch | None:
    """Return the patch of sums (3, SIDE, SIDE) of values, weights and squares; ``None`` where there is too little.

    `near` (2,) is where, in projected cells, its origin lies nearly.
    """
    total, weight, square = sums
    pixels = float(weight.sum())
    if pixels < SIDE * SIDE / 4:
        return None
    mean = _smooth(total, _SMOOTH) / np.maximum(_smooth(weight, _SMOOTH), 1e-9)
    samples = _sharpened(mean)
    spread = float(samples.std())
    if not spread > 0:
        return None
    variance = float((square - 2 * total * samples + weight * samples**2).sum()) / pixels
    noise = np.sqrt(max(variance, 0.0) * SIDE**2 / pixels) / spread
    origin = centre_of(samples, None if near is None else near / 2)
    return Patch(moved(samples, origin), origin * 2, noise, pixels)


def _smooth(image: Array, sigma: float) -> Array:
    k = np.fft.fftfreq(SIDE)
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * (k[:, None] ** 2 + k**2))
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * transfer).real)


def _sharpened(image: Array) -> Array:
    """Undo what sharing pixels among samples and smoothing have blurred, up to where an image still has detail."""
    k = np.fft.fftfreq(SIDE)
    square = k[:, None] ** 2 + k**2
    blurred = np.multiply.outer(np.sinc(k) ** 2, np.sinc(k) ** 2) * np.exp(-2 * (np.pi * _SMOOTH) ** 2 * square)
    return sharp_part(np.asarray(np.fft.ifft2(np.fft.fft2(image) / blurred).real))


def sharp_part(image: Array) -> Array:
    """Return a patch without the finest waves, in which an image has no detail."""
    k = np.fft.fftfreq(SIDE)
    kept = np.exp(-((np.hypot(k[:, None], k) / 0.45) ** 12))
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * kept).real)


def parted(image: Array) -> NDArray[np.float32]:
    """Return a patch as four images (4, SIDE / 2, SIDE / 2) of the projected cell: its mean, and what alternates.

    Second is what alternates along [-110], third along [001], fourth along both: only tilts give it. All are in units
    of the mean's standard deviation, the last three six times larger.
    """
    half = SIDE // 2
    cells = image.reshape(2, half, 2, half).transpose(0, 2, 1, 3)
    mean = cells.mean(axis=(0, 1))
    signs = np.array([[[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]) * (_LOUDER / 4)
    alternating = np.einsum("ncd,cdyx->nyx", signs, cells)
    spread = max(float(mean.std()), 1e-12)
    return np.asarray(np.concatenate([(mean - mean.mean())[None], alternating]) / spread, np.float32)


def moved(image: Array, origin: Array) -> Array:
    """Return a periodic patch (H, W) moved so that `origin` (y, x), in shares of the patch, comes to sample (0, 0)."""
    ky, kx = (np.fft.fftfreq(n, 1 / n) for n in image.shape)
    turn = np.exp(2j * np.pi * (ky[:, None] * origin[0] + kx * origin[1]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * turn).real)


def centre_of(image: Array, near: Array | None = None) -> Array:
    """Return the centre of symmetry (y, x), in shares of the patch (0 to 0.5), in the middle of a column of A.

    Of the centres of the projected cell the empty one is brightest in annular bright field; A lies half a cell along
    [-110] from it. With `near` it is the centre next to that place.
    """
    k = np.fft.fftfreq(SIDE, 1 / SIDE).astype(int)
    even = np.flatnonzero((np.abs(k) <= 6) & (k % 2 == 0))
    f = np.fft.fft2(image)[np.ix_(even, even)]
    h = k[even] / 2
    f[(h[:, None] == 0) & (h == 0)] = 0
    if near is not None:
        return _polished(f, h, near * 2) / 2
    steps = np.arange(32) / 64
    # The image is symmetric about s where sum F(g)^2 exp(4 pi i g s) is greatest.
    score = (np.exp(4j * np.pi * steps[:, None] * h) @ f**2 @ np.exp(4j * np.pi * h[:, None] * steps)).real
    best = _polished(f, h, np.array(np.unravel_index(int(np.argmax(score)), score.shape)) / 64)
    places = best + np.array([(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.5, 0.5)])
    bright = [(np.exp(2j * np.pi * h * y) @ f @ np.exp(2j * np.pi * h * x)).real for y, x in places]
    empty = places[int(np.argmax(bright))]
    return np.asarray(((empty + np.array([0.0, 0.5])) % 1.0) / 2)


def _polished(f: NDArray[np.complex128], h: Array, start: Array) -> Array:
    """Return the centre of symmetry near `start` (projected cells), by Newton's steps on the sum of squares."""
    at, square = np.array(start, float), f**2
    for _ in range(4):
        wave = np.exp(4j * np.pi * h * at[0])[:, None] * square * np.exp(4j * np.pi * h * at[1])
        along, across = wave.sum(axis=1), wave.sum(axis=0)
        slope = np.array([h @ along.imag, h @ across.imag])
        yy, xx, yx = h**2 @ along.real, h**2 @ across.real, h @ wave.real @ h
        determinant = yy * xx - yx**2
        if determinant <= 0 or yy <= 0:
            break
        step = -np.array([xx * slope[0] - yx * slope[1], yy * slope[1] - yx * slope[0]]) / determinant / (4 * np.pi)
        at = at + np.clip(step, -0.02, 0.02)
    return at
