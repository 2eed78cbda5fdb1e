from __future__ import annotations

import numpy as np
import pytest

from micrograph.core import Calibration, Frame
from micrograph.features.lattices.bravais import BRAVAIS, cells_of, type_probabilities
from micrograph.features.lattices.lattice_map import TypeSettings, TypeShares, read_types
from micrograph.simulate.scanning.lattice_images import LATTICES, LatticeImages, random_cell


def frame_of(sampler: LatticeImages, seed: int) -> Frame:
    sample = sampler(np.random.default_rng(seed))
    return Frame(sample.image, 0, Calibration(pixel_nm=sample.pixel_nm))


@pytest.mark.parametrize("kind", BRAVAIS)
def test_a_cell_measured_well_is_of_its_own_type(kind: str) -> None:
    rng = np.random.default_rng(3)
    cells = np.stack([random_cell(kind, 2.0, rng) for _ in range(40)])
    found = cells_of(cells, np.tile(1e-12 * np.eye(4), (40, 1, 1)))
    p = type_probabilities(found.tau, found.covariance)
    assert np.allclose(p.sum(axis=1), 1)
    assert (p.argmax(axis=1) == BRAVAIS.index(kind)).mean() > 0.95


def test_size_direction_and_choice_of_vectors_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    cell = random_cell("oblique", 1.7, rng)
    other = 3.7 * np.array([[2.0, 1.0], [1.0, 1.0]]) @ cell
    first, second = (cells_of(one[None], np.zeros((1, 4, 4))) for one in (cell, other))
    assert np.allclose(first.tau, second.tau)
    assert np.allclose(3.7 * first.size[:, :2], second.size[:, :2])


def test_a_rectangle_nearer_to_a_square_than_its_error_is_called_square_and_not_surely() -> None:
    covariance = np.array([[[1e-4, 0], [0, 1e-4]]])
    p = type_probabilities(np.array([[0.0, 1.02]]), covariance)[0]
    assert 0.5 < p[0] < 0.98 and p[2] > 0.01


def test_all_five_types_are_told_in_images_and_noise_is_noise() -> None:
    for number, kind in enumerate(LATTICES):
        tables = read_types(
            frame_of(LatticeImages(kinds=(kind,), most_ratio=1.5, distortion=0.0), 30 + number), TypeSettings()
        )
        assert tables["objects"]["class"].mode()[0] == kind
    noise = np.random.default_rng(1).normal(size=(160, 160)).astype(np.float32)
    objects = read_types(Frame(noise, 0, Calibration(pixel_nm=0.1)), TypeSettings())["objects"]
    assert (objects["class"] == "noise").all()


def test_the_least_squares_cell_has_the_true_lengths_within_its_errors() -> None:
    sample = LatticeImages(kinds=("square",), distortion=0.0, two=0.0)(np.random.default_rng(9))
    objects = read_types(Frame(sample.image, 0, Calibration(pixel_nm=0.02)), TypeSettings(distortion=0.0))["objects"]
    pull = (objects["a_nm"] - 0.02 * sample.params["spacing_px"]) / objects["a_sigma_nm"]
    assert abs(pull).median() < 3 and (objects["a_sigma_nm"] / objects["a_nm"]).max() < 0.02


def test_a_lattice_of_which_only_high_orders_show_is_found_by_differences_of_its_peaks() -> None:
    y, x = np.mgrid[0:192, 0:192]
    waves = [(0.03 * 4, 0.0), (0.03 * 4, 0.03), (0.03 * 3, 0.03 * 3), (0.0, 0.03 * 4)]
    image = sum(np.cos(2 * np.pi * (ky * y + kx * x + 0.1 * n)) for n, (ky, kx) in enumerate(waves))
    image = image + np.random.default_rng(0).normal(0, 0.1, y.shape)
    settings = TypeSettings(window_nm=19.2, distortion=0.0)
    row = read_types(Frame(image.astype(np.float32), 0, Calibration(pixel_nm=0.1)), settings)["objects"].iloc[0]
    assert row["class"] == "square" and row["a_nm"] == pytest.approx(0.1 / 0.03, rel=0.01)


def test_shares_add_up_and_an_empty_fold_has_all_types() -> None:
    fold = TypeShares()
    empty = fold.result(fold.start())["summary"]
    assert len(empty) == 6
    state = fold.step(fold.start(), read_types(frame_of(LatticeImages(kinds=("hexagonal",)), 2), TypeSettings()))
    summary = fold.result(state)["summary"]
    assert summary["share"].sum() == pytest.approx(1)
    assert summary.set_index("name").loc["hexagonal", "share"] > 0.8
