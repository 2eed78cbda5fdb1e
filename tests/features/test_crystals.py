import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.diffraction.reciprocal import (
    find_reciprocal,
    intensity_rotations,
    lattice_rotations,
    laue_class,
)
from micrograph.features.diffraction.space_group import LAUE_OF, extinction_class
from micrograph.features.diffraction.spots import Spots, find_spots, fit_net
from micrograph.features.diffraction.symmetry_answer import cell_of, conformal_set, solve
from micrograph.features.layers.surroundings import structure_table, surroundings
from micrograph.simulate.patterns.diffraction import (
    Beam,
    Camera,
    Measured,
    reflections,
    saed,
    volume_peaks,
    zone_rotation,
)
from micrograph.structures.prototypes import Wear, prototype, worn
from micrograph.structures.space_groups import POINT_GROUPS, family_of, is_of_group, point_group_of, random_crystal


def _table(atoms):  # type: ignore[no-untyped-def]
    return structure_table(atoms.positions, atoms.numbers, np.asarray(atoms.cell))


def test_surroundings_do_not_depend_on_how_often_the_cell_is_repeated_or_turned() -> None:
    cell = prototype("hcp", ("Mg",), 3.21, c=1.62)
    turned = cell.repeat((2, 3, 2))
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    one, many = surroundings(_table(cell)), surroundings(_table(turned))
    assert np.linalg.norm(many - one) < 0.15 * np.linalg.norm(one)


def test_vacancies_change_surroundings_less_than_another_structure_type_does() -> None:
    rng = np.random.default_rng(0)
    fcc, bcc = prototype("fcc", ("Cu",), 3.61), prototype("bcc", ("Fe",), 2.87)
    ideal, other = surroundings(_table(fcc)), surroundings(_table(bcc))
    half = surroundings(_table(worn(fcc, 400, Wear(vacancies=0.4), rng)))
    assert np.linalg.norm(half - ideal) < 0.3 * np.linalg.norm(other - ideal)


def test_a_few_atoms_without_a_period_are_refused() -> None:
    with pytest.raises(BadInput, match="at least 6"):
        surroundings(structure_table(np.eye(3) * 3, np.array([6, 6, 6]), None))


def test_the_plane_lattice_of_a_pattern_is_found_behind_the_beam_stop() -> None:
    cell = prototype("fcc", ("Au",), 4.078)
    camera = Camera(counts=5e4)
    rotation = zone_rotation(cell, np.array([0, 0, 1]), 1.0, 20.0, 33.0)
    image = saed(reflections(cell, 17.0), rotation, Beam(thickness_nm=8.0), camera, np.random.default_rng(0))
    net = fit_net(find_spots(image))
    assert net is not None
    np.testing.assert_allclose(net.lengths * camera.pixel_per_nm, 2 / 0.4078, rtol=0.01)
    assert net.angle_deg == pytest.approx(90, abs=0.5)


def test_two_spots_make_no_plane_lattice() -> None:
    assert fit_net(Spots(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones(2))) is None


@pytest.mark.parametrize("number", [14, 62, 88, 147, 167, 194, 205, 227])
def test_laue_class_and_cell_follow_from_peaks(number: int) -> None:
    rng = np.random.default_rng(number)
    crystal = random_crystal(number, rng)
    peaks = volume_peaks(reflections(crystal, 7.0), Measured(0.01, 0.05), rng).astype(float)
    found = find_reciprocal(peaks[:, :3], peaks[:, 3])
    assert found is not None
    laue = laue_class(intensity_rotations(found, lattice_rotations(found.basis)))
    assert laue == LAUE_OF[point_group_of(number)]


def test_groups_that_forbid_the_same_reflections_are_listed_together() -> None:
    assert {195, 200} <= set(extinction_class(200))
    assert extinction_class(62) == extinction_class(33) == (33, 62)
    assert extinction_class(14) == (14,)


def test_the_answer_of_rock_salt_holds_its_point_group_and_cell() -> None:
    peaks = volume_peaks(
        reflections(prototype("rocksalt", ("Na", "Cl"), 5.64), 16.0), Measured(0.01, 0.05), np.random.default_rng(0)
    )
    answer = solve(peaks)
    assert answer is not None and answer.laue == "m-3m"
    assert conformal_set(answer.point_groups, 0.95)[POINT_GROUPS.index("m-3m")]
    values, sigmas = cell_of(answer.lattice)
    np.testing.assert_allclose(values[:3], 0.564 / np.sqrt(2), atol=5 * sigmas[:3].max() + 1e-4)


def test_random_crystals_are_of_their_group_and_no_higher() -> None:
    rng = np.random.default_rng(1)
    for number in (3, 19, 75, 143, 168, 198):
        crystal = random_crystal(number, rng)
        assert is_of_group(crystal.get_scaled_positions(), crystal.numbers, number)


def test_families_and_point_groups_follow_the_international_tables() -> None:
    assert [family_of(n) for n in (1, 3, 16, 75, 143, 168, 195)] == [
        "triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic",
    ]  # fmt: skip
    assert (point_group_of(62), point_group_of(166), point_group_of(216)) == ("mmm", "-3m", "-43m")
