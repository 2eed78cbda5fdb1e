"""One trainer, losses, targets, augmentation. Takes a Sampler and a NetSpec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from micrograph.train.settings import TrainSettings

if TYPE_CHECKING:
    from micrograph.train.trainer import train

__all__ = ["TrainSettings", "train"]


def __getattr__(name: str) -> Any:
    """Import the trainer, and with it torch, when it is first used."""
    if name == "train":
        from micrograph.train import trainer

        return getattr(trainer, name)
    raise AttributeError(f"module 'micrograph.train' has no attribute '{name}'")
