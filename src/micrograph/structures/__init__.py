"""What is there: lattices, layers, defects, edges, crystals (ASE)."""

from micrograph.structures.boundary import grain_boundary
from micrograph.structures.crystal import from_file, zone_axis_of
from micrograph.structures.defects import DEFECTS, named_defect, side_by_side
from micrograph.structures.edges import EDGES, with_edge, with_holes
from micrograph.structures.film import amorphous_carbon
from micrograph.structures.graphene import graphene, with_silicon, with_vacancies
from micrograph.structures.lattice2d import random_lattice_2d
from micrograph.structures.nanotube import (
    LayerLines,
    Pose,
    Tube,
    layer_lines,
    nanotube,
    tubes_between,
    with_turned_bonds,
)
from micrograph.structures.relax import Network, bonded, relaxed
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
from micrograph.structures.worn import BRIGHT_CHALCOGEN, random_graphene, random_monolayer
from micrograph.structures.wulff import roughened, seen_along, wulff_particle

__all__ = [
    "BRIGHT_CHALCOGEN",
    "DEFECTS",
    "EDGES",
    "MATERIALS",
    "LayerLines",
    "Material",
    "Network",
    "Pose",
    "Tube",
    "amorphous_carbon",
    "bonded",
    "columns",
    "from_file",
    "grain_boundary",
    "graphene",
    "layer_lines",
    "named_defect",
    "nanotube",
    "random_displacements",
    "random_graphene",
    "random_lattice_2d",
    "random_monolayer",
    "relaxed",
    "roughened",
    "seen_along",
    "side_by_side",
    "sites_of",
    "tmd",
    "tubes_between",
    "with_chalcogen_substitutions",
    "with_chalcogen_vacancies",
    "with_dopants",
    "with_edge",
    "with_holes",
    "with_metal_vacancies",
    "with_silicon",
    "with_turned_bonds",
    "with_vacancies",
    "wulff_particle",
    "zone_axis_of",
]
