"""Labelled images of dislocations, precipitates and voids by the thousand, for training and for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.contaminate import smooth_field
from micrograph.simulate.foils.crystal_defects import LineLook, Looks, Masks, transmitted
from micrograph.simulate.foils.foil_curves import bent_line, inclined, loop, node, randomly_seen
from micrograph.simulate.foils.foil_defects import Body, Dislocation, Foil
from micrograph.simulate.objects.bright_field import grainy, transferred
from micrograph.simulate.ranges import Range

Array = NDArray[np.float64]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class DefectScene:
    """One simulated foil, its image, the masks of the three kinds, and what was planted.

    planted: number of precipitates and voids per px^2 and, where all curves are lines, the projected length per area
    (1/px): means of the Poisson processes that they were drawn from.
    """

    foil: Foil
    image: Image
    masks: Masks
    params: Mapping[str, float]
    planted: Mapping[str, float]

    @property
    def sample(self) -> Sample:
        """The image with its masks; bodies as sites with their kind as label."""
        bodies = [("precipitate", one) for one in self.foil.precipitates] + [("void", one) for one in self.foil.voids]
        inside = [(kind, one) for kind, one in bodies if is_inside(one, self.foil.shape)]
        centres = np.array([(one.y_px, one.x_px) for _, one in inside]).reshape(-1, 2) * self.foil.pixel_nm
        labels = np.array([kind for kind, _ in inside], dtype="U12")
        sites = Sites(centres[:, 0], centres[:, 1], labels)
        return Sample(self.image, self.foil.pixel_nm, sites, self.masks, self.params)


@dataclass(frozen=True)
class DefectImages:
    """Random images of a foil, `side_px` pixels a side.

    Ranges, drawn log-uniformly per image: line_px (full width of a dislocation's image), contrast_to_noise (of a line,
    per pixel), strength (darkness of lines), precipitate_px, void_px (median diameters), line_cover, precipitate_cover,
    void_cover (share of the image that each kind covers; a share `absent` of images lacks a kind altogether). Uniform:
    thickness (of the foil, in extinction distances), tilted_background (slow changes of the background). curves: lines,
    loops, networks of nodes, chances of each; residual: lines with g.b = 0 for each visible line, which are not marked;
    boundary: share of images with a grain boundary; bend: share with bend contours; grainy: share whose noise has
    grains of its own; bodies stand out by 8 sigma of the noise in their area or more.
    """

    side_px: int = 256
    line_px: Range = (3.0, 11.0)
    contrast_to_noise: Range = (2.0, 12.0)
    strength: Range = (0.12, 0.85)
    precipitate_px: Range = (6.0, 50.0)
    void_px: Range = (6.0, 44.0)
    line_cover: Range = (0.01, 0.16)
    precipitate_cover: Range = (0.004, 0.14)
    void_cover: Range = (0.004, 0.14)
    thickness: Range = (1.5, 7.0)
    extinction_nm: Range = (15.0, 50.0)
    tilted_background: float = 0.35
    curves: tuple[float, float, float] = (0.75, 0.13, 0.12)
    residual: float = 0.15
    boundary: float = 0.2
    bend: float = 0.35
    grainy: float = 0.15
    absent: float = 0.15

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one labelled image."""
        return self.scene(rng).sample

    def domain(self) -> dict[str, Range]:
        """Return the ranges that a card shows."""
        return {
            "line_px": self.line_px,
            "contrast_to_noise": self.contrast_to_noise,
            "precipitate_px": self.precipitate_px,
            "void_px": self.void_px,
        }

    def scene(self, rng: np.random.Generator) -> DefectScene:
        """Return one image with all that is known of it."""
        foil, planted, drawn = self.foil(rng)
        looks = self._looks(foil, drawn, rng)
        share, masks = transmitted(foil, looks)
        electrons = (drawn["contrast_to_noise"] / drawn["strength"]) ** 2 / float(np.median(share))
        image = exposed(share, electrons, rng, self.grainy)
        return DefectScene(foil, image, masks, {**drawn, "electrons": electrons, "focus": looks.focus}, planted)

    def foil(self, rng: np.random.Generator) -> tuple[Foil, dict[str, float], dict[str, float]]:
        """Return a foil, the densities that were planted, and the numbers that were drawn for the image."""
        names = ("line_px", "contrast_to_noise", "strength", "extinction_nm")
        drawn = {name: _log_uniform(getattr(self, name), rng) for name in names}
        xi, width = drawn["extinction_nm"], drawn["line_px"]
        pixel = xi / (3.0 * width)
        shape = (self.side_px, self.side_px)
        covers = {
            kind: 0.0 if rng.random() < self.absent else _log_uniform(getattr(self, f"{kind}_cover"), rng)
            for kind in ("line", "precipitate", "void")
        }
        lines, length = self._lines(covers["line"], width, rng)
        thickness = xi * float(rng.uniform(*self.thickness))
        weakest = _CLEAR_BODY * drawn["strength"] / drawn["contrast_to_noise"]
        precipitates, number = self._bodies(covers["precipitate"], self.precipitate_px, _precipitate(weakest, rng), rng)
        voids, empty = self._bodies(covers["void"], self.void_px, _void(weakest, rng), rng)
        foil = Foil(shape, pixel, thickness, xi, float(rng.uniform(0, 2 * np.pi)), lines, precipitates, voids)
        return foil, {"dislocation": length, "precipitate": number, "void": empty}, drawn

    def _lines(self, cover: float, width_px: float, rng: np.random.Generator) -> tuple[tuple[Dislocation, ...], float]:
        """Return lines scattered over the image and beyond, and the projected length per area (1/px) they have there.

        Curves are drawn one after the other from the same law, their number from Poisson's, so that the mean length in
        the image is that per area times its area.
        """
        longest = 0.9 * min(self.side_px, 256)
        lengths = (max(6 * width_px, 0.12 * longest), longest)
        margin = 0.75 * longest
        area = (self.side_px + 2 * margin) ** 2
        wanted, mean = cover / width_px, float(np.mean(lengths))
        number = int(rng.poisson(wanted * area / mean))
        found: list[Dislocation] = []
        bend = float(rng.uniform(0.05, 0.9))
        for _ in range(number):
            y, x = rng.uniform(-margin, self.side_px + margin, 2).tolist()
            length = float(rng.uniform(*lengths))
            found += self._curve((y, x), length, bend, width_px, rng)
        seen = tuple(line for line in found if line.length_px((self.side_px, self.side_px)) > 0)
        return seen, wanted

    def _curve(
        self, centre: tuple[float, float], length: float, bend: float, width_px: float, rng: np.random.Generator
    ) -> list[Dislocation]:
        kind = int(rng.choice(3, p=self.curves))
        if kind == 1:
            radius = max(float(np.clip(length / 8, 0, 40)), 2.2 * width_px)
            return [randomly_seen(*loop(centre, radius, rng), rng, closed=True)]
        if kind == 2:
            return [randomly_seen(points, depth, rng) for points, depth in node(centre, length, rng)]
        points = bent_line(centre, length, bend, rng)
        line = randomly_seen(points, inclined(len(points), rng), rng)
        if rng.random() >= self.residual:
            return [line]
        other = bent_line((centre[1], centre[0]), length, bend, rng)
        return [line, replace(randomly_seen(other, inclined(len(other), rng), rng), order=0.0)]

    def _bodies(
        self, cover: float, diameters: Range, make: Callable[[float, float, float], Body], rng: np.random.Generator
    ) -> tuple[tuple[Body, ...], float]:
        """Return bodies scattered over the image and a margin, and their number per px^2."""
        median, spread = _log_uniform(diameters, rng), float(rng.uniform(0.05, 0.35))
        per_px2 = cover / (np.pi / 4 * median**2 * np.exp(2 * spread**2))
        margin = 1.5 * median
        number = int(rng.poisson(per_px2 * (self.side_px + 2 * margin) ** 2))
        sizes = np.clip(median * np.exp(rng.normal(0, spread, number)), max(0.5 * median, 4.5), 2.2 * median)
        bodies: list[Body] = []
        held = np.zeros((0, 3))
        for size in sizes:
            for _ in range(_TRIES):
                y, x = rng.uniform(-margin - 0.5, self.side_px + margin - 0.5, 2)
                body = make(float(y), float(x), float(size))
                if (np.hypot(held[:, 0] - y, held[:, 1] - x) > 0.9 * (held[:, 2] + body.reach_px)).all():
                    bodies.append(body)
                    held = np.concatenate([held, [[y, x, body.reach_px]]])
                    break
        return tuple(bodies), per_px2

    def _looks(self, foil: Foil, drawn: Mapping[str, float], rng: np.random.Generator) -> Looks:
        width_px, strength = drawn["line_px"], drawn["strength"]
        line = LineLook(
            strength=strength,
            fwhm_px=width_px,
            dash=float(rng.choice([0.0, 1.0, 1.0])) * float(rng.uniform(0.2, 1.0)),
            fading=float(rng.choice([0.0, 1.0, 1.0])) * float(rng.uniform(0.8, 2.5)),
            beads=float(np.exp(rng.uniform(-1.0, 0.7))),
            phase=float(rng.uniform(0, 2 * np.pi)),
            offset=float(rng.uniform(0.0, 1.5)),
            swing=float(rng.uniform(0.0, 1.1)),
            flank=float(rng.uniform(0.0, 0.4)),
            flank_width=float(rng.uniform(1.0, 3.0)),
        )
        widest = min([2.5, *(max(0.8, one.diameter_px / 6) for one in foil.voids)])
        fringe_px = float(np.clip(rng.uniform(0.1, 0.3) * width_px, 0.8, widest))
        hollow = rng.random() < _HOLLOW  # little but the fringe shows, which is clear then
        noise = strength / drawn["contrast_to_noise"]
        weakest = max(0.25, 3 * noise) if hollow else strength / 10
        return Looks(
            line,
            self._background(foil, strength, rng),
            float(np.clip(np.exp(rng.uniform(np.log(0.06), np.log(0.6))), weakest, max(weakest, 0.6))),
            fringe_px,
            float(rng.choice([-1.0, 1.0])),
            float(rng.uniform(0.4, 1.3)),
            0.15 if hollow else 1.0,
        )

    def _background(self, foil: Foil, strength: float, rng: np.random.Generator) -> Image:
        """Return the share of the beam (H, W) without defects: thickness, bending, a boundary, roughness."""
        height, width = foil.shape
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        turn = rng.uniform(0, 2 * np.pi)
        slope = rng.uniform(-1, 1) * self.tilted_background
        level = np.exp(-slope * (np.cos(turn) * x + np.sin(turn) * y))
        level = level * np.exp(0.5 * rng.uniform(0, self.tilted_background) * smooth_field(foil.shape, height / 4, rng))
        if rng.random() < self.bend:
            level = level * _bend_contours(x, y, height, rng)
        if rng.random() < self.boundary:
            level = level * _boundary(x, y, rng)
        rough = rng.uniform(0, 0.12) * min(strength, 0.35) * smooth_field(foil.shape, float(rng.uniform(0.8, 8.0)), rng)
        return np.asarray(np.clip(level * (1 + rough), 0.05, None), np.float32)


#: Share of images whose voids show little but their fringe.
_HOLLOW = 0.25
#: Contrast that bodies have at least, times their diameter over the noise of a pixel: 8 sigma or more in all.
_CLEAR_BODY = 13.0
#: How often a place is sought for a body, so that it does not lie on others of its kind.
_TRIES = 30


def exposed(share: Image, electrons: float, rng: np.random.Generator, grains: float = 0.0) -> Image:
    """Return what a detector records of `share` (H, W) with so many electrons a pixel: counts with gain and offset."""
    from scipy.ndimage import gaussian_filter

    sharp = gaussian_filter(share, float(rng.uniform(0.25, 0.7)))
    grain = float(rng.uniform(0.4, 1.2)) if rng.random() < grains else 0.0
    electrons = electrons * max(1.0, 4 * np.pi * grain**2)  # as much noise over an area, grains or not
    expected = np.clip(sharp * electrons, 0, None)
    seen = rng.poisson(expected).astype(np.float32)
    mtf = float(rng.uniform(0.4, 1.0))
    seen = expected + grainy(seen - expected, grain) if grain else transferred(seen, mtf)
    if rng.random() < 0.3:  # brightness of a scan's lines
        seen = seen * (1 + rng.normal(0, 0.25 / np.sqrt(electrons), (len(seen), 1)))
    gain, offset = rng.uniform(0.5, 5.0), rng.uniform(0, 50)
    return np.asarray(gain * seen + offset, np.float32)


def is_inside(body: Body, shape: tuple[int, int]) -> bool:
    """Return whether the centre of a body lies in an image of `shape`."""
    return -0.5 <= body.y_px < shape[0] - 0.5 and -0.5 <= body.x_px < shape[1] - 0.5


def _precipitate(weakest: float, rng: np.random.Generator) -> Callable[[float, float, float], Body]:
    """Return what makes the precipitates of one image: of one kind, with `weakest` contrast a px^-1 of diameter."""
    facets = int(rng.choice([0, 0, 0, 4, 5, 6, 8]))
    strained = rng.random() < 0.35
    aspect, turn = 1 + abs(rng.normal(0, 0.35)), rng.uniform(0, 2 * np.pi)
    contrast, plate = float(rng.uniform(0.15, 0.7)), float(rng.uniform(0.0, 1.0))
    strain = float(rng.uniform(0.1, 0.5)) if strained else 0.0

    def make(y: float, x: float, size: float) -> Body:
        taken = float(np.clip(max(contrast * np.exp(rng.normal(0, 0.25)), weakest / size), 0.08, 0.9))
        return Body(
            y, x, size, facets, float(aspect), float(turn + rng.normal(0, 0.1)), float(rng.uniform(0.05, 0.95)),
            taken, strain * float(rng.uniform(0.6, 1.0)), plate,
        )  # fmt: skip

    return make


def _void(weakest: float, rng: np.random.Generator) -> Callable[[float, float, float], Body]:
    """Return what makes the voids of one image."""
    facets, contrast = int(rng.choice([0, 0, 0, 4, 6, 8])), float(rng.uniform(0.08, 0.4))
    turn = rng.uniform(0, 2 * np.pi)

    def make(y: float, x: float, size: float) -> Body:
        given = float(np.clip(max(contrast * np.exp(rng.normal(0, 0.1)), weakest / size), 0.05, 1.2))
        return Body(y, x, size, facets, 1.0, float(turn), float(rng.uniform(0.1, 0.9)), -given, 0.0, 1.0)

    return make


def _bend_contours(x: Array, y: Array, height: int, rng: np.random.Generator) -> Array:
    """Return the share of the beam (H, W) outside broad dark bands that wander over the image."""
    field = np.ones_like(x)
    for _ in range(int(rng.integers(1, 3))):
        turn, bow = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.3)
        across = np.cos(turn) * x + np.sin(turn) * y - rng.uniform(-0.9, 0.9)
        across = across + bow * (np.cos(turn) * y - np.sin(turn) * x) ** 2
        width = rng.uniform(0.12, 0.45) * max(1.0, 160 / height)
        field = field * (1 - rng.uniform(0.1, 0.5) * np.exp(-0.5 * (across / width) ** 2))
    return np.asarray(field)


def _boundary(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """Return the share of the beam (H, W) with a grain of another brightness beyond a nearly straight boundary."""
    turn = rng.uniform(0, 2 * np.pi)
    across = np.cos(turn) * x + np.sin(turn) * y - rng.uniform(-0.7, 0.7)
    across = across + rng.normal(0, 0.1) * (np.cos(turn) * y - np.sin(turn) * x) ** 2
    width = rng.uniform(0.004, 0.06)
    return np.asarray(1 + rng.uniform(-0.35, 0.35) / (1 + np.exp(-np.clip(across / width, -30, 30))))


def _log_uniform(limits: Range, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
