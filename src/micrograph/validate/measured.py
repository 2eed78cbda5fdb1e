"""The measured numbers that ship with micrograph: a small file a recipe, written by `micrograph validate --record`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from micrograph.core.provenance import whole
from micrograph.validate.checks import CheckResult
from micrograph.validate.choices import Sets
from micrograph.validate.claims import Stated
from micrograph.validate.conformal import Conformal

FOLDER = Path(__file__).resolve().parents[1] / "measured"


@dataclass(frozen=True)
class Intervals:
    """The intervals of a recipe's claims; they hold for these weights (a digest) and these settings (as text)."""

    weights: str
    settings: Mapping[str, str]
    frames: int
    claims: tuple[Stated, ...]


def read_measured(recipe: str, weights: str | None = None) -> list[dict[str, Any]]:
    """Return the shipped results of a recipe's checks, in order; none where nothing was measured.

    With `weights` (a digest) only what was measured with these very weights.
    """
    content = _content(recipe)
    if weights is not None and content.get("weights") != weights:
        return []
    rows: list[dict[str, Any]] = content.get("checks", [])
    return rows


def record_measured(recipe: str, weights: str, names: Sequence[str], results: Sequence[CheckResult]) -> Path:
    """Store `results` as the shipped numbers of `recipe`; checks in `names` that were not measured now keep theirs.

    Numbers that were measured with other weights (a digest) are dropped.
    """
    rows = {row["name"]: row for row in read_measured(recipe, weights)} | {one.name: one.as_dict() for one in results}
    checks = [rows[name] for name in names if name in rows]
    return _written(recipe, {**_content(recipe), "weights": weights, "checks": checks})


def read_intervals(recipe: str) -> Intervals | None:
    """Return the shipped intervals of a recipe's claims, ``None`` where none were measured."""
    found = _content(recipe).get("intervals")
    if found is None:
        return None
    claims = tuple((Sets if "most" in one else Conformal).from_dict(one) for one in found["claims"])
    return Intervals(found["weights"], found["settings"], found["frames"], claims)


def record_intervals(recipe: str, intervals: Intervals) -> Path:
    """Store intervals as the shipped ones of a recipe, in place of earlier ones."""
    claims = [one.as_dict() for one in intervals.claims]
    found = {
        "weights": intervals.weights,
        "settings": dict(intervals.settings),
        "frames": intervals.frames,
        "claims": claims,
    }
    return _written(recipe, {**_content(recipe), "intervals": found})


def _content(recipe: str) -> dict[str, Any]:
    path = FOLDER / f"{recipe}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


def _written(recipe: str, content: Mapping[str, Any]) -> Path:
    """Write what was measured of a recipe, its name first."""
    path = FOLDER / f"{recipe}.json"
    with whole(path) as temporary:
        temporary.write_text(json.dumps({"recipe": recipe, **content}, indent=1) + "\n", encoding="utf-8")
    return path
