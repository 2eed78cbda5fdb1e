"""The defects of a sheet with their atoms, bonds and rings: what a library of defects keeps of a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column
from micrograph.features.layers.bonds import Straightened, straightened
from micrograph.features.layers.defects import BORDER_NM
from micrograph.features.layers.graph import Graph, with_likely_bonds
from micrograph.features.layers.rings import rings
from micrograph.features.layers.sheet import Sheet
from micrograph.io import Fragment

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: What the table 'fragments' promises: one row an atom of a defect or bonded to one.
FRAGMENTS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the defect in the frame, see table 'defects'"),
    Column("atom", "", "number of the atom in the fragment"),
    Column("element", "", "symbol of the element"),
    Column("core", "", "true for atoms of the defect itself, false for those bonded to it"),
    Column("rings", "", "sizes of the rings at the atom"),
    Column("y_nm", "nm", "row position, scan distortion removed", sigma="y_sigma_nm"),
    Column("x_nm", "nm", "column position, scan distortion removed", sigma="x_sigma_nm"),
    Column("y_sigma_nm", "nm", "1-sigma of y_nm"),
    Column("x_sigma_nm", "nm", "1-sigma of x_nm"),
)
#: What the table 'library' promises: one row a defect.
LIBRARY = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the defect in the frame"),
    Column("name", "", "name as in the literature"),
    Column("score", "", "probability that it is what name says"),
    Column("graph", "", "hash of its atoms' elements, rings and bonds: equal for defects that are bonded alike"),
    Column("y_nm", "nm", "row position of its centre in the image"),
    Column("x_nm", "nm", "column position of its centre in the image"),
    Column("atoms", "", "atoms of the defect itself"),
    Column("bonds", "", "bonds between a carbon and another element, or of the defect if it is all carbon"),
    Column("bond_nm", "nm", "mean length of these bonds as seen", sigma="bond_sigma_nm"),
    Column("bond_sigma_nm", "nm", "1-sigma of their mean"),
    Column("flags", "", "doubts, see the conventions"),
)
#: What the table 'fragment_bonds' promises: the bonds among the atoms of a fragment.
FRAGMENT_BONDS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the defect in the frame"),
    Column("first", "", "number of an atom in the fragment"),
    Column("second", "", "number of the other atom"),
    Column("length_nm", "nm", "length as seen, scan distortion removed", sigma="length_sigma_nm"),
    Column("length_sigma_nm", "nm", "1-sigma of the length, that of the distortion included"),
)


def fragments(sheet: Sheet, field_nm: tuple[float, float]) -> dict[str, pd.DataFrame]:
    """Return the tables 'fragments' and 'fragment_bonds' of the defects of one frame of `field_nm` (height, width)."""
    y, x = sheet.crystal.y_nm, sheet.crystal.x_nm
    border = np.minimum.reduce([y, x, field_nm[0] - y, field_nm[1] - x])
    graph = with_likely_bonds(sheet.graph, y, x, np.where(border < BORDER_NM / 2, 0, 3))
    words = _ring_words(graph, y, x)
    atoms = straightened(sheet.table, sheet.crystal)
    pieces, bonds = [_none(FRAGMENTS)], [_none(FRAGMENT_BONDS)]
    for defect in sheet.defects.to_dict("records"):
        core = np.array(defect["atoms"].split(), dtype=np.intp)
        rows, edges = _around(graph, core)
        key = {"frame": defect["frame"], "id": defect["id"]}
        pieces.append(_atoms(sheet.table, atoms, rows, words[rows], len(core)).assign(**key))
        bonds.append(_bonds(atoms, rows, edges).assign(**key))
    return {"fragments": _joined(pieces, FRAGMENTS), "fragment_bonds": _joined(bonds, FRAGMENT_BONDS)}


def _ring_words(graph: Graph, y: Array, x: Array) -> NDArray[np.object_]:
    """Return the sizes of the rings at every atom as text (N,), ascending: '5-6-6'."""
    found = rings(graph, y, x)
    sizes: list[list[int]] = [[] for _ in range(graph.size)]
    for atom, size in zip(found.atoms.tolist(), found.size[found.ring_of].tolist(), strict=True):
        sizes[atom].append(size)
    return np.array(["-".join(map(str, sorted(each))) for each in sizes], dtype=object)


def _around(graph: Graph, core: Index) -> tuple[Index, Index]:
    """Return the rows of the atoms of a defect, then of those bonded to it, and the bonds (E, 2) among them."""
    inside = np.zeros(graph.size, dtype=bool)
    inside[core] = True
    ends = np.unique(graph.edges[inside[graph.edges].any(axis=1)])
    rows = np.concatenate([core, ends[~inside[ends]]])
    inside[rows] = True
    number = np.zeros(graph.size, dtype=np.intp)
    number[rows] = np.arange(len(rows))
    return rows, number[graph.edges[inside[graph.edges].all(axis=1)]]


def _atoms(table: pd.DataFrame, atoms: Straightened, rows: Index, words: Any, core: int) -> pd.DataFrame:
    sigma = np.sqrt(atoms.covariance[rows][:, [0, 1], [0, 1]])
    return pd.DataFrame(
        {
            "atom": np.arange(len(rows)),
            "element": pd.Series(table["class"].to_numpy(str)[rows], dtype=str),
            "core": np.arange(len(rows)) < core,
            "rings": pd.Series(words, dtype=str),
            "y_nm": atoms.place[rows, 0],
            "x_nm": atoms.place[rows, 1],
            "y_sigma_nm": sigma[:, 0],
            "x_sigma_nm": sigma[:, 1],
        }
    )


def _bonds(atoms: Straightened, rows: Index, edges: Index) -> pd.DataFrame:
    length, sigma = atoms.lengths(rows[edges])
    return pd.DataFrame({"first": edges[:, 0], "second": edges[:, 1], "length_nm": length, "length_sigma_nm": sigma})


def _none(columns: tuple[Column, ...]) -> pd.DataFrame:
    kinds: dict[str, type] = {"core": bool}
    kinds |= dict.fromkeys(("element", "rings", "name", "graph"), str)
    kinds |= dict.fromkeys(("frame", "id", "atom", "first", "second", "atoms", "bonds", "flags"), int)
    return pd.DataFrame({column.name: pd.Series([], dtype=kinds.get(column.name, float)) for column in columns})


def _joined(pieces: list[pd.DataFrame], columns: tuple[Column, ...]) -> pd.DataFrame:
    table = pd.concat(pieces[1:] or pieces, ignore_index=True)
    return table[[column.name for column in columns]]


def fragment_of(atoms: pd.DataFrame, bonds: pd.DataFrame) -> Fragment:
    """Return one defect's rows of the tables `FRAGMENTS` and `FRAGMENT_BONDS` as a fragment for a library."""
    atoms = atoms.sort_values("atom")
    return Fragment(
        element=tuple(atoms["element"].astype(str)),
        place_nm=atoms[["y_nm", "x_nm"]].to_numpy(float),
        sigma_nm=atoms[["y_sigma_nm", "x_sigma_nm"]].to_numpy(float),
        core=atoms["core"].to_numpy(bool),
        rings=tuple(atoms["rings"].astype(str)),
        bonds=bonds[["first", "second"]].to_numpy(np.int64),
        length_nm=bonds["length_nm"].to_numpy(float),
        length_sigma_nm=bonds["length_sigma_nm"].to_numpy(float),
    )


def library_table(defects: pd.DataFrame, atoms: pd.DataFrame, bonds: pd.DataFrame) -> pd.DataFrame:
    """Return the table `LIBRARY` of the defects of one frame and their `fragments`."""
    rows = []
    for defect in defects.to_dict("records"):
        mine = (table[table["id"] == defect["id"]] for table in (atoms, bonds))
        found = fragment_of(*mine)
        length, sigma = _own_bonds(found)
        count = len(length)
        said = {key: defect[key] for key in ("frame", "id", "name", "score", "y_nm", "x_nm", "flags")}
        mean = float(length.mean()) if count else np.nan
        doubt = float(np.sqrt((sigma**2).sum())) / count if count else np.nan
        said |= {"graph": found.graph, "atoms": int(found.core.sum()), "bonds": count}
        rows.append({**said, "bond_nm": mean, "bond_sigma_nm": doubt})
    return _joined([_none(LIBRARY), *([pd.DataFrame(rows)] if rows else [])], LIBRARY)


def _own_bonds(found: Fragment) -> tuple[Array, Array]:
    """Return length and 1-sigma of the bonds of a foreign atom to carbon; of all of the core if it is carbon only."""
    if not len(found.bonds):
        return np.empty(0), np.empty(0)
    carbon = np.array([element == "C" for element in found.element])[found.bonds]
    own = carbon.any(axis=1) & ~carbon.all(axis=1)
    if not own.any():
        own = found.core[found.bonds].all(axis=1)
    return found.length_nm[own], found.length_sigma_nm[own]
