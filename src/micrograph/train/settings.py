"""How to train, without torch: what recipes and users choose."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainSettings:
    """How to train. `reuse`: how often a simulated sample is seen, each time cut and turned anew.

    precision: 'auto' takes bf16 on processors that compute in it and fp32 elsewhere. Same seed, same samples. mirrored:
    an encoder sees each image turned by right angles and mirrored at random, each time anew. devices: so many GPUs
    (without any: processes) share every batch; the batches are those of one.
    """

    steps: int = 3500
    batch: int = 8
    seed: int = 0
    learning_rate: float = 4e-3
    weight_decay: float = 1e-3
    reuse: int = 3
    workers: int = 1
    precision: str = "auto"
    checkpoint_every: int = 200
    calibration_samples: int = 400
    mirrored: bool = False
    devices: int = 1


@dataclass(frozen=True)
class EpisodeSettings:
    """How to train. An episode has `families` of `ways` classes each, `images` of each class, of which one to three
    make the prototype. Of each family `kept` images a class are made, and `reuse` episodes see it, anew turned.
    """

    steps: int = 1500
    families: int = 4
    images: int = 5
    kept: int = 10
    reuse: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    seed: int = 0
    checkpoint_every: int = 100
    begin_from: str | None = None
