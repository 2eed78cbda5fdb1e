"""The checks of a library: what they count, on answers that are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from micrograph.validate.layers.library_checks import NamedFields, Shown, bond_bias, bond_scatter, name_accuracy
from micrograph.validate.limits import Columns, Raster, bond_limits, cramer_rao, gaussian_spot

SMALL = NamedFields(names=("Si1C3", "V1"), count=1, size_nm=2.4, dose_e_per_A2=1e6)


class Oracle:
    """Answers with the truth of the fields drawn last; positions off by `off_nm`, the name of V1 changed on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, off_nm: float = 0.0, v1: str = "V1") -> None:
        self.off_nm, self.v1, drawn = off_nm, v1, NamedFields.drawn

        def remember(fields: NamedFields, name: str, rng: np.random.Generator) -> Shown:
            self.shown = drawn(fields, name, rng)
            return self.shown

        monkeypatch.setattr(NamedFields, "drawn", remember)

    def __call__(self, image: Any, pixel_nm: float) -> dict[str, pd.DataFrame]:
        sites, defects = self.shown.reference.sites, self.shown.reference.defects
        place = np.column_stack([sites.y_nm, sites.x_nm])
        middle = int(np.hypot(*(place - defects[0][1:]).T).argmin())
        order = np.argsort(np.hypot(*(place - place[middle]).T))[:4]
        names = [self.v1 if name == "V1" else name for name, _, _ in defects]
        length = np.hypot(*(place[order[1:]] - place[order[0]]).T)
        return {
            "defects": pd.DataFrame({"name": names, "y_nm": [d[1] for d in defects], "x_nm": [d[2] for d in defects]}),
            "fragments": pd.DataFrame(
                {"id": 0, "atom": np.arange(4), "y_nm": place[order, 0], "x_nm": place[order, 1]}
            ),
            "fragment_bonds": pd.DataFrame(
                {"id": 0, "first": 0, "second": [1, 2, 3], "length_nm": length + self.off_nm, "length_sigma_nm": 0.01}
            ),
        }


def test_a_perfect_reader_names_all_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    found = name_accuracy(SMALL, repeats=2).measure(Oracle(monkeypatch), np.random.default_rng(1))  # type: ignore[arg-type]
    assert found.value == 1.0
    assert "Si1C3 2 of 2; V1 2 of 2" in found.detail


def test_a_wrong_name_counts_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Oracle(monkeypatch, v1="V2")
    found = name_accuracy(SMALL, repeats=1).measure(reader, np.random.default_rng(1))  # type: ignore[arg-type]
    assert found.value == 0.5
    assert "V1 0 of 1 (1 as V2)" in found.detail


def test_bonds_that_are_all_too_long_are_biased_but_do_not_scatter(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = replace(SMALL, names=("Si1C3",))
    reader = Oracle(monkeypatch, off_nm=0.003)
    bias = bond_bias(fields, repeats=1).measure(reader, np.random.default_rng(2))  # type: ignore[arg-type]
    assert bias.value == pytest.approx(3.0, abs=1e-6)
    scatter = bond_scatter(fields, repeats=1).measure(reader, np.random.default_rng(2))  # type: ignore[arg-type]
    assert scatter.value < 0.3


def test_the_limit_of_a_long_distance_is_that_of_two_lone_columns() -> None:
    columns = Columns(np.array([0.5, 0.5]), np.array([0.5, 1.9]), np.full(2, 1e-3), [gaussian_spot(0.04)])
    raster = Raster((50, 120), 0.02)
    single = cramer_rao(columns, raster, 1e5).x_nm
    bond = bond_limits(columns, raster, 1e5, np.array([[0, 1]]))
    np.testing.assert_allclose(bond, np.hypot(*single), rtol=1e-3)
