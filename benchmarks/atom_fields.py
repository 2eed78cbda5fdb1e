"""Fields of graphene with defects and their atoms as `defect-library` finds them (decision record 0009)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.atom_net import Field
from micrograph.core import Calibration, Frame
from micrograph.features.columns.second_look import read_twice
from micrograph.features.layers.sheet import SheetSettings
from micrograph.simulate import Microscope, brightness
from micrograph.validate.layers.library_checks import NAMES, NamedFields, Shown, name_accuracy

#: Names of the fields learned from, in turn, and their number.
TAUGHT = (
    "SW", "V1", "V2", "Si1C4", "5-7", "Si2C4", "Si2C5", "SW",
    "V2", "Si1C3", "Si3C6", "V1", "5-7", "Si2C6", "Si2C5",
)  # fmt: skip
LEARNED = 80


def random_fields(rng: np.random.Generator, **changes: Any) -> NamedFields:
    """Return conditions to learn under: doses half to twice the bar's, up to 4 % distortion, half with other probes."""
    fields = NamedFields(**changes)
    if rng.random() < 0.5:
        convergence, source, defocus, astigmatism, turn = rng.uniform([28, 0.05, -2, 0, 0], [33, 0.08, 2, 1, 180])
        probe = {"defocus_nm": defocus, "astigmatism_nm": astigmatism, "astigmatism_deg": turn}
        fields = replace(fields, microscope=Microscope(60.0, convergence, 80.0, 200.0, source_fwhm_nm=source, **probe))
    affine = float(rng.uniform(0, 0.04))
    return replace(fields, affine=affine, dose_e_per_A2=float(np.exp(rng.uniform(np.log(5e4), np.log(2e5)))))


def found(shown: Shown, predict: Any) -> Field:
    """Return one field: its image, its atoms as the recipe finds them, the true and the rules' names and places."""
    frame = Frame(shown.image, 0, Calibration(pixel_nm=shown.reference.pixel_nm))
    sheet = read_twice(predict(frame), SheetSettings(), brightness(frame.calibration))
    table, defects = sheet.table, sheet.defects
    light = table["intensity"].to_numpy(float) / np.nanmedian(table["intensity"])
    sigma = np.hypot(table["y_sigma_nm"], table["x_sigma_nm"]).fillna(0.02) / 0.01
    inputs = np.column_stack([
        np.clip(np.nan_to_num(light, nan=1.0), 0, 8) - 1, table["class"] == "Si", table["class_p"], table["score"],
        ~np.isfinite(light), np.clip(sigma, 0, 5),
    ])  # fmt: skip
    return {
        "image": shown.image,
        "atoms": table[["y_nm", "x_nm"]].to_numpy(float),
        "straight": np.column_stack([sheet.crystal.y_nm, sheet.crystal.x_nm]),
        "inputs": inputs.astype(np.float32),
        "true": np.array([each for each, _, _ in shown.reference.defects]),
        "true_nm": np.array([place for _, *place in shown.reference.defects]),
        "rules": defects["name"].to_numpy(str),
        "rules_nm": defects[["y_nm", "x_nm"]].to_numpy(float),
    }


def kept(path: Path, make: Callable[[], Field]) -> Field:
    """Return the field that `path` holds; made and written there where it is missing."""
    if not path.exists():
        np.savez_compressed(path, allow_pickle=False, **make())
    with np.load(path) as file:
        return dict(file)


def test_fields(affine: float, count: int, folder: Path, predict: Any) -> list[Field]:
    """Return the first fields of every name in the recipe's check at a distortion, as they are with seed 0."""
    fields, those = NamedFields(affine=affine), []
    seed = int(np.random.default_rng(0).integers(2**32))
    rng = np.random.default_rng([seed, *name_accuracy(fields).name.encode()])
    for name in NAMES:
        for k, shown in enumerate([fields.drawn(name, rng) for _ in range(7)][:count]):
            those.append(kept(folder / f"{affine:g}-{name}-{k}.npz", partial(found, shown, predict)))
    return those


def taught_fields(folder: Path, predict: Any) -> list[Field]:
    """Return the fields that the graph network learns from."""
    return [kept(folder / f"learn-{k}.npz", partial(_taught, k, predict)) for k in range(LEARNED)]


def _taught(number: int, predict: Any) -> Field:
    rng = np.random.default_rng([4242, number])
    return found(random_fields(rng).drawn(TAUGHT[number % len(TAUGHT)], rng), predict)
