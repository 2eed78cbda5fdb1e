"""What an answer is worth: the F1 that columns found in an image are expected to reach, from the answer itself.

A network that sees badly says so in its maps, wherever the image comes from: scores that are neither high nor low,
peaks just below the threshold, blurred spots. How much such signs cost is learned on simulated images of other
microscopes (`validate.expecting`) and kept in the card of the weights. The idea is that of Garg et al. 2022,
arXiv:2201.04234; the distance of the features tells what a network is sure of and should not be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from micrograph.features.columns.peaks import find_peaks

Array = NDArray[np.float64]
#: In the card of weights.
CARD = "expected_f1"
#: A peak is a column from the higher score on; one that is none but might be has the lower at least.
FOUND, SEEN = 0.5, 0.02
#: Peaks of which nobody can say whether they are columns have scores between these.
_UNDECIDED = (0.1, 0.9)
#: Shares are not told apart nearer to 0 and 1 than this.
_LEAST = 0.005
#: Images farther from the training images than this are all alike.
_FAR = 2.0
#: Columns are at least so far apart (nm).
_APART_NM = 0.08
#: Doubt begins where the expected error is so many times that on training images, and so great at least.
TIMES_NOMINAL, LEAST_ERROR = 2.0, 0.1


def signs(maps: Sequence[NDArray[np.float32]], pixel_nm: float, distance: float) -> Array:
    """Return the six signs in score maps (h, w) of pixels of `pixel_nm`, one map a kind of column.

    Logits of the mean score of what was found and of its share in all that might be there; undecided peaks per column
    found; log entropy per pixel; log mean score; log `distance` of the features from those of the training images.
    """
    score = np.concatenate([find_peaks(one, SEEN, _APART_NM / pixel_nm).score for one in maps])
    columns = score[score > FOUND]
    undecided = int(((score > _UNDECIDED[0]) & (score < _UNDECIDED[1])).sum())
    p = np.clip(np.stack(maps).astype(float), 1e-6, 1 - 1e-6)
    entropy = float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()) * len(maps)
    return np.array(
        [
            logit(float(columns.mean()) if len(columns) else 0.0),
            logit(float(columns.sum() / score.sum()) if len(score) else 0.0),
            min(undecided / max(len(columns), 1), 10.0),
            np.log(entropy + 1e-6),
            np.log(float(p.mean()) * len(maps) + 1e-6),
            np.log(min(distance, _FAR) + 0.1),
        ]
    )


def logit(share: float) -> float:
    """Return the log odds of a share, finite at 0 and 1."""
    inside = float(np.clip(share, _LEAST, 1 - _LEAST))
    return float(np.log(inside / (1 - inside)))


@dataclass(frozen=True)
class Expected:
    """The F1 that follows from signs (K,): the sigmoid of `offset` + `weights` . (signs - centre) / spread.

    nominal: F1 on images as in training; images: how many taught it; error: mean absolute, on images left out.
    """

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float
    nominal: float
    images: int
    error: float

    def __call__(self, seen: Array) -> float:
        """Return the expected F1."""
        z = (seen - np.array(self.centre)) / np.array(self.spread) @ np.array(self.weights) + self.offset
        return float(1 / (1 + np.exp(-z)))

    @property
    def doubtful(self) -> float:
        """Below this expected F1 an image is out of domain."""
        return 1 - max(TIMES_NOMINAL * (1 - self.nominal), LEAST_ERROR)

    def notes(self, value: float) -> tuple[str, ...]:
        """Return a sentence where an expected F1 is to be doubted, else nothing."""
        if not value < self.doubtful:
            return ()
        return (
            f"Columns found in such an image are expected to reach an F1 of {value:.2f} (training images: "
            f"{self.nominal:.2f}): another microscope, too few electrons or another material; see micrograph mend.",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def expected_of(card: Mapping[str, Any]) -> Expected | None:
    """Return what a card says of expected F1, ``None`` where it says nothing."""
    found: Mapping[str, Any] | None = card.get(CARD)
    if found is None:
        return None
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    return Expected(**values)
