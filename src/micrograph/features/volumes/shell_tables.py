"""What a reconstruction says, as tables: particles with core and shell, their composition, the views, the elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.features.volumes.shell_shape import sizes
from micrograph.features.volumes.shells import Bodies, size_sigmas

if TYPE_CHECKING:
    from micrograph.features.volumes.reconstruction import Reconstruction, Series

Array = NDArray[np.float64]

#: 1-sigma (nm) of sizes beyond counting: shapes that the harmonics leave out, measured on facetted, rough particles.
MODEL_NM = 0.1
#: Core and shell whose concentrations differ by less than so many sigma, or a shell thinner than three of its own, are
#: not told apart.
DISTINCT = 5.0
#: Particles that are less likely than any edges by so much (log-likelihood of counts left out) are doubted.
UNLIKELY = 10.0
_REGIONS = ("core", "shell")

PARTICLES = (
    Column("frame", "", "number of the tilt series"),
    Column("particle", "", "number of the particle"),
    Column("z_nm", "nm", "middle along the beam at tilt 0"),
    Column("y_nm", "nm", "middle along the tilt axis"),
    Column("x_nm", "nm", "middle across the tilt axis"),
    Column("diameter_nm", "nm", "diameter of a ball of equal volume", sigma="diameter_sigma_nm"),
    Column("core_nm", "nm", "diameter of a ball of the core's volume", sigma="core_sigma_nm"),
    Column("shell_nm", "nm", "mean thickness of the shell", sigma="shell_sigma_nm"),
    Column("distinct", "", "by how many sigma the concentrations of core and shell differ"),
    Column("counts", "", "counts of all elements in all views that are the particle's"),
)
COMPOSITION = (
    Column("frame", "", "number of the tilt series"),
    Column("particle", "", "number of the particle"),
    Column("region", "", "core or shell"),
    Column("element", "", "element"),
    Column("density_per_nm3", "1/nm^3", "counts of a view from a cubic nanometre", sigma="density_sigma_per_nm3"),
    Column("share", "", "share of the element in the counts of the region", sigma="share_sigma"),
)
VIEWS = (
    Column("frame", "", "number of the tilt series"),
    Column("view", "", "number of the view"),
    Column("tilt_deg", "degree", "tilt of the view"),
    Column("shift_y_px", "px", "by how much the view was off along the tilt axis"),
    Column("shift_x_px", "px", "by how much the view was off across the tilt axis"),
    Column("counts", "", "counts of all elements"),
    Column("expected", "", "counts that the volumes give"),
)
ELEMENTS = (
    Column("frame", "", "number of the tilt series"),
    Column("element", "", "element"),
    Column("counts", "", "counts in all views"),
    Column("ground", "", "counts a pixel that are not the specimen's"),
    Column("misfit", "", "chi^2 over pixels of the re-projected volume: 1 where only counting noise is left"),
)
SERIES = (
    Column("count", "", "particles"),
    Column("views", "", "views"),
    Column("prior", "", "prior that the counts chose: variation, guided, shells"),
    Column("gain", "", "log-likelihood of counts left out, beyond that of total variation alone"),
    Column("misfit", "", "chi^2 over pixels, mean over elements"),
)
SUMMARY = (
    Column("count", "", "particles"),
    Column("views", "", "views"),
    Column("prior", "", "prior that the counts chose"),
    Column("misfit", "", "chi^2 over pixels, mean over elements"),
    Column("diameter_nm", "nm", "mean diameter", sigma="diameter_sigma_nm"),
    Column("shell_nm", "nm", "mean thickness of the shells", sigma="shell_sigma_nm"),
)


def packed(bodies: Bodies | None, series: Series, made: Reconstruction) -> dict[str, Array]:
    """Return arrays of the particles (N, ...) for `Prediction.values`.

    'particles': z, y, x, diameter, its sigma, core, its sigma, shell, its sigma (nm), distinct, counts, at the edge;
    'composition' (N, 2, C, 4): density, its sigma, share, its sigma.
    """
    count = len(series.counts)
    if bodies is None:
        return {"particles": np.zeros((0, 12)), "composition": np.zeros((0, 2, count, 4))}
    rows, parts = [], []
    field = np.array([series.projector.depth, series.counts.shape[2], series.projector.width], float)
    number = max(1, round(bodies.voxel_nm * field[2] / (bodies.voxel_nm * field[2])))
    views = series.projector.views
    for at, body in enumerate(bodies.bodies):
        found, sigma = sizes(body), size_sigmas(bodies, at)
        composition, distinct = _composition(bodies, at, count)
        middle = np.array(body.centre) + _offset(body.outer) / bodies.voxel_nm
        place = (middle + 0.5) * bodies.voxel_nm
        volume = [4 / 3 * np.pi * (each / 2) ** 3 / bodies.voxel_nm**3 for each in (found.core_nm, found.diameter_nm)]
        held = bodies.core[at][:count].sum() * volume[0] + bodies.rim[at][:count].sum() * (volume[1] - volume[0])
        sides = field * (bodies.voxel_nm / number)
        near = bool((np.minimum(place[1:], sides[1:] - place[1:]) < found.diameter_nm / 2).any())
        spread = [float(np.hypot(getattr(sigma, name), MODEL_NM)) for name in ("diameter_nm", "core_nm", "shell_nm")]
        rows.append([*place, found.diameter_nm, spread[0], found.core_nm, spread[1], found.shell_nm, spread[2],
                     distinct, held * views, float(near)])  # fmt: skip
        parts.append(composition)
    return {"particles": np.array(rows), "composition": np.array(parts)}


def _offset(outer: Array) -> Array:
    """Return by how much (z, y, x) in nm a body's middle lies off its centre: its harmonics of degree 1."""
    y, z, x = outer[1:4] * np.sqrt(3)
    return np.array([z, -y, -x])


def _composition(bodies: Bodies, number: int, count: int) -> tuple[Array, float]:
    """Return density and share with their sigma (2, C, 4), and by how many sigma core and shell differ."""
    channels = len(bodies.ground)
    start = len(bodies.bodies[number].outer) + len(bodies.bodies[number].shell)
    per_nm3 = bodies.voxel_nm**3
    found = np.full((2, count, 4), np.nan)
    blocks = []
    for region, many in enumerate((bodies.core[number], bodies.rim[number])):
        own = many[:count]
        total = max(float(own.sum()), 1e-12)
        found[region, :, 0], found[region, :, 2] = own / per_nm3, own / total
        if bodies.covariances:
            at = start + region * channels
            block = bodies.covariances[number][at : at + count, at : at + count]
            slopes = (np.eye(count) - np.outer(own / total, np.ones(count))) / total
            found[region, :, 1] = np.sqrt(np.maximum(np.diag(block), 0)) / per_nm3
            found[region, :, 3] = np.sqrt(np.maximum(np.diag(slopes @ block @ slopes.T), 0))
            blocks.append(np.diag(block))
    if not blocks:
        return found, np.nan
    apart = bodies.core[number][:count] - bodies.rim[number][:count]
    return found, float(np.sqrt((apart**2 / np.maximum(blocks[0] + blocks[1], 1e-30)).sum()))


@dataclass(frozen=True)
class ShellRows:
    """The tables of a reconstructed tilt series."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'composition', 'views', 'elements' and 'frames' (one row)."""
        values, frame, names = prediction.values, prediction.frame.index, tuple(prediction.maps)
        choices = values["choices"]
        gain = _gain(choices)
        facts = {
            "frame": frame,
            "count": len(values["particles"]),
            "views": len(values["tilts_deg"]),
            "prior": _PRIORS[int(choices[0, 0])],
            "gain": gain,
            "misfit": float(values["misfit"].mean()),
        }
        return {
            "objects": _particles(values["particles"], frame, _misfits(choices)),
            "composition": _rows_of_regions(values["composition"], names, frame),
            "views": _views(values, frame),
            "elements": pd.DataFrame(
                {
                    "frame": frame,
                    "element": list(names),
                    "counts": values["observed"].sum(axis=1),
                    "ground": values["ground"],
                    "misfit": values["misfit"],
                }
            ),
            "frames": pd.DataFrame([facts]),
        }


_PRIORS = ("variation", "guided", "shells")


def _gain(choices: Array) -> float:
    """Return the log-likelihood of the best prior beyond that of the best total variation; NaN where none was tried."""
    plain = choices[choices[:, 0] == 0, 2]
    return float(choices[0, 2] - plain.max()) if len(plain) else np.nan


def _misfits(choices: Array) -> bool:
    """Return whether the counts speak against the particles: edges alone make them likelier by far."""
    shells = choices[choices[:, 0] == 2, 2]
    return bool(choices[0, 0] == 0 and len(shells) and choices[0, 2] - shells.max() > UNLIKELY)


def _particles(found: Array, frame: int, misfit: bool) -> pd.DataFrame:
    names = ("z_nm", "y_nm", "x_nm", "diameter_nm", "diameter_sigma_nm", "core_nm", "core_sigma_nm", "shell_nm",
             "shell_sigma_nm", "distinct", "counts")  # fmt: skip
    table = pd.DataFrame(found[:, :-1], columns=list(names))
    table.insert(0, "particle", np.arange(len(found)))
    table.insert(0, "frame", frame)
    unsure = misfit | ~((found[:, 9] >= DISTINCT) & (found[:, 7] >= 3 * found[:, 8]))
    flags = np.where(unsure, int(Flag.LOW_CONFIDENCE), 0) | np.where(found[:, -1] > 0, int(Flag.EDGE), 0)
    table["flags"] = flags.astype(np.int64)
    return table


def _rows_of_regions(found: Array, names: tuple[str, ...], frame: int) -> pd.DataFrame:
    rows = [
        {
            "frame": frame,
            "particle": particle,
            "region": region,
            "element": name,
            "density_per_nm3": found[particle, at, channel, 0],
            "density_sigma_per_nm3": found[particle, at, channel, 1],
            "share": found[particle, at, channel, 2],
            "share_sigma": found[particle, at, channel, 3],
        }
        for particle in range(len(found))
        for at, region in enumerate(_REGIONS)
        for channel, name in enumerate(names)
    ]
    columns = [name for one in COMPOSITION for name in (one.name, one.sigma) if name]
    return pd.DataFrame(rows, columns=columns)


def _views(values: Mapping[str, Array], frame: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "frame": frame,
            "view": np.arange(len(values["tilts_deg"])),
            "tilt_deg": values["tilts_deg"],
            "shift_y_px": values["shifts_px"][:, 0],
            "shift_x_px": values["shifts_px"][:, 1],
            "counts": values["observed"].sum(axis=0),
            "expected": values["foreseen"].sum(axis=0),
        }
    )


@dataclass(frozen=True)
class ShellSummary:
    """Means over the particles of a tilt series that no border cuts."""

    def start(self) -> tuple[Mapping[str, object], ...]:
        """Return the state before the first series: no rows."""
        return ()

    def step(
        self, state: tuple[Mapping[str, object], ...], tables: Mapping[str, pd.DataFrame]
    ) -> tuple[Mapping[str, object], ...]:
        """Return the state after a series."""
        objects, facts = tables["objects"], tables["frames"]
        if not len(facts) or "prior" not in facts:
            return state
        row: dict[str, object] = {name: facts[name].iloc[0] for name in ("count", "views", "prior", "misfit")}
        whole = whole_particles(objects)
        for name in ("diameter", "shell"):
            values, sigma = (whole[f"{name}{kind}_nm"].to_numpy(float) for kind in ("", "_sigma"))
            row |= {f"{name}_nm": _mean(values), f"{name}_sigma_nm": _sigma_of_mean(values, sigma)}
        return (*state, row)

    def result(self, state: tuple[Mapping[str, object], ...]) -> dict[str, pd.DataFrame]:
        """Return the table 'summary'."""
        if not state:
            nothing = {"count": 0, "views": 0, "prior": ""} | dict.fromkeys(_NUMBERS, np.nan)
            return {"summary": pd.DataFrame([nothing])}
        return {"summary": pd.DataFrame(list(state))}


def whole_particles(objects: pd.DataFrame) -> pd.DataFrame:
    """Return the particles that no border cuts: only their sizes mean something."""
    found: pd.DataFrame = objects[(objects["flags"].to_numpy(np.int64) & int(Flag.EDGE)) == 0]
    return found


_NUMBERS = ("misfit", "diameter_nm", "diameter_sigma_nm", "shell_nm", "shell_sigma_nm")


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else np.nan


def _sigma_of_mean(values: Array, sigma: Array) -> float:
    """Return the 1-sigma of a mean: by the scatter of several particles, by the fit of a single one."""
    if len(values) < 2:
        return float(sigma[0]) if len(values) else np.nan
    return float(max(values.std(ddof=1), np.sqrt((sigma**2).mean())) / np.sqrt(len(values)))
