"""Several auto-encoders of the same crops, from different seeds: the best one, and how far they agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from micrograph.nets.rvae import Rvae
from micrograph.nets.rvae_spec import Agreement, Encoded, RvaeSpec
from micrograph.train.rvae import RvaeSettings, encode, train_rvae
from micrograph.train.stability import agreements


@dataclass(frozen=True)
class Ensemble:
    """Networks of different seeds and what each says of the training crops; `best` explains them best."""

    nets: tuple[Rvae, ...]
    runs: tuple[Encoded, ...]
    pairs: tuple[Agreement, ...]
    best: int

    @property
    def encoded(self) -> Encoded:
        """What the best network says of the crops."""
        return self.runs[self.best]


def train_ensemble(
    crops: NDArray[np.float32],
    spec: RvaeSpec,
    settings: RvaeSettings,
    seeds: int,
    progress: Callable[[int, int, float], None] | None = None,
) -> Ensemble:
    """Return `seeds` auto-encoders, trained one after the other from ``settings.seed`` on."""
    nets = []
    for number in range(seeds):
        own = replace(settings, seed=settings.seed + number)
        nets.append(train_rvae(crops, spec, own, progress))
    runs = [encode(net, crops) for net in nets]
    best = int(np.argmax([run.bound.mean() for run in runs]))
    return Ensemble(tuple(nets), tuple(runs), tuple(agreements(runs, spec.symmetry)), best)
