"""Spectra of real maps told by their image, half of each map unseen: `python -m benchmarks.real_spectra FOLDER`.

FOLDER holds files of spectrum images. Without an image beside them, the first channel stands in for it (`--image`), and
is not told; values beyond `--outliers` times the scatter of their channel are failed fits.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from micrograph.core import BadInput
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.run import Analyser

#: Files that may hold spectrum images.
ENDINGS = (".h5", ".hdf5", ".hspy", ".zspy", ".dm3", ".dm4", ".emd", ".npz", ".npy")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--image", default="0:1", help="what is beside the spectra, as the recipe's setting 'image'")
    parser.add_argument("--outliers", type=float, default=6.0)
    given = parser.parse_args(arguments)
    recipe = find_recipe("plasmon-spectra").with_settings({"image": given.image, "outliers": given.outliers})
    for path in sorted(given.folder.iterdir()):
        if path.suffix.lower() not in ENDINGS:
            continue
        try:
            row = Analyser(recipe).movie(open_recording(path, takes=("spectra",)))["summary"].iloc[0]
        except BadInput as problem:
            sys.stdout.write(f"{path.name}: {problem}\n")
            continue
        better = (1 - row["r2"]) / min(1.0, 1 - row["r2_nearest"])
        sys.stdout.write(
            f"{path.name}: {row['places']:.0f} places, each half told by the other: R2 {row['r2']:.3f} (nearest place "
            f"{row['r2_nearest']:.3f}, mean spectrum 0, noise ceiling {row['r2_ceiling']:.4f}), squared error "
            f"{better:.2f} of the better one; {100 * row['coverage_68']:.0f} and {100 * row['coverage_95']:.0f} % of "
            f"values within 1 and 1.96 sigma; {row['components']:.0f} components\n"
        )


if __name__ == "__main__":
    main()
