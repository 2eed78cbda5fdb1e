"""To HyperSpy and back: values, axes with units, kinds of spectra; without HyperSpy, one sentence."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import micrograph
from micrograph.apps.hyperspy_bridge import axes_of, metadata_of
from micrograph.core import BadInput, Calibration, Recording, SignalAxis
from micrograph.io import open_recording

CUBE = np.random.default_rng(1).poisson(5.0, (3, 4, 30)).astype(np.float32)
SPECTRA = Calibration(content="spectra", step_nm=2.0, signal_axis=SignalAxis("eV", 0.5, 100.0), voltage_kV=200.0)
MOVIE = np.random.default_rng(2).normal(size=(3, 20, 30)).astype(np.float32)
TIMED = Calibration(pixel_nm=0.1, frame_time_s=0.5)


def recording_of(array: np.ndarray, scale: Calibration) -> Recording:
    nav = array.shape[:2] if scale.content == "spectra" else ()
    return Recording(array.__getitem__, range(len(array)), scale, array.shape[1:], "float32", "it", nav_shape=nav)


def like_hyperspy(array: Any, recording: Recording, kind: str = "") -> SimpleNamespace:
    """Return what `from_hyperspy` looks at in a signal."""
    axes = {f"axis-{number}": axis for number, axis in enumerate(axes_of(recording))}
    tree = metadata_of(recording) | {"Signal": {"signal_type": kind}}
    manager = SimpleNamespace(as_dictionary=lambda: axes)
    return SimpleNamespace(data=array, axes_manager=manager, metadata=SimpleNamespace(as_dictionary=lambda: tree))


@pytest.mark.parametrize(("array", "scale"), [(CUBE, SPECTRA), (MOVIE, TIMED), (MOVIE[:1], Calibration(pixel_nm=0.1))])
def test_axes_come_back_as_they_went(array: np.ndarray, scale: Calibration) -> None:
    there = recording_of(array, scale)
    data = array if len(array) > 1 else array[0]
    back = micrograph.from_hyperspy(like_hyperspy(data, there, "EELS"))
    assert back.calibration == scale
    assert (len(back), back.shape, back.nav_shape) == (len(there), there.shape, there.nav_shape)
    np.testing.assert_array_equal(back.read(len(array) - 1), array[-1])


def test_lazy_data_are_read_line_by_line() -> None:
    dask = pytest.importorskip("dask.array")
    lazy = dask.from_array(CUBE, chunks=(1, 4, 30))
    back = micrograph.from_hyperspy(like_hyperspy(lazy, recording_of(CUBE, SPECTRA)))
    np.testing.assert_array_equal(back.read(1), CUBE[1])


def test_the_axes_are_those_of_hyperspys_own_files(tmp_path: Path) -> None:
    from rsciio import hspy

    there = recording_of(CUBE, SPECTRA)
    stated = [{"_type": "UniformDataAxis", "index_in_array": n} | one for n, one in enumerate(axes_of(there))]
    tree = {
        "data": CUBE,
        "axes": stated,
        "metadata": metadata_of(there) | {"Signal": {"signal_type": "EELS"}},
        "original_metadata": {},
        "learning_results": {},
        "models": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"name": "", "version": ""},
        "package": "",
        "package_version": "",
        "tmp_parameters": {},
    }
    hspy.file_writer(str(tmp_path / "it.hspy"), tree, show_progressbar=False)
    assert open_recording(tmp_path / "it.hspy").calibration == SPECTRA


def test_without_hyperspy_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(BadInput, match="pip install hyperspy"):
        micrograph.to_hyperspy(MOVIE, calibration=TIMED)


def test_what_is_no_signal_is_refused() -> None:
    with pytest.raises(BadInput, match="no signal of HyperSpy"):
        micrograph.from_hyperspy(MOVIE)


def test_hyperspy_is_not_imported_unless_asked_for() -> None:
    code = "import micrograph, sys; micrograph.to_hyperspy; sys.exit('hyperspy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("array", "scale", "kind"), [(CUBE, SPECTRA, "EELSSpectrum"), (MOVIE, TIMED, "Signal2D")])
@pytest.mark.parametrize("lazy", [False, True])
def test_signals_of_hyperspy_hold_the_same(array: np.ndarray, scale: Calibration, kind: str, lazy: bool) -> None:
    pytest.importorskip("hyperspy")
    pytest.importorskip("exspy")
    there = recording_of(array, scale)
    signal = micrograph.to_hyperspy(there, kind="EELS" if kind.startswith("EELS") else None, lazy=lazy)
    assert type(signal).__name__ == ("Lazy" if lazy else "") + kind
    back = micrograph.from_hyperspy(signal)
    assert back.calibration == scale
    np.testing.assert_array_equal(back.read(2), array[2])
