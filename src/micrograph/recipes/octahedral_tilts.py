"""Tilts of the octahedra of perovskites from annular bright-field images along [110].   arXiv:1902.06876"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from micrograph.core import Frame, Prediction, Sample, Sites, Task
from micrograph.features.lattices.tilts import (
    CELLS,
    PAIRS,
    SEEN,
    SUMMARY,
    TURNS,
    TiltShares,
    cells_of,
    read_tilts,
    truth_of,
)
from micrograph.features.lattices.unit_cells import SIDE, centre_of, moved, parted, sharp_part
from micrograph.infer.encoders import Views
from micrograph.nets import EncoderSpec
from micrograph.nets.encoder_spec import classes, values
from micrograph.run import Recipe
from micrograph.simulate.tilt_images import TiltImages
from micrograph.simulate.tilt_scans import TiltScan
from micrograph.train import TrainSettings
from micrograph.validate.claim_checks import intervals_cover
from micrograph.validate.claims import Trust
from micrograph.validate.lattices.tilt_checks import (
    ASKED,
    TiltTrial,
    angle_error,
    bloch_difference,
    interval_coverage,
    pattern_accuracy,
    seconds_a_frame,
    set_coverage,
)
from micrograph.validate.lattices.tilt_claims import ANGLES, tilted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TiltPatches:
    """Patches to learn from: a random view of a crystal, moved, mirrored and noisy, brought to the common frame.

    noise: 1-sigma of a sample over the patch's contrast, log-uniform; distortion: 1-sigma of its shear and stretch.
    """

    images: TiltImages = field(default_factory=TiltImages)
    noise: tuple[float, float] = (2e-3, 0.3)
    distortion: float = 0.002

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Return the four parts (4, SIDE / 2, SIDE / 2) of a patch with the truth of its tilts."""
        cell = self.images(rng)
        grid = np.arange(SIDE) / SIDE
        shift, mirror = rng.uniform(size=2), rng.choice([-1.0, 1.0], 2)
        image = cell.sampled(mirror[0] * grid + shift[0], mirror[1] * grid + shift[1])
        spread = float(image.std())
        noise = float(np.exp(rng.uniform(*np.log(self.noise))))
        noisy = sharp_part(image + rng.normal(0, noise * spread, image.shape))
        seen = parted(moved(noisy, centre_of(noisy)))
        none = Sites(np.zeros(0), np.zeros(0), np.zeros(0, np.str_))
        truth = truth_of(cell.tilts.signs, np.array(cell.tilts.angles_deg))
        params = {**cell.params, "log_noise": float(np.log10(noise))}
        return Sample(seen, cell.cell_nm[0] / SIDE, none, params=params, truth=truth)

    def domain(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that a card shows."""
        ranges = self.images.ranges
        names = ("angle_deg", "convergence_mrad", "mistilt_mrad", "thickness_nm", "defocus_nm", "source_fwhm_nm")
        return {name: getattr(ranges, name) for name in names} | {"noise": self.noise, "voltage_kV": (200.0, 200.0)}


def look(frame: Frame) -> Views:
    """Return what the network sees of a frame: the patch of the whole image, then that of every doubled cell."""
    patches = cells_of(frame).patches
    images = np.array([parted(patch.image) for patch in patches], np.float32).reshape(-1, 4, SIDE // 2, SIDE // 2)
    noise = np.log10(np.clip([patch.noise for patch in patches], 1e-3, 1.0)) if patches else np.zeros(0)
    return Views(images, {"log_noise": noise})


@dataclass(frozen=True)
class Tilts:
    """The tilts of every doubled cell, averaged with its neighbours, and of the whole image."""

    def __call__(self, prediction: Prediction) -> Mapping[str, pd.DataFrame]:
        """Return the tables 'objects' and 'frames' of one frame."""
        return read_tilts(prediction)


MODEL = EncoderSpec(
    heads=(
        classes("pair", PAIRS),
        classes("turn", TURNS),
        values("angles", (0.0, 12.0), (0.0, 12.0), (0.0, 12.0)),
    ),
    side=SIDE // 2,
    channels=4,
    base=16,
    levels=2,
    hidden=128,
    pool="grid",
    contrast="none",
    known=(("log_noise", -3.0, 0.0),),
    weights="tilts-1",
)
OWN = TiltTrial("SrTiO3", number=40, bounds=5)
OTHER = TiltTrial("CaTiO3 and LSMO", replace(ASKED, chemistries=(("CaTiO3", 0.5), ("LSMO", 0.5))), number=24)
#: Beyond what was learned from: thicker, farther out of focus, half the dose on coarser pixels.
FARTHER = TiltTrial(
    "thicker, out of focus, half the dose",
    replace(ASKED, thickness_nm=(30.0, 36.0), defocus_nm=(5.0, 7.0)),
    number=20,
    scan=TiltScan(field_nm=4.5, pixel_nm=(0.02, 0.021), dose_e_per_A2=(5e4, 5.1e4)),
)
MULTISLICE = TiltTrial("SrTiO3 by multislice", multislice=("SrTiO3",))
OTHER_MULTISLICE = TiltTrial("CaTiO3 and LSMO by multislice", multislice=("CaTiO3", "LSMO"))

TRUST = Trust(
    tilted(OWN),
    ANGLES,
    shifted=(
        ("half the dose", tilted(replace(OWN, scan=TiltScan(field_nm=4.5, dose_e_per_A2=(5e4, 5.1e4))))),
        ("larger pixels", tilted(replace(OWN, scan=TiltScan(field_nm=4.5, pixel_nm=(0.02, 0.021))))),
        ("thicker, out of focus", tilted(FARTHER)),
    ),
    frames=800,
    fresh=800,
    farther=40,
)
RECIPE = Recipe(
    name="octahedral-tilts",
    title="Tilts of octahedra",
    task=Task(
        question="How are the octahedra of a perovskite tilted, in phase or out of phase, in each cell along [110]?",
        needs=("pixel_nm",),
        answers={"objects": CELLS, "frames": SEEN, "summary": SUMMARY},
        reference="arXiv:1902.06876",
    ),
    data=TiltPatches(),
    model=MODEL,
    objects=Tilts(),
    summary=TiltShares(),
    view=look,
    checks=(
        angle_error(OWN, at_most=0.5),
        pattern_accuracy(OWN, at_least=0.95),
        set_coverage(OWN, at_least=0.95),
        interval_coverage(OWN, at_least=0.9),
        angle_error(OTHER, at_most=1.0),
        pattern_accuracy(OTHER, at_least=0.9),
        angle_error(FARTHER, at_most=1.0),
        pattern_accuracy(FARTHER, at_least=0.85),
        angle_error(MULTISLICE, at_most=1.0),
        pattern_accuracy(MULTISLICE, at_least=0.8),
        angle_error(OTHER_MULTISLICE, at_most=1.5),
        bloch_difference("SrTiO3", at_most=0.15),
        seconds_a_frame(OWN, at_most_s=1.0),
        *intervals_cover(TRUST),
    ),
    trust=TRUST,
    # The shipped weights learned 900, 1600 and 9000 steps more from themselves, with noise up to 0.15, the last of them
    # on 6,000 crystals.
    training=TrainSettings(
        steps=4000, batch=64, reuse=4, learning_rate=3e-3, weight_decay=1e-2, calibration_samples=1500
    ),
)
