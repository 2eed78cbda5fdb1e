"""The movie that the tutorials use, and their pictures and numbers: what their commands make of it.

``python docs/tutorial_files.py`` renews them all; it trains the network of 30 steps of the second tutorial.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from marked import replace_between

from micrograph.simulate import View, etching_movie
from micrograph.simulate.objects.particle_movies import ParticleMovie

DOCS = Path(__file__).resolve().parent
MOVIE = DOCS / "tutorials" / "etching.tif"
#: Tutorial -> picture of the documentation -> figure of its results.
PICTURES = {
    "1-a-movie": {"tutorial-outlines": "outlines", "tutorial-areas": "areas"},
    "2-own-material": {"tutorial-own": "sites"},
}
_VIEW = View(frames=12, size_px=(192, 192), frame_time_s=2.0, signal_to_noise=4.0, liquid=False, passing=0)


def movie() -> ParticleMovie:
    """Return two rods that are etched away, in 12 frames of 2 s."""
    return etching_movie(np.random.default_rng(4), view=_VIEW)


def write_movie(path: Path = MOVIE) -> None:
    """Write the movie; grey values in 64 steps keep the file small."""
    recording = movie().recording
    frames = np.stack([recording.read(index) for index in recording.indices])
    grey = np.clip(np.rint(frames * (63 / frames.max())), 0, 63).astype(np.uint8)
    said = {"unit": "nm", "finterval": _VIEW.frame_time_s, "axes": "TYX"}
    per_nm = 1 / _VIEW.pixel_nm
    tifffile.imwrite(path, grey, imagej=True, resolution=(per_nm, per_nm), metadata=said, compression="zlib")


def write_results() -> None:
    """Renew the pictures and numbers of the tutorials by running their commands."""
    sys.path.append(str(DOCS.parent))
    from benchmarks.tutorials import followed

    numbers = {"1-a-movie": _law, "2-own-material": _lattice}
    for name, pictures in PICTURES.items():
        page = DOCS / "tutorials" / f"{name}.md"
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "empty"
            if said := followed(page, folder):
                raise RuntimeError(f"{page.name}: {said}")
            for picture, figure in pictures.items():
                shutil.copy(folder / "results" / "figures" / f"{figure}.png", DOCS / "images" / f"{picture}.png")
            text = replace_between(page.read_text(encoding="utf-8"), "numbers", numbers[name](folder / "results"))
        page.write_text(text, encoding="utf-8")


def _law(results: Path) -> str:
    """Return how the simulation moved the borders, and what was found."""
    rates, found = movie().rates, pd.read_csv(results / "rate_law.csv").iloc[0]
    return (
        f"The simulation moved them with v0 = {rates['v0_nm_per_s']:.3f} nm/s and k = {rates['k_nm2_per_s']:.2f} nm²/s"
        f". The analysis, which was not told,\nfinds {found['v0_nm_per_s']:.3f} ± {found['v0_sigma_nm_per_s']:.3f} and "
        f"{found['k_nm2_per_s']:.2f} ± {found['k_sigma_nm2_per_s']:.2f}."
    )


def _lattice(results: Path) -> str:
    """Return the lattice parameter that was found, and why it is not that of the file."""
    found = pd.read_csv(results / "frames.csv").iloc[0]
    return (
        f"The lattice parameter is {found['a_nm']:.4f} ± {found['a_sigma_nm']:.4f} nm (`frames.csv`): along [001] the "
        "columns of Sr, of Ti with O, and\nof O form a square lattice of half a cell, 0.3905 / 2 nm, and this recipe "
        "does not ask for species."
    )


if __name__ == "__main__":
    write_movie()
    write_results()
