"""Which of a user's labelled images are learned from, and which are held out to judge by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import BadInput

if TYPE_CHECKING:
    from micrograph.io.masks import LabelledImage
    from micrograph.train.labelled_masks import Labelled

#: Share of the images that are held out of the training, and of the image where there is only one.
_HELD_OUT, _HELD_OUT_OF_ONE = 0.25, 0.4


@dataclass(frozen=True)
class Split:
    """Labelled images by name: those to learn from, and those that are held out."""

    learn: Mapping[str, Labelled]
    held_out: Mapping[str, Labelled]


def split_images(images: Mapping[str, Labelled], learn: int | None) -> Split:
    """Return which images to learn from, `learn` of them or three quarters, spread evenly over all, and the others.

    Of a single image the larger part is learned from, the other held out.
    """
    if learn is not None and not 1 <= learn <= len(images):
        raise BadInput(f"--images is {learn}: there are {len(images)} labelled images to learn from.")
    if len(images) == 1 or learn == len(images):
        return _split_within(images)
    number = learn or len(images) - max(1, round(_HELD_OUT * len(images)))
    names = list(images)
    chosen = set(_spread(names, number))
    return Split(
        {name: one for name, one in images.items() if name in chosen},
        {name: one for name, one in images.items() if name not in chosen},
    )


def own_split(files: Sequence[LabelledImage], images: Mapping[str, Labelled], learn: int | None = None) -> Split | None:
    """Return the split that folders 'train' and 'test' (or 'val') make of all images, in their order, if they do.

    Of those in 'train', `learn` are learned from: the first, or so many that spread over all.
    """
    places = dict.fromkeys((str(one.path), one.position, one.split) for one in files)
    parts = {name: place[2] for name, place in zip(images, places, strict=True)}
    judged = "test" if "test" in parts.values() else "val"
    if not {"train", judged} <= set(parts.values()):
        return None
    known = [name for name, part in parts.items() if part == "train"]
    if learn is not None and not 1 <= learn <= len(known):
        raise BadInput(f"--images is {learn}: there are {len(known)} images in 'train' to learn from.")
    return Split(
        {name: images[name] for name in _spread(known, learn or len(known))},
        {name: images[name] for name, part in parts.items() if part == judged},
    )


def _spread(names: Sequence[str], number: int) -> list[str]:
    """Return so many of the names, spread evenly; of one the first."""
    return [names[i] for i in np.rint(np.linspace(0, len(names) - 1, number)).astype(int)] if number > 1 else [names[0]]


def _split_within(images: Mapping[str, Labelled]) -> Split:
    """Return the first part of every image to learn from, and its last part."""
    learn = {name: part(one, 0, 1 - _HELD_OUT_OF_ONE) for name, one in images.items()}
    held = {f"{name} (held-out part)": part(one, 1 - _HELD_OUT_OF_ONE, 1) for name, one in images.items()}
    for name, one in (*learn.items(), *held.items()):
        if len(np.unique(one.labels)) < 2 and not (one.labels > 0).all():
            raise BadInput(
                f"{name} has all its labels in one place, so that none is left to judge the model by: label objects "
                "all over the image, or a second image."
            )
    return Split(learn, held)


def part(one: Labelled, first: float, last: float) -> Labelled:
    """Return the part of a labelled image between two shares of its longer side."""
    axis = int(one.image.shape[1] >= one.image.shape[0])
    begin, end = (round(share * one.image.shape[axis]) for share in (first, last))
    cut = (slice(None), slice(begin, end)) if axis else (slice(begin, end), slice(None))
    return replace(one, image=np.ascontiguousarray(one.image[cut]), labels=np.ascontiguousarray(one.labels[cut]))


def curve_numbers(images: int) -> tuple[float, ...]:
    """Return of how many images each short training learns: parts of an image where there are fewer than three."""
    return {1: (0.25, 0.5, 1.0), 2: (0.5, 1.0, 2.0)}.get(images, (1.0, float((images + 1) // 2), float(images)))


def taken(images: Sequence[Labelled], number: float) -> list[Labelled]:
    """Return so many of the images, spread evenly; below one, that part of the first."""
    if number < 1:
        return [part(images[0], 0, number)]
    places = np.rint(np.linspace(0, len(images) - 1, int(number))).astype(int) if number > 1 else [0]
    return [images[place] for place in places]
