"""Real maps and tilt series of elements: `python -m benchmarks.real_edx FOLDER`.

A FOLDER of maps (.mat) that were drawn from the counts of one long exposure, which is the one with the most counts:
each is denoised, and judged by the counts of the long exposure that it does not hold, which are independent of it. A
FOLDER of views (.mat, one file each) is reconstructed, and judged by chi^2 over pixels of its re-projection.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.features.spectra.counts_denoise import Estimator, as_counts
from micrograph.infer.element_maps import ElementMaps
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.run import Analyser
from micrograph.validate.spectra.edx_scenes import by_components, non_local

Maps = NDArray[np.float32]


def judged(found: Maps, kept: Maps, share: float) -> tuple[float, float]:
    """Return the mean squared distance to counts left out, and their log-likelihood; `share` of all were seen."""
    expected = found.astype(float) * (1 - share) / share
    floor = expected + 1e-3 * expected.mean()
    return float(((expected - kept) ** 2).mean()), float((kept * np.log(floor) - floor).sum())


def classical(counts: Maps, kept: Maps, share: float) -> dict[str, tuple[float, float]]:
    """Return what each classical method reaches, tuned by the very counts that judge it."""
    made = {
        "Gaussian": [Estimator("gauss", width)(counts) for width in (1.5, 2.2, 2.7, 3.3, 4, 5, 6.5, 8)],
        "total variation": [Estimator("flat", weight, 150)(counts) for weight in (1.4, 2.8, 5.6, 8)],
        "non-local means": [non_local(counts, strength) for strength in (0.1, 0.2, 0.3, 0.6, 1.0)],
        "PCA": [by_components(counts, number) for number in (1, 2, 4, 8, 16)],
    }
    if importlib.util.find_spec("bm3d") is None:
        print("BM3D is not compared: the package bm3d is not installed")
    else:
        import bm3d  # type: ignore[import-not-found]

        root = 2 * np.sqrt(counts[0] + 0.375)
        made["BM3D"] = [
            np.maximum((np.asarray(bm3d.bm3d(root, sigma)) / 2) ** 2 - 0.125, 1e-6).astype(np.float32)[None]
            for sigma in (0.5, 1.0)
        ]
    found = {}
    for name, several in made.items():
        scores = [judged(one * np.float32(counts.sum() / one.sum()), kept, share) for one in several]
        found[name] = (min(one[0] for one in scores), max(one[1] for one in scores))
    return found


def denoising(files: Sequence[Path]) -> None:
    """Print how near each denoised map is to the rest of the long exposure, beside classical methods."""
    maps = {path: _counts(path) for path in files}
    long = max(maps, key=lambda path: float(maps[path].sum()))
    rows = []
    for path, counts in maps.items():
        if path == long:
            continue
        kept = maps[long] - counts
        if (kept < 0).any():
            sys.exit(f"{path.name} is no part of {long.name}.")
        share = float(counts.sum() / maps[long].sum())
        scale = Calibration(content="elements", channels=("map",))
        recording = Recording(functools.partial(_same, counts), range(1), scale, counts.shape)
        own = ElementMaps(replicas=0).prepared(recording)(recording.frame(0)).maps["map"][None]
        scores = {"denoised": judged(own, kept, share)} | classical(counts, kept, share)
        rows.append(scores)
        said = "; ".join(f"{name} {one[0] * 1e3:.4f}, {one[1]:.1f}" for name, one in scores.items())
        sys.stdout.write(f"{path.name}: {int(counts.sum())} of {int(maps[long].sum())} counts; {said}\n")
        sys.stdout.flush()
    for name in rows[0]:
        apart = [row[name][0] - row["denoised"][0] for row in rows]
        likely = [row["denoised"][1] - row[name][1] for row in rows]
        sys.stdout.write(
            f"{name}: squared distance {np.mean(apart) * 1e6:+.2f}e-6 beyond that of the denoised map "
            f"({sum(one >= 0 for one in apart)} of {len(apart)} maps), log-likelihood {-np.mean(likely):+.1f}\n"
        )


def _same(maps: Maps, _index: int) -> Maps:
    return maps


def _counts(path: Path) -> Maps:
    """Return the counts (1, H, W) of a map."""
    recording = open_recording(path)
    return as_counts(recording.frame(0).data.reshape(1, *recording.shape[-2:]))[0]


def tomography(folder: Path, tilts: str, pixel_nm: float) -> None:
    """Print the misfit of each element and the particles of a real tilt series."""
    recipe = find_recipe("edx-tomography").with_settings({"tilts_deg": tilts})
    tables = Analyser(recipe).movie(open_recording(folder, pixel_nm=pixel_nm))
    for name in ("elements", "objects", "composition", "frames", "views"):
        sys.stdout.write(f"{name}\n{tables[name].drop(columns='frame').to_string(index=False)}\n")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tilts", default="-60:60:10", help="tilts of a series in degrees")
    parser.add_argument("--pixel", type=float, default=0.1, help="pixel of a series in nm")
    given = parser.parse_args(arguments)
    files = sorted(given.folder.glob("*.mat"))
    if len(open_recording(files[0]).calibration.channels) > 1:
        tomography(given.folder, given.tilts, given.pixel)
    else:
        denoising(files)


if __name__ == "__main__":
    main()
