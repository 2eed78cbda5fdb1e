"""Particles of gold with the number of atoms in every column: HAADF images whose only noise is counting, and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.core import Calibration
from micrograph.features.lattices.net_pose import find_net
from micrograph.infer.column_fit import normalised
from micrograph.infer.column_start import misfits, slabs
from micrograph.simulate import Microscope, Scan, adf, cross_section_A2, expose
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.phase.column_model import ColumnModel
from micrograph.simulate.phase.exit_wave import image_behind, slices_of, wave_grid
from micrograph.simulate.phase.hrtem import Lens
from micrograph.simulate.phase.hrtem_sampler import HrtemSampler, counts_of
from micrograph.simulate.phase.hrtem_scenes import ColumnScene, WulffParticles
from micrograph.structures import columns, roughened, seen_along, wulff_particle
from micrograph.structures.stacking import stacking
from micrograph.validate.columns.height_multislice import NUMBER, PIXEL_NM, load_image

Array = NDArray[np.float64]

#: The microscope of the HAADF images.
HAADF = Microscope(voltage_kV=300.0, convergence_mrad=25.0, inner_mrad=60.0, outer_mrad=200.0, source_fwhm_nm=0.06)
_THERMAL_NM = 0.006
#: Gauss's law in as many equal parts: scatter is drawn from their middles.
_LEVELS = 9
#: Radius of a column's cell at most, and distance from which there is vacuum (nm).
_CELL_NM, _VACUUM_NM = 0.16, 0.3
#: The microscope of the HRTEM images: focus (nm, Scherzer's for a negative Cs: columns are bright where thin), pixel.
NOMINAL_NM, _PIXEL_NM = -7.2, 0.028
NOMINAL_LENS = Lens(300.0, NOMINAL_NM, -0.015, focal_spread_nm=3.0, illumination_mrad=0.1, vibration_nm=0.02)


@dataclass(frozen=True)
class HeightScene:
    """An image (H, W) with what is known of it: columns at ``place_nm`` (K, 2) as (y, x) of ``atoms`` (K,) atoms.

    electrons: that one atom sends to the detector (HAADF); scatter: relative scatter from column to column; known: what
    a log of the microscope says ('defocus_nm').
    """

    image: NDArray[np.float32]
    calibration: Calibration
    place_nm: Array
    atoms: NDArray[np.intp]
    electrons: float = np.nan
    scatter: float = 0.0
    known: dict[str, float] = field(default_factory=dict)

    def plain(self) -> NDArray[np.intp]:
        """Return the numbers (K,) that a classical way gives, told where the columns are.

        HAADF: what a column's Voronoi cell holds above the vacuum, over the true intensity of one atom. HRTEM: the
        slab whose image is most like the surroundings, at the nominal focus.
        """
        from scipy.spatial import cKDTree

        pixel = self.calibration.pixel_nm
        assert pixel is not None
        if "defocus_nm" in self.known:
            return slab_numbers(self.image, pixel, self.place_nm, NOMINAL_LENS)
        rows, columns = np.indices(self.image.shape)
        grid = np.stack([rows.ravel(), columns.ravel()], axis=1) * pixel
        distance, owner = map(np.asarray, cKDTree(self.place_nm).query(grid))
        near = distance < _CELL_NM
        values = self.image.ravel() - float(np.median(self.image.ravel()[distance > _VACUUM_NM]))
        held = np.bincount(owner[near], values[near], len(self.place_nm))
        return np.clip(np.rint(held / self.electrons), 0, None).astype(np.intp)


def slab_numbers(image: NDArray[np.float32], pixel_nm: float, place_nm: Array, lens: Lens) -> NDArray[np.intp]:
    """Return the numbers (K,) of the slabs of gold [110] that are most like the image about each column."""
    from scipy.ndimage import map_coordinates

    stacked = stacking("Au", (1, 1, 0))
    seen, _ = normalised(image)
    pose = find_net(seen - seen.mean(), pixel_nm, stacked.vectors_nm, stacked.reflections_per_nm(7.2))
    shape = (seen.shape[0], seen.shape[1])
    model = ColumnModel(lens, stacked.number, stacked.spacing_nm, shape, pixel_nm, 20)
    maps = misfits(seen, model, pose.vectors_nm, slabs(model, pose.vectors_nm, stacked, lens))
    at = (place_nm / pixel_nm).T
    found = np.stack([map_coordinates(one, at, order=1, mode="nearest") for one in maps], axis=1)
    return np.asarray(found.argmin(axis=1), np.intp)


#: Makes one scene a call.
Scenes = Callable[[np.random.Generator], HeightScene]


def columns_of(atoms: Atoms) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Return places (K, 2) in nm as (y, x), numbers of atoms (K,), and the column of every atom."""
    points = atoms.positions[:, 1::-1] / 10.0
    column = columns(points)
    number = np.bincount(column)
    place = np.stack([np.bincount(column, points[:, axis]) / number for axis in (0, 1)], axis=1)
    return place, number.astype(np.intp), column


def rough_particle(
    diameter_nm: float, field_nm: float, rng: np.random.Generator, zone_axis: tuple[int, int, int] = (1, 1, 0)
) -> Atoms:
    """Return a rough gold particle, cut by a support, turned at random about its zone axis, amid a field."""
    corner = rng.uniform(0, 1, 3)
    contact = ((1, 1, 1), float(rng.uniform(0.2, 1.0)))
    atoms = wulff_particle(diameter_nm, centre=(corner[0], corner[1], corner[2]), contact=contact)
    atoms = seen_along(roughened(atoms, rng, share=0.03), zone_axis, turn_deg=float(rng.uniform(0, 360)))
    middle = (atoms.positions[:, :2].max(axis=0) + atoms.positions[:, :2].min(axis=0)) / 2
    atoms.positions[:, :2] += 5 * field_nm - middle
    return atoms


@dataclass(frozen=True)
class HaadfParticles:
    """HAADF images of gold particles of up to some 15 atoms a column, by the linear model.

    electrons: that one atom sends to the detector; scatter: relative 1-sigma from column to column; pixel_nm;
    zone_axis: along the beam; told: whether the recipe is told the intensity of one atom.
    """

    electrons: float
    scatter: float = 0.0
    pixel_nm: float = 0.018
    diameter_nm: tuple[float, float] = (3.6, 4.5)
    zone_axis: tuple[int, int, int] = (1, 1, 0)
    told: bool = True

    def __call__(self, rng: np.random.Generator) -> HeightScene:
        """Return one image."""
        diameter = float(rng.uniform(*self.diameter_nm))
        side = round((diameter + 1.0) / self.pixel_nm)
        atoms = rough_particle(diameter, side * self.pixel_nm, rng, self.zone_axis)
        place, number, column = columns_of(atoms)
        fraction = self._fraction(atoms, column, len(number), side, rng)
        dose = self.electrons / float(cross_section_A2([79], HAADF)[0])
        image = expose(fraction, Scan(dose_e_per_A2=dose), self.pixel_nm, rng)
        calibration = Calibration(
            pixel_nm=self.pixel_nm, dose_e_per_A2=dose, voltage_kV=HAADF.voltage_kV,
            convergence_mrad=HAADF.convergence_mrad, inner_mrad=HAADF.inner_mrad, outer_mrad=HAADF.outer_mrad,
        )  # fmt: skip
        known = {"per_atom": self.electrons} if self.told else {}
        return HeightScene(image, calibration, place, number, self.electrons, self.scatter, known)

    def _fraction(
        self, atoms: Atoms, column: NDArray[np.intp], number: int, side: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the share of the beam (H, W) that is detected; columns are brighter or darker by their scatter."""
        from scipy.special import ndtri

        if not self.scatter:
            return adf(atoms, HAADF, pixel_nm=self.pixel_nm, shape=(side, side), thermal_nm=_THERMAL_NM)
        middles = ndtri((np.arange(_LEVELS) + 0.5) / _LEVELS)
        middles /= middles.std()
        level = rng.integers(_LEVELS, size=number)[column]
        total = np.zeros((side, side), np.float32)
        for one in np.unique(level):
            seen = adf(atoms[level == one], HAADF, pixel_nm=self.pixel_nm, shape=(side, side), thermal_nm=_THERMAL_NM)
            total += np.float32(1 + self.scatter * middles[one]) * seen
        return total


def hrtem_particles(
    *,
    tilt_deg: float = 0.3,
    diameter_nm: tuple[float, float] = (2.2, 4.4),
    away_nm: float = 2.0,
    dose_e_per_A2: float = 1e4,
) -> HrtemSampler:
    """Return the sampler of HRTEM images of gold along [110]: focus within `away_nm` of the nominal one.

    What the recipe is not told: astigmatism up to 1 nm, coma and three-fold astigmatism up to 10 nm, tilts, columns
    displaced by up to 5 pm. The waves are sampled finely enough for gold, and the focal spread is summed.
    """
    scene = WulffParticles(
        diameter_nm=diameter_nm, tilt_deg=(0.0, tilt_deg), rough=(0.0, 0.1), displaced_nm=(0.0, 0.005),
        zones=((1, 1, 0),),
    )  # fmt: skip
    nearest, farthest = sorted((abs(NOMINAL_NM - away_nm), abs(NOMINAL_NM + away_nm)))
    return HrtemSampler(
        scene, field_nm=diameter_nm[1] + 1.2, pixel_nm=(_PIXEL_NM, _PIXEL_NM), voltage_kV=300.0,
        defocus_nm=(nearest, farthest), under=0.0, cs_mm=(-0.015, -0.015), astigmatism_nm=(0.0, 1.0),
        threefold_nm=(0.0, 10.0), coma_nm=(0.0, 10.0), focal_spread_nm=(3.0, 3.0), illumination_mrad=(0.1, 0.1),
        vibration_nm=(0.02, 0.02), dose_e_per_A2=(dose_e_per_A2, dose_e_per_A2), mtf=(1.0, 1.0),
        thermal_nm=(0.0085, 0.0085), filmed=0.0, least_transfer=0.0, optics=finely_sliced,
    )  # fmt: skip


def finely_sliced(
    scene: ColumnScene, film: Atoms | None, lens: Lens, *, pixel_nm: float, side_px: int, thermal_nm: float
) -> NDArray[np.float32]:
    """Return the image of a scene without a film by slices of 0.07 nm of finely sampled waves (`Optics`)."""
    assert film is None
    grid = wave_grid(side_px, pixel_nm, 0.6, 0.0145)
    return image_behind(slices_of(scene.atoms, 0.0721), lens, grid, thermal_nm=thermal_nm, planes=11)


@dataclass(frozen=True)
class HrtemScenes:
    """HRTEM scenes of a sampler; the recipe is told the nominal focus, `told_nm` beyond it."""

    sampler: HrtemSampler
    told_nm: float = 0.0

    def __call__(self, rng: np.random.Generator) -> HeightScene:
        """Return one image of `sampler` with its columns."""
        sample = self.sampler(rng)
        place = np.stack([sample.sites.y_nm, sample.sites.x_nm], axis=1)
        return _hrtem_scene(sample.image, place, counts_of(sample), NOMINAL_NM + self.told_nm)


def hrtem_scenes(away_nm: float, dose_e_per_A2: float) -> HrtemScenes:
    """Return HRTEM scenes at a dose: so far from the nominal focus."""
    own = hrtem_particles(dose_e_per_A2=dose_e_per_A2, away_nm=0.0)
    there = abs(NOMINAL_NM + away_nm)
    return HrtemScenes(replace(own, defocus_nm=(there, there + 1e-6)))


@dataclass(frozen=True)
class Multislice:
    """The shipped images of another simulator at a dose (e/A^2), one after the other."""

    dose_e_per_A2: float = 1e4

    def __call__(self, rng: np.random.Generator) -> HeightScene:
        """Return one image, counted."""
        shown = load_image(int(rng.integers(NUMBER)))
        counted = record(shown.image, Camera(self.dose_e_per_A2 * (10 * PIXEL_NM) ** 2, 1.0), rng)
        return _hrtem_scene(counted, shown.place_nm, shown.atoms, NOMINAL_NM)


def _hrtem_scene(image: NDArray[np.float32], place: Array, atoms: NDArray[np.intp], defocus_nm: float) -> HeightScene:
    scale = Calibration(pixel_nm=_PIXEL_NM, voltage_kV=300.0)
    return HeightScene(image, scale, place, atoms, known={"defocus_nm": defocus_nm})
