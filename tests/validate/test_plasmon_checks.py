"""Checks of spectra told by images: what is measured, and what a wrong answer does to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micrograph.validate.spectra import plasmon_checks
from micrograph.validate.spectra.plasmon_checks import (
    Judged,
    PlasmonTrial,
    band_error,
    explained,
    judged,
    over_baselines,
)

TRIAL = PlasmonTrial("few", number=3)


@pytest.fixture(scope="module")
def seen() -> tuple[Judged, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plasmon_checks, "KNOWN", 8)
        return judged(TRIAL, 3)


def measured(check: object, seen: tuple[Judged, ...], monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(plasmon_checks._SEEN, "found", lambda *asked: seen)
    return float(check.measure(None, np.random.default_rng(0)).value)  # type: ignore[attr-defined]


def test_spectra_told_by_the_image_beat_the_nearest_surroundings(
    seen: tuple[Judged, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measured(explained(TRIAL, at_least=0.9), seen, monkeypatch) > 0.8
    assert measured(over_baselines(TRIAL, at_most=0.8), seen, monkeypatch) < 0.8


def test_the_mean_spectrum_explains_nothing_and_wrong_bands_are_seen(
    seen: tuple[Judged, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = tuple(replace(one, told=np.repeat(one.mean[None], len(one.told), axis=0)) for one in seen)
    assert measured(explained(TRIAL, at_least=0.9), mean, monkeypatch) == pytest.approx(0)
    narrow = tuple(replace(one, sigma=0.05 * one.sigma) for one in seen)
    assert measured(band_error(TRIAL, at_most=0.1), narrow, monkeypatch) > 0.4


def test_overlaps_are_shares(seen: tuple[Judged, ...]) -> None:
    overlaps = np.concatenate([one.overlap for one in seen])
    known = overlaps[np.isfinite(overlaps)]
    assert len(known) and known.min() >= 0 and known.max() <= 1
