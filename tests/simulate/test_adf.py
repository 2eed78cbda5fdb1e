import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.simulate import Microscope, adf, adf_points, cross_section_A2
from micrograph.simulate.scattering import response

BENT = Microscope(defocus_nm=2, astigmatism_nm=1, astigmatism_deg=20, coma_nm=50, source_fwhm_nm=0.05)


def render(points: NDArray[np.float64], numbers: object, pixel_nm: float = 0.02, n: int = 100) -> NDArray[np.float32]:
    return adf_points(points, np.asarray(numbers), BENT, pixel_nm=pixel_nm, shape=(n, n + 11))


@pytest.mark.parametrize(
    ("number", "optics", "multislice_A2"),
    [
        (6, (60, 30, 60, 200), 0.001480),
        (16, (80, 25, 68, 180), 0.003811),
        (34, (80, 25, 68, 180), 0.013580),
        (42, (80, 25, 68, 180), 0.017814),
        (74, (80, 25, 68, 180), 0.035961),
    ],
)
def test_cross_sections_are_those_of_converged_multislice(
    number: int, optics: tuple[float, float, float, float], multislice_A2: float
) -> None:
    assert float(cross_section_A2(number, Microscope(*optics))) == pytest.approx(multislice_A2, rel=0.015)


def test_the_detector_can_be_cut_into_rings_that_add_up() -> None:
    def rings(inner: float, outer: float) -> NDArray[np.float64]:
        return cross_section_A2([6, 34, 74], Microscope(inner_mrad=inner, outer_mrad=outer))

    np.testing.assert_allclose(rings(60, 120) + rings(120, 200), rings(60, 200), rtol=2e-3)


def test_heavier_elements_scatter_more_across_a_column_of_the_periodic_table() -> None:
    sections = cross_section_A2([0, 6, 14, 32, 50, 82], Microscope())
    assert sections[0] == 0
    assert np.all(np.diff(sections) > 0)


def test_the_response_falls_from_one() -> None:
    kappa, transfer = response(6, Microscope())
    assert transfer[0] == 1 and kappa[0] == 0
    assert np.all(np.diff(transfer) < 0)
    assert 0.75 < transfer[-1] < 0.85


def test_an_element_beyond_uranium_is_refused() -> None:
    with pytest.raises(BadInput, match="uranium"):
        cross_section_A2([93], Microscope())


def test_a_detector_in_the_bright_field_disc_is_refused() -> None:
    with pytest.raises(BadInput, match="dark field"):
        cross_section_A2([6], Microscope(convergence_mrad=30, inner_mrad=20))


def test_a_single_atom_integrates_to_its_cross_section() -> None:
    image = adf_points(np.array([[2.0, 2.0]]), [14], Microscope(), pixel_nm=0.02, shape=(200, 200))
    assert image.sum() * 0.2**2 == pytest.approx(float(cross_section_A2(14, Microscope())), rel=0.01)


def test_empty_sites_and_empty_structures_are_dark() -> None:
    assert not render(np.zeros((0, 2)), []).any()
    assert not render(np.array([[1.0, 1.0]]), [0]).any()


@settings(max_examples=15, deadline=None)
@given(st.floats(0.7, 1.3), st.floats(0.7, 1.3))
def test_a_spot_lies_where_its_atom_lies(y: float, x: float) -> None:
    image = adf_points(np.array([[y, x]]), [6], Microscope(defocus_nm=2), pixel_nm=0.03, shape=(68, 68))
    centre = np.rint([y / 0.03, x / 0.03]).astype(int)
    rows, columns = np.mgrid[:68, :68] * 0.03
    for _ in range(12):  # a window that follows the centre of mass, so that it cuts the spot evenly
        near = np.exp(-((rows - centre[0] * 0.03) ** 2 + (columns - centre[1] * 0.03) ** 2) / 0.005) * image
        centre = np.array([(rows * near).sum(), (columns * near).sum()]) / near.sum() / 0.03
    np.testing.assert_allclose(centre * 0.03, [y, x], atol=2e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_images_add_and_shift_with_their_atoms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, numbers = rng.uniform(0.7, 1.4, (6, 2)), rng.choice([6, 14, 0, 74], 6)
    whole = render(points, numbers)
    np.testing.assert_allclose(render(points[:3], numbers[:3]) + render(points[3:], numbers[3:]), whole, atol=1e-6)
    shifted = render(points + np.array([0.1, -0.06]), numbers)
    np.testing.assert_allclose(shifted[8:80, 3:80], whole[3:75, 6:83], atol=4e-5 * max(whole.max(), 1e-6))


@pytest.mark.parametrize("coarse", [2, 4, 6])
def test_a_coarse_pixel_samples_the_same_image(coarse: int) -> None:
    points = np.array([[0.31, 0.42], [0.86, 1.1], [1.7, 0.02]])
    fine = render(points, [6, 14, 6], 0.01, 180)
    rough = render(points, [6, 14, 6], 0.01 * coarse, 180 // coarse - 11)
    h, w = rough.shape
    np.testing.assert_allclose(rough, fine[::coarse, ::coarse][:h, :w], atol=6e-3 * fine.max())


def test_atoms_in_the_border_shine_in_and_nothing_wraps_round() -> None:
    image = render(np.array([[1.0, -0.03]]), [14])
    assert image[50, 0] > 0.5 * image.max()
    assert image[:, 60:].max() < 2e-3 * image.max()


def test_thermal_motion_blurs_and_keeps_the_sum() -> None:
    point, shape = np.array([[1.0, 1.0]]), (101, 101)
    still = adf_points(point, [6], BENT, pixel_nm=0.02, shape=shape)
    moving = adf_points(point, [6], BENT, pixel_nm=0.02, shape=shape, thermal_nm=0.02)
    assert moving.max() < 0.97 * still.max()
    assert moving.sum() == pytest.approx(still.sum(), rel=1e-3)


def test_atoms_and_points_give_the_same_image() -> None:
    atoms = Atoms("CSi", positions=[[5, 6, 0], [9, 12, 1]])
    image = adf(atoms, BENT, pixel_nm=0.02, shape=(80, 80), origin_nm=(0.1, 0.2))
    points = adf_points(np.array([[0.5, 0.3], [1.1, 0.7]]), [6, 14], BENT, pixel_nm=0.02, shape=(80, 80))
    np.testing.assert_allclose(image, points, atol=1e-9)
    assert image.dtype == np.float32


def test_a_pixel_of_no_size_is_refused() -> None:
    with pytest.raises(BadInput, match="greater than zero"):
        render(np.zeros((1, 2)), [6], pixel_nm=0.0)
