"""Checks of defects: found and named, no false alarms, densities inside their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.simulate import Microscope, Scan, adf, expose
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.columns.site_checks import Groups, false_calls
from micrograph.validate.intervals import clopper_pearson, garwood, share_interval
from micrograph.validate.metrics import match
from micrograph.validate.trials import Answer, Trial, dose_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from micrograph.features.summary import ArealDensity

#: Rows with one of these flags raise no alarm: their doubt is stated.
_DOUBTFUL = int(Flag.EDGE | Flag.LOW_CONFIDENCE | Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME)


def defect_recall(
    trial: Trial,
    names: tuple[str, ...],
    *,
    at_least: float = 0.95,
    radius_nm: float = 0.15,
    inset_nm: float = 0.35,
) -> Check:
    """Build the check: share of the true defects called `names` that are found within `radius_nm` by the same name.

    Defects nearer than `inset_nm` to the border are not judged: their surroundings are cut. There is no closed limit.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        calls = [_defect_calls(answer, names, radius_nm, inset_nm) for answer in answers]
        right = [int(sum(true == found for true, found in image)) for image in calls]
        interval = share_interval(right, [len(image) for image in calls], rng)
        return Measurement.of(interval, detail=_said([call for image in calls for call in image]))

    return Check(f"defects found and named ({', '.join(names)}) at {trial}", measure, at_least, ">=")


def _defect_calls(answer: Answer, names: tuple[str, ...], radius_nm: float, inset_nm: float) -> list[tuple[str, str]]:
    """Return (true name, found name) of the judged defects; '-' where nothing was found."""
    true = answer.reference.defects
    y, x = (np.array([defect[i] for defect in true], dtype=float) for i in (1, 2))
    found = answer.tables["defects"]
    called = found["name"].to_numpy(str)
    pairs = match(y, x, found["y_nm"], found["x_nm"], radius_nm)
    name_of = dict(zip(pairs.true.tolist(), called[pairs.found].tolist(), strict=True))
    inner = answer.reference.inner(y, x, inset_nm)
    judged = [k for k, defect in enumerate(true) if inner[k] and defect[0] in names]
    return [(true[k][0], name_of.get(k, "-")) for k in judged]


def _said(calls: list[tuple[str, str]]) -> str:
    """Say for every true name how many were called what, the commonest mistakes first."""
    parts = []
    for name in dict.fromkeys(true for true, _ in calls):
        found = [call for true, call in calls if true == name]
        wrong = Counter(call for call in found if call != name).most_common()
        mistakes = ", ".join(f"{times} as {call}" for call, times in wrong)
        parts.append(f"{name} {found.count(name)} of {len(found)}" + (f" ({mistakes})" if mistakes else ""))
    return "; ".join(parts)


def false_positive_rate(trial: Trial, *, at_most: float = 3e-4, radius_nm: float = 0.15, groups: Groups = ()) -> Check:
    """Build the check: rows of table 'defects' where there is none, per defect-free site.

    Rows that carry a doubt in their flags raise no alarm. To clear 3e-4, 12,300 sites without an alarm are needed.
    Where defects are changed sites, `groups` give limit and baseline: hosts called otherwise by intensity alone.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        answers = trial.answers(analyser, rng)
        alarms, sites = zip(*(_alarms(answer, radius_nm) for answer in answers), strict=True)
        detail = f"{sum(alarms)} false alarms on {sum(sites)} defect-free sites"
        limit, baseline = false_calls(answers, groups) if groups else (None, None)
        return Measurement.of(share_interval(alarms, sites, rng), limit=limit, baseline=baseline, detail=detail)

    return Check(f"false defects per site at {trial}", measure, at_most, "<=")


def _alarms(answer: Answer, radius_nm: float) -> tuple[int, int]:
    """Return the number of false defects and of defect-free sites of one image."""
    from scipy.spatial import cKDTree

    reference, inset = answer.reference, answer.trial.inset_nm
    true = np.array([[y, x] for _, y, x in reference.defects], dtype=float).reshape(-1, 2)
    tree = cKDTree(true) if len(true) else None

    def alone(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
        far = np.ones(len(y), bool) if tree is None else tree.query(np.column_stack([y, x]))[0] > radius_nm
        return np.asarray(far & reference.inner(y, x, inset))

    rows = answer.tables["defects"]
    sure = (rows["flags"].to_numpy(np.int64) & _DOUBTFUL) == 0
    false = int((alone(rows["y_nm"].to_numpy(float), rows["x_nm"].to_numpy(float)) & sure).sum())
    sites = int(alone(reference.sites.y_nm, reference.sites.x_nm).sum())
    return min(false, sites), sites


_TMD_MICROSCOPE = Microscope(80.0, 25.0, 68.0, 180.0, source_fwhm_nm=0.06)


@dataclass(frozen=True)
class Field:
    """A simulated image (H, W) whose defects were strewn with known mean densities (per nm^2), by name."""

    image: NDArray[np.float32]
    pixel_nm: float
    density_per_nm2: Mapping[str, float]


def density_coverage(
    fields: Callable[[np.random.Generator], Field],
    *,
    at_least: float = 0.9,
    count: int = 80,
    title: str = "densities",
    fold: ArealDensity | None = None,
) -> Check:
    """Build the check: share of fields whose true mean density lies within the 95 % interval that the recipe states.

    `fold` makes the recipe's summary from a frame's tables; each name of each field counts as one. Limit: 0.95.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from micrograph.features.summary import ArealDensity

        hits, below, above, number = 0, 0, 0, 0
        for _ in range(count):
            field = fields(rng)
            tables = analyser(field.image, field.pixel_nm)
            for name, density in field.density_per_nm2.items():
                low, high = _stated(tables, name, fold or ArealDensity())
                number, below, above = number + 1, below + (high < density), above + (low > density)
                hits += low <= density <= high
        detail = f"{hits} of {number} inside, stated too low {below}, too high {above}"
        return Measurement.of(clopper_pearson(hits, number), limit=0.95, detail=detail)

    return Check(f"{title} within their 95 % interval", measure, at_least, ">=")


def _stated(tables: Mapping[str, DataFrame], name: str, fold: ArealDensity) -> tuple[float, float]:
    """Return the interval of a density (per nm^2) that one frame states; that of zero finds for a name left out."""
    summary = fold.result(fold.step(fold.start(), tables))["summary"]
    row = summary[summary["name"] == name]
    if len(row):
        return float(row["density_low_per_nm2"].iloc[0]), float(row["density_high_per_nm2"].iloc[0])
    area = float(tables["frames"]["area_nm2"].iloc[0])
    return 0.0, garwood(0).high / area if area > 0 else float("inf")


@dataclass(frozen=True)
class TmdFields:
    """Fields of a TMD monolayer with dopants and chalcogen vacancies of log-uniform density (1 / nm^2 is 1e14 / cm^2).

    Made by the linear image model, in a random orientation. `microscope` and `dose_e_per_A2` as in the experiment.
    """

    material: str = "WSe2"
    dopant: str = "V"
    density_per_nm2: tuple[float, float] = (0.01, 0.5)
    size_nm: float = 6.0
    pixel_nm: float = 0.025
    dose_e_per_A2: float = 1e4
    microscope: Microscope = _TMD_MICROSCOPE

    def __str__(self) -> str:
        """Name the fields as the screen shows them."""
        return f"densities in {self.material} at {dose_text(self.dose_e_per_A2)} e/A^2"

    def __call__(self, rng: np.random.Generator) -> Field:
        """Return a new field."""
        from micrograph.structures import MATERIALS, tmd, with_chalcogen_vacancies, with_dopants

        host = MATERIALS[self.material]
        sites_per_nm2 = 2 / (np.sqrt(3) * host.a_nm**2)
        low, high = self.density_per_nm2
        doped, emptied = np.exp(rng.uniform(np.log(low), np.log(high), size=2))
        atoms = tmd(self.material, self.size_nm, rotation_deg=float(rng.uniform(0, 120)))
        atoms = with_dopants(atoms, self.dopant, float(doped / sites_per_nm2), rng)
        atoms = with_chalcogen_vacancies(atoms, float(emptied / sites_per_nm2), rng, double_fraction=0.0)
        shape = (round(self.size_nm / self.pixel_nm),) * 2
        fraction = adf(atoms, self.microscope, pixel_nm=self.pixel_nm, shape=shape, thermal_nm=0.005)
        image = expose(fraction, Scan(dose_e_per_A2=self.dose_e_per_A2), self.pixel_nm, rng)
        density = {f"{self.dopant}_{host.metal}": float(doped), f"vac_{host.chalcogen}": float(emptied)}
        return Field(image, self.pixel_nm, density)
