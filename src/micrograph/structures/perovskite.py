"""Perovskites ABX3, as ASE atoms of one cubic cell."""

from __future__ import annotations

from ase import Atoms

#: SrTiO3 at room temperature: lattice constant (nm) and thermal motion (nm rms per axis),
#: doi:10.1107/S0108768195003752.
SRTIO3_NM = 0.3905
SRTIO3_THERMAL_NM = {"Sr": 0.00887, "Ti": 0.00746, "O": 0.00963}


def cubic_perovskite(a: str = "Sr", b: str = "Ti", x: str = "O", lattice_nm: float = SRTIO3_NM) -> Atoms:
    """Return one cell of ABX3 (space group 221), A at the corner, in angstrom as ASE has it, z along [001]."""
    side = 10.0 * lattice_nm
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms([a, b, x, x, x], scaled_positions=places, cell=[side] * 3, pbc=True)
