"""What `micrograph live` and `micrograph analyze` ask alike: one definition, the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from micrograph.apps import cli

#: What only one of the two can be asked, with the reason.
#: Several files; frames come one by one; maps of a stream have no end; a stream is looked at by one process.
ONLY_ANALYZE = {"paths", "memory", "maps", "workers", "cluster"}
ONLY_LIVE = {
    "source", "triggers", "dry_run", "speed", "until_idle", "policy", "ring", "page", "host", "port",
}  # fmt: skip


def options(name: str) -> dict[str, Any]:
    command = typer.main.get_command(cli.app).commands[name]  # type: ignore[attr-defined]
    return {each.name: each for each in command.params}


def test_live_and_analyze_have_the_same_options_but_for_a_named_few() -> None:
    analyze, live = options("analyze"), options("live")
    assert set(analyze) - set(live) == ONLY_ANALYZE and set(live) - set(analyze) == ONLY_LIVE
    for name in set(analyze) & set(live):
        for fact in ("opts", "help", "default", "required", "multiple"):
            assert getattr(analyze[name], fact, None) == getattr(live[name], fact, None), (name, fact)


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    np.save(tmp_path / "movie.npy", 100 + rng.normal(0, 5, (5, 96, 96)).astype(np.float32))
    (tmp_path / "log.csv").write_text("time (s),temperature (°C)\n0,20\n1,120\n2,220\n")
    return tmp_path / "movie.npy"


COMMON = (
    "--pixel-size", "0.5 nm", "--frame-time", "0.5 s", "--voltage", "80 kV", "--convergence", "30 mrad", "--inner",
    "80 mrad", "--outer", "200 mrad", "--dose", "1e4 e/angstrom^2", "--frames", "1:4", "--log-start", "0.25 s",
)  # fmt: skip


def test_every_shared_option_does_the_same_in_both(movie: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    common = (*COMMON, "--log", tmp_path / "log.csv")
    assert command("analyze", "particle-shapes", movie, "-o", tmp_path / "file", *common).status == 0
    live = ("live", "particle-shapes", f"replay:{movie}", "-o", tmp_path / "live", "--speed", "fastest", "--no-page")
    assert command(*live, *common).status == 0
    records = [json.loads((tmp_path / kind / "run.json").read_text())["key"] for kind in ("file", "live")]
    assert records[0]["input"] == records[1]["input"] and records[0]["settings"] == records[1]["settings"]
    frames = [(tmp_path / kind / "frames.csv").read_bytes() for kind in ("file", "live")]
    assert frames[0] == frames[1] and b"95" in frames[0]


def test_a_log_joins_the_frames_of_a_folder(movie: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(np.load(movie)):
        np.save(folder / f"haadf_{number}.npy", image)
    live = ("live", "particle-shapes", f"folder:{folder}", "-o", tmp_path / "live", "--no-page")
    scale = ("--until-idle", "0.5 s", "--pixel-size", "0.5 nm", "--frame-time", "0.5 s", "--log", tmp_path / "log.csv")
    assert command(*live, *scale).status == 0
    frames = pd.read_parquet(tmp_path / "live" / "frames.parquet")
    np.testing.assert_allclose(frames["temperature_C"], [20, 70, 120, 170, 220])
    for option in (("--frames", "0:2"), ("--signal", "1")):
        answer = command(*live, *scale, *option)
        assert answer.status == 2 and option[0] in answer.err and "replay" in answer.err
