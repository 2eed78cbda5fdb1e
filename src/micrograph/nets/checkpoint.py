"""Weights and their card: a safetensors file that carries its card, and the same card as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import BrokenCheckpoint
from micrograph.core.provenance import whole
from micrograph.nets.blind_spec import BlindSpec
from micrograph.nets.encoder_spec import EncoderSpec
from micrograph.nets.prototype_spec import PrototypeSpec
from micrograph.nets.spec import NetSpec
from micrograph.nets.unrolled_spec import UnrolledSpec

if TYPE_CHECKING:
    from torch import Tensor

#: Where the shipped weights are.
SHIPPED = Path(__file__).resolve().parent.parent / "weights"
_CARD = "card"


@dataclass(frozen=True)
class Checkpoint:
    """A trained network: its specification, its tensors ('net.*' weights, 'domain.*' statistics), and its card."""

    spec: NetSpec | EncoderSpec | BlindSpec | UnrolledSpec | PrototypeSpec
    state: Mapping[str, Tensor]
    card: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors whose name begins with ``name.``, without that beginning."""
        start = f"{name}."
        return {key.removeprefix(start): tensor for key, tensor in self.state.items() if key.startswith(start)}


def find_weights(name_or_path: str | Path) -> Path:
    """Return the file of shipped weights by name ('tmd-1'), or the path itself; refuse one that is not there."""
    path = Path(name_or_path)
    shipped = SHIPPED / f"{name_or_path}.safetensors"
    if path.suffix != ".safetensors" and shipped.exists():
        return shipped
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in SHIPPED.glob("*.safetensors"))) or "none"
        raise BrokenCheckpoint(f"There are no weights '{name_or_path}': give a .safetensors file or one of {known}.")
    return path


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path` (.safetensors, card inside) and its card to the .json beside it, each whole."""
    from safetensors.torch import save_file

    card = {**checkpoint.card, "net": checkpoint.spec.as_dict()}
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in checkpoint.state.items()}
    with whole(path) as temporary:
        save_file(tensors, temporary, metadata={_CARD: json.dumps(card)})
    _write_card(path, card)


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint by name or path; raises `BrokenCheckpoint` when it is no checkpoint of this package."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = find_weights(path)
    card = read_card(found)
    try:
        return Checkpoint(_spec_of(card["net"]), load_file(found), card)
    except (SafetensorError, OSError, KeyError) as error:
        raise BrokenCheckpoint(f"{found.name} is no readable weights file ({error}): train it again.") from error


def _spec_of(net: Mapping[str, Any]) -> NetSpec | EncoderSpec | BlindSpec | UnrolledSpec | PrototypeSpec:
    if net.get("kind") == "prototypes":
        return PrototypeSpec.from_dict(net)
    if net.get("kind") == "blind":
        return BlindSpec.from_dict(net)
    if net.get("kind") == "unrolled":
        return UnrolledSpec.from_dict(net)
    return EncoderSpec.from_dict(net) if net.get("kind") == "encoder" else NetSpec.from_dict(net)


def shipped(name: str) -> NetSpec:
    """Return the specification of the shipped U-Net `name`, for recipes that use what was trained for another."""
    return replace(NetSpec.from_dict(read_card(find_weights(name))["net"]), weights=name)


def read_card(path: Path) -> dict[str, Any]:
    """Return the card of a weights file: the JSON beside it, else the one inside."""
    from safetensors import SafetensorError, safe_open

    beside = path.with_suffix(".json")
    try:
        if beside.exists():
            return dict(json.loads(beside.read_text(encoding="utf-8")))
        with safe_open(path, framework="np") as file:
            return dict(json.loads((file.metadata() or {})[_CARD]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BrokenCheckpoint(f"{path.name} carries no card that can be read ({error}): train it again.") from error


def _write_card(path: Path, card: Mapping[str, Any]) -> None:
    with whole(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")
