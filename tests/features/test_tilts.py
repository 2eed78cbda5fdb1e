"""Unit cells laid upon each other, and the order, symbols and tables of tilts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Calibration, Frame, Prediction
from micrograph.features.lattices.tilts import (
    PAIRS,
    PATTERNS,
    TURNS,
    TiltShares,
    cells_of,
    glazer_symbol,
    ordered,
    read_tilts,
    truth_of,
)
from micrograph.features.lattices.unit_cells import SIDE, Axes, centre_of, find_axes, moved, parted
from micrograph.simulate.optics import Microscope
from micrograph.simulate.tilt_images import CellImage, Crystal, Kept, view_of
from micrograph.simulate.tilt_scans import TiltScan
from micrograph.structures.perovskite import Tilts
from micrograph.validate.lattices.tilt_checks import shifts_deg

GRID = np.arange(SIDE) / SIDE


def crystal(angles: tuple[float, float, float], signs: str) -> Crystal:
    optics = Microscope(voltage_kV=200.0, convergence_mrad=20.0, inner_mrad=10.0, outer_mrad=20.0)
    return Crystal(Tilts(angles, signs), "SrTiO3", optics, (0.0, 0.0), (10.0,), (0.0,))


def seen_cell(angles: tuple[float, float, float], signs: str) -> CellImage:
    one = crystal(angles, signs)
    return view_of(Kept.of(one.images()), one, (0, 0), 0.06, 0.1)


@pytest.fixture(scope="module")
def cell() -> CellImage:
    return seen_cell((7.0, 7.0, 8.0), "--+")


@pytest.fixture(scope="module")
def scan(cell: CellImage) -> Frame:
    image, pixel = TiltScan(field_nm=4.0, pixel_nm=(0.016, 0.016))(cell, np.random.default_rng(2))
    return Frame(image, 0, Calibration(pixel_nm=pixel))


def test_the_lattice_is_found_in_any_direction(cell: CellImage) -> None:
    for seed in range(4):
        image, pixel = TiltScan(field_nm=3.5, pixel_nm=(0.018, 0.018), shear=0.0)(cell, np.random.default_rng(seed))
        axes = find_axes(image, pixel)
        assert axes is not None and axes.clear > 20
        assert axes.cubic_nm == pytest.approx((cell.cell_nm[0] / 2, cell.cell_nm[1] / np.sqrt(2)), rel=0.004)


@pytest.mark.parametrize("kind", ["noise", "flat", "hexagonal", "square"])
def test_what_is_no_perovskite_along_110_has_no_lattice(kind: str) -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :200] * 0.02
    image = np.zeros((200, 200)) if kind == "flat" else rng.normal(size=(200, 200))
    turns = {"hexagonal": (0, 60, 120), "square": (0, 90)}.get(kind, ())
    for turn in np.radians(turns):
        image += 3 * np.cos(2 * np.pi * (np.cos(turn) * x + np.sin(turn) * y) / 0.25)
    assert find_axes(image, 0.02) is None


def test_cells_laid_upon_each_other_are_the_simulated_one(cell: CellImage, scan: Frame) -> None:
    seen = cells_of(scan)
    assert len(seen.patches) > 10 and len(seen.middles_nm) == len(seen.patches) - 1
    ideal = cell.sampled(GRID, GRID)
    ideal = moved(ideal, centre_of(ideal))
    likeness = [
        np.corrcoef(seen.patches[0].image.ravel(), np.roll(one, shift, (0, 1)).ravel())[0, 1]
        for one in (ideal, np.roll(ideal[::-1], 1, 0))
        for shift in ((0, 0), (0, SIDE // 2), (SIDE // 2, 0), (SIDE // 2, SIDE // 2))
    ]
    assert max(likeness) > 0.99
    assert seen.patches[0].noise < seen.patches[1].noise < 0.5
    size = np.array(scan.data.shape) * 0.016
    assert ((seen.middles_nm > 0) & (seen.middles_nm < size)).all()


def test_a_patch_comes_to_its_centre_from_anywhere(cell: CellImage) -> None:
    image = cell.sampled(GRID, GRID)
    first = moved(image, centre_of(image))
    for shift in np.random.default_rng(1).uniform(size=(5, 2)):
        other = moved(image, shift)
        again = moved(other, centre_of(other))
        alike = [np.abs(np.roll(again, by, (0, 1)) - first).max() for by in ((0, 0), (16, 0), (0, 16), (16, 16))]
        assert min(alike) < 0.02 * np.ptp(first)


def test_what_alternates_is_told_apart(cell: CellImage) -> None:
    parts = {
        signs: parted(seen_cell((8.0, 8.0, 8.0), signs).sampled(GRID, GRID)).std(axis=(1, 2))
        for signs in ("000", "00-", "++0", "--0")
    }
    assert parts["000"][1:].max() < 0.01 and parts["00-"][1:].max() < 0.01
    assert parts["--0"][3] > 0.2 and parts["--0"][1:3].max() < 0.01
    assert parts["++0"][1] > 0.02 and parts["++0"][2:].max() < 0.01


def test_in_phase_and_out_of_phase_about_001_look_the_same() -> None:
    images = [seen_cell((0.0, 0.0, 8.0), signs).sampled(GRID, GRID) for signs in ("00+", "00-", "000")]
    assert np.abs(images[0] - images[1]).max() < 1e-3
    assert np.abs(images[0] - images[2]).max() > 0.02


@pytest.mark.parametrize(("signs", "told"), [("--0", 7.0), ("++0", 0.0), ("00-", 0.0)])
def test_oxygen_shifts_alone_tell_out_of_phase_tilts(signs: str, told: float) -> None:
    cell = seen_cell((7.0, 7.0, 7.0), signs)
    image, pixel = TiltScan(field_nm=4.0, pixel_nm=(0.016, 0.016))(cell, np.random.default_rng(4))
    a, b, _ = shifts_deg(cells_of(Frame(image, 0, Calibration(pixel_nm=pixel))))
    assert a == b == pytest.approx(told, abs=2.5)


def test_the_pair_has_no_order() -> None:
    signs, angles = ordered("+-0", np.array([3.0, -5.0, 9.0]))
    assert signs == "-+0" and angles.tolist() == [5.0, 3.0, 0.0]
    for one in PATTERNS:
        swapped = one[1] + one[0] + one[2]
        first, second = (truth_of(s, a) for s, a in ((one, np.array([4.0, 2, 1])), (swapped, np.array([2.0, 4, 1]))))
        assert (first["pair"], first["turn"]) == (second["pair"], second["turn"])
        np.testing.assert_array_equal(first["angles"], second["angles"])
        assert PAIRS[int(first["pair"])] + TURNS[int(first["turn"])] == one


def test_glazer_symbols_have_equal_letters_for_equal_angles() -> None:
    sharp = np.eye(3) * 0.01
    assert glazer_symbol("--+", np.array([8.0, 8.1, 6.0]), sharp) == "a-a-c+"
    assert glazer_symbol("--+", np.array([8.0, 7.0, 6.0]), sharp) == "a-b-c+"
    assert glazer_symbol("---", np.array([5.0, 5.1, 5.05]), sharp) == "a-a-a-"
    assert glazer_symbol("000", np.zeros(3), sharp) == "a0a0a0"
    assert glazer_symbol("00-", np.array([0.0, 0.0, 5.0]), sharp) == "a0a0c-"


def values(count: int, pair: str, turn: str, angles: tuple[float, float, float]) -> dict[str, np.ndarray]:
    p, t = np.full(len(PAIRS), 0.01), np.full(len(TURNS), 0.01)
    p[PAIRS.index(pair)] = 0.95
    if turn in TURNS:
        t[TURNS.index(turn)] = 0.98
    else:
        t[1:] = 0.495
    return {
        "pair": np.tile(p, (count, 1)),
        "turn": np.tile(t, (count, 1)),
        "angles": np.tile(np.array(angles), (count, 1)),
        "angles_covariance": np.tile(np.eye(3) * 0.04, (count, 1, 1)),
        "domain_distance": np.full(count, 0.5),
    }


def test_tables_hold_the_answer_and_the_summary_its_mean(scan: Frame) -> None:
    count = len(cells_of(scan).patches)
    prediction = Prediction(scan, {}, {}, 0.016, values=values(count, "--", "+", (7.0, 6.9, 8.0)))
    tables = read_tilts(prediction)
    row = tables["frames"].iloc[0]
    assert (row["class"], row["glazer"], row["count"]) == ("--+", "a-a-c+", count - 1)
    assert row["a_deg"] == 7.0 and row["a_sigma_deg"] == pytest.approx(0.2)
    assert "--+" in row["patterns"].split() and (tables["objects"]["c_deg"] == 8.0).all()
    fold = TiltShares()
    state = fold.start()
    assert len(fold.result(state)["summary"]) == 0
    for _ in range(4):
        state = fold.step(state, tables)
    (summary,) = fold.result(state)["summary"].to_dict("records")
    assert summary["name"] == "--+" and summary["frames"] == 4
    assert summary["c_deg"] == pytest.approx(8.0) and summary["c_sigma_deg"] == pytest.approx(0.1)


def test_a_sign_that_is_not_told_is_either(scan: Frame) -> None:
    count = len(cells_of(scan).patches)
    prediction = Prediction(scan, {}, {}, 0.016, values=values(count, "--", "±", (7.0, 6.9, 8.0)))
    row = read_tilts(prediction)["frames"].iloc[0]
    assert row["class"] == "--±" and row["glazer"] == "a-a-c±" and row["score"] == pytest.approx(0.95 * 0.99)
    assert {"--+", "---"} <= set(row["patterns"].split())


def test_a_frame_without_a_lattice_says_so(scan: Frame) -> None:
    noise = replace(scan, data=np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32))
    tables = read_tilts(Prediction(noise, {}, {}, 0.016, values=values(0, "--", "+", (1.0, 1.0, 1.0))))
    assert len(tables["objects"]) == 0 and tables["frames"]["count"].item() == 0
    assert "No lattice" in tables["frames"]["notes"].item()
    assert isinstance(tables["objects"], pd.DataFrame) and "a_sigma_deg" in tables["objects"]
    state = TiltShares().start()
    assert TiltShares().step(state, tables) is state


def test_axes_know_their_cell() -> None:
    axes = Axes(np.linalg.inv(np.array([[0.39, 0.0], [0.0, 0.276]])).T, 10.0)
    assert axes.cubic_nm == pytest.approx((0.39, 0.276 * np.sqrt(2)))
