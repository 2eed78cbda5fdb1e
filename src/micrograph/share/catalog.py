"""All runs below a folder as one database: found, compared, asked in SQL; nothing is copied, nothing goes stale.

DuckDB looks into the Parquet files where they lie. Table `runs` has one row a run; every recipe is a schema with its
tables (``surface_lattice.objects``), each with the column `run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micrograph.core import BadInput
from micrograph.io import read_columns
from micrograph.run.record import read_json

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection

#: Columns of a summary that name a row of it.
_NAMES = ("name", "class", "phase", "kind", "element")
#: Columns of `runs` by which people know a run.
RUNS = ("run", "recipe", "input", "frames", "pixel_nm", "out_of_domain", "finished")


@dataclass(frozen=True)
class Catalog:
    """The runs below `folder`; `tables` has the Parquet files of every run by name of the table."""

    folder: Path
    runs: pd.DataFrame
    tables: Mapping[str, Mapping[str, Path]]
    database: DuckDBPyConnection

    def asked(self, sql: str) -> pd.DataFrame:
        """Return the answer to one SELECT in SQL; raises `BadInput` with what DuckDB says of a wrong one.

        It can read the catalogue and nothing else.
        """
        import duckdb

        try:
            kinds = [statement.type for statement in duckdb.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise BadInput("The catalogue answers one SELECT: it changes nothing.")
            table: pd.DataFrame = self.database.execute(sql).df()
        except duckdb.Error as error:
            raise BadInput(f"The catalogue cannot answer this: {_first_line(error)}") from error
        return table

    def found(self, text: str) -> pd.DataFrame:
        """Return the runs in whose name, recipe, input or settings `text` stands, capitals or not."""
        rows = self.runs[["run", "recipe", "input", "settings"]].astype(str)
        here = rows.apply(lambda column: column.str.contains(text, case=False, regex=False)).any(axis=1)
        found: pd.DataFrame = self.runs[here].reset_index(drop=True)
        return found

    def compared(self, quantity: str, by: str | None = None) -> pd.DataFrame:
        """Return a quantity of every run's summary: ``run, recipe, input, name, value, sigma, low, high, unit``.

        `name` is the row of the summary where it has several. `by` is a column of `runs` to which the rows are put in
        order, such as 'pixel_nm' or 'known_temperature_C'; its values are then a column too. Raises `BadInput` where no
        run knows the quantity.
        """
        import pandas as pd

        if by is not None and by not in self.runs:
            raise BadInput(f"Runs have no column '{by}': they have {', '.join(map(str, self.runs))}.")
        rows = [row for _, run in self.runs.iterrows() for row in self._told(run, quantity, by)]
        if not rows:
            raise BadInput(f"No run here has '{quantity}' in its summary: {self._quantities()}.")
        table = pd.DataFrame(rows)
        return table.sort_values(by, kind="stable", ignore_index=True) if by else table

    def _told(self, run: pd.Series, quantity: str, by: str | None) -> list[dict[str, Any]]:
        path = self.tables.get(str(run["run"]), {}).get("summary")
        if path is None:
            return []
        import pandas as pd

        columns = read_columns(path)
        summary = pd.read_parquet(path)
        if quantity not in summary or not pd.api.types.is_numeric_dtype(summary[quantity]):
            return []
        said = columns.get(quantity)
        name = next((column for column in _NAMES if column in summary), None)
        return [
            {
                "run": run["run"], "recipe": run["recipe"], "input": run["input"], **({by: run[by]} if by else {}),
                "name": "" if name is None else str(row[name]), "value": float(row[quantity]),
                "sigma": _number(row, said.sigma if said else None),
                "low": _end(row, quantity, "low"), "high": _end(row, quantity, "high"),
                "unit": said.unit if said else "",
            }
            for _, row in summary.iterrows()
        ]  # fmt: skip

    def _quantities(self) -> str:
        """Return a sentence with the quantities that summaries here have."""
        known = {
            name for tables in self.tables.values() if "summary" in tables for name in read_columns(tables["summary"])
        }
        return f"they have {', '.join(sorted(known))}" if known else "no run has a summary"


def _number(row: pd.Series, name: str | None) -> float:
    return float(row[name]) if name is not None and name in row else float("nan")


def _end(row: pd.Series, quantity: str, end: str) -> float:
    """Return one end of a quantity's interval: 'share_low' beside 'share', 'missing_low' beside 'missing_per_nm2'."""
    words = quantity.split("_")
    stems = ["_".join(words[:number]) for number in range(len(words), 0, -1)]
    return next((_number(row, f"{stem}_{end}") for stem in stems if f"{stem}_{end}" in row), float("nan"))


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0]
    return line if line.endswith(".") else f"{line}."


def open_catalog(folder: Path) -> Catalog:
    """Return the catalogue of all finished runs in a folder and below; raises `BadInput` where there are none."""
    import pandas as pd

    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: give the folder below which the results of runs lie.")
    rows, tables = [], {}
    for record in sorted(folder.rglob("run.json")):
        content = read_json(record)
        if content is None or "recipe" not in content or "key" not in content:
            continue
        row = _row(folder, record, content)
        rows.append(row)
        tables[row["run"]] = {path.stem: path for path in sorted(record.parent.glob("*.parquet"))}
    if not rows:
        raise BadInput(f"Below {folder} there is no finished run: give the folder into which micrograph wrote results.")
    runs = pd.DataFrame(rows)
    return Catalog(folder, runs, tables, _database(folder, runs, tables))


def _row(folder: Path, record: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `runs` says of a run: who, what, from what, with which calibration and settings, and how it went."""
    given = content["key"]["input"]
    calibration = {
        name: value
        for name, value in given.get("calibration", {}).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "binning"
    }
    flags = content.get("flags", {})
    settings = content["key"].get("settings", {})
    return {
        "run": str(record.parent.relative_to(folder)) if record.parent != folder else ".",
        "recipe": content["recipe"]["name"],
        "input": given.get("name", ""),
        "digest": given.get("digest", ""),
        "frames": content.get("frames", 0),
        "pixel_nm": float("nan"),
        **calibration,
        "weights": content["key"].get("weights", ""),
        "settings": ", ".join(f"{name}={value}" for name, value in settings.items()),
        "out_of_domain": flags.get("OUT_OF_DOMAIN", 0),
        "bad_frames": flags.get("BAD_FRAME", 0),
        "version": content.get("versions", {}).get("micrograph", ""),
        "finished": datetime.fromtimestamp(record.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M"),
    }


def _database(folder: Path, runs: pd.DataFrame, tables: Mapping[str, Mapping[str, Path]]) -> DuckDBPyConnection:
    """Return a database in memory with the table `runs` and a view of every table of every recipe."""
    try:
        import duckdb
    except ImportError as error:
        raise BadInput(
            "The catalogue needs DuckDB, which is not installed: pip install 'micrograph[catalog]'."
        ) from error

    database = duckdb.connect(config={"threads": 2})
    database.register("_runs", runs)
    database.execute("CREATE TABLE runs AS SELECT * FROM _runs")
    database.unregister("_runs")
    for recipe, mine in runs.groupby("recipe"):
        schema = str(recipe).replace("-", "_")
        database.execute(f'CREATE SCHEMA "{schema}"')
        for table in sorted({name for run in mine["run"] for name in tables[run]}):
            paths = {run: tables[run][table] for run in mine["run"] if table in tables[run]}
            database.execute(_view(schema, table, paths))
    database.execute(f"SET allowed_directories = {_list([str(folder.resolve())])}")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def _view(schema: str, table: str, paths: Mapping[str, Path]) -> str:
    """Return the statement that makes one view of a table of several runs, with the column `run`."""
    files = [str(path.resolve()) for path in paths.values()]
    names = ", ".join(f"({_text(file)}, {_text(run)})" for file, run in zip(files, paths, strict=True))
    return (
        f'CREATE VIEW "{schema}"."{table}" AS SELECT named.run, found.* EXCLUDE (filename) '
        f"FROM read_parquet({_list(files)}, union_by_name = true, filename = true) AS found "
        f"JOIN (VALUES {names}) AS named(filename, run) USING (filename)"
    )


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, texts))}]"


def _text(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
