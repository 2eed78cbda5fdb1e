import numpy as np
import pytest

from micrograph.track import rate_law, window


def circles(rng, v0, k, radii=(6.0, 9.0, 14.0, 25.0), frames=13, noise_nm=0.0):
    """Return outlines [circle][frame] whose radius follows dr/dt = v0 + k / r, at places that move at random."""
    movie = []
    for start in radii:
        radius, outlines = start, []
        for _ in range(frames):
            count = round(2 * np.pi * radius / 0.2)
            angle = 2 * np.pi * np.arange(count) / count
            wave = np.fft.rfftfreq(count) * 2 * np.pi
            error = np.fft.irfft(np.fft.rfft(rng.normal(size=count)) * np.exp(-0.5 * (2 * wave) ** 2), count)
            far = radius + noise_nm * error / error.std()
            outlines.append(far[:, None] * np.column_stack([np.sin(angle), np.cos(angle)]) + rng.normal(0, 0.5, 2))
            for _ in range(100):
                radius += 0.01 * (v0 + k / radius)
        movie.append(outlines)
    return movie


def law_of(movie, baseline=4):
    found = [
        (track, window(one[first : first + baseline + 1], np.arange(baseline + 1.0)))
        for track, one in enumerate(movie)
        for first in range(0, len(one) - baseline, baseline)
    ]
    track = np.array([number for number, _ in found])
    left, right, stretches = (np.array([getattr(w, name) for _, w in found]) for name in ("left", "right", "stretches"))
    return rate_law(track, left, right, stretches)


@pytest.mark.parametrize("baseline", [1, 2, 4])
def test_circles_without_noise_give_the_law_to_a_percent(baseline):
    law = law_of(circles(np.random.default_rng(0), -0.05, -0.4), baseline)
    assert law.v0 == pytest.approx(-0.05, rel=0.01)
    assert law.k == pytest.approx(-0.4, rel=0.01)


def test_noise_of_outlines_does_not_flatten_the_law():
    laws = [law_of(circles(np.random.default_rng(seed), -0.05, -0.4, noise_nm=0.1)) for seed in range(4)]
    assert np.mean([law.k for law in laws]) == pytest.approx(-0.4, rel=0.08)
    assert np.mean([law.v0 for law in laws]) == pytest.approx(-0.05, rel=0.08)


def test_growth_is_outwards_and_positive():
    law = law_of(circles(np.random.default_rng(2), 0.1, 0.0))
    assert law.v0 == pytest.approx(0.1, rel=0.01)
    assert law.k == pytest.approx(0.0, abs=0.01)


def test_outlines_of_too_few_points_say_nothing():
    corner = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert window([corner, corner], [0.0, 1.0]) is None


def test_no_windows_give_no_law():
    assert np.isnan(rate_law(np.empty(0), np.empty((0, 2, 2)), np.empty((0, 2)), np.empty(0)).v0)
