"""How every silicon of a sheet of graphene is bonded: neighbours, rings around it, and one of five states.

A silicon on a zigzag edge has two neighbours that have three each; on an armchair edge one of the two is an edge atom
itself. In the sheet it has three or four neighbours; beside a topological defect its rings are not all hexagons
(doi:10.1002/adfm.201904480). A carbon close to a bright silicon is easily overlooked: where the bonds of a silicon
leave a wide gap, the image is asked, by a fit of all atoms around, whether there is one more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Prediction
from micrograph.features.graph import CUTOFFS_NM, Graph, neighbours, with_likely_bonds
from micrograph.features.refine import refine
from micrograph.features.rings import Rings, rings
from micrograph.features.sheet import Sheet

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: The five states of silicon, edges first.
STATES = ("zigzag", "armchair", "bulk-3", "bulk-4", "bulk-57")
#: Chances that a state (row) is named so (column) in one frame of 1e5 e/A^2, from simulated movies.
MISTAKES = (
    (0.984, 0.004, 0.004, 0.004, 0.004),
    (0.004, 0.984, 0.004, 0.004, 0.004),
    (0.003, 0.003, 0.985, 0.003, 0.006),
    (0.003, 0.003, 0.004, 0.980, 0.010),
    (0.004, 0.004, 0.008, 0.014, 0.970),
)
#: What the table 'silicon' promises.
SILICON = (
    Column("frame", "", "number of the frame"),
    Column("y_nm", "nm", "row position", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position", sigma="x_sigma_nm"),
    Column("y_sigma_nm", "nm", "1-sigma of y_nm"),
    Column("x_sigma_nm", "nm", "1-sigma of x_nm"),
    Column("class", "", "its state in this frame: zigzag, armchair, bulk-3, bulk-4, bulk-57"),
    Column("score", "", "probability of the state, from the bonds of this frame alone"),
    Column("neighbours", "", "atoms bonded to it"),
    Column("rings", "", "sizes of the rings around it, ascending ('5-7-7'); open ground is left out"),
    Column("flags", "", "doubts, see the conventions"),
)
#: A face of more atoms than this is open ground, not a ring.
MOST_IN_RING = 12
#: Silicon nearer to the border than this is not judged: its neighbours are cut off.
BORDER_NM = 0.25
#: Bonds that leave a wider gap than this may lack one; a missed carbon is sought at this distance in its middle.
_GAP_DEG, _SOUGHT_NM, _AROUND_NM = 150.0, 0.15, 0.55
#: Atoms so near to a silicon are placed anew with a carbon that was missed.
_MOVED_NM = 0.40
#: A missed carbon is at least so many times as bright as the usual one, and so many times its own error.
_LEAST_BRIGHT, _LEAST_SIGMAS = 0.4, 2.5
#: Distances to the silicon between which an added carbon is believed.
_NEAREST_NM, _FARTHEST_NM = 0.11, 0.20
#: Usual distance of second neighbours.
_SECOND_NM = 0.246


@dataclass(frozen=True)
class _Atoms:
    """Atoms of one frame (N,): place [y, x] and its covariance in nm, elements, the completed graph and its rings."""

    place: Array
    sigma_nm: Array
    label: NDArray[np.str_]
    graph: Graph
    rings: Rings

    @classmethod
    def of(cls, place: Array, sigma_nm: Array, label: NDArray[np.str_], to_border: Array) -> _Atoms:
        y, x = place.T
        graph = neighbours(y, x, CUTOFFS_NM, label, sigma_nm=sigma_nm)
        graph = with_likely_bonds(graph, y, x, np.where(to_border < 0.15, 0, 3))
        graph = graph.keep(~_closes_triangle(graph))
        return cls(place, sigma_nm, label, graph, rings(graph, y, x))

    def beside(self, atom: int) -> Index:
        """Return the neighbours of an atom."""
        pairs = self.graph.edges[(self.graph.edges == atom).any(axis=1)]
        return np.asarray(pairs.sum(axis=1) - atom, np.intp)


def read_silicon(prediction: Prediction, sheet: Sheet) -> pd.DataFrame:
    """Return the table `SILICON` of one frame: silicon further than `BORDER_NM` from the border."""
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    table = sheet.table
    atoms, to_border = _completed(prediction.frame.data, pixel, table)
    silicon = np.flatnonzero((table["class"].to_numpy(str) == "Si") & (to_border[: len(table)] > BORDER_NM))
    rows = [_described(atoms, int(row)) for row in silicon]
    found = table.iloc[silicon][["frame", "y_nm", "x_nm", "y_sigma_nm", "x_sigma_nm", "flags"]].reset_index(drop=True)
    found["class"] = pd.Series([state for state, _, _, _ in rows], dtype=str)
    found["score"] = np.array([score for _, score, _, _ in rows], dtype=float)
    found["neighbours"] = np.array([count for _, _, count, _ in rows], dtype=np.int64)
    found["rings"] = pd.Series([sizes for _, _, _, sizes in rows], dtype=str)
    return found[[column.name for column in SILICON]]


def _described(atoms: _Atoms, silicon: int) -> tuple[str, float, int, str]:
    """Return state, its probability, number of neighbours and sizes of the rings of one silicon."""
    beside = atoms.beside(silicon)
    around = np.unique(atoms.rings.ring_of[atoms.rings.atoms == silicon])
    sizes = np.sort(atoms.rings.size[around])
    sizes = sizes[sizes <= MOST_IN_RING]
    state, typical = _state(len(beside), sizes, atoms.graph.degree[beside])
    bonds, misses = ((pairs == silicon).any(axis=1) for pairs in (atoms.graph.edges, atoms.graph.near))
    sure = float(atoms.graph.p[bonds].prod() * (1 - atoms.graph.near_p[misses]).prod())
    score = (0.98 if typical else 0.7) * (0.5 + 0.5 * sure)
    return state, score, len(beside), "-".join(map(str, sizes.tolist()))


def _state(count: int, sizes: Index, degrees: Index) -> tuple[str, bool]:
    """Return the state of a silicon with `count` neighbours of these `degrees`, and whether it looks as it should."""
    if count <= 2 and len(sizes) <= 1:
        edge = "armchair" if (degrees <= 2).any() else "zigzag"
        return edge, count == 2 and sizes.tolist() == [6]
    if count >= 4 and np.isin(sizes, (5, 6)).all():
        return "bulk-4", sizes.tolist() == [5, 5, 6, 6]
    if (sizes == 6).all():
        return "bulk-3", len(sizes) == 3
    return "bulk-57", sizes.tolist() == [5, 7, 7]


def _completed(image: NDArray[np.float32], pixel_nm: float, table: pd.DataFrame) -> tuple[_Atoms, Array]:
    """Return all atoms, carbon that was overlooked beside silicon included, and their distances to the border."""
    place = table[["y_nm", "x_nm"]].to_numpy(float)
    sigma = np.maximum(table[["y_sigma_nm", "x_sigma_nm"]].to_numpy(float), 1e-4)
    label = table["class"].to_numpy(str)
    usual = float(table.loc[label == "C", "intensity"].median()) if (label == "C").any() else np.inf
    high = (np.array(image.shape) - 1) * pixel_nm

    def border(points: Array) -> Array:
        return np.asarray(np.minimum(points, high - points).min(axis=1, initial=np.inf))

    atoms = _Atoms.of(place, sigma, label, border(place))
    for row in np.flatnonzero((label == "Si") & (border(place) > BORDER_NM)):
        place, sigma = _with_overlooked(image, pixel_nm, atoms, int(row), usual)
        if len(place) > len(atoms.place):
            atoms = _Atoms.of(place, sigma, np.append(atoms.label, "C"), border(place))
    return atoms, border(atoms.place)


def _with_overlooked(
    image: NDArray[np.float32], pixel_nm: float, atoms: _Atoms, silicon: int, usual: float
) -> tuple[Array, Array]:
    """Return places and 1-sigma (nm) of all atoms, and of a carbon in the widest gap between a silicon's bonds, if any.

    The places of the atoms nearby were found without it, and are found again.
    """
    centre, unchanged = atoms.place[silicon], (atoms.place, atoms.sigma_nm)
    guess = _middle_of_gap(atoms.place - centre)
    if guess is None:
        return unchanged
    low = np.maximum(np.rint((centre - _AROUND_NM) / pixel_nm).astype(int), 0)
    size = round(2 * _AROUND_NM / pixel_nm)
    crop = image[low[0] : low[0] + size, low[1] : low[1] + size]
    points = np.concatenate([centre + _made_room(atoms.place - centre, guess), (centre + guess)[None]]) / pixel_nm - low
    inside = np.flatnonzero(((points > -0.5) & (points < np.array(crop.shape) - 0.5)).all(axis=1))
    fit = refine(crop, points[inside, 0], points[inside, 1])
    found = (np.column_stack([fit.y_px, fit.x_px]) + low) * pixel_nm
    bright = fit.amplitude[-1] > max(_LEAST_BRIGHT * usual, _LEAST_SIGMAS * fit.amplitude_sigma[-1])
    if not (fit.ok[-1] and bright and _NEAREST_NM < np.hypot(*(found[-1] - centre)) < _FARTHEST_NM):
        return unchanged
    place, sigma = np.append(atoms.place, found[-1:], axis=0), np.append(atoms.sigma_nm, np.ones((1, 2)), axis=0)
    again = fit.ok & (np.hypot(*(found - centre).T) < _MOVED_NM)
    place[inside[again]] = found[again]
    spread = np.sqrt(np.einsum("kii->ki", fit.covariance_px2[again])) * pixel_nm
    sigma[inside[again]] = np.maximum(spread, 1e-4)
    return place, sigma


def _made_room(step: Array, guess: Array) -> Array:
    """Return `step` (N, 2) from a silicon, atoms behind `guess` moved out: light of a missed carbon drew them in."""
    distance = np.maximum(np.hypot(*step.T), 1e-9)
    behind = (step @ guess > 0.5 * distance * np.hypot(*guess)) & (distance > 0.17) & (distance < _SECOND_NM)
    return np.where(behind[:, None], step * (_SECOND_NM / distance)[:, None], step)


def _middle_of_gap(step: Array) -> Array | None:
    """Return where (y, x) a missed neighbour of the atom at (0, 0) is sought; others are at `step` (N, 2)."""
    distance = np.hypot(*step.T)
    near = (distance > 0) & (distance < _FARTHEST_NM)
    if not 1 < near.sum() < 4:
        return None
    angle = np.sort(np.arctan2(step[near, 0], step[near, 1]))
    gaps = np.diff(np.append(angle, angle[0] + 2 * np.pi))
    if np.degrees(gaps.max()) < _GAP_DEG:
        return None
    middle = angle[gaps.argmax()] + gaps.max() / 2
    return np.asarray(_SOUGHT_NM * np.array([np.sin(middle), np.cos(middle)]))


def _closes_triangle(graph: Graph) -> NDArray[np.bool_]:
    """Return which bonds (E,) are the longest side of a triangle of bonds: atoms so near are second neighbours."""
    longest = np.zeros(len(graph.edges), dtype=bool)
    beside: list[dict[int, int]] = [{} for _ in range(graph.size)]
    for row, (i, j) in enumerate(graph.edges.tolist()):
        beside[i][j] = beside[j][i] = row
    for row, (i, j) in enumerate(graph.edges.tolist()):
        for third in beside[i].keys() & beside[j].keys():
            sides = [row, beside[i][third], beside[j][third]]
            longest[sides[int(np.argmax(graph.length_nm[sides]))]] = True
    return longest
