"""Which images show the same thing: copies, turned or brightened ones, frames of one movie, crops that overlap.

Images that are alike must not be learned from and judged by at once: they form one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Side (px) of the small pictures that are compared as wholes, and of those whose noise and detail are compared.
THUMB, DETAIL = 24, 128
#: Correlation of small pictures, in any of eight positions, from which two images are the same.
SAME = 0.985
#: Height of the peak of the whitened correlation of two images, in 1-sigmas of its ground, from which they overlap.
OVERLAP = 25.0
#: So many neighbours of an image, by its small picture and by its name, are looked at closely.
NEAR, NEXT = 6, 3
#: Waves from so many times the median of their ring are left out where detail is compared.
_WAVE, _NO_WAVE = 3.0, -128
_RING = np.rint(np.hypot(np.fft.fftfreq(DETAIL)[:, None], np.fft.rfftfreq(DETAIL)) * DETAIL / 2).astype(int)
#: Up to so many images every pair is looked at closely.
_FEW = 120


@dataclass
class Alike:
    """Collects images one by one and tells the groups; keeps small pictures only."""

    thumbs: list[Array] = field(default_factory=list)
    details: list[NDArray[np.int8]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def add(self, image: NDArray[np.float32], file: str) -> None:
        """Remember one image (H, W) of a `file`."""
        self.thumbs.append(_thumb(image))
        self.details.append(_detail(image))
        self.files.append(file)

    def groups(self) -> tuple[Index, list[tuple[int, int]]]:
        """Return the group (N,) of each image, 0 .. G - 1, and the pairs of images that show the same."""
        parent = np.arange(len(self.files))
        first: dict[str, int] = {}
        for place, file in enumerate(self.files):
            _join(parent, place, first.setdefault(file, place))
        pairs = [pair for pair in self._same() if self.files[pair[0]] != self.files[pair[1]]]
        for one, other in pairs:
            _join(parent, one, other)
        close = [pair for pair in self._close() if _root(parent, pair[0]) != _root(parent, pair[1])]
        for one, other in close:
            if _root(parent, one) != _root(parent, other) and self._overlap(one, other):
                _join(parent, one, other)
                pairs.append((one, other))
        roots = np.array([_root(parent, place) for place in range(len(parent))])
        return np.unique(roots, return_inverse=True)[1], pairs

    def _same(self) -> list[tuple[int, int]]:
        """Return the pairs (i < j) whose small pictures agree in one of eight positions."""
        flat = np.array(self.thumbs).reshape(len(self.thumbs), -1)
        found: set[tuple[int, int]] = set()
        for turns in range(8):
            turned = np.array([_turned(one, turns) for one in self.thumbs]).reshape(flat.shape)
            for start in range(0, len(flat), 512):
                rows, columns = np.nonzero(flat[start : start + 512] @ turned.T > SAME)
                rows = rows + start
                found |= {(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if i < j}
        return sorted(found)

    def _close(self) -> list[tuple[int, int]]:
        """Return the pairs that are worth a close look."""
        number = len(self.files)
        if number <= _FEW:
            return [(i, j) for i in range(number) for j in range(i + 1, number)]
        spectra = np.array([_signature(_waves(one)) for one in self.details])
        found = {(i, j) for i in range(number) for j in range(i + 1, min(i + 1 + NEXT, number))}
        for start in range(0, number, 512):
            likeness = spectra[start : start + 512] @ spectra.T
            for row, near in enumerate(np.argpartition(-likeness, NEAR, axis=1)[:, : NEAR + 1]):
                found |= {(min(start + row, int(j)), max(start + row, int(j))) for j in near if j != start + row}
        return sorted(found)

    def _overlap(self, one: int, other: int) -> bool:
        """Return whether two images share detail and noise, moved against each other."""
        from scipy.fft import irfft2

        first, second = _waves(self.details[one]), _waves(self.details[other])
        correlation = irfft2(first * np.conj(second), s=(DETAIL, DETAIL))
        peak = float(correlation.max())
        # Lattices agree at many places: only one peak far above all others is an overlap.
        place = np.unravel_index(int(correlation.argmax()), correlation.shape)
        rest = np.roll(correlation, (DETAIL // 2 - int(place[0]), DETAIL // 2 - int(place[1])), (0, 1))
        rest[DETAIL // 2 - 3 : DETAIL // 2 + 4, DETAIL // 2 - 3 : DETAIL // 2 + 4] = 0
        ground = float(rest.std())
        return ground > 0 and peak / ground > OVERLAP and peak > 1.6 * float(rest.max())


def conflicts(pairs: Sequence[tuple[int, int]], classes: Index) -> list[tuple[int, int]]:
    """Return the pairs of images that show the same and have labels that differ."""
    return [(one, other) for one, other in pairs if classes[one] != classes[other]]


def _thumb(image: NDArray[np.float32]) -> Array:
    small = _resized(image, THUMB)
    small = small - small.mean()
    length = float(np.sqrt((small**2).sum()))
    return np.asarray(small / length if length > 0 else small, float)


def _detail(image: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the phases of the waves in the image's middle at its own pixels, in 1/127 of pi; -128 for none."""
    from scipy.fft import rfft2

    data = np.nan_to_num(np.asarray(image, float))
    short = [max(0, DETAIL - n) for n in data.shape]
    data = data - data.mean()
    data = np.pad(data, [(n // 2, n - n // 2) for n in short]) if any(short) else data
    top, left = ((n - DETAIL) // 2 for n in data.shape)
    cut = data[top : top + DETAIL, left : left + DETAIL]
    window = np.hanning(DETAIL)[:, None] * np.hanning(DETAIL)
    spectrum = rfft2(cut * window)
    size = np.abs(spectrum)
    usual = np.array([np.median(size[one == _RING]) for one in range(int(_RING.max()) + 1)])[_RING]
    # Waves that stand out are a lattice's: other images of that lattice have them too.
    kept = (size < _WAVE * usual) & (size > 0)
    return np.where(kept, np.rint(np.angle(spectrum) / np.pi * 127), _NO_WAVE).astype(np.int8)


def _waves(phases: NDArray[np.int8]) -> NDArray[np.complex64]:
    """Return the waves of unit height that have these phases."""
    waves = np.exp(1j * np.pi / 127 * phases.astype(np.float32))
    return np.where(phases == _NO_WAVE, 0, waves).astype(np.complex64)


def _signature(spectrum: NDArray[np.complex64]) -> Array:
    """Return what tells images of the same detail wherever it lies, of unit length: products of neighbouring waves."""
    product = spectrum[1:25, 1:24] * np.conj(spectrum[:24, 1:24]) * np.conj(spectrum[1:25, :23])
    flat = np.concatenate([product.real.ravel(), product.imag.ravel()]).astype(float)
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-12), float)


def _resized(image: NDArray[np.float32], side: int) -> Array:
    """Return the image as (side, side) means."""
    data = np.nan_to_num(np.asarray(image, float))
    edges = [np.linspace(0, n, side + 1) for n in data.shape]
    for axis, edge in enumerate(edges):
        total = np.concatenate([np.zeros_like(data.take([0], axis)), np.cumsum(data, axis)], axis)
        low = np.floor(edge).astype(int)
        high = np.minimum(low + 1, data.shape[axis])
        part = (edge - low).reshape((-1, 1) if axis == 0 else (1, -1))
        at = total.take(low, axis) * (1 - part) + total.take(high, axis) * part
        data = np.diff(at, axis=axis) / (data.shape[axis] / side)
    return np.asarray(data)


def _turned(thumb: Array, turns: int) -> Array:
    one = np.rot90(thumb, turns % 4)
    return one[:, ::-1] if turns >= 4 else one


def _root(parent: Index, place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = int(parent[place])
    return place


def _join(parent: Index, one: int, other: int) -> None:
    first, second = _root(parent, one), _root(parent, other)
    parent[max(first, second)] = min(first, second)
