"""In situ movies for judging coded ones: particles, pores and lattices of the simulators, their electrons counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.simulate import (
    TMD_SETTINGS,
    Chaining,
    Coalescing,
    Diffusing,
    Etching,
    ParticleMovie,
    PoreMovieSettings,
    Scan,
    TmdRates,
    TmdSample,
    View,
    brownian_movie,
    chaining_movie,
    coalescence_movie,
    etching_movie,
    pore_movie,
    tmd_movie,
)

Image = NDArray[np.float32]

#: Kinds of movies; of the first four the particles are known.
PARTICLES = ("etching", "chaining", "diffusing", "fusing")
KINDS = (*PARTICLES, "pores", "lattice", "drifting lattice", "defects")


@dataclass(frozen=True)
class Scenes:
    """How movies are made. electrons: a pixel and frame, on the average over the movie; pace: factor on all motion."""

    side_px: int = 96
    frames: int = 60
    electrons: tuple[float, ...] = (5.0, 10.0, 20.0)
    pace: float = 1.0


@dataclass(frozen=True)
class Scene:
    """A movie and its truth: expected electrons (T, H, W), and for particles whether one covers a pixel (T, H, W)."""

    kind: str
    clean: Image
    seed: int
    cover: NDArray[np.bool_] | None = None

    @property
    def electrons(self) -> float:
        """Mean electrons a pixel."""
        return float(self.clean.mean())

    @property
    def peak(self) -> float:
        """What PSNR refers to: twice the mean, by which raw frames of 5 to 20 electrons a pixel have 13 to 19 dB."""
        return 2 * self.electrons

    def raw(self, frame: int) -> NDArray[np.uint16]:
        """Return a frame as it is counted."""
        counts = np.random.default_rng([self.seed, frame]).poisson(self.clean[frame])
        return np.asarray(counts, np.uint16)

    def recording(self) -> Recording:
        """Return the movie as it is recorded."""
        scale = Calibration(pixel_nm=0.5, frame_time_s=0.05)
        count, height, width = self.clean.shape
        return Recording(self.raw, range(count), scale, (height, width), "uint16", f"simulated {self.kind}")

    def psnr(self, frames: NDArray[np.generic], chosen: slice = slice(None)) -> float:
        """Return the peak signal to noise (dB) of frames (T, H, W) against the truth."""
        return psnr(frames, self.clean[chosen], self.peak)


def psnr(frames: NDArray[np.generic], clean: Image, peak: float) -> float:
    """Return the peak signal to noise (dB)."""
    error = float(np.mean((np.asarray(frames, np.float64) - clean) ** 2))
    return float(10 * np.log10(peak**2 / max(error, 1e-30)))


def draw_scene(kind: str, scenes: Scenes, number: int, rng: np.random.Generator) -> Scene:
    """Return movie `number` of a set, of the given kind; odd numbers of particles shine on a dim ground."""
    shape, cover = _PATTERNS[kind](scenes, number, rng)
    level = scenes.electrons[number % len(scenes.electrons)]
    clean = np.asarray(shape * (level / shape.mean()), np.float32)
    return Scene(kind, clean, int(rng.integers(2**31)), cover)


Pattern = tuple[NDArray[np.floating], NDArray[np.bool_] | None]


def _view(scenes: Scenes, rng: np.random.Generator) -> View:
    drift = scenes.pace * float(rng.uniform(0, 3))
    side = (scenes.side_px, scenes.side_px)
    return View(scenes.frames, side, 0.5, 0.05 * scenes.pace, passing=0, drift_nm=drift)


def _particles(make: Callable[[np.random.Generator, View], ParticleMovie]) -> Callable[..., Pattern]:
    def draw(scenes: Scenes, number: int, rng: np.random.Generator) -> Pattern:
        view = _view(scenes, rng)
        movie = make(rng, view)
        thick = np.stack([movie.thickness_nm(frame) for frame in range(scenes.frames)])
        cover = np.stack([movie.masks(frame)[0] > 0.5 for frame in range(scenes.frames)])
        if number % 2:
            return 0.6 + thick / max(float(thick.max()), 1.0), cover
        return np.exp(-thick / 25), cover

    return draw


def _etching(rng: np.random.Generator, view: View) -> ParticleMovie:
    shape = str(rng.choice(["rod", "square", "hexagon"]))
    speed = float(rng.uniform(0.3, 1.0))
    how = Etching(v0_nm_per_s=-speed, k_nm2_per_s=-2.0, count=4, shape=shape, size_nm=16.0, width_nm=9.0)
    return etching_movie(rng, how, view)


def _chaining(rng: np.random.Generator, view: View) -> ParticleMovie:
    how = Chaining(rate=0.3, count=9, edge_nm=8.0, approach_s=1.0, jitter_nm=0.1)
    return chaining_movie(rng, how, view)


def _diffusing(rng: np.random.Generator, view: View) -> ParticleMovie:
    how = Diffusing(d_nm2_per_s=1.0, d_deg2_per_s=100.0, count=6, edge_nm=14.0, height_nm=12.0, potential=None)
    return brownian_movie(rng, how, view)


def _fusing(rng: np.random.Generator, view: View) -> ParticleMovie:
    return coalescence_movie(rng, Coalescing(2.0, pairs=2, radius_nm=7.0, contact_s=(0.2, 1.5)), view)


def _pores(scenes: Scenes, number: int, rng: np.random.Generator) -> Pattern:
    settings = PoreMovieSettings(
        frames=scenes.frames,
        size_px=(scenes.side_px, scenes.side_px),
        pores=2,
        radius_px=(12.0, 24.0),
        closed=(0.3 * scenes.pace, 0.3 * scenes.pace + 0.1),
        drift_px=6.0 * scenes.pace,
        contrast=(0.5, 0.8),
    )
    movie = pore_movie(rng, settings)
    film = replace(movie.film, speckle=0.0)
    course = movie.drift_nm / settings.pixel_nm
    still = np.random.default_rng(0)
    shares = [film.share(movie.masks(i)[0], still, (float(y), float(x))) for i, (y, x) in enumerate(course)]
    return np.stack(shares), None


#: Vacancies come and go by the second, whatever the dose: frames are drawn with so many electrons that none is missed.
_MONOLAYER = TmdSample(rates=TmdRates(create=5e-4, second=5e-4, hop=0.02, metal=1e-4))


def _lattice(drift: float, pixel_nm: float) -> Callable[..., Pattern]:
    def draw(scenes: Scenes, number: int, rng: np.random.Generator) -> Pattern:
        angle = rng.uniform(0, 2 * np.pi)
        speed = drift * scenes.pace
        settings = replace(
            TMD_SETTINGS,
            frames=scenes.frames,
            size_px=(scenes.side_px, scenes.side_px),
            pixel_nm=pixel_nm,
            seed=int(rng.integers(2**31)),
            scan=Scan(dose_e_per_A2=1e10, jitter_nm=0.0),
            drift_nm_per_s=(speed * np.sin(angle), speed * np.cos(angle)),
            wander_nm=0.002 * scenes.pace,
        )
        recording = tmd_movie(_MONOLAYER, settings).recording
        frames = np.stack([recording.read(frame) for frame in range(scenes.frames)])
        return frames + 0.15 * frames.max(), None

    return draw


_PATTERNS: dict[str, Callable[[Scenes, int, np.random.Generator], Pattern]] = {
    "etching": _particles(_etching),
    "chaining": _particles(_chaining),
    "diffusing": _particles(_diffusing),
    "fusing": _particles(_fusing),
    "pores": _pores,
    "lattice": _lattice(0.0005, 0.03),
    "drifting lattice": _lattice(0.004, 0.025),
    "defects": _lattice(0.001, 0.02),
}
