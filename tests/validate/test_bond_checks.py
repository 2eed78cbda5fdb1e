"""Checks of bonds: one who knows the truth passes, one who calls every bond different or none fails the right one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from micrograph.core import Recording
from micrograph.simulate import Movie
from micrograph.validate.checks import run_checks
from micrograph.validate.layers.bond_checks import RestingSilicon, bond_checks, true_strain

MOVIES = RestingSilicon(count=2, frames=3, size_px=110)


class Knowing:
    """Answers with the truth of the movies in their order; p-values and strain as it is told."""

    def __init__(self, longer_p: float, equal_p: float, strain: float) -> None:
        self.longer_p, self.equal_p, self.strain = longer_p, equal_p, strain
        self.asked = 0

    def __call__(self, image: object, pixel_nm: float) -> Mapping[str, pd.DataFrame]:
        raise AssertionError("bonds are judged over movies, never in a single image")

    def movie(self, recording: Recording) -> Mapping[str, pd.DataFrame]:
        movie = MOVIES(self.asked)
        self.asked += 1
        first = movie.truth[movie.truth["frame"] == 0]
        spread = np.ptp(first[["bond_1_nm", "bond_2_nm", "bond_3_nm"]].to_numpy(float), axis=1)
        p = np.where(spread > 0.002, self.longer_p, self.equal_p)
        sites = first.assign(frames=MOVIES.frames, asymmetry_p=p)
        bonds = movie.truth[["frame", "y_nm", "x_nm"]].assign(length_sigma_nm=0.005, shared_nm2=0.0)
        return {"sites": sites, "bonds": bonds, **self._strains(movie)}

    def _strains(self, movie: Movie) -> Mapping[str, pd.DataFrame]:
        place, true = true_strain(movie)
        cells = pd.DataFrame(
            {"y_sample_nm": place[:, 0], "x_sample_nm": place[:, 1], "bond_strain": true + self.strain}
        )
        return {
            "strain_map": cells.assign(frames=MOVIES.frames),
            "objects": pd.DataFrame({"bond_strain_sigma": [0.004, np.nan, 0.004]}),
        }


def test_who_knows_the_truth_passes_and_movies_are_analysed_once() -> None:
    knowing = Knowing(longer_p=1e-4, equal_p=0.3, strain=0.001)
    found, false, strain = run_checks(bond_checks(MOVIES, found=0.02, false=0.99), knowing, np.random.default_rng(0))
    assert (found.error, false.error, strain.error) == ("", "", "")
    assert (found.value, false.value, strain.value) == (1.0, 0.0, pytest.approx(0.001))
    assert found.passed and false.passed and strain.passed
    assert knowing.asked == MOVIES.count
    assert strain.limit == pytest.approx(0.004 / np.sqrt(MOVIES.frames))
    assert strain.baseline is not None and strain.baseline > 5e-4
    assert found.limit is not None and 0.01 < found.limit < 0.9


def test_who_always_or_never_calls_bonds_different_fails() -> None:
    always = run_checks(bond_checks(MOVIES), Knowing(1e-4, 1e-4, 0.02), np.random.default_rng(0))
    assert [result.value for result in always][:2] == [1.0, 1.0]
    assert not always[1].passed and not always[2].passed
    never = run_checks(bond_checks(MOVIES), Knowing(0.9, 0.9, 0.0), np.random.default_rng(0))
    assert [result.value for result in never][:2] == [0.0, 0.0] and not never[0].passed


def test_strain_of_a_sheet_with_silicon_is_some_tenths_of_a_percent_around_zero() -> None:
    _, true = true_strain(MOVIES(0))
    known = true[np.isfinite(true)]
    assert abs(known.mean()) < 5e-3 and 5e-4 < known.std() < 1e-2
