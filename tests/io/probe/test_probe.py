"""Files of scanning probe microscopes: every channel upright, in nm and nA, whichever way the tip went."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.io import open_recording
from micrograph.io.probe import gwyddion, igor, nanonis, nanoscope, ntmdt, omicron
from micrograph.io.recording import make_recording
from micrograph.io.signals import Signal

HEIGHT = (np.arange(12, dtype=np.float32).reshape(3, 4) - 5) * 1e-9


def write_sxm(path: Path, direction: str = "down", cut: int = 0) -> Path:
    """Write heights and currents of 3 lines of 4 places over 2 x 1.5 nm, forward and backward."""
    header = (
        ":NANONIS_VERSION:\n2\n:SCAN_PIXELS:\n       4       3\n:SCAN_RANGE:\n           2.0E-9           1.5E-9\n"
        f":SCAN_DIR:\n{direction}\n:BIAS:\n            -5.000E-2\n:DATA_INFO:\n"
        "\tChannel\tName\tUnit\tDirection\tCalibration\tOffset\n\t0\tCurrent\tA\tboth\t1.0E-9\t0.0E+0\n"
        "\t14\tZ\tm\tboth\t9.0E-9\t0.0E+0\n\n:SCANIT_END:\n\n\n"
    )
    upright = HEIGHT if direction == "down" else HEIGHT[::-1]
    images = [upright * 0.1, upright[:, ::-1] * 0.1, upright, upright[:, ::-1]]
    raw = header.encode() + b"\x1a\x04" + np.stack(images).astype(">f4").tobytes()
    path.write_bytes(raw[: len(raw) - cut])
    return path


def write_gwy(path: Path) -> Path:
    import gwyfile

    field = gwyfile.objects.GwyDataField(
        HEIGHT.astype(float),
        xreal=2e-9,
        yreal=1.5e-9,
        si_unit_xy=gwyfile.objects.GwySIUnit(unitstr="m"),
        si_unit_z=gwyfile.objects.GwySIUnit(unitstr="m"),
    )
    container = gwyfile.objects.GwyContainer()
    container["/0/data/title"], container["/0/data"] = "Topography", field
    container.tofile(str(path))
    return path


def write_ibw(path: Path) -> Path:
    """Write an Igor wave, version 5, of heights (x, y, 1) with y upwards."""
    data = np.ascontiguousarray(HEIGHT[::-1].T, "<f4")
    labels = b"".join(name.ljust(32, b"\0") for name in (b"", b"HeightRetrace"))
    wave = struct.pack("<IIIihh6sh32siI", 0, 0, 0, data.size, 2, 0, b"", 1, b"scan", 0, 0)
    wave += struct.pack("<4i4d4d", 4, 3, 1, 0, 5e-10, 5e-10, 1, 1, 0, 0, 0, 0)
    wave += struct.pack("<4s", b"m") + struct.pack("<4s4s4s4s", b"m", b"m", b"", b"")
    wave += struct.pack("<hhddI4I4II16i", 0, 0, 0, 0, 0, *[0] * 4, *[0] * 4, 0, *[0] * 16)
    wave += struct.pack("<hhhccIihhII", 0, 0, 0, b"\0", b"\0", 0, 0, 0, 0, 0, 0)
    payload = data.T.tobytes()  # the first dimension runs fastest

    def head(checksum: int) -> bytes:
        sizes = (len(wave) + len(payload), 0, 0, 0, *[0] * 4, 0, 0, len(labels), 0, 0, 0, 0)
        return struct.pack("<hh15i", 5, checksum, *sizes)

    words = np.frombuffer(head(0) + wave, "<i2").astype(int)
    checksum = (-int(words.sum())) & 0xFFFF
    raw = head(checksum - 0x10000 if checksum >= 0x8000 else checksum) + wave + payload + labels
    path.write_bytes(raw)
    return path


def write_nanoscope(path: Path, bytes_each: int = 2) -> Path:
    """Write heights whose hard scale is 10 V over the range of stored numbers, with 4 nm a volt."""
    step = 10 / 2 ** (8 * bytes_each) * 4e-9
    stored = np.rint(HEIGHT[::-1] / step).astype(f"<i{bytes_each}")
    header = (
        "\\*File list\r\n\\Version: 0x09300202\r\n\\*Ciao scan list\r\n\\Scan Size: 2 1.5 nm\r\n\\Samps/line: 4\r\n"
        "\\@Sens. Zsens: V 4.000 nm/V\r\n\\*Ciao image list\r\n\\Data offset: 2048\r\n"
        f"\\Data length: {stored.nbytes}\r\n\\Number of lines: 3\r\n\\Line Direction: Trace\r\n"
        '\\@2:Image Data: S [Height] "Height"\r\n'
        "\\@2:Z scale: V [Sens. Zsens] (0.000152 V/LSB) 10.00 V\r\n\\*File list end\r\n"
    )
    path.write_bytes(header.encode("latin-1").ljust(2048, b"\0") + stored.tobytes())
    return path


def mdt_file(path: Path, kind: int, body: bytes, variables: int) -> Path:
    """Write an NT-MDT file of one frame."""
    frame = struct.pack("<IHBB6HH", 22 + len(body), kind, 0, 7, 2023, 4, 5, 11, 46, 5, variables) + body
    path.write_bytes(b"\x01\xb0\x93\xff" + struct.pack("<IIH", len(frame), 0, 0) + bytes(19) + frame)
    return path


def write_mdt(path: Path) -> Path:
    """Write a scan of 3 lines of 4 places, 0.5 nm apart, heights in steps of 0.001 nm from -5 nm on."""
    scales = struct.pack("<ffhffhffh", 0, 5.0, 0, 0, 5.0, 0, -5.0, 0.001, -1)
    stored = np.rint((HEIGHT[::-1] * 1e9 + 5) / 0.001).astype("<i2").tobytes()
    body = scales.ljust(77, b"\0") + struct.pack("<4H", 0, 4, 3, 0) + stored + struct.pack("<I", 7) + b"Heights"
    return mdt_file(path, 0, body, 77)


def write_mdt_map(path: Path) -> Path:
    """Write a map of floating-point heights in nm, 4 by 3 places of 0.0005 um."""

    def axis(unit: bytes, scale: float, size: int, kind: int) -> bytes:
        numbers = struct.pack("<QdQddQQiI", 0, 0, 0, 0.0, scale, 0, max(size - 1, 0), kind, 0).ljust(100, b"\0")
        return struct.pack("<5I", 112 + 8 + 2 * len(unit), 112, len(unit), 0, len(unit)) + numbers + 2 * unit

    axes = axis(b"um", 0.0005, 4, -8) + axis(b"um", 0.0005, 3, -8) + axis(b"nm", 1.0, 0, -13320)
    structure = struct.pack("<IQIII", 33, 12, 8, 2, 1).ljust(37, b"\0") + axes
    head = 76 + 7 + 4 + len(structure)
    sizes = struct.pack("<8I", 7, 0, 0, 0, 0, 4 + len(structure), 0, 96)
    body = (struct.pack("<II", 76, head) + bytes(36) + sizes).ljust(76, b"\0") + b"Heights"
    body += struct.pack("<I", 4 + len(structure)) + structure + (HEIGHT[::-1] * 1e9).astype("<f8").tobytes()
    return mdt_file(path, 106, body, 0)


FILES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], list[Signal]], str]] = {
    "scan.sxm": (write_sxm, nanonis.signals, "Z forward"),
    "scan.gwy": (write_gwy, gwyddion.signals, "Topography"),
    "scan.ibw": (write_ibw, igor.signals, "HeightRetrace"),
    "scan.spm": (write_nanoscope, nanoscope.signals, "Height forward"),
    "scan.mdt": (write_mdt, ntmdt.signals, "Heights"),
    "map.mdt": (write_mdt_map, ntmdt.signals, "Heights"),
}


@pytest.mark.parametrize("name", FILES)
def test_heights_are_in_nm_with_square_pixels_of_half_a_nm(name: str, tmp_path: Path) -> None:
    write, signals, title = FILES[name]
    found = signals(write(tmp_path / name))
    assert found[0].name == title
    recording = make_recording(found[0], name, pixel_nm=None, frame_time_s=None)
    assert recording.calibration.pixel_nm == pytest.approx(0.5)
    assert recording.calibration.value_unit == "nm"
    np.testing.assert_allclose(recording.frame(0).data, HEIGHT * 1e9, atol=1e-3)


@pytest.mark.parametrize("direction", ["down", "up"])
def test_both_ways_of_the_tip_show_the_same_place(direction: str, tmp_path: Path) -> None:
    found = {one.name: one for one in nanonis.signals(write_sxm(tmp_path / "scan.sxm", direction))}
    assert set(found) == {"Z forward", "Z backward", "Current forward", "Current backward"}
    for name, scale in (("Z", 1.0), ("Current", 0.1)):
        for way in ("forward", "backward"):
            one = make_recording(found[f"{name} {way}"], "", pixel_nm=None, frame_time_s=None)
            np.testing.assert_allclose(one.frame(0).data, HEIGHT * 1e9 * scale, rtol=1e-5)
    assert found["Current forward"].stated.value_unit == "nA"


def test_whole_numbers_of_four_bytes_are_read_too(tmp_path: Path) -> None:
    (found,) = nanoscope.signals(write_nanoscope(tmp_path / "scan.spm", 4))
    np.testing.assert_allclose(np.asarray(found.array[(slice(None), slice(None))]), HEIGHT * 1e9, atol=1e-6)


def test_a_recording_of_a_scan_opens_its_heights_unless_told_otherwise(tmp_path: Path) -> None:
    path = write_sxm(tmp_path / "scan.sxm")
    np.testing.assert_allclose(open_recording(path).frame(0).data, HEIGHT * 1e9, rtol=1e-5)
    current = open_recording(path, signal="Current backward")
    assert current.calibration.value_unit == "nA"


def test_a_truncated_scan_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="truncated"):
        nanonis.signals(write_sxm(tmp_path / "scan.sxm", cut=20))
    (tmp_path / "no.spm").write_bytes(b"\\*File list\r\n")
    with pytest.raises(BadInput, match="no Nanoscope header"):
        nanoscope.signals(tmp_path / "no.spm")
    (tmp_path / "no.gwy").write_bytes(b"GWYP no more")
    with pytest.raises(BadInput, match="gwyfile"):
        gwyddion.signals(tmp_path / "no.gwy")
    (tmp_path / "no.ibw").write_bytes(b"\x05\x00 not a wave")
    with pytest.raises(BadInput, match="igor2"):
        igor.signals(tmp_path / "no.ibw")
    whole = write_mdt(tmp_path / "whole.mdt").read_bytes()
    (tmp_path / "cut.mdt").write_bytes(whole[:-30])
    with pytest.raises(BadInput, match="truncated"):
        ntmdt.signals(tmp_path / "cut.mdt")
    (tmp_path / "no.mdt").write_bytes(b"something else")
    with pytest.raises(BadInput, match="another format"):
        ntmdt.signals(tmp_path / "no.mdt")


def test_a_matrix_file_alone_asks_for_the_one_with_its_scale(tmp_path: Path) -> None:
    path = tmp_path / "default_2023Apr05-114605_STM--3_1.Z_mtrx"
    path.write_bytes(b"ONTMATRX0101")
    with pytest.raises(BadInput, match=r"STM_0001\.mtrx"):
        open_recording(path)
    path.with_name("default_2023Apr05-114605_STM_0001.mtrx").write_bytes(b"ONTMATRX0101")
    with pytest.raises(BadInput, match="cannot be read"):
        open_recording(path)


def test_matrix_images_are_turned_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Image:
        width, height, data, channel_name_and_unit = 2e-9, 1.5e-9, HEIGHT[::-1], ["Z", "m"]

    class MtrxData:
        def open(self, path: str) -> tuple[dict[int, str], str]:
            return {0: "forward/up"}, ""

        def select_image(self, trace: str) -> tuple[Image, str]:
            return Image(), ""

    monkeypatch.setattr("access2thematrix.MtrxData", MtrxData)
    (tmp_path / "a_0001.mtrx").write_bytes(b"")
    (found,) = omicron.signals(tmp_path / "a--1_1.Z_mtrx")
    recording = make_recording(found, "a", pixel_nm=None, frame_time_s=None)
    assert found.name == "Z forward/up"
    assert recording.calibration.pixel_nm == pytest.approx(0.5)
    np.testing.assert_allclose(recording.frame(0).data, HEIGHT * 1e9, rtol=1e-5)
