"""Bright-field images of gold particles by multislice with abTEM (the [sim] extra): a test set of another simulator.

`ParticleSampler` darkens what is thick. Here every atom scatters a wave: particles of a lattice that is turned at
random show Bragg contrast, so that some are dark and others hardly are, the carbon below them is grainy, and edges have
Fresnel fringes. The truth is the same: where the projected thickness of a particle is above 0.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput
from micrograph.simulate.objects.bright_field import LIQUID_CELL, Camera, record
from micrograph.simulate.objects.particle_sampler import ParticleScene
from micrograph.simulate.objects.particles import SHAPES, Field, Image, Particle, field_of, scattered
from micrograph.simulate.objects.solids import Polyhedron, Solid, random_rotation
from micrograph.simulate.optics import Microscope, interaction_rad_per_V_A
from micrograph.simulate.ranges import Range

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]
Wave = NDArray[np.complex64]

#: Gold: lattice constant (nm) and thermal motion at room temperature (nm rms per axis, doi:10.1107/S0108767396005697).
_LATTICE_NM, _THERMAL_NM = 0.4078, 0.0085
#: Amorphous carbon of 2 g/cm3: one atom in each cube of this edge (nm).
_CARBON_NM = 0.2154
#: Sampling of the wave (nm): scattering up to 2/3 of Nyquist's limit, 21 mrad at 200 kV, takes part. Slices (nm).
_SAMPLING_NM, _SLICE_NM = 0.04, 0.2
_VOLTAGE_KV, _CS_MM, _FOCAL_SPREAD_NM = 200.0, 1.2, 4.0
_WAVELENGTH_A = 10 * Microscope(voltage_kV=_VOLTAGE_KV).wavelength_nm


@dataclass(frozen=True)
class MultisliceParticles:
    """Random images of gold particles on amorphous carbon by multislice; one takes some ten seconds.

    field_nm: side of the periodic cell; as much as the largest particle reaches is cut off on every side. binned:
    samples of 0.04 nm averaged into one pixel along each axis. Ranges, drawn uniformly per image: diameter_nm,
    contrast_to_noise (of the faintest particle, per pixel: their Bragg contrast differs), defocus_nm (under focus is
    positive), support_nm (thickness of the carbon), aperture_mrad (objective aperture; gold's first reflections lie at
    10.6 mrad), blur_nm (1-sigma of what energy losses in a liquid blur). covered: share that particles cover. shapes:
    of which each image holds any, or `kinds`. liquid: water of uneven thickness lies above.
    """

    field_nm: float = 36.0
    binned: int = 3
    diameter_nm: Range = (3.0, 6.0)
    contrast_to_noise: Range = (2.0, 6.0)
    defocus_nm: Range = (0.0, 150.0)
    support_nm: Range = (2.0, 5.0)
    aperture_mrad: Range = (6.0, 10.0)
    blur_nm: Range = (0.0, 0.0)
    covered: float = 0.2
    shapes: tuple[str, ...] = ("sphere", "rod", "cube", "tilted-cube")
    kinds: tuple[str, ...] = ()
    liquid: bool = False

    def scene(self, rng: np.random.Generator) -> ParticleScene:
        """Return one image with all particles in it."""
        diameter, cnr, defocus, support, aperture, blur = (
            float(rng.uniform(*limits))
            for limits in (
                self.diameter_nm,
                self.contrast_to_noise,
                self.defocus_nm,
                self.support_nm,
                self.aperture_mrad,
                self.blur_nm,
            )
        )
        particles = self._particles(diameter, rng)
        atoms = specimen(particles, self.field_nm, support, rng)
        fine = bright_field(atoms, defocus, aperture)
        share, field = self._seen(fine, particles)
        if self.liquid:
            share = through_liquid(share, blur / field.pixel_nm, rng)
        contrast = _contrast(share, field)
        camera = Camera((cnr / contrast) ** 2 / float(np.median(share)), float(rng.uniform(0.4, 1.0)))
        params = {
            "contrast_to_noise": cnr,
            "contrast": contrast,
            "diameter_px": diameter / field.pixel_nm,
            "electrons": camera.electrons,
            "defocus_nm": defocus,
            "liquid": float(self.liquid),
            "bright": 0.0,
        }
        return ParticleScene(field, record(share, camera, rng), params)

    def _particles(self, diameter_nm: float, rng: np.random.Generator) -> list[Particle]:
        """Return particles in the periodic cell that do not touch; those near its edges go on at the other side."""
        number = max(1, round(self.covered * self.field_nm**2 / (np.pi / 4 * diameter_nm**2)))
        names = rng.choice(self.kinds or self.shapes, size=number)
        sizes = diameter_nm * np.clip(rng.normal(1, 0.12, number), 0.7, 1.3)
        solids = [(str(name), SHAPES[str(name)](float(size), rng)) for name, size in zip(names, sizes, strict=True)]
        return scattered(solids, (self.field_nm,) * 2, rng, (1.03, 1.2))

    def _seen(self, fine: Image, particles: list[Particle]) -> tuple[Image, Field]:
        """Return the middle of the image on the camera's pixels, and what particles cover of it."""
        pitch, pixel = self.field_nm / len(fine), self.field_nm / len(fine) * self.binned
        margin = int(np.ceil(max((one.solid.reach_nm for one in particles), default=0.0) / pixel))
        number = len(fine) // self.binned
        blocks = fine[: number * self.binned, : number * self.binned]
        image = blocks.reshape(number, self.binned, number, self.binned).mean(axis=(1, 3), dtype=np.float32)
        image = image[margin : number - margin, margin : number - margin]
        begin = margin * pixel + (self.binned - 1) / 2 * pitch
        moved = [replace(one, y_nm=one.y_nm - begin, x_nm=one.x_nm - begin) for one in particles]
        return image, field_of(moved, pixel, (image.shape[0], image.shape[1]))


def gold_in_liquid() -> MultisliceParticles:
    """Return the sampler of larger particles below uneven water, the faintest with a contrast-to-noise of 1."""
    return MultisliceParticles(
        field_nm=40.0,
        diameter_nm=(6.0, 9.0),
        contrast_to_noise=(1.0, 1.001),
        defocus_nm=(0.0, 100.0),
        blur_nm=(0.2, 0.5),
        covered=0.25,
        shapes=("rod", "triangle", "cube", "sphere"),
        liquid=True,
    )


def specimen(particles: list[Particle], field_nm: float, support_nm: float, rng: np.random.Generator) -> Atoms:
    """Return the atoms (angstrom) of gold particles that rest on carbon, in a cell periodic in the plane."""
    from ase import Atoms

    carbon = amorphous_carbon(field_nm, support_nm, rng)
    gold = [np.empty((0, 3))]
    for one in particles:
        points = gold_atoms(one.solid, rng)
        points[:, 2] += support_nm + 0.1 - points[:, 2].min()
        gold.append(points + np.array([one.x_nm, one.y_nm, 0.0]))
    all_gold = np.concatenate(gold)
    points = np.concatenate([carbon, all_gold])
    points[:, :2] %= field_nm
    numbers = np.repeat([6, 79], [len(carbon), len(all_gold)])
    height = float(points[:, 2].max()) + 0.2
    return Atoms(numbers, 10 * points, cell=[10 * field_nm, 10 * field_nm, 10 * height], pbc=True)


def amorphous_carbon(field_nm: float, thickness_nm: float, rng: np.random.Generator) -> Array:
    """Return random points (N, 3), x, y, z in nm, one in each cell of a grid: dense everywhere, ordered nowhere."""
    number = [round(field_nm / _CARBON_NM)] * 2 + [max(1, round(thickness_nm / _CARBON_NM))]
    corner = np.stack(np.meshgrid(*map(np.arange, number), indexing="ij"), axis=-1).reshape(-1, 3)
    cell = np.array([field_nm, field_nm, thickness_nm]) / number
    return np.asarray((corner + rng.uniform(0, 1, corner.shape)) * cell)


def gold_atoms(solid: Solid, rng: np.random.Generator) -> Array:
    """Return the atoms (N, 3), x, y, z in nm, of gold in the shape of `solid`, its lattice turned at random."""
    reach = _reach_nm(solid)
    count = int(np.ceil(2 * reach / _LATTICE_NM)) + 1
    steps = np.arange(-count, count + 1) / 2
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    fcc = grid[np.rint(2 * grid.sum(axis=1)) % 2 == 0] * _LATTICE_NM + rng.uniform(0, _LATTICE_NM, 3)
    turned = fcc @ random_rotation(rng).T
    inside = turned[_holds(solid, turned)]
    return np.asarray(inside + rng.normal(0, _THERMAL_NM, inside.shape))


def _reach_nm(solid: Solid) -> float:
    """Return the radius (nm) of a ball around the origin that holds `solid`."""
    if isinstance(solid, Polyhedron):
        return float(np.linalg.norm(solid.corners, axis=1).max())
    return float(max(solid.reach_nm, solid.thickness(np.zeros(1), np.zeros(1))[0] / 2))


def _holds(solid: Solid, points: Array) -> NDArray[np.bool_]:
    """Return which points (N, 3), x, y, z in nm, lie inside; what is no polyhedron is alike above and below."""
    if isinstance(solid, Polyhedron):
        return np.asarray((points @ solid.normals.T <= solid.offsets_nm).all(axis=1))
    return np.asarray(np.abs(points[:, 2]) < solid.thickness(points[:, 1], points[:, 0]) / 2)


@dataclass(frozen=True)
class Grid:
    """A periodic square of `number` x `number` samples, `side_A` angstrom wide, and the electrons that pass it."""

    number: int
    side_A: float

    @functools.cached_property
    def angles(self) -> Array:
        """Scattering angles (H, W) in rad of the Fourier coefficients, ordered as ``fftfreq``."""
        k = np.fft.fftfreq(self.number, self.side_A / self.number)
        return np.asarray(np.hypot(k[:, None], k[None]) * _WAVELENGTH_A)

    @functools.cached_property
    def step(self) -> Wave:
        """What one slice of vacuum does to Fourier coefficients (H, W); those above 2/3 of Nyquist's limit go."""
        highest = self.number / self.side_A / 3 * _WAVELENGTH_A
        turn = np.exp(-1j * np.pi * 10 * _SLICE_NM / _WAVELENGTH_A * self.angles**2)
        return np.asarray((self.angles < highest) * turn, np.complex64)

    def phases_of(self, number: int) -> Image:
        """Return what makes the coefficients of phases (H, W / 2 + 1) of those of atoms `shared_out` on the grid."""
        ky, kx = np.fft.fftfreq(self.number)[:, None], np.fft.rfftfreq(self.number)[None]
        per_A = self.number / self.side_A
        potential = scattering_factor(number, (ky**2 + kx**2) * per_A**2) * per_A**2
        found: Image = (potential * interaction_rad_per_V_A(_VOLTAGE_KV) / (np.sinc(ky) * np.sinc(kx)) ** 2).astype(
            np.float32
        )
        return found


def bright_field(atoms: Atoms, defocus_nm: float, aperture_mrad: float) -> Image:
    """Return the bright-field image (H, W), 1 without a specimen, of a plane wave through `atoms` on 0.04 nm samples.

    Multislice: each slice turns the phase of the wave by its projected potential. Atoms are shared out among four
    samples each, which is undone in Fourier space, and have the scattering factors of Lobato and van Dyck
    (doi:10.1107/S205327331401643X) as abTEM gives them.
    """
    import scipy.fft

    side = float(atoms.cell.lengths()[0])
    grid = Grid(scipy.fft.next_fast_len(round(side / (10 * _SAMPLING_NM))), side)
    phases = {int(z): grid.phases_of(int(z)) for z in np.unique(atoms.numbers)}
    places = atoms.positions[:, 1::-1] * (grid.number / side)
    slices = (atoms.positions[:, 2] / (10 * _SLICE_NM)).astype(int)
    wave = np.ones((grid.number,) * 2, np.complex64)
    for number in range(int(slices.max()) + 1):
        here = slices == number
        spectrum: Any = 0
        for z, factor in phases.items():
            spectrum = spectrum + scipy.fft.rfft2(shared_out(places[here & (atoms.numbers == z)], grid.number)) * factor
        turned = wave * np.exp(1j * scipy.fft.irfft2(spectrum, s=wave.shape))
        wave = scipy.fft.ifft2(scipy.fft.fft2(turned, overwrite_x=True) * grid.step)
    seen = scipy.fft.ifft2(scipy.fft.fft2(wave) * lens(grid.angles, defocus_nm, aperture_mrad))
    return np.asarray(np.abs(seen) ** 2, dtype=np.float32)


def scattering_factor(number: int, square: Array) -> Array:
    """Return abTEM's projected potential (V angstrom^3) of an element at squared frequencies (1/angstrom^2)."""
    from ase.data import chemical_symbols

    try:
        from abtem.parametrizations import LobatoParametrization
    except ImportError as error:
        raise BadInput("Multislice needs abTEM, which is not installed: pip install 'micrograph[sim]'.") from error
    factor: Any = LobatoParametrization().projected_scattering_factor(chemical_symbols[number])
    return np.asarray(factor(square.ravel()), float).reshape(square.shape)


def shared_out(places: Array, number: int) -> Image:
    """Return how many of the points (N, 2), in samples, lie at each sample of a periodic grid; four share each."""
    begin = np.floor(places)
    (fy, fx), (y, x) = (places - begin).T, begin.astype(int).T
    total = np.zeros(number**2)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            total += np.bincount((y + dy) % number * number + (x + dx) % number, wy * wx, number**2)
    return total.reshape(number, number).astype(np.float32)


def lens(angles: Array, defocus_nm: float, aperture_mrad: float) -> Wave:
    """Return the transfer (H, W) of the objective lens at scattering angles (H, W) in rad; under focus is positive."""
    chi = 2 * np.pi / _WAVELENGTH_A * (_CS_MM * 1e7 * angles**4 / 4 - 10 * defocus_nm * angles**2 / 2)
    damped = np.exp(-0.5 * (np.pi / _WAVELENGTH_A * 10 * _FOCAL_SPREAD_NM * angles**2) ** 2)
    return np.asarray((angles <= 1e-3 * aperture_mrad) * damped * np.exp(-1j * chi), dtype=np.complex64)


def through_liquid(share: Image, blur_px: float, rng: np.random.Generator) -> Image:
    """Return the image (H, W) below a liquid cell: what lost energy is blurred, and the water bulges by a few per cent.

    Electrons that lost energy (all but those that pass `LIQUID_CELL`) are focused elsewhere by the lens's chromatic
    aberration.
    """
    from scipy.ndimage import gaussian_filter

    passed = LIQUID_CELL.transmitted
    blurred = gaussian_filter(share, blur_px) if blur_px > 0 else share
    y, x = (np.linspace(-1, 1, n) for n in share.shape)
    bulge = np.add.outer((y - rng.uniform(-0.5, 0.5)) ** 2, (x - rng.uniform(-0.5, 0.5)) ** 2)
    water = np.exp(-rng.uniform(0.0, 0.1) * bulge)
    return np.asarray((passed * share + (1 - passed) * blurred) * water, dtype=np.float32)


def _contrast(share: Image, field: Field) -> float:
    """Return the share of the background's intensity that the faintest particle takes, at least 0.02.

    Of those of which less than half the median area is in the image, the rim is all that there is: they do not count.
    """
    background = float(np.median(share[field.coverage == 0]))
    least = 0.5 * float(np.median([one.area_px for one in field.shadows] or [0.0]))
    means = [
        float((share[one.rows, one.columns] * one.coverage).sum(dtype=np.float64) / one.area_px)
        for one in field.shadows
        if one.area_px >= least
    ]
    return max(1 - max(means, default=0.7) / background, 0.02)
