"""The domain map of a network, one row a shift, and the copy that ships in ``measured/NAME.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from micrograph.core.provenance import whole
from micrograph.validate.intervals import bootstrap
from micrograph.validate.measured import FOLDER
from micrograph.validate.metrics import f1
from micrograph.validate.shifts import Shifted

#: In the file of what was measured.
_MAP = "domain_map"


def table_of(found: Sequence[Sequence[Shifted]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return the domain map: one row a shift with its F1, 95 % interval, expected F1 and distance, as plain values."""
    return [_row(images, rng) for images in found]


def _row(images: Sequence[Shifted], rng: np.random.Generator) -> dict[str, Any]:
    shift = images[0].shift
    interval = bootstrap(f1, [one.counts for one in images], rng, resamples=300)
    return {
        "family": shift.family,
        "values": dict(shift.values),
        "inside": shift.inside,
        "images": len(images),
        "f1": _rounded(interval.value),
        "low": _rounded(interval.low),
        "high": _rounded(interval.high),
        "expected_f1": _rounded(float(np.mean([one.expected for one in images]))),
        "domain_distance": _rounded(float(np.mean([one.distance for one in images]))),
    }


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def read_map(recipe: str) -> list[dict[str, Any]]:
    """Return the shipped domain map of a recipe, empty where none was measured."""
    rows: list[dict[str, Any]] = _content(recipe).get(_MAP, {}).get("rows", [])
    return rows


def record_map(recipe: str, weights: str, rows: Sequence[dict[str, Any]]) -> Path:
    """Store a domain map, measured with weights of this digest, as the shipped one of a recipe."""
    path = FOLDER / f"{recipe}.json"
    content = {**_content(recipe), _MAP: {"weights": weights, "rows": list(rows)}}
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _content(recipe: str) -> dict[str, Any]:
    path = FOLDER / f"{recipe}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {"recipe": recipe}
