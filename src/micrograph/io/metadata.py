"""The metadata tree that rosettasciio returns, with the entries that it only maps filled in."""

from __future__ import annotations

import contextlib
from typing import Any


def mapped(found: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of one rosettasciio signal with its `mapping` from the vendor's own tree carried out."""
    metadata: dict[str, Any] = found.get("metadata", {})
    for source, target in (found.get("mapping") or {}).items():
        where, convert = target if isinstance(target, tuple) else (target, None)
        with contextlib.suppress(Exception):
            value = lookup(found["original_metadata"], source)
            if value is not None:
                _put(metadata, where, convert(value) if convert else value)
    return metadata


def lookup(tree: Any, dotted: str) -> Any:
    """Return the entry of nested dictionaries at 'a.b.c', ``None`` where it is missing."""
    for part in dotted.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, name = dotted.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
    tree.setdefault(name, value)


def velox_angles(original: dict[str, Any]) -> dict[str, float]:
    """Return convergence and detector angles in mrad out of the tree of a Velox image, which states them in rad."""
    detectors = original.get("Detectors")
    name = lookup(original, "BinaryResult.Detector")
    one = [each for each in (detectors or {}).values() if each.get("DetectorName") == name]
    stated = {
        "convergence_mrad": lookup(original, "Optics.BeamConvergence"),
        "inner_mrad": lookup(one[0], "CollectionAngleRange.begin") if one else None,
        "outer_mrad": lookup(one[0], "CollectionAngleRange.end") if one else None,
    }
    with contextlib.suppress(TypeError, ValueError):
        angles = {field: 1e3 * float(value) for field, value in stated.items() if value is not None}
        return {field: angle for field, angle in angles.items() if 0 < angle < 1e3}
    return {}
