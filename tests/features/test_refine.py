"""What `refine` promises: efficiency, honest errors, no pull to the lattice, and calm in the face of bad input."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.columns.noise import NoiseModel
from micrograph.features.columns.refine import RefineSettings, refine
from micrograph.features.columns.shape import ColumnShape

spec = importlib.util.spec_from_file_location("columns", Path(__file__).parent / "columns.py")
columns = importlib.util.module_from_spec(spec)
spec.loader.exec_module(columns)
graphene, render, exact_variances = columns.graphene, columns.render, columns.exact_variances


def noisy_graphene(size, sigma, dose, seed, gain=3.3, zero=17.0):
    rng = np.random.default_rng(seed)
    ideal, place, seen = graphene(size, rng)
    expected = render((size, size), place, np.full(len(place), float(dose)), sigma) + 0.1 * dose * 38.2e-4
    image = (rng.poisson(expected) * gain + zero).astype(np.float32)
    start = place + rng.uniform(-2, 2, place.shape)
    seen &= ((start > 0) & (start < size - 1)).all(1)
    return image, expected, start[seen], place, place[seen], ideal[seen]


def errors_against_the_bound(size, sigma, dose, seed):
    image, expected, start, everyone, place, ideal = noisy_graphene(size, sigma, dose, seed)
    fit = refine(image, start[:, 0], start[:, 1])
    bound = exact_variances(image.shape, everyone, np.full(len(everyone), float(dose)), sigma, expected)
    index = [int(np.argmin(np.hypot(*(everyone - each).T))) for each in place]
    inner = ((place > 30) & (place < size - 31)).all(1) & fit.ok
    found = np.column_stack([fit.y_px, fit.x_px])
    variance = np.einsum("kii->ki", fit.covariance_px2)
    return [each[inner].ravel() for each in (found - place, variance, bound[index, 1:], found - ideal, place - ideal)]


@pytest.fixture(scope="module")
def graphene_errors():
    runs = [errors_against_the_bound(220, 4.2, 1500, seed) for seed in range(3)]
    return [np.concatenate(each) for each in zip(*runs, strict=True)]


def test_displaced_graphene_is_measured_close_to_the_cramer_rao_bound(graphene_errors):
    error, _, bound, _, _ = graphene_errors
    statistical = 2.5 / np.sqrt(2 * len(error))
    assert np.sqrt((error**2).mean() / bound.mean()) < 1.03 + statistical


def test_reported_variances_equal_the_exact_inverse_information(graphene_errors):
    _, variance, bound, _, _ = graphene_errors
    assert np.median(variance / bound) == pytest.approx(1.03, abs=0.05)


def test_two_thirds_of_the_errors_lie_within_one_sigma(graphene_errors):
    error, variance, *_ = graphene_errors
    assert (error**2 < variance).mean() == pytest.approx(0.683, abs=0.06)


def test_columns_are_not_drawn_to_the_lattice(graphene_errors):
    error, _, _, measured, true = graphene_errors
    uncertainty = np.sqrt((error**2).mean() / (true @ true))
    assert measured @ true / (true @ true) == pytest.approx(1.0, abs=3 * uncertainty)


def test_wide_columns_that_overlap_strongly_have_exact_variances():
    _, variance, bound, _, _ = errors_against_the_bound(200, 5.5, 1500, 5)
    assert np.median(variance / bound) == pytest.approx(1.0, abs=0.10)


def test_noise_shape_and_intensities_come_from_the_image():
    image, _, start, _, place, _ = noisy_graphene(300, 4.2, 600, 3)
    fit = refine(image, start[:, 0], start[:, 1])
    inner = ((place > 30) & (place < 270)).all(1) & fit.ok
    assert fit.noise.gain == pytest.approx(3.3, rel=0.08)
    assert fit.noise.variance(np.float32([17.0]))[0] < 0.1 * fit.noise.variance(np.float32([image.mean()]))[0]
    assert fit.noise.correlation == pytest.approx(1.0, abs=0.1)
    assert fit.shape.sigma_px == pytest.approx(4.2, rel=0.02)
    assert fit.amplitude[inner].mean() == pytest.approx(600 * 3.3, rel=0.04)
    pull = (fit.amplitude[inner] - fit.amplitude[inner].mean()) / fit.amplitude_sigma[inner]
    assert pull.std() == pytest.approx(1.0, abs=0.2)
    assert fit.chi2 == pytest.approx(1.0, abs=0.1)


def test_the_fitted_model_explains_the_image():
    image, expected, start, *_ = noisy_graphene(160, 4.2, 5000, 4)
    model = refine(image, start[:, 0], start[:, 1]).model()
    inner = np.s_[20:-20, 20:-20]
    assert model.shape == image.shape
    assert np.abs(model[inner] - (expected[inner] * 3.3 + 17)).mean() < 0.03 * (expected.max() * 3.3)


def test_weak_and_empty_columns_of_a_tmd_have_unbiased_intensities():
    rng = np.random.default_rng(8)
    i, j = (each.ravel() for each in np.mgrid[-1:12, -1:14])
    metal = np.column_stack([28.0 * i, 32.0 * j + 16.0 * (i % 2)]) + 10
    weak = metal + np.array([9.3, 16.0])
    everyone = np.concatenate([metal, weak])
    amplitude = np.concatenate([np.full(len(metal), 4000.0), np.full(len(weak), 1000.0)])
    empty = len(metal) + np.arange(0, len(weak), 7)
    amplitude[empty] = 0
    size = 300
    expected = render((size, size), everyone, amplitude, 4.5) + 1.5
    image = rng.poisson(expected).astype(np.float32)
    seen = ((everyone > 0) & (everyone < size - 1)).all(1)
    start = everyone[seen] + rng.uniform(-1.5, 1.5, (seen.sum(), 2))
    fit = refine(image, start[:, 0], start[:, 1])
    inner = ((everyone[seen] > 25) & (everyone[seen] < size - 26)).all(1)
    for value in (4000.0, 1000.0):
        chosen = inner & (amplitude[seen] == value)
        assert fit.ok[chosen].all()
        assert fit.amplitude[chosen].mean() == pytest.approx(value, rel=0.03)
    vacant = inner & (amplitude[seen] == 0)
    assert not fit.ok[vacant].any()
    pull = fit.amplitude[vacant] / fit.amplitude_sigma[vacant]
    assert abs(pull.mean()) < 3 / np.sqrt(vacant.sum())


def test_elliptical_columns_keep_their_ellipse():
    rng = np.random.default_rng(1)
    _, place, seen = graphene(200, rng)
    image = rng.poisson(render((200, 200), place, np.full(len(place), 2000.0), (4.8, 3.9)) + 1).astype(np.float32)
    shape = refine(image, place[seen, 0], place[seen, 1]).shape
    assert np.sqrt(shape.core_yy) == pytest.approx(4.8, rel=0.03)
    assert np.sqrt(shape.core_xx) == pytest.approx(3.9, rel=0.03)


def test_the_tail_of_isolated_columns_is_found():
    rng = np.random.default_rng(2)
    place = np.array([[y, x] for y in (40, 120, 200) for x in (40, 120, 200)]) + rng.uniform(-3, 3, (9, 2))
    image = render((240, 240), place, np.full(9, 8e4), 4.0) + render((240, 240), place, np.full(9, 2e4), 9.0) + 5
    fit = refine(rng.poisson(image).astype(np.float32), place[:, 0] + 1, place[:, 1] - 1)
    assert fit.ok.all()
    assert fit.shape.tail_weight == pytest.approx(0.2, abs=0.05)
    assert fit.amplitude == pytest.approx(np.full(9, 1e5), rel=0.02)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_few_columns_are_enough(number):
    rng = np.random.default_rng(number)
    place = np.array([[30.3, 31.7], [30.1, 52.4], [70.5, 40.2], [75.8, 80.9], [40.0, 78.0]])[:number]
    image = rng.poisson(render((100, 100), place, np.full(number, 3000.0), 4.0) + 2).astype(np.float32)
    fit = refine(image, place[:, 0] + 1.5, place[:, 1] - 1.5)
    pull = (np.column_stack([fit.y_px, fit.x_px]) - place) / np.sqrt(np.einsum("kii->ki", fit.covariance_px2))
    assert fit.ok.all() and np.abs(pull).max() < 4
    assert fit.amplitude == pytest.approx(np.full(number, 3000.0), rel=0.1)


def test_a_column_at_the_border_has_a_larger_error_but_no_bias():
    rng = np.random.default_rng(6)
    place = np.array([[2.0, 50.0], [50.0, 50.0], [75.0, 20.0]])
    image = rng.poisson(render((100, 100), place, np.full(3, 2e4), 4.0) + 2).astype(np.float32)
    fit = refine(image, place[:, 0], place[:, 1])
    sigma = np.sqrt(fit.covariance_px2[:, 0, 0])
    assert sigma[0] > 1.3 * sigma[1]
    assert abs(fit.y_px[0] - 2.0) < 4 * sigma[0]


def test_fixed_columns_keep_their_place_and_only_their_intensity_is_fitted():
    image, _, start, _, place, _ = noisy_graphene(160, 4.2, 800, 9)
    fixed = np.zeros(len(place), bool)
    fixed[::3] = True
    given = np.where(fixed[:, None], place, start)
    fit = refine(image, given[:, 0], given[:, 1], fixed=fixed)
    assert np.array_equal(fit.y_px[fixed], given[fixed, 0])
    assert np.all(fit.covariance_px2[fixed] == 0)
    inner = fixed & ((place > 25) & (place < 135)).all(1)
    assert fit.amplitude[inner].mean() == pytest.approx(800 * 3.3, rel=0.06)


def test_a_tight_prior_keeps_a_column_near_its_given_place():
    image, _, start, *_ = noisy_graphene(160, 4.2, 400, 9)
    fit = refine(image, start[:, 0], start[:, 1], prior_sigma_px=0.01)
    assert np.nanmax(np.abs(fit.y_px - start[:, 0])) < 0.05
    assert np.nanmax(np.einsum("kii->ki", fit.covariance_px2)) <= 1.01e-4


def test_known_shape_and_noise_are_kept():
    image, _, start, *_ = noisy_graphene(160, 4.2, 800, 9, gain=1.0, zero=0.0)
    settings = RefineSettings(shape=ColumnShape(17.64, 17.64), noise=NoiseModel(1.0, 0.0), background_px=np.inf)
    fit = refine(image, start[:, 0], start[:, 1], settings)
    assert fit.shape == ColumnShape(17.64, 17.64)
    assert fit.noise.gain == pytest.approx(1.0) and fit.noise.readout_variance == pytest.approx(0.0, abs=1e-6)
    assert fit.chi2 == pytest.approx(1.0, abs=0.2)


def test_gain_and_zero_of_the_detector_do_not_move_columns():
    counts, _, start, *_ = noisy_graphene(160, 4.2, 800, 11, gain=1.0, zero=0.0)
    one = refine(counts, start[:, 0], start[:, 1])
    other = refine(counts * 250 - 3000, start[:, 0], start[:, 1])
    assert one.y_px == pytest.approx(other.y_px, abs=0.02)
    assert one.amplitude * 250 == pytest.approx(other.amplitude, rel=0.02)


def test_correlated_noise_is_seen_and_enlarges_the_errors():
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    _, place, seen = graphene(240, rng)
    expected = render((240, 240), place, np.full(len(place), 2000.0), 4.2) + 5
    white = (expected + rng.normal(0, 4, expected.shape)).astype(np.float32)
    soft = gaussian_filter(white, 1.2)
    fits = [refine(each, place[seen, 0], place[seen, 1]) for each in (white, soft)]
    assert fits[0].noise.correlation == pytest.approx(1.0, abs=0.05)
    assert fits[1].noise.correlation > 1.5
    sigma = [np.sqrt(np.nanmedian(each.covariance_px2[:, 0, 0])) for each in fits]
    assert sigma[1] == pytest.approx(sigma[0], rel=0.35)


def test_dead_pixels_are_left_out():
    image, _, start, _, place, _ = noisy_graphene(160, 4.2, 3000, 12)
    image[::17, ::13] = np.nan
    image[40:60, 80:90] = np.nan
    fit = refine(image, start[:, 0], start[:, 1])
    inner = ((place > 25) & (place < 135)).all(1) & fit.ok
    pull = (fit.y_px - place[:, 0]) / np.sqrt(fit.covariance_px2[:, 0, 0])
    assert inner.sum() > 40 and pull[inner].std() < 1.4


@pytest.mark.parametrize(
    "image", [np.full((64, 64), 7.0), np.full((64, 64), np.nan), np.zeros((64, 64)), np.ones((2, 2))]
)
def test_an_image_without_contrast_gives_nothing_ok(image):
    fit = refine(image.astype(np.float32), [20.0, 30.0], [20.0, 30.0])
    assert not fit.ok.any() and fit.y_px.tolist() == [20.0, 30.0]
    assert fit.model().shape == image.shape


def test_no_columns_give_an_empty_fit():
    fit = refine(np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32), [], [])
    assert len(fit) == 0 and fit.covariance_px2.shape == (0, 2, 2) and fit.ok.shape == (0,)


def test_columns_outside_the_image_or_without_a_place_are_not_ok():
    image, _, start, *_ = noisy_graphene(120, 4.2, 800, 9)
    y, x = np.append(start[:, 0], [-40.0, np.nan]), np.append(start[:, 1], [10.0, 5.0])
    fit = refine(image, y, x)
    assert not fit.ok[-2:].any() and fit.ok[:-2].mean() > 0.8


def test_pure_noise_has_no_columns():
    rng = np.random.default_rng(3)
    place = rng.uniform(10, 118, (30, 2))
    fit = refine(rng.normal(100, 5, (128, 128)).astype(np.float32), place[:, 0], place[:, 1])
    assert fit.ok.mean() < 0.3


@pytest.mark.parametrize(("y", "x", "shape"), [([1.0], [1.0, 2.0], (32, 32)), ([1.0], [1.0], (3, 32, 32))])
def test_wrong_shapes_are_refused_with_a_sentence(y, x, shape):
    with pytest.raises(BadInput, match="give one grey image"):
        refine(np.zeros(shape, np.float32), y, x)


@pytest.mark.parametrize("seed", range(30))
def test_odd_images_and_places_give_flags_and_finite_numbers_but_no_error(seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=rng.integers(3, 60, 2))
    if seed % 5 == 1:
        image = rng.poisson(0.02, image.shape).astype(float)
    elif seed % 5 == 2:
        image[rng.random(image.shape) < 0.7] = np.nan
    elif seed % 5 == 3:
        image = -np.exp(5 * image)
    elif seed % 5 == 4:
        image[0, 0] = np.inf
    place = rng.uniform(-3, 60, (rng.integers(1, 20), 2))
    place[-1] = place[0]
    fit = refine(image.astype(np.float32), place[:, 0], place[:, 1])
    for each in (fit.y_px, fit.x_px, fit.amplitude, fit.amplitude_sigma, fit.covariance_px2):
        assert np.isfinite(each[fit.ok]).all()
