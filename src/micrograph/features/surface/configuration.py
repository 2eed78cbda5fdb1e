"""Who sits where on the lattices of a surface: from an image, or from a table of sites with their classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Frame
from micrograph.features.lattices.lattice import fit_lattice
from micrograph.features.levelling import Levelling
from micrograph.features.surface.nodes import Nodes, find_nodes
from micrograph.structures.lattice_gas import LatticeGas, contacts_of, shells_of

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Least and largest chance of a wrong label; fewest sites of each species.
_ERRORS, _FEWEST = (1e-3, 0.45), 12
#: Rounds of a mixture's fit; Bayes factor (log, a site) that makes two species of one.
_ROUNDS, _TWO = 200, 4.0
#: Sites outside the known ones that are part of the model, in cells: surroundings nobody saw.
_AROUND = 2


@dataclass(frozen=True)
class Layer:
    """Sites of one lattice: index (N, 2) in cells, place (N, 2) [y, x] nm, log likelihood of the two states (N, 2).

    names: of the state that counts (1) and of the other (0).
    """

    index: Index
    place: Array
    evidence: Array
    names: tuple[str, str]

    @property
    def likely(self) -> NDArray[np.int8]:
        """Likelier state (N,) of each site on its own."""
        return (self.evidence[:, 1] > self.evidence[:, 0]).astype(np.int8)

    @property
    def error(self) -> float:
        """Mean chance that the likelier state is wrong."""
        gap = np.abs(self.evidence[:, 1] - self.evidence[:, 0])
        return float(np.mean(1 / (1 + np.exp(gap)))) if len(gap) else np.nan


@dataclass(frozen=True)
class Configuration:
    """One or two lattices with their sites: cell (2, 2) nm, rows a and b as [y, x]; offset (2,) cells of the second."""

    cell: Array
    layers: tuple[Layer, ...]
    offset: Array

    def gas(self, shells: int) -> tuple[LatticeGas, Array]:
        """Return which sites interact, and the distance (nm) of each kind of pair."""
        if len(self.layers) == 1:
            offsets, distances = shells_of(self.cell, shells)
            return LatticeGas(offsets), distances
        offsets, distances = shells_of(self.cell, 2)
        touching, away = contacts_of(self.cell, self.offset)
        return LatticeGas(offsets, touching), np.array([*distances, away])

    def nodes(self) -> Index:
        """Return all cells that the model holds: the known ones and their surroundings."""
        steps = np.mgrid[-_AROUND : _AROUND + 1, -_AROUND : _AROUND + 1].reshape(2, -1).T
        known = np.concatenate([layer.index for layer in self.layers])
        return np.unique((known[:, None] + steps).reshape(-1, 2), axis=0)

    def evidence(self, nodes: Index) -> tuple[Array, tuple[Index, ...]]:
        """Return the evidence (N or 2N, 2) of all sites of the model, and which row each known site has."""
        place = {(int(u), int(v)): number for number, (u, v) in enumerate(nodes)}
        found = np.zeros((len(self.layers) * len(nodes), 2))
        rows = []
        for number, layer in enumerate(self.layers):
            own = np.array([place[u, v] for u, v in layer.index.tolist()], np.intp) + number * len(nodes)
            found[own] = layer.evidence
            rows.append(own)
        return found, tuple(rows)


# --- tables of sites -------------------------------------------------------------------------------------------------


def from_table(frame: Frame, first: tuple[str, ...], second: tuple[str, ...], label_error: float) -> Configuration:
    """Return the configuration of a table of sites: rows of frame y_nm, x_nm, number of the class, its score.

    first, second: classes of each lattice, the one that counts first; without them the classes of the file are taken:
    two on one lattice, or three or four with 'O' among them. Raises `BadInput` where this does not fit.
    """
    rows = np.asarray(frame.data, float)
    rows = rows[np.isfinite(rows[:, :3]).all(axis=1) & (rows[:, 3] > 0)]
    names = np.array([*frame.calibration.channels, ""])[rows[:, 2].astype(int)]
    ones, others = _chosen(names, first, second)
    main = np.isin(names, ones)
    lattice = fit_lattice(rows[main, 0], rows[main, 1]) if main.sum() >= 8 else None
    if lattice is None or len(lattice.basis) != 1:
        raise BadInput(
            f"The sites of {' and '.join(ones)} lie on no simple lattice: choose the classes that share one with "
            "--set first=NAME,NAME."
        )
    layers = [_layer(rows[main], names[main], ones, lattice.origin, lattice.cell, label_error)]
    offset = np.zeros(2)
    if others:
        rest = np.isin(names, others)
        cells = (rows[rest, :2] - lattice.origin) @ np.linalg.inv(lattice.cell)
        turn = np.angle(np.exp(2j * np.pi * cells).mean(axis=0)) / (2 * np.pi)
        offset = np.asarray(turn % 1.0)
        start = lattice.origin + offset @ lattice.cell
        layers.append(_layer(rows[rest], names[rest], others, start, lattice.cell, label_error))
    return Configuration(lattice.cell, tuple(layers), offset)


def _chosen(
    names: NDArray[np.str_], first: tuple[str, ...], second: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found, counts = np.unique(names, return_counts=True)
    listed = ", ".join(found)
    for name in (*first, *second):
        if name not in found:
            raise BadInput(f"There is no site of class '{name}': the classes are {listed}.")
    if not first:
        rest = [str(name) for name in found[np.argsort(counts, kind="stable")] if name not in second]
        oxygen = [name for name in rest if name in ("O", "no O", "no", "vac_O")]
        if oxygen and not second and len(rest) - len(oxygen) == 2:
            second = tuple(sorted(oxygen, key=lambda name: name != "O"))
        first = tuple(name for name in rest if name not in second)
        if {"La", "Ca"} == set(first):
            first = ("La", "Ca")
    if len(first) != 2 or len(second) not in (0, 2):
        raise BadInput(
            f"The classes are {listed}: choose the two that share the lattice with --set first=NAME,NAME (and, on a "
            "second lattice, --set second=NAME,NAME)."
        )
    fewest = min(int(np.sum(names == name)) for name in (*first, *second))
    if fewest < _FEWEST:
        raise BadInput(f"A class has {fewest} sites: energies need {_FEWEST} of each class at least.")
    return first, second


def _layer(
    rows: Array, names: NDArray[np.str_], classes: tuple[str, ...], origin: Array, cell: Array, label_error: float
) -> Layer:
    index = np.rint((rows[:, :2] - origin) @ np.linalg.inv(cell)).astype(np.intp)
    _, once = np.unique(index, axis=0, return_index=True)
    wrong = np.clip(np.maximum(label_error, 1 - rows[once, 3]), *_ERRORS)
    is_one = names[once] == classes[0]
    right, other = np.log(1 - wrong), np.log(wrong)
    evidence = np.stack([np.where(is_one, other, right), np.where(is_one, right, other)], axis=1)
    return Layer(index[once], rows[once, :2], evidence, (classes[0], classes[1]))


# --- images ----------------------------------------------------------------------------------------------------------


def from_image(frame: Frame, hollows: str) -> Configuration:
    """Return the configuration of an image (H, W): sites by their lattice, species by the height of the site's motif.

    hollows: 'yes', 'no' or 'auto': whether adatoms sit in the middle of the cells ('auto': where their heights fall in
    two groups). Raises `BadInput` where there is no lattice, or where all sites are alike.
    """
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    image = np.asarray(frame.data, float)
    image = Levelling(order=1, lines="none", scars=False)(np.where(np.isfinite(image), image, np.nanmedian(image)))
    nodes = find_nodes(image)
    width = _width(image, nodes)
    middle = _between(nodes) if hollows != "no" else None
    heights = _heights(np.asarray(image, float), nodes, middle, width)
    first = _species(heights[: len(nodes)], ("high", "low"), nodes, pixel)
    if first is None:
        raise BadInput("All sites of the image are alike: energies need two species that differ in height.")
    layers, offset = [first], np.zeros(2)
    if middle is not None:
        second = _species(heights[len(nodes) :], ("adatom", "empty"), middle, pixel)
        if second is None and hollows == "yes":
            raise BadInput("All hollows of the image are alike: energies need some with an adatom and some without.")
        if second is not None:
            layers.append(second)
            offset = np.array([0.5, 0.5])
    return Configuration(nodes.cell * pixel, tuple(layers), offset)


def _between(nodes: Nodes) -> Nodes:
    """Return the middles of the cells whose four corners are nodes."""
    place = {(int(u), int(v)): number for number, (u, v) in enumerate(nodes.index)}
    index, middles = [], []
    for (u, v), number in place.items():
        corners = [place.get((u + du, v + dv)) for du, dv in ((0, 0), (1, 0), (0, 1), (1, 1))]
        if None not in corners:
            index.append((u, v))
            middles.append(nodes.place[[number, *[one for one in corners[1:] if one is not None]]].mean(axis=0))
    return Nodes(np.array(index, np.intp).reshape(-1, 2), np.array(middles).reshape(-1, 2), nodes.cell)


def _width(image: NDArray[np.floating], nodes: Nodes) -> float:
    """Return the 1-sigma (px) of the spots: of the motif that all cells share, about its middle."""
    from scipy.ndimage import map_coordinates

    reach = 0.45 * nodes.spacing_px
    grid = np.linspace(-reach, reach, 13)
    offsets = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    chosen = nodes.place[:: max(1, len(nodes) // 1500)]
    at = (chosen[:, None] + offsets).transpose(2, 0, 1)
    motif = map_coordinates(np.asarray(image, float), at, order=1, mode="nearest").mean(axis=0)
    away = np.sum(offsets**2, axis=1)
    inner = away < (0.8 * reach) ** 2
    best = min(
        np.linspace(0.15, 0.4, 26), key=lambda share: _misfit(motif[inner], away[inner], share * nodes.spacing_px)
    )
    return float(best * nodes.spacing_px)


def _misfit(motif: Array, away: Array, sigma: float) -> float:
    terms = np.stack([np.exp(-0.5 * away / sigma**2), np.ones(len(away))], axis=1)
    return float(np.sum((motif - terms @ np.linalg.lstsq(terms, motif, rcond=None)[0]) ** 2))


def _heights(image: Array, nodes: Nodes, middle: Nodes | None, sigma: float) -> Array:
    """Return the heights of all spots, fitted together with a slowly varying ground."""
    from scipy.ndimage import gaussian_filter, map_coordinates
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import cg
    from scipy.spatial import cKDTree

    ground = gaussian_filter(image, 4 * nodes.spacing_px, mode="reflect")
    place = nodes.place if middle is None else np.concatenate([nodes.place, middle.place])
    seen = gaussian_filter(image - ground, sigma, mode="reflect") * (4 * np.pi * sigma**2) / 2
    told = map_coordinates(seen, place.T, order=3, mode="nearest")
    pairs = cKDTree(place).query_pairs(5.5 * sigma, output_type="ndarray")
    away = np.sum((place[pairs[:, 0]] - place[pairs[:, 1]]) ** 2, axis=1)
    overlap = np.pi * sigma**2 * np.exp(-away / (4 * sigma**2))
    own = np.full(len(place), np.pi * sigma**2 * 1.02)
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], np.arange(len(place))])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0], np.arange(len(place))])
    matrix = csr_array((np.concatenate([overlap, overlap, own]), (rows, columns)), shape=(len(place),) * 2)
    found, _ = cg(matrix, told, rtol=1e-4, maxiter=200)
    return np.asarray(found)


def _species(heights: Array, names: tuple[str, str], nodes: Nodes, pixel_nm: float) -> Layer | None:
    """Return the layer of two species by a mixture of two normal distributions; ``None`` where one explains all."""
    low, high = np.quantile(heights, [0.2, 0.8])
    mean, sigma, share = np.array([low, high]), np.full(2, max(heights.std() / 2, 1e-12)), np.array([0.5, 0.5])
    density = np.zeros((len(heights), 2))
    for _ in range(_ROUNDS):
        density = _density(heights, mean, sigma)
        weight = share * np.exp(density - density.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        number = weight.sum(axis=0) + 1e-9
        mean = heights @ weight / number
        both = float(np.sum(weight * (heights[:, None] - mean) ** 2) / len(heights))
        sigma, share = np.full(2, np.sqrt(max(both, 1e-24))), number / len(heights)
    density = _density(heights, mean, sigma)
    two = np.sum(np.logaddexp(*(density + np.log(share)).T))
    one = np.sum(_density(heights, np.array([heights.mean()]), np.array([heights.std()])))
    if two - one < _TWO * np.log(len(heights)) or min(number) < _FEWEST:
        return None
    order = np.argsort(mean)
    evidence = density[:, order]
    evidence = evidence - evidence.max(axis=1, keepdims=True)
    return Layer(nodes.index, nodes.place * pixel_nm, np.maximum(evidence, np.log(_ERRORS[0])), names)


def _density(heights: Array, mean: Array, sigma: Array) -> Array:
    return np.asarray(-0.5 * ((heights[:, None] - mean) / sigma) ** 2 - np.log(sigma))
