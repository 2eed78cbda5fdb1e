"""The verbs that look into finished results, compare them and hand them on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
    folder: Annotated[Path, typer.Argument(readable=False, help="Folder with the results of one run.")],
    title: Annotated[str | None, typer.Option(help="Title of the work.")] = None,
    author: Annotated[str | None, typer.Option(help="Name of who made it.")] = None,
    orcid: Annotated[str | None, typer.Option(help="The author's ORCID, https://orcid.org/...")] = None,
    license: Annotated[str | None, typer.Option(help="Address of the licence, https://...")] = None,
) -> None:
    """Describe the results of a run for repositories: RO-Crate metadata, with units and digests, beside them."""
    from micrograph.apps import screen
    from micrograph.share import About, write_crate

    about = About(title, author, orcid) if license is None else About(title, author, orcid, license)
    screen.say(f"written: {write_crate(folder, about)}")
