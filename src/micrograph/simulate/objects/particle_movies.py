"""Movies of nanoparticles in bright field, dry or in a liquid cell: etching, chaining, diffusing, fusing; with truth.

As in the liquid-phase recordings of Yao et al. 2020 (doi:10.1021/acscentsci.0c00430), particles that are not followed
pass so fast that they are blurred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Recording
from micrograph.simulate.objects.aggregation import assemble, bond_times
from micrograph.simulate.objects.bodies import Body
from micrograph.simulate.objects.bright_field import LIQUID_CELL, VACUUM, Camera, record, transmission
from micrograph.simulate.objects.brownian import Bath, PairPotential, brownian
from micrograph.simulate.objects.coalescence import Fused, neck_at
from micrograph.simulate.objects.pores import inside_of, pore_maps
from micrograph.simulate.objects.shaping import (
    area_nm2,
    centre_nm,
    even,
    evolve,
    perimeter_nm,
    regular_outline,
    rod_outline,
    turned,
)
from micrograph.simulate.objects.solids import about_beam, concave_cube

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Bodies = Mapping[int, Body]
#: Places along its path at which a passing particle is drawn.
_BLUR = 16


@dataclass(frozen=True)
class View:
    """How a movie of particles is taken.

    signal_to_noise: of a pixel of background (the root of its electrons) times the share that a typical particle
    takes; mean_free_path_nm: in the particles; liquid: through water and windows; passing: particles a frame that
    are blurred; drift_nm: over the whole movie, along a random direction.
    """

    frames: int = 60
    size_px: tuple[int, int] = (256, 256)
    pixel_nm: float = 0.5
    frame_time_s: float = 1.0
    signal_to_noise: float = 2.0
    mean_free_path_nm: float = 50.0
    liquid: bool = True
    passing: int = 2
    mtf: float = 0.7
    drift_nm: float = 0.0

    def __post_init__(self) -> None:
        """Refuse sizes and times that are not positive."""
        if self.frames < 1 or min(self.size_px) < 8 or not self.pixel_nm > 0 or not self.frame_time_s > 0:
            raise BadInput(
                f"{self.frames} frames of {self.size_px} pixels of {self.pixel_nm} nm were asked for: "
                "give at least one frame, 8 pixels, and positive sizes and times."
            )

    @property
    def times_s(self) -> Array:
        """Times of the frames (T,)."""
        return np.asarray(np.arange(self.frames) * self.frame_time_s, dtype=float)

    @property
    def size_nm(self) -> tuple[float, float]:
        """Height and width of the field."""
        return self.size_px[0] * self.pixel_nm, self.size_px[1] * self.pixel_nm


@dataclass(frozen=True)
class ParticleMovie:
    """A lazy recording with its truth.

    truth: frame, t_s, object, shape, y_nm, x_nm (of the area's centroid), area_nm2, perimeter_nm, height_nm, border
    (whether the image cuts it); objects whose centroid lies outside are left out, in the image too. rates: what was
    planted, by name. ``bodies(i)``: the particles of frame i by object number, with their outlines; ``masks(i)``:
    coverage and depth (H, W; 0 .. 1); ``thickness_nm(i)`` (H, W). events: bonds with t_s, order, first, second, where
    there are any. electrons: per pixel of the unscattered beam.
    """

    recording: Recording
    truth: DataFrame
    rates: Mapping[str, float]
    bodies: Callable[[int], Bodies]
    masks: Callable[[int], tuple[Image, Image]]
    thickness_nm: Callable[[int], Image]
    electrons: float
    events: DataFrame | None = None

    def outlines(self, frame: int) -> dict[int, Array]:
        """Return the outlines (K, 2; y, x in nm) of a frame by object."""
        return {one: body.outline_nm for one, body in self.bodies(frame).items()}


@dataclass(frozen=True)
class Etching:
    """Rods or plates that change shape: along its outward normal each outline moves at ``v0 + k * curvature``.

    shape: 'rod', 'triangle', 'square' or 'hexagon'; size_nm: of a rod its length, of others their edge; width_nm: of a
    rod; height_nm: of others, which lose (or gain) v0 at both faces; rods stay as high as wide.
    """

    v0_nm_per_s: float = -0.08
    k_nm2_per_s: float = -0.4
    count: int = 5
    shape: str = "rod"
    size_nm: float = 40.0
    width_nm: float = 16.0
    height_nm: float = 20.0
    corner_nm: float = 4.0
    spread: float = 0.1


@dataclass(frozen=True)
class Chaining:
    """Concave cubes that join into chains by a rate law of the given order (see `aggregation.bond_times`)."""

    rate: float = 0.03
    order: int = 1
    count: int = 24
    edge_nm: float = 12.0
    dent: float = 0.3
    approach_s: float = 2.0
    jitter_nm: float = 0.2


@dataclass(frozen=True)
class Diffusing:
    """Triangular plates that diffuse and turn; `potential` acts between their centres."""

    d_nm2_per_s: float = 4.0
    d_deg2_per_s: float = 30.0
    count: int = 12
    edge_nm: float = 16.0
    height_nm: float = 8.0
    potential: PairPotential | None = field(default_factory=lambda: PairPotential(16.0, 4.0, 3.0, 1.0, 8.0))


@dataclass(frozen=True)
class Coalescing:
    """Pairs of equal spheres that fuse: from contact on the neck grows as the given power of time."""

    fusing_s: float = 30.0
    exponent: float = 2.0
    pairs: int = 3
    radius_nm: float = 10.0
    contact_s: tuple[float, float] = (2.0, 15.0)


def etching_movie(rng: np.random.Generator, etching: Etching | None = None, view: View | None = None) -> ParticleMovie:
    """Return a movie of particles that lie still while they are etched or grow.

    rates: v0_nm_per_s, k_nm2_per_s.
    """
    etching, view = etching or Etching(), view or View()
    reach = max(etching.size_nm, etching.width_nm) * (0.5 if etching.shape == "rod" else 0.75)
    places = _apart(etching.count, reach, view, rng)
    courses = [_etched(etching, view, rng) for _ in places]
    angles = rng.uniform(0, 360, len(places))

    def bodies(frame: int) -> Bodies:
        here: dict[int, Body] = {}
        for one, (course, place, angle) in enumerate(zip(courses, places, angles, strict=True)):
            body = course[frame]
            if body is not None:
                here[one] = replace(body, outline_nm=turned(body.outline_nm, angle) + place)
        return here

    rates = {"v0_nm_per_s": etching.v0_nm_per_s, "k_nm2_per_s": etching.k_nm2_per_s}
    return _movie(bodies, view, rates, rng)


def _etched(etching: Etching, view: View, rng: np.random.Generator) -> list[Body | None]:
    """Return one particle, around the origin, in every frame; None from where it is gone."""
    scale = float(np.clip(rng.normal(1, etching.spread), 0.6, 1.5))
    rod = etching.shape == "rod"
    if rod:
        outline = rod_outline(scale * etching.size_nm, scale * etching.width_nm / 2)
    else:
        sides = {"triangle": 3, "square": 4, "hexagon": 6}.get(etching.shape)
        if sides is None:
            raise BadInput(f"There is no shape '{etching.shape}' to etch: rod, triangle, square or hexagon.")
        outline = regular_outline(sides, scale * etching.size_nm, etching.corner_nm)
    outline, course = even(outline), list[Body | None]()
    for t_s in view.times_s:
        if t_s > 0 and len(outline):
            outline = evolve(outline, etching.v0_nm_per_s, etching.k_nm2_per_s, view.frame_time_s)
        if not len(outline):
            course.append(None)
            continue
        height = float(np.ptp(outline[:, 0])) if rod else etching.height_nm + 2 * etching.v0_nm_per_s * float(t_s)
        edge = height / 2 if rod else min(etching.corner_nm, height / 2)
        course.append(Body(etching.shape, outline, height, edge) if height > 0 else None)
    return course


def chaining_movie(
    rng: np.random.Generator, chaining: Chaining | None = None, view: View | None = None
) -> ParticleMovie:
    """Return a movie of concave cubes that form chains. rates: rate, order; events: t_s, order, first, second."""
    import pandas as pd

    chaining, view = chaining or Chaining(), view or View()
    places = _apart(chaining.count, chaining.edge_nm * 0.75, view, rng)
    times = bond_times(len(places), chaining.rate, chaining.order, rng, float(view.times_s[-1]))
    assembly = assemble(places, 1.02 * chaining.edge_nm, times, rng, chaining.approach_s, view.size_nm)
    jitter = rng.normal(0, chaining.jitter_nm, (view.frames, len(places), 2))
    half = chaining.edge_nm / 2
    square = half * np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])

    def bodies(frame: int) -> Bodies:
        where, turns = assembly.at(float(view.times_s[frame]))
        here: dict[int, Body] = {}
        for one, (place, turn) in enumerate(zip(where + jitter[frame], turns, strict=True)):
            solid = concave_cube(chaining.edge_nm, about_beam(-float(turn)), chaining.dent)
            corners = turned(square, float(turn)) + place
            here[one] = Body("concave-cube", corners, 2 * half, 0.0, solid, (float(place[0]), float(place[1])))
        return here

    first, second = assembly.pairs.T if len(assembly.pairs) else (np.empty(0, int), np.empty(0, int))
    bonds = {"t_s": assembly.t_s, "order": np.arange(len(assembly.t_s)) + 1, "first": first, "second": second}
    rates = {"rate": chaining.rate, "order": float(chaining.order)}
    return _movie(bodies, view, rates, rng, pd.DataFrame(bonds))


def brownian_movie(
    rng: np.random.Generator, diffusing: Diffusing | None = None, view: View | None = None
) -> ParticleMovie:
    """Return a movie of plates that diffuse. rates: d_nm2_per_s, d_deg2_per_s."""
    diffusing, view = diffusing or Diffusing(), view or View()
    start = _apart(diffusing.count, diffusing.edge_nm * 0.6, view, rng)
    path = brownian(start, view.times_s, Bath(diffusing.d_nm2_per_s, view.size_nm, diffusing.potential), rng)
    swing = rng.normal(0, np.sqrt(2 * diffusing.d_deg2_per_s * view.frame_time_s), (view.frames, len(start)))
    angles = rng.uniform(0, 360, len(start)) + np.cumsum(swing, axis=0)
    outline = regular_outline(3, diffusing.edge_nm, diffusing.edge_nm / 10)

    def bodies(frame: int) -> Bodies:
        height, edge = diffusing.height_nm, diffusing.edge_nm / 10
        return {
            one: Body("triangle", turned(outline, float(angles[frame, one])) + path[frame, one], height, edge)
            for one in range(len(start))
        }

    rates = {"d_nm2_per_s": diffusing.d_nm2_per_s, "d_deg2_per_s": diffusing.d_deg2_per_s}
    return _movie(bodies, view, rates, rng)


def coalescence_movie(
    rng: np.random.Generator, coalescing: Coalescing | None = None, view: View | None = None
) -> ParticleMovie:
    """Return a movie of pairs of spheres that touch from the first frame on and fuse; one object a pair.

    rates: fusing_s, exponent; events: t_s at which each pair begins to fuse, first: its object.
    """
    import pandas as pd

    coalescing, view = coalescing or Coalescing(), view or View()
    places = _apart(coalescing.pairs, 2.1 * coalescing.radius_nm, view, rng)
    angles, begins = rng.uniform(0, 180, len(places)), rng.uniform(*coalescing.contact_s, len(places))

    def bodies(frame: int) -> Bodies:
        here: dict[int, Body] = {}
        for one, (place, angle, begin) in enumerate(zip(places, angles, begins, strict=True)):
            neck = neck_at(float(view.times_s[frame]) - begin, coalescing.fusing_s, coalescing.exponent)
            solid = Fused(coalescing.radius_nm, neck, float(angle))
            outline, centre = solid.outline() + place, (float(place[0]), float(place[1]))
            here[one] = Body("pair", outline, 2 * solid.half_width_nm, 0.0, solid, centre)
        return here

    rates = {"fusing_s": coalescing.fusing_s, "exponent": coalescing.exponent}
    return _movie(bodies, view, rates, rng, pd.DataFrame({"t_s": begins, "first": np.arange(len(places))}))


def _apart(count: int, reach_nm: float, view: View, rng: np.random.Generator) -> Array:
    """Return centres (N, 2) of circles of radius `reach_nm` that do not touch; fewer where there is no room."""
    centres = np.empty((0, 2))
    margin = min(reach_nm + 2 * view.pixel_nm, min(view.size_nm) / 2)
    for trial in rng.uniform(margin, np.array(view.size_nm) - margin, (400 * count, 2)):
        if len(centres) < count and np.all(np.linalg.norm(centres - trial, axis=1) > 2 * reach_nm):
            centres = np.vstack([centres, trial])
    return centres


def _movie(
    bodies: Callable[[int], Bodies],
    view: View,
    rates: Mapping[str, float],
    rng: np.random.Generator,
    events: DataFrame | None = None,
) -> ParticleMovie:
    """Return the movie of `bodies` with its camera, blurred passers-by, drift and truth."""
    angle, seed = rng.uniform(0, 2 * np.pi), int(rng.integers(2**62))
    path = view.drift_nm * np.linspace(0, 1, view.frames)[:, None] * (np.sin(angle), np.cos(angle))
    window = LIQUID_CELL if view.liquid else VACUUM

    def drifted(frame: int) -> Bodies:
        moved = {one: _shifted(body, path[frame]) for one, body in bodies(frame).items()}
        return {one: body for one, body in moved.items() if _seen(body, view)}

    def thickness(frame: int) -> Image:
        total = np.zeros(view.size_px, np.float32)
        for body in drifted(frame).values():
            one = body.shadow(view.pixel_nm, view.size_px)
            total[one.rows, one.columns] += one.thickness_nm
        return total

    def masks(frame: int) -> tuple[Image, Image]:
        shadows = [inside_of(body.outline_nm / view.pixel_nm, view.size_px) for body in drifted(frame).values()]
        return pore_maps([one for one in shadows if one.area_px > 0], view.size_px)

    first = list(drifted(0).values())
    typical = float(np.mean([body.height_nm for body in first])) if first else 10.0
    reach = float(np.mean([np.sqrt(area_nm2(body.outline_nm) / np.pi) for body in first])) if first else 5.0
    contrast = -np.expm1(-0.7 * typical / view.mean_free_path_nm)
    electrons = float((view.signal_to_noise / contrast) ** 2 / window.transmitted)

    def read(frame: int) -> Image:
        noise = np.random.default_rng([seed, frame])
        whole = thickness(frame) + _passing(view, reach, noise)
        return record(transmission(whole, view.mean_free_path_nm, window), Camera(electrons, view.mtf), noise)

    calibration = Calibration(pixel_nm=view.pixel_nm, frame_time_s=view.frame_time_s)
    recording = Recording(read, range(view.frames), calibration, view.size_px, name="simulated particles")
    return ParticleMovie(recording, _truth(drifted, view), rates, drifted, masks, thickness, electrons, events)


def _shifted(body: Body, shift: Array) -> Body:
    y, x = body.centre_nm
    return replace(body, outline_nm=body.outline_nm + shift, centre_nm=(y + float(shift[0]), x + float(shift[1])))


def _seen(body: Body, view: View) -> bool:
    """Tell whether the centroid of a body lies on the image."""
    y, x = centre_nm(body.outline_nm)
    return 0 <= y < view.size_nm[0] and 0 <= x < view.size_nm[1]


def _passing(view: View, radius_nm: float, rng: np.random.Generator) -> Image:
    """Return the thickness (H, W) of spheres that move during the exposure, smeared along their paths."""
    total = np.zeros(view.size_px, np.float32)
    angle = 2 * np.pi * np.arange(40) / 40
    circle = radius_nm * np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    for _ in range(view.passing):
        steps = rng.normal(0, rng.uniform(0.2, 0.8) * radius_nm, (_BLUR, 2)) + rng.normal(0, 0.3 * radius_nm, 2)
        for place in rng.uniform((0, 0), view.size_nm) + np.cumsum(steps, axis=0):
            one = Body("sphere", circle + place, 2 * radius_nm, radius_nm).shadow(view.pixel_nm, view.size_px)
            total[one.rows, one.columns] += one.thickness_nm / _BLUR
    return total


def _truth(bodies: Callable[[int], Bodies], view: View) -> DataFrame:
    import pandas as pd

    far = (np.array(view.size_px) - 0.5) * view.pixel_nm
    rows: list[tuple[Any, ...]] = []
    for frame, t_s in enumerate(view.times_s.tolist()):
        for one, body in bodies(frame).items():
            outline = body.outline_nm
            cut = bool((outline < -0.5 * view.pixel_nm).any() or (outline > far).any())
            measured = (*centre_nm(outline), area_nm2(outline), perimeter_nm(outline), body.height_nm)
            rows.append((frame, t_s, one, body.shape, *measured, cut))
    names = ["frame", "t_s", "object", "shape", "y_nm", "x_nm", "area_nm2", "perimeter_nm", "height_nm", "border"]
    return pd.DataFrame(rows, columns=names)
