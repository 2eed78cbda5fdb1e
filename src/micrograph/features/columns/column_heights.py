"""Columns of one frame with the posterior of how many atoms each holds, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.features.columns.atom_counts import CountPriors, Counts, count_atoms, shortest_runs
from micrograph.features.columns.locate import BORDER_NM, Amended, Located, LocateSettings, locate, spotted
from micrograph.features.columns.points import POINTS
from micrograph.features.lattices.crystal import crystal_of
from micrograph.features.lattices.lattice import fit_lattice
from micrograph.features.lattices.sites import missing_sites
from micrograph.features.overview import frame_row, order_doubts

Array = NDArray[np.float64]

#: What table 'objects' promises: one row a column.
HEIGHTS = (
    *POINTS,
    Column("id", "", "number of the column in its frame"),
    Column("count", "", "likeliest number of atoms"),
    Column("count_p", "", "probability of that number"),
    Column("count_near_p", "", "probability of that number or one beside it"),
    Column("count_mean", "", "expected number of atoms", sigma="count_mean_sigma"),
    Column("count_low", "", "lowest number of the shortest run that holds 95 % of the probability"),
    Column("count_high", "", "highest number of that run"),
    Column("height_nm", "nm", "expected number of atoms times their distance", sigma="height_sigma_nm"),
)
#: What table 'posterior' promises: one row a column and a number of atoms that is not excluded.
POSTERIOR = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the column in its frame"),
    Column("atoms", "", "number of atoms"),
    Column("p", "", "probability that the column holds so many"),
)
#: What table 'frames' promises beside the lattice.
PARTICLE = (
    Column("atoms", "", "atoms in all columns", sigma="atoms_sigma"),
    Column("thickest", "", "atoms in the thickest column: the expected maximum"),
    Column("thickness_nm", "nm", "thickness of the particle there", sigma="thickness_sigma_nm"),
    Column("expected_accuracy", "", "mean probability of the likeliest numbers: the share that should be right"),
    Column("scatter", "", "relative scatter from column to column that counting does not explain"),
)
#: What table 'summary' promises.
NUMBERS = (
    Column("name", "", "number of atoms in a column"),
    Column("count", "", "expected number of such columns in all frames"),
    Column("count_low", "", "lower end of its 95 % interval, of the probabilities alone"),
    Column("count_high", "", "upper end of its 95 % interval, of the probabilities alone"),
    Column("frames", "", "frames that count"),
)
#: Probabilities below this are not listed.
_LEAST_P = 1e-4
#: A site where the network saw nothing is a column if the probability of no atom is below this.
_NOTHING = 0.5
#: 1-sigma of where the network sees columns (nm); share of neighbours that a site needs to be asked.
_SPOTTED_NM, _BESIDE = 0.01, 0.15
#: Farther than this from all columns (nm) lies vacuum; so many pixels of it tell its level; factors that are believed.
_VACUUM_NM, _FEWEST_PIXELS, _BELIEVED = 0.3, 400, (0.9, 1.15)
#: Columns with one of these flags do not count.
_ASIDE = int(Flag.EDGE | Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME)


@dataclass(frozen=True)
class Heights:
    """Columns as `POINTS` with their posterior ``p`` (K, N + 1) of 0 .. N atoms, `spacing_nm` apart along the beam.

    facts: what else 'frames' says (signal, comb or optics); doubts set OUT_OF_DOMAIN; notes say what to know.
    """

    table: pd.DataFrame
    p: Array
    spacing_nm: float
    scatter: float
    facts: dict[str, Any] = field(default_factory=dict)
    doubts: Sequence[str] = ()
    notes: Sequence[str] = ()


def tables_of(prediction: Prediction, heights: Heights) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects', 'posterior' and 'frames' of one frame."""
    p, spacing = heights.p, heights.spacing_nm
    objects = heights.table.reset_index(drop=True)
    number = np.arange(p.shape[1])
    mean = p @ number
    sigma = np.sqrt(np.maximum(p @ number**2.0 - mean**2, 0.0))
    low, high = shortest_runs(p, 0.95)
    objects = objects.assign(
        score=1 - p[:, 0],
        id=np.arange(len(p)),
        count=p.argmax(axis=1) if len(p) else np.zeros(0, np.intp),
        count_p=p.max(axis=1) if len(p) else np.zeros(0),
        count_near_p=_near(p),
        count_mean=mean,
        count_mean_sigma=sigma,
        count_low=low,
        count_high=high,
        height_nm=mean * spacing,
        height_sigma_nm=sigma * spacing,
    )
    rows, atoms = np.nonzero(p > _LEAST_P)
    listed = pd.DataFrame({"frame": prediction.frame.index, "id": rows, "atoms": atoms, "p": p[rows, atoms]})
    frame = frame_row(
        prediction, objects, crystal_of(objects), reach_nm=0.25, doubts=heights.doubts, notes=heights.notes
    )
    return {"objects": objects, "posterior": listed, "frames": frame.assign(**_particle(objects, heights))}


def _particle(objects: pd.DataFrame, heights: Heights) -> dict[str, Any]:
    """Return what 'frames' says of the particle: the maximum over columns is that of their posteriors."""
    p = heights.p
    number = np.arange(p.shape[1])
    highest, spread = np.nan, np.nan
    if len(p):
        below = np.prod(np.cumsum(p, axis=1).clip(0, 1), axis=0)
        share = np.diff(below, prepend=0.0)
        highest = float(share @ number)
        spread = float(np.sqrt(max(share @ number**2.0 - highest**2, 0.0)))
    mean, sigma = objects["count_mean"].to_numpy(float), objects["count_mean_sigma"].to_numpy(float)
    return {
        "atoms": float(mean.sum()),
        "atoms_sigma": float(np.sqrt(np.sum(sigma**2))),
        "thickest": highest,
        "thickness_nm": highest * heights.spacing_nm,
        "thickness_sigma_nm": spread * heights.spacing_nm,
        "expected_accuracy": float(p.max(axis=1).mean()) if len(p) else np.nan,
        "scatter": heights.scatter,
        **heights.facts,
    }


def _near(p: Array) -> Array:
    """Return the probability (K,) of the likeliest number and its neighbours."""
    if not len(p):
        return np.zeros(0)
    three = np.pad(p, ((0, 0), (1, 1)))
    three = three[:, :-2] + three[:, 1:-1] + three[:, 2:]
    return np.asarray(np.take_along_axis(three, p.argmax(axis=1)[:, None], axis=1)[:, 0])


def read_heights(
    prediction: Prediction, settings: LocateSettings, priors: CountPriors, spacing_nm: float
) -> dict[str, pd.DataFrame]:
    """Return the tables of an annular dark-field frame: columns as the network sees them, counted by intensity.

    Sites of their lattice beside columns, where the network saw nothing, are asked too: single atoms beside thick
    columns are easily overlooked. Intensities are those of `refine`, above a constant background; columns cut by the
    border or without a fit stay uncounted (every number is as likely).
    """
    located = _completed(prediction, settings)
    table = located.table
    intensity, sigma = table["intensity"].to_numpy(float), table["intensity_sigma"].to_numpy(float)
    whole = _whole(prediction, table)
    intensity, sigma = whole * intensity, whole * sigma
    table = table.assign(intensity=intensity, intensity_sigma=sigma)
    usable = np.isfinite(intensity) & np.isfinite(sigma) & (sigma > 0)
    usable &= (table["flags"].to_numpy(np.int64) & int(Flag.EDGE)) == 0
    counts = count_atoms(intensity[usable], sigma[usable], priors)
    p = np.full((len(table), priors.most + 1), 1.0 / (priors.most + 1))
    p[usable] = counts.p
    there = (p[:, 0] < _NOTHING) | (table["score"].to_numpy(float) > 0)
    table, p, comb = table[there].reset_index(drop=True), p[there], counts.comb
    facts = {
        "signal": "haadf",
        "per_atom": comb.per_atom,
        "per_atom_sigma": counts.per_atom_sigma,
        "offset_atoms": comb.offset,
        "bend": comb.bend,
    }
    heights = Heights(
        table, p, spacing_nm, comb.scatter, facts, order_doubts(table, crystal_of(table).lattice), _notes(counts)
    )
    return tables_of(prediction, heights)


def _completed(prediction: Prediction, settings: LocateSettings) -> Located:
    """Return the columns of one frame, with those that only the lattice of the others tells of (score 0)."""
    place = spotted(prediction, settings)
    lattice = fit_lattice(place[:, 0], place[:, 1], np.full(place.shape, _SPOTTED_NM)) if len(place) >= 8 else None
    if lattice is None:
        return locate(prediction, settings)
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    reach = 1.2 * lattice.site_spacing_nm
    low = np.maximum(place.min(axis=0) - reach, BORDER_NM)
    high = np.minimum(place.max(axis=0) + reach, (np.array(prediction.frame.data.shape) - 1) * pixel - BORDER_NM)
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    empty = missing_sites(lattice, place[:, 0], place[:, 1], box, least_surrounded=_BESIDE)
    put_in = np.stack([empty.y_nm, empty.x_nm], axis=1)
    return locate(prediction, settings, Amended(put_in, np.zeros(0, np.intp)))


def _whole(prediction: Prediction, table: pd.DataFrame) -> float:
    """Return what all columns together send above the vacuum over the sum of their fitted intensities.

    Between columns that are close, wide tails of the beam pass for background; the sum over the image holds them. 1
    where there is no vacuum to be seen.
    """
    from scipy.spatial import cKDTree

    image, pixel = prediction.frame.data, prediction.frame.calibration.pixel_nm
    assert pixel is not None
    fitted = table["intensity"].to_numpy(float)
    fitted, place = fitted[np.isfinite(fitted)], table[["y_nm", "x_nm"]].to_numpy(float)
    if not len(fitted) or not fitted.sum() > 0:
        return 1.0
    rows, columns = np.indices(image.shape)
    pixels = np.stack([rows.ravel(), columns.ravel()], axis=1) * pixel
    empty = np.isinf(np.asarray(cKDTree(place).query(pixels, distance_upper_bound=_VACUUM_NM)[0]))
    vacuum = image.ravel()[empty]
    if len(vacuum) < _FEWEST_PIXELS or not np.isfinite(image).all():
        return 1.0
    total = float(image.sum(dtype=np.float64) - vacuum.mean(dtype=np.float64) * image.size)
    return float(np.clip(total / fitted.sum(), *_BELIEVED))


def teeth(frames: pd.DataFrame, most: int) -> Array:
    """Return the mean intensity of columns of 1 .. most atoms that a row of 'frames' states."""
    row = frames.iloc[0]
    n = np.arange(1.0, most + 1)
    return np.asarray(float(row["per_atom"]) * (float(row["offset_atoms"]) + n + float(row["bend"]) * n * (n - 1) / 2))


def _notes(counts: Counts) -> tuple[str, ...]:
    """Return what to know of the comb: whether another one would do as well."""
    notes = []
    thickest = int(counts.likeliest.max(initial=0))
    if thickest and counts.per_atom_sigma * thickest > 0.5 * counts.comb.per_atom:
        notes.append(
            f"The intensity of one atom is only known to {100 * counts.per_atom_sigma / counts.comb.per_atom:.0f} %: "
            "thick columns may all be off by one or more; give it with --set per_atom=..."
        )
    if len(counts.stray) and counts.stray.mean() > 0.1:
        notes.append("Many intensities fit no whole number of atoms: is this one element, seen along a zone axis?")
    return tuple(notes)


@dataclass(frozen=True)
class Seen:
    """Running state of `Numbers`: frames, expected columns of each number of atoms and their variance."""

    frames: int = 0
    number: tuple[float, ...] = ()
    variance: tuple[float, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """Fold of 'objects' and 'posterior' into how many columns of each number of atoms there are in all frames."""

    def start(self) -> Seen:
        """Return the state before the first frame."""
        return Seen()

    def step(self, state: Seen, tables: Any) -> Seen:
        """Return the state after one frame; a frame out of domain adds nothing, nor do columns cut by the border."""
        frames, objects, posterior = tables["frames"], tables["objects"], tables["posterior"]
        if len(frames) == 0 or int(frames["flags"].iloc[0]) & _ASIDE:
            return state
        clean = objects["id"].to_numpy(np.intp)[(objects["flags"].to_numpy(np.int64) & _ASIDE) == 0]
        mine = posterior[np.isin(posterior["id"].to_numpy(np.intp), clean)]
        atoms, p = mine["atoms"].to_numpy(np.intp), mine["p"].to_numpy(float)
        size = max(int(atoms.max(initial=0)) + 1, len(state.number))
        number, variance = (np.asarray(np.bincount(atoms, w, size), float) for w in (p, p * (1 - p)))
        number[: len(state.number)] += np.array(state.number)
        variance[: len(state.variance)] += np.array(state.variance)
        return Seen(state.frames + 1, tuple(number.tolist()), tuple(variance.tolist()))

    def result(self, state: Seen) -> dict[str, pd.DataFrame]:
        """Return the table 'summary' (`NUMBERS`), one row a number of atoms from 1 on."""
        rows = []
        for atoms, (number, variance) in enumerate(zip(state.number, state.variance, strict=True)):
            if atoms and number > 0.01:
                reach = 1.96 * float(np.sqrt(variance))
                low, high = max(number - reach, 0.0), number + reach
                rows.append([f"{atoms} atom" + "s" * (atoms > 1), number, low, high, state.frames])
        return {"summary": pd.DataFrame(rows, columns=[column.name for column in NUMBERS])}
