"""What happens between the array in a file and the frame: grey, square pixels, units."""

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from micrograph.core import BadInput
from micrograph.io import open_recording
from micrograph.io.axes import Axis, axis_of, length_nm, reciprocal, time_s
from micrograph.io.metadata import velox_angles
from micrograph.io.recording import square

GREY = np.random.default_rng(3).integers(0, 255, (20, 30)).astype(np.uint8)


@pytest.mark.parametrize(
    ("unit", "nm"),
    [
        ("nm", 2.0),
        ("Å", 0.2),
        ("A", 0.2),
        ("pm", 2e-3),
        ("um", 2e3),
        ("µm", 2e3),
        ("μm", 2e3),
        ("micron", 2e3),
        ("m", 2e9),
    ],
)
def test_lengths_come_in_nm(unit: str, nm: float) -> None:
    assert length_nm(Axis(5, scale=-2.0, unit=unit)) == pytest.approx(nm)


@pytest.mark.parametrize("unit", ["", "px", "1/nm", "mrad", "s", "eV", "<undefined>", None])
def test_what_is_no_length_leaves_the_pixel_unknown(unit: str | None) -> None:
    assert length_nm(axis_of({"scale": 1.0, "units": unit}, 5)) is None


@pytest.mark.parametrize("scale", [None, 0.0, float("nan"), "far", float("inf")])
def test_an_impossible_scale_counts_as_unknown(scale: object) -> None:
    assert length_nm(axis_of({"scale": scale, "units": "nm"}, 5)) is None


def test_times_come_in_seconds_and_patterns_keep_their_own_scale() -> None:
    assert time_s(Axis(5, scale=40.0, unit="ms")) == pytest.approx(0.04)
    angles = reciprocal(Axis(5, scale=0.1, unit="1/nm", offset=-0.2))
    assert angles is not None
    assert (angles.unit, angles.scale, angles.offset) == ("1/nm", 0.1, -0.2)


def write_uneven(path: Path, y_nm: float, x_nm: float, image: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("image", data=image)
        for number, (name, step) in enumerate((("y", y_nm), ("x", x_nm))):
            scale = file.create_dataset(name, data=step * np.arange(image.shape[number]))
            scale.attrs["units"] = "nm"
            data.dims[number].attach_scale(scale)


def test_uneven_pixels_become_squares_of_the_finer_side(tmp_path: Path) -> None:
    y, x = np.mgrid[:20, :30]
    write_uneven(tmp_path / "x.h5", 0.04, 0.02, 1.0 * y + 3.0 * x)
    recording = open_recording(tmp_path / "x.h5")
    assert recording.calibration.pixel_nm == pytest.approx(0.02)
    assert recording.shape == (40, 30)
    assert "resampled" in recording.metadata["notes"][0]
    frame = recording.frame(0).data
    assert frame.shape == (40, 30)
    rows = (np.arange(40) + 0.5) / 2 - 0.5
    inside = slice(1, -1)
    np.testing.assert_allclose(frame[inside], (rows[:, None] + 3.0 * np.arange(30))[inside], atol=1e-4)


def test_an_explicit_pixel_size_is_taken_as_square(tmp_path: Path) -> None:
    write_uneven(tmp_path / "x.h5", 0.04, 0.02, GREY)
    recording = open_recording(tmp_path / "x.h5", pixel_nm=0.03)
    assert recording.shape == (20, 30)
    np.testing.assert_array_equal(recording.frame(0).data, GREY)


@given(st.floats(0.3, 1.0), st.floats(0.3, 1.0))
def test_resampling_keeps_a_constant_image_and_covers_the_same_field(y: float, x: float) -> None:
    resampled = square(np.full((24, 31), 7.0), (y, x))
    np.testing.assert_allclose(resampled, 7.0, rtol=1e-6)
    assert 24 - y <= resampled.shape[0] * y + 1e-6 <= 24 + 1e-3
    assert 31 - x <= resampled.shape[1] * x + 1e-6 <= 31 + 1e-3


def test_a_colour_file_with_equal_channels_is_grey(tmp_path: Path) -> None:
    Image.fromarray(np.stack([GREY] * 3, axis=-1)).save(tmp_path / "rgb.png")
    Image.fromarray(np.stack([GREY] * 3 + [np.full_like(GREY, 255)], axis=-1)).save(tmp_path / "rgba.png")
    Image.fromarray(GREY).convert("P").save(tmp_path / "palette.png")
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([GREY] * 3, axis=-1), photometric="rgb")
    tifffile.imwrite(tmp_path / "rgb16.tif", np.stack([GREY.astype(np.uint16) * 200] * 3, axis=-1), photometric="rgb")
    np.save(tmp_path / "rgb.npy", np.stack([GREY] * 3, axis=-1))
    for name in ("rgb.png", "rgba.png", "palette.png", "rgb.tif", "rgb.npy"):
        recording = open_recording(tmp_path / name)
        assert (recording.shape, recording.dtype, len(recording)) == ((20, 30), "uint8", 1)
        np.testing.assert_array_equal(recording.frame(0).data, GREY)
    np.testing.assert_array_equal(open_recording(tmp_path / "rgb16.tif").frame(0).data, GREY * 200.0)


@pytest.mark.parametrize("dtype", ["?", "u1", "<u2", ">u2", "i4", ">i8", "f2", ">f4", "f8"])
@pytest.mark.parametrize("suffix", ["npy", "tif", "h5"])
def test_every_number_type_and_byte_order_becomes_float32(tmp_path: Path, dtype: str, suffix: str) -> None:
    data = (GREY > 100).astype(dtype) if dtype == "?" else (GREY // 3).astype(dtype)
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        np.save(path, data)
    elif suffix == "tif":
        tifffile.imwrite(path, data, byteorder=">" if dtype.startswith(">") else "<")
    else:
        with h5py.File(path, "w") as file:
            file["x"] = data
    frame = open_recording(path).frame(0)
    assert frame.data.dtype == np.float32
    np.testing.assert_array_equal(frame.data, data.astype(np.float32))


def test_nan_passes_through(tmp_path: Path) -> None:
    image = np.where(GREY > 200, np.nan, GREY)
    np.save(tmp_path / "x.npy", image)
    np.testing.assert_array_equal(open_recording(tmp_path / "x.npy").frame(0).data, image.astype(np.float32))


def test_frames_of_a_folder_come_in_natural_order(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9, 100):
        Image.fromarray(np.full((8, 9), number, np.uint8)).save(tmp_path / f"frame {number}.png")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "._frame 1.png").write_bytes(b"x")
    assert [frame.data[0, 0] for frame in open_recording(tmp_path)] == [1, 2, 9, 10, 100]


def test_a_folder_takes_the_scale_of_its_first_file(tmp_path: Path) -> None:
    for number in range(2):
        said = {"unit": "\\u00b5m"}
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, GREY, imagej=True, resolution=(4000.0, 4000.0), metadata=said)
    assert open_recording(tmp_path).calibration.pixel_nm == pytest.approx(0.25)


def test_slicing_a_recording_reads_the_right_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(7)[:, None, None] * np.ones((7, 5, 6)))
    part = open_recording(tmp_path / "x.npy")[1:7:2]
    assert [(frame.index, frame.data[0, 0]) for frame in part] == [(1, 1.0), (3, 3.0), (5, 5.0)]


def test_a_big_file_does_not_enter_memory(tmp_path: Path) -> None:
    """A sparse .npy of 4 GB is read here and there; what Python allocates stays at a few frames."""
    import tracemalloc

    path = tmp_path / "big.npy"
    with path.open("wb") as file:
        head = {"descr": "<f4", "fortran_order": False, "shape": (4096, 512, 512)}
        np.lib.format.write_array_header_1_0(file, head)
        file.truncate(file.tell() + 4096 * 512 * 512 * 4)
    tracemalloc.start()
    recording = open_recording(path)
    for position in range(0, len(recording), 500):
        recording.frame(position)
    assert tracemalloc.get_traced_memory()[1] < 8 * 512 * 512 * 4
    tracemalloc.stop()


def test_a_big_array_in_fortran_order_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.npy"
    with path.open("wb") as file:
        head = {"descr": "<f4", "fortran_order": True, "shape": (400, 512, 512)}
        np.lib.format.write_array_header_1_0(file, head)
        file.truncate(file.tell() + 400 * 512 * 512 * 4)
    with pytest.raises(BadInput, match="ascontiguousarray"):
        open_recording(path)


def test_velox_states_its_angles_in_radians() -> None:
    detectors = {
        "Detector-0": {"DetectorName": "BF", "CollectionAngleRange": {"begin": "0", "end": "0.01"}},
        "Detector-1": {"DetectorName": "HAADF", "CollectionAngleRange": {"begin": "0.05", "end": "0.2"}},
    }
    tree = {"Optics": {"BeamConvergence": "0.0214"}, "Detectors": detectors, "BinaryResult": {"Detector": "HAADF"}}
    found = velox_angles(tree)
    assert found == {
        "convergence_mrad": pytest.approx(21.4),
        "inner_mrad": pytest.approx(50.0),
        "outer_mrad": pytest.approx(200.0),
    }
    assert velox_angles({}) == velox_angles({"Optics": {"BeamConvergence": "unknown"}}) == {}


def test_a_zeiss_palette_of_greys_and_annotation_colours_is_grey(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    ramp[:, 9::9] = [[65535], [0], [0]]
    tifffile.imwrite(tmp_path / "sem.tif", GREY, photometric="palette", colormap=ramp)
    recording = open_recording(tmp_path / "sem.tif")
    np.testing.assert_array_equal(recording.frame(0).data, GREY)
    assert "palette" in recording.metadata["notes"][0]
    false_colours = np.random.default_rng(0).integers(0, 65535, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "false.tif", GREY, photometric="palette", colormap=false_colours)
    with pytest.raises(BadInput, match="false colours"):
        open_recording(tmp_path / "false.tif")


def test_sixteen_bit_colours_are_not_cut_to_eight(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(2 * 19))), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks]
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    with pytest.raises(BadInput, match="16-bit"):
        open_recording(tmp_path / "x.png")
