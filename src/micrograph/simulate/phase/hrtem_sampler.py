"""HRTEM images of columns by the thousand: any scene, lens, dose and camera, with or without amorphous carbon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import BadInput, Sample, Sites
from micrograph.simulate.contaminate import slow_background
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.phase.exit_wave import SAMPLING_NM, Slice, image_behind, slices_of, wave_grid
from micrograph.simulate.phase.hrtem import Lens, transfer
from micrograph.simulate.phase.hrtem_scenes import SHEET_MARGIN_NM, ColumnScene, GrapheneSheets, Scenery, WulffParticles
from micrograph.simulate.phase.lens_ranges import drawn_lens
from micrograph.simulate.ranges import Range

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]
Image = NDArray[np.float32]

#: Slices of an amorphous film may be this thick (nm).
_FILM_SLICE_NM = 0.6
#: Lenses are drawn at most so often until the lattice shows.
_DRAWS = 500
#: Half-width (nm) of a column in the mask 'crystal', as a share of the distance of neighbours.
_COVERED = 0.6


class Optics(Protocol):
    """Makes the noise-free square image (H, H), 1 in the vacuum, of a scene and a film, on true pixels of `pixel_nm`.

    The lens's defocus counts from the crystal's middle, z = 0.
    """

    def __call__(
        self, scene: ColumnScene, film: Atoms | None, lens: Lens, *, pixel_nm: float, side_px: int, thermal_nm: float
    ) -> Image:
        """Return the image."""
        ...


@dataclass(frozen=True)
class Sliced:
    """The image by a few slices of our own (`Optics`), on waves of `sampling_nm`; a flat sheet scatters weakly."""

    sampling_nm: float = SAMPLING_NM

    def __call__(
        self, scene: ColumnScene, film: Atoms | None, lens: Lens, *, pixel_nm: float, side_px: int, thermal_nm: float
    ) -> Image:
        """Return the image."""
        flat = len(scene.atoms) == 0 or float(np.ptp(scene.atoms.positions[:, 2])) < 1.0
        slices: list[Slice] = slices_of(scene.atoms, scene.slice_nm)
        if film is not None:
            slices += slices_of(film, _FILM_SLICE_NM)
        grid = wave_grid(side_px, pixel_nm, SHEET_MARGIN_NM, self.sampling_nm)
        return image_behind(slices, lens, grid, thermal_nm=thermal_nm, planes=1 if flat else 7)


@dataclass(frozen=True)
class HrtemSampler:
    """Random images of a kind of `scene`, each through a random lens.

    field_nm: side of the image. Ranges, drawn uniformly: pixel_nm (log-uniform), defocus_nm (either way: `under` is the
    share of under focus, positive), cs_mm, astigmatism_nm, threefold_nm, coma_nm, focal_spread_nm, vibration_nm,
    mtf, thermal_nm, film_nm (thickness of an amorphous carbon film above or below; a share `filmed` of the images has
    one); dose_e_per_A2 (log-uniform). Lenses that show less than `least_transfer` of the crystal's reflections at
    `shown_per_nm` (or at the scene's own), or some of them with the contrast turned over, are drawn again: nobody
    records such images. Where the ranges hardly hold others, that is an error, unless `insists` is off: then the lens
    that shows most is taken.

    `Sample.sites` are the columns in the image; ``truth['count']`` (N,) the atoms in each, ``truth['rim_nm']`` (N,) how
    far each is from a hole or edge, rows as the sites; `params` the lens, dose, film and camera; the mask 'crystal' is
    where columns are.
    """

    scene: Scenery
    field_nm: float = 3.6
    pixel_nm: Range = (0.012, 0.03)
    voltage_kV: float = 80.0
    defocus_nm: Range = (1.0, 20.0)
    under: float = 0.5
    cs_mm: Range = (-0.02, 0.02)
    astigmatism_nm: Range = (0.0, 5.0)
    threefold_nm: Range = (0.0, 40.0)
    coma_nm: Range = (0.0, 40.0)
    focal_spread_nm: Range = (2.5, 5.0)
    illumination_mrad: Range = (0.05, 0.3)
    vibration_nm: Range = (0.015, 0.04)
    dose_e_per_A2: Range = (1e3, 1e6)
    mtf: Range = (0.4, 0.95)
    thermal_nm: Range = (0.005, 0.008)
    film_nm: Range = (0.0, 5.0)
    filmed: float = 0.4
    shown_per_nm: float = 4.69
    least_transfer: float = 0.15
    insists: bool = True
    optics: Optics = field(default_factory=Sliced)

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return one image with its columns."""
        pixel = float(np.exp(rng.uniform(*np.log(self.pixel_nm))))
        side = round(self.field_nm / pixel)
        scene = self.scene(side * pixel, rng)
        lens = self.lens(rng, scene)
        thickness = float(rng.uniform(*self.film_nm)) if rng.random() < self.filmed else 0.0
        film = film_beside(scene, side * pixel, thickness, rng) if thickness > 0 else None
        thermal = float(rng.uniform(*self.thermal_nm))
        image = self.optics(scene, film, lens, pixel_nm=pixel, side_px=side, thermal_nm=thermal)
        dose, mtf = float(np.exp(rng.uniform(*np.log(self.dose_e_per_A2)))), float(rng.uniform(*self.mtf))
        image = image * slow_background(image.shape, rng, depth=float(rng.uniform(0, 0.05)))
        params = {**asdict(lens), "film_nm": thickness, "thermal_nm": thermal, "mtf": mtf, "dose_e_per_A2": dose}
        counted = record(image, Camera(dose * (10 * pixel) ** 2, mtf), rng)
        return labelled(scene, counted, pixel, {name: float(value) for name, value in params.items()})

    def lens(self, rng: np.random.Generator, scene: ColumnScene | None = None) -> Lens:
        """Return a lens that shows the lattice of a scene; raises `BadInput` where the ranges hold none."""
        shown_per_nm = (scene.shown_per_nm if scene else 0.0) or self.shown_per_nm
        best, most = None, -1.0
        for _ in range(_DRAWS):
            defocus = float(rng.uniform(*self.defocus_nm)) * (1 if rng.random() < self.under else -1)
            lens = drawn_lens(self, defocus, self.illumination_mrad, rng)
            shown = abs(lattice_contrast(lens, shown_per_nm))
            if shown >= self.least_transfer:
                return lens
            if shown > most:
                best, most = lens, shown
        if best is not None and not self.insists:
            return best
        raise BadInput(
            f"No lens in these ranges shows {self.least_transfer} of the reflections at {shown_per_nm:.2f} per nm: "
            "widen the defocus or ask for less."
        )

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges in which a model trained on these samples is valid, for its card."""
        names = ("pixel_nm", "cs_mm", "astigmatism_nm", "focal_spread_nm", "dose_e_per_A2", "film_nm")
        far = self.defocus_nm[1]
        defocus = (-far if self.under < 1 else self.defocus_nm[0], far if self.under > 0 else -self.defocus_nm[0])
        return {
            "voltage_kV": (self.voltage_kV, self.voltage_kV),
            "defocus_nm": defocus,
            **{name: getattr(self, name) for name in names},
        }


@dataclass(frozen=True)
class Either:
    """Samples of several samplers, each as likely as its share."""

    samplers: Sequence[HrtemSampler]
    shares: Sequence[float]

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return a sample of one of them."""
        return self.samplers[int(rng.choice(len(self.samplers), p=self.shares))](rng)

    def changed(self, **ranges: Range) -> Either:
        """Return the same with other ranges, which all samplers share."""
        return replace(self, samplers=tuple(replace(one, **ranges) for one in self.samplers))  # type: ignore[arg-type]

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that hold those of all."""
        each = [one.domain() for one in self.samplers]
        return {name: (min(one[name][0] for one in each), max(one[name][1] for one in each)) for name in each[0]}


def lattice_contrast(lens: Lens, k_per_nm: float) -> float:
    """Return the least linear transfer of a weak phase object over all directions at one frequency (1/nm).

    Positive where atoms are bright, negative where they are dark, 0 where that depends on the direction.
    """
    angle = np.linspace(0, np.pi, 24, endpoint=False)
    ky, kx = k_per_nm * np.sin(angle), k_per_nm * np.cos(angle)
    seen = (0.5j * (transfer(lens, ky, kx) - np.conj(transfer(lens, -ky, -kx)))).real
    least = float(np.abs(seen).min()) * np.exp(-2 * (np.pi * lens.vibration_nm * k_per_nm) ** 2)
    return float(np.sign(seen[0]) * least) if abs(np.sign(seen).sum()) == len(seen) else 0.0


def film_beside(scene: ColumnScene, size_nm: float, thickness_nm: float, rng: np.random.Generator) -> Atoms:
    """Return an amorphous carbon film that touches the crystal above or below, over the field and its margin."""
    from micrograph.structures import amorphous_carbon

    heights = scene.atoms.positions[:, 2] / 10.0 if len(scene.atoms) else np.zeros(1)
    gap = 0.3
    bottom = float(heights.max()) + gap if rng.random() < 0.5 else float(heights.min()) - gap - thickness_nm
    return amorphous_carbon(size_nm, thickness_nm, rng, margin_nm=SHEET_MARGIN_NM, bottom_nm=bottom)


def labelled(scene: ColumnScene, image: Image, pixel_nm: float, params: dict[str, float]) -> Sample:
    """Return the sample of a recorded image (H, H) of a scene: columns inside the image, counts, mask."""
    sites, side = scene.columns, len(image)
    low, high = -0.5 * pixel_nm, (side - 0.5) * pixel_nm
    inside = np.logical_and.reduce([(v > low) & (v < high) for v in (sites.y_nm, sites.x_nm)])
    return Sample(
        image,
        pixel_nm,
        sites[inside],
        masks={"crystal": covered(sites, side, pixel_nm)},
        params={**params, "pixel_nm": pixel_nm},
        truth={"count": scene.count[inside].astype(float), "rim_nm": scene.rim_nm[inside]},
    )


def covered(sites: Sites, side_px: int, pixel_nm: float) -> Image:
    """Return the mask (H, H) of pixels that are near a column."""
    from scipy.ndimage import distance_transform_edt
    from scipy.spatial import cKDTree

    if len(sites) < 2:
        return np.zeros((side_px, side_px), np.float32)
    points = np.column_stack([sites.y_nm, sites.x_nm])
    spacing = float(np.median(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1]))
    pixels = np.rint(points / pixel_nm).astype(int)
    pixels = pixels[((pixels >= 0) & (pixels < side_px)).all(axis=1)]
    empty = np.ones((side_px, side_px), bool)
    empty[pixels[:, 0], pixels[:, 1]] = False
    if empty.all():
        return np.zeros((side_px, side_px), np.float32)
    away = pixel_nm * np.asarray(distance_transform_edt(empty))
    return np.asarray(away < _COVERED * max(spacing, 0.25), np.float32)


#: Graphene at 80 kV: Madsen's ranges (doi:10.1002/adts.201800037), in which the lattice shows.
GRAPHENE_HRTEM = HrtemSampler(GrapheneSheets())
#: Gold at 300 kV along [110], [100] and [111], as imaged with a small negative Cs: columns are bright where thin.
GOLD_HRTEM = HrtemSampler(
    WulffParticles(),
    field_nm=4.6,
    voltage_kV=300.0,
    defocus_nm=(5.0, 12.0),
    under=0.0,
    cs_mm=(-0.035, -0.005),
    astigmatism_nm=(0.0, 2.0),
    focal_spread_nm=(3.0, 6.0),
    dose_e_per_A2=(1e2, 1e6),
    shown_per_nm=4.9,
    thermal_nm=(0.006, 0.0085),
)
#: Both, on waves as coarse as a network's pixels: ten times as fast, the lens passes no more of them.
COLUMN_IMAGES = Either(
    tuple(
        replace(one, field_nm=field_nm, optics=Sliced(0.04))
        for one, field_nm in ((GRAPHENE_HRTEM, 3.2), (GOLD_HRTEM, 4.2))
    ),
    (0.6, 0.4),
)


def counts_of(sample: Sample) -> NDArray[np.intp]:
    """Return the number of atoms (N,) in each column of `Sample.sites`."""
    return np.asarray(np.rint(sample.truth["count"]), np.intp)


def noise_free(
    sampler: HrtemSampler, scene: ColumnScene, lens: Lens, pixel_nm: float, film: Atoms | None = None
) -> Image:
    """Return the image (H, H) of one scene by a sampler's optics, 1 in the vacuum, before the camera."""
    side, thermal = round(sampler.field_nm / pixel_nm), float(np.mean(sampler.thermal_nm))
    return sampler.optics(scene, film, lens, pixel_nm=pixel_nm, side_px=side, thermal_nm=thermal)
