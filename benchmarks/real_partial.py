"""Published spiral scans completed, beside the published 3.8 % of error: `python -m benchmarks.real_partial FOLDER`.

FOLDER holds ``partial_scan-N.tif``, ``mask-N.tif`` and ``truth-N.tif`` as the authors of doi:10.1038/s41598-020-65261-0
give them. Their masks are dwell times, their partial scans these times the image in -1..1, each file moved and scaled
to 0..1 for itself: the error of a published scan is what is left after the best gain and offset.
Errors are root mean squares in parts of the image's range 0..1, against the truth smoothed over 5 x 5 pixels as theirs
were (a Gaussian of 2.5 pixels); the truth's own noise is told beside. The truth is also scanned anew along other paths.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from micrograph.apps.models import predictor
from micrograph.core import Calibration, Frame
from micrograph.features.restoring import inpainting
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.simulate.scan_paths import KINDS, scan_path

Image = NDArray[np.float32]
#: Coverage at which 3.8 % was published.
PUBLISHED = 1 / 17.9


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    for path in sorted(folder.glob("truth-*.tif")):
        truth = read(path)
        smoothed = gaussian_filter(truth, 2.5, truncate=0.8)
        say(f"{path.name}: truth against itself smoothed {rms(truth, smoothed):.4f}, contrast {smoothed.std():.4f}")
        number = path.stem.rpartition("-")[2]
        mask = folder / f"mask-{number}.tif"
        scan = values_of(read(folder / f"partial_scan-{number}.tif"), read(mask))
        report("  published spiral", scan, smoothed, mask)
        for kind in KINDS:
            made = scan_path(kind, (truth.shape[0], truth.shape[1]), PUBLISHED, seed=1)
            report(
                f"  truth along a {kind} path, 1/{1 / made.coverage:.1f}", made.image(made.recorded(truth)), smoothed
            )


def report(name: str, scan: Image, truth: Image, mask: Path | None = None) -> None:
    """Complete a scan and write how far it, and what two classical ways make of it, are from the truth."""
    recipe = find_recipe("partial-scan")
    if mask is not None:
        recipe = recipe.with_settings({"mask": str(mask)})
    predict = predictor(recipe, ())
    frame = Frame(scan, 0, Calibration())
    predict(frame)
    begun = time.perf_counter()
    found = predict(frame)
    seconds = time.perf_counter() - begun
    image, sigma = found.maps["image"], found.sigma["image"]
    plain = inpainting.linear(np.nan_to_num(scan), np.isfinite(scan))
    if mask is not None:
        gain, offset = np.polyfit(image.ravel(), truth.ravel(), 1)
        image, sigma = gain * image + offset, gain * sigma
        plain = np.polyval(np.polyfit(plain.ravel(), truth.ravel(), 1), plain)
    within = float((np.abs(image - truth) < sigma).mean())
    say(
        f"{name}: {rms(image, truth):.4f} (published mean 0.038), linear {rms(plain, truth):.4f}, "
        f"{100 * within:.0f} % within 1 sigma, {seconds:.2f} s"
    )


def values_of(partial: Image, mask: Image) -> Image:
    """Return the recorded values in 0..1, NaN where not visited, of a published partial scan (see above)."""
    visited = mask > 0
    scale = float(np.polyfit(mask[visited], partial[visited], 1)[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        values = ((partial / scale - 1) / mask + 1) / 2
    return np.where(visited, values, np.nan).astype(np.float32)


def read(path: Path) -> Image:
    return open_recording(path).frame(0).data


def rms(image: Image, truth: Image) -> float:
    return float(np.sqrt(np.mean((image.astype(float) - truth) ** 2)))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
