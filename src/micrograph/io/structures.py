"""Crystal structures (CIF, POSCAR, XYZ) as frames: each is a table of its cell and atoms instead of an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Calibration
from micrograph.io.axes import plain_axes
from micrograph.io.files import first_line
from micrograph.io.quiet import quiet
from micrograph.io.signals import Key, Signal

if TYPE_CHECKING:
    from ase import Atoms

#: Suffix -> what ASE calls the format.
FORMATS = {".cif": "cif", ".xyz": "extxyz", ".extxyz": "extxyz", ".vasp": "vasp", ".poscar": "vasp"}
#: Names of files without a suffix.
NAMES = {"poscar": "vasp", "contcar": "vasp"}


@dataclass(frozen=True)
class HeldTables:
    """Tables that are held in memory, as an array that is indexed like one on disk."""

    tables: NDArray[np.float32]

    def __getitem__(self, key: Key, /) -> NDArray[Any]:
        """Return a part of the array."""
        return self.tables[key]


def format_of(path: Path) -> str | None:
    """Return what ASE calls the format of a structure file, ``None`` for any other file."""
    return FORMATS.get(path.suffix.lower()) or NAMES.get(path.name.lower())


def signals(path: Path) -> list[Signal]:
    """Return the structures of a file as one signal (frames, 3 + N, 4) of content 'structure'.

    Rows are x, y, z in angstrom and the atomic number: first the three of the cell (zeros where it has none), then the
    atoms; shorter structures end in rows of zeros. Raises `BadInput` where there are no atoms.
    """
    tables = [_table(atoms) for atoms in _read(path)]
    rows = max(map(len, tables), default=0)
    if rows < 4:
        raise BadInput(f"{path.name} holds no atoms: give a file with a structure in it.")
    padded = np.stack([np.pad(table, ((0, rows - len(table)), (0, 0))) for table in tables])
    array = padded if len(padded) > 1 else padded[0]
    stated = Calibration(content="structure")
    return [Signal(path.name, HeldTables(array), array.dtype, plain_axes(array.shape), "ase", stated, trusted=True)]


def _read(path: Path) -> list[Atoms]:
    import ase.io

    try:
        with quiet():
            found = ase.io.read(path, index=":", format=format_of(path))
    except Exception as error:  # ASE's many readers raise errors of every kind
        raise BadInput(
            f"{path.name} cannot be read as a structure ({first_line(error)}): give a CIF, POSCAR or XYZ file."
        ) from error
    return list(found) if isinstance(found, list) else [found]


def _table(atoms: Atoms) -> NDArray[np.float32]:
    table = np.zeros((3 + len(atoms), 4), np.float32)
    if atoms.cell.rank == 3 and atoms.pbc.all():
        table[:3, :3] = np.asarray(atoms.cell)
    table[3:, :3], table[3:, 3] = atoms.positions, atoms.numbers
    return table
