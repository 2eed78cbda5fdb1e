"""What a nanotube's image is in Fourier space: layer lines of Bessel functions through the lens's transfer.

A wave that the tube (n, m) scatters by ``(kx, ky)`` belongs to the section of its layer lines that Ewald's sphere cuts:
``kz = -lambda k^2 / 2``, and its mirror image to ``kz = +lambda k^2 / 2``. Both interfere with the direct beam. Tilting
the tube by t stretches the lines' spacing by ``1 / cos t`` and turns the azimuth at which they are cut.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.tubes.tube_strip import Array, Complex, Strip
from micrograph.structures import Tube, layer_lines
from micrograph.structures.graphene import A_NM

#: Layer lines of reciprocal vectors up to graphene's first reflections (4.69 / nm).
_SHELL_PER_NM = 5.0
#: A layer line is followed over so many rows (1 / length of the strip) on each side of its place.
REACH = 3
_CELL_NM2 = np.sqrt(3) / 2 * A_NM**2
_TURN = 2 * np.pi
_BESSEL_STEP, _BESSEL_MOST, _BESSEL_ORDERS = 0.02, 75.0, 40


@dataclass(frozen=True)
class Beam:
    """Electrons: their wavelength, and how carbon turns their phase: amplitude (nm^2) at frequencies (1/nm)."""

    wavelength_nm: float
    k_per_nm: Array
    amplitude_nm2: Array


@dataclass(frozen=True)
class Place:
    """How a tube lies and is seen; all that is fitted. Lengths in true nm.

    across_nm: shift of its axis from the strip's; slide1, slide2: shift of the unrolled lattice in cell vectors; turn:
    of the axis against the strip's (rad); scale: true over given pixel size; tilt: out of the plane (rad); defocus_nm,
    cs_um (micrometres), along_nm, diagonal_nm: the lens's aberrations, two-fold astigmatism along the axis and at 45
    degrees to it; gain: logarithm of the contrast over the expected; blur_nm2, spread_nm4: damping by
    ``exp(-blur k^2 - spread k^4)``; wider: relative excess of the radius; twist: of the lattice against the axis (rad).
    """

    across_nm: float = 0.0
    slide1: float = 0.0
    slide2: float = 0.0
    turn: float = 0.0
    scale: float = 1.0
    tilt: float = 0.0
    defocus_nm: float = 0.0
    cs_um: float = 0.0
    along_nm: float = 0.0
    diagonal_nm: float = 0.0
    gain: float = 0.0
    blur_nm2: float = 0.012
    spread_nm4: float = 0.0014
    wider: float = 0.0
    twist: float = 0.0

    def moved(self, names: tuple[str, ...], step: Array) -> Place:
        """Return the place with some values changed by `step`; damping stays damping."""
        values = {name: getattr(self, name) + float(one) for name, one in zip(names, step, strict=True)}
        if "spread_nm4" in values:
            values["spread_nm4"] = max(values["spread_nm4"], 0.0)
        return replace(self, **values)

    def values(self, names: tuple[str, ...]) -> Array:
        """Return some values in order."""
        return np.array([getattr(self, name) for name in names])


#: What is always fitted; `MEASURED` is fitted for the tube that suits best, to say what the image alone tells.
FREE = tuple(field.name for field in fields(Place))[:13]
MEASURED = (*FREE, "wider", "twist")
#: What the equator alone shows.
OF_EQUATOR = ("across_nm", "turn", "defocus_nm", "cs_um", "gain", "blur_nm2", "spread_nm4", "wider")
#: Steps of differences, for what has no simple derivative.
_STEP = {"scale": 1e-4, "tilt": 1e-3, "turn": 1e-4, "wider": 1e-4, "twist": 1e-4, "cs_um": 0.02, "defocus_nm": 0.02}
_STEP |= {"along_nm": 0.02, "diagonal_nm": 0.02, "blur_nm2": 1e-4, "spread_nm4": 1e-5}
_OF_LENS = frozenset(("defocus_nm", "cs_um", "along_nm", "diagonal_nm", "blur_nm2", "spread_nm4"))
_OF_PLACES = frozenset(("turn", "scale", "tilt", "twist"))


@functools.cache
def _bessel_table() -> Array:
    from scipy.special import jv

    x = np.arange(0, _BESSEL_MOST + _BESSEL_STEP, _BESSEL_STEP)
    return np.stack([jv(order, x) for order in range(_BESSEL_ORDERS)])


def bessel(order: NDArray[np.int_], x: Array) -> Array:
    """Return J of whole `order` at `x` (arrays that broadcast), from a table; orders of 40 and more are taken as 0."""
    table, size = _bessel_table(), np.abs(order)
    at = np.minimum(np.abs(x) / _BESSEL_STEP, table.shape[1] - 2.0)
    left = at.astype(int)
    rows = np.minimum(size, _BESSEL_ORDERS - 1)
    value = table[rows, left] * (left + 1 - at) + table[rows, left + 1] * (at - left)
    return np.asarray(np.where(size < _BESSEL_ORDERS, value, 0.0) * np.where((order < 0) & (order % 2 == 1), -1, 1))


@dataclass(frozen=True)
class _Section:
    """Layer lines as Ewald's sphere cuts them, below and above (L, C), and where: kx (L, 1), ky (1, C), k^2 (L, C)."""

    below: Complex
    above: Complex
    kx: Array
    ky: Array
    square: Array


@dataclass(frozen=True)
class TubeModel:
    """The coefficients of a strip that shows `tube`; `mirrored` exchanges above and below.

    With `equator` alone, the lattice of the tube is left out: what remains is a ring of carbon, seen from the side.
    """

    strip: Strip
    tube: Tube
    beam: Beam
    mirrored: bool = False
    equator: bool = False

    @functools.cached_property
    def _lines(self) -> tuple[NDArray[np.int_], NDArray[np.int_], Array, Array, Complex]:
        """Index (L, 2), order (L, 1), frequencies (L,) around and along, and prefactor (L, 1) of the lines in sight."""
        lines = layer_lines(self.tube, _SHELL_PER_NM)
        seen = lines.along_per_nm > -REACH / self.strip.length_nm
        if self.equator:
            seen = (lines.order == 0) & (lines.along_per_nm == 0)
        order = lines.order[seen][:, None]
        factor = lines.factor[seen][:, None] * (-1j) ** (order % 4)
        return lines.index[seen], order, lines.around_per_nm[seen], lines.along_per_nm[seen], factor

    @property
    def index(self) -> NDArray[np.int_]:
        """Indices (L, 2) of the layer lines: a slide of the lattice by one cell turns their phases by 2 pi times."""
        return self._lines[0]

    @functools.cached_property
    def rows(self) -> tuple[NDArray[np.int_], NDArray[np.bool_]]:
        """The rows (L, 2 REACH + 1) of the strip on which each line falls, and which of them there are."""
        rows = np.rint(self._lines[3] * self.strip.length_nm).astype(int)[:, None] + np.arange(-REACH, REACH + 1)
        there = (rows >= 0) & (rows < len(self.strip.kx))
        return np.clip(rows, 0, len(self.strip.kx) - 1), there

    @functools.cached_property
    def _used(self) -> tuple[NDArray[np.int_], NDArray[np.int_], Array]:
        """The rows (U,) that any line touches, the place of `rows` among them, and the units (U, C) of the result."""
        rows, there = self.rows
        used = np.unique(rows[there])
        return used, np.searchsorted(used, rows), self.strip.gain[used] * np.sqrt(self.strip.weight[used])

    @property
    def data(self) -> Complex:
        """What of the strip is compared (U, C)."""
        used = self._used[0]
        return np.asarray(self.strip.data[used] * np.sqrt(self.strip.weight[used]))

    @property
    def counted(self) -> float:
        """How many coefficients are compared; what is said twice counts half."""
        used = self._used[0]
        return float(np.sum(self.strip.weight[used] * (self.strip.gain[used] > 0)))

    @property
    def beyond_equator(self) -> NDArray[np.bool_]:
        """Which of the rows that are compared (U,) have no part in the equator."""
        return np.asarray(self._used[0] > REACH)

    def __call__(self, place: Place) -> Complex:
        """Return the coefficients (U, C) of the tube at `place`."""
        section = self.section(place)
        return self._laid(self.profile(place) * self.amplitude(place, section)[:, None, :])

    def along(self, place: Place) -> Array:
        """Return the frequencies (L,) of the lines along the axis, as the given pixel size has them."""
        _, _, around, along, _ = self._lines
        true = along * np.cos(place.twist) + around * np.sin(place.twist)
        return np.asarray(true * place.scale / np.cos(place.tilt))

    def profile(self, place: Place) -> Array:
        """Return how each line (L, rows, C) spreads over the rows, because the strip ends."""
        rows, there = self.rows
        off = self.strip.kx[rows][:, :, None] - self.along(place)[:, None, None] + place.turn * self.strip.ky
        return np.asarray(self.strip.length_nm * np.sinc(self.strip.length_nm * off) * there[:, :, None])

    def section(self, place: Place) -> _Section:
        """Return the layer lines of the tube at `place`, before the lens."""
        _, order, _, _, factor = self._lines
        radius = self.tube.diameter_nm / 2 * (1 + place.wider)
        kx, ky = (self.along(place) / place.scale)[:, None], self.strip.ky[None] / place.scale
        square = kx**2 + ky**2
        sin, cos = np.sin(place.tilt), np.cos(place.tilt)
        factor = factor * (_TURN * radius / _CELL_NM2 / cos)
        cut = []
        for side in (-1, 1):
            kz = (-1 if self.mirrored else 1) * (side * self.beam.wavelength_nm * square / 2 * cos - kx * sin)
            wave = np.exp(1j * order * np.arctan2(kz, ky))
            cut.append(factor * bessel(order, _TURN * radius * np.hypot(ky, kz)) * wave)
        return _Section(cut[0], cut[1], kx, ky, square)

    def amplitude(self, place: Place, section: _Section) -> Complex:
        """Return the amplitudes (L, C) of the lines in the image (nm^2 per nm of length)."""
        index, ky = self._lines[0], self.strip.ky[None]
        sent = self.lens(place, section)
        turn = (index @ np.array([place.slide1, place.slide2]))[:, None] + place.across_nm * ky
        waves = section.below * sent + section.above * np.conj(sent)
        return np.asarray(waves * np.exp(-1j * _TURN * turn))

    def lens(self, place: Place, section: _Section) -> Complex:
        """Return what carbon and lens make of the direct beam (L, C)."""
        kx, ky, square, wavelength = section.kx, section.ky, section.square, self.beam.wavelength_nm
        focus = -place.defocus_nm * square + place.along_nm * (kx**2 - ky**2) + place.diagonal_nm * 2 * kx * ky
        chi = np.pi * wavelength * focus + np.pi / 2 * 1e3 * place.cs_um * wavelength**3 * square**2
        damped = np.exp(place.gain - place.blur_nm2 * square - place.spread_nm4 * square**2)
        carbon = np.interp(np.sqrt(square), self.beam.k_per_nm, self.beam.amplitude_nm2)
        return np.asarray(1j * carbon * damped * np.exp(-1j * chi))

    def slopes(self, place: Place, names: tuple[str, ...]) -> tuple[Complex, Complex]:
        """Return the coefficients (U, C) and their derivatives (P, U, C) by the values called `names`."""
        section = self.section(place)
        spread, strength = self.profile(place), self.amplitude(place, section)
        columns = []
        for name in names:
            change = self._change(name, place, section, strength)
            wave = spread * change[:, None, :]
            if name in _OF_PLACES:
                moved = place.moved((name,), np.array([_STEP[name]]))
                wave = wave + (self.profile(moved) - spread) / _STEP[name] * strength[:, None, :]
            columns.append(self._laid(wave))
        return self._laid(spread * strength[:, None, :]), np.array(columns)

    def _change(self, name: str, place: Place, section: _Section, strength: Complex) -> Complex:
        """Return the derivative (L, C) of the amplitudes by one value."""
        if name == "gain":
            return strength
        if name == "across_nm":
            return np.asarray(-1j * _TURN * self.strip.ky * strength)
        if name in ("slide1", "slide2"):
            return np.asarray(-1j * _TURN * self._lines[0][:, int(name[-1]) - 1][:, None] * strength)
        if name == "turn":
            return np.zeros_like(strength)
        moved = place.moved((name,), np.array([_STEP[name]]))
        other = section if name in _OF_LENS else self.section(moved)
        return np.asarray((self.amplitude(moved, other) - strength) / _STEP[name])

    def _laid(self, waves: Complex) -> Complex:
        """Return lines (L, rows, C) added up on the rows that are compared (U, C), in units of the noise."""
        _, there = self.rows
        used, spots, unit = self._used
        total = np.zeros((len(used), waves.shape[2]), complex)
        for line, keep, spot in zip(waves, there, spots, strict=True):
            total[spot[keep]] += line[keep]
        return np.asarray(total * unit, complex)
