"""Whatever cannot be opened is refused in one sentence that says what was found and what to do."""

import os
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from numpy.lib import format as npy_format
from PIL import Image

from micrograph.core import BadInput
from micrograph.io import describe, open_recording

RNG = np.random.default_rng(2)
GREY = RNG.integers(0, 255, (20, 30)).astype(np.uint8)
COLOUR = RNG.integers(0, 255, (20, 30, 3)).astype(np.uint8)


def refusal(path: Path, **options: object) -> str:
    """Return the sentence of the refusal, wherever on the way to the last frame it comes."""
    with pytest.raises(BadInput) as refused:
        recording = open_recording(path, **options)  # type: ignore[arg-type]
        for position in range(len(recording)):
            recording.frame(position)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((20, 30), complex), "complex"),
        (np.array([{"a": 1}], dtype=object), "pickled"),
        (np.zeros((20, 30), "U3"), "numbers were expected"),
        (np.zeros((20, 30), [("a", "f4"), ("b", "f4")]), "numbers were expected"),
        (np.zeros(100), "1-D"),
        (np.zeros(()), "0-D"),
        (np.zeros((1, 30)), "1 x 30 pixels"),
        (np.zeros((30, 1)), "30 x 1 pixels"),
        (np.zeros((0, 20, 30)), "no image"),
        (np.zeros((0, 30)), "no image"),
        (np.zeros((2, 2, 4, 5, 20, 30)), "6-D"),
        (np.zeros((2, 3, 4, 5, 6)), "5-D"),
        (np.zeros((64, 64, 20)), "(H, W, frames)"),
        (COLOUR, "colour"),
        (COLOUR.astype(np.uint16), "colour"),
    ],
    ids=lambda value: f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else "",
)
def test_an_array_that_is_no_image_is_named(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "x.npy", array)
    assert said in refusal(tmp_path / "x.npy")


def test_a_missing_path_does_not_exist(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nothing.npy")
    assert "does not exist" in refusal(tmp_path / ("x" * 5000))
    assert "does not exist" in refusal(Path("a\0b.npy"))


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(BadInput, match="path is empty"):
        open_recording("")


@pytest.mark.parametrize("name", ["x.npy", "x.tif", "x.dm3", "x.h5", "x.png", "x.mrc"])
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "0 bytes" in refusal(tmp_path / name)


@pytest.mark.parametrize("suffix", ["npy", "npz", "tif", "png", "jpg", "h5", "dm3", "dm4", "emd", "ser", "mrc", "hspy"])
def test_text_under_a_wrong_name_is_called_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_text("these are notes on the session, not the recording itself\n")
    assert "plain text" in refusal(path)


@pytest.mark.parametrize("suffix", ["dm3", "tif", "npy", "h5", "emd", "mrc"])
def test_a_picture_under_a_wrong_name_is_recognised(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(GREY).save(path, format="png")
    assert ".png: rename" in refusal(path)


@pytest.mark.parametrize("name", ["x.docx", "x.unknown", "x"])
def test_an_unknown_suffix_is_refused_with_what_is_known(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)))
    assert "no reader knows" in refusal(tmp_path / name)


@pytest.mark.parametrize("suffix", ["csv", "xml", "img", "mrc", "emd"])
def test_every_reader_that_claims_a_suffix_is_tried(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"\xfe\x01" * 600)
    sentence = refusal(path)
    assert "rosettasciio" in sentence
    readers = {"csv": ("Impulse", "Protochips"), "xml": ("JobinYvon", "EMPAD"), "mrc": ("MRC:", "MRCZ:")}
    assert all(reader in sentence for reader in readers.get(suffix, ()))


def written(path: Path) -> Path:
    stack = RNG.integers(0, 255, (3, 20, 30)).astype(np.uint8)
    match path.suffix:
        case ".npy":
            np.save(path, stack)
        case ".npz":
            np.savez_compressed(path, stack=stack)
        case ".tif" if path.stem == "packed":
            tifffile.imwrite(path, stack, compression="zlib", photometric="minisblack")
        case ".tif":
            tifffile.imwrite(path, stack, photometric="minisblack")
        case ".h5":
            with h5py.File(path, "w") as file:
                file["stack"] = stack
        case _:
            Image.fromarray(stack[0]).save(path)
    return path


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.tif", "packed.tif", "x.h5", "x.png", "x.jpg", "x.bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, kept: float) -> None:
    path = written(tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    refusal(path)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.tif", "packed.tif", "x.h5", "x.png", "x.jpg"])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_opens_or_is_refused_in_words(tmp_path: Path, name: str, seed: int) -> None:
    path = written(tmp_path / name)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    content[rng.integers(0, min(200, content.size), 6)] = rng.integers(0, 256, 6)
    path.write_bytes(content.tobytes())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            recording = open_recording(path)
            for position in range(min(len(recording), 3)):
                recording.frame(position)
    except BadInput as refused:
        assert "\n" not in str(refused)


def test_a_frame_that_vanishes_while_reading_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 20, 30), np.float32))
    recording = open_recording(tmp_path / "x.npy")
    os.truncate(tmp_path / "x.npy", 3000)
    recording.frame(0)
    with pytest.raises(BadInput, match="truncated"):
        recording.frame(2)


def test_a_newer_version_of_a_format_is_named_with_its_reader(tmp_path: Path) -> None:
    (tmp_path / "x.dm4").write_bytes(b"\0\0\0\7" + bytes(200))
    sentence = refusal(tmp_path / "x.dm4")
    assert "version 7" in sentence
    assert "rosettasciio" in sentence
    (tmp_path / "x.npy").write_bytes(npy_format.MAGIC_PREFIX + bytes([9, 0]) + bytes(200))
    assert "version 9.0" in refusal(tmp_path / "x.npy")


def test_a_locked_file_asks_for_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", GREY)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission" in refusal(tmp_path / "x.npy")
    assert "permission" in refusal(tmp_path)


def test_a_folder_without_images_names_its_folders(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    sentence = refusal(tmp_path)
    assert "no images" in sentence
    assert "frames" in sentence


def test_a_folder_of_mixed_sizes_names_the_odd_one(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(GREY[: 20 - 5 * (number == 2)]).save(tmp_path / f"{number}.png")
    sentence = refusal(tmp_path)
    assert "2.png has 15 x 30 pixels" in sentence


def test_a_folder_of_several_kinds_is_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "1.png")
    Image.fromarray(GREY).save(tmp_path / "2.tif")
    assert "several kinds" in refusal(tmp_path)


def test_a_folder_with_a_broken_frame_names_it(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(GREY).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:300])
    assert "1.png" in refusal(tmp_path)


def test_several_images_in_a_file_must_be_chosen_from(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", first=GREY, second=GREY + 1)
    sentence = refusal(tmp_path / "x.npz")
    assert "0 'first'" in sentence
    assert "1 'second'" in sentence
    assert "no signal 'third'" in refusal(tmp_path / "x.npz", signal="third")
    assert "no signal '7'" in refusal(tmp_path / "x.npz", signal=7)
    for choice in (1, "1", "second", "SECOND"):
        np.testing.assert_array_equal(open_recording(tmp_path / "x.npz", signal=choice).frame(0).data, GREY + 1)


def test_the_haadf_image_is_the_one_that_is_meant(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", BF=GREY, HAADF=GREY + 1)
    assert open_recording(tmp_path / "x.npz").metadata["signal"] == "HAADF"


def test_an_archive_without_arrays_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("notes.txt", "notes")
    assert "no array" in refusal(tmp_path / "x.npz")


def test_hdf5_without_images_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["numbers"] = np.arange(5)
    refusal(tmp_path / "x.h5")


@pytest.mark.parametrize("value", [0, -0.1, float("nan"), float("inf"), "0.02"])
def test_impossible_calibration_is_refused(tmp_path: Path, value: float) -> None:
    np.save(tmp_path / "x.npy", GREY)
    assert "pixel_nm" in refusal(tmp_path / "x.npy", pixel_nm=value)
    assert "frame_time_s" in refusal(tmp_path / "x.npy", frame_time_s=value)


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY + n) for n in range(3)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert "animation" in refusal(tmp_path / "x.gif")


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.jpg"])
def test_true_colours_are_refused(tmp_path: Path, name: str) -> None:
    Image.fromarray(COLOUR).save(tmp_path / name)
    assert "colour image of 3 channels" in refusal(tmp_path / name)


def test_trouble_is_described_and_not_raised(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", image=GREY, line=np.arange(5))
    image, line = describe(tmp_path / "x.npz")
    assert image["trouble"] == ""
    assert "1-D" in line["trouble"]
