"""Interaction energies of the species of a surface from who sits beside whom.   doi:10.1021/acsnano.8b07980"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from micrograph.core import BadInput, Prediction, Task
from micrograph.features.surface.energies import ENERGIES, SEEN, SITES, EnergySettings, nothing, read_energies
from micrograph.features.surface.predicted import PATCHES, PREDICTIONS, SUMMARY, EnergyFold
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.scanning.lattice_gas import SurfaceImages, Surfaces
from micrograph.structures.lattice_gas import LatticeGas
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.surfaces.energy_checks import (
    ISING,
    EnergyTrial,
    energies_found,
    energy_coverage,
    error_over_bound,
    fit_told,
    latent_order,
    mean_energies,
    seconds_an_image,
)
from micrograph.validate.surfaces.energy_claims import ENERGY, surfaces

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Segregation(EnergySettings):
    """Sites, energies and how well these explain a frame."""

    def __call__(self, prediction: Prediction) -> Mapping[str, "pd.DataFrame"]:
        """Return the tables 'objects', 'energies' and 'frames' of one frame."""
        frame = prediction.frame
        try:
            return read_energies(frame, self)[0]
        except BadInput as problem:
            if frame.index == 0:
                raise
            return nothing(frame.index, str(problem))


#: The published energies with 5 % of the labels wrong; half the sites, twice the errors, energies a third larger or
#: smaller; Ising configurations by cluster moves; third neighbours that the model does not know.
OWN = EnergyTrial("published, 5 % wrong labels", 60)
FARTHER = EnergyTrial("half the sites, 10 % wrong", 30, Surfaces(size=26, label_error=0.1), spread=0.3)
IMAGES = EnergyTrial("images", 10, kind="image")
CLUSTERS = EnergyTrial(
    "cluster moves", 20, Surfaces(ISING, (0.6, 0.0), (0.5,), size=40, label_error=0.05), kind="clusters"
)
THIRD = EnergyTrial(
    "third neighbours",
    15,
    Surfaces(LatticeGas((*ISING.shells, ((0, 2), (2, 0)))), (0.3, 0.0, 0.35), (0.5,), size=40, label_error=0.05),
)

#: Energies up to a third larger or smaller than the published ones.
VARIED = replace(OWN, spread=0.3)
TRUST = Trust(
    surfaces(VARIED),
    (ENERGY,),
    shifted=(
        ("half the sites, twice the wrong labels", surfaces(FARTHER)),
        ("images", surfaces(replace(VARIED, kind="image"))),
    ),
    frames=60,
    fresh=60,
    farther=12,
)
RECIPE = Recipe(
    name="segregation",
    title="Segregation: energies between species",
    task=Task(
        question="Which energies between the species of a surface make them sit beside each other as they do, and what "
        "would they do at another temperature or composition?",
        needs=(),
        answers={
            "objects": SITES,
            "energies": ENERGIES,
            "frames": SEEN,
            "predictions": PREDICTIONS,
            "patches": PATCHES,
            "summary": SUMMARY,
        },
        reference="doi:10.1021/acsnano.8b07980",
        takes=("image", "sites"),
    ),
    data=SurfaceImages(),
    model=NoNet(),
    objects=Segregation(),
    summary=EnergyFold(),
    checks=(
        energies_found(OWN, at_least=0.9),
        mean_energies(OWN, at_most=0.1),
        energy_coverage(OWN, at_least=0.9),
        error_over_bound(OWN, at_most=1.6),
        energies_found(FARTHER, at_least=0.85),
        energy_coverage(FARTHER, at_least=0.85),
        energies_found(CLUSTERS, at_least=0.85),
        energies_found(IMAGES, at_least=0.8),
        fit_told(CLUSTERS, THIRD, at_least=0.9),
        latent_order(OWN, 2, at_least=0.95),
        seconds_an_image(EnergyTrial("64 x 64 cells", 1, Surfaces(size=64)), at_most_s=120.0),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
)
