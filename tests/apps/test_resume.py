"""A run that is killed goes on where it was and ends with the same bytes."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograph.infer import Predictor
from micrograph.recipes import find_recipe
from micrograph.run import RunSettings
from micrograph.simulate import StemSampler

FRAMES, SIDE, PIXEL_NM = 24, 96, 0.02
#: The command line with parts of four frames, so that a short movie has several.
PROGRAM = """
import micrograph.run, sys
settings = micrograph.run.RunSettings
micrograph.run.RunSettings = lambda **given: settings(**given, part_frames=4)
from micrograph.apps.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = find_recipe("graphene-dopants").data
    assert isinstance(data, StemSampler)
    short = replace(data, field_nm=SIDE * PIXEL_NM, pixel_nm=(PIXEL_NM, PIXEL_NM), dose_e_per_A2=(1e5, 1e5))
    path = Path(tmp_path_factory.mktemp("movie")) / "movie.npy"
    few = [short(np.random.default_rng([5, number])).image for number in range(6)]
    np.save(path, np.stack([few[number % 6] + np.float32(number) for number in range(FRAMES)]))
    return path


def arguments(movie: Path, out: Path) -> list[str]:
    scale = ["--pixel-size", f"{PIXEL_NM} nm", "--frame-time", "1 s"]
    return ["analyze", "graphene-dopants", str(movie), "-o", str(out), *scale]


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".parquet", ".csv")}


def kill_when(process: subprocess.Popen[bytes], ripe: Callable[[], bool]) -> None:
    """Kill a process, as no process can prevent, as soon as `ripe` says so."""
    while process.poll() is None and not ripe():
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.fixture
def in_parts_of_four(monkeypatch: pytest.MonkeyPatch, predictor_of: Callable[[str], Predictor]) -> None:
    monkeypatch.setattr("micrograph.run.RunSettings", functools.partial(RunSettings, part_frames=4))
    monkeypatch.setattr("micrograph.apps.jobs.predictor", lambda *_: predictor_of("graphene-dopants"))
    monkeypatch.setattr("micrograph.report.write_report", lambda result, progress: None)


@pytest.mark.usefixtures("in_parts_of_four")
def test_a_killed_run_is_resumed_to_the_same_bytes(movie: Path, tmp_path: Path, command: Callable[..., Any]) -> None:
    out, parts = tmp_path / "killed", tmp_path / "killed" / "parts"
    killed = subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments(movie, out)])
    kill_when(killed, lambda: len(list(parts.glob("frames-*.arrow"))) >= 2)
    assert not (out / "run.json").exists() and not list(out.glob("*.parquet"))

    assert command(*arguments(movie, out), "--resume").status == 0
    assert command(*arguments(movie, tmp_path / "undisturbed")).status == 0
    assert tables(out) == tables(tmp_path / "undisturbed")
    assert len(tables(out)) == 8 and not parts.exists()
