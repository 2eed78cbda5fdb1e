"""Weights and their card: what is saved is loaded, and what is broken is refused in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from micrograph.core import BrokenCheckpoint
from micrograph.nets import Checkpoint, Head, NetSpec, build, find_weights, load, read_card, save

SPEC = NetSpec(heads=(Head("atom", "spots", ("C", "Si")), Head("dirt", "region")), base=4, levels=2, pixel_nm=0.025)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    state = {f"net.{key}": tensor for key, tensor in build(SPEC).state_dict().items()}
    path = tmp_path / "toy.safetensors"
    save(path, Checkpoint(SPEC, state | {"domain.mean": torch.ones(3)}, {"confidence": {"atom": [1.2, -0.3]}}))
    return path


def test_a_specification_survives_json() -> None:
    assert NetSpec.from_dict(json.loads(json.dumps(SPEC.as_dict()))) == SPEC


@pytest.mark.parametrize("change", [{"heads": [{"name": "atom"}]}, {"depth": 3}, {"heads": None}])
def test_a_specification_that_is_not_understood_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BrokenCheckpoint, match="not understood"):
        NetSpec.from_dict(SPEC.as_dict() | change)


def test_a_saved_checkpoint_loads_to_the_same_tensors_and_card(saved: Path) -> None:
    again = load(saved)
    assert again.spec == SPEC
    assert again.card["confidence"] == {"atom": [1.2, -0.3]}
    assert torch.equal(again.part("domain")["mean"], torch.ones(3))
    build(again.spec).load_state_dict(again.part("net"))


def test_the_card_inside_serves_when_the_one_beside_is_lost(saved: Path) -> None:
    beside = read_card(saved)
    saved.with_suffix(".json").unlink()
    assert read_card(saved) == beside
    assert load(saved).spec == SPEC


def test_truncated_weights_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(BrokenCheckpoint, match=r"toy\.safetensors"):
        load(saved)


def test_weights_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"layer": np.zeros(3, np.float32)}, path)
    with pytest.raises(BrokenCheckpoint, match="no card"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.safetensors"
    path.write_bytes(content)
    with pytest.raises(BrokenCheckpoint, match="train it again"):
        load(path)


def test_a_broken_card_is_refused(saved: Path) -> None:
    saved.with_suffix(".json").write_text("{")
    with pytest.raises(BrokenCheckpoint, match="no card that can be read"):
        load(saved)


def test_a_card_without_a_network_is_refused(saved: Path) -> None:
    saved.with_suffix(".json").write_text("{}")
    with pytest.raises(BrokenCheckpoint, match="net"):
        load(saved)


def test_a_name_that_ships_no_weights_is_refused() -> None:
    with pytest.raises(BrokenCheckpoint, match="There are no weights 'nothing-9'"):
        find_weights("nothing-9")
