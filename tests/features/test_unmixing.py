"""Endmembers: their number, their spectra, their shares, and what goes wrong without care."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograph.features.spectra.amounts import amounts_of, noise_unit, without_spikes
from micrograph.features.spectra.components import components_of_cube, find_components, noise_edge, noise_weights
from micrograph.features.spectra.unmixing import sparse_amounts, unmixed
from micrograph.simulate.signals.spectra import random_mixture


def cosines(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the cosine of each true spectrum (K, E) with the one found that is most like it, each used once."""
    from scipy.optimize import linear_sum_assignment

    def unit(one: np.ndarray) -> np.ndarray:
        return one / np.linalg.norm(one, axis=1, keepdims=True)

    middle = true.mean(axis=0)
    rows, columns = linear_sum_assignment(-unit(true - middle) @ unit(found - middle).T)
    return np.asarray((unit(true) @ unit(found).T)[rows, columns])


def test_weights_make_the_variance_one_in_the_mean_of_every_row_and_column() -> None:
    variance = np.random.default_rng(0).gamma(2.0, 3.0, (40, 30)) * np.arange(1, 31)
    weights = noise_weights(variance)
    white = variance / weights.row[:, None] / weights.column
    np.testing.assert_allclose(white.mean(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(white.mean(axis=1), 1, atol=1e-3)
    assert weights.column.sum() == pytest.approx(1)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_noise_alone_has_one_component_its_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spectrum, thickness = rng.uniform(0.5, 20, 80), rng.uniform(0.3, 2, 200)
    assert find_components(rng.poisson(np.outer(thickness, spectrum)).astype(float)).number == 1


def test_the_edge_of_noise_is_that_of_marchenko_and_pastur() -> None:
    noise = np.random.default_rng(1).normal(size=(500, 120))
    largest = np.linalg.norm(noise, 2) ** 2
    assert largest < noise_edge(500, 120) < 1.12 * largest


@pytest.mark.parametrize("kind", ["eels", "edx"])
def test_endmembers_and_their_number_are_found_in_poisson_noise(kind: str) -> None:
    rng = np.random.default_rng(3)
    truth = random_mixture(kind, rng, number=3, side=24, snr=8)
    found, plan, counts = components_of_cube(truth.recorded(rng))
    assert found.number == 3
    assert found.gain == pytest.approx(1, abs=0.02)
    merged = np.add.reduceat(truth.endmembers, plan.starts, axis=1)
    mixed = unmixed(found, counts)
    assert cosines(merged, mixed.endmembers).min() > 0.99
    np.testing.assert_allclose(mixed.endmembers.sum(axis=1), 1, atol=0.01)
    assert (np.diff(mixed.counts.sum(axis=0)) <= 0).all()


def test_the_gain_of_a_camera_is_measured_and_changes_nothing_else() -> None:
    rng = np.random.default_rng(4)
    seen = random_mixture("edx", rng, number=3, side=24, snr=6).recorded(rng)
    plain, loud = (components_of_cube(factor * seen)[0] for factor in (1.0, 7.0))
    assert loud.gain == pytest.approx(7 * plain.gain, rel=0.02)
    assert (loud.number, plain.number) == (3, 3)


def test_noise_that_is_alike_in_neighbouring_channels_makes_no_components() -> None:
    rng = np.random.default_rng(5)
    truth = random_mixture("eels", rng, number=2, side=24, snr=8)
    spread = np.apply_along_axis(lambda one: np.convolve(one, (0.25, 0.5, 0.25), mode="same"), 2, truth.recorded(rng))
    found, plan, _ = components_of_cube(spread.astype(np.float32))
    assert plan.channels >= 2
    assert found.number == 2


def test_amounts_are_unbiased_and_their_sigmas_true() -> None:
    rng = np.random.default_rng(6)
    truth = random_mixture("eels", rng, number=2, side=24, snr=10)
    found = amounts_of(truth.recorded(rng).reshape(-1, truth.endmembers.shape[1]), truth.endmembers)
    true = (truth.counts[..., None] * truth.shares).reshape(-1, 2)
    inside = (true > 4 * found.sigma).all(axis=1)
    pulls = ((found.counts - true) / found.sigma)[inside]
    assert np.sqrt((pulls**2).mean()) == pytest.approx(1, abs=0.12)
    assert found.misfit.mean() == pytest.approx(1, abs=0.03)


def test_a_pure_spectrum_takes_one_endmember_and_a_mixture_two() -> None:
    corners = np.array([[10.0, 0, 0], [0, 8.0, 0], [1.0, 1.0, 9.0]])
    scores = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.2, 0.8]]) @ corners
    scores += np.random.default_rng(7).normal(0, 0.05, scores.shape)
    amounts = sparse_amounts(scores, corners, 0.05**2)
    np.testing.assert_array_equal(amounts > 0, [[1, 0, 0], [1, 1, 0], [0, 1, 1]])


def test_cosmic_rays_are_replaced_and_lines_are_kept() -> None:
    rng = np.random.default_rng(8)
    clean = rng.poisson(np.exp(-0.5 * ((np.arange(200) - 90) / 4) ** 2) * 60 + 2.0, (30, 200)).astype(np.float32)
    hit = clean.copy()
    places = [(0, 20), (12, 90), (29, 199), (15, 2)]
    for place in places:
        hit[place] += 400
    left, number = without_spikes(hit)
    assert number == len(places)
    assert all(left[place] < 120 for place in places)
    assert without_spikes(clean)[1] == 0


def test_the_noise_of_a_line_is_measured_in_counts() -> None:
    counts = np.random.default_rng(9).poisson(30.0, (40, 300)).astype(np.float32)
    assert noise_unit(5 * counts) == pytest.approx(5, rel=0.1)
