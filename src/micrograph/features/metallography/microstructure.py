"""The microstructure of one frame: objects with one vote each, shares of the area, particles, the denuded zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.features.metallography.denuded import Gaps, find_gaps, middle_width, zone_width
from micrograph.features.metallography.island_textures import islands_told, shipped_textures
from micrograph.features.metallography.particles import Particles, find_particles
from micrograph.features.metallography.phases import Objects, Phases, area_shares, ground_of, phases_of, voted
from micrograph.features.objects.selection import edge_weights

if TYPE_CHECKING:
    import pandas as pd

Image = NDArray[np.float32]

#: An object's votes, and a particle's coverage, from which they are not doubted.
_SURE_VOTES, _SURE = 0.6, 0.75
_SEED = 17
#: How much the pixels of an island count beside its texture as a whole, and what no share of them is below.
_PIXELS_COUNT, _LEAST_SHARE = 1.0, 0.02

OBJECTS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the object in its frame"),
    Column("y_nm", "nm", "row position of its middle"),
    Column("x_nm", "nm", "column position of its middle"),
    Column("area_nm2", "nm^2", "area inside the image"),
    Column("equivalent_diameter_nm", "nm", "diameter of the circle of equal area"),
    Column("class", "", "constituent, by its pixels together, and by its texture as a whole where that is known"),
    Column("votes", "", "share of its pixels that were taken for it, one by one"),
    Column("score", "", "probability of the class, at best the mean over its pixels"),
    Column("flags", "", "doubts, see the conventions"),
)
PHASES = (
    Column("frame", "", "number of the frame"),
    Column("class", "", "constituent"),
    Column("fraction", "", "share of the area, objects counted as a whole", "fraction_sigma"),
    Column("fraction_low", "", "lower end of its 95 % interval for the metal, of which the image shows a part"),
    Column("fraction_high", "", "upper end of its 95 % interval"),
    Column("places", "", "independent places that the share rests on: area over the area that is alike"),
    Column("objects", "", "objects of this constituent"),
)
PARTICLES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the particle in its frame"),
    Column("y_nm", "nm", "row position of its middle", "y_sigma_nm"),
    Column("x_nm", "nm", "column position of its middle", "x_sigma_nm"),
    Column("area_nm2", "nm^2", "area, to a fraction of a pixel", "area_sigma_nm2"),
    Column("diameter_nm", "nm", "diameter of the circle of equal area", "diameter_sigma_nm"),
    Column("class", "", "constituent in which it lies"),
    Column("weight", "", "particles that it stands for: 1 over the chance to lie wholly inside; 0 where cut"),
    Column("score", "", "mean coverage inside, by the model"),
    Column("flags", "", "doubts, see the conventions"),
)
WIDTHS = (
    Column("frame", "", "number of the frame"),
    Column("y_nm", "nm", "row position of a place on the network's edge"),
    Column("x_nm", "nm", "column position"),
    Column("width_nm", "nm", "distance from there to the nearest particle"),
)
FRAMES = (
    Column("count", "", "objects in the frame"),
    Column("particles", "", "particles in the frame, those cut by the border included"),
    Column("density_per_nm2", "nm^-2", "particles per area, those that the border cuts corrected for"),
    Column("diameter_nm", "nm", "weighted mean diameter of the particles", "diameter_sigma_nm"),
    Column("denuded_nm", "nm", "width of the zone without particles, from its ranks", "denuded_sigma_nm"),
    Column("denuded_low_nm", "nm", "lower end of its 95 % interval"),
    Column("denuded_high_nm", "nm", "upper end of its 95 % interval"),
    Column("clear_nm", "nm", "median distance from the network to the nearest particle", "clear_sigma_nm"),
    Column("seen_nm2", "nm^2", "area of the frame"),
    Column("height_nm", "nm", "height of the frame"),
    Column("width_nm", "nm", "width of the frame"),
    Column("domain_distance", "", "distance from the training images; above 1 the frame is out of domain"),
)


@dataclass(frozen=True)
class Microstructure:
    """Objects, shares, particles and the denuded zone of one frame, for weights of any constituents.

    ground: constituent in which objects lie, where it is not ferrite, matrix or background; separate: constituents
    whose connected parts are objects of their own, without a vote together with others; particle: name of the map of
    particles, none where there is no such map; network: what the denuded zone lies beside; least_object_px,
    least_particle_px: smaller ones (pixels) are left out; textures: weigh an island's texture as a whole beside the
    votes of its pixels, where the weights know the constituents of low-carbon steel.
    """

    ground: str = ""
    separate: tuple[str, ...] = ("network", "spheroidite", "widmanstatten")
    particle: str = "particle"
    network: str = "network"
    least_object_px: int = 60
    least_particle_px: int = 5
    textures: bool = True

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'phases', 'particles', 'widths' and 'frames' of one frame."""
        import pandas as pd

        phases, objects, _ = self.told(prediction)
        particles = self.particles(prediction)
        gaps = self.gaps(phases, particles)
        pixel, shape = prediction.pixel_nm, phases.winner.shape
        begin = prediction.frame.calibration.first_pixel_nm
        index, size = prediction.frame.index, (shape[0] * pixel, shape[1] * pixel)
        particle_rows = _particle_rows(particles, phases, pixel, begin)
        tables = {
            "objects": _object_rows(objects, phases, pixel, begin),
            "phases": _phase_rows(phases, objects),
            "particles": particle_rows,
            "widths": _width_rows(gaps, pixel, begin),
        }
        frame = {
            "frame": index,
            "count": len(objects.kind),
            "particles": len(particles.area_px),
            **_mean_size(particle_rows, size),
            **_middles(gaps, pixel, index),
            "seen_nm2": size[0] * size[1],
            "height_nm": size[0],
            "width_nm": size[1],
        }
        found = {name: pd.DataFrame(rows) for name, rows in tables.items()}
        for table in found.values():
            table.insert(0, "frame", np.int64(index))
        return found | {"frames": pd.DataFrame([frame])}

    def told(self, prediction: Prediction) -> tuple[Phases, Objects, int | None]:
        """Return the phases of a frame with one vote an object, its objects, and the place of the ground."""
        phases = phases_of(prediction.maps, (self.particle, "core"))
        ground = ground_of(phases, self.ground)
        phases, objects = voted(phases, ground, self.separate, self.least_object_px)
        if self.textures and ground is not None:
            phases, objects = by_texture(phases, objects, prediction.frame.data, ground)
        return phases, objects, ground

    def particles(self, prediction: Prediction) -> Particles:
        """Return the particles of a frame, none where the model has no map of them."""
        covered = prediction.maps.get(self.particle)
        if covered is None:
            covered = np.zeros(next(iter(prediction.maps.values())).shape, np.float32)
        return find_particles(covered, least_px=self.least_particle_px)

    def gaps(self, phases: Phases, particles: Particles) -> Gaps:
        """Return the distances between network and particles; none without a network."""
        named = self.network in phases.names
        place = phases.names.index(self.network) if named else -1
        return find_gaps(phases.winner == place, particles.labels)


def by_texture(phases: Phases, objects: Objects, image: Image, ground: int) -> tuple[Phases, Objects]:
    """Return phases and objects in which islands are what their pixels and their texture as a whole say together.

    Both answers are taken as independent: their probabilities are multiplied. Only objects that were voted to be one
    of the constituents that textures tell are looked at, and only where the model knows all of these.
    """
    names = shipped_textures().names
    if not set(names) <= set(phases.names) or image.shape != phases.winner.shape:
        return phases, objects
    places = np.array([phases.names.index(name) for name in names])
    islands = np.flatnonzero(np.isin(objects.kind, places))
    if not len(islands):
        return phases, objects
    renumbered = np.zeros(len(objects.kind) + 1, np.int32)
    renumbered[islands + 1] = np.arange(1, len(islands) + 1)
    labels = renumbered[objects.labels]
    at = labels > 0
    area = np.bincount(labels[at], minlength=len(islands) + 1)[1:]
    pixels = np.stack([np.bincount(labels[at], phases.share[p][at], len(islands) + 1)[1:] for p in places], axis=1)
    joint = (
        islands_told(image, labels, phases.winner == ground) * (pixels / area[:, None] + _LEAST_SHARE) ** _PIXELS_COUNT
    )
    joint /= joint.sum(axis=1, keepdims=True)
    kind, score, votes = objects.kind.copy(), objects.score.copy(), objects.votes.copy()
    kind[islands], score[islands] = places[joint.argmax(axis=1)], joint.max(axis=1)
    own = phases.share.argmax(axis=0)[at] == kind[objects.labels[at] - 1]
    votes[islands] = np.bincount(labels[at], own, len(islands) + 1)[1:] / area
    winner = phases.winner.copy()
    winner[at] = kind[objects.labels[at] - 1]
    return replace(phases, winner=winner), replace(objects, kind=kind, score=score, votes=votes)


def _object_rows(objects: Objects, phases: Phases, pixel: float, begin: float) -> dict[str, Any]:
    import pandas as pd

    number = len(objects.kind)
    at = objects.labels > 0
    own = objects.labels[at] - 1
    area = np.bincount(own, minlength=number)
    y, x = (np.bincount(own, axis, number) / np.maximum(area, 1) for axis in np.nonzero(at))
    cut = np.zeros(number + 1, bool)
    for side in (objects.labels[0], objects.labels[-1], objects.labels[:, 0], objects.labels[:, -1]):
        cut[side] = True
    doubts = np.where(cut[1:], int(Flag.EDGE), 0)
    doubts |= np.where(objects.votes < _SURE_VOTES, int(Flag.LOW_CONFIDENCE), 0)
    return {
        "id": np.arange(1, number + 1, dtype=np.int64),
        "y_nm": y * pixel + begin,
        "x_nm": x * pixel + begin,
        "area_nm2": area * pixel**2,
        "equivalent_diameter_nm": 2 * np.sqrt(area / np.pi) * pixel,
        "class": pd.array([phases.names[kind] for kind in objects.kind], dtype="str"),
        "votes": objects.votes,
        "score": np.clip(objects.score, 0, 1),
        "flags": doubts.astype(np.int64),
    }


def _phase_rows(phases: Phases, objects: Objects) -> dict[str, Any]:
    import pandas as pd

    shares = area_shares(phases)
    return {
        "class": pd.array(list(phases.names), dtype="str"),
        "fraction": [one.value for one in shares],
        "fraction_sigma": [one.sigma for one in shares],
        "fraction_low": [one.low for one in shares],
        "fraction_high": [one.high for one in shares],
        "places": [one.places for one in shares],
        "objects": np.bincount(objects.kind, minlength=len(phases.names)).astype(np.int64),
    }


def _particle_rows(found: Particles, phases: Phases, pixel: float, begin: float) -> dict[str, Any]:
    import pandas as pd

    shape = np.array(phases.winner.shape)
    at = np.clip(np.rint(found.middle_px), 0, shape - 1).astype(np.intp)
    sigma = found.area_sigma_px / np.sqrt(np.maximum(found.area_px, 1.0)) / 2 * pixel
    weight = np.zeros(len(found.area_px))
    whole = ~found.cut
    room = np.minimum(2 * found.half_box_px[whole], 0.9 * shape)
    weight[whole] = edge_weights(room[:, 0], room[:, 1], (float(shape[0]), float(shape[1])))
    doubts = np.where(found.cut, int(Flag.EDGE), 0) | np.where(found.score < _SURE, int(Flag.LOW_CONFIDENCE), 0)
    return {
        "id": np.arange(1, len(weight) + 1, dtype=np.int64),
        "y_nm": found.middle_px[:, 0] * pixel + begin,
        "x_nm": found.middle_px[:, 1] * pixel + begin,
        "y_sigma_nm": sigma,
        "x_sigma_nm": sigma,
        "area_nm2": found.area_px * pixel**2,
        "area_sigma_nm2": found.area_sigma_px * pixel**2,
        "diameter_nm": found.diameter_px * pixel,
        "diameter_sigma_nm": found.diameter_sigma_px * pixel,
        "class": pd.array([phases.names[kind] for kind in phases.winner[at[:, 0], at[:, 1]]], dtype="str"),
        "weight": weight,
        "score": np.clip(found.score, 0, 1),
        "flags": doubts.astype(np.int64),
    }


def _width_rows(gaps: Gaps, pixel: float, begin: float) -> dict[str, Any]:
    at = gaps.place_px * pixel + begin
    return {"y_nm": at[:, 0], "x_nm": at[:, 1], "width_nm": gaps.clear_px * pixel}


def _mean_size(rows: Mapping[str, Any], size_nm: tuple[float, float]) -> dict[str, float]:
    """Return number density and weighted mean diameter of the particles."""
    weight, diameter = rows["weight"], rows["diameter_nm"]
    total = float(weight.sum())
    if not total:
        return {"density_per_nm2": 0.0, "diameter_nm": np.nan, "diameter_sigma_nm": np.nan}
    mean = float(weight @ diameter / total)
    spread = float(weight @ (diameter - mean) ** 2 / total)
    number = total**2 / float(weight @ weight)
    sigma = np.sqrt(spread / (number - 1)) if number > 1 else np.nan
    return {
        "density_per_nm2": total / (size_nm[0] * size_nm[1]),
        "diameter_nm": mean,
        "diameter_sigma_nm": float(sigma),
    }


def _middles(gaps: Gaps, pixel: float, index: int) -> dict[str, float]:
    """Return the width of the zone and the median distance from a particle with their errors (nm)."""
    rng = np.random.default_rng([_SEED, index])
    zone, clear = zone_width(gaps, rng), middle_width(gaps.clear_px, gaps.place_px, rng)
    names = ("denuded_nm", "denuded_sigma_nm", "denuded_low_nm", "denuded_high_nm")
    found = {name: value * pixel for name, value in zip(names, zone, strict=True)}
    return found | {"clear_nm": clear[0] * pixel, "clear_sigma_nm": clear[1] * pixel}
