"""Foils by dynamical theory: two beams, column approximation, strain fields; the other simulator of crystal defects.

Each column of the foil is integrated through its thickness (Howie and Whelan 1961; Hirsch et al. 1965, chapter 7), with
anomalous absorption, a deviation from Bragg's position that bends over the image, the displacement of every
dislocation (isotropic elasticity, locally straight and inclined) and of every misfitting precipitate (Ashby and Brown
1963), averaged over the directions of a converged beam. The strain acts between slices of perfect crystal as a phase of
the diffracted wave. Voids are phase objects, and Fresnel's propagation makes their fringes. What is shared with the
simulator of the training is the geometry of the foils alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.simulate.contaminate import smooth_field
from micrograph.simulate.foils.crystal_defect_sampler import DefectImages, DefectScene, exposed
from micrograph.simulate.foils.crystal_defects import Masks, band_mask, half_maximum
from micrograph.simulate.foils.foil_defects import Body, Dislocation, Foil, beside, chord, coverage_of

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Wave = NDArray[np.complex64]

#: Slices of the foil an extinction distance.
_SLICES = 14
#: Strain fields of lines and of precipitates reach so far (extinction distances; radii).
_REACH_XI, _REACH_RADII = 2.0, 4.0
_POISSON = 0.3
#: Wavelength at 200 kV (nm); greatest phase shift of a void, so that its fringes are sampled.
_WAVELENGTH_NM, _MOST_PHASE = 0.002508, 2.5
#: Inner potential times interaction constant at 200 kV: phase a nm of iron that is missing.
_PHASE_PER_NM = 0.15


@dataclass(frozen=True)
class Beams:
    """Two beams: deviation w = s xi (H, W), thickness in extinction distances (H, W), absorption lengths over xi."""

    deviation: Array
    thickness: Array
    mean_absorption: float = 10.0
    anomalous: float = 14.0

    @property
    def slices(self) -> int:
        """Number of slices through the thickest place."""
        return int(np.ceil(float(self.thickness.max()) * _SLICES))

    def slice_matrix(self, tilt: float) -> tuple[Wave, Wave, Wave]:
        """Return the propagator of one slice of perfect crystal: (T from T, T from S = S from T, S from S), (H, W)."""
        step = self.thickness / self.slices
        coupling = np.pi * (1j - 1 / self.anomalous)
        half = 1j * np.pi * (self.deviation + tilt)  # half the difference of the diagonal
        root = np.sqrt(half**2 + coupling**2)
        grow = np.exp((-np.pi / self.mean_absorption + half) * step)
        even, odd = np.cosh(root * step), np.sinh(root * step) / root
        parts = (grow * (even - half * odd), grow * coupling * odd, grow * (even + half * odd))
        return tuple(part.astype(np.complex64) for part in parts)


@dataclass(frozen=True)
class _Strained:
    """Part of the image whose columns one defect strains, with its displacement g.R at a share of the thickness."""

    box: tuple[slice, slice]
    across_nm: Array
    depth_nm: Array
    slope: Array | float
    order: float
    edge: float
    share: Array | float = 1.0

    def displacement(self, depth_nm: Array | float) -> Array:
        """Return 2 pi g.R (h, w) at a depth."""
        up = (depth_nm - self.depth_nm) * self.slope
        side = np.where(self.across_nm >= 0, 1.0, -1.0)
        far = np.maximum(np.abs(self.across_nm), 1e-3)
        screw = side * np.arctan(up / far)
        bent = 2 * self.across_nm * up / (far**2 + up**2) / (4 * (1 - _POISSON))
        return np.asarray(self.share * (self.order * screw + self.edge * bent))


@dataclass(frozen=True)
class _Misfit:
    """Columns around a misfitting ball: places along g and off axis (nm), its radius, depth, 2 pi g.R at its rim."""

    box: tuple[slice, slice]
    along_g_nm: Array
    distance_nm: Array
    radius_nm: float
    depth_nm: float
    strength: float

    def displacement(self, depth_nm: Array | float) -> Array:
        """Return 2 pi g.R (h, w) at a depth."""
        far = np.maximum(np.hypot(self.distance_nm, depth_nm - self.depth_nm), self.radius_nm)
        share = np.clip(1 - (self.distance_nm / (_REACH_RADII * self.radius_nm)) ** 2, 0, None)
        return np.asarray(share * self.strength * self.radius_nm**2 * self.along_g_nm / far**3)


def bright_field(foil: Foil, beams: Beams, tilts: tuple[float, ...] = (-0.15, 0.0, 0.15)) -> Array:
    """Return the intensity (H, W) of the direct beam behind a foil, averaged over the `tilts` of a converged beam."""
    strains = [_of_line(line, foil) for line in foil.lines]
    fields = [one for one in strains if one is not None] + [_of_body(one, foil) for one in foil.precipitates]
    known = [one for one in fields if one is not None]
    thick = beams.thickness * foil.extinction_nm
    total = np.zeros(foil.shape)
    waves = [(np.ones(foil.shape, np.complex64), np.zeros(foil.shape, np.complex64)) for _ in tilts]
    matrices = [beams.slice_matrix(tilt) for tilt in tilts]
    before = [one.displacement(0.0) for one in known]
    for number in range(1, beams.slices + 1):
        turns = np.zeros(foil.shape)
        for place, one in enumerate(known):
            now = one.displacement(thick[one.box] * (number / beams.slices))
            turns[one.box] += now - before[place]
            before[place] = now
        turn = np.exp(1j * turns).astype(np.complex64)
        for place, (a, b, d) in enumerate(matrices):
            direct, scattered = waves[place]
            waves[place] = (a * direct + b * scattered, (b * direct + d * scattered) * turn)
    for direct, _ in waves:
        total += np.abs(direct) ** 2 / len(tilts)
    return total


def _of_line(line: Dislocation, foil: Foil) -> _Strained | None:
    """Return the columns that a dislocation strains."""
    near = beside(line, foil.shape, _REACH_XI * foil.extinction_nm / foil.pixel_nm)
    if near is None:
        return None
    length = max(float(line.steps_px.sum()) * foil.pixel_nm, 1e-6)
    rise = abs(float(line.depth[-1] - line.depth[0])) * foil.thickness_nm if not line.closed else 0.0
    slope = length / np.hypot(length, rise)
    beyond = np.clip(near.beyond, 0, None) * foil.pixel_nm  # past its end the line has left the foil
    edge = (1 - line.screw) * (line.order or 0.35)
    across = line.side * near.across * foil.pixel_nm
    far = np.hypot(across, 2 * beyond) / (_REACH_XI * foil.extinction_nm)
    share = np.clip(1 - far**2, 0, None) ** 2 * np.exp(-beyond / (0.25 * foil.extinction_nm))
    return _Strained(near.box, across, near.depth * foil.thickness_nm, slope, line.order, edge, share)


def _of_body(body: Body, foil: Foil) -> _Misfit | None:
    """Return the columns that a misfitting precipitate strains."""
    box = body.box(foil.shape, _REACH_RADII * body.diameter_px / 2) if body.strain else None
    if box is None:
        return None
    distance, direction, _ = body.polar(box)
    distance = distance * foil.pixel_nm
    along = distance * np.cos(direction - foil.g_angle)
    radius = body.diameter_px / 2 * foil.pixel_nm
    return _Misfit(box, along, distance, radius, body.depth * foil.thickness_nm, 2.0 * body.strain)


def profile_of(line: Dislocation, foil: Foil, deviation: float) -> tuple[float, float]:
    """Return the band (px) across a line where its darkness, averaged over the depth, exceeds half its greatest."""
    across = np.linspace(-1.4, 1.4, 113) * foil.extinction_nm / foil.pixel_nm
    depths = np.linspace(0, 1, 25)
    length = max(float(line.steps_px.sum()) * foil.pixel_nm, 1e-6)
    rise = abs(float(line.depth[-1] - line.depth[0])) * foil.thickness_nm if not line.closed else 0.0
    shape = (len(depths), len(across))
    wide = np.broadcast_to(across * foil.pixel_nm * line.side, shape)
    deep = np.broadcast_to(depths[:, None] * foil.thickness_nm, shape)
    whole = (slice(0, shape[0]), slice(0, shape[1]))
    strain = _Strained(
        whole, wide, deep, length / np.hypot(length, rise), line.order, (1 - line.screw) * (line.order or 0.35)
    )
    beams = Beams(np.full(shape, deviation), np.full(shape, foil.thickness_nm / foil.extinction_nm))
    perfect = Foil(shape, foil.pixel_nm, foil.thickness_nm, foil.extinction_nm)
    plain = float(bright_field(Foil((1, 1), 1.0, foil.thickness_nm, foil.extinction_nm), _single(beams))[0, 0])
    seen = _integrated(perfect, beams, strain)
    return half_maximum(across, np.clip((plain - seen) / plain, 0, None).mean(axis=0))


def _single(beams: Beams) -> Beams:
    return Beams(beams.deviation[:1, :1], beams.thickness[:1, :1])


def _integrated(foil: Foil, beams: Beams, strain: _Strained) -> Array:
    """Return the intensity (H, W) of columns that one given field strains, along one direction."""
    a, b, d = beams.slice_matrix(0.0)
    direct, scattered = np.ones(foil.shape, np.complex64), np.zeros(foil.shape, np.complex64)
    before = strain.displacement(0.0)
    for number in range(1, beams.slices + 1):
        now = strain.displacement(foil.thickness_nm * number / beams.slices)
        turn = np.exp(1j * (now - before)).astype(np.complex64)
        before = now
        direct, scattered = a * direct + b * scattered, (b * direct + d * scattered) * turn
    return np.asarray(np.abs(direct) ** 2, float)


def with_bodies(intensity: Array, foil: Foil, defocus_nm: float) -> Array:
    """Return the intensity (H, W) behind bodies that absorb (precipitates) or shift the phase (voids), out of focus."""
    absorbed, phase = np.zeros(foil.shape), np.zeros(foil.shape)
    for body in foil.precipitates:
        box = body.box(foil.shape, 2)
        if box is not None:
            distance, _, radius = body.polar(box)
            inner = np.clip(radius - distance + 0.5, 0, 1)
            absorbed[box] -= np.log1p(-body.contrast) * chord(body, distance, radius) * inner
    for body in foil.voids:
        box = body.box(foil.shape, 2)
        if box is not None:
            distance, _, radius = body.polar(box)
            path = chord(body, distance, radius) * np.clip(radius - distance + 0.5, 0, 1)
            absorbed[box] -= np.log1p(-body.contrast) * path
            phase[box] -= min(_PHASE_PER_NM * body.diameter_px * foil.pixel_nm, _MOST_PHASE) * path
    wave = np.sqrt(np.clip(intensity * np.exp(-absorbed), 0, None)) * np.exp(1j * phase)
    fy, fx = (np.fft.fftfreq(2 * size, foil.pixel_nm) for size in foil.shape)
    spread = np.exp(1j * np.pi * _WAVELENGTH_NM * defocus_nm * (fy[:, None] ** 2 + fx[None, :] ** 2))
    height, width = foil.shape
    mirrored = np.pad(wave, ((0, height), (0, width)), mode="symmetric")
    return np.asarray(np.abs(np.fft.ifft2(np.fft.fft2(mirrored) * spread))[:height, :width] ** 2)


@dataclass(frozen=True)
class TwoBeamImages:
    """Images of foils by two-beam theory: `fields` draws what is in them; deviation: w = s xi, uniform."""

    fields: DefectImages = field(default_factory=lambda: DefectImages(side_px=224, strength=(0.2, 0.45)))
    deviation: tuple[float, float] = (0.4, 1.2)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one labelled image."""
        return self.scene(rng).sample

    def scene(self, rng: np.random.Generator) -> DefectScene:
        """Return one image with all that is known of it."""
        foil, planted, drawn = self.fields.foil(rng)
        deviation = float(rng.uniform(*self.deviation))
        size = min(foil.shape)
        bend = rng.uniform(0, 0.2) * smooth_field(foil.shape, size / 4, rng)
        wedge = 1 + rng.uniform(0, 0.08) * smooth_field(foil.shape, size / 3, rng)
        thickness = np.clip(wedge * foil.thickness_nm / foil.extinction_nm, 0.5, None).astype(float)
        crystal = bright_field(foil, Beams((deviation + bend).astype(float), thickness))
        focus = float(rng.choice([-1.0, 1.0]))
        widest = min([2.5, *(max(0.9, one.diameter_px / 6) for one in foil.voids)])
        fringe_px = float(np.clip(rng.uniform(0.15, 0.35) * drawn["line_px"], 0.9, widest))
        share = with_bodies(crystal, foil, focus * (fringe_px * foil.pixel_nm) ** 2 / _WAVELENGTH_NM)
        share = share / float(np.median(share))
        masks = self._masks(foil, deviation)
        electrons = (drawn["contrast_to_noise"] / drawn["strength"]) ** 2
        image = exposed(share.astype(np.float32), electrons, rng, 0.0)
        params = {**drawn, "electrons": electrons, "focus": focus, "deviation": deviation}
        return DefectScene(foil, image, masks, params, planted)

    def _masks(self, foil: Foil, deviation: float) -> Masks:
        lines = np.zeros(foil.shape, np.float32)
        for line in foil.lines:
            band = profile_of(line, foil, deviation) if line.order else None
            near = None if band is None else beside(line, foil.shape, max(map(abs, band)) + 3)
            if near is not None and band is not None:
                np.maximum(lines[near.box], band_mask(near, band), out=lines[near.box])
        return {
            "dislocation": lines,
            "precipitate": coverage_of(foil.precipitates, foil.shape),
            "void": coverage_of(foil.voids, foil.shape),
        }
