"""Where nanotubes are: straight pieces of an image, found by their projections along every direction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.features.tubes.tube_fit import FOCI_NM
from micrograph.features.tubes.tube_model import Beam, Place
from micrograph.features.tubes.tube_strip import LEAST_NM, Array, Line, Noise, Strip, noise_of, sampled, span, strip_of

Image = NDArray[np.float32]
#: Pixel (nm) on which tubes are sought, and the band (1/nm) of their fringes.
_COARSE_NM, _BAND_PER_NM = 0.09, (0.5, 4.0)
#: Step of the directions (degrees); half-width (nm) over which the power of the fringes is added up.
_STEP_DEG, _REACH_NM = 1.0, 1.2
#: Least likelihood ratio (logarithm) of the fringes of a tube against noise.
LEAST_SCORE = 30.0
#: Room (nm) on each side of a tube for its fringes.
MARGIN_NM = 0.7


@dataclass(frozen=True)
class View:
    """An image as contrast (H, W), its cubic spline, its noise and its pixel."""

    contrast: Image
    spline: Image
    noise: Noise
    pixel_nm: float


def view_of(image: NDArray[np.floating], pixel_nm: float) -> View:
    """Return a view of an image (H, W), 0 where it is as bright as its surroundings within some nm."""
    from scipy.ndimage import gaussian_filter, spline_filter

    filled = np.where(np.isfinite(image), image, np.nanmedian(image)).astype(np.float32)
    level = gaussian_filter(filled, 2.0 / pixel_nm, mode="nearest", truncate=2.0)
    contrast = np.asarray(filled / np.maximum(level, 1e-6 * max(float(abs(level).max()), 1e-30)) - 1, np.float32)
    spline = spline_filter(contrast, 3, output=np.float32)
    return View(contrast, spline, noise_of(contrast, pixel_nm), pixel_nm)


@dataclass(frozen=True)
class Piece:
    """A straight piece of a tube: its line, where it begins and ends (nm along it), diameter and focus as they seem.

    `score` is the logarithm of the likelihood ratio of its fringes against noise; `scores` (D, F) that of all
    `diameters_nm` (D,) and `FOCI_NM` (F,).
    """

    line: Line
    ends_nm: tuple[float, float]
    diameter_nm: float
    defocus_nm: float
    score: float
    diameters_nm: Array
    scores: Array


def find_pieces(view: View, beam: Beam, diameter_nm: tuple[float, float], most: int) -> list[Piece]:
    """Return the straight tubes of an image, at most `most`, the clearest first."""
    coarse, pixel = _coarse(view)
    left = coarse.copy()
    found: list[Piece] = []
    for _ in range(most):
        line = _straightest(left, pixel)
        piece = None if line is None else _piece(view, beam, line, diameter_nm)
        if piece is None or piece.score < LEAST_SCORE:
            break
        found.append(piece)
        _wipe(left, pixel, piece)
    return found


def _coarse(view: View) -> tuple[Array, float]:
    """Return the image on coarser pixels in the band of the fringes, in units of its noise, and their size."""
    import scipy.fft

    number = max(1, int(_COARSE_NM / view.pixel_nm))
    height, width = (n // number * number for n in view.contrast.shape)
    blocks = view.contrast[:height, :width].reshape(height // number, number, width // number, number)
    image, pixel = blocks.mean(axis=(1, 3)), view.pixel_nm * number
    k = np.hypot(np.fft.fftfreq(image.shape[0], pixel)[:, None], np.fft.rfftfreq(image.shape[1], pixel)[None])
    keep = (k > _BAND_PER_NM[0]) & (k < _BAND_PER_NM[1])
    spectrum = scipy.fft.rfft2(image) * keep / np.sqrt(view.noise(k) / number**2)
    return scipy.fft.irfft2(spectrum, s=image.shape), pixel


def _straightest(image: Array, pixel_nm: float) -> Line | None:
    """Return the line along which the image's projection has most power within a tube's width."""
    directions = np.arange(0, 180, _STEP_DEG)
    offsets, power = _powers(image, directions, pixel_nm)
    best = np.unravel_index(int(np.argmax(power)), power.shape)
    fine = directions[best[0]] + np.arange(-1.4, 1.41, 0.1)
    offsets, power = _powers(image, fine, pixel_nm)
    best = np.unravel_index(int(np.argmax(power)), power.shape)
    height, width = image.shape
    middle = Line((height - 1) / 2 * pixel_nm, (width - 1) / 2 * pixel_nm, float(fine[best[0]]))
    return middle.moved(across_nm=float(offsets[best[1]]))


def _powers(image: Array, directions: Array, pixel_nm: float) -> tuple[Array, Array]:
    """Return offsets (S,) nm from the image's middle and the power (A, S) of the projections along `directions`.

    Projections are central slices of the Fourier transform. The power is summed over a tube's width, over what noise
    gives there.
    """
    import scipy.fft
    from scipy.ndimage import map_coordinates, uniform_filter1d

    size = scipy.fft.next_fast_len(int(np.ceil(1.5 * max(image.shape))))
    padded = np.zeros((size, size))
    begin = [(size - n) // 2 for n in image.shape]
    padded[begin[0] : begin[0] + image.shape[0], begin[1] : begin[1] + image.shape[1]] = image
    spectrum = np.fft.fftshift(scipy.fft.fft2(np.fft.ifftshift(padded)))
    turn = np.deg2rad(directions)[:, None]
    k = np.arange(size) - size / 2 // 1
    points = np.stack([size // 2 + k * np.cos(turn), size // 2 + k * np.sin(turn)])
    slices = map_coordinates(spectrum, points, order=1, mode="constant")
    projected = np.fft.fftshift(scipy.fft.ifft(np.fft.ifftshift(slices, axes=1), axis=1).real, axes=1)
    offsets = k * pixel_nm
    chord = _chords(image.shape, directions, k)
    long = _chords(image.shape, directions, np.abs(k) + _REACH_NM / pixel_nm) * pixel_nm >= LEAST_NM
    power = np.where(long, projected**2 / np.maximum(chord, 1), 0)
    width = max(3, int(2 * _REACH_NM / pixel_nm))
    band = 2 * pixel_nm * (_BAND_PER_NM[1] - _BAND_PER_NM[0])
    return offsets, uniform_filter1d(power - band * long, width, axis=1, mode="constant") * width


def _chords(shape: tuple[int, ...], directions: Array, offset: Array) -> Array:
    """Return the length (A, S), in pixels, of the lines in an image (H, W) at `offset` (S,) from its middle."""
    turn = np.deg2rad(directions)[:, None]
    sin, cos = np.abs(np.sin(turn)) + 1e-9, np.abs(np.cos(turn)) + 1e-9
    height, width = shape
    reach = (height * cos + width * sin) / 2 - np.abs(offset)
    return np.asarray(np.clip(np.minimum(reach / (sin * cos), np.minimum(height / sin, width / cos)), 0, None))


def _wipe(image: Array, pixel_nm: float, piece: Piece) -> None:
    """Empty the image where a piece and its fringes lie."""
    y, x = (np.arange(n) * pixel_nm for n in image.shape)
    away = (y[:, None] - piece.line.y_nm) * piece.line.across[0] + (x - piece.line.x_nm) * piece.line.across[1]
    image[np.abs(away) < piece.diameter_nm / 2 + MARGIN_NM] = 0


def _piece(view: View, beam: Beam, line: Line, diameter_nm: tuple[float, float]) -> Piece | None:
    """Return the piece of a tube along `line` where it is clearest; ``None`` if that has no room in the image."""
    width = min(diameter_nm[1] + 2 * MARGIN_NM, 0.9 * min(view.contrast.shape) * view.pixel_nm)
    ends = span(view.contrast.shape, view.pixel_nm, line, width)
    if ends is None:
        return None
    values, middle = sampled(view.spline, view.pixel_nm, line, ends, width)
    strip = strip_of(values, middle, view.pixel_nm, view.noise)
    piece = _fringes(strip, beam, diameter_nm)
    low, high = _extent(values, view.pixel_nm, piece.line, middle)
    if (high - low) > 0.85 * strip.length_nm or high - low < LEAST_NM:
        return piece
    return replace(piece, ends_nm=(low, high))


def _fringes(strip: Strip, beam: Beam, limits_nm: tuple[float, float]) -> Piece:
    """Return the piece by the diameter, focus and shift across at which its equator, J0 of the tube, fits best."""
    diameters = np.arange(limits_nm[0] - 0.1, limits_nm[1] + 0.1, 0.02)
    shifts = np.arange(-0.6, 0.6001, 0.03)
    data, gain, ky = strip.data[0], strip.gain[0], strip.ky
    from micrograph.features.tubes.tube_model import bessel

    place = Place()
    square = ky**2
    carbon = np.interp(np.abs(ky), beam.k_per_nm, beam.amplitude_nm2)
    damped = carbon * np.exp(-place.blur_nm2 * square - place.spread_nm4 * square**2) * gain * strip.length_nm
    rings = bessel(np.zeros((1, 1), int), np.pi * diameters[:, None] * np.abs(ky)) * diameters[:, None] * damped
    focus = np.sin(np.pi * beam.wavelength_nm * -np.array(FOCI_NM)[:, None] * square)
    waves = rings[:, None] * focus
    moved = np.exp(-2j * np.pi * ky * shifts[:, None])
    match = np.einsum("dfk,sk->dfs", waves, (np.conj(moved) * data).real)
    norm = np.sum(waves**2, axis=2)
    scores = np.clip(match, 0, None) ** 2 / np.maximum(norm[:, :, None], 1e-12) / 2
    d, f, s = np.unravel_index(int(scores.argmax()), scores.shape)
    line = strip.line.moved(across_nm=float(shifts[s]))
    ends = (-strip.length_nm / 2, strip.length_nm / 2)
    return Piece(line, ends, float(diameters[d]), FOCI_NM[f], float(scores[d, f, s]), diameters, scores.max(axis=2))


def _extent(values: Array, pixel_nm: float, line: Line, middle: Line) -> tuple[float, float]:
    """Return from where to where (nm from the middle) the fringes of a strip (N, M) are as they are on average."""
    from scipy.ndimage import gaussian_filter1d, label

    smooth = gaussian_filter1d(values - values.mean(), 0.06 / pixel_nm, axis=1)
    mean = smooth.mean(axis=0)
    share = gaussian_filter1d(smooth @ mean / max(float(mean @ mean), 1e-12), 0.5 / pixel_nm)
    runs, number = label(share > 0.5 * np.quantile(share, 0.8))
    if not number:
        return (0.0, 0.0)
    longest = int(np.argmax(np.bincount(runs)[1:])) + 1
    where = (np.flatnonzero(runs == longest) - (len(values) - 1) / 2) * pixel_nm
    return float(where[0]), float(where[-1])
