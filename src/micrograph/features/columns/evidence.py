"""Atoms weighed by two witnesses, the network's score and the light that a joint fit finds at the place.

A network takes two atoms of a turned bond for one, and sees atoms in vacancies that are not there. The light knows:
an atom of the host has the intensity 1 +- s in units of the host's, an empty place 0 +- s, so that the logarithm of the
odds of an atom is ``logit(score) + (intensity - 1/2) / s^2``. Faint peaks and close ones are taken as candidates, and
those whose odds are below one go, the worse of two close ones first, the rest being fitted anew.

Two atoms whose images flow together have one peak. In the voids of the network they are looked for by a fit of a pair
in all orientations, which must explain the image better by `Weighing.better` (twice the log-likelihood).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Prediction
from micrograph.features.columns.locate import Located, LocateSettings, locate
from micrograph.features.columns.shape import ColumnShape
from micrograph.features.layers.sheet import Brightness, Sheet, SheetSettings, read_sheet

Array = NDArray[np.float64]
Index = NDArray[np.intp]

#: Width of the peaks of a drawn map, in its pixels.
_PEAK_PX = 0.8
#: Patch of the image that a pair must explain, and half the usual distance of its atoms, nm.
_PATCH_NM, _HALF_NM = 0.26, 0.066


@dataclass(frozen=True)
class Weighing:
    """faint: least score of a candidate; apart_nm: least distance of two; close_nm: of two closer, one goes at a time.

    void_nm: how far from the middle of a void the atoms of a pair may lie; light: their intensities, in those of the
    host; better: by how much chi-square must fall.
    """

    faint: float = 0.15
    apart_nm: float = 0.06
    close_nm: float = 0.1
    rounds: int = 4
    void_nm: float = 0.14
    light: tuple[float, float] = (0.5, 1.6)
    better: float = 12.0


def weighed_sheet(
    prediction: Prediction, settings: SheetSettings, brightness: Brightness, weighing: Weighing | None = None
) -> Sheet:
    """Return the sheet of one frame as `read_sheet`, its atoms weighed by score and light."""
    rule = weighing or Weighing()
    first = replace(settings, threshold=min(rule.faint, settings.threshold), min_distance_nm=rule.apart_nm)
    drawn = replace(settings, threshold=0.01, min_distance_nm=0.8 * rule.apart_nm, glare_nm=0.0)
    sheet = read_sheet(prediction, first, brightness)
    for _ in range(rule.rounds):
        stays = _believed(sheet.table, rule)
        if stays.all():
            break
        prediction = _drawn(prediction, sheet.table[stays])
        sheet = read_sheet(prediction, drawn, brightness)
    points = _with_pairs(prediction, sheet, rule)
    return sheet if points is None else read_sheet(_drawn(prediction, points), drawn, brightness)


def _believed(table: pd.DataFrame, rule: Weighing) -> NDArray[np.bool_]:
    """Return which rows stay; of rows close to each other only the least probable goes."""
    from scipy.spatial import cKDTree

    light, sigma = _light(table)
    score = np.clip(table["score"].to_numpy(float), 1e-3, 1 - 1e-3)
    odds = np.log(score / (1 - score)) + (np.minimum(np.nan_to_num(light, nan=1.0), 1.0) - 0.5) / sigma**2
    doomed = odds < 0
    for one, other in cKDTree(table[["y_nm", "x_nm"]].to_numpy(float)).query_pairs(rule.close_nm):
        if doomed[one] and doomed[other]:
            doomed[one if odds[one] > odds[other] else other] = False
    return np.asarray(~doomed)


def _light(table: pd.DataFrame) -> tuple[Array, Array]:
    """Return intensities (N,) in units of the usual one, and their 1-sigma: usual scatter or the fit's."""
    usual = float(np.nanmedian(table["intensity"])) if len(table) else 1.0
    light = table["intensity"].to_numpy(float) / usual
    scatter = 1.4826 * float(np.nanmedian(np.abs(light - 1))) if len(table) else 1.0
    sigma = np.nan_to_num(table["intensity_sigma"].to_numpy(float) / usual, nan=scatter)
    return light, np.maximum(sigma, max(scatter, 1e-3))


def _drawn(prediction: Prediction, points: pd.DataFrame) -> Prediction:
    """Return the prediction with a map of peaks at just these points (y_nm, x_nm, score)."""
    pixel = prediction.frame.calibration.pixel_nm
    assert pixel is not None
    place = points[["y_nm", "x_nm"]].to_numpy(float) / pixel
    place = (place + 0.5) / np.array(prediction.steps) - 0.5
    shape = prediction.maps["atom"].shape
    atom = np.zeros(shape, dtype=np.float32)
    middle = np.clip(np.rint(place), 0, np.array(shape) - 1).astype(np.intp)
    least = ((middle - place) ** 2).sum(axis=1)
    for step in np.mgrid[-2:3, -2:3].reshape(2, -1).T:
        at = middle + step
        inside = np.all((at >= 0) & (at < shape), axis=1)
        far = (((at - place) ** 2).sum(axis=1) - least)[inside]
        value = points["score"].to_numpy(float)[inside] * np.exp(-far / (2 * _PEAK_PX**2))
        np.maximum.at(atom, (at[inside, 0], at[inside, 1]), value.astype(np.float32))
    return replace(prediction, maps={**prediction.maps, "atom": atom})


def _with_pairs(prediction: Prediction, sheet: Sheet, rule: Weighing) -> pd.DataFrame | None:
    """Return all points (y_nm, x_nm, score), pairs in voids instead of what was there; ``None`` without any pair."""
    names = sheet.defects["name"].to_numpy(str)
    network = ~(np.char.startswith(names, "Si") | np.isin(names, ("SW", "5-7", "boundary", "edge")))
    voids = sheet.defects[["y_nm", "x_nm"]].to_numpy(float)[network]
    if not len(voids):
        return None
    located = locate(prediction, LocateSettings(threshold=0.01, min_distance_nm=0.8 * rule.apart_nm))
    points = located.table[["y_nm", "x_nm", "score"]]
    model = located.fit.model()
    found = [pair for pair in (_pair(prediction, located, model, void, rule) for void in voids) if pair is not None]
    if not found:
        return None
    kept = np.delete(np.arange(len(points)), np.concatenate([own for own, _ in found]))
    new = np.concatenate([place for _, place in found])
    both = pd.DataFrame({"y_nm": new[:, 0], "x_nm": new[:, 1], "score": np.full(len(new), 0.5)})
    return pd.concat([points.iloc[kept], both], ignore_index=True)


def _pair(
    prediction: Prediction, located: Located, model: NDArray[np.float32], void: Array, rule: Weighing
) -> tuple[Index, Array] | None:
    """Return the places (2, 2) nm of a pair of atoms in a void and the rows of those it stands for, or ``None``.

    A pair is added in the middle, or stands for any one of the atoms around.
    """
    place = located.table[["y_nm", "x_nm"]].to_numpy(float)
    around = np.flatnonzero(np.hypot(*(place - void).T) < rule.void_nm)
    tried = [(np.zeros(0, np.intp), void), *((np.array([row]), place[row]) for row in around)]
    best, most = None, rule.better
    for own, centre in tried:
        patch = _Patch.around(centre, own, prediction, located, model)
        found, gain = _best_pair(patch, rule)
        if found is not None and gain > most:
            best, most = (own, found), gain
    return best


def _best_pair(patch: _Patch, rule: Weighing) -> tuple[Array | None, float]:
    """Return the places (2, 2) nm of the pair that explains a patch best, and by how much chi-square falls."""
    from scipy.optimize import least_squares

    best, most = None, 0.0
    for turn in np.radians(np.arange(0, 180, 30)):
        arm = _HALF_NM / patch.pixel_nm * np.array([np.sin(turn), np.cos(turn)])
        start = np.concatenate([patch.centre + arm, [patch.usual], patch.centre - arm, [patch.usual]])
        found = least_squares(patch.misfit, start, x_scale=np.tile([1.0, 1.0, patch.usual], 2), max_nfev=30)
        place, light = found.x.reshape(2, 3)[:, :2], found.x.reshape(2, 3)[:, 2] / patch.usual
        apart = float(np.hypot(*(place[0] - place[1]))) * patch.pixel_nm
        near = np.hypot(*(place[:, None] - patch.others).transpose(2, 0, 1)).min(initial=np.inf) * patch.pixel_nm
        off = np.hypot(*(place - patch.centre).T).max() * patch.pixel_nm
        allowed = bool(light.min() > rule.light[0] and light.max() < rule.light[1])
        allowed = allowed and 0.09 < apart < 0.18 and bool(near > 0.09 and off < rule.void_nm)
        if allowed and patch.chi2 - 2 * found.cost > most:
            best, most = place * patch.pixel_nm, float(patch.chi2 - 2 * found.cost)
    return best, most


@dataclass(frozen=True)
class _Patch:
    """Pixels (P, 2) around a place, what is left of the image there without the atoms in doubt, its 1-sigma (P,).

    centre: (2,) px; others: (N, 2) px of the other atoms; usual: intensity of an atom; chi2: misfit of the model as is.
    """

    pixels: Array
    rest: Array
    sigma: Array
    shape: ColumnShape
    pixel_nm: float
    centre: Array
    others: Array
    usual: float
    chi2: float

    @classmethod
    def around(
        cls, centre: Array, own: Index, prediction: Prediction, located: Located, model: NDArray[np.float32]
    ) -> _Patch:
        """Return the patch around a place (y, x) nm, the atoms of the rows `own` being in doubt."""
        image, pixel, fit = prediction.frame.data, located.pixel_nm, located.fit
        middle, reach = centre / pixel, _PATCH_NM / pixel
        grid = np.argwhere(np.ones(image.shape, dtype=bool))
        grid = grid[np.hypot(*(grid - middle).T) < reach]
        grid = grid[np.isfinite(image[grid[:, 0], grid[:, 1]])]
        at = (grid[:, 0], grid[:, 1])
        place = np.column_stack([fit.y_px, fit.x_px])
        sigma = np.sqrt(fit.noise.variance(model[at]).astype(float) * fit.noise.correlation)
        left = (image[at] - model[at]).astype(float)
        held = sum((_drawn_column(fit.shape, grid, place[k]) * fit.amplitude[k] for k in own), 0.0)
        chi2 = float(((left / sigma) ** 2).sum())
        usual = float(np.nanmedian(fit.amplitude))
        return cls(
            grid.astype(float), left + held, sigma, fit.shape, pixel, middle, np.delete(place, own, axis=0), usual, chi2
        )

    def misfit(self, values: Array) -> Array:
        """Return the misfit (P,) in sigmas of columns with values (y, x, intensity), one after the other."""
        columns = values.reshape(-1, 3)
        drawn = sum((light * _drawn_column(self.shape, self.pixels, np.array([y, x])) for y, x, light in columns), 0.0)
        return np.asarray((self.rest - drawn) / self.sigma)


def _drawn_column(shape: ColumnShape, pixels: Array, place: Array) -> Array:
    """Return a column of intensity one at a place (y, x) in pixels (P, 2)."""
    off = np.asarray(pixels, dtype=float) - place
    core = np.exp(-0.5 * np.einsum("pi,ij,pj->p", off, np.linalg.inv(shape.core), off))
    core /= 2 * np.pi * np.sqrt(np.linalg.det(shape.core))
    if shape.tail_weight == 0:
        return np.asarray(core)
    tail = np.exp(-0.5 * (off**2).sum(axis=1) / shape.tail_sigma**2) / (2 * np.pi * shape.tail_sigma**2)
    return np.asarray((1 - shape.tail_weight) * core + shape.tail_weight * tail)
