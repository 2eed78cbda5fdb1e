"""The columns that `column_fit` finds in an HRTEM frame, as tables like those of dark-field frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Flag, Frame
from micrograph.core.frame import binned
from micrograph.features.columns.column_heights import Heights
from micrograph.features.columns.locate import BORDER_NM
from micrograph.infer.column_fit import FittedColumns, Optics, fit_columns
from micrograph.simulate.phase.hrtem import Lens

#: Pixels are averaged up to this size (nm); coarser ones than the second do not show columns.
_PIXEL_NM, _COARSE_NM = 0.03, 0.06
#: A fit that leaves more than this share of the contrast is of something else.
_UNEXPLAINED = 0.3


def fitted_heights(frame: Frame, optics: Optics, name: str) -> Heights:
    """Return the columns of an HRTEM frame with their posterior; none, and a doubt, where the crystal is not seen.

    Raises `BadInput` for pixels that are too coarse.
    """
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    if pixel > _COARSE_NM:
        raise BadInput(f"The pixels of {pixel:g} nm are too coarse for columns: at most {_COARSE_NM} nm were expected.")
    number = max(1, int(_PIXEL_NM / pixel + 1e-6))
    image = binned(_whole(frame.data), number)
    fit = fit_columns(image, pixel * number, optics) if min(image.shape) >= 24 else None
    if fit is None:
        facts = _facts(optics.lens, np.nan)
        doubt = f"No columns of {name} along the zone axis are seen: wrong crystal, zone axis or pixel size, or none."
        return Heights(_table(np.zeros((0, 2)), {}), np.zeros((0, optics.most + 1)), optics.stacked.spacing_nm, np.nan,
                       facts, (doubt,))  # fmt: skip
    there = fit.p[:, 0] < 0.5
    place = (fit.columns.place_nm + (number - 1) / 2 * pixel)[there]
    row, column = (
        np.clip(np.rint(fit.columns.place_nm[there] / (pixel * number)).astype(int), 0, np.array(image.shape) - 1)
    ).T
    level = float(np.median(image))
    values = {
        "sigma": fit.place_sigma_nm[there],
        "intensity": image[row, column] - level,
        "intensity_sigma": np.full(int(there.sum()), fit.noise * level),
        "flags": _edge(place, frame, pixel),
    }
    doubts = (
        ()
        if fit.unexplained <= _UNEXPLAINED
        else (
            f"The fitted particle leaves {100 * fit.unexplained:.0f} % of the contrast: check focus, voltage and Cs.",
        )
    )
    return Heights(
        _table(place, values, frame.index), fit.p[there], optics.stacked.spacing_nm, np.nan,
        _facts(fit.lens, fit.unexplained), doubts, _notes(fit, optics),
    )  # fmt: skip


def _whole(data: NDArray[np.float32]) -> NDArray[np.float32]:
    return data if np.isfinite(data).all() else np.nan_to_num(data, nan=float(np.nanmedian(data)))


def _facts(lens: Lens, unexplained: float) -> dict[str, Any]:
    return {
        "signal": "hrtem",
        "defocus_nm": lens.defocus_nm,
        "astigmatism_nm": lens.astigmatism_nm,
        "astigmatism_deg": lens.astigmatism_deg % 180,
        "unexplained": unexplained,
    }


def _notes(fit: FittedColumns, optics: Optics) -> tuple[str, ...]:
    away = fit.lens.defocus_nm - optics.lens.defocus_nm
    if abs(away) <= 2.5 * optics.defocus_sigma_nm:
        return ()
    return (f"The image was taken {away:+.1f} nm from the given defocus: counts rest on what the fit found.",)


def _edge(place: NDArray[np.float64], frame: Frame, pixel: float) -> NDArray[np.int64]:
    far = (np.array(frame.data.shape) - 1) * pixel
    inside = np.minimum(place, far - place).min(axis=1) if len(place) else np.zeros(0)
    return np.where(inside < BORDER_NM, int(Flag.EDGE), 0).astype(np.int64)


def _table(place: NDArray[np.float64], values: dict[str, NDArray[Any]], index: int = 0) -> pd.DataFrame:
    """Return the columns as a table of points."""
    none = np.zeros(0)
    return pd.DataFrame(
        {
            "frame": np.full(len(place), index, dtype=np.int64),
            "y_nm": place[:, 0],
            "x_nm": place[:, 1],
            "y_sigma_nm": values.get("sigma", none),
            "x_sigma_nm": values.get("sigma", none),
            "class": pd.Series(["atom"] * len(place), dtype=str),
            "score": np.ones(len(place)),
            "intensity": values.get("intensity", none),
            "intensity_sigma": values.get("intensity_sigma", none),
            "flags": values.get("flags", np.zeros(0, np.int64)),
        }
    )
