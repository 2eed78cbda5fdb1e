"""The structure type of a crystal, from its atoms or from its diffraction patterns.   doi:10.1038/s41467-018-05169-6"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Frame, Prediction, Sample, Sites, Task
from micrograph.features.diffraction.pattern_vector import pattern_vector
from micrograph.features.diffraction.spots import NO_SPOTS, Spots, doubts_about, fit_net
from micrograph.features.lattices.crystal_evidence import (
    CHANNELS,
    as_channels,
    channels_of,
    spots_of,
    spots_table,
    together,
)
from micrograph.features.layers.surroundings import find_pairs, structure_table, surroundings
from micrograph.infer.encoders import EncoderPredictor, Views
from micrograph.nets import EncoderSpec
from micrograph.nets.encoder_spec import classes
from micrograph.run import Recipe
from micrograph.simulate.patterns.crystals import OTHER, PATTERNS, STRUCTURES, CrystalSampler
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.lattices.crystal_checks import pattern_accuracy, structure_accuracy, unknown_auroc
from micrograph.validate.lattices.crystal_scenes import PatternTrial, StructureTrial
from micrograph.validate.naming.kind_claims import STRUCTURE_TYPE, crystals

Array = NDArray[np.float64]

#: Patterns that are judged together, at most: later ones of a long recording are judged alone.
MOST_PATTERNS = 24


@dataclass(frozen=True)
class Evidence:
    """Samples to learn from: half of them atoms, half patterns."""

    crystals: CrystalSampler = field(default_factory=CrystalSampler)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return a sample whose image is what the network sees and whose truth is the place of its class."""
        return self.structure_sample(rng) if rng.random() < 0.5 else self.patterns_sample(rng)

    def structure_sample(self, rng: np.random.Generator) -> Sample:
        """Return a sample of atoms."""
        name, atoms = self.crystals.structure(rng)
        cell = np.asarray(atoms.cell) if atoms.pbc.any() else None
        seen = as_channels(surroundings(structure_table(atoms.positions, atoms.numbers, cell)))
        return _sample(seen, "structure", STRUCTURES.index(name))

    def patterns_sample(self, rng: np.random.Generator) -> Sample:
        """Return a sample of one or more patterns."""
        name, peaks = self.crystals.diffracted(rng)
        spots = [Spots(one[:, :2].astype(float), one[:, 3].astype(float)) for one in peaks]
        return _sample(as_channels(patterns=pattern_vector(spots)), "pattern", PATTERNS.index(name))

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        one = self.crystals
        return {
            "displacement_A": one.displacement_A,
            "vacancies": one.vacancies,
            "substituted": one.substituted,
            "mistilt_deg": one.mistilt_deg,
            "counts": one.counts,
        }


def _sample(seen: NDArray[np.float32], question: str, place: int) -> Sample:
    none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
    return Sample(seen, 1.0, none, truth={question: float(place)})


def look(frame: Frame) -> Views:
    """Return what the network sees of a frame."""
    return Views(channels_of(frame)[None])


def _question(prediction: Prediction) -> tuple[str, tuple[str, ...]]:
    """Return which answer of the network counts, and its labels."""
    if prediction.frame.calibration.content == "structure":
        return "structure", STRUCTURES
    return "pattern", PATTERNS


@dataclass(frozen=True)
class Classes:
    """The class of each frame. Where none is as likely as `certainty`, or 'other' is likeliest, it is 'unknown'."""

    certainty: float = 0.5

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'probabilities', '_spots' and 'frames' of one frame."""
        question, labels = _question(prediction)
        shares = prediction.values[question][0]
        row = {**answer(labels, shares, self.certainty), "seen_as": question}
        tables: dict[str, pd.DataFrame] = {"probabilities": pd.DataFrame({"class": labels, "probability": shares})}
        doubts: dict[str, object] = {}
        if question == "structure":
            pairs = find_pairs(prediction.frame.data)
            length = np.linalg.norm(pairs.vector, axis=1)
            near = length[length < 1.12 * pairs.nearest_A]
            row["neighbour_nm"] = pairs.nearest_A / 10
            row["neighbour_sigma_nm"] = float(near.std() / np.sqrt(len(near))) / 10
            row |= {"spots": 0} | dict.fromkeys(_NET, np.nan)
            tables["_spots"] = spots_table(NO_SPOTS)
        else:
            spots = spots_of(prediction.frame)
            if prediction.frame.calibration.content == "image":
                doubts = doubts_about(spots)
            if "flags" in doubts:
                row["class"] = "unknown"
            row |= {"neighbour_nm": np.nan, "neighbour_sigma_nm": np.nan, "spots": len(spots)} | net_row(spots)
            tables["_spots"] = spots_table(spots if "flags" not in doubts else NO_SPOTS)
        tables["objects"] = pd.DataFrame([row])
        frames = {"count": 1, "class": row["class"], "probability": row["probability"]} | doubts
        tables["frames"] = pd.DataFrame([frames])
        return tables


_NET = ("g1", "g1_sigma", "g2", "g2_sigma", "angle_deg", "angle_sigma_deg", "indexed")


def net_row(spots: Spots) -> dict[str, float]:
    """Return the plane lattice of a pattern with its errors; NaN where there is none."""
    net = fit_net(spots)
    if net is None:
        return dict.fromkeys(_NET, np.nan)
    values = (*np.column_stack([net.lengths, net.sigma]).ravel(), net.angle_deg, net.angle_sigma_deg, net.indexed)
    return dict(zip(_NET, map(float, values), strict=True))


def answer(labels: tuple[str, ...], shares: Array, certainty: float) -> dict[str, object]:
    """Return the answer that probabilities (K,) of `labels` give, the next likeliest, and that of no known type."""
    order = np.argsort(-shares)
    best, second = labels[order[0]], labels[order[1]]
    known = best if best != OTHER and shares[order[0]] >= certainty else "unknown"
    return {
        "class": known,
        "probability": float(shares[order[0]]),
        "second": second,
        "second_probability": float(shares[order[1]]),
        "other_probability": float(shares[labels.index(OTHER)]),
    }


@dataclass(frozen=True)
class Seen:
    """What the fold keeps: the spots of the first patterns, and sums over frames of structures."""

    patterns: tuple[Spots, ...] = ()
    structures: tuple[tuple[float, ...], ...] = ()
    frames: int = 0


@dataclass(frozen=True)
class OneCrystal:
    """All frames together, as one crystal: its patterns are judged at once by `weights`, structures by their mean."""

    certainty: float = 0.5
    weights: str = "crystals-1"

    def start(self) -> Seen:
        """Return the state before the first frame."""
        return Seen()

    def step(self, state: Seen, tables: Mapping[str, pd.DataFrame]) -> Seen:
        """Return the state after one more frame."""
        if tables["objects"]["seen_as"].iloc[0] == "structure":
            shares = tuple(tables["probabilities"]["probability"].to_numpy(float).tolist())
            kept = (*state.structures, shares)[-MOST_PATTERNS:]
            return Seen(state.patterns, kept, state.frames + 1)
        rows = tables["_spots"]
        spots = Spots(rows[["x", "y"]].to_numpy(float), rows["intensity"].to_numpy(float))
        full = len(state.patterns) >= MOST_PATTERNS
        patterns = state.patterns if full or not len(spots) else (*state.patterns, spots)
        return Seen(patterns, state.structures, state.frames + 1)

    def result(self, state: Seen) -> Mapping[str, pd.DataFrame]:
        """Return 'summary', one row, and 'together', the probability of every class."""
        labels: tuple[str, ...] = STRUCTURES
        shares: Array = np.full(len(STRUCTURES), np.nan)
        if state.structures:
            shares = np.mean(state.structures, axis=0)
        elif state.patterns:
            found = _encoder(self.weights).answers(together(state.patterns)[None])
            labels, shares = PATTERNS, found["pattern"][0]
        if not state.frames:
            empty = {name: pd.Series(dtype="object" if name in ("class", "second") else "float64") for name in _SUMMARY}
            return {"summary": pd.DataFrame(empty), "together": pd.DataFrame({"class": [], "probability": []})}
        row = {**answer(labels, shares, self.certainty), "frames": state.frames}
        return {
            "summary": pd.DataFrame([row])[list(_SUMMARY)],
            "together": pd.DataFrame({"class": labels, "probability": shares}),
        }


_SUMMARY = ("class", "probability", "second", "second_probability", "other_probability", "frames")


@functools.lru_cache(maxsize=2)
def _encoder(weights: str) -> EncoderPredictor:
    from micrograph.infer import load_encoder

    return load_encoder(weights)


PROBABILITIES = (
    Column("class", "", "structure type; 'unknown' where none of them is likely"),
    Column("probability", "", "calibrated probability of the likeliest class, 'other' included"),
    Column("second", "", "next likeliest class"),
    Column("second_probability", "", "probability of that"),
    Column("other_probability", "", "probability that it is none of the known types"),
)
#: Beyond what was learned from.
FARTHER = PatternTrial("five zones, mistilt to 5 degrees, 3e3 counts", zones=5, mistilt_deg=5.0, counts=3e3, number=120)
MODEL = EncoderSpec(
    heads=(classes("structure", STRUCTURES), classes("pattern", PATTERNS)),
    side=2,
    channels=CHANNELS,
    base=64,
    levels=1,
    hidden=96,
    contrast="none",
    weights="crystals-1",
)
#: One pattern at a time, as a frame is.
ONE_ZONE = PatternTrial("one zone", zones=1)
TRUST = Trust(
    crystals(ONE_ZONE),
    (STRUCTURE_TYPE,),
    shifted=(
        ("half the counts", crystals(replace(ONE_ZONE, counts=5e3))),
        ("mistilt to 5 degrees", crystals(replace(ONE_ZONE, mistilt_deg=5.0))),
        ("atoms", crystals(StructureTrial("25 % vacancies"))),
    ),
    frames=500,
    fresh=500,
)

RECIPE = Recipe(
    name="crystal-class",
    title="Structure type of a crystal",
    task=Task(
        question="Of which structure type is a crystal, from its atoms or from its diffraction patterns?",
        needs=(),
        answers={
            "objects": (
                *PROBABILITIES,
                Column("seen_as", "", "'structure': from atoms; 'pattern': from diffraction"),
                Column("neighbour_nm", "nm", "median distance of nearest neighbours", "neighbour_sigma_nm"),
                Column("spots", "", "number of spots found"),
                Column("g1", "", "shorter reciprocal vector of the pattern (px, or 1/nm of a peak list)", "g1_sigma"),
                Column("g2", "", "longer one", "g2_sigma"),
                Column("angle_deg", "degree", "angle between the two", "angle_sigma_deg"),
                Column("indexed", "", "share of the spots on that lattice"),
            ),
            "frames": (
                Column("count", "", "answers"),
                Column("class", "", "structure type of this frame alone"),
                Column("probability", "", "of that type"),
            ),
            "probabilities": (Column("class", "", "structure type"), Column("probability", "", "of this frame")),
            "summary": (*PROBABILITIES, Column("frames", "", "number of frames")),
            "together": (
                Column("class", "", "structure type"),
                Column("probability", "", "of all frames as one crystal"),
            ),
        },
        reference="doi:10.1038/s41467-018-05169-6",
        takes=("image", "structure", "peaks"),
    ),
    data=Evidence(),
    model=MODEL,
    objects=Classes(),
    summary=OneCrystal(),
    view=look,
    checks=(
        structure_accuracy(StructureTrial("25 % vacancies, 0.06 A", vacancies=0.25), at_least=0.99),
        structure_accuracy(StructureTrial("40 % vacancies, 0.06 A", vacancies=0.40), at_least=0.95),
        unknown_auroc(StructureTrial("structures", vacancies=0.25, number=220), at_least=0.95),
        pattern_accuracy(
            PatternTrial("five zones, mistilt to 3 degrees, 1e4 counts", zones=5, number=500), at_least=0.90
        ),
        unknown_auroc(PatternTrial("five zones", zones=5, number=110), at_least=0.95),
        pattern_accuracy(PatternTrial("three zones, mistilt to 3 degrees, 1e4 counts", number=160), at_least=0.90),
        pattern_accuracy(FARTHER, at_least=0.75),
        pattern_accuracy(
            PatternTrial("one zone, mistilt to 3 degrees, 1e4 counts", zones=1, number=160), at_least=0.50
        ),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    training=TrainSettings(
        steps=4800, batch=64, reuse=10, learning_rate=3e-3, weight_decay=1e-2, calibration_samples=600
    ),
)
