"""Given a network that errs nowhere, every recipe finds what is there: the maps are drawn from the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk

from micrograph.core import BadInput, Calibration, Frame, Prediction, Sample
from micrograph.recipes import RECIPES, find_recipe
from micrograph.recipes.atoms import OwnStructure
from micrograph.run import Recipe
from micrograph.simulate import StemSampler
from micrograph.structures import graphene, sites_of, tmd, with_chalcogen_vacancies, with_silicon, with_vacancies
from micrograph.train.targets import example

PIXEL_NM = 0.02


def sample_of(recipe: Recipe, structure: Callable[[float, np.random.Generator], Atoms], seed: int = 0) -> Sample:
    """Return a clean image of `structure` at a high dose, without distortion."""
    still = dict.fromkeys(("affine", "drift_nm", "flyback_nm", "jitter_nm", "line_noise", "background"), (0.0, 0.0))
    assert isinstance(recipe.data, StemSampler)
    clean = replace(
        recipe.data,
        structure=structure,
        pixel_nm=(PIXEL_NM, PIXEL_NM),
        contaminated=0.0,
        noise_only=0.0,
        electrons=None,
        dose_e_per_A2=(1e6, 1e6),
        voltage_kV=(80.0, 80.0),
        scan=still,
    )
    return clean(np.random.default_rng(seed))


def seen_by(recipe: Recipe, sample: Sample) -> Mapping[str, pd.DataFrame]:
    """Return the tables of a sample under a network that answers the truth."""
    known = Calibration(
        pixel_nm=sample.pixel_nm,
        voltage_kV=80.0,
        convergence_mrad=sample.params["convergence_mrad"],
        inner_mrad=sample.params["inner_mrad"],
        outer_mrad=sample.params["outer_mrad"],
    )
    _, targets = example(sample, recipe.model)
    maps = {name: 0.999 * target.numpy() for name, target in zip(recipe.model.names, targets, strict=True)}
    none = {name: np.zeros_like(values) for name, values in maps.items()}
    return recipe.objects(Prediction(Frame(sample.image, 0, known), maps, none, recipe.model.pixel_nm))


def inner(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["flags"] == 0]


def counts(values: object) -> dict[str, int]:
    names, numbers = np.unique(np.asarray(values, dtype=str), return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def true_inside(sample: Sample, margin_nm: float = 0.08) -> dict[str, int]:
    size = sample.image.shape[0] * sample.pixel_nm
    place = np.stack([sample.sites.y_nm, sample.sites.x_nm])
    return counts(sample.sites.label[((place > margin_nm) & (place < size - margin_nm)).all(axis=0)])


def test_perfect_graphene_has_its_lattice_constant_and_no_defects() -> None:
    recipe = find_recipe("graphene-dopants")
    tables = seen_by(recipe, sample_of(recipe, lambda size, rng: graphene(size, rotation_deg=17)))
    frame = tables["frames"].iloc[0]
    assert abs(frame["a_nm"] - 0.246) < 4 * frame["a_sigma_nm"] + 5e-4
    assert frame["gamma_deg"] == pytest.approx(120, abs=0.5) or frame["gamma_deg"] == pytest.approx(60, abs=0.5)
    assert set(inner(tables["objects"])["class"]) == {"C"}
    assert len(inner(tables["defects"])) == 0


def test_silicon_and_vacancies_in_graphene_are_found_one_by_one() -> None:
    recipe = find_recipe("graphene-dopants")

    def sheet(size: float, rng: np.random.Generator) -> Atoms:
        return with_silicon(with_vacancies(graphene(size), rng, rate=0.01), rng, rate=0.02)

    sample = sample_of(recipe, sheet, seed=4)
    tables = seen_by(recipe, sample)
    silicon = inner(tables["objects"]).query("`class` == 'Si'")
    vacancies = inner(tables["defects"])[lambda rows: rows["name"].str.startswith("V")]
    for label, rows, reach in (("Si", silicon, 0.02), ("vac_C", vacancies, 0.1)):
        there = sample.sites[sample.sites.label == label]
        gap = np.hypot(there.y_nm[:, None] - rows["y_nm"].to_numpy(), there.x_nm[:, None] - rows["x_nm"].to_numpy())
        assert len(rows) >= 1 and (gap.min(axis=0) < reach).all()
    assert len(silicon) >= true_inside(sample, 0.1)["Si"] >= 5


@pytest.mark.parametrize("material", ["MoS2", "WSe2"])
def test_a_perfect_monolayer_has_metal_and_chalcogen_pairs_only(material: str) -> None:
    recipe = find_recipe("tmd-defects").with_settings({"material": material})
    marked = marked_as(material)
    tables = seen_by(recipe, sample_of(recipe, lambda size, rng: marked(tmd(material, size))))
    metal, chalcogen = {"MoS2": ("Mo", "S2"), "WSe2": ("W", "Se2")}[material]
    assert set(inner(tables["objects"])["class"]) == {metal, chalcogen}
    assert len(inner(tables["defects"])) == 0


def marked_as(material: str) -> Callable[[Atoms], Atoms]:
    from micrograph.structures import BRIGHT_CHALCOGEN

    def mark(atoms: Atoms) -> Atoms:
        metal = np.isin(atoms.arrays["label"], ("Mo", "W", "vac_Mo", "vac_W"))
        atoms.set_array("mark", np.where(metal != (material in BRIGHT_CHALCOGEN), "bright", "dim"))
        return atoms

    return mark


def test_missing_chalcogens_are_counted() -> None:
    recipe = find_recipe("tmd-defects").with_settings({"material": "WSe2", "dopants": ""})

    def sheet(size: float, rng: np.random.Generator) -> Atoms:
        return marked_as("WSe2")(with_chalcogen_vacancies(tmd("WSe2", size), 0.1, rng))

    sample = sample_of(recipe, sheet, seed=1)
    tables, true = seen_by(recipe, sample), true_inside(sample)
    assert true["Se1"] >= 4
    assert counts(inner(tables["objects"])["class"])["Se1"] == true["Se1"]
    assert counts(inner(tables["defects"])["name"])["vac_Se"] == true["Se1"]


def test_a_square_crystal_has_its_lattice_in_any_material() -> None:
    recipe = find_recipe("atoms")

    def square(size: float, rng: np.random.Generator) -> Atoms:
        steps = 10 * 0.2 * np.arange(-2, size / 0.2 + 2)
        y, x = (axis.ravel() for axis in np.meshgrid(steps, steps))
        atoms = Atoms(np.full(len(y), 29), np.column_stack([x, y, np.zeros(len(y))]))
        atoms.set_array("label", np.full(len(y), "atom"))
        return atoms

    frame = seen_by(recipe, sample_of(recipe, square))["frames"].iloc[0]
    assert frame["a_nm"] == pytest.approx(0.2, abs=5e-4) and frame["b_nm"] == pytest.approx(0.2, abs=5e-4)
    assert frame["gamma_deg"] == pytest.approx(90, abs=0.3)


def test_an_own_crystal_has_its_columns(tmp_path: Path) -> None:
    bulk("Si", "diamond", a=5.431, cubic=True).write(tmp_path / "si.cif")
    atoms = OwnStructure(tmp_path / "si.cif", "110")(4.0, np.random.default_rng(2))
    sites = sites_of(atoms)
    inside = (np.stack([sites.y_nm, sites.x_nm]) > 0).all(axis=0) & (np.stack([sites.y_nm, sites.x_nm]) < 4).all(axis=0)
    assert inside.sum() == pytest.approx(4 * np.sqrt(2) / 0.5431**2 * 16, rel=0.12)
    assert set(sites.label) == {"atom"}


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match=", ".join(RECIPES)):
        find_recipe("tmd")
