"""What is simulated for others is read back as it was."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from micrograph.core import Sample, Sites
from micrograph.io import open_recording, write_sample

RNG = np.random.default_rng(0)
IMAGE = RNG.random((20, 30), dtype=np.float32) * 1000
SITES = Sites(np.array([0.1, 0.2]), np.array([0.3, 0.4]), np.array(["Si", "vac_W"]))


def sample(**changes: object) -> Sample:
    mask = (IMAGE > 500).astype(np.float32)
    return Sample(IMAGE, 0.0173, SITES, masks={"contamination": mask}, params={"voltage_kV": 80.0}, **changes)  # type: ignore[arg-type]


def test_image_and_pixel_size_are_read_back(tmp_path: Path) -> None:
    write_sample(sample(), tmp_path / "image-00000")
    recording = open_recording(tmp_path / "image-00000.tif")
    np.testing.assert_array_equal(recording.frame(0).data, IMAGE)
    assert recording.calibration.pixel_nm == pytest.approx(0.0173, rel=1e-6)


def test_sites_masks_and_settings_are_beside_the_image(tmp_path: Path) -> None:
    write_sample(sample(marks=np.array(["dim", "bright"])), tmp_path / "image-00000")
    sites = pd.read_csv(tmp_path / "image-00000.csv")
    assert list(sites) == ["y_nm", "x_nm", "y_px", "x_px", "label", "mark"]
    np.testing.assert_allclose(sites["y_px"], SITES.y_nm / 0.0173, atol=1e-6)
    assert sites["label"].tolist() == ["Si", "vac_W"]
    with Image.open(tmp_path / "image-00000-contamination.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask) == 255, IMAGE > 500)
    assert json.loads((tmp_path / "image-00000.json").read_text()) == {"pixel_nm": 0.0173, "voltage_kV": 80.0}
    assert len(list(tmp_path.iterdir())) == 4


def test_a_sample_without_sites_has_a_table_without_rows(tmp_path: Path) -> None:
    nothing = Sites(np.empty(0), np.empty(0), np.empty(0, str))
    write_sample(Sample(IMAGE, 0.02, nothing), tmp_path / "x")
    assert pd.read_csv(tmp_path / "x.csv").empty
