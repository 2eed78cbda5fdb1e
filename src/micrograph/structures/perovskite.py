"""Perovskites ABX3: one cubic cell, and cells whose octahedra are tilted after Glazer (doi:10.1107/S0567740872007976).

Rigid octahedra share corners: the tilt of one about an axis turns its neighbours across that axis the other way. What
is free is whether the next one along the axis turns alike ('+', in phase) or the other way ('-', out of phase).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import BadInput

Array = NDArray[np.float64]

#: SrTiO3 at room temperature: lattice constant (nm) and thermal motion (nm rms per axis),
#: doi:10.1107/S0108768195003752.
SRTIO3_NM = 0.3905
SRTIO3_THERMAL_NM = {"Sr": 0.00887, "Ti": 0.00746, "O": 0.00963}

#: Glazer's 23 systems, by number: the tilts about the three pseudo-cubic axes; equal letters are equal angles.
GLAZER = {
    1: "a+b+c+", 2: "a+b+b+", 3: "a+a+a+", 4: "a+b+c-", 5: "a+a+c-", 6: "a+b+b-", 7: "a+a+a-", 8: "a+b-c-",
    9: "a+a-c-", 10: "a+b-b-", 11: "a+a-a-", 12: "a-b-c-", 13: "a-b-b-", 14: "a-a-a-", 15: "a0b+c+", 16: "a0b+b+",
    17: "a0b+c-", 18: "a0b+b-", 19: "a0b-c-", 20: "a0b-b-", 21: "a0a0c+", 22: "a0a0c-", 23: "a0a0a0",
}  # fmt: skip
SIGNS = ("0", "+", "-")


@dataclass(frozen=True)
class Chemistry:
    """Elements of a perovskite: shares by element on the sites A and B; side (nm) of the cell without tilts."""

    a: tuple[tuple[str, float], ...]
    b: tuple[tuple[str, float], ...]
    x: str
    side_nm: float


#: The side is twice the length of a bond B-X in the real, tilted crystals: 0.1952 nm in SrTiO3, 0.1956 nm in CaTiO3
#: (doi:10.1107/S0108270187093788), 0.1955 nm in La0.7Sr0.3MnO3 (doi:10.1103/PhysRevB.53.14103).
CHEMISTRIES = {
    "SrTiO3": Chemistry((("Sr", 1.0),), (("Ti", 1.0),), "O", SRTIO3_NM),
    "CaTiO3": Chemistry((("Ca", 1.0),), (("Ti", 1.0),), "O", 0.3912),
    "LSMO": Chemistry((("La", 0.7), ("Sr", 0.3)), (("Mn", 1.0),), "O", 0.3910),
}


@dataclass(frozen=True)
class Tilts:
    """Tilts about the pseudo-cubic axes x, y, z: angles (degrees, signs count only against each other) and signs.

    `signs` holds '+', '-' or '0' for each axis. `a_shift_pm`: how far A goes along an out-of-phase axis for each
    product of a degree about it and a degree about an in-phase axis, as in Pnma (0.19 in CaTiO3).
    """

    angles_deg: tuple[float, float, float]
    signs: str
    a_shift_pm: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no three signs."""
        if len(self.angles_deg) != 3 or len(self.signs) != 3 or set(self.signs) - set(SIGNS):
            raise BadInput(f"Tilts have the signs '{self.signs}': three of 0, + and - are expected, such as --+.")

    @property
    def vector(self) -> Array:
        """Angles (3,) in radians, zero where the sign is '0'."""
        return np.radians(
            [angle if sign != "0" else 0.0 for angle, sign in zip(self.angles_deg, self.signs, strict=True)]
        )


def parse_glazer(symbol: str) -> tuple[str, str]:
    """Return the three letters and the three signs of a symbol such as 'a-a-c+'."""
    if len(symbol) != 6 or not symbol[::2].isalpha() or set(symbol[1::2]) - set(SIGNS):
        raise BadInput(f"'{symbol}' is no Glazer symbol: write three letters, each with 0, + or -, such as a-a-c+.")
    return symbol[::2], symbol[1::2]


def cubic_perovskite(a: str = "Sr", b: str = "Ti", x: str = "O", lattice_nm: float = SRTIO3_NM) -> Atoms:
    """Return one cell of ABX3 (space group 221), A at the corner, in angstrom as ASE has it, z along [001]."""
    side = 10.0 * lattice_nm
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms([a, b, x, x, x], scaled_positions=places, cell=[side] * 3, pbc=True)


def spacings_nm(tilts: Tilts, side_nm: float = SRTIO3_NM) -> Array:
    """Return the pseudo-cubic lattice spacings (3,) of rigid octahedra: tilted bonds are shorter in projection."""
    one = _rotation(tilts.vector)
    return side_nm * np.diag(one)


def tilted_perovskite(tilts: Tilts, chemistry: str = "SrTiO3", rng: np.random.Generator | None = None) -> Atoms:
    """Return the 2 x 2 x 2 cell (40 atoms, angstrom, pseudo-cubic axes along x, y, z) of a tilted perovskite.

    Each X lies half-way between where its two octahedra would have it. Where tilts of more than one kind come
    together both agree but for second order (0.5 % of a bond at 10 degrees). Mixed sites are drawn with `rng`, or hold
    the commonest element.
    """
    made = _chemistry(chemistry)
    spacing = spacings_nm(tilts, made.side_nm)
    index = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    turns = octahedra(tilts, index)
    positions, symbols = [], []
    for at, turn in zip(index, turns, strict=True):
        positions.append(at * spacing)
        symbols.append(_element(made.b, rng))
        for axis in range(3):
            half = made.side_nm / 2 * np.eye(3)[axis]
            after = octahedra(tilts, at + np.eye(3, dtype=int)[axis])
            there = (at + np.eye(3)[axis]) * spacing
            positions.append((at * spacing + turn @ half + there - after @ half) / 2)
            symbols.append(made.x)
        positions.append((at + 0.5) * spacing + _a_shift_nm(tilts, at))
        symbols.append(_element(made.a, rng))
    atoms = Atoms(symbols, positions=10 * np.array(positions), cell=20 * spacing, pbc=True)
    atoms.wrap()  # type: ignore[no-untyped-call]
    return atoms


def octahedra(tilts: Tilts, index: NDArray[np.int_]) -> Array:
    """Return the rotations (..., 3, 3) of the octahedra at `index` (..., 3)."""
    return _rotation(tilts.vector * _parity(tilts, index))


def _parity(tilts: Tilts, index: NDArray[np.int_]) -> Array:
    """Return the signs (..., 3) of the tilts of the octahedra at `index` (..., 3)."""
    i, j, k = (index[..., axis] for axis in range(3))
    across = np.stack([j + k, i + k, i + j], axis=-1)
    along = np.stack([i, j, k], axis=-1) * np.array([sign == "-" for sign in tilts.signs])
    return np.asarray(1.0 - 2.0 * ((across + along) % 2))


def _a_shift_nm(tilts: Tilts, index: NDArray[np.int_]) -> Array:
    """Return how far (3,) the A behind octahedron `index` is shifted: along out-of-phase axes, layer by layer."""
    angle = np.degrees(tilts.vector)
    found = np.zeros(3)
    for plus in range(3):
        for minus in range(3):
            if tilts.signs[plus] == "+" and tilts.signs[minus] == "-":
                layer = 1 - 2 * (int(index[plus]) % 2)
                found[minus] -= 1e-3 * tilts.a_shift_pm * angle[plus] * angle[minus] * layer
    return found


def _rotation(vectors: Array) -> Array:
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix()
    return np.asarray(flat.reshape(*vectors.shape, 3))


def _chemistry(name: str) -> Chemistry:
    if name not in CHEMISTRIES:
        raise BadInput(f"There is no perovskite '{name}': choose among {', '.join(CHEMISTRIES)}.")
    return CHEMISTRIES[name]


def _element(shares: Sequence[tuple[str, float]], rng: np.random.Generator | None) -> str:
    names, weights = zip(*shares, strict=True)
    return str(names[int(np.argmax(weights))]) if rng is None else str(rng.choice(names, p=weights))


def along_110(atoms: Atoms) -> Atoms:
    """Return a 2 x 2 x 2 pseudo-cubic cell as an orthogonal one seen along [110]: x is [-110], y is [001], z the beam.

    Its edges are 2 sqrt(2), 2 and 2 sqrt(2) pseudo-cubic spacings (80 atoms). Raises `BadInput` where the spacings
    along x and y differ by more than 3 %; they are taken as their mean.
    """
    lengths = np.asarray(atoms.cell.lengths(), float)
    mean = float(lengths[:2].mean())
    if abs(lengths[0] / lengths[1] - 1) > 0.03:
        raise BadInput(f"The cell is {lengths[0]:.3f} and {lengths[1]:.3f} angstrom wide: along [110] both are alike.")
    share = atoms.get_scaled_positions()  # type: ignore[no-untyped-call]
    both = np.concatenate([share, share + np.array([1.0, 0.0, 0.0])])
    u, w = (both[:, 1] - both[:, 0]) / 2, (both[:, 0] + both[:, 1]) / 2
    places = np.stack([u, both[:, 2], w], axis=1) % 1.0
    edge = mean * np.sqrt(2)
    return Atoms(np.tile(atoms.numbers, 2), scaled_positions=places, cell=[edge, lengths[2], edge], pbc=True)
