"""One trainer, losses, targets, augmentation. Takes a Sampler and a NetSpec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micrograph.train.trainer import TrainSettings, train

__all__ = ["TrainSettings", "train"]


def __getattr__(name: str) -> Any:
    """Import the trainer, and with it torch, when it is first used."""
    if name in __all__:
        from micrograph.train import trainer

        return getattr(trainer, name)
    raise AttributeError(f"module 'micrograph.train' has no attribute '{name}'")
