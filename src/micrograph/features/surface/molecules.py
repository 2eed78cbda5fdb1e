"""Which state each molecule of a lattice is in, what its neighbours have to do with it, and how far order reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Column, Flag, Frame
from micrograph.features.levelling import Levelling
from micrograph.features.surface.inversion import FieldFit, FitSettings, fit_field
from micrograph.features.surface.molecule_shapes import Shapes, Turns, bright_angles, learn_shapes, refined, rings_of
from micrograph.features.surface.nodes import Nodes, find_nodes, neighbours_of
from micrograph.features.surface.order import alike, domains_of, morans, shells_pairs
from micrograph.structures.molecule_states import MoleculeModel

Array = NDArray[np.float64]
Index = NDArray[np.intp]

POLARITY = ("up", "down")
MOLECULES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the molecule"),
    Column("y_nm", "nm", "row position of its node", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position of its node", sigma="x_sigma_nm"),
    Column("u", "", "cell along a"),
    Column("v", "", "cell along b"),
    Column("class", "", "likeliest state: polarity and rotation"),
    Column("score", "", "probability of the class, given the molecule and its neighbours"),
    Column("polarity", "", "up: bowl opens to the tip, dim middle; down: bright middle"),
    Column("p_up", "", "probability that it is up"),
    Column("rotation", "", "number of the rotation, from that nearest to the lattice vector a, counter-clockwise"),
    Column("p_rotation", "", "probability of the rotation"),
    Column("rotation_deg", "degree", "direction of its brightest corner, counter-clockwise on the screen from +x"),
    Column("alone", "", "likeliest state by the molecule alone"),
    Column("p_alone", "", "probability of that state by the molecule alone"),
    Column("domain", "", "number of its domain: neighbours turned alike; -1 for a molecule that stands alone"),
    Column("flags", "", "doubts, see the conventions"),
)
CORRELATIONS = (
    Column("frame", "", "number of the frame"),
    Column("name", "", "polarity or rotation"),
    Column("shell", "", "shell of neighbours"),
    Column("distance_nm", "nm", "distance of the pairs"),
    Column(
        "correlation", "", "how much oftener pairs are alike than by chance: 1 always, 0 by chance", "correlation_sigma"
    ),
    Column("correlation_low", "", "lower end of its 95 % interval"),
    Column("correlation_high", "", "upper end of its 95 % interval"),
)
SEEN = (
    Column("count", "", "molecules in the frame"),
    Column("a_nm", "nm", "length of a"),
    Column("b_nm", "nm", "length of b"),
    Column("gamma_deg", "degree", "angle between a and b"),
    Column("share_down", "", "share of molecules that are down", sigma="share_down_sigma"),
    Column("coupling", "", "what neighbours turned alike gain, over kT", sigma="coupling_sigma"),
    Column("coupling_low", "", "lower end of its 95 % profile interval"),
    Column("coupling_high", "", "upper end of its 95 % profile interval"),
    Column("temperature", "", "kT over that coupling", sigma="temperature_sigma"),
    Column("polar_coupling", "", "what neighbours of unlike polarity cost, over kT", sigma="polar_coupling_sigma"),
    Column("moran_polarity", "", "Moran's I of the polarity"),
    Column("p_moran_polarity", "", "chance of a value as far from 0 if molecules changed places at random"),
    Column("moran_rotation", "", "Moran's I of the rotation, mean over rotations"),
    Column("p_moran_rotation", "", "chance of a value as large if molecules changed places at random"),
    Column("domains", "", "domains of neighbours turned alike, of three molecules or more"),
    Column("domain_molecules", "", "molecules of a domain, the mean seen from a molecule"),
    Column("apart_rotation", "", "how many 1-sigma of the noise one rotation is from the next"),
    Column("apart_polarity", "", "how many 1-sigma of the noise up is from down"),
)
TEMPLATES = (
    Column("frame", "", "number of the frame"),
    Column("polarity", "", "up or down"),
    Column("y", "", "place over the spacing, row"),
    Column("x", "", "place over the spacing, column"),
    Column("height", "", "height of the learned shape at rotation 0, in the image's units"),
)
#: How sure (0: not at all, 1) molecules by themselves are of their rotation where there is one to tell, the mean;
#: probability below which one is doubted.
_TOLD, _SURE = 0.35, 0.7
#: Fewest molecules, shells of the correlations.
_FEWEST, _SHELLS = 60, 6


@dataclass(frozen=True)
class MoleculeSettings:
    """How to look.

    symmetry: of the molecule's axis (3: three-fold); rotations: how many ways it is turned within one such turn;
    polarities: 2 where some are up and some down, 1 where all are alike; neighbours: whether neighbours count.
    """

    symmetry: int = 3
    rotations: int = 4
    polarities: int = 2
    neighbours: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if not (1 <= self.symmetry <= 12 and 2 <= self.rotations <= 12 and self.polarities in (1, 2)):
            raise BadInput(
                f"symmetry is {self.symmetry}, rotations {self.rotations}, polarities {self.polarities}: they lie in "
                "1..12, 2..12 and 1..2."
            )

    @property
    def turns(self) -> Turns:
        """Axis and rotations."""
        return Turns(self.symmetry, self.rotations)


@dataclass(frozen=True)
class States:
    """A frame's molecules: nodes, pairs of neighbours, shapes, what was fitted; `angles` (P, K) of their corners."""

    nodes: Nodes
    pairs: Index
    shapes: Shapes
    fit: FieldFit | None
    model: MoleculeModel
    posterior: Array
    alone: Array
    angles: Array
    image: NDArray[np.float32]


def find_states(frame: Frame, settings: MoleculeSettings) -> States:
    """Return the states of the molecules of a frame; raises `BadInput` where there is no lattice of molecules."""
    image = np.asarray(frame.data, float)
    image = np.where(np.isfinite(image), image, np.nanmedian(image))
    level = Levelling(order=1, lines="median", scars=True)(image)
    nodes = find_nodes(level)
    if len(nodes) < _FEWEST:
        raise BadInput(
            f"The image holds {len(nodes)} molecules in rows: their states are told from {_FEWEST} at least."
        )
    turns, pairs = settings.turns, neighbours_of(nodes)
    rings = rings_of(level, nodes, turns)
    shapes = learn_shapes(rings, pairs, turns, settings.polarities)
    fit, model = None, MoleculeModel(settings.rotations, settings.polarities)
    if settings.neighbours:
        fit, shapes = _with_neighbours(rings, shapes, pairs, settings, frame.index)
    order, angles = _named(shapes, nodes, turns)
    shape = (len(nodes), settings.polarities, settings.rotations)
    alone = _softmax(shapes.evidence)
    posterior = alone if fit is None else fit.posterior.reshape(shape)
    posterior, alone = (np.stack([p[:, k, order[k]] for k in range(shape[1])], axis=1) for p in (posterior, alone))
    if fit is not None:
        fit = _renamed(fit, order, model)
    return States(nodes, pairs, shapes, fit, model, posterior, alone, angles, level)


def _with_neighbours(
    rings: Any, shapes: Shapes, pairs: Index, settings: MoleculeSettings, number: int
) -> tuple[FieldFit, Shapes]:
    """Return the field that was fitted, and the shapes learned once more with what it knows."""
    rng = np.random.default_rng([settings.seed, number])
    model = MoleculeModel(settings.rotations, settings.polarities)
    shape = shapes.evidence.shape
    start = None
    for last in (False, True):
        turned = _matched(shapes, pairs)
        evidence = turned.evidence.reshape(len(rings), -1)
        near = pairs[turned.present[pairs].all(axis=1)]
        effort = FitSettings(replicas=16, rounds=8, sweeps=9, last=90 if last else 24)
        fit = fit_field(model.between(len(rings), near), evidence, rng, effort, start)
        if last:
            return fit, turned
        start = fit.theta
        shapes = refined(rings, turned, fit.posterior.reshape(shape), settings.turns)
    raise AssertionError


def _matched(shapes: Shapes, pairs: Index) -> Shapes:
    """Return the shapes with the rotations of 'down' renumbered so that neighbours agree most with those of 'up'."""
    if shapes.evidence.shape[1] == 1:
        return shapes
    p = _softmax(shapes.evidence)
    one, other = pairs.T
    joint = np.einsum("nk,nl->kl", p[one, 0], p[other, 1]) + np.einsum("nk,nl->kl", p[other, 0], p[one, 1])
    count = joint.shape[0]
    agree = [sum(joint[k, (k + shift) % count] for k in range(count)) for shift in range(count)]
    return shapes.turned(1, int(np.argmax(agree)))


def _named(shapes: Shapes, nodes: Nodes, turns: Turns) -> tuple[list[Index], Array]:
    """Return for each polarity which state has rotation 0, 1, ..., and the direction (P, K) of its corner (degrees)."""
    a = nodes.cell[0]
    along = np.degrees(np.arctan2(-a[0], a[1]))
    full, step = 360.0 / turns.symmetry, turns.step_deg
    order, angles = [], []
    for zero in bright_angles(shapes, turns):
        own = (zero + step * np.arange(turns.rotations)) % full
        away = (own - along + step / 2) % full
        sequence = np.argsort(away)
        order.append(sequence)
        angles.append(own[sequence])
    return order, np.array(angles)


def _renamed(fit: FieldFit, order: list[Index], model: MoleculeModel) -> FieldFit:
    """Return the fit with its drawn states renumbered."""
    new = np.zeros(model.states, np.int8)
    for polarity, sequence in enumerate(order):
        for place, old in enumerate(sequence):
            new[polarity * model.rotations + old] = polarity * model.rotations + place
    return FieldFit(**{**vars(fit), "states": new[fit.states], "told": new[fit.told]})


def _softmax(logs: Array) -> Array:
    flat = logs.reshape(len(logs), -1)
    weight = np.exp(flat - flat.max(axis=1, keepdims=True))
    return np.asarray((weight / weight.sum(axis=1, keepdims=True)).reshape(logs.shape))


# --- tables ----------------------------------------------------------------------------------------------------------


def read_molecules(frame: Frame, settings: MoleculeSettings) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects', 'correlations', 'templates' and 'frames' of one frame."""
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    found = find_states(frame, settings)
    objects = _objects(frame.index, found, pixel)
    return {
        "objects": objects,
        "correlations": _correlations(frame.index, found, pixel),
        "templates": _shape_table(frame.index, found, settings.turns),
        "frames": pd.DataFrame([_frame_row(frame.index, found, objects, pixel, settings)]),
    }


def _objects(number: int, found: States, pixel: float) -> pd.DataFrame:
    count, polarities, rotations = found.posterior.shape
    flat, alone = (p.reshape(count, -1) for p in (found.posterior, found.alone))
    best, by_itself = flat.argmax(axis=1), alone.argmax(axis=1)
    names = np.array([f"{POLARITY[p]} {k}" for p in range(polarities) for k in range(rotations)])
    up, turn = found.posterior[:, 0].sum(axis=1), found.posterior.sum(axis=1)
    polarity, rotation = best // rotations, best % rotations
    score = flat[np.arange(count), best]
    flags = np.where(score < _SURE, int(Flag.LOW_CONFIDENCE), 0) | np.where(
        found.shapes.present, 0, int(Flag.NO_FIT | Flag.LOW_CONFIDENCE)
    )
    place = found.nodes.place * pixel
    sigma = 0.04 * found.nodes.spacing_px * pixel
    return pd.DataFrame(
        {
            "frame": number, "id": np.arange(count), "y_nm": place[:, 0], "y_sigma_nm": sigma, "x_nm": place[:, 1],
            "x_sigma_nm": sigma, "u": found.nodes.index[:, 0], "v": found.nodes.index[:, 1], "class": names[best],
            "score": score, "polarity": np.array(POLARITY)[polarity], "p_up": up, "rotation": rotation,
            "p_rotation": turn[np.arange(count), rotation], "rotation_deg": found.angles[polarity, rotation],
            "alone": names[by_itself], "p_alone": alone[np.arange(count), by_itself],
            "domain": domains_of(rotation, found.pairs), "flags": flags,
        }
    )  # fmt: skip


def _frame_row(
    number: int, found: States, objects: pd.DataFrame, pixel: float, settings: MoleculeSettings
) -> dict[str, Any]:
    a, b = found.nodes.cell * pixel
    lengths = float(np.hypot(*a)), float(np.hypot(*b))
    gamma = float(np.degrees(np.arccos(np.clip(a @ b / (lengths[0] * lengths[1]), -1, 1))))
    rng = np.random.default_rng([settings.seed, number, 1])
    down = 1 - objects["p_up"].to_numpy(float)
    doubt = float(np.sum(down * (1 - down))) + len(down) * float(down.mean() * (1 - down.mean()))
    polar = morans(down[:, None], found.pairs, rng)
    turn = morans(found.posterior.sum(axis=1), found.pairs, rng)
    sizes = objects.loc[objects["domain"] >= 0, "domain"].value_counts().to_numpy()
    large = sizes[sizes > 2]
    row: dict[str, Any] = {
        "frame": number, "count": int(found.shapes.present.sum()), "a_nm": lengths[0], "b_nm": lengths[1],
        "gamma_deg": gamma, "share_down": float(down.mean()), "share_down_sigma": np.sqrt(doubt) / len(down),
        **_couplings(found), "moran_polarity": polar[0], "p_moran_polarity": polar[1], "moran_rotation": turn[0],
        "p_moran_rotation": turn[1], "domains": len(large),
        "domain_molecules": float(np.sum(sizes**2) / len(objects)) if len(sizes) else 1.0,
        "apart_rotation": float(found.shapes.apart[0].min()), "apart_polarity": found.shapes.apart[1],
    }  # fmt: skip
    sure = (float(found.alone.sum(axis=1).max(axis=1).mean()) - 1 / settings.rotations) / (1 - 1 / settings.rotations)
    told = sure >= _TOLD
    row["domain_distance"] = float(_TOLD / max(sure, 1e-3))
    row["flags"] = int(Flag.OK if told else Flag.OUT_OF_DOMAIN)
    row["notes"] = "" if told else "The molecules look alike however they are turned: rotations cannot be told."
    return row


def _couplings(found: States) -> dict[str, float]:
    names = ("coupling", "temperature", "polar_coupling")
    row = dict.fromkeys([one for name in names for one in (name, f"{name}_sigma")], np.nan)
    row |= {"coupling_low": np.nan, "coupling_high": np.nan}
    if found.fit is None:
        return row
    value, sigma = float(found.fit.theta[-1]), float(found.fit.sigma[-1])
    row |= {"coupling": value, "coupling_sigma": sigma}
    row |= {"coupling_low": float(found.fit.low[-1]), "coupling_high": float(found.fit.high[-1])}
    if value > sigma:
        row |= {"temperature": 1 / value, "temperature_sigma": sigma / value**2}
    if found.model.polarities == 2:
        row |= {"polar_coupling": float(found.fit.theta[1]), "polar_coupling_sigma": float(found.fit.sigma[1])}
    return row


def _correlations(number: int, found: States, pixel: float) -> pd.DataFrame:
    """Return how order falls with distance: from states drawn with the labels, errors from those drawn without."""
    columns = [name for column in CORRELATIONS for name in (column.name, column.sigma) if name]
    if found.fit is None:
        return pd.DataFrame(columns=columns)
    rotations = found.model.rotations
    shells, distances = shells_pairs(found.nodes, _SHELLS)
    rows = []
    for name in ("polarity", "rotation")[2 - found.model.polarities :]:
        told, free = (
            states // rotations if name == "polarity" else states % rotations
            for states in (found.fit.told, found.fit.states)
        )
        for shell, (pairs, distance) in enumerate(zip(shells, distances, strict=True)):
            own, drawn = alike(told, pairs), alike(free, pairs)
            sigma = float(np.hypot(own.std(ddof=1), drawn.std(ddof=1)))
            value = float(own.mean())
            rows.append(
                {
                    "frame": number, "name": name, "shell": shell + 1, "distance_nm": distance * pixel,
                    "correlation": value, "correlation_sigma": sigma, "correlation_low": value - 1.96 * sigma,
                    "correlation_high": value + 1.96 * sigma,
                }
            )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _shape_table(number: int, found: States, turns: Turns) -> pd.DataFrame:
    """Return the learned shapes on a grid, turned as rotation 0 lies."""
    grid = np.linspace(-0.5, 0.5, 33)
    y, x = (part.ravel() for part in np.meshgrid(grid, grid, indexing="ij"))
    parts = []
    inside = np.hypot(y, x) <= 0.5
    for polarity, zero in enumerate(bright_angles(found.shapes, turns)):
        back = np.radians(zero - found.angles[polarity, 0])
        place = y * np.cos(back) - x * np.sin(back), x * np.cos(back) + y * np.sin(back)
        height = found.shapes.heights(*place, turns)[polarity]
        parts.append(
            pd.DataFrame(
                {
                    "frame": number,
                    "polarity": POLARITY[polarity],
                    "y": y[inside],
                    "x": x[inside],
                    "height": height[inside],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def nothing(number: int, note: str) -> Mapping[str, pd.DataFrame]:
    """Return empty tables and the row of a frame without a lattice of molecules, with the reason."""
    promised = {"objects": MOLECULES, "correlations": CORRELATIONS, "templates": TEMPLATES}
    empty = {
        name: pd.DataFrame(columns=[one for column in columns for one in (column.name, column.sigma) if one])
        for name, columns in promised.items()
    }
    row: dict[str, Any] = {name: np.nan for column in SEEN for name in (column.name, column.sigma) if name}
    row |= {"frame": number, "count": 0, "domains": 0, "domain_distance": 9.0, "flags": int(Flag.OUT_OF_DOMAIN)}
    return {**empty, "frames": pd.DataFrame([row | {"notes": note}])}
