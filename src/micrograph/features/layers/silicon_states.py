"""How each silicon in graphene is bonded: the image around it against five relaxed structures.

A light atom beside a bright one is easily missed, and one atom more or less changes every ring around it. So the state
is not read off the graph: each structure, in every direction that the lattice allows, is drawn with the frame's own
profile of an atom, and the noise of the frame says how probable the image is under it. The rings are then those of the
graph in which the likeliest structure stands in for the atoms next to the silicon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag
from micrograph.features.layers.graph import CUTOFFS_NM, neighbours, with_likely_bonds
from micrograph.features.layers.rings import rings
from micrograph.features.layers.sheet import A_NM, Sheet
from micrograph.features.layers.silicon_templates import STATES, templates

Array = NDArray[np.float64]


def _column(state: str) -> str:
    return "p_" + state.replace("-", "")


#: Columns of the chances of the states, in the order of `STATES`.
P_COLUMNS = tuple(_column(state) for state in STATES)
#: What the table 'silicon' promises.
SILICON = (
    Column("frame", "", "number of the frame"),
    Column("y_nm", "nm", "row position from the centre of pixel (0, 0)", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position from the centre of pixel (0, 0)", sigma="x_sigma_nm"),
    Column("y_sigma_nm", "nm", "1-sigma of y_nm"),
    Column("x_sigma_nm", "nm", "1-sigma of x_nm"),
    Column("class", "", "likeliest state by this frame alone"),
    Column("score", "", "chance of that state"),
    *(Column(name, "", f"chance of state {state}") for name, state in zip(P_COLUMNS, STATES, strict=True)),
    Column("rings", "", "sizes of the rings around it, ascending; larger than 8 are no rings"),
    Column("misfit", "", "mean squared residual over the variance of the noise, 1 where a structure fits"),
    Column("flags", "", "doubts, see the conventions"),
)

#: Pixels up to this distance are compared; widths of the Gaussians whose sum is an atom's profile.
REACH_NM, WIDTHS_NM = 0.30, (0.03, 0.05, 0.08, 0.13)
#: Chance that the image is of none of the structures, shared among all; largest ring that counts.
ELSE_P, LARGEST_RING = 1e-3, 8
#: Steps by which a structure is moved for the best fit; a fit worse than this is in doubt.
_MOVE_NM, _MISFIT = 0.015, 2.0
#: Pixels are so many times finer where the profile of an atom is measured: atoms lie on the fine grid.
_FINE = 3


def silicon_states(image: NDArray[np.floating], pixel_nm: float, sheet: Sheet) -> pd.DataFrame:
    """Return the table `SILICON` of one frame (H, W): every silicon of the sheet with its state.

    Where there is no lattice, or nothing but silicon, all states are alike and the row is flagged.
    """
    table = sheet.table
    silicon = np.flatnonzero(table["class"].to_numpy(str) == "Si")
    found = table.iloc[silicon][["frame", "y_nm", "x_nm", "y_sigma_nm", "x_sigma_nm", "flags"]]
    answers = [_Answer.unknown() for _ in silicon]
    lattice = sheet.crystal.measured
    if lattice is not None and len(silicon):
        look = _Look.at(np.asarray(image, dtype=np.float64), pixel_nm, table)
        turn = float(np.arctan2(lattice.cell[0, 0], lattice.cell[0, 1]))
        scale = float(np.sqrt(abs(np.linalg.det(lattice.cell)) * 2 / np.sqrt(3))) / A_NM
        places = _poses(turn, scale)
        answers = [_answer(look, places, table[["y_nm", "x_nm"]].to_numpy(float)[row]) for row in silicon]
    ring = [_rings(table, int(row), answer) for row, answer in zip(silicon, answers, strict=True)]
    p = np.array([answer.p for answer in answers]).reshape(-1, len(STATES))
    doubt = np.array([answer.doubt for answer in answers], dtype=np.int64).reshape(-1)
    near = _to_border(found[["y_nm", "x_nm"]].to_numpy(float), image.shape, pixel_nm) < REACH_NM
    flags = found["flags"].to_numpy(np.int64) | doubt | np.where(near, int(Flag.EDGE), 0)
    found = found.assign(
        score=p.max(axis=1, initial=0.0),
        rings=pd.Series(ring, index=found.index, dtype=str),
        misfit=np.array([answer.misfit for answer in answers], dtype=float),
        flags=flags,
        **{"class": pd.Series(np.array(STATES)[p.argmax(axis=1)], index=found.index, dtype=str)},
        **{name: p[:, number] for number, name in enumerate(P_COLUMNS)},
    )
    return found[[column.name for column in SILICON]].reset_index(drop=True)


def _to_border(place: Array, shape: tuple[int, ...], pixel_nm: float) -> Array:
    high = (np.array(shape) - 1) * pixel_nm
    return np.asarray(np.minimum(place, high - place).min(axis=1, initial=np.inf))


@dataclass(frozen=True)
class _Answer:
    """Chances (S,) of the states, how well the best one fits, and its silicon (2,) and carbon (N, 2) in the image."""

    p: Array
    misfit: float
    doubt: int
    state: str
    place: Array
    carbon: Array

    @classmethod
    def unknown(cls) -> _Answer:
        count = len(STATES)
        return cls(np.full(count, 1 / count), np.nan, int(Flag.NO_FIT), "", np.zeros(2), np.zeros((0, 2)))


def _poses(turn: float, scale: float) -> dict[str, Array]:
    """Return for every state the places (12, N, 2) of the carbon atoms in the directions that the lattice allows."""
    angles = turn + np.radians(np.arange(6) * 60.0)
    found = {}
    for state, place in templates().items():
        both = [place * scale, place * scale * [1, -1]]
        turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
        found[state] = np.stack([one @ turn for one in both for turn in turns])
    return found


@dataclass(frozen=True)
class _Look:
    """A frame, the heights (K,) of the Gaussians of a carbon atom, the ground, and the noise ``g0 + g1 * signal``."""

    image: Array
    pixel_nm: float
    heights: Array
    noise: tuple[float, float]

    @classmethod
    def at(cls, image: Array, pixel_nm: float, table: pd.DataFrame) -> _Look:
        """Measure the profile of an atom, and the noise, over the whole frame."""
        from scipy.ndimage import gaussian_filter
        from scipy.optimize import nnls

        weight = np.where(table["class"].to_numpy(str) == "Si", 0.0, 1.0)
        usual = float(np.median(table["intensity"][weight > 0])) if (weight > 0).any() else 1.0
        share = np.where(weight > 0, 1.0, table["intensity"].to_numpy(float) / usual)
        place = np.rint(table[["y_nm", "x_nm"]].to_numpy(float) / pixel_nm * _FINE).astype(int)
        spots = _strewn(image.shape, place, share)
        parts = [_binned(gaussian_filter(spots, _FINE * width / pixel_nm)) for width in WIDTHS_NM]
        known = np.isfinite(image)
        design = np.column_stack([part[known] for part in parts] + [np.ones(int(known.sum()))])
        normal = design.T @ design
        heights, _ = nnls(normal, design.T @ image[known])
        model = (design @ heights).clip(min=0)
        square = (image[known] - model) ** 2
        noise, _ = nnls(np.column_stack([np.ones(len(model)), model]), square)
        peaks = heights[:-1] * pixel_nm**2 / (2 * np.pi * np.square(WIDTHS_NM))
        return cls(np.where(known, image, np.nan), pixel_nm, peaks, (float(noise[0]), float(noise[1])))

    def drawn(self, y: Array, x: Array, places: Array) -> Array:
        """Return carbon atoms at `places` (P, N, 2) on the grid of rows y (H,) and columns x (W,), as (P, H, W)."""
        found = np.zeros((len(places), len(y), len(x)))
        for height, width in zip(self.heights, WIDTHS_NM, strict=True):
            if height > 0:
                down = np.exp(-((y - places[..., 0, None]) ** 2) / (2 * width**2))
                across = np.exp(-((x - places[..., 1, None]) ** 2) / (2 * width**2))
                found += height * np.matmul(down.transpose(0, 2, 1), across)
        return found


def _strewn(shape: tuple[int, ...], place: NDArray[np.intp], share: Array) -> Array:
    """Return an image `_FINE` times as fine with the given shares at places counted in its pixels."""
    fine = np.zeros((_FINE * shape[0], _FINE * shape[1]))
    y, x = (np.clip(place[:, axis] + _FINE // 2, 0, fine.shape[axis] - 1) for axis in (0, 1))
    np.add.at(fine, (y, x), share)
    return fine


def _binned(fine: Array) -> Array:
    height, width = fine.shape
    return np.asarray(fine.reshape(height // _FINE, _FINE, width // _FINE, _FINE).sum(axis=(1, 3)))


def _answer(look: _Look, poses: dict[str, Array], place: Array) -> _Answer:
    """Return what the image around `place` (y, x) says of the states."""
    patch = _Patch.around(look, place)
    if patch is None:
        return _Answer.unknown()
    moves = _MOVE_NM * np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 2)
    cost, best, middle = [], [], []
    for state in STATES:
        first = patch.misfits(look, np.zeros((1, 2)), poses[state])
        pose = poses[state][int(first.argmin())]
        moved = patch.misfits(look, moves, pose[None] + moves[:, None])
        cost.append(float(moved.min()))
        best.append(pose + moves[int(moved.argmin())])
        middle.append(moves[int(moved.argmin())])
    least, pixels = min(cost), len(patch.value)
    heat = max(least / max(pixels - 2, 1), 1.0)
    p = np.exp(-(np.array(cost) - least) / (2 * heat))
    p = (1 - ELSE_P) * p / p.sum() + ELSE_P / len(STATES)
    chosen = int(np.argmin(cost))
    doubt = int(Flag.LOW_CONFIDENCE) if least / max(pixels - 2, 1) > _MISFIT else 0
    return _Answer(p, least / max(pixels - 2, 1), doubt, STATES[chosen], middle[chosen] + place, best[chosen] + place)


@dataclass(frozen=True)
class _Patch:
    """Pixels within `REACH_NM` of a place: rows (H,) and columns (W,) in nm from it, mask (H, W), values, variances."""

    y: Array
    x: Array
    inside: NDArray[np.bool_]
    value: Array
    variance: Array

    @classmethod
    def around(cls, look: _Look, place: Array) -> _Patch | None:
        from scipy.ndimage import gaussian_filter

        low = np.maximum(np.ceil((place - REACH_NM) / look.pixel_nm).astype(int), 0)
        high = np.minimum(np.floor((place + REACH_NM) / look.pixel_nm).astype(int) + 1, look.image.shape)
        if (high - low < 4).any():
            return None
        cut = look.image[low[0] : high[0], low[1] : high[1]]
        y, x = (np.arange(low[axis], high[axis]) * look.pixel_nm - place[axis] for axis in (0, 1))
        inside = (np.hypot(y[:, None], x) <= REACH_NM) & np.isfinite(cut)
        smooth = gaussian_filter(np.nan_to_num(cut), 0.05 / look.pixel_nm)
        least = 0.05 * float(np.nanmax(smooth))
        variance = look.noise[0] + look.noise[1] * np.maximum(smooth, least)
        return cls(y, x, inside, cut[inside], np.maximum(variance[inside], 1e-30))

    def misfits(self, look: _Look, silicon: Array, carbon: Array) -> Array:
        """Return chi-squared (P,) for silicon at (P or 1, 2) and carbon at (P, N, 2), both from the patch's centre.

        The brightness of the silicon and the ground are free.
        """
        drawn = look.drawn(self.y, self.x, carbon)[:, self.inside]
        bright = look.drawn(self.y, self.x, silicon[:, None])[:, self.inside]
        root = 1 / np.sqrt(self.variance)
        rest = (self.value - drawn) * root
        first, second = np.broadcast_to(bright * root, rest.shape), np.broadcast_to(root, rest.shape)
        a, b, c = (first**2).sum(1), (first * second).sum(1), (second**2).sum(1)
        u, v = (first * rest).sum(1), (second * rest).sum(1)
        gained = (c * u**2 - 2 * b * u * v + a * v**2) / np.maximum(a * c - b**2, 1e-30)
        return np.asarray((rest**2).sum(axis=1) - gained)


def _rings(table: pd.DataFrame, row: int, answer: _Answer) -> str:
    """Return the sizes of the rings around a silicon whose neighbours are those of its structure."""
    place = table[["y_nm", "x_nm"]].to_numpy(float)
    near = np.flatnonzero(np.hypot(*(place - place[row]).T) < 1.2)
    place, label = place[near], table["class"].to_numpy(str)[near]
    own = int(np.flatnonzero(near == row)[0])
    if answer.state:
        carbon = answer.carbon[np.hypot(*(answer.carbon - answer.place).T) < REACH_NM]
        gap = np.hypot(*(place[:, None] - carbon).transpose(2, 0, 1)).min(axis=1)
        replaced = (label == "C") & ((gap < 0.09) | (np.hypot(*(place - place[own]).T) < 0.22))
        place[own] = answer.place
        own -= int(replaced[:own].sum())
        place = np.concatenate([place[~replaced], carbon])
        label = np.concatenate([label[~replaced], np.full(len(carbon), "C")])
    graph = with_likely_bonds(neighbours(place[:, 0], place[:, 1], CUTOFFS_NM, label), place[:, 0], place[:, 1])
    found = rings(graph, place[:, 0], place[:, 1])
    size = found.size[np.unique(found.ring_of[found.atoms == own])]
    return "-".join(map(str, sorted(size[size <= LARGEST_RING].tolist())))
