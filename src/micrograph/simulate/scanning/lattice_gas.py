"""Images of surfaces on which two species share a lattice, with adatoms in its hollows: drawn from their energies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.ranges import Range
from micrograph.structures.lattice_gas import MANGANITE, PUBLISHED_KT, LatticeGas, canonical

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """A configuration: states (N,) of all sites, those of the first lattice first; cells size x size; what was drawn.

    `seen` are the states with a share `label_error` of them wrong.
    """

    gas: LatticeGas
    size: int
    states: NDArray[np.int8]
    seen: NDArray[np.int8]
    energies_kT: tuple[float, ...]
    label_error: float

    @property
    def nodes(self) -> NDArray[np.intp]:
        """Cells (N, 2) of the sites of each lattice."""
        u, v = np.divmod(np.arange(self.size**2), self.size)
        return np.stack([u, v], axis=1)


@dataclass(frozen=True)
class Surfaces:
    """Random surfaces of a lattice gas.

    energies_kT: of the gas; spread: 1-sigma of factors by which each energy is changed from surface to surface;
    compositions: share of counted sites on each lattice; label_error: share of labels that are wrong.
    """

    gas: LatticeGas = MANGANITE
    energies_kT: tuple[float, ...] = PUBLISHED_KT
    compositions: tuple[float, ...] = (0.625, 0.5)
    size: int = 40
    label_error: float = 0.05
    sweeps: int = 100

    def __call__(self, rng: np.random.Generator) -> Surface:
        """Return one surface."""
        _, states = canonical(self.gas, self.energies_kT, self.compositions, self.size, rng, sweeps=self.sweeps)
        wrong = rng.random(len(states)) < self.label_error
        return Surface(
            self.gas, self.size, states[:, 0], states[:, 0] ^ wrong.astype(np.int8), self.energies_kT, self.label_error
        )


@dataclass(frozen=True)
class SurfaceImages:
    """Images of such surfaces as an STM shows them: spots whose height tells the species.

    Ranges: spacing_px, snr (height of an A spot over the noise of a pixel), blur (1-sigma of a spot over the spacing),
    bend (1-sigma of the smooth displacement over the spacing), tilt (of the ground over the height of a spot).
    heights: of A, B and an adatom; the image shows `cells` of the surface's cells along each side.
    """

    surfaces: Surfaces = field(default_factory=lambda: Surfaces(size=56, label_error=0.0))
    cells: float = 40.0
    spacing_px: Range = (7.0, 9.0)
    snr: Range = (3.0, 5.0)
    blur: Range = (0.2, 0.26)
    bend: Range = (0.0, 0.25)
    tilt: Range = (0.0, 2.0)
    heights: tuple[float, float, float] = (1.0, 0.55, 0.7)
    spacing_nm: float = 0.39

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return an image; its sites are labelled 'A', 'B' and 'O', `params` hold the energies."""
        surface = self.surfaces(rng)
        spacing, snr, blur, bend = (
            float(rng.uniform(*limits)) for limits in (self.spacing_px, self.snr, self.blur, self.bend)
        )
        side = int(self.cells * spacing)
        turn = float(rng.uniform(-0.15, 0.15))
        cell = spacing * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        nodes = surface.nodes
        middle = side / 2 - (surface.size - 1) / 2 * cell.sum(axis=0)
        first = nodes @ cell + middle
        hollow = (nodes + 0.5) @ cell + middle
        place = first if not surface.gas.contacts else np.concatenate([first, hollow])
        place = place + bend * spacing * _smooth(place / side, rng)
        heights = np.where(surface.states[: len(nodes)] == 1, self.heights[0], self.heights[1])
        if surface.gas.contacts:
            heights = np.concatenate([heights, self.heights[2] * surface.states[len(nodes) :]])
        image = spots_within(place, heights, blur * spacing, side)
        ramp = rng.uniform(*self.tilt) * np.linspace(-0.5, 0.5, side)
        image = image + ramp[:, None] + rng.uniform(*self.tilt) * ramp + rng.normal(0, 1 / snr, image.shape)
        labels = np.where(surface.states[: len(nodes)] == 1, "A", "B").astype("U2")
        if surface.gas.contacts:
            labels = np.concatenate([labels, np.where(surface.states[len(nodes) :] == 1, "O", "no")])
        pixel = self.spacing_nm / spacing
        inside = ((place >= 0) & (place <= side - 1)).all(axis=1)
        sites = Sites(place[inside, 0] * pixel, place[inside, 1] * pixel, labels[inside].astype(np.str_))
        params = {f"w_{k + 1}_kT": value for k, value in enumerate(surface.energies_kT)} | {"snr": snr}
        return Sample(image.astype(np.float32), pixel, sites, params=params)

    def domain(self) -> dict[str, Range]:
        """Return the ranges in which the answers were measured."""
        return {name: getattr(self, name) for name in ("spacing_px", "snr", "blur", "bend")}


def _smooth(place: Array, rng: np.random.Generator) -> Array:
    """Return smooth displacements (N, 2) of points (N, 2) in 0..1, 1-sigma about 1."""
    waves = rng.normal(0, 0.6, (5, 2))
    phases, strength = rng.uniform(0, 2 * np.pi, 5), rng.normal(size=(5, 2)) * np.sqrt(2 / 5)
    return np.asarray(np.cos(2 * np.pi * place @ waves.T + phases) @ strength)


def spots_within(place: Array, heights: Array, sigma: float, side: int) -> Array:
    """Return the image (side, side) of round Gaussian spots at `place` (N, 2), each drawn as far as four sigma."""
    reach = int(np.ceil(4 * sigma))
    grid = np.arange(-reach, reach + 1)
    image = np.zeros((side + 2 * reach + 2, side + 2 * reach + 2))
    near = ((place > -reach) & (place < side + reach)).all(axis=1)
    whole = np.rint(place[near]).astype(int)
    rest = place[near] - whole
    rows = np.exp(-0.5 * ((grid - rest[:, :1]) / sigma) ** 2)
    columns = np.exp(-0.5 * ((grid - rest[:, 1:]) / sigma) ** 2) * heights[near, None]
    y = np.clip(whole[:, :1] + grid + reach, 0, image.shape[0] - 1)
    x = np.clip(whole[:, 1:] + grid + reach, 0, image.shape[1] - 1)
    np.add.at(image, (y[:, :, None], x[:, None, :]), rows[:, :, None] * columns[:, None, :])
    return np.asarray(image[reach : reach + side, reach : reach + side])
