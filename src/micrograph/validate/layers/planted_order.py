"""Planted truth for local order: crops of graphene whose orientation, disorder and kind of surroundings are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.features.layers.windows import windows
from micrograph.simulate import Microscope, Scan, adf, expose

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]

#: Windows of the checks: pixels and side.
SIZE, WINDOW_NM = 28, 0.9
#: What a sheet holds -> the kind of surroundings planted with it: anything, on silicon, beside a vacancy, on the turned
#: bond of a Stone-Wales defect.
KINDS = {"graphene": "C", "Si1C3": "Si", "V1": "beside V1", "SW": "in SW"}


@dataclass(frozen=True)
class Planted:
    """Crops (N, size, size) with their truth, each (N,).

    frame; kind, one of `KINDS` or ''; angle_deg, direction of a bond modulo 120 degrees; disorder_nm, 1-sigma per axis
    of the displacement of the frame's atoms; drawn_nm, rms displacement of the atoms in the window as drawn; best_deg,
    the turn that the displaced atoms, were their places known, would suggest, less the true one.
    """

    crops: NDArray[np.float32]
    frame: NDArray[np.int64]
    kind: NDArray[np.str_]
    angle_deg: Array
    disorder_nm: Array
    drawn_nm: Array
    best_deg: Array

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.crops)

    def __getitem__(self, which: NDArray[np.intp]) -> Planted:
        """Return the crops of the given rows."""
        return Planted(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


@dataclass(frozen=True)
class Scenery:
    """Frames of graphene, `size_nm` wide, of disorders from 0 to `disorder_nm`, in random order; atoms are found
    with an error of `found_nm` (1 sigma an axis).

    structures: made in turn, names of `KINDS`; per_frame: crops taken of a frame at most.
    """

    frames: int = 60
    structures: tuple[str, ...] = ("graphene",)
    disorder_nm: float = 0.03
    dose_e_per_A2: float = 1e5
    size_nm: float = 4.0
    pixel_nm: float = 0.025
    found_nm: float = 0.006
    per_frame: int = 80

    def crops(self, rng: np.random.Generator) -> Planted:
        """Return the crops of all frames."""
        parts = []
        for frame, disorder in enumerate(rng.permutation(np.linspace(0, self.disorder_nm, self.frames))):
            part = self.frame(self.structures[frame % len(self.structures)], float(disorder), rng)
            chosen = rng.permutation(len(part))[: self.per_frame]
            parts.append(replace(part[chosen], frame=np.full(len(chosen), frame)))
        return joined(parts)

    def frame(self, name: str, disorder_nm: float, rng: np.random.Generator) -> Planted:
        """Return the crops around all atoms of one frame whose window lies within it."""
        from micrograph.structures import random_displacements

        atoms, defects = _sheet(name, self.size_nm, rng)
        moved = random_displacements(atoms, disorder_nm, rng)
        image = self.image(moved, rng)
        ideal, drawn = _points(atoms), _points(moved)
        reach = 0.55 * WINDOW_NM
        chosen = np.flatnonzero(np.all((drawn > reach) & (drawn < self.size_nm - reach), axis=1))
        found = drawn[chosen] + rng.normal(0, self.found_nm, (len(chosen), 2))
        y, x = (found / self.pixel_nm).T
        crops = windows(image, y, x, SIZE, WINDOW_NM / SIZE / self.pixel_nm)
        turn, rms = _rigid(ideal, drawn, chosen)
        return Planted(
            crops=((crops - np.median(image)) / image.mean()).astype(np.float32),
            frame=np.zeros(len(chosen), np.int64),
            kind=_kinds(name, atoms, defects)[chosen],
            angle_deg=bond_angle_deg(ideal)[chosen],
            disorder_nm=np.full(len(chosen), disorder_nm),
            drawn_nm=rms,
            best_deg=turn,
        )

    def image(self, atoms: Atoms, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the exposed image of `atoms` under a random, slightly misadjusted probe."""
        microscope = Microscope(
            convergence_mrad=32.0,
            defocus_nm=float(rng.uniform(-2, 2)),
            astigmatism_nm=float(rng.uniform(0, 1)),
            astigmatism_deg=float(rng.uniform(0, 180)),
            source_fwhm_nm=0.07,
        )
        side = round(self.size_nm / self.pixel_nm)
        fraction = adf(atoms, microscope, pixel_nm=self.pixel_nm, shape=(side, side), thermal_nm=0.005)
        scan = Scan(dose_e_per_A2=self.dose_e_per_A2, background=2e-4)
        return expose(fraction, scan, self.pixel_nm, rng)

    def recording(self, rng: np.random.Generator) -> tuple[Recording, Array]:
        """Return a movie whose disorder rises from frame to frame, and the disorder (frames,) in nm."""
        from micrograph.structures import random_displacements

        rising = np.linspace(0, self.disorder_nm, self.frames)
        images = []
        for frame, disorder in enumerate(rising):
            atoms, _ = _sheet(self.structures[frame % len(self.structures)], self.size_nm, rng)
            images.append(self.image(random_displacements(atoms, float(disorder), rng), rng))
        known = Calibration(pixel_nm=self.pixel_nm, frame_time_s=1.0, voltage_kV=60.0)
        return Recording(images.__getitem__, range(self.frames), known, images[0].shape, name="disorder"), rising


def planted_kinds(scenery: Scenery, each: int, rng: np.random.Generator) -> Planted:
    """Return crops of all `KINDS`, at most `each` of one."""
    planted = replace(scenery, structures=tuple(KINDS), per_frame=2**30).crops(rng)
    rows = [rng.permutation(np.flatnonzero(planted.kind == kind))[:each] for kind in KINDS.values()]
    return planted[np.concatenate(rows)]


def joined(parts: Sequence[Planted]) -> Planted:
    """Return all crops together."""
    names = [field.name for field in fields(Planted)]
    return Planted(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def bond_angle_deg(points_nm: Array) -> Array:
    """Return the direction (N,) of the bonds of points (N, 2), (y, x), to three neighbours each, modulo 120 degrees."""
    from scipy.spatial import cKDTree

    near = np.asarray(cKDTree(points_nm).query(points_nm, k=4)[1])
    vector = points_nm[near[:, 1:]] - points_nm[:, None]
    heading = np.exp(3j * np.arctan2(-vector[..., 0], vector[..., 1])).sum(1)
    return np.asarray(np.degrees(np.angle(heading)) / 3 % 120)


def _sheet(name: str, size_nm: float, rng: np.random.Generator) -> tuple[Atoms, Array]:
    """Return graphene without or with defects `name` of random orientation, and the defects' places (D, 2)."""
    from micrograph.structures import graphene, named_defect

    turn = float(rng.uniform(0, 60))
    if name == "graphene":
        shift = (float(rng.uniform(0, 0.25)), float(rng.uniform(0, 0.25)))
        return graphene(size_nm, rotation_deg=turn, shift_nm=shift), np.empty((0, 2))
    count = max(1, int((size_nm / 2.2) ** 2))
    atoms, defects = named_defect(name, size_nm, rng, count=count, rotation_deg=turn)
    return atoms[atoms.numbers > 0], np.array([[y, x] for _, y, x in defects])


def _points(atoms: Atoms) -> Array:
    return np.asarray(atoms.positions[:, [1, 0]] / 10.0)


def _kinds(name: str, atoms: Atoms, defects_nm: Array) -> NDArray[np.str_]:
    """Return the planted kind (N,) of every atom, '' where the window shows a defect off its centre."""
    from scipy.spatial import cKDTree

    points = _points(atoms)
    kind = np.full(len(points), KINDS["graphene"], dtype="U16")
    if len(defects_nm) == 0:
        return kind
    distance, _ = cKDTree(defects_nm).query(points)
    kind[distance < 0.8] = ""
    bonds = cKDTree(points).query_ball_point(points, 0.175, return_length=True) - 1
    at = {"Si1C3": atoms.numbers == 14, "V1": (distance < 0.3) & (bonds == 2), "SW": distance < 0.09}
    kind[at[name]] = KINDS[name]
    return kind


def _rigid(ideal: Array, drawn: Array, chosen: NDArray[np.intp]) -> tuple[Array, Array]:
    """Return for each chosen atom the turn (degrees) from ideal to drawn places in its window, and their rms in nm."""
    from scipy.spatial import cKDTree

    turn, rms = np.zeros(len(chosen)), np.zeros(len(chosen))
    for row, near in enumerate(cKDTree(ideal).query_ball_point(ideal[chosen], WINDOW_NM / 2)):
        before, after = (points[near] - points[near].mean(axis=0) for points in (ideal, drawn))
        one, other = before[:, 1] - 1j * before[:, 0], after[:, 1] - 1j * after[:, 0]
        turn[row] = np.degrees(np.angle(np.sum(other * np.conj(one))))
        rms[row] = np.sqrt(np.mean((after - before) ** 2))
    return turn, rms
