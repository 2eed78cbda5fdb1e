"""Libraries of patterns on disk: made once, in parts, so that one that was interrupted goes on."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
from ase import Atoms

from micrograph.core.provenance import whole
from micrograph.simulate.patterns.pacbed import Library, make_library
from micrograph.simulate.patterns.rocking import THERMAL_NM, Advance, zone_of
from micrograph.structures.perovskite import SRTIO3_THERMAL_NM

#: Changes when libraries are made otherwise than before.
_VERSION = 2
_ARRAYS = ("thickness_nm", "basis", "coefficients", "tilts", "step_mrad", "reach")


def cache_folder() -> Path:
    """Return where libraries are kept: ``$XDG_CACHE_HOME/micrograph`` or ``~/.cache/micrograph``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "micrograph" / "patterns"


def library_key(atoms: Atoms, voltage_kV: float, convergence_mrad: float, thickest_nm: float) -> str:
    """Return the digest of all that decides a library."""
    facts = {
        "cell": np.round(np.asarray(atoms.cell), 5).tolist(),
        "atoms": sorted(
            [int(number), *np.round(place, 5).tolist()]
            for number, place in zip(atoms.numbers, atoms.positions, strict=True)
        ),
        "thermal_nm": thermal_of(atoms),
        "numbers": [voltage_kV, convergence_mrad, thickest_nm, _VERSION],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def thermal_of(atoms: Atoms) -> dict[str, float]:
    """Return the thermal motion (nm rms per axis) of each element: that of SrTiO3 where all are its own, else 0.008."""
    symbols = sorted(set(map(str, atoms.symbols)))
    known = set(symbols) <= set(SRTIO3_THERMAL_NM)
    return {symbol: SRTIO3_THERMAL_NM[symbol] if known else THERMAL_NM for symbol in symbols}


def cached_library(
    atoms: Atoms,
    voltage_kV: float,
    convergence_mrad: float,
    thickest_nm: float = 112.0,
    *,
    folder: Path | None = None,
    progress: Advance | None = None,
) -> Library:
    """Return the library of an orthogonal cell from the cache, or make it, which takes some minutes, and keep it."""
    folder = folder or cache_folder()
    key = library_key(atoms, voltage_kV, convergence_mrad, thickest_nm)
    path, parts = folder / f"{key}.npz", folder / f"{key}.parts"
    if path.exists():
        return _read(path, voltage_kV, convergence_mrad)
    parts.mkdir(parents=True, exist_ok=True)
    zone = zone_of(atoms, voltage_kV, thermal_of(atoms))
    library = make_library(zone, voltage_kV, convergence_mrad, thickest_nm, progress, parts)
    arrays = {name: np.asarray(getattr(library, name)) for name in _ARRAYS}
    with whole(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    shutil.rmtree(parts, ignore_errors=True)
    return _read(path, voltage_kV, convergence_mrad)


@functools.lru_cache(maxsize=1)
def _read(path: Path, voltage_kV: float, convergence_mrad: float) -> Library:
    with np.load(path) as file:
        arrays = {name: file[name] for name in _ARRAYS}
    step, reach = arrays.pop("step_mrad"), arrays.pop("reach")
    return Library(
        convergence_mrad=convergence_mrad,
        voltage_kV=voltage_kV,
        step_mrad=(float(step[0]), float(step[1])),
        reach=(int(reach[0]), int(reach[1])),
        **arrays,
    )
