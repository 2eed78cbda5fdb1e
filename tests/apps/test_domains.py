"""The verbs domain and mend: maps on the screen and as a picture, weights for another microscope, plain refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograph.draw import to_png
from micrograph.draw.domain import domain_figure
from micrograph.recipes import find_recipe
from micrograph.validate import shifts
from micrograph.validate.shifts import moved_to

Command = Callable[..., Any]


def row(values: dict[str, Any], f1: float, inside: bool = False) -> dict[str, Any]:
    family = " x ".join(values) or "as trained"
    return {"family": family, "values": values, "inside": inside, "images": 2, "f1": f1, "low": 0.0, "high": 1.0,
            "expected_f1": f1, "domain_distance": 0.5}  # fmt: skip


def test_a_map_is_shown_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    data = find_recipe("graphene-dopants").data
    few = [moved_to(data, "jitter_nm", {"jitter_nm": place}) for place in (0.5, 3.0)]
    monkeypatch.setattr(shifts, "shifts_of", lambda sampler: few)
    answer = command("domain", "graphene-dopants", "-n", 1, "-o", tmp_path / "map.png", "-q")
    assert answer.status == 0, answer.err
    assert "jitter_nm 0.003" in answer.out and "jitter_nm 0.018" in answer.out and "expected" in answer.out
    assert (tmp_path / "map.png").stat().st_size > 5_000


def test_a_map_with_planes_has_a_picture() -> None:
    planes = [
        row({"dose_e_per_A2": dose, "pixel_nm": pixel}, 0.5, inside=dose > 1e3)
        for dose in (1e3, 1e4)
        for pixel in (0.01, 0.02)
    ]
    figure = domain_figure([row({}, 0.97), *planes, row({"material": "Si"}, 0.3)], "toy")
    assert len(figure.axes) == 2 and to_png(figure)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("domain", "pores"), "finds no columns"),
        (("domain", "movie-defects"), "finds no columns"),
        (("mend", "pores", "{file}", "-o", "new.safetensors"), "finds no columns"),
        (("mend", "atoms", "{file}", "-o", "new.pt"), "ends in .safetensors"),
        (("mend", "atoms", "{file}", "-o", "new.safetensors"), "--pixel-size"),
        (
            ("mend", "graphene-dopants", "{file}", "-o", "new.safetensors", "--structure", "a.cif"),
            "material of its own",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "frame.npy", np.random.default_rng(0).random((64, 64), dtype=np.float32))
    answer = command(*(part.format(file=tmp_path / "frame.npy") for part in arguments), "-q")
    assert answer.status == 2 and sentence in answer.err and len(answer.err.splitlines()) == 1
