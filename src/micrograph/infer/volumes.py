"""A tilt series of element maps to volumes of the elements: the model is physics, asked of each series anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Flag, Frame, Prediction, Recording
from micrograph.core.frame import binned
from micrograph.features.spectra.counts_denoise import as_counts
from micrograph.features.volumes.projector import Projector
from micrograph.features.volumes.reconstruction import HAADF_COUNTS, Plan, Reconstruction, Series, reconstruct
from micrograph.features.volumes.tilt_alignment import aligned, remainder, shifted
from micrograph.io.elements import HAADF, checked_tilts, parse_tilts

Maps = NDArray[np.float32]
Array = NDArray[np.float64]
#: Called with (done, total, a few words).
Progress = Callable[[int, int, str], object]

#: Views are at least so many, and their pixels a side at least and at most so many.
_LEAST_VIEWS, _SIDES = 3, (16, 512)
#: Views that hold so many times the counts of others were hardly exposed equally.
_UNEQUAL = 1.5
#: Views are aligned on at most so many pixels a side.
_ALIGNED = 96
#: Beyond these ends of chi^2 over pixels the volumes do not explain their counts.
EXPLAINED, _CHANCE = (0.9, 1.1), 0.1


@dataclass(frozen=True)
class Tomography:
    """Volumes from a tilt series: all views are one frame (C, V, Y, X).

    tilts_deg: 'first:last:step' or a list, where the file does not state them; tilt_axis: the side of the maps along
    which the tilt axis lies; align: whether views are shifted into place; unit: the value of one count, where it is not
    the smallest one; prior: 'auto' lets the counts choose between few edges ('variation'), particles with core and
    shell that the counts may correct ('guided'), and these alone ('shells'); replicas: series drawn anew for the
    1-sigma, 0 for none; degree: of the harmonics that a particle's surface is made of, more for sharper edges; doses:
    'each' where views were exposed unequally, told by their sums.
    """

    tilts_deg: str = ""
    tilt_axis: Literal["y", "x"] = "y"
    align: bool = True
    unit: float | None = None
    prior: Literal["auto", "variation", "guided", "shells"] = "auto"
    iterations: int = 60
    replicas: int = 4
    degree: int = 6
    doses: Literal["same", "each"] = "same"

    def presented(self, recording: Recording) -> Recording:
        """Return the whole tilt series as one frame (C, V, Y, X), the tilt axis along Y."""
        if recording.metadata.get("series"):
            return recording
        views, shape = len(recording), recording.shape
        numbers = list(recording.indices)
        _check_sides(shape)
        tilts = self._tilts(recording, numbers)
        turned = self.tilt_axis == "x"

        def read(_index: int) -> Maps:
            maps = np.stack([np.asarray(recording.read(number), np.float32) for number in numbers], axis=1)
            return np.ascontiguousarray(maps.swapaxes(2, 3)) if turned else maps

        size = shape[:0:-1] if turned else shape[1:]
        return replace(
            recording,
            read=read,
            indices=range(1),
            shape=(shape[0], views, *size),
            dtype="float32",
            known=None,
            block=None,
            metadata={**recording.metadata, "series": True, "tilts_deg": tilts},
        )

    def _tilts(self, recording: Recording, numbers: list[int]) -> tuple[float, ...]:
        views = len(numbers)
        if views < _LEAST_VIEWS:
            raise BadInput(
                f"{recording.name or 'The recording'} has {views} views: tomography needs a tilt series of at least "
                f"{_LEAST_VIEWS}, as frames of one recording."
            )
        if self.tilts_deg.strip():
            return parse_tilts(self.tilts_deg, views)
        stated = recording.metadata.get("tilts_deg")
        if stated is None:
            raise BadInput(
                f"{recording.name or 'The recording'} does not state the tilts of its {views} views: give them with "
                "--set tilts_deg=first:last:step, such as -60:60:10."
            )
        return checked_tilts([stated[number] for number in numbers], views)

    def prepared(self, recording: Recording, progress: Progress | None = None) -> TomographyPredictor:
        """Return the model for a series that was `presented`."""
        series = self.presented(recording)
        return self.predictor(series.metadata["tilts_deg"], series.calibration.channels, progress)

    def predictor(
        self, tilts_deg: tuple[float, ...], channels: tuple[str, ...], progress: Progress | None = None
    ) -> TomographyPredictor:
        """Return the model for views at these tilts."""
        plan = Plan(1.0, self.prior, self.iterations, self.replicas, degree=self.degree)
        said = repr((plan, self.align, self.unit, self.doses, tilts_deg, channels))
        digest = f"tomography:{hashlib.sha256(said.encode()).hexdigest()[:16]}"
        return TomographyPredictor(tilts_deg, plan, self.align, self.unit, digest, progress, self.doses == "each")


def _check_sides(shape: tuple[int, ...]) -> None:
    low, high = _SIDES
    if min(shape[1:]) < low or max(shape[1:]) > high:
        raise BadInput(
            f"The maps have {shape[1]} x {shape[2]} pixels: {low} to {high} a side were expected; cut or bin them."
        )


@dataclass(frozen=True)
class TomographyPredictor:
    """A tilt series (C, V, Y, X) to `Prediction.maps`: volumes (Z, Y, X) in counts a voxel by element, with 1-sigma.

    `values`: 'shifts_px' (V, 2), 'misfit' (C,), 'choices' (P, 3): number of the prior, weight, log-likelihood;
    'bodies' (N, ...) as `shell_rows` reads them; 'observed' and 'foreseen' (C, V) sums of the views.
    """

    tilts_deg: tuple[float, ...]
    plan: Plan
    align: bool
    unit: float | None
    digest: str
    progress: Progress | None = field(default=None, compare=False)
    unequal: bool = False

    def __call__(self, frame: Frame) -> Prediction:
        """Return the volumes; raises `BadInput` for maps that are no counts."""
        scale = frame.calibration
        names, elements, haadf = split_haadf(frame.data, scale)
        counts, unit = as_counts(elements, self.unit)
        if counts.sum() < 100:
            raise BadInput(
                f"The tilt series holds {int(counts.sum())} counts in all: too few for a volume, at least 100 were "
                "expected; check that the maps are counts of the elements' lines."
            )
        voxel = scale.pixel_nm or 1.0
        shifts = self._shifts(counts, haadf)
        moved = np.stack([shifted(one, shifts) for one in counts])
        guide = None if haadf is None else _as_counts_of_light(shifted(haadf, shifts))
        width = counts.shape[3]
        doses, hazes = exposures(moved) if self.unequal else ((), ())
        projector = Projector(self.tilts_deg, width, width, remainder(shifts), doses, hazes)
        if guide is not None:
            guide = guide * projector.doses  # it is not exposed as the elements are, but compared with their volumes
        series = Series(moved, projector, guide)
        made = reconstruct(series, replace(self.plan, voxel_nm=voxel), self.progress)
        return self._told(frame, names, made, (shifts, series, unit))

    def bytes_per_frame(self, shape: tuple[int, int], pixel_nm: float | None) -> int:
        """Return about how many bytes a series of maps of that shape takes with three elements."""
        return int(60 * shape[0] * shape[1] ** 2 * 4)

    def _shifts(self, counts: Maps, haadf: Maps | None) -> Array:
        """Return the shifts (V, 2) of the views in pixels, found on binned views where there are many pixels."""
        if not self.align:
            return np.zeros((len(self.tilts_deg), 2))
        views = counts.sum(axis=0) if haadf is None else haadf
        number = max(1, -(-max(views.shape[1:]) // _ALIGNED))
        found: Array = number * aligned(binned(views, number), self.tilts_deg)
        return found

    def _told(
        self, frame: Frame, names: tuple[str, ...], made: Reconstruction, of: tuple[Array, Series, float]
    ) -> Prediction:
        shifts, series, unit = of
        flags, notes = Flag.OK, []
        low, high = EXPLAINED
        for name, chi in zip(names, made.misfit, strict=True):
            if not low - _CHANCE <= chi <= high + _CHANCE:
                flags |= Flag.LOW_CONFIDENCE
                notes.append(f"The volume of {name} does not explain its counts: chi^2 over pixels is {chi:.2f}.")
        sums = series.counts.sum(axis=(0, 2, 3))
        if not self.unequal and sums.max() > _UNEQUAL * sums.min():
            notes.append(
                f"The views hold {sums.min():.0f} to {sums.max():.0f} counts: where they were exposed unequally, set "
                "doses=each."
            )
        if unit != 1:
            notes.append(f"One count has the value {unit:.4g} in the file; volumes are in counts.")
        kinds = {name: number for number, name in enumerate(PRIORS)}
        choices = np.array([(kinds[one.prior], one.weight, one.likelihood) for one in made.choices])
        values = {
            "shifts_px": shifts,
            "misfit": made.misfit,
            "choices": choices,
            "ground": np.array(made.ground),
            "tilts_deg": np.array(self.tilts_deg),
            "observed": series.counts.sum(axis=(2, 3), dtype=float),
            "foreseen": made.expected.sum(axis=(2, 3), dtype=float),
            **_packed(made, series),
        }
        maps = dict(zip(names, made.volumes, strict=True))
        known = np.isfinite(made.sigma).all()
        sigma = dict(zip(names, made.sigma, strict=True)) if known else {}
        pixel = frame.calibration.pixel_nm or 1.0
        return Prediction(frame, maps, sigma, pixel, flags, 0.0, tuple(notes), values=values)


#: Priors in the order of their numbers.
PRIORS = ("variation", "guided", "shells")


def split_haadf(data: Maps, scale: Calibration) -> tuple[tuple[str, ...], Maps, Maps | None]:
    """Return the names of the elements, their maps (C, ...) and that of HAADF, ``None`` without one.

    Raises `BadInput` where there is no element.
    """
    names = scale.channels or tuple(f"channel {number + 1}" for number in range(len(data)))
    chosen = [number for number, name in enumerate(names) if name != HAADF]
    if not chosen:
        raise BadInput("The recording holds HAADF alone: maps of at least one element were expected beside it.")
    haadf = data[names.index(HAADF)] if HAADF in names else None
    return tuple(names[number] for number in chosen), data[chosen], haadf


def exposures(counts: Maps) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return by how much the specimen, and by how much the ground, of each view (C, V, Y, X) counts more than usual.

    The ground is the mean of the darkest two fifths of 8 x 8 pixels; the specimen must lie in the field at all tilts,
    and fill less than half of it.
    """
    means = np.sort(binned(counts.sum(axis=0), 8).reshape(counts.shape[1], -1), axis=1).astype(float)
    ground = means[:, : max(1, 2 * means.shape[1] // 5)].mean(axis=1)
    above = np.maximum(means.mean(axis=1) - ground, 0.1 * means.mean(axis=1))
    doses, hazes = (one / max(float(one.mean()), 1e-12) for one in (above, ground + 1e-6))
    return tuple(map(float, doses)), tuple(map(float, hazes))


def _as_counts_of_light(views: Maps) -> Maps:
    """Return HAADF views without their ground, scaled to as few counts a pixel as they may say beside the elements."""
    bright = np.maximum(views - np.percentile(views, 1), 0)
    top = float(np.percentile(bright, 99.5))
    return np.asarray(bright * (HAADF_COUNTS / top if top > 0 else 0.0), np.float32)


def _packed(made: Reconstruction, series: Series) -> dict[str, Array]:
    """Return what a fit says of the particles, as arrays: see `features.volumes.shell_tables`."""
    from micrograph.features.volumes.shell_tables import packed

    return packed(made.bodies, series, made)
