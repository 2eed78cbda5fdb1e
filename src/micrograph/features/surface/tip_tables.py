"""Tables of the tip: what each feature says, the state of the tip in each frame and part of it, its history."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import BadInput, Column, Flag, Frame, Prediction
from micrograph.features.surface.apices import Ghost, find_ghost
from micrograph.features.surface.bright import Bright, bright_features
from micrograph.features.surface.tip_look import Look, describe, shipped
from micrograph.features.surface.tip_vote import STATES, Part, evidence_of, parts_of, vote

Array = NDArray[np.float64]

#: What is said of a tip that too few features tell of, and of a feature that is no dangling bond.
CANNOT, OTHER = "cannot tell", "other"
#: What a feature may be.
KINDS = ("dangling bond", OTHER)
#: From so many dangling bonds on their median is looked at.
_TOGETHER = 3
_P = ("p_sharp", "p_double", "p_blunt")
_PROBABILITIES = (
    Column("p_sharp", "", "probability that the tip has one sharp apex"),
    Column("p_double", "", "probability that it has two or more apices that stand apart"),
    Column("p_blunt", "", "probability that it is wide"),
)
FEATURES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the feature, the clearest first"),
    Column("y_nm", "nm", "row position of the feature"),
    Column("x_nm", "nm", "column position of the feature"),
    Column("class", "", "state of the tip that this feature alone tells of; other: no dangling bond"),
    Column("score", "", "probability of the class"),
    *_PROBABILITIES,
    Column("p_dangling", "", "probability that the feature is a dangling bond"),
    Column("clear", "", "how many robust standard deviations the feature stands out of the surface"),
    Column(
        "distance", "", "distance from the features that the discriminant was fitted to; above 1 it is out of domain"
    ),
    Column("flags", "", "doubts, see the conventions"),
)
SEEN = (
    Column("count", "", "dangling bonds that vote"),
    Column("class", "", "state of the tip as the scan ended, or 'cannot tell'"),
    Column("score", "", "probability of the likeliest state"),
    *_PROBABILITIES,
    Column("p_bad", "", "probability that the tip is double or blunt; empty where it cannot be told"),
    Column("p_naive", "", "the same by the single features as if they were independent, for comparison"),
    Column("agree", "", "share of the voting features whose own class is that of the tip"),
    Column("share", "", "share of the bright features that are dangling bonds as in the training, one more against"),
    Column("parts", "", "2 where the tip changed within the scan, else 1"),
    Column("apex_nm", "nm", "distance of the second apex from the first; empty unless double", sigma="apex_sigma_nm"),
    Column(
        "apex_deg", "degree", "direction of the ghost, counter-clockwise on the screen from +x", sigma="apex_sigma_deg"
    ),
    Column("ghost", "", "height of the ghost over that of the feature", sigma="ghost_sigma"),
)
PARTS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the part, in the order of time"),
    Column("y_from_nm", "nm", "where the part begins"),
    Column("y_to_nm", "nm", "where it ends"),
    Column("class", "", "state of the tip in this part, or 'cannot tell'"),
    Column("score", "", "probability of the likeliest state"),
    Column("count", "", "dangling bonds that vote"),
    Column("flags", "", "doubts, see the conventions"),
)
HISTORY = (
    Column("class", "", "state of the tip in a row of frames, or 'cannot tell'"),
    Column("first", "", "first of the frames"),
    Column("last", "", "last of the frames"),
    Column("frames", "", "number of the frames"),
    Column("features", "", "dangling bonds that voted"),
    Column("score", "", "mean probability of the likeliest state"),
    Column("apex_nm", "nm", "mean distance of the second apex", sigma="apex_sigma_nm"),
)


@dataclass(frozen=True)
class TipSettings:
    """When the tip is judged.

    fewest: dangling bonds that a part of a frame needs; sure: probability that the likeliest state needs; share: see
    the column; scan: whether lines come from the top of the image or from its bottom.
    """

    fewest: int = 3
    sure: float = 0.9
    share: float = 0.2
    scan: Literal["down", "up"] = "down"

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be met."""
        if not (self.fewest >= 1 and 0 <= self.sure < 1 and 0 <= self.share < 1):
            raise BadInput(
                f"fewest is {self.fewest}, sure {self.sure} and share {self.share}: at least one feature and "
                "probabilities from 0 to below 1 were expected."
            )


def bright_in(frame: Frame) -> Bright:
    """Return the bright features of a frame; the last answer is kept, since view and tables begin with the same."""
    assert frame.calibration.pixel_nm is not None
    image = np.ascontiguousarray(frame.data, np.float32)
    return _bright_in(image.tobytes(), image.shape, frame.calibration.pixel_nm)


@functools.lru_cache(maxsize=1)
def _bright_in(content: bytes, shape: tuple[int, int], pixel_nm: float) -> Bright:
    return bright_features(np.frombuffer(content, np.float32).reshape(shape), pixel_nm)


@dataclass(frozen=True)
class Votes:
    """The features of a frame with what is said of each, in the order of time where they vote.

    voting (M,): numbers of the features that vote; parts: see `parts_of`, of these.
    """

    p: Array
    dangling: Array
    distance: Array
    voting: NDArray[np.intp]
    parts: tuple[Part, ...]
    share: float

    @staticmethod
    def of(bright: Bright, look: Look, scan: str) -> Votes:
        """Return what a look at the crops says of features that are told in time from the top, or from the bottom."""
        described = describe(bright.crops)
        p, dangling = look.tip.probabilities(described), look.kind.probabilities(described)[:, 0]
        distance = look.kind.distance(described)
        known = dangling / np.maximum(distance, 1.0) ** 2
        voting = np.flatnonzero(known >= 0.5)
        order = bright.places[voting, 0] * (1 if scan == "down" else -1)
        voting = voting[np.argsort(order, kind="stable")]
        parts = tuple(
            replace(part, p=look.joint(bright.crops[voting[part.first : part.last]]))
            if part.last - part.first >= _TOGETHER
            else part
            for part in parts_of(evidence_of(p[voting], known[voting]))
        )
        return Votes(p, dangling, distance, voting, parts, float(known.sum() / (len(known) + 1)))

    def naive_bad(self) -> float:
        """Return the probability of a bad tip in the last part if its features were independent."""
        chosen = self.voting[self.parts[-1].first : self.parts[-1].last]
        return 1 - float(vote(evidence_of(self.p[chosen], self.dangling[chosen]), alike=0.0)[0])


def read_tip(prediction: Prediction, settings: TipSettings, look: Look | None = None) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects', 'frames' and 'parts' of one frame; without a `look` by the one that ships."""
    frame, bright = prediction.frame, bright_in(prediction.frame)
    votes = Votes.of(bright, look or shipped(), settings.scan)
    told = [_told(part, votes, settings) for part in votes.parts]
    return {
        "objects": _objects(frame, bright, votes),
        "frames": pd.DataFrame([_row(bright, votes, told[-1], settings)]),
        "parts": _parts(frame, bright, votes, told, settings),
    }


def _told(part: Part, votes: Votes, settings: TipSettings) -> bool:
    """Return whether the state of the tip in a part can be told."""
    return bool(
        part.last - part.first >= settings.fewest and part.p.max() >= settings.sure and votes.share >= settings.share
    )


def _objects(frame: Frame, bright: Bright, votes: Votes) -> pd.DataFrame:
    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    state, other = votes.p.argmax(axis=1), votes.dangling < 0.5
    score = np.where(other, 1 - votes.dangling, votes.p.max(axis=1) if len(votes.p) else 0.0)
    doubt = np.where(score < 0.8, int(Flag.LOW_CONFIDENCE), 0) | np.where(
        votes.distance > 1, int(Flag.OUT_OF_DOMAIN), 0
    )
    many = len(bright)
    return pd.DataFrame(
        {
            "frame": np.full(many, frame.index, dtype=np.int64),
            "id": np.arange(many, dtype=np.int64),
            "y_nm": bright.places[:, 0] * pixel,
            "x_nm": bright.places[:, 1] * pixel,
            "class": pd.Series(np.where(other, OTHER, np.array(STATES)[state]), dtype=str),
            "score": score.astype(float),
            **dict(zip(_P, votes.p.T, strict=True)),
            "p_dangling": votes.dangling,
            "clear": bright.clear,
            "distance": votes.distance,
            "flags": doubt.astype(np.int64),
        }
    )


def _row(bright: Bright, votes: Votes, told: bool, settings: TipSettings) -> dict[str, Any]:
    """Return the row of table 'frames': the last part, in which the tip was as the scan ended."""
    part = votes.parts[-1]
    chosen = votes.voting[part.first : part.last]
    state = part.state if told else CANNOT
    ghost = find_ghost(bright.crops[np.sort(chosen)]) if state == "double" else None
    own = votes.p[chosen].argmax(axis=1)
    row: dict[str, Any] = {
        "count": len(chosen),
        "class": state,
        "score": float(part.p.max()),
        **dict(zip(_P, part.p.tolist(), strict=True)),
        "p_bad": 1 - float(part.p[0]) if told else np.nan,
        "p_naive": votes.naive_bad() if told else np.nan,
        "agree": float(np.mean(own == part.p.argmax())) if len(chosen) else np.nan,
        "share": votes.share,
        "parts": len(votes.parts),
        **_ghost_columns(ghost),
    }
    if not told:
        row |= {"flags": int(Flag.LOW_CONFIDENCE), "notes": _reason(len(chosen), votes, settings)}
    return row


def _reason(many: int, votes: Votes, settings: TipSettings) -> str:
    """Return in a sentence why the tip cannot be told."""
    if votes.share < settings.share and len(votes.p):
        return "The tip cannot be told: the bright features are not dangling bonds of H:Si(100) as a tip shows them."
    if many < settings.fewest:
        return f"The tip cannot be told: {many} dangling bonds are seen, at least {settings.fewest} are needed."
    return "The tip cannot be told: the features do not agree."


def _ghost_columns(ghost: Ghost | None) -> dict[str, float]:
    names = ("apex_nm", "apex_sigma_nm", "apex_deg", "apex_sigma_deg", "ghost", "ghost_sigma")
    if ghost is None:
        return dict.fromkeys(names, np.nan)
    values = (
        ghost.distance_nm, ghost.sigma_nm, ghost.angle_deg, ghost.angle_sigma_deg, ghost.height, ghost.height_sigma,
    )  # fmt: skip
    return dict(zip(names, values, strict=True))


def _parts(frame: Frame, bright: Bright, votes: Votes, told: list[bool], settings: TipSettings) -> pd.DataFrame:
    pixel, height = frame.calibration.pixel_nm or 1.0, frame.data.shape[0]
    begin, end = (0.0, height * pixel) if settings.scan == "down" else (height * pixel, 0.0)
    borders = [begin]
    for part in votes.parts[1:]:
        borders.append(float(bright.places[votes.voting[part.first - 1 : part.first + 1], 0].mean()) * pixel)
    rows = [
        {
            "frame": frame.index,
            "id": number,
            "y_from_nm": start,
            "y_to_nm": stop,
            "class": part.state if sure else CANNOT,
            "score": float(part.p.max()),
            "count": part.last - part.first,
            "flags": 0 if sure else int(Flag.LOW_CONFIDENCE),
        }
        for number, (part, sure, start, stop) in enumerate(
            zip(votes.parts, told, borders, [*borders[1:], end], strict=True)
        )
    ]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Stretch:
    """Frames in a row with one state of the tip; sums of scores, of features, of apices over and one over sigma^2."""

    state: str
    first: int
    last: int
    frames: int = 0
    features: int = 0
    score: float = 0.0
    apex: float = 0.0
    weight: float = 0.0

    def with_row(self, frame: int, row: Any) -> Stretch:
        """Return the stretch with one more frame."""
        sigma = float(row["apex_sigma_nm"])
        weight = 1 / sigma**2 if np.isfinite(sigma) and sigma > 0 else 0.0
        return replace(
            self,
            last=frame,
            frames=self.frames + 1,
            features=self.features + int(row["count"]),
            score=self.score + float(row["score"]),
            apex=self.apex + (weight * float(row["apex_nm"]) if weight else 0.0),
            weight=self.weight + weight,
        )


@dataclass(frozen=True)
class TipHistory:
    """Fold of 'frames' into one row a stretch of frames with the same state of the tip."""

    def start(self) -> tuple[Stretch, ...]:
        """Return the state before the first frame."""
        return ()

    def step(self, state: tuple[Stretch, ...], tables: Mapping[str, pd.DataFrame]) -> tuple[Stretch, ...]:
        """Return the state after one more frame."""
        row = tables["frames"].iloc[0]
        frame, name = int(row["frame"]), str(row["class"])
        if state and state[-1].state == name:
            return (*state[:-1], state[-1].with_row(frame, row))
        return (*state, Stretch(name, frame, frame).with_row(frame, row))

    def result(self, state: tuple[Stretch, ...]) -> dict[str, pd.DataFrame]:
        """Return the table 'summary' (`HISTORY`)."""
        weight = np.array([one.weight for one in state], float)
        with np.errstate(divide="ignore", invalid="ignore"):
            apex, sigma = np.array([one.apex for one in state], float) / weight, 1 / np.sqrt(weight)
        known = weight > 0
        rows = {
            "class": pd.Series([one.state for one in state], dtype=str),
            **{name: np.array([getattr(one, name) for one in state], np.int64)
               for name in ("first", "last", "frames", "features")},
            "score": np.array([one.score / one.frames for one in state], float),
            "apex_nm": np.where(known, apex, np.nan),
            "apex_sigma_nm": np.where(known, sigma, np.nan),
        }  # fmt: skip
        return {"summary": pd.DataFrame(rows)}
