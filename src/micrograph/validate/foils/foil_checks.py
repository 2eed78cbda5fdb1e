"""Checks of crystal defects: masks, lengths, diameters, densities, doubts, beside limits and classical ways."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.simulate.foils.crystal_defect_sampler import DefectScene
from micrograph.simulate.foils.crystal_defects import KINDS
from micrograph.simulate.foils.foil_defects import Body
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.confidence import reliability
from micrograph.validate.foils.foil_baselines import line_length, ridge_mask, shifted, threshold_masks
from micrograph.validate.intervals import bootstrap, share_interval
from micrograph.validate.metrics import auroc

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Kind = Literal["dislocation", "precipitate", "void"]
#: Images of each other kind that are shown.
_STRANGE = 30


class FoilScenes(Protocol):
    """Draws images of foils with their truth."""

    def scene(self, rng: np.random.Generator) -> DefectScene:
        """Return one image with all that is known of it."""
        ...


@dataclass(frozen=True)
class FoilTrial:
    """So many images of one kind; `name` says of which in the names of checks."""

    name: str
    scenes: FoilScenes
    images: int = 40

    @property
    def data(self) -> str:
        """Name of the stream of random numbers: checks of one trial see the same images."""
        return f"foils, {self.name}"

    def answers(self, analyser: Analyser, rng: np.random.Generator) -> Iterator[FoilAnswer]:
        """Yield each image with what is found in it; kept, so that checks of the same images look once."""
        seed = int(rng.integers(2**32))  # the same draws follow, whether the answers are new or kept
        key = (id(analyser), self.name, seed)
        if key not in _KEPT:
            _KEPT.clear()
            own = np.random.default_rng(seed)
            _KEPT[key] = [self._answer(analyser, own) for _ in range(self.images)]
        yield from _KEPT[key]

    def _answer(self, analyser: Analyser, rng: np.random.Generator) -> FoilAnswer:
        scene = self.scenes.scene(rng)
        tables = analyser(scene.image, scene.foil.pixel_nm)
        return FoilAnswer(scene, tables)


_KEPT: dict[tuple[int, str, int], list[FoilAnswer]] = {}


@dataclass(frozen=True)
class FoilAnswer:
    """One image and the tables that were given for it."""

    scene: DefectScene
    tables: Mapping[str, DataFrame]
    _overlaps: dict[str, tuple[Array, Array, Array]] = field(default_factory=dict, repr=False, compare=False)

    @functools.cached_property
    def masks(self) -> Mapping[str, Mask]:
        """The masks (H, W) of all kinds that the tables draw."""
        return masks_in(self.tables, self.scene.image.shape, self.scene.foil.pixel_nm)

    def overlaps(self, kind: str) -> tuple[Array, Array, Array]:
        """Return pixels as `_table_of` counts them: of what was found, of the shifted truth, of each classical way."""
        if kind not in self._overlaps:
            truth = self.truth(kind)
            plain = np.array([_table_of(truth, mask) for mask in _classical(self, kind)])
            best = _table_of(truth, shifted(self.scene.masks[kind]))
            self._overlaps[kind] = (_table_of(truth, self.masks[kind]), best, plain)
        return self._overlaps[kind]

    def truth(self, kind: str) -> Mask:
        """Return the true mask of a kind."""
        return np.asarray(self.scene.masks[kind] >= 0.5)


def masks_in(tables: Mapping[str, DataFrame], shape: tuple[int, ...], pixel_nm: float) -> dict[str, Mask]:
    """Return the masks (H, W) of all kinds that the tables draw: outlines filled, lines as wide as they say."""
    from micrograph.simulate.objects.pores import inside_of

    masks = {kind: np.zeros(shape, bool) for kind in KINDS}
    kinds = dict(zip(tables["objects"]["id"], tables["objects"]["class"], strict=True))
    for number, rows in tables["outlines"].groupby("id"):
        shadow = inside_of(rows[["y_nm", "x_nm"]].to_numpy(float) / pixel_nm, (shape[0], shape[1]))
        masks[str(kinds[number])][shadow.rows, shadow.columns] |= shadow.coverage >= 0.5
    for _, rows in tables["line_points"].groupby("id"):
        _draw(masks["dislocation"], rows[["y_nm", "x_nm", "width_nm"]].to_numpy(float) / pixel_nm)
    return masks


def _draw(mask: Mask, line: Array) -> None:
    """Draw a line (K, 3) of y, x and width in pixels into a mask (H, W): a disc at each of its points."""
    steps = np.hypot(*np.diff(line[:, :2], axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.arange(0, max(along[-1], 0.5), 0.5)
    for y, x, width in np.stack([np.interp(at, along, column) for column in line.T], 1):
        half = width / 2
        rows, columns = (
            slice(max(0, int(np.ceil(c - half))), max(0, min(size, int(np.floor(c + half)) + 1)))
            for c, size in zip((y, x), mask.shape, strict=True)
        )
        down, across = np.ogrid[rows, columns]
        mask[rows, columns] |= (down - y) ** 2 + (across - x) ** 2 <= half**2


def pixel_accuracy(trial: FoilTrial, kind: Kind, *, at_least: float) -> Check:
    """Build the check: share of pixels rightly said to be of a kind or not; limit: the truth half a pixel off."""
    return _overlap(trial, kind, "pixel accuracy", _accuracy, at_least)


def mask_overlap(trial: FoilTrial, kind: Kind, *, at_least: float) -> Check:
    """Build the check: intersection over union of a kind in all images; limit: the truth half a pixel off."""
    return _overlap(trial, kind, "IoU", _pooled_iou, at_least)


def _overlap(
    trial: FoilTrial, kind: Kind, name: str, score: Callable[[Sequence[Array]], float], at_least: float
) -> Check:
    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows, best, plain = zip(*(answer.overlaps(kind) for answer in trial.answers(analyser, rng)), strict=True)
        interval = bootstrap(score, rows, rng)
        ways = np.array(plain)
        baseline = max(score(list(ways[:, way])) for way in range(ways.shape[1]))
        total = np.sum(rows, axis=0)
        precision, recall = (total[0] / max(total[0] + total[k], 1) for k in (1, 2))
        detail = f"precision {precision:.3f}, recall {recall:.3f}, {len(rows)} images"
        return Measurement.of(interval, limit=score(best), baseline=baseline, detail=detail)

    return Check(f"{name} of {_named(kind)}, {trial.name}", measure, at_least, ">=", data=trial.data)


def length_error(trial: FoilTrial, *, at_most: float = 0.10) -> Check:
    """Build the check: error of the projected length of all lines in an image, over that length; mean over images.

    Images with lines shorter than a tenth of their side do not count. Limit: the same skeleton on the true mask;
    baseline: the skeleton of a ridge filter's mask.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = []
        for answer in trial.answers(analyser, rng):
            foil, pixel = answer.scene.foil, answer.scene.foil.pixel_nm
            if foil.length_px < 0.1 * foil.shape[0]:
                continue
            found = float(answer.tables["lines"]["length_nm"].sum()) / pixel
            ideal = line_length(answer.scene.masks["dislocation"])
            plain = line_length(ridge_mask(answer.scene.image).astype(np.float32))
            rows.append(np.array([found, ideal, plain]) / foil.length_px - 1)
        table = np.array(rows)
        interval = bootstrap(lambda drawn: float(np.mean(np.abs(drawn))), list(table[:, 0]), rng)
        limit, plain = (float(np.abs(table[:, k]).mean()) for k in (1, 2))
        detail = f"mean {table[:, 0].mean():+.3f}, sd {table[:, 0].std():.3f}, {len(table)} images"
        return Measurement.of(interval, limit=limit, baseline=plain, detail=detail)

    return Check(f"error of the length of lines, {trial.name}", measure, at_most, "<=", data=trial.data)


def diameter_bias(trial: FoilTrial, kind: Kind, *, at_most: float = 0.05) -> Check:
    """Build the check: how far the mean diameter of whole bodies is off, over their diameter, either way."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows, plain = [], []
        for answer in trial.answers(analyser, rng):
            rows.append(_diameter_errors(answer, kind, answer.tables["objects"]))
            plain.append(_area_errors(answer, kind))
        middle = bootstrap(lambda drawn: float(np.mean(np.concatenate(drawn))), rows, rng)
        ends = sorted((abs(middle.low), abs(middle.high)))
        low = 0.0 if middle.low <= 0 <= middle.high else ends[0]
        pooled = np.concatenate(rows)
        detail = f"mean {middle.value:+.4f}, sd {pooled.std():.3f}, {len(pooled)} bodies"
        others = np.concatenate(plain)
        baseline = float(abs(others.mean())) if len(others) else None
        return Measurement(abs(middle.value), low, ends[1], limit=0.0, baseline=baseline, detail=detail)

    return Check(f"bias of the diameter of {_named(kind)}, {trial.name}", measure, at_most, "<=", data=trial.data)


def density_coverage(trial: FoilTrial, kind: Kind, *, at_least: float = 0.90) -> Check:
    """Build the check: share of images whose 95 % interval of a density covers the density that was planted."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        hits, ratios = [], []
        for answer in trial.answers(analyser, rng):
            planted = answer.scene.planted[kind]
            if planted <= 0:
                continue
            low, value, high = _interval_of(answer, kind)
            hits.append(int(low <= planted <= high))
            ratios.append(value / planted)
        interval = share_interval(hits, [1] * len(hits), rng)
        detail = f"{sum(hits)} of {len(hits)} images; found over planted {np.mean(ratios):.3f} on average"
        return Measurement.of(interval, limit=0.95, detail=detail)

    return Check(f"interval of the density of {_named(kind)}, {trial.name}", measure, at_least, ">=", data=trial.data)


def _interval_of(answer: FoilAnswer, kind: Kind) -> tuple[float, float, float]:
    """Return the interval's ends and the value between of a density in px^-2 (bodies) or px^-1 (lines)."""
    from micrograph.features.metallography.foil_summary import FoilDensities

    fold = FoilDensities(ignore=0)
    tables, pixel = fold.result(fold.step(fold.start(), answer.tables)), answer.scene.foil.pixel_nm
    if kind == "dislocation":
        row = tables["line_density"].iloc[0]
        low, value, high = (float(row[f"length_per_nm{end}"]) * pixel for end in ("_low", "", "_high"))
        return low, value, np.inf if np.isnan(high) else high
    rows = tables["summary"]
    row = rows[rows["name"] == kind].iloc[0]
    names = ("density_low_per_nm2", "density_per_nm2", "density_high_per_nm2")
    low, value, high = (float(row[name]) * pixel**2 for name in names)
    return low, value, high


def score_error(trial: FoilTrial, *, at_most: float = 0.05) -> Check:
    """Build the check: calibration error of the scores of bodies, each right where a true one is there."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = []
        for answer in trial.answers(analyser, rng):
            rows.append(np.concatenate([np.zeros((0, 2)), *(_scored(answer, kind) for kind in KINDS[1:])]))
        pooled = np.concatenate(rows)
        interval = bootstrap(lambda drawn: _calibration(np.concatenate(drawn)), rows, rng)
        detail = f"mean score {pooled[:, 0].mean():.3f}, right {pooled[:, 1].mean():.3f}, {len(pooled)} bodies"
        return Measurement.of(interval, limit=0.0, detail=detail)

    return Check(f"calibration error of the scores, {trial.name}", measure, at_most, "<=", data=trial.data)


def other_images(trial: FoilTrial, *, at_least: float = 0.95) -> Check:
    """Build the check: how surely noise, lattices and textures are told from images of foils (AUROC of the worst)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own: list[float] = []
        strange: dict[str, list[float]] = {"noise": [], "lattice": [], "stripes": []}
        for answer in itertools.islice(trial.answers(analyser, rng), _STRANGE):
            own.append(_distance(answer.tables))
            shape, pixel = answer.scene.foil.shape, answer.scene.foil.pixel_nm
            for kind, images in strange.items():
                images.append(_distance(analyser(_foreign(kind, shape, rng), pixel)))
        values = {kind: auroc(np.array(own), np.array(scores)) for kind, scores in strange.items()}
        worst = min(values, key=lambda kind: values[kind])
        pairs = list(zip(own, strange[worst], strict=True))
        interval = bootstrap(lambda drawn: auroc(*np.array(drawn).T), pairs, rng)
        return Measurement.of(interval, limit=1.0, detail=", ".join(f"{k} {v:.3f}" for k, v in values.items()))

    return Check(f"images of another kind (AUROC), {trial.name}", measure, at_least, ">=", data=trial.data)


def seconds_an_image(trial: FoilTrial, *, at_most: float = 1.0) -> Check:
    """Build the check: seconds for one image of 512 x 512 pixels, from pixels to tables, on this machine."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        scene = trial.scenes.scene(rng)
        image = np.tile(scene.image, (3, 3))[:512, :512]
        taken = []
        for _ in range(5):
            begin = time.perf_counter()
            analyser(image, scene.foil.pixel_nm)
            taken.append(time.perf_counter() - begin)
        return Measurement.of(bootstrap(lambda drawn: float(np.median(drawn)), taken, rng))

    return Check("seconds an image of 512 x 512", measure, at_most, "<=", unit="s")


def _named(kind: str) -> str:
    return f"{kind}s"


def _accuracy(rows: Sequence[Array]) -> float:
    both, false, missed, neither = np.sum(rows, axis=0)
    return float((both + neither) / (both + false + missed + neither))


def _pooled_iou(rows: Sequence[Array]) -> float:
    both, false, missed, _ = np.sum(rows, axis=0)
    total = both + false + missed
    return float(both / total) if total else 1.0


def _table_of(truth: Mask, found: Mask) -> Array:
    """Return the pixels in both masks, in the found one only, in the true one only, in neither."""
    return np.array([(truth & found).sum(), (~truth & found).sum(), (truth & ~found).sum(), (~truth & ~found).sum()])


def _classical(answer: FoilAnswer, kind: str) -> list[Mask]:
    """Return the masks of a kind by the classical ways."""
    if kind == "dislocation":
        return [ridge_mask(answer.scene.image, scale) for scale in (1.5, 2.5, 4.0)]
    return threshold_masks(answer.scene.image, dark=kind == "precipitate")


def is_whole(body: Body, shape: tuple[int, int]) -> bool:
    """Return whether a body lies inside an image of a shape."""
    reach = body.reach_px + 1
    return reach <= body.y_px <= shape[0] - 1 - reach and reach <= body.x_px <= shape[1] - 1 - reach


def bodies_of(
    answer: FoilAnswer, kind: str, objects: DataFrame
) -> tuple[list[Body], DataFrame, NDArray[np.intp], Mask]:
    """Return true bodies, found rows, the true body nearest to each, and whether it is within a third of its size."""
    from scipy.spatial import cKDTree

    foil = answer.scene.foil
    bodies = list(foil.precipitates if kind == "precipitate" else foil.voids)
    rows = objects[objects["class"].to_numpy(str) == kind]
    if not bodies or not len(rows):
        return bodies, rows, np.zeros(len(rows), np.intp), np.zeros(len(rows), bool)
    tree = cKDTree([(one.y_px, one.x_px) for one in bodies])
    found = tree.query(rows[["y_nm", "x_nm"]].to_numpy(float) / foil.pixel_nm)
    distance, nearest = np.asarray(found[0]), np.asarray(found[1], np.intp)
    near = distance <= np.array([bodies[k].diameter_px for k in nearest]) / 3
    return bodies, rows, nearest, near


def _diameter_errors(answer: FoilAnswer, kind: str, objects: DataFrame) -> Array:
    """Return the relative errors of the diameters of whole bodies that were found as one."""
    bodies, rows, nearest, near = bodies_of(answer, kind, objects)
    whole = (rows["flags"].to_numpy(np.int64) & int(Flag.EDGE)) == 0
    found = rows["equivalent_diameter_nm"].to_numpy(float) / answer.scene.foil.pixel_nm
    keep = [k for k in np.flatnonzero(near & whole) if is_whole(bodies[nearest[k]], answer.scene.foil.shape)]
    return np.array([found[k] / bodies[nearest[k]].diameter_px - 1 for k in keep], float)


def _area_errors(answer: FoilAnswer, kind: str) -> Array:
    """Return the relative errors of the diameters that the first classical mask gives around each true body."""
    from scipy.ndimage import label, sum_labels

    foil = answer.scene.foil
    labels, number = label(_classical(answer, kind)[0])
    areas = np.concatenate([[0.0], np.atleast_1d(sum_labels(labels > 0, labels, np.arange(1, number + 1)))])
    errors = []
    for body in foil.precipitates if kind == "precipitate" else foil.voids:
        if is_whole(body, foil.shape):
            mine = labels[tuple(np.rint((body.y_px, body.x_px)).astype(int))]
            found = 2 * np.sqrt(areas[mine] / np.pi) if mine else np.nan
            errors.append(found / body.diameter_px - 1)
    known = np.array(errors, float)
    return np.asarray(known[np.isfinite(known)])


def _scored(answer: FoilAnswer, kind: str) -> Array:
    """Return score and whether it is right (N, 2) of the found bodies whose centre is well inside."""
    _, rows, _, near = bodies_of(answer, kind, answer.tables["objects"])
    whole = (rows["flags"].to_numpy(np.int64) & int(Flag.EDGE)) == 0
    return np.asarray(np.stack([rows["score"].to_numpy(float), near.astype(float)], 1)[whole])


def _calibration(rows: Array) -> float:
    return reliability(rows[:, 0], rows[:, 1]).error


def _distance(tables: Mapping[str, DataFrame]) -> float:
    frame = tables["frames"].iloc[0]
    return float(np.nan_to_num(frame.get("domain_distance", 0.0)))


def _foreign(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return an image (H, W) of no foil."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    if kind == "noise":
        return np.asarray(rng.normal(100, 10, shape), np.float32)
    period, turn = rng.uniform(6, 14), rng.uniform(0, np.pi)
    along = np.cos(turn) * x + np.sin(turn) * y
    across = np.cos(turn) * y - np.sin(turn) * x
    pattern = np.cos(2 * np.pi * along / period)
    if kind == "lattice":
        pattern = pattern + np.cos(2 * np.pi * (0.5 * along + 0.866 * across) / period)
    return np.asarray(rng.poisson(np.clip(60 + 20 * pattern, 1, None)), np.float32)
