"""Checks of shapes that are sorted without labels: whether classes are the true shapes, and their shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Calibration, Recording
from micrograph.simulate.objects.particle_sampler import ParticleSampler, ParticleScene
from micrograph.validate.checks import Analyser, Check, Measurement
from micrograph.validate.intervals import bootstrap
from micrograph.validate.objects.particle_scenes import found_in, same

if TYPE_CHECKING:
    from pandas import DataFrame

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mixtures:
    """So many recordings of so many images each, of one sampler's kind, in which several shapes are mixed."""

    name: str
    sampler: ParticleSampler
    recordings: int = 3
    images: int = 12

    def sorted_by(self, analyser: Analyser, rng: np.random.Generator) -> list[Sorted]:
        """Return what the recipe makes of each recording."""
        return [self._one(analyser, rng) for _ in range(self.recordings)]

    def _one(self, analyser: Analyser, rng: np.random.Generator) -> Sorted:
        scenes = [self.sampler.scene(rng) for _ in range(self.images)]
        pixel, shape = scenes[0].field.pixel_nm, scenes[0].image.shape
        images = [scene.image for scene in scenes]
        recording = Recording(images.__getitem__, range(len(images)), Calibration(pixel_nm=pixel), shape)
        return Sorted(scenes, analyser.movie(recording))


@dataclass(frozen=True)
class Sorted:
    """Scenes and the tables of their recording."""

    scenes: list[ParticleScene]
    tables: Mapping[str, DataFrame]

    def pairs(self) -> DataFrame:
        """Return one row a particle that was found and shows its own shape: true shape, class, aspect, circularity."""
        import pandas as pd

        objects = self.tables["objects"].merge(self.tables["classified"], on=["frame", "id"])
        rows = []
        for number, scene in enumerate(self.scenes):
            mine = objects[objects["frame"] == number].reset_index(drop=True)
            found = found_in(self.tables, scene.image.shape, scene.field.pixel_nm, number)
            for i, j in same(scene.field.shadows, found):
                row = mine.iloc[j]
                if row["weight"] > 0:
                    true = scene.field.particles[i].shape
                    rows.append((true, row["shape"], row["aspect"], row["circularity"], row["solidity"]))
        return pd.DataFrame(rows, columns=["true", "shape", "aspect", "circularity", "solidity"])

    def true_shares(self) -> dict[str, float]:
        """Return the share of every shape among the particles whose centre lies in an image."""
        names = [
            one.shape for scene in self.scenes for one in scene.field.particles if _inside(one.y_nm, one.x_nm, scene)
        ]
        kinds, numbers = np.unique(names, return_counts=True)
        return {str(kind): float(number) / len(names) for kind, number in zip(kinds, numbers, strict=True)}


def shape_ari(mixtures: Mixtures, *, at_least: float = 0.90) -> Check:
    """Build the check: adjusted Rand index of classes against true shapes, mean over recordings.

    Baseline: k-means with the true number of classes on aspect, circularity and solidity.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        from sklearn.cluster import KMeans
        from sklearn.metrics import adjusted_rand_score

        values, plain, told = [], [], []
        for one in mixtures.sorted_by(analyser, rng):
            pairs = one.pairs()
            values.append(float(adjusted_rand_score(pairs["true"], pairs["shape"])))
            forms = pairs[["aspect", "circularity", "solidity"]].to_numpy(float)
            forms = (forms - forms.mean(axis=0)) / forms.std(axis=0)
            groups = KMeans(pairs["true"].nunique(), n_init=5, random_state=0).fit_predict(forms)
            plain.append(float(adjusted_rand_score(pairs["true"], groups)))
            told.append(f"{pairs['shape'].nunique()} classes of {len(pairs)}")
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), values, rng)
        return Measurement.of(interval, limit=1.0, baseline=float(np.mean(plain)), detail="; ".join(told))

    return Check(f"ARI of the shapes, {mixtures.name}", measure, at_least, ">=")


def share_error(mixtures: Mixtures, *, at_most: float = 0.03) -> Check:
    """Build the check: largest error of a shape's weighted share, mean over recordings.

    A class stands for the shape that is commonest in it. The truth is the share among all particles whose centre lies
    in an image, overlapped and cut ones too. Limit: what counting as many particles allows. Baseline: shares of the
    same classes without weights.
    """

    def measure(analyser: Analyser, rng: np.random.Generator) -> Measurement:
        values, plain, limits = [], [], []
        for one in mixtures.sorted_by(analyser, rng):
            pairs, true = one.pairs(), one.true_shares()
            commonest = pairs.groupby("shape")["true"].agg(lambda names: names.mode().iloc[0]).to_dict()
            shares, raw = dict.fromkeys(true, 0.0), dict.fromkeys(true, 0.0)
            known = one.tables["shapes"][one.tables["shapes"]["shape"].isin(list(commonest))]
            for name, share in zip(known["shape"], known["share"].to_numpy(float), strict=True):
                shares[commonest[name]] += share / float(known["share"].sum())
            for name, number in pairs["shape"].value_counts().items():
                raw[commonest[name]] += number / len(pairs)
            values.append(max(abs(shares[name] - true[name]) for name in true))
            plain.append(max(abs(raw[name] - true[name]) for name in true))
            limits.append(max(np.sqrt(p * (1 - p) / len(pairs)) for p in true.values()))
        interval = bootstrap(lambda drawn: float(np.mean(drawn)), values, rng)
        return Measurement.of(interval, limit=float(np.mean(limits)), baseline=float(np.mean(plain)))

    return Check(f"error of the shapes' shares, {mixtures.name}", measure, at_most, "<=")


def _inside(y_nm: float, x_nm: float, scene: ParticleScene) -> bool:
    height, width = (size * scene.field.pixel_nm for size in scene.image.shape)
    return bool(0 <= y_nm < height and 0 <= x_nm < width)
