"""Spectrum images, line scans and spectra: one frame a line, energies in eV, whatever the order of the axes."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from micrograph.core import BadInput, SignalAxis
from micrograph.io import describe, open_recording
from micrograph.io.spectra import _slab

CUBE = np.random.default_rng(5).poisson(4.0, (3, 5, 40)).astype(np.uint16)
PLACES = [("y", 2.0, "nm", True), ("x", 2.0, "nm", True)]


def written(path: Path, data: np.ndarray, axes: list[tuple[str, float, str, bool]], offset: float = 0.0) -> Path:
    """Write an array as HyperSpy does."""
    import zarr
    from rsciio import hspy

    stated: list[dict[str, Any]] = [
        {
            "_type": "UniformDataAxis",
            "index_in_array": number,
            "name": name,
            "size": size,
            "scale": scale,
            "offset": offset if name == "Energy" else 0.0,
            "units": units,
            "navigate": navigate,
        }
        for number, ((name, scale, units, navigate), size) in enumerate(zip(axes, data.shape, strict=True))
    ]
    tree = {
        "data": data,
        "axes": stated,
        "metadata": {"General": {"title": "SI"}, "Signal": {"signal_type": "EELS"}},
        "original_metadata": {},
        "learning_results": {},
        "models": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"name": "", "version": ""},
        "package": "",
        "package_version": "",
        "tmp_parameters": {},
    }
    if path.suffix == ".hspy":
        hspy.file_writer(str(path), tree, show_progressbar=False)
        return path
    group = zarr.open_group(str(path), mode="w", zarr_format=2).create_group("Experiments/SI")
    group.create_array("data", data=data)
    for number, one in enumerate(stated):
        group.create_group(f"axis-{number}").attrs.update(one)
    group.create_group("metadata/Signal").attrs.update({"signal_type": "EELS"})
    group.create_group("metadata/General").attrs.update({"title": "SI"})
    return path


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_a_spectrum_image_comes_line_by_line_with_its_energies(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"si{suffix}", CUBE, [*PLACES, ("Energy", 0.5, "eV", False)], 100.0)
    found = open_recording(path)
    assert found.calibration.content == "spectra"
    assert (found.nav_shape, found.shape, len(found)) == ((3, 5), (5, 40), 3)
    assert found.calibration.signal_axis == SignalAxis("eV", 0.5, 100.0)
    assert found.calibration.step_nm == 2.0
    assert found.metadata["signal_type"] == "EELS"
    assert found.read(1).dtype == np.float32
    np.testing.assert_array_equal(np.stack([frame.data for frame in found]), CUBE)
    np.testing.assert_array_equal(found.many(1, 3), CUBE[1:3])
    assert found.frame(2).known == {"scan_row": 2.0, "y_nm": 4.0}


def test_energies_may_come_first_and_in_keV_and_may_fall(tmp_path: Path) -> None:
    turned = np.ascontiguousarray(np.moveaxis(CUBE, -1, 0))[::-1]
    path = written(tmp_path / "si.hspy", turned, [("Energy", -0.01, "keV", False), *PLACES], 1.0)
    found = open_recording(path)
    np.testing.assert_array_equal(found.read(2), CUBE[2])
    axis = found.calibration.signal_axis
    assert axis is not None
    assert (axis.unit, axis.scale, axis.offset) == ("eV", 10.0, pytest.approx(1000 - 39 * 10))


@pytest.mark.parametrize(("part", "nav"), [(CUBE[0, 0], (1, 1)), (CUBE[0], (1, 5)), (CUBE[:1], (1, 5))])
def test_a_spectrum_and_a_line_of_spectra_are_one_frame(tmp_path: Path, part: np.ndarray, nav: tuple[int, int]) -> None:
    axes = [*PLACES, ("Energy", 0.5, "eV", False)][-part.ndim :]
    found = open_recording(written(tmp_path / "one.hspy", part, axes))
    assert (found.nav_shape, found.shape, len(found)) == (nav, (nav[1], 40), 1)
    np.testing.assert_array_equal(found.read(0), part.reshape(-1, 40))


def stored(path: Path, data: np.ndarray) -> Path:
    """Write an array that says nothing of its axes."""
    if path.suffix == ".npy":
        np.save(path, data)
    elif path.suffix == ".npz":
        np.savez(path, spectra=data)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["spectra"] = data
    else:
        import zarr

        zarr.save(str(path), data)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".zarr"])
def test_an_array_becomes_spectra_by_its_energies(tmp_path: Path, suffix: str) -> None:
    path = stored(tmp_path / f"si{suffix}", CUBE)
    found = open_recording(path, energy_axis=SignalAxis("eV", 0.01, 0.2), pixel_nm=1.5)
    assert (found.nav_shape, found.calibration.content, found.calibration.step_nm) == ((3, 5), "spectra", 1.5)
    np.testing.assert_array_equal(found.read(2), CUBE[2])
    assert open_recording(path).calibration.content == "image"


def test_only_the_line_that_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda file, dtype, count: read.append(count) or real(file, dtype, count))
    open_recording(stored(tmp_path / "si.npy", CUBE), energy_axis=SignalAxis("eV", 0.01)).read(1)
    assert read == [5 * 40]


def test_lines_of_a_vendor_file_are_read_together_and_kept(tmp_path: Path) -> None:
    _slab.cache_clear()
    found = open_recording(written(tmp_path / "si.hspy", CUBE, [*PLACES, ("Energy", 0.5, "eV", False)]))
    for index in (0, 1, 2, 1):
        np.testing.assert_array_equal(found.read(index), CUBE[index])
    assert _slab.cache_info().misses == 1


def test_images_beside_spectra_are_opened_unless_a_recipe_takes_but_spectra(tmp_path: Path) -> None:
    path = tmp_path / "both.h5"
    with h5py.File(path, "w") as file:
        file["HAADF"] = np.arange(300, dtype=np.float32).reshape(15, 20)
        file["spectra"] = CUBE
        energies = file.create_dataset("energy", data=100.0 + 0.5 * np.arange(40))
        energies.attrs["units"] = "eV"
        energies.make_scale("energy")
        file["spectra"].dims[2].attach_scale(energies)
    assert open_recording(path).calibration.content == "image"
    spectra = open_recording(path, takes=("spectra",))
    assert spectra.calibration.signal_axis == SignalAxis("eV", 0.5, 100.0)
    assert open_recording(path, signal="spectra").nav_shape == (3, 5)
    rows = {row["name"]: row for row in describe(path)}
    assert rows["spectra"]["trouble"] == ""
    assert rows["spectra"]["energies"] == "100 to 119.5 eV, 0.5 eV apart"


def test_several_spectrum_images_ask_which(tmp_path: Path) -> None:
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        for name in ("low", "high"):
            data = file.create_dataset(name, data=CUBE)
            energies = file.create_dataset(f"{name}-energy", data=100.0 + 0.5 * np.arange(40))
            energies.attrs["units"] = "eV"
            energies.make_scale("energy")
            data.dims[2].attach_scale(energies)
    with pytest.raises(BadInput, match=r"several spectra.*signal=.*'high'.*'low'"):
        open_recording(path)
    assert open_recording(path, signal="low").calibration.content == "spectra"


def test_a_series_of_spectrum_images_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = stored(tmp_path / "many.npy", np.stack([CUBE, CUBE]))
    with pytest.raises(BadInput, match="one spectrum image at a time"):
        open_recording(path, energy_axis=SignalAxis("eV", 0.01))
