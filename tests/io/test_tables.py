"""Tables: what is written is read back, in Parquet and CSV, the same bytes every time, in bounded memory."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from micrograph.core import BadInput, Column
from micrograph.io import TableWriter, merge_parts, read_columns, read_table, write_table
from micrograph.io import tables as room

COLUMNS = (
    Column("y_nm", "nm", "row position", sigma="y_sigma_nm"),
    Column("y_sigma_nm", "nm", "1-sigma of y_nm"),
    Column("class", "", "element or vacancy"),
)


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "frame": np.arange(rows),
            "y_nm": rng.random(rows),
            "y_sigma_nm": np.where(rng.random(rows) < 0.1, np.nan, rng.random(rows)),
            "class": rng.choice(["C", 'Si, "odd"', "Nb\u00e9"], rows),
        }
    )


def test_parquet_and_csv_hold_the_same_exact_table(tmp_path: Path) -> None:
    df = table(500)
    for path in write_table(df, tmp_path / "objects", COLUMNS):
        pd.testing.assert_frame_equal(read_table(path), df)


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_table(table(500), tmp_path / "a", COLUMNS)
    again = write_table(table(500), tmp_path / "b", {column.name: column for column in COLUMNS})
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_unit_meaning_and_sigma_stay_with_the_column(tmp_path: Path) -> None:
    parquet, _ = write_table(table(5), tmp_path / "objects", COLUMNS)
    assert read_columns(parquet) == {column.name: column for column in COLUMNS}
    assert pq.read_schema(parquet).field("y_nm").metadata[b"unit"] == b"nm"


def test_a_stem_keeps_its_dots_and_the_header_is_the_column_names(tmp_path: Path) -> None:
    parquet, text = write_table(table(2), tmp_path / "run_0.5nm", COLUMNS)
    assert (parquet.name, text.name) == ("run_0.5nm.parquet", "run_0.5nm.csv")
    assert text.read_text().splitlines()[0] == "frame,y_nm,y_sigma_nm,class"


def test_an_empty_table_keeps_columns_and_types(tmp_path: Path) -> None:
    parquet, text = write_table(table(5)[:0], tmp_path / "none", COLUMNS)
    found = read_table(parquet)
    assert len(found) == 0
    assert list(found.columns) == ["frame", "y_nm", "y_sigma_nm", "class"]
    assert found["y_nm"].dtype == np.float64
    assert text.read_text() == "frame,y_nm,y_sigma_nm,class\n"


def test_a_table_without_known_types_takes_numbers_where_a_unit_is_promised(tmp_path: Path) -> None:
    unknown = pd.DataFrame({"y_nm": [], "class": []}, dtype=object)
    parquet, _ = write_table(unknown, tmp_path / "none", COLUMNS)
    assert read_table(parquet)["y_nm"].dtype == np.float64


def test_categories_are_written_as_text(tmp_path: Path) -> None:
    df = table(50)
    parquet, text = write_table(df.assign(**{"class": df["class"].astype("category")}), tmp_path / "c", COLUMNS)
    pd.testing.assert_frame_equal(read_table(parquet), df)
    pd.testing.assert_frame_equal(read_table(text), df)


def test_parts_in_order_make_the_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ROW_GROUP", 64)
    df = table(1000)
    pieces = [df[:0], df[:1], df[1:130], df[130:130], df[130:]]
    with TableWriter(tmp_path / "t", COLUMNS) as writer:
        for piece in pieces:
            writer.append(piece)
    pd.testing.assert_frame_equal(read_table(writer.paths[0]), df)
    pd.testing.assert_frame_equal(read_table(writer.paths[1]), df)
    assert pq.ParquetFile(writer.paths[0]).metadata.num_row_groups > 1


def test_merging_parts_gives_the_table_that_was_cut(tmp_path: Path) -> None:
    df = table(1000)
    cuts = [0, 0, 300, 301, 1000]
    parts = [
        write_table(df[start:stop], tmp_path / f"part-{i}")[0]
        for i, (start, stop) in enumerate(itertools.pairwise(cuts))
    ]
    merged = merge_parts(parts, tmp_path / "objects", COLUMNS)
    for path in merged:
        pd.testing.assert_frame_equal(read_table(path), df)
    assert read_columns(merged[0])["y_nm"].unit == "nm"


def test_an_interrupted_table_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "t", COLUMNS) as writer:
        writer.append(table(10))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_rewritten_table_replaces_the_old_one_whole(tmp_path: Path) -> None:
    write_table(table(500), tmp_path / "t")
    parquet, text = write_table(table(3, seed=1), tmp_path / "t")
    pd.testing.assert_frame_equal(read_table(parquet), table(3, seed=1))
    pd.testing.assert_frame_equal(read_table(text), table(3, seed=1))


def test_a_part_with_other_columns_or_types_is_refused(tmp_path: Path) -> None:
    for other in (table(5).rename(columns={"y_nm": "y"}), table(5).assign(y_nm="far")):
        with pytest.raises(BadInput), TableWriter(tmp_path / "t", COLUMNS) as writer:
            writer.append(table(5))
            writer.append(other)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing.parquet", "missing.csv", "broken.parquet"])
def test_an_unreadable_table_is_refused_in_words(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(BadInput, match="cannot be read as a table"):
        read_table(tmp_path / name)
    if name == "broken.parquet":
        with pytest.raises(BadInput, match="part"):
            merge_parts([tmp_path / name], tmp_path / "t")


def test_merging_parts_without_rows_keeps_columns_and_types(tmp_path: Path) -> None:
    parts = [write_table(table(5)[:0], tmp_path / f"part-{i}")[0] for i in range(3)]
    found = read_table(merge_parts(parts, tmp_path / "objects", COLUMNS)[0])
    assert list(found.columns) == ["frame", "y_nm", "y_sigma_nm", "class"]
    assert found["y_nm"].dtype == np.float64
