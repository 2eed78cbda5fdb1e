"""Weights for other programs give, run by another one, the predictor's own answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from micrograph.apps.making import model_card
from micrograph.core import BadInput, Sample, Sites
from micrograph.core.provenance import digest
from micrograph.infer.backends import openvino_module
from micrograph.infer.onnx_export import Sides, sides_of
from micrograph.nets import Checkpoint, Head, NetSpec, build, save
from micrograph.recipes import find_recipe
from micrograph.share import About

pytest.importorskip("onnxscript")
ME = About(author="A. Person", orcid="https://orcid.org/0000-0002-1825-0097")


def weights(path: Path, pixel_nm: float | None) -> Path:
    """Write a tiny network of two heads that nobody trained."""
    import torch

    torch.manual_seed(1)
    spec = NetSpec((Head("atom", "spots"), Head("dirt", "region")), base=2, levels=2, pixel_nm=pixel_nm)
    state = {f"net.{name}": tensor for name, tensor in build(spec).state_dict().items()}
    save(
        path, Checkpoint(spec, state, {"recipe": "atoms", "confidence": {"atom": [1.7, -0.2]}, "domain": {"x": [0, 1]}})
    )
    return path


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a model with a pixel of its own, and its description."""
    from micrograph.share.model_card import write_model_card

    folder = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(1)
    image = rng.normal(size=(70, 120)).astype(np.float32) + np.linspace(0, 9, 120, dtype=np.float32)
    empty = np.zeros(0)
    sample = Sample(image, 0.06, Sites(empty, empty, np.zeros(0, str)))
    written = write_model_card(
        weights(folder / "own.safetensors", 0.03), find_recipe("atoms"), sample, folder / "m", ME
    )
    return written.parent, yaml.safe_load(written.read_text(encoding="utf-8"))


def answered(folder: Path, described: dict[str, Any], image: Any) -> Any:
    """Return what the description makes of an image, step by step, with OpenVINO in place of this package."""
    core = openvino_module().Core()
    net = core.compile_model(core.read_model(folder / "weights.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    steps = {step["id"]: step.get("kwargs", {}) for step in described["inputs"][0]["preprocessing"]}
    seen = image.astype(steps["ensure_dtype"]["dtype"])
    seen = (seen - seen.mean()) / (seen.std() + steps["zero_mean_unit_variance"]["eps"])
    if "clip" in steps:
        seen = np.clip(seen, steps["clip"]["min"], steps["clip"]["max"])
    logits = np.array(net(seen)[0])
    scaled, sigmoid = described["outputs"][0]["postprocessing"]
    gain, offset = (np.reshape(scaled["kwargs"][name], (1, -1, 1, 1)) for name in ("gain", "offset"))
    assert (scaled["id"], sigmoid["id"]) == ("scale_linear", "sigmoid")
    return 1 / (1 + np.exp(-(gain * logits + offset)))


def test_another_program_gives_the_predictors_answer(card: tuple[Path, dict[str, Any]]) -> None:
    folder, described = card
    image, right = np.load(folder / "test_input.npy"), np.load(folder / "test_output.npy")
    assert right.shape == (1, 2, *image.shape[2:]) and right.std() > 1e-3
    assert np.abs(answered(folder, described, image) - right).max() < 1e-5
    assert np.abs(answered(folder, described, 7 * image - 3) - right).max() < 1e-4  # gain and offset do not matter


def test_the_network_takes_larger_images_and_sees_the_same_there(card: tuple[Path, dict[str, Any]]) -> None:
    folder, described = card
    sides = described["inputs"][0]["axes"][2]["size"]
    image = np.load(folder / "test_input.npy")
    larger = np.pad(image, ((0, 0), (0, 0), (0, sides["step"]), (0, 3 * sides["step"])), mode="symmetric")
    assert answered(folder, described, larger).shape[2:] == larger.shape[2:]


def test_every_file_named_is_there_with_its_digest(card: tuple[Path, dict[str, Any]]) -> None:
    folder, described = card
    named = [
        described["inputs"][0]["test_tensor"],
        described["outputs"][0]["test_tensor"],
        described["weights"]["onnx"],
    ]
    assert all(digest(folder / one["source"]) == f"sha256:{one['sha256']}" for one in named)
    others = [described["documentation"], *described["covers"], *(one["source"] for one in described["attachments"])]
    assert all((folder / name).is_file() for name in others)
    assert json.loads((folder / "card.json").read_text())["recipe"] == "atoms"
    assert described["authors"] == [{"name": "A. Person", "orcid": "0000-0002-1825-0097"}]
    assert described["cite"][0]["doi"].startswith("10.") and described["license"] == "GPL-3.0-or-later"
    assert [axis["scale"] for axis in described["inputs"][0]["axes"][2:]] == [0.03, 0.03]


def test_sides_fit_the_grid_of_the_local_means() -> None:
    heads = (Head("atom", "spots"),)
    assert sides_of(NetSpec(heads, pixel_nm=0.03)) == Sides(96, 8)
    assert sides_of(NetSpec(heads, pixel_nm=0.04)) == Sides(96, 24)
    assert sides_of(NetSpec(heads, levels=4, fold=2, pixel_nm=None)) == Sides(96, 16)


def test_what_cannot_be_exported_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no shipped weights"):
        model_card("surface-lattice", tmp_path / "a", About())
    with pytest.raises(BadInput, match="answer with score maps"):
        model_card("partial-scan", tmp_path / "a", About())
    with pytest.raises(BadInput, match="give it with --author"):
        model_card(str(weights(tmp_path / "own.safetensors", None)), tmp_path / "a", About())
