"""How many atoms every column of a metal particle holds (HAADF-STEM, HRTEM).   doi:10.1016/j.commatsci.2020.109722"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from ase import Atoms

from micrograph.core import BadInput, Calibration, Flag, Prediction, Task
from micrograph.features.columns.atom_counts import CountPriors
from micrograph.features.columns.column_heights import (
    HEIGHTS,
    NUMBERS,
    PARTICLE,
    POSTERIOR,
    Numbers,
    read_heights,
    tables_of,
)
from micrograph.features.columns.locate import LocateSettings
from micrograph.features.columns.refine import RefineSettings
from micrograph.features.overview import FRAME_COLUMNS
from micrograph.infer.column_fit import Optics
from micrograph.infer.column_tables import fitted_heights
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate import StemSampler, cross_section_A2
from micrograph.simulate.brightness import microscope_of
from micrograph.simulate.phase.hrtem import Lens
from micrograph.structures import roughened, seen_along, wulff_particle, zone_axis_of
from micrograph.structures.stacking import Stacking, stacking
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.columns.height_checks import (
    HeightTrial,
    accuracy_map,
    exact_counts,
    exact_haadf,
    mean_bias,
    posterior_error,
    seconds_a_frame,
    set_coverage,
    within_one,
)
from micrograph.validate.columns.height_claims import ATOMS, heights
from micrograph.validate.columns.height_scenes import (
    HaadfParticles,
    HrtemScenes,
    Multislice,
    hrtem_particles,
    hrtem_scenes,
)

if TYPE_CHECKING:
    import pandas as pd

    from micrograph.infer import Predictor

#: What a calculated intensity of one atom is worth: 1-sigma of its logarithm.
_CALCULATED = 0.1


@dataclass(frozen=True)
class ColumnHeights:
    """The posterior of the number of atoms in every column of a cubic metal along a zone axis.

    signal: 'haadf', 'hrtem', or by what is known of the recording; structure and zone_axis: which columns; most: atoms
    in a column at most.

    HAADF: per_atom is the intensity of one atom in the image's unit, where it is known (a log's column of that name
    goes before it), and per_atom_sigma its relative error; scatter the relative scatter from column to column (tilt,
    thermal motion), where known. With a dose, a voltage and the detector's angles the intensity is calculated, if it is
    not given. bend_sigma: how far the intensity of an atom may change from one to the next in a column (channelling):
    raise it for thick crystals on axis. columns_by: weights of the network that finds columns, threshold: its least
    score.

    HRTEM: `defocus_nm` (under focus is positive; a log's column ``defocus_nm`` goes before it) with its 1-sigma, and
    what is known of the microscope; contrast_sigma: how far the image's contrast may be from the calculated one.
    """

    signal: Literal["auto", "haadf", "hrtem"] = "auto"
    structure: str = "Au"
    zone_axis: str = "110"
    most: int = 20
    per_atom: float | None = None
    per_atom_sigma: float = 0.02
    scatter: float | None = None
    bend_sigma: float = 7e-4
    threshold: float = 0.5
    columns_by: str = "atoms-1"
    defocus_nm: float | None = None
    defocus_sigma_nm: float = 2.0
    cs_mm: float = -0.015
    focal_spread_nm: float = 3.0
    illumination_mrad: float = 0.1
    vibration_nm: float = 0.02
    voltage_kV: float = 300.0
    thermal_nm: float = 0.0085
    contrast_sigma: float = 0.01

    def __post_init__(self) -> None:
        """Refuse a number of atoms and shares that make no sense."""
        if not 2 <= self.most <= 60:
            raise BadInput(f"The setting most is {self.most}: it must lie between 2 and 60 atoms.")
        if not (self.per_atom is None or self.per_atom > 0) or not self.per_atom_sigma > 0:
            raise BadInput("The settings per_atom and per_atom_sigma must be greater than zero.")

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'posterior' and 'frames' of one frame."""
        frame, stacked = prediction.frame, self.stacked()
        calibration = frame.calibration
        defocus_nm = frame.known.get("defocus_nm", self.defocus_nm)
        if self.kind(calibration, defocus_nm) == "hrtem":
            optics = Optics(
                self.lens(calibration, defocus_nm), self.defocus_sigma_nm, stacked, self.most, self.thermal_nm,
                self.contrast_sigma,
            )  # fmt: skip
            fitted = fitted_heights(frame, optics, self.structure)
            told = fitted.notes if fitted.doubts else (*fitted.notes, _FROM_HRTEM)
            return tables_of(prediction, replace(fitted, notes=told))
        settings = LocateSettings(
            threshold=self.threshold,
            min_distance_nm=0.5 * stacked.nearest_nm,
            refine=RefineSettings(background_px=np.inf),
        )
        seen = _network(self.columns_by)(frame)
        priors = self.priors(calibration, stacked, frame.known.get("per_atom", self.per_atom))
        return read_heights(
            replace(seen, flags=Flag.OK, domain_distance=0.0, notes=()),
            settings,
            priors,
            stacked.spacing_nm,
        )

    def kind(self, calibration: Calibration, defocus_nm: float | None) -> str:
        """Return the signal: as it is set, or 'haadf' where a probe or detector is known, 'hrtem' where a focus is."""
        if self.signal != "auto":
            return self.signal
        probe = calibration.convergence_mrad is not None or calibration.inner_mrad is not None
        return "hrtem" if defocus_nm is not None and not probe else "haadf"

    def lens(self, calibration: Calibration, defocus_nm: float | None) -> Lens:
        """Return the lens; raises `BadInput` where the focus is not known."""
        if defocus_nm is None:
            raise BadInput(
                "Columns in HRTEM are only counted at a known focus: give it with --set defocus_nm=8 (under focus is "
                "positive), or as the column defocus_nm of a log."
            )
        return Lens(
            voltage_kV=calibration.voltage_kV or self.voltage_kV,
            defocus_nm=float(defocus_nm),
            cs_mm=self.cs_mm,
            focal_spread_nm=self.focal_spread_nm,
            illumination_mrad=self.illumination_mrad,
            vibration_nm=self.vibration_nm,
        )

    def stacked(self) -> Stacking:
        """Return how the columns are stacked."""
        y, x, z = map(int, zone_axis_of(self.zone_axis))
        return stacking(self.structure, (y, x, z))

    def priors(self, calibration: Calibration, stacked: Stacking, per_atom: float | None) -> CountPriors:
        """Return what is known of the intensities beforehand."""
        sigma = self.per_atom_sigma
        angles = (calibration.voltage_kV, calibration.convergence_mrad, calibration.inner_mrad, calibration.outer_mrad)
        if per_atom is None and calibration.dose_e_per_A2 is not None and None not in angles:
            section = float(cross_section_A2([stacked.number], microscope_of(calibration))[0])
            assert calibration.pixel_nm is not None
            per_atom, sigma = calibration.dose_e_per_A2 * section, _CALCULATED
        return CountPriors(self.most, per_atom, sigma, bend_sigma=self.bend_sigma, scatter=self.scatter)


#: What a reader of numbers from HRTEM is told, until its checks are met.
_FROM_HRTEM = (
    "Numbers from HRTEM may all be one atom off, more often than their probabilities say: check one column's thickness."
)


@functools.lru_cache(maxsize=2)
def _network(weights: str) -> Predictor:
    """Return the network that finds columns; it knows crystals that fill the field: its doubts about particles say
    little, the columns' own lattice and comb say more.
    """
    from micrograph.infer import load_predictor

    return load_predictor(weights)


def gold_particle(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return a gold particle along [110], cut by a support, rough, in the middle of a field of `size_nm`."""
    diameter = float(rng.uniform(0.55, 0.8)) * size_nm
    corner = tuple(map(float, rng.uniform(0, 1, 3)))
    atoms = wulff_particle(
        diameter, centre=(corner[0], corner[1], corner[2]), contact=((1, 1, 1), float(rng.uniform(0.2, 1.0)))
    )
    atoms = seen_along(roughened(atoms, rng, share=0.03), (1, 1, 0), turn_deg=float(rng.uniform(0, 360)))
    middle = (atoms.positions[:, :2].max(axis=0) + atoms.positions[:, :2].min(axis=0)) / 2
    atoms.positions[:, :2] += 5 * size_nm - middle
    atoms.arrays["label"] = np.full(len(atoms), "atom", dtype="U8")
    return atoms


DATA = StemSampler(
    structure=gold_particle,
    field_nm=4.5,
    pixel_nm=(0.012, 0.022),
    voltage_kV=(200.0, 300.0),
    electrons=(50.0, 400.0),
    microscope={
        "defocus_nm": (-1.0, 1.0),
        "astigmatism_nm": (0.0, 0.5),
        "coma_nm": (0.0, 20.0),
        "convergence_mrad": (20.0, 28.0),
        "source_fwhm_nm": (0.04, 0.08),
    },
    scan=dict.fromkeys(("affine", "drift_nm", "flyback_nm", "jitter_nm", "line_noise", "readout_e"), (0.0, 0.0)),
    contaminated=0.0,
    noise_only=0.0,
)  # fmt: skip

#: Dark field: electrons of one atom as in the limits that the task names; columns that scatter by 4 %; other pixels.
CLEAR = HeightTrial("HAADF, 100 electrons an atom", HaadfParticles(100.0), 16)
BRIGHT = HeightTrial("HAADF, 200 electrons an atom", HaadfParticles(200.0, told=False), 16)
SCATTERED = HeightTrial("HAADF, 100 electrons, scatter 4 %", HaadfParticles(100.0, scatter=0.04), 16)
FAINT = HeightTrial("HAADF, 50 electrons, larger pixels", HaadfParticles(50.0, pixel_nm=0.024), 4)
#: HRTEM within 2 nm of the nominal focus; beyond it at half the dose; by abTEM with frozen phonons.
PHASE = HeightTrial("HRTEM", HrtemScenes(hrtem_particles()), 10)
PHASE_FAINT = HeightTrial(
    "HRTEM, 3 nm off, half the dose", HrtemScenes(hrtem_particles(away_nm=3.0, dose_e_per_A2=5e3)), 4
)
PHASE_OTHER = HeightTrial("HRTEM by abTEM", Multislice(), 4)

#: Electrons of one atom as in the limits; half of them; other pixels.
TRUST = Trust(
    heights(HaadfParticles(100.0)),
    (ATOMS,),
    shifted=(
        ("half the dose", heights(HaadfParticles(50.0))),
        ("larger pixels", heights(HaadfParticles(100.0, pixel_nm=0.027))),
    ),
    frames=200,
    fresh=200,
    farther=40,
)
RECIPE = Recipe(
    name="column-heights",
    title="Atoms in every column",
    task=Task(
        question="How many atoms does every column of a metal particle hold, and how sure is that?",
        needs=("pixel_nm",),
        answers={
            "objects": HEIGHTS,
            "posterior": POSTERIOR,
            "frames": (*FRAME_COLUMNS, *PARTICLE),
            "summary": NUMBERS,
        },
        reference="doi:10.1016/j.commatsci.2020.109722",
    ),
    data=DATA,
    model=NoNet(),
    objects=ColumnHeights(),
    summary=Numbers(),
    checks=(
        exact_haadf(CLEAR, below_limit=0.03),
        exact_haadf(BRIGHT, below_limit=0.03),
        exact_haadf(SCATTERED, below_limit=0.03),
        set_coverage(CLEAR, at_least=0.93),
        posterior_error(CLEAR, at_most=0.05),
        exact_haadf(FAINT, below_limit=0.05),
        exact_counts(PHASE, at_least=0.90),
        within_one(PHASE, at_least=0.98),
        mean_bias(PHASE, within=0.1),
        set_coverage(PHASE, at_least=0.93),
        posterior_error(PHASE, at_most=0.05),
        accuracy_map(hrtem_scenes, at_least=0.90),
        exact_counts(PHASE_FAINT, at_least=0.75),
        within_one(PHASE_FAINT, at_least=0.95),
        exact_counts(PHASE_OTHER, at_least=0.60),
        within_one(PHASE_OTHER, at_least=0.90),
        seconds_a_frame(CLEAR, at_most_s=1.0),
        seconds_a_frame(PHASE, at_most_s=1.0),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
)
