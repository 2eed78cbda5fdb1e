"""Several workers give the tables of one process, also when one of them is lost on the way."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.apps import jobs, requests
from micrograph.apps.crew import crew, hired
from micrograph.core import BadInput
from micrograph.recipes import find_recipe
from micrograph.simulate.scanning.surfaces import SurfaceImages

SAMPLER = SurfaceImages(side_px=64, spacing_px=(9.0, 10.0), atoms=(1, 1), reconstructed=0.0, islands=0.0)


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    images = [replace(SAMPLER)(np.random.default_rng(number)).image for number in range(9)]
    np.save(tmp_path / "movie.npy", np.stack(images))
    return tmp_path / "movie.npy"


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_two_workers_of_whom_one_is_lost_give_the_same_tables(movie: Path, tmp_path: Path) -> None:
    request = requests.Request("surface-lattice", {"pixel_nm": "0.05 nm"}, workers=2)
    recipe, recording = jobs.recipe_for(request), requests.open_calibrated(movie, request)
    alone = jobs.analyze_opened(recipe, recording, request, into=tmp_path / "alone")
    seen: list[str] = []
    with crew(2) as found:
        pids = list(found.client.run(os.getpid).values())

        def progress(done: int, total: int, note: str = "") -> None:
            if not seen:
                os.kill(pids[0], signal.SIGKILL)
            seen.append(f"{done} of {total}")

        others = found.elsewhere(recipe, movie, request, tmp_path / "two", progress)
        together = jobs.analyze_opened(recipe, recording, request, into=tmp_path / "two", elsewhere=others)
    assert tables(together.folder) == tables(alone.folder)
    assert seen[-1] == "9 of 9"


def test_workers_are_refused_where_they_would_not_help_and_where_nobody_answers() -> None:
    with (
        pytest.raises(BadInput, match="leave --workers out"),
        hired(find_recipe("virtual-detectors"), requests.Request("virtual-detectors", workers=2)),
    ):
        pass
    with pytest.raises(BadInput, match="No Dask cluster answers at 'nowhere'"), crew(1, "nowhere"):
        pass
    with hired(find_recipe("atoms"), requests.Request("atoms")) as nobody:
        assert nobody is None
