"""Atoms, silicon and named defects in graphene (ADF-STEM).   doi:10.1021/acsnano.7b07504, doi:10.1126/sciadv.aaw8989"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from micrograph.nets import Head, NetSpec
from micrograph.simulate import StemSampler
from micrograph.structures import displaced, graphene, with_hole, with_silicon, with_vacancies


def sheet(size_nm: float, rng: np.random.Generator) -> Atoms:
    """Return graphene with vacancies, 3-fold silicon and holes; no 5-7 pair, Stone-Wales or silicon cluster by design."""
    atoms = graphene(
        (size_nm, size_nm),
        rotation_deg=float(rng.uniform(0, 60)),
        strain=rng.normal(0, 0.01, (2, 2)),
        shift_nm=tuple(rng.uniform(0, 0.3, 2)),
    )
    atoms = with_vacancies(atoms, float(rng.choice([0.0, 0.004, 0.015])), rng)
    atoms = with_silicon(atoms, float(rng.choice([0.0, 0.005, 0.02])), rng)
    if rng.random() < 0.25:
        atoms = with_hole(atoms, tuple(rng.uniform(0, size_nm, 2)), float(rng.uniform(0.3, 1.0)), rng)
    return displaced(atoms, float(rng.uniform(0, 0.015)), rng)


DATA = StemSampler(
    structure=sheet,
    pixel_nm=(0.009, 0.03),
    voltage_kV=(60.0, 80.0),
    dose_e_per_A2=(8e3, 2e6),
    microscope={"defocus_nm": (-4.0, 4.0), "astigmatism_nm": (0.0, 2.0), "coma_nm": (0.0, 60.0)},
    scan={"line_noise": (0.0, 0.01), "background": (0.0, 3e-4)},
)
MODEL = NetSpec(
    heads=(Head("atom", "spots", labels=("C", "Si")), Head("contamination", "region")),
    weights="graphene-1",
)
