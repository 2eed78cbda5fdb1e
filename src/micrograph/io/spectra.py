"""Spectrum images, line scans and single spectra as recordings: one frame a line (X, E), energies in eV."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Recording, SignalAxis
from micrograph.io.axes import Axis, is_spectral, length_nm
from micrograph.io.files import first_line
from micrograph.io.signals import Key, Signal, Sliceable

EXPECTED = "a spectrum (E), a line of spectra (X, E) or a spectrum image (Y, X, E) was expected"
#: Units of spectral axes, as files write them, in ours.
UNITS = {
    "ev": ("eV", 1.0), "kev": ("eV", 1e3), "mev": ("eV", 1e-3),
    "v": ("V", 1.0), "mv": ("V", 1e-3), "1/cm": ("1/cm", 1.0), "cm^-1": ("1/cm", 1.0),
    "hz": ("Hz", 1.0), "khz": ("Hz", 1e3), "mhz": ("Hz", 1e6), "ghz": ("Hz", 1e9),
}  # fmt: skip
#: Vendors' readers unpack more than they are asked for: so many bytes of lines are taken at once, and the last kept.
SLAB = 64 * 2**20
#: Steps of a scan whose two lengths differ by less than this fraction count as equal.
EQUAL = 1e-3


@dataclass(frozen=True)
class Lines:
    """Which axis of an array holds the energies, the lines and the places along a line (``None``: there is but one)."""

    energy: int
    row: int | None
    place: int | None
    falling: bool = False

    def key(self, ndim: int, first: int, last: int) -> Key:
        """Return the index in the array of lines `first` to ``last - 1``."""
        chosen: dict[int | None, slice] = {self.row: slice(first, last)}
        whole = (self.energy, self.place)
        return tuple(slice(None) if axis in whole else chosen.get(axis, 0) for axis in range(ndim))

    def one(self, ndim: int, line: int) -> tuple[slice, ...]:
        """Return the index of one line of what `key` chose of an array of `ndim` axes, with its axis kept."""
        kept = [axis for axis in range(ndim) if axis in (self.energy, self.row, self.place)]
        return tuple(slice(line, line + 1) if axis == self.row else slice(None) for axis in kept)

    def ordered(self, part: NDArray[Any]) -> NDArray[np.float32]:
        """Return what `key` chose as (lines, places, energies), energies rising."""
        wanted = [axis for axis in (self.row, self.place, self.energy) if axis is not None]
        order = [sorted(wanted).index(axis) for axis in wanted]
        turned = part.transpose(order)
        for number, axis in enumerate((self.row, self.place)):
            if axis is None:
                turned = np.expand_dims(turned, number)
        return np.ascontiguousarray(turned[..., ::-1] if self.falling else turned, np.float32)


@dataclass(frozen=True)
class LineReader:
    """Reads line ``i`` of a spectrum image as (X, E) float32; callable and picklable. `slab` lines are read at once."""

    array: Sliceable
    plan: Lines
    ndim: int
    where: str
    slab: int = 1

    def __call__(self, index: int) -> NDArray[np.float32]:
        """Return line `index`; raises `BadInput` where the file cannot give it."""
        if self.slab == 1:
            return np.asarray(self.block(index, index + 1)[0])
        first = index // self.slab * self.slab
        held = _slab(self, first, first + self.slab)
        return np.asarray(self.plan.ordered(held[self.plan.one(self.ndim, index - first)])[0])

    def block(self, first: int, last: int) -> NDArray[np.float32]:
        """Return lines `first` to ``last - 1`` (N, X, E)."""
        return self.plan.ordered(self.stored(first, last))

    def stored(self, first: int, last: int) -> NDArray[Any]:
        """Return lines `first` to ``last - 1`` as the file has them."""
        try:
            return np.asarray(self.array[self.plan.key(self.ndim, first, last)])
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(
                f"Line {first} of {self.where} cannot be read ({first_line(error)}): "
                "the file may be truncated or damaged; copy it again from the microscope."
            ) from error


@functools.lru_cache(maxsize=1)
def _slab(read: LineReader, first: int, last: int) -> NDArray[Any]:
    return read.stored(first, last)


def holds_spectra(signal: Signal) -> bool:
    """Tell whether one of the axes runs over energies."""
    return any(is_spectral(axis) for axis in signal.axes if axis.size > 1)


def with_energies(signal: Signal, axis: SignalAxis) -> Signal:
    """Return a signal whose energies, along the axis that runs over them or else the last, are as `axis` says."""
    found = [number for number, one in enumerate(signal.axes) if one.size > 1 and is_spectral(one)]
    number = found[-1] if found else len(signal.axes) - 1
    told = Axis(signal.axes[number].size, "Energy", axis.scale, axis.unit, False, axis.offset)
    return replace(signal, axes=(*signal.axes[:number], told, *signal.axes[number + 1 :]), colour=False)


def lines_of(signal: Signal) -> Lines:
    """Return how the axes of `signal` make lines of spectra; raises `BadInput` where they make none."""
    spectral = [number for number, one in enumerate(signal.axes) if one.size > 1 and is_spectral(one)]
    if signal.dtype.kind not in "biuf":
        raise BadInput(f"{signal.name} holds values of type {signal.dtype}: numbers were expected; save it as float32.")
    if 0 in signal.shape:
        raise BadInput(f"{signal.name} has shape {signal.shape} and so holds no spectrum: {EXPECTED}.")
    if len(spectral) != 1:
        many = "no axis" if not spectral else "more than one axis"
        raise BadInput(f"{signal.name} has {many} of energies in its shape {signal.shape}: {EXPECTED}.")
    energy = spectral[0]
    places = [number for number, one in enumerate(signal.axes) if number != energy and one.size > 1]
    if len(places) > 2:
        raise BadInput(
            f"{signal.name} has shape {signal.shape}: {EXPECTED}; save one spectrum image at a time, or their sum."
        )
    if [signal.axes[number].name.lower() for number in places] == ["x", "y"]:
        places.reverse()
    place = places[-1] if places else None
    row = places[0] if len(places) == 2 else None
    return Lines(energy, row, place, (signal.axes[energy].scale or 1.0) < 0)


def energies(axis: Axis) -> SignalAxis | None:
    """Return the scale of a spectral axis in our units, rising; ``None`` where the file does not state one."""
    unit, factor = UNITS.get(axis.unit.lower(), ("", 1.0))
    if not unit or not axis.scale:
        return None
    first = axis.offset if axis.scale > 0 else axis.offset + axis.scale * (axis.size - 1)
    return SignalAxis(unit, *(float(f"{value * factor:.12g}") for value in (abs(axis.scale), first)))


def make_spectra(signal: Signal, where: str, *, step_nm: float | None = None) -> Recording:
    """Return `signal` as a lazy recording of spectra, one frame a line (X, E); an explicit `step_nm` wins.

    ``nav_shape`` is (Y, X), `signal_axis` the energies; ``metadata['signal_type']`` says what a file calls them.
    """
    plan = lines_of(signal)
    size = {axis: 1 if axis is None else signal.axes[axis].size for axis in (plan.row, plan.place)}
    down, across, channels = size[plan.row], size[plan.place], signal.axes[plan.energy].size
    if down * across == 1:
        down = across = 1
    scale, notes = energies(signal.axes[plan.energy]), []
    if scale is None:
        notes.append('the file does not say how far apart the energies are: --energy-axis "0.1 eV, 200 eV" does')
    sides = [None if axis is None else length_nm(signal.axes[axis]) for axis in (plan.row, plan.place)]
    step = sides[1] or sides[0]
    if all(sides) and abs(sides[0] / sides[1] - 1) > EQUAL:  # type: ignore[operator]
        notes.append(f"the scan's steps differ, {sides[0]:.6g} nm down and {sides[1]:.6g} nm across: the latter counts")
    line = across * channels * signal.dtype.itemsize
    slab = max(1, min(SLAB // line, down)) if signal.reader.startswith("rosettasciio") else 1
    read = LineReader(signal.array, plan, len(signal.axes), where, slab)
    known = signal.stated.with_known(content="spectra", step_nm=step_nm or step, signal_axis=scale)
    metadata = {**signal.metadata, "reader": signal.reader, "signal": signal.name, "notes": [*signal.notes, *notes]}
    made = Recording(read, range(down), known, (across, channels), "float32", where, metadata)
    return replace(made, block=read.block, nav_shape=(down, across))


def facts(signal: Signal) -> dict[str, Any]:
    """Return what `describe` says of spectra: frames (lines), step_nm, energies in words, reader and trouble."""
    try:
        recording = make_spectra(signal, signal.name)
    except BadInput as error:
        return {"reader": signal.reader, "trouble": str(error)}
    axis, (_, channels) = recording.calibration.signal_axis, recording.shape
    said: dict[str, Any] = {"frames": len(recording), "step_nm": recording.calibration.step_nm, "content": "spectra"}
    said["energies"] = None
    if axis is not None:
        last = axis.offset + axis.scale * (channels - 1)
        said["energies"] = f"{axis.offset:.6g} to {last:.6g} {axis.unit}, {axis.scale:.6g} {axis.unit} apart"
    if kind := signal.metadata.get("signal_type"):
        said["kind"] = kind
    return {**said, "reader": signal.reader, "trouble": ""}
