"""Random walks and drifting points with known truth, for the tests."""

from __future__ import annotations

import numpy as np
import pandas as pd


def walks(rng, count, steps, d=0.5, dt=0.1, sigma=0.1):
    """Return tracks of Brownian points, seen at once with error: D in nm^2/s, dt in s, sigma in nm."""
    place = np.cumsum(rng.normal(0, np.sqrt(2 * d * dt), (count, steps + 1, 2)), axis=1)
    place += rng.normal(0, sigma, place.shape)
    frame = np.tile(np.arange(steps + 1), count)
    return pd.DataFrame(
        {
            "track": np.repeat(np.arange(count), steps + 1),
            "frame": frame,
            "t_s": frame * dt,
            "y_nm": place[..., 0].ravel(),
            "x_nm": place[..., 1].ravel(),
            "y_sigma_nm": sigma,
            "x_sigma_nm": sigma,
            "class": "a",
        }
    )


def drifting(rng, frames, count, drift, *, field=512.0, sigma=0.2, missed=0.15, renewed=0.003):
    """Return points that stay in the sample, in random order, and are renewed by chance; ``true`` numbers them."""
    place = rng.uniform(-30, field + 30, (count, 2))
    true = np.arange(count)
    rows = []
    for frame in range(frames):
        new = rng.random(count) < renewed
        place[new] = rng.uniform(-30, field + 30, (new.sum(), 2))
        true[new] = true.max() + 1 + np.arange(new.sum())
        seen = place + drift[frame] + rng.normal(0, sigma, place.shape)
        kept = rng.permutation(np.flatnonzero((rng.random(count) > missed) & ((seen > 0) & (seen < field)).all(axis=1)))
        row = {"frame": frame, "t_s": 0.1 * frame, "y_nm": seen[kept, 0], "x_nm": seen[kept, 1], "true": true[kept]}
        rows.append(pd.DataFrame(row))
    return pd.concat(rows, ignore_index=True)


def path(frames, total=20.0):
    """Return a drift (T, 2) that is smooth, bent and `total` long."""
    t = np.linspace(0, 1, frames)
    return np.column_stack([0.8 * total * t, 0.6 * total * np.sin(2 * t) / np.sin(2)])


def left(found, drift):
    """Return the root mean square distance of a table of drift from the true one."""
    off = found[["drift_y_nm", "drift_x_nm"]].to_numpy() - (drift - drift[0])
    return float(np.sqrt((off**2).sum(axis=1).mean()))
