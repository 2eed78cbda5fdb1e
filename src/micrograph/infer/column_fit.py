"""Atoms per column from an HRTEM image of known optics: the image of the whole particle is fitted, by multislice.

Contrast is no monotonic function of thickness, and depends on the focus and on the neighbours. So the numbers of atoms
of all columns are sought whose image, by multislice through the very lens, is the recorded one. Templates of slabs give
the net's origin and the first numbers; then, again and again, the image of the present particle is calculated, what one
atom more or less and a small shift would change around each column (`simulate.phase.column_model`), and columns take
the likeliest number one after the other, while focus, level, contrast, blur and the net's shape follow by least
squares. The posterior of a column is that of its numbers given its neighbours, with the noise of the image and what the
model leaves unexplained there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.lattices.net_pose import find_net
from micrograph.infer.column_start import Particle, begun, misfits, near_particle, slabs
from micrograph.infer.column_sweep import Sweep
from micrograph.simulate.phase.column_model import Change, ColumnModel, ColumnSet
from micrograph.simulate.phase.hrtem import Lens
from micrograph.structures.stacking import Stacking

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Count = NDArray[np.intp]

#: Reflections up to here (1/nm) tell how the net lies.
_SEEN_PER_NM = 7.2
#: Vacuum around the particle (nm) that is looked at too; fewer columns make no particle.
_VACUUM_NM, _FEWEST = 0.45, 4
#: 1-sigma (nm) of the surroundings in which a column shares in what columns change together.
_SHARED_NM = 0.12
#: Starts: distances from the given focus in units of its 1-sigma, until less than this of the contrast is unexplained,
#: or so much that no other start will do.
_STARTS, _WELL, _FOREIGN = (0.0, 0.6, -0.6, 1.2, -1.2), 0.012, 0.5
#: How far numbers are sought from the present ones, round by round.
_REACH = (3, 3, 2, 3)
#: Posteriors are wider than columns alone and independent pixels would make them, by this factor of chi-square.
WIDER = 2.0
#: So many pixels have one error of the model in common.
_ALIKE = 50.0
#: 1-sigma of both parts of the astigmatism (nm), of shifts (nm), strains, blur (nm^2) of the image, of the share that
#: it holds of what is scattered diffusely, and of tilts (rad); tilts are tried by so much.
_SIGMAS = (1.0, 1.0, 0.03, 0.03, 0.02, 0.02, 0.02, 0.02, 1e-4, 0.5, 0.015, 0.015)
_NUDGE_RAD = 0.003


@dataclass(frozen=True)
class FittedColumns:
    """What was found: K columns on the net with their posterior ``p`` (K, most + 1), the lens, and how well it fits.

    place_sigma_nm (K,); unexplained: share of the contrast's variance within the particle that is left; noise: 1-sigma
    of a pixel of the vacuum; first (K,): the numbers by slab templates.
    """

    columns: ColumnSet
    p: Array
    place_sigma_nm: Array
    lens: Lens
    unexplained: float
    noise: float
    evidence: float
    model: Image
    first: Count


@dataclass(frozen=True)
class Optics:
    """What is known beforehand: the lens, 1-sigma of its defocus (nm), the atoms, how they are stacked, at most.

    contrast_sigma: how far the image's contrast may be from the calculated one.
    """

    lens: Lens
    defocus_sigma_nm: float
    stacked: Stacking
    most: int
    contrast_sigma: float = 0.01
    thermal_nm: float = 0.0085


def normalised(image: NDArray[np.floating]) -> tuple[Image, float]:
    """Return the image (H, W) over the level of the vacuum, and the 1-sigma noise of a pixel there: from its border."""
    rim = max(2, round(0.05 * min(image.shape)))
    inner = np.zeros(image.shape, bool)
    inner[rim:-rim, rim:-rim] = True
    border = np.asarray(image, float)[~inner]
    level = float(np.median(border))
    if not level > 0:
        level = float(np.mean(image)) or 1.0
    steps = np.diff(np.asarray(image, float)[:rim].ravel()) / np.sqrt(2)
    noise = 1.4826 * float(np.median(np.abs(steps))) / level
    return np.asarray(image / level, np.float32), max(noise, 1e-4)


def fit_columns(image: NDArray[np.floating], pixel_nm: float, optics: Optics) -> FittedColumns | None:
    """Return the columns of one particle in an image (H, W), ``None`` where the crystal's net is not seen."""
    whole, noise = normalised(image)
    stacked = optics.stacked
    corner, seen = _particle(whole, noise, pixel_nm)
    pose = find_net(seen - seen.mean(), pixel_nm, stacked.vectors_nm, stacked.reflections_per_nm(_SEEN_PER_NM))
    if not pose.found:
        return None
    shape = (seen.shape[0], seen.shape[1])
    model = ColumnModel(
        optics.lens, stacked.number, stacked.spacing_nm, shape, pixel_nm, optics.most, optics.thermal_nm
    )
    best: FittedColumns | None = None
    for away in _STARTS:
        lens = replace(optics.lens, defocus_nm=optics.lens.defocus_nm + away * optics.defocus_sigma_nm)
        maps = misfits(seen, model, pose.vectors_nm, slabs(model, pose.vectors_nm, stacked, lens))
        state = replace(begun(maps, pose.vectors_nm, stacked, pixel_nm), lens=lens)
        found = _settled(state, seen, (model, optics, noise))
        if found is None:
            continue
        if best is None or found.unexplained < best.unexplained:
            best = found
        if best.unexplained < _WELL or best.unexplained > _FOREIGN:
            break
    if best is None:
        return None
    place = best.columns.place_nm + np.asarray(corner) * pixel_nm
    return replace(best, columns=replace(best.columns, place_nm=place), evidence=pose.evidence)


def _settled(state: Particle, seen: Image, what: tuple[ColumnModel, Optics, float]) -> FittedColumns | None:
    """Return the columns after all rounds from one start, ``None`` where too few are left to make a particle."""
    model, optics, noise = what
    first = state.atoms
    fitted: FittedColumns | None = None
    for number, reach in enumerate(_REACH):
        if len(state.index) < _FEWEST:
            return None
        state, found = _round(state, seen, model, optics, (noise, reach, number + 1 == len(_REACH)))
        first, fitted = first[found.kept], found.fitted
    return None if fitted is None else replace(fitted, first=first)


def _particle(seen: Image, noise: float, pixel_nm: float) -> tuple[tuple[int, int], Image]:
    """Return the part of an image that holds most of the contrast, with a border of vacuum, and its corner."""
    from scipy.ndimage import find_objects, gaussian_filter, label

    power = gaussian_filter((seen - gaussian_filter(seen, 0.4 / pixel_nm)) ** 2, 0.25 / pixel_nm) - noise**2
    groups, count = label(power > max(0.02 * float(power.max()), 0.4 * noise**2))
    if not count:
        return (0, 0), seen
    largest = int(np.bincount(groups.ravel(), power.ravel().clip(0))[1:].argmax())
    border = int(np.ceil(_VACUUM_NM / pixel_nm))
    box = find_objects(groups)[largest]
    rows, columns = (slice(max(0, part.start - border), part.stop + border) for part in box)
    return (rows.start, columns.start), np.ascontiguousarray(seen[rows, columns])


@dataclass(frozen=True)
class _Found:
    """What a round found: the fit, and which of the columns before it are kept."""

    fitted: FittedColumns
    kept: NDArray[np.bool_]


def _round(
    state: Particle, seen: Image, model: ColumnModel, optics: Optics, how: tuple[float, int, bool]
) -> tuple[Particle, _Found]:
    """Return the particle after one round, and what it says; `how`: noise, reach of numbers, whether it is the last."""
    noise, reach, last = how
    lens = state.lens or optics.lens
    columns = state.columns()
    spectrum, seen_model = _drawn(model, state, lens)
    numbers = [np.arange(max(0, n - reach), min(model.most, n + reach) + 1) for n in state.atoms]
    changes = model.changes(spectrum, lens, columns, numbers, state.diffuse)
    state, lens, shown, start = _adjusted(state, (seen, seen_model, noise), changes, (model, spectrum, optics, lens))
    columns = state.columns()
    residual = seen - shown
    particle = _mask(changes, state.atoms, seen.shape)
    sweep = Sweep.of(changes, state, 4 * noise**2)
    atoms, moves, scores = sweep.solved(residual, 6, start)
    left = float(np.mean(residual[particle] ** 2))
    sweep = replace(sweep, variance=WIDER * max(left, noise**2))
    scores = sweep.rated(residual, atoms, moves)
    p = np.zeros((len(atoms), model.most + 1))
    for row, (own, score) in enumerate(zip(numbers, scores, strict=True)):
        weight = np.exp(-0.5 * (score - score.min()))
        p[row, own] = weight / weight.sum()
    if last:  # what was found belongs to the particle as it was drawn
        unexplained = (left - noise**2) / max(float(np.var(seen[particle])) - noise**2, 1e-9)
        kept = state.atoms + p.argmax(axis=1) > 0
        final = ColumnSet(columns.place_nm + moves[:, :2] - state.moved[:, :2], p.argmax(axis=1), columns.middle_nm)
        fitted = FittedColumns(final, p, sweep.place_sigma(), lens, unexplained, noise, 0.0, shown, state.atoms)
        return state, _Found(fitted, np.ones(len(atoms), bool) | kept)
    moved = replace(state, atoms=atoms, moved=moves, lens=lens)
    kept = near_particle(moved.index, atoms, moved.vectors)
    moved = replace(moved, index=moved.index[kept], atoms=atoms[kept], moved=moves[kept])
    nothing = FittedColumns(columns, p, np.zeros(len(p)), lens, 1.0, noise, 0.0, shown, atoms)
    return moved, _Found(nothing, kept)


def _mask(changes: Sequence[Change], atoms: Count, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) within 0.2 nm or so of columns: the middle thirds of their surroundings."""
    mask = np.zeros(shape, bool)
    for change, number in zip(changes, atoms, strict=True):
        if number:
            high, wide = (part.stop - part.start for part in (change.rows, change.columns))
            rows = slice(change.rows.start + high // 3, change.rows.stop - high // 3)
            mask[rows, change.columns.start + wide // 3 : change.columns.stop - wide // 3] = True
    return mask if mask.any() else np.ones(shape, bool)


def _adjusted(
    state: Particle, images: tuple[Image, Image, float], changes: Sequence[Change],
    what: tuple[ColumnModel, Any, Optics, Lens],
) -> tuple[Particle, Lens, Image, Count]:  # fmt: skip
    """Return particle, lens and image after level, contrast, blur, focus, astigmatism and net follow the image seen.

    They are found together with the numbers of atoms, taken as continuous; these are returned, rounded (K,).
    """
    seen, image, noise = images
    _, _, optics, lens = what
    model = what[0]
    looks = np.stack([np.asarray(one, np.float32).ravel() for one in _looks(state, image, what)])
    per_atom = _per_atom(state, image, changes, what)
    design = np.concatenate([looks, per_atom.reshape(len(changes), -1)])
    target = (seen - image).ravel()
    variance = noise**2 + 0.02 * float(np.mean(target**2))
    sigma = np.array([0.02, optics.contrast_sigma, optics.defocus_sigma_nm, *_SIGMAS])
    now = np.zeros(len(design))
    now[2:5] = (lens.defocus_nm - optics.lens.defocus_nm, *_astigmatism(lens))
    now[12:15] = (state.diffuse, *state.tilt)
    ridge = np.concatenate([_ALIKE * variance / sigma**2, np.full(len(changes), variance / 9)])
    matrix = np.asarray(design @ design.T, float) + np.diag(ridge)
    scale = 1 / np.sqrt(np.diagonal(matrix))
    right = np.asarray(design @ target, float) - ridge * now
    found = np.linalg.solve(matrix * scale[:, None] * scale, right * scale) * scale
    found[2:5], found[5:7] = np.clip(found[2:5], -2.0, 2.0), np.clip(found[5:7], -0.05, 0.05)
    strain, about, count = found[7:11].reshape(2, 2), state.columns().place_nm.mean(axis=0), len(looks)
    shown = np.asarray(image + (found[:count] @ looks).reshape(image.shape), np.float32)
    start = np.clip(np.rint(state.atoms + found[count:]), 0, model.most).astype(np.intp)
    moved = replace(
        state,
        origin=state.origin + found[5:7] + strain @ (state.origin - about),
        vectors=state.vectors @ (np.eye(2) + strain).T,
        diffuse=float(np.clip(state.diffuse + found[12], 0.0, 1.2)),
        tilt=state.tilt + found[13:15],
    )
    astigmatic = np.asarray(_astigmatism(lens)) + found[3:5]
    lens = replace(
        lens, defocus_nm=lens.defocus_nm + float(found[2]), astigmatism_nm=float(np.hypot(*astigmatic)),
        astigmatism_deg=float(np.rad2deg(np.arctan2(astigmatic[1], astigmatic[0])) / 2),
    )  # fmt: skip
    return moved, lens, shown, start


def _per_atom(
    state: Particle, image: Image, changes: Sequence[Change], what: tuple[ColumnModel, Any, Optics, Lens]
) -> Image:
    """Return (K, H, W): what one atom more in a column changes while its neighbours change alike.

    Changes of columns alone, to which each adds its share of what they miss if all columns hold one atom more.
    """
    model, _, _, lens = what
    per_atom = np.zeros((len(changes), *image.shape), np.float32)
    shares = np.zeros_like(per_atom)
    place = state.columns().place_nm / model.pixel_nm
    there = state.atoms > 0
    for row, (change, number) in enumerate(zip(changes, state.atoms, strict=True)):
        here = int(np.flatnonzero(change.numbers == number)[0])
        low, high = max(here - 1, 0), min(here + 1, len(change.numbers) - 1)
        slope = (change.values[high] - change.values[low]) / max(high - low, 1)
        per_atom[row, change.rows, change.columns] = slope
        if there[row]:
            y, x = (np.arange(part.start, part.stop) for part in (change.rows, change.columns))
            square = (y[:, None] - place[row, 0]) ** 2 + (x[None] - place[row, 1]) ** 2
            shares[row, change.rows, change.columns] = np.exp(-square * (model.pixel_nm / _SHARED_NM) ** 2 / 2)
    more = replace(state, atoms=np.minimum(state.atoms + there, model.most))
    together = _drawn(model, more, lens)[1] - image
    missed = together - per_atom[there].sum(axis=0)
    return np.asarray(per_atom + shares * (missed / np.maximum(shares.sum(axis=0), 1e-2)), np.float32)


def _astigmatism(lens: Lens) -> tuple[float, float]:
    angle = np.deg2rad(2 * lens.astigmatism_deg)
    return lens.astigmatism_nm * float(np.cos(angle)), lens.astigmatism_nm * float(np.sin(angle))


def _drawn(model: ColumnModel, state: Particle, lens: Lens) -> tuple[Any, Image]:
    """Return the wave's spectrum at z = 0 and the image (H, W) of the present particle."""
    columns = state.columns()
    spectrum = model.spectrum(columns)
    image = model.image(spectrum, lens)
    if state.diffuse:
        image = image + np.float32(state.diffuse) * model.diffuse(columns)
    return spectrum, image


def _looks(state: Particle, image: Image, what: tuple[ColumnModel, Any, Optics, Lens]) -> list[Array]:
    """Return what changes an image (H, W), in the order of `_SIGMAS`, after level, contrast and focus."""
    model, spectrum, _, lens = what
    pixel, step = model.pixel_nm, 0.4
    focused = [replace(lens, defocus_nm=lens.defocus_nm + step)]
    for along, across in ((step, 0.0), (0.0, step)):
        a, b = np.add(_astigmatism(lens), (along, across))
        turned = float(np.rad2deg(np.arctan2(b, a)) / 2)
        focused.append(replace(lens, astigmatism_nm=float(np.hypot(a, b)), astigmatism_deg=turned))
    before = model.image(spectrum, lens, few=True)
    optics = [(model.image(spectrum, one, few=True) - before) / step for one in focused]
    tilts = []
    for axis in range(2):
        tilted = replace(state, tilt=state.tilt + _NUDGE_RAD * np.eye(2)[axis])
        tilts.append((model.image(model.spectrum(tilted.columns()), lens, few=True) - before) / _NUDGE_RAD)
    columns = state.columns()
    about = columns.place_nm.mean(axis=0)
    y, x = (np.arange(n) * pixel for n in image.shape)
    down, right = (-slope / pixel for slope in np.gradient(image))
    bend = -(np.gradient(down, axis=0) + np.gradient(right, axis=1)) / pixel
    y, x = (y - about[0])[:, None] * np.ones_like(image), (x - about[1])[None] * np.ones_like(image)
    moves = [down, right, y * down, x * down, y * right, x * right]
    return [np.ones_like(image), image - 1, *optics, *moves, bend / 2, model.diffuse(columns), *tilts]
