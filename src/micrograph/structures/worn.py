"""Samples as networks meet them in training: layers at any angle and strain, with defects, holes, displacements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from micrograph.structures.edges import with_holes
from micrograph.structures.graphene import graphene, with_silicon, with_vacancies
from micrograph.structures.sites import random_displacements
from micrograph.structures.tmd import (
    MATERIALS,
    tmd,
    with_chalcogen_substitutions,
    with_chalcogen_vacancies,
    with_dopants,
    with_metal_vacancies,
)

if TYPE_CHECKING:
    from ase import Atoms

#: Materials whose chalcogen columns are brighter than the metal's; nothing else tells the sublattices apart.
BRIGHT_CHALCOGEN = ("MoSe2",)


def random_graphene(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return graphene with vacancies, 3-fold silicon and holes; by design no 5-7 pair, SW or silicon cluster."""
    atoms = graphene(
        size_nm,
        rotation_deg=float(rng.uniform(0, 60)),
        strain=tuple(rng.normal(0, 0.01, 3)),
        shift_nm=tuple(rng.uniform(0, 0.3, 2)),
    )
    atoms = with_vacancies(atoms, rng, rate=float(rng.choice([0.0, 0.004, 0.015])))
    atoms = with_silicon(atoms, rng, rate=float(rng.choice([0.0, 0.005, 0.02])))
    if rng.random() < 0.25:
        atoms = with_holes(atoms, float(rng.uniform(0.3, 1.0)), rng)
    return random_displacements(atoms, float(rng.uniform(0, 0.015)), rng)


def random_monolayer(size_nm: float, rng: np.random.Generator) -> Atoms:
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
