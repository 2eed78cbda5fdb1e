"""Torch modules, heads, checkpoints. Knows tensors only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from micrograph.nets.checkpoint import Checkpoint, find_weights, load, read_card, save, shipped
from micrograph.nets.encoder_spec import Answer, EncoderSpec, classes, values
from micrograph.nets.spec import Head, NetSpec, NoNet, outlining
from micrograph.nets.whitening import whitened

if TYPE_CHECKING:
    from micrograph.nets.encoder import Encoder
    from micrograph.nets.grid import normalise, to_model_grid
    from micrograph.nets.unet import UNet, build

__all__ = [
    "Answer",
    "Checkpoint",
    "Encoder",
    "EncoderSpec",
    "Head",
    "NetSpec",
    "NoNet",
    "UNet",
    "build",
    "classes",
    "find_weights",
    "load",
    "normalise",
    "outlining",
    "read_card",
    "save",
    "shipped",
    "to_model_grid",
    "values",
    "whitened",
]

_LAZY = {"Encoder": "encoder", "normalise": "grid", "to_model_grid": "grid", "UNet": "unet", "build": "unet"}


def __getattr__(name: str) -> Any:
    """Import the modules that need torch when they are first used."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(f"micrograph.nets.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'micrograph.nets' has no attribute '{name}'")
