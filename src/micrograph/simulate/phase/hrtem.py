"""High-resolution TEM: what an objective lens makes of the wave behind a specimen, or of thin atoms at once.

Two ways to an image, both 1 where there is no specimen:

- `image_of_wave`: any exit wave; the focal spread is summed over focal planes, the finite illumination damps the wave.
- `phase_contrast`: thin, light atoms that scatter once (graphene, nanotubes): every atom adds its own spot, at its own
  height. Linear in the atoms, fast, and exact in positions.

Both take a `Lens`. What the camera makes of the image is `bright_field.record`: Poisson counts and its MTF.
Conventions as in `optics`: positive `defocus_nm` is underfocus, counted from the plane z = 0; the beam runs along +z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.simulate.gridding import Grid, evaluate, grid_for, spread
from micrograph.simulate.optics import Microscope, phase, wavelength_nm
from micrograph.simulate.scattering import check_numbers, scattering_amplitude_A2

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]
Frequency = NDArray[np.floating]
Wave = NDArray[np.complex64]
Image = NDArray[np.float32]

#: A transfer below this counts as none.
_NOTHING = 1e-3
#: Atoms are gathered into slices of this thickness (nm): one slice differs in phase by less than 0.06 rad at 5 / nm.
_SLICE_NM = 0.2
#: Atoms so far outside of the image (nm) still shine into it.
MARGIN_NM = 1.5


@dataclass(frozen=True)
class Lens:
    """The objective lens of a TEM and how coherently it is lit.

    Aberrations (nm; cs in mm) and their azimuths (degrees): defocus, two-fold and three-fold astigmatism, axial coma.
    focal_spread_nm: 1-sigma of the focus (energy spread and instabilities); illumination_mrad: 1-sigma of the
    illumination's angle; vibration_nm: 1-sigma blur of the image per axis; aperture_mrad: objective aperture.
    """

    voltage_kV: float = 80.0
    defocus_nm: float = 5.0
    cs_mm: float = 0.0
    astigmatism_nm: float = 0.0
    astigmatism_deg: float = 0.0
    threefold_nm: float = 0.0
    threefold_deg: float = 0.0
    coma_nm: float = 0.0
    coma_deg: float = 0.0
    focal_spread_nm: float = 3.0
    illumination_mrad: float = 0.1
    vibration_nm: float = 0.0
    aperture_mrad: float = np.inf

    def __post_init__(self) -> None:
        """Refuse a voltage or an aperture that is not positive, and spreads below zero."""
        if not (self.voltage_kV > 0 and self.aperture_mrad > 0):
            raise BadInput(
                f"The lens has {self.voltage_kV} kV and an aperture of {self.aperture_mrad} mrad: "
                "both must be greater than zero."
            )
        if min(self.focal_spread_nm, self.illumination_mrad, self.vibration_nm) < 0:
            raise BadInput("Focal spread, illumination angle and vibration must not be below zero.")

    @property
    def wavelength_nm(self) -> float:
        """Relativistic electron wavelength in nm."""
        return wavelength_nm(self.voltage_kV)

    @property
    def limit_per_nm(self) -> float:
        """Information limit (1/nm): the highest frequency that the lens transfers into the linear image."""
        k = np.linspace(0.0, 25.0, 501)
        passed = np.abs(transfer(self, np.zeros(1), k)) * blur(self, k)
        known = np.flatnonzero(passed > _NOTHING)
        return float(k[known[-1]]) if len(known) else 0.0


def aberration(lens: Lens, ky: Frequency, kx: Frequency) -> Array:
    """Return the aberration phase chi (rad) at the spatial frequencies `ky`, `kx` (1/nm, arrays that broadcast)."""
    regular = Microscope(
        voltage_kV=lens.voltage_kV,
        defocus_nm=lens.defocus_nm,
        cs_mm=lens.cs_mm,
        astigmatism_nm=lens.astigmatism_nm,
        astigmatism_deg=lens.astigmatism_deg,
        coma_nm=lens.coma_nm,
        coma_deg=lens.coma_deg,
    )
    angle = np.deg2rad(lens.threefold_deg)
    cube = (lens.wavelength_nm * (kx + 1j * ky) * np.exp(-1j * angle)) ** 3
    return np.asarray(phase(regular, ky, kx) + 2 * np.pi / lens.wavelength_nm * lens.threefold_nm / 3 * cube.real)


def transfer(lens: Lens, ky: Frequency, kx: Frequency, *, focal_spread: bool = True) -> NDArray[np.complex128]:
    """Return what the lens makes of a wave's Fourier coefficients at `ky`, `kx` (1/nm, arrays that broadcast).

    ``exp(-i chi)`` inside the aperture, damped by the illumination's angle and, unless it is left out to be summed
    over focal planes, by the focal spread (Frank 1973; De Graef, doi:10.1017/CBO9780511615092, chapter 10).
    """
    square = ky**2 + kx**2
    inside = np.sqrt(square) * lens.wavelength_nm <= 1e-3 * lens.aperture_mrad
    step = 1e-3
    slope_y = (aberration(lens, ky + step, kx) - aberration(lens, ky - step, kx)) / (2 * step)
    slope_x = (aberration(lens, ky, kx + step) - aberration(lens, ky, kx - step)) / (2 * step)
    spread_per_nm = 1e-3 * lens.illumination_mrad / lens.wavelength_nm
    damping = spread_per_nm**2 * (slope_y**2 + slope_x**2) / 2
    if focal_spread:
        damping = damping + (np.pi * lens.wavelength_nm * lens.focal_spread_nm * square) ** 2 / 2
    return np.asarray(inside * np.exp(-damping - 1j * aberration(lens, ky, kx)))


def blur(lens: Lens, k: Frequency) -> Array:
    """Return how vibrations damp the image at spatial frequencies `k` (1/nm)."""
    return np.asarray(np.exp(-2 * (np.pi * lens.vibration_nm * k) ** 2))


def image_of_wave(wave: NDArray[np.complexfloating], lens: Lens, pixel_nm: float, *, planes: int = 7) -> Image:
    """Return the image (H, W) of an exit wave (H, W) on pixels of `pixel_nm`, periodic at the edges.

    The intensities of `planes` focal planes are summed with the weights of Gauss and Hermite, so that non-linear
    imaging is right for strong scatterers too. The wave belongs to the plane z = 0 of the lens's defocus.
    """
    import scipy.fft

    ky, kx = (np.fft.fftfreq(n, pixel_nm) for n in wave.shape)
    ky, kx = ky[:, None], kx[None]
    sent = scipy.fft.fft2(wave) * transfer(lens, ky, kx, focal_spread=False)
    nodes, weights = np.polynomial.hermite_e.hermegauss(planes if lens.focal_spread_nm else 1)
    per_nm = 1j * np.pi * lens.wavelength_nm * (ky**2 + kx**2)
    image = np.zeros(wave.shape)
    for focus, weight in zip(nodes * lens.focal_spread_nm, weights / weights.sum(), strict=True):
        image += weight * np.abs(scipy.fft.ifft2(sent * np.exp(focus * per_nm))) ** 2
    if lens.vibration_nm:
        image = scipy.fft.ifft2(scipy.fft.fft2(image) * blur(lens, np.hypot(ky, kx))).real
    return np.asarray(image, np.float32)


def phase_contrast(
    atoms: Atoms, lens: Lens, *, pixel_nm: float, shape: tuple[int, int], thermal_nm: float = 0.0
) -> Image:
    """Return the image (H, W) of thin, light `atoms` (ASE, angstrom), each of which scatters by itself, once.

    Pixel (i, j) lies at ``y = i pixel_nm``, ``x = j pixel_nm`` in the atoms' frame. An atom at height z is seen at the
    defocus of its own height, so that both walls of a tube are right (curvature of Ewald's sphere). `thermal_nm` is the
    root mean square displacement per axis of every atom. Atoms of number 0 (empty sites) scatter nothing.
    """
    check_numbers(atoms.numbers)
    if not pixel_nm > 0 or min(shape) < 1:
        raise BadInput(f"An image of {shape} pixels of {pixel_nm} nm was asked for: both must be greater than zero.")
    band = lens.limit_per_nm
    bounds = Microscope(voltage_kV=lens.voltage_kV, convergence_mrad=max(500 * band * lens.wavelength_nm, 1e-3))
    grid = grid_for(shape, pixel_nm, MARGIN_NM, bounds)
    spectrum = _scattered(atoms, lens, grid)
    ky, kx = grid.frequencies()
    k = np.hypot(ky[:, None], kx[None])
    spectrum *= blur(lens, k) * np.exp(-2 * (np.pi * thermal_nm * k) ** 2) * (k <= band)
    return 1 + evaluate(spectrum.astype(np.complex64), grid)


def _scattered(atoms: Atoms, lens: Lens, grid: Grid) -> NDArray[np.complex128]:
    """Return the image's spectrum on the grid: of each wave scattered forward, and of its mirror, interfering."""
    ky, kx = grid.frequencies()
    ky, kx = ky[:, None], kx[None]
    square = ky**2 + kx**2
    ahead, behind = transfer(lens, ky, kx), np.conj(transfer(lens, -ky, -kx))
    places = np.column_stack([atoms.positions[:, 1::-1], atoms.positions[:, 2]]) / 10.0
    near = grid.reaches(places)
    slices = np.rint(places[:, 2] / _SLICE_NM)
    total = np.zeros(square.shape, complex)
    for number in np.unique(atoms.numbers[near & (atoms.numbers > 0)]):
        factor = 1e-2j * scattering_amplitude_A2(int(number), lens.voltage_kV, np.sqrt(square) / 10.0).imag
        for level in np.unique(slices[near]):
            chosen = near & (slices == level) & (atoms.numbers == number)
            if chosen.any():
                turn = np.exp(1j * np.pi * lens.wavelength_nm * _SLICE_NM * level * square)
                waves = factor * turn * ahead + np.conj(factor * turn) * behind
                total += spread(places[chosen], np.ones(int(chosen.sum())), grid) * waves
    return total
