"""From a model's maps to refined columns: the road that all atomic-resolution recipes share.

Peaks of the score maps say where columns are; the raw frame says where exactly, how bright and how sure (`refine`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Flag, Prediction
from micrograph.features.columns.peaks import find_peaks
from micrograph.features.columns.refine import Fit, RefineSettings, refine

#: Radius over which a peak's brightness is taken.
GLARE_DISC_NM = 0.04
#: A column nearer to the border is only half seen.
BORDER_NM = 0.06


@dataclass(frozen=True)
class Located:
    """Columns of one frame: `table` as `POINTS`, class = head's name; `fit` in frame pixels, same rows."""

    table: pd.DataFrame
    fit: Fit
    pixel_nm: float

    @property
    def head(self) -> NDArray[np.str_]:
        """Name of the map in which each column was found."""
        return self.table["class"].to_numpy(dtype=np.str_)


@dataclass(frozen=True)
class LocateSettings:
    """How columns are found: score threshold, least distance, border within which a column is only half seen.

    region: the map of ground that is not to be trusted. prior_nm: 1-sigma of the network's position where it may be all
    that is known (weak or empty sites); ``None``: the counts alone say where.
    """

    heads: Sequence[str] = ("atom",)
    threshold: float = 0.5
    min_distance_nm: float = 0.08
    border_nm: float = BORDER_NM
    region: str | None = "contamination"
    prior_nm: float | None = None
    glare_nm: float = 0.0
    refine: RefineSettings = field(default_factory=RefineSettings)


@dataclass(frozen=True)
class Amended:
    """What is changed in the network's columns before they are refined: points (M, 2) in nm put in, rows left out."""

    put_in_nm: NDArray[np.float64]
    left_out: NDArray[np.intp]


def locate(prediction: Prediction, settings: LocateSettings, amended: Amended | None = None) -> Located:
    """Return the columns of one frame with positions (nm), 1-sigma, integrated intensities and flags.

    Columns at which the fit failed keep the network's position, carry the map's pitch as 1-sigma and the flag NO_FIT.
    Points that are put in (`amended`; rows as they come out without it) come last, under the first head, with score 0.
    """
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    y, x, score, head = _peaks(prediction, settings)
    if settings.glare_nm > 0 and len(y):
        keep = _own_light(prediction.frame.data, y, x, settings.glare_nm / pixel, GLARE_DISC_NM / pixel)
        y, x, score, head = y[keep], x[keep], score[keep], head[keep]
    if amended is not None:
        y, x = (
            np.concatenate([np.delete(found, amended.left_out), put_in / pixel])
            for found, put_in in zip((y, x), amended.put_in_nm.T, strict=True)
        )
        score = np.concatenate([np.delete(score, amended.left_out), np.zeros(len(amended.put_in_nm))])
        head = np.concatenate(
            [np.delete(head, amended.left_out), np.full(len(amended.put_in_nm), settings.heads[0], dtype=np.str_)]
        )
    prior_px = None if settings.prior_nm is None else settings.prior_nm / pixel
    fit = refine(prediction.frame.data, y, x, settings.refine, prior_sigma_px=prior_px)
    fy, fx = np.where(fit.ok, fit.y_px, y), np.where(fit.ok, fit.x_px, x)
    variance_y, variance_x = fit.covariance_px2[:, 0, 0], fit.covariance_px2[:, 1, 1]
    coarse = prediction.pixel_nm / 2
    table = pd.DataFrame(
        {
            "frame": np.full(len(y), prediction.frame.index, dtype=np.int64),
            "y_nm": fy * pixel,
            "x_nm": fx * pixel,
            "y_sigma_nm": np.where(fit.ok, np.sqrt(np.maximum(variance_y, 0)) * pixel, coarse),
            "x_sigma_nm": np.where(fit.ok, np.sqrt(np.maximum(variance_x, 0)) * pixel, coarse),
            "class": pd.Series(head, dtype=str),
            "score": score,
            "intensity": fit.amplitude,
            "intensity_sigma": fit.amplitude_sigma,
            "flags": _flags(prediction, settings, fy * pixel, fx * pixel, fit.ok),
        }
    )
    return Located(table, fit, pixel)


def spotted(prediction: Prediction, settings: LocateSettings) -> NDArray[np.float64]:
    """Return where (N, 2) in nm the network sees columns, in the order of `locate`, before anything is fitted."""
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    y, x, _, _ = _peaks(prediction, settings)
    return np.stack([y, x], axis=1) * pixel


def _peaks(
    prediction: Prediction, settings: LocateSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
    """Return y, x (frame pixels), score and head name of the peaks of all heads; of two too close the better stays."""
    found = [
        find_peaks(prediction.maps[head], settings.threshold, settings.min_distance_nm / prediction.pixel_nm)
        for head in settings.heads
    ]
    y = np.concatenate([peaks.y for peaks in found])
    x = np.concatenate([peaks.x for peaks in found])
    score = np.concatenate([peaks.score for peaks in found]).astype(float)
    head = np.repeat(np.array(settings.heads, dtype=np.str_), [len(peaks.y) for peaks in found])
    if len(settings.heads) > 1:
        keep = _strongest(y, x, score, settings.min_distance_nm / prediction.pixel_nm)
        y, x, score, head = y[keep], x[keep], score[keep], head[keep]
    order = np.lexsort((x, y))
    y, x, score, head = y[order], x[order], score[order], head[order]
    step_y, step_x = prediction.steps
    return (y + 0.5) * step_y - 0.5, (x + 0.5) * step_x - 0.5, score, head


def _own_light(
    image: NDArray[np.float32], y: NDArray[np.float64], x: NDArray[np.float64], reach_px: float, disc_px: float
) -> NDArray[np.bool_]:
    """Return which peaks stand for themselves: a spot twice as bright as usual swallows dimmer peaks within reach."""
    from scipy.spatial import cKDTree

    keep = np.ones(len(y), dtype=bool)
    pairs = cKDTree(np.column_stack([y, x])).query_pairs(reach_px, output_type="ndarray")
    if len(pairs) == 0:
        return keep
    half = max(1, round(disc_px))
    offsets = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1)
    offsets = offsets[:, np.hypot(*offsets) <= half]
    rows = np.clip(np.rint(y).astype(int)[:, None] + offsets[0], 0, image.shape[0] - 1)
    columns = np.clip(np.rint(x).astype(int)[:, None] + offsets[1], 0, image.shape[1] - 1)
    light = np.nanmean(image[rows, columns], axis=1)
    dark = float(np.nanpercentile(image, 10))
    usual = float(np.median(light)) - dark
    for i, j in pairs:
        bright, dim = (i, j) if light[i] >= light[j] else (j, i)
        if light[bright] - dark > 2 * usual:
            keep[dim] = False
    return keep


def _strongest(
    y: NDArray[np.float64], x: NDArray[np.float64], score: NDArray[np.float64], distance: float
) -> NDArray[np.bool_]:
    """Return which points stay when of every pair closer than `distance` the one of lower score goes."""
    from scipy.spatial import cKDTree

    keep = np.ones(len(y), dtype=bool)
    if len(y) == 0:
        return keep
    pairs = cKDTree(np.column_stack([y, x])).query_pairs(distance, output_type="ndarray")
    worst_first = np.argsort(np.maximum(score[pairs[:, 0]], score[pairs[:, 1]]))[::-1]
    for i, j in pairs[worst_first]:
        if keep[i] and keep[j]:
            keep[i if score[i] < score[j] else j] = False
    return keep


def _flags(
    prediction: Prediction,
    settings: LocateSettings,
    y_nm: NDArray[np.float64],
    x_nm: NDArray[np.float64],
    ok: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Return the flag word of every column: the frame's own flags, border, failed fit, contaminated ground."""
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    height, width = (np.array(prediction.frame.data.shape) - 1) * pixel
    flags = np.full(len(y_nm), int(prediction.flags), dtype=np.int64)
    inside = np.minimum(np.minimum(y_nm, height - y_nm), np.minimum(x_nm, width - x_nm))
    flags |= np.where(inside < settings.border_nm, int(Flag.EDGE), 0)
    flags |= np.where(ok, 0, int(Flag.NO_FIT))
    if settings.region is not None and settings.region in prediction.maps:
        dirty = prediction.maps[settings.region]
        rows = np.clip(np.rint(y_nm / prediction.pixel_nm).astype(int), 0, dirty.shape[0] - 1)
        columns = np.clip(np.rint(x_nm / prediction.pixel_nm).astype(int), 0, dirty.shape[1] - 1)
        flags |= np.where(dirty[rows, columns] > 0.5, int(Flag.LOW_CONFIDENCE), 0)
    return flags
