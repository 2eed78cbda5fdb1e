"""Multislice from the command line: a crystal, a microscope, and what is to be seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from micrograph.apps.jobs import Advance, silent
from micrograph.core import BadInput, parse_positive, parse_quantity
from micrograph.core.provenance import whole

if TYPE_CHECKING:
    from ase import Atoms

    from micrograph.simulate.multislice import Simulated

#: Most atoms that are taken: beyond, one state takes hours.
MOST_ATOMS = 200_000


@dataclass(frozen=True)
class Asked:
    """What is asked, as given on the command line; `structure` is 'SrTiO3' or a file, lengths and angles have units."""

    structure: str
    kind: str
    zone_axis: str
    size: str
    thickness: str
    voltage: str
    convergence: str
    inner: str
    outer: str
    defocus: str
    tilt: tuple[str, str]
    step: str
    phonons: int
    seed: int


def specimen(asked: Asked) -> Atoms:
    """Return the crystal along its zone axis, at least as wide and as thick as asked, in whole cells."""
    from micrograph.structures.zone_cell import zone_cell

    cell = zone_cell(asked.structure, asked.zone_axis)
    size = 10 * parse_positive(asked.size, "nm", name="--size")
    thickness = 10 * parse_positive(asked.thickness, "nm", name="--thickness")
    lengths = np.asarray(cell.cell.lengths(), float)
    count = np.maximum(1, np.ceil(np.array([size, size, thickness]) / lengths - 1e-6)).astype(int)
    if len(cell) * int(count.prod()) > MOST_ATOMS:
        raise BadInput(
            f"The crystal would have {len(cell) * int(count.prod())} atoms: give a smaller --size or --thickness "
            f"(at most {MOST_ATOMS} atoms)."
        )
    return cast("Atoms", cell.repeat(tuple(count)))  # type: ignore[no-untyped-call]


def multislice(asked: Asked, out: Path, *, workers: int = 1, progress: Advance = silent) -> Simulated:
    """Simulate what is asked, or take it from the cache, and write it to `out` (.npz, or .tif for real images)."""
    from micrograph.simulate.multislice import Multislice
    from micrograph.simulate.multislice import multislice as simulated
    from micrograph.simulate.optics import Microscope
    from micrograph.simulate.tilt_images import THERMAL_NM

    if out.suffix not in (".npz", ".tif") or (out.suffix == ".tif" and asked.kind == "exit-wave"):
        raise BadInput(f"The file is '{out.name}': give a name that ends in .npz, or .tif for images and patterns.")
    microscope = Microscope(
        voltage_kV=parse_positive(asked.voltage, "kV", name="--voltage"),
        convergence_mrad=parse_positive(asked.convergence, "mrad", name="--convergence"),
        inner_mrad=parse_quantity(asked.inner, "mrad", name="--inner"),
        outer_mrad=parse_positive(asked.outer, "mrad", name="--outer"),
        defocus_nm=parse_quantity(asked.defocus, "nm", name="--defocus"),
    )
    x, y = (parse_quantity(one, "mrad", name="--tilt") for one in asked.tilt)
    job = Multislice(
        kind=cast(Any, asked.kind),
        microscope=microscope,
        tilt_mrad=(x, y),
        phonons=asked.phonons,
        thermal_nm=THERMAL_NM,
        step_nm=parse_positive(asked.step, "nm", name="--step"),
        seed=asked.seed,
    )
    found = simulated(specimen(asked), job, workers=workers, progress=progress)
    _write(found, out)
    return found


def _write(found: Simulated, out: Path) -> None:
    with whole(out) as temporary:
        if out.suffix == ".npz":
            with temporary.open("wb") as file:
                np.savez(file, array=found.array, pixel=np.array(found.pixel), unit=np.array(found.unit))
            return
        import tifffile

        tags: dict[str, Any] = {}
        if found.unit == "nm":
            tags = {"resolution": (1 / found.pixel[1], 1 / found.pixel[0])}
        metadata = {"unit": found.unit, "axes": "YX"}
        tifffile.imwrite(temporary, np.asarray(found.array, np.float32), imagej=True, metadata=metadata, **tags)
