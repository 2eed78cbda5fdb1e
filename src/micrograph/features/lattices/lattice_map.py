"""Types of lattice all over an image: a window slides; each gives probabilities of the types and its own lattice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Column, Flag, Frame
from micrograph.features.lattices.bravais import BRAVAIS, Cells, cells_of, type_probabilities
from micrograph.features.lattices.window_lattice import Taper, WindowLattice, fit_windows, slowest_period
from micrograph.features.summary import interval

Array = NDArray[np.float64]

#: What a window may hold: a type of lattice, or none.
TYPES = (*BRAVAIS, "noise")
#: Names of the columns with their probabilities.
P_COLUMNS = ("p_square", "p_hexagonal", "p_rectangular", "p_centred", "p_oblique", "p_noise")
#: What table 'objects' promises: one row a window.
WINDOWS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the window, row by row"),
    Column("y_nm", "nm", "row position of the window's middle"),
    Column("x_nm", "nm", "column position of the window's middle"),
    Column("window_nm", "nm", "side of the window"),
    Column("class", "", "likeliest type of lattice, or noise: no lattice in two directions"),
    Column("score", "", "probability of the class"),
    *(Column(name, "", f"probability: {kind}") for name, kind in zip(P_COLUMNS, TYPES, strict=True)),
    Column("a_nm", "nm", "shortest vector of the lattice, by least squares", sigma="a_sigma_nm"),
    Column("b_nm", "nm", "second shortest vector, by least squares", sigma="b_sigma_nm"),
    Column("gamma_deg", "degree", "angle between a and b, 90 to 120, by least squares", sigma="gamma_sigma_deg"),
    Column("ratio", "", "b over a", sigma="ratio_sigma"),
    Column("a_direction_deg", "degree", "direction of a, counter-clockwise on the screen from +x, 0 to 180"),
    Column("peaks", "", "Fourier peaks that the lattice explains"),
    Column("evidence", "", "logarithm of how much likelier the window is with the lattice than without"),
    Column("flags", "", "doubts, see the conventions"),
)
#: What table 'frames' promises beside what every recipe gives.
SEEN = (
    Column("count", "", "windows in the frame"),
    Column("window_nm", "nm", "side of the windows"),
    *(Column(f"share_{name[2:]}", "", f"share of it: {kind}") for name, kind in zip(P_COLUMNS, TYPES, strict=True)),
    Column("domain_distance", "", "distance from what the answers were measured on; above 1 it is out of domain"),
)  # fmt: skip
#: What the summary promises.
SHARES = (
    Column("name", "", "type of lattice, or noise"),
    Column("share", "", "share of all windows: the mean probability"),
    Column("share_low", "", "lower end of its 95 % interval"),
    Column("share_high", "", "upper end of its 95 % interval"),
    Column("count", "", "expected number of windows that do not overlap"),
    Column("count_low", "", "lower end of its 95 % interval"),
    Column("count_high", "", "upper end of its 95 % interval"),
    Column("a_nm", "nm", "mean of a over the windows of this type", sigma="a_sigma_nm"),
    Column("b_nm", "nm", "mean of b over the windows of this type", sigma="b_sigma_nm"),
    Column("gamma_deg", "degree", "mean of gamma over the windows of this type", sigma="gamma_sigma_deg"),
    Column("frames", "", "frames that count"),
)
#: Periods of the lattice in a window where none is given; fewest pixels a side; pixels to which larger ones are binned.
_PERIODS, _FEWEST_PX, _BINNED_PX = 8.0, 24, 64
#: Evidence at which lattice and noise are alike, and how fast the one becomes the other; certainty below which a window
#: is doubted; periods a window needs.
_EVEN, _WIDTH, _SURE = 4.0, 2.0, 0.6
_MEASURES = ("a_nm", "b_nm", "gamma_deg")


@dataclass(frozen=True)
class TypeSettings:
    """How to look.

    window_nm: side of the window (``None``: eight periods of the slowest strong wave of the frame); step: the share of
    its side by which the window moves; distortion: 1-sigma of each element of the scan's stretch and shear, as far as
    it is not corrected: lattices that it can make of a more symmetric one are not called less symmetric.
    """

    window_nm: float | None = None
    step: float = 0.5
    distortion: float = 0.005

    def __post_init__(self) -> None:
        """Refuse a step that leaves gaps, and lengths below zero."""
        if not (0 < self.step <= 1 and 0 <= self.distortion < 0.2):
            raise BadInput(
                f"step is {self.step} and distortion {self.distortion}: a step lies between 0 and 1, a distortion "
                "between 0 and 0.2."
            )


def read_types(frame: Frame, settings: TypeSettings) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects' and 'frames' of one frame."""
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    image = _finite(frame.data)
    side = _side(image, pixel, settings)
    number = max(1, side // _BINNED_PX)
    small = _binned(image, number)
    side = min(side // number, *small.shape) // 2 * 2
    starts = [_starts(size, side, settings.step) for size in small.shape]
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 2)
    views = np.lib.stride_tricks.sliding_window_view(small, (side, side))[corners[:, 0], corners[:, 1]]
    found = fit_windows(views, Taper(side))
    middle = (corners + (side - 1) / 2) * number + (number - 1) / 2
    objects = _table(frame.index, middle * pixel, found, (pixel * number, side * pixel * number), settings)
    shares = {name.replace("p_", "share_"): objects[name].mean() for name in P_COLUMNS}
    row = {"frame": frame.index, "count": len(objects), "window_nm": side * pixel * number, **shares}
    frames = pd.DataFrame([row | {"domain_distance": 0.0, "flags": int(Flag.OK), "notes": ""}])
    return {"objects": objects, "frames": frames}


def _finite(image: NDArray[np.float32]) -> Array:
    values = np.asarray(image, np.float64)
    good = np.isfinite(values)
    return values if good.all() else np.where(good, values, values[good].mean() if good.any() else 0.0)


def _side(image: Array, pixel_nm: float, settings: TypeSettings) -> int:
    """Return the side of the windows in pixels."""
    least = min(image.shape)
    if least < _FEWEST_PX:
        raise BadInput(
            f"The image has {image.shape[0]} x {image.shape[1]} pixels: it needs {_FEWEST_PX} a side at least."
        )
    if settings.window_nm is None:
        side = round(_PERIODS * (slowest_period(image) or least / _PERIODS))
        return int(np.clip(side, _FEWEST_PX, least))
    side = round(settings.window_nm / pixel_nm)
    if not _FEWEST_PX <= side <= least:
        raise BadInput(
            f"A window of {settings.window_nm} nm has {side} pixels a side: it needs {_FEWEST_PX} at least and the "
            f"image has {least}; change window_nm."
        )
    return side


def _binned(image: Array, number: int) -> Array:
    height, width = (size // number for size in image.shape)
    blocks = image[: height * number, : width * number].reshape(height, number, width, number)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _starts(size: int, side: int, step: float) -> NDArray[np.intp]:
    count = 1 + int(np.ceil((size - side) / max(1.0, step * side)))
    return np.rint(np.linspace(0, size - side, count)).astype(np.intp)


def _table(
    frame: int, middle_nm: Array, found: list[WindowLattice], scales: tuple[float, float], settings: TypeSettings
) -> pd.DataFrame:
    """Return one row a window; `scales` are the pixel and the side of the windows in nm."""
    evidence = np.array([one.evidence for one in found])
    seen = np.array([one.peaks > 0 for one in found], dtype=bool)
    none = 1 / (1 + np.exp(np.clip((evidence - _EVEN) / _WIDTH, -50, 50)))
    p = np.zeros((len(found), len(TYPES)))
    p[:, -1] = np.where(seen, none, np.maximum(none, 0.5))
    p[~seen, :-1] = (1 - p[~seen, -1:]) / len(BRAVAIS)
    rows = {name: np.full(len(found), np.nan) for name in _CELL}
    if seen.any():
        pairs = [one.cell for one in found if one.peaks]
        cells = cells_of(np.stack([one[0] for one in pairs]), np.stack([one[1] for one in pairs]))
        p[seen, :-1] = (1 - none[seen, None]) * type_probabilities(cells.tau, cells.covariance, settings.distortion)
        for name, values in _cell_columns(cells, scales[0], settings.distortion).items():
            rows[name][seen] = values
    best = p.argmax(axis=1)
    score = p[np.arange(len(p)), best]
    return pd.DataFrame(
        {
            "frame": np.full(len(found), frame, dtype=np.int64),
            "id": np.arange(len(found), dtype=np.int64),
            "y_nm": middle_nm[:, 0],
            "x_nm": middle_nm[:, 1],
            "window_nm": np.full(len(found), scales[1]),
            "class": pd.Series(np.array(TYPES)[best], dtype=str),
            "score": score,
            **dict(zip(P_COLUMNS, p.T, strict=True)),
            **rows,
            "peaks": np.array([one.peaks for one in found], dtype=np.int64),
            "evidence": evidence,
            "flags": np.where(score < _SURE, int(Flag.LOW_CONFIDENCE), 0).astype(np.int64),
        }
    )


_CELL = (
    "a_nm", "a_sigma_nm", "b_nm", "b_sigma_nm", "gamma_deg", "gamma_sigma_deg", "ratio", "ratio_sigma",
    "a_direction_deg",
)  # fmt: skip


def _cell_columns(cells: Cells, pixel_nm: float, distortion: float) -> dict[str, Array]:
    """Return the columns `_CELL`; the scan's distortion is part of the errors."""
    (a, b, gamma), (da, db, dgamma) = cells.size.T, cells.size_sigma.T
    ratio = b / a
    along = np.hypot(cells.tau[:, 0], cells.tau[:, 1])
    slope = np.einsum("ni,nij,nj->n", cells.tau, cells.covariance, cells.tau) / along**2
    values = (
        a * pixel_nm, np.hypot(da, distortion * a) * pixel_nm,
        b * pixel_nm, np.hypot(db, distortion * b) * pixel_nm,
        gamma, np.hypot(dgamma, np.degrees(np.sqrt(2) * distortion) * np.sin(np.radians(gamma))),
        ratio, np.sqrt(slope + 2 * (distortion * ratio * np.sin(np.radians(gamma))) ** 2),
        np.degrees(np.arctan2(-cells.vectors[:, 0, 0], cells.vectors[:, 0, 1])) % 180,
    )  # fmt: skip
    return dict(zip(_CELL, values, strict=True))


@dataclass(frozen=True)
class Kinds:
    """Running sums: frames, windows, windows apart; by type p, p (1 - p), weights, p times measures and squares."""

    frames: int = 0
    windows: float = 0.0
    apart: float = 0.0
    sums: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class TypeShares:
    """Fold of 'objects' and 'frames' into one row a type: its share of the image and its mean lattice."""

    ignore: int = field(default=int(Flag.OUT_OF_DOMAIN | Flag.BAD_FRAME), metadata={"setting": False})

    def start(self) -> Kinds:
        """Return the state before the first frame."""
        return Kinds()

    def step(self, state: Kinds, tables: Mapping[str, pd.DataFrame]) -> Kinds:
        """Return the state after one more frame."""
        objects, frames = tables["objects"], tables["frames"]
        if len(frames) == 0 or len(objects) == 0 or int(frames["flags"].iloc[0]) & self.ignore:
            return state
        side = float(frames["window_nm"].iloc[0])
        field_nm2 = float((np.ptp(objects["y_nm"]) + side) * (np.ptp(objects["x_nm"]) + side))
        measures = objects[list(_MEASURES)].to_numpy(float)
        sums = dict(state.sums)
        for name, column in zip(TYPES, P_COLUMNS, strict=True):
            p = objects[column].to_numpy(float)
            weight = np.where(np.isfinite(measures), p[:, None], 0.0)
            filled = np.nan_to_num(measures)
            new = np.concatenate([
                [p.sum(), (p * (1 - p)).sum()], weight.sum(0), (weight * filled).sum(0), (weight * filled**2).sum(0),
            ])  # fmt: skip
            sums[name] = sums.get(name, 0.0) + new
        return Kinds(state.frames + 1, state.windows + len(objects), state.apart + max(1.0, field_nm2 / side**2), sums)

    def result(self, state: Kinds) -> dict[str, pd.DataFrame]:
        """Return the table 'summary' (`SHARES`), one row a type."""
        rows = [self._row(name, state) for name in TYPES]
        return {"summary": pd.DataFrame(rows)}

    def _row(self, name: str, state: Kinds) -> dict[str, Any]:
        sums = state.sums.get(name, np.zeros(2 + 3 * len(_MEASURES)))
        per = state.apart / state.windows if state.windows else 0.0
        number, doubt = float(sums[0]) * per, float(sums[1]) * per
        low, high = interval(number, doubt)
        share = number / state.apart if state.apart else np.nan
        ends = _share_ends(share, doubt, state.apart)
        row: dict[str, Any] = {
            "name": name, "share": share, "share_low": ends[0], "share_high": ends[1],
            "count": number, "count_low": low, "count_high": high,
        }  # fmt: skip
        weight, first, second = sums[2:].reshape(3, -1)
        for place, measure in enumerate(_MEASURES):
            known = weight[place] > 0.5
            mean = float(first[place] / weight[place]) if known and name != "noise" else np.nan
            scatter = max(float(second[place] / weight[place]) - mean**2, 0.0) if np.isfinite(mean) else np.nan
            ending = measure.rsplit("_", 1)[1]
            row[measure] = mean
            row[f"{measure.removesuffix(f'_{ending}')}_sigma_{ending}"] = np.sqrt(
                scatter / max(weight[place] * per, 1.0)
            )
        return row | {"frames": state.frames}


def _share_ends(share: float, doubt: float, number: float) -> tuple[float, float]:
    """Return Jeffreys' 95 % interval of a share of `number` windows, widened by the `doubt` of the calls."""
    from scipy.special import betaincinv

    if not number > 0:
        return np.nan, np.nan
    hits = share * number
    low, high = (float(betaincinv(hits + 0.5, number - hits + 0.5, tail)) for tail in (0.025, 0.975))
    widen = float(np.sqrt(1 + doubt / max(number * share * (1 - share), 0.25)))
    return max(0.0, share - (share - low) * widen), min(1.0, share + (high - share) * widen)
