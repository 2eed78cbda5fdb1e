"""Follow dark blobs through a real movie that you have: drift, tracks, numbers against hand labels.

python -m benchmarks.real_movies FOLDER [RADIUS_PX] [-o PICTURE.png]

FOLDER holds the frames (in 'raw' or 'frames') and, for some of them, labels of the same name: masks (labels/*.png) or
outlines (labels/*.txt, a class and x, y as shares of the image). A list of files in frame_time_temperature.txt gives
the times. The blobs are dark, round and about RADIUS_PX in radius; lengths are printed in pixels.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from micrograph.core import Recording
from micrograph.features.columns.peaks import find_peaks
from micrograph.io import open_recording
from micrograph.io.files import natural
from micrograph.track import (
    LinkSettings,
    anomalous_exponent,
    diffusion,
    find_drift,
    image_drift,
    in_sample,
    link,
    stages,
)
from micrograph.validate.metrics import match

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RealMovie:
    """A recording with one pixel a nm; names of its frames (T,), their times (s), and centres of labelled blobs."""

    recording: Recording
    names: list[str]
    times: Array
    labels: dict[int, Array]


def real_movie(folder: Path) -> RealMovie:
    """Return the movie in `folder` with its frames in the order of their numbers and its labels."""
    frames = next(folder / name for name in ("raw", "frames", ".") if (folder / name).is_dir())
    recording = open_recording(frames, pixel_nm=1.0)
    kinds = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
    names = [p.stem for p in sorted(frames.iterdir(), key=lambda p: natural(p.name)) if p.suffix.lower() in kinds]
    labels = {}
    for path in sorted((folder / "labels").glob("*")):
        if path.stem in names:
            labels[names.index(path.stem)] = _centres(path, recording.shape)
    return RealMovie(recording, names, _times(folder / "frame_time_temperature.txt", names), labels)


def _times(path: Path, names: list[str]) -> Array:
    """Return the times of the frames from a list of 'Frame<number>-<seconds>sec-<temperature>C', else their places."""
    known = dict(re.findall(r"Frame(\d+)-(\d+)sec", path.read_text())) if path.exists() else {}
    times = [known.get(re.findall(r"\d+", name)[-1]) for name in names]
    return np.array([float(i if time is None else time) for i, time in enumerate(times)])


def _centres(path: Path, shape: tuple[int, ...]) -> Array:
    """Return the centres (N, 2) [y, x] of the labelled blobs of one frame."""
    if path.suffix == ".txt":
        outlines = [np.array(line.split()[1:], float).reshape(-1, 2) for line in path.read_text().splitlines()]
        return np.array([outline.mean(axis=0)[::-1] * shape for outline in outlines]).reshape(-1, 2)
    mask = np.asarray(open_recording(path, pixel_nm=1.0).frame(0).data) > 0
    core = ndimage.distance_transform_edt(mask)
    regions = regionprops(label(core > 0.35 * np.percentile(core[mask], 90)))
    return np.array([region.centroid for region in regions]).reshape(-1, 2)


def blobs(image: NDArray[np.float32], radius_px: float) -> Array:
    """Return the centres (N, 2) of dark blobs: Otsu's threshold on the heights of peaks of the Laplacian's response."""
    sigma = radius_px / np.sqrt(2)
    flat = image - ndimage.gaussian_filter(image, 6 * radius_px)
    response = sigma**2 * ndimage.gaussian_laplace(flat, sigma)
    peaks = find_peaks(response.astype(np.float32), 0.0, 1.2 * radius_px)
    high = peaks.score > threshold_otsu(peaks.score)
    return np.column_stack([peaks.y, peaks.x])[high]


def measure(movie: RealMovie, radius_px: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return points, drift and tracks of the movie, and print what they say."""
    found = [blobs(movie.recording.frame(i).data, radius_px) for i in range(len(movie.recording))]
    frame = np.repeat(np.arange(len(found)), [len(one) for one in found])
    place = np.vstack(found)
    points = pd.DataFrame({"frame": frame, "t_s": movie.times[frame], "y_nm": place[:, 0], "x_nm": place[:, 1]})
    for i, true in movie.labels.items():
        pairs = len(match(*true.T, *found[i].T, 1.5 * radius_px).true)
        print(
            f"{movie.names[i]}: {len(found[i])} found, {len(true)} labelled (ratio {len(found[i]) / len(true):.2f}), "
            f"precision {pairs / max(len(found[i]), 1):.3f}, recall {pairs / len(true):.3f}"
        )
    drift = _drift(points, movie.recording)
    tracks, parents = link(in_sample(points, drift), LinkSettings(reach_nm=2 * radius_px))
    _tell(tracks, parents, len(found))
    number = np.array([len(one) for one in found])
    for stage in stages(number):
        print(f"frames {stage.first}..{stage.last}: {stage.mean:.1f} a frame ({stage.low:.1f}..{stage.high:.1f})")
    return points, drift, tracks


def _drift(points: pd.DataFrame, recording: Recording) -> pd.DataFrame:
    """Return the surer one of the drifts by points and by images; print both, and how they agree where sure."""
    tables = {"points": find_drift(points), "images": image_drift(recording)}
    moved = {name: table[["drift_y_nm", "drift_x_nm"]].to_numpy() for name, table in tables.items()}
    sigma = {name: table[["drift_y_sigma_nm", "drift_x_sigma_nm"]].to_numpy() for name, table in tables.items()}
    sure = {name: (value < 0.02 * max(recording.shape)).all(axis=1) for name, value in sigma.items()}
    for name in tables:
        print(
            f"drift by {name}: {np.hypot(*moved[name][sure[name]].T).max():.1f} px at most, 1-sigma "
            f"{np.median(sigma[name][1:]):.2f} px, unknown in frames {np.flatnonzero(~sure[name]).tolist()}"
        )
    both = sure["points"] & sure["images"]
    apart = np.sqrt(((moved["points"] - moved["images"])[both] ** 2).sum(axis=1).mean())
    print(f"points against images: {apart:.2f} px RMS in {both.sum()} of {len(both)} frames")
    return tables["images" if sure["images"].sum() > sure["points"].sum() else "points"]


def _tell(tracks: pd.DataFrame, parents: pd.DataFrame, frames: int) -> None:
    length = tracks.groupby("track").size()
    whole = (length >= 0.9 * frames).sum()
    share = length[length >= 0.9 * frames].sum() / len(tracks)
    print(f"{len(length)} tracks, median length {length.median():.0f} of {frames} frames, {len(parents)} family ties")
    print(f"{whole} tracks last nine tenths of the movie and hold {share:.0%} of the points")
    long = tracks[tracks["track"].isin(length[length >= 10].index)]
    if len(long):
        moved, exponent = diffusion(long), anomalous_exponent(long)
        print(
            f"D = {moved.d:.4f} px^2/frame ({moved.low:.4f}..{moved.high:.4f}), error {moved.sigma_nm:.2f} px, "
            f"exponent {exponent.alpha:.2f} +- {exponent.sigma:.2f}"
        )


def draw(movie: RealMovie, drift: pd.DataFrame, tracks: pd.DataFrame, path: Path) -> None:
    """Write a picture of the tracks on the first frame, the drift, the numbers, and the labels on a labelled frame."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(18, 18))
    shown = next(iter(movie.labels), 0)
    for axis, i in ((axes[0, 0], 0), (axes[0, 1], shown)):
        image = movie.recording.frame(i).data
        axis.imshow(image, cmap="gray", vmin=np.percentile(image, 1), vmax=np.percentile(image, 99))
    for _, track in tracks.groupby("track"):
        axes[0, 0].plot(track["x_sample_nm"], track["y_sample_nm"], lw=0.8)
    there = tracks[tracks["frame"] == shown]
    axes[0, 1].plot(there["x_nm"], there["y_nm"], "+", color="tab:cyan", ms=7)
    if movie.labels:
        axes[0, 1].plot(*movie.labels[shown].T[::-1], "o", color="tab:red", ms=7, mfc="none")
    for name in ("drift_y_nm", "drift_x_nm"):
        axes[1, 0].errorbar(drift["frame"], drift[name], drift[name.replace("_nm", "_sigma_nm")], label=name)
    axes[1, 0].legend()
    axes[1, 1].plot(tracks.groupby("frame").size())
    axes[1, 1].plot(list(movie.labels), [len(true) for true in movie.labels.values()], "o")
    figure.tight_layout()
    figure.savefig(path, dpi=60)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("radius_px", type=float, nargs="?", default=4.0)
    parser.add_argument("-o", "--picture", type=Path)
    given = parser.parse_args()
    seen = real_movie(given.folder)
    _, drifted, followed = measure(seen, given.radius_px)
    if given.picture:
        draw(seen, drifted, followed, given.picture)
