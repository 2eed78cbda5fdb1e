"""Nanotubes of one frame as tables: where they are, their diameter and chiral angle, and which (n, m) they may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from micrograph.core import Column, Flag, Frame
from micrograph.features.tubes.tube_fit import (
    FOCI_NM,
    Measured,
    Posterior,
    Priors,
    TubeFit,
    compared,
    guesses,
    measured,
    posterior,
    rings,
)
from micrograph.features.tubes.tube_model import Beam, Place
from micrograph.features.tubes.tube_search import LEAST_SCORE, MARGIN_NM, Piece, View, find_pieces, view_of
from micrograph.features.tubes.tube_strip import sampled, span, strip_of
from micrograph.structures import Tube, tubes_between

if TYPE_CHECKING:
    import pandas as pd

#: What table 'objects' promises: one row a tube.
TUBES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the tube in its frame, the clearest first"),
    Column("y_nm", "nm", "row position of the middle of its axis, from the centre of the first pixel", "y_sigma_nm"),
    Column("x_nm", "nm", "column position of the middle of its axis", "x_sigma_nm"),
    Column("axis_deg", "degree", "direction of its axis, counter-clockwise from +x, 0 to 180", "axis_sigma_deg"),
    Column("length_nm", "nm", "length of the straight piece that was read"),
    Column("n", "", "likeliest tube (n, m), n >= m"),
    Column("m", "", "likeliest tube (n, m), n >= m"),
    Column("p", "", "probability of that tube"),
    Column("diameter_nm", "nm", "diameter, whether or not a tube has it", "diameter_sigma_nm"),
    Column("angle_deg", "degree", "chiral angle: 0 zigzag, 30 armchair", "angle_sigma_deg"),
    Column("correlation", "", "correlation of the errors of diameter and angle"),
    Column("metallic_p", "", "probability that n - m is a multiple of three"),
    Column("kind", "", "zigzag, armchair or chiral"),
    Column("tilt_deg", "degree", "tilt out of the plane, either way", "tilt_sigma_deg"),
    Column("defocus_nm", "nm", "defocus, positive is under focus", "defocus_sigma_nm"),
    Column("pixel_scale", "", "true over given pixel size, from graphene's lattice", "pixel_scale_sigma"),
    Column("misfit", "", "squared residual per coefficient; 1 for noise alone"),
    Column("class", "", "metallic or semiconducting"),
    Column("score", "", "probability of the class"),
    Column("flags", "", "doubts, see the conventions"),
)
#: What table 'candidates' promises: the likeliest tubes of each row of 'objects'.
CANDIDATES = (
    Column("frame", "", "number of the frame"),
    Column("id", "", "number of the tube in its frame"),
    Column("rank", "", "1 for the likeliest"),
    Column("n", "", "tube (n, m)"),
    Column("m", "", "tube (n, m)"),
    Column("p", "", "probability"),
    Column("tube_diameter_nm", "nm", "diameter of that tube"),
    Column("tube_angle_deg", "degree", "chiral angle of that tube"),
    Column("metallic", "", "whether n - m is a multiple of three"),
)
#: What table 'frames' promises beside what every recipe gives.
SEEN = (
    Column("count", "", "tubes in the frame"),
    Column("domain_distance", "", "how unlike a nanotube the image is; above 1 it is out of domain"),
)

#: A tube is doubted below this probability, and where its layer lines add less to the logarithm of the likelihood.
_SURE, _LEAST_LINES = 0.9, 10.0
#: Squared residual per coefficient from which a piece is no single-wall tube.
_FOREIGN = 4.0
#: A second piece counts if its fringes have this share of the score of the first.
_BESIDE = 0.05
#: Foci from which a ring is fitted, and beginnings of tubes that are followed.
_FOCI, _BEGINNINGS = 7, 8


@dataclass(frozen=True)
class TubeSettings:
    """What may be there, and what is known of the microscope.

    diameter_from_nm, diameter_to_nm: tubes that are sought; pixel_sigma: 1-sigma relative error of the pixel size;
    tilt_sigma_deg: 1-sigma of the tilt out of the plane; voltage_kV: where the file does not say; cs_mm and
    cs_sigma_mm: spherical aberration; most: tubes in a frame; top: candidates that are listed for each.
    """

    diameter_from_nm: float = 0.5
    diameter_to_nm: float = 2.2
    pixel_sigma: float = 0.01
    tilt_sigma_deg: float = 3.0
    voltage_kV: float = 80.0
    cs_mm: float = 0.0
    cs_sigma_mm: float = 0.01
    most: int = 4
    top: int = 5

    @property
    def priors(self) -> Priors:
        """What the settings say before an image is seen."""
        known = Priors(replace(Place(), cs_um=1e3 * self.cs_mm))
        own = {
            "scale": self.pixel_sigma,
            "tilt": float(np.deg2rad(self.tilt_sigma_deg)),
            "cs_um": 1e3 * self.cs_sigma_mm,
        }
        return replace(known, sigma={**known.sigma, **own})


@dataclass(frozen=True)
class Reading:
    """A straight piece and what was read there: the likeliest fit, the probabilities, what was measured."""

    piece: Piece
    best: TubeFit
    posterior: Posterior
    measured: Measured

    @property
    def metallic(self) -> float:
        """Probability that the tube is metallic."""
        return float(
            sum(p for tube, p in zip(self.posterior.tubes, self.posterior.probability, strict=True) if tube.metallic)
        )


def read_tube(view: View, piece: Piece, beam: Beam, settings: TubeSettings) -> Reading | None:
    """Return what the piece of a tube is, or ``None`` if no tube between the limits fits there."""
    priors, width = settings.priors, piece.diameter_nm + 2 * MARGIN_NM
    room = span(view.contrast.shape, view.pixel_nm, piece.line, width)
    if room is None:
        return None
    ends = (max(room[0], piece.ends_nm[0]), min(room[1], piece.ends_nm[1]))
    values, middle = sampled(view.spline, view.pixel_nm, piece.line, ends, width)
    strip = strip_of(values, middle, view.pixel_nm, view.noise)
    tubes = tubes_between(settings.diameter_from_nm, settings.diameter_to_nm)
    nearest = min(tubes, key=lambda tube: abs(tube.diameter_nm - piece.diameter_nm))
    foci = [FOCI_NM[place] for place in np.argsort(-piece.scores.max(axis=0))[:_FOCI]]
    begin = guesses(strip, beam, rings(strip, nearest, beam, priors, foci), tubes, priors)
    if not begin:
        return None
    fits = compared(begin, strip, beam, priors, _BEGINNINGS)
    return Reading(piece, fits[0], posterior(fits), measured(fits[0], priors))


def read_tubes(frame: Frame, beam: Beam, settings: TubeSettings) -> dict[str, pd.DataFrame]:
    """Return the tables 'objects', 'candidates' and 'frames' of one frame."""
    import pandas as pd

    pixel = frame.calibration.pixel_nm
    assert pixel is not None
    view = view_of(frame.data, pixel)
    limits = (settings.diameter_from_nm, settings.diameter_to_nm)
    pieces = find_pieces(view, beam, limits, settings.most)
    read = [(piece, read_tube(view, piece, beam, settings)) for piece in pieces]
    clear = [one for piece, one in read if one is not None and _counts(one, pieces[0])]
    flags = [_flags(one, clear) for one in clear]
    begin = frame.calibration.first_pixel_nm
    rows = [_row(number, one, int(flag), begin) for number, (one, flag) in enumerate(zip(clear, flags, strict=True))]
    listed = [row for number, one in enumerate(clear) for row in _listed(number, one, settings.top)]
    distance = _distance(clear, pieces)
    seen = {
        "count": len(clear),
        "domain_distance": distance,
        "notes": "" if distance <= 1 else _note(clear),
        "flags": int(Flag.OK if distance <= 1 else Flag.OUT_OF_DOMAIN),
    }
    objects = _table(rows, TUBES, frame.index)
    if distance > 1:
        objects["flags"] = objects["flags"] | int(Flag.OUT_OF_DOMAIN)
    return {
        "objects": objects,
        "candidates": _table(listed, CANDIDATES, frame.index),
        "frames": pd.DataFrame([{"frame": frame.index, **seen}]),
    }


def _counts(reading: Reading, first: Piece) -> bool:
    """Return whether a piece is reported: the first always, others when their layer lines are there too."""
    if reading.piece is first:
        return True
    return reading.best.in_lines >= _LEAST_LINES and reading.piece.score >= _BESIDE * first.score


def _flags(reading: Reading, others: Sequence[Reading]) -> Flag:
    """Return the doubts about one tube."""
    flag = Flag.OK
    if reading.posterior.probability[0] < _SURE or reading.best.in_lines < _LEAST_LINES or _touches(reading, others):
        flag |= Flag.LOW_CONFIDENCE
    if reading.best.misfit > _FOREIGN:
        flag |= Flag.NO_FIT
    return flag


def _touches(reading: Reading, others: Sequence[Reading]) -> bool:
    """Return whether another tube runs along this one so near that their fringes overlap."""
    line = reading.piece.line
    for other in others:
        if other is reading:
            continue
        apart = np.array([other.piece.line.y_nm - line.y_nm, other.piece.line.x_nm - line.x_nm]) @ line.across
        turned = abs((other.piece.line.axis_deg - line.axis_deg + 90) % 180 - 90)
        if turned < 10 and abs(apart) < (reading.piece.diameter_nm + other.piece.diameter_nm) / 2 + MARGIN_NM:
            return True
    return False


def _distance(clear: Sequence[Reading], pieces: Sequence[Piece]) -> float:
    """Return how unlike a nanotube the best piece is: by its residual, its layer lines and its fringes; 1 at the limit.

    Layer lines that are too faint to be seen do not count where fringes and noise leave nothing over.
    """
    if not clear:
        return 2.0
    return float(min(max(_residual(one), LEAST_SCORE / max(one.piece.score, 1e-3)) for one in clear))


def _residual(reading: Reading) -> float:
    """Return the residual over what is foreign, as a share of the signal: strong signals show finer misfits."""
    fit = reading.best
    excess = max(fit.misfit - 1.0, 0.0) * fit.model.counted
    unexplained = excess / max(excess + fit.log_posterior, 1e-3)
    return max(unexplained / 0.25, _LEAST_LINES / 2 / max(fit.in_lines, 0.1))


def _note(clear: Sequence[Reading]) -> str:
    if not clear:
        return "No nanotube is seen."
    return "What is seen does not look like a single-wall nanotube: wrong material, several walls, or wrong pixel size."


def _row(number: int, one: Reading, flags: int, begin_nm: float) -> dict[str, Any]:
    """Return the row of one tube in table 'objects'."""
    fit, place, line = one.best, one.best.place, one.best.model.strip.line.moved(across_nm=one.best.place.across_nm)
    sigma = dict(zip(fit.names, np.sqrt(np.diag(fit.covariance)), strict=True))
    spread = np.sqrt(np.diag(one.measured.covariance)) + _between(one)
    tube, metallic = one.posterior.tubes[0], one.metallic
    angle = one.measured.angle_deg % 60
    return {
        "id": number,
        "y_nm": line.y_nm + begin_nm,
        "y_sigma_nm": sigma["across_nm"],
        "x_nm": line.x_nm + begin_nm,
        "x_sigma_nm": sigma["across_nm"],
        "axis_deg": (line.axis_deg - np.rad2deg(place.turn)) % 180,
        "axis_sigma_deg": np.rad2deg(sigma["turn"]),
        "length_nm": fit.model.strip.length_nm,
        "n": tube.n,
        "m": tube.m,
        "p": float(one.posterior.probability[0]),
        "diameter_nm": one.measured.diameter_nm,
        "diameter_sigma_nm": float(spread[0]),
        "angle_deg": min(angle, 60 - angle),
        "angle_sigma_deg": float(spread[1]),
        "correlation": float(one.measured.covariance[0, 1] / np.sqrt(np.prod(np.diag(one.measured.covariance)))),
        "metallic_p": metallic,
        "kind": tube.kind,
        "tilt_deg": abs(np.rad2deg(place.tilt)),
        "tilt_sigma_deg": np.rad2deg(sigma["tilt"]),
        "defocus_nm": place.defocus_nm,
        "defocus_sigma_nm": sigma["defocus_nm"],
        "pixel_scale": place.scale,
        "pixel_scale_sigma": sigma["scale"],
        "misfit": fit.misfit,
        "class": "metallic" if tube.metallic else "semiconducting",
        "score": metallic if tube.metallic else 1 - metallic,
        "flags": flags,
    }


def _between(one: Reading) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the scatter (2,) of diameter (nm) and angle (degrees) between the tubes that may be."""
    values = np.array([[tube.diameter_nm, tube.angle_deg] for tube in one.posterior.tubes])
    off = values - values[0]
    return np.asarray(np.sqrt(one.posterior.probability @ off**2))


def _listed(number: int, one: Reading, top: int) -> list[dict[str, Any]]:
    """Return the rows of one tube's candidates."""
    ranked = zip(one.posterior.tubes[:top], one.posterior.probability[:top], strict=True)
    return [
        {
            "id": number,
            "rank": rank,
            "n": tube.n,
            "m": tube.m,
            "p": float(p),
            "tube_diameter_nm": tube.diameter_nm,
            "tube_angle_deg": tube.angle_deg,
            "metallic": tube.metallic,
        }
        for rank, (tube, p) in enumerate(ranked, start=1)
    ]


_WHOLE = {"frame", "id", "rank", "n", "m", "flags"}
_TEXT = {"class", "kind"}


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], frame: int) -> pd.DataFrame:
    """Return rows as a table with the promised columns, each followed by its 1-sigma, of fixed types."""
    import pandas as pd

    names = [name for column in columns for name in (column.name, column.sigma) if name and name != "frame"]
    kinds = {name: "int64" if name in _WHOLE else "str" if name in _TEXT else "float64" for name in names}
    kinds |= {"metallic": "bool"} if "metallic" in names else {}
    table = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kinds[name]) for name in names})
    table.insert(0, "frame", np.full(len(rows), frame, np.int64))
    return table


def most_likely(table: pd.DataFrame) -> list[Tube]:
    """Return the likeliest tubes of a table 'objects' or 'candidates', in the order of its rows."""
    return [Tube(int(n), int(m)) for n, m in zip(table["n"], table["m"], strict=True)]
