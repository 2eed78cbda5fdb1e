"""Vacancies and dopants in TMD monolayers (ADF-STEM): what is on every site.   doi:10.1002/advs.202101099"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from micrograph.core import Prediction, Task
from micrograph.features.crystal import DEFECT_COLUMNS, STRAIN_COLUMNS, crystal_of, defect_table, voted, with_strain
from micrograph.features.lattice import Lattice
from micrograph.features.locate import LocateSettings, locate
from micrograph.features.occupancy import CLASS_P, occupied
from micrograph.features.overview import FRAME_COLUMNS, frame_row, lattice_doubts, magnification_note, order_doubts
from micrograph.features.points import POINTS
from micrograph.features.site_defects import site_defects
from micrograph.features.species import Species
from micrograph.features.summary import SUMMARY, ArealDensity
from micrograph.nets import Head, NetSpec
from micrograph.run import Recipe
from micrograph.simulate import Microscope, StemSampler, cross_section_A2
from micrograph.structures import (
    MATERIALS,
    Material,
    random_displacements,
    tmd,
    with_chalcogen_substitutions,
    with_chalcogen_vacancies,
    with_dopants,
    with_holes,
    with_metal_vacancies,
)
from micrograph.validate import (
    TMD,
    TmdFields,
    Trial,
    atom_f1,
    density_coverage,
    domain_auroc,
    false_positive_rate,
    position_over_limit,
    score_calibration,
    site_accuracy,
    site_recall,
)

#: Multislice images, made by another simulator.
WSE2 = Trial(tuple(f"tmd_wse2_{i}" for i in range(4)), 5e3, of="WSe2")
SULPHIDES = Trial(("tmd_mos2_0", "tmd_mos2_1", "tmd_ws2_0"), 1e5, of="MoS2 and WS2")
MOSE2 = Trial(("tmd_mose2_0",), 5e3, of="MoSe2")
#: Materials whose chalcogen columns are brighter than the metal's; nothing else tells the sublattices apart.
BRIGHT_CHALCOGEN = ("MoSe2",)


def monolayer(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return one of four monolayers with dopants, vacancies of both sublattices, substitutions, sometimes a hole."""
    name = str(rng.choice(list(MATERIALS)))
    atoms = tmd(
        name,
        size_nm,
        rotation_deg=float(rng.uniform(0, 120)),
        strain=tuple(rng.normal(0, 0.01, 3)),
        shift_nm=tuple(rng.uniform(0, 0.35, 2)),
    )
    dopant = str(rng.choice(["V", "Nb", "Cr", "Re", "Mo" if "W" in name else "W"]))
    atoms = with_dopants(atoms, dopant, float(rng.choice([0.0, 0.02, 0.06])), rng)
    atoms = with_metal_vacancies(atoms, float(rng.choice([0.0, 0.01, 0.03])), rng)
    atoms = with_chalcogen_vacancies(atoms, float(rng.choice([0.0, 0.03, 0.08])), rng)
    other = "S" if "Se" in name else "Se"
    atoms = with_chalcogen_substitutions(atoms, other, float(rng.choice([0.0, 0.03])), rng)
    if rng.random() < 0.15:
        atoms = with_holes(atoms, float(rng.uniform(0.3, 0.9)), rng)
    metal = np.isin(atoms.arrays["label"], ("Mo", "W", dopant, "vac_Mo", "vac_W"))
    atoms.arrays["mark"] = np.where(metal != (name in BRIGHT_CHALCOGEN), "bright", "dim")
    return random_displacements(atoms, float(rng.uniform(0, 0.01)), rng)


@dataclass(frozen=True)
class Monolayer:
    """Every site with what is on it. `dopants` may sit on metal sites, `substitutes` in chalcogen columns.

    A defect is listed from the posterior `certainty` on; every site keeps its likeliest class.
    """

    material: Literal["auto", "MoS2", "WS2", "MoSe2", "WSe2"] = "auto"
    dopants: tuple[str, ...] = ("V",)
    substitutes: tuple[str, ...] = ()
    threshold: float = 0.4
    min_distance_nm: float = 0.1
    prior_nm: float = 0.015
    certainty: float = 0.8

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'defects' and 'frames' of one frame."""
        settings = LocateSettings(
            heads=("bright", "dim"),
            threshold=self.threshold,
            min_distance_nm=self.min_distance_nm,
            prior_nm=self.prior_nm,
        )
        table = locate(prediction, settings).table
        microscope = _microscope(prediction)
        crystal = crystal_of(table, "hexagonal")
        lattice = crystal.lattice
        bright = voted(crystal, (table["class"] == "bright").to_numpy())
        table = with_strain(table, crystal)
        name = self.material if self.material != "auto" else _likeliest(table, bright, lattice, microscope)
        host = MATERIALS[name]
        metal = bright != (name in BRIGHT_CHALCOGEN)
        table = occupied(table, metal, _on_metal_sites(host, self.dopants, microscope))
        table = occupied(table, ~metal, _in_chalcogen_columns(host, self.substitutes, microscope))
        hosts = np.where(metal, host.metal, f"{host.chalcogen}2")
        found = site_defects(table["y_nm"], table["x_nm"], table["class"].to_numpy(str), hosts, table["score"])
        at = np.array([rows[0] for rows in found.atoms], dtype=np.intp)
        defects = defect_table(prediction.frame.index, found).assign(flags=table["flags"].to_numpy()[at])
        sure = table[CLASS_P.name].to_numpy()[at] >= self.certainty
        defects = defects[sure].reset_index(drop=True).assign(id=np.arange(int(sure.sum()), dtype=np.int64))
        doubts = (
            *lattice_doubts(lattice, host.a_nm, name),
            *order_doubts(table, lattice),
        )
        notes = magnification_note(lattice, host.a_nm, prediction.frame.calibration.pixel_nm or 1.0)
        frames = frame_row(prediction, table, crystal, doubts=doubts, notes=notes)
        return {"objects": table, "defects": defects, "frames": frames.assign(material=name)}


def _microscope(prediction: Prediction) -> Microscope:
    """Return the frame's microscope as far as it is known, else a usual one."""
    known = prediction.frame.calibration
    return Microscope(
        voltage_kV=known.voltage_kV or 80.0,
        convergence_mrad=known.convergence_mrad or 30.0,
        inner_mrad=known.inner_mrad or 65.0,
        outer_mrad=known.outer_mrad or 200.0,
    )


def _intensity(elements: tuple[str, ...], microscope: Microscope) -> float:
    """Return the cross-section (square angstrom) of a column that holds `elements`."""
    if not elements:
        return 0.0
    return float(cross_section_A2([atomic_numbers[element] for element in elements], microscope).sum())


def _on_metal_sites(host: Material, dopants: tuple[str, ...], microscope: Microscope) -> tuple[Species, ...]:
    """Return what a metal site may hold: the host, each dopant by its atomic number, nothing."""
    one = _intensity((host.metal,), microscope)
    ratios = {element: _intensity((element,), microscope) / one for element in dopants if element != host.metal}
    doped = tuple(Species(element, ratio, 0.12 * ratio) for element, ratio in ratios.items())
    return Species(host.metal, 1.0), *doped, Species(f"vac_{host.metal}", 0.0, 0.02)


def _in_chalcogen_columns(host: Material, substitutes: tuple[str, ...], microscope: Microscope) -> tuple[Species, ...]:
    """Return what a chalcogen column may hold: two, one, none, or one of the host and one substitute."""
    x = host.chalcogen
    two = _intensity((x, x), microscope)
    mixed = tuple(
        Species("".join(sorted((x, other))), _intensity((x, other), microscope) / two, 0.05)
        for other in substitutes
        if other != x
    )
    return Species(f"{x}2", 1.0), Species(f"{x}1", 0.5, 0.02), Species(f"{x}0", 0.0, 0.02), *mixed


def _likeliest(table: pd.DataFrame, bright: NDArray[np.bool_], lattice: Lattice | None, microscope: Microscope) -> str:
    """Return the material whose lattice constant and brightness of the sublattices fit best."""
    intensity = table["intensity"].to_numpy()
    usable = np.isfinite(intensity) & (table["flags"].to_numpy() == 0)
    if not (usable & bright).any() or not (usable & ~bright).any():
        return "MoS2"
    seen = np.median(intensity[usable & ~bright]) / np.median(intensity[usable & bright])
    misfit = {}
    for name, host in MATERIALS.items():
        ratio = _intensity((host.chalcogen,) * 2, microscope) / _intensity((host.metal,), microscope)
        expected = 1 / ratio if name in BRIGHT_CHALCOGEN else ratio
        misfit[name] = (np.log(max(seen, 0.02) / expected) / 0.3) ** 2
        if lattice is not None:
            misfit[name] += ((lattice.a_nm / host.a_nm - 1) / 0.015) ** 2
    return min(misfit, key=misfit.__getitem__)


DATA = StemSampler(
    structure=monolayer,
    pixel_nm=(0.009, 0.03),
    voltage_kV=(60.0, 120.0),
    dose_e_per_A2=(1.5e3, 1e6),
    microscope={"defocus_nm": (-4.0, 4.0), "astigmatism_nm": (0.0, 2.0), "coma_nm": (0.0, 60.0)},
    scan={"line_noise": (0.0, 0.02), "background": (0.0, 1e-3)},
)
MODEL = NetSpec(
    heads=(
        Head("bright", "spots", labels=("bright",)),
        Head("dim", "spots", labels=("dim",)),
        Head("contamination", "region"),
    ),
    weights="tmd-1",
)
RECIPE = Recipe(
    name="tmd-defects",
    title="Vacancies and dopants in TMD monolayers",
    task=Task(
        question="What is on every site of a MoS2, WS2, MoSe2 or WSe2 monolayer, and how dense are its defects?",
        needs=("pixel_nm",),
        answers={
            "objects": (*POINTS, CLASS_P, *STRAIN_COLUMNS),
            "defects": DEFECT_COLUMNS,
            "frames": FRAME_COLUMNS,
            "summary": SUMMARY,
        },
        reference="doi:10.1002/advs.202101099",
    ),
    data=DATA,
    model=MODEL,
    objects=Monolayer(),
    summary=ArealDensity(),
    checks=(
        atom_f1(WSE2, at_least=0.99),
        site_accuracy(WSE2.at(5e3, repeats=12), at_least=0.98),
        site_accuracy(WSE2.at(1e5, repeats=8), at_least=0.98),
        site_accuracy(MOSE2.at(5e3, repeats=24), at_least=0.98),
        site_accuracy(SULPHIDES.at(1e5, repeats=12), at_least=0.98),
        site_recall(WSE2.at(5e3, repeats=20), "V", at_least=0.99),
        false_positive_rate(WSE2.at(5e3, repeats=30), groups=TMD),
        false_positive_rate(WSE2.at(1e5, repeats=14), groups=TMD),
        density_coverage(TmdFields(), at_least=0.9),
        position_over_limit(WSE2.at(1e5), at_most=1.3),
        score_calibration(WSE2),
        domain_auroc(WSE2.at(1e5, repeats=1), foreign=("graphene_displaced_0",)),
    ),
)
