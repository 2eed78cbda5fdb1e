"""Spectrum images of mixtures whose endmembers and abundances are planted: EELS-like edges and EDX-like lines.

Core-loss spectra are ionisation edges (a blurred step that falls as a power of the energy, with white lines) on a
power-law background; X-ray spectra are Gaussian lines, as wide as the detector makes them, on Kramers' background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording, SignalAxis

Array = NDArray[np.float64]

#: Onsets (eV) of ionisation edges, and whether white lines stand on them (distance of the two in eV, 0: none).
EDGES = {
    "C_K": (284.0, 0.0), "Ca_L": (346.0, 3.5), "N_K": (401.0, 0.0), "Ti_L": (456.0, 5.5), "O_K": (532.0, 0.0),
    "Cr_L": (575.0, 8.5), "Mn_L": (640.0, 11.0), "Fe_L": (708.0, 13.0), "Co_L": (779.0, 15.0),
}  # fmt: skip
#: X-ray lines by element: energies (eV) and weights.
XRAYS = {
    "C": ((277, 1.0),), "O": ((525, 1.0),), "Al": ((1487, 1.0),), "Si": ((1740, 1.0),),
    "Ti": ((4511, 1.0), (4932, 0.12)), "Fe": ((6404, 1.0), (7058, 0.12), (705, 0.4)),
    "Co": ((6930, 1.0), (7649, 0.12), (776, 0.4)),
    "Cu": ((8048, 1.0), (8905, 0.13), (930, 0.35)), "Zn": ((8639, 1.0), (9572, 0.13), (1012, 0.35)),
    "Pd": ((2839, 1.0), (2990, 0.45), (3172, 0.1)), "Au": ((2123, 1.0), (9713, 0.6), (11442, 0.4)),
}  # fmt: skip


@dataclass(frozen=True)
class Mixture:
    """A spectrum image whose truth is known.

    endmembers (K, E): each sums to 1; shares (Y, X, K): of all counts, they sum to 1; counts (Y, X): expected in all.
    `gain` is what one count reads as. `spikes`: share of all values that cosmic rays hit; `dead`: of places at 0.
    """

    endmembers: Array
    shares: Array
    counts: Array
    axis: SignalAxis
    gain: float = 1.0
    spikes: float = 0.0
    dead: float = 0.0

    @property
    def expected(self) -> Array:
        """Expected counts (Y, X, E)."""
        return np.asarray(self.counts[..., None] * (self.shares @ self.endmembers))

    @property
    def snr(self) -> float:
        """Signal over noise of one spectrum: root mean square of its counts over that of their Poisson noise."""
        expected = self.expected
        return float(np.sqrt((expected**2).sum(axis=2) / expected.sum(axis=2)).mean())

    def with_snr(self, snr: float) -> Mixture:
        """Return the mixture at a dose that gives this ratio of signal to noise."""
        return replace(self, counts=self.counts * (snr / self.snr) ** 2)

    def recorded(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return recorded spectra (Y, X, E)."""
        seen = self.gain * rng.poisson(self.expected).astype(np.float32)
        if self.spikes:
            hit = rng.random(seen.shape) < self.spikes
            seen[hit] += self.gain * rng.exponential(50 * float(self.expected.max()), int(hit.sum())).astype(np.float32)
        if self.dead:
            seen[rng.random(seen.shape[:2]) < self.dead] = 0.0
        return seen

    def recording(self, rng: np.random.Generator) -> Recording:
        """Return recorded spectra as a recording, one frame a line."""
        seen = self.recorded(rng)
        scale = Calibration(step_nm=1.0, signal_axis=self.axis, content="spectra")
        made = Recording(seen.__getitem__, range(len(seen)), scale, seen.shape[1:], name="mixture")
        return replace(made, nav_shape=seen.shape[:2], block=lambda first, last: seen[first:last])


def abundances(number: int, shape: tuple[int, int], rng: np.random.Generator, purest: float = 1.0) -> Array:
    """Return shares (Y, X, K) of phases with soft borders, none rarer than 1/(3 K); the purest place has `purest`."""
    from scipy.ndimage import gaussian_filter

    scale = float(rng.uniform(0.08, 0.16)) * min(shape)
    while True:
        fields = np.stack([gaussian_filter(rng.normal(size=shape), scale, mode="wrap") for _ in range(number)], axis=-1)
        fields /= fields.std(axis=(0, 1))
        soft = np.exp(fields / rng.uniform(0.08, 0.25))
        shares = soft / soft.sum(axis=2, keepdims=True)
        if shares.mean(axis=(0, 1)).min() > 1 / (3 * number) and shares.max(axis=(0, 1)).min() > 0.97:
            return np.asarray(purest * shares + (1 - purest) / number)


def eels_endmembers(number: int, axis: SignalAxis, channels: int, rng: np.random.Generator) -> Array:
    """Return core-loss spectra (K, E) that sum to 1: each has one to three edges on a background of its own."""
    energy: Array = axis.offset + axis.scale * np.arange(channels, dtype=np.float64)
    names = [name for name, (onset, _) in EDGES.items() if energy[0] + 15 < onset < energy[-1] - 40]
    leading = rng.choice(names, size=number, replace=False)
    found = []
    for own in leading:
        others = rng.choice(
            [name for name in names if name not in leading], size=int(rng.integers(0, 3)), replace=False
        )
        spectrum = (energy / energy[0]) ** -rng.uniform(2.6, 3.4)
        for name in (own, *others):
            spectrum = spectrum + edge(name, energy, rng) * float((EDGES[name][0] / energy[0]) ** -2.9)
        found.append(spectrum / spectrum.sum())
    return np.stack(found)


def edge(name: str, energy: Array, rng: np.random.Generator) -> Array:
    """Return one ionisation edge (E,) with a random strength, shift (1 eV), width and white lines."""
    from scipy.special import erf

    onset, split = EDGES[name]
    onset += rng.normal(0.0, 0.5)
    width = rng.uniform(0.8, 1.6)
    step = 0.5 * (1 + erf((energy - onset) / width / np.sqrt(2)))
    shape = step * np.clip(energy / onset, 0.5, None) ** -rng.uniform(2.0, 3.5)
    if split:
        for place, height in ((onset + 1.5, rng.uniform(1.0, 3.0)), (onset + 1.5 + split, rng.uniform(0.5, 1.5))):
            shape = shape + height / (1 + ((energy - place) / (width + 0.6)) ** 2)
    else:
        shape = shape + step * rng.uniform(0.2, 0.8) * np.exp(-0.5 * ((energy - onset - rng.uniform(4, 9)) / 3.0) ** 2)
    return np.asarray(shape * rng.uniform(0.15, 0.5))


def edx_endmembers(
    number: int, axis: SignalAxis, channels: int, rng: np.random.Generator, fwhm_eV: float = 130.0
) -> Array:
    """Return X-ray spectra (K, E) that sum to 1: lines of one to three elements on Kramers' background.

    fwhm_eV: of the detector at 5.9 keV; it grows with the energy as counting of electron-hole pairs has it.
    """
    energy = axis.offset + axis.scale * np.arange(channels)
    leading = rng.choice(list(XRAYS), size=number, replace=False)
    found = []
    for own in leading:
        others = rng.choice(
            [name for name in XRAYS if name not in leading], size=int(rng.integers(0, 3)), replace=False
        )
        spectrum = np.zeros(channels)
        for name in (own, *others):
            strength = rng.uniform(0.4, 1.0)
            for line, weight in XRAYS[name]:
                sigma = np.sqrt(max(fwhm_eV**2 + 2.5 * (line - 5895.0), 50.0**2)) / 2.3548
                spectrum += strength * weight * np.exp(-0.5 * ((energy - line) / sigma) ** 2) / sigma
        positive = np.clip(energy, 50.0, None)
        brems = np.clip(1.5 * energy[-1] - positive, 0, None) / positive * np.exp(-((500.0 / positive) ** 2))
        found.append(spectrum / spectrum.sum() + rng.uniform(0.15, 0.5) * brems / brems.sum())
    stack = np.stack(found)
    return np.asarray(stack / stack.sum(axis=1, keepdims=True))


def random_mixture(
    kind: str,
    rng: np.random.Generator,
    *,
    number: int | None = None,
    side: int = 48,
    snr: float = 5.0,
    purest: float = 1.0,
) -> Mixture:
    """Return a mixture of 2 to 5 endmembers; `kind` is 'eels' or 'edx', thickness varies by a third over the field."""
    count = int(rng.integers(2, 6)) if number is None else number
    axis, channels = (SignalAxis("eV", 1.0, 260.0), 600) if kind == "eels" else (SignalAxis("eV", 20.0, 0.0), 600)
    make = eels_endmembers if kind == "eels" else edx_endmembers
    shares = abundances(count, (side, side), rng, purest)
    from scipy.ndimage import gaussian_filter

    thick = gaussian_filter(rng.normal(size=(side, side)), 0.2 * side, mode="wrap")
    counts = 1 + 0.2 * thick / thick.std().clip(1e-9)
    mixture = Mixture(make(count, axis, channels, rng), shares, counts.clip(0.3), axis)
    return mixture.with_snr(snr)
