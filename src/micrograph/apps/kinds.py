"""What the images of each recipe look like: the kinds that "drop a file" tells apart before any recipe is tried.

``python -m micrograph.apps.kinds`` makes the shipped table ``kinds.npz`` from simulated images of each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core.frame import binned
from micrograph.features.naming.image_kinds import SIDE_PX, ImageKinds, described, learn_kinds, load_kinds

if TYPE_CHECKING:
    from micrograph.core import Calibration

Image = NDArray[np.float32]
TABLE = Path(__file__).with_name("kinds.npz")
#: Simulated images of each kind that the table is made from, and the seed.
EXAMPLES, SEED = 40, 1


@dataclass(frozen=True)
class Kind:
    """Images that one recipe is made for.

    make: simulates one; pixels_nm: from which to which pixel size the recipe makes sense; probe: whether a scanning
    probe records them (``None``: it may); usual: how often they are met, against the other kinds.
    """

    make: Callable[[np.random.Generator], Image]
    pixels_nm: tuple[float, float]
    probe: bool | None = False
    usual: float = 1.0

    def may_be(self, calibration: Calibration) -> bool:
        """Return whether a recording of this scale may be one."""
        low, high = self.pixels_nm
        if self.probe is False and calibration.value_unit:
            return False
        return calibration.pixel_nm is None or low <= calibration.pixel_nm <= high

    def why_not(self, calibration: Calibration) -> str:
        """Return in words why a recording of this scale is none."""
        if self.probe is False and calibration.value_unit:
            return "The file is of a scanning probe; it is for images of electrons or light."
        low, high = (lengths_nm(value) for value in self.pixels_nm)
        return f"It is for pixels of {low} to {high}; those of the file have {lengths_nm(calibration.pixel_nm or 0.0)}."


def _sampled(recipe: str, **changes: Any) -> Callable[[np.random.Generator], Image]:
    """Return what makes images as those that a recipe learned from, or was made for."""

    def make(rng: np.random.Generator) -> Image:
        from micrograph.recipes import find_recipe

        data: Any = find_recipe(recipe).data
        image: Image = (replace(data, **changes) if changes else data)(rng).image
        return image

    return make


def _particles(recipe: str, liquid: bool) -> Callable[[np.random.Generator], Image]:
    """Return what makes images of particles, every other one a frame of a movie of another simulator."""

    def make(rng: np.random.Generator) -> Image:
        from micrograph.simulate import Etching, View, etching_movie

        if rng.random() < 0.5:
            return _sampled(recipe)(rng)
        view = View(frames=1, size_px=(192, 192), signal_to_noise=float(rng.uniform(2, 6)), liquid=liquid, passing=0)
        shape = str(rng.choice(["rod", "triangle", "square", "hexagon"]))
        return np.asarray(etching_movie(rng, Etching(shape=shape), view).recording.read(0), np.float32)

    return make


def _texture(rng: np.random.Generator) -> Image:
    from micrograph.simulate.secondary.sem_sampler import SemTextures

    return SemTextures()(rng).image


def _tip(rng: np.random.Generator) -> Image:
    from micrograph.simulate.scanning.stm import StmScans

    return StmScans()(rng).image


def _tilted(rng: np.random.Generator) -> Image:
    from micrograph.simulate.tilt_images import Kept, random_crystal, view_of
    from micrograph.simulate.tilt_scans import TiltScan
    from micrograph.validate.lattices.tilt_checks import ASKED

    crystal = random_crystal(ASKED, rng, 1, 1)
    return TiltScan(field_nm=5.0)(view_of(Kept.of(crystal.images()), crystal, (0, 0), 0.06, 0.1), rng)[0]


def lengths_nm(value: float) -> str:
    """Return a length in words: "25 nm", "1 µm"."""
    return f"{value / 1000:.3g} µm" if value >= 1000 else f"{value:.3g} nm"


#: Recipe -> the images that it is made for.
KINDS: dict[str, Kind] = {
    "atoms": Kind(_sampled("atoms", field_nm=5.0), (0.003, 0.06)),
    "graphene-dopants": Kind(_sampled("graphene-dopants", field_nm=5.0), (0.003, 0.06)),
    "tmd-defects": Kind(_sampled("tmd-defects", field_nm=5.0), (0.003, 0.06)),
    "dumbbells": Kind(_sampled("dumbbells"), (0.003, 0.06)),
    "octahedral-tilts": Kind(_tilted, (0.003, 0.06)),
    "column-heights": Kind(_sampled("column-heights"), (0.003, 0.06)),
    "hrtem-columns": Kind(_sampled("hrtem-columns"), (0.003, 0.06)),
    "nanotube-chirality": Kind(_sampled("nanotube-chirality"), (0.005, 0.1)),
    "particle-shapes": Kind(_particles("particle-shapes", liquid=False), (0.02, 1e4), None, usual=3.0),
    "liquid-cell": Kind(_particles("liquid-cell", liquid=True), (0.05, 10.0)),
    "pores": Kind(_sampled("pores"), (0.05, 2.0)),
    "crystal-defects": Kind(_sampled("crystal-defects"), (0.1, 20.0)),
    "microstructure": Kind(_sampled("microstructure"), (5.0, 1e4)),
    "sem-superres": Kind(_sampled("sem-superres"), (0.3, 100.0)),
    "sem-class": Kind(_texture, (0.3, 1e5)),
    "surface-lattice": Kind(_sampled("surface-lattice"), (0.002, 1.0), None),
    "stm-tip": Kind(_tip, (0.005, 0.3), True),
    "molecule-states": Kind(_sampled("molecule-states"), (0.005, 0.5), True),
    "segregation": Kind(_sampled("segregation"), (0.002, 0.5), None),
}


@functools.cache
def _table() -> ImageKinds:
    return load_kinds(TABLE)


def likenesses(image: Image, calibration: Calibration) -> dict[str, float]:
    """Return how probably an image (H, W) of this scale is of each kind that it may be, by recipe; sums to 1."""
    table = _table()
    may = np.array([KINDS[name].may_be(calibration) for name in table.names])
    if not may.any():
        return {}
    looks = [image] if min(image.shape) < 2 * SIDE_PX else [image, binned(image, min(image.shape) // SIDE_PX)]
    usual = np.log([KINDS[name].usual for name in table.names])
    scores = np.where(may, usual + table.scores(np.array([described(look) for look in looks])), -np.inf)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    return {name: float(share) for name, share in zip(table.names, shares, strict=True) if share > 0}


def main() -> None:
    """Simulate images of every kind, describe them, and write the table."""
    numbers = []
    for place, kind in enumerate(KINDS.values()):
        rngs = (np.random.default_rng([SEED, place, number]) for number in range(EXAMPLES))
        numbers.append([described(kind.make(rng)) for rng in rngs])
    learn_kinds(tuple(KINDS), np.array(numbers)).save(TABLE)


if __name__ == "__main__":
    main()
