"""Tilts of octahedra, cell by cell: from patches of a perovskite along [110] to angles, signs and tables.

Along [110] the axes x and y look alike: their tilts are a pair without an order, here out-of-phase tilts come first,
then in-phase ones, and the greater of two alike. Out-of-phase tilts of the pair move whole columns of oxygen to and
fro; in-phase ones, and those about [001] of either sign, only widen columns. In phase and out of phase about [001] have
the same projection: such a tilt is '±' unless something else (shifted A sites) tells its sign.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from micrograph.core import Column, Flag, Frame, Prediction
from micrograph.features.lattices.unit_cells import Cells, Patch, find_axes

Array = NDArray[np.float64]

#: Signs of the pair of axes in the plane at 45 degrees to the beam, and of [001].
PAIRS = ("00", "+0", "-0", "++", "-+", "--")
TURNS = ("0", "+", "-")
#: Sign of a tilt about [001] that is there and is not told; how likely a sign must be to be told.
EITHER, TOLD = "±", 0.9
#: All patterns, pair first; what is answered may also end in '±'.
PATTERNS = tuple(pair + turn for pair in PAIRS for turn in TURNS)
ANSWERS = tuple(pair + turn for pair in PAIRS for turn in (*TURNS, EITHER))
#: Cells around each that are averaged with it, and how likely the patterns of a set hold the truth.
REACH, SURE = 1, 0.95
_ANGLES = ("a_deg", "b_deg", "c_deg")

ANGLES = (
    Column("a_deg", "degree", "tilt about the first of the axes [100] and [010], magnitude", sigma="a_sigma_deg"),
    Column("b_deg", "degree", "tilt about the other of them, magnitude", sigma="b_sigma_deg"),
    Column("c_deg", "degree", "tilt about [001], magnitude", sigma="c_sigma_deg"),
)
ANSWER = (
    Column(
        "class",
        "",
        "likeliest signs about a, b, c: + in phase, - out of phase, 0 none, ± either; a and b may change places",
    ),
    Column("score", "", "probability of the class"),
    Column("glazer", "", "the same as Glazer writes it; equal letters are angles that agree within two sigma"),
    Column("patterns", "", "signs that together hold the truth with 95 % probability"),
)
CELLS = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the doubled cell"),
    Column("y_nm", "nm", "row position of its middle"),
    Column("x_nm", "nm", "column position of its middle"),
    *ANSWER,
    *ANGLES,
    Column("noise", "", "1-sigma of a sample of the averaged patch over its contrast"),
    Column("flags", "", "doubts, see the conventions"),
)
SEEN = (
    Column("count", "", "doubled cells in the map"),
    *ANSWER,
    *ANGLES,
    Column("along_nm", "nm", "pseudo-cubic spacing along [001]"),
    Column("across_nm", "nm", "pseudo-cubic spacing in the plane: that along [-110] over the root of two"),
    Column("direction_deg", "degree", "direction of [001], counter-clockwise on the screen from +x, 0 to 180"),
    Column("clear", "", "how much stronger the spectrum is on the lattice than off it"),
    Column("noise", "", "1-sigma of a sample of the averaged patch over its contrast"),
)
SUMMARY = (
    Column("name", "", "signs about a, b, c"),
    Column("share", "", "mean probability over the frames"),
    *(Column(one.name, one.unit, "mean over the frames of this pattern", one.sigma) for one in ANGLES),
    Column("frames", "", "frames that count"),
)


@dataclass(frozen=True)
class Seen:
    """What is looked at in one frame: the patch of the whole image, then one a doubled cell with its place (y, x)."""

    cells: Cells | None
    patches: tuple[Patch, ...]
    middles_nm: Array


def cells_of(frame: Frame) -> Seen:
    """Return the patches of a frame; none where there is no lattice of a perovskite along [110].

    The last answer is kept: the network's view of a frame and its tables begin with the same.
    """
    assert frame.calibration.pixel_nm is not None
    image = np.ascontiguousarray(frame.data, np.float32)
    return _cells_of(image.tobytes(), image.shape, frame.calibration.pixel_nm)


@functools.lru_cache(maxsize=1)
def _cells_of(content: bytes, shape: tuple[int, int], pixel: float) -> Seen:
    image = np.frombuffer(content, np.float32).reshape(shape)
    axes = find_axes(image, pixel)
    nothing = Seen(None, (), np.empty((0, 2)))
    if axes is None:
        return nothing
    cells = Cells.of(image, pixel, axes)
    whole = cells.whole()
    if whole is None:
        return nothing
    windows = cells.windows(REACH)
    middles = np.array([middle for _, middle in windows]).reshape(-1, 2)
    return Seen(cells, (whole, *(patch for patch, _ in windows)), middles)


def ordered(signs: str, angles_deg: Array) -> tuple[str, Array]:
    """Return three signs and magnitudes (3,) with the pair of axes in the order of `PAIRS`."""
    angle = np.where([sign == "0" for sign in signs], 0.0, np.abs(angles_deg))
    swap = ("-+0".index(signs[1]), -angle[1]) < ("-+0".index(signs[0]), -angle[0])
    return (signs[1] + signs[0] + signs[2], angle[[1, 0, 2]]) if swap else (signs, angle)


def truth_of(signs: str, angles_deg: Array) -> dict[str, float | Array]:
    """Return what is to be answered of a crystal: the places of its pair and turn, and the ordered angles (3,)."""
    signs, angle = ordered(signs, angles_deg)
    return {"pair": float(PAIRS.index(signs[:2])), "turn": float(TURNS.index(signs[2])), "angles": angle}


def read_tilts(prediction: Prediction) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects' and 'frames' of one frame."""
    seen = cells_of(prediction.frame)
    rows = [_answer(prediction.values, number) | {"noise": patch.noise} for number, patch in enumerate(seen.patches)]
    if not rows:
        blank = {column.name: np.nan for column in (*SEEN, *ANGLES)} | {column.sigma: np.nan for column in ANGLES}
        note = "No lattice of a perovskite along [110] is seen: a pseudo-cubic cell of 0.36 to 0.43 nm is looked for."
        frames = pd.DataFrame(
            [
                blank
                | dict.fromkeys(("class", "glazer", "patterns"), "")
                | {"count": 0, "flags": int(Flag.NO_FIT), "notes": note}
            ]
        )
        return {"objects": pd.DataFrame(_empty()), "frames": frames}
    objects = pd.DataFrame(rows[1:]) if len(rows) > 1 else pd.DataFrame(_empty())
    if len(rows) > 1:
        objects.insert(0, "id", np.arange(len(objects), dtype=np.int64))
        objects.insert(1, "y_nm", seen.middles_nm[:, 0])
        objects.insert(2, "x_nm", seen.middles_nm[:, 1])
        distance = prediction.values["domain_distance"][1:]
        doubt = np.where(objects["score"] < 0.5, int(Flag.LOW_CONFIDENCE), 0)
        objects["flags"] = (doubt | np.where(distance > 1, int(Flag.OUT_OF_DOMAIN), 0)).astype(np.int64)
    assert seen.cells is not None
    frame = rows[0] | {"count": len(objects)} | _lattice_row(seen.cells)
    return {"objects": objects, "frames": pd.DataFrame([frame])}


def _lattice_row(cells: Cells) -> dict[str, float]:
    along, across = cells.axes.cubic_nm
    vector = cells.axes.cell[0]
    return {
        "along_nm": along,
        "across_nm": across,
        "direction_deg": float(np.degrees(np.arctan2(-vector[0], vector[1])) % 180),
        "clear": cells.axes.clear,
    }


def _empty() -> dict[str, pd.Series[Any]]:
    texts = {"class", "glazer", "patterns"}
    names = [name for one in CELLS for name in (one.name, one.sigma) if name and name != "frame"]
    kinds = {name: "str" if name in texts else "int64" if name in ("id", "flags") else "float64" for name in names}
    return {name: pd.Series(dtype=kind) for name, kind in kinds.items()}


def _answer(values: Mapping[str, Array], number: int) -> dict[str, Any]:
    """Return what an encoder says of patch `number`."""
    joint = np.multiply.outer(values["pair"][number], values["turn"][number]).ravel()
    order = np.argsort(-joint, kind="stable")
    best, score = _likeliest(values["pair"][number], values["turn"][number])
    enough = int(np.searchsorted(np.cumsum(joint[order]), SURE)) + 1
    angle, covariance = values["angles"][number], values["angles_covariance"][number]
    none = np.array([sign == "0" for sign in best])
    shown = np.where(none, 0.0, np.abs(angle))
    sigma = np.sqrt(np.diag(covariance) + np.where(none, angle**2, 0.0))
    row: dict[str, Any] = {
        "class": best,
        "score": score,
        "glazer": glazer_symbol(best, shown, covariance),
        "patterns": " ".join(PATTERNS[place] for place in order[:enough]),
    }
    for name, value, error in zip(_ANGLES, shown, sigma, strict=True):
        row[name] = float(value)
        row[name.replace("_deg", "_sigma_deg")] = float(error)
    return row


def _likeliest(pair: Array, turn: Array) -> tuple[str, float]:
    """Return the likeliest signs, '±' for a tilt about [001] whose sign is not told, and how likely they are."""
    at, tilted = int(np.argmax(pair)), float(turn[1] + turn[2])
    if turn[0] >= tilted:
        return PAIRS[at] + "0", float(pair[at] * turn[0])
    sign = int(np.argmax(turn[1:])) + 1
    told = turn[sign] >= TOLD * tilted
    return PAIRS[at] + (TURNS[sign] if told else EITHER), float(pair[at] * (turn[sign] if told else tilted))


def glazer_symbol(signs: str, angles_deg: Array, covariance: Array) -> str:
    """Return Glazer's symbol: tilts that differ by less than two sigma of their difference have one letter."""
    letters = ["a", "b", "c"]
    for later in (1, 2):
        for earlier in range(later):
            if "0" in (signs[later], signs[earlier]):
                alike = signs[later] == signs[earlier] == "0"
            else:
                pair = covariance[earlier, earlier] + covariance[later, later] - 2 * covariance[earlier, later]
                alike = abs(angles_deg[later] - angles_deg[earlier]) < 2 * np.sqrt(max(pair, 0.0))
            if alike:
                letters[later] = letters[earlier]
                break
    return "".join(letter + sign for letter, sign in zip(letters, signs, strict=True))


@dataclass(frozen=True)
class Sums:
    """Running sums over frames, by answer: probabilities, numbers, angles over and one over sigma squared."""

    frames: int = 0
    share: Array = field(default_factory=lambda: np.zeros(len(ANSWERS)))
    number: Array = field(default_factory=lambda: np.zeros(len(ANSWERS)))
    angle: Array = field(default_factory=lambda: np.zeros((len(ANSWERS), 3)))
    weight: Array = field(default_factory=lambda: np.zeros((len(ANSWERS), 3)))


@dataclass(frozen=True)
class TiltShares:
    """Fold of 'frames' into one row a pattern that was likeliest in a frame: its share and its mean angles."""

    def start(self) -> Sums:
        """Return the state before the first frame."""
        return Sums()

    def step(self, state: Sums, tables: Mapping[str, pd.DataFrame]) -> Sums:
        """Return the state after one more frame; one without a lattice does not count."""
        row = tables["frames"].iloc[0]
        if row["class"] not in ANSWERS:
            return state
        at = ANSWERS.index(str(row["class"]))
        share, number, angle, weight = (part.copy() for part in (state.share, state.number, state.angle, state.weight))
        share[at] += float(row["score"])
        number[at] += 1
        values = np.array([row[name] for name in _ANGLES], float)
        sigma = np.array([row[name.replace("_deg", "_sigma_deg")] for name in _ANGLES], float)
        angle[at] += values / sigma**2
        weight[at] += 1 / sigma**2
        return Sums(state.frames + 1, share, number, angle, weight)

    def result(self, state: Sums) -> dict[str, pd.DataFrame]:
        """Return the table 'summary', the commonest pattern first."""
        order = [int(at) for at in np.argsort(-state.share, kind="stable") if state.number[at]]
        rows: dict[str, Any] = {
            "name": pd.Series([ANSWERS[at] for at in order], dtype=str),
            "share": np.array([state.share[at] / state.frames for at in order], float),
        }
        for axis, name in enumerate(_ANGLES):
            weight = state.weight[order, axis]
            rows[name] = state.angle[order, axis] / weight
            rows[name.replace("_deg", "_sigma_deg")] = 1 / np.sqrt(weight)
        rows["frames"] = state.number[order].astype(np.int64)
        return {"summary": pd.DataFrame(rows)}
