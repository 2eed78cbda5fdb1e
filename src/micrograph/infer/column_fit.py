"""Atoms per column from an HRTEM image of known optics: the image of the whole particle is fitted, by multislice.

Contrast is no monotonic function of thickness, and depends on the focus and on the neighbours. So the numbers of atoms
of all columns are sought whose image, by multislice through the very lens, is the recorded one. Templates of slabs give
the net's origin and the first numbers; then, again and again, the image of the present particle is calculated, what one
atom more or less and a small shift would change around each column (`simulate.column_model`), and columns take the
likeliest number one after the other, while focus, level, contrast, blur and the net's shape follow by least squares.
The posterior of a column is that of its numbers given its neighbours, with the noise of the image and what the model
leaves unexplained there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.net_pose import find_net
from micrograph.simulate.column_model import Change, ColumnModel, ColumnSet
from micrograph.simulate.hrtem import Lens
from micrograph.structures.stacking import Stacking

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Count = NDArray[np.intp]

#: Reflections up to here (1/nm) tell how the net lies.
_SEEN_PER_NM = 7.2
#: Radius of templates (nm); 1-sigma of their weight.
_TEMPLATE_NM, _WEIGHT_NM = 0.24, 0.1
#: 1-sigma of a column's place (y, x) on the net and of its height around the mean of its neighbours' (nm), and of its
#: number of atoms around the mean of theirs.
_MOVED_NM, _LIKE_NEIGHBOURS = np.array([0.008, 0.008, 0.08]), 2.5
#: Share of its neighbours' height that a column is taken to have.
_LEVEL = 0.95
#: Vacuum around the particle (nm) that is looked at too; fewer columns make no particle.
_VACUUM_NM, _FEWEST = 0.45, 4
#: 1-sigma (nm) of the surroundings in which a column shares in what columns change together.
_SHARED_NM = 0.12
#: How far numbers are sought from the present ones, round by round.
_REACH = (3, 3, 2, 3)
#: Posteriors are wider than columns alone and independent pixels would make them, by this factor of chi-square.
WIDER = 2.0
#: So many pixels have one error of the model in common.
_ALIKE = 50.0
#: 1-sigma of both parts of the astigmatism (nm), and of the net's strains.
_ASTIGMATIC_NM, _STRAINED = (1.0, 1.0), (0.02, 0.02, 0.02, 0.02)


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
    maps = misfits(seen, model, pose.vectors_nm, slabs(model, pose.vectors_nm, stacked, optics.lens))
    state = _begin(maps, pose.vectors_nm, stacked, pixel_nm)
    if len(state.index) < _FEWEST:
        return None
    first = state.atoms
    for number, reach in enumerate(_REACH):
        state, found = _round(state, seen, model, optics, (noise, reach, number + 1 == len(_REACH)))
        first = first[found.kept]
    columns = found.fitted.columns
    columns = replace(columns, place_nm=columns.place_nm + np.asarray(corner) * pixel_nm)
    return replace(found.fitted, columns=columns, evidence=pose.evidence, first=first)


def _particle(seen: Image, noise: float, pixel_nm: float) -> tuple[tuple[int, int], Image]:
    """Return the part of an image that holds most of the contrast, with a border of vacuum, and its corner."""
    from scipy.ndimage import find_objects, gaussian_filter, label

    power = gaussian_filter((seen - gaussian_filter(seen, 0.4 / pixel_nm)) ** 2, 0.25 / pixel_nm) - noise**2
    groups, count = label(power > 0.15 * float(power.max()))
    if not count:
        return (0, 0), seen
    largest = int(np.bincount(groups.ravel(), power.ravel().clip(0))[1:].argmax())
    border = int(np.ceil(_VACUUM_NM / pixel_nm))
    box = find_objects(groups)[largest]
    rows, columns = (slice(max(0, part.start - border), part.stop + border) for part in box)
    return (rows.start, columns.start), np.ascontiguousarray(seen[rows, columns])


@dataclass(frozen=True)
class _State:
    """The present particle: net (origin, vectors), indices (K, 2) of its columns, numbers, shifts, lens, look."""

    origin: Array
    vectors: Array
    index: Count
    atoms: Count
    moved: Array
    heights: Array
    spacing: float
    lens: Lens | None = None

    def columns(self) -> ColumnSet:
        """Return the columns in space: each as near to the height that it was moved to as its lattice allows."""
        place = self.origin + self.index @ self.vectors + self.moved[:, :2]
        middle = self.index @ self.heights + (self.atoms - 1) / 2 * self.spacing
        middle += self.spacing * np.rint((self.moved[:, 2] - middle) / self.spacing)
        return ColumnSet(place, self.atoms, middle)


def slabs(model: ColumnModel, vectors: Array, stacked: Stacking, lens: Lens) -> Image:
    """Return templates (most + 1, t, t): the surroundings of a column in slabs of 0 .. most atoms."""
    half = int(np.ceil(_TEMPLATE_NM / model.pixel_nm))
    side = 2 * max(half, round(0.5 / model.pixel_nm)) + 1
    small = replace(model, shape=(side, side))
    steps = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    middle = (side - 1) / 2 * model.pixel_nm
    place = middle + steps @ vectors
    reach = middle + np.array(small.grid.margin_nm)[0] - 0.05
    steps = steps[(np.abs(place - middle) < reach).all(axis=1)]
    keep = slice(side // 2 - half, side // 2 + half + 1)
    shown = [np.ones((2 * half + 1,) * 2, np.float32)]
    for number in range(1, model.most + 1):
        state = _State(
            np.full(2, middle), vectors, steps, np.full(len(steps), number), np.zeros((len(steps), 3)),
            stacked.heights_nm, stacked.spacing_nm,
        )  # fmt: skip
        shown.append(small.image(small.spectrum(state.columns()), lens, few=True)[keep, keep])
    return np.stack(shown)


def misfits(seen: Image, model: ColumnModel, vectors: Array, templates: Image) -> Image:
    """Return (most + 1, H, W): the weighted squared difference of every template to the image about every pixel."""
    import scipy.fft

    half = templates.shape[1] // 2
    y, x = (np.mgrid[: 2 * half + 1, : 2 * half + 1] - half) * model.pixel_nm
    weight = np.exp(-0.5 * (y**2 + x**2) / _WEIGHT_NM**2)
    shape = [scipy.fft.next_fast_len(n + 2 * half, real=True) for n in seen.shape]
    padded = np.pad(seen, half, mode="edge")

    def felt(image: NDArray[np.floating], kernel: NDArray[np.floating]) -> Any:
        spectrum = scipy.fft.rfft2(image, s=shape) * np.conj(scipy.fft.rfft2(kernel, s=shape))
        return scipy.fft.irfft2(spectrum, s=shape)[: seen.shape[0], : seen.shape[1]]

    squares = felt(padded**2, weight)
    maps = [squares - 2 * felt(padded, weight * one) + float((weight * one**2).sum()) for one in templates]
    return np.asarray(np.stack(maps), np.float32)


def _begin(maps: Image, vectors: Array, stacked: Stacking, pixel_nm: float) -> _State:
    """Return the first particle: the origin at which slabs fit best, numbers of the best slabs, vacuum left out."""
    from scipy.ndimage import map_coordinates

    best, empty = maps[1:].min(axis=0), maps[0]
    height, width = empty.shape
    corners = np.array([[0, 0], [0, width], [height, 0], [height, width]]) * pixel_nm @ np.linalg.inv(vectors)
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    every = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low, high, strict=True)], indexing="ij"), -1)
    index = every.reshape(-1, 2)
    busy = np.minimum(best, empty) < 0.5 * empty
    gain = np.where(busy | (empty > 4 * np.median(empty)), empty - best, 0.0)
    parts = (np.arange(16) + 0.5) / 16
    scores = []
    offsets = np.stack(np.meshgrid(parts, parts, indexing="ij"), -1).reshape(-1, 2) @ vectors
    for offset in offsets:
        at = (index @ vectors + offset) / pixel_nm
        scores.append(float(map_coordinates(gain, at.T, order=1, cval=0.0).sum()))
    origin = offsets[int(np.argmax(scores))]
    place = (index @ vectors + origin) / pixel_nm
    inside = ((place > 0.1 / pixel_nm) & (place < np.array(empty.shape) - 1 - 0.1 / pixel_nm)).all(axis=1)
    index, place = index[inside], place[inside]
    own = np.stack([map_coordinates(one, place.T, order=1) for one in maps], axis=1)
    atoms = own.argmin(axis=1)
    kept = _near_particle(index, atoms, vectors)
    atoms = np.where(_main(index, atoms, vectors), atoms, 0)
    return _State(
        origin, vectors, index[kept], atoms[kept], np.zeros((int(kept.sum()), 3)),
        stacked.heights_nm, stacked.spacing_nm,
    )  # fmt: skip


def _neighbours(index: Count, vectors: Array) -> Any:
    """Return the pairs (E, 2) of columns that touch."""
    from scipy.spatial import cKDTree

    place = index @ vectors
    reach = 1.25 * float(np.linalg.norm(vectors, axis=1).max())
    return cKDTree(place).query_pairs(reach, output_type="ndarray")


def _main(index: Count, atoms: Count, vectors: Array) -> NDArray[np.bool_]:
    """Return which columns belong to the largest group of touching columns that hold atoms."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = _neighbours(index, vectors)
    there = atoms > 0
    pairs = pairs[there[pairs].all(axis=1)]
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(index),) * 2)
    group = connected_components(links, directed=False)[1]
    sizes = np.bincount(group, there)
    return np.asarray(there & (group == int(sizes.argmax())))


def _near_particle(index: Count, atoms: Count, vectors: Array) -> NDArray[np.bool_]:
    """Return which sites belong to the particle or touch it."""
    main = _main(index, atoms, vectors)
    pairs = _neighbours(index, vectors)
    near = main.copy()
    near[pairs[main[pairs[:, 1]], 0]] = True
    near[pairs[main[pairs[:, 0]], 1]] = True
    return near


@dataclass(frozen=True)
class _Found:
    """What a round found: the fit, and which of the columns before it are kept."""

    fitted: FittedColumns
    kept: NDArray[np.bool_]


def _round(
    state: _State, seen: Image, model: ColumnModel, optics: Optics, how: tuple[float, int, bool]
) -> tuple[_State, _Found]:
    """Return the particle after one round, and what it says; `how`: noise, reach of numbers, whether it is the last."""
    noise, reach, last = how
    lens = state.lens or optics.lens
    columns = state.columns()
    spectrum = model.spectrum(columns)
    seen_model = model.image(spectrum, lens)
    numbers = [np.arange(max(0, n - reach), min(model.most, n + reach) + 1) for n in state.atoms]
    changes = model.changes(spectrum, lens, columns, numbers)
    state, lens, shown, start = _adjusted(state, (seen, seen_model, noise), changes, (model, spectrum, optics, lens))
    columns = state.columns()
    residual = seen - shown
    particle = _mask(changes, state.atoms, seen.shape)
    sweep = _Sweep.of(changes, state, 4 * noise**2)
    atoms, moves, scores = sweep.solved(residual, 6, start)
    left = float(np.mean(residual[particle] ** 2))
    sweep = replace(sweep, variance=WIDER * max(left, noise**2))
    scores = sweep.rated(residual, atoms, moves)
    p = np.zeros((len(atoms), model.most + 1))
    for row, (own, score) in enumerate(zip(numbers, scores, strict=True)):
        weight = np.exp(-0.5 * (score - score.min()))
        p[row, own] = weight / weight.sum()
    if last:  # what was found belongs to the particle as it was drawn
        unexplained = max(left - noise**2, 0.0) / max(float(np.var(seen[particle])) - noise**2, 1e-9)
        kept = state.atoms + p.argmax(axis=1) > 0
        final = ColumnSet(columns.place_nm + moves[:, :2] - state.moved[:, :2], p.argmax(axis=1), columns.middle_nm)
        fitted = FittedColumns(final, p, sweep.place_sigma(), lens, unexplained, noise, 0.0, shown, state.atoms)
        return state, _Found(fitted, np.ones(len(atoms), bool) | kept)
    moved = replace(state, atoms=atoms, moved=moves, lens=lens)
    kept = _near_particle(moved.index, atoms, moved.vectors)
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
    state: _State, images: tuple[Image, Image, float], changes: Sequence[Change],
    what: tuple[ColumnModel, Any, Optics, Lens],
) -> tuple[_State, Lens, Image, Count]:  # fmt: skip
    """Return particle, lens and image after level, contrast, blur, focus, astigmatism and net follow the image seen.

    They are found together with the numbers of atoms, taken as continuous; these are returned, rounded (K,).
    """
    seen, image, noise = images
    _, _, optics, lens = what
    model = what[0]
    about = state.columns().place_nm.mean(axis=0)
    looks = np.stack([np.asarray(one, np.float32).ravel() for one in _looks(image, about, what)])
    per_atom = _per_atom(state, image, changes, what)
    design = np.concatenate([looks, per_atom.reshape(len(changes), -1)])
    target = (seen - image).ravel()
    variance = noise**2 + 0.02 * float(np.mean(target**2))
    sigma = np.array(
        [0.02, optics.contrast_sigma, optics.defocus_sigma_nm, *_ASTIGMATIC_NM, 0.03, 0.03, *_STRAINED, 1e-4]
    )
    now = np.zeros(len(design))
    now[2:5] = (lens.defocus_nm - optics.lens.defocus_nm, *_astigmatism(lens))
    ridge = np.concatenate([_ALIKE * variance / sigma**2, np.full(len(changes), variance / 9)])
    matrix = np.asarray(design @ design.T, float) + np.diag(ridge)
    scale = 1 / np.sqrt(np.diagonal(matrix))
    right = np.asarray(design @ target, float) - ridge * now
    found = np.linalg.solve(matrix * scale[:, None] * scale, right * scale) * scale
    found[2:5], found[5:7] = np.clip(found[2:5], -2.0, 2.0), np.clip(found[5:7], -0.05, 0.05)
    strain = found[7:11].reshape(2, 2)
    origin = state.origin + found[5:7] + strain @ (state.origin - about)
    count = len(looks)
    shown = np.asarray(image + (found[:count] @ looks).reshape(image.shape), np.float32)
    start = np.clip(np.rint(state.atoms + found[count:]), 0, model.most).astype(np.intp)
    moved = replace(state, origin=origin, vectors=state.vectors @ (np.eye(2) + strain).T)
    astigmatic = np.asarray(_astigmatism(lens)) + found[3:5]
    lens = replace(
        lens, defocus_nm=lens.defocus_nm + float(found[2]), astigmatism_nm=float(np.hypot(*astigmatic)),
        astigmatism_deg=float(np.rad2deg(np.arctan2(astigmatic[1], astigmatic[0])) / 2),
    )  # fmt: skip
    return moved, lens, shown, start


def _per_atom(
    state: _State, image: Image, changes: Sequence[Change], what: tuple[ColumnModel, Any, Optics, Lens]
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
    together = model.image(model.spectrum(more.columns()), lens) - image
    missed = together - per_atom[there].sum(axis=0)
    return np.asarray(per_atom + shares * (missed / np.maximum(shares.sum(axis=0), 1e-2)), np.float32)


def _astigmatism(lens: Lens) -> tuple[float, float]:
    angle = np.deg2rad(2 * lens.astigmatism_deg)
    return lens.astigmatism_nm * float(np.cos(angle)), lens.astigmatism_nm * float(np.sin(angle))


def _looks(image: Image, about: Array, what: tuple[ColumnModel, Any, Optics, Lens]) -> list[Array]:
    """Return what level, contrast, focus, astigmatism (2), shift (2), strain (4) and blur change of an image (H, W)."""
    model, spectrum, _, lens = what
    pixel, step = model.pixel_nm, 0.4
    focused = [replace(lens, defocus_nm=lens.defocus_nm + step)]
    for along, across in ((step, 0.0), (0.0, step)):
        a, b = np.add(_astigmatism(lens), (along, across))
        turned = float(np.rad2deg(np.arctan2(b, a)) / 2)
        focused.append(replace(lens, astigmatism_nm=float(np.hypot(a, b)), astigmatism_deg=turned))
    before = model.image(spectrum, lens, few=True)
    optics = [(model.image(spectrum, one, few=True) - before) / step for one in focused]
    y, x = (np.arange(n) * pixel for n in image.shape)
    down, right = (-slope / pixel for slope in np.gradient(image))
    bend = -(np.gradient(down, axis=0) + np.gradient(right, axis=1)) / pixel
    y, x = (y - about[0])[:, None] * np.ones_like(image), (x - about[1])[None] * np.ones_like(image)
    moves = [down, right, y * down, x * down, y * right, x * right]
    return [np.ones_like(image), image - 1, *optics, *moves, bend / 2]


@dataclass(frozen=True)
class _Sweep:
    """Columns that take the likeliest number and place one after the other, given a residual."""

    changes: Sequence[Change]
    bases: list[Image]
    grams: list[Array]
    moved: Array
    atoms: Count
    pairs: list[Count]
    variance: float

    @classmethod
    def of(cls, changes: Sequence[Change], state: _State, variance: float) -> _Sweep:
        bases = [
            np.concatenate([one.values, one.slopes]).reshape(len(one.numbers) + 3, -1).astype(np.float32)
            for one in changes
        ]
        grams = [np.asarray(base @ base.T, float) for base in bases]
        pairs: list[list[int]] = [[] for _ in changes]
        for a, b in _neighbours(state.index, state.vectors):
            pairs[a].append(int(b))
            pairs[b].append(int(a))
        near = [np.array(one, np.intp) for one in pairs]
        base = state.moved.copy()
        base[:, 2] = state.columns().middle_nm
        return cls(changes, bases, grams, base, state.atoms, near, variance)

    def place_sigma(self) -> Array:
        """Return the 1-sigma (K,) of places along one axis."""
        own = np.array([gram[-3:-1, -3:-1].trace() / 2 for gram in self.grams])
        return np.asarray(1 / np.sqrt(own / self.variance + 1 / _MOVED_NM[0] ** 2))

    def _chosen(self, atoms: Count) -> Count:
        """Return the places (K,) of numbers of atoms among the candidates, the nearest ones."""
        return np.array([int(np.abs(one.numbers - n).argmin()) for one, n in zip(self.changes, atoms, strict=True)])

    def rated(self, residual: Image, atoms: Count, moves: Array) -> list[Array]:
        """Return -2 log posterior of each candidate, the neighbours being as they are; the residual takes them in."""
        chosen, scores = self._chosen(atoms), []
        for row, change in enumerate(self.changes):
            own = np.concatenate([np.eye(len(change.numbers))[chosen[row]], moves[row] - self.moved[row]])
            felt = self.bases[row] @ residual[change.rows, change.columns].ravel() + self.grams[row] @ own
            scores.append(self._scored(row, felt, atoms, moves[:, 2])[0])
        return scores

    def solved(self, residual: Image, sweeps: int, start: Count) -> tuple[Count, Array, list[Array]]:
        """Return numbers (K,), moves (K, 3) and -2 log posterior of each candidate, after `sweeps` over all.

        What is found is taken out of the residual.
        """
        count = len(self.changes)
        moved, chosen = np.zeros((count, 3)), self._chosen(start)
        atoms = np.array([one.numbers[place] for one, place in zip(self.changes, chosen, strict=True)])
        for change, place in zip(self.changes, chosen, strict=True):
            residual[change.rows, change.columns] -= change.values[place]
        scores: list[Array] = [np.zeros(0)] * count
        for _ in range(sweeps):
            before = atoms.copy()
            for row, change in enumerate(self.changes):
                base, gram, m = self.bases[row], self.grams[row], len(change.numbers)
                own = np.zeros(m + 3)
                own[chosen[row]], own[m:] = 1.0, moved[row]
                area = residual[change.rows, change.columns]
                felt = base @ area.ravel() + gram @ own
                scores[row], shifts = self._scored(row, felt, atoms, self.moved[:, 2] + moved[:, 2])
                chosen[row] = int(scores[row].argmin())
                moved[row] = shifts[chosen[row]]
                new = np.zeros(m + 3)
                new[chosen[row]], new[m:] = 1.0, moved[row]
                area -= ((new - own).astype(np.float32) @ base).reshape(area.shape)
                atoms[row] = change.numbers[chosen[row]]
            if (before == atoms).all():
                break
        return atoms, self.moved + moved, scores

    def _scored(self, row: int, felt: Array, atoms: Count, heights: Array) -> tuple[Array, Array]:
        """Return -2 log posterior (M,) of each number with its best move (M, 3)."""
        m, gram, near = len(felt) - 3, self.grams[row], self.pairs[row]
        usual, height = (float(atoms[near].mean()), _LEVEL * float(heights[near].mean())) if len(near) else (1.0, 0.0)
        place = gram[m:, m:] / self.variance + np.diag(_MOVED_NM**-2)
        pulled = (felt[m:] - gram[:m, m:]) / self.variance - (self.moved[row] - (0.0, 0.0, height)) / _MOVED_NM**2
        shifts = np.linalg.solve(place, pulled.T).T
        fit = (-2 * felt[:m] + np.diagonal(gram)[:m]) / self.variance - np.einsum("mi,mi->m", pulled, shifts)
        fit = fit + ((self.changes[row].numbers - usual) / _LIKE_NEIGHBOURS) ** 2
        return fit, shifts
