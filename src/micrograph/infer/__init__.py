"""The predictor: normalise, resample, tile, batch, back-end, ensemble."""
