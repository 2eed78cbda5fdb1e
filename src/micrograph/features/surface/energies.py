"""Interaction energies of the species of a surface, with their limits and how well they explain it, in tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Column, Flag, Frame, MissingCalibration
from micrograph.features.surface.configuration import Configuration, from_image, from_table
from micrograph.features.surface.inversion import FieldFit, FitSettings, fit_field, quasi_chemical
from micrograph.features.surface.motif_counts import motif_counts, statistical_distance
from micrograph.features.surface.predicted import model_table
from micrograph.structures.lattice_gas import LatticeGas, shells_of
from micrograph.structures.pair_field import PairField

Array = NDArray[np.float64]
Index = NDArray[np.intp]

SITES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the site"),
    Column("y_nm", "nm", "row position"),
    Column("x_nm", "nm", "column position"),
    Column("lattice", "", "1: first lattice, 2: second"),
    Column("u", "", "cell along a"),
    Column("v", "", "cell along b"),
    Column("class", "", "likeliest species, given the site and its surroundings"),
    Column("score", "", "probability of the class"),
    Column("seen", "", "species by the site alone"),
    Column("counts", "", "species that counts on this lattice"),
    Column("flags", "", "doubts, see the conventions"),
)
ENERGIES = (
    Column("frame", "", "number of the frame"),
    Column("name", "", "which pairs: species and shell"),
    Column("distance_nm", "nm", "distance of the pairs"),
    Column("pairs", "", "pairs of this kind between known sites"),
    Column("w_kT", "kT", "energy of such a pair over kT at which the configuration froze", sigma="w_sigma_kT"),
    Column("w_low_kT", "kT", "lower end of the 95 % profile interval"),
    Column("w_high_kT", "kT", "upper end of the 95 % profile interval"),
    Column("bound_kT", "kT", "smallest 1-sigma that labels without errors could give: Cramer-Rao"),
    Column("pairs_alone_kT", "kT", "what the counts of pairs alone say (Bethe), without surroundings and errors"),
)
SEEN = (
    Column("count", "", "sites in the frame"),
    Column("a_nm", "nm", "length of a"),
    Column("b_nm", "nm", "length of b"),
    Column("gamma_deg", "degree", "angle between a and b"),
    Column("share_1", "", "share of sites of the first lattice with the species that counts", sigma="share_1_sigma"),
    Column("share_2", "", "the same on the second lattice", sigma="share_2_sigma"),
    Column("label_error", "", "chance that the species of a site is taken wrongly, by itself"),
    Column("misfit", "rad", "statistical distance of its local motifs from those at the fitted energies"),
    Column("p_fit", "", "chance of a misfit as large if the energies are right; below 0.01 they do not explain it"),
)
#: The fewest sites of a frame; shells beyond the model's that a fit is judged by.
_FEWEST, _FARTHER = 100, 2


@dataclass(frozen=True)
class EnergySettings:
    """How to look.

    first, second: classes of a table on each lattice, the one that counts first; hollows: whether an image shows
    adatoms in the middle of its cells; shells: of neighbours with an energy of their own, where there is one lattice;
    label_error: chance that a class of a table is wrong (images tell it themselves); effort: 1 is right for most.
    """

    first: tuple[str, ...] = ()
    second: tuple[str, ...] = ()
    hollows: Literal["auto", "yes", "no"] = "auto"
    shells: int = 2
    label_error: float = 0.02
    effort: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse shares and numbers that make no sense."""
        if not (0 <= self.label_error < 0.45 and 1 <= self.shells <= 3 and 0.1 <= self.effort <= 100):
            raise BadInput(
                f"label_error is {self.label_error}, shells {self.shells}, effort {self.effort}: they lie in 0..0.45, "
                "1..3 and 0.1..100."
            )

    @property
    def fit(self) -> FitSettings:
        """Effort of the Monte Carlo."""
        return FitSettings(last=max(30, round(120 * self.effort)), sweeps=max(6, round(12 * self.effort)))


@dataclass(frozen=True)
class Inverted:
    """A frame's configuration with the model of it and what was fitted; `rows`: of the known sites of each lattice."""

    configuration: Configuration
    gas: LatticeGas
    field: PairField
    rows: tuple[Index, ...]
    distances: Array
    fit: FieldFit
    names: tuple[str, ...]
    alone: Array
    misfit: float
    p_fit: float

    @property
    def energies(self) -> Array:
        """Energies (E,) in kT."""
        return np.asarray(-self.fit.theta[self.gas.layers :])

    @property
    def shares(self) -> list[tuple[float, float]]:
        """Share of counted sites on each lattice and its 1-sigma, labelling errors corrected."""
        found = []
        for layer, own in zip(self.configuration.layers, self.rows, strict=True):
            p = self.fit.posterior[own, 1]
            doubt = float(np.sum(p * (1 - p)))
            found.append((float(p.mean()), float(np.sqrt(doubt + len(own) * p.mean() * (1 - p.mean()))) / len(own)))
            assert len(layer.index) == len(own)
        return found


def configuration_of(frame: Frame, settings: EnergySettings) -> Configuration:
    """Return who sits where in a frame: an image, or a table of sites."""
    if frame.calibration.content == "sites":
        return from_table(frame, settings.first, settings.second, settings.label_error)
    if frame.calibration.pixel_nm is None:
        raise MissingCalibration('The pixel size is unknown: give it with --pixel-size "0.05 nm".')
    return from_image(frame, settings.hollows)


def invert(frame: Frame, settings: EnergySettings) -> Inverted:
    """Return the energies that explain a frame; raises `BadInput` where it holds too few sites."""
    found = configuration_of(frame, settings)
    number = sum(len(layer.index) for layer in found.layers)
    if number < _FEWEST:
        raise BadInput(f"The frame holds {number} sites: energies need {_FEWEST} at least; give a larger image.")
    gas, distances = found.gas(settings.shells)
    nodes = found.nodes()
    evidence, rows = found.evidence(nodes)
    model = gas.on(nodes)
    rng = np.random.default_rng([settings.seed, frame.index])
    fit = fit_field(model, evidence, rng, settings.fit)
    known = np.zeros(model.number, bool)
    known[np.concatenate(rows)] = True
    seen = (evidence[:, 1] > evidence[:, 0]).astype(np.int8)
    inside = _within(model, known)
    far = _farther(found, nodes, known, 2 if gas.layers == 2 else gas.energies)
    misfit, p_fit = _goodness(model, fit, (evidence, seen, known), far, rng)
    alone = -quasi_chemical(inside, seen[:, None])[gas.layers :]
    return Inverted(found, gas, model, rows, distances, fit, _names(found, gas), alone, misfit, p_fit)


def _within(model: PairField, known: NDArray[np.bool_]) -> PairField:
    """Return the same field with the pairs between known sites alone."""
    from micrograph.structures.pair_field import PairTerm

    terms = tuple(
        PairTerm(term.name, term.pairs[known[term.pairs].all(axis=1)], term.table)
        if isinstance(term, PairTerm)
        else term
        for term in model.terms
    )
    return PairField(model.number, model.states, terms)


def _names(found: Configuration, gas: LatticeGas) -> tuple[str, ...]:
    one, other = found.layers[0].names
    if gas.layers == 2:
        adatom = found.layers[1].names[0]
        return f"{other}-{one} 1st", f"{one}-{one} 2nd", f"{one}-{adatom}"
    return tuple(f"{one}-{other} {place}" for place in ("1st", "2nd", "3rd")[: gas.energies])


def _farther(found: Configuration, nodes: Index, known: NDArray[np.bool_], count: int) -> list[Index]:
    """Return pairs of known sites (P, 2) that have no energy in the model: the next shells, and between adatoms."""
    offsets, _ = shells_of(found.cell, count + _FARTHER)
    place = {(int(u), int(v)): number for number, (u, v) in enumerate(nodes)}
    pairs = []
    for shell in offsets[count:]:
        pairs.append(
            [(n, place[u + i, v + j]) for (u, v), n in place.items() for i, j in shell if (u + i, v + j) in place]
        )
    if len(found.layers) == 2:
        shift = len(nodes)
        near = [
            (n, place[u + i, v + j]) for (u, v), n in place.items() for i, j in offsets[0] if (u + i, v + j) in place
        ]
        pairs.append([(shift + one, shift + other) for one, other in near])
    whole = [np.array(one, np.intp).reshape(-1, 2) for one in pairs]
    return [one[known[one].all(axis=1)] for one in whole]


def _beyond(drawn: NDArray[np.int8], own: NDArray[np.int8], far: list[Index]) -> float:
    """Return how often pairs without an energy are as unlike the drawn ones by chance: Hotelling's T-squared."""
    from scipy.stats import f as f_distribution

    def correlations(states: NDArray[np.int8]) -> Array:
        rows = []
        for pairs in far:
            one, other = states[pairs[:, 0]].astype(float), states[pairs[:, 1]].astype(float)
            joint = (one * other).mean(axis=0) - one.mean(axis=0) * other.mean(axis=0)
            rows.append(joint / np.maximum(np.sqrt(one.var(axis=0) * other.var(axis=0)), 1e-9))
        return np.array(rows)

    sample, mine = correlations(drawn), correlations(own[:, None])[:, 0]
    size, count = sample.shape
    off = mine - sample.mean(axis=1)
    square = float(off @ np.linalg.solve(np.atleast_2d(np.cov(sample)) + 1e-12 * np.eye(size), off)) / (1 + 1 / count)
    return float(f_distribution.sf(square * (count - size) / (size * (count - 1)), size, count - size))


def _goodness(
    model: PairField,
    fit: FieldFit,
    labels: tuple[Array, NDArray[np.int8], NDArray[np.bool_]],
    far: list[Index],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Return the statistical distance of the motifs from the fitted ones, and how often as much is by chance.

    Chance: twice the smaller one of two tests, of the motifs of the model's pairs and of pairs that have no energy.
    """
    evidence, seen, known = labels
    wrong = 1 / (1 + np.exp(np.abs(evidence[:, 1] - evidence[:, 0])))
    flips = rng.random(fit.states.shape) < wrong[:, None]
    seen_like = fit.states ^ flips.astype(np.int8)
    drawn = motif_counts(model, seen_like, known)
    own = motif_counts(model, seen[:, None], known)
    total = np.zeros(fit.states.shape[1])
    mine = 0.0
    for sample, one in zip(drawn, own, strict=True):
        whole = sample.sum(axis=0)
        total += statistical_distance(sample, whole - sample) ** 2
        mine += float(statistical_distance(one, whole)[0]) ** 2
    return float(np.sqrt(mine)), min(1.0, 2 * min(_tail(total, mine), _beyond(seen_like, seen, far)))


def _tail(drawn: Array, value: float) -> float:
    """Return how often a value is exceeded, by a gamma distribution through the drawn ones."""
    from scipy.stats import gamma

    mean, variance = float(drawn.mean()), float(drawn.var(ddof=1))
    return float(gamma.sf(value, mean**2 / variance, scale=variance / mean))


def read_energies(frame: Frame, settings: EnergySettings) -> tuple[dict[str, pd.DataFrame], Inverted]:
    """Return the tables 'objects', 'energies' and 'frames' of one frame, and what they were made of."""
    one = invert(frame, settings)
    a, b = one.configuration.cell
    lengths = float(np.hypot(*a)), float(np.hypot(*b))
    gamma = float(np.degrees(np.arccos(np.clip(a @ b / (lengths[0] * lengths[1]), -1, 1))))
    shares = [*one.shares, (np.nan, np.nan)][:2]
    errors = [layer.error for layer in one.configuration.layers]
    flags = int(Flag.OK if one.p_fit >= 0.01 else Flag.NO_FIT)
    notes = "" if not flags else "Energies between these pairs do not explain the configuration: see p_fit."
    row = {
        "frame": frame.index, "count": sum(map(len, one.rows)), "a_nm": lengths[0], "b_nm": lengths[1],
        "gamma_deg": gamma, "share_1": shares[0][0], "share_1_sigma": shares[0][1], "share_2": shares[1][0],
        "share_2_sigma": shares[1][1], "label_error": float(np.mean(errors)), "misfit": one.misfit,
        "p_fit": one.p_fit, "domain_distance": 0.0, "flags": flags, "notes": notes,
    }  # fmt: skip
    tables = {
        "objects": _sites(frame.index, one),
        "energies": _energies(frame.index, one),
        "frames": pd.DataFrame([row]),
        "_model": model_table(frame.index, one.gas),
    }
    return tables, one


def _sites(frame: int, one: Inverted) -> pd.DataFrame:
    parts = []
    for number, (layer, own) in enumerate(zip(one.configuration.layers, one.rows, strict=True)):
        p = one.fit.posterior[own, 1]
        names = np.array([layer.names[1], layer.names[0]])
        score = np.maximum(p, 1 - p)
        parts.append(
            pd.DataFrame(
                {
                    "frame": frame, "id": 0, "y_nm": layer.place[:, 0], "x_nm": layer.place[:, 1],
                    "lattice": number + 1, "u": layer.index[:, 0], "v": layer.index[:, 1],
                    "class": names[(p > 0.5).astype(int)], "score": score, "seen": names[layer.likely],
                    "counts": layer.names[0],
                    "flags": np.where(score < 0.8, int(Flag.LOW_CONFIDENCE), 0),
                }
            )
        )  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    table["id"] = np.arange(len(table))
    return table


def _energies(frame: int, one: Inverted) -> pd.DataFrame:
    first = one.gas.layers
    bound = np.sqrt(np.diag(np.linalg.inv(one.fit.complete)))[first:]
    known = np.zeros(one.field.number, bool)
    known[np.concatenate(one.rows)] = True
    pairs = [len(term.pairs) for term in _within(one.field, known).terms[first:] if hasattr(term, "pairs")]
    return pd.DataFrame(
        {
            "frame": frame, "name": list(one.names), "distance_nm": one.distances[: len(one.names)], "pairs": pairs,
            "w_kT": one.energies, "w_sigma_kT": one.fit.sigma[first:], "w_low_kT": -one.fit.high[first:],
            "w_high_kT": -one.fit.low[first:], "bound_kT": bound, "pairs_alone_kT": one.alone,
            "flags": int(Flag.OK),
        }
    )  # fmt: skip


def nothing(frame: int, note: str) -> Mapping[str, pd.DataFrame]:
    """Return empty tables and the row of a frame that cannot be inverted, with the reason."""
    columns = {"objects": SITES, "energies": ENERGIES}
    empty = {name: pd.DataFrame(columns=_names_of(promised)) for name, promised in columns.items()}
    row: dict[str, Any] = dict.fromkeys(_names_of(SEEN), np.nan)
    row |= {"frame": frame, "count": 0, "domain_distance": 9.0, "flags": int(Flag.OUT_OF_DOMAIN), "notes": note}
    return {**empty, "frames": pd.DataFrame([row]), "_model": pd.DataFrame(columns=["frame", "kind", "du", "dv"])}


def _names_of(promised: tuple[Column, ...]) -> list[str]:
    return [name for column in promised for name in (column.name, column.sigma) if name]
