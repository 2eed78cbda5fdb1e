"""Which recipes fit a recording: its scale rules out most, its look ranks the others, and the likeliest are tried."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from micrograph.apps import models
from micrograph.apps.kinds import KINDS, likenesses
from micrograph.apps.scales import SCALES
from micrograph.core import Flag, MicrographError, Recording
from micrograph.features.naming.image_kinds import middle
from micrograph.live.web.lab import Progress, Proposal
from micrograph.run import Predict, Recipe

#: An image that lies farther than this from the training images of a network is not proposed to it: a part of one frame
#: may lie a little beyond their border, which is 1.
_FOREIGN = 1.25
#: Recipes are tried on so many pixels a side of the first frame, for so long (s), if their images are so likely.
TRIED_PX, TRIED_S, _LEAST = 320, 20.0, 0.01
#: What else is asked of images of one kind, and how much less often.
_BESIDE = {
    "defect-library": ("graphene-dopants", 0.4),
    "dopant-motion": ("graphene-dopants", 0.3),
    "edge-states": ("graphene-dopants", 0.2),
    "disorder": ("graphene-dopants", 0.1),
    "defect-strain": ("tmd-defects", 0.4),
    "particle-search": ("particle-shapes", 0.05),
    "movie-defects": ("atoms", 0.05),
}
#: Kinds of images with a lattice, and how often its type is asked for.
_LATTICES, _TYPE = ("atoms", "graphene-dopants", "tmd-defects", "dumbbells", "hrtem-columns", "surface-lattice"), 0.1
#: Recipes for any image come last.
_ANY = {"denoise": 0.02, "few-shot": 0.01}
#: Recipes for what is no image, or is a pattern, the usual one first.
_OTHER = {
    "scan": ("virtual-detectors", "pacbed", "unmix"),
    "rows": ("virtual-detectors", "unmix"),
    "spectra": ("unmix", "plasmon-spectra"),
    "elements": ("edx-denoise", "edx-tomography"),
    "structure": ("crystal-class",),
    "peaks": ("crystal-symmetry", "crystal-class"),
    "sites": ("segregation",),
    "coded": ("compressed-movie",),
    "pattern": ("pacbed", "crystal-symmetry", "crystal-class"),
}
#: An image of which more is missing is one of a partial scan.
_MISSING = 0.3
#: Zeros stand for missing pixels where so many are: fewer may be counts of a dark image.
_EMPTY = 0.8


@dataclass(frozen=True)
class Seen:
    """What is known of a recording before any recipe is tried.

    content: as in `Calibration`, or 'pattern'; missing: share of the pixels without a value; likeness: by recipe, how
    probably the recording is of its kind.
    """

    recording: Recording
    content: str
    missing: float
    likeness: Mapping[str, float]


def proposals(recording: Recording) -> Iterator[tuple[tuple[Proposal, ...], Progress]]:
    """Yield the recipes for a recording, the best first, and how far it is: at once by scale, by look, then tried.

    Recipes are tried on the middle of the first frame, the likeliest first, for `TRIED_S` seconds.
    """
    from micrograph.recipes import RECIPES

    yield (
        _sorted([_by_scale(name, _unseen(recording)) for name in RECIPES]),
        Progress(0, 0, "looking at the first frame"),
    )
    seen = _looked(recording)
    found = {name: _by_scale(name, seen) for name in RECIPES}
    likely = [one.recipe for one in _sorted(list(found.values())) if not one.tried and (one.likeness or 0) >= _LEAST]
    waiting = sorted(likely, key=_is_slow)
    begun, known = time.monotonic(), dict[str, Proposal]()
    for done, name in enumerate(waiting):
        yield _sorted(list(found.values())), Progress(done, len(waiting), f"trying {name}")
        if time.monotonic() - begun > TRIED_S:
            break
        found[name] = _tried(name, seen, known)
    ready = [one if one.tried else replace(one, reason=_left(one), tried=True) for one in found.values()]
    yield _sorted(ready), Progress(len(waiting), len(waiting))


def _is_slow(name: str) -> bool:
    """Return whether a recipe fits a model of its own to the image, which takes longer than a network."""
    from micrograph.nets import NoNet
    from micrograph.recipes import find_recipe

    return isinstance(find_recipe(name).model, NoNet)


def _sorted(found: list[Proposal]) -> tuple[Proposal, ...]:
    """Return proposals by their worth, first those that fit, are not tried yet, or would fit with a missing value."""
    return tuple(sorted(found, key=lambda one: (one.tried and not (one.fits or one.missing), -_worth(one))))


def _worth(one: Proposal) -> float:
    """Return how well a recipe suits: its likeness by look, less where its network knows such images less.

    One without a network stands as one at the border of what its network knows.
    """
    return (one.likeness or 0.0) * float(np.exp(-(1.0 if one.distance is None else one.distance)))


def _unseen(recording: Recording) -> Seen:
    return Seen(recording, _content(recording), 0.0, {})


def _content(recording: Recording) -> str:
    """Return what a recording holds; images with an axis of angles or of reciprocal lengths are patterns."""
    axis = recording.calibration.signal_axis
    pattern = axis is not None and axis.unit in ("mrad", "1/nm", "1/angstrom")
    return "pattern" if pattern and recording.calibration.content == "image" else recording.calibration.content


def _looked(recording: Recording) -> Seen:
    """Return what the first frame of a recording looks like."""
    content = _content(recording)
    if content in _OTHER:
        known = {name: 1.0 / rank for rank, name in enumerate(_OTHER[content], 1)}
        if content == "elements" and "tilts_deg" in recording.metadata:
            known["edx-tomography"] = 2.0
        total = sum(known.values())
        return Seen(recording, content, 0.0, {name: value / total for name, value in known.items()})
    image = recording.frame(0).data
    empty = float(np.mean(image == 0))
    missing = float(np.mean(~np.isfinite(image))) + (empty if empty > _EMPTY else 0.0)
    if missing > _MISSING:
        return Seen(recording, content, missing, {"partial-scan": 1.0, **_ANY})
    kinds = likenesses(image, recording.calibration)
    known = dict(kinds) | {name: share * kinds.get(kind, 0.0) for name, (kind, share) in _BESIDE.items()}
    known["lattice-types"] = _TYPE * sum(kinds.get(name, 0.0) for name in _LATTICES)
    return Seen(recording, content, missing, {**known, **_ANY})


def _by_scale(name: str, seen: Seen) -> Proposal:
    """Return what content and scale of a recording say of a recipe: whether it cannot fit, or is worth a try."""
    from micrograph.recipes import find_recipe

    recipe, scale = find_recipe(name), seen.recording.calibration
    likeness = seen.likeness.get(name, 0.0) if seen.likeness else None
    answer = functools.partial(Proposal, name, recipe.title, likeness=likeness)
    no = functools.partial(answer, fits=False)
    if scale.content not in recipe.task.takes:
        return Proposal(name, recipe.title, "It is for another kind of recording.", False)
    if missing := scale.missing(recipe.task.needs):
        return no(f"It needs {words(missing)}, which the file does not say: enter it above.", missing=missing)
    kind = KINDS.get(_BESIDE.get(name, (name, 0.0))[0])
    if kind is not None and seen.content == "image" and not kind.may_be(scale):
        return Proposal(name, recipe.title, kind.why_not(scale), False)
    if seen.content in _OTHER and name not in _OTHER[seen.content]:
        return Proposal(name, recipe.title, "It is for images, and this is a pattern.", False)
    if name == "partial-scan" and seen.likeness and seen.missing <= _MISSING:
        return Proposal(
            name, recipe.title, "It is for scans that visited few pixels, and every pixel has a value.", False
        )
    if name in ("few-shot",) or recipe.learner is not None:
        share = seen.likeness.get(name, 0.0)
        return answer(_learns(recipe), fits=not seen.likeness or share >= min(_ANY.values()), tried=bool(seen.likeness))
    return no("Not tried yet.", tried=False)


def _learns(recipe: Recipe) -> str:
    from micrograph.nets import NoNet

    if recipe.name == "few-shot":
        return "It sorts any images into classes of your own, which it learns from a few examples of each."
    if recipe.task.takes != ("image",) and isinstance(recipe.model, NoNet):
        return "It is made for recordings of this kind."
    return "It learns from the recording itself, which takes some minutes."


def _left(one: Proposal) -> str:
    """Return why a recipe was not tried."""
    if (one.likeness or 0.0) < _LEAST:
        return "By the look of the first frame it is another kind of image."
    return f"Not tried within {TRIED_S:.0f} s: run it to see."


def _tried(name: str, seen: Seen, known: dict[str, Proposal]) -> Proposal:
    """Return what a recipe makes of the middle of the first frame; `known`: answers of networks that were tried."""
    from micrograph.infer import Predictor
    from micrograph.nets import NoNet
    from micrograph.recipes import find_recipe
    from micrograph.run import suitably_binned
    from micrograph.run.streaming import frame_tables

    recipe = find_recipe(name)
    answer = functools.partial(Proposal, name, recipe.title, likeness=seen.likeness.get(name))
    weights = getattr(recipe.model, "weights", None)
    if weights in known and recipe.model == find_recipe(known[weights].recipe).model:
        return replace(known[weights], recipe=name, title=recipe.title, likeness=seen.likeness.get(name))
    try:
        predict = model_of(name)
        still = suitably_binned(recipe, _crop(seen.recording), predict)
        frame = still.frame(0)
        pixel_nm = frame.calibration.pixel_nm
        if isinstance(predict, Predictor) and pixel_nm is not None and (far := predict.pixel_notes(pixel_nm)):
            return answer(" ".join(far), False)  # on the model's pixel such an image may be vast
        prediction = predict(frame)
        tables, flags = frame_tables(recipe, frame, prediction)
    except MicrographError as error:
        return answer(str(error), False)
    row, objects = tables["frames"].iloc[0], tables["objects"]
    distance, told = float(row["domain_distance"]), str(row["notes"])
    clear = objects[objects["flags"] == 0]
    number = int((clear["class"] != "noise").sum()) if "class" in clear else len(clear)
    if isinstance(recipe.model, NoNet):
        fits = not flags and distance <= 1 and not (len(objects) and not number)
    else:
        doubtful = Flag.OUT_OF_DOMAIN in flags and distance <= 1
        fits = distance <= _FOREIGN and not doubtful and not flags & (Flag.NO_FIT | Flag.BAD_FRAME)
    reason = told or (_words_for(recipe, number) if fits else "It finds nothing that it could fit.")
    made = answer(reason, fits, None if isinstance(recipe.model, NoNet) else distance)
    if weights is not None:
        known[weights] = made
    return made


def _words_for(recipe: Recipe, number: int) -> str:
    from micrograph.nets import NoNet

    found = f"in the middle of the first frame it finds {number} {'object' if number == 1 else 'objects'} without doubt"
    if isinstance(recipe.model, NoNet):
        return f"It needs no trained network: {found}."
    return f"Its network knows such images: {found}."


def _crop(recording: Recording) -> Recording:
    """Return the middle of the first frame alone."""
    first = recording[:1]
    if recording.calibration.content != "image":
        return first
    image = middle(np.asarray(first.frame(0).data), TRIED_PX)
    return replace(first, read=lambda index: image, shape=image.shape, dtype="float32", block=None)


def words(names: tuple[str, ...]) -> str:
    """Return what values of a calibration are called: "the pixel size and the voltage"."""
    return " and ".join(f"the {SCALES[name][0]}" for name in names)


@functools.cache
def model_of(name: str) -> Predict:
    """Return the predictor of a recipe's shipped weights, loaded once, on what loads fast."""
    from micrograph.recipes import find_recipe

    return models.predictor(find_recipe(name), (), "cpu", "torch")
