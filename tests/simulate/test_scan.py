import numpy as np
import pytest
from ase import Atoms

from micrograph.core import BadInput, Sites
from micrograph.simulate import (
    Microscope,
    Scan,
    contamination,
    distort_positions,
    draw_distortion,
    expose,
    params_of,
    random_microscope,
    random_scan,
    slow_background,
)

FLAT = np.full((200, 200), 2e-3, np.float32)


def test_counts_are_poisson_with_the_mean_that_the_dose_gives() -> None:
    counts = expose(FLAT, Scan(dose_e_per_A2=1e5, background=1e-3), 0.02, np.random.default_rng(0))
    expected = 1e5 * 0.2**2 * 3e-3
    assert counts.mean() == pytest.approx(expected, rel=0.01)
    assert counts.var() == pytest.approx(expected, rel=0.05)


def test_gain_offset_and_readout_act_after_counting() -> None:
    scan = Scan(dose_e_per_A2=1e5, gain=30, offset=200, readout_e=2.0)
    frame = expose(FLAT, scan, 0.02, np.random.default_rng(1))
    assert frame.mean() == pytest.approx(200 + 30 * 8, rel=0.01)
    assert frame.var() == pytest.approx(900 * (8 + 4), rel=0.05)


def test_the_same_seed_gives_the_same_frame() -> None:
    scan = Scan(jitter_nm=0.01, line_noise=0.1, readout_e=1, dead_fraction=0.01, hot_fraction=0.01)
    first, second = (expose(FLAT, scan, 0.02, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_dead_pixels_read_the_offset() -> None:
    frame = expose(FLAT * 100, Scan(dead_fraction=0.05, offset=7), 0.02, np.random.default_rng(2))
    assert np.mean(frame == 7) == pytest.approx(0.05, abs=0.005)


def test_jitter_moves_rows_apart_by_its_rms() -> None:
    x = np.arange(300) * 0.02
    image = np.tile(np.exp(-((x - 3.0) ** 2) / 0.02), (400, 1)).astype(np.float32)
    frame = expose(image, Scan(dose_e_per_A2=1e9, jitter_nm=0.01), 0.02, np.random.default_rng(3))
    centres = (frame * x).sum(1) / frame.sum(1)
    assert centres.std() == pytest.approx(0.01, rel=0.1)
    assert centres.mean() == pytest.approx(3.0, abs=0.002)


def test_drift_stretches_the_frame_by_its_length() -> None:
    scan = Scan(drift_nm=0.2)
    rng = np.random.default_rng(4)
    spans = []
    for _ in range(200):
        moved = distort_positions(np.array([[0.0, 2.0], [4.0, 2.0]]), scan, (4.0, 4.0), rng)
        spans.append(moved[1] - moved[0] - [4.0, 0.0])
    np.testing.assert_allclose(np.hypot(*np.transpose(spans)), 0.2, atol=1e-9)


def test_flyback_dies_off_along_the_line() -> None:
    scan = Scan(flyback_nm=0.05, flyback_decay=0.1)
    points = np.array([[1.0, 0.0], [1.0, 0.4], [1.0, 4.0]])
    shift = distort_positions(points, scan, (4.0, 4.0), np.random.default_rng(0)) - points
    np.testing.assert_allclose(shift[:, 1], [0.05, 0.05 / np.e, 0.0], atol=1e-5)
    np.testing.assert_allclose(shift[:, 0], 0, atol=1e-12)


def test_a_quiet_scan_leaves_every_point_where_it_is() -> None:
    points = np.random.default_rng(0).uniform(-1, 5, (20, 3))
    moved = draw_distortion(Scan(), (4.0, 4.0), np.random.default_rng(1)).move(points)
    np.testing.assert_allclose(moved, points, atol=1e-12)


def test_atoms_sites_and_points_move_alike() -> None:
    distortion = draw_distortion(Scan(drift_nm=0.3, affine=0.02, flyback_nm=0.1), (4.0, 4.0), np.random.default_rng(2))
    y_x = np.array([[1.0, 0.2], [3.0, 2.5]])
    moved = distortion.move(y_x)
    sites = distortion.move_sites(Sites(y_x[:, 0], y_x[:, 1], np.array(["C", "Si"])))
    np.testing.assert_allclose(np.column_stack([sites.y_nm, sites.x_nm]), moved)
    atoms = distortion.move_atoms(Atoms("C2", positions=[[2.0, 10.0, 3.0], [25.0, 30.0, 3.0]]))
    np.testing.assert_allclose(atoms.positions[:, [1, 0]] / 10, moved)
    np.testing.assert_allclose(atoms.positions[:, 2], 3.0)


def test_contamination_covers_the_share_that_was_asked_for() -> None:
    image, mask = contamination((256, 200), 0.02, np.random.default_rng(0), cover=0.3)
    assert image.shape == mask.shape == (256, 200)
    assert np.mean(mask > 0) == pytest.approx(0.3, abs=0.02)
    assert 0 <= mask.min() <= mask.max() <= 1
    assert image[mask == 0].max() == 0


def test_no_contamination_is_an_empty_image() -> None:
    image, mask = contamination((64, 64), 0.02, np.random.default_rng(0), cover=0.0)
    assert not image.any() and not mask.any()


def test_the_slow_background_has_mean_one_and_the_stated_depth() -> None:
    surface = slow_background((100, 120), np.random.default_rng(0), depth=0.2)
    assert surface.mean() == pytest.approx(1, abs=1e-5)
    assert abs(surface - 1).max() == pytest.approx(0.2, abs=1e-3)


def test_random_settings_keep_to_their_ranges_and_are_recorded() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        microscope = random_microscope(rng, voltage_kV=(80.0, 80.0), defocus_nm=(-1, 1))
        scan = random_scan(rng, dose_e_per_A2=(1e4, 2e4))
        params = params_of(microscope, scan)
        assert params["voltage_kV"] == 80 and abs(params["defocus_nm"]) <= 1
        assert 1e4 <= params["dose_e_per_A2"] <= 2e4
    assert isinstance(microscope, Microscope)


def test_doses_are_drawn_evenly_on_a_logarithmic_scale() -> None:
    rng = np.random.default_rng(0)
    doses = [random_scan(rng, dose_e_per_A2=(1e3, 1e5)).dose_e_per_A2 for _ in range(2000)]
    assert np.mean(np.array(doses) < 1e4) == pytest.approx(0.5, abs=0.05)


def test_unknown_and_impossible_settings_are_refused() -> None:
    with pytest.raises(BadInput, match="volts"):
        random_microscope(np.random.default_rng(0), volts=(1, 2))
    with pytest.raises(BadInput, match="dose"):
        Scan(dose_e_per_A2=0)
    with pytest.raises(BadInput, match="dead"):
        Scan(dead_fraction=2)
