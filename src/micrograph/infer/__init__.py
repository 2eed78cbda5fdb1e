"""The predictor: normalise, resample, tile, back-end, ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micrograph.infer.predictor import Predictor, load_predictor

__all__ = ["Predictor", "load_predictor"]


def __getattr__(name: str) -> Any:
    """Import the predictor, and with it torch, when it is first used."""
    if name in __all__:
        from micrograph.infer import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module 'micrograph.infer' has no attribute '{name}'")
