"""Fields of graphene with defects and their atoms as `defect-library` finds them (decision record 0009)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from benchmarks.atom_net import PIXEL_NM, SIZE_NM, Field
from micrograph.core import Calibration, Frame
from micrograph.features.columns.second_look import read_twice
from micrograph.features.layers.sheet import SheetSettings
from micrograph.nets.grid import to_model_grid
from micrograph.simulate import Microscope, brightness
from micrograph.structures import EDGES, grain_boundary, graphene, side_by_side, with_edge, with_holes
from micrograph.validate.layers.library_checks import NAMES, NamedFields, Shown

Named = tuple[str, float, float]

#: Names of the fields learned from, in turn, and their number.
TAUGHT = (
    "SW", "V1", "V2", "Si1C4", "5-7", "Si2C4", "Si2C5", "SW",
    "V2", "Si1C3", "Si3C6", "V1", "5-7", "Si2C6", "Si2C5",
)  # fmt: skip
LEARNED = 80
#: Of the fields that are judged.
SEED = 20261122


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
    true, places = [name for name, _, _ in shown.reference.defects], [place for _, *place in shown.reference.defects]
    return atoms_in(Frame(shown.image, 0, Calibration(pixel_nm=shown.reference.pixel_nm)), predict) | {
        "true": np.array(true, dtype=np.str_), "true_nm": np.array(places).reshape(-1, 2)
    }  # fmt: skip


def atoms_in(frame: Frame, predict: Any) -> Field:
    """Return the image, its atoms as the recipe finds them, and the rules' names and places."""
    sheet = read_twice(predict(frame), SheetSettings(), brightness(frame.calibration))
    table, defects = sheet.table, sheet.defects
    light = table["intensity"].to_numpy(float) / np.nanmedian(table["intensity"])
    sigma = np.hypot(table["y_sigma_nm"], table["x_sigma_nm"]).fillna(0.02) / 0.01
    inputs = np.column_stack([
        np.clip(np.nan_to_num(light, nan=1.0), 0, 8) - 1, table["class"] == "Si", table["class_p"], table["score"],
        ~np.isfinite(light), np.clip(sigma, 0, 5),
    ])  # fmt: skip
    return {
        "image": to_model_grid(frame.data, frame.calibration.pixel_nm or PIXEL_NM, PIXEL_NM).numpy(),
        "atoms": table[["y_nm", "x_nm"]].to_numpy(float),
        "straight": np.column_stack([sheet.crystal.y_nm, sheet.crystal.x_nm]),
        "inputs": inputs.astype(np.float32),
        "rules": defects["name"].to_numpy(str),
        "rules_nm": defects[["y_nm", "x_nm"]].to_numpy(float),
    }


def kept(path: Path, make: Callable[[], Field]) -> Field:
    """Return the field that `path` holds; made and written there where it is missing."""
    if not path.exists():
        np.savez_compressed(path, allow_pickle=False, **make())
    with np.load(path) as file:
        return dict(file)


def test_field(affine: float, name: str, number: int, folder: Path, predict: Any) -> Field:
    """Return field `number` of a name at a distortion, otherwise as in the recipe's check; of a seed used only here."""
    rng = np.random.default_rng([SEED, round(1000 * affine), NAMES.index(name), number])
    path = folder / f"test-{affine:g}-{name}-{number}.npz"
    return kept(path, lambda: found(NamedFields(affine=affine).drawn(name, rng), predict))


def strange_field(kind: str, number: int, folder: Path, predict: Any) -> Field:
    """Return field `number` of one of `STRANGE`, which hold what no network was taught, at 2 % distortion."""
    rng = np.random.default_rng([SEED, 7, list(STRANGE).index(kind), number])

    def make() -> Field:
        atoms, defects = STRANGE[kind](rng)
        return found(NamedFields(affine=0.02).shown(kind, atoms, defects, rng), predict)

    return kept(folder / f"strange-{kind.replace(' ', '-')}-{number}.npz", make)


def _sheet(change: Callable[..., Atoms], rng: np.random.Generator, **settings: Any) -> tuple[Atoms, list[Named]]:
    return change(graphene(SIZE_NM, rotation_deg=float(rng.uniform(0, 60))), rng=rng, **settings), []


def _mixed(rng: np.random.Generator) -> tuple[Atoms, list[Named]]:
    return side_by_side(rng.permutation(NAMES[:9])[:6].tolist(), SIZE_NM, rng)


def _boundary(rng: np.random.Generator) -> tuple[Atoms, list[Named]]:
    tilt, rotation = rng.choice([21.787, 27.796, 32.204, 38.213]), rng.uniform(0, 180)
    return grain_boundary(SIZE_NM, rng, tilt_deg=float(tilt), rotation_deg=float(rotation)), []


#: What the networks are not taught: fields of several kinds of defects, and of none that has a name.
STRANGE: dict[str, Callable[[np.random.Generator], tuple[Atoms, list[Named]]]] = {
    "several kinds": _mixed,
    "small holes": lambda rng: _sheet(with_holes, rng, radius_nm=float(rng.uniform(0.28, 0.4)), count=3),
    "holes": lambda rng: _sheet(with_holes, rng, radius_nm=float(rng.uniform(0.5, 1.0)), count=2),
    "edges": lambda rng: _sheet(with_edge, rng, edge=str(rng.choice(EDGES))),
    "grain boundaries": _boundary,
}


def taught_fields(folder: Path, predict: Any) -> list[Field]:
    """Return the fields that the graph network learns from."""
    return [kept(folder / f"learn-{k}.npz", partial(_taught, k, predict)) for k in range(LEARNED)]


def _taught(number: int, predict: Any) -> Field:
    rng = np.random.default_rng([4242, number])
    return found(random_fields(rng).drawn(TAUGHT[number % len(TAUGHT)], rng), predict)
