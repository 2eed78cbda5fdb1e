"""The symmetry of a crystal from diffraction peaks: family, point group, space groups.   doi:10.1126/sciadv.aaw1949"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Frame, Prediction, Sample, Sites, Task
from micrograph.features.diffraction.spots import Spots, doubts_about
from micrograph.features.diffraction.symmetry_answer import Symmetry, cell_of, conformal_set, solve
from micrograph.features.lattices.crystal_evidence import spots_of
from micrograph.nets.spec import NoNet
from micrograph.run import Recipe
from micrograph.simulate.patterns.diffraction import Measured
from micrograph.structures.space_groups import (
    FAMILIES,
    POINT_GROUPS,
    family_of,
    point_group_of,
    symbol_of,
)
from micrograph.validate.diffraction.symmetry_checks import (
    SymmetryTrial,
    family_accuracy,
    genus_accuracy,
    set_coverage,
    set_size,
)

Array = NDArray[np.float64]

#: So many space groups are listed at most; at most so many peaks are kept.
_MOST_GROUPS, _MOST_PEAKS = 24, 20000
_CELL = ("a_nm", "b_nm", "c_nm", "alpha_deg", "beta_deg", "gamma_deg")
_SIGMAS = ("a_sigma_nm", "b_sigma_nm", "c_sigma_nm", "alpha_sigma_deg", "beta_sigma_deg", "gamma_sigma_deg")
_WHOLE, _ZONE, _LINES = "space", "zone", "lines"


def peaks_of(frame: Frame, spots: Spots | None) -> NDArray[np.float64]:
    """Return the peaks (N, 4) of a frame in the crystal's own axes, as far as tilts say how the crystal stood.

    spots: what was found in a pattern; ``None`` for a list of peaks.
    `Frame.known` may hold the holder's tilts ``alpha_deg`` (about x) and ``beta_deg`` (about y) of a pattern.
    """
    if spots is None:
        rows = frame.data[frame.data.any(axis=1)].astype(float)
    else:
        rows = np.column_stack([spots.place, np.zeros(len(spots)), spots.intensity])
        scale = frame.calibration.signal_axis
        if scale is not None and scale.unit == "1/nm":
            rows[:, :3] *= scale.scale
    if len(rows) and "alpha_deg" in frame.known:
        rows[:, :3] = _untilted(rows[:, :3], frame.known["alpha_deg"], frame.known.get("beta_deg", 0.0))
    return rows


def _untilted(g: Array, alpha_deg: float, beta_deg: float) -> Array:
    a, b = np.deg2rad(alpha_deg), np.deg2rad(beta_deg)
    about_y = np.array([[np.cos(b), 0.0, np.sin(b)], [0.0, 1.0, 0.0], [-np.sin(b), 0.0, np.cos(b)]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(a), -np.sin(a)], [0.0, np.sin(a), np.cos(a)]])
    return np.asarray(g @ about_y @ about_x)


@dataclass(frozen=True)
class Peaks:
    """The peaks of each frame; those weaker than `faintest` of the strongest one are left out."""

    faintest: float = 0.0

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' (one row a peak) and 'frames'."""
        frame = prediction.frame
        spots = None if frame.calibration.content == "peaks" else spots_of(frame)
        rows = peaks_of(frame, spots)
        rows = rows[rows[:, 3] >= self.faintest * rows[:, 3].max(initial=0.0)]
        table = pd.DataFrame(rows, columns=["gx", "gy", "gz", "intensity"])
        table["g"] = np.linalg.norm(rows[:, :3], axis=1)
        kind = (_LINES, _LINES, _ZONE, _WHOLE)[_rank(rows)]
        frames: dict[str, object] = {"count": len(table), "peaks_of": kind, "domain_distance": 0.0}
        if spots is not None:
            frames |= doubts_about(spots)
        return {"objects": table, "frames": pd.DataFrame([frames])}


def _rank(rows: Array) -> int:
    if not len(rows):
        return 0
    return int(np.linalg.matrix_rank(rows[:, :3], tol=0.02 * np.abs(rows[:, :3]).max() * np.sqrt(len(rows))))


@dataclass(frozen=True)
class Hierarchy:
    """All frames together, as one crystal. Sets of point groups hold the true one with probability `coverage`."""

    coverage: float = 0.90

    def __post_init__(self) -> None:
        """Refuse a coverage that is no probability."""
        if not 0 < self.coverage <= 1:
            raise ValueError(f"coverage is {self.coverage}: it must lie between 0 and 1.")

    def start(self) -> Array:
        """Return the state before the first frame: no peaks (0, 4)."""
        return np.zeros((0, 4))

    def step(self, state: Array, tables: Mapping[str, pd.DataFrame]) -> Array:
        """Return the peaks with those of one more frame."""
        new = tables["objects"][["gx", "gy", "gz", "intensity"]].to_numpy(float)
        return state if len(state) > _MOST_PEAKS else np.vstack([state, new])

    def result(self, state: Array) -> Mapping[str, pd.DataFrame]:
        """Return 'summary', one row, and 'families', 'point_groups' and 'space_groups' with their probabilities."""
        found = solve(state) if len(state) else None
        uniform = np.full(230, 1 / 230)
        shares = uniform if found is None else found.space_groups
        families = _by([family_of(n) for n in range(1, 231)], FAMILIES, shares)
        groups = _by([point_group_of(n) for n in range(1, 231)], POINT_GROUPS, shares)
        inside = conformal_set(groups, self.coverage) if found is not None else np.ones(len(groups), bool)
        listed = _space_groups(found)
        return {
            "summary": pd.DataFrame([self._summary(found, families, groups, inside, len(state))]),
            "families": pd.DataFrame({"family": FAMILIES, "probability": families}),
            "point_groups": pd.DataFrame({"point_group": POINT_GROUPS, "probability": groups, "in_set": inside}),
            "space_groups": listed,
        }

    def _summary(
        self, found: Symmetry | None, families: Array, groups: Array, inside: NDArray[np.bool_], peaks: int
    ) -> dict[str, object]:
        """Return the one row of the summary: names in order of probability, the primitive cell with its errors."""
        values = np.full(6, np.nan) if found is None else cell_of(found.lattice)[0]
        sigmas = np.full(6, np.nan) if found is None else cell_of(found.lattice)[1]
        order = [int(i) for i in np.argsort(-groups, kind="stable") if inside[i]]
        likeliest = int(np.argmax(families))
        return {
            "family": "unknown" if found is None else FAMILIES[likeliest],
            "family_probability": float(families[likeliest]),
            "laue_class": "unknown" if found is None else found.laue,
            "point_groups": " ".join(POINT_GROUPS[i] for i in order) if found is not None else "unknown",
            "space_groups": "unknown" if found is None else " ".join(symbol_of(n) for n in found.extinction),
            "set_size": int(inside.sum()),
            "peaks": peaks,
            "indexed": np.nan if found is None else found.lattice.indexed,
            **dict(zip(_CELL, values, strict=True)),
            **dict(zip(_SIGMAS, sigmas, strict=True)),
        }


def _by(names: list[str], labels: tuple[str, ...], shares: Array) -> Array:
    return np.asarray(np.bincount([labels.index(name) for name in names], shares, minlength=len(labels)), float)


def _space_groups(found: Symmetry | None) -> pd.DataFrame:
    """Return the likeliest space groups; those of one `extinction` class forbid the same reflections."""
    rows = [] if found is None else list(found.candidates[:_MOST_GROUPS])
    classes: dict[tuple[int, ...], int] = {}
    labels = []
    if found is not None:
        from micrograph.features.diffraction.space_group import extinction_class

        labels = [classes.setdefault(extinction_class(one.number), len(classes) + 1) for one in rows]
    return pd.DataFrame(
        {
            "number": np.array([one.number for one in rows], dtype=np.int64),
            "symbol": [symbol_of(one.number) for one in rows],
            "probability": np.array([one.probability for one in rows], dtype=float),
            "extinction": np.array(labels, dtype=np.int64),
            "absences": np.array([one.explained for one in rows], dtype=np.int64),
            "forbidden": np.array([one.forbidden for one in rows], dtype=np.int64),
        }
    )


@dataclass(frozen=True)
class RandomCrystals:
    """Lists of peaks of random crystals of all space groups: what the recipe is judged by, as samples."""

    trial: SymmetryTrial = field(default_factory=lambda: SymmetryTrial("all reflections"))

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return the peaks (N, 4) of a crystal, with the number of its space group."""
        number, peaks = self.trial.case(rng)
        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        return Sample(peaks, 1.0, none, params={"space_group": float(number)})


WHOLE = SymmetryTrial("all reflections within reach")
ZONES = SymmetryTrial("eight zones with their tilts", zones=8, number=160)
ROUGH = SymmetryTrial("places 2x and intensities 3x as uncertain", measured=Measured(0.04, 0.30, 3e-3), number=160)

RECIPE = Recipe(
    name="crystal-symmetry",
    title="Symmetry of a crystal from diffraction",
    task=Task(
        question="Which crystal family, point groups and space groups do diffraction peaks allow?",
        needs=(),
        answers={
            "objects": (
                Column("gx", "", "place from the beam in the crystal's axes: 1/nm, or px of an image without scale"),
                Column("gy", "", "likewise"),
                Column("gz", "", "likewise; 0 where the tilt is unknown"),
                Column("intensity", "", "intensity in the units of the file"),
                Column("g", "", "distance from the direct beam"),
            ),
            "frames": (
                Column("count", "", "number of peaks"),
                Column("peaks_of", "", "'space', 'zone' or 'lines'"),
                Column("domain_distance", "", "how unlike a spot pattern an image is; above 1 it is none"),
            ),
            "summary": (
                Column("family", "", "crystal family, trigonal apart; 'unknown' where peaks make no lattice in space"),
                Column("family_probability", "", "its probability"),
                Column("laue_class", "", "symmetry of the intensities"),
                Column("point_groups", "", "set that holds the true one with probability `coverage`, likeliest first"),
                Column("space_groups", "", "all groups of the likeliest extinction class: absences cannot part them"),
                Column("set_size", "", "number of point groups in the set"),
                Column("peaks", "", "number of peaks"),
                Column("indexed", "", "share of them on the lattice"),
                *(
                    Column(name, "nm" if name.endswith("nm") else "degree", "primitive cell", sigma)
                    for name, sigma in zip(_CELL, _SIGMAS, strict=True)
                ),
            ),
            "families": (Column("family", "", "crystal family"), Column("probability", "", "its probability")),
            "point_groups": (
                Column("point_group", "", "Hermann-Mauguin symbol"),
                Column("probability", "", "its probability"),
                Column("in_set", "", "whether it is in the set"),
            ),
            "space_groups": (
                Column("number", "", "number in the International Tables"),
                Column("symbol", "", "Hermann-Mauguin symbol"),
                Column("probability", "", "its probability, all space groups being as likely beforehand"),
                Column("extinction", "", "groups with the same number here forbid the same reflections"),
                Column("absences", "", "absent reflections that it explains"),
                Column("forbidden", "", "peaks that it forbids"),
            ),
        },
        reference="doi:10.1126/sciadv.aaw1949",
        takes=("peaks", "image"),
    ),
    data=RandomCrystals(),
    model=NoNet(),
    objects=Peaks(),
    summary=Hierarchy(),
    checks=(
        family_accuracy(WHOLE, at_least=0.90),
        genus_accuracy(WHOLE, at_least=0.80),
        set_size(WHOLE, at_most=4.0),
        set_coverage(WHOLE, at_least=0.85),
        family_accuracy(ZONES, at_least=0.80),
        genus_accuracy(ZONES, at_least=0.70),
        set_coverage(ZONES, at_least=0.80),
        family_accuracy(ROUGH, at_least=0.80),
        genus_accuracy(ROUGH, at_least=0.70),
    ),
)
