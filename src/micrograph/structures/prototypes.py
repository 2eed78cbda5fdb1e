"""Prototype crystals: the common structure types, for real and made-up materials, and their worn versions.

The names follow Strukturbericht in words: 'bct' is A6 (In; space group 139), 'beta-tin' A5 (141), 'rhombohedral' A7 and
A10 (As, Hg; 166). Lattice constants of elements are those of `ase.data.reference_states`, at room temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, reference_states

from micrograph.core import BadInput

Cell = tuple[float, float, float, float, float, float]
#: Spreads of a free parameter: what it is called, its lowest and highest value.
Free = tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Prototype:
    """One structure type: space group, sites (fractional, by species) and the parameters that symmetry leaves free.

    `build` takes the free parameters and gives the cell in units of a (lengths and angles in degrees), and sites
    ``(species, (x, y, z))`` as orbits of the space group `group` in its standard setting.
    """

    name: str
    group: int
    species: int
    free: tuple[Free, ...]
    build: Callable[..., tuple[Cell, tuple[tuple[int, tuple[float, float, float]], ...]]]


def _cubic(*sites: tuple[int, tuple[float, float, float]]) -> Callable[[], tuple[Cell, tuple]]:  # type: ignore[type-arg]
    return lambda: ((1.0, 1.0, 1.0, 90.0, 90.0, 90.0), sites)


def _tetragonal(*sites: tuple[int, tuple[float, float, float]]) -> Callable[..., tuple[Cell, tuple]]:  # type: ignore[type-arg]
    return lambda c: ((1.0, 1.0, c, 90.0, 90.0, 90.0), sites)


def _hexagonal(*sites: tuple[int, tuple[float, float, float]]) -> Callable[..., tuple[Cell, tuple]]:  # type: ignore[type-arg]
    return lambda c: ((1.0, 1.0, c, 90.0, 90.0, 120.0), sites)


def _a7(c: float, u: float) -> tuple[Cell, tuple[tuple[int, tuple[float, float, float]], ...]]:
    return (1.0, 1.0, c, 90.0, 90.0, 120.0), ((0, (0.0, 0.0, u)),)


_O = (0.0, 0.0, 0.0)
#: Ranges of c/a keep clear of the values at which one type is another: bct is bcc at 1 and fcc at 1.414.
PROTOTYPES = {
    one.name: one
    for one in (
        Prototype("fcc", 225, 1, ((),), _cubic((0, _O))),
        Prototype("bcc", 229, 1, ((),), _cubic((0, _O))),
        Prototype("simple-cubic", 221, 1, ((),), _cubic((0, _O))),
        Prototype("diamond", 227, 1, ((),), _cubic((0, (0.125, 0.125, 0.125)))),
        Prototype("hcp", 194, 1, ((("c", 1.54, 1.90),),), _hexagonal((0, (1 / 3, 2 / 3, 0.25)))),
        Prototype(
            "bct", 139, 1, ((("c", 0.75, 0.92),), (("c", 1.09, 1.30),), (("c", 1.50, 1.75),)), _tetragonal((0, _O))
        ),
        Prototype("beta-tin", 141, 1, ((("c", 0.50, 0.60),),), _tetragonal((0, (0.0, 0.75, 0.125)))),
        Prototype(
            "rhombohedral",
            166,
            1,
            (
                (("c", 2.55, 2.85), ("u", 0.225, 0.2355)),
                (("c", 1.85, 2.15), ("u", 0.0, 1e-9)),
                (("c", 1.00, 1.10), ("u", 0.0, 1e-9)),
            ),
            _a7,
        ),
        Prototype("rocksalt", 225, 2, ((),), _cubic((0, _O), (1, (0.5, 0.5, 0.5)))),
        Prototype("caesium-chloride", 221, 2, ((),), _cubic((0, _O), (1, (0.5, 0.5, 0.5)))),
        Prototype("zincblende", 216, 2, ((),), _cubic((0, _O), (1, (0.25, 0.25, 0.25)))),
        Prototype(
            "wurtzite",
            186,
            2,
            ((("c", 1.58, 1.66),),),
            _hexagonal((0, (1 / 3, 2 / 3, 0.0)), (1, (1 / 3, 2 / 3, 0.375))),
        ),
        Prototype("fluorite", 225, 2, ((),), _cubic((0, _O), (1, (0.25, 0.25, 0.25)))),
        Prototype("perovskite", 221, 3, ((),), _cubic((0, (0.5, 0.5, 0.5)), (1, _O), (2, (0.5, 0.0, 0.0)))),
        Prototype("a15", 223, 2, ((),), _cubic((0, _O), (1, (0.25, 0.0, 0.5)))),
        Prototype("cu3au", 221, 2, ((),), _cubic((0, _O), (1, (0.0, 0.5, 0.5)))),
        Prototype("nickel-arsenide", 194, 2, ((("c", 1.25, 1.45),),), _hexagonal((0, _O), (1, (1 / 3, 2 / 3, 0.25)))),
        Prototype(
            "graphite", 194, 1, ((("c", 2.4, 2.8),),), _hexagonal((0, (0.0, 0.0, 0.25)), (0, (1 / 3, 2 / 3, 0.25)))
        ),
        Prototype("rutile", 136, 2, ((("c", 0.62, 0.70),),), _tetragonal((0, _O), (1, (0.305, 0.305, 0.0)))),
        Prototype("omega", 191, 1, ((("c", 0.60, 0.64),),), _hexagonal((0, _O), (0, (1 / 3, 2 / 3, 0.5)))),
        Prototype(
            "alpha-quartz",
            152,
            2,
            ((("c", 1.08, 1.12),),),
            _hexagonal((0, (0.47, 0.0, 1 / 3)), (1, (0.413, 0.266, 0.786 - 2 / 3 + 1 / 3))),
        ),
        Prototype(
            "alpha-gallium",
            64,
            1,
            ((("b", 1.65, 1.75),),),
            lambda b: ((1.0, b, 1.0, 90.0, 90.0, 90.0), ((0, (0.0, 0.155, 0.081)),)),
        ),
    )
}
#: The structure types that recipe 'crystal-class' tells apart: those of one element, then those of two.
ELEMENTAL = ("fcc", "bcc", "simple-cubic", "diamond", "hcp", "bct", "beta-tin", "rhombohedral")
COMPOUND = ("rocksalt", "caesium-chloride", "zincblende")
#: What ase calls the structures of elements, in the words used here.
_ASE_NAMES = {"fcc": "fcc", "bcc": "bcc", "sc": "simple-cubic", "diamond": "diamond", "hcp": "hcp"}
#: A7 (hexagonal a in angstrom, c/a, u), A10 and other tetragonal elements: what `reference_states` holds incompletely.
_SPECIAL = {
    "As": ("rhombohedral", 3.760, {"c": 2.805, "u": 0.2271}),
    "Sb": ("rhombohedral", 4.307, {"c": 2.617, "u": 0.2335}),
    "Bi": ("rhombohedral", 4.546, {"c": 2.608, "u": 0.2340}),
    "Hg": ("rhombohedral", 3.464, {"c": 1.935, "u": 0.0}),
    "In": ("bct", 3.2523, {"c": 1.5210}),
    "Pa": ("bct", 3.925, {"c": 0.8250}),
    "Sn": ("beta-tin", 5.8318, {"c": 0.5456}),
}


def prototype(name: str, symbols: tuple[str, ...], a_A: float, **free: float) -> Atoms:
    """Return one conventional cell of a structure type: species in order of its sites, a in angstrom.

    Free parameters ('c': c/a, 'u': a coordinate) are needed where the type has them. Raises `BadInput` otherwise.
    """
    from ase.spacegroup import crystal

    if name not in PROTOTYPES:
        raise BadInput(f"There is no prototype '{name}': the prototypes are {', '.join(PROTOTYPES)}.")
    kind = PROTOTYPES[name]
    needed = [parameter[0] for parameter in kind.free[0]]
    if set(needed) != set(free) or len(symbols) != kind.species:
        raise BadInput(
            f"Prototype '{name}' needs {kind.species} element(s) and the parameters {', '.join(needed) or 'none'}: "
            f"{len(symbols)} and {', '.join(free) or 'none'} were given."
        )
    cell, sites = kind.build(*[free[parameter] for parameter in needed])
    lengths = [a_A * length for length in cell[:3]]
    setting = 2 if name in ("diamond", "beta-tin") else 1
    made: Atoms = crystal(
        [symbols[species] for species, _ in sites],
        [place for _, place in sites],
        spacegroup=kind.group,
        setting=setting,
        cellpar=[*lengths, *cell[3:]],
        onduplicates="keep",
    )
    return made


def element(symbol: str) -> tuple[str, Atoms] | None:
    """Return an element's structure type and one cell of it, ``None`` where it has none of the types above."""
    if symbol in _SPECIAL:
        name, a, free = _SPECIAL[symbol]
        return name, prototype(name, (symbol,), a, **free)
    state: dict[str, Any] | None = reference_states[chemical_symbols.index(symbol)]
    name = _ASE_NAMES.get(str((state or {}).get("symmetry")), "")
    if not state or not name or not state.get("a"):
        return None
    return name, prototype(name, (symbol,), float(state["a"]), **({"c": float(state["c/a"])} if name == "hcp" else {}))


def random_material(name: str, symbols: tuple[str, ...], rng: np.random.Generator) -> Atoms:
    """Return one cell of a structure type made of the elements `symbols`: free parameters at random, as dense as atoms.

    The nearest neighbours stand as far apart as the sum of covalent radii, give or take 6 %.
    """
    from ase.data import covalent_radii

    kind = PROTOTYPES[name]
    branch = kind.free[int(rng.integers(len(kind.free)))]
    free = {parameter: float(rng.uniform(low, high)) for parameter, low, high in branch}
    cell = prototype(name, symbols, 10.0, **free)
    radii = np.array([covalent_radii[chemical_symbols.index(symbol)] for symbol in symbols])
    wanted = float(radii[:2].sum() if len(symbols) > 1 else 2 * radii[0]) * float(rng.uniform(0.94, 1.06))
    big = cell.repeat(2)  # type: ignore[no-untyped-call]
    nearest = big.get_distances(0, np.arange(1, len(big)), mic=True).min()
    cell.set_cell(cell.cell * wanted / nearest, scale_atoms=True)  # type: ignore[no-untyped-call]
    return cell


@dataclass(frozen=True)
class Wear:
    """What is not ideal: displacement (angstrom, 1-sigma per axis), shares of vacancies and of other elements."""

    displacement_A: float = 0.0
    vacancies: float = 0.0
    substituted: float = 0.0


def worn(cell: Atoms, atoms: int, wear: Wear, rng: np.random.Generator) -> Atoms:
    """Return a periodic block of about `atoms` sites, as near to a cube as cells allow, with defects.

    Substituted atoms become one other element, drawn per block.
    """
    block: Atoms = cell.repeat(_repeats(cell, atoms))  # type: ignore[no-untyped-call]
    number = len(block)
    block.positions += rng.normal(0.0, wear.displacement_A, (number, 3)) if wear.displacement_A else 0.0
    other = int(rng.integers(3, 84))
    block.numbers[rng.random(number) < wear.substituted] = other
    kept = rng.permutation(number)[: max(2, round(number * (1 - wear.vacancies)))]
    left: Atoms = block[np.sort(kept)]
    return left


def _repeats(cell: Atoms, atoms: int) -> tuple[int, int, int]:
    """Return how often the cell stands along each axis for `atoms` sites in a block near to a cube."""
    spacing = 1 / np.linalg.norm(np.linalg.inv(np.asarray(cell.cell)), axis=0)
    edge = (atoms / len(cell) * abs(np.linalg.det(np.asarray(cell.cell)))) ** (1 / 3)
    counts = np.maximum(1, np.round(edge / spacing)).astype(int)
    return int(counts[0]), int(counts[1]), int(counts[2])
