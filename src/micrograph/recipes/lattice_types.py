"""Which type of lattice is where in a STEM or STM image.   doi:10.1038/s41524-018-0086-7"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from micrograph.core import Prediction, Task
from micrograph.features.lattices.lattice_map import SEEN, SHARES, WINDOWS, TypeSettings, TypeShares, read_types
from micrograph.nets import NoNet
from micrograph.run import Recipe
from micrograph.simulate.scanning.lattice_images import LatticeImages
from micrograph.validate import Trial
from micrograph.validate.lattices.lattice_type_checks import (
    Images,
    cell_coverage,
    multislice_types,
    noise_told,
    seconds_a_frame,
    type_accuracy,
    type_calibration,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Types(TypeSettings):
    """Types of lattice of a frame, window by window."""

    def __call__(self, prediction: Prediction) -> Mapping[str, "pd.DataFrame"]:
        """Return the tables 'objects' and 'frames' of one frame."""
        return read_types(prediction.frame, self)


IMAGES = LatticeImages()
OWN = Images("peak SNR 5", IMAGES, 2000)
FAINT = Images("peak SNR 2.5", replace(IMAGES, snr=(2.5, 2.501)), 1000)
WIDE = Images("twice the spacing", replace(IMAGES, side_px=320, spacing_px=(16.0, 26.0)), 250)
HEXAGONAL = Trial(
    (
        *(f"graphene_displaced_{number}" for number in range(4)),
        "tmd_wse2_0", "tmd_wse2_1", "tmd_ws2_0", "tmd_mose2_0", "tmd_mos2_0", "tmd_mos2_1",
    ),
    1e5,
    repeats=6,
)  # fmt: skip
MULTISLICE = (
    ("hexagonal", HEXAGONAL),
    ("square", Trial(("srtio3_001",), 1e5, repeats=40)),
    ("centred rectangular", Trial(("silicon_110",), 1e5, repeats=40)),
)

RECIPE = Recipe(
    name="lattice-types",
    title="Types of lattice",
    task=Task(
        question="Which type of lattice is where in an image, how surely, and what are its vectors?",
        needs=("pixel_nm",),
        answers={"objects": WINDOWS, "frames": SEEN, "summary": SHARES},
        reference="doi:10.1038/s41524-018-0086-7",
    ),
    data=IMAGES,
    model=NoNet(),
    objects=Types(),
    summary=TypeShares(),
    checks=(
        type_accuracy(OWN, at_least=0.97, clear=True),
        type_accuracy(OWN, at_least=0.97),
        type_calibration(OWN, at_most=0.03),
        cell_coverage(OWN, at_least=0.9),
        noise_told(OWN, at_least=0.99),
        type_accuracy(FAINT, at_least=0.95, clear=True),
        type_calibration(FAINT, at_most=0.05),
        type_accuracy(WIDE, at_least=0.97, clear=True),
        multislice_types(MULTISLICE, at_least=0.9),
        seconds_a_frame(IMAGES, at_most_s=1.0),
    ),
)
