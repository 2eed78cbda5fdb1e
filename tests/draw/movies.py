"""Simulated tables of a movie, in the formats that analyses over time give."""

from __future__ import annotations

import numpy as np
import pandas as pd

from micrograph.core import Calibration, Frame, Recording

PIXEL_NM, SIDE, FRAME_TIME_S = 0.02, 128, 0.5


def tracks(number: int = 6, frames: int = 40, seed: int = 1, step_nm: float = 0.04) -> pd.DataFrame:
    """Random walks under a drift of 0.3 nm, with classes and states."""
    rng = np.random.default_rng(seed)
    rows = []
    for track in range(number):
        walk = rng.uniform(0.4, 2.0, 2) + np.cumsum(rng.normal(0, step_nm, (frames, 2)), axis=0)
        drift = np.linspace(0, 0.3, frames)[:, None] * [1.0, -0.5]
        states = np.array(["Si1C3", "Si1C4"])[np.cumsum(rng.random(frames) < 0.1) % 2]
        table = pd.DataFrame({"track": track, "frame": np.arange(frames), "t_s": np.arange(frames) * FRAME_TIME_S})
        table[["y_nm", "x_nm"]] = walk + drift
        table[["y_sample_nm", "x_sample_nm"]] = walk
        table["class"] = "Si" if track % 3 else "V1"
        rows.append(table.assign(state=states, score=0.9, flags=0))
    return pd.concat(rows, ignore_index=True)


def drift(frames: int = 40) -> pd.DataFrame:
    at = np.linspace(0, 0.3, frames)
    table = pd.DataFrame({"frame": np.arange(frames), "t_s": np.arange(frames) * FRAME_TIME_S})
    table["drift_y_nm"], table["drift_x_nm"] = at, -0.5 * at
    return table.assign(drift_y_sigma_nm=0.01, drift_x_sigma_nm=0.008)


def motion(names: tuple[str, ...] = ("Si", "V1")) -> tuple[pd.DataFrame, pd.DataFrame]:
    lag = np.arange(1, 21) * FRAME_TIME_S
    motion, diffusion = [], []
    for k, name in enumerate(names):
        d = 3e-3 / (k + 1)
        msd = (4 * d * lag + 1e-3) * (1 + 0.05 * np.sin(np.arange(20) + k))
        motion.append(pd.DataFrame({"class": name, "lag_s": lag, "msd_nm2": msd, "msd_sigma_nm2": 0.08 * msd}))
        diffusion.append({"class": name, "d_nm2_per_s": d, "d_sigma_nm2_per_s": 0.1 * d})
        diffusion[-1] |= {"d_low_nm2_per_s": 0.8 * d, "d_high_nm2_per_s": 1.25 * d, "tracks": 7, "steps": 280}
    return pd.concat(motion).assign(pairs=50), pd.DataFrame(diffusion)


def chain(number: int, seed: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rates between all pairs of states, and the states' shares."""
    rng = np.random.default_rng(seed)
    names = [
        ("Si1C3", "Si1C4", "edge, zigzag", "edge, armchair", "V1", "pair of Si atoms", "bulk", "lost")[k]
        for k in range(number)
    ]
    rows = []
    for a in names:
        for b in names:
            p = 0.9 if a == b else float(rng.gamma(1.0, 0.03))
            row = {"from": a, "to": b, "p": p, "p_low": 0.7 * p, "p_high": min(1.4 * p, 1.0)}
            row |= {f"rate_{part}per_s": row[f"p_{part}".rstrip("_")] / FRAME_TIME_S for part in ("", "low_", "high_")}
            rows.append(row | {"visits": 100, "jumps": round(100 * p)})
    share = rng.dirichlet(np.full(number, 2.0))
    states = pd.DataFrame(
        {"state": names, "share": share, "share_low": 0.8 * share, "share_high": np.minimum(1.2 * share, 1)}
    )
    return pd.DataFrame(rows), states.assign(visits=100)


def counts(frames: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = []
    for name, height in (("V1", 30.0), ("Si1C3", 8.0)):
        number = rng.poisson(height * np.where(np.arange(frames) < 30, 1.0, 0.4))
        table = pd.DataFrame({"frame": np.arange(frames), "t_s": np.arange(frames) * FRAME_TIME_S, "name": name})
        table["count"], table["count_low"] = number, np.maximum(number - 2 * np.sqrt(number), 0)
        rows.append(table.assign(count_high=number + 2 * np.sqrt(number) + 2))
    return pd.concat(rows, ignore_index=True)


def log(frames: int = 60) -> pd.DataFrame:
    t_s = np.arange(frames) * FRAME_TIME_S
    return pd.DataFrame({"t_s": t_s, "temperature_C": 20 + 25 * t_s})


def temperature_rates() -> pd.DataFrame:
    rows = []
    for a, b, energy in (("Si1C3", "Si1C4", 0.8), ("Si1C4", "Si1C3", 1.1)):
        for celsius in (300.0, 400.0, 500.0, 600.0):
            rate = 1e6 * np.exp(-energy / (8.617e-5 * (celsius + 273.15)))
            row = {"from": a, "to": b, "temperature_C": celsius, "rate_per_s": rate}
            rows.append(row | {"rate_low_per_s": 0.7 * rate, "rate_high_per_s": 1.4 * rate})
    return pd.DataFrame(rows)


def read(index: int) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    wave = np.sin((y - 0.3 * index) * 0.35) * np.sin(x * 0.35)
    return np.random.default_rng(index).poisson(20 + 15 * wave).astype(np.float32)


def recording(frames: int = 40, temperature: bool = True) -> Recording:
    calibration = Calibration(pixel_nm=PIXEL_NM, frame_time_s=FRAME_TIME_S)

    def known(index: int) -> dict[str, float]:
        return {"temperature_C": 20 + 5.0 * index} if temperature else {}

    return Recording(read, range(frames), calibration, (SIDE, SIDE), name="walkers.tif", known=known)


def frame(index: int = 0) -> Frame:
    return recording().frame(index)
