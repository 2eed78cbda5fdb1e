"""Is the tip sharp, double or blunt, from dangling bonds on H:Si(100)?   doi:10.1021/acsnano.8b02208"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Prediction, Sample, Sites, Task
from micrograph.features.surface.bright import STEP_NM, bright_features
from micrograph.features.surface.tip_look import Look, describe, fit
from micrograph.features.surface.tip_tables import (
    FEATURES,
    HISTORY,
    KINDS,
    PARTS,
    SEEN,
    TipHistory,
    TipSettings,
    read_tip,
)
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.scanning.foreign_surfaces import ForeignSurfaces
from micrograph.simulate.scanning.silicon_surface import SurfaceRanges
from micrograph.simulate.scanning.stm import TIPS, StmScans, truth_at
from micrograph.validate.surfaces.stm_checks import (
    apex_error,
    false_alarms,
    foreign_auroc,
    frame_accuracy,
    loop_steps,
    seconds_a_frame,
    single_accuracy,
    vote_calibration,
    voted_accuracy,
)
from micrograph.validate.surfaces.stm_scenes import TipScans, by_orbitals, narrowed

if TYPE_CHECKING:
    import pandas as pd

#: Scans with many bonds, pairs and adsorbates.
CROWDED = StmScans(
    SurfaceRanges((0.006, 0.014), pairs=0.06, adsorbates_per_nm2=(0.0, 0.002)), field_nm=(18.0, 32.0), changing=0.05
)
#: Crop, truth of the tip and of what it shows.
_Crop = tuple[NDArray[np.float16], float, float]


@dataclass(frozen=True)
class TipCrops:
    """Crops to fit to: a bright feature of one of `images` scans, or, in a share `foreign`, of other surfaces.

    There are more bonds, pairs and adsorbates than elsewhere, so that neighbours are well known. Scans are
    simulated when first asked for, levelled and searched as real ones are, and kept.
    """

    scans: StmScans = CROWDED
    others: ForeignSurfaces = field(default_factory=ForeignSurfaces)
    foreign: float = 0.15
    images: int = 2500

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return a crop (SIDE, SIDE), turned about at random, with the truth of its tip."""
        while True:
            crops = _crops_of(self, int(rng.integers(self.images)))
            if crops:
                break
        crop, tip, kind = crops[int(rng.integers(len(crops)))]
        image = crop.astype(np.float32)[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        return Sample(np.ascontiguousarray(image), STEP_NM, none, truth={"tip": tip, "feature": kind})

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        return self.scans.domain()

    def fitted(self) -> Look:
        """Return the discriminants that the crops of all images call for; those that ship were made so."""
        crops, tips, kinds, medians, states = [], [], [], [], []
        for number in range(self.images):
            found = _crops_of(self, number)
            crops += [crop for crop, _, _ in found]
            tips += [tip for _, tip, _ in found]
            kinds += [kind for _, _, kind in found]
            for median, state in _medians(found, np.random.default_rng([72, number])):
                medians.append(median)
                states.append(state)
        described, tip, kind = describe(np.array(crops)), np.array(tips), np.array(kinds, np.intp)
        bonds = kind == 0
        return Look(
            fit(described[bonds], tip[bonds].astype(np.intp), len(TIPS)),
            fit(described, kind, len(KINDS)),
            fit(describe(np.array(medians)), np.array(states, np.intp), len(TIPS)),
        )


def _medians(found: tuple[_Crop, ...], rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float64], float]]:
    """Yield medians of some of an image's dangling bonds with the state of their tip, three times."""
    bonds = np.array([crop for crop, _, kind in found if kind == 0], float)
    states = {tip for _, tip, kind in found if kind == 0}
    if len(bonds) < 3 or len(states) > 1:
        return
    for _ in range(3):
        some = rng.permutation(len(bonds))[: int(rng.integers(3, min(len(bonds), 8) + 1))]
        yield np.median(bonds[some], axis=0), next(iter(states))


@functools.lru_cache(maxsize=8192)
def _crops_of(maker: TipCrops, number: int) -> tuple[_Crop, ...]:
    """Return the crops of one image of a pool."""
    rng = np.random.default_rng([71, number])
    if rng.random() < maker.foreign:
        image, pixel = maker.others(rng)
        found = bright_features(image, pixel)
        return tuple((crop.astype(np.float16), np.nan, 1.0) for crop in found.crops[:6])
    scan = maker.scans(rng)
    found = bright_features(scan.image, scan.pixel_nm)
    truths = [truth_at(scan, place) for place in found.places * scan.pixel_nm]
    return tuple(
        (crop.astype(np.float16), *truth) for crop, truth in zip(found.crops, truths, strict=True) if truth is not None
    )


@dataclass(frozen=True)
class TipState(TipSettings):
    """The state of the tip in one frame, by its features together."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects', 'frames' and 'parts' of one frame."""
        return read_tip(prediction, self)


#: New scans of the training's kind; half their signal; pixels and second apices outside the training's ranges.
SCANS = narrowed(StmScans())
OWN = TipScans("new scans", SCANS, 1200)
FAINT = TipScans("half the signal to noise", replace(SCANS, snr=(3.0, 20.0)), 150)
BEYOND = TipScans(
    "coarser pixels, nearer apices",
    replace(SCANS, pixel_nm=(0.2, 0.25), tips=replace(SCANS.tips, offset_nm=(0.5, 0.6))),
    150,
)
ORBITALS = TipScans("sums of orbitals", by_orbitals, 100)

RECIPE = Recipe(
    name="stm-tip",
    title="State of the STM tip",
    task=Task(
        question="Is the tip of the microscope sharp, double or blunt, as dangling bonds on H:Si(100) show it?",
        needs=("pixel_nm",),
        answers={"objects": FEATURES, "frames": SEEN, "parts": PARTS, "summary": HISTORY},
        reference="doi:10.1021/acsnano.8b02208",
    ),
    data=TipCrops(),
    model=NoNet(),
    objects=TipState(),
    summary=TipHistory(),
    checks=(
        single_accuracy(OWN, at_least=0.97),
        voted_accuracy(OWN, at_least=0.995),
        frame_accuracy(OWN, at_least=0.98),
        vote_calibration(OWN, at_most=0.05),
        false_alarms(OWN, at_most=0.01),
        apex_error(OWN, at_most_nm=0.1),
        foreign_auroc(OWN, at_least=0.95),
        single_accuracy(FAINT, at_least=0.92),
        voted_accuracy(FAINT, at_least=0.97),
        single_accuracy(BEYOND, at_least=0.90),
        voted_accuracy(BEYOND, at_least=0.95),
        single_accuracy(ORBITALS, at_least=0.92),
        voted_accuracy(ORBITALS, at_least=0.97),
        loop_steps(at_most=10.0),
        seconds_a_frame(SCANS, at_most_s=1.0),
    ),
)
