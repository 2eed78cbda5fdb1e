"""Local order, orientation, kinds of surroundings, learned from the recording itself.   doi:10.1126/sciadv.abd5084"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Prediction, Task
from micrograph.features.columns.points import POINTS
from micrograph.features.layers.local_order import (
    CROPS,
    KINDS,
    ORDER,
    STABILITY,
    TRAVERSAL,
    agreement_table,
    crop_table,
    kinds,
    order_by_frame,
    traversal_table,
)
from micrograph.features.layers.sheet import SheetSettings, read_sheet
from micrograph.features.layers.windows import Windows, WindowSettings, windows_of
from micrograph.features.overview import FRAME_COLUMNS
from micrograph.nets import shipped
from micrograph.nets.rvae_spec import Encoded, RvaeSpec
from micrograph.run import Recipe
from micrograph.simulate import brightness
from micrograph.simulate.layers.sheets import GRAPHENE_IMAGES
from micrograph.validate.layers.order_checks import (
    angle_correlation,
    class_advantage,
    class_agreement,
    disorder_correlation,
    order_in_a_movie,
    seed_agreement,
)

#: Pixels of a window; fewest crops from which something is learned.
SIZE, FEWEST = 28, 100


@dataclass(frozen=True)
class Surroundings(SheetSettings):
    """Atoms of graphene, and square windows of `window_nm` around at most `crops_per_frame` of them."""

    window_nm: float = 0.9
    crops_per_frame: int = 300

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return 'objects' and 'frames' of one frame, and '_crops' to learn from."""
        sheet = read_sheet(prediction, self, brightness(prediction.frame.calibration))
        seen = windows_of(prediction.frame, sheet.table, WindowSettings(SIZE, self.window_nm, self.crops_per_frame))
        return {"objects": sheet.table, "frames": sheet.frames, "_crops": seen.table()}


@dataclass(frozen=True)
class LocalOrder:
    """Learn a rotation-aware auto-encoder from at most `most_crops` windows, `rounds` times over, for every seed.

    Angles count modulo 360 / `symmetry` degrees (3 around a carbon atom); at most `classes` kinds of surroundings.
    """

    symmetry: int = 3
    latents: int = 2
    classes: int = 4
    seeds: int = 3
    most_crops: int = 6000
    rounds: int = 15
    window_nm: float = 0.9

    def start(self) -> Windows:
        """Return no windows."""
        return Windows.none(SIZE)

    def step(self, state: Windows, tables: Mapping[str, pd.DataFrame]) -> Windows:
        """Return the windows after one more frame, a fair draw of all."""
        t_s = float(tables["frames"]["t_s"].iloc[0]) if "t_s" in tables["frames"] else np.nan
        return state.joined(Windows.of_table(tables["_crops"], SIZE, t_s), self.most_crops)

    def result(self, state: Windows) -> dict[str, pd.DataFrame]:
        """Return 'crops', 'order' (by frame), 'stability' (by pair of seeds), 'traversal' and 'summary' (by class)."""
        spec = RvaeSpec(size=SIZE, symmetry=self.symmetry, latents=self.latents, classes=self.classes)
        if len(state) < FEWEST:
            state, encoded, pairs = Windows.none(SIZE), Encoded.none(spec), agreement_table((), "")
            images = np.empty((self.classes, self.latents, 0, SIZE, SIZE), np.float32)
        else:
            encoded, pairs, images = self._learned(spec, state.images.astype(np.float32))
        crops = crop_table(state, encoded)
        return {
            "summary": kinds(encoded),
            "crops": crops,
            "order": order_by_frame(crops, self.symmetry),
            "stability": pairs,
            "traversal": traversal_table(images, self.window_nm / SIZE),
        }

    def _learned(self, spec: RvaeSpec, crops: NDArray[np.float32]) -> tuple[Encoded, pd.DataFrame, NDArray[np.float32]]:
        """Return what the best of the networks says of the crops, how far all agree, and its drawings."""
        from micrograph.train.ensemble import train_ensemble
        from micrograph.train.rvae import RvaeSettings, traversal
        from micrograph.train.stability import verdict

        settings = RvaeSettings(steps=max(100, self.rounds * len(crops) // RvaeSettings.batch))
        ensemble = train_ensemble(crops, spec, settings, self.seeds)
        pairs = agreement_table(ensemble.pairs, verdict(ensemble.pairs))
        return ensemble.encoded, pairs, traversal(ensemble.nets[ensemble.best])


RECIPE = Recipe(
    name="disorder",
    title="Local order, orientation and kinds of surroundings in graphene",
    task=Task(
        question="How ordered is the lattice around every atom, which way does it point, and how does that change?",
        needs=("pixel_nm",),
        answers={
            "objects": POINTS,
            "frames": FRAME_COLUMNS,
            "crops": CROPS,
            "order": ORDER,
            "stability": STABILITY,
            "traversal": TRAVERSAL,
            "summary": KINDS,
        },
        reference="doi:10.1126/sciadv.abd5084",
    ),
    data=GRAPHENE_IMAGES,
    model=shipped("graphene-1"),
    objects=Surroundings(),
    summary=LocalOrder(),
    checks=(
        angle_correlation(at_least=0.95),
        disorder_correlation(at_least=0.90),
        seed_agreement(seeds=5, at_least=0.90),
        class_agreement(at_least=0.85),
        class_advantage(at_least=0.3),
        order_in_a_movie(at_least=0.90),
    ),
)
