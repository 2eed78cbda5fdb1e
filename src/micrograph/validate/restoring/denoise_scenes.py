"""What denoising is judged on: clean images with planted noise, and what classical methods make of the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from micrograph.features.restoring.stabilised import Stabiliser
from micrograph.simulate import Microscope, adf
from micrograph.simulate.clean_scenes import CleanScenes
from micrograph.structures import sites_of, tmd, with_chalcogen_vacancies

Image = NDArray[np.float32]
#: Makes a clean image (side, side) of any brightness.
Scenes = Callable[[int, np.random.Generator], Image]

MICROSCOPE = Microscope(voltage_kV=80.0, convergence_mrad=25.0, inner_mrad=60.0, outer_mrad=180.0, source_fwhm_nm=0.06)
#: Pixel (nm) of the simulated monolayers and of the multislice sets.
PIXEL_NM = 0.02


@dataclass(frozen=True)
class Planted:
    """A clean image (H, W) in electrons, one with noise, a clean one of another place of the same specimen.

    Of some also the sites (N, 2) and what is odd there (N,).
    """

    clean: Image
    noisy: Image
    elsewhere: Image
    sites_px: NDArray[np.float64]
    odd: NDArray[np.bool_]


def lattices(side: int, rng: np.random.Generator) -> Image:
    """Return a lattice of columns, one to four a cell, a few missing or odd, some with a boundary."""
    return CleanScenes(side, (1.0, 0.0, 0.0, 0.0))(rng)


def multislice(side: int, rng: np.random.Generator) -> Image:
    """Return a multislice image: sheets with defects, monolayers, strontium titanate, silicon; repeated to the side."""
    from micrograph.validate.multislice import SCENES, load_reference

    names = [name for name in SCENES if not name.startswith("graphene_displaced")]
    image = load_reference(str(rng.choice(names)), pixel_nm=PIXEL_NM, source_fwhm_nm=0.06, thermal_nm=0.005).image
    top, left = (int(rng.integers(n)) for n in image.shape)
    repeated = np.pad(image, [(0, side)] * 2, mode="wrap")
    return np.asarray(repeated[top : top + side, left : left + side] + 0.1 * image.mean(), np.float32)


def exposed(scenes: Scenes, side: int, electrons: float, rng: np.random.Generator) -> Planted:
    """Return a part of a scene, whose pixels hold so many electrons on average, counted; another part stays clean."""
    scene = scenes(2 * side, rng)
    clean, elsewhere = scene[:side, :side], scene[side:, side:]
    noisy, expected = counted(clean, electrons, rng)
    return Planted(expected, noisy, elsewhere, np.zeros((0, 2)), np.zeros(0, bool))


def counted(clean: Image, electrons: float, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return an image of so many electrons a pixel with the noise of counting, and without."""
    expected = np.asarray(clean * (electrons / clean.mean(dtype=np.float64)), np.float32)
    return rng.poisson(expected).astype(np.float32), expected


def vacancies(side: int, electrons: float, rng: np.random.Generator) -> Planted:
    """Return a WSe2 or MoS2 monolayer of which one column in twenty lacks one of its two chalcogens."""
    size = side * PIXEL_NM
    atoms = tmd(str(rng.choice(["WSe2", "MoS2"])), (size, size), rotation_deg=float(rng.uniform(0, 60)))
    atoms = with_chalcogen_vacancies(atoms, 0.05, rng, double_fraction=0.0)
    clean = adf(atoms, MICROSCOPE, pixel_nm=PIXEL_NM, shape=(side, side), thermal_nm=0.006)
    noisy, expected = counted(clean + np.float32(0.05 * clean.mean()), electrons, rng)
    sites = sites_of(atoms)
    place = np.stack([sites.y_nm, sites.x_nm], axis=1) / PIXEL_NM
    inner = ((place > 8) & (place < side - 9)).all(axis=1) & np.isin(sites.label, ("Se2", "S2", "Se1", "S1"))
    odd = np.isin(sites.label[inner], ("Se1", "S1"))
    return Planted(expected, noisy, expected, place[inner], odd)


def defect_f1(image: Image, planted: Planted, radii: Sequence[float] = (1.5, 2.5, 3.5, 4.5)) -> float:
    """Return the F1 score of odd sites told by the sum in a disc: the best of all thresholds and radii."""
    if not planted.odd.any():
        return float("nan")
    return max(_best_f1(_sums(image, planted.sites_px, radius), planted.odd) for radius in radii)


def _sums(image: Image, places: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    reach = int(np.ceil(radius))
    steps = np.arange(-reach, reach + 1)
    centre = np.rint(places).astype(int)
    y = centre[:, 0, None, None] + steps[:, None]
    x = centre[:, 1, None, None] + steps[None, :]
    inside = np.hypot(y - places[:, 0, None, None], x - places[:, 1, None, None]) <= radius
    return np.asarray((image[y, x] * inside).sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1), float)


def _best_f1(sums: NDArray[np.float64], odd: NDArray[np.bool_]) -> float:
    ordered = odd[np.argsort(sums)]
    hits = np.cumsum(ordered)
    called = np.arange(1, len(ordered) + 1)
    return float(np.max(2 * hits / (called + odd.sum())))


def psnr(image: Image, clean: Image) -> float:
    """Return the peak signal to noise in dB: the range of the clean image over the root mean square error."""
    error = float(np.mean((image.astype(float) - clean) ** 2))
    return float(20 * np.log10(np.ptp(clean) / np.sqrt(max(error, 1e-30))))


def best_classical(planted: Planted) -> float:
    """Return the highest PSNR (dB) of Gaussian smoothing, total variation and non-local means, strengths best chosen.

    All but the Gaussian work on the stabilised image; the truth chooses the strength, which no user could.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

    stable = Stabiliser(1.0, 0.0)
    seen = stable(planted.noisy)
    found = [gaussian_filter(planted.noisy, sigma) for sigma in np.arange(0.5, 4.1, 0.25)]
    smoothed: Any = denoise_tv_chambolle
    found += [stable.back(smoothed(seen, weight)) for weight in (0.5, 1.0, 2.0)]
    found += [
        stable.back(np.asarray(denoise_nl_means(seen, 7, 9, h, sigma=1.0, fast_mode=True), np.float32))
        for h in (0.4, 0.6, 0.9)
    ]
    return max(psnr(np.asarray(image, np.float32), planted.clean) for image in found)


def by_components(movie: Image, clean: Image) -> float:
    """Return the highest mean PSNR (dB) of the frames of a movie (T, H, W) from its first principal components."""
    stable = Stabiliser(1.0, 0.0)
    flat = stable(movie).reshape(len(movie), -1).astype(float)
    mean = flat.mean(axis=0)
    u, s, v = np.linalg.svd(flat - mean, full_matrices=False)
    scores = []
    for kept in range(min(4, len(s))):
        seen = mean + (u[:, :kept] * s[:kept]) @ v[:kept]
        frames = stable.back(seen.reshape(movie.shape).astype(np.float32))
        scores.append(float(np.mean([psnr(one, truth) for one, truth in zip(frames, clean, strict=True)])))
    return max(scores)


def moving(side: int, frames: int, electrons: float, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return a clean and a noisy movie (T, H, W) of a lattice at rest with an adatom that hops and a growing island."""
    still = lattices(side, rng)
    y, x = np.indices((side, side))
    clean = np.repeat(still[None], frames, axis=0)
    place, width = rng.uniform(0.3, 0.7, 2) * side, 3.0
    for number in range(frames):
        place = np.clip(place + rng.normal(0, 4, 2), 5, side - 5)
        clean[number] += np.float32(2.0) * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * width**2))
        island = np.hypot(y - 0.2 * side, x - 0.8 * side) < 3 + 1.5 * number
        clean[number][island] *= np.float32(1.5)
    clean *= np.float32(electrons / clean.mean(dtype=np.float64))
    return clean, rng.poisson(clean).astype(np.float32)


def spoilt(kind: str, noisy: Image, rng: np.random.Generator) -> Image:
    """Return an image with noise of a kind that differs not from pixel to pixel: 'blurred', 'interpolated', 'lines'."""
    from scipy.ndimage import gaussian_filter, zoom

    if kind == "blurred":
        return np.asarray(gaussian_filter(noisy, rng.uniform(0.55, 1.2)), np.float32)
    if kind == "interpolated":
        return np.asarray(zoom(noisy, rng.uniform(1.3, 2.0), order=cast(Any, int(rng.integers(1, 4)))), np.float32)
    if kind == "lines":
        spread = float(noisy.std()) * rng.uniform(0.3, 1.0)
        return np.asarray(noisy + rng.normal(0, spread, (len(noisy), 1)), np.float32)
    return noisy
