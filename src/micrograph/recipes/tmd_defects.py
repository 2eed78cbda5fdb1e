"""Vacancies and dopants in TMD monolayers (ADF-STEM): what is on every site.   doi:10.1002/advs.202101099"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from micrograph.nets import Head, NetSpec
from micrograph.simulate import StemSampler
from micrograph.structures import (
    MATERIALS,
    displaced,
    tmd,
    with_chalcogen_substitutions,
    with_chalcogen_vacancies,
    with_dopants,
    with_hole,
    with_metal_vacancies,
)

#: Labels that mark a site of either sublattice, empty sites included.
METAL_SITES = ("Mo", "W", "V", "Nb", "Cr", "Re", "vac_Mo", "vac_W")
CHALCOGEN_SITES = ("S2", "S1", "S0", "Se2", "Se1", "Se0", "SSe")


def monolayer(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return one of the four monolayers with dopants, vacancies of both sublattices, substitutions, sometimes a hole."""
    name = str(rng.choice(list(MATERIALS)))
    atoms = tmd(
        name,
        (size_nm, size_nm),
        rotation_deg=float(rng.uniform(0, 120)),
        strain=rng.normal(0, 0.01, (2, 2)),
        shift_nm=tuple(rng.uniform(0, 0.35, 2)),
    )
    dopant = str(rng.choice(["V", "Nb", "Cr", "Re", "Mo" if "W" in name else "W"]))
    atoms = with_dopants(atoms, name, dopant, float(rng.choice([0.0, 0.02, 0.06])), rng)
    atoms = with_metal_vacancies(atoms, name, float(rng.choice([0.0, 0.01, 0.03])), rng)
    atoms = with_chalcogen_vacancies(atoms, name, float(rng.choice([0.0, 0.03, 0.08])), rng)
    other = "S" if "Se" in name else "Se"
    atoms = with_chalcogen_substitutions(atoms, name, other, float(rng.choice([0.0, 0.03])), rng)
    if rng.random() < 0.15:
        atoms = with_hole(atoms, tuple(rng.uniform(0, size_nm, 2)), float(rng.uniform(0.3, 0.9)), rng)
    return displaced(atoms, float(rng.uniform(0, 0.01)), rng)


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
        Head("metal", "spots", labels=METAL_SITES),
        Head("chalcogen", "spots", labels=CHALCOGEN_SITES),
        Head("contamination", "region"),
    ),
    weights="tmd-1",
)
