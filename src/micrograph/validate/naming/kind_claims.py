"""What is claimed of whole images and crystals: which class they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample
from micrograph.simulate.secondary.sem_sampler import KINDS
from micrograph.validate.choices import Choice
from micrograph.validate.claims import Draw, Drawn, Tables
from micrograph.validate.lattices.crystal_scenes import PatternTrial, StructureTrial


def kind(sample: Sample, tables: Tables) -> NDArray[np.bool_]:
    """Return which row of 'probabilities' is the kind of an SEM image; none where it shows several, or another."""
    first, second = int(sample.params["first"]), int(sample.params["second"])
    alone = KINDS[first] if first >= 0 and second < 0 else ""
    return np.asarray(tables["probabilities"]["class"].to_numpy(str) == alone)


def structure_type(name: str, tables: Tables) -> NDArray[np.bool_]:
    """Return which row of 'probabilities' is the structure type called `name`."""
    return np.asarray(tables["probabilities"]["class"].to_numpy(str) == name)


def crystals(trial: StructureTrial | PatternTrial) -> Draw:
    """Return draws of single structures, or patterns of one zone, of any known type; its name tells the truth."""

    def draw(rng: np.random.Generator) -> Drawn:
        case = trial.case(str(rng.choice(trial.known)), rng)
        return Drawn(case.recording[:1], case.name)

    return draw


KIND = Choice("probabilities", "probability", kind)
STRUCTURE_TYPE = Choice("probabilities", "probability", structure_type)
