"""Diffraction-contrast bright-field images of a foil by closed formulas: fast, for training.

A dislocation is a dark line beside its core (Gaussian, full width about a third of the extinction distance) with a
faint bright flank; where it is inclined through the foil its darkness and its place oscillate with depth, one period an
extinction distance, strongest near the surfaces (Hirsch, Howie and Whelan 1960). Misfit shows as lobes along g (Ashby
and Brown 1963), absorption by Beer's law, voids by what they lack and by the Fresnel fringe at their border, whose sign
follows the focus (Ruehle and Wilkens 1975).

The mask of a line is where its darkness, averaged over the depth of the foil, exceeds half its greatest: dashes do not
interrupt it. Bodies are masked where they are, without fringes and lobes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.foils.foil_defects import Beside, Body, Dislocation, Foil, beside, chord, coverage_of

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Masks = dict[str, Image]

#: What can be told apart, in the order of the network's heads.
KINDS = ("dislocation", "precipitate", "void")
#: Points over depth and across a line where its mean darkness is taken.
_DEPTHS = np.linspace(0, 1, 64)
_REACH = 4.5


@dataclass(frozen=True)
class LineLook:
    """How dislocations of one image look.

    strength: darkness of a steady line (share of the background); fwhm_px: width; dash: how far darkness falls once an
    extinction distance, 0..1; fading: how soon that ends away from the surfaces (share of the extinction distance;
    0: never); beads: below 1 the dark parts are short, above 1 long; phase: of the oscillation; offset, swing: distance
    of the image from the core and how far it swings, in widths (1-sigma); flank, flank_width: height and width (in
    those of the dark line) of the bright flank.
    """

    strength: float = 0.3
    fwhm_px: float = 6.0
    dash: float = 0.5
    fading: float = 1.5
    beads: float = 1.0
    phase: float = 0.0
    offset: float = 0.8
    swing: float = 0.3
    flank: float = 0.1
    flank_width: float = 1.0

    @property
    def sigma_px(self) -> float:
        """1-sigma of the dark line across."""
        return self.fwhm_px / 2.3548

    def darkness(self, across: Array, depth: Array, line: Dislocation, foil: Foil) -> Array:
        """Return the share of the background that a line takes at distances `across` (px) where it is at `depth`."""
        thick = foil.thickness_nm / foil.extinction_nm
        at = 2 * np.pi * depth * thick + self.phase
        fade = np.ones(np.shape(depth))
        if self.fading:
            scale = thick / self.fading
            fade = np.exp(-depth * scale) + np.exp(-(1 - depth) * scale)
        height = 1 - self.dash * np.clip(fade, 0, 1) * ((1 + np.cos(at)) / 2) ** self.beads
        sigma = self.sigma_px
        off = line.side * sigma * (self.offset + self.swing * np.clip(fade, 0, 1) * np.sin(at))
        u = (across - off) / sigma
        if line.order > 1:  # double image
            main = 0.75 * (np.exp(-0.5 * (u - 1.2) ** 2) + np.exp(-0.5 * (u + 1.2) ** 2))
        else:
            main = np.exp(-0.5 * u**2)
        flank = self.flank * np.exp(-0.5 * ((u + (1.3 + self.flank_width) * line.side) / self.flank_width) ** 2)
        share: Array = self.strength * np.clip(line.order, 0.08, 1.0) * height * (main - flank)
        return share

    def band(self, line: Dislocation, foil: Foil) -> tuple[float, float]:
        """Return between which distances (px) across a line its mean darkness over depth exceeds half its greatest."""
        across = np.linspace(-_REACH, _REACH, 181) * self.sigma_px
        return half_maximum(across, self.darkness(across[:, None], _DEPTHS[None, :], line, foil).mean(axis=1))


@dataclass(frozen=True)
class Looks:
    """All that shapes one image: lines, Fresnel fringes of voids, and the slow background.

    fringe: strength of the fringe at a void's border; fringe_px: its width; focus: +1 under, -1 over focus; inner: its
    part inside the void over that outside; filled: share of a void's own contrast that is there; background: (H, W)
    share of the beam where there is no defect.
    """

    line: LineLook
    background: Image
    fringe: float = 0.1
    fringe_px: float = 1.5
    focus: float = 1.0
    inner: float = 0.8
    filled: float = 1.0


def half_maximum(across: Array, profile: Array) -> tuple[float, float]:
    """Return the outermost places where a profile over evenly spaced distances crosses half its maximum."""
    half = profile.max() / 2
    above = np.flatnonzero(profile >= half)
    first, last = int(above[0]), int(above[-1])
    low = _crossing(across, profile, first - 1, half) if first else float(across[0])
    high = _crossing(across, profile, last, half) if last < len(across) - 1 else float(across[-1])
    return low, high


def _crossing(across: Array, profile: Array, at: int, half: float) -> float:
    rise = profile[at + 1] - profile[at]
    return float(across[at] + (across[at + 1] - across[at]) * (half - profile[at]) / (rise or 1.0))


def band_mask(near: Beside, band: tuple[float, float]) -> Array:
    """Return the coverage of the pixels beside a line by the band between two distances across it."""
    inside = np.minimum(near.across - band[0], band[1] - near.across) + 0.5
    return np.asarray(np.clip(np.minimum(inside, 0.5 - near.beyond), 0, 1))


def transmitted(foil: Foil, looks: Looks) -> tuple[Image, Masks]:
    """Return the share of the beam (H, W) that reaches the detector, and the masks of `KINDS` (H, W), 0..1."""
    share = looks.background.astype(float)
    lines = np.zeros(foil.shape, np.float32)
    for line in foil.lines:
        near = beside(line, foil.shape, (_REACH + 1) * looks.line.sigma_px)
        if near is None:
            continue
        dark = looks.line.darkness(near.across, near.depth, line, foil)
        if line.closed:
            dark = dark * _seen_by(near.direction, foil.g_angle)
        share[near.box] *= 1 - np.clip(dark * np.clip(0.5 - near.beyond, 0, 1), -0.5, 0.95)
        if line.order:
            np.maximum(lines[near.box], band_mask(near, looks.line.band(line, foil)), out=lines[near.box])
    for body in foil.precipitates:
        _absorb(share, body, foil)
    for body in foil.voids:
        _void(share, body, looks)
    masks = {
        "dislocation": lines,
        "precipitate": coverage_of(foil.precipitates, foil.shape),
        "void": coverage_of(foil.voids, foil.shape),
    }
    return np.clip(share, 1e-3, None).astype(np.float32), masks


def _seen_by(direction: Array, g_angle: float) -> Array:
    """Return how strongly parts of a loop are seen that run in a `direction` (radians): least where g runs along."""
    return np.asarray(0.5 + 0.5 * np.abs(np.sin(direction - g_angle)))


def _absorb(share: Array, body: Body, foil: Foil) -> None:
    """Let a precipitate take its share by Beer's law, and its misfit show as lobes along g."""
    lobes = 2.5 * body.reach_px if body.strain else 0.0
    box = body.box((share.shape[0], share.shape[1]), 2 + lobes)
    if box is None:
        return
    distance, direction, radius = body.polar(box)
    path = -np.log1p(-body.contrast) if body.contrast > 0 else body.contrast
    inner = np.clip(radius - distance + 0.5, 0, 1)
    share[box] *= np.exp(-path * chord(body, distance, radius) * inner)
    if body.strain:
        turned = np.cos(direction - foil.g_angle)
        near_middle = 0.2 < body.depth < 0.8
        lobe = np.abs(turned) if near_middle else turned * np.sign(body.depth - 0.5)
        far = np.clip(radius / np.maximum(distance, 1e-6), 0, 1) ** 2.5 * (1 - inner)
        share[box] *= np.clip(1 - body.strain * lobe * far, 0.1, 1.9)


def _void(share: Array, body: Body, looks: Looks) -> None:
    """Let a void give back what it does not absorb, with a fringe at its border that follows the focus."""
    box = body.box((share.shape[0], share.shape[1]), 5 * looks.fringe_px)
    if box is None:
        return
    distance, _, radius = body.polar(box)
    inner = np.clip(radius - distance + 0.5, 0, 1)
    u = (distance - radius) / looks.fringe_px
    width = np.minimum(1.0, radius / (1.5 * looks.fringe_px))
    rim = np.exp(-0.5 * (u - 0.9) ** 2) - looks.inner * width * np.exp(-0.5 * (u + 0.9) ** 2)
    rim = rim - 0.25 * np.exp(-0.5 * (u - 2.9) ** 2)
    more = -looks.filled * body.contrast * chord(body, distance, radius) * inner
    share[box] *= np.clip((1 + more) * (1 - looks.focus * looks.fringe * rim), 0.05, 3.0)
