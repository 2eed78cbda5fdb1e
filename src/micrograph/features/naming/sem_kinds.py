"""Tables of images that were sorted into kinds as a whole: which kind, how surely, more than one, or none."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Prediction

if TYPE_CHECKING:
    import pandas as pd

    from micrograph.core import Frame

Array = NDArray[np.float64]

#: What is called no kind, and why.
NONE, UNSURE = "none of these", "unsure"
#: Answers of the network: the kind, whether there are several, whether it is none.
CATEGORY, SEVERAL, FOREIGN = "category", "several", "foreign"
#: Squares overlap by a third at least.
_OVERLAP = 1.5
#: Side of the small pictures of examples, and how many of each kind are kept.
PICTURE_PX, EXAMPLES = 64, 8

KINDS = (
    Column("class", "", f"likeliest kind; '{NONE}' or '{UNSURE}' where the image is called no kind"),
    Column("probability", "", "calibrated probability of the likeliest kind, if it is one of them"),
    Column("nearest", "", "likeliest kind, whatever was called"),
    Column("second", "", "next likeliest kind"),
    Column("second_probability", "", "probability of that"),
    Column("more_than_one", "", "1 where two kinds are in the image, else 0"),
    Column("more_than_one_probability", "", "probability of that"),
    Column("none_probability", "", "probability that the image shows none of the kinds"),
    Column("certainty", "", "by which images are ranked: probability of one single kind that is the likeliest"),
    Column("domain_distance", "", "distance from the images that were learned from over their border"),
)
SEEN = (
    Column("count", "", "kinds that were found in the image: 0, 1 or 2"),
    Column("class", "", "likeliest kind"),
    Column("probability", "", "its probability"),
)
CHANCES = (Column("class", "", "kind"), Column("probability", "", "mean over the views of the image"))
SHARES = (
    Column("class", "", "kind"),
    Column("count", "", "images called so"),
    Column("share", "", "their share of all images"),
    Column("share_low", "", "lower end of its 95 % interval, as if all images were independent"),
    Column("share_high", "", "upper end of its 95 % interval"),
    Column("more_than_one", "", "those among them that show another kind too"),
    Column("probability", "", "mean probability of the likeliest kind"),
)
EXAMPLE = (
    Column("class", "", "kind"),
    Column("frame", "", "number of the image"),
    Column("probability", "", "probability of its likeliest kind"),
    Column("more_than_one", "", "1 where it shows another kind too"),
    Column("picture", "", f"the image at {PICTURE_PX} x {PICTURE_PX} grey values of one byte, as base64"),
)
ANSWERS = {"objects": KINDS, "frames": SEEN, "probabilities": CHANCES, "summary": SHARES, "examples": EXAMPLE}


def squares(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squares (N, s, s), s the shorter side, that cover an image (H, W) of any shape, and each mirrored."""
    height, width = image.shape
    side = min(height, width)
    number = 1 if max(height, width) < 1.1 * side else int(np.ceil(_OVERLAP * (max(height, width) / side - 1))) + 1
    tops = np.rint(np.linspace(0, height - side, number)).astype(int)
    lefts = np.rint(np.linspace(0, width - side, number)).astype(int)
    parts = [image[top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True)]
    return np.asarray([turned for part in parts for turned in (part, part[:, ::-1], part[::-1])], np.float32)


@dataclass(frozen=True)
class KindSettings:
    """When an image is called what.

    certainty: probability below which the kind is unsure; several, none: probability from which on an image shows more
    than one kind, and none of them.
    """

    certainty: float = 0.5
    several: float = 0.5
    none: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not all(0 <= one <= 1 for one in (self.certainty, self.several, self.none)):
            raise ValueError("certainty, several and none are probabilities: they must lie between 0 and 1")


def read_kinds(prediction: Prediction, settings: KindSettings) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects', 'frames', 'probabilities' and '_picture' of one image.

    The kinds are those that the weights know. Weights that do not tell whether there are several kinds, or none,
    leave these chances 0.
    """
    import pandas as pd

    category = CATEGORY if CATEGORY in prediction.labels else next(iter(prediction.labels))
    labels, chances = prediction.labels[category], prediction.values[category].mean(axis=0)
    several, none = (_chance(prediction, name) for name in (SEVERAL, FOREIGN))
    order = np.argsort(-chances, kind="stable")
    best, second = int(order[0]), int(order[min(1, len(order) - 1)])
    sure = chances[best] >= settings.certainty or several >= settings.several
    called = NONE if none >= settings.none else labels[best] if sure else UNSURE
    both = int(several >= settings.several and called != NONE)
    flags = (Flag.OUT_OF_DOMAIN if called == NONE else Flag.OK) | (Flag.OK if sure else Flag.LOW_CONFIDENCE)
    row = {
        "class": called,
        "probability": float(chances[best]),
        "nearest": labels[best],
        "second": labels[second],
        "second_probability": float(chances[second]),
        "more_than_one": both,
        "more_than_one_probability": several,
        "none_probability": none,
        "certainty": float(chances[best]) * (1 - several) * (1 - none),
        "domain_distance": float(prediction.domain_distance),
        "flags": int(flags),
    }
    frame = {"count": 0 if called == NONE else 1 + both, "class": called, "probability": row["probability"]}
    picture = pd.DataFrame([{"picture": as_text(small(prediction.frame)), "frame": prediction.frame.index}])
    table = pd.DataFrame({"class": list(labels), "probability": chances})
    return {
        "objects": pd.DataFrame([row]),
        "frames": pd.DataFrame([frame]),
        "probabilities": table,
        "_picture": picture,
    }


def _chance(prediction: Prediction, name: str) -> float:
    """Return the mean probability of 'yes' (the last label) over the views, 0 where the weights do not tell."""
    return float(prediction.values[name][:, -1].mean()) if name in prediction.labels else 0.0


def small(frame: Frame) -> NDArray[np.uint8]:
    """Return the middle square of a frame as a small picture (PICTURE_PX, PICTURE_PX), contrast stretched."""
    image = np.nan_to_num(np.asarray(frame.data, np.float32))
    side = min(image.shape)
    top, left = ((n - side) // 2 for n in image.shape)
    square = image[top : top + side, left : left + side]
    edges = np.linspace(0, side, PICTURE_PX + 1).astype(int)
    starts = np.minimum(edges[:-1], side - 1)
    sizes = np.maximum(np.diff(edges), 1)
    sums = np.add.reduceat(np.add.reduceat(square, starts, axis=0), starts, axis=1)
    mean = sums / sizes[:, None] / sizes[None] if side >= PICTURE_PX else square[np.ix_(starts, starts)]
    low, high = np.percentile(mean, [0.5, 99.5])
    return np.asarray(np.clip((mean - low) / max(float(high - low), 1e-9), 0, 1) * 255, np.uint8)


def as_text(picture: NDArray[np.uint8]) -> str:
    """Return a small picture as text."""
    return base64.b64encode(picture.tobytes()).decode("ascii")


def as_picture(text: str) -> NDArray[np.uint8]:
    """Return the small picture (PICTURE_PX, PICTURE_PX) that `as_text` wrote."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(PICTURE_PX, PICTURE_PX)


@dataclass(frozen=True)
class Counted:
    """What is kept of a kind: images, those of more than one kind, the sum of their probabilities, a few examples."""

    count: int = 0
    several: int = 0
    chance: float = 0.0
    examples: tuple[dict[str, object], ...] = field(default=())


@dataclass(frozen=True)
class KindShares:
    """The fold: how many images of each kind, with the first few of each as small pictures."""

    def start(self) -> dict[str, Counted]:
        """Return the state before the first frame."""
        return {}

    def step(self, state: dict[str, Counted], tables: Mapping[str, pd.DataFrame]) -> dict[str, Counted]:
        """Return the state after one more image."""
        counted = {name: state.get(str(name), Counted()) for name in (*tables["probabilities"]["class"], *state)}
        row, picture = tables["objects"].iloc[0], tables["_picture"].iloc[0]
        name, chance, both = str(row["class"]), float(row["probability"]), int(row["more_than_one"])
        old = counted.get(name, Counted())
        examples = old.examples
        if len(examples) < EXAMPLES:
            shown = {"class": name, "frame": int(picture["frame"]), "probability": chance, "more_than_one": both}
            examples = (*examples, {**shown, "picture": str(picture["picture"])})
        return counted | {name: Counted(old.count + 1, old.several + both, old.chance + chance, examples)}

    def result(self, state: Mapping[str, Counted]) -> Mapping[str, pd.DataFrame]:
        """Return 'summary', one row a kind, and 'examples'."""
        import pandas as pd

        names = sorted(state, key=lambda name: (name in (NONE, UNSURE), name))
        kept = [state[name] for name in names]
        counts, total = np.array([one.count for one in kept], float), sum(one.count for one in kept)
        share = counts / total if total else np.full(len(counts), np.nan)
        low, high = _ends(counts, total)
        several, chance = (np.array([getattr(one, name) for one in kept], float) for name in ("several", "chance"))
        summary = {
            "class": pd.Series(names, dtype="object"),
            "count": counts.astype(np.int64),
            "share": share,
            "share_low": low,
            "share_high": high,
            "more_than_one": several.astype(np.int64),
            "probability": np.divide(chance, counts, out=np.full(len(counts), np.nan), where=counts > 0),
        }
        rows = [row for one in kept for row in one.examples]
        examples = pd.DataFrame(rows, columns=[column.name for column in EXAMPLE])
        return {"summary": pd.DataFrame(summary), "examples": examples}


def _ends(counts: Array, total: int) -> tuple[Array, Array]:
    """Return the ends of the 95 % intervals (Jeffreys) of shares."""
    from scipy.stats import beta

    low, high = (beta.ppf(q, counts + 0.5, max(total, 1) - counts + 0.5) for q in (0.025, 0.975))
    return np.where(counts > 0, low, 0.0), np.where(counts < total, high, 1.0)
