import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.lattices.cell import reduced
from micrograph.features.lattices.distortion import scan_distortion
from micrograph.features.lattices.lattice import fit_lattice
from micrograph.features.lattices.sites import missing_sites
from micrograph.features.lattices.strain import local_strain

PEROVSKITE = (np.array([[0.0, 0.39], [0.39, 0.0]]), [(0, 0), (0.5, 0.5), (0.5, 0)])
OBLIQUE = (np.array([[0.0, 0.3], [0.5, -0.08]]), [(0, 0), (0.3, 0.35)])


def test_graphene_has_its_lattice_constant_within_the_error(sheets):
    rng = np.random.default_rng(1)
    points = sheets.graphene(5.0, 17.0)
    found = fit_lattice(*(points + rng.normal(0, 0.006, points.shape)).T, 0.006)
    assert len(found.basis) == 2
    assert abs(found.a_nm - 0.246) < 4 * found.a_sigma_nm
    assert abs(found.b_nm - 0.246) < 4 * found.b_sigma_nm
    assert abs(found.gamma_deg - 120) < 4 * found.gamma_sigma_deg
    assert found.fraction_on_sites == 1
    assert found.rms_nm == pytest.approx(0.006, rel=0.1)
    np.testing.assert_allclose(sorted(found.basis[1]), [1 / 3, 2 / 3], atol=0.01)


def test_the_errors_of_the_cell_are_those_of_a_monte_carlo_and_fall_as_the_size_squared(sheets):
    rng = np.random.default_rng(0)
    stated = []
    for size in (2.0, 4.0):
        points = sheets.graphene(size)
        guess = fit_lattice(*points.T).cell
        fits = [fit_lattice(*(points + rng.normal(0, 0.005, points.shape)).T, guess=guess) for _ in range(50)]
        for name, sigma in (("a_nm", "a_sigma_nm"), ("gamma_deg", "gamma_sigma_deg")):
            spread = np.std([getattr(fit, name) for fit in fits])
            assert spread == pytest.approx(np.mean([getattr(fit, sigma) for fit in fits]), rel=0.3)
        stated.append(np.mean([fit.a_sigma_nm for fit in fits]))
    assert stated[0] / stated[1] == pytest.approx(4.0, rel=0.15)  # sigma / sqrt(N) over a length that grows as sqrt(N)


@pytest.mark.parametrize(("cell", "basis"), [PEROVSKITE, OBLIQUE, (np.array([[0.0, 0.3], [0.5, 0.0]]), [(0, 0)])])
def test_cells_of_any_shape_with_several_atoms_are_found(sheets, cell, basis):
    rng = np.random.default_rng(3)
    points = sheets.lattice_points(cell, basis, 6.0)
    found = fit_lattice(*(points + rng.normal(0, 0.005, points.shape)).T)
    want = reduced(cell)
    np.testing.assert_allclose([found.a_nm, found.b_nm], np.linalg.norm(want, axis=1), rtol=2e-3)
    assert len(found.basis) == len(basis)


def test_vacancies_strays_a_hole_and_strain_do_not_matter(sheets):
    rng = np.random.default_rng(5)
    points = sheets.graphene(6.0, 5.0)
    points = points[(rng.random(len(points)) > 0.05) & (np.hypot(*(points - 2.5).T) > 1.0)]
    points[:, 1] *= 1.02
    points = np.concatenate([points + rng.normal(0, 0.008, points.shape), rng.uniform(0, 6, (50, 2))])
    found = fit_lattice(*points.T)
    assert len(found.basis) == 2
    assert found.fraction_on_sites > 0.95
    assert abs(np.linalg.det(found.cell)) == pytest.approx(1.02 * 0.246**2 * np.sqrt(3) / 2, rel=2e-3)


def test_twelve_atoms_are_enough(sheets):
    points = sheets.graphene(0.6, 13.0)
    assert 11 <= len(points) <= 16
    found = fit_lattice(*points.T)
    assert found.a_nm == pytest.approx(0.246, rel=1e-6)


@pytest.mark.parametrize("n", [3, 8, 15, 40, 400])
def test_random_points_have_no_lattice(n):
    rng = np.random.default_rng(n)
    sets = [rng.uniform(0, 0.15 * np.sqrt(n), (n, 2)) for _ in range(15)]
    assert sum(fit_lattice(*points.T) is not None for points in sets) == 0


def test_a_wavy_field_keeps_its_indices(sheets):
    points = sheets.graphene(8.0)
    waved = points + np.stack([0 * points[:, 0], 0.15 * np.sin(points[:, 0] * 2 * np.pi / 8)], axis=1)
    found, truth = fit_lattice(*waved.T), fit_lattice(*points.T)
    assert found.fraction_on_sites == 1
    step = np.abs(np.diff(found.index[:, :2] @ truth.cell - truth.index[:, :2] @ truth.cell, axis=0))
    assert np.median(step) < 0.25


def test_a_guess_gives_the_same_lattice_and_a_wrong_guess_does_no_harm(sheets):
    points = sheets.graphene(4.0, 8.0)
    free = fit_lattice(*points.T)
    for guess in (free.cell, [[0.0, 0.4], [0.4, 0.0]]):
        np.testing.assert_allclose(fit_lattice(*points.T, guess=guess).cell, free.cell, atol=1e-9)
    with pytest.raises(BadInput, match="guessed cell"):
        fit_lattice(*points.T, guess=[1, 2])


def test_positions_of_the_index_are_the_atoms_less_their_displacement(sheets):
    rng = np.random.default_rng(7)
    points = sheets.graphene(3.0) + rng.normal(0, 0.01, sheets.graphene(3.0).shape)
    found = fit_lattice(*points.T)
    on = found.on_site
    np.testing.assert_allclose(found.position(found.index[on]) + found.displacement_nm[on], points[on], atol=1e-9)
    assert len(np.unique(found.index[on], axis=0)) == on.sum()


def test_sites_in_the_field_are_the_atoms_of_a_perfect_sheet(sheets):
    points = sheets.graphene(3.0, 4.0)
    sites = fit_lattice(*points.T).sites_in((0, 0, 3.0, 3.0))
    assert len(sites) == len(points)


def test_empty_sites_are_found_where_atoms_were_taken_away(sheets):
    rng = np.random.default_rng(4)
    points = sheets.graphene(5.0, 9.0)
    inner = np.flatnonzero(((points > 0.4) & (points < 4.6)).all(axis=1))
    gone = rng.choice(inner, 12, replace=False)
    rest = np.delete(points, gone, axis=0)
    rest = rest + rng.normal(0, 0.006, rest.shape)
    sites = missing_sites(fit_lattice(*rest.T), *rest.T, (0.1, 0.1, 4.9, 4.9))
    place = np.stack([sites.y_nm, sites.x_nm], axis=1)
    assert len(place) == 12
    assert np.linalg.norm(place[:, None] - points[gone][None], axis=2).min(axis=0).max() < 0.03


def test_planted_strain_and_rotation_are_recovered_with_true_errors(sheets):
    rng = np.random.default_rng(8)
    points = sheets.graphene(5.0, 30.0)
    sigma, turn = 0.004, np.radians(1.5)
    stretched = points * [1.0, 1.01]
    measured = stretched + rng.normal(0, sigma, points.shape)
    found = local_strain(fit_lattice(*measured.T), *measured.T, sigma, reference=(0.246, 0.246, 120.0))
    assert np.nanmean(found.exx) == pytest.approx(0.01, abs=8e-4)
    assert np.nanmean(found.eyy) == pytest.approx(0.0, abs=8e-4)
    for value, error, truth in (
        (found.exx, found.exx_sigma, 0.01), (found.exy, found.exy_sigma, 0),
        (found.rotation_deg, found.rotation_sigma_deg, 0),
    ):  # fmt: skip
        assert np.nanstd((value - truth) / error) == pytest.approx(1.0, abs=0.15)
    turned = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    lifted = local_strain(fit_lattice(*points.T), *turned.T)
    np.testing.assert_allclose(lifted.rotation_deg[lifted.neighbours >= 6], 1.5, atol=1e-6)


def test_strain_is_unknown_where_neighbours_are_too_few(sheets):
    points = np.concatenate([sheets.graphene(2.0), [[9.0, 9.0]]])
    found = local_strain(fit_lattice(*points.T), *points.T)
    assert np.isnan(found.exx[-1])
    with pytest.raises(BadInput, match="same atoms"):
        local_strain(fit_lattice(*points.T), points[:5, 0], points[:5, 1])


def test_planted_drift_is_measured_and_removed(sheets):
    rng = np.random.default_rng(9)
    points = sheets.graphene(5.0, 12.0)
    drifted = points * [0.985, 1.0] + np.stack([0 * points[:, 0], 0.02 * points[:, 0]], axis=1)
    drifted = drifted + rng.normal(0, 0.004, points.shape)
    found = scan_distortion(fit_lattice(*drifted.T), *drifted.T, "hexagonal")
    assert abs(found.shear - 0.02) < 4 * found.shear_sigma
    assert abs(found.stretch_y + 0.015) < 4 * found.stretch_y_sigma
    assert found.affine_p < 1e-6
    after = fit_lattice(*np.stack(found.correct(*drifted.T)))
    assert abs(after.gamma_deg - 120) < 4 * after.gamma_sigma_deg
    scaled = scan_distortion(fit_lattice(*(drifted * 1.03).T), *(drifted * 1.03).T, (0.246, 0.246, 120.0))
    assert abs(scaled.stretch_x - 0.03) < 4 * scaled.stretch_x_sigma


def test_wander_of_the_rows_is_removed_and_local_strain_is_not(sheets):
    rng = np.random.default_rng(10)
    points = sheets.graphene(6.0)
    bump = 0.03 * np.exp(-((points - [3.0, 3.0]) ** 2).sum(axis=1) / 0.1)[:, None] * (points - [3.0, 3.0])
    wave = 0.02 * np.sin(points[:, 0] * 2 * np.pi / 3)
    measured = points + rng.normal(0, 0.004, points.shape) + bump
    measured[:, 1] += wave
    found = scan_distortion(fit_lattice(*measured.T), *measured.T, "hexagonal", node_nm=0.4)
    assert found.row_p < 1e-6
    corrected = np.stack(found.correct(*measured.T), axis=1)
    rest = corrected - points - bump
    rest = (
        rest
        - np.column_stack([points, np.ones(len(points))])
        @ np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), rest, rcond=None)[0]
    )
    assert rest.std() < 0.0055


def test_without_distortion_nothing_is_changed(sheets):
    rng = np.random.default_rng(11)
    points = sheets.graphene(4.0, 3.0)
    p, guess = [], fit_lattice(*points.T).cell
    for _ in range(40):
        measured = points + rng.normal(0, 0.005, points.shape)
        found = scan_distortion(fit_lattice(*measured.T, guess=guess), *measured.T, "hexagonal")
        p.append((found.affine_p, found.row_p))
    assert (np.array(p) < 0.05).mean(axis=0).max() < 0.2
    assert (np.array(p) > 1e-3).all()
    np.testing.assert_array_equal(np.stack(found.correct(*measured.T), axis=1), measured)
    with pytest.raises(BadInput, match="symmetry"):
        scan_distortion(fit_lattice(*points.T), *points.T, "cubic")


def test_the_larger_of_two_grains_gives_the_lattice(sheets):
    left, right = sheets.graphene(8.0, 0.0), sheets.graphene(8.0, 24.0)
    both = np.concatenate([left[left[:, 1] < 5.0], right[right[:, 1] > 5.1]])
    found = fit_lattice(*both.T)
    assert found.a_nm == pytest.approx(0.246, rel=2e-3)
    assert len(found.basis) == 2
    assert found.fraction_on_sites == pytest.approx(0.63, abs=0.12)


def test_the_reduced_cell_does_not_depend_on_the_choice_of_vectors():
    cell = np.array([[0.0, 0.3], [0.5, -0.1]])
    other = np.array([[2, 1], [3, 2]]) @ cell
    np.testing.assert_allclose(reduced(other), reduced(cell), atol=1e-12)
