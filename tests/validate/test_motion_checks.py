import numpy as np
import pytest

from micrograph.simulate import MovieSettings, PointSample, point_movie
from micrograph.track import LinkSettings
from micrograph.validate.motion_checks import Detector, Walks, diffusion_error, drift_residual


def movies(frames, sample, **settings):
    def movie(seed):
        given = MovieSettings(frames=frames, size_px=(512, 512), pixel_nm=0.02, seed=seed, **settings)
        return point_movie(sample, given)

    return movie


def unused(*_):
    raise AssertionError("tables alone are judged")


def test_drift_left_is_near_its_limit_and_below_that_of_single_steps():
    sample = PointSample(count=60, d_nm2_per_s=0.0, birth_per_s=0.3, death_per_s=0.005)
    check = drift_residual(
        movies(60, sample, drift_nm_per_s=(0.004, 0.005)), Detector(0.004, missed=0.15, false=0.1), count=2
    )
    found = check.measure(unused, np.random.default_rng(0))
    assert found.high < 0.2 and found.limit is not None and found.baseline is not None
    assert 0.5 * found.limit < found.value < 2 * found.limit < 2 * found.baseline


def test_error_of_d_is_about_its_bound():
    walks = Walks(
        movies(60, PointSample(count=15, d_nm2_per_s=2e-3, apart_nm=1.0)),
        Detector(0.01, missed=0.02),
        steps=40,
        count=2,
        link=LinkSettings(reach_nm=0.4),
    )
    found = diffusion_error(walks).measure(unused, np.random.default_rng(0))
    assert 0.5 < found.value < 1.5 and found.limit == pytest.approx(1.0)


def test_a_detector_misses_and_invents_as_told():
    movie = movies(50, PointSample(count=100))(1)
    seen = Detector(0.005, missed=0.3, false=0.1)(movie, np.random.default_rng(1))
    assert len(seen) / len(movie.truth) == pytest.approx(0.8, abs=0.02)
