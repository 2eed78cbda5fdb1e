"""Images on finer pixels as tables: the gaps that they show, whether the counts speak for these, what was not told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction
from micrograph.core.frame import binned
from micrograph.features.metallography.gaps import (
    Gaps,
    depths,
    is_shallow,
    levels_of,
    narrowest,
    passing,
    seen_gaps,
    support,
    width_sigma,
)
from micrograph.features.restoring.super_resolution import FINER, MOST, Agreement, agreement, told_up_to

Image = NDArray[np.float32]

#: Gaps nearer to the border than this (finer pixels) are flagged: what lies beyond is not seen.
_RIM_PX = 4.0

GAPS = (
    Column("y_px", "px", "narrowest place of a gap between islands, row in the finer image"),
    Column("x_px", "px", "the same, column in the finer image"),
    Column("width_px", "px", "width of the gap there, in pixels of the finer image", sigma="width_sigma_px"),
    Column("across_deg", "degree", "direction across the gap, counter-clockwise from +x"),
    Column("depth", "", "how far the gap is dark: 0 as its lower bank, 1 as the carbon"),
    Column("support", "", "1-sigma by which the recorded counts speak for the gap, against it filled up"),
    Column("width_nm", "nm", "width of the gap; NaN without a pixel size", sigma="width_sigma_nm"),
    Column("y_nm", "nm", "place of the gap down the frame; NaN without a pixel size"),
    Column("x_nm", "nm", "place of the gap along the frame's rows; NaN without a pixel size"),
)
FINER_FRAMES = (
    Column("count", "", "gaps that the finer image shows"),
    Column("supported", "", "gaps from one recorded pixel on that the recorded counts speak for"),
    Column("mean_width_px", "px", "mean width of the supported gaps, in pixels of the finer image"),
    Column("chi_square", "", "mean square of recorded minus finer image over the noise, at edges: 1 is noise alone"),
    Column("misfit_share", "", "share of the recorded pixels about which the finer image is not what was recorded"),
    Column("noise_gain", "", "counts by which the noise's variance grows with each count"),
    Column("noise_at_zero", "", "variance of the noise where no counts are expected"),
    Column("mean_sigma", "", "root mean square of the finer image's 1-sigma, in the recording's units"),
    Column("told_per_px", "1/px", "frequency, in cycles a recorded pixel, beyond which noise outweighs the image"),
)
SUMMARY = (
    Column("frames", "", "number of frames"),
    Column("count", "", "gaps in all frames"),
    Column("supported", "", "gaps that the recorded counts speak for"),
    Column("mean_width_px", "px", "mean width of the supported gaps, in pixels of the finer images"),
    Column("chi_square", "", "mean over the frames"),
    Column("misfit_share", "", "mean over the frames"),
)


@dataclass(frozen=True)
class FinerGaps:
    """Gaps up to `widest_px` (finer pixels) wide, one row every `apart_px` at most.

    Sure are those from `narrowest_px` on, one recorded pixel, for which the counts speak with `least_support` sigma.
    """

    narrowest_px: float = 2.0
    widest_px: float = 8.0
    apart_px: float = 6.0
    least_support: float = 3.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing is found."""
        if self.widest_px <= 1 or self.apart_px <= 0:
            raise ValueError("widest_px must be greater than 1 and apart_px greater than 0.")

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' (gaps) and 'frames' of one frame."""
        answer, sigma, recorded = prediction.maps["image"], prediction.sigma["image"], prediction.frame.data
        agreed = agreement(recorded, answer)
        gaps = self.gaps(answer)
        found = self._table(prediction, agreed, gaps)
        sure = found[found["flags"] == 0]
        variance = float(agreed.noise.variance(binned(answer, FINER)).mean(dtype=np.float64))
        row = {
            "count": len(found),
            "supported": len(sure),
            "mean_width_px": float(sure["width_px"].mean()) if len(sure) else np.nan,
            "chi_square": agreed.chi_square,
            "misfit_share": agreed.misfit_share,
            "noise_gain": agreed.noise.gain,
            "noise_at_zero": agreed.noise.readout_variance,
            "mean_sigma": float(np.sqrt(np.mean(sigma.astype(float) ** 2))),
            "told_per_px": told_up_to(np.nan_to_num(recorded, nan=float(np.nanmean(recorded))), variance),
        }
        return {"objects": found, "frames": pd.DataFrame([row])}

    def gaps(self, answer: Image) -> Gaps:
        """Return the gaps of a finer image (2 H, 2 W)."""
        return self.chosen(answer, self.lines(answer))

    def chosen(self, answer: Image, lines: Gaps) -> Gaps:
        """Return one place a gap out of all `lines` of a finer image: the narrowest, where the gap passes through."""
        lines = lines[passing(answer, levels_of(answer).high, lines)]
        return lines[narrowest(lines, self.apart_px)]

    def lines(self, answer: Image) -> Gaps:
        """Return every place on the middle lines of the gaps of a finer image (2 H, 2 W), notches too."""
        return seen_gaps(answer, self.widest_px)

    def _table(self, prediction: Prediction, agreed: Agreement, gaps: Gaps) -> pd.DataFrame:
        answer, recorded = prediction.maps["image"], prediction.frame.data
        levels = levels_of(answer)
        variance = agreed.noise.variance(binned(answer, FINER))
        sigma = width_sigma(prediction.sigma["image"], gaps, levels.carbon)
        spoken = support(recorded, variance, answer, gaps)
        places = np.clip((gaps.points / FINER).astype(int), 0, np.array(recorded.shape) - 1)
        unlike = agreed.misfit[places[:, 0], places[:, 1]] > MOST
        rim = np.min([gaps.points, np.array(answer.shape) - 1 - gaps.points], axis=(0, 2), initial=np.inf)
        doubted = (spoken < self.least_support) | (gaps.width < self.narrowest_px) | is_shallow(gaps, levels) | unlike
        flags = np.where(doubted, int(Flag.LOW_CONFIDENCE), 0)
        flags |= np.where(rim < _RIM_PX, int(Flag.EDGE), 0)
        pixel = prediction.pixel_nm if prediction.frame.calibration.pixel_nm is not None else np.nan
        return pd.DataFrame(
            {
                "y_px": gaps.y,
                "x_px": gaps.x,
                "width_px": gaps.width,
                "width_sigma_px": sigma,
                "across_deg": gaps.across_deg,
                "depth": depths(gaps, levels),
                "support": spoken,
                "width_nm": gaps.width * pixel,
                "width_sigma_nm": sigma * pixel,
                "y_nm": gaps.y * pixel,
                "x_nm": gaps.x * pixel,
                "flags": flags.astype(np.int64),
            }
        )


@dataclass(frozen=True)
class GapSums:
    """Sums over the frames."""

    frames: int = 0
    count: int = 0
    supported: int = 0
    width: float = 0.0
    chi_square: float = 0.0
    misfit: float = 0.0


@dataclass(frozen=True)
class FinerSummary:
    """Fold of 'frames' into one row."""

    def start(self) -> GapSums:
        """Return the state before the first frame."""
        return GapSums()

    def step(self, state: GapSums, tables: Mapping[str, pd.DataFrame]) -> GapSums:
        """Return the state after one more frame."""
        row = tables["frames"].iloc[0]
        return GapSums(
            state.frames + 1,
            state.count + int(row["count"]),
            state.supported + int(row["supported"]),
            state.width + float(np.nan_to_num(row["mean_width_px"])) * int(row["supported"]),
            state.chi_square + float(row["chi_square"]),
            state.misfit + float(row["misfit_share"]),
        )

    def result(self, state: GapSums) -> dict[str, pd.DataFrame]:
        """Return the table 'summary': one row."""
        frames = state.frames
        row = {
            "frames": frames,
            "count": state.count,
            "supported": state.supported,
            "mean_width_px": state.width / state.supported if state.supported else np.nan,
            "chi_square": state.chi_square / frames if frames else np.nan,
            "misfit_share": state.misfit / frames if frames else np.nan,
        }
        return {"summary": pd.DataFrame([row])}
