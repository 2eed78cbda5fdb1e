"""Fits of peaks to counted spectra: truth within errors, errors as the bound has them, the right number of peaks."""

import numpy as np
import pytest

from micrograph.core import BadInput
from micrograph.features.spectra.spectrum_fit import Background, Peak, SpectrumFit, choose_model, fit_spectrum

ENERGY = np.linspace(100, 160, 241)
STEP = ENERGY[1] - ENERGY[0]


def gaussian(area: float, place: float, width: float) -> np.ndarray:
    sigma = width / np.sqrt(8 * np.log(2))
    return np.asarray(area * STEP * np.exp(-0.5 * ((ENERGY - place) / sigma) ** 2) / sigma / np.sqrt(2 * np.pi))


def lorentzian(area: float, place: float, width: float) -> np.ndarray:
    return np.asarray(area * STEP / np.pi * (width / 2) / ((ENERGY - place) ** 2 + (width / 2) ** 2))


TRUTH = gaussian(3000, 120, 4) + 8.0
ONE = (Peak(121, 3),)


def fits_of(times: int, truth: np.ndarray = TRUTH) -> list[SpectrumFit]:
    rng = np.random.default_rng(0)
    return [fit_spectrum(ENERGY, rng.poisson(truth).astype(float), ONE) for _ in range(times)]


def test_errors_are_those_that_are_stated_and_no_bias_is_left() -> None:
    fits = fits_of(40)
    pulls = np.stack([(fit.peaks[0] - (3000, 120, 4)) / fit.sigma[0] for fit in fits])
    np.testing.assert_allclose(pulls.std(axis=0), 1, atol=0.3)
    np.testing.assert_allclose(pulls.mean(axis=0), 0, atol=0.5)
    assert np.mean([fit.deviance / fit.freedom for fit in fits]) == pytest.approx(1, abs=0.06)


def test_the_place_of_a_lone_peak_is_known_to_its_sigma_over_the_root_of_its_counts() -> None:
    fit = fit_spectrum(ENERGY, gaussian(1e4, 130, 4), (Peak(129, 5),), "none")
    assert fit.sigma[0, 1] == pytest.approx(4 / np.sqrt(8 * np.log(2)) / np.sqrt(1e4), rel=0.02)
    assert fit.sigma[0, 0] == pytest.approx(100, rel=0.02)
    assert fit.settled


@pytest.mark.parametrize("background", ["line", "power"])
def test_backgrounds_are_told_from_peaks(background: Background) -> None:
    ground = 20 - 10 * (ENERGY - 130) / 60 if background == "line" else 20 * (ENERGY / 130) ** -3.0
    seen = np.random.default_rng(1).poisson(lorentzian(2000, 125, 3) + ground).astype(float)
    fit = fit_spectrum(ENERGY, seen, (Peak(126, 2, "lorentzian"),), background)
    assert np.abs(fit.peaks[0] - (2000, 125, 3))[1] < 4 * fit.sigma[0, 1]
    true = (20, -10) if background == "line" else (20, 3)
    assert (np.abs(fit.background - true) < 4 * fit.background_sigma).all()


@pytest.mark.parametrize("by", ["evidence", "bic"])
@pytest.mark.parametrize(("apart", "right"), [(6.0, 1), (0.0, 0)])
def test_two_peaks_are_chosen_where_there_are_two(by: str, apart: float, right: int) -> None:
    rng = np.random.default_rng(2)
    truth = gaussian(1500, 128 - apart / 2, 4) + gaussian(1500, 128 + apart / 2, 4) + 5
    models = [((Peak(128, 5),), "constant"), ((Peak(126, 4), Peak(131, 4)), "constant")]
    chosen = [choose_model(ENERGY, rng.poisson(truth).astype(float), models, by=by)[0] for _ in range(8)]  # type: ignore[arg-type]
    assert np.mean(np.array(chosen) == right) > 0.8


def test_probabilities_sum_to_one_and_noise_alone_has_no_peak() -> None:
    seen = np.random.default_rng(3).poisson(6.0, ENERGY.size).astype(float)
    number, _, shares = choose_model(ENERGY, seen, [((), "constant"), (ONE, "constant")])
    assert number == 0
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > 0.9


def test_a_gain_scales_counts_and_their_errors() -> None:
    seen = np.random.default_rng(4).poisson(TRUTH).astype(float)
    plain, loud = fit_spectrum(ENERGY, seen, ONE), fit_spectrum(ENERGY, 5 * seen, ONE, gain=5.0)
    assert loud.peaks[0, 0] == pytest.approx(5 * plain.peaks[0, 0])
    assert loud.sigma[0, 0] == pytest.approx(5 * plain.sigma[0, 0])


@pytest.mark.parametrize(
    ("energy", "counts", "said"),
    [(ENERGY[:5], TRUTH[:5], "fewer"), (ENERGY[::-1], TRUTH, "rising"), (ENERGY, 0 * TRUTH, "no counts")],
)
def test_spectra_that_cannot_be_fitted_are_refused(energy: np.ndarray, counts: np.ndarray, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        fit_spectrum(energy, counts, (Peak(120, 3), Peak(140, 3)))
