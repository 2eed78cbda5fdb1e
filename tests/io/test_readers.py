"""Every reader gives back what a library wrote: values, number of frames and calibration, in our units."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from micrograph.core import Frame
from micrograph.io import describe, open_recording

MOVIE = np.random.default_rng(1).integers(0, 200, (3, 20, 30)).astype(np.uint16)
IMAGE = MOVIE[0]


def axes(units: str, scale: float, movie: bool) -> list[dict[str, Any]]:
    time = {"name": "time", "size": 3, "scale": 500.0, "offset": 0.0, "units": "ms", "navigate": True}
    sides = [
        {"name": name, "size": size, "scale": scale, "offset": 0.0, "units": units, "navigate": False}
        for name, size in (("y", 20), ("x", 30))
    ]
    return [time, *sides] if movie else sides


def tree(data: np.ndarray, units: str, scale: float) -> dict[str, Any]:
    """Return the dictionary that rosettasciio's writers take."""
    stated = [
        {"_type": "UniformDataAxis", "index_in_array": i, **a} for i, a in enumerate(axes(units, scale, data.ndim == 3))
    ]
    beam = {"Acquisition_instrument": {"TEM": {"beam_energy": 60.0, "convergence_angle": 30.0}}}
    return {
        "data": data,
        "axes": stated,
        "metadata": {"General": {"title": "HAADF"}, "Signal": {"signal_type": ""}, **beam},
        "original_metadata": {},
        "learning_results": {},
        "models": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"name": "", "version": ""},
        "package": "",
        "package_version": "",
        "tmp_parameters": {},
    }


def write_hspy(path: Path) -> None:
    from rsciio.hspy import file_writer

    file_writer(str(path), tree(MOVIE, "Å", 0.2), show_progressbar=False)


def write_nexus(path: Path) -> None:
    from rsciio.nexus import file_writer

    file_writer(str(path), tree(MOVIE, "nm", 0.02))


def write_emd(path: Path) -> None:
    from rsciio.emd import file_writer

    file_writer(str(path), tree(IMAGE, "µm", 2e-5))


def write_mrc(path: Path) -> None:
    head = np.zeros(256, "<i4")
    head[:4], head[7:10] = (30, 20, 1, 6), (30, 20, 1)
    head[10:13] = np.array([30 * 0.2, 20 * 0.2, 1], "<f4").view("<i4")
    path.write_bytes(head.tobytes() + IMAGE.tobytes())


def write_imagej(path: Path) -> None:
    said = {"axes": "TYX", "unit": "nm", "finterval": 0.5}
    tifffile.imwrite(path, MOVIE, imagej=True, resolution=(50.0, 50.0), metadata=said)


def write_ome(path: Path) -> None:
    sizes = {"PhysicalSizeX": 20.0, "PhysicalSizeXUnit": "pm", "PhysicalSizeY": 20.0, "PhysicalSizeYUnit": "pm"}
    tifffile.imwrite(path, MOVIE, metadata={"axes": "TYX", **sizes, "TimeIncrement": 500.0, "TimeIncrementUnit": "ms"})


def write_packed_tiff(path: Path) -> None:
    tifffile.imwrite(path, MOVIE, compression="zlib", photometric="minisblack", metadata={"axes": "TYX"})


def write_pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as file:
        for image in MOVIE:
            file.write(image, photometric="minisblack", contiguous=False)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("movie", data=MOVIE, chunks=(1, 20, 30))
        for number, (name, unit, step, size) in enumerate(
            (("t", "s", 0.5, 3), ("y", "nm", 0.02, 20), ("x", "nm", 0.02, 30))
        ):
            scale = file.create_dataset(name, data=step * np.arange(size))
            scale.attrs["units"] = unit
            scale.make_scale(name)
            data.dims[number].attach_scale(scale)
            data.dims[number].label = name


def write_folder(path: Path) -> None:
    path.mkdir()
    for number, image in zip((2, 10, 11), MOVIE, strict=True):
        Image.fromarray(image).save(path / f"frame_{number}.png")


@dataclass(frozen=True)
class Case:
    name: str
    write: Callable[[Path], Any]
    movie: bool = True
    pixel_nm: float | None = None
    frame_time_s: float | None = None
    voltage_kV: float | None = None


CASES = (
    Case("movie.npy", lambda path: np.save(path, MOVIE)),
    Case("fortran.npy", lambda path: np.save(path, np.asfortranarray(MOVIE))),
    Case("image.npy", lambda path: np.save(path, IMAGE), movie=False),
    Case("stored.npz", lambda path: np.savez(path, movie=MOVIE, times=np.arange(3))),
    Case("packed.npz", lambda path: np.savez_compressed(path, movie=MOVIE)),
    Case(
        "one.h5",
        lambda path: h5py.File(path, "w").create_dataset("a/b", data=IMAGE[None, ..., None]).file.close(),
        False,
    ),
    Case("scaled.h5", write_hdf5, True, 0.02, 0.5),
    Case("image.png", lambda path: Image.fromarray(IMAGE).save(path), movie=False),
    Case("imagej.tif", write_imagej, True, 0.02, 0.5),
    Case("ome.ome.tif", write_ome, True, 0.02, 0.5),
    Case("packed.tif", write_packed_tiff),
    Case("pages.tiff", write_pages),
    Case("frames", write_folder),
    Case("movie.hspy", write_hspy, True, 0.02, 0.5, 60.0),
    Case("movie.nxs", write_nexus, True, 0.02, 0.5, 60.0),
    Case("image.emd", write_emd, False, 0.02),
    Case("image.mrc", write_mrc, False, 0.02),
)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Case, Path]:
    case: Case = request.param
    case.write(tmp_path / case.name)
    return case, tmp_path / case.name


def test_a_written_recording_is_read_back_with_its_calibration(written: tuple[Case, Path]) -> None:
    case, path = written
    recording = open_recording(path)
    assert len(recording) == (3 if case.movie else 1)
    assert recording.shape == (20, 30)
    assert recording.dtype == "uint16"
    for position in reversed(range(len(recording))):
        frame = recording.frame(position)
        assert isinstance(frame, Frame)
        assert frame.data.dtype == np.float32
        np.testing.assert_array_equal(frame.data, MOVIE[position])
    found = recording.calibration
    assert found.pixel_nm == (None if case.pixel_nm is None else pytest.approx(case.pixel_nm, rel=1e-6))
    assert found.frame_time_s == (None if case.frame_time_s is None else pytest.approx(case.frame_time_s))
    assert found.voltage_kV == case.voltage_kV


def test_every_file_describes_itself_as_it_opens(written: tuple[Case, Path]) -> None:
    case, path = written
    usable = [row for row in describe(path) if not row["trouble"]]
    assert len(usable) == 1
    assert usable[0]["frames"] == (3 if case.movie else 1)
    assert usable[0]["pixel_nm"] == open_recording(path).calibration.pixel_nm
    assert usable[0]["reader"] == open_recording(path).metadata["reader"]


def test_a_recording_can_be_sent_to_another_process(written: tuple[Case, Path]) -> None:
    _, path = written
    sent = pickle.loads(pickle.dumps(open_recording(path)))
    np.testing.assert_array_equal(sent.frame(-1).data, open_recording(path).frame(-1).data)


def test_explicit_calibration_wins(written: tuple[Case, Path]) -> None:
    _, path = written
    found = open_recording(path, pixel_nm=0.5, frame_time_s=2.0).calibration
    assert (found.pixel_nm, found.frame_time_s) == (0.5, 2.0)
