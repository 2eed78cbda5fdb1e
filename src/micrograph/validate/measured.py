"""The measured numbers that ship with micrograph: a small file a recipe, written by `micrograph validate --record`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from micrograph.core.provenance import whole
from micrograph.validate.checks import CheckResult

FOLDER = Path(__file__).resolve().parents[1] / "measured"


def read_measured(recipe: str, weights: str | None = None) -> list[dict[str, Any]]:
    """Return the shipped results of a recipe's checks, in order; none where nothing was measured.

    With `weights` (a digest) only what was measured with these very weights.
    """
    path = FOLDER / f"{recipe}.json"
    if not path.exists():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    if weights is not None and content["weights"] != weights:
        return []
    rows: list[dict[str, Any]] = content["checks"]
    return rows


def record_measured(recipe: str, weights: str, names: Sequence[str], results: Sequence[CheckResult]) -> Path:
    """Store `results` as the shipped numbers of `recipe`; checks in `names` that were not measured now keep theirs.

    Numbers that were measured with other weights (a digest) are dropped.
    """
    rows = {row["name"]: row for row in read_measured(recipe, weights)} | {one.name: one.as_dict() for one in results}
    path = FOLDER / f"{recipe}.json"
    content = {"recipe": recipe, "weights": weights, "checks": [rows[name] for name in names if name in rows]}
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
