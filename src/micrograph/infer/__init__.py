"""The predictor: normalise, resample, tile, back-end, ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from micrograph.infer.encoders import EncoderPredictor, Views
    from micrograph.infer.predictor import Predictor, load_encoder, load_predictor

__all__ = ["EncoderPredictor", "Predictor", "Views", "load_encoder", "load_predictor"]


def __getattr__(name: str) -> Any:
    """Import the predictor, and with it torch, when it is first used."""
    if name in __all__:
        from micrograph.infer import encoders, predictor

        return getattr(encoders if name in ("EncoderPredictor", "Views") else predictor, name)
    raise AttributeError(f"module 'micrograph.infer' has no attribute '{name}'")
