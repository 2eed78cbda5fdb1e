"""Movies of a sample that changes: every frame rendered when it is asked for, always the same, with its truth.

A frame shows the sample as it is at the frame's time (frame number x frame time): nothing moves while it is scanned but
the drift. Positions in the image are those in the sample, plus the drift, plus the scan's distortion of that frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Recording, Sites
from micrograph.simulate.adf import MARGIN_NM, adf_points
from micrograph.simulate.contaminate import contamination
from micrograph.simulate.kinetics.history import History
from micrograph.simulate.kinetics.rates import Schedule, schedule
from micrograph.simulate.optics import Microscope
from micrograph.simulate.scan import Distortion, Scan, draw_distortion, expose
from micrograph.simulate.scattering import cross_section_A2

if TYPE_CHECKING:
    from ase import Atoms
    from pandas import DataFrame

Array = NDArray[np.float64]
Pair = tuple[float, float]

#: Carbon atoms per square angstrom in one layer of graphene: the unit of thickness of a film.
_LAYER_PER_A2 = 0.382

#: Frames over which random drift and focus stay alike.
_SMOOTH = 6.0


@dataclass(frozen=True)
class MovieSettings:
    """How a movie is taken. Pairs (first, last) change linearly from the first to the last frame.

    size_px: (height, width). drift_nm_per_s: constant velocity (y, x). wander_nm: rms step per frame and axis of a
    smooth random drift. jumps: (frame, y nm, x nm) by which the stage jumps before that frame. defocus_nm: added to the
    microscope's; focus_wander_nm: rms of its smooth random change. dose: factor on the scan's dose. cover: share of the
    field under contamination of about `film_layers` layers of carbon. thermal_nm: rms displacement per axis. The scan's
    own `drift_nm` and `affine` distort every frame anew, besides the drift from frame to frame.
    """

    frames: int = 100
    size_px: tuple[int, int] = (256, 256)
    pixel_nm: float = 0.02
    frame_time_s: float = 1.0
    seed: int = 0
    microscope: Microscope = field(default_factory=lambda: Microscope(source_fwhm_nm=0.08))
    scan: Scan = field(default_factory=lambda: Scan(dose_e_per_A2=1e5, jitter_nm=0.002))
    thermal_nm: float = 0.005
    drift_nm_per_s: Pair = (0.0, 0.0)
    wander_nm: float = 0.0
    jumps: tuple[tuple[int, float, float], ...] = ()
    defocus_nm: Pair = (0.0, 0.0)
    focus_wander_nm: float = 0.0
    dose: Pair = (1.0, 1.0)
    cover: Pair = (0.0, 0.0)
    film_layers: float = 2.0

    def __post_init__(self) -> None:
        """Refuse sizes and times that are not positive."""
        if self.frames < 1 or min(self.size_px) < 8 or not self.pixel_nm > 0 or not self.frame_time_s > 0:
            raise BadInput(
                f"{self.frames} frames of {self.size_px} pixels of {self.pixel_nm} nm, {self.frame_time_s} s each, "
                "were asked for: give at least one frame, 8 pixels, and positive sizes and times."
            )

    @property
    def size_nm(self) -> Pair:
        """Height and width of the field."""
        return self.size_px[0] * self.pixel_nm, self.size_px[1] * self.pixel_nm

    @property
    def times_s(self) -> Array:
        """Times of the frames, (T,)."""
        return np.asarray(np.arange(self.frames) * self.frame_time_s, dtype=float)

    @property
    def duration_s(self) -> float:
        """Time from the start of the first frame to the end of the last one."""
        return self.frames * self.frame_time_s

    @property
    def dose_rate_e_per_A2_s(self) -> float:
        """Dose rate of a frame of the scan's dose, on the average over the frame."""
        return self.scan.dose_e_per_A2 / self.frame_time_s

    @property
    def beam(self) -> Schedule:
        """The dose rate over the movie, as processes that the beam drives feel it; in each frame the same."""
        if self.dose == (1.0, 1.0):
            return schedule(dose_rate_e_per_A2_s=self.dose_rate_e_per_A2_s)
        factors = np.array([self.between(self.dose, frame) for frame in range(self.frames)])
        return schedule(self.times_s, factors * self.dose_rate_e_per_A2_s)

    def between(self, pair: Pair, frame: int) -> float:
        """Return what a pair (first, last) is in a frame."""
        return float(pair[0] + (pair[1] - pair[0]) * frame / max(self.frames - 1, 1))


@dataclass(frozen=True)
class Objects:
    """Objects of interest at one time: number, label, place in the sample (N, 2; y, x), further columns by name."""

    object: NDArray[np.intp]
    label: NDArray[np.str_]
    y_x_nm: Array
    more: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class OnSites(Protocol):
    """A sample whose objects sit on sites: what it is like at a time follows from what happened to them."""

    def atoms(self, history: History, t_s: float) -> Atoms:
        """Return all atoms, in the sample's frame."""
        ...

    def objects(self, history: History, t_s: float) -> Objects:
        """Return the objects of interest."""
        ...


@dataclass(frozen=True)
class Scene:
    """A sample that changes: ``atoms(t_s)`` (ASE, in the sample's frame) and the ``objects(t_s)`` in it.

    `events`: t_s, object, kind, y_nm, x_nm, state; `rates`: planted rates by name; `realised`: table of
    `History.realised`.
    """

    atoms: Callable[[float], Atoms]
    objects: Callable[[float], Objects]
    events: DataFrame | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    realised: DataFrame | None = None

    @classmethod
    def of(cls, sample: OnSites, history: History, rates: Mapping[str, float]) -> Scene:
        """Return the scene of a sample to which `history` happens, by processes of the given `rates` per second."""
        return cls(
            atoms=lambda t_s: sample.atoms(history, t_s),
            objects=lambda t_s: sample.objects(history, t_s),
            events=history.table(),
            rates=rates,
            realised=history.realised(),
        )


@dataclass(frozen=True)
class Movie:
    """A lazy recording with its truth.

    truth: frame, t_s, object, label, y_nm, x_nm (in the image), y_sample_nm, x_sample_nm and what the scene adds
    ('state', ...), objects in the image only. drift_nm: (T, 2), place in the image less place in the sample, in the
    middle of each frame, zero in the first. events: t_s, object, kind, y_nm, x_nm (in the sample), state. rates:
    planted, by name; realised: counts and exposures of the processes. ``sites(i)`` gives all columns of frame i.
    """

    recording: Recording
    truth: DataFrame
    drift_nm: Array
    events: DataFrame
    rates: Mapping[str, float]
    realised: DataFrame | None = None
    sites: Callable[[int], Sites] | None = None


def drift_course(settings: MovieSettings) -> Array:
    """Return the drift (T, 2) as (y, x) in nm: velocity, smooth random walk and jumps; zero in the first frame."""
    rng = np.random.default_rng([settings.seed, 0, 7])
    course = settings.times_s[:, None] * np.array(settings.drift_nm_per_s)
    if settings.wander_nm > 0:
        steps = np.stack([_smooth(settings.frames, rng) for _ in range(2)], axis=1)
        course += np.cumsum(settings.wander_nm * steps, axis=0)
    for frame, y, x in settings.jumps:
        course[frame:] += (y, x)
    return np.asarray(course - course[0])


def sample_box(settings: MovieSettings) -> tuple[Array, Pair]:
    """Return the corner (y, x) and the size of the part of the sample that comes into the field during the movie."""
    start = -drift_course(settings)
    low, high = start.min(axis=0), start.max(axis=0) + settings.size_nm
    return low, (float(high[0] - low[0]), float(high[1] - low[1]))


def render_movie(scene: Scene, settings: MovieSettings) -> Movie:
    """Return the movie of `scene`; it should cover `sample_box` and `adf.MARGIN_NM` around it."""
    camera = Camera(settings)

    def fraction(frame: int) -> NDArray[np.float32]:
        atoms = scene.atoms(float(settings.times_s[frame]))
        return camera.dark_field(atoms.positions[:, [1, 0]] / 10.0, atoms.numbers, frame)

    def sites(frame: int) -> Sites:
        from micrograph.structures import sites_of

        found = sites_of(scene.atoms(float(settings.times_s[frame])))
        moved = camera.seen(np.stack([found.y_nm, found.x_nm], axis=1), frame)
        return Sites(moved[:, 0], moved[:, 1], found.label)[camera.inside(moved)]

    return Movie(
        recording=camera.recording(fraction),
        truth=truth_table(scene.objects, camera),
        drift_nm=camera.drift_nm,
        events=scene.events if scene.events is not None else _no_events(),
        rates=scene.rates,
        realised=scene.realised,
        sites=sites,
    )


class Camera:
    """The microscope over a movie: drift, distortion, focus, dose and dirt of every frame."""

    def __init__(self, settings: MovieSettings) -> None:
        self.settings = settings
        self.drift_nm = drift_course(settings)
        rng = np.random.default_rng([settings.seed, 0, 11])
        self._focus_nm = settings.focus_wander_nm * _smooth(settings.frames, rng)

    def distortion(self, frame: int) -> Distortion:
        """Return where points appear in a frame: its own scan distortion, and the drift while it is scanned."""
        drawn = draw_distortion(self.settings.scan, self.settings.size_nm, self._rng(frame, 1))
        drift = drawn.drift_nm.copy()
        drift[0] += self._velocity(frame)
        return replace(drawn, drift_nm=drift)

    def _velocity(self, frame: int) -> Array:
        """Drift during one frame (y, x): the course without the jumps of the stage."""
        jumped = {first: np.array([y, x]) for first, y, x in self.settings.jumps}
        steps = np.diff(self.drift_nm, axis=0)
        if not len(steps):
            return np.zeros(2)
        step = min(frame, len(steps) - 1)
        return np.asarray(steps[step] - jumped.get(step + 1, 0.0))

    def seen(self, y_x_nm: Array, frame: int) -> Array:
        """Return where points (N, 2) of the sample appear in a frame."""
        return self.distortion(frame).move(np.asarray(y_x_nm, dtype=float).reshape(-1, 2) + self.drift_nm[frame])

    def inside(self, y_x_nm: Array) -> NDArray[np.bool_]:
        """Tell which points (N, 2) in the image lie on it."""
        half = self.settings.pixel_nm / 2
        return np.asarray(((y_x_nm > -half) & (y_x_nm < np.array(self.settings.size_nm) - half)).all(axis=1))

    def microscope(self, frame: int) -> Microscope:
        """Return the microscope with the focus of a frame."""
        usual = self.settings.microscope
        defocus = usual.defocus_nm + self.settings.between(self.settings.defocus_nm, frame) + self._focus_nm[frame]
        return replace(usual, defocus_nm=float(defocus))

    def dark_field(self, y_x_nm: Array, numbers: NDArray[Any], frame: int) -> NDArray[np.float32]:
        """Return the fraction of the beam (H, W) that atoms of the sample scatter to the detector in a frame."""
        settings = self.settings
        moved = y_x_nm + self.drift_nm[frame]
        near = ((moved > -1.0 - MARGIN_NM) & (moved < np.array(settings.size_nm) + 1.0 + MARGIN_NM)).all(axis=1)
        return adf_points(
            self.distortion(frame).move(moved[near]),
            numbers[near],
            self.microscope(frame),
            pixel_nm=settings.pixel_nm,
            shape=settings.size_px,
            thermal_nm=settings.thermal_nm,
        )

    def exposed(self, fraction: NDArray[np.float32], frame: int) -> NDArray[np.float32]:
        """Return the noisy frame (H, W) with its dirt."""
        settings = self.settings
        dose = settings.scan.dose_e_per_A2 * settings.between(settings.dose, frame)
        scan = replace(settings.scan, dose_e_per_A2=dose)
        return expose(fraction + self._dirt(frame), scan, settings.pixel_nm, self._rng(frame, 2))

    def _dirt(self, frame: int) -> NDArray[np.float32] | float:
        """Return the film (H, W) over a frame: always the same one, which grows and drifts with the sample."""
        settings = self.settings
        cover = settings.between(settings.cover, frame)
        if cover <= 0:
            return 0.0
        offset = np.round(-self.drift_nm / settings.pixel_nm).astype(int)
        low = offset.min(axis=0)
        whole = np.array(settings.size_px) + offset.max(axis=0) - low
        shape = (int(whole[0]), int(whole[1]))
        film, _ = contamination(shape, settings.pixel_nm, np.random.default_rng([settings.seed, 0, 13]), cover=cover)
        y, x = offset[frame] - low
        per_layer = _LAYER_PER_A2 * float(cross_section_A2([6], settings.microscope)[0])
        part = film[y : y + settings.size_px[0], x : x + settings.size_px[1]]
        return np.asarray(settings.film_layers * per_layer * part, np.float32)

    def recording(self, fraction: Callable[[int], NDArray[np.float32]]) -> Recording:
        """Return the lazy recording of frames whose noise-free image is ``fraction(i)``."""
        settings = self.settings
        microscope = settings.microscope
        steady = settings.dose[0] == settings.dose[1] == 1.0
        return Recording(
            read=lambda frame: self.exposed(fraction(frame), frame),
            indices=range(settings.frames),
            calibration=Calibration(
                pixel_nm=settings.pixel_nm,
                frame_time_s=settings.frame_time_s,
                dose_e_per_A2=settings.scan.dose_e_per_A2 if steady else None,
                voltage_kV=microscope.voltage_kV,
                convergence_mrad=microscope.convergence_mrad,
                inner_mrad=microscope.inner_mrad,
                outer_mrad=microscope.outer_mrad,
            ),
            shape=settings.size_px,
            name=f"simulated movie {settings.seed}",
            known=lambda frame: {"t_s": float(settings.times_s[frame])},
        )

    def _rng(self, frame: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, frame + 1, purpose])


def truth_table(objects: Callable[[float], Objects], camera: Camera) -> DataFrame:
    """Return the truth of all frames (see `Movie`)."""
    import pandas as pd

    tables = []
    for frame, t_s in enumerate(camera.settings.times_s.tolist()):
        now = objects(t_s)
        place = np.asarray(now.y_x_nm, dtype=float).reshape(-1, 2)
        seen = camera.seen(place, frame)
        columns: dict[str, Any] = {
            "object": now.object,
            "label": np.asarray(now.label, dtype=object),
            "y_nm": seen[:, 0],
            "x_nm": seen[:, 1],
            "y_sample_nm": place[:, 0],
            "x_sample_nm": place[:, 1],
            **now.more,
        }
        inside = camera.inside(seen)
        tables.append({"frame": np.full(int(inside.sum()), frame), "t_s": np.full(int(inside.sum()), t_s)})
        tables[-1] |= {name: np.asarray(column)[inside] for name, column in columns.items()}
    return pd.DataFrame({name: np.concatenate([table[name] for table in tables]) for name in tables[0]})


def _no_events() -> DataFrame:
    import pandas as pd

    return pd.DataFrame({name: [] for name in ("t_s", "object", "kind", "y_nm", "x_nm", "state")})


def _smooth(count: int, rng: np.random.Generator) -> Array:
    """Return a smooth random course (count,) of mean 0 and variance 1."""
    from scipy.ndimage import gaussian_filter1d

    white = rng.normal(0, 1, count + int(8 * _SMOOTH))
    smooth = gaussian_filter1d(white, _SMOOTH)[int(4 * _SMOOTH) :][:count]
    return np.asarray(smooth * np.sqrt(2 * np.sqrt(np.pi) * _SMOOTH))
