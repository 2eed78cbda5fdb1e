"""Rocking curves and patterns of one cell: electrons are kept, symmetry holds, fits find what was put in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput, Calibration, Recording
from micrograph.features.diffraction.pattern_bank import make_bank, period_of
from micrograph.features.diffraction.pattern_fit import Geometry, PatternFit, Prepared, expected, fit_pattern
from micrograph.features.diffraction.pattern_start import find_discs, likely_places, measured_pattern
from micrograph.features.diffraction.pattern_tables import PatternRow
from micrograph.infer.patterns import MODEL_NM, PatternLibrary, predictor_of
from micrograph.report.scans import scan_figures
from micrograph.simulate.patterns.pacbed import Library
from micrograph.simulate.patterns.pattern_cache import cached_library
from micrograph.simulate.patterns.rocking import beam_shares, symmetry, zone_of
from micrograph.structures.perovskite import cubic_perovskite
from micrograph.structures.zone_cell import zone_cell

ALL_BEAMS = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 2, indexing="ij"), -1).reshape(-1, 2)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder: Path = tmp_path_factory.mktemp("patterns")
    told: list[int] = []
    made = cached_library(
        cubic_perovskite(), 200.0, 6.0, 9.0, folder=folder, progress=lambda done, total: told.append(done)
    )
    assert told == sorted(told)
    again = cached_library(cubic_perovskite(), 200.0, 6.0, 9.0, folder=folder)
    np.testing.assert_array_equal(again.coefficients, made.coefficients)
    return made


def test_without_thermal_motion_no_electron_is_lost() -> None:
    zone = zone_of(cubic_perovskite(), 200.0, {"Sr": 0.0, "Ti": 0.0, "O": 0.0})
    share = beam_shares(zone, np.array([[0.0, 0.0], [2.0, 1.0]]), np.array([1, 4]), ALL_BEAMS)
    np.testing.assert_allclose(share.sum(axis=-1), 1.0, atol=0.02)


def test_thermal_motion_takes_electrons_out_of_the_beams() -> None:
    zone = zone_of(cubic_perovskite(), 200.0, {})
    share = beam_shares(zone, np.zeros((1, 2)), np.array([5, 20, 60]), ALL_BEAMS).sum(axis=-1)[:, 0]
    assert (np.diff(share) < 0).all() and 0.3 < share[-1] < 0.95


def test_strontium_titanate_has_the_eight_operations_of_a_square() -> None:
    assert len(symmetry(zone_of(cubic_perovskite(), 200.0))) == 8


def test_a_crystal_without_a_mirror_has_fewer() -> None:
    atoms = cubic_perovskite()
    atoms.positions[2, 0] += 0.4
    assert len(symmetry(zone_of(atoms, 200.0))) < 8


def test_a_pattern_is_as_symmetric_as_the_crystal(library: Library) -> None:
    pattern = library.pattern(6.0)
    scale = pattern.max()
    for other in (pattern.T, pattern[::-1], pattern[:, ::-1]):
        np.testing.assert_allclose(other, pattern, atol=0.01 * scale)
    assert 0.5 < pattern.sum() < 1.0


def test_a_turned_tilt_gives_the_turned_pattern(library: Library) -> None:
    one, other = library.pattern(5.0, (1.5, 0.4)), library.pattern(5.0, (0.4, 1.5))
    np.testing.assert_allclose(other.T, one, atol=0.02 * one.max())


def test_thickness_tilt_and_place_of_a_pattern_are_found_within_their_intervals(library: Library) -> None:
    wide, prepared, bank = Prepared.of(library, 10.0), Prepared.of(library), make_bank(library)
    rng = np.random.default_rng(2)
    truth = PatternFit(6.3, (1.2, -0.7), Geometry(31.0, 33.4, 0.5, 20.0), 3e6)
    image = rng.poisson(np.clip(expected((64, 64), wide, truth), 0, None)).astype(np.float32)
    found = measured_pattern(image, prepared, bank, likely_places(image, bank, 0.5))
    assert abs(found.thickness_nm - 6.3) < 4 * found.sigma("thickness_nm") + 0.1
    assert np.hypot(*(np.array(found.tilt_mrad) - truth.tilt_mrad)) < 0.8
    assert (found.geometry.y_px, found.geometry.x_px) == pytest.approx((31.0, 33.4), abs=0.5)


def test_patterns_of_a_scan_share_their_geometry_and_are_mapped(library: Library) -> None:
    wide, rng = Prepared.of(library, 10.0), np.random.default_rng(3)
    place = Geometry(31.0, 33.4, 0.5, 20.0)
    thickness = np.linspace(4.0, 7.5, 4)
    images = [expected((64, 64), wide, PatternFit(float(t), (1.0, -0.5), place, 3e6)) for t in thickness]
    counts = [rng.poisson(np.clip(image, 0, None)).astype(np.float32) for image in images]
    predict = replace(predictor_of(library, 0.5, "digest"), common=place)
    scan = Recording(counts.__getitem__, range(4), Calibration(content="scan", step_nm=2.0), (64, 64), nav_shape=(2, 2))
    rows = [PatternRow()(predict(frame))["frames"].assign(flags=0, **frame.known) for frame in scan]
    table = pd.concat(rows)
    np.testing.assert_allclose(table["thickness_nm"], thickness, atol=0.3)
    assert (table["thickness_sigma_nm"] > MODEL_NM).all() and table["rotation_deg"].between(0, 90).all()
    found = scan_figures(predict(scan.frame(0)), {"frames": table})
    assert set(found) == {"fitted-pattern", "scan-thickness"}


def test_patterns_are_averaged_over_places_as_asked() -> None:
    flat = np.arange(24, dtype=np.float32).reshape(24, 1, 1) * np.ones((2, 2), np.float32)
    scan = Recording(flat.__getitem__, range(24), Calibration(content="scan"), (2, 2), nav_shape=(4, 6))
    found = PatternLibrary(average=2).presented(scan)
    assert found.nav_shape == (2, 3) and found.frame(0).data[0, 0] == pytest.approx((0 + 1 + 6 + 7) / 4)
    with pytest.raises(BadInput, match="4 x 6 places"):
        PatternLibrary(average=5).presented(scan)


def test_the_slopes_of_the_fit_lead_back_to_the_truth(library: Library) -> None:
    prepared = Prepared.of(library)
    truth = PatternFit(6.3, (0.6, -0.3), Geometry(31.0, 33.4, 0.5, 20.0), 1e7, 40.0, 5.0)
    image = expected((64, 64), prepared, truth)
    near = PatternFit(6.0, (0.4, -0.1), Geometry(31.3, 33.2, 0.503, 21.0), 0.97e7, 20.0, 0.0)
    found = fit_pattern(image, prepared, near)
    assert found.thickness_nm == pytest.approx(6.3, abs=0.1)
    assert found.geometry.rotation_deg == pytest.approx(20.0, abs=0.5)
    assert found.elastic == pytest.approx(1e7, rel=0.03)


def test_a_cell_along_another_axis_holds_all_its_atoms() -> None:
    cell = zone_cell("SrTiO3", "110")
    assert cell.cell.lengths() == pytest.approx([3.905, 3.905 * np.sqrt(2), 3.905 * np.sqrt(2)])
    assert len(cell) == 10


def test_centred_crystals_have_cells_of_few_atoms() -> None:
    cell = zone_cell("Si", "110")
    assert sorted(cell.cell.lengths()) == pytest.approx([5.43 / np.sqrt(2)] * 2 + [5.43], abs=0.01)
    assert len(cell) == 4 and cell.cell.lengths()[2] == pytest.approx(3.84, abs=0.01)
    assert len(zone_cell("Au", "001")) == 2
    with pytest.raises(BadInput, match="no file"):
        zone_cell("Unobtainium")


def test_the_turns_under_which_patterns_repeat_are_those_of_the_crystal(library: Library) -> None:
    assert period_of(library) == 90.0


def test_a_cell_that_is_not_orthogonal_is_refused() -> None:
    atoms = cubic_perovskite()
    atoms.cell[0, 1] = 1.0
    with pytest.raises(BadInput, match="not orthogonal"):
        zone_of(atoms, 200.0)


def test_a_pattern_whose_bright_parts_all_lie_far_from_their_middle_has_its_heart_there() -> None:
    y, x = np.mgrid[:96, :96] - 47.5
    ring = np.where(np.abs(np.hypot(y, x) - 40) < 2, 100.0, 0.0)
    assert find_discs(ring, radius_px=6.0, most_px=20.0)[0] == pytest.approx((47.5, 47.5), abs=0.5)
