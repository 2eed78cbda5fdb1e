"""Bars of text at the bottom of pictures: found on black and on white, never where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

from micrograph.io import open_recording
from micrograph.io.data_bar import bar_rows

RNG = np.random.default_rng(8)
GRAIN = np.clip(RNG.normal(110, 25, (300, 400)), 0, 255).astype(np.uint8)


def barred(ground: int, text: int, rows: int = 30) -> np.ndarray:
    bar = Image.new("L", (400, rows), ground)
    ImageDraw.Draw(bar).text((5, 8), "200 nm   EHT = 5.00 kV   WD = 3.9 mm   Mag = 50 K X", fill=text)
    return np.vstack([GRAIN, np.asarray(bar)])


@pytest.mark.parametrize(("ground", "text"), [(0, 255), (255, 0)])
def test_a_bar_is_found_to_the_row(ground: int, text: int) -> None:
    assert bar_rows(barred(ground, text)) == 30


def test_a_framed_bar_with_a_row_of_the_picture_below_it_is_cut_whole() -> None:
    image = barred(243, 0)
    image[300] = image[-2] = 0
    image[-1] = GRAIN[0]
    assert bar_rows(image) == 30


@pytest.mark.parametrize("ground", [0, 255])
def test_an_empty_margin_is_no_bar(ground: int) -> None:
    assert bar_rows(np.vstack([GRAIN, np.full((30, 400), ground, np.uint8)])) == 0


def test_images_without_a_bar_stay_whole() -> None:
    assert bar_rows(GRAIN) == 0
    particles = np.where(RNG.random((300, 400)) > 0.97, 200, 10).astype(np.uint8)
    assert bar_rows(particles) == 0
    assert bar_rows(GRAIN.astype(np.float32)) == 0


def test_a_recording_is_cut_and_says_so(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "sem.tif", barred(0, 255))
    recording = open_recording(tmp_path / "sem.tif")
    assert recording.shape == (300, 400)
    np.testing.assert_array_equal(recording.frame(0).data, GRAIN)
    assert recording.metadata["notes"] == ["a bar of 30 rows with text was cut off at the bottom"]
