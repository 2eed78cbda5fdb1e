"""The reference sets: noise-free multislice images with known atoms, against which fast models and networks are judged.

``python -m micrograph.validate.multislice`` makes those that are missing (abTEM, the [sim] extra; some minutes each at
most). They are kept without source size and thermal motion, sampled so that Fourier interpolation gives any pixel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sample, Sites
from micrograph.core.provenance import whole
from micrograph.simulate.optics import FWHM_PER_SIGMA, Microscope
from micrograph.validate.exact import image_spectrum, sample_image, scattering_products
from micrograph.validate.layers.carbon_net import defective_scene
from micrograph.validate.scenes import (
    Cell,
    Defect,
    Scene,
    dumbbell_scene,
    graphene_scene,
    strontium_titanate_scene,
    tmd_scene,
)

FOLDER = Path(__file__).with_name("reference")

_GRAPHENE = Microscope(voltage_kV=60.0, convergence_mrad=30.0, inner_mrad=60.0, outer_mrad=200.0)
_TMD = Microscope(voltage_kV=80.0, convergence_mrad=25.0, inner_mrad=68.0, outer_mrad=180.0)
_OXIDE = Microscope(voltage_kV=200.0, convergence_mrad=20.0, inner_mrad=65.0, outer_mrad=150.0)
_DUMBBELL = Microscope(voltage_kV=200.0, convergence_mrad=21.0, inner_mrad=70.0, outer_mrad=150.0)
_BENT = {"defocus_nm": 1.5, "astigmatism_nm": 1.0, "astigmatism_deg": 30.0, "coma_nm": 30.0, "coma_deg": 70.0}


def _graphene(seed: int, cell: Cell, silicon: int, **aberrations: float) -> Scene:
    return graphene_scene(cell, replace(_GRAPHENE, **aberrations), silicon, np.random.default_rng(seed))


def _defects(seed: int, *kinds: str, **aberrations: float) -> Scene:
    microscope = replace(_GRAPHENE, **aberrations)
    return defective_scene(Cell((2, 1), (5, 3)), microscope, kinds, np.random.default_rng(seed))


def _tmd(formula: str, seed: int, cell: Cell, **optics: float) -> Scene:
    return tmd_scene(formula, cell, replace(_TMD, **optics), np.random.default_rng(seed))


#: How each set is made. Every set has its own seed, orientation and aberrations.
SCENES: dict[str, Callable[[], Scene]] = {
    "graphene_displaced_0": lambda: _graphene(100, Cell((2, 1), (5, 3)), 0),
    "graphene_displaced_1": lambda: _graphene(101, Cell((3, 1), (4, 2)), 5, defocus_nm=2.0),
    "tmd_wse2_0": lambda: _tmd("WSe2", 200, Cell((2, 1), (4, 3))),
    "tmd_mos2_0": lambda: _tmd("MoS2", 210, Cell((2, 1), (4, 3))),
    "graphene_displaced_2": lambda: _graphene(102, Cell((3, 2), (3, 2)), 0, **_BENT),
    "graphene_displaced_3": lambda: _graphene(103, Cell((1, 0), (13, 8)), 5, astigmatism_nm=1.5, astigmatism_deg=110.0),
    "tmd_wse2_1": lambda: _tmd("WSe2", 201, Cell((3, 1), (3, 2)), **_BENT),
    "tmd_ws2_0": lambda: _tmd("WS2", 220, Cell((3, 1), (3, 3)), defocus_nm=1.5),
    "tmd_mose2_0": lambda: _tmd("MoSe2", 230, Cell((1, 0), (11, 7)), astigmatism_nm=1.0, astigmatism_deg=45.0),
    "tmd_wse2_2": lambda: _tmd("WSe2", 202, Cell((1, 0), (11, 7)), convergence_mrad=30.0),
    "tmd_wse2_3": lambda: _tmd("WSe2", 203, Cell((3, 2), (3, 2)), convergence_mrad=28.0, defocus_nm=-2.0),
    "tmd_mos2_1": lambda: _tmd("MoS2", 211, Cell((1, 1), (7, 12)), convergence_mrad=30.0, defocus_nm=1.0),
    "graphene_defects_0": lambda: _defects(400, "5-7"),
    "graphene_defects_1": lambda: _defects(401, "SW", "SW", "SW", defocus_nm=1.0),
    "graphene_defects_2": lambda: _defects(402, "Si2C4", "Si2C4", "Si2C4", "Si2C4"),
    "graphene_defects_3": lambda: _defects(403, "V1", "V1", "V2", "V2", **_BENT),
    "graphene_defects_4": lambda: _defects(404, "Si1C4", "Si1C4", "Si3C6", "Si3C6"),
    "graphene_defects_5": lambda: _defects(405, "Si1C3", "Si2C4", "V1", "SW", defocus_nm=-1.0),
    "srtio3_001": lambda: strontium_titanate_scene(6, 5, _OXIDE, np.random.default_rng(300)),
    "silicon_110": lambda: dumbbell_scene("Si", (3, 5, 13), _DUMBBELL, np.random.default_rng(500)),
}


def make_references(names: Iterable[str] | None = None, folder: Path = FOLDER) -> list[str]:
    """Make the named reference sets (default: all) that are not yet in `folder`; return the names of those made."""
    made = []
    for name in SCENES if names is None else names:
        if name not in SCENES:
            raise BadInput(f"There is no reference set '{name}': choose among {', '.join(SCENES)}.")
        if not (folder / f"{name}.npz").exists():
            _save(SCENES[name](), folder / f"{name}.npz")
            made.append(name)
    return made


def _save(scene: Scene, path: Path) -> None:
    size = scene.specimen.size_nm
    spectrum = image_spectrum(scattering_products(scene.specimen, scene.microscope), scene.microscope)
    points = [np.arange(n) * s / n for n, s in zip(spectrum.shape, size, strict=True)]
    optics = asdict(scene.microscope)
    with whole(path) as temporary:
        np.savez_compressed(
            temporary,
            image=sample_image(spectrum, size, *points),
            size_nm=np.array(size),
            y_nm=scene.sites.y_nm,
            x_nm=scene.sites.x_nm,
            label=scene.sites.label,
            microscope_names=np.array(list(optics)),
            microscope_values=np.array(list(optics.values())),
            defect_names=np.array([name for name, _, _ in scene.defects], dtype=str),
            defect_y_x_nm=np.array([[y, x] for _, y, x in scene.defects]).reshape(-1, 2),
        )


def reference_names(folder: Path = FOLDER) -> list[str]:
    """Return the names of the reference sets that are there, sorted."""
    return sorted(path.stem for path in folder.glob("*.npz"))


def load_reference(
    name: str, *, pixel_nm: float = 0.02, source_fwhm_nm: float = 0.0, thermal_nm: float = 0.0, folder: Path = FOLDER
) -> Sample:
    """Return a reference set as a noise-free `Sample`: the fraction of electrons detected, at `pixel_nm`.

    The image (H, W) covers one periodic cell and is blurred by a Gaussian source and by thermal motion (rms per axis).
    Its sites are the columns whose centres lie in the image; `params` hold the microscope's settings. The defocus
    counts from the plane of the first atoms: in the middle of a TMD monolayer it is 0.16 nm less.
    """
    data = _read(name, folder)
    height, width = (float(s) for s in data["size_nm"])
    if not 0 < pixel_nm < min(height, width):
        raise BadInput(
            f"A pixel of {pixel_nm} nm was asked for: it must lie between 0 and the field of {width:.2f} nm."
        )
    image = data["image"].astype(float)
    y, x = (np.arange(int(s / pixel_nm)) * pixel_nm for s in (height, width))
    sigma = float(np.hypot(source_fwhm_nm / FWHM_PER_SIGMA, thermal_nm))
    spectrum = np.fft.fft2(image, norm="forward")
    blurred = sample_image(spectrum, (height, width), y, x, sigma)
    sites = _inside(Sites(data["y_nm"], data["x_nm"], data["label"]), (height, width), blurred.shape, pixel_nm)
    values = zip(data["microscope_names"], data["microscope_values"], strict=True)
    params = {str(key): float(value) for key, value in values} | {"source_fwhm_nm": source_fwhm_nm}
    return Sample(blurred, pixel_nm, sites, params=params)


def reference_defects(name: str, folder: Path = FOLDER) -> tuple[Defect, ...]:
    """Return the defects (name, y_nm, x_nm) of a reference set."""
    data = _read(name, folder)
    rows = zip(data["defect_names"], data["defect_y_x_nm"], strict=True)
    return tuple((str(defect), float(y), float(x)) for defect, (y, x) in rows)


def _inside(sites: Sites, size_nm: tuple[float, float], shape: tuple[int, ...], pixel_nm: float) -> Sites:
    """Wrap the sites into the cell and keep those that lie on a pixel of the image."""
    half = pixel_nm / 2
    y = (sites.y_nm + half) % size_nm[0] - half
    x = (sites.x_nm + half) % size_nm[1] - half
    return Sites(y, x, sites.label)[(y < shape[0] * pixel_nm - half) & (x < shape[1] * pixel_nm - half)]


def _read(name: str, folder: Path) -> dict[str, NDArray[Any]]:
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise BadInput(f"There is no reference set '{name}': there are {', '.join(reference_names(folder)) or 'none'}.")
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


if __name__ == "__main__":
    make_references(sys.argv[1:] or None)
