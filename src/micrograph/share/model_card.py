"""Weights for other programs: a folder in the model format 0.5 of bioimage.io (doi:10.1101/2022.06.07.495102).

Programs that read it (ilastik, deepImageJ, ``bioimageio.core``) need nothing of this package. It holds the network as
ONNX, what is done to an image before and to the answer after, an image to try it with, and the answer that is then
right: that of the predictor here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration, Frame, Sample
from micrograph.core.provenance import digest, made_folder, versions, whole
from micrograph.draw import to_png
from micrograph.draw.image import beside_figure
from micrograph.infer import load_predictor
from micrograph.infer.onnx_export import OPSET, Sides, write_onnx
from micrograph.nets import NetSpec, find_weights, load
from micrograph.nets.checkpoint import SHIPPED
from micrograph.nets.grid import to_model_grid
from micrograph.run import Recipe
from micrograph.share.crate import About

FORMAT = "0.5.4"
#: Who made the shipped weights, and under which licence they are.
_FOUNDERS, _LICENSE = "the micrograph founders", "GPL-3.0-or-later"
#: The test image has at most so many pixels along each side.
_MOST = 256
#: Keeps a division from being one by zero; the predictor has none of it.
_EPS = 1e-12


@dataclass(frozen=True)
class _Tried:
    """The image to try it with, its pixel (nm), and the predictor's answer (K, H, W)."""

    image: NDArray[np.float32]
    pixel_nm: float
    answer: NDArray[np.float32]


def write_model_card(weights: str | Path, recipe: Recipe, sample: Sample, folder: Path, about: About) -> Path:
    """Write weights as a model for bioimage.io into `folder` and return the path of its ``rdf.yaml``.

    `recipe` is what they were trained for; `sample` an image of its kind. `about` names author and
    licence (an address at spdx.org); shipped weights have theirs. Raises `BadInput` for networks that do
    not answer with score maps.
    """
    import yaml

    path, checkpoint = find_weights(weights), load(weights)
    if about.author is None and path.parent != SHIPPED:
        raise BadInput("Own weights need the name of who made them: give it with --author.")
    made_folder(folder)
    sides = write_onnx(checkpoint, folder / "weights.onnx")
    spec = checkpoint.spec
    assert isinstance(spec, NetSpec)  # others were refused
    tried = _tried(weights, spec, sample, sides)
    _save(folder / "test_input.npy", tried.image[None, None])
    _save(folder / "test_output.npy", tried.answer[None])
    with whole(folder / "cover.png") as temporary:
        cover = beside_figure(tried.image, tried.answer[0], tried.pixel_nm, (path.stem, spec.names[0]))
        temporary.write_bytes(to_png(cover))
    _text(folder / "card.json", json.dumps(dict(checkpoint.card), indent=1, sort_keys=True) + "\n")
    _text(folder / "documentation.md", _documentation(recipe, spec, checkpoint.card))
    described = _described(path.stem, recipe, spec, about) | {
        "inputs": [_input(spec, sides, folder)],
        "outputs": [_output(spec, checkpoint.card.get("confidence", {}), folder)],
        "weights": {"onnx": {**_file(folder / "weights.onnx"), "opset_version": OPSET}},
    }
    _text(folder / "rdf.yaml", yaml.safe_dump(described, sort_keys=False, allow_unicode=True))
    return folder / "rdf.yaml"


def _tried(weights: str | Path, spec: NetSpec, sample: Sample, sides: Sides) -> _Tried:
    """Return an image on the model's pixel, of sides that it takes, with the predictor's answer."""
    pixel = spec.grid_nm(sample.pixel_nm)
    image = to_model_grid(sample.image, sample.pixel_nm, pixel).numpy()
    short = [max(0, sides.least - side) for side in image.shape]
    image = np.pad(image, [(0, more) for more in short], mode="symmetric")
    height, width = (min(side, max(_MOST, sides.least)) // sides.step * sides.step for side in image.shape)
    image = np.ascontiguousarray(image[:height, :width], np.float32)
    frame = Frame(image, 0, Calibration(pixel_nm=pixel))
    maps = load_predictor(weights, backend_name="torch", device="cpu")(frame).maps
    return _Tried(image, pixel, np.stack([maps[name] for name in spec.names]).astype(np.float32))


def _described(name: str, recipe: Recipe, spec: NetSpec, about: About) -> dict[str, Any]:
    """Return what the description says of the model as a whole."""
    author = {"name": about.author or _FOUNDERS} | ({"orcid": about.orcid.split("/")[-1]} if about.orcid else {})
    named = about.license.startswith("https://spdx.org/licenses/")
    pixel = "any pixel" if spec.pixel_nm is None else f"pixels of {spec.pixel_nm:g} nm"
    maps = f"Probability maps ({', '.join(spec.names)}) of microscope images with {pixel}."
    return {
        "format_version": FORMAT,
        "type": "model",
        "name": re.sub(r"[^\w+ ()-]+", " ", about.title or f"micrograph {name} - {recipe.title}"),
        "description": f"{recipe.task.question} {maps}",
        "version": versions().get("micrograph", "0"),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "authors": [author],
        "cite": [_cited(recipe.task.reference)],
        "license": about.license.split("/")[-1] if named else _LICENSE,
        "tags": ["electron-microscopy", "materials-science", "semantic-segmentation", "unet", "2d", recipe.name],
        "documentation": "documentation.md",
        "covers": ["cover.png"],
        "attachments": [{"source": "card.json"}],
    }


def _cited(reference: str) -> dict[str, str]:
    kind, _, number = reference.partition(":")
    return {"text": reference, "doi": f"10.48550/arXiv.{number}" if kind.lower() == "arxiv" else number}


def _file(path: Path) -> dict[str, str]:
    return {"source": path.name, "sha256": digest(path, None).removeprefix("sha256:")}


def _space(axis: str, size: Mapping[str, Any], spec: NetSpec) -> dict[str, Any]:
    known = {} if spec.pixel_nm is None else {"unit": "nanometer", "scale": float(spec.pixel_nm)}
    return {"type": "space", "id": axis, "size": dict(size), **known}


def _input(spec: NetSpec, sides: Sides, folder: Path) -> dict[str, Any]:
    """Return what goes in, and what is done to it first: `normalise`, as far as it is not in the network's file."""
    first = [
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"], "eps": _EPS}},
    ]
    clipped = [{"id": "clip", "kwargs": {"min": -6.0, "max": 6.0}}] if spec.pixel_nm is None else []
    size = {"min": sides.least, "step": sides.step}
    return {
        "id": "image",
        "description": "A microscope image, raw values of any scale",
        "axes": [
            {"type": "batch", "size": 1},
            {"type": "channel", "channel_names": ["intensity"]},
            *(_space(axis, size, spec) for axis in "yx"),
        ],
        "data": {"type": "float32"},
        "preprocessing": [*first, *clipped],
        "test_tensor": _file(folder / "test_input.npy"),
    }


def _output(spec: NetSpec, confidence: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what comes out, calibrated as the predictor does: sigmoid of gain times logit plus offset."""
    gains, offsets = ([float(confidence.get(name, (1.0, 0.0))[place]) for name in spec.names] for place in (0, 1))
    plain = all(gain == 1 for gain in gains) and not any(offsets)
    scaled = {"id": "scale_linear", "kwargs": {"axis": "channel", "gain": gains, "offset": offsets}}
    return {
        "id": "probability",
        "description": "Probability of each map, calibrated on simulated images",
        "axes": [
            {"type": "batch", "size": 1},
            {"type": "channel", "channel_names": [name.replace(" ", "-") for name in spec.names]},
            *(_space(axis, {"tensor_id": "image", "axis_id": axis}, spec) for axis in "yx"),
        ],
        "data": {"type": "float32"},
        "postprocessing": [*([] if plain else [scaled]), {"id": "sigmoid"}],
        "test_tensor": _file(folder / "test_output.npy"),
    }


def _documentation(recipe: Recipe, spec: NetSpec, card: Mapping[str, Any]) -> str:
    """Return the page that goes with the model."""
    pixel = "of any size" if spec.pixel_nm is None else f"of {spec.pixel_nm:g} nm: resample images to it first"
    ranges = {name: ends for name, ends in card.get("domain", {}).items() if math.isfinite(ends[1])}
    known = "\n".join(f"| {name} | {low:g} | {high:g} |" for name, (low, high) in ranges.items())
    return (
        f"# {recipe.title}\n\n{recipe.task.question} Reference: {recipe.task.reference}.\n\n"
        f"Looks at images with pixels {pixel}. Answers with a probability map for each of: {', '.join(spec.names)}. "
        "Trained on simulated images by micrograph; `card.json` holds all settings.\n\n"
        f"## Trained on\n\n| quantity | from | to |\n|---|---|---|\n{known}\n\n"
        "## Validation\n\n"
        f"`micrograph validate {recipe.name}` measures the whole recipe, of which this network is one part: number, "
        "bound, physical limit and classical baseline of every check.\n\n"
        "## What is not in it\n\n"
        "Positions with errors, classes, the lattice, and the sentence that an image is unlike all training images are "
        "made from these maps by micrograph, not by the network.\n"
    )


def _save(path: Path, array: NDArray[np.float32]) -> None:
    with whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def _text(path: Path, text: str) -> None:
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
