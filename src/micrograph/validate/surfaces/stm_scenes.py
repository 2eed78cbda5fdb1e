"""Scans with known tips, and what is asked of each: single features, votes of five, the whole frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Frame, Sample, Sites
from micrograph.features.surface.bright import SIDE, STEP_NM
from micrograph.features.surface.tip_look import shipped
from micrograph.features.surface.tip_tables import bright_in
from micrograph.features.surface.tip_vote import STATES, evidence_of, vote
from micrograph.simulate.scanning.silicon_surface import SiliconSurface
from micrograph.simulate.scanning.stm import TIPS, StmScans, Tip, constant_current, random_tip, truth_at
from micrograph.validate.checks import Analyser
from micrograph.validate.shared import Shared, one_by_one
from micrograph.validate.surfaces.stm_orbitals import orbital_scan

Array = NDArray[np.float64]

#: Features that vote together.
VOTERS = 5
#: A second bond within this distance (nm) may be taken for a ghost.
_NEIGHBOUR_NM = 2.2


@dataclass(frozen=True)
class Judged:
    """One scan: its true state, what each of its dangling bonds says (N, 3), their weights (N,), the row of the frame.

    together: probability of a bad tip by `VOTERS` of them together; plain: whether a classical look at each of
    these bonds calls the tip good; alone: whether no other bond lies within `_NEIGHBOUR_NM`, where it could be a
    ghost; limit: how often the best test of each bond is right that knows both the tip and a bad or good one
    instead.
    """

    state: str
    p: Array
    weight: Array
    row: dict[str, object]
    together: float
    plain: NDArray[np.bool_]
    alone: NDArray[np.bool_]
    limit: float
    apex_nm: tuple[float, float]

    @property
    def is_good(self) -> bool:
        """Whether the tip is sharp."""
        return self.state == "sharp"

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each bond (N,) alone says rightly if the tip is good."""
        return np.asarray((self.p[:, 0] >= 0.5) == self.is_good)

    def voted(self, alike: float) -> float:
        """Return the probability of a bad tip by the evidence of `VOTERS` bonds; `alike` 0 is the naive vote."""
        return 1 - float(vote(evidence_of(self.p[:VOTERS], self.weight[:VOTERS]), alike)[0])

    @property
    def can_vote(self) -> bool:
        """Whether there are enough bonds for a vote of `VOTERS`."""
        return len(self.p) >= VOTERS


@dataclass(frozen=True)
class TipScans:
    """So many scans of a kind; `name` says of which in the names of checks; `draw` makes one scan."""

    name: str
    draw: Callable[[np.random.Generator], Sample]
    images: int

    def judged(self, analyser: Analyser, rng: np.random.Generator) -> list[Judged]:
        """Return what the analyser says of each scan; the same ones are analysed once for all checks."""
        find = one_by_one(self.images, lambda draw: judge(self.draw(draw), analyser, draw))
        return _FOUND.found(self.name, analyser, rng, find)


_FOUND: Shared[list[Judged]] = Shared()


def judge(scan: Sample, analyser: Analyser, rng: np.random.Generator) -> Judged:
    """Return what an analyser says of a scan."""
    tables = analyser(scan.image, scan.pixel_nm)
    objects, row = tables["objects"], tables["frames"].iloc[0]
    places = objects[["y_nm", "x_nm"]].to_numpy(float)
    truths = [truth_at(scan, place) for place in places]
    bonds = np.array([truth is not None and truth[1] == 0 for truth in truths], bool)
    p = objects[["p_sharp", "p_double", "p_blunt"]].to_numpy(float)[bonds]
    weight = (objects["p_dangling"] / np.maximum(objects["distance"], 1.0) ** 2).to_numpy(float)[bonds]
    found = bright_in(Frame(scan.image, 0, Calibration(pixel_nm=scan.pixel_nm)))
    plain = np.array([looks_good(crop) for crop in found.crops], bool)[bonds]
    state = TIPS[int(scan.params["tip"])]
    order = rng.permutation(len(p))
    limit = known_tip_limit(scan, rng) if "noise_nm" in scan.params else np.nan
    apex = (scan.params.get("apex_y_nm", np.nan), scan.params.get("apex_x_nm", np.nan))
    crops = found.crops[bonds][order][:VOTERS]
    together = 1 - float(shipped().joint(crops)[0]) if len(crops) == VOTERS else np.nan
    alone = _alone(places[bonds], scan.sites)[order]
    return Judged(state, p[order], weight[order], dict(row), together, plain[order], alone, limit, apex)


def _alone(places: Array, sites: Sites) -> NDArray[np.bool_]:
    """Return for places (N, 2) in nm whether there is no second bond near the nearest one."""
    bonds = np.column_stack([sites.y_nm, sites.x_nm])
    if len(bonds) < 2:
        return np.ones(len(places), bool)
    own = [bonds[int(np.hypot(*(bonds - place).T).argmin())] for place in places]
    return np.array([np.sort(np.hypot(*(bonds - place).T))[1] > _NEIGHBOUR_NM for place in own], bool)


def looks_good(crop: NDArray[np.floating]) -> bool:
    """Return the classical answer: the feature is round, narrow, and alone.

    Its core above half its height has an area of a disc less than `_WIDE_NM` wide and axes alike within `_LONG`, and no
    other place within the crop's middle reaches `_SECOND` of its height.
    """
    from scipy.ndimage import gaussian_filter, label

    smooth = gaussian_filter(np.asarray(crop, float), 0.7)
    middle = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    smooth = smooth / max(float(smooth[middle, middle].max()), 1e-6)
    parts, _ = label(smooth > 0.5)
    own = parts == parts[middle, middle].max()
    y, x = np.nonzero(own)
    if len(y) < 3:
        return True
    axes = np.linalg.eigvalsh(np.cov(np.stack([y, x])) + np.eye(2) / 12)
    width = 2 * np.sqrt(len(y) / np.pi) * STEP_NM
    away = np.hypot(*(np.indices(smooth.shape) - (SIDE - 1) / 2)) * STEP_NM
    others = smooth[(away > 0.75) & (away < 2.1)].max()
    return bool(width < _WIDE_NM and np.sqrt(axes[1] / axes[0]) < _LONG and others < _SECOND)


#: Limits of the classical answer, the best ones for a thousand scans of the training's kind.
_WIDE_NM, _LONG, _SECOND = 1.1, 1.5, 0.4


def known_tip_limit(scan: Sample, rng: np.random.Generator) -> float:
    """Return how often the likelihood ratio of two known tips on one known dangling bond is right.

    One tip is that of the scan, the other a random one of the other kind; all but the white noise is known.
    """
    state = TIPS[int(scan.params["tip"])]
    other = random_tip("sharp" if state != "sharp" else str(rng.choice(STATES[1:])), StmScans().tips, rng)
    apices: tuple[tuple[float, float, float], ...] = ((0.0, 0.0, 0.0),)
    if state == "double":
        apices += ((scan.params["apex_y_nm"], scan.params["apex_x_nm"], scan.params["apex_up_nm"]),)
    own = Tip(state, apices, scan.params["blur_nm"])
    surface = SiliconSurface(
        np.array([[0.0, 0.0, scan.params["noise_nm"] * scan.params["snr"], 0.29]]), np.zeros((1, 2))
    )
    many = int(SIDE * STEP_NM / scan.pixel_nm)
    grid = (np.arange(many) - (many - 1) / 2) * scan.pixel_nm
    y, x = np.meshgrid(grid, grid, indexing="ij")
    differ = constant_current(surface, own, y, x) - constant_current(surface, other, y, x)
    differ -= differ.mean()
    from scipy.stats import norm

    return float(norm.cdf(np.sqrt((differ**2).sum()) / (2 * scan.params["noise_nm"])))


def by_orbitals(rng: np.random.Generator) -> Sample:
    """Return a scan of sums of orbitals (see `stm_orbitals`) with its truth."""
    state = str(rng.choice(TIPS, p=(0.5, 0.3, 0.2)))
    made = orbital_scan(state, rng)
    inside = ((made.sites > 0) & (made.sites < len(made.image) * made.pixel_nm)).all(axis=1)
    sites = Sites(made.sites[inside, 0], made.sites[inside, 1], np.full(int(inside.sum()), "DB"))
    params = {"tip": float(TIPS.index(state)), "apex_y_nm": made.ghost_nm[0], "apex_x_nm": made.ghost_nm[1]}
    after = {f"{name}_after": value for name, value in params.items()}
    change = {"change_y_nm": 2 * len(made.image) * made.pixel_nm}
    return Sample(made.image, made.pixel_nm, sites, params=params | after | change, truth={"tip": params["tip"]})


def narrowed(scans: StmScans) -> StmScans:
    """Return scans of the same kind, the larger fields with the more bonds, on the coarser pixels."""
    surface = replace(scans.surface, dangling_per_nm2=(0.006, 0.008))
    return replace(scans, surface=surface, field_nm=(34.0, 40.0), pixel_nm=(0.16, 0.2))
