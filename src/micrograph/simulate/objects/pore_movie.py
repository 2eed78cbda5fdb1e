"""Movies of pores in a crystalline film that close at planted rates, with their outlines in every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Recording
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.objects.film import CrystalFilm, random_film
from micrograph.simulate.objects.pores import inside_of, pore_maps, pore_outline
from micrograph.simulate.objects.shaping import area_nm2, centre_nm, perimeter_nm, receded
from micrograph.simulate.ranges import Range

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Image = NDArray[np.float32]
#: How a pore closes: its edge moves at one speed (dA/dt = -v * perimeter); its area decays exponentially; not at all.
LAWS = ("edge", "exponential", "static")


@dataclass(frozen=True)
class PoreMovieSettings:
    """What a pore movie shows.

    size_px: (height, width). pores: how many; radius_px: their first radii; roughness: of their outlines. laws: drawn
    for each pore from `LAWS`. closed: share of its first radius by which a pore shrinks during the movie, range;
    contrast_to_noise per pixel, contrast: range; drift_px: over the whole movie, in a random direction.
    """

    frames: int = 60
    size_px: tuple[int, int] = (256, 256)
    pixel_nm: float = 0.05
    frame_time_s: float = 1.0
    pores: int = 3
    radius_px: Range = (25.0, 45.0)
    roughness: float = 0.1
    laws: tuple[str, ...] = ("edge",)
    closed: Range = (0.2, 0.7)
    contrast_to_noise: float = 2.0
    contrast: Range = (0.15, 0.5)
    drift_px: float = 6.0

    def __post_init__(self) -> None:
        """Refuse fewer than two frames, and unknown laws."""
        if self.frames < 2 or self.pores < 0 or not set(self.laws) <= set(LAWS) or not self.laws:
            raise BadInput(
                f"{self.frames} frames, {self.pores} pores, laws {self.laws}: give two frames, laws of {LAWS}."
            )


@dataclass(frozen=True)
class PoreMovie:
    """A lazy recording with its truth.

    truth: frame, t_s, object, y_nm, x_nm, area_nm2, perimeter_nm, area_rate_nm2_per_s, border (whether the image cuts
    it), pores that are still open only. rates: object, law, velocity_nm_per_s (outward along the normal, of the edge
    law), decay_per_s (of the area, of the exponential law), area_rate_nm2_per_s (mean over the frames in which it is
    open). ``outlines(i)``: by object, its outline (K, 2; y, x in nm) in the image of frame i. ``masks(i)``: coverage
    and depth (H, W). film: how it looks. drift_nm: (T, 2).
    """

    recording: Recording
    truth: DataFrame
    rates: DataFrame
    outlines: Callable[[int], dict[int, Array]]
    masks: Callable[[int], tuple[Image, Image]]
    film: CrystalFilm
    drift_nm: Array


def pore_movie(rng: np.random.Generator, settings: PoreMovieSettings | None = None) -> PoreMovie:
    """Return a movie of one random film whose pores close; frames are drawn when asked for, always the same."""
    settings = settings or PoreMovieSettings()
    pores = [_pore(outline, settings, rng) for outline in _placed(settings, rng)]
    angle = rng.uniform(0, 2 * np.pi)
    path = settings.drift_px * np.linspace(0, 1, settings.frames)[:, None] * (np.sin(angle), np.cos(angle))
    contrast, seed = float(rng.uniform(*settings.contrast)), int(rng.integers(2**62))
    film = random_film(max(settings.size_px), contrast, rng)
    camera = Camera(0.0, float(rng.uniform(0.4, 1.0)), float(rng.uniform(1, 5)), float(rng.uniform(0, 50)))

    def outlines(frame: int) -> dict[int, Array]:
        shift = path[frame] * settings.pixel_nm
        return {one: pore.outlines[frame] + shift for one, pore in enumerate(pores) if len(pore.outlines[frame])}

    def masks(frame: int) -> tuple[Image, Image]:
        shadows = [inside_of(outline / settings.pixel_nm, settings.size_px) for outline in outlines(frame).values()]
        return pore_maps([one for one in shadows if one.area_px > 0], settings.size_px)

    def read(frame: int) -> Image:
        noise = np.random.default_rng([seed, frame])
        share = film.share(masks(frame)[0], noise, (float(path[frame, 0]), float(path[frame, 1])))
        electrons = (settings.contrast_to_noise / contrast) ** 2 * float(np.median(share))
        return record(share, Camera(electrons, camera.mtf, camera.gain, camera.offset), noise)

    calibration = Calibration(pixel_nm=settings.pixel_nm, frame_time_s=settings.frame_time_s)
    recording = Recording(read, range(settings.frames), calibration, settings.size_px, name="simulated pores")
    truth = _truth(outlines, settings, pores)
    return PoreMovie(recording, truth, _rates(pores, truth), outlines, masks, film, path * settings.pixel_nm)


@dataclass(frozen=True)
class _Pore:
    """A pore's outline (nm, without drift) in every frame, and the law by which it closes."""

    outlines: tuple[Array, ...]
    law: str
    velocity_nm_per_s: float = 0.0
    decay_per_s: float = 0.0


def _pore(outline_nm: Array, settings: PoreMovieSettings, rng: np.random.Generator) -> _Pore:
    law, closed = str(rng.choice(settings.laws)), float(rng.uniform(*settings.closed))
    step = settings.frame_time_s
    duration = (settings.frames - 1) * step
    radius = np.sqrt(area_nm2(outline_nm) / np.pi)
    if law == "static":
        return _Pore((outline_nm,) * settings.frames, law)
    if law == "exponential":
        rate = -2 * np.log1p(-min(closed, 0.999)) / duration
        centre = np.array(centre_nm(outline_nm))
        shrunk = np.exp(-rate * step * np.arange(settings.frames) / 2)
        return _Pore(tuple(centre + share * (outline_nm - centre) for share in shrunk), law, decay_per_s=float(rate))
    velocity = -closed * float(radius) / duration
    depths = -velocity * step * np.arange(settings.frames)
    return _Pore(tuple(receded(outline_nm, depth) for depth in depths), law, velocity_nm_per_s=velocity)


def _placed(settings: PoreMovieSettings, rng: np.random.Generator) -> list[Array]:
    """Return first outlines (nm) apart from each other and whole in the image; those without room are left out."""
    found: list[Array] = []
    centres, reaches = np.empty((0, 2)), np.empty(0)
    for _ in range(settings.pores):
        outline = pore_outline(float(rng.uniform(*settings.radius_px)), settings.roughness, rng)
        reach = float(np.linalg.norm(outline, axis=1).max())
        margin = min(reach + settings.drift_px + 3, min(settings.size_px) / 2)
        for at in rng.uniform(margin, np.array(settings.size_px) - margin, (200, 2)):
            if np.all(np.linalg.norm(centres - at, axis=1) >= reaches + reach + 6):
                found.append((outline + at) * settings.pixel_nm)
                centres, reaches = np.vstack([centres, at]), np.append(reaches, reach)
                break
    return found


def _truth(outlines: Callable[[int], dict[int, Array]], settings: PoreMovieSettings, pores: list[_Pore]) -> DataFrame:
    import pandas as pd

    rows, far = [], (np.array(settings.size_px) - 0.5) * settings.pixel_nm
    for frame in range(settings.frames):
        for one, outline in outlines(frame).items():
            area, length, (y, x) = area_nm2(outline), perimeter_nm(outline), centre_nm(outline)
            rate = pores[one].velocity_nm_per_s * length - pores[one].decay_per_s * area
            cut = bool((outline < -0.5 * settings.pixel_nm).any() or (outline > far).any())
            rows.append((frame, frame * settings.frame_time_s, one, y, x, area, length, rate, cut))
    names = ("frame", "t_s", "object", "y_nm", "x_nm", "area_nm2", "perimeter_nm", "area_rate_nm2_per_s", "border")
    return pd.DataFrame(rows, columns=list(names))


def _rates(pores: list[_Pore], truth: DataFrame) -> DataFrame:
    import pandas as pd

    mean = truth.groupby("object")["area_rate_nm2_per_s"].mean()
    columns = {
        "object": np.arange(len(pores)),
        "law": np.array([pore.law for pore in pores], dtype=object),
        "velocity_nm_per_s": np.array([pore.velocity_nm_per_s for pore in pores]),
        "decay_per_s": np.array([pore.decay_per_s for pore in pores]),
        "area_rate_nm2_per_s": np.array([float(mean.get(one, 0.0)) for one in range(len(pores))]),
    }
    return pd.DataFrame(columns)
