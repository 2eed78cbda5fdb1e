import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micrograph.features.columns.species import Species, classify

TMD = (Species("Se2", 1.0), Species("Se1", 0.5), Species("Se0", 0.0))


def sites(rng, counts, host=120.0, background=40.0):
    means = np.concatenate([np.full(n, r * host) for n, r in zip(counts, (1.0, 0.5, 0.0), strict=True)])
    sigma = np.sqrt(means + background)
    return means + sigma * rng.standard_normal(len(means)), np.sqrt(np.maximum(means, 0) + background)


def test_classes_of_well_separated_sites_are_recovered():
    amplitude, sigma = sites(np.random.default_rng(0), (900, 60, 10), host=1000.0)
    truth = np.repeat(["Se2", "Se1", "Se0"], (900, 60, 10))
    found = classify(amplitude, sigma, TMD)
    assert (found.label == truth).mean() > 0.999
    assert found.host_intensity == pytest.approx(1000.0, rel=0.01)


def test_posterior_is_calibrated_where_classes_overlap():
    amplitude, sigma = sites(np.random.default_rng(1), (20_000, 2_000, 0), host=60.0)
    truth = np.repeat([0, 1], (20_000, 2_000))
    p = classify(amplitude, sigma, TMD[:2]).p[:, 1]
    middle = (p > 0.3) & (p < 0.7)
    assert middle.sum() > 100
    assert truth[middle].mean() == pytest.approx(p[middle].mean(), abs=0.06)


def test_fractions_do_not_follow_a_training_prior():
    amplitude, sigma = sites(np.random.default_rng(2), (1000, 300, 0), host=300.0)
    assert classify(amplitude, sigma, TMD).fractions[1] == pytest.approx(300 / 1300, abs=0.02)


@given(st.floats(1e-3, 1e6))
def test_classes_do_not_depend_on_the_intensity_unit(scale):
    amplitude, sigma = sites(np.random.default_rng(3), (200, 20, 3), host=500.0)
    one, other = classify(amplitude, sigma, TMD), classify(amplitude * scale, sigma * scale, TMD)
    assert (one.index == other.index).all()


def test_no_sites_give_an_empty_classification():
    found = classify(np.zeros(0), np.zeros(0), TMD)
    assert found.p.shape == (0, 3) and len(found.label) == 0
