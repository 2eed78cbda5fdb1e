"""Measure outlined objects on real images with labels of your own: as shipped, learned on from labels, over time.

python -m benchmarks.real_particles FOLDER [--recipe particle-shapes] [--images K] [--steps N] [-o WEIGHTS]

FOLDER holds images with masks or outlines (see docs/how-to/your-own-labels.md). First the shipped weights are judged on
all of them, beside Gauss + Otsu; then, unless --steps is 0, they learn on from K of them and are judged on the others.
Where FOLDER holds frame_time_temperature.txt ('Frame<number>-<seconds>sec-<temperature>C' a line), the numbers of
objects are given against temperature: found, times what a held-out frame truly holds of what is found in it, with the
band of that ratio.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.filters import threshold_otsu

from micrograph.apps.labelling import STEPS, OwnLabels, learn_labels
from micrograph.apps.outlining import compare_all, read_all
from micrograph.infer import load_predictor
from micrograph.io.masks import LabelledImage, read_labels
from micrograph.recipes import find_recipe
from micrograph.run import Recipe
from micrograph.train.labelled_masks import Labelled
from micrograph.validate.mask_scores import Compared, MaskScores, Tally, compare, mask_scores


def tell(name: str, scores: MaskScores) -> None:
    """Print the scores of one way to the masks, with their 95 % intervals."""
    parts = (
        f"{key} {getattr(scores, key).value:.4f} ({getattr(scores, key).low:.4f}..{getattr(scores, key).high:.4f})"
        for key in ("iou", "dice", "precision", "recall", "f1")
    )
    print(f"{name}: {', '.join(parts)}, {scores.found} found of {scores.true} labelled", flush=True)


def otsu(one: Labelled, sigma_px: float, flat: bool) -> Compared:
    """Return the comparison of what lies below Otsu's threshold; `flat` subtracts a broad background first."""
    seen = ndimage.gaussian_filter(one.image, sigma_px)
    if flat:
        seen = seen - ndimage.gaussian_filter(one.image, 0.15 * min(one.image.shape))
    dark = seen < threshold_otsu(seen)
    return compare(one.labels, ndimage.label(dark)[0])


def as_shipped(recipe: Recipe, read: Mapping[str, Labelled]) -> None:
    """Print how well thresholds and the shipped weights do on all labelled images."""
    rng = np.random.default_rng(0)
    for sigma, flat in ((1.5, True), (3.0, False), (5.0, False)):
        name = f"{'background subtraction, ' * flat}Gauss {sigma:g} px, Otsu"
        tell(name, mask_scores([otsu(one, sigma, flat) for one in read.values()], rng))
    tell("as shipped", mask_scores(compare_all(recipe, load_predictor(recipe.model.weights or ""), read), rng))


def over_temperature(folder: Path, compared: Mapping[str, Compared], held_out: tuple[str, ...]) -> pd.DataFrame:
    """Return one row a frame: its temperature, labelled and found objects, and the corrected number with its band."""
    known = re.findall(r"Frame(\d+)-(\d+)sec-(\d+)C", (folder / "frame_time_temperature.txt").read_text())
    celsius = {int(frame): float(degrees) for frame, _, degrees in known}
    rows = []
    for name, one in compared.items():
        right, false, missed = one.whole[Tally._fields.index("right") :]
        frame = int(re.findall(r"\d+", Path(name).stem)[-1])
        near = min(celsius, key=lambda other: abs(other - frame))
        rows.append((frame, celsius[near], int(right + missed), int(right + false), name in held_out))
    table = pd.DataFrame(rows, columns=["frame", "temperature_C", "labelled", "found", "held_out"]).sort_values("frame")
    ratio = (table["labelled"] / table["found"])[table["held_out"]]
    table["corrected"] = table["found"] * ratio.mean()
    table["sigma"] = table["found"] * ratio.std(ddof=1) if len(ratio) > 1 else np.nan
    return table


def learned(
    recipe: Recipe, images: list[LabelledImage], read: Mapping[str, Labelled], given: argparse.Namespace
) -> None:
    """Learn from some of the images and print how well that does on the others."""
    own = OwnLabels(given.folder, given.images, given.curve)
    report = learn_labels(recipe, images, own, given.weights, steps=given.steps)
    print("learned from", ", ".join(report.learned_from), "| held out", ", ".join(report.held_out))
    if report.before is not None:
        tell("held out, before", report.before)
    tell("held out, after", report.after)
    if report.curve is not None:
        print(report.curve)
    if (given.folder / "frame_time_temperature.txt").exists():
        compared = compare_all(recipe, load_predictor(given.weights), read)
        table = over_temperature(given.folder, dict(zip(read, compared, strict=True)), report.held_out)
        print(table.to_string(index=False, float_format="{:.1f}".format))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recipe", default="particle-shapes")
    parser.add_argument("--images", type=int)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("-o", "--weights", type=Path, default=Path("real-particles.safetensors"))
    asked = parser.parse_args()
    chosen, labelled = find_recipe(asked.recipe), read_labels(asked.folder)
    images_, bin_ = read_all(chosen, labelled)
    print(f"{len(labelled)} labelled images, {bin_} x {bin_} pixels binned into one")
    as_shipped(chosen, images_)
    if asked.steps:
        learned(chosen, labelled, images_, asked)
