"""HRTEM images of a crystal that is a number of atoms in every column of a net, and what one atom more would change.

The wave is that of multislice through all columns (`exit_wave`), taken back to the crystal's middle, z = 0, from which
the defocus counts. What another number of atoms in one column does to it is taken from columns that stand alone: the
wave behind the crystal is, near a column, what the column makes of the wave that its neighbours leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.gridding import Grid
from micrograph.simulate.phase.exit_wave import Slice, exit_wave
from micrograph.simulate.phase.hrtem import Lens, blur, transfer
from micrograph.simulate.scattering import scattering_amplitude_A2

Array = NDArray[np.float64]
Frequency = NDArray[np.floating]
Image = NDArray[np.float32]
Wave = NDArray[np.complex64]
Count = NDArray[np.intp]

#: Samples of the wave in the crystal and in the image are no coarser (nm); border around the image (nm); width of the
#: surroundings that change (nm).
_SAMPLING_NM, _SEEN_NM, _MARGIN_NM, _AROUND_NM = 0.016, 0.031, 0.6, 1.2
#: 1-sigma (nm) of the spot in which the lens sees what a column scatters diffusely.
_DIFFUSE_NM = 0.1
#: Slices an atom of a column.
_SLICES = 2
#: Focal planes of images, and of changes; frequencies that the focal spread turns by more than so much (rad) go.
_PLANES, _FEW_PLANES, _MOST_TURN = 15, 5, (8.0, 2.8)
#: Where a column leaves less than this of the wave, the wave of its neighbours is not told.
_LEAST_WAVE = 0.15
#: Columns are moved by so much (nm) to see what that changes.
_NUDGE_NM = 0.002


@dataclass(frozen=True)
class ColumnSet:
    """K columns: ``place_nm`` (K, 2) as (y, x) from the first pixel, ``atoms`` (K,), ``middle_nm`` (K,) heights.

    tilt (2,): how much farther along y and x atoms lie that are higher.
    """

    place_nm: Array
    atoms: Count
    middle_nm: Array
    tilt: Array = field(default_factory=lambda: np.zeros(2))


@dataclass(frozen=True)
class Change:
    """What other numbers of atoms do to the image around one column: `values` (M, h, w) at rows and columns given.

    slopes (3, h, w): what moving the column along y, x and up changes, per nm.
    """

    rows: slice
    columns: slice
    numbers: Count
    values: Image
    slopes: Image


@dataclass(frozen=True)
class ColumnModel:
    """Images (H, W) of pixels `pixel_nm` of columns of element `number`, atoms `spacing_nm` apart, up to `most`."""

    lens: Lens
    number: int
    spacing_nm: float
    shape: tuple[int, int]
    pixel_nm: float
    most: int
    thermal_nm: float = 0.0085

    @property
    def seen(self) -> int:
        """Samples a pixel of the wave in the image: waves that vary no faster have the very intensity of each pixel."""
        return int(np.ceil(self.pixel_nm / _SEEN_NM))

    @property
    def finer(self) -> int:
        """Samples a pixel of the wave in the crystal, where atoms scatter to higher angles than the lens passes."""
        return self.seen * int(np.ceil(self.pixel_nm / self.seen / _SAMPLING_NM))

    @cached_property
    def grid(self) -> Grid:
        """The samples of the wave in the crystal: those of the image and a border, periodic."""
        import scipy.fft

        border = int(np.ceil(_MARGIN_NM / self.pixel_nm))
        pixels = [scipy.fft.next_fast_len(n + 2 * border, real=True) for n in self.shape]
        samples = (pixels[0] * self.finer, pixels[1] * self.finer)
        size = (pixels[0] * self.pixel_nm, pixels[1] * self.pixel_nm)
        margin = (border * self.pixel_nm,) * 2
        return Grid(samples, size, margin, self.shape, samples, self.finer)

    @property
    def _pitch(self) -> float:
        """Distance (nm) of samples of the wave in the image."""
        return self.pixel_nm / self.seen

    @property
    def _shape(self) -> tuple[int, int]:
        """Samples of the wave in the image."""
        ratio = self.finer // self.seen
        return self.grid.shape[0] // ratio, self.grid.shape[1] // ratio

    @property
    def _border(self) -> int:
        return round(self.grid.margin_nm[0] / self.pixel_nm)

    @cached_property
    def _side(self) -> int:
        """Samples a side of the surroundings of a column: a whole, even number of pixels."""
        return 2 * self.seen * int(np.ceil(_AROUND_NM / 2 / self.pixel_nm))

    @cached_property
    def _frequencies(self) -> tuple[Frequency, Frequency]:
        ky, kx = (np.fft.fftfreq(n, self._pitch) for n in self._shape)
        return ky[:, None], kx[None]

    @cached_property
    def _near_frequencies(self) -> tuple[Frequency, Frequency]:
        k = np.fft.fftfreq(self._side, self._pitch)
        return k[:, None], k[None]

    @cached_property
    def _waves(self) -> Wave:
        """Spectra (most + 1, s, s) of what columns of 0 .. most atoms add to a plane wave, at their middle."""
        import scipy.fft

        ratio, pitch = self.finer // self.seen, self.pixel_nm / self.finer
        k = np.fft.fftfreq(self._side * ratio, pitch)
        square = k[:, None] ** 2 + k**2
        turn = np.pi * self.lens.wavelength_nm * square
        kept = square < (2 / 3 / (2 * pitch)) ** 2
        amplitude = 1e-2 * scattering_amplitude_A2(self.number, self.lens.voltage_kV, np.sqrt(square) / 10.0)
        amplitude = amplitude * np.exp(-2 * (np.pi * self.thermal_nm) ** 2 * square)
        atom = 1 + scipy.fft.ifft2(amplitude) / pitch**2
        wave: Any = np.ones(square.shape, complex)
        added = np.zeros((self.most + 1, self._side, self._side), np.complex64)
        for number in range(1, self.most + 1):
            behind = scipy.fft.fft2(wave * atom) * kept
            back = behind * np.exp(1j * turn * (number - 1) / 2 * self.spacing_nm)
            back[0, 0] -= square.size
            added[number] = _cropped(back, (self._side, self._side))
            wave = scipy.fft.ifft2(behind * np.exp(-1j * turn * self.spacing_nm))
        return added

    def spectrum(self, columns: ColumnSet) -> Wave:
        """Return the Fourier coefficients of the wave of all columns at z = 0."""
        import scipy.fft

        first = columns.middle_nm - (columns.atoms - 1) / 2 * self.spacing_nm
        owner = np.repeat(np.arange(len(columns.atoms)), columns.atoms)
        step = np.arange(len(owner)) - np.repeat(np.cumsum(columns.atoms) - columns.atoms, columns.atoms)
        height = first[owner] + step * self.spacing_nm
        level = np.floor(height * _SLICES / self.spacing_nm + 0.25).astype(int)
        place = columns.place_nm[owner] + height[:, None] * columns.tilt
        slices = [
            Slice(float(height[level == one].mean()), place[level == one], self._numbers(level, one))
            for one in np.unique(level)
        ]
        wave, behind = exit_wave(slices, self.lens.voltage_kV, self.grid, thermal_nm=self.thermal_nm)
        ky, kx = self._frequencies
        back = np.exp(1j * np.pi * self.lens.wavelength_nm * behind * (ky**2 + kx**2))
        return np.asarray(_cropped(scipy.fft.fft2(wave), self._shape) * back, np.complex64)

    def _numbers(self, level: Count, one: int) -> Count:
        return np.full(int((level == one).sum()), self.number)

    @cached_property
    def lost_nm2(self) -> Array:
        """Electrons that columns of 0 .. most atoms scatter diffusely, as an area (nm^2) of the beam."""
        alone = np.array(self._waves, complex)
        alone[:, 0, 0] += self._side**2
        passed = (np.abs(alone) ** 2).sum(axis=(1, 2)) / self._side**4
        return np.asarray((1 - passed) * (self._side * self._pitch) ** 2)

    def diffuse(self, columns: ColumnSet) -> Image:
        """Return what diffusely scattered electrons would add to the image (H, W) if the lens passed all of them."""
        image = np.zeros(self.shape, np.float32)
        for place, number in zip(columns.place_nm, columns.atoms, strict=True):
            spot = [self._spot(place[axis], np.arange(n)) for axis, n in enumerate(self.shape)]
            image += np.float32(self.lost_nm2[number]) * np.outer(spot[0], spot[1]).astype(np.float32)
        return image

    def _spot(self, place_nm: float, pixels: Count) -> Array:
        away = (pixels * self.pixel_nm - place_nm) / _DIFFUSE_NM
        return np.asarray(np.exp(-0.5 * away**2) / (np.sqrt(2 * np.pi) * _DIFFUSE_NM))

    def _foci(self, few: bool) -> tuple[Array, Array, float]:
        """Return foci (nm), their weights, and the square of the highest frequency that takes part."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_FEW_PLANES if few else _PLANES)
        spread = max(self.lens.focal_spread_nm, 1e-3)
        limit = _MOST_TURN[1 if few else 0] / (np.pi * self.lens.wavelength_nm * spread)
        return nodes * self.lens.focal_spread_nm, weights / weights.sum(), limit

    def waves(self, spectrum: Wave, lens: Lens, *, few: bool = False) -> list[Wave]:
        """Return the waves in the image plane, one a focal plane."""
        import scipy.fft

        ky, kx = self._frequencies
        square = ky**2 + kx**2
        foci, _, limit = self._foci(few)
        sent = spectrum * (transfer(lens, ky, kx, focal_spread=False) * (square < limit))
        per_nm = 1j * np.pi * lens.wavelength_nm * square
        return [np.asarray(scipy.fft.ifft2(sent * np.exp(focus * per_nm)), np.complex64) for focus in foci]

    def image(self, spectrum: Wave, lens: Lens, *, few: bool = False) -> Image:
        """Return the image (H, W), 1 in the vacuum."""
        import scipy.fft

        _, weights, _ = self._foci(few)
        waves = self.waves(spectrum, lens, few=few)
        seen = sum(weight * np.abs(wave) ** 2 for weight, wave in zip(weights, waves, strict=True))
        if lens.vibration_nm:
            ky, kx = self._frequencies
            seen = scipy.fft.ifft2(scipy.fft.fft2(seen) * blur(lens, np.hypot(ky, kx))).real
        inner = [slice(self._border * self.seen, (self._border + n) * self.seen, self.seen) for n in self.shape]
        return np.asarray(np.asarray(seen)[inner[0], inner[1]], np.float32)

    def changes(
        self, spectrum: Wave, lens: Lens, columns: ColumnSet, numbers: Sequence[Count], diffuse: float = 0.0
    ) -> list[Change]:
        """Return for each column what each of its other `numbers` of atoms would change of the image.

        diffuse: share of the diffusely scattered electrons that the image holds.
        """
        import scipy.fft

        behind = np.asarray(scipy.fft.ifft2(spectrum), np.complex64)
        seen = np.stack(self.waves(spectrum, lens, few=True))
        ky, kx = self._near_frequencies
        square = ky**2 + kx**2
        foci, weights, limit = self._foci(few=True)
        per_nm = 1j * np.pi * lens.wavelength_nm * square
        sent = transfer(lens, ky, kx, focal_spread=False) * (square < limit) * blur(lens, np.hypot(ky, kx))
        lenses = np.stack([sent * np.exp(focus * per_nm) for focus in foci]).astype(np.complex64)
        weight = weights.astype(np.float32)[:, None, None, None]
        found = [
            self._change(columns, row, np.asarray(numbers[row]), behind, seen, lenses, weight)
            for row in range(len(columns.atoms))
        ]
        for change, place, number in zip(found, columns.place_nm, columns.atoms, strict=True) if diffuse else ():
            areas = ((place[0], change.rows), (place[1], change.columns))
            spot = np.outer(*(self._spot(at, np.arange(part.start, part.stop)) for at, part in areas))
            more = diffuse * (self.lost_nm2[change.numbers] - self.lost_nm2[number])
            change.values[:] += (more[:, None, None] * spot).astype(np.float32)
        return found

    def _change(
        self, columns: ColumnSet, row: int, numbers: Count, behind: Wave, seen: Wave, lenses: Wave, weight: Image
    ) -> Change:
        import scipy.fft

        side, finer, pitch = self._side, self.seen, self._pitch
        at = (columns.place_nm[row] + np.array(self.grid.margin_nm)) / pitch
        corner = np.rint(at / finer).astype(int) * finer - side // 2
        ky, kx = self._near_frequencies
        shift = np.exp(-2j * np.pi * pitch * (ky * (at[0] - corner[0]) + kx * (at[1] - corner[1]))).astype(np.complex64)
        rows, cols = (np.arange(start, start + side) % n for start, n in zip(corner, self._shape, strict=True))
        higher = 1j * np.pi * self.lens.wavelength_nm * (ky**2 + kx**2)
        lifted = np.exp(columns.middle_nm[row] * higher).astype(np.complex64)
        own, others = self._waves[columns.atoms[row]] * lifted, self._waves[numbers] * lifted
        alone = 1 + scipy.fft.ifft2(own * shift)
        around = behind[np.ix_(rows, cols)] * np.conj(alone) / np.maximum(np.abs(alone) ** 2, _LEAST_WAVE)
        along = np.stack(np.broadcast_arrays(-2j * np.pi * ky, -2j * np.pi * kx, higher)).astype(np.complex64)
        asked = np.concatenate([others - own, _NUDGE_NM * own * along])
        added = scipy.fft.ifft2(asked * shift) * around
        sent = scipy.fft.ifft2(scipy.fft.fft2(added)[None] * lenses[:, None])
        before = seen[:, rows[:, None], cols[None]][:, None]
        values = (weight * (2 * (before.conj() * sent).real + np.abs(sent) ** 2)).sum(axis=0)[:, ::finer, ::finer]
        first = corner // finer - self._border
        inside = [slice(max(f, 0), min(f + side // finer, n)) for f, n in zip(first, self.shape, strict=True)]
        kept = [slice(part.start - f, part.stop - f) for part, f in zip(inside, first, strict=True)]
        near = np.asarray(values[:, kept[0], kept[1]], np.float32)
        count = len(numbers)
        return Change(inside[0], inside[1], numbers, near[:count], near[count:] / np.float32(_NUDGE_NM))


def _cropped(spectrum: NDArray[np.complexfloating], shape: tuple[int, int]) -> Wave:
    """Return the low frequencies of a spectrum (H, W) on a coarser grid of `shape`, for the same values."""
    rows, columns = (np.fft.fftfreq(n, 1 / n).astype(int) for n in shape)
    factor = shape[0] * shape[1] / (spectrum.shape[0] * spectrum.shape[1])
    return np.asarray(spectrum[np.ix_(rows, columns)] * factor, np.complex64)
