"""Multislice through abTEM: kept, resumed, the same for any number of workers, and right where it is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.simulate import multislice as module
from micrograph.simulate.multislice import (
    Multislice,
    displaced,
    duration,
    multislice,
    multislice_key,
    multislice_many,
)
from micrograph.simulate.optics import Microscope
from micrograph.structures.perovskite import cubic_perovskite

ATOMS = cubic_perovskite()
JOB = Multislice("pacbed", Microscope(200.0, 20.0, 10.0, 20.0), phonons=3)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let a part be the mean height of its atoms, and return the list of those made."""
    made: list[float] = []

    def through(atoms: object, job: Multislice) -> tuple[np.ndarray, tuple[float, float]]:
        made.append(float(atoms.positions.mean()))  # type: ignore[attr-defined]
        return np.full((2, 2), made[-1]), (0.5, 0.25)

    monkeypatch.setattr(module, "_through_abtem", through)
    return made


def test_parts_are_averaged_and_kept(tmp_path: Path, fake: list[float]) -> None:
    told: list[tuple[int, int, str]] = []
    found = multislice(ATOMS, JOB, folder=tmp_path, progress=lambda *one: told.append(one))
    assert found.array == pytest.approx(np.mean(fake)) and found.pixel == (0.5, 0.25) and found.unit == "mrad"
    assert [one[:2] for one in told] == [(0, 3), (1, 3), (2, 3), (3, 3)] and "left" in told[1][2]
    assert multislice(ATOMS, JOB, folder=tmp_path).array == pytest.approx(found.array) and len(fake) == 3
    assert [path.name for path in tmp_path.iterdir()] == [f"{found.key}.npz"]


def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, fake: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pulled(Exception):
        pass

    def pull(done: int, total: int, note: str) -> None:
        if done == 2:
            raise Pulled

    with pytest.raises(Pulled):
        multislice(ATOMS, JOB, folder=tmp_path, progress=pull)
    assert len(fake) == 2
    whole = multislice(ATOMS, JOB, folder=tmp_path / "other").array
    assert multislice(ATOMS, JOB, folder=tmp_path).array == pytest.approx(whole) and len(fake) == 6


def test_equal_jobs_are_made_once_and_waves_stay_apart(tmp_path: Path, fake: list[float]) -> None:
    wave = replace(JOB, kind="exit-wave")
    first, second, third = multislice_many([(ATOMS, JOB), (ATOMS, wave), (ATOMS, JOB)], folder=tmp_path)
    assert len(fake) == 6 and first.key == third.key != second.key
    assert second.array.shape == (3, 2, 2)


def test_all_that_decides_a_result_is_in_its_key() -> None:
    optics = Microscope(200.0, 21.0, 10.0, 20.0)
    other = [replace(JOB, phonons=4), replace(JOB, tilt_mrad=(1.0, 0.0)), replace(JOB, seed=1)]
    other += [replace(JOB, thermal_nm={"O": 0.01}), replace(JOB, microscope=optics)]
    keys = {multislice_key(ATOMS, one) for one in (JOB, *other)}
    moved = ATOMS.copy()
    moved.positions[0] += 0.01
    assert len(keys | {multislice_key(moved, JOB)}) == 7
    assert multislice_key(ATOMS[::-1], JOB) == multislice_key(ATOMS, JOB)


def test_a_frozen_state_follows_from_seed_and_number() -> None:
    one, same, other = displaced(ATOMS, JOB, 1), displaced(ATOMS, JOB, 1), displaced(ATOMS, JOB, 2)
    np.testing.assert_array_equal(one.positions, same.positions)
    assert not np.allclose(one.positions, other.positions)
    np.testing.assert_array_equal(displaced(ATOMS, replace(JOB, phonons=0), 1).positions, ATOMS.positions)


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="choose among exit-wave"):
        replace(JOB, kind="video")  # type: ignore[arg-type]
    bent = ATOMS.copy()
    bent.set_cell([[4, 0, 0], [1, 4, 0], [0, 0, 4]])
    with pytest.raises(BadInput, match="not orthogonal"):
        multislice(bent, JOB, folder=tmp_path)
    assert (duration(42), duration(400), duration(9000)) == ("42 s", "7 min", "2.5 h")


def test_abtem_scatters_into_the_detector_what_a_thin_crystal_does(tmp_path: Path) -> None:
    pytest.importorskip("abtem")
    optics = Microscope(200.0, 20.0, 10.0, 20.0)
    images = {}
    for kind, inner, outer in (("abf", 10.0, 20.0), ("haadf", 0.0, 60.0)):
        job = Multislice(kind, replace(optics, inner_mrad=inner, outer_mrad=outer), phonons=0, sampling_nm=0.012,
                         step_nm=0.1)  # type: ignore[arg-type]  # fmt: skip
        images[kind] = multislice(ATOMS * (2, 2, 1), job, folder=tmp_path).array
    assert images["abf"].mean() == pytest.approx(0.75, abs=0.05)
    assert images["haadf"].mean() == pytest.approx(1.0, abs=0.01)
