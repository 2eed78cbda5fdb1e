"""Whatever a user gives that cannot be used: one sentence, status 2, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from micrograph.core import Flag
from micrograph.nets import find_weights

RNG = np.random.default_rng(3)
IMAGE = RNG.integers(1, 255, (40, 40)).astype(np.uint8)
#: Makes what it needs in an empty folder and gives the arguments of a command.
Case = Callable[[Path], list[object]]
CASES: dict[str, tuple[str, Case]] = {}


def refused(said: str) -> Callable[[Case], Case]:
    """Add a case whose refusal says `said`, under the function's name."""

    def add(case: Case) -> Case:
        CASES[case.__name__] = (said, case)
        return case

    return add


def analyze(path: Path, *more: object, recipe: str = "atoms", pixel: str | None = "20 pm") -> list[object]:
    scale = ["--pixel-size", pixel] if pixel is not None else []
    return ["analyze", recipe, path, "-o", path.parent / "out", *scale, *more]


def saved(path: Path, array: object = IMAGE) -> Path:
    np.save(path, np.asarray(array), allow_pickle=True)
    return path


def good(folder: Path) -> Path:
    return saved(folder / "good.npy")


def cut(path: Path, share: float = 0.5) -> Path:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def told(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@refused("does not exist")
def a_missing_path(folder: Path) -> list[object]:
    return analyze(folder / "none.npy")


@refused("does not exist")
def a_missing_second_path(folder: Path) -> list[object]:
    return [*analyze(good(folder)), folder / "none.npy"]


@refused("0 bytes")
def an_empty_file(folder: Path) -> list[object]:
    return analyze(told(folder / "x.tif", b""))


@refused("truncated")
def a_truncated_npy(folder: Path) -> list[object]:
    return analyze(cut(good(folder)))


@refused("it may be truncated")
def a_truncated_tif(folder: Path) -> list[object]:
    tifffile.imwrite(folder / "x.tif", IMAGE)
    return analyze(cut(folder / "x.tif"))


@refused("it may be truncated")
def a_truncated_dm3(folder: Path) -> list[object]:
    return analyze(told(folder / "x.dm3", b"\0\0\0\3" + bytes(4) + b"\0\0\0\1" + b"\0" * 90))


@refused("plain text")
def text_renamed_to_dm3(folder: Path) -> list[object]:
    return analyze(told(folder / "x.dm3", b"These are notes on the session, not the recording.\n"))


@refused("no reader knows")
def an_unknown_extension(folder: Path) -> list[object]:
    return analyze(told(folder / "x.xyzzy", bytes(range(256))))


@refused("pickled")
def an_array_of_objects(folder: Path) -> list[object]:
    return analyze(saved(folder / "x.npy", np.array([{"a": 1}], dtype=object)))


@refused("complex")
def complex_numbers(folder: Path) -> list[object]:
    return analyze(saved(folder / "x.npy", IMAGE.astype(complex)))


@refused("1-D")
def a_single_line(folder: Path) -> list[object]:
    return analyze(saved(folder / "x.npy", IMAGE[0]))


@refused("1 x 40 pixels")
def an_image_one_pixel_high(folder: Path) -> list[object]:
    return analyze(saved(folder / "x.npy", IMAGE[:1]))


@refused("no image")
def no_frames(folder: Path) -> list[object]:
    return analyze(saved(folder / "x.npy", np.zeros((0, 40, 40))))


@refused("colour")
def three_channels(folder: Path) -> list[object]:
    return analyze(saved(folder / "x.npy", RNG.integers(0, 255, (40, 40, 3)).astype(np.uint8)))


@refused("colour")
def sixteen_bit_colours(folder: Path) -> list[object]:
    tifffile.imwrite(folder / "x.tif", RNG.integers(0, 60000, (40, 40, 3)).astype(np.uint16), photometric="rgb")
    return analyze(folder / "x.tif")


@refused("colour")
def colours_with_opacity(folder: Path) -> list[object]:
    Image.fromarray(RNG.integers(0, 255, (40, 40, 4)).astype(np.uint8), "RGBA").save(folder / "x.png")
    return analyze(folder / "x.png")


@refused("4D-STEM")
def a_scan_of_patterns(folder: Path) -> list[object]:
    return analyze(saved(folder / "x.npy", np.zeros((4, 5, 20, 30))))


@refused("--pixel-size")
def no_calibration(folder: Path) -> list[object]:
    return analyze(good(folder), pixel=None)


@refused("greater than zero")
def a_pixel_of_zero(folder: Path) -> list[object]:
    return analyze(good(folder), pixel="0 nm")


@refused("greater than zero")
def a_negative_pixel(folder: Path) -> list[object]:
    return analyze(good(folder), pixel="-0.02 nm")


@refused("greater than zero")
def an_infinite_pixel(folder: Path) -> list[object]:
    return analyze(good(folder), pixel="inf nm")


@refused("no unit")
def a_pixel_without_a_unit(folder: Path) -> list[object]:
    return analyze(good(folder), pixel="0.02")


@refused("not a quantity in nm")
def a_pixel_in_seconds(folder: Path) -> list[object]:
    return analyze(good(folder), pixel="0.02 s")


@refused("not a quantity in nm")
def a_pixel_in_words(folder: Path) -> list[object]:
    return analyze(good(folder), pixel="small")


@refused("--voltage")
def a_voltage_without_a_unit(folder: Path) -> list[object]:
    return analyze(good(folder), "--voltage", "80")


@refused("--dose")
def a_dose_in_volts(folder: Path) -> list[object]:
    return analyze(good(folder), "--dose", "80 kV")


@refused("greater than the inner")
def a_detector_inside_out(folder: Path) -> list[object]:
    return analyze(good(folder), "--inner", "200 mrad", "--outer", "80 mrad")


@refused("no images among its 0 entries")
def an_empty_folder(folder: Path) -> list[object]:
    (folder / "series").mkdir()
    return analyze(folder / "series")


@refused("1.png has 30 x 40 pixels")
def a_folder_of_mixed_sizes(folder: Path) -> list[object]:
    (folder / "series").mkdir()
    for number in range(3):
        Image.fromarray(IMAGE[: 40 - 10 * (number == 1)]).save(folder / "series" / f"{number}.png")
    return analyze(folder / "series")


@refused("choose one by number or name")
def an_archive_of_two_arrays(folder: Path) -> list[object]:
    np.savez(folder / "x.npz", first=IMAGE, second=IMAGE)
    return analyze(folder / "x.npz")


@refused("no signal 'third'")
def an_unknown_signal(folder: Path) -> list[object]:
    np.savez(folder / "x.npz", first=IMAGE, second=IMAGE)
    return analyze(folder / "x.npz", "--signal", "third")


@refused("write first:end")
def frames_in_words(folder: Path) -> list[object]:
    return analyze(good(folder), "--frames", "all")


@refused("frames 0 to 0")
def frames_beyond_the_end(folder: Path) -> list[object]:
    return analyze(good(folder), "--frames", "5:10")


@refused("the recipes are")
def an_unknown_recipe(folder: Path) -> list[object]:
    return analyze(good(folder), recipe="atomz")


@refused("its settings are")
def an_unknown_setting(folder: Path) -> list[object]:
    return analyze(good(folder), "--set", "treshold=0.5")


@refused("must be a number")
def a_setting_in_words(folder: Path) -> list[object]:
    return analyze(good(folder), "--set", "threshold=high")


@refused("key=value")
def a_setting_without_a_value(folder: Path) -> list[object]:
    return analyze(good(folder), "--set", "threshold")


@refused("choose one of auto, MoS2")
def an_unknown_material(folder: Path) -> list[object]:
    return analyze(good(folder), "--set", "material=MoTe2", recipe="tmd-defects")


@refused("There are no weights")
def unknown_weights(folder: Path) -> list[object]:
    return analyze(good(folder), "--weights", "atoms-99")


@refused("train it again")
def broken_weights(folder: Path) -> list[object]:
    return analyze(good(folder), "--weights", told(folder / "my.safetensors", b"\x10\0\0\0\0\0\0\0{not json}......"))


@refused("train it again")
def weights_cut_short(folder: Path) -> list[object]:
    shutil.copy(find_weights("atoms-1"), folder / "my.safetensors")
    return analyze(good(folder), "--weights", cut(folder / "my.safetensors"))


@refused("trained for it")
def weights_of_another_recipe(folder: Path) -> list[object]:
    return analyze(good(folder), "--weights", find_weights("tmd-1"))


@refused("not understood")
def weights_with_a_strange_card(folder: Path) -> list[object]:
    shutil.copy(find_weights("atoms-1"), folder / "my.safetensors")
    (folder / "my.json").write_text(json.dumps({"net": {"heads": 5}}))
    return analyze(good(folder), "--weights", folder / "my.safetensors")


@refused("--memory")
def memory_without_a_unit(folder: Path) -> list[object]:
    return analyze(good(folder), "--memory", "2")


@refused("greater than zero")
def no_memory(folder: Path) -> list[object]:
    return analyze(good(folder), "--memory", "0 GB")


@refused("device is 'tpu'")
def an_unknown_device(folder: Path) -> list[object]:
    return analyze(good(folder), "--device", "tpu")


@refused("is a file")
def an_output_folder_that_is_a_file(folder: Path) -> list[object]:
    return ["analyze", "atoms", good(folder), "-o", told(folder / "results", b"x"), "--pixel-size", "20 pm"]


@refused("called 'good.npy'")
def two_recordings_of_one_name(folder: Path) -> list[object]:
    (folder / "a").mkdir()
    return [*analyze(good(folder)), good(folder / "a")]


@refused("Missing option '-o'")
def no_output_folder(folder: Path) -> list[object]:
    return ["analyze", "atoms", good(folder)]


@refused("No such option: --colour")
def an_unknown_option(folder: Path) -> list[object]:
    return analyze(good(folder), "--colour")


@refused("No such command 'analyse'")
def an_unknown_command(folder: Path) -> list[object]:
    return ["analyse", good(folder)]


@refused("cannot be read as a structure")
def a_bad_cif(folder: Path) -> list[object]:
    cif = told(folder / "x.cif", b"data_x\n_cell_length_a nonsense\n")
    return ["simulate", "atoms", "-o", folder / "out", "--structure", cif]


@refused("There is no file")
def a_missing_cif(folder: Path) -> list[object]:
    return ["train", "atoms", "-o", folder / "out.safetensors", "--structure", folder / "x.cif"]


def xyz(folder: Path) -> Path:
    return told(folder / "x.xyz", b"1\n\nSi 0.0 0.0 0.0\n")


@refused("three whole numbers")
def an_unknown_zone_axis(folder: Path) -> list[object]:
    return ["simulate", "atoms", "-o", folder / "out", "--structure", xyz(folder), "--zone-axis", "sideways"]


@refused("material of its own")
def a_structure_for_a_recipe_that_takes_none(folder: Path) -> list[object]:
    return ["train", "tmd-defects", "-o", folder / "out.safetensors", "--structure", xyz(folder)]


@refused("between 10 and 1500 kV")
def a_voltage_of_no_microscope(folder: Path) -> list[object]:
    return ["simulate", "atoms", "-o", folder / "out", "--voltage", "3 V"]


@refused("between 0.003 and 0.06 nm")
def a_pixel_that_no_column_fits_in(folder: Path) -> list[object]:
    return ["simulate", "atoms", "-o", folder / "out", "--pixel-size", "1 nm"]


@refused("greater than or equal to 1")
def no_images_wanted(folder: Path) -> list[object]:
    return ["simulate", "atoms", "-o", folder / "out", "-n", "0"]


@refused("ends in .safetensors")
def weights_named_json(folder: Path) -> list[object]:
    return ["train", "atoms", "-o", folder / "out.json"]


@refused("whose name contains 'zzz'")
def an_unknown_check(folder: Path) -> list[object]:
    return ["validate", "graphene-dopants", "--only", "zzz"]


@refused("cannot name a recipe")
def a_recipe_that_python_cannot_name(folder: Path) -> list[object]:
    return ["new", "My recipe!", "--folder", folder / "out"]


@refused("does not exist")
def info_on_nothing(folder: Path) -> list[object]:
    return ["info", folder / "nothing.dm3"]


def contents(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_one_sentence(name: str, tmp_path: Path, command: Callable[..., Any]) -> None:
    said, case = CASES[name]
    arguments = case(tmp_path)
    before = contents(tmp_path)
    answer = command(*arguments)
    assert answer.status == 2, answer
    assert answer.err.startswith("micrograph: ") and answer.err.endswith(".\n") and answer.err.count("\n") == 1
    assert said in answer.err
    assert "Traceback" not in answer.err + answer.out
    assert answer.out == ""
    assert contents(tmp_path) == before


def test_an_unreadable_folder_asks_for_permission(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    answer = command(*analyze(tmp_path))
    assert answer.status == 2 and "permission" in answer.err


def test_a_full_disk_is_one_sentence(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("micrograph.io.describe", full)
    answer = command("info", good(tmp_path))
    assert answer.status == 2 and "No space left on device" in answer.err and answer.err.count("\n") == 1


def test_an_error_of_ours_is_one_sentence_and_a_traceback_with_debug(
    tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("micrograph.io.describe", broken)
    answer = command("info", good(tmp_path))
    assert answer.status == 1 and "ZeroDivisionError" in answer.err and answer.err.count("\n") == 1
    from micrograph.apps import cli

    with pytest.raises(ZeroDivisionError):
        cli.main(["info", str(good(tmp_path)), "--debug"])


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0, 0.0])
def test_frames_that_show_nothing_give_empty_tables_and_a_flag(
    value: float,
    tmp_path: Path,
    command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    predictor_of: Callable[[str], object],
) -> None:
    monkeypatch.setattr("micrograph.apps.jobs.predictor", lambda *_: predictor_of("atoms"))
    path = saved(tmp_path / "x.npy", np.full((2, 40, 40), value, np.float32))
    answer = command(*analyze(path))
    assert answer.status == 0 and answer.err == ""
    assert "2 of 2 frames are empty, constant or not finite" in answer.out
    assert len(pd.read_parquet(tmp_path / "out" / "objects.parquet")) == 0
    frames = pd.read_parquet(tmp_path / "out" / "frames.parquet")
    assert frames["flags"].tolist() == [int(Flag.BAD_FRAME)] * 2
    assert (tmp_path / "out" / "report.html").exists()
