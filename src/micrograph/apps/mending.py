"""The job behind `micrograph mend`: a network for a user's microscope, from frames that nobody has labelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.apps.domains import expecting, sampler_of
from micrograph.apps.jobs import Advance, silent
from micrograph.apps.making import Material, check_weights_path, own_sampler
from micrograph.apps.models import predictor
from micrograph.apps.requests import Request, open_calibrated
from micrograph.core import BadInput, MissingCalibration, Recording
from micrograph.core.provenance import made_folder

if TYPE_CHECKING:
    from micrograph.validate.mending import Mended

#: So many frames, spread over the recording, say how they were taken; of large ones the middle, so wide (nm).
FRAMES, FIELD_NM = 3, 3.0
#: Images that teach what to expect of the mended network.
_LESSONS = 200


@dataclass(frozen=True)
class Asked:
    """What a mending is asked to do beside what an analysis is asked."""

    structure: Path | None = None
    zone_axis: str = "001"
    steps: int = 300
    seed: int = 0


def mend_for(request: Request, path: Path, out: Path, asked: Asked, progress: Advance = silent) -> Mended:
    """Return what mending brought on the frames of `path`; the weights are written to `out` if they are better.

    Raises `BadInput` for a recipe whose network finds no columns, several weights, or a file name of no weights.
    """
    from micrograph.nets import save
    from micrograph.recipes import find_recipe, require_suited
    from micrograph.simulate.settings import Elsewhere
    from micrograph.validate.mending import MendSettings, mend, predictor_of

    recipe = find_recipe(request.recipe)
    check_weights_path(out)
    sampler_of(recipe)
    material = Material(asked.structure, asked.zone_axis, request.calibration.get("voltage_kV"))
    sampler = own_sampler(recipe, material)
    if len(request.weights) > 1:
        raise BadInput(f"One network is mended at a time: give one of the {len(request.weights)} weights.")
    recording = open_calibrated(path, request)
    require_suited(recipe, recording.calibration)
    pixel = recording.calibration.pixel_nm
    if pixel is None:
        raise MissingCalibration('The pixel size is unknown: give it with --pixel-size "0.0176 nm".')
    older: Any = predictor(recipe, request.weights)
    settings = MendSettings()
    settings = replace(settings, training=replace(settings.training, steps=asked.steps, seed=asked.seed))
    found = mend(
        older.members[0].checkpoint,
        sampler,
        frames_of(recording, pixel),
        pixel,
        settings=settings,
        rng=np.random.default_rng(asked.seed),
        progress=progress,
    )
    if found.worth_it:
        made_folder(out.parent)
        progress(3, 3, "what to expect")
        predict = predictor_of(found.best.checkpoint)
        made = expecting(predict, found.like, Elsewhere(found.like.sampler), images=_LESSONS).members[0].checkpoint
        told = {"recipe": recipe.name, "domain": found.like.domain(), "mended": card_of(found, older.digest)}
        save(out, replace(made, card={**made.card, **told}))
    return found


def frames_of(recording: Recording, pixel_nm: float) -> list[NDArray[np.float32]]:
    """Return up to `FRAMES` frames (H, W), spread over the recording; of large ones the middle."""
    side = max(32, round(FIELD_NM / pixel_nm))
    chosen = np.unique(np.linspace(0, len(recording) - 1, FRAMES).astype(int))
    return [_middle(np.asarray(recording.read(recording.indices[row]), np.float32), side) for row in chosen]


def _middle(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    top, left = (max(0, (n - side) // 2) for n in image.shape)
    return image[top : top + side, left : left + side]


def card_of(found: Mended, weights: str) -> dict[str, Any]:
    """Return for the card what was mended: from which weights, how, before and after."""
    return {
        "from": weights,
        "how": found.best.name,
        "f1_before": list(found.before),
        "f1_after": list(found.after),
    }


def settings_told(found: Mended) -> list[dict[str, Any]]:
    """Return the settings that the frames speak of, one a row."""
    return [
        {"setting": name, "10 %": low, "middle": found.like.quantile(name, 0.5), "90 %": high}
        for name, (low, high) in found.like.domain().items()
    ]


def attempts_told(found: Mended) -> list[dict[str, Any]]:
    """Return what was tried, one a row."""
    return [
        {
            "tried": one.name,
            "F1 on simulated": one.f1,
            "agrees with itself on yours": one.agreement,
            "kept": "yes" if one is found.best and found.worth_it else "",
        }
        for one in found.attempts
    ]


def verdict(found: Mended, recipe: str, path: Path, out: Path) -> str:
    """Return what came of it, in words."""
    before, after = (f"{one.value:.3f} ({one.low:.3f} .. {one.high:.3f})" for one in (found.before, found.after))
    if not found.worth_it:
        return f"Nothing that was tried is better than the network as it is, F1 {before} on fresh images: none is kept."
    return (
        f"F1 on fresh simulated images at your settings: {before} before, {after} after. weights: {out}\n"
        f"use: micrograph analyze {recipe} {path} --weights {out} -o results"
    )
