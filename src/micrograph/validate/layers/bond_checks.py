"""Builders of checks on movies of silicon at rest in graphene: bonds that differ, bonds that do not, strain.

All three judge the same movies, which are analysed once for each analyser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from micrograph.simulate import Microscope, MovieSettings, Scan, SiliconSample, silicon_movie
from micrograph.validate.baselines import fit_spots, log_peaks
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import Interval, bootstrap, clopper_pearson
from micrograph.validate.layers.bond_probes import probe_p

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.simulate import Movie

Array = NDArray[np.float64]

#: What is found within this distance of a true place is taken for it.
_NEAR_NM = 0.07
#: True bonds of one atom count as equal up to this much (other silicon nearby pulls at them), in pm.
_EQUAL_PM = 0.5
#: Two atoms of carbon closer than this are bonded; silicon reaches further.
_CARBON_NM, _SILICON_NM = 0.175, 0.21


@dataclass(frozen=True)
class RestingSilicon:
    """Movies of `silicon` atoms that do not hop: on one sublattice one bond is `longer_pm` longer, on the other none.

    Every frame has a scan distortion of its own; the sheet is turned at random. The probe is that of an
    aberration-corrected 60 kV microscope; positions of silicon and carbon are then good to about 2 and 4 pm in a frame.
    """

    count: int = 40
    longer_pm: float = 5.0
    silicon: int = 2
    frames: int = 50
    size_px: int = 128
    pixel_nm: float = 0.02
    microscope: Microscope = field(default_factory=lambda: Microscope(source_fwhm_nm=0.05, convergence_mrad=35.0))
    scan: Scan = field(default_factory=lambda: Scan(1e5, affine=0.005, drift_nm=0.005, jitter_nm=0.002))

    def __call__(self, seed: int) -> Movie:
        """Return movie number `seed`; what is read of it is kept."""
        sample = SiliconSample(
            count=self.silicon,
            hop=0.0,
            asymmetry_pm=((0.0, 0.0, 0.0), (0.0, 0.0, self.longer_pm)),
            rotation_deg=float(np.random.default_rng(seed).uniform(0, 60)),
        )
        settings = MovieSettings(
            frames=self.frames,
            size_px=(self.size_px, self.size_px),
            pixel_nm=self.pixel_nm,
            seed=seed,
            microscope=self.microscope,
            scan=self.scan,
            wander_nm=0.01,
        )
        movie = silicon_movie(sample, settings)
        return replace(movie, recording=replace(movie.recording, read=cache(movie.recording.read)))


class Stay(NamedTuple):
    """A silicon atom: whether a bond is longer, the p-value stated for equal bonds, and that of the classical method.

    naive_p is NaN where it was not asked. noncentrality: true differences over the least errors that counting allows,
    squared and summed over the frames.
    """

    longer: bool
    p: float
    naive_p: float
    noncentrality: float


class Strained(NamedTuple):
    """Cells of one movie: error of the strain (N,), the true strain (N,), its least 1-sigma (N,)."""

    error: Array
    true: Array
    least: Array


class _Judged:
    """What an analyser said of the movies, kept for the checks that follow."""

    def __init__(self, movies: RestingSilicon) -> None:
        self.movies = movies
        self._of: Analyser | None = None
        self._answers: list[tuple[list[Stay], Strained]] = []

    def __call__(self, analyser: Analyser) -> list[tuple[list[Stay], Strained]]:
        """Return the stays and the strain of every movie."""
        if self._of is not analyser:
            self._answers = [_judged(self.movies(seed), analyser) for seed in range(self.movies.count)]
            self._of = analyser
        return self._answers

    def stays(self, analyser: Analyser, longer: bool) -> list[Stay]:
        """Return the stays with one bond longer, or with equal bonds."""
        return [stay for stays, _ in self(analyser) for stay in stays if stay.longer == longer]


def bond_checks(
    movies: RestingSilicon | None = None,
    *,
    found: float = 0.95,
    false: float = 0.05,
    strain: float = 0.005,
) -> tuple[Check, Check, Check]:
    """Build the checks: differing bonds found at p < 0.01, equal bonds called different as often, strain of cells.

    The first two are shares of silicon atoms, the second of carbon atoms far from silicon too (`probe_p`); the third is
    a root mean square error of the mean bond around a carbon atom, averaged over a movie. Limits: a chi-square test
    with the errors that counting allows; the stated level; the errors that counting allows. Baselines: Gaussian fits of
    single silicon atoms, no distortion removed, and a t-test of the longest against the shortest mean bond; a sheet
    without strain.
    """
    judged = _Judged(movies or RestingSilicon())
    what = f"{judged.movies.frames} frames"
    return (
        Check(f"{judged.movies.longer_pm:g} pm between bonds found in {what} (p < 0.01)", _found(judged), found, ">="),
        Check(f"equal bonds called different in {what} (p < 0.01)", _false(judged), false, "<="),
        Check(f"strain of a cell over {what}", _strain(judged), strain, "<="),
    )


def _found(judged: _Judged) -> Callable[[Analyser, np.random.Generator], Measurement]:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        stays = judged.stays(analyser, longer=True)
        power = float(np.mean([_power(stay.noncentrality, 0.01) for stay in stays]))
        baseline = _share([stay.naive_p for stay in stays], 0.01).value
        return Measurement.of(_share([stay.p for stay in stays], 0.01), limit=power, baseline=baseline)

    return measure


def _false(judged: _Judged) -> Callable[[Analyser, np.random.Generator], Measurement]:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        stays = judged.stays(analyser, longer=False)
        said = [stay.p for stay in stays]
        naive = [stay.naive_p for stay in stays if np.isfinite(stay.naive_p)]
        at_5 = _share(said, 0.05)
        detail = f"at p < 0.05: {at_5.value:.3f} ({at_5.low:.3f} to {at_5.high:.3f}), baseline "
        detail += f"{_share(naive, 0.05).value:.3f}; {len(naive)} silicon atoms and {len(stays) - len(naive)} of carbon"
        return Measurement.of(_share(said, 0.01), limit=0.01, baseline=_share(naive, 0.01).value, detail=detail)

    return measure


def _strain(judged: _Judged) -> Callable[[Analyser, np.random.Generator], Measurement]:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        cells = [strained for _, strained in judged(analyser)]
        interval = bootstrap(lambda some: _rms([one.error for one in some]), cells, rng)
        limit, baseline = _rms([one.least for one in cells]), _rms([one.true for one in cells])
        detail = f"{sum(len(one.error) for one in cells)} cells of {len(cells)} movies"
        return Measurement.of(interval, limit=limit, baseline=baseline, detail=detail)

    return measure


def _share(p: Sequence[float], level: float) -> Interval:
    return clopper_pearson(int(np.sum(np.array(p) < level)), len(p))


def _rms(parts: Sequence[Array]) -> float:
    return float(np.sqrt(np.mean(np.square(np.concatenate(parts)))))


def _power(noncentrality: float, level: float) -> float:
    """Return how often a chi-square test of two differences finds them."""
    from scipy.stats import chi2, ncx2

    return float(ncx2.sf(chi2.isf(level, 2), 2, max(noncentrality, 1e-9)))


def _judged(movie: Movie, analyser: Analyser) -> tuple[list[Stay], Strained]:
    tables = analyser.movie(movie.recording)
    stays = []
    for _, rows in movie.truth.groupby("object"):
        true = rows[["bond_1_nm", "bond_2_nm", "bond_3_nm"]].to_numpy(float)[0]
        spread = 1e3 * np.sort(true - np.median(true))
        if np.ptp(spread) < _EQUAL_PM or spread[2] > 4 * _EQUAL_PM:
            p = _said(tables["sites"], rows.iloc[0])
            square = _least_variance(tables["bonds"], rows)
            least = len(rows) * float(((true - true.mean()) ** 2).sum()) / square
            stays.append(Stay(bool(np.ptp(spread) > _EQUAL_PM), p, _naive_p(movie, rows), least))
    if "drift" in tables:
        stays += [Stay(False, p, np.nan, 0.0) for p in probe_p(movie, tables).tolist()]
    return stays, strained(movie, tables["strain_map"], tables["objects"])


def _said(sites: DataFrame, true: Any) -> float:
    """Return the p-value of the longest stay at a true place, 1 where there is none."""
    off = np.hypot(sites["y_sample_nm"] - true["y_sample_nm"], sites["x_sample_nm"] - true["x_sample_nm"])
    near = sites[off < _NEAR_NM].sort_values("frames")
    return float(near["asymmetry_p"].iloc[-1]) if len(near) else 1.0


def _least_variance(bonds: DataFrame, rows: DataFrame) -> float:
    """Return the stated variance (nm^2) of a difference of bonds over the root of 2, the median of all frames."""
    place = bonds.merge(rows[["frame", "y_nm", "x_nm"]], on="frame", how="left")
    y_off, x_off = ((place[f"{axis}_nm_x"] - place[f"{axis}_nm_y"]).to_numpy(float) for axis in "yx")
    near = place[np.hypot(y_off, x_off) < _NEAR_NM]
    square = near["length_sigma_nm"].to_numpy(float) ** 2 - near["shared_nm2"].to_numpy(float)
    return float(np.median(square)) if len(square) else np.inf


def _naive_p(movie: Movie, rows: DataFrame) -> float:
    """Return the p-value of a t-test of the longest against the shortest mean bond, from fits of single atoms."""
    from scipy.stats import ttest_ind

    lengths = [_plain_bonds(movie, row) for row in rows.to_dict("records")]
    known = np.array([length for length in lengths if length is not None]).reshape(-1, 3)
    if len(known) < 3:
        return 1.0
    order = np.argsort(known.mean(axis=0))
    return float(ttest_ind(known[:, order[2]], known[:, order[0]], equal_var=False).pvalue)


def _plain_bonds(movie: Movie, true: Any) -> Array | None:
    """Return the bonds (3,) nm of one silicon in one frame as in the truth; ``None`` unless three are seen."""
    pixel = movie.recording.calibration.pixel_nm
    assert pixel is not None
    image = np.asarray(movie.recording.read(int(true["frame"])), float)
    sigma = 0.05 / pixel
    peaks = np.column_stack(log_peaks(image, sigma)).astype(float)
    off = np.hypot(*(peaks - np.array([true["y_nm"], true["x_nm"]]) / pixel).T) * pixel
    order = np.argsort(off)
    if len(order) < 4 or off[order[0]] > _NEAR_NM or off[order[3]] > _SILICON_NM:
        return None
    spots = fit_spots(image, peaks[order[:4], 0], peaks[order[:4], 1], sigma)
    step = np.column_stack([spots.y[1:] - spots.y[0], spots.x[1:] - spots.x[0]]) * pixel
    turn = np.degrees(np.arctan2(-step[:, 0], step[:, 1])) - float(true["bond_1_deg"])
    number = np.rint(turn / 120).astype(int) % 3
    return np.hypot(*step.T)[np.argsort(number)] if len(set(number.tolist())) == 3 else None


def strained(movie: Movie, strain_map: DataFrame, objects: DataFrame) -> Strained:
    """Return how far the strain of cells that were seen in half of the frames is off the true one."""
    from scipy.spatial import cKDTree

    place, true = true_strain(movie)
    rows = strain_map[strain_map["frames"] >= len(movie.drift_nm) / 2]
    off, near = (
        np.asarray(found) for found in cKDTree(place).query(rows[["y_sample_nm", "x_sample_nm"]].to_numpy(float))
    )
    known = (off < _NEAR_NM) & np.isfinite(true[near]) & np.isfinite(rows["bond_strain"].to_numpy(float))
    true, rows = true[near[known]], rows[known]
    square = float(np.nanmedian(objects["bond_strain_sigma"].to_numpy(float) ** 2))
    least = np.sqrt(square / rows["frames"].to_numpy(float))
    return Strained(rows["bond_strain"].to_numpy(float) - true, true, least)


def true_strain(movie: Movie) -> tuple[Array, Array]:
    """Return places (N, 2) nm of the columns of the first frame, and the strain (N,) of the bonds around each.

    Strain is the mean of three bonds to carbon over that of the lattice, less 1; NaN unless a carbon has three. To
    first order a scan's shear and stretch leave it as it is.
    """
    from scipy.spatial import cKDTree

    from micrograph.features.lattices.lattice import fit_lattice
    from micrograph.features.layers.bonds import honeycomb_bond_nm

    assert movie.sites is not None
    sites = movie.sites(0)
    place = np.column_stack([sites.y_nm, sites.x_nm])
    lattice = fit_lattice(sites.y_nm, sites.x_nm)
    assert lattice is not None
    pairs = cKDTree(place).query_pairs(_CARBON_NM, output_type="ndarray")
    pairs = pairs[(np.asarray(sites.label)[pairs] == "C").all(axis=1)]
    length = np.hypot(*(place[pairs[:, 0]] - place[pairs[:, 1]]).T)
    number = np.bincount(pairs.ravel(), minlength=len(place))
    total = np.bincount(pairs.ravel(), np.repeat(length, 2), minlength=len(place))
    mean = np.where(number == 3, total / np.maximum(number, 1), np.nan)
    return place, np.asarray(mean / honeycomb_bond_nm(lattice.cell) - 1)
