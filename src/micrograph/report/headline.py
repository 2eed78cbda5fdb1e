"""One number for the top of the report, and how an interval is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Headline:
    """One number for the top of the report: what it is, value with error and unit, a remark."""

    name: str
    value: str
    remark: str = ""


def interval_text(row: Mapping[Any, Any], low: str, high: str, unit: str) -> str:
    """Return '95 %: low to high unit', '' where the interval is unknown."""
    if not (math.isfinite(row.get(low, math.nan)) and math.isfinite(row.get(high, math.nan))):
        return ""
    return f"95 %: {row[low]:.3g} to {row[high]:.3g} {unit}".strip()
