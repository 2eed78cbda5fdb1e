"""Thickness of real convergent-beam patterns whose files are named by it: `python -m benchmarks real_patterns FOLDER`.

FOLDER holds pictures whose names end in a range of thickness, such as ``01-on_zone_50-51nm.jpg``.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.run import analyze, learned

#: How far (nm) beyond the range in the name an answer may lie.
TOLERANCE_NM = 3.0


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--voltage", type=float, default=200.0, help="kV")
    parser.add_argument("--convergence", type=float, default=13.6, help="mrad")
    given = parser.parse_args(arguments)
    recipe, right, number = find_recipe("pacbed"), 0, 0
    for path in sorted(given.folder.iterdir()):
        named = re.search(r"(\d+)-(\d+)\s*nm", path.name)
        if not named:
            continue
        recording = open_recording(path).calibrated(voltage_kV=given.voltage, convergence_mrad=given.convergence)
        predict = learned(recipe, recording, Path("unused"))
        begun = time.perf_counter()
        row = analyze(recipe, recording, predict).tables["objects"].iloc[0]
        seconds = time.perf_counter() - begun
        low, high = map(float, named.groups())
        off = max(low - row["thickness_nm"], row["thickness_nm"] - high, 0.0)
        right, number = right + (off <= TOLERANCE_NM), number + 1
        sys.stdout.write(
            f"{path.name}: {row['thickness_nm']:.1f} +- {row['thickness_sigma_nm']:.1f} nm, {off:.1f} nm off the name; "
            f"tilt {row['tilt_mrad']:.2f} mrad, unexplained {row['unexplained']:.2f}, {seconds:.1f} s\n"
        )
    sys.stdout.write(f"{right} of {number} within {TOLERANCE_NM:g} nm of the range in the name\n")


if __name__ == "__main__":
    main()
