"""Builders of checks on movies of silicon in graphene: planted differences of bonds, false alarms, maps of strain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sites
from micrograph.features.bond_sites import SAME_SITE_NM, site_tables
from micrograph.features.bonds import bonds_of
from micrograph.features.crystal import crystal_of, with_strain
from micrograph.features.graph import neighbours
from micrograph.simulate import Microscope, MovieSettings, Scan, SiliconSample, adf_points, silicon_movie
from micrograph.validate.baselines import fit_spots
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.limits import Columns, Raster, Spot, cramer_rao, fit_sections, image_spot
from micrograph.validate.trials import dose_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.simulate import Movie

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Bonds differ if equal ones would do so with less than this probability.
SURE = 0.01
#: Carbon atoms whose true bonds differ by less than this count as having equal ones.
_EQUAL_NM = 4e-4
#: Cut-off of bonds in the truth, and the most that a found atom may be off.
_BOND_NM, _OFF_NM = 0.19, 0.06
_SPOT_NM, _SPOT_REACH, _SPOT_SIGMA_NM = 0.006, 90, 0.035


#: Silicon that stays, one bond 5 pm longer, another one on each sublattice; frames each distorted in its own way.
_SAMPLE = SiliconSample(count=2, hop=0.0, asymmetry_pm=((5.0, 0.0, 0.0), (0.0, 5.0, 0.0)))
_SETTINGS = MovieSettings(
    frames=50,
    size_px=(112, 112),
    microscope=Microscope(convergence_mrad=35.0, source_fwhm_nm=0.05),
    scan=Scan(dose_e_per_A2=1e5, jitter_nm=0.002, drift_nm=0.03, affine=0.01),
)


@dataclass(frozen=True)
class BondMovies:
    """Movies of silicon that stays, with planted bonds; every frame is distorted anew. movies: how many of them.

    probes: carbon atoms a movie, no two bonded to a common one, whose bonds are equal in truth: they raise alarms.
    """

    sample: SiliconSample = _SAMPLE
    settings: MovieSettings = _SETTINGS
    movies: int = 40
    probes: int = 12

    def movie(self, seed: int) -> tuple[Movie, Sites]:
        """Return movie number `seed`, and its atoms in the sample's frame at the start."""
        settings = replace(self.settings, seed=seed)
        still = replace(settings, scan=Scan())
        atoms = silicon_movie(self.sample, still).sites
        assert atoms is not None
        return silicon_movie(self.sample, settings), atoms(0)


@dataclass(frozen=True)
class Seen:
    """One movie as analysed: p of each silicon and of each probe, by the recipe and by the baseline; strain errors."""

    silicon_p: Array
    silicon_plain_p: Array
    probe_p: Array
    probe_plain_p: Array
    strain_error: Array
    bond_limit_nm: float
    strain_limit: float


def asymmetry_power(trial: BondMovies, *, at_least: float = 0.95) -> Check:
    """Build the check: share of silicon atoms whose planted bond difference is found (p < `SURE`).

    Limit: the power of a chi-square test with Cramer-Rao errors. Baseline: Gaussian fits, one-way analysis of variance.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seen = _seen_all(trial, analyser)
        hits = [int((one.silicon_p < SURE).sum()) for one in seen]
        plain = np.concatenate([one.silicon_plain_p for one in seen])
        interval = share_interval(hits, [len(one.silicon_p) for one in seen], rng)
        limit = _power(trial, float(np.mean([one.bond_limit_nm for one in seen])))
        detail = f"{sum(hits)} of {sum(len(one.silicon_p) for one in seen)} silicon atoms in {len(seen)} movies"
        return Measurement.of(interval, limit=limit, baseline=float(np.mean(plain < SURE)), detail=detail)

    return Check(_name("planted bond difference found", trial), measure, at_least, ">=")


def asymmetry_alarms(trial: BondMovies, *, at_most: float = 0.05) -> Check:
    """Build the check: share of atoms with equal bonds that are said to have different ones (p < `SURE`)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seen = _seen_all(trial, analyser)
        alarms = [int((one.probe_p < SURE).sum()) for one in seen]
        p = np.concatenate([one.probe_p for one in seen])
        plain = np.concatenate([one.probe_plain_p for one in seen])
        interval = share_interval(alarms, [len(one.probe_p) for one in seen], rng)
        detail = f"{sum(alarms)} of {len(p)} carbon atoms; {np.mean(p < 0.05):.1%} have p < 0.05"
        return Measurement.of(interval, limit=SURE, baseline=float(np.mean(plain < SURE)), detail=detail)

    return Check(_name("false bond differences", trial), measure, at_most, "<=")


def strain_map_error(trial: BondMovies, *, at_most: float = 0.005) -> Check:
    """Build the check: rms error of the bond strain of every atom that was seen in half of the frames."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        seen = _seen_all(trial, analyser)
        errors = [one.strain_error for one in seen]
        interval = bootstrap(lambda some: float(np.sqrt(np.mean(np.concatenate(some) ** 2))), errors, rng)
        limit = float(np.sqrt(np.mean([one.strain_limit**2 for one in seen])))
        detail = f"{sum(map(len, errors))} atoms in {len(seen)} movies of {trial.settings.frames} frames"
        return Measurement.of(interval, limit=limit, detail=detail)

    return Check(_name("rms error of the strain map", trial), measure, at_most, "<=")


def _name(what: str, trial: BondMovies) -> str:
    return f"{what}, {trial.settings.frames} frames at {dose_text(trial.settings.scan.dose_e_per_A2)} e/A^2"


#: The movies analysed last, which all checks of a recipe share.
_last: list[tuple[BondMovies, Analyser, tuple[Seen, ...]]] = []


def _seen_all(trial: BondMovies, analyser: Analyser) -> tuple[Seen, ...]:
    """Return all movies of a trial as analysed; those analysed last are kept."""
    if _last and _last[0][0] == trial and _last[0][1] is analyser:
        return _last[0][2]
    found = tuple(_seen(trial, analyser, seed) for seed in range(trial.movies))
    _last[:] = [(trial, analyser, found)]
    return found


def _seen(trial: BondMovies, analyser: Analyser, seed: int) -> Seen:
    """Analyse one movie with the recipe and with the baseline."""
    movie, atoms = trial.movie(seed)
    tables = analyser.movie(movie.recording)
    truth = _Truth.of(atoms)
    inner = (atoms.y_nm > 0.4) & (atoms.x_nm > 0.4)
    inner &= (atoms.y_nm < trial.settings.size_nm[0] - 0.4) & (atoms.x_nm < trial.settings.size_nm[1] - 0.4)
    silicon = np.flatnonzero((atoms.label == "Si") & inner)
    probes = _probes(atoms, truth, np.flatnonzero((truth.spread_nm < _EQUAL_NM) & inner), trial.probes)
    place = np.column_stack([atoms.y_nm, atoms.x_nm])
    judged = np.concatenate([silicon, probes])
    plain = _plain_p(movie, place[np.column_stack([judged, truth.near[judged]])])
    bond, strain = _limits(trial, atoms, silicon)
    return Seen(
        silicon_p=_p_at(tables["sites"], place[silicon]),
        silicon_plain_p=plain[: len(silicon)],
        probe_p=_p_at(_probe_sites(tables, movie, place[probes]), place[probes]),
        probe_plain_p=plain[len(silicon) :],
        strain_error=_strain_errors(tables["strain_map"], place, truth, trial.settings.frames),
        bond_limit_nm=bond,
        strain_limit=strain,
    )


@dataclass(frozen=True)
class _Truth:
    """Of every true atom: rows (N, 3) of those bonded to it, -1 unless three; the spread of its bonds; strain."""

    near: Index
    spread_nm: Array
    strain: Array

    @classmethod
    def of(cls, atoms: Sites) -> _Truth:
        graph = neighbours(atoms.y_nm, atoms.x_nm, _BOND_NM)
        near = np.full((len(atoms), 3), -1)
        for row in np.flatnonzero(graph.degree == 3).tolist():
            mine = graph.edges[(graph.edges == row).any(axis=1)]
            near[row] = mine.sum(axis=1) - row
        place = np.column_stack([atoms.y_nm, atoms.x_nm])
        length = np.hypot(*(place[near] - place[:, None]).transpose(2, 0, 1))
        known = near[:, 0] >= 0
        carbon = known & (atoms.label[near] == "C").all(axis=1) & (atoms.label == "C")
        usual = 0.246 / np.sqrt(3)
        strain = np.where(carbon, length.mean(axis=1) / usual - 1, np.nan)
        return cls(near, np.where(carbon, np.ptp(length, axis=1), np.inf), strain)


def _probes(atoms: Sites, truth: _Truth, rows: Index, most: int) -> Index:
    """Return at most `most` of the given rows, at least 0.2 nm apart from each other."""
    chosen: list[int] = []
    for row in rows.tolist():
        off = np.hypot(atoms.y_nm[chosen] - atoms.y_nm[row], atoms.x_nm[chosen] - atoms.x_nm[row])
        if len(chosen) < most and (off > 0.2).all():
            chosen.append(row)
    return np.array(chosen, dtype=np.intp)


def _p_at(sites: DataFrame, place: Array) -> Array:
    """Return asymmetry_p of the longest stay at each true place (M, 2); 1 where none was found."""
    found = np.ones(len(place))
    for k, (y, x) in enumerate(place.tolist()):
        near = sites[np.hypot(sites["y_sample_nm"] - y, sites["x_sample_nm"] - x) < 0.1]
        if len(near):
            found[k] = float(near["asymmetry_p"].to_numpy()[near["frames"].to_numpy().argmax()])
    return found


def _probe_sites(tables: Mapping[str, DataFrame], movie: Movie, place: Array) -> DataFrame:
    """Return the table 'sites' that the recipe's own steps give for carbon atoms at `place` (M, 2) in the sample."""
    import pandas as pd

    pieces = []
    for frame, objects in tables["objects"].groupby("frame"):
        table = objects.reset_index(drop=True)
        crystal = crystal_of(table, "hexagonal")
        drift = tables["drift"].loc[tables["drift"]["frame"] == frame, ["drift_y_nm", "drift_x_nm"]].to_numpy(float)
        seen = table[["y_nm", "x_nm"]].to_numpy(float) - drift
        off = np.hypot(*(seen[:, None] - place).transpose(2, 0, 1))
        row = off.argmin(axis=0)
        hit = off[row, np.arange(len(place))] < SAME_SITE_NM
        graph = neighbours(crystal.y_nm, crystal.x_nm, _BOND_NM, sigma_nm=crystal.sigma_nm)
        label = np.where(np.isin(np.arange(len(table)), row[hit]), "probe", "C")
        bonds = bonds_of(with_strain(table.assign(**{"class": label}), crystal), crystal, graph)
        number = dict(zip(row[hit].tolist(), np.flatnonzero(hit).tolist(), strict=True))
        track = bonds["dopant"].map(number)
        at = place[track.to_numpy(int)]
        pieces.append(bonds.assign(track=track, y_sample_nm=at[:, 0], x_sample_nm=at[:, 1]))
    return site_tables(pd.concat(pieces, ignore_index=True))["sites"]


def _plain_p(movie: Movie, place: Array) -> Array:
    """Return p (A,) of one-way analyses of variance of the bonds of atoms, by Gaussian fits to the raw frames.

    place: (A, 4, 2) of each atom and its three neighbours in the sample.
    """
    from scipy.spatial import cKDTree
    from scipy.stats import f_oneway

    pixel = movie.recording.calibration.pixel_nm
    assert pixel is not None and movie.sites is not None
    lengths = []
    for frame in range(len(movie.recording)):
        seen = movie.sites(frame)
        points = np.column_stack([seen.y_nm, seen.x_nm])
        start = points[cKDTree(points).query(place.reshape(-1, 2) + movie.drift_nm[frame])[1]] / pixel
        image = np.asarray(movie.recording.read(frame), float)
        spots = fit_spots(image, start[:, 0], start[:, 1], _SPOT_SIGMA_NM / pixel)
        found = np.column_stack([spots.y, spots.x]).reshape(-1, 4, 2) * pixel
        lengths.append(np.hypot(*(found[:, 1:] - found[:, :1]).transpose(2, 0, 1)))
    return np.array([float(f_oneway(*bonds.T).pvalue) for bonds in np.array(lengths).transpose(1, 0, 2)])


def _strain_errors(found: DataFrame, place: Array, truth: _Truth, frames: int) -> Array:
    """Return found less true strain of the atoms that were seen in half of the frames."""
    from scipy.spatial import cKDTree

    rows = found[found["frames"] >= frames / 2]
    off, near = cKDTree(place).query(rows[["y_sample_nm", "x_sample_nm"]].to_numpy(float))
    error = rows["bond_strain"].to_numpy(float) - truth.strain[near]
    return error[(off < 0.1) & np.isfinite(error)]


def _limits(trial: BondMovies, atoms: Sites, silicon: Index) -> tuple[float, float]:
    """Return the Cramer-Rao 1-sigma in one frame of a carbon beside silicon, and that of the averaged bond strain."""
    settings = trial.settings
    raster = Raster(settings.size_px, settings.pixel_nm)
    spots = [_spot(settings, number) for number in (6, 14)]
    kind = (atoms.label == "Si").astype(np.intp)
    fraction = adf_points(
        np.column_stack([atoms.y_nm, atoms.x_nm]),
        np.where(kind == 1, 14, 6),
        settings.microscope,
        pixel_nm=settings.pixel_nm,
        shape=settings.size_px,
        thermal_nm=settings.thermal_nm,
    )
    columns = fit_sections(Columns(atoms.y_nm, atoms.x_nm, np.zeros(len(atoms)), spots, kind), raster, fraction)
    limits = cramer_rao(columns, raster, settings.scan.dose_e_per_A2, fraction)
    carbon = float(np.sqrt((limits.y_nm[kind == 0] ** 2 + limits.x_nm[kind == 0] ** 2).mean() / 2))
    usual = 0.246 / np.sqrt(3)
    return carbon, carbon / np.sqrt(3 * settings.frames) / usual


def _spot(settings: MovieSettings, number: int) -> Spot:
    side = 2 * _SPOT_REACH + 1
    place = np.full((1, 2), _SPOT_REACH * _SPOT_NM)
    image = adf_points(
        place, [number], settings.microscope, pixel_nm=_SPOT_NM, shape=(side, side), thermal_nm=settings.thermal_nm
    )
    return image_spot(image, _SPOT_NM)


def _power(trial: BondMovies, carbon_nm: float) -> float:
    """Return the power of the ideal test for the planted differences, the silicon's own place known exactly."""
    from scipy.stats import chi2, ncx2

    planted = np.array(trial.sample.asymmetry_pm) / 1e3
    squares = ((planted - planted.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    shift = trial.settings.frames * squares / carbon_nm**2
    return float(ncx2.sf(chi2.isf(SURE, 2), 2, np.maximum(shift, 1e-9)).mean())
