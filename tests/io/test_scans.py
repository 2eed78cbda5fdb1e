"""4D-STEM scans of every format: the patterns come out line by line, with the scales that the file states."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from micrograph.core import BadInput, Calibration, Recording
from micrograph.io import describe, open_recording
from micrograph.io.scan_files import RawLayout

DOWN, ACROSS, SIDE = 3, 4, 16
SCAN = np.random.default_rng(0).integers(0, 200, (DOWN, ACROSS, SIDE, SIDE)).astype(np.uint16)


def write_mib(path: Path) -> None:
    fields = ["MQ1", "000001", "00384", "01", f"{SIDE:04d}", f"{SIDE:04d}", "U16", "   1x1", "01", "2026-01-01"]
    head = (",".join(fields) + ",").encode().ljust(384, b"\0")
    frames = SCAN[:, :, ::-1].reshape(-1, SIDE, SIDE).astype(">u2")
    path.write_bytes(b"".join(head + frame.tobytes() for frame in frames))
    lines = ["HDR,", f"Frames in Acquisition (Number):\t{DOWN * ACROSS}", f"Frames per Trigger (Number):\t{ACROSS}"]
    path.with_suffix(".hdr").write_text("\n".join([*lines, "End\t"]))


def write_blo(path: Path) -> None:
    head = b"IMGBLO" + struct.pack("<HIIIHHHHH", 258, 0x1000, 0x1100, 131141, SIDE, 0, ACROSS, DOWN, 0)
    head += struct.pack("<ddIHI", 2.5, 2.5, 200_000, 10_000, 2000)
    frames = SCAN.reshape(-1, SIDE * SIDE).astype(np.uint8)
    body = b"".join(b"\xaaU" + struct.pack("<I", i) + frame.tobytes() for i, frame in enumerate(frames))
    path.write_bytes(head.ljust(0x1100, b"\0") + body)


def write_empad(path: Path) -> None:
    patterns = np.zeros((DOWN * ACROSS, 130, 128), "<f4")
    patterns[:, :SIDE, :SIDE] = SCAN.reshape(-1, SIDE, SIDE)
    patterns[:, 128:] = -7
    patterns.tofile(path.with_name(f"scan_x{ACROSS}_y{DOWN}.raw"))
    path.write_text(
        f'<root><raw_file filename="scan_x{ACROSS}_y{DOWN}.raw"/><pix_x>{ACROSS}</pix_x><pix_y>{DOWN}</pix_y>'
        "<iom_measurements><calibrated_pixelsize>2e8</calibrated_pixelsize>"
        "<optics.get_full_scan_field_of_view>(6e-9, 8e-9)</optics.get_full_scan_field_of_view></iom_measurements>"
        "<software>EMPAD</software></root>"
    )


def write_emd(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("data/scan")
        group.attrs["emd_group_type"] = 1
        group["data"] = SCAN
        for number, (size, step, unit) in enumerate(
            ((DOWN, 0.2, "[n_m]"), (ACROSS, 0.2, "[n_m]"), (SIDE, 0.5, "mrad"), (SIDE, 0.5, "mrad")), start=1
        ):
            group[f"dim{number}"] = np.arange(size) * step
            group[f"dim{number}"].attrs["units"] = np.bytes_(unit)


def write_py4dstem(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["datacube_root/datacube/data"] = SCAN
        kept = file.create_group("datacube_root/metadatabundle/calibration")
        for name, value in (("Q_pixel_size", 0.02), ("R_pixel_size", 2.0)):
            kept[name] = value
        kept["Q_pixel_units"], kept["R_pixel_units"] = "A^-1", "A"


def write_npy(path: Path) -> None:
    np.save(path, SCAN)


def write_zarr(path: Path) -> None:
    zarr.create_array(path, data=SCAN, chunks=(1, 2, SIDE, SIDE))


def write_chunked(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("scan", data=SCAN, chunks=(1, 2, SIDE, SIDE), compression="gzip")


#: Name of the file -> its writer, step of the scan (nm), scale of the patterns.
FORMATS: dict[str, tuple[Callable[[Path], None], float | None, tuple[str, float] | None]] = {
    "scan.mib": (write_mib, None, None),
    "scan.blo": (write_blo, 2.5, ("mrad", 0.5)),
    "scan.xml": (write_empad, 2.0, ("1/nm", 0.2e18)),
    "scan.emd": (write_emd, 0.2, ("mrad", 0.5)),
    "py4dstem.h5": (write_py4dstem, 0.2, ("1/angstrom", 0.02)),
    "scan.npy": (write_npy, None, None),
    "scan.h5": (write_chunked, None, None),
    "scan.zarr": (write_zarr, None, None),
}


def opened(name: str, folder: Path) -> Recording:
    FORMATS[name][0](folder / name)
    return open_recording(folder / name)


@pytest.mark.parametrize("name", FORMATS)
def test_patterns_come_line_by_line_with_their_scales(name: str, tmp_path: Path) -> None:
    recording = opened(name, tmp_path)
    _, step, scale = FORMATS[name]
    assert recording.nav_shape == (DOWN, ACROSS) and len(recording) == DOWN * ACROSS
    np.testing.assert_array_equal(recording.frame(6).data[:SIDE, :SIDE], SCAN[1, 2])
    np.testing.assert_array_equal(recording.many(2, 9)[:, :SIDE, :SIDE], SCAN.reshape(-1, SIDE, SIDE)[2:9])
    rows = recording.rows()
    assert len(rows) == DOWN and rows.calibration.content == "rows"
    np.testing.assert_array_equal(rows.frame(2).data[:, :SIDE, :SIDE], SCAN[2])
    np.testing.assert_array_equal(recording.rows(2).frame(1).data[:, :SIDE, :SIDE], SCAN[2])
    assert recording.calibration.step_nm == pytest.approx(step) if step else recording.calibration.step_nm is None
    axis = recording.calibration.signal_axis
    if scale is None:
        assert axis is None
    else:
        assert axis is not None and (axis.unit, axis.scale) == (scale[0], pytest.approx(scale[1]))
    (row,) = describe(tmp_path / name)
    assert row["frames"] == DOWN * ACROSS and not row["trouble"]


def test_averaged_patterns_are_means_over_blocks_of_places() -> None:
    flat = SCAN.reshape(-1, SIDE, SIDE)
    scale = Calibration(content="scan", step_nm=0.2)
    recording = Recording(flat.__getitem__, range(12), scale, (SIDE, SIDE), nav_shape=(DOWN, ACROSS))
    found = recording.averaged(2)
    assert found.nav_shape == (1, 2) and found.calibration.step_nm == 0.4
    np.testing.assert_allclose(found.frame(1).data, SCAN[:2, 2:4].mean(axis=(0, 1)), rtol=1e-6)
    assert found.frame(1).known["x_nm"] == pytest.approx(0.4)


def test_a_series_of_patterns_becomes_a_scan_by_its_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", SCAN.reshape(-1, SIDE, SIDE))
    recording = open_recording(tmp_path / "x.npy", scan_shape=(DOWN, ACROSS))
    np.testing.assert_array_equal(recording.rows().frame(1).data, SCAN[1])
    cut = open_recording(tmp_path / "x.npy", scan_shape=(5, ACROSS))
    assert cut.nav_shape == (DOWN, ACROSS) and "3 of its 5 lines" in cut.metadata["notes"][0]
    with pytest.raises(BadInput, match=r"12 patterns, but --scan-shape is 2x3"):
        open_recording(tmp_path / "x.npy", scan_shape=(2, 3))


def test_raw_numbers_are_read_as_they_are_described(tmp_path: Path) -> None:
    path = tmp_path / "x.raw"
    path.write_bytes(b"head" + b"".join(b"gap" + one.tobytes() for one in SCAN.reshape(-1, SIDE, SIDE)))
    recording = open_recording(path, raw_layout=f"{DOWN}x{ACROSS}x{SIDE}x{SIDE} <u2 offset=4 gap=3")
    np.testing.assert_array_equal(recording.frame(7).data, SCAN[1, 3])
    assert RawLayout.parsed("4,5,6 float32").shape == (4, 5, 6)
    for layout, said in (("64x64", "pattern rows"), ("0x2x2 uint8", "at least 1"), ("9x9x99x99 uint16", "asks for")):
        with pytest.raises(BadInput, match=said):
            open_recording(path, raw_layout=layout)
    with pytest.raises(BadInput, match="--raw-layout"):
        open_recording(path)


def test_files_that_end_too_early_are_refused_or_cut(tmp_path: Path) -> None:
    write_mib(tmp_path / "x.mib")
    path = tmp_path / "x.mib"
    path.write_bytes(path.read_bytes()[: (384 + 2 * SIDE**2) * 9 + 100])
    assert open_recording(path).nav_shape == (2, ACROSS)
    path.write_bytes(b"MQ1,000001,00384,01,0016,0016,R64,")
    with pytest.raises(BadInput, match="raw counters"):
        open_recording(path)
    write_blo(tmp_path / "x.blo")
    short = tmp_path / "y.blo"
    short.write_bytes((tmp_path / "x.blo").read_bytes()[:0x1180])
    with pytest.raises(BadInput, match="first line"):
        open_recording(short)
    write_empad(tmp_path / "z.xml")
    (tmp_path / f"scan_x{ACROSS}_y{DOWN}.raw").unlink()
    with pytest.raises(BadInput, match="not beside it"):
        open_recording(tmp_path / "z.xml")


def test_patterns_first_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.emd", "w") as file:
        group = file.create_group("scan")
        group.attrs["emd_group_type"] = 1
        group["data"] = np.moveaxis(SCAN, (0, 1), (2, 3))
        for number, unit in enumerate(("mrad", "mrad", "nm", "nm"), start=1):
            group[f"dim{number}"] = np.arange(group["data"].shape[number - 1]) * 0.5
            group[f"dim{number}"].attrs["units"] = unit
    with pytest.raises(BadInput, match="patterns first"):
        open_recording(tmp_path / "x.emd")
