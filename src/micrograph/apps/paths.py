"""The job that gives the microscope a path to visit few pixels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import BadInput
from micrograph.core.provenance import whole

if TYPE_CHECKING:
    from micrograph.simulate.scan_paths import ScanPath


def make_path(kind: str, shape: str, coverage: str, out: Path | None, seed: int = 0) -> tuple[ScanPath, str]:
    """Return a scan path and a sentence about it; written as places (.csv) or as mask (.tif, .npy) where `out` is set.

    shape: "512x512"; coverage: "0.05", "5 %" or "1/20". Raises `BadInput` for what cannot be read or written.
    """
    from micrograph.simulate.scan_paths import scan_path

    path = scan_path(kind, _shape(shape), _share(coverage), seed)
    if out is not None:
        _write(path, out)
    visited = int((path.dwells > 0).sum())
    about = (
        f"{path.kind}: {len(path.y_px)} dwells on {visited} pixels, 1/{1 / path.coverage:.1f} of {path.shape[0]} x "
        f"{path.shape[1]}; the beam travels {path.travel_px:.0f} pixels."
    )
    return path, about


def _shape(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"\s*(\d+)\s*[x,]\s*(\d+)\s*", text)
    if sides is None:
        raise BadInput(f"The field is '{text}': write it as rows and columns, for example 512x512.")
    return int(sides[1]), int(sides[2])


def _share(text: str) -> float:
    """Return "0.05", "5 %" or "1/20" as a number."""
    found = re.fullmatch(r"\s*([\d.]+)\s*(?:(%)|/\s*([\d.]+))?\s*", text)
    refused = BadInput(f"The coverage is '{text}': write a share such as 0.05, '5 %' or 1/20.")
    if found is None:
        raise refused
    try:
        return float(found[1]) / (100 if found[2] else float(found[3] or 1))
    except (ValueError, ZeroDivisionError) as error:
        raise refused from error


def _write(path: ScanPath, out: Path) -> None:
    """Write the places in order (.csv), or how often each pixel is visited (.tif, .npy)."""
    if out.suffix not in (".csv", ".tif", ".npy"):
        raise BadInput(f"The file is '{out.name}': give a name that ends in .csv (places), .tif or .npy (mask).")
    with whole(out) as temporary:
        if out.suffix == ".csv":
            rows = np.column_stack([path.y_px, path.x_px])
            np.savetxt(temporary, rows, "%.4f", ",", header="y_px,x_px", comments="")
        elif out.suffix == ".npy":
            np.save(temporary, path.dwells)
        else:
            import tifffile

            tifffile.imwrite(temporary, path.dwells)
