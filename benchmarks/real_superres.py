"""Real images of an electron microscope, binned and made finer again: `python -m benchmarks.real_superres FOLDER`.

Every image of FOLDER is averaged over 2 x 2 pixels and given to recipe sem-superres; the answer is compared with the
image itself, which holds noise of its own. Told are the root mean square error over the image's spread and the
frequency up to which answer and image correlate (0.143), of the answer and of cubic convolution; power beyond the
image's by band; the chi-square of the audit, and whether the image is flagged as of another kind than the model's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.models import predictor
from micrograph.core import Flag, Frame
from micrograph.core.frame import binned
from micrograph.features.restoring.super_resolution import agreement, finer
from micrograph.io import open_recording
from micrograph.recipes import find_recipe
from micrograph.validate.restoring.superres_films import Rings, excess_of, resolution_of, rings_of

Image = NDArray[np.float32]
ENDINGS = (".png", ".tif", ".tiff", ".jpg")


def main(arguments: list[str] | None = None) -> None:
    """Compare the finer image of every image of a folder with the image itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=20, help="images to look at (default 20)")
    asked = parser.parse_args(arguments)
    predict = predictor(find_recipe("sem-superres"), ())
    paths = sorted(path for path in asked.folder.rglob("*") if path.suffix.lower() in ENDINGS)
    sums: dict[str, list[Rings]] = {"answer": [], "cubic": []}
    flagged = 0
    for path in paths[: asked.most]:
        recording = open_recording(path)
        whole = recording.frame(0).data
        image = whole[: whole.shape[0] // 2 * 2, : whole.shape[1] // 2 * 2]
        frame = Frame(binned(image, 2), 0, recording.calibration.binned(2))
        found = predict(frame)
        answer, plain = found.maps["image"], finer(frame.data)
        rings = {"answer": rings_of(answer, image), "cubic": rings_of(plain, image)}
        for name, one in rings.items():
            sums[name].append(one)
        other = Flag.OUT_OF_DOMAIN in found.flags
        flagged += other
        say(
            f"{path.name}: error {error(answer, image):.3f} (cubic {error(plain, image):.3f}), up to "
            f"{resolution_of([rings['answer']]):.3f} (cubic {resolution_of([rings['cubic']]):.3f}) cycles a pixel, "
            f"chi-square {agreement(frame.data, answer).chi_square:.2f}, distance {found.domain_distance:.1f}"
            f"{', flagged' if other else ''}"
        )
    if paths:
        gained = resolution_of(sums["answer"]) / resolution_of(sums["cubic"])
        power = ", ".join(f"{value:+.1f}" for value in excess_of(sums["answer"]))
        say(f"{min(len(paths), asked.most)} images: gain in frequency {gained:.2f}, {flagged} flagged; dB: {power}")


def error(image: Image, truth: Image) -> float:
    """Return the root mean square error over the spread of the truth."""
    return float(np.std(image.astype(float) - truth) / truth.std(dtype=np.float64))


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
