"""Checks of columns in HRTEM: what they count, their bound, abTEM's waves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from micrograph.core import BadInput
from micrograph.simulate import GrapheneSheets, Lens
from micrograph.simulate.phase.hrtem_sampler import GRAPHENE_HRTEM, lattice_contrast
from micrograph.validate.columns.hrtem_checks import (
    ColumnTrial,
    at_dose,
    atom_spot,
    columns_found,
    place_error,
    through,
)
from micrograph.validate.columns.hrtem_multislice import WAVES, load_wave

SHEETS = at_dose(
    GRAPHENE_HRTEM, 1e5, filmed=0.0, field_nm=2.0, scene=GrapheneSheets(boundaries=0, holed=1.0), pixel_nm=(0.03, 0.031)
)
TRIAL = ColumnTrial((), 1e5, inset_nm=0.2, of="sheets", sampler=SHEETS, images=2, rim_nm=0.3)


class Omniscient:
    """Finds every column but each `every`-th, and one where there is none; draws the images anew to know them."""

    def __init__(self, every: int = 0) -> None:
        self.every, self.number = every, 0

    def __call__(self, image: np.ndarray, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
        sample = next(one for one in self.samples if np.array_equal(one.image, image))
        rows = np.arange(len(sample.sites))
        kept = rows % self.every != 0 if self.every else rows >= 0
        table = {"y_nm": sample.sites.y_nm[kept], "x_nm": sample.sites.x_nm[kept] + 0.01, "class": "column", "flags": 0}
        return {"objects": pd.DataFrame(table)}

    @property
    def samples(self) -> list:
        seed = int(np.random.default_rng(7).integers(2**62))
        return [SHEETS(np.random.default_rng([seed, one])) for one in range(2)]


def test_recall_is_the_share_of_judged_columns_that_are_found() -> None:
    whole = columns_found(TRIAL, "recall", at_least=0.9).measure(Omniscient(), np.random.default_rng(7))
    half = columns_found(TRIAL, "recall", at_least=0.9).measure(Omniscient(2), np.random.default_rng(7))
    right = columns_found(TRIAL, "precision", at_least=0.9).measure(Omniscient(2), np.random.default_rng(7))
    assert whole.value == 1 and half.value == pytest.approx(0.5, abs=0.1) and right.value == 1


def test_a_shift_that_all_columns_share_is_no_error() -> None:
    found = place_error(TRIAL, at_most_nm=0.1).measure(Omniscient(), np.random.default_rng(7))
    assert found.value == pytest.approx(0, abs=1e-9) and found.baseline is not None and found.baseline > 0


def test_the_bound_falls_with_the_root_of_the_dose() -> None:
    (answer,) = replace(TRIAL, images=1, of="one").seen(Omniscient(), np.random.default_rng(7))
    brighter = replace(answer, trial=TRIAL.at(4e5))
    ratio = np.nanmedian(answer.limits().y_nm / brighter.limits().y_nm)
    assert ratio == pytest.approx(2, rel=1e-3)


def test_the_spot_of_an_atom_is_dark_under_focus() -> None:
    middle = np.zeros(1)
    assert (
        atom_spot(Lens(80.0, 6.0), 0.0)(middle, middle)[0, 0, 0]
        < 0
        < atom_spot(Lens(80.0, -6.0), 0.0)(middle, middle)[0, 0, 0]
    )


@pytest.mark.parametrize("name", ["graphene_0", "gold_110"])
def test_a_shipped_wave_shows_its_columns(name: str) -> None:
    wave = load_wave(name)
    defocus = -6.0 if name.startswith("graphene") else -8.0
    lens = Lens(wave.voltage_kV, defocus, focal_spread_nm=3.0)
    assert lattice_contrast(lens, wave.scene.shown_per_nm) > 0.15
    image, sites = through(wave, lens), wave.scene.columns
    inside = (sites.y_nm > 0.2) & (sites.y_nm < 3.8) & (sites.x_nm > 0.2) & (sites.x_nm < 3.8)
    at = image[np.rint(sites.y_nm[inside] / 0.02).astype(int), np.rint(sites.x_nm[inside] / 0.02).astype(int)]
    assert at.mean() > image.mean() + 0.5 * image.std()
    assert wave.scene.count.max() == (1 if name.startswith("graphene") else wave.scene.count.max())


def test_an_unknown_wave_is_refused_with_those_known() -> None:
    with pytest.raises(BadInput, match=next(iter(WAVES))):
        load_wave("silver")
