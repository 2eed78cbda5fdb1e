"""A result as one HTML page that needs nothing else: numbers, doubts, pictures, tables, and where they come from."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import Column, Flag
from micrograph.core.provenance import whole
from micrograph.draw import to_png
from micrograph.report.figures import figures
from micrograph.report.foils import OF_ALL, foil_headlines
from micrograph.report.kinds import KINDS_OF_ALL
from micrograph.report.micrographs import micro_headlines, micro_tables
from micrograph.report.numbers import headlines, headlines_over_time
from micrograph.report.outlined_numbers import outlined_headlines
from micrograph.report.over_time import movie_tables, write_movies
from micrograph.report.trust import trust_headlines, trusted_numbers
from micrograph.validate import read_measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from micrograph.run import Result

ROWS = 10
CAPTIONS = {
    "sites": "Every site in the colour of its class; defects are ringed and named. The legend counts both.",
    "kind": "The image, and how likely each kind is, if it shows one of them.",
    "examples": "The first images of every kind: number of the image, probability, + where another kind is in it.",
    "tilts": "Every doubled cell, averaged with its neighbours, in the colour of its angle; one scale for all three.",
    "types": "Every window in the colour of its likeliest type of lattice; the surer, the fuller the colour.",
    "dumbbells": "Every dumbbell as a line between its columns, in the colour of its value; crosses are single.",
    "heights": "Every column in the colour of its likeliest number of atoms; rings are less sure than 80 %.",
    "confidence": "Mean probability of the likeliest number, and of it or one beside it; bars count columns.",
    "comb": "Lines are the mean intensities of whole numbers of atoms, as found.",
    "layer-lines": "The tube's axis is upwards; dashed are the layer lines of the likeliest tube, as fitted.",
    "detail": "A part of the same frame, enlarged.",
    "defects": "Lines run along the middle of the dislocations' images; bodies are filled; dashed ones are doubted.",
    "image": "The frame as recorded; black and white are the 0.5 and 99.5 percentiles.",
    "score": "What the network says: 1 is certain, 0 is nothing there.",
    "strain": "Relative to the mean lattice; red is stretched, blue compressed.",
    "distances": "Each pair of neighbouring sites once; the line is the mean with its standard error, "
    "or the fitted bond length where the recipe gives one.",
    "intensity": "Integrated intensity of each site by class.",
    "counts": "Number found in all frames together, with the 95 % interval of the count.",
    "density-time": "Number per area with its exact 95 % counting interval.",
    "lattice-time": "Fitted in each frame, with its 95 % interval.",
    "tracks": "Where each object went, over the first frame; the drift of the sample is removed where it is known.",
    "kymograph": "One line a track, along the direction in which tracks scatter most, coloured by state or class.",
    "drift": "Shift of the whole sample against the first frame, with its 95 % interval.",
    "displacement": "Mean square displacement of the tracks with its 95 % interval, and the line of the diffusion "
    "constant D; the constant of the line holds the errors of the positions.",
    "states": "Areas are the shares of the states, widths the rates of the jumps; arrows without a number are rarer.",
    "rates": "Each kind of jump with the 95 % interval of its rate.",
    "numbers-time": "How many were there in each frame, with the 95 % interval; dashed lines mark changes.",
    "order": "How ordered the surroundings of each site are: 1 is as in the most ordered ones.",
    "order-time": "Mean over each frame with its 95 % interval.",
    "traversal": "One row a class and number z: what the network draws as z goes from low to high.",
    "outlines": "The outline of every object in the colour of its shape, or else of its class; dashed ones are doubted "
    "or cut by the border and do not count in sizes and shapes.",
    "sizes": "Share of the objects by size with its 95 % interval; the line is the mean with its 95 % interval.",
    "shapes": "Examples of every shape, small to large, in one scale, with number and share (95 % interval) in the "
    "whole recording.",
    "velocity": "Outlines at several times, coloured by how fast they move along their normal: red outwards, blue "
    "inwards; the motion of the object as a whole is taken out.",
    "rate-law": "Velocity against curvature; the line is fitted to the outlines themselves, not to the bins.",
    "areas": "Area of each object over time and the law that it follows best.",
    "stages": "With 95 % intervals; shaded spans are stages between change points, black lines their means.",
    "numbers": "Mean number at each temperature with its 95 % interval.",
    "constituents": "Every object in the colour of what most of its pixels are; shares of this frame's area.",
    "particles": "Outlines of particles as found; sizes are those of whole ones, weighted by their chance to be whole.",
    "particle": "Particles of all frames, weighted for what the border cuts; the line is the mean.",
    "denuded": "Places along the edge of the grains, and along the network's edge, of all frames.",
    "probability": "Calibrated probabilities of all frames together as one crystal; the longest bars are shown.",
    "pattern": "Circles are the spots that were found, the cross is the direct beam, also behind a stop.",
    "fitted": "Left and middle in one scale of colours; the circle is the disc of the direct beam, as fitted.",
    "scan": "Places where the fit is doubted are left white.",
    "virtual": "Sums over the disc of the direct beam, and over the ring about it.",
    "centre": "The hue says whereto the pattern moves, the brightness how far; the descan's part is taken off.",
    "phase": "Divergence of the shifts, and the potential whose slopes they are (up to a constant).",
    "mean": "The position-averaged pattern; the circle is the disc of the direct beam.",
    "volume": "Slices through the middle of the largest whole particle, else of all; z runs along the beam at tilt 0.",
    "shares": "Of all counts at each place; what they leave is 1 where the endmembers explain all but noise.",
    "endmembers": "Any mixture is also told where no spectrum is pure: these are the purest that the map holds.",
    "scree": "Counts are weighted so that noise is white; above the line no noise comes.",
    "restored": "Recorded and result in one scale of grey; the residual should show nothing but noise.",
    "gaps": "A line across every gap of the finer image: whole where the recorded counts speak for it, else dotted.",
    "power": "What lies beyond half a cycle a recorded pixel was not measured: it follows from learned shapes.",
    "told": "Every place was told by what was learned from the other half of the map; it was not seen itself.",
    "molecules": "Colour: how each molecule is turned; circle: up, square: down; small where the state is doubted.",
    "domains": "Neighbours that are turned alike; the largest domains in colour.",
    "correlations": "How much oftener pairs are alike than by chance, with 95 % intervals.",
    "learned": "What the molecules look like at rotation 0, learned from this image.",
    "energies": "Energies with their 95 % profile intervals; counts of pairs alone know nothing of what lies around.",
    "species": "Who sits where, by the site and its surroundings.",
    "configurations": "The middle of what was measured beside surfaces drawn with the fitted energies.",
    "foretold": "Order drawn with the fitted energies; the latent map is what an auto-encoder makes of local motifs.",
    "classes": "Mean of all pictures of each class, in one scale of grey, with how many there were.",
}


@dataclass(frozen=True)
class Picture:
    """A picture for the page: PNG as base64 text, and what it shows."""

    name: str
    png: str
    caption: str


@dataclass(frozen=True)
class Excerpt:
    """The first rows of a table as text, with unit and meaning of each column."""

    name: str
    columns: list[Column]
    rows: list[list[str]]
    total: int


def write_report(
    result: Result,
    pictures: Mapping[str, Figure] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Write ``report.html`` and the folder ``figures`` beside the result's tables and return the page's path.

    `pictures` are those of `figures` unless given. A recording of ten frames or more is written as ``movie.mp4`` too;
    `progress` is then called with its frames done and in all. The page holds its pictures and loads nothing from
    anywhere; it links to the movie beside it.
    """
    if pictures is None:
        pictures = result_figures(result)
    pngs = {name: to_png(figure) for name, figure in pictures.items()}
    for name, png in pngs.items():
        with whole(result.folder / "figures" / f"{name}.png") as temporary:
            temporary.write_bytes(png)
    movies = write_movies(result, progress)
    path = result.folder / "report.html"
    with whole(path) as temporary:
        temporary.write_text(_page(result, pngs, movies), encoding="utf-8")
    return path


def result_figures(result: Result) -> dict[str, Figure]:
    """Return the pictures that fit a result, reading no more of a long movie than one frame and its small tables."""
    prediction = result.preview()
    tables = {name: result.tables[name] for name in ("frames", "summary")}
    if prediction is not None:
        index = prediction.frame.index
        of_all = {"frames", *result.recipe.over_time}
        tables |= {name: result.tables.of_frame(name, index) for name in result.tables if name not in of_all}
    tables |= {name: result.tables[name] for name in (*OF_ALL, *KINDS_OF_ALL) if name in result.tables}
    if "defects" in result.tables and len(tables["frames"]) > 2:
        tables["defects_over_time"] = result.tables.columns("defects", ("frame", "name", "flags"))
    return figures(result.recipe, prediction, tables | movie_tables(result) | micro_tables(result))


def _page(result: Result, pngs: Mapping[str, bytes], movies: Mapping[str, Path]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("micrograph", "report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = _figure
    record = json.loads(json.dumps(result.record, default=str))
    answers = result.recipe.task.answers
    numbers = headlines(result.summary, result.tables["frames"], answers.get("summary", ()))
    numbers += micro_headlines(result.tables) + outlined_headlines(result.tables) + headlines_over_time(result.tables)
    numbers += [*foil_headlines(result.tables), *trust_headlines(result)]
    card = record.get("card") or {}
    return environment.get_template("report.html").render(
        recipe=result.recipe,
        record=record,
        headlines=numbers,
        pictures=[Picture(name, base64.b64encode(png).decode(), _caption(name)) for name, png in pngs.items()],
        movie=base64.b64encode(movies["gif"].read_bytes()).decode() if movies else "",
        excerpts=[_excerpt(result, name, answers.get(name, ())) for name in _ordered(result.tables)],
        trusted=trusted_numbers(result),
        domain=card.get("domain") or {},
        measured=read_measured(result.recipe.name, record["key"]["weights"]),
        calibration={name: value for name, value in record["key"]["input"]["calibration"].items() if value is not None},
    )


def _figure(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.4g}"


def _caption(name: str) -> str:
    return CAPTIONS.get(name) or CAPTIONS.get(name.split("-")[0], "")


def _ordered(names: Mapping[str, DataFrame]) -> list[str]:
    first = [name for name in ("summary", "objects", "defects", "frames") if name in names]
    return first + sorted(set(names) - set(first))


def _excerpt(result: Result, name: str, promised: tuple[Column, ...]) -> Excerpt:
    table = result.tables.head(name, ROWS).drop(columns="picture", errors="ignore")
    known = {column.name: column for column in promised}
    columns = [known.get(str(column), Column(str(column), "", "")) for column in table]
    rows = [[_cell(column, value) for column, value in row.items()] for row in table.to_dict("records")]
    return Excerpt(name, columns, rows, int(result.record["tables"].get(name, len(table))))


def _cell(column: Any, value: Any) -> str:
    if column == "flags":
        return Flag(int(value)).words()
    if isinstance(value, float):
        return "" if value != value else f"{value:.5g}"
    return "" if value is None else str(value)
