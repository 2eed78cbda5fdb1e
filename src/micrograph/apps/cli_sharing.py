"""The verbs that look into finished results, compare them, and hand results and weights on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from micrograph.share import About

Results = Annotated[Path, typer.Argument(readable=False, metavar="RESULT", help="Folder with the results of one run.")]
Title = Annotated[str | None, typer.Option(help="Title of the work.")]
Author = Annotated[str | None, typer.Option(help="Name of who made it.")]
Orcid = Annotated[str | None, typer.Option(help="The author's ORCID, https://orcid.org/...")]
License = Annotated[str | None, typer.Option(help="Address of the licence, https://...")]


def library(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", readable=False, help="library.h5 of a run.")],
    like: Annotated[int | None, typer.Option(help="Number of an entry: show what is most like it.")] = None,
    name: Annotated[str | None, typer.Option(help="Show the entries of this name, for example Si1C3.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="With --like: only what is bonded alike.")] = False,
    count: Annotated[int, typer.Option("-n", min=1, help="With --like: how many.")] = 10,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Put several libraries together in this file.")
    ] = None,
) -> None:
    """Look into a library of defects, search it, or put several together (made by recipe 'defect-library')."""
    from micrograph.apps import libraries, screen

    if out is not None:
        screen.say(f"{out} holds {libraries.merged(paths, out)} defects.")
        return
    for path in paths:
        rows = libraries.listed(path, name) if like is None else libraries.alike(path, like, count, exact)
        screen.rows(rows, f"{path}: {'defects' if like is None else f'most like number {like}'}")


def catalog(
    folder: Annotated[Path, typer.Argument(readable=False, help="Folder below which results lie.")],
    find: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Runs in whose name, input or settings it stands.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="QUANTITY", help="A column of the summaries, beside each other.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With --compare: over this column of the runs.")
    ] = None,
    sql: Annotated[str | None, typer.Option(help="A SELECT over runs and RECIPE.TABLE, read by DuckDB.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", readable=False, help="Write the answer: .csv, .parquet, .png.")
    ] = None,
) -> None:
    """List, find and compare the results of many runs, or ask about them in SQL."""
    from micrograph.apps import catalogue, screen

    screen.answer(catalogue.catalog(folder, catalogue.Question(find, compare, by, sql), out))


def crate(
    folder: Results, title: Title = None, author: Author = None, orcid: Orcid = None, license: License = None
) -> None:
    """Describe the results of a run for repositories: RO-Crate metadata, with units and digests, beside them."""
    from micrograph.apps import screen
    from micrograph.share import write_crate

    screen.say(f"written: {write_crate(folder, _about(title, author, orcid, license))}")


def export(
    folder: Results,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write: .nxs (NeXus) or .hspy (HyperSpy).")],
    title: Title = None,
    author: Author = None,
    orcid: Orcid = None,
    sample: Annotated[str | None, typer.Option(help="Name of the specimen.")] = None,
    elements: Annotated[str, typer.Option(help='Elements of the specimen, "Mo,Se".')] = "",
    prepared: Annotated[str | None, typer.Option(help="When it was prepared, 2026-05-03T14:00+02:00.")] = None,
    recorded: Annotated[str | None, typer.Option(help="When the recording was begun, with its time zone.")] = None,
    simulated: Annotated[bool, typer.Option("--simulated", help="The recording is a simulation.")] = False,
    technique: Annotated[str | None, typer.Option(help="Of a scanning probe: STM or AFM.")] = None,
    scan_mode: Annotated[str | None, typer.Option(help='Of a scanning probe: "constant current", ...')] = None,
) -> None:
    """Write the results of a run as one file for other programs: tables, images, maps, and how they were made."""
    from micrograph.apps import screen
    from micrograph.core import BadInput
    from micrograph.share import Probe, Specimen, write_hyperspy, write_nexus

    match out.suffix.lower():
        case ".nxs":
            symbols = tuple(filter(None, elements.replace(",", " ").split()))
            about, known = _about(title, author, orcid, None), Specimen(sample, symbols, prepared, recorded, simulated)
            claim = write_nexus(folder, out, about, known, Probe(technique, scan_mode))
            screen.say(f"written: {out} (NeXus, {claim.definition or f'base classes alone: {claim.why}'})")
        case ".hspy":
            write_hyperspy(folder, out)
            screen.say(f"written: {out} (HyperSpy)")
        case _:
            raise BadInput(f"{out.name} must end in .nxs (NeXus) or .hspy (HyperSpy).")


def model_card(
    weights: Annotated[str, typer.Argument(metavar="RECIPE_OR_WEIGHTS", help="A recipe, or weights (name or file).")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder that receives the model.")],
    title: Title = None,
    author: Author = None,
    orcid: Orcid = None,
    license: License = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the image to try it with.")] = 0,
) -> None:
    """Write weights as a model for bioimage.io, which other programs run: ONNX, description, an image to try."""
    from micrograph.apps import making, screen

    about = _about(title, author, orcid, license)
    screen.say(f"written: {making.model_card(weights, out, about, seed=seed)}")


def _about(title: str | None, author: str | None, orcid: str | None, license: str | None) -> About:
    from micrograph.share import About

    return About(title, author, orcid) if license is None else About(title, author, orcid, license)
