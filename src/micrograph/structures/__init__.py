"""What is there: lattices, layers, defects, edges, crystals (ASE)."""

from micrograph.structures.graphene import graphene, with_silicon, with_vacancies
from micrograph.structures.lattice2d import random_lattice_2d
from micrograph.structures.sites import columns, random_displacements, sites_of
from micrograph.structures.tmd import (
    MATERIALS,
    Material,
    tmd,
    with_chalcogen_substitutions,
    with_chalcogen_vacancies,
    with_dopants,
    with_metal_vacancies,
)

__all__ = [
    "MATERIALS",
    "Material",
    "columns",
    "graphene",
    "random_displacements",
    "random_lattice_2d",
    "sites_of",
    "tmd",
    "with_chalcogen_substitutions",
    "with_chalcogen_vacancies",
    "with_dopants",
    "with_metal_vacancies",
    "with_silicon",
    "with_vacancies",
]
