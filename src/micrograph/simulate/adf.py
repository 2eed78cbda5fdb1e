"""Fast linear model of annular dark-field images: every atom adds its own blurred spot at its exact position.

The image is ``sum over species of (atoms at their positions) * cross-section * response * probe * source * thermal``,
all products in Fourier space. What it leaves out was measured against multislice (`micrograph.validate.multislice`):

- An atom is no point to the probe. Its response (see `scattering.response`) lowers the transfer at the finest detail
  to 0.8; with ``|psi|^2`` alone, graphene at 60 kV would have 12 % too much contrast. That is why carbon in graphene
  was seen with 0.86-0.88 of the contrast that probe and cross-section let expect. With the response, the sum of
  isolated atoms and the lattice differ by 2-3 % only.
- That rest is interference: waves from neighbours add up on the detector's inner edge. Each carbon pair d apart adds
  ``K(d) = integral |F(s)|^2 J0(2 pi s d)``: 0.5 % of the signal for each neighbour in graphene, 0.3 % for each second
  one; in all the model is 2.2 % too dark there. In TMD monolayers the columns are too far apart for it.
- Two atoms in a column interfere and focus: S2 is 4 % darker than twice S, Se2 equal to twice Se (80 kV, 68-180 mrad,
  atoms at rest). The model draws S2 3-6 % too bright, Se2 1-3 % (peaks up to 5 % when defocused), the other filled
  columns of TMD monolayers within 2 %; empty sites, lit by their neighbours alone, within 7 %.
- All atoms are in one plane, from which the defocus counts; multislice counts it from the plane of the first atoms.
- Beyond a few nanometres of thickness channelling makes columns brighter or darker: the model is not for crystals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from micrograph.core import BadInput
from micrograph.simulate.gridding import Grid, evaluate, grid_for, spread
from micrograph.simulate.optics import FWHM_PER_SIGMA, Microscope, amplitude
from micrograph.simulate.scattering import check_numbers, cross_section_A2, response

if TYPE_CHECKING:
    from ase import Atoms

#: Width of the border (nm) from which atoms outside the image still shine into it.
MARGIN_NM = 0.6


def adf(
    atoms: Atoms,
    microscope: Microscope,
    *,
    pixel_nm: float,
    shape: tuple[int, int],
    thermal_nm: float = 0.0,
    origin_nm: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float32]:
    """Return the ADF image (H, W) of thin `atoms`: the fraction of the incident electrons that reaches the detector.

    Pixel (i, j) is the probe at ``y = origin_nm[0] + i pixel_nm``, ``x = origin_nm[1] + j pixel_nm`` in the atoms'
    frame (which is in angstrom). Atoms beyond the image count up to `MARGIN_NM` outside of it; nothing is repeated.
    `thermal_nm` is the root mean square displacement per axis of every atom. Atoms of number 0 (empty sites) are dark.
    """
    positions = atoms.positions[:, [1, 0]] / 10.0 - np.array(origin_nm)
    return adf_points(positions, atoms.numbers, microscope, pixel_nm=pixel_nm, shape=shape, thermal_nm=thermal_nm)


def adf_points(
    positions_nm: NDArray[np.float64],
    numbers: ArrayLike,
    microscope: Microscope,
    *,
    pixel_nm: float,
    shape: tuple[int, int],
    thermal_nm: float = 0.0,
) -> NDArray[np.float32]:
    """Return the ADF image (H, W) of points (N, 2 or more; y, x first, in nm) with atomic `numbers` (N,).

    Positions count from the centre of pixel (0, 0), as in `micrograph.core.Sites`. Otherwise as `adf`.
    """
    z = np.asarray(numbers, dtype=int)
    check_numbers(z)
    if not pixel_nm > 0 or min(shape) < 1:
        raise BadInput(f"An image of {shape} pixels of {pixel_nm} nm was asked for: both must be greater than zero.")
    grid = grid_for(shape, pixel_nm, MARGIN_NM, microscope)
    near = grid.reaches(positions_nm) & (z > 0)
    spectrum = _scatterers(positions_nm[near, :2], z[near], microscope, grid)
    spectrum *= _transfer(microscope, grid, thermal_nm)
    return evaluate(spectrum, grid)


def _scatterers(
    positions_nm: NDArray[np.float64], numbers: NDArray[np.int_], microscope: Microscope, grid: Grid
) -> NDArray[np.complex64]:
    """Spectrum of all atoms on the grid: every species with its cross-section (nm^2) and its response."""
    ky, kx = grid.frequencies()
    frequency = np.hypot(ky[:, None], kx[None, :])
    total = np.zeros(frequency.shape, np.complex64)
    for number in np.unique(numbers):
        of_species = numbers == number
        weights_nm2 = np.full(int(of_species.sum()), 1e-2 * float(cross_section_A2(number, microscope)))
        transfer = np.interp(frequency, *response(int(number), microscope)).astype(np.float32)
        total += spread(positions_nm[of_species], weights_nm2, grid) * transfer
    return total


def _transfer(microscope: Microscope, grid: Grid, thermal_nm: float) -> NDArray[np.complex64]:
    """Transfer function of probe, source and thermal motion on the grid's ``rfft2`` frequencies; 1 at zero.

    It is the complex conjugate of the probe's spectrum: a point scatterer shows the probe mirrored.
    """
    import scipy.fft

    wave = amplitude(microscope, grid.shape, grid.size_nm)
    spectrum: NDArray[np.complex64] = np.conj(scipy.fft.rfft2(wave.real**2 + wave.imag**2))
    variance = thermal_nm**2 + (microscope.source_fwhm_nm / FWHM_PER_SIGMA) ** 2
    damping = [np.exp(-2 * np.pi**2 * variance * k**2) for k in grid.frequencies()]
    spectrum *= damping[0].astype(np.float32)[:, None]
    spectrum *= damping[1].astype(np.float32)[None, :]
    return spectrum
