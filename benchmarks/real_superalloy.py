"""Phases of a real superalloy, learned from its labels: `python -m benchmarks real_superalloy FOLDER --keep WEIGHTS`.

FOLDER holds Super1 of the data of doi:10.1038/s41524-022-00878-5: folders train, test and so on with images,
train_annot, test_annot with the masks painted over them. Published there: IoU 0.942 on its test images, the pixels in
both masks over those in either, each summed over the classes. Finished weights in the folder WEIGHTS are used again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.label_splits import own_split
from micrograph.apps.labelling import OwnLabels, learn_labels
from micrograph.apps.painting import read_painted
from micrograph.core import Calibration, Frame
from micrograph.infer import load_predictor
from micrograph.io.class_masks import read_names
from micrograph.io.masks import LabelledImage, read_labels
from micrograph.recipes import find_recipe
from micrograph.train.labelled_masks import Labelled
from micrograph.validate.class_scores import ClassesCompared, ClassScores, class_scores, compare_classes

NAMES = "secondary=0,0,255; tertiary=255,0,0"
CLASSES = ("matrix", "secondary", "tertiary")
Classes = NDArray[np.integer[Any]]
#: Pixels of each image that the forest learns from: of ten, of one.
_PIXELS, _PIXELS_OF_ONE = 6000, 20000


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=Path, required=True, help="folder for weights")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--steps-of-one", type=int, default=400)
    parser.add_argument("--each", action="store_true", help="learn from each image alone, not only from the first")
    parser.add_argument("--train-only", action="store_true", help="no baselines, no sizes")
    given = parser.parse_args(arguments)
    files = read_labels(given.folder, several=True)
    recipe = find_recipe("microstructure")
    _, images = read_painted(recipe, files, read_names(NAMES))
    split = own_split(files, images)
    assert split is not None
    learn, test = split.learn, split.held_out
    if not given.train_only:
        say("Otsu, smoothed", score(test, otsu))
        say("random forest, ten images", score(test, forest(list(learn.values()), _PIXELS)))
        say(f"random forest, {next(iter(learn))}", score(test, forest(list(learn.values())[:1], _PIXELS_OF_ONE)))
    for number, steps in ((10, given.steps), (1, given.steps_of_one)):
        out = given.keep / f"superalloy-{number}.safetensors"
        begun = time.perf_counter()
        own = OwnLabels(given.folder, images=number, curve=False, classes=NAMES)
        report = learn_labels(recipe, files, own, out, steps=steps, progress=bar)
        sys.stdout.write(f"learned from {', '.join(report.learned_from)}: {time.perf_counter() - begun:.0f} s\n")
        assert isinstance(report.after, ClassScores)
        say(f"network, {number} image{'s' * (number > 1)}", report.after)
        if not given.train_only:
            turned = score(test, network(out, turns=8))
            say("  the same, eight ways turned", turned)
            sizes(test, network(out))
    if given.each:
        found = [alone(files, one, given) for one in [one for one in files if one.split == "train"]]
        sys.stdout.write(f"learned from one: mean IoU {np.mean(found):.4f}, least {min(found):.4f} of {len(found)}\n")


def alone(files: Sequence[LabelledImage], one: LabelledImage, given: argparse.Namespace) -> float:
    """Return the IoU on the test images of a network that learned from one image."""
    some = [other for other in files if other is one or other.split == "test"]
    own = OwnLabels(given.folder, curve=False, classes=NAMES)
    out = given.keep / f"superalloy-{one.path.stem}.safetensors"
    report = learn_labels(find_recipe("microstructure"), some, own, out, steps=given.steps_of_one, progress=bar)
    assert isinstance(report.after, ClassScores)
    say(f"network, {one.name} alone", report.after)
    return report.after.iou.value


def bar(done: int, total: int, note: str) -> None:
    if done % 50 == 0:
        sys.stdout.write(f"step {done} of {total}, {note}\n")
        sys.stdout.flush()


def say(what: str, scores: ClassScores) -> None:
    """Print the scores of one way to name pixels."""
    each = ", ".join(f"{name} {iou.value:.3f}" for name, iou in zip(scores.classes, scores.each, strict=True))
    shares = ", ".join(
        f"{name} {100 * true:.2f} -> {100 * found:.2f} %"
        for name, true, found in zip(scores.classes, scores.true, scores.found, strict=True)
    )
    sys.stdout.write(
        f"{what}: IoU {scores.iou.value:.4f} ({scores.iou.low:.4f} .. {scores.iou.high:.4f}), mean over classes "
        f"{scores.mean.value:.4f} ({each}), pixels right {scores.accuracy.value:.4f}; areas {shares}\n"
    )
    sys.stdout.flush()


def score(images: Mapping[str, Labelled], name: Callable[[NDArray[np.float32]], Classes]) -> ClassScores:
    """Return the scores of a function that names pixels."""
    compared: list[ClassesCompared] = [compare_classes(one.labels, name(one.image), 3) for one in images.values()]
    return class_scores(CLASSES, compared, np.random.default_rng(0))


def network(weights: Path, turns: int = 1) -> Callable[[NDArray[np.float32]], Classes]:
    """Return what a network says, of the image as it is or the mean of `turns` of its turned and mirrored images."""
    predict = load_predictor(weights)

    def name(image: NDArray[np.float32]) -> Classes:
        total: Any = 0
        for turn in range(turns):
            seen = np.rot90(image[:, ::-1] if turn > 3 else image, turn % 4)
            maps = predict(Frame(np.ascontiguousarray(seen), 0, Calibration(pixel_nm=1.0))).maps
            back = np.rot90(np.stack([maps[one] for one in CLASSES]), -(turn % 4), (1, 2))
            total = total + (back[:, :, ::-1] if turn > 3 else back)
        winner: Classes = np.asarray(total).argmax(axis=0)
        return winner

    return name


def sizes(images: Mapping[str, Labelled], name: Callable[[NDArray[np.float32]], Classes]) -> None:
    """Print how far the sizes of connected parts are from those of the labels."""
    from scipy import ndimage as ndi
    from scipy.stats import ks_2samp

    def diameters(labels: Classes, kind: int) -> NDArray[np.float64]:
        area = np.bincount(ndi.label(labels == kind)[0].ravel())[1:]
        return np.asarray(2 * np.sqrt(area[area >= 4] / np.pi))

    found = {key: name(one.image) for key, one in images.items()}
    for kind in (1, 2):
        pairs = [(diameters(one.labels, kind), diameters(found[key], kind)) for key, one in images.items()]
        true, seen = (np.concatenate(part) for part in zip(*pairs, strict=True))
        agree = sum(bool(ks_2samp(*pair).pvalue > 0.05) for pair in pairs)
        sys.stdout.write(
            f"  {CLASSES[kind]}: {len(true)} labelled, {len(seen)} found; median diameter {np.median(true):.1f} -> "
            f"{np.median(seen):.1f} px, mean {true.mean():.1f} -> {seen.mean():.1f} px; sizes agree (KS, p > 0.05) in "
            f"{agree} of {len(pairs)} images\n"
        )


def otsu(image: NDArray[np.float32]) -> Classes:
    """Name what is dark in a smoothed image secondary."""
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    smooth = gaussian_filter(image, 1.5)
    return np.asarray(smooth < threshold_otsu(smooth), np.int32)  # type: ignore[no-untyped-call]


def features(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (H W, F): grey value, gradient, curvatures, extremes about every pixel at scales of 1 to 32 pixels."""
    from scipy import ndimage as ndi

    low, middle, high = np.percentile(image, (5, 50, 95))
    grey = ((image - middle) / (high - low)).astype(np.float32)
    smooth = {scale: ndi.gaussian_filter(grey, scale) for scale in (1, 2, 4, 8, 16, 32)}
    found = [grey, *smooth.values()]
    for scale in smooth:
        along, across, mixed = (
            scale**2 * ndi.gaussian_filter(grey, scale, order=order) for order in ((0, 2), (2, 0), (1, 1))
        )
        spread = np.sqrt((along - across) ** 2 + 4 * mixed**2)
        found += [
            ndi.gaussian_gradient_magnitude(grey, scale),
            along + across + spread,
            along + across - spread,
        ]
    for scale in (4, 8, 16):
        found += [ndi.minimum_filter(smooth[1], 2 * scale + 1), ndi.maximum_filter(smooth[1], 2 * scale + 1)]
    found += [smooth[a] - smooth[b] for a, b in ((1, 4), (2, 8), (4, 16), (8, 32))]
    return np.stack(found, axis=-1).reshape(-1, len(found))


def forest(images: Sequence[Labelled], pixels: int) -> Callable[[NDArray[np.float32]], Classes]:
    """Return a random forest on filter banks that learned from `pixels` of each image."""
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    seen, named = [], []
    for one in images:
        kinds = one.labels.ravel()
        rare = np.flatnonzero(kinds == 2)
        at = np.concatenate([rng.choice(kinds.size, pixels), rng.choice(rare, min(len(rare), pixels // 20))])
        seen.append(features(one.image)[at])
        named.append(kinds[at])
    trees = RandomForestClassifier(60, min_samples_leaf=3, max_depth=22, random_state=0)
    trees.fit(np.concatenate(seen), np.concatenate(named))
    return lambda image: np.asarray(trees.predict(features(image)).reshape(image.shape))


if __name__ == "__main__":
    main()
