"""ADF images of classes that no features were trained on: defects of graphene and monolayers, phases, crystal zones.

A class makes clean patches; the same seed gives the same turn, place, focus and wear in every class of its family, so
that the likelihood of a recorded patch under each class can be told where all of these are known: the limit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from micrograph.simulate import Microscope, adf_points
from micrograph.structures import DEFECTS, MATERIALS, graphene, named_defect, tmd
from micrograph.structures.crystal import zone_axis_of
from micrograph.structures.prototypes import prototype
from micrograph.validate.multislice import load_reference, reference_defects

Array = NDArray[np.float64]
Image = NDArray[np.float32]

SIDE = 64
#: How far from the middle of a patch the defect is, 1-sigma (px).
JITTER_PX = 1.5
#: Relaxed sheets with each defect of graphene; their turn is random.
_SHEETS = 5
CARBON = Microscope(voltage_kV=60.0, convergence_mrad=30.0, inner_mrad=60.0, outer_mrad=200.0, source_fwhm_nm=0.06)
LAYERS = Microscope(voltage_kV=80.0, convergence_mrad=25.0, inner_mrad=68.0, outer_mrad=180.0, source_fwhm_nm=0.06)
BULK = Microscope(voltage_kV=200.0, convergence_mrad=20.0, inner_mrad=65.0, outer_mrad=150.0, source_fwhm_nm=0.06)


@dataclass(frozen=True)
class Family:
    """Classes that are told apart from each other. `points(name, rng)` gives places (N, 3) nm (y, x, z) about the
    origin, already turned, and atomic numbers (N,); dose: electrons per square angstrom, log-uniform.
    """

    name: str
    classes: tuple[str, ...]
    points: Callable[[str, np.random.Generator], tuple[Array, NDArray[np.int_]]]
    microscope: Microscope
    dose_e_per_A2: tuple[float, float]
    pixel_nm: float = 0.02
    defocus_nm: float = 2.0

    def clean(self, name: str, seed: int, *, worn: bool = True) -> Image:
        """Return the share of the beam (SIDE, SIDE) of one patch; `worn`: with its atoms where they happen to be."""
        rng = np.random.default_rng([20261122, seed])
        defocus, astigmatism = rng.normal(0, self.defocus_nm), abs(rng.normal(0, 0.5))
        place = rng.normal(0, JITTER_PX, 2) * self.pixel_nm + (SIDE - 1) / 2 * self.pixel_nm
        turn, scale = rng.uniform(0, 2 * np.pi), rng.normal(1, 0.01)
        points, numbers = self.points(name, rng)
        matrix = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        if worn:
            points = points + np.random.default_rng([7, seed]).normal(0, 0.005, points.shape)
        lens = replace(
            self.microscope, defocus_nm=float(defocus), astigmatism_nm=float(astigmatism), astigmatism_deg=40.0
        )
        size = (SIDE, SIDE)
        seen = points[:, :2] @ matrix + place
        return adf_points(seen, numbers, lens, pixel_nm=self.pixel_nm, shape=size, thermal_nm=0.006)

    def exposed(self, clean: Image, rng: np.random.Generator, dose_factor: float = 1.0) -> tuple[Image, float]:
        """Return the counts of a clean patch at a random dose, and that dose (electrons per pixel)."""
        dose = float(np.exp(rng.uniform(*np.log(self.dose_e_per_A2)))) * dose_factor * (10 * self.pixel_nm) ** 2
        return rng.poisson(np.clip(clean, 0, None) * dose).astype(np.float32), dose


def _of(atoms: Atoms, centre_nm: tuple[float, float]) -> tuple[Array, NDArray[np.int_]]:
    kept = atoms[atoms.numbers > 0]
    points = kept.positions[:, [1, 0, 2]] / 10.0
    return points - np.array([*centre_nm, 0.0]), kept.numbers


def _carbon(name: str, rng: np.random.Generator) -> tuple[Array, NDArray[np.int_]]:
    return _sheet(name, int(rng.integers(_SHEETS)))


@functools.lru_cache(maxsize=128)
def _sheet(name: str, number: int) -> tuple[Array, NDArray[np.int_]]:
    """Return one of the relaxed sheets with a defect at the origin."""
    size = 2.2
    if name == "perfect":
        sheet = graphene(size, margin_nm=0.6)
        middle = sheet.positions[:, [1, 0]] / 10.0
        at = middle[np.argmin(np.hypot(*(middle - size / 2).T))]
        return _of(sheet, (float(at[0]), float(at[1])))
    rng = np.random.default_rng([11, number])
    atoms, found = named_defect(name, (size, size), rng, rotation_deg=0.0, margin_nm=0.6)
    return _of(atoms, found[0][1:])


#: Defects of a monolayer: what becomes of the metal or of the column at the middle.
LAYER_DEFECTS = (
    "perfect", "metal vacancy", "chalcogen vacancy", "double vacancy", "vanadium", "other metal", "antisite",
    "vacancy pair",
)  # fmt: skip


def _layer(material: str, name: str, rng: np.random.Generator) -> tuple[Array, NDArray[np.int_]]:
    sheet = tmd(material, 3.4, margin_nm=0.6)
    numbers, places = sheet.numbers.copy(), sheet.positions[:, [1, 0]] / 10.0
    metal = np.isin(numbers, (42, 74))
    on_metal = bool(rng.random() < 0.5) if name == "perfect" else name in ("metal vacancy", "vanadium", "other metal")
    candidates = np.flatnonzero(metal if on_metal else ~metal)
    away = np.hypot(*(places[candidates] - 1.7).T)
    centre = candidates[np.argsort(away, kind="stable")]
    at = places[centre[0]]
    if name == "metal vacancy":
        numbers[centre[0]] = 0
    elif name == "vanadium":
        numbers[centre[0]] = 23
    elif name == "other metal":
        numbers[centre[0]] = 42 if numbers[centre[0]] == 74 else 74
    elif name == "chalcogen vacancy":
        numbers[centre[0]] = 0
    elif name == "double vacancy":
        numbers[centre[:2]] = 0
    elif name == "antisite":
        numbers[centre[0]], numbers[centre[1]] = numbers[metal][0], 0
    elif name == "vacancy pair":
        near = candidates[np.argsort(np.hypot(*(places[candidates] - at).T), kind="stable")]
        numbers[near[0]] = numbers[near[2]] = 0
        at = (places[near[0]] + places[near[2]]) / 2
    sheet.numbers[:] = numbers
    return _of(sheet, (float(at[0]), float(at[1])))


#: Crystals along zone axes, thin: (type, elements, lattice constant in angstrom, free parameters, axis).
ZONES: dict[str, tuple[str, tuple[str, ...], float, dict[str, float], str]] = {
    "Au [001]": ("fcc", ("Au",), 4.078, {}, "001"),
    "Au [110]": ("fcc", ("Au",), 4.078, {}, "110"),
    "W [001]": ("bcc", ("W",), 3.165, {}, "001"),
    "W [111]": ("bcc", ("W",), 3.165, {}, "111"),
    "Si [110]": ("diamond", ("Si",), 5.431, {}, "110"),
    "SrTiO3 [001]": ("perovskite", ("Ti", "Sr", "O"), 3.905, {}, "001"),
    "SrTiO3 [110]": ("perovskite", ("Ti", "Sr", "O"), 3.905, {}, "110"),
    "TiO2 [001]": ("rutile", ("Ti", "O"), 4.594, {"c": 0.644}, "001"),
    "TiO2 [100]": ("rutile", ("Ti", "O"), 4.594, {"c": 0.644}, "100"),
    "CeO2 [110]": ("fluorite", ("Ce", "O"), 5.411, {}, "110"),
    "Nb3Sn [001]": ("a15", ("Sn", "Nb"), 5.29, {}, "001"),
    "NiAs [100]": ("nickel-arsenide", ("Ni", "As"), 3.619, {"c": 1.39}, "100"),
    "Ti [001]": ("hcp", ("Ti",), 2.951, {"c": 1.587}, "001"),
    "Ti [100]": ("hcp", ("Ti",), 2.951, {"c": 1.587}, "100"),
    "GaN [100]": ("wurtzite", ("Ga", "N"), 3.19, {"c": 1.627}, "100"),
    "Sn [001]": ("beta-tin", ("Sn",), 5.8318, {"c": 0.5456}, "001"),
}


@functools.lru_cache(maxsize=64)
def _zone_points(name: str) -> tuple[Array, NDArray[np.int_]]:
    """Return the atoms of a disc 2 nm thick, 3.6 nm wide, with the zone axis along z."""
    kind, symbols, a_A, free, axis = ZONES[name]
    cell = prototype(kind, symbols, a_A, **free)
    basis = np.asarray(cell.cell) / 10.0
    along = zone_axis_of(axis) @ basis
    along = along / np.linalg.norm(along)
    across = np.cross(along, [0.31, 0.77, 0.19])
    across /= np.linalg.norm(across)
    frame = np.array([across, np.cross(along, across), along])
    steps = np.stack(np.meshgrid(*[np.arange(-14, 15)] * 3, indexing="ij"), -1).reshape(-1, 3)
    corners = steps @ basis @ frame.T
    near = (np.abs(corners[:, :2]) < 2.6).all(axis=1) & (np.abs(corners[:, 2]) < 1.9)
    points = (corners[near][:, None] + (cell.positions / 10.0 @ frame.T)).reshape(-1, 3)
    numbers = np.tile(cell.numbers, int(near.sum()))
    inside = (np.hypot(points[:, 0], points[:, 1]) < 1.8) & (np.abs(points[:, 2]) < 1.0)
    return points[inside], numbers[inside]


def _zone(name: str, rng: np.random.Generator) -> tuple[Array, NDArray[np.int_]]:
    """Return a zone, or the phases 1T and 2H of a monolayer, moved anywhere."""
    move = rng.uniform(-0.2, 0.2, 2)
    if name in ("MoS2 2H", "MoS2 1T"):
        points, numbers = _layer("MoS2", "perfect", np.random.default_rng(0))
        if name.endswith("1T"):
            upper = (numbers == 16) & (points[:, 2] > 0)
            points = points.copy()
            points[upper, 0] += MATERIALS["MoS2"].a_nm / np.sqrt(3)
    else:
        points, numbers = _zone_points(name)
    return points + np.array([*move, 0.0]), numbers


def families() -> tuple[Family, ...]:
    """Return all families, with the doses of their bars."""
    layers = tuple(
        Family(f"defects of {name}", LAYER_DEFECTS, functools.partial(_layer, name), LAYERS, (1e4, 1e5))
        for name in MATERIALS
    )
    carbon = Family("defects of graphene", ("perfect", *DEFECTS), _carbon, CARBON, (3e4, 3e5))
    zones = Family("phases and zones", ("MoS2 2H", "MoS2 1T", *ZONES), _zone, BULK, (1e4, 1e5), pixel_nm=0.03)
    return (carbon, *layers, zones)


@dataclass(frozen=True)
class Patches:
    """Patches of one family, ready for episodes: counts (K, N, SIDE, SIDE) of K classes; log likelihoods
    (K, n, K) of the first n under every class where turn, place, focus and dose are known; None where it is not.
    """

    family: str
    names: tuple[str, ...]
    counts: Image
    log_likelihood: Array | None = None


#: So many patches of each class are judged by their likelihood.
LIKELY = 2


@functools.lru_cache(maxsize=16)
def _clean(number: int, images: int) -> tuple[Image, Image]:
    """Return worn patches (K, N, s, s) of a family and what the first n are, unworn, in every class (K, n, K, s, s)."""
    family = families()[number]
    worn, ideal = [], []
    for place, name in enumerate(family.classes):
        seeds = [1000 * place + one for one in range(images)]
        worn.append([family.clean(name, seed) for seed in seeds])
        ideal.append([[family.clean(other, one, worn=False) for other in family.classes] for one in seeds[:LIKELY]])
    return np.array(worn), np.array(ideal, np.float32)


def patches(images: int, rng: np.random.Generator, dose_factor: float = 1.0) -> list[Patches]:
    """Return `images` patches of every class of every family, at the doses of the bars times a factor."""
    made = []
    for number, family in enumerate(families()):
        worn, ideal = _clean(number, images)
        counts, likelihood = np.zeros_like(worn), np.zeros(ideal.shape[:3])
        for k, n in np.ndindex(*worn.shape[:2]):
            counts[k, n], dose = family.exposed(worn[k, n], rng, dose_factor)
            if n < LIKELY:
                mean = np.clip(ideal[k, n], 1e-6, None).astype(float) * dose
                likelihood[k, n] = (counts[k, n] * np.log(mean) - mean).sum(axis=(1, 2))
        made.append(Patches(family.name, family.classes, counts, likelihood))
    return made


#: Multislice sets by material, and the defects that several of them hold.
MULTISLICE = {
    "WSe2": ("tmd_wse2_0", "tmd_wse2_1", "tmd_wse2_3"),
    "MoS2": ("tmd_mos2_0", "tmd_mos2_1"),
}
#: Dose of the multislice patches (electrons per square angstrom), and their pixel (nm).
MULTISLICE_DOSE, MULTISLICE_PIXEL_NM = 5e4, 0.015


def multislice_patches(rng: np.random.Generator, images: int = 16) -> list[tuple[Patches, Patches]]:
    """Return for each material patches of one multislice set to learn from, and patches of another to be named.

    Each patch is turned by any angle about a defect or about a filled site; other defects may be in its outer part.
    """
    found = []
    for material, sets in MULTISLICE.items():
        metal = "W" if material.startswith("W") else "Mo"
        column = "Se" if material.endswith("Se2") else "S"
        names = ("perfect", f"vac_{metal}", f"V_{metal}", f"vac_{column}", f"vac_{column}2")
        for learn, test in zip(sets, (*sets[1:], sets[0]), strict=True):
            pair = [_from_set(one, names, images, rng) for one in (learn, test)]
            found.append((Patches(material, names, pair[0]), Patches(material, names, pair[1])))
    return found


def _from_set(name: str, names: Sequence[str], images: int, rng: np.random.Generator) -> Image:
    """Return patches (K, N, s, s) of one multislice set."""
    from scipy.ndimage import map_coordinates

    sample = load_reference(name, pixel_nm=MULTISLICE_PIXEL_NM, source_fwhm_nm=0.06, thermal_nm=0.005)
    defects = reference_defects(name)
    spots = np.array([place for _, *place in defects])
    places = {label: np.array([place for kind, *place in defects if kind == label]) for label in names[1:]}
    size = np.array(sample.image.shape) * MULTISLICE_PIXEL_NM
    sites = np.column_stack([sample.sites.y_nm, sample.sites.x_nm])
    away = (sites[:, None] - spots + size / 2) % size - size / 2
    places["perfect"] = sites[np.hypot(*np.moveaxis(away, -1, 0)).min(axis=1) > 0.25]
    grid = np.argwhere(np.ones((SIDE, SIDE), bool)).reshape(SIDE, SIDE, 2) - (SIDE - 1) / 2
    made = np.zeros((len(names), images, SIDE, SIDE), np.float32)
    for k, label in enumerate(names):
        for n in range(images):
            place = places[label][n % len(places[label])] / MULTISLICE_PIXEL_NM
            turn = rng.uniform(0, 2 * np.pi)
            matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            at = grid @ matrix + place + rng.normal(0, JITTER_PX, 2)
            fraction = map_coordinates(sample.image, np.moveaxis(at, -1, 0), order=3, mode="grid-wrap")
            mean = np.clip(fraction, 0, None) * MULTISLICE_DOSE * (10 * MULTISLICE_PIXEL_NM) ** 2
            made[k, n] = rng.poisson(mean)
    return made
