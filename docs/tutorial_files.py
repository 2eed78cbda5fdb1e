"""The movie that the tutorials use, and their pictures: what the commands of the tutorials show for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from micrograph.simulate import View, etching_movie

DOCS = Path(__file__).resolve().parent
MOVIE = DOCS / "tutorials" / "etching.tif"
#: Picture of the documentation -> figure of the results.
PICTURES = {"outlines": "outlines", "areas": "areas"}


def write_movie(path: Path = MOVIE) -> None:
    """Write two rods that are etched away, in 12 frames of 2 s; grey values in 64 steps keep the file small."""
    view = View(frames=12, size_px=(192, 192), frame_time_s=2.0, signal_to_noise=4.0, liquid=False, passing=0)
    recording = etching_movie(np.random.default_rng(4), view=view).recording
    frames = np.stack([recording.read(index) for index in recording.indices])
    grey = np.clip(np.rint(frames * (63 / frames.max())), 0, 63).astype(np.uint8)
    said = {"unit": "nm", "finterval": view.frame_time_s, "axes": "TYX"}
    per_nm = 1 / view.pixel_nm
    tifffile.imwrite(path, grey, imagej=True, resolution=(per_nm, per_nm), metadata=said, compression="zlib")


def write_pictures() -> None:
    """Renew the pictures of the tutorials, but that of the page in the browser, by running their commands."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-c", "from micrograph.apps.cli import main; main()", "analyze", "particle-shapes"]
        subprocess.run([*command, str(MOVIE), "-o", place, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        for picture, figure in PICTURES.items():
            shutil.copy(Path(place) / "figures" / f"{figure}.png", DOCS / "images" / f"tutorial-{picture}.png")


if __name__ == "__main__":
    write_movie()
    write_pictures()
