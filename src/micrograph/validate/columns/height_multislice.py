"""HRTEM images of gold particles by abTEM with frozen phonons (the [sim] extra): a test set of another simulator.

The fit calculates with slices as thick as two atoms of neighbouring columns lie apart, with tabled amplitudes, averaged
over thermal motion. Here abTEM builds the potential of every atom where it happens to be, in slices of 0.1 nm, and the
images of several such particles are averaged. ``python -m micrograph.validate.columns.height_multislice`` makes those
that are missing, some minutes each; they ship.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.core.provenance import whole
from micrograph.simulate.gridding import evaluate
from micrograph.simulate.phase.exit_wave import wave_grid
from micrograph.simulate.phase.hrtem import image_of_wave
from micrograph.simulate.phase.hrtem_sampler import HrtemSampler

FOLDER = Path(__file__).resolve().parents[1] / "heights"
#: Images that there are, thermal displacements that each is the average of, pixel (nm), and thermal motion (nm).
NUMBER, _PHONONS, PIXEL_NM, THERMAL_NM = 3, 16, 0.028, 0.0085
_MARGIN_NM, _SAMPLING_NM = 0.6, 0.0145


@dataclass(frozen=True)
class Shown:
    """A noise-free image (H, W), 1 in the vacuum, and its columns: ``place_nm`` (K, 2) and ``atoms`` (K,)."""

    image: NDArray[np.float32]
    place_nm: NDArray[np.float64]
    atoms: NDArray[np.intp]


def make_images(sampler: HrtemSampler, folder: Path = FOLDER) -> list[str]:
    """Make the images that are not yet in `folder`, of the sampler's scenes and lenses; return the names of those."""
    from micrograph.validate.columns.hrtem_multislice import abtem_wave, behind_nm

    made = []
    folder.mkdir(exist_ok=True)
    side = round(sampler.field_nm / PIXEL_NM)
    grid = wave_grid(side, PIXEL_NM, _MARGIN_NM, _SAMPLING_NM)
    for number in range(NUMBER):
        path = folder / f"gold_{number}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([900, number])
        scene, lens = sampler.scene(side * PIXEL_NM, rng), sampler.lens(rng)
        total = np.zeros((side, side))
        for _ in range(_PHONONS):
            atoms = scene.atoms.copy()  # type: ignore[no-untyped-call]
            atoms.positions += rng.normal(0, 10 * THERMAL_NM, atoms.positions.shape)
            wave = abtem_wave(atoms, sampler.voltage_kV, grid)
            seen = replace(lens, defocus_nm=lens.defocus_nm + behind_nm(atoms))
            image = image_of_wave(wave, seen, grid.size_nm[0] / grid.shape[0], planes=11)
            total += evaluate(np.asarray(np.fft.rfft2(image), np.complex64), grid) / _PHONONS
        place = np.stack([scene.columns.y_nm, scene.columns.x_nm], axis=1)
        with whole(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, image=total.astype(np.float16), place_nm=place, atoms=scene.count.astype(np.uint8)
            )
        made.append(path.stem)
    return made


@functools.lru_cache(maxsize=NUMBER)
def load_image(number: int, folder: Path = FOLDER) -> Shown:
    """Return a shipped image; raises `BadInput` for one that is not there."""
    path = folder / f"gold_{number}.npz"
    if not path.is_file():
        raise BadInput(
            f"There is no image '{path.stem}': make it with python -m micrograph.validate.columns.height_multislice."
        )
    with np.load(path) as file:
        return Shown(file["image"].astype(np.float32), file["place_nm"], file["atoms"].astype(np.intp))


if __name__ == "__main__":
    from micrograph.validate.columns.height_scenes import hrtem_particles

    make_images(hrtem_particles(tilt_deg=0.3, diameter_nm=(2.2, 3.4)))
