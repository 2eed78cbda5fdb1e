"""The 7x7 cell of a real image of Si(111): `python -m benchmarks real_surface FILE`.

FILE is ``image_with_defects.dat`` of SPIEPy (PyPI, folder spiepy/demo): two whole numbers (lines, pixels a line), then
heights in metres. It has no scale, so that its adatoms are the ruler: they lie two of the surface's 0.384 nm apart.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Frame
from micrograph.features.surface.lattice_reading import Surface, SurfaceSettings, read_surface
from micrograph.features.surface.lattice_tables import surface_tables

#: Distance of adatoms within a half of the cell, and the side of the cell (nm); how far from that it may be.
ADATOMS_NM, CELL_NM, WITHIN = 2 * 0.38401, 7 * 0.38401, 0.03


def read(path: Path) -> NDArray[np.float32]:
    """Return the heights (H, W) in nm."""
    raw = path.read_bytes()
    height, width = np.frombuffer(raw, "<i4", 2)
    return np.asarray(1e9 * np.frombuffer(raw, "<f8", offset=8).reshape(height, width), np.float32)


def apart(found: Surface) -> float:
    """Return the mean distance (in sides of the cell) of neighbouring adatoms along the cell's sides and diagonal.

    The scan is stretched: distances are measured in the cell, where it is not.
    """
    place = found.sites.place
    step = place[:, None] - place[None]
    step -= np.rint(step)
    length = np.sqrt(np.maximum((step**2).sum(axis=-1) - step[..., 0] * step[..., 1], 0))  # gamma is 120 degrees
    near = length[(length > 0.27) & (length < 0.31)]
    return float(near.mean())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    heights = read(parser.parse_args(arguments).file)
    found = read_surface(heights, SurfaceSettings())
    if found is None:
        raise SystemExit("no cell was found")
    pixel_nm = ADATOMS_NM / apart(found) / float(np.sqrt(abs(np.linalg.det(found.followed.cell)) / np.sqrt(0.75)))
    frame = Frame(heights, 0, Calibration(pixel_nm=pixel_nm, value_unit="nm"))
    tables = surface_tables(frame, SurfaceSettings(known=(CELL_NM, CELL_NM, 120.0)))
    row, odd = tables["frames"].iloc[0], tables["objects"]
    side = float(np.sqrt(row["cell_nm2"] / np.sqrt(0.75)))
    good = abs(side / CELL_NM - 1) <= WITHIN
    sys.stdout.write(
        f"cell of {side:.3f} nm (asked {CELL_NM:.3f} within {100 * WITHIN:g} %: {'pass' if good else 'falls short'}), "
        f"b / a {row['b_nm'] / row['a_nm']:.3f}, gamma {row['gamma_deg']:.1f} degrees: {row['lattice']}\n"
        f"scan stretched by {row['scale_y']:.3f} along y, {row['scale_x']:.3f} along x, shear {row['scan_shear']:.3f}\n"
        f"{int(row['sites'])} sites in the motif (12 adatoms), which explains "
        f"{100 * row['explained']:.1f} % of the variance of {row['cells']:.0f} cells\n"
        + "".join(f"{kind}: {int((odd['class'] == kind).sum())}\n" for kind in ("missing", "added", "island"))
    )


if __name__ == "__main__":
    main()
