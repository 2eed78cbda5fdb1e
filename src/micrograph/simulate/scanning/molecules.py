"""STM images of bowl-shaped molecules in rows: two polarities, four rotations, ordered as at a known temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.ranges import Range
from micrograph.structures.molecule_states import MoleculeModel, draw_states

Array = NDArray[np.float64]
#: Height of a molecule at distances y, x (in lattice spacings) from its middle.
Shape = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Bowl:
    """How the molecules look: a bowl's rim with three bright corners (up), a dome with three ridges (down).

    Lengths in lattice spacings: rim radius and width, dome width and the radius of its ridges; `corners` and `ridges`
    are the share by which brightness goes up and down around; `hollow` the depth of the bowl's middle.
    """

    rim: float = 0.27
    width: float = 0.1
    corners: float = 0.32
    hollow: float = 0.35
    dome: float = 0.17
    ridge: float = 0.22
    ridges: float = 0.38

    def up(self, y: Array, x: Array) -> Array:
        """Return the height of a molecule whose opening looks at the tip, a bright corner along +x."""
        r, turn = np.hypot(y, x), np.arctan2(-y, x)
        rim = np.exp(-0.5 * ((r - self.rim) / self.width) ** 2) * (1 + self.corners * np.cos(3 * turn))
        return np.asarray(rim + (1 - self.hollow) * np.exp(-0.5 * (r / (0.6 * self.rim)) ** 2) * (r < self.rim))

    def down(self, y: Array, x: Array) -> Array:
        """Return the height of a molecule whose back looks at the tip, a ridge along +x."""
        r, turn = np.hypot(y, x), np.arctan2(-y, x)
        dome = 1.15 * np.exp(-0.5 * (r / self.dome) ** 2)
        ridges = self.ridges * np.exp(-0.5 * ((r - self.ridge) / self.width) ** 2) * np.cos(3 * turn)
        return np.asarray(dome + ridges)


@dataclass(frozen=True)
class Orbitals:
    """Other molecules, of sums of round lobes: three large and three small ones on a rim (up), a trefoil (down)."""

    rim: float = 0.26
    lobe: float = 0.1
    small: float = 0.55
    trefoil: float = 0.2

    def up(self, y: Array, x: Array) -> Array:
        """Return the height of a molecule that is up, a large lobe along +x."""
        return self._lobes(y, x, self.rim, self.lobe, self.small)

    def down(self, y: Array, x: Array) -> Array:
        """Return the height of a molecule that is down, a lobe along +x."""
        middle = 0.6 * np.exp(-0.5 * (y**2 + x**2) / 0.13**2)
        return np.asarray(middle + 0.8 * self._lobes(y, x, self.trefoil, 0.1, 0.3))

    @staticmethod
    def _lobes(y: Array, x: Array, radius: float, sigma: float, small: float) -> Array:
        total = np.zeros_like(y)
        for number in range(6):
            turn = np.pi * number / 3
            away = (y + radius * np.sin(turn)) ** 2 + (x - radius * np.cos(turn)) ** 2
            total = total + (1.0 if number % 2 == 0 else small) * np.exp(-0.5 * away / sigma**2)
        return np.asarray(total)


@dataclass(frozen=True)
class MoleculeImages:
    """Random images of such molecules on a hexagonal lattice.

    couplings: h, K_polar, K_rotation, of `structures.molecule_states`. Ranges: spacing_px; snr: height of a rim over
    the noise of a pixel; blur: 1-sigma of the tip over the spacing; bend: 1-sigma of the smooth displacement over the
    spacing; drift: shear and stretch, 1-sigma; scatter: 1-sigma of each molecule's place over the spacing; line:
    1-sigma of jumps between lines over the noise; offset_deg: how far rotation 0 is turned from a lattice vector.
    """

    couplings: tuple[float, float, float] = (-0.6, -0.35, 0.62)
    shape: Bowl | Orbitals = Bowl()
    cells: int = 22
    spacing_px: Range = (20.0, 26.0)
    snr: Range = (1.0, 5.0)
    blur: Range = (0.04, 0.07)
    bend: Range = (0.0, 0.2)
    drift: Range = (0.0, 0.03)
    scatter: Range = (0.0, 0.02)
    line: Range = (0.0, 0.3)
    offset_deg: Range = (-10.0, 10.0)
    spacing_nm: float = 1.0
    kind: Literal["molecules"] = "molecules"

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return an image; sites are labelled 'up 0' to 'down 3', `params` hold the couplings and SNR."""
        spacing, snr, blur, bend, scatter, line = (
            float(rng.uniform(*limits))
            for limits in (self.spacing_px, self.snr, self.blur, self.bend, self.scatter, self.line)
        )
        model = MoleculeModel()
        size = int(np.ceil(1.62 * self.cells)) + 2
        states = draw_states(model, self.couplings, size, rng, sweeps=120)[:, 0]
        side = round(self.cells * spacing)
        turn = float(rng.uniform(-np.pi / 6, np.pi / 6))
        place, bent = self._places(size, spacing, (turn, bend, scatter), side, rng)
        offset = np.radians(float(rng.uniform(*self.offset_deg)))
        seen = (place > -spacing) & (place < side + spacing)
        chosen = np.flatnonzero(seen.all(axis=1))
        angles = turn + offset + np.pi / 6 * model.rotation[states]
        image = self._drawn(place[chosen], states[chosen] >= 4, angles[chosen], bent, side, spacing)
        image = blurred(image, blur * spacing)
        noise = rng.normal(0, 1 / snr, image.shape) + rng.normal(0, line / snr, side)[:, None]
        ground = np.linspace(-0.5, 0.5, side)
        image = image + noise + rng.uniform(-1.5, 1.5) * ground[:, None] + rng.uniform(-1.5, 1.5) * ground
        pixel = self.spacing_nm / spacing
        inside = ((place >= 0) & (place <= side - 1)).all(axis=1)
        names = np.array(
            [f"{'down' if down else 'up'} {r}" for down, r in zip(model.down, model.rotation, strict=True)]
        )
        sites = Sites(place[inside, 0] * pixel, place[inside, 1] * pixel, names[states[inside]])
        params = dict(zip(("h", "k_polar", "k_rotation"), self.couplings, strict=True))
        params |= {"snr": snr, "turn_deg": float(np.degrees(turn)), "offset_deg": float(np.degrees(offset))}
        params |= {"blur_px": blur * spacing, "spacing_px": spacing}
        return Sample(image.astype(np.float32), pixel, sites, params=params)

    def domain(self) -> dict[str, Range]:
        """Return the ranges in which the answers were measured."""
        return {name: getattr(self, name) for name in ("spacing_px", "snr", "blur", "bend", "drift", "scatter")}

    def _places(
        self, size: int, spacing: float, bending: tuple[float, float, float], side: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return the places (N, 2) of all molecules in px, and the stretch and shear (2, 2) that bends all."""
        turn, bend, scatter = bending
        cell = spacing * np.array(
            [[-np.sin(turn), np.cos(turn)], [-np.sin(turn + np.pi / 3), np.cos(turn + np.pi / 3)]]
        )
        u, v = np.divmod(np.arange(size * size), size)
        # A parallelogram of cells is wrapped so that it covers the square image.
        wide = np.stack([u, v], axis=1) - (size - 1) / 2
        shift = np.rint(wide[:, 1] / 2)
        wide[:, 0] = (wide[:, 0] - shift + size / 2) % size - size / 2
        strain = np.eye(2) + float(rng.uniform(*self.drift)) * rng.normal(size=(2, 2))
        place = wide @ cell @ strain + side / 2
        waves, phases = rng.normal(0, 0.5, (4, 2)), rng.uniform(0, 2 * np.pi, 4)
        bow = np.cos(2 * np.pi * place / side @ waves.T + phases) @ (rng.normal(size=(4, 2)) / np.sqrt(2))
        return place + bend * spacing * bow + rng.normal(0, scatter * spacing, place.shape), strain

    def _drawn(
        self, place: Array, down: NDArray[np.bool_], angles: Array, strain: Array, side: int, spacing: float
    ) -> Array:
        reach = int(np.ceil(0.75 * spacing))
        grid = np.arange(-reach, reach + 1)
        image = np.zeros((side + 4 * reach, side + 4 * reach))
        back = np.linalg.inv(strain)
        for (y, x), is_down, angle in zip(place, down, angles, strict=True):
            row, column = round(y), round(x)
            dy, dx = np.meshgrid(grid - (y - row), grid - (x - column), indexing="ij")
            own = np.stack([dy, dx], axis=-1) @ back / spacing
            turned = (
                own[..., 0] * np.cos(angle) + own[..., 1] * np.sin(angle),
                own[..., 1] * np.cos(angle) - own[..., 0] * np.sin(angle),
            )
            height = self.shape.down(*turned) if is_down else self.shape.up(*turned)
            rows, columns = row + grid + 2 * reach, column + grid + 2 * reach
            if rows[0] >= 0 and columns[0] >= 0 and rows[-1] < len(image) and columns[-1] < len(image):
                image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += height
        return image[2 * reach : 2 * reach + side, 2 * reach : 2 * reach + side]


def blurred(image: Array, sigma: float) -> Array:
    """Return an image as a round tip of 1-sigma `sigma` (px) shows it."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, sigma))
