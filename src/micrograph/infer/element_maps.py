"""Element maps of few counts to what is expected of them, by the mixture of estimators that the counts ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame, Prediction, Recording
from micrograph.features.spectra.counts_denoise import Mixture, as_counts, estimators, map_sigma, mixture
from micrograph.features.volumes.reconstruction import left_over
from micrograph.infer.volumes import split_haadf

Maps = NDArray[np.float32]
Array = NDArray[np.float64]
#: Called with (done, total, a few words).
Progress = Callable[[int, int, str], object]

#: Maps with fewer counts than this hold nothing that can be told from noise.
_LEAST = 30


@dataclass(frozen=True)
class ElementMaps:
    """A denoiser that is learned from the recording itself, without clean maps: from its frame with the most counts.

    unit: the value of one count, where it is not the smallest one; parts: into how many the counts are dealt, of which
    each is foretold from the others; replicas: maps drawn anew for the 1-sigma, 0 for none; guided: whether edges of
    HAADF guide the elements, where it is given.
    """

    unit: float | None = None
    parts: int = 4
    iterations: int = 60
    replicas: int = 5
    guided: bool = True

    def prepared(self, recording: Recording, progress: Progress | None = None) -> MapPredictor:
        """Return the model for a recording; raises `BadInput` for maps that are no counts, or hold hardly any."""
        frame = self._fullest(recording)
        counts, unit, guide = self._read(frame)
        if self.parts < 2:
            raise BadInput(f"Setting parts is {self.parts}: the counts must be dealt into at least 2.")
        if counts.sum() < _LEAST:
            raise BadInput(
                f"The maps hold {int(counts.sum())} counts: at least {_LEAST} were expected; check that they are them."
            )

        def told(done: int, total: int) -> None:
            if progress is not None:
                progress(done, total, "learning from the counts how to smooth them")

        rng = np.random.default_rng(0)
        mix = mixture(counts, rng, guide, self.parts, estimators(self.iterations), told)
        said = repr((self, mix.estimators, mix.shares.round(6).tolist(), unit))
        digest = f"mixture:{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        return MapPredictor(mix, replace(self, unit=unit), digest)

    def _fullest(self, recording: Recording) -> Frame:
        """Return the frame with the highest sum, of at most five that lie even over the recording."""
        numbers = sorted({round(place) for place in np.linspace(0, len(recording) - 1, min(len(recording), 5))})
        if not numbers:
            raise BadInput("The recording has no frames: there is nothing to learn from.")
        frames = [recording.frame(number) for number in numbers]
        return max(frames, key=lambda frame: float(np.nan_to_num(frame.data).sum()))

    def _read(self, frame: Frame) -> tuple[Maps, float, Maps | None]:
        """Return counts (C, H, W), the value of one count, and HAADF (H, W) where it guides."""
        data = frame.data if frame.data.ndim == 3 else frame.data[None]
        _, elements, haadf = split_haadf(data, frame.calibration)
        counts, unit = as_counts(elements, self.unit)
        return counts, unit, haadf if self.guided else None


@dataclass(frozen=True)
class MapPredictor:
    """Maps of elements (C, H, W), or one map (H, W), to `Prediction.maps` by element, in counts, with 1-sigma.

    `values`: 'counts' (C,), 'misfit' (C,) chi^2 over pixels (see `left_over`), 'peak' (C,), 'gain' of the mixture.
    """

    mixture: Mixture
    how: ElementMaps
    digest: str

    def __call__(self, frame: Frame) -> Prediction:
        """Return the expected counts of every pixel; raises `BadInput` for maps that are no counts."""
        counts, unit, guide = self.how._read(frame)
        data = frame.data if frame.data.ndim == 3 else frame.data[None]
        names = split_haadf(data, frame.calibration)[0] if frame.data.ndim == 3 else ("counts",)
        mean = self.mixture(counts, guide)
        sigma: dict[str, Maps] = {}
        if self.how.replicas > 1:
            spread = map_sigma(mean, self.mixture, np.random.default_rng(frame.index), guide, self.how.replicas)
            sigma = dict(zip(names, spread * np.float32(unit), strict=True))
        values = {
            "counts": counts.sum(axis=(1, 2), dtype=float),
            "misfit": np.array([left_over(own[None], one[None]) for own, one in zip(counts, mean, strict=True)]),
            "peak": mean.max(axis=(1, 2)).astype(float),
            "gain": np.array([self.mixture.gain]),
            "shares": self.mixture.shares,
            "unit": np.array([unit]),
        }
        flags = Flag.OK if counts.sum() >= _LEAST else Flag.LOW_CONFIDENCE
        notes = [] if unit == 1 else [f"One count has the value {unit:.4g} in the file; so it has in the maps."]
        maps = dict(zip(names, mean * np.float32(unit), strict=True))
        pixel = frame.calibration.pixel_nm or 1.0
        return Prediction(frame, maps, sigma, pixel, flags, 0.0, tuple(notes), values=values)

    def bytes_per_frame(self, shape: tuple[int, int], pixel_nm: float | None) -> int:
        """Return about how many bytes a frame of maps of that shape takes with four elements."""
        return 4 * 4 * 20 * shape[0] * shape[1]
