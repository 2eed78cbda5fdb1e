"""Amorphous carbon: a film of atoms at random, as dense as such films are."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from micrograph.structures.layer import Size, field

#: Amorphous carbon of 2 g/cm3 holds one atom in each cube of this edge (nm).
CUBE_NM = 0.2154


def amorphous_carbon(
    size_nm: Size, thickness_nm: float, rng: np.random.Generator, *, margin_nm: float = 0.6, bottom_nm: float = 0.0
) -> Atoms:
    """Return a film of `thickness_nm` from the height `bottom_nm` on, over the field and its margin; labels 'film'.

    One atom lies anywhere in each cube of 0.2154 nm edge.
    """
    height, width = (side + 2 * margin_nm for side in field(size_nm))
    number = [int(np.ceil(side / CUBE_NM)) for side in (width, height)]
    layers = max(round(thickness_nm / CUBE_NM), 0)
    cells = np.stack(np.meshgrid(*(np.arange(n) for n in (*number, layers)), indexing="ij"), axis=-1).reshape(-1, 3)
    places = (cells + rng.random(cells.shape)) * CUBE_NM - np.array([margin_nm, margin_nm, -bottom_nm])
    atoms = Atoms(np.full(len(places), 6), 10 * places)
    atoms.arrays["label"] = np.full(len(places), "film", dtype="U8")
    return atoms
