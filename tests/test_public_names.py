"""The public names of the rooms are a checked-in list: a change of it is a decision, not an accident."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import micrograph

LIST = Path(__file__).resolve().parent.parent / "docs" / "reference" / "public_names.txt"


def public_names() -> list[str]:
    """Return ``room.name`` of all that the package and its rooms offer in ``__all__``, sorted."""
    rooms = [micrograph.__name__, *(f"micrograph.{room.name}" for room in pkgutil.iter_modules(micrograph.__path__))]
    modules = {room: importlib.import_module(room) for room in rooms}
    return sorted(f"{room}.{name}" for room, module in modules.items() for name in getattr(module, "__all__", ()))


def test_the_public_names_are_those_of_the_list() -> None:
    assert public_names() == LIST.read_text(encoding="utf-8").split(), f"renew {LIST.name} if the change is meant"


def test_every_public_name_is_there() -> None:
    for full in public_names():
        room, _, name = full.rpartition(".")
        assert getattr(importlib.import_module(room), name) is not None
