"""Checks of outlined particles: masks, outlines, counts, areas, heights, beside limits and tuned thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Flag
from micrograph.simulate.objects.bright_field import Camera, record
from micrograph.simulate.objects.particle_sampler import ParticleScene
from micrograph.simulate.objects.particles import Shadow
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.masks import contour_error, iou
from micrograph.validate.metrics import auroc
from micrograph.validate.objects.particle_scenes import WAYS, Answer, Trial, cut_apart, otsu, same, tuned

Array = NDArray[np.float64]


def mask_iou(trial: Trial, *, at_least: float) -> Check:
    """Build the check: mean IoU of all outlines with the truth. Limit: that of outlines at the edge's bound."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = np.array([_ious(answer) for answer in trial.answers(analyser, rng)])
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), list(rows[:, 0]), rng)
        best = float(rows[:, 2:].mean(axis=0).max())
        return Measurement.of(interval, limit=float(rows[:, 1].mean()), baseline=best, detail=f"{len(rows)} images")

    return Check(f"IoU of the masks, {trial.name}", measure, at_least, ">=")


def iou_gain(trial: Trial, *, at_least: float = 0.10) -> Check:
    """Build the check: by how much the IoU exceeds that of the best of Otsu's and adaptive thresholds (`WAYS`)."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = np.array([_ious(answer) for answer in trial.answers(analyser, rng)])
        best = rows[:, 2 + int(rows[:, 2:].mean(axis=0).argmax())]
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), list(rows[:, 0] - best), rng)
        detail = f"{rows[:, 0].mean():.3f} against {best.mean():.3f} of the best of {rows.shape[1] - 2} thresholds"
        return Measurement.of(interval, baseline=0.0, detail=detail)

    return Check(f"IoU above tuned thresholds, {trial.name}", measure, at_least, ">=")


def outline_error(trial: Trial, *, at_most: float = 1.0) -> Check:
    """Build the check: mean distance (px) of found from true outlines. Limit: the bound of a straight edge."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = []
        for answer in trial.answers(analyser, rng):
            truth = answer.scene.field.coverage
            if truth.max() > 0.5 and answer.coverage.max() > 0.5:
                plain = tuned(answer.scene.image, truth, -1.0 if answer.scene.params["bright"] else 1.0)
                errors = (contour_error(truth, answer.coverage), contour_error(truth, plain))
                rows.append((*errors, _edge_bound(answer.scene)))
        table = np.array(rows)
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), list(table[:, 0]), rng)
        return Measurement.of(interval, limit=float(table[:, 2].mean()), baseline=float(table[:, 1].mean()))

    return Check(f"error of the outlines, {trial.name}", measure, at_most, "<=", unit="px")


def detection_f1(trial: Trial, *, at_least: float) -> Check:
    """Build the check: F1 of particles, found where the IoU with the whole true particle is 0.5 or more.

    Particles that the image's border cuts do not count. Baseline: Otsu's threshold, opened, and a watershed of the
    distance to the background.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = []
        for answer in trial.answers(analyser, rng):
            mine = _hits(answer, answer.found, answer.pairs)
            plain = _watershed(answer)
            rows.append((*mine, *_hits(answer, plain, same(answer.scene.field.shadows, plain))))
        interval = bootstrap(lambda drawn: _f1(np.sum(drawn, axis=0)[:3]), rows, rng)
        total = np.sum(rows, axis=0)
        detail = (
            f"precision {total[0] / max(total[0] + total[1], 1):.3f}, recall {total[0] / (total[0] + total[2]):.3f}"
        )
        return Measurement.of(interval, limit=1.0, baseline=_f1(total[3:]), detail=detail)

    return Check(f"F1 of particles, {trial.name}", measure, at_least, ">=")


def size_bias(trial: Trial, *, at_most: float = 0.5) -> Check:
    """Build the check: how far the mean equivalent diameter of free particles is off (px), either way."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows, plain = [], []
        for answer in trial.answers(analyser, rng):
            rows.append(_diameter_errors(answer, answer.found, answer.pairs))
            classical = _watershed(answer)
            plain.append(_diameter_errors(answer, classical, same(answer.scene.field.shadows, classical)))
        pooled = np.concatenate(rows)
        middle = bootstrap(lambda drawn: float(np.mean(np.concatenate(drawn))), rows, rng)
        ends = sorted((abs(middle.low), abs(middle.high)))
        low = 0.0 if middle.low <= 0 <= middle.high else ends[0]
        detail = f"mean {middle.value:+.3f} px, sd {pooled.std():.2f} px of {len(pooled)} particles"
        baseline = float(abs(np.concatenate(plain).mean())) if sum(map(len, plain)) else None
        return Measurement(abs(middle.value), low, ends[1], limit=0.0, baseline=baseline, detail=detail)

    return Check(f"bias of the diameter, {trial.name}", measure, at_most, "<=", unit="px")


def area_bias(trial: Trial, *, at_most: float = 0.02) -> Check:
    """Build the check: relative bias of the area of free particles, either way; baseline: Otsu's threshold."""

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows, plain = [], []
        for answer in trial.answers(analyser, rng):
            rows.append(_area_ratios(answer))
            truth = answer.scene.field.coverage
            plain.append(float((otsu(answer.scene.image) & (truth > 0)).sum() / max(truth.sum(), 1)) - 1)
        middle = bootstrap(lambda drawn: float(np.mean(np.concatenate(drawn))), rows, rng)
        ends = sorted((abs(middle.low), abs(middle.high)))
        low = 0.0 if middle.low <= 0 <= middle.high else ends[0]
        pooled = np.concatenate(rows)
        detail = f"mean {middle.value:+.4f}, sd {pooled.std():.3f} of {len(pooled)} particles"
        return Measurement(
            abs(middle.value), low, ends[1], limit=0.0, baseline=abs(float(np.mean(plain))), detail=detail
        )

    return Check(f"bias of the area, {trial.name}", measure, at_most, "<=")


def height_error(trial: Trial, *, averaged_px: int = 200, at_most: float = 1.5) -> Check:
    """Build the check: RMSE of the rods' heights by Beer's law over the counting bound of `averaged_px` pixels.

    The mean free path is taken as known. Baseline: the logarithm of the same pixels inside Otsu's mask.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        rows = []
        for answer in trial.answers(analyser, rng):
            rows += _heights(answer, averaged_px)
        table = np.array(rows)
        interval = bootstrap(lambda drawn: float(np.sqrt(np.mean(np.square(drawn)))), list(table[:, 0]), rng)
        detail = (
            f"{len(table)} rods, RMSE {np.sqrt(np.mean(table[:, 1] ** 2)):.2f} nm, bias {table[:, 1].mean():+.2f} nm"
        )
        return Measurement.of(interval, limit=1.0, baseline=float(np.sqrt(np.mean(table[:, 2] ** 2))), detail=detail)

    return Check(f"rod heights over the counting bound, {trial.name}", measure, at_most, "<=")


def foreign_auroc(trial: Trial, *, at_least: float = 0.95) -> Check:
    """Build the check: how surely images without any particle's structure are told from the trial's own (AUROC).

    Foreign are noise, and lattices at atomic resolution; the score is the column 'domain_distance' of table 'frames'.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        own, strange = [], {"noise": [], "lattice": []}  # type: ignore[var-annotated]
        for answer in trial.answers(analyser, rng):
            own.append(_distance(answer.tables))
            shape, pixel = answer.scene.image.shape, answer.scene.field.pixel_nm
            strange["noise"].append(_distance(analyser(rng.normal(100, 10, shape).astype(np.float32), pixel)))
            strange["lattice"].append(_distance(analyser(_lattice(shape, rng), pixel)))
        values = {kind: auroc(np.array(own), np.array(scores)) for kind, scores in strange.items()}
        worst = min(values, key=lambda kind: values[kind])
        pairs = list(zip(own, strange[worst], strict=True))
        interval = bootstrap(lambda drawn: auroc(*np.array(drawn).T), pairs, rng)
        return Measurement.of(interval, limit=1.0, detail=", ".join(f"{k} {v:.3f}" for k, v in values.items()))

    return Check(f"images of another kind, {trial.name}", measure, at_least, ">=")


def _ious(answer: Answer) -> tuple[float, ...]:
    """Return the IoU of the found masks, that of outlines which err by the edge's bound, and that of each threshold."""
    truth = answer.scene.field.coverage
    sign = -1.0 if answer.scene.params["bright"] else 1.0
    plain = (iou(truth, way(sign * answer.scene.image, sigma)) for way, sigma in WAYS)
    length = sum(np.sqrt(4 * np.pi * one.area_px) for one in answer.scene.field.shadows)
    off = length * _edge_bound(answer.scene) / max(float(truth.sum()), 1.0)
    return iou(truth, answer.coverage), float(1 - min(off, 1.0)), *plain


def _edge_bound(scene: ParticleScene) -> float:
    """Return the least mean error (px) of a straight edge that is averaged over a tenth of a typical perimeter.

    An edge of contrast-to-noise c per pixel, seen along L pixels, is known to ``1 / (c sqrt(L))`` pixels (1-sigma): a
    shift by one pixel changes L pixels by c sigmas each.
    """
    areas = [one.area_px for one in scene.field.shadows]
    along = 0.1 * np.sqrt(4 * np.pi * float(np.median(areas))) if areas else 1.0
    return float(np.sqrt(2 / np.pi) / (scene.params["contrast_to_noise"] * np.sqrt(max(along, 1.0))))


def _hits(answer: Answer, found: Sequence[object], pairs: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Return how many inner particles were hit, found wrongly and missed; what touches the border does not count."""
    hit = sum(bool(answer.inner[i]) for i, _ in pairs)
    taken = {j for _, j in pairs}
    height, width = answer.scene.image.shape
    wrong = 0
    for place, one in enumerate(found):
        rows, columns = one.rows, one.columns  # type: ignore[attr-defined]
        inside = rows.start > 0 and columns.start > 0 and rows.stop < height and columns.stop < width
        wrong += inside and place not in taken
    return hit, int(wrong), int(answer.inner.sum()) - hit


def _f1(counts: Sequence[float]) -> float:
    hit, wrong, missed = counts
    return float(2 * hit / max(2 * hit + wrong + missed, 1))


def _free(answer: Answer) -> NDArray[np.bool_]:
    """Return which true particles lie inside the image and touch no other."""
    return np.asarray(answer.inner & (answer.scene.field.overlaps < 1e-3))


def _diameter_errors(answer: Answer, found: Sequence[object], pairs: list[tuple[int, int]]) -> Array:
    free, true = _free(answer), answer.scene.field.shadows
    areas = [(true[i].area_px, found[j].area_px) for i, j in pairs if free[i]]  # type: ignore[attr-defined]
    table = 2 * np.sqrt(np.array(areas).reshape(-1, 2) / np.pi)
    return np.asarray(table[:, 1] - table[:, 0])


def _area_ratios(answer: Answer) -> Array:
    free, true = _free(answer), answer.scene.field.shadows
    area = answer.tables["objects"]["area_nm2"].to_numpy(float) / answer.scene.field.pixel_nm**2
    return np.array([area[j] / true[i].area_px - 1 for i, j in answer.pairs if free[i]])


def _watershed(answer: Answer) -> list[Shadow]:
    """Return the objects of the classical chain: tuned threshold, opening, watershed of the distance."""
    scene = answer.scene
    mask = tuned(scene.image, scene.field.coverage, -1.0 if scene.params["bright"] else 1.0)
    return cut_apart(mask, scene.params["diameter_px"])


def _heights(answer: Answer, averaged_px: int) -> list[tuple[float, float, float]]:
    """Return for every free rod the error of its height over the bound, in nm, and Otsu's error over the bound."""
    scene = answer.scene
    path, electrons = scene.params["mean_free_path_nm"], scene.params["electrons_on_particle"]
    bound = path / np.sqrt(electrons * averaged_px)
    free, objects, rows = _free(answer), answer.tables["objects"], []
    background = float(np.median(scene.image[scene.field.coverage == 0]))
    plain = otsu(scene.image)
    for i, j in answer.pairs:
        solid = scene.field.particles[i].solid
        if not free[i] or int(objects["flags"].iloc[j]) & int(Flag.EDGE):
            continue
        height = 2 * solid.radius_nm  # type: ignore[attr-defined]
        error = path * float(objects["optical_depth"].iloc[j]) - height
        place = (scene.field.shadows[i].rows, scene.field.shadows[i].columns)
        inside = plain[place] & (scene.field.shadows[i].coverage > 0.5)
        classical = path * np.log(background / scene.image[place][inside].mean()) - height if inside.any() else -height
        rows.append((error / bound, error, classical / bound))
    return rows


def _distance(tables: object) -> float:
    return float(tables["frames"]["domain_distance"].iloc[0])  # type: ignore[index]


def _lattice(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a hexagonal lattice at atomic resolution with counting noise (H, W)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    wave = 2 * np.pi / rng.uniform(7, 16)
    turns = rng.uniform(0, np.pi) + np.arange(3) * np.pi / 3
    waves = sum(np.cos(wave * (np.cos(turn) * x + np.sin(turn) * y)) for turn in turns)
    return record(1 + 0.25 * np.asarray(waves), Camera(float(rng.uniform(5, 50)), 0.8), rng)
