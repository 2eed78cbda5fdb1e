"""The headline of objects with an outline: number, size, shapes, the law of their boundaries, closing, stages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.draw import with_error
from micrograph.report.headline import Headline, interval_text
from micrograph.report.outlined import SIZE, is_timed

if TYPE_CHECKING:
    from pandas import DataFrame

#: So many rows of a kind are headlines.
MOST_ROWS = 8


def outlined_headlines(tables: Mapping[str, DataFrame]) -> list[Headline]:
    """Return number, mean diameter, shares of shapes, law v0 + k curvature, closing rates and stages, where known."""
    if not _holds(tables, "frames", "count", "covered_nm2"):
        return []
    found = [*_number(tables), *_size(tables)]
    if _holds(tables, "shapes", "shape", "share"):
        found += [_shape(row) for row in tables["shapes"].head(MOST_ROWS).to_dict("records")]
    if _holds(tables, "rate_law", "name", "v0_nm_per_s", "k_nm2_per_s"):
        found += _law(tables["rate_law"])
    if _holds(tables, "growth", "track", "area_rate_nm2_per_s"):
        found += _growth(tables["growth"])
    if _holds(tables, "stages", "name", "value", "first_frame"):
        found += _stages(tables["stages"])
    return found


def _holds(tables: Mapping[str, DataFrame], name: str, *columns: str) -> bool:
    return name in tables and set(columns) <= set(tables[name])


def _number(tables: Mapping[str, DataFrame]) -> Iterator[Headline]:
    frames = tables["frames"]
    count = frames["count"].to_numpy(float)
    if len(count) == 1 or not is_timed(frames):
        images = "one image" if len(count) == 1 else f"{len(count)} images"
        yield Headline("number of objects", f"{np.nansum(count):.0f}", f"in {images}, those cut by the border included")
    else:
        remark = f"from {np.nanmin(count):.0f} to {np.nanmax(count):.0f} in {len(count)} frames"
        if _holds(tables, "summary", "name", "number"):
            different = tables["summary"]["number"].iloc[:1].sum()
            remark += f"; {different:.0f} different ones seen whole"
        yield Headline("number of objects in a frame", f"{np.nanmean(count):.3g}", remark)
    share = frames["covered_nm2"].sum() / frames["area_nm2"].sum() if frames["area_nm2"].sum() > 0 else math.nan
    if math.isfinite(share):
        yield Headline("covered share", f"{100 * share:.3g} %", "of the area of all frames")


def _size(tables: Mapping[str, DataFrame]) -> Iterator[Headline]:
    """Yield the mean diameter: over all objects with their weights, or else one value a track."""
    if _holds(tables, "sizes", "name", "quantity", "mean", "median"):
        sizes = tables["sizes"]
        known = (sizes["name"] == "all") & (sizes["quantity"] == SIZE) & sizes["mean"].notna()
        rows = sizes[known].to_dict("records")
        for row in rows[:1]:
            remark = interval_text(row, "mean_low", "mean_high", "nm")
            remark += f"; median {row['median']:.4g} nm; {row['number']:.0f} objects"
            yield Headline("mean diameter of the circle of equal area", f"{row['mean']:.4g} nm", remark)
    elif _holds(tables, "summary", "name", "number", SIZE):
        for row in tables["summary"].head(MOST_ROWS).to_dict("records"):
            if math.isfinite(row[SIZE]):
                of = "" if row["name"] == "all" else f", {row['name']}"
                interval = interval_text(row, "equivalent_diameter_low_nm", "equivalent_diameter_high_nm", "nm")
                remark = "; ".join(part for part in (interval, f"{row['number']:.0f} objects") if part)
                yield Headline(f"mean diameter of the circle of equal area{of}", f"{row[SIZE]:.4g} nm", remark)


def _shape(row: Mapping[Any, Any]) -> Headline:
    percent = {name: 100 * row[name] for name in ("share_low", "share_high")}
    remark = f"{interval_text(percent, 'share_low', 'share_high', '%')}; {row['number']:.0f} objects"
    return Headline(f"shape: {row['shape']}", f"{100 * row['share']:.3g} %", remark)


def _law(laws: DataFrame) -> Iterator[Headline]:
    """Yield v0 and k of all objects together, and of every class where there are several."""
    for row in laws[laws["track"] == -1].head(MOST_ROWS).to_dict("records"):
        if not math.isfinite(row["v0_nm_per_s"]):
            continue
        of = "" if row["name"] == "all" else f", {row['name']}"
        v0 = with_error(row["v0_nm_per_s"], row.get("v0_sigma_nm_per_s"), "nm s⁻¹")
        k = with_error(row["k_nm2_per_s"], row.get("k_sigma_nm2_per_s"), "nm² s⁻¹")
        remark = f"v = v0 + k · curvature; {row['tracks']:.0f} object{'' if row['tracks'] == 1 else 's'}"
        yield Headline(f"velocity of a straight edge, v0{of}", v0, f"{remark}; outwards positive")
        yield Headline(f"change of velocity with curvature, k{of}", k, remark)


def _growth(growth: DataFrame) -> Iterator[Headline]:
    """Yield the area rates of the objects seen longest, and when those that shrink are gone."""
    rows = growth[np.isfinite(growth["area_rate_nm2_per_s"].to_numpy(float))]
    for row in rows.sort_values("frames", ascending=False, kind="stable").head(MOST_ROWS).to_dict("records"):
        remark = interval_text(row, "area_rate_low_nm2_per_s", "area_rate_high_nm2_per_s", "nm² s⁻¹")
        if math.isfinite(row["closing_s"]) and row["area_rate_high_nm2_per_s"] < 0:
            remark += f"; gone at {row['closing_s']:.3g} s"
        name = f"change of area, {row['name']} (track {row['track']})"
        yield Headline(name, f"{row['area_rate_nm2_per_s']:.3g} nm² s⁻¹", remark)


def _stages(stages: DataFrame) -> Iterator[Headline]:
    """Yield the stages of every quantity that has two or more."""
    for name, rows in stages.groupby("name", sort=False):
        if len(rows) < 2:
            continue
        for number, row in enumerate(rows.head(MOST_ROWS).to_dict("records"), start=1):
            span = f"frames {row['first_frame']:.0f} to {row['last_frame']:.0f}"
            if math.isfinite(row["start_s"]) and math.isfinite(row["end_s"]):
                span = f"{row['start_s']:.4g} to {row['end_s']:.4g} s"
            remark = f"{span}; {interval_text(row, 'value_low', 'value_high', '')}"
            yield Headline(f"{name}, stage {number} of {len(rows)}", f"{row['value']:.3g}", remark)
