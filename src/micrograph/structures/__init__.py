"""What is there: lattices, layers, defects, edges, crystals (ASE)."""

from micrograph.structures.graphene import (
    displaced,
    graphene,
    substituted,
    with_hole,
    with_silicon,
    with_vacancies,
    without,
    without_dangling,
)
from micrograph.structures.lattices import random_crystal
from micrograph.structures.sites import sites_of
from micrograph.structures.tmd import (
    MATERIALS,
    material_of,
    tmd,
    with_chalcogen_substitutions,
    with_chalcogen_vacancies,
    with_dopants,
    with_metal_vacancies,
)

__all__ = [
    "MATERIALS",
    "displaced",
    "graphene",
    "material_of",
    "random_crystal",
    "sites_of",
    "substituted",
    "tmd",
    "with_chalcogen_substitutions",
    "with_chalcogen_vacancies",
    "with_dopants",
    "with_hole",
    "with_metal_vacancies",
    "with_silicon",
    "with_vacancies",
    "without",
    "without_dangling",
]
