"""HRTEM images of single-wall carbon nanotubes by the thousand: any tube, pose, focus, dose and dirt."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Sample, Sites
from micrograph.simulate.contaminate import contamination, slow_background
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.phase.hrtem import Lens, phase_contrast
from micrograph.simulate.phase.lens_ranges import drawn_lens
from micrograph.simulate.ranges import Range
from micrograph.simulate.scattering import scattering_amplitude_A2

if TYPE_CHECKING:
    from ase import Atoms

    from micrograph.structures import Pose, Tube

CARBON = 6

Image = NDArray[np.float32]


class Optics(Protocol):
    """Makes the noise-free image (H, W) of atoms, 1 in the vacuum, on true pixels of `pixel_nm`."""

    def __call__(
        self, atoms: Atoms, lens: Lens, *, pixel_nm: float, shape: tuple[int, int], thermal_nm: float
    ) -> Image:
        """Return the image."""
        ...


@dataclass(frozen=True)
class NanotubeSampler:
    """Random images of one tube each, crossing the whole field.

    side_px: pixels a side. Ranges, drawn uniformly: diameter_nm (every tube in it is equally likely), pixel_nm,
    tilt_deg (out of the plane, either way), defocus_nm (either way; `under` is the share of under focus), cs_mm, the
    residual astigmatism_nm, threefold_nm and coma_nm, focal_spread_nm, vibration_nm, dose_e_per_A2 (log-uniform).
    pixel_error is the 1-sigma relative error of the pixel size that the image claims. vacancies: share of missing
    atoms, up to; turned: Stone-Wales defects, up to. contaminated: share of images with amorphous patches.
    """

    side_px: int = 256
    diameter_nm: Range = (0.6, 2.0)
    pixel_nm: Range = (0.02, 0.04)
    tilt_deg: Range = (0.0, 5.0)
    voltage_kV: float = 80.0
    defocus_nm: Range = (3.0, 12.0)
    under: float = 0.7
    cs_mm: Range = (-0.01, 0.01)
    astigmatism_nm: Range = (0.0, 2.0)
    threefold_nm: Range = (0.0, 40.0)
    coma_nm: Range = (0.0, 40.0)
    focal_spread_nm: Range = (2.0, 5.0)
    vibration_nm: Range = (0.02, 0.04)
    dose_e_per_A2: Range = (300.0, 2e4)
    pixel_error: float = 0.01
    vacancies: float = 0.003
    turned: int = 1
    contaminated: float = 0.3
    optics: Optics = phase_contrast

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image with its truth in `params`: ``n, m, diameter_nm, angle_deg, axis_deg, tilt_deg, ...``."""
        from micrograph.structures import tubes_between

        tube = tubes_between(*self.diameter_nm)[int(rng.integers(len(tubes_between(*self.diameter_nm))))]
        pixel = float(rng.uniform(*self.pixel_nm))
        true = pixel * (1 + self.pixel_error * float(np.clip(rng.normal(), -2.5, 2.5)))
        lens, pose = self._lens(rng), self._pose(self.side_px * true, rng)
        atoms = self._atoms(tube, pose, self.side_px * true, rng)
        thermal = float(rng.uniform(0.005, 0.008))
        image = self.optics(atoms, lens, pixel_nm=true, shape=(self.side_px,) * 2, thermal_nm=thermal)
        image = image * slow_background(image.shape, rng, depth=float(rng.uniform(0, 0.05)))
        if rng.random() < self.contaminated:
            film, _ = contamination(image.shape, true, rng)
            image = image - np.float32(rng.uniform(0.005, 0.03)) * film
        dose = float(np.exp(rng.uniform(*np.log(self.dose_e_per_A2))))
        counted = record(image, Camera(dose * (10 * true) ** 2, float(rng.uniform(0.4, 0.9))), rng)
        params = {
            **{name: float(value) for name, value in asdict(lens).items()},
            "n": float(tube.n),
            "m": float(tube.m),
            "diameter_nm": tube.diameter_nm,
            "angle_deg": tube.angle_deg,
            "axis_deg": pose.axis_deg,
            "tilt_deg": pose.tilt_deg,
            "y_nm": pose.y_nm * pixel / true,
            "x_nm": pose.x_nm * pixel / true,
            "pixel_nm": pixel,
            "true_pixel_nm": true,
            "dose_e_per_A2": dose,
        }
        nothing = Sites(np.empty(0), np.empty(0), np.empty(0, dtype="U8"))
        return Sample(counted, pixel, nothing, params=params)

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges in which the answers were measured."""
        names = ("pixel_nm", "diameter_nm", "tilt_deg", "defocus_nm", "cs_mm", "focal_spread_nm", "dose_e_per_A2")
        return {name: getattr(self, name) for name in names}

    def _lens(self, rng: np.random.Generator) -> Lens:
        sign = 1 if rng.random() < self.under else -1
        return drawn_lens(self, sign * float(rng.uniform(*self.defocus_nm)), (0.05, 0.3), rng)

    def _pose(self, field_nm: float, rng: np.random.Generator) -> Pose:
        from micrograph.structures import Pose

        y, x = field_nm / 2 + rng.uniform(-0.12, 0.12, 2) * field_nm
        tilt = float(rng.uniform(*self.tilt_deg)) * rng.choice([-1, 1])
        return Pose(float(y), float(x), float(rng.uniform(0, 180)), tilt, float(rng.uniform(0, 360)))

    def _atoms(self, tube: Tube, pose: Pose, field_nm: float, rng: np.random.Generator) -> Atoms:
        from micrograph.structures import nanotube, with_turned_bonds, with_vacancies

        atoms = nanotube(tube, 1.8 * field_nm, pose, mirrored=bool(rng.random() < 0.5))
        atoms = with_turned_bonds(atoms, rng, count=int(rng.integers(self.turned + 1)))
        return with_vacancies(atoms, rng, rate=float(rng.uniform(0, self.vacancies)))


def carbon_amplitude_nm2(voltage_kV: float, k_per_nm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how strongly a carbon atom turns the phase of a wave: its scattering amplitude (nm^2) at `k_per_nm`."""
    return np.asarray(1e-2 * scattering_amplitude_A2(CARBON, voltage_kV, k_per_nm / 10.0).imag)
