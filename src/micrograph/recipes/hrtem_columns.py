"""Columns of graphene sheets and small particles in HRTEM, whatever the focus.   doi:10.1002/adts.201800037"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from micrograph.core import Prediction, Task
from micrograph.features.columns.locate import LocateSettings
from micrograph.features.columns.phase_columns import COLUMN_FRAMES, NAME, read_columns
from micrograph.features.columns.phase_spots import Atoms, ThinLens
from micrograph.features.columns.points import POINTS
from micrograph.features.lattices.crystal import DEFECT_COLUMNS, STRAIN_COLUMNS
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate.optics import wavelength_nm
from micrograph.simulate.phase.hrtem_sampler import COLUMN_IMAGES, GOLD_HRTEM, GRAPHENE_HRTEM
from micrograph.simulate.phase.hrtem_scenes import COLUMN, GrapheneSheets
from micrograph.simulate.phase.nanotube_sampler import carbon_amplitude_nm2
from micrograph.train.settings import TrainSettings
from micrograph.validate import coverage_1sigma, domain_auroc, position_over_limit
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust, stills
from micrograph.validate.columns.hrtem_checks import (
    FROM_HOLES_NM,
    ColumnTrial,
    WaveSampler,
    at_dose,
    columns_found,
    place_error,
    seconds_a_frame,
    sharing,
    simulators_apart,
)
from micrograph.validate.columns.site_claims import POSITIONS
from micrograph.validate.mending_checks import elsewhere

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PhaseColumns:
    """Columns with errors, lattice, strain, vacancies.

    What is known of the lens may be given: `defocus_nm` (under focus is positive) and `cs_mm`; without a defocus the
    image says. The voltage comes from the file, or as `voltage_kV`.
    """

    threshold: float = 0.5
    min_distance_nm: float = 0.1
    defocus_nm: float | None = None
    cs_mm: float = 0.0
    voltage_kV: float = 80.0

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames' of one frame."""
        settings = LocateSettings(
            heads=(COLUMN,), threshold=self.threshold, min_distance_nm=self.min_distance_nm, region=None
        )
        lens = None if self.defocus_nm is None else ThinLens(self.defocus_nm, cs_mm=self.cs_mm)
        atoms = carbon(prediction.frame.calibration.voltage_kV or self.voltage_kV)
        return read_columns(prediction, settings, atoms, lens)


@functools.lru_cache(maxsize=8)
def carbon(voltage_kV: float) -> Atoms:
    """Return what a lens sees of carbon at a voltage."""
    return Atoms(wavelength_nm(voltage_kV), functools.partial(carbon_amplitude_nm2, voltage_kV))


def _sheets(dose_e_per_A2: float, of: str, images: int, **changes: Any) -> ColumnTrial:
    """Return a trial of graphene, judged away from holes; without amorphous carbon unless asked."""
    sampler = at_dose(GRAPHENE_HRTEM, dose_e_per_A2, **{"filmed": 0.0, **changes})
    return ColumnTrial((), dose_e_per_A2, inset_nm=0.3, of=of, sampler=sampler, images=images, rim_nm=FROM_HOLES_NM)


def _gold(dose_e_per_A2: float, of: str, images: int, **changes: Any) -> ColumnTrial:
    sampler = at_dose(GOLD_HRTEM, dose_e_per_A2, **{"filmed": 0.0, **changes})
    return ColumnTrial((), dose_e_per_A2, inset_nm=0.1, of=of, sampler=sampler, images=images)


def _waves(dose_e_per_A2: float, of: str, images: int, *names: str) -> ColumnTrial:
    kind = GOLD_HRTEM if names[0].startswith("gold") else GRAPHENE_HRTEM
    sheet = kind is GRAPHENE_HRTEM
    return ColumnTrial(
        (), dose_e_per_A2, inset_nm=0.3 if sheet else 0.1, of=of, sampler=WaveSampler(names, kind, dose_e_per_A2),
        images=images, rim_nm=FROM_HOLES_NM if sheet else 0.0,
    )  # fmt: skip


#: (i) The sampler's own ranges; (ii) half the dose and a wider defocus; (iii) waves of abTEM.
FAINT = _sheets(1e4, "graphene", 14)
FAIR = _sheets(1e5, "graphene", 14)
COVERED = _sheets(1e5, "graphene under 5 nm of carbon", 8, filmed=1.0, film_nm=(5.0, 5.001))
PLACES = _sheets(
    1e5, "displaced graphene", 6, field_nm=3.0, pixel_nm=(0.02, 0.025),
    scene=GrapheneSheets(boundaries=0.0, holed=0.0, displaced_nm=(0.012, 0.0121)),
)  # fmt: skip
GOLD = _gold(1e4, "gold", 12)
GOLD_ON_CARBON = _gold(1e4, "gold on carbon", 8, filmed=1.0)
BEYOND = _sheets(5e3, "graphene, 20 to 25 nm off focus", 8, defocus_nm=(20.0, 25.0))
SHEET_WAVES = _waves(1e5, "graphene by abTEM", 8, *(f"graphene_{number}" for number in range(4)))
FILM_WAVES = _waves(1e5, "graphene under carbon by abTEM", 4, "graphene_film_0", "graphene_film_1")
GOLD_WAVES = _waves(1e4, "gold by abTEM", 8, "gold_110", "gold_100", "gold_111")

#: Half the least dose; pixels larger than were learned from.
TRUST = Trust(
    stills(COLUMN_IMAGES),
    POSITIONS,
    shifted=(
        ("half the dose", stills(COLUMN_IMAGES.changed(dose_e_per_A2=(500.0, 1e3)))),
        ("larger pixels", stills(COLUMN_IMAGES.changed(pixel_nm=(0.03, 0.04)))),
    ),
    frames=500,
    fresh=500,
    farther=40,
)
RECIPE = Recipe(
    name="hrtem-columns",
    title="Columns in HRTEM",
    task=Task(
        question="Where are the columns of a sheet or a particle in an HRTEM image, and which are missing?",
        needs=("pixel_nm",),
        answers={
            "objects": (*POINTS, *STRAIN_COLUMNS),
            "defects": DEFECT_COLUMNS,
            "frames": COLUMN_FRAMES,
            "summary": SUMMARY,
        },
        reference="doi:10.1002/adts.201800037",
    ),
    data=COLUMN_IMAGES,
    model=NetSpec(
        heads=(Head(COLUMN, "spots", labels=(COLUMN,)),),
        pixel_nm=0.04,
        patch=80,
        weights="hrtem-columns-1",
    ),
    objects=PhaseColumns(),
    summary=ArealDensity(always=(NAME, "vacancy")),
    checks=(
        columns_found(FAINT, "precision", at_least=0.98),
        columns_found(FAINT, "recall", at_least=0.97),
        columns_found(FAIR, "precision", at_least=0.99),
        columns_found(FAIR, "recall", at_least=0.99),
        columns_found(COVERED, "recall", at_least=0.90),
        sharing(position_over_limit(PLACES, at_most=2.0), PLACES),
        sharing(coverage_1sigma(PLACES, within=0.1), PLACES),
        columns_found(GOLD, "recall", at_least=0.98),
        columns_found(GOLD, "precision", at_least=0.95),
        place_error(GOLD, at_most_nm=0.02),
        columns_found(GOLD_ON_CARBON, "recall", at_least=0.95),
        columns_found(BEYOND, "recall", at_least=0.9),
        columns_found(SHEET_WAVES, "precision", at_least=0.97),
        columns_found(SHEET_WAVES, "recall", at_least=0.97),
        columns_found(FILM_WAVES, "recall", at_least=0.85),
        columns_found(GOLD_WAVES, "recall", at_least=0.95),
        simulators_apart(("graphene_0", "graphene_1", "graphene_2"), GRAPHENE_HRTEM, at_most=0.1),
        simulators_apart(("gold_110", "gold_100", "gold_111"), GOLD_HRTEM, at_most=0.15),
        domain_auroc(FAIR, foreign=(), kinds=("noise", "texture")),
        seconds_a_frame(GRAPHENE_HRTEM, at_most_s=1.0),
        *intervals_cover(TRUST),
        *elsewhere(COLUMN_IMAGES),
    ),
    trust=TRUST,
    # The shipped weights learned in two rounds: 900 steps from atoms-1, then 2,600 from themselves (reuse 8).
    training=TrainSettings(steps=3500, reuse=8, checkpoint_every=50, calibration_samples=200),
    begins_from="atoms-1",
)
