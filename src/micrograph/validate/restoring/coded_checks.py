"""Checks of coded movies: decibels, beside total variation and JPEG of the same size; particles found."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.features.restoring.coding_plan import Coding, planned
from micrograph.infer.coded import CodedMovies, MoviePredictor, TvDecoder, masks_of
from micrograph.io.coded import SUFFIX, CodedHeader, coded_recording, write_coded
from micrograph.io.coding import coded_sum
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.restoring.coded_scenes import KINDS, Scene, Scenes, draw_scene
from micrograph.validate.restoring.rates import jpeg_at, lossless_bytes
from micrograph.validate.shared import Shared

Image = NDArray[np.float32]
#: Smoothings (pixels) before a threshold parts particles from ground, of which the best counts; the least particle.
_SMOOTH, _LEAST = (1.0, 2.0, 4.0), 20


@dataclass(frozen=True)
class CodedTrial:
    """A set of movies, so many frames in one coded frame. kinds: of the movies; same: sets that share their movies."""

    name: str
    together: int
    kinds: tuple[str, ...] = KINDS
    scenes: Scenes = field(default_factory=Scenes)
    same: str = "movies"


@dataclass(frozen=True)
class Judged:
    """What was found in one movie.

    decoded, tv, jpeg, raw, mean: PSNR (dB) as decoded, by total variation, by JPEG of the same size, of the raw frames,
    of the mean of each block; bits, lossless: bits a pixel of the container, and of the raw movie without loss; pull:
    errors over stated sigma (root mean square); f1: of the particles in decoded and in raw frames.
    """

    kind: str
    decoded: float
    tv: float
    jpeg: float
    raw: float
    mean: float
    bits: float
    lossless: float
    pull: float
    f1: tuple[float, float] | None


_KNOWN: Shared[tuple[Judged, ...]] = Shared()


def judged(analyser: Analyser, trial: CodedTrial, rng: np.random.Generator) -> tuple[Judged, ...]:
    """Return what was found in the movies of a trial."""
    how = decoding(analyser)

    def find(seed: int) -> tuple[Judged, ...]:
        found = []
        for number, kind in enumerate(trial.kinds):
            found.append(judge(_scene(kind, trial.scenes, number, seed), trial.together, how))
        return tuple(found)

    return _KNOWN.found(trial.name, analyser, rng, find)


@functools.lru_cache(maxsize=len(KINDS))
def _scene(kind: str, scenes: Scenes, number: int, seed: int) -> Scene:
    return draw_scene(kind, scenes, number, np.random.default_rng([seed, number]))


def decoding(analyser: Analyser) -> CodedMovies:
    """Return how the recipe under judgement decodes."""
    data = getattr(getattr(analyser, "recipe", None), "data", None)
    return data if isinstance(data, CodedMovies) else CodedMovies()


def judge(scene: Scene, together: int, how: CodedMovies) -> Judged:
    """Code a movie into a container, decode it, and compare."""
    raw = np.stack([scene.raw(frame) for frame in range(len(scene.clean))])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"movie{SUFFIX}"
        encode(scene.recording(), path, Coding(together))
        size = path.stat().st_size
        opened = how.presented(coded_recording(path))
        predict = how.prepared(opened)
        decoded, sigma = decoded_frames(opened, predict)
        mean = np.stack([opened.frame(index).data for index in range(len(opened))])
        tv, _ = decoded_frames(opened, replace(predict, decode=TvDecoder()))
    jpeg, _ = jpeg_at(raw, size)
    pixels = raw.size
    f1 = None
    if scene.cover is not None:
        f1 = (particle_f1(decoded, scene.cover), particle_f1(raw.astype(np.float32), scene.cover))
    return Judged(
        scene.kind,
        scene.psnr(decoded),
        scene.psnr(tv),
        scene.psnr(jpeg),
        scene.psnr(raw),
        scene.psnr(mean),
        8 * size / pixels,
        8 * lossless_bytes(raw) / pixels,
        float(np.sqrt(np.mean(((decoded - scene.clean) / sigma) ** 2))),
        f1,
    )


def encode(recording: Recording, path: Path, coding: Coding) -> CodedHeader:
    """Write the container of a recording."""
    header = planned(recording, coding)

    def levels() -> Any:
        for block in range(header.blocks):
            held = header.frames_of(block)
            frames = (recording.frame(index).data for index in held)
            yield header.levels.of(coded_sum(frames, masks_of(header, len(held)), header.zero))

    write_coded(path, header, levels())
    return header


def decoded_frames(opened: Recording, predict: MoviePredictor) -> tuple[Image, Image]:
    """Return all frames (T, H, W) of a presented recording, and their sigma."""
    found = [predict(frame) for frame in opened]
    return np.stack([one.maps["image"] for one in found]), np.stack([one.sigma["image"] for one in found])


def particle_f1(frames: NDArray[np.floating], cover: NDArray[np.bool_]) -> float:
    """Return F1 of particles found by Otsu's threshold in smoothed frames, against those that are there.

    That of the smoothing that does best, so that noisy frames are not held against themselves. A particle counts as
    found where its region and a found one overlap by half of what they cover together.
    """
    return max(_f1(frames, cover, smoothing) for smoothing in _SMOOTH)


def _f1(frames: NDArray[np.floating], cover: NDArray[np.bool_], smoothing: float) -> float:
    from scipy.ndimage import gaussian_filter

    hits = found_count = true_count = 0
    sign = _sign(frames, cover)
    for frame, there in zip(frames, cover, strict=True):
        smooth = gaussian_filter(sign * np.asarray(frame, np.float32), smoothing)
        found, true = _regions(smooth > _otsu(smooth)), _regions(there)
        overlaps = [_overlap(one, found) for one in _each(true)]
        hits += sum(one >= 0.5 for one in overlaps)
        found_count += int(found.max())
        true_count += int(true.max())
    return 2 * hits / max(found_count + true_count, 1)


def _sign(frames: NDArray[np.floating], cover: NDArray[np.bool_]) -> float:
    """Return 1 where particles are brighter than the ground, else -1."""
    return 1.0 if frames[cover].mean() > frames[~cover].mean() else -1.0


def _otsu(image: Image) -> float:
    from skimage.filters import threshold_otsu

    found: Any = threshold_otsu
    return float(found(image))


def _regions(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return connected regions (H, W), numbered from 1, without specks."""
    from scipy.ndimage import label

    numbers, count = label(mask)
    large = np.bincount(numbers.ravel(), minlength=count + 1) >= _LEAST
    large[0] = False
    return np.asarray((np.cumsum(large) * large)[numbers], np.int32)


def _each(labels: NDArray[np.int32]) -> list[NDArray[np.bool_]]:
    return [labels == number for number in range(1, int(labels.max()) + 1)]


def _overlap(region: NDArray[np.bool_], labels: NDArray[np.int32]) -> float:
    """Return the largest share that a found region has in common with `region`, of what both cover."""
    shared = np.bincount(labels[region], minlength=2)
    shared[0] = 0
    best = int(shared.argmax())
    return float(shared[best] / (np.sum(region | (labels == best)))) if shared[best] else 0.0


def _check(
    name: str,
    trial: CodedTrial,
    of: Callable[[tuple[Judged, ...]], Measurement],
    bound: float,
    unit: str = "dB",
    *,
    most: bool = False,
) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        return of(judged(analyser, trial, rng))

    return Check(f"{name} ({trial.name})", measure, bound, "<=" if most else ">=", unit=unit, data=trial.same)


def _mean_of(seen: tuple[Judged, ...], value: Callable[[Judged], float], **more: Any) -> Measurement:
    values = [value(one) for one in seen]
    interval = bootstrap(lambda drawn: float(np.mean(np.array(drawn))), values, np.random.default_rng(0))
    return Measurement.of(interval, **more)


def _average(seen: tuple[Judged, ...], name: str) -> float:
    return float(np.mean([getattr(one, name) for one in seen]))


def decoded_psnr(trial: CodedTrial, *, at_least: float) -> Check:
    """Return the check of the PSNR against the clean truth, mean over movies; the baseline is total variation."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        each = ", ".join(f"{one.kind} {one.decoded:.1f}" for one in seen)
        words = f"raw frames {_average(seen, 'raw'):.1f}, mean of a block {_average(seen, 'mean'):.1f}; {each}"
        return _mean_of(seen, lambda one: one.decoded, baseline=_average(seen, "tv"), detail=words)

    return _check("PSNR against the clean movie", trial, of, at_least)


def over_tv(trial: CodedTrial, *, at_least: float) -> Check:
    """Return the check of the PSNR above that of GAP-TV."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        lowest = min(one.decoded - one.tv for one in seen)
        words = f"least {lowest:.1f}; GAP-TV {_average(seen, 'tv'):.1f}"
        return _mean_of(seen, lambda one: one.decoded - one.tv, detail=words)

    return _check("PSNR above that of GAP-TV", trial, of, at_least)


def over_jpeg(trial: CodedTrial, *, at_least: float) -> Check:
    """Return the check of the PSNR above that of JPEG of the same size."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        words = (
            f"container {_average(seen, 'bits'):.3f} bits a pixel, raw movie without loss (zstd) "
            f"{_average(seen, 'lossless'):.2f}; JPEG {_average(seen, 'jpeg'):.1f} dB"
        )
        return _mean_of(seen, lambda one: one.decoded - one.jpeg, detail=words)

    return _check("PSNR above that of JPEG of equal size", trial, of, at_least)


def stated_sigma(trial: CodedTrial, *, at_most: float) -> Check:
    """Return the check of errors over the stated 1-sigma (root mean square, mean over movies)."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        return _mean_of(seen, lambda one: one.pull, limit=1.0)

    return _check("errors over their stated sigma", trial, of, at_most, "", most=True)


def particles_lost(trial: CodedTrial, *, at_most: float) -> Check:
    """Return the check of the F1 of particles in raw frames less that in decoded ones, in points."""

    def of(seen: tuple[Judged, ...]) -> Measurement:
        known = tuple(one for one in seen if one.f1 is not None)
        pairs = [one.f1 for one in known if one.f1 is not None]
        words = f"F1 decoded {np.mean([one[0] for one in pairs]):.3f}, raw {np.mean([one[1] for one in pairs]):.3f}"
        return _mean_of(known, lambda one: 100 * (one.f1[1] - one.f1[0]) if one.f1 else np.nan, detail=words)

    return _check("F1 of particles lost against raw frames", trial, of, at_most, "points", most=True)


def decoding_seconds(*, at_most_s: float, together: int = 4) -> Check:
    """Return the check of the processor time to decode a frame of 512 x 512 pixels."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        how, seconds = decoding(analyser), []
        counts = rng.poisson(10, (together, 512, 512)).astype(np.uint16)
        still = Recording(counts.__getitem__, range(together), Calibration(), (512, 512), "uint16", "noise")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"movie{SUFFIX}"
            encode(still, path, Coding(together))
            opened = how.presented(coded_recording(path))
            for _ in range(2):
                predict = how.prepared(opened)
                began = time.process_time()
                decoded_frames(opened, predict)
                seconds.append((time.process_time() - began) / together)
        interval = bootstrap(lambda drawn: float(np.median(drawn)), seconds, rng)
        return Measurement.of(interval, detail=f"{together} frames in one")

    return Check("processor time of a 512 x 512 frame", measure, at_most_s, "<=", unit="s")
