"""Labelled STEM images by the thousand: a random structure under a random microscope, scan and dirt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.adf import adf
from micrograph.simulate.contaminate import contamination, slow_background
from micrograph.simulate.optics import Microscope
from micrograph.simulate.ranges import MICROSCOPE_RANGES, SCAN_RANGES, Range, params_of, random_microscope, random_scan
from micrograph.simulate.scan import draw_distortion, expose
from micrograph.simulate.scattering import cross_section_A2

if TYPE_CHECKING:
    from ase import Atoms


class Structure(Protocol):
    """Makes a random structure that covers a field of ``size_nm`` with its corner at the origin, and a margin.

    An array 'mark' on the atoms names the sites for the network's heads, where their labels do not ('bright').
    """

    def __call__(self, size_nm: float, rng: np.random.Generator) -> Atoms:
        """Return atoms with ``arrays['label']``."""
        ...


@dataclass(frozen=True)
class StemSampler:
    """Random annular dark-field images of `structure`, with their sites and the mask 'contamination'.

    pixel_nm, voltage_kV, dose_e_per_A2 (log-uniform) and thermal_nm are ranges; `microscope` and `scan` replace
    further ranges by name. `contaminated` is the share of images with dirt, `noise_only` of those without a sample.
    `electrons` instead of a dose draws the number of detected electrons per column of median brightness, so that
    samples of any element are equally hard. Column positions are exact: slow distortions move the atoms themselves.
    """

    structure: Structure
    field_nm: float = 2.9
    pixel_nm: Range = (0.008, 0.028)
    voltage_kV: Range = (60.0, 200.0)
    dose_e_per_A2: Range = (2e3, 2e6)
    electrons: Range | None = None
    thermal_nm: Range = (0.003, 0.009)
    contaminated: float = 0.35
    noise_only: float = 0.02
    microscope: Mapping[str, Range] = field(default_factory=dict)
    scan: Mapping[str, Range] = field(default_factory=dict)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one labelled image of about ``field_nm / pixel_nm`` pixels a side."""
        from micrograph.structures import sites_of

        pixel = float(np.exp(rng.uniform(*np.log(self.pixel_nm))))
        shape = (round(self.field_nm / pixel),) * 2
        microscope = random_microscope(rng, **{**self.microscope, "voltage_kV": self.voltage_kV})
        scan = random_scan(rng, **{**self.scan, "dose_e_per_A2": self.dose_e_per_A2})
        distortion = draw_distortion(scan, (shape[0] * pixel, shape[1] * pixel), rng)
        atoms = distortion.move_atoms(self.structure(self.field_nm, rng))
        if rng.random() < self.noise_only:
            atoms = atoms[:0]
        fraction = adf(atoms, microscope, pixel_nm=pixel, shape=shape, thermal_nm=float(rng.uniform(*self.thermal_nm)))
        params = {**params_of(microscope), **params_of(scan)}
        if self.electrons is not None:
            electrons = params["electrons"] = float(np.exp(rng.uniform(*np.log(self.electrons))))
            scan = replace(scan, dose_e_per_A2=_dose_for(electrons, atoms, microscope))
        fraction, mask = self._dirty(fraction, pixel, rng)
        image = expose(fraction, scan, pixel, rng)
        sites = sites_of(atoms)
        inside = _inside(sites, shape, pixel)
        return Sample(
            image=image,
            pixel_nm=pixel,
            sites=sites[inside],
            marks=_marks(atoms, sites)[inside] if "mark" in atoms.arrays else None,
            masks={"contamination": mask},
            params={**params, "dose_e_per_A2": scan.dose_e_per_A2, "pixel_nm": pixel},
        )

    def _dirty(
        self, fraction: NDArray[np.float32], pixel_nm: float, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the image with slow changes of brightness and, in some samples, amorphous patches, and their mask."""
        mask = np.zeros(fraction.shape, np.float32)
        fraction = fraction * slow_background(fraction.shape, rng, depth=float(rng.uniform(0, 0.15)))
        if rng.random() < self.contaminated:
            film, mask = contamination(fraction.shape, pixel_nm, rng)
            strength = float(np.exp(rng.uniform(np.log(0.3), np.log(4.0)))) * max(float(fraction.mean()), 1e-5)
            fraction = fraction + np.float32(strength) * film
        return fraction, mask

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges in which a model trained on these samples is valid, for its card."""
        scan = {**SCAN_RANGES, **self.scan}
        microscope = {**MICROSCOPE_RANGES, **self.microscope}
        shown = {
            name: microscope[name] for name in ("convergence_mrad", "defocus_nm", "astigmatism_nm", "source_fwhm_nm")
        }
        shown |= {name: scan[name] for name in ("jitter_nm", "drift_nm")}
        amount = {"electrons_per_column": self.electrons} if self.electrons else {"dose_e_per_A2": self.dose_e_per_A2}
        return {"pixel_nm": self.pixel_nm, "voltage_kV": self.voltage_kV, **amount, **shown}


def _dose_for(electrons: float, atoms: Atoms, microscope: Microscope) -> float:
    """Return the dose (e per square angstrom) at which an atom of median number sends `electrons` to the detector."""
    numbers = atoms.numbers
    numbers = numbers[numbers > 0]
    middle = int(np.median(numbers)) if len(numbers) else 6
    return electrons / float(cross_section_A2([middle], microscope)[0])


def _marks(atoms: Atoms, sites: Sites) -> NDArray[np.str_]:
    """Return the array 'mark' of `atoms` at their `sites`: of the atom nearest in projection."""
    from scipy.spatial import cKDTree

    if len(sites) == 0:
        return np.zeros(0, dtype=np.str_)
    _, nearest = cKDTree(atoms.positions[:, 1::-1] / 10.0).query(np.column_stack([sites.y_nm, sites.x_nm]))
    return np.asarray(atoms.arrays["mark"][nearest], dtype=np.str_)


def _inside(sites: Sites, shape: tuple[int, int], pixel_nm: float) -> NDArray[np.bool_]:
    """Return which sites have their centre in the image."""
    height, width = ((n - 0.5) * pixel_nm for n in shape)
    low = -0.5 * pixel_nm
    return np.asarray((sites.y_nm > low) & (sites.y_nm < height) & (sites.x_nm > low) & (sites.x_nm < width))
