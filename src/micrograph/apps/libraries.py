"""Libraries of defects from the command line: what is in one, what is alike in it, several put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from micrograph.core import BadInput
from micrograph.core.provenance import whole
from micrograph.io import Entry, Library


def listed(path: Path, name: str | None = None) -> list[dict[str, Any]]:
    """Return one row for every entry of a library, or for those called `name`."""
    library = Library.open(path)
    rows = [_row(number, entry) for number, entry in enumerate(library.entries())]
    found = [row for row in rows if name is None or row["name"] == name]
    if name is not None and not found:
        known = ", ".join(sorted({row["name"] for row in rows})) or "nothing"
        raise BadInput(f"{path.name} holds no '{name}': it holds {known}.")
    return found


def alike(path: Path, number: int, count: int, exact: bool) -> list[dict[str, Any]]:
    """Return the entries most like entry `number`, nearest first, with how unlike they are; itself left out."""
    library = Library.open(path)
    found = library.search(library[number].fragment, count + 1, exact=exact)
    return [
        _row(one.number, library[one.number]) | {"unlike": round(one.distance, 3), "bonded alike": one.same_graph}
        for one in found
        if one.number != number
    ][:count]


def merged(paths: Sequence[Path], out: Path) -> int:
    """Write the entries of several libraries into the new file `out`; return how many there are."""
    libraries = [Library.open(path) for path in paths]
    if out.exists():
        raise BadInput(f"There is a file {out} already: choose another name with -o.")
    with whole(out) as temporary:
        temporary.unlink()
        joined = Library.create(temporary, about=", ".join(path.name for path in paths))
        return joined.add(_all(libraries))


def _all(libraries: Sequence[Library]) -> Iterator[Entry]:
    for library in libraries:
        yield from library.entries()


def _row(number: int, entry: Entry) -> dict[str, Any]:
    lengths = entry.fragment.length_nm
    return {
        "number": number,
        "name": entry.name,
        "score": round(entry.score, 3),
        "atoms": "".join(
            f"{element}{count}"
            for element, count in zip(*np.unique(entry.fragment.element, return_counts=True), strict=True)
        ),
        "mean bond (nm)": round(float(lengths.mean()), 4) if len(lengths) else float("nan"),
        "frame": entry.frame,
        "from": entry.source,
    }
