"""A spectrum image, or the patterns of a 4D-STEM scan, to endmembers and their counts in every place, line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Frame, Prediction, Recording
from micrograph.core.frame import binned as binned_pixels
from micrograph.features.spectra.amounts import amounts_of, without_spikes
from micrograph.features.spectra.components import LEAST_ROWS, Binning, components_of_cube
from micrograph.features.spectra.unmixing import Unmixed, unmixed

Array = NDArray[np.float64]
Lines = NDArray[np.float32]
Progress = Callable[[int, int, str], object]

#: So many places and channels are held at once; more are taken together, patterns down to so many pixels a side.
_PLACES, _CHANNELS, _SIDE = 8192, 1024, 32
#: A place with less than this share of the median counts is dead.
_DEAD = 0.02


@dataclass(frozen=True)
class Reading:
    """How a frame becomes the spectra of a line: channels `first` to ``last - 1``; patterns binned by `pattern`."""

    first: int
    last: int
    pattern: int = 1
    spikes: bool = True

    def __call__(self, data: Lines) -> tuple[Lines, int]:
        """Return the line (X, E) without spikes, and how many there were; what is not finite is 0."""
        if data.ndim == 3:
            cut = binned_pixels(data, self.pattern) * self.pattern**2
            line = cut.reshape(len(cut), -1)
        else:
            line = data[:, self.first : self.last]
        if not np.isfinite(line).all():
            line = np.where(np.isfinite(line).all(axis=1, keepdims=True), line, 0.0)
        return without_spikes(line) if self.spikes and data.ndim == 2 else (np.asarray(line, np.float32), 0)


@dataclass(frozen=True)
class UnmixPredictor:
    """A line of spectra to `Prediction.values`: 'counts' (X, K), 'sigma' (X, K), 'total' (X,), 'misfit' (X,).

    misfit: chi-square a channel. With them, the same for every line: 'endmembers' and 'endmembers_sigma' (K, E), each
    sums to 1; 'energy' (E,); 'values' (singular ones, over the edge of noise); 'facts' (gain, places and channels taken
    together, components detected, height and width of patterns). 'place': number of the line, spikes.
    """

    ends: Array
    sigma: Array
    values: Array
    energy: Array
    facts: Array
    reading: Reading
    least: float
    across: int
    first_row: int
    digest: str = field(default="")

    def __call__(self, frame: Frame) -> Prediction:
        """Return what each place of a line holds; nothing of places that are dead."""
        line, spikes = self.reading(frame.data)
        total = line.sum(axis=1, dtype=float)
        found = amounts_of(line, self.ends, float(self.facts[0]))
        dead = total < self.least
        counts, sigma, misfit = (np.where(dead[:, None], np.nan, found.counts), found.sigma, found.misfit)
        values = {
            "counts": counts,
            "sigma": np.where(dead[:, None], np.nan, sigma),
            "misfit": np.where(dead, np.nan, misfit),
            "total": total,
            "endmembers": self.ends,
            "endmembers_sigma": self.sigma,
            "energy": self.energy,
            "singular": self.values,
            "facts": self.facts,
            "place": np.array([frame.index + self.first_row, spikes], float),
        }
        return Prediction(frame, {}, {}, 1.0, values=values)


@dataclass(frozen=True)
class Unmixer:
    """Endmembers of a recording, found in all its spectra together.

    components: their number, else as many as are told from noise (at most `most`); lowest_eV, highest_eV: energies
    that count, else all (leave a zero-loss peak out); spikes: whether values far above all neighbours are left out;
    purest: share of all spectra, those farthest out, that each endmember begins with.
    """

    components: int | None = None
    most: int = 8
    lowest_eV: float | None = None
    highest_eV: float | None = None
    spikes: bool = True
    purest: float = 0.01

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not (1 <= self.most <= 20 and (self.components is None or 1 <= self.components <= 20)):
            raise ValueError("components and most must be 1 to 20.")
        if not 0 < self.purest <= 0.5:
            raise ValueError("purest must be above 0 and at most 0.5.")

    def presented(self, recording: Recording) -> Recording:
        """Return spectra as they are, and a 4D-STEM scan line by line."""
        return recording.rows(1) if recording.calibration.content == "scan" else recording

    def prepared(self, recording: Recording, progress: Progress | None = None) -> UnmixPredictor:
        """Return the endmembers of a recording; raises `BadInput` where it has too few spectra."""
        reading, energy = self._reading(recording)
        across = recording.nav_shape[1]
        cube, block = held(recording, reading, progress)
        alive = cube.sum(axis=2, dtype=float)
        count = int((alive > 0).sum())
        if count < LEAST_ROWS or cube.shape[2] < 3:
            raise BadInput(
                f"{recording.name or 'The recording'} has {count} spectra with counts, of {cube.shape[2]} channels: at "
                f"least {LEAST_ROWS} spectra of 3 channels are needed to tell endmembers from noise."
            )
        room = min(count // 2, cube.shape[2] - 1)
        if self.components is not None and self.components > room:
            raise BadInput(f"Setting components is {self.components}: this recording has room for {room} at most.")
        most = max(self.most, self.components or 0)
        found, plan, counts = components_of_cube(cube, min(most, room), self.components)
        mixed = unmixed(found, counts, self.purest)
        mixed = whole_channels(recording, reading, plan, block, mixed, found.gain)
        together = (plan.places * block[0], plan.channels * block[1])
        facts = np.array([found.gain, *together, found.detected, *_sides(recording, reading)], float)
        least = _DEAD * float(np.median(alive[alive > 0])) / block[0] ** 2
        digest = hashlib.sha256(mixed.endmembers.tobytes() + repr((self, reading)).encode()).hexdigest()
        values = found.values[: min(len(found.values), 40)] / found.edge
        row = int(recording.metadata.get("first_row", 0))
        return UnmixPredictor(
            mixed.endmembers, mixed.sigma, values, energy, facts, reading, max(least, 1e-30), across, row, digest
        )

    def _reading(self, recording: Recording) -> tuple[Reading, Array]:
        """Return how lines are read, and the energies (E,) of the channels that count (their numbers where unknown)."""
        if len(recording.shape) == 3:
            pattern = max(1, max(recording.shape[-2:]) // _SIDE)
            channels = (recording.shape[-2] // pattern) * (recording.shape[-1] // pattern)
            return Reading(0, channels, pattern, False), np.arange(channels, dtype=float)
        energy = energies_of(recording.calibration, recording.shape[-1])
        low, high = self.lowest_eV, self.highest_eV
        above = energy >= (-np.inf if low is None else low)
        inside = np.flatnonzero(above & (energy <= (np.inf if high is None else high)))
        if len(inside) < 3:
            raise BadInput(
                f"Between lowest_eV={low} and highest_eV={high} lie {len(inside)} channels of energies from "
                f"{energy[0]:.6g} to {energy[-1]:.6g}: choose wider ones."
            )
        return Reading(int(inside[0]), int(inside[-1]) + 1, 1, self.spikes), energy[inside]


def energies_of(scale: Calibration, channels: int) -> Array:
    """Return the energies (E,) of the channels, or their numbers where the energies are unknown."""
    axis = scale.signal_axis
    numbers = np.arange(channels, dtype=float)
    return numbers if axis is None else axis.offset + axis.scale * numbers


def _sides(recording: Recording, reading: Reading) -> tuple[int, int]:
    if len(recording.shape) == 3:
        return recording.shape[-2] // reading.pattern, recording.shape[-1] // reading.pattern
    return 0, 0


def held(recording: Recording, reading: Reading, progress: Progress | None) -> tuple[Lines, tuple[int, int]]:
    """Return all counts (Y, X, E) that fit, and how many places and channels were taken together for it.

    One pass over the lines; memory holds `_PLACES` x `_CHANNELS` values however long the recording is.
    """
    down, across, channels = len(recording), recording.nav_shape[1], reading.last - reading.first
    places = max(1, int(np.ceil(np.sqrt(down * across / _PLACES))))
    together = max(1, -(-channels // _CHANNELS))
    starts = np.arange(0, across, places), np.arange(0, channels, together)
    cube = np.zeros((-(-down // places), len(starts[0]), len(starts[1])), np.float32)
    for number, frame in enumerate(recording):
        line, _ = reading(frame.data)
        small = np.add.reduceat(np.add.reduceat(line, starts[0], axis=0), starts[1], axis=1)
        cube[number // places] += small
        if progress is not None:
            progress(number, down, "reading all spectra")
    return cube, (places, together)


def whole_channels(
    recording: Recording, reading: Reading, plan: Binning, block: tuple[int, int], mixed: Unmixed, gain: float
) -> Unmixed:
    """Return the endmembers at every channel, by least squares with their counts in all places known: another pass."""
    down, across, channels = len(recording), recording.nav_shape[1], reading.last - reading.first
    side = plan.places * block[0]
    wide = int(np.ceil(np.ceil(across / block[0]) / plan.places))
    number = len(mixed.endmembers)
    amounts = np.zeros((-(-down // side) * wide, number))
    amounts[plan.rows] = mixed.counts / np.maximum(mixed.counts.sum(axis=1, keepdims=True), 1e-300)
    column = np.arange(across) // side
    right = np.zeros((number, channels))
    total = np.zeros(len(amounts))
    for row, frame in enumerate(recording):
        line, _ = reading(frame.data)
        number_of = row // side * wide + column
        right += amounts[number_of].T @ line
        np.add.at(total, number_of, line.sum(axis=1, dtype=float))
    # A block of n counts has noise of variance n times its spectrum: weights 1 / n, the same for all channels.
    loaded = amounts * total[:, None]
    inverse = np.linalg.pinv(loaded.T @ amounts)
    ends = inverse @ right
    spread = np.einsum("bi,bj,bk->ijk", loaded, amounts, amounts, optimize=True)
    noise = np.einsum("ki,ijl,jc,lk->kc", inverse, spread, ends.clip(0), inverse, optimize=True)
    size = np.maximum(ends.sum(axis=1, keepdims=True), 1e-300)
    return Unmixed(np.clip(ends, 0, None) / size, mixed.counts, np.sqrt(np.clip(gain * noise, 0, None)) / size)
