"""Columns of any crystal seen along an axis: positions, lattice, strain; no species.   doi:10.1021/acsnano.7b07504"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from micrograph.nets import Head, NetSpec
from micrograph.simulate import StemSampler
from micrograph.structures import displaced, graphene, random_crystal, with_hole, with_vacancies


def any_crystal(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return a random two-dimensional crystal, graphene in a fifth of the cases, with vacancies and sometimes a hole."""
    size = (size_nm, size_nm)
    if rng.random() < 0.2:
        atoms = graphene(size, rotation_deg=float(rng.uniform(0, 60)), shift_nm=tuple(rng.uniform(0, 0.3, 2)))
        atoms.arrays["label"][:] = "atom"
    else:
        atoms = random_crystal(size, rng)
    atoms = with_vacancies(atoms, float(rng.choice([0.0, 0.01, 0.04])), rng)
    if rng.random() < 0.15:
        atoms = with_hole(atoms, tuple(rng.uniform(0, size_nm, 2)), float(rng.uniform(0.3, 1.0)), rng)
    return displaced(atoms, float(rng.uniform(0, 0.012)), rng)


DATA = StemSampler(
    structure=any_crystal,
    pixel_nm=(0.009, 0.03),
    voltage_kV=(60.0, 300.0),
    electrons=(25.0, 4000.0),
    microscope={"defocus_nm": (-3.0, 3.0), "astigmatism_nm": (0.0, 1.5), "coma_nm": (0.0, 50.0), "convergence_mrad": (20.0, 35.0)},
    scan={"line_noise": (0.0, 0.02), "background": (0.0, 3e-4)},
)
MODEL = NetSpec(
    heads=(Head("atom", "spots", labels=("atom",)), Head("contamination", "region")),
    weights="atoms-1",
)
