"""Particles by chains of image operations that a genetic search tunes to the images.   doi:10.1021/acsnano.0c06809"""

from __future__ import annotations

from dataclasses import dataclass

from micrograph.core import Recording, Task
from micrograph.features.objects.outlined import OutlinedObjects
from micrograph.features.objects.searched import Chains, sought
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import ParticleSampler
from micrograph.track.answers import SHAPE_ANSWERS
from micrograph.track.population import Population
from micrograph.validate.objects.sought_checks import (
    Sets,
    search_precision,
    search_recall,
    search_seconds,
    size_agreement,
)


@dataclass(frozen=True)
class Search:
    """Seek the chains in the first, the last and frames between; `seconds`: computing time of the search, about."""

    seconds: float = 50.0
    images: int = 4
    seed: int = 0

    def sought(self, recording: Recording) -> str:
        """Return the text of the chains that suit the recording."""
        last = len(recording) - 1
        chosen = sorted({round(place * last / max(self.images - 1, 1)) for place in range(self.images)})
        return sought([recording.frame(place).data for place in chosen], self.seconds, self.seed).to_text()

    def model(self, text: str) -> Chains:
        """Return the model of such a text."""
        return Chains.from_text(text)


#: Images that a person would tune operations for: one contrast, overlaps, many particles.
SETS = Sets(
    ParticleSampler(
        side_px=512,
        diameter_px=(30.0, 30.01),
        covered=(0.1, 0.2),
        contrast=(0.3, 0.301),
        contrast_to_noise=(3.0, 3.001),
        pixel_nm=(0.5, 0.501),
        shapes=("sphere", "rod", "cube"),
        gaps=("anyhow",),
        spread=0.2,
        bright=0.0,
        liquid=0.0,
        texture=0.2,
        empty=0.0,
    )
)

RECIPE = Recipe(
    name="particle-search",
    title="Particles, by operations tuned to the images",
    task=Task(
        question="Which chain of image operations finds these particles, and how large and of which shapes are they?",
        needs=("pixel_nm",),
        answers=SHAPE_ANSWERS,
        reference="doi:10.1021/acsnano.0c06809",
    ),
    data=Search(),
    model=NetSpec(heads=(Head("particle", "region"), Head("core", "region")), pixel_nm=None),
    objects=OutlinedObjects(least_score=0.5),
    summary=Population(),
    checks=(
        search_precision(SETS, at_least=0.995),
        search_recall(SETS, at_least=0.85),
        size_agreement(SETS, at_least=0.90),
        search_seconds(SETS, Search().sought, at_most=60.0),
    ),
)
