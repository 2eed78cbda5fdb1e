"""The nodes of a lattice in an image of a surface, bent by drift and creep as it may be: geometric phases.

The cell comes from the image's strongest waves; the phase of each of its two waves, averaged over a few cells, says
where the nodes lie all over the image (Hytch et al., doi:10.1016/S0304-3991(98)00035-7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.features.bravais import reduction
from micrograph.features.window_lattice import Taper, fit_windows

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Fewest cells along each side, evidence from which there is a lattice, and pixels of a cell that are looked at.
_FEWEST_CELLS, _EVIDENCE, _FINEST_PX = 5.0, 12.0, 3.0
#: 1-sigma (in cells) over which phases are averaged.
_SMOOTH = 1.6
#: Pixels a side of the windows in which the cell is sought.
_WINDOW_PX = 160


@dataclass(frozen=True)
class Nodes:
    """Nodes of a lattice: index (N, 2) in cells, place (N, 2) [y, x] in px; cell (2, 2) in px, rows a and b."""

    index: Index
    place: Array
    cell: Array

    def __len__(self) -> int:
        """Number of nodes."""
        return len(self.index)

    @property
    def spacing_px(self) -> float:
        """Shortest distance between nodes."""
        a, b = self.cell
        return float(min(np.hypot(*a), np.hypot(*b), np.hypot(*(a + b)), np.hypot(*(a - b))))


def find_cell(image: Array) -> tuple[Array, float] | None:
    """Return the cell (2, 2) px of the lattice of an image and the evidence for it; ``None`` where there is none."""
    number = 1
    best: tuple[Array, float] | None = None
    while min(image.shape) // number >= 24:
        small = image[: image.shape[0] // number * number, : image.shape[1] // number * number]
        small = small.reshape(small.shape[0] // number, number, -1, number).mean(axis=(1, 3))
        side = min(_WINDOW_PX, *small.shape) // 2 * 2
        starts = {((size - side) * part) // 2 for size in [min(small.shape)] for part in (0, 1, 2)}
        windows = np.stack([small[s : s + side, s : s + side] for s in sorted(starts)])
        for found in fit_windows(windows, Taper(side)):
            if found.peaks >= 2 and (best is None or found.evidence > best[1]):
                best = found.cell[0] * number, float(found.evidence)
        number *= 2
        if best is not None and min(image.shape) // number < 48:
            break
    return best


def find_nodes(image: NDArray[np.floating], margin: float = 0.5, cell_px: Array | None = None) -> Nodes:
    """Return the nodes of the lattice of bright places in an image (H, W), those `margin` cells inside the border.

    Raises `BadInput`, in one sentence, where the image holds no lattice, or too few cells of one.
    """
    values = np.asarray(image, float)
    values = values - values.mean()
    if cell_px is None:
        found = find_cell(values)
        if found is None or found[1] < _EVIDENCE:
            raise BadInput(
                "The image shows no lattice: this recipe needs an image of many sites in rows, at least five along "
                "each side."
            )
        cell_px = found[0]
    cell = _reduced(cell_px)
    spacing = float(np.hypot(*cell.T).min())
    if spacing < _FINEST_PX or min(values.shape) < _FEWEST_CELLS * float(np.hypot(*cell.T).max()):
        raise BadInput(
            f"The lattice has a spacing of {spacing:.1f} px in an image of {values.shape[0]} x {values.shape[1]} px: "
            "this recipe needs 3 px a site and five sites along each side."
        )
    for _ in range(2):
        phases = _phases(values, cell)
        cell = _recelled(cell, phases, values.shape)
    return _placed(values, cell, _phases(values, cell), margin)


def _reduced(cell: Array) -> Array:
    """Return the shortest vectors of a lattice, a nearest to +x, b counter-clockwise of it on the screen."""
    a, b = reduction(cell) @ cell
    options = (a, -a, b, -b, a + b, -a - b, a - b, b - a)
    shortest = min(np.hypot(*vector) for vector in options)
    short = [vector for vector in options if np.hypot(*vector) < 1.12 * shortest]
    first = max(short, key=lambda vector: (round(vector[1] / np.hypot(*vector), 3), -vector[0]))
    rest = [vector for vector in options if abs(np.linalg.det(np.stack([first, vector]))) > 0.3 * shortest**2]
    upward = [vector for vector in rest if first[1] * -vector[0] + first[0] * vector[1] > 0]
    second = min(upward, key=lambda vector: (round(float(np.hypot(*vector)) / shortest, 1), -float(first @ vector)))
    return np.stack([first, second])


def _phases(values: Array, cell: Array) -> Array:
    """Return the smooth phases (2, H, W) of the waves of a cell, unwrapped from the middle outwards."""
    from scipy.ndimage import gaussian_filter

    waves = np.linalg.inv(cell).T
    y, x = (np.arange(size) for size in values.shape)
    sigma = _SMOOTH * float(np.hypot(*cell.T).mean())
    found = []
    for wave in waves:
        turned = values * np.exp(-2j * np.pi * (wave[0] * y[:, None] + wave[1] * x))
        smooth = gaussian_filter(turned.real, sigma, mode="nearest") + 1j * gaussian_filter(
            turned.imag, sigma, mode="nearest"
        )
        phase = np.angle(smooth)
        middle = np.unwrap(phase, axis=1)
        rows = np.unwrap(phase[:, phase.shape[1] // 2])
        found.append(middle + (rows - middle[:, phase.shape[1] // 2])[:, None])
    return np.stack(found)


def _recelled(cell: Array, phases: Array, shape: tuple[int, ...]) -> Array:
    """Return the cell with the mean slope of its phases in it."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    terms = np.stack([np.ones(y.size), y.ravel() - y.mean(), x.ravel() - x.mean()], axis=1)
    step = max(1, len(terms) // 4000)
    waves = np.linalg.inv(cell).T
    slopes = np.linalg.lstsq(terms[::step], phases.reshape(2, -1).T[::step], rcond=None)[0][1:].T / (2 * np.pi)
    return np.asarray(np.linalg.inv(waves + slopes).T)


def _placed(values: Array, cell: Array, phases: Array, margin: float) -> Nodes:
    """Return the nodes: where both phases are whole turns."""
    from scipy.ndimage import map_coordinates

    height, width = values.shape
    corners = np.array([[0, 0], [0, width], [height, 0], [height, width]], float) @ np.linalg.inv(cell)
    low, high = np.floor(corners.min(axis=0)).astype(int) - 2, np.ceil(corners.max(axis=0)).astype(int) + 2
    index = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1].reshape(2, -1).T
    place = index @ cell
    for _ in range(4):
        at = np.clip(place, 0, [height - 1, width - 1]).T
        turns = np.stack([map_coordinates(phase, at, order=1, mode="nearest") for phase in phases], axis=1)
        place = (index - turns / (2 * np.pi)) @ cell
    edge = margin * float(np.hypot(*cell.T).min())
    inside = ((place >= edge) & (place <= np.array([height - 1, width - 1]) - edge)).all(axis=1)
    return Nodes(index[inside], np.asarray(place[inside]), cell)


def neighbours_of(nodes: Nodes) -> Index:
    """Return the pairs (P, 2) of nodes that are neighbours: no farther apart than 1.3 times the shortest vector."""
    a, b = nodes.cell
    steps = [(1, 0), (0, 1), (1, 1), (1, -1)]
    near = [step for step in steps if np.hypot(*(step[0] * a + step[1] * b)) < 1.3 * nodes.spacing_px]
    place = {(int(u), int(v)): number for number, (u, v) in enumerate(nodes.index)}
    found = [
        (number, place[u + du, v + dv])
        for (u, v), number in place.items()
        for du, dv in near
        if (u + du, v + dv) in place
    ]
    return np.array(found, np.intp).reshape(-1, 2)
