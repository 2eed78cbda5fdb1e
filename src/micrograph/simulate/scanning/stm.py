"""Scanning tunnelling microscopy at constant current: tips of one or several apices, and how a scan goes wrong.

The currents of all apices add: with each apex at its own offset and height above the lowest, and a current that decays
as exp(-k z), the tip follows ``z(r) = log(sum_i exp(k (h(r + r_i) - up_i))) / k`` over a surface of heights h.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.ranges import Range
from micrograph.simulate.scanning.silicon_surface import SiliconSurface, SurfaceRanges, random_surface

Array = NDArray[np.float64]

#: States of a tip: one sharp apex; two or more that stand apart; one that is wide.
TIPS = ("sharp", "double", "blunt")
#: Decay (1/nm) of the tunnelling current with distance, for a barrier of 4 eV.
DECAY_PER_NM = 20.5

#: How near (nm) a dangling bond, or its ghost, must lie; and how near to its change a tip has no state.
_NEAR_NM, _CHANGED_NM = 0.9, 1.2


@dataclass(frozen=True)
class Tip:
    """A tip: its state, apices (N, 3) of y, x and height (nm) from the lowest one, 1-sigma of its blur (nm)."""

    state: str = "sharp"
    apices: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),)
    blur_nm: float = 0.12

    @property
    def is_good(self) -> bool:
        """Whether it has one sharp apex."""
        return self.state == "sharp"

    @property
    def offset_nm(self) -> tuple[float, float]:
        """Place (y, x) in the image of the strongest ghost seen from what casts it; NaN where there is none."""
        if self.state != "double":
            return (np.nan, np.nan)
        y, x, _ = min(self.apices[1:], key=lambda apex: apex[2])
        return (-y, -x)


@dataclass(frozen=True)
class TipRanges:
    """Ranges of tips, uniform: blur of a sharp and of a wide apex (1-sigma, nm), offset of a second apex and how much
    higher it sits (nm), radius (nm) of a flat one made of several atoms; third: share of double tips with three.
    """

    blur_nm: Range = (0.06, 0.2)
    wide_nm: Range = (0.5, 0.9)
    offset_nm: Range = (0.6, 2.0)
    up_nm: Range = (0.0, 0.08)
    flat_nm: Range = (0.5, 0.8)
    third: float = 0.25


def random_tip(state: str, ranges: TipRanges, rng: np.random.Generator) -> Tip:
    """Return a tip of the named state."""
    blur = float(rng.uniform(*ranges.blur_nm))
    if state == "sharp":
        return Tip(state, blur_nm=blur)
    if state == "double":
        others = [_apex(ranges.offset_nm, ranges.up_nm, rng) for _ in range(2 if rng.random() < ranges.third else 1)]
        return Tip(state, ((0.0, 0.0, 0.0), *others), blur)
    if rng.random() < 0.5:
        return Tip("blunt", blur_nm=float(rng.uniform(*ranges.wide_nm)))
    many = int(rng.integers(5, 9))
    radius, turn = float(rng.uniform(*ranges.flat_nm)), float(rng.uniform(0, 2 * np.pi))
    around = turn + 2 * np.pi * (np.arange(many) + rng.uniform(-0.2, 0.2, many)) / many
    away = radius * rng.uniform(0.75, 1.0, many)
    ring = np.column_stack([away * np.sin(around), away * np.cos(around), rng.uniform(0, 0.015, many)])
    apices = tuple((float(y), float(x), float(up)) for y, x, up in ring)
    return Tip("blunt", ((0.0, 0.0, 0.0), *apices), max(blur, 0.15))


def _apex(offset: Range, up: Range, rng: np.random.Generator) -> tuple[float, float, float]:
    away, turn = float(rng.uniform(*offset)), float(rng.uniform(0, 2 * np.pi))
    return away * float(np.sin(turn)), away * float(np.cos(turn)), float(rng.uniform(*up))


def constant_current(surface: SiliconSurface, tip: Tip, y_nm: Array, x_nm: Array) -> Array:
    """Return the height (H, W) in nm that `tip` takes over a surface at points (H, W)."""
    seen = [surface.heights(y_nm + y, x_nm + x, tip.blur_nm) - up for y, x, up in tip.apices]
    if len(seen) == 1:
        return seen[0]
    together = np.stack(seen)
    top = together.max(axis=0)
    return np.asarray(top + np.log(np.exp(DECAY_PER_NM * (together - top)).sum(axis=0)) / DECAY_PER_NM)


@dataclass(frozen=True)
class StmScans:
    """Random scans of H:Si(100): the image in nm, its dangling bonds, and which tip took it.

    Ranges: field_nm (width of the image), pixel_nm (log-uniform), snr (height of a dangling bond over the 1-sigma of a
    pixel's noise, log-uniform), lines (1-sigma of the jumps between lines, over that of a pixel), slow (1-sigma of the
    noise that wanders along the lines, likewise), lag_nm (how far the feedback trails along a line), drift (share of
    the field that the sample moves in a scan), tilt (slope), current: share of scans whose values grow exponentially
    with height, as at constant height. changing: share of scans within which the tip changes. states: shares of the
    states of tips. `side_px` are the fewest and most pixels a side.
    """

    surface: SurfaceRanges = field(default_factory=SurfaceRanges)
    tips: TipRanges = field(default_factory=TipRanges)
    field_nm: Range = (22.0, 40.0)
    pixel_nm: Range = (0.08, 0.2)
    side_px: tuple[int, int] = (112, 288)
    snr: Range = (6.0, 40.0)
    lines: Range = (0.0, 0.6)
    slow: Range = (0.0, 0.4)
    lag_nm: Range = (0.0, 0.2)
    drift: Range = (0.0, 0.03)
    tilt: Range = (0.0, 0.03)
    current: float = 0.1
    changing: float = 0.0
    states: tuple[float, float, float] = (0.5, 0.3, 0.2)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return a scan with a random tip; `truth` has the place of its state in `TIPS`."""
        return self.scan(random_tip(str(rng.choice(TIPS, p=self.states)), self.tips, rng), rng)

    def scan(self, tip: Tip, rng: np.random.Generator) -> Sample:
        """Return a scan of a new surface with `tip` (that may change on the way, see `changing`)."""
        pixel = _log_uniform(self.pixel_nm, rng)
        side = int(np.clip(round(rng.uniform(*self.field_nm) / pixel), *self.side_px))
        surface = random_surface((side * pixel, side * pixel), self.surface, rng)
        drift = self._drift(rng)
        y, x = _points(side, pixel, drift)
        after, change = tip, side
        if rng.random() < self.changing:
            other = rng.choice([state for state in TIPS if state != tip.state])
            after, change = random_tip(str(other), self.tips, rng), int(rng.uniform(0.3, 0.7) * side)
        image = constant_current(surface, tip, y[:change], x[:change])
        if change < side:
            later = constant_current(surface, after, y[change:], x[change:]) + rng.normal(0, 0.03)
            image = np.concatenate([image, later])
        noisy, params = self._recorded(image, pixel, surface, rng)
        where = _seen_at(surface.dangling, drift)
        inside = ((where > 0) & (where < side * pixel)).all(axis=1)
        sites = Sites(where[inside, 0], where[inside, 1], np.full(int(inside.sum()), "DB"))
        params |= _told(tip, "") | _told(after, "_after") | {"change_y_nm": change * pixel}
        return Sample(noisy, pixel, sites, params=params, truth={"tip": float(TIPS.index(tip.state))})

    def domain(self) -> dict[str, Range]:
        """Return the ranges that a card shows."""
        names = ("field_nm", "pixel_nm", "snr", "lag_nm", "drift")
        return {name: getattr(self, name) for name in names} | {
            "offset_nm": self.tips.offset_nm,
            "dangling_per_nm2": self.surface.dangling_per_nm2,
        }

    def _drift(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return how far (y, x) the sample moves while the tip moves by one along the slow axis."""
        drift, turn = rng.uniform(*self.drift), rng.uniform(0, 2 * np.pi)
        return float(drift * np.sin(turn)), float(drift * np.cos(turn))

    def _recorded(
        self, image: Array, pixel: float, surface: SiliconSurface, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        """Return the image with feedback, noise and a tilt, and the settings that made it."""
        tops = surface.bumps[: len(surface.dangling), 2]
        height = float(np.median(tops)) if len(tops) else 0.15
        noise = height / _log_uniform(self.snr, rng)
        lag = float(rng.uniform(*self.lag_nm))
        if rng.random() < self.current:
            rate = float(rng.uniform(2.0, 10.0))
            image = np.expm1(rate * (image - np.median(image))) / rate
        image = _trailed(image, lag / pixel, backward=bool(rng.random() < 0.5))
        side = len(image)
        wander = _wandering(image.shape, rng) * rng.uniform(*self.slow)
        lines = rng.normal(0, 1, (side, 1)) * rng.uniform(*self.lines)
        slope, turn = rng.uniform(*self.tilt) * pixel, rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:side, :side]
        noisy = image + noise * (rng.normal(0, 1, image.shape) + lines + wander)
        noisy += slope * (np.sin(turn) * y + np.cos(turn) * x)
        return noisy.astype(np.float32), {"noise_nm": noise, "snr": height / noise, "lag_nm": lag}


def truth_at(scan: Sample, place_nm: Array) -> tuple[float, float] | None:
    """Return the truth at a place (y, x): the tip's place in `TIPS`, and 0 for a dangling bond, 1 (tip NaN) for others.

    A place is one of a dangling bond if such a bond lies near, or casts a ghost there; ``None`` where the tip changed.
    """
    away = float(place_nm[0]) - scan.params["change_y_nm"]
    if abs(away) < _CHANGED_NM:
        return None
    ending = "_after" if away > 0 else ""
    sites = np.column_stack([scan.sites.y_nm, scan.sites.x_nm])
    ghost = np.array([scan.params["apex_y_nm" + ending], scan.params["apex_x_nm" + ending]])
    seen = np.concatenate([sites, sites + ghost]) if np.isfinite(ghost).all() else sites
    near = len(seen) > 0 and float(np.min(np.hypot(*(seen - place_nm).T))) < _NEAR_NM
    return (scan.params["tip" + ending], 0.0) if near else (np.nan, 1.0)


def _points(side: int, pixel: float, drift: tuple[float, float]) -> tuple[Array, Array]:
    """Return the places (y, x) in nm on the sample (side, side) at which the pixels are taken."""
    grid = np.arange(side) * pixel
    y = np.repeat((grid * (1 + drift[0]))[:, None], side, axis=1)
    return y, grid[None, :] + drift[1] * grid[:, None]


def _seen_at(places: Array, drift: tuple[float, float]) -> Array:
    """Return where in the image (N, 2) places on the sample are seen."""
    y = places[:, 0] / (1 + drift[0])
    return np.column_stack([y, places[:, 1] - drift[1] * y])


def _told(tip: Tip, ending: str) -> dict[str, float]:
    y, x = tip.offset_nm
    up = min((apex[2] for apex in tip.apices[1:]), default=np.nan)
    found = {"tip": float(TIPS.index(tip.state)), "apex_y_nm": y, "apex_x_nm": x, "apex_up_nm": up}
    return {name + ending: float(value) for name, value in (found | {"blur_nm": tip.blur_nm}).items()}


def _log_uniform(ends: Range, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]))))


def _trailed(image: Array, lag_px: float, *, backward: bool) -> Array:
    """Return lines that follow the image with an exponential lag."""
    if lag_px < 0.05:
        return image
    from scipy.signal import lfilter

    keep = float(np.exp(-1 / lag_px))
    lines = image[:, ::-1] if backward else image
    trailed, _ = lfilter([1 - keep], [1, -keep], lines, axis=1, zi=keep * lines[:, :1])
    return np.asarray(trailed[:, ::-1] if backward else trailed)


def _wandering(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return noise (H, W) with a spectrum of 1/f along each line, 1-sigma one."""
    power = np.fft.rfftfreq(shape[1])
    power[0] = power[1]
    spectrum = rng.normal(size=(shape[0], len(power))) + 1j * rng.normal(size=(shape[0], len(power)))
    noise = np.fft.irfft(spectrum / np.sqrt(power), shape[1], axis=1)
    return np.asarray(noise / noise.std())
