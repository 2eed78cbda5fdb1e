"""A thin crystalline film with holes as a transmission microscope shows it: fringes, grains, amorphous rims, edges.

What is slow in the film is an analytic function of the place, so the same film can be drawn at any drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate.contaminate import smooth_field
from micrograph.simulate.ranges import Range

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class Waves:
    """A slow random surface: the sum of plane waves ``amplitude * cos(y ky + x kx + phase)``, each (M,), per pixel."""

    amplitude: Array
    ky: Array
    kx: Array
    phase: Array

    def at(self, y: Image, x: Image) -> Image:
        """Return the surface (H, W) at rows `y` (H,) and columns `x` (W,)."""
        along_y = np.exp(1j * (np.multiply.outer(y, self.ky) + self.phase)).astype(np.complex64)
        along_x = np.exp(1j * np.multiply.outer(x, self.kx)).astype(np.complex64)
        surface: Image = ((along_y * self.amplitude.astype(np.float32)) @ along_x.T).real
        return surface


def waves(rms: float, wavelength_px: float, rng: np.random.Generator, count: int = 6) -> Waves:
    """Return a random surface of about the given rms and wavelength."""
    k = 2 * np.pi / (wavelength_px * rng.uniform(0.7, 2.0, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    amplitude = np.full(count, rms * np.sqrt(2 / count))
    return Waves(amplitude, k * np.sin(angle), k * np.cos(angle), rng.uniform(0, 2 * np.pi, count))


@dataclass(frozen=True)
class Fringes:
    """Lattice fringes of several grains.

    frequency: (S, 2) cycles per pixel along y, x of each set of fringes; amplitude (S,) in units of the film's
    contrast; seeds (G, 2): places (px) nearest to which a grain lies; turn_deg (G,): its rotation; bend: shifts the
    fringes (radians); fading: how their strength varies over the film.
    """

    frequency: Array
    amplitude: Array
    phase: Array
    seeds: Array
    turn_deg: Array
    bend: Waves
    fading: Waves

    def at(self, y: Image, x: Image) -> Image:
        """Return the fringes (H, W) at rows `y` (H,) and columns `x` (W,)."""
        total = np.zeros((len(y), len(x)), np.float32)
        if not len(self.amplitude):
            return total
        bend = self.bend.at(y, x)
        grain = self._grain(y, x, bend)
        for index, turn in enumerate(np.deg2rad(self.turn_deg)):
            cos, sin = np.cos(turn), np.sin(turn)
            part = np.zeros_like(total)
            for (fy, fx), amplitude, phase in zip(self.frequency, self.amplitude, self.phase, strict=True):
                ky, kx = 2 * np.pi * (cos * fy + sin * fx), 2 * np.pi * (-sin * fy + cos * fx)
                angle = (ky * y + phase + 2.4 * index).astype(np.float32)[:, None] + (kx * x).astype(np.float32) + bend
                part += np.float32(amplitude) * np.cos(angle)
            total += part if grain is None else np.where(grain == index, part, np.float32(0))
        return total * np.clip(1 + self.fading.at(y, x), 0, 2)

    def _grain(self, y: Image, x: Image, bend: Image) -> NDArray[np.intp] | None:
        """Return which grain (H, W) lies where, None if there is but one; the bend makes the boundaries crooked."""
        if len(self.seeds) < 2:
            return None
        off = 4 * bend
        distance = [(y[:, None] + off - sy) ** 2 + (x + off - sx) ** 2 for sy, sx in self.seeds]
        nearest: NDArray[np.intp] = np.argmin(np.stack(distance), axis=0)
        return nearest


#: Amplitude of a set of fringes, in units of the film's contrast.
FRINGES = (0.05, 1.0)


def random_fringes(side_px: float, rng: np.random.Generator, strength: Range = FRINGES) -> Fringes:
    """Return fringes for a field of about `side_px` pixels: 1 to 3 sets 3 to 12 px apart, none in one of seven."""
    sets = int(rng.integers(1, 4)) if rng.random() < 6 / 7 else 0
    period = np.exp(rng.uniform(np.log(3.0), np.log(12.0)))
    angle = rng.uniform(0, np.pi) + np.arange(sets) * float(rng.choice([np.pi / 2, np.pi / 3, rng.uniform(0.8, 1.6)]))
    period = np.clip(period * rng.uniform(0.85, 1.18, sets), 2.6, 14)
    amplitude = np.exp(rng.uniform(*np.log(strength))) / max(np.sqrt(sets), 1)
    grains = int(rng.choice([1, 1, 1, 2, 3, 4]))
    return Fringes(
        frequency=np.stack([np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2) / period[:, None],
        amplitude=amplitude * rng.uniform(0.6, 1.3, sets),
        phase=rng.uniform(0, 2 * np.pi, sets),
        seeds=rng.uniform(0, side_px, (grains, 2)),
        turn_deg=np.concatenate([[0.0], rng.uniform(4, 60, grains - 1)]),
        bend=waves(float(rng.uniform(0, 1.0)), side_px / 1.5, rng),
        fading=waves(float(rng.uniform(0, 0.5)), side_px / 2, rng),
    )


@dataclass(frozen=True)
class CrystalFilm:
    """How a film with pores looks; lengths in pixels, strengths in units of its contrast with vacuum.

    contrast: share of the vacuum's intensity that the film takes (bright) or adds to a dark ground (dark field).
    slope: variation of its thickness; light: of the illumination, as a share of the intensity; rim_px, rim: width and
    added thickness (negative: thinner) of the amorphous rim around pores; ragged: how that width varies; speckle: of
    amorphous matter; grain_px: its size; dirt: speckled patches on the film; support: thickness of what spans the
    pores; fresnel: strength of the fringe along edges; fresnel_px: its width.
    """

    contrast: float
    dark_field: bool
    fringes: Fringes
    slope: Waves
    light: Waves
    rim_px: float = 3.0
    rim: float = 0.2
    ragged: Waves | None = None
    speckle: float = 0.15
    grain_px: float = 1.2
    dirt: Waves | None = None
    support: float = 0.0
    fresnel: float = 0.3
    fresnel_px: float = 1.5
    ground: float = 0.15

    def share(
        self, coverage: NDArray[np.floating], rng: np.random.Generator, at_px: tuple[float, float] = (0.0, 0.0)
    ) -> Image:
        """Return the noise-free image (H, W), vacuum about 1 in bright field, of a film with pores `coverage` (H, W).

        The grains of the amorphous matter are drawn from `rng` (they flicker under the beam); the film's own origin
        lies at `at_px` (its drift).
        """
        from scipy.ndimage import gaussian_filter

        pore = np.asarray(coverage, dtype=np.float32)
        y = np.arange(pore.shape[0], dtype=np.float32) - np.float32(at_px[0])
        x = np.arange(pore.shape[1], dtype=np.float32) - np.float32(at_px[1])
        solid = 1 - pore
        amorphous = self._amorphous(pore, y, x)
        mass = np.clip(1 + self.slope.at(y, x), 0.4, 1.6) + self.rim * amorphous
        grains = np.float32(self.speckle) * smooth_field(pore.shape, self.grain_px, rng)
        mass += (1 - amorphous) * self.fringes.at(y, x) + (0.25 + amorphous) * grains
        thick = solid * mass + pore * (self.support * (1 + 2 * grains))
        if self.fresnel:
            soft = gaussian_filter(solid, self.fresnel_px, mode="nearest")
            thick += np.float32(self.fresnel) * (soft - gaussian_filter(soft, self.fresnel_px, mode="nearest")) * 4
        intensity = self.ground + self.contrast * thick if self.dark_field else 1 - self.contrast * thick
        return np.asarray(np.clip(intensity * (1 + self.light.at(y, x)), 1e-3, None), dtype=np.float32)

    def _amorphous(self, pore: Image, y: Image, x: Image) -> Image:
        """Return how much (H, W; 0 .. 1) of the film is amorphous: around the pores, and in patches of dirt."""
        from scipy.ndimage import distance_transform_edt

        share = np.zeros(pore.shape, np.float32)
        if self.rim_px > 0 and pore.max() > 0.5:
            width = self.rim_px * (1.0 if self.ragged is None else np.clip(1 + self.ragged.at(y, x), 0.1, 2.5))
            outside = distance_transform_edt(pore < 0.5).astype(np.float32)
            share = np.clip((width - outside) / 1.5 + 0.5, 0, 1).astype(np.float32)
        if self.dirt is not None:
            share = np.maximum(share, np.clip(self.dirt.at(y, x), 0, 1))
        return share


def random_film(side_px: float, contrast: float, rng: np.random.Generator, fringes: Range = FRINGES) -> CrystalFilm:
    """Return the look of a random film of the given contrast for a field of `side_px` pixels; either sign.

    fringes: amplitude of its lattice fringes in units of the contrast, drawn log-uniformly.
    """
    dirty, spanned = rng.random() < 0.3, rng.random() < 0.4
    return CrystalFilm(
        contrast=contrast,
        dark_field=bool(rng.random() < 0.35),
        fringes=random_fringes(side_px, rng, fringes),
        slope=waves(float(rng.uniform(0, 0.15)), side_px, rng),
        light=waves(contrast * float(rng.uniform(0, 0.2)), 1.5 * side_px, rng),
        rim_px=float(max(0.0, rng.uniform(-1.5, 8.0))),
        rim=float(rng.uniform(-0.3, 0.5)),
        ragged=waves(float(rng.uniform(0, 0.4)), side_px / 6, rng),
        speckle=float(rng.uniform(0.02, 0.35)),
        grain_px=float(rng.uniform(0.8, 2.5)),
        dirt=waves(float(rng.uniform(0.3, 0.8)), side_px / 4, rng) if dirty else None,
        support=float(rng.uniform(0, 0.3)) if spanned else 0.0,
        fresnel=float(rng.uniform(-0.4, 0.5)),
        fresnel_px=float(rng.uniform(0.7, 2.5)),
        ground=float(rng.uniform(0.02, 0.4)),
    )
