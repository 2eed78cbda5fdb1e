"""The job behind `micrograph catalog`: runs below a folder listed, found, compared, asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from micrograph.core import BadInput
from micrograph.core.provenance import made_folder, whole

if TYPE_CHECKING:
    from pandas import DataFrame

#: What an answer may be written as.
SUFFIXES = (".csv", ".parquet", ".png")


@dataclass(frozen=True)
class Question:
    """What is asked: runs in which `find` stands, a quantity to `compare` (over the column `by`), or a SELECT; all
    ``None``: the list of runs.
    """

    find: str | None = None
    compare: str | None = None
    by: str | None = None
    sql: str | None = None

    def __post_init__(self) -> None:
        """Refuse more than one question."""
        if sum(one is not None for one in (self.find, self.compare, self.sql)) > 1:
            raise BadInput("--find, --compare and --sql are questions of their own: ask one at a time.")
        if self.by is not None and self.compare is None:
            raise BadInput("--by goes with --compare: it names the column over which the quantity is shown.")


def catalog(folder: Path, question: Question, out: Path | None = None) -> DataFrame:
    """Return the answer to a question about all runs below a folder, and write it to `out` where that is given."""
    from micrograph.share import open_catalog
    from micrograph.share.catalog import RUNS

    if out is not None and (out.suffix not in SUFFIXES or (out.suffix == ".png" and question.compare is None)):
        raise BadInput(f"{out.name} must end in .csv or .parquet, or in .png with --compare.")
    found = open_catalog(folder)
    if question.sql is not None:
        table = found.asked(question.sql)
    elif question.compare is not None:
        table = found.compared(question.compare, question.by)
    else:
        table = (found.runs if question.find is None else found.found(question.find))[list(RUNS)]
    if out is not None:
        _write(table, question, out)
    return table


def _write(table: DataFrame, question: Question, out: Path) -> None:
    made_folder(out.parent)
    with whole(out) as temporary:
        if out.suffix == ".png":
            from micrograph.draw import to_png
            from micrograph.draw.compared import compared_figure

            temporary.write_bytes(to_png(compared_figure(table, str(question.compare), question.by)))
        elif out.suffix == ".parquet":
            table.to_parquet(temporary)
        else:
            table.to_csv(temporary, index=False, lineterminator="\n")
