"""Maps of elements from every kind of file to one recording of frames (C, H, W)."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import zarr

from micrograph.core import BadInput
from micrograph.io import open_recording
from micrograph.io.elements import element_of, parse_tilts

RNG = np.random.default_rng(0)
ZN, IN = (RNG.poisson(0.5, (3, 8, 9)).astype(np.uint16) for _ in range(2))
HAADF = RNG.random((3, 8, 9)).astype(np.float32)
TILTS = (-30.0, 0.0, 30.0)


def as_npz(folder: Path) -> Path:
    np.savez(folder / "dot.npz", Zn_Ka=ZN, In_La=IN, HAADF=HAADF, tilts_deg=TILTS, pixel_nm=0.3)
    return folder / "dot.npz"


def as_hdf5(folder: Path) -> Path:
    with h5py.File(folder / "dot.h5", "w") as file:
        for name, values in (("maps/Zn", ZN), ("maps/In", IN), ("maps/HAADF", HAADF), ("tilts_deg", TILTS)):
            file[name] = values
        file.attrs["pixel_nm"] = 0.3
    return folder / "dot.h5"


def as_one_array(folder: Path) -> Path:
    with h5py.File(folder / "stack.h5", "w") as file:
        made = file.create_dataset("data", data=np.stack([ZN, IN, HAADF], axis=1))
        made.attrs["channels"] = ["Zn", "In", "HAADF"]
        file.attrs.update(tilts_deg=TILTS, pixel_nm=0.3)
    return folder / "stack.h5"


def as_zarr(folder: Path) -> Path:
    group = zarr.open_group(folder / "dot.zarr", mode="w")
    for name, values in (("Zn", ZN), ("In", IN), ("HAADF", HAADF)):
        group.create_array(name, data=values)
    group.attrs.update(tilts_deg=list(TILTS), pixel_nm=0.3)
    return folder / "dot.zarr"


def as_folder(folder: Path) -> Path:
    (folder / "series").mkdir()
    for name, values in (("dot_Zn", ZN), ("dot_In", IN), ("dot_HAADF", HAADF)):
        tifffile.imwrite(folder / "series" / f"{name}.tif", values, photometric="minisblack")
    np.savetxt(folder / "series" / "dot.rawtlt", TILTS)
    return folder / "series"


@pytest.mark.parametrize("write", [as_npz, as_hdf5, as_one_array, as_zarr, as_folder])
def test_every_kind_of_file_gives_the_same_frames_tilts_and_pixel(write: object, tmp_path: Path) -> None:
    path = write(tmp_path)  # type: ignore[operator]
    opened = open_recording(path, pixel_nm=0.3 if write is as_folder else None)
    scale = opened.calibration
    assert scale.content == "elements" and set(scale.channels) == {"Zn", "In", "HAADF"} and len(opened) == 3
    assert scale.pixel_nm == pytest.approx(0.3) and opened.metadata["tilts_deg"] == TILTS
    frame = opened.frame(2)
    assert frame.data.shape == opened.shape == (3, 8, 9) and frame.known["tilt_deg"] == 30
    np.testing.assert_array_equal(frame.data[scale.channels.index("In")], IN[2])


def test_a_matlab_file_has_its_channels_last_and_one_file_may_be_one_view(tmp_path: Path) -> None:
    for number in range(3):
        maps = np.stack([ZN[number], IN[number]], axis=-1)
        scipy.io.savemat(tmp_path / f"view_{number}.mat", {"input": maps.astype(np.float32)})
    one, series = open_recording(tmp_path / "view_1.mat"), open_recording(tmp_path)
    assert one.shape == (2, 8, 9) and len(one) == 1 and len(series) == 3
    np.testing.assert_array_equal(series.frame(1).data, one.frame(0).data)
    np.testing.assert_array_equal(series.frame(2).data[1], IN[2])


def test_maps_that_are_one_view_have_one_frame_and_one_array_can_still_be_chosen(tmp_path: Path) -> None:
    np.savez(tmp_path / "view.npz", Zn=ZN[0], In=IN[0])
    assert open_recording(tmp_path / "view.npz").shape == (2, 8, 9)
    assert open_recording(tmp_path / "view.npz", signal="Zn").calibration.content == "image"


def test_pictures_that_are_named_by_nothing_stay_a_movie(tmp_path: Path) -> None:
    for name in ("I_001", "I_002"):
        tifffile.imwrite(tmp_path / f"{name}.tif", ZN[0])
    assert open_recording(tmp_path).calibration.content == "image"


@pytest.mark.parametrize(
    ("name", "element"),
    [("Zn", "Zn"), ("series/In_La", "In"), ("O_K", "O"), ("dot HAADF 2", "HAADF"), ("frame_3", None), ("zn", None)],
)
def test_names_speak_of_elements(name: str, element: str | None) -> None:
    assert element_of(name) == element


def test_tilts_are_told_as_a_range_or_a_list() -> None:
    assert parse_tilts("-60:60:10", 13) == tuple(range(-60, 61, 10))
    assert parse_tilts("-5, 0 5.5", 3) == (-5, 0, 5.5)


@pytest.mark.parametrize(
    ("text", "said"), [("-60:60:20", "7 tilts, but 3 views"), ("a", "first:last:step"), ("100,1,2", "-90 to 90")]
)
def test_tilts_that_fit_no_series_are_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_tilts(text, 3)


def test_maps_of_different_shapes_and_a_wrong_number_of_tilts_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", Zn=ZN, In=IN[:2])
    with pytest.raises(BadInput, match=r"different shapes \(Zn \(3, 8, 9\), In \(2, 8, 9\)\)"):
        open_recording(tmp_path / "odd.npz")
    np.savez(tmp_path / "few.npz", Zn=ZN, In=IN, tilts_deg=[0, 10])
    with pytest.raises(BadInput, match="2 tilts, but 3 views"):
        open_recording(tmp_path / "few.npz")
