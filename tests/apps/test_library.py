"""The library command on a small library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograph.io import Entry, Fragment, Library


def fragment(stretch: float = 1.0) -> Fragment:
    """Return silicon with three carbon neighbours."""
    angle = 2 * np.pi * np.arange(3) / 3
    place = np.vstack([[0.0, 0.0], stretch * 0.18 * np.column_stack([np.sin(angle), np.cos(angle)])])
    return Fragment(
        element=("Si", "C", "C", "C"),
        place_nm=place,
        sigma_nm=np.full((4, 2), 0.005),
        core=np.ones(4, bool),
        rings=("6-6-6",) * 4,
        bonds=np.array([[0, 1], [0, 2], [0, 3]]),
        length_nm=np.full(3, 0.18 * stretch),
        length_sigma_nm=np.full(3, 0.005),
    )


@pytest.fixture
def library(tmp_path: Path) -> Path:
    image = np.zeros((8, 8), np.float32)
    made = Library.create(tmp_path / "library.h5")
    made.add(Entry("Si1C3", 0.9, fragment(s), image, 0.02, source="scan.dm4") for s in (1.0, 1.02, 1.2))
    return made.path


def test_entries_are_listed_and_searched(command: Callable[..., Any], library: Path) -> None:
    assert command("library", library).out.count("Si1C3") == 3
    assert command("library", library, "--name", "Si1C3").status == 0
    found = command("library", library, "--like", 0, "-n", 1)
    assert found.status == 0 and found.out.count("Si1C3") == 1 and "True" in found.out


def test_libraries_are_put_together(command: Callable[..., Any], library: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.h5"
    assert "6 defects" in command("library", library, library, "-o", both).out
    assert len(Library.open(both)) == 6
    assert command("library", library, "-o", both).status == 2


def test_what_is_not_there_is_said(command: Callable[..., Any], library: Path, tmp_path: Path) -> None:
    assert "holds no 'V1'" in command("library", library, "--name", "V1").err
    assert "no entry 7" in command("library", library, "--like", 7).err
    assert command("library", tmp_path / "missing.h5").status == 2
